from __future__ import annotations

from datetime import datetime, timedelta, timezone

from majobctl.service.auth.credentials import AkSk
from majobctl.service.auth.methods import sign
from tests.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, Received, is_signed

HOST = "modelarts.eu-de.otc.t-systems.com"
KEYS = AkSk(ACCESS_KEY, SECRET_KEY)
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
BODY = (
    '{"config_desc":"Grüße 配置 ☃","worker_server_num":1,'
    '"parameter":[{"label":"lr","value":"0.001"}]}'
).encode()


def signed(
    url: str, body: bytes = b"", when: datetime = WHEN, security_token: str = ""
) -> dict[str, str]:
    headers = {"X-Security-Token": security_token} if security_token else {}
    return sign("PUT", url, headers, body, KEYS, when)


def test_the_documented_vector_has_its_signature() -> None:
    headers = {"Content-Type": "application/json", "X-Project-Id": PROJECT}
    url = f"https://{HOST}/v1/{PROJECT}/training-job-configs/my_job_config"
    assert sign("PUT", url, headers, BODY, KEYS, WHEN) == {
        "X-Sdk-Date": "20260102T030405Z",
        "Authorization": (
            f"SDK-HMAC-SHA256 Access={ACCESS_KEY}, "
            "SignedHeaders=content-type;host;x-project-id;x-sdk-date, "
            "Signature=05c331cb8ad833ee8cddff81ead66055948b0455356f832f5b6070c7167c5bac"
        ),
    }


def test_the_date_is_in_utc() -> None:
    east = WHEN.astimezone(timezone(timedelta(hours=9)))
    assert signed(f"https://{HOST}/a", when=east) == signed(f"https://{HOST}/a")


def test_a_port_that_is_not_the_default_is_part_of_the_host() -> None:
    plain = signed(f"https://{HOST}/a")
    assert signed(f"https://{HOST}:8443/a") != plain
    now = datetime.now(timezone.utc)
    for host in ("127.0.0.1:8080", "[::1]:8080"):
        added = signed(f"http://{host}/a", when=now)
        wire = {"host": host, **{name.lower(): value for name, value in added.items()}}
        assert is_signed(Received("PUT", "/a", {}, wire, b""), "")


def test_the_order_of_a_query_and_how_it_is_quoted_do_not_count() -> None:
    assert signed(f"https://{HOST}/a?b=x%20y&a=%7E") == signed(f"https://{HOST}/a?a=~&b=x+y")
    assert signed(f"https://{HOST}/a?a=") != signed(f"https://{HOST}/a")


def test_a_path_is_signed_with_a_slash_at_its_end() -> None:
    assert signed(f"https://{HOST}/a") == signed(f"https://{HOST}/a/")
    assert signed(f"https://{HOST}/a%20b%7E") == signed(f"https://{HOST}/a b~")


def test_every_part_of_a_request_changes_its_signature() -> None:
    base = f"https://{HOST}/a"
    variants = [
        signed(base),
        signed(base, b"body"),
        signed(base + "b"),
        signed(base, when=WHEN + timedelta(seconds=1)),
        signed(base, security_token="t"),
        sign("GET", base, {}, b"", KEYS, WHEN),
        sign("PUT", base, {}, b"", AkSk(ACCESS_KEY, SECRET_KEY + "x"), WHEN),
    ]
    assert len({added["Authorization"] for added in variants}) == len(variants)
