"""IAM: tokens and temporary keys, how one is asked for and how long it is good; the catalogue."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from .client import CONFIGS, Client, Connect, error_of
from .signer import Signer


def ask(
    client: Client,
    *,
    user: Any = "emulator",
    password: Any = "emulator",
    account: Any = "emulator",
    key: str = "name",
    query: str = "",
    **scope: Any,
) -> requests.Response:
    login = {"name": user, "password": password, "domain": {key: account}}
    identity = {"methods": ["password"], "password": {"user": login}}
    auth = {"identity": identity, "scope": {"project": scope or {"name": "emulator"}}}
    return post(client, f"v3/auth/tokens{query}", {"auth": auth})


def post(client: Client, path: str, document: Any, **headers: str) -> requests.Response:
    return client.session.post(f"{client.url}/{path}", json=document, headers=headers, timeout=60)


def exchange(client: Client, id_token: Any = "emulator", **scope: Any) -> requests.Response:
    auth = {"id_token": {"id": id_token}, **({"scope": scope} if scope else {})}
    headers = {"X-Idp-Id": "emulator"}
    return post(client, "v3.0/OS-AUTH/id-token/tokens", {"auth": auth}, **headers)


def issue_key(client: Client, method: str, *, token: str = "", **given: Any) -> requests.Response:
    identity = {"methods": [method], method: given}
    headers = {"X-Auth-Token": token} if token else {}
    document = {"auth": {"identity": identity}}
    return post(client, "v3.0/OS-CREDENTIAL/securitytokens", document, **headers)


def use(client: Client, token: str) -> requests.Response:
    client.session.auth = None
    return client.call("GET", CONFIGS, headers={"X-Auth-Token": token})


@pytest.mark.parametrize(
    "scope", [{"id": "p1"}, {"name": "p1"}, {"name": "emulator"}, {"name": "eu-de"}, {"key": "id"}]
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


def test_a_token_has_the_catalogue_unless_it_is_not_wanted(client: Client) -> None:
    answer = ask(client)
    catalog = answer.json()["token"]["catalog"]
    urls = {item["type"]: item["endpoints"][0]["url"] for item in catalog}
    assert urls["identity"] == f"{client.url}/v3"
    assert urls["modelarts"] == f"{client.url}/v1/emulator"
    assert "catalog" not in ask(client, query="?nocatalog=true").json()["token"]
    assert "catalog" in ask(client, query="?nocatalog=").json()["token"]
    headers = {"X-Auth-Token": answer.headers["X-Subject-Token"]}
    url = f"{client.url}/v3/auth/catalog"
    shown = client.session.get(url, headers=headers, timeout=60).json()
    assert shown == {"catalog": catalog, "links": {"self": url}}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("projects", ["p1"]),
        ("projects?name=eu-de", ["p1"]),
        ("projects?name=p1", ["p1"]),
        ("projects?name=other", []),
        ("auth/projects", ["p1"]),
    ],
)
def test_projects_are_found_by_name(connect: Connect, path: str, found: list[str]) -> None:
    client = connect(project_id="p1")
    url = f"{client.url}/v3/{path}"
    signed = client.session.get(url, timeout=60)
    assert [project["id"] for project in signed.json()["projects"]] == found
    client.session.auth = None
    refused = client.session.get(url, timeout=60)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, 401)


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"project": {"id": "emulator"}}, 200),
        ({"project": {"id": "emulator", "name": "eu-de"}}, 200),
        ({"domain": {"name": "emulator"}}, 403),
        ({}, 403),
    ],
)
def test_an_id_token_gives_a_token_for_what_it_names(
    client: Client, scope: dict[str, Any], status: int
) -> None:
    answer = exchange(client, **scope)
    assert (answer.status_code, answer.json()["token"]["methods"]) == (201, ["mapped"])
    assert use(client, answer.headers["X-Subject-Token"]).status_code == status


@pytest.mark.parametrize("id_token", ["forged", "", None, ["emulator"]])
def test_another_id_token_gives_none(client: Client, id_token: Any) -> None:
    answer = exchange(client, id_token)
    assert (answer.status_code, answer.json()["error_code"]) == (401, "IAM.0001")


def test_an_identity_provider_must_be_known(client: Client) -> None:
    answer = post(client, "v3.0/OS-AUTH/id-token/tokens", {"auth": {}}, **{"X-Idp-Id": "other"})
    assert (answer.status_code, answer.json()["error_code"]) == (404, "IAM.0004")


def sign_with(client: Client, answer: requests.Response, **changed: str) -> requests.Response:
    key = {**answer.json()["credential"], **changed}
    signer = Signer(key["access"], key["secret"], names=["x-security-token"])
    headers = {"X-Security-Token": key["securitytoken"]}
    return client.call("GET", CONFIGS, headers=headers, auth=signer)


def test_a_token_gives_a_temporary_key(client: Client) -> None:
    token = exchange(client).headers["X-Subject-Token"]
    client.session.auth = None
    for answer in (
        issue_key(client, "token", id=token, duration_seconds=900),
        issue_key(client, "token", token=token, duration_seconds=86400),
        issue_key(client, "token", token=token),
    ):
        assert answer.status_code == 201, answer.text
        assert sign_with(client, answer).ok
        bad = sign_with(client, answer, securitytoken="emulator")
        assert error_of(bad) == (403, "ModelArts.0206")
        assert error_of(sign_with(client, answer, secret="wrong")) == (401, "APIGW.0301")
    client.app.expire_tokens()
    assert error_of(sign_with(client, answer)) == (401, "APIGW.0301")
    assert issue_key(client, "token", token=token).status_code == 401


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"agency_name": "emulator", "domain_name": "emulator"}, 201),
        ({"agency_name": "emulator", "domain_id": "emulator", "duration_seconds": 3600}, 201),
        ({"xrole_name": "emulator", "domain_id": "emulator"}, 201),
        ({"agency_name": "other", "domain_name": "emulator"}, 404),
        ({"agency_name": "emulator", "domain_name": "other"}, 404),
        ({"agency_name": "emulator"}, 404),
        ({"agency_name": "emulator", "domain_name": "emulator", "duration_seconds": 899}, 400),
        ({"agency_name": "emulator", "domain_name": "emulator", "duration_seconds": 86401}, 400),
        ({"agency_name": "emulator", "domain_name": "emulator", "duration_seconds": "900"}, 400),
    ],
)
def test_an_agency_gives_a_temporary_key(
    client: Client, given: dict[str, Any], status: int
) -> None:
    signed = issue_key(client, "assume_role", **given)
    assert signed.status_code == status
    token = exchange(client).headers["X-Subject-Token"]
    client.session.auth = None
    assert issue_key(client, "assume_role", token=token, **given).status_code == status
    assert issue_key(client, "assume_role", **given).status_code == (400 if status == 400 else 401)
    if status == 201:
        assert sign_with(client, signed).ok


def test_a_key_is_given_for_a_token_or_an_agency_alone(client: Client) -> None:
    answer = issue_key(client, "password", id="x")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "IAM.0011")
