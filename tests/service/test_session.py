"""How a call is addressed, signed, sent, repeated and read."""

from __future__ import annotations

import codecs
import gzip
import io
import json
import logging
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from majobctl import __version__
from majobctl.errors import AuthError, ConfigError, ProviderError, ServiceError, TransportError
from majobctl.http import Response
from majobctl.http.retry_after import read_retry_after
from majobctl.service.auth.credentials import Token
from majobctl.service.auth.methods import TokenAuth
from majobctl.service.auth.tokens import IssuedAuth
from majobctl.service.http.backoff import pause_seconds
from majobctl.service.http.responses import excerpt, read_object
from majobctl.service.session import Session
from tests.config_repository import until
from tests.fake_service import (
    ACCESS_KEY,
    PASSWORD,
    PROJECT,
    SECRET_KEY,
    SECURITY_TOKEN,
    FakeService,
    Handler,
)

OK = {"is_success": True}
BODY = {"config_desc": "Grüße 配置 ☃", "worker_server_num": 1}


def open_session(service: FakeService, **options: Any) -> Session:
    given = {"endpoint": service.url, "timeout": 30, "backoff": 0.01, **options}
    return Session(ACCESS_KEY, SECRET_KEY, PROJECT, **given)


def open_with_password(service: FakeService, **options: Any) -> Session:
    given = {"project_id": PROJECT, "password": PASSWORD, **options}
    return Session(
        account="account",
        username="someone",
        endpoint=service.url,
        iam_endpoint=service.url,
        backoff=0.01,
        **given,
    )


def put(session: Session, name: str = "x") -> dict[str, Any]:
    return session.request("PUT", f"/training-job-configs/{name}", body=BODY)


def transport_error(call: Callable[[], object]) -> TransportError:
    with pytest.raises(TransportError) as caught:
        call()
    return caught.value


