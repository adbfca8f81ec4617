"""IAM's tokens: how one is asked for, and how long it is good."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from .client import CONFIGS, Client, Connect, error_of


def ask(
    client: Client,
    *,
    user: Any = "emulator",
    password: Any = "emulator",
    account: Any = "emulator",
    methods: Any = ("password",),
    **scope: Any,
) -> requests.Response:
    login = {"name": user, "password": password, "domain": {"name": account}}
    auth = {
        "identity": {"methods": list(methods), "password": {"user": login}},
        "scope": {"project": scope or {"name": "emulator"}},
    }
    return client.session.post(f"{client.url}/v3/auth/tokens", json={"auth": auth}, timeout=60)


def use(client: Client, token: str) -> requests.Response:
    client.session.auth = None
    return client.call("GET", CONFIGS, headers={"X-Auth-Token": token})


@pytest.mark.parametrize(
    "scope", [{"id": "p1"}, {"name": "p1"}, {"name": "emulator"}, {"name": "eu-de"}]
)
def test_a_password_gives_a_token_that_opens_the_project(
    connect: Connect, scope: dict[str, str]
) -> None:
    client = connect(project_id="p1")
    answer = ask(client, **scope)
    assert answer.status_code == 201
    assert use(client, answer.headers["X-Subject-Token"]).ok


def test_a_token_says_that_it_is_good_for_a_day(client: Client) -> None:
    token = ask(client).json()["token"]
    expires = datetime.strptime(token["expires_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    left = expires.replace(tzinfo=timezone.utc) - datetime.now(timezone.utc)
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    assert token["project"]["id"] == "emulator"


@pytest.mark.parametrize(
    "wrong",
    [
        {"user": "x"},
        {"password": "x"},
        {"account": "x"},
        {"password": None},
        {"id": "x"},
        {"name": "x"},
        {"id": "emulator", "name": "x"},
    ],
)
def test_wrong_credentials_or_projects_get_no_token(client: Client, wrong: dict[str, Any]) -> None:
    answer = ask(client, **wrong)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == 401
    assert "X-Subject-Token" not in answer.headers


@pytest.mark.parametrize("document", [{}, {"auth": []}, {"auth": {"identity": {"methods": [1]}}}])
def test_a_token_request_of_another_form_is_a_bad_request(client: Client, document: Any) -> None:
    answer = client.session.post(f"{client.url}/v3/auth/tokens", json=document, timeout=60)
    assert answer.status_code == 400
    assert "methods" in answer.json()["error"]["message"]


def test_a_token_request_needs_a_project(client: Client) -> None:
    answer = ask(client, domain={"name": "emulator"})
    assert answer.status_code == 400
    assert "project" in answer.json()["error"]["message"]


def test_a_token_request_that_is_not_json_is_a_bad_request(client: Client) -> None:
    answer = client.session.post(f"{client.url}/v3/auth/tokens", data=b"\xff", timeout=60)
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["error"]["message"]


def test_an_expired_token_is_refused_and_a_new_one_is_good(client: Client) -> None:
    token = ask(client).headers["X-Subject-Token"]
    client.app.expire_tokens()
    assert error_of(use(client, token)) == (401, "ModelArts.0202")
    assert use(client, ask(client).headers["X-Subject-Token"]).ok


@pytest.mark.parametrize(("token", "code"), [("", "ModelArts.0201"), ("x", "ModelArts.0203")])
def test_a_missing_or_unknown_token_is_refused(client: Client, token: str, code: str) -> None:
    assert error_of(use(client, token)) == (401, code)


def test_a_token_does_not_open_another_project(client: Client) -> None:
    token = ask(client).headers["X-Subject-Token"]
    client.project = "other"
    assert error_of(use(client, token)) == (403, "ModelArts.0210")
