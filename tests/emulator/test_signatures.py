"""AK/SK signatures: what verifies and what does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from requests.auth import AuthBase

from majobctl.emulator.auth import Pieces, compute_signature, raw_path_and_query

from .client import CONFIGS, Client, Connect, body, error_of
from .signer import Signer

JSON = {"Content-Type": "application/json", "Content-Length": "0"}


class Header(AuthBase):
    """Sends a fixed Authorization header."""

    def __init__(self, value: str) -> None:
        self.value = value

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self.value
        return request


def test_the_published_vector_verifies() -> None:
    project = "0123456789abcdef0123456789abcdef"
    text = '{"config_desc":"Grüße 配置 ☃","worker_server_num":1,"parameter":[{"label":"lr","value":"0.001"}]}'  # noqa: E501
    headers = {
        "content-type": "application/json",
        "host": "modelarts.eu-de.otc.t-systems.com",
        "x-project-id": project,
        "x-sdk-date": "20260102T030405Z",
    }
    path = f"/v1/{project}/{CONFIGS}/my_job_config"
    pieces = Pieces(method="PUT", path=path, query="", headers=headers, body=text.encode())
    signature = compute_signature(
        "test-sk-not-a-real-secret-0000000000000001", pieces, sorted(headers)
    )
    assert signature == "05c331cb8ad833ee8cddff81ead66055948b0455356f832f5b6070c7167c5bac"


SIGNERS = {
    "the date alone": Signer(leave_out=["host"]),
    "the date and the host": Signer(),
    "the content's type": Signer(names=["content-type"]),
    "what a Go client sets": Signer(names=["content-type", "x-project-id"], leave_out=["host"]),
    "the content's length": Signer(names=["content-type", "content-length", "x-project-id"]),
    "whatever there is": Signer(names=["accept", "accept-encoding", "user-agent", "x-odd-one"]),
    "all but the body": Signer(names=["x-sdk-content-sha256"], unsigned=True),
    "the older form": Signer(scope="eu-de/modelarts"),
    "the older form without a host": Signer(
        scope="eu-de/modelarts", names=["content-type", "x-project-id"], leave_out=["host"]
    ),
    "the older form without a region": Signer(scope="/modelarts", leave_out=["host"]),
    "the older form without a body": Signer(
        scope="/", names=["x-sdk-content-sha256"], unsigned=True, leave_out=["host"]
    ),
}


@pytest.mark.parametrize("signed", SIGNERS)
def test_whatever_is_signed_verifies(client: Client, signed: str) -> None:
    """The signatures are made from the guide's text, by a signer that has nothing of the emulator:
    the two forms, as they are seen of clients written in Go and Python."""
    signer = SIGNERS[signed]
    client.create("a")
    headers = {"X-Project-Id": "emulator", "X-Odd-One": "two words  "}
    written = client.put("a", body(config_desc="Grüße 配置 ☃"), headers=headers, auth=signer)
    assert written.ok, written.text
    query = {"search_content": "配置 ~", "order": "asc"}
    read = client.call("GET", CONFIGS, params=query, headers={**headers, **JSON}, auth=signer)
    assert read.ok, read.text
    signer.secret_key = "wrong"
    for answer in (
        client.put("a", body(), headers=headers, auth=signer),
        client.call("GET", CONFIGS, headers={**headers, **JSON}, auth=signer),
    ):
        assert error_of(answer) == (401, "APIGW.0301")
    signer.secret_key = "emulator"


def test_only_an_unsigned_body_may_change(client: Client) -> None:
    client.create("a")
    url = f"{client.url}/v1/emulator/{CONFIGS}/a"
    for signed, status in (("all but the body", 200), ("the date alone", 401)):
        client.session.auth = SIGNERS[signed]
        request = client.session.prepare_request(requests.Request("PUT", url, json=body()))
        request.body = b'{"worker_server_num": 2, "spec_id": 4}'
        assert client.session.send(request, timeout=60).status_code == status


@pytest.mark.parametrize(
    "query",
    [
        {"search_content": "配置 ☃ ü"},
        {"search_content": "a+b&c=d/e~f*(')"},
        {"page": "1", "order": "asc", "per_page": "3"},
        {"search_content": ""},
    ],
)
def test_unicode_and_reserved_characters_in_the_query_verify(
    client: Client, query: dict[str, str]
) -> None:
    assert client.get(CONFIGS, **query)["config_total_count"] == 0


def test_a_name_outside_ascii_verifies_and_is_then_refused_as_a_name(client: Client) -> None:
    assert error_of(client.put("größe☃", body())) == (400, "ModelArts.0104")


def test_an_access_key_that_is_not_known_is_refused(client: Client) -> None:
    answer = client.call("GET", CONFIGS, auth=Signer(access_key="someone"))
    assert error_of(answer) == (403, "ModelArts.0206")


@pytest.mark.parametrize(
    "signer",
    [
        Signer(secret_key="wrong"),
        Signer(minutes_off=16),
        Signer(minutes_off=-16),
        Signer(leave_out=["x-sdk-date"]),
        Signer(names=["x-sdk-content-sha256"], unsigned=True, secret_key="wrong"),
        Signer(scope="eu-de/modelarts", secret_key="wrong"),
    ],
)
def test_a_signature_that_cannot_be_verified_is_refused(client: Client, signer: Signer) -> None:
    assert error_of(client.call("GET", CONFIGS, auth=signer)) == (401, "APIGW.0301")


@pytest.mark.parametrize("minutes", [14, -14])
def test_the_clock_may_be_some_minutes_off(client: Client, minutes: int) -> None:
    assert client.call("GET", CONFIGS, auth=Signer(minutes_off=minutes)).ok


@pytest.mark.parametrize(
    "header",
    [
        "Basic ZW11bGF0b3I6ZW11bGF0b3I=",
        "SDK-HMAC-SHA256",
        "SDK-HMAC-SHA256 Access=emulator",
        "SDK-HMAC-SHA256 Access=emulator, SignedHeaders=host;x-sdk-date;x-not-sent, Signature=0",
        "SDK-HMAC-SHA256 Credential=emulator/20260101/x, SignedHeaders=host, Signature=0",
    ],
)
def test_an_authorization_header_of_another_form_is_refused(client: Client, header: str) -> None:
    answer = client.call("GET", CONFIGS, auth=Header(header))
    assert error_of(answer) == (401, "APIGW.0301")


@pytest.mark.parametrize("date", ["yesterday", "2026-01-02T03:04:05Z", ""])
def test_a_date_of_another_form_is_refused(client: Client, date: str) -> None:
    header = "SDK-HMAC-SHA256 Access=emulator, SignedHeaders=host;x-sdk-date, Signature=0"
    answer = client.call("GET", CONFIGS, auth=Header(header), headers={"X-Sdk-Date": date})
    assert error_of(answer) == (401, "APIGW.0301")


def test_a_credential_scope_of_another_day_is_refused(client: Client) -> None:
    class Yesterday(Signer):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            super().__call__(request)
            value = str(request.headers["Authorization"])
            start = value.index("/") + 1
            request.headers["Authorization"] = value[:start] + "19990101" + value[start + 8 :]
            return request

    answer = client.call("GET", CONFIGS, auth=Yesterday(scope="eu-de/modelarts"))
    assert error_of(answer) == (401, "APIGW.0301")


def test_a_changed_body_path_or_query_breaks_the_signature(client: Client) -> None:
    client.create("a")
    url = f"{client.url}/v1/emulator/{CONFIGS}/a"
    for change in ("body", "path", "query"):
        request = client.session.prepare_request(requests.Request("PUT", url, json=body()))
        if change == "body":
            request.body = b'{"worker_server_num": 2, "spec_id": 4}'
        else:
            request.url = url + ("b" if change == "path" else "?x=1")
        answer = client.session.send(request, timeout=60)
        assert error_of(answer) == (401, "APIGW.0301"), change


def test_temporary_keys_need_the_emulators_security_token(client: Client) -> None:
    signer = Signer(names=["x-security-token"])
    good = client.call("GET", CONFIGS, auth=signer, headers={"X-Security-Token": "emulator"})
    assert good.ok
    bad = client.call("GET", CONFIGS, auth=signer, headers={"X-Security-Token": "stolen"})
    assert error_of(bad) == (403, "ModelArts.0206")


def test_another_project_is_refused(connect: Connect) -> None:
    client = connect(project_id="mine")
    assert client.get(CONFIGS)["configs"] == []
    headers = {"X-Project-Id": "theirs"}
    answer = client.call("GET", CONFIGS, headers=headers)
    assert error_of(answer) == (403, "ModelArts.0210")
    client.project = "theirs"
    assert error_of(client.call("GET", CONFIGS)) == (403, "ModelArts.0210")


def test_a_request_without_any_credentials_is_refused_for_the_missing_token(
    client: Client,
) -> None:
    client.session.auth = None
    assert error_of(client.call("GET", CONFIGS)) == (401, "ModelArts.0201")


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    yield {"PATH_INFO": "/v1/a b/\xc3\xbc", "QUERY_STRING": "x=%20"}


def test_the_raw_path_is_made_again_if_the_server_gives_none(environ: dict[str, str]) -> None:
    assert raw_path_and_query(environ) == ("/v1/a%20b/%C3%BC", "x=%20")


def test_the_raw_path_of_an_absolute_request_line_is_found(environ: dict[str, str]) -> None:
    environ["RAW_URI"] = "http://host:1/v1/a%20b?x=1"
    assert raw_path_and_query(environ) == ("/v1/a%20b", "x=1")