def service_error(call: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value


class TestARequest:
    def test_is_signed_and_carries_what_was_signed(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        assert put(session) == OK
        (received,) = service.requests
        assert received.path == f"/v1/{PROJECT}/training-job-configs/x"
        assert received.body == json.dumps(BODY, ensure_ascii=False).encode()
        assert received.headers["content-type"] == "application/json"
        assert received.headers["user-agent"] == f"majobctl/{__version__}"
        assert service.configs["x"] == BODY

    def test_signs_a_temporary_key_together_with_its_token(self, service: FakeService) -> None:
        service.configs["x"] = {}
        with open_session(service, security_token=SECURITY_TOKEN) as session:
            assert put(session) == OK
        headers = service.requests[0].headers
        assert headers["x-security-token"] == SECURITY_TOKEN
        assert "x-security-token" in headers["authorization"]

    def test_quotes_its_query_and_leaves_out_what_is_none(
        self, service: FakeService, session: Session
    ) -> None:
        query = {"a": "x y&ö~", "b": None, "c": 1}
        session.request("GET", "/training-job-configs", query=query)
        assert service.requests[0].query == {"a": "x y&ö~", "c": "1"}

    def test_with_a_ready_token_sends_it_and_no_signature(self, service: FakeService) -> None:
        service.tokens.add("ready")
        service.configs["x"] = {}
        with Session(token="ready", project_id=PROJECT, endpoint=service.url) as session:
            assert put(session) == OK
            service.tokens.clear()
            assert service_error(lambda: put(session)).code == "ModelArts.0202"
        assert "authorization" not in service.requests[0].headers

    def test_reuses_its_connection(self, service: FakeService, session: Session) -> None:
        ports = set()

        def note(handler: Handler) -> None:
            ports.add(handler.client_address[1])
            handler.answer(200, OK)

        for _ in range(3):
            service.script.append(note)
            put(session)
        assert len(ports) == 1

    def test_sends_no_cookies_and_nothing_from_netrc(
        self, service: FakeService, tmp_path: Path
    ) -> None:
        netrc = tmp_path / "home" / ".netrc"
        netrc.write_text("machine 127.0.0.1 login netrc-user password netrc-password\n")
        netrc.chmod(0o600)
        service.tokens.add("ready")
        service.answer_next(200, OK, {"Set-Cookie": "a=b; Path=/"})
        with Session(token="ready", project_id=PROJECT, endpoint=service.url) as session:
            put(session)
            service.answer_next(200, OK)
            assert put(session) == OK
        for received in service.requests:
            assert not {"cookie", "authorization"} & set(received.headers)

    def test_with_text_that_is_not_unicode_is_a_wrong_argument(self, session: Session) -> None:
        with pytest.raises(ConfigError, match="surrogate"):
            session.request("PUT", "/x", body={"config_desc": "\ud800"})

    def test_after_closing_opens_a_new_connection(
        self, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        put(session)
        session.close()
        session.close()
        assert put(session) == OK


class TestWhatTheEnvironmentHolds:
    def test_is_enough_for_a_session(
        self, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUAWEICLOUD_SDK_AK", ACCESS_KEY)
        monkeypatch.setenv("HUAWEICLOUD_SDK_SK", SECRET_KEY)
        monkeypatch.setenv("OS_PROJECT_ID", PROJECT)
        monkeypatch.setenv("OS_REGION_NAME", "eu-de")
        with Session() as session:
            assert session.endpoint == "https://modelarts.eu-de.otc.t-systems.com"
            assert (session.project_id, session.region_name) == (PROJECT, "eu-de")
        monkeypatch.setenv("MAJOBCTL_ENDPOINT", service.url)
        service.configs["x"] = {}
        with Session() as session:
            assert put(session) == OK

    def test_gives_way_to_arguments(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OS_ACCESS_KEY", "half")
        monkeypatch.setenv("OS_PROJECT_ID", "other")
        monkeypatch.setenv("OS_REGION_NAME", "eu-de")
        session = Session(
            access_key="a", secret_key="b", project_id=PROJECT, region_name="cn-north-4"
        )
        assert session.endpoint == "https://modelarts.cn-north-4.myhuaweicloud.com"
        assert session.project_id == PROJECT

    def test_may_lack_credentials_or_a_project(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(AuthError, match="no credentials\n"):
            Session(region_name="eu-de", project_id=PROJECT)
        with pytest.raises(AuthError, match="no project: set project_id, or OS_PROJECT_ID"):
            Session("a", "b", region_name="eu-de")
        with pytest.raises(
            ConfigError, match=r'"eu-west-0" has no address that majobctl knows; set endpoint, and'
        ):
            Session("a", "b", PROJECT, region_name="eu-west-0")
        with pytest.raises(
            ConfigError, match=r'"eu-west-0" has no address that majobctl knows; set endpoint, and'
        ):
            Session.set_endpoint(region_name="eu-west-0")
        with pytest.raises(
            ConfigError, match=r'"eu-west-0" has no address that majobctl knows; set iam_endpoint;'
        ):
            Session(
                *(None, None, PROJECT, "eu-west-0", "a", "b", "c"), endpoint="http://127.0.0.1:9"
            )
        monkeypatch.setenv("OS_PROJECT_NAME", "eu-de")
        with pytest.raises(AuthError, match="is enough only with a password"):
            Session("a", "b", region_name="eu-de")
        with pytest.raises(ConfigError, match=r"no region: set region \(region_name= in Python\)"):
            Session("a", "b", PROJECT)

    def test_is_overridden_for_all_sessions_by_set_endpoint(self, service: FakeService) -> None:
        try:
            Session.set_endpoint(
                iam_endpoint=service.url,
                obs_endpoint="https://obs.example.com",
                modelarts_endpoint=service.url,
                region_name="eu-de",
            )
            with Session(
                account="a", username="b", password=PASSWORD, project_id=PROJECT
            ) as session:
                service.configs["x"] = {}
                assert (session.endpoint, session.region_name) == (service.url, "eu-de")
                assert put(session) == OK
            with pytest.raises(ConfigError):
                Session.set_endpoint(modelarts_endpoint="http://example.com")
            with pytest.raises(ConfigError):
                Session.set_endpoint(iam_endpoint="http://example.com")
        finally:
            Session.set_endpoint()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"access_key": "a"}, "access_key and secret_key go together"),
        ({"secret_key": "a"}, "access_key and secret_key go together"),
        ({"username": "a"}, "account, username and password go together"),
        ({"account": "a", "username": "b"}, "account, username and password go together"),
    ],
)
def test_half_of_the_credentials_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(AuthError, match=problem):
        Session(**arguments, project_id=PROJECT, region_name="eu-de")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"project_id": "../other"}, "project_id: must be a project's id"),
        ({"project_id": ".."}, "project_id: must be a project's id"),
        ({"project_id": PROJECT, "timeout": 0}, "timeout: must be more than 0 seconds"),
        ({"project_id": PROJECT, "auth": "magic"}, "auth is"),
    ],
)
def test_an_argument_that_cannot_be_right_is_refused(
    arguments: dict[str, Any], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_TOKEN", "t")
    with pytest.raises(ConfigError, match=problem):
        Session(region_name="eu-de", **arguments)


class TestAPassword:
    def test_gets_one_token_for_all_workers(self, service: FakeService) -> None:
        service.configs["x"] = {}
        with open_with_password(service) as session, ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda _: put(session), range(16))) == [OK] * 16
        assert service.issued == 1
        assert service.requests[0].document == {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {
                        "user": {
                            "name": "someone",
                            "password": PASSWORD,
                            "domain": {"name": "account"},
                        }
                    },
                },
                "scope": {"project": {"id": PROJECT}},
            }
        }

    def test_renews_an_expired_token_once_for_all_workers(self, service: FakeService) -> None:
        service.configs["x"] = {}
        workers = 8
        together = threading.Barrier(workers)

        def refuse_together(handler: Handler) -> None:
            together.wait(60)
            handler.refuse(401, "ModelArts.0202", "The token has expired.")

        with (
            open_with_password(service, connections=workers) as session,
            ThreadPoolExecutor(workers) as pool,
        ):
            put(session)
            service.tokens.clear()
            service.script.extend([refuse_together] * workers)
            assert list(pool.map(lambda _: put(session), range(workers))) == [OK] * workers
        assert service.issued == 2

    def test_is_renewed_once_even_if_the_new_token_has_the_same_text(self) -> None:
        issued = []

        def issue() -> Mapping[str, Any]:
            issued.append("")
            return {"method": TokenAuth(Token(b"same".decode()), PROJECT)}

        auth = IssuedAuth(issue)
        refused = [auth.headers("GET", "", b"") for _ in range(2)]
        for headers in refused:
            assert auth.renew(headers, Response(status=401, headers={}, body=b""))
            auth.headers("GET", "", b"")
        assert len(issued) == 2

    @pytest.mark.parametrize(
        ("status", "document", "tries"),
        [
            (401, b"", 2),
            (401, {"error_code": "ModelArts.0203"}, 2),
            (403, {"error_code": "ModelArts.0203"}, 2),
            (403, {"error_code": "ModelArts.2784"}, 2),
            (400, {"error_code": "ModelArts.6401"}, 2),
            (404, {"error_code": "ModelArts.0202"}, 2),
            (400, {"error": {"code": "ModelArts.0203", "message": "Invalid token."}}, 2),
            (403, {"error_code": "ModelArts.0210"}, 1),
            (403, b"<html>", 1),
            (400, {"error_code": "ModelArts.0101"}, 1),
        ],
    )
    def test_repeats_once_a_call_whose_token_is_refused(
        self, status: int, document: object, tries: int, service: FakeService
    ) -> None:
        for _ in range(tries):
            service.script.append(Handler.handle_one_token)
            service.answer_next(status, document)
        with open_with_password(service) as session:
            assert service_error(lambda: put(session)).status == status
        assert len(service.asked("PUT")) == service.issued == tries

    @pytest.mark.parametrize(
        ("life", "issued"),
        [
            (timedelta(days=1), 1),
            (timedelta(microseconds=1), 3),
            *((timedelta(days=days), 1) for days in (0, -1, -999)),
        ],
    )
    def test_renews_a_token_before_its_end(
        self, life: timedelta, issued: int, service: FakeService
    ) -> None:
        service.configs["x"] = {}
        service.token_life = life
        with open_with_password(service) as session:
            assert [put(session) for _ in range(3)] == [OK] * 3
        assert service.issued == issued
        assert len(service.asked("PUT")) == 3

    def test_renews_a_token_that_never_worked_once(self, service: FakeService) -> None:
        with open_with_password(service) as session:
            service.script.append(Handler.handle_one_token)
            for _ in range(2):
                service.answer_next(401, {"error_code": "ModelArts.0203"})
                service.script.append(Handler.handle_one_token)
            service.script.pop()
            assert service_error(lambda: put(session)).status == 401
            for _ in range(3):
                service.answer_next(401, {"error_code": "ModelArts.0203"})
                assert service_error(lambda: put(session)).status == 401
        assert service.issued == 2

    def test_takes_a_token_whose_times_cannot_be_read(self, service: FakeService) -> None:
        service.configs["x"] = {}
        service.tokens.add("odd")
        document = {"token": {"project": {"id": PROJECT}, "expires_at": 5, "issued_at": "soon"}}
        service.answer_next(201, document, {"X-Subject-Token": "odd"})
        with open_with_password(service) as session:
            assert put(session) == OK

    def test_finds_the_projects_id_by_its_name(
        self, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.configs["x"] = {}
        monkeypatch.setenv("OS_PROJECT_NAME", "eu-de")
        monkeypatch.setenv("OS_AUTH_URL", service.url + "/v3/")
        with Session(
            username="someone", password=PASSWORD, endpoint=service.url, backoff=0.01
        ) as session:
            assert repr(session) == f"Session(endpoint='{service.url}', project_id='by name')"
            assert session.project_id == PROJECT
            assert put(session) == OK
        auth = service.requests[0].document["auth"]
        assert auth["scope"] == {"project": {"name": "eu-de"}}
        assert auth["identity"]["password"]["user"]["domain"] == {"name": "someone"}

    @pytest.mark.parametrize("place", ["argument", "set_endpoint", "environment"])
    def test_without_a_project_means_the_regions(
        self, place: str, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.configs["x"] = {}
        region: dict[str, Any] = {}
        if place == "argument":
            region["region_name"] = "eu-de"
        elif place == "environment":
            monkeypatch.setenv("OS_REGION_NAME", "eu-de")
        try:
            Session.set_endpoint(
                service.url, None, service.url, "eu-de" if place == "set_endpoint" else None
            )
            with Session(username="someone", password=PASSWORD, **region) as session:
                assert session.project_id == PROJECT
                assert put(session) == OK
        finally:
            Session.set_endpoint()
        scope = service.requests[0].document["auth"]["scope"]
        assert scope == {"project": {"name": "eu-de"}}

    def test_without_a_project_and_a_region_is_refused(self, service: FakeService) -> None:
        with pytest.raises(AuthError, match="no project"):
            Session(username="a", password="b", endpoint=service.url, iam_endpoint=service.url)

    def test_that_is_wrong_is_tried_once_however_many_workers_there_are(
        self, service: FakeService
    ) -> None:
        with (
            open_with_password(service, password="wrong-one") as session,
            ThreadPoolExecutor(4) as pool,
        ):
            errors = [pool.submit(put, session).exception() for _ in range(8)]
        assert {type(error) for error in errors} == {AuthError}
        assert "IAM refused the credentials (HTTP status 401): wrong user" in str(errors[0])
        assert len(service.requests) == 1
        assert "wrong-one" not in "".join(map(str, errors))

    def test_waits_for_an_iam_that_is_busy(self, service: FakeService) -> None:
        service.configs["x"] = {}
        service.answer_next(429, {"error_code": "APIGW.0308"}, {"Retry-After": "0"})
        service.answer_next(503, b"")
        service.answer_next(201, {"token": "unreadable"}, {"X-Subject-Token": "t"})
        with open_with_password(service) as session:
            assert put(session) == OK
        assert len(service.asked("POST")) == 4

    @pytest.mark.parametrize(
        "document", [b"<html>", {"error": {"message": 5}}, {"error": "no"}, {"error_msg": ""}]
    )
    def test_that_is_refused_shows_no_more_of_the_answer_than_its_message(
        self, document: object, service: FakeService
    ) -> None:
        service.answer_next(400, document)
        with open_with_password(service) as session, pytest.raises(AuthError) as caught:
            put(session)
        text = "IAM refused the credentials (HTTP status 400): HTTP status 400"
        assert str(caught.value) == text

    def test_that_iam_cannot_check_just_now_may_be_right_later(self, service: FakeService) -> None:
        service.configs["x"] = {}
        service.answer_next(500, {"error": {"message": "out of order"}})
        service.answer_next(307, b"", {"Location": "https://elsewhere.example"})
        with open_with_password(service) as session:
            error = transport_error(lambda: put(session))
            assert str(error) == "IAM did not issue a token (HTTP status 500): out of order"
            assert not error.outcome_unknown
            assert "to elsewhere.example" in str(transport_error(lambda: put(session)))
            assert put(session) == OK

    def test_without_any_answer_of_iam_nothing_was_done(self, service: FakeService) -> None:
        service.script.extend([lambda handler: handler.send_raw(b"")] * 2)
        with open_with_password(service, retries=1) as session:
            error = transport_error(lambda: put(session))
        assert not error.outcome_unknown
        assert not service.asked("PUT")

    def test_refused_after_a_try_of_unknown_outcome_leaves_it_unknown(
        self, service: FakeService
    ) -> None:
        with open_with_password(service) as session:
            service.script.append(Handler.handle_one_token)
            service.script.append(lambda handler: handler.send_raw(b""))
            service.answer_next(401, {"error_code": "ModelArts.0202"})
            service.answer_next(400, {"error_msg": "account locked", "error_code": "IAM.1"})
            error = transport_error(lambda: put(session))
        assert error.outcome_unknown
        assert "account locked" in str(error)


class TestAFailure:
    @pytest.mark.parametrize("key", ["error_msg", "error_message"])
    @pytest.mark.parametrize("status", [200, 400, 404, 500])
    def test_of_the_service_has_its_code_and_message(
        self, key: str, status: int, service: FakeService, session: Session
    ) -> None:
        service.answer_next(
            status, {"is_success": False, "error_code": "ModelArts.0105", key: "not allowed"}
        )
        error = service_error(lambda: put(session))
        assert (error.code, error.reason, error.status) == ("ModelArts.0105", "not allowed", status)
        assert len(service.requests) == 1

    def test_keeps_the_id_of_the_request(self, service: FakeService, session: Session) -> None:
        service.answer_next(401, {"error_code": "APIGW.0301", "request_id": "r1"})
        assert service_error(lambda: put(session)).request_id == "r1"
        service.answer_next(403, {"error_code": "ModelArts.0206"}, {"X-Request-Id": "r2"})
        assert service_error(lambda: put(session)).request_id == "r2"

    def test_without_code_and_message_shows_the_answer(
        self, service: FakeService, session: Session
    ) -> None:
        service.answer_next(400, {"detail": "\x1b[31mred"})
        error = service_error(lambda: put(session))
        assert str(error) == 'HTTP status 400: {"detail": "\\u001b[31mred"}'

    @pytest.mark.parametrize(
        "document", [{"error_code": 5}, {"error_code": "X", "is_success": None}]
    )
    def test_is_recognised_by_its_code_if_nothing_else_shows_it(
        self, document: object, service: FakeService, session: Session
    ) -> None:
        service.answer_next(200, document)
        assert service_error(lambda: session.request("GET", "/x")).status == 200

    def test_of_a_page_that_is_not_json_is_a_refusal_if_the_status_says_so(
        self, service: FakeService, session: Session
    ) -> None:
        service.answer_next(404, b"<html>\n no such page</html>")
        error = service_error(lambda: put(session))
        assert error.reason == (
            "unreadable answer (HTTP status 404): it is not JSON (line 1, column 1): <html> no such"
            " page</html>"
        )


class TestARedirect:
    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_is_not_followed_and_names_the_host_only(
        self, status: int, service: FakeService, session: Session
    ) -> None:
        location = "https://user:hunter2@elsewhere.example/path?token=hunter2"
        service.answer_next(status, b"", {"Location": location})
        error = transport_error(lambda: put(session))
        assert f"HTTP status {status}, to elsewhere.example" in str(error)
        assert "hunter2" not in str(error)
        assert not error.outcome_unknown
        assert len(service.requests) == 1

    @pytest.mark.parametrize(
        ("location", "shown"), [("/there", "the same host"), ("http://[", "an invalid address")]
    )
    def test_may_point_anywhere(
        self, location: str, shown: str, service: FakeService, session: Session
    ) -> None:
        service.answer_next(303, b"", {"Location": location})
        error = transport_error(lambda: put(session))
        assert shown in str(error)
        assert error.outcome_unknown


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"garbage\r\n\r\n",
    "half a body": b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"is_success": true',
    "a body that would do, and more was promised": (
        b'HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{"is_success": true}'
    ),
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{}",
    "no last chunk": (
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n{"is_success": true}\r\n'
    ),
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a chunk of a negative size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n{}",
    "a compressed body": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"
        b'{"is_success": true}'
    ),
}
UNREADABLE: dict[str, bytes] = {
    "no JSON": b"<html>busy</html>",
    "a list": b"[1]",
    "another encoding": '{"is_success": true}'.encode("utf-16"),
    "half of a character": b'{"is_success": true, "a": "\\ud800"}',
    "no number": b'{"is_success": true, "a": NaN}',
    "too deep a nest": b"[" * 200_000,
    "no claim of success": b"{}",
    "another type of claim": b'{"is_success": "true"}',
}


class TestABrokenAnswer:
    @pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
    def test_is_asked_for_again(self, raw: bytes, service: FakeService, session: Session) -> None:
        service.configs["x"] = {}
        service.script.append(lambda handler: handler.send_raw(raw))
        assert put(session) == OK
        assert len(service.requests) == 2

    @pytest.mark.parametrize("raw", BROKEN.values(), ids=BROKEN)
    def test_leaves_the_outcome_of_a_put_unknown(self, raw: bytes, service: FakeService) -> None:
        service.script.extend([lambda handler: handler.send_raw(raw)] * 4)
        with open_session(service, retries=1) as session:
            assert transport_error(lambda: put(session)).outcome_unknown
            get = transport_error(lambda: session.request("GET", "/x"))
        assert not get.outcome_unknown
        assert len(service.requests) == 4

    @pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE)
    def test_that_cannot_be_read_is_asked_for_again(
        self, body: bytes, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        service.answer_next(200, body)
        assert put(session) == OK
        service.script.extend([lambda handler: handler.answer(200, body)] * 6)
        error = transport_error(lambda: put(session))
        assert error.outcome_unknown
        assert "unreadable answer (HTTP status 200): it " in str(error)
        assert len(str(error)) < 300

    def test_without_a_length_is_read_to_its_end(
        self, service: FakeService, session: Session
    ) -> None:
        service.script.append(
            lambda handler: handler.send_raw(b'HTTP/1.0 200 OK\r\n\r\n{"is_success": true}')
        )
        assert put(session) == OK

    def test_in_chunks_is_read_completely(self, service: FakeService, session: Session) -> None:
        raw = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b'a\r\n{"is_succe\r\na\r\nss": true}\r\n0\r\n\r\n'
        )
        service.script.append(lambda handler: handler.send_raw(raw))
        assert put(session) == OK

    def test_that_trickles_in_is_cut_at_the_timeout(self, service: FakeService) -> None:
        over = threading.Event()

        def trickle(handler: Handler, head: bytes) -> None:
            handler.wfile.write(head)
            with_body = b"X-Slow: " if b"\r\n\r\n" not in head else b"{"
            for byte in with_body + b" " * 400:
                if over.wait(0.05):
                    return
                handler.wfile.write(bytes([byte]))

        for head in (b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", b"HTTP/1.1 200 OK\r\n"):
            service.script.append(lambda handler, head=head: trickle(handler, head))  # type: ignore[misc]
            with open_session(service, timeout=2, retries=0) as session:
                error = transport_error(lambda: put(session))
            assert error.outcome_unknown
            assert str(error) == f"{service.url}: no complete answer within 2 s"
        over.set()

    def test_that_trickles_in_is_cut_for_each_of_many_and_for_no_other(
        self, service: FakeService
    ) -> None:
        over = threading.Event()

        def trickle(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
            while not over.wait(0.05):
                handler.wfile.write(b" ")

        service.configs["x"] = {}
        service.script.extend([trickle] * 8)
        with (
            open_session(service, timeout=8, retries=0, connections=16) as session,
            ThreadPoolExecutor(16) as pool,
        ):
            slow = [pool.submit(transport_error, lambda: put(session)) for _ in range(8)]
            until(lambda: len(service.requests) == 8, "the slow calls")
            quick = [pool.submit(put, session) for _ in range(100)]
            assert [future.result() for future in quick] == [OK] * 100
            told = {str(future.result()) for future in slow}
        over.set()
        assert told == {f"{service.url}: no complete answer within 8 s"}

    def test_that_never_comes_is_given_up_at_the_timeout(self, service: FakeService) -> None:
        over = threading.Event()

        def hang(handler: Handler) -> None:
            over.wait(60)

        service.script.append(hang)
        with open_session(service, timeout=0.5, retries=0) as session:
            error = transport_error(lambda: put(session))
        over.set()
        assert error.outcome_unknown
        assert str(error) == f"{service.url}: no complete answer within 0.5 s"

    def test_that_is_too_large_is_not_kept(self, service: FakeService) -> None:
        chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"

        def flood(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(80):
                handler.wfile.write(chunk)

        service.script.append(flood)
        with open_session(service, retries=0, timeout=30) as session:
            error = transport_error(lambda: put(session))
        assert str(error) == f"{service.url}: the answer is larger than 16 MiB"


class TestRetrying:
    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_goes_on_until_the_service_answers(
        self, method: str, status: int, service: FakeService, session: Session
    ) -> None:
        service.answer_next(status, b"<html>")
        service.answer_next(status, {"error_code": "APIGW.0308"})
        service.answer_next(200, OK)
        assert session.request(method, "/x") == OK
        assert len(service.requests) == 3

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 500, 501])
    def test_is_not_for_other_statuses(
        self, status: int, service: FakeService, session: Session
    ) -> None:
        service.answer_next(status, {"error_code": "ModelArts.0010"})
        assert service_error(lambda: put(session)).status == status
        assert len(service.requests) == 1

    def test_signs_each_try_anew(self, service: FakeService, session: Session) -> None:
        service.configs["x"] = {}
        service.answer_next(429, b"", {"Retry-After": "1"})
        assert put(session) == OK
        first, second = (received.headers["x-sdk-date"] for received in service.requests)
        assert first < second

    def test_ends_after_the_given_number_of_tries(self, service: FakeService) -> None:
        service.script.extend([lambda handler: handler.answer(503, {"error_msg": "busy"})] * 6)
        with open_session(service, retries=2) as session:
            error = transport_error(lambda: put(session))
            assert error.outcome_unknown
            assert str(error) == "busy"
            assert service_error(lambda: session.request("GET", "/x")).status == 503
        assert len(service.requests) == 6

    def test_of_a_throttled_put_ends_with_a_refusal(self, service: FakeService) -> None:
        service.script.extend(
            [lambda handler: handler.answer(429, {"error_code": "ModelArts.2799"})] * 2
        )
        with open_session(service, retries=1) as session:
            assert service_error(lambda: put(session)).code == "ModelArts.2799"

    def test_leaves_the_outcome_unknown_unless_a_later_try_is_definite(
        self, service: FakeService
    ) -> None:
        def broken(handler: Handler) -> None:
            handler.send_raw(b"")

        with open_session(service, retries=1) as session:
            service.script.append(broken)
            service.answer_next(429, {"error_code": "ModelArts.2799"})
            assert transport_error(lambda: put(session)).outcome_unknown
            service.script.append(broken)
            service.answer_next(500, {"error_code": "ModelArts.0010"})
            assert transport_error(lambda: put(session)).outcome_unknown
            service.script.append(broken)
            service.answer_next(400, {"error_code": "ModelArts.2781"})
            assert service_error(lambda: put(session)).code == "ModelArts.2781"

    def test_of_a_post_needs_a_refusal_or_a_connection_that_never_was(
        self, service: FakeService
    ) -> None:
        with open_session(service, retries=3) as session:

            def post() -> object:
                return session.request("POST", "/x", body={})

            service.answer_next(429, b"")
            service.answer_next(200, OK)
            assert post() == OK
            service.answer_next(503, {"error_msg": "busy"})
            assert transport_error(post).outcome_unknown
            service.script.append(lambda handler: handler.send_raw(b""))
            assert transport_error(post).outcome_unknown
        assert len(service.requests) == 4

    def test_of_a_delete_ends_with_what_the_service_says(
        self, service: FakeService, session: Session
    ) -> None:
        # Only its list tells "it is gone" from "the workspace does not exist".
        service.script.append(lambda handler: handler.send_raw(b""))
        error = service_error(lambda: session.request("DELETE", "/training-job-configs/x"))
        assert error.code == "ModelArts.0102"

    def test_without_any_connection_knows_that_nothing_was_done(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{unused.getsockname()[1]}"
            with Session("a", "b", PROJECT, endpoint=address, retries=2, backoff=0.01) as session:
                for method in ("PUT", "POST"):
                    error = transport_error(lambda: session.request(method, "/x"))  # noqa: B023
                    assert not error.outcome_unknown
                    assert str(error) == f"cannot connect to {address}: Connection refused"

    def test_of_a_name_that_no_server_has_says_so(self) -> None:
        with Session("a", "b", PROJECT, endpoint="https://modelarts.invalid", retries=0) as session:
            error = transport_error(lambda: put(session))
        assert not error.outcome_unknown
        assert str(error).startswith("cannot connect to https://modelarts.invalid:443: ")


def holds_back(session: Session) -> bool:
    """Whether the service's pause is known to all workers."""
    return session._backoff._resume_at > 0


class TestThrottling:
    def test_holds_back_every_worker_until_the_moment_that_the_service_named(
        self, service: FakeService
    ) -> None:
        service.configs["x"] = {}
        service.answer_next(429, b"", {"Retry-After": "1"})
        with open_session(service) as session, ThreadPoolExecutor(4) as pool:
            first = pool.submit(put, session)
            until(lambda: holds_back(session), "the pause")
            others = [pool.submit(put, session) for _ in range(3)]
            assert [item.result() for item in (first, *others)] == [OK] * 4
        # Whole seconds: each call after the first was signed once the pause was over.
        throttled, *later = [item.headers["x-sdk-date"] for item in service.requests]
        assert len(later) == 4
        assert throttled < min(later)

    def test_pauses_grow_to_a_limit(self) -> None:
        for tries, longest in ((1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (99, 30.0)):
            for _ in range(100):
                seconds, held_back = pause_seconds(0.5, tries, None)
                assert longest / 2 <= seconds == held_back <= longest
                seconds, held_back = pause_seconds(0.5, tries, 7.0)
                assert held_back == 7.0 <= seconds <= 7.0 + longest

    def test_is_cut_short_by_stop(self, service: FakeService) -> None:
        service.answer_next(503, b"", {"Retry-After": "60"})
        with open_session(service) as session, ThreadPoolExecutor(2) as pool:
            first = pool.submit(put, session)
            until(lambda: holds_back(session), "the pause")
            second = pool.submit(put, session)
            assert not first.done() and not second.done()
            session.stop()
            error = first.exception(timeout=30)
            assert isinstance(error, TransportError) and error.outcome_unknown
            error = second.exception(timeout=30)
            assert isinstance(error, TransportError) and not error.outcome_unknown
            assert str(error) == "stopped while it waited for its turn"
        assert len(service.requests) == 1

    @pytest.mark.parametrize("may_write", [[True, True, True], [True, False], [False]])
    def test_each_try_of_a_write_must_be_allowed(
        self, service: FakeService, may_write: list[bool]
    ) -> None:
        service.configs["x"] = {}
        for _ in range(2):
            service.answer_next(503, b"")
        with open_session(service) as session:
            answers = iter(may_write)
            session.ask_before_writes(lambda: next(answers))
            if all(may_write):
                assert put(session) == OK
            else:
                with pytest.raises(TransportError):
                    put(session)
        assert len(service.requests) == sum(may_write)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [("0", 0.0), ("7", 7.0), ("3600", 60.0), ("", None), ("-1", None), ("soon", None)],
    )
    def test_reads_a_pause_in_seconds(self, value: str, seconds: float | None) -> None:
        assert read_retry_after(value, datetime.now(timezone.utc)) == seconds

    def test_reads_a_pause_as_a_date(self) -> None:
        now = datetime(2026, 1, 2, tzinfo=timezone.utc)
        for ahead, seconds in ((20, 20.0), (-20, 0.0), (3600, 60.0)):
            moment = now + timedelta(seconds=ahead)
            assert read_retry_after(format_datetime(moment, usegmt=True), now) == seconds
        assert read_retry_after("Fri, 02 Jan 2026 00:00:20 -0000", now) == 20.0
        assert read_retry_after("Fri, 99 Jan 2026 00:00:20 GMT", now) is None


def test_thirty_updates_from_ten_workers_share_one_session(service: FakeService) -> None:
    names = [f"config-{number}" for number in range(30)]
    service.configs = {name: {} for name in names}
    with open_session(service, connections=10) as session, ThreadPoolExecutor(10) as pool:
        results = list(pool.map(lambda name: put(session, name), names))
    assert results == [OK] * 30
    assert all(config == BODY for config in service.configs.values())


def test_a_list_of_the_catalog_is_read_once_for_all_workers(
    service: FakeService, session: Session
) -> None:
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: session.catalog.entries("flavors"), range(8)))
    assert lists == [lists[0]] * 8
    assert len(service.requests) == 1


class TestSecrets:
    def test_are_in_no_error_repr_or_log(
        self, service: FakeService, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown: list[str] = []

        def fail(session: Session) -> None:
            shown.extend([repr(session), str(session), repr(vars(session))])
            for raw in (b"", b"garbage\r\n\r\n", b"HTTP/1.1 400 X\r\nContent-Length: 2\r\n\r\n{}"):
                service.script.append(lambda handler, raw=raw: handler.send_raw(raw))  # type: ignore[misc]
                with pytest.raises(ProviderError) as caught:
                    put(session)
                error: BaseException | None = caught.value
                while error:
                    shown.extend([repr(error), str(error), repr(vars(error))])
                    error = error.__cause__ or error.__context__

        with open_session(service, security_token=SECURITY_TOKEN, retries=0) as session:
            fail(session)
            signatures = [item.headers["authorization"][-64:] for item in service.requests]
        with open_with_password(service, retries=0) as session:
            service.configs["x"] = {}
            put(session)
            fail(session)
        text = "\n".join([*shown, caplog.text])
        assert "PUT /v1/" in text
        secrets = [SECRET_KEY, SECURITY_TOKEN, PASSWORD, "test-token-1", ACCESS_KEY, *signatures]
        assert len(signatures) == 3
        assert [secret for secret in secrets if secret in text] == []

    def test_do_not_go_to_a_proxy_on_the_way_to_this_machine(
        self, service: FakeService, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.configs["x"] = {}
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        assert put(session) == OK


BOM = codecs.BOM_UTF8
GOOD = b'{"is_success": true}'
PACKED_OTHERWISE = "the answer is not compressed as majobctl can read it"
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": partial(gzip.compress, mtime=0),
    "x-gzip": partial(gzip.compress, mtime=0),
    "deflate": zlib.compress,
}


class TestAnOddAnswer:
    @pytest.mark.parametrize(
        ("body", "encoding"),
        [
            (BOM + GOOD, ""),
            *((compress(GOOD), name) for name, compress in COMPRESSED.items()),
            (gzip.compress(BOM + GOOD, mtime=0), "GZIP"),
        ],
    )
    def test_is_read_all_the_same(
        self, body: bytes, encoding: str, service: FakeService, session: Session
    ) -> None:
        service.answer_next(200, body, {"Content-Encoding": encoding} if encoding else {})
        assert put(session) == OK
        assert len(service.requests) == 1

    @pytest.mark.parametrize(
        ("body", "encoding", "problem"),
        [
            (gzip.compress(bytes(2**24 + 1)), "gzip", "the answer is larger than 16 MiB"),
            (gzip.compress(GOOD, mtime=0)[:-9], "gzip", PACKED_OTHERWISE),
            (GOOD, "gzip", PACKED_OTHERWISE),
            (GOOD, "br", PACKED_OTHERWISE),
        ],
        ids=["a bomb", "cut short", "not gzip", "unknown"],
    )
    def test_that_cannot_be_decoded_leaves_the_outcome_unknown(
        self, body: bytes, encoding: str, problem: str, service: FakeService
    ) -> None:
        service.answer_next(200, body, {"Content-Encoding": encoding, "Connection": "close"})
        with open_session(service, retries=0) as session:
            error = transport_error(lambda: put(session))
        assert error.outcome_unknown
        assert problem in str(error)

    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize(
        ("document", "code", "reason"),
        [
            ({"error": {"code": "X.1", "message": "no"}}, "X.1", "no"),
            ({"error": {"code": 400, "message": "no"}}, "", "no"),
            ({"error": {"code": "400", "message": "no"}}, "", "no"),
            ({"error_code": "X.1", "error_msg": None}, "X.1", ""),
            ({"error_code": "X.1", "error_msg": None, "error_message": "no"}, "X.1", "no"),
            ({"error_code": "X.1", "error": {"code": "Y", "message": "no"}}, "X.1", "no"),
        ],
    )
    def test_that_refuses_says_why(
        self,
        document: object,
        code: str,
        reason: str,
        status: int,
        service: FakeService,
        session: Session,
    ) -> None:
        service.answer_next(status, document)
        error = service_error(lambda: session.request("GET", "/x"))
        assert (error.code, error.reason) == (code, reason)

    @pytest.mark.parametrize("code", ["ModelArts.2799", "APIGW.0308", "APIG.0308"])
    def test_that_throttles_may_have_another_status(
        self, code: str, service: FakeService, session: Session
    ) -> None:
        service.configs["x"] = {}
        service.answer_next(400, {"error_code": code})
        assert put(session) == OK


class TestTheIdOfARequest:
    @pytest.mark.parametrize(
        ("body", "header", "shown"),
        [
            ({"request_id": "b-1"}, "", "b-1"),
            ({}, "h-1", "h-1"),
            ({"request_id": "b-1"}, "h-1", "b-1"),
            ({"request_id": None}, "h-1", "h-1"),
            ({"request_id": "\x1b[2J"}, "", ""),
            ({}, "x" * 101, ""),
            ({}, "a b", ""),
            ({}, "", ""),
        ],
    )
    @pytest.mark.parametrize("status", [400, 500])
    def test_is_shown_with_a_failure_and_in_the_log(
        self,
        status: int,
        body: dict[str, Any],
        header: str,
        shown: str,
        service: FakeService,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        document = {"error_code": "X.1", "error_msg": "no", **body}
        service.answer_next(status, document, {"X-Request-Id": header} if header else {})
        with open_session(service) as session:
            error = service_error(lambda: put(session))
        note = f" (request id {shown})" if shown else ""
        assert (str(error), error.request_id) == (f"X.1 no{note}", shown)
        (line,) = [text for text in caplog.messages if text.startswith("PUT ")]
        assert f"HTTP {status}{f', request id {shown}' if shown else ''} (" in line

    def test_is_shown_with_a_page_that_is_not_the_services_own(self, service: FakeService) -> None:
        service.answer_next(502, b"<html>", {"X-Request-Id": "h-1"})
        with open_session(service, retries=0) as session:
            error = transport_error(lambda: put(session))
        assert str(error).endswith(": <html> (request id h-1)")

    @pytest.mark.parametrize("status", [200, 400])
    @pytest.mark.parametrize(
        "made",
        [*("test-token-1", "a-test-token-1-b", "b-test-token", PASSWORD), f"a-{PASSWORD[:-2]}"],
    )
    def test_is_not_shown_if_it_quotes_what_signs_in(
        self, made: str, status: int, service: FakeService, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        with open_with_password(service) as session:
            service.script.append(Handler.handle_one_token)
            document = {"is_success": True} if status == 200 else {"error_code": "X.1"}
            service.answer_next(status, document, {"X-Request-Id": made})
            told = str(put(session) if status == 200 else service_error(lambda: put(session)))
        assert "(sensitive)" in caplog.text
        assert not any(it in f"{told} {caplog.text}" for it in ("test-token", PASSWORD[:-2]))


def test_an_excerpt_is_short_and_safe_to_print() -> None:
    assert excerpt(b"a\n\x1b[2Jb" + b"x" * 500) == "a \\x1b[2Jb" + "x" * 190
    assert excerpt(b"\xff") == "\ufffd"


def test_a_document_with_a_complete_surrogate_pair_is_fine() -> None:
    assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "\N{GRINNING FACE}"}
    assert io.StringIO(read_object(b'{"a": "\\u00e9"}')["a"]).read() == "é"
