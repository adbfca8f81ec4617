"""A log's records in S3: against a server that is not ours, and against one that misbehaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.errors import ConfigError, StateError
from majobctl.state.backends.aws import Keys, find_keys, sign
from majobctl.state.backends.s3 import S3Store
from tests import fake_s3
from tests.fake_s3 import FakeS3, Handler, Reply, refusal
from tests.fake_service import QuietServer, serving
from tests.network import listening, make_certificate, says, trickles, tunnels_to, unused_port
from tests.state.backends.s3 import NAME, PAIR, opened


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def fake() -> Iterator[FakeS3]:
    with fake_s3.running() as store:
        yield store


@pytest.fixture(params=["fake", "versitygw"])
def url(request: pytest.FixtureRequest) -> str:
    found = request.getfixturevalue(request.param)
    return found.url if isinstance(found, FakeS3) else str(found)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A log of its own."""
    return f"t/{abs(hash(request.node.nodeid))}"


def test_a_record_never_changes(url: str, name: str) -> None:
    store = opened(url, name)
    assert (store.numbers(), store.read(1)) == ([], None)
    content = bytes(range(256)) * 40_000
    assert store.add(1, content)
    assert not store.add(1, b"other")
    assert store.read(1) == content
    assert store.add(2, b"\xef\xbb\xbf[]")
    assert store.read(2) == b"\xef\xbb\xbf[]"
    (first, age), (second, _) = opened(url, name).numbers()
    assert (first, second) == (1, 2)
    assert age is not None and 0 <= age < 60
    store.prune([1, 1, 7])
    assert [number for number, _ in store.numbers()] == [2]
    assert store.add(10**11, b"last")
    assert store.numbers()[-1][0] == 10**11


def test_a_log_does_not_see_its_neighbours(url: str, name: str) -> None:
    for other in (f"{name}/prod", f"{name}-2", f"{name}/3"):
        assert opened(url, other).add(1, b"x")
    store = opened(url, name)
    assert store.numbers() == []
    assert store.add(3, b"y")
    assert [number for number, _ in store.numbers()] == [3]


def test_of_many_writers_one_wins_each_number(url: str, name: str) -> None:
    wins: dict[int, list[int]] = {number: [] for number in range(1, 16)}

    def write(writer: int) -> None:
        store = opened(url, name)
        for number in wins:
            if store.add(number, b"%d" % writer * 1000):
                wins[number].append(writer)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(winners) for winners in wins.values()] == [1] * 15
    kept = {number: opened(url, name).read(number) for number in wins}
    assert kept == {number: b"%d" % winners[0] * 1000 for number, winners in wins.items()}


@pytest.mark.parametrize("count", [0, 2, 3, 7])
def test_a_list_has_pages(fake: FakeS3, count: int) -> None:
    store, fake.page = opened(fake.url), 3
    for number in range(count, 0, -1):
        store.add(number, b"x")
    assert [number for number, _ in store.numbers()] == list(range(1, count + 1))


@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", None),
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
        ("AWS_SESSION_TOKEN", "InvalidToken"),
    ],
)
def test_what_is_not_ours_is_refused(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch, key: str, problem: str | None
) -> None:
    fake.session_token = fake_s3.SESSION_TOKEN
    monkeypatch.setenv("AWS_SESSION_TOKEN", fake_s3.SESSION_TOKEN)
    if key:
        monkeypatch.setenv(key, "wrong")
    store = opened(fake.url)
    if problem is None:
        assert store.add(1, b"x")
        return
    for ask in CALLS.values():
        with pytest.raises(StateError, match=f"{problem}, request id TESTREQUEST1\n(check|get)"):
            ask(store)


CALLS: dict[str, Callable[[S3Store], Any]] = {
    "add": lambda store: store.add(1, b"x"),
    "read": lambda store: store.read(1),
    "numbers": lambda store: store.numbers(),
    "prune": lambda store: store.prune([1]),
}
ALL, WRITE = tuple(CALLS), ("add",)
LONG = b"<ListBucketResult>" + b"<a/>" * 2**20 + b"</ListBucketResult>"
BOMB = b'<!DOCTYPE a [<!ENTITY b "bb">]><ListBucketResult>&b;</ListBucketResult>'
ENDLESS = b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>"


@pytest.mark.parametrize(
    ("calls", "reply", "error", "text"),
    [
        (ALL, refusal(403, "AccessDenied"), StateError, "the rights that docs/state-s3.md lists"),
        (ALL, refusal(403, "RequestTimeTooSkewed"), StateError, "set this machine's clock"),
        (ALL, refusal(400, "ExpiredToken"), StateError, "get new temporary credentials"),
        (ALL, refusal(404, "NoSuchBucket"), StateError, "create it, or correct state.bucket"),
        (ALL, refusal(403, "KMS.DisabledException"), StateError, "KMS.DisabledException"),
        (ALL, (403, b"<html>a proxy</html>", {}), StateError, "not an answer of S3"),
        (ALL, (302, b"", {"Location": "https://evil.example.com/"}), StateError, "302"),
        (
            ALL,
            (301, b"", {"x-amz-bucket-region": "eu-central-1"}),
            StateError,
            'not in region "eu-de"\nset state.region to "eu-central-1"',
        ),
        (
            ALL,
            refusal(400, "AuthorizationHeaderMalformed", "<Region>eu-nl</Region>"),
            StateError,
            'set state.region to "eu-nl"',
        ),
        (ALL, refusal(301, "PermanentRedirect"), StateError, "correct state.region"),
        (WRITE, refusal(501, "NotImplemented"), StateError, "refuses If-None-Match"),
        (WRITE, refusal(400, "InvalidArgument"), StateError, "postgres, http or git"),
        (ALL, refusal(409, "ConditionalRequestConflict"), ConnectionError, "409"),
        (ALL, refusal(409, "OperationAborted"), ConnectionError, "409"),
        (ALL, refusal(400, "RequestTimeout"), ConnectionError, "RequestTimeout"),
        (ALL, refusal(409, "ExistingObjectIsDirectory"), StateError, "nothing was done"),
        (ALL, (429, b"", {}), ConnectionError, "429"),
        (ALL, refusal(500, "InternalError"), ConnectionError, "InternalError"),
        (ALL, refusal(503, "SlowDown"), ConnectionError, "SlowDown"),
        (ALL, (504, b"<html>a proxy</html>", {}), ConnectionError, "504"),
        (("read",), (404, b"<html>a page</html>", {}), StateError, "not an answer of S3"),
        (("numbers",), (200, b"\x00garbage", {}), StateError, "cannot be listed"),
        (("numbers",), (200, LONG, {}), StateError, "cannot be listed"),
        (("numbers",), (200, BOMB, {}), StateError, "cannot be listed"),
        (("numbers",), (200, BOMB.decode().encode("utf-16"), {}), StateError, "cannot be listed"),
        (("numbers",), (200, ENDLESS, {}), StateError, "cannot be listed"),
        (("numbers",), (200, b"<a>" * 2**20, {}), StateError, "cannot be listed"),
    ],
)
def test_failures(
    fake: FakeS3, calls: tuple[str, ...], reply: Reply, error: type[Exception], text: str
) -> None:
    for call in calls:
        store = opened(fake.url)
        fake.script.append(reply)
        with pytest.raises(error) as caught:
            CALLS[call](store)
        assert text in str(caught.value)
        assert str(caught.value).startswith(f"s3://state/{NAME} at {fake.url}: ")
        assert not fake.script
    assert len(fake.asked) <= len(calls), "nothing is repeated"


@pytest.mark.parametrize("call", ALL)
def test_a_lost_answer_leaves_the_outcome_open(fake: FakeS3, call: str) -> None:
    store = opened(fake.url)
    fake.script.append(Handler.lose_answer)
    with pytest.raises(ConnectionError):
        CALLS[call](store)
    assert len(fake.asked) == 1, "nothing is repeated"
    assert opened(fake.url).read(1) == (b"x" if call == "add" else None)


@pytest.mark.parametrize(
    "raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]
)
def test_what_is_not_an_answer(raw: bytes) -> None:
    with listening(says(raw)) as listener:
        store = opened(f"http://127.0.0.1:{listener.port}")
        for ask in CALLS.values():
            with pytest.raises(ConnectionError):
                ask(store)


@pytest.mark.slow
def test_an_answer_has_a_deadline() -> None:
    with listening(trickles(b"x", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")) as listener:
        store = opened(f"http://127.0.0.1:{listener.port}", timeout=0.5)
        with pytest.raises(ConnectionError, match=r"no complete answer within 0\.5 s"):
            store.read(1)


def test_nobody_listens() -> None:
    with pytest.raises(ConnectionError, match="cannot connect"):
        opened(f"http://127.0.0.1:{unused_port()}").numbers()


def test_secrets_and_hostile_texts_are_not_shown(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", fake_s3.SESSION_TOKEN)
    store = opened(fake.url)

    def echo(handler: Handler) -> None:
        sent = "".join(f"{name}: {value} " for name, value in handler.lower().items())
        text = f"\x1b[2J{sent}"
        own = {"x-amz-request-id": text[:100], "x-amz-bucket-region": text}
        body = f"<Error><Code>{sent}</Code><Message>{sent}</Message><Region>{sent}</Region></Error>"
        handler.answer(301, body.encode(), own)

    for ask in CALLS.values():
        fake.script.append(echo)
        with pytest.raises(StateError) as caught:
            ask(store)
        seen = str(caught.value) + repr(store._keys)
        authorization = fake.asked[-1][2]["authorization"]
        for secret in (fake_s3.SECRET_KEY, fake_s3.SESSION_TOKEN, authorization[-64:], "\x1b"):
            assert secret not in seen


def test_a_date(fake: FakeS3) -> None:
    now = datetime.now(timezone.utc)
    opened(fake.url).add(1, b"x")
    fake.objects[f"{NAME}/000000000001"] = b"x", now - timedelta(seconds=300)
    for date, low, high in [
        (format_datetime(now, usegmt=True), 299, 301),
        (format_datetime(now - timedelta(seconds=600), usegmt=True), 0, 0),
        (format_datetime(now + timedelta(seconds=600), usegmt=True), 899, 901),
    ]:
        fake.date = date
        ((_, age),) = opened(fake.url).numbers()
        assert age is not None and low <= age <= high
    for date in (format_datetime(now + timedelta(hours=1), usegmt=True), "yesterday", "99", ""):
        fake.date = date
        store = opened(fake.url)
        assert store.numbers() == [(1, None)]
        store.prune([1])  # it may be needed: nobody knows how young it is
        assert store.read(1) == b"x"


@pytest.mark.parametrize("addressing", ["host", "path"])
def test_over_tls_and_a_proxy(
    fake: FakeS3, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, addressing: str
) -> None:
    import ssl

    host = "s3.invalid" if addressing == "path" else f"{fake_s3.BUCKET}.s3.invalid"
    certificate = make_certificate(tmp_path / "tls", host)
    server = QuietServer(("127.0.0.1", 0), type("Secure", (Handler,), {"store": fake}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with serving(server) as port, listening(tunnels_to(port)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        # What is there for others: it must not replace the signature.
        (Path.home() / ".netrc").write_text(f"machine {host} login a password b")
        with pytest.raises(StateError, match="certificate"):
            opened("https://s3.invalid", path_style=addressing == "path").numbers()
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        store = opened("https://s3.invalid", path_style=addressing == "path")
        assert (store.add(1, b"x"), store.read(1), len(store.numbers())) == (True, b"x", 1)
        assert fake.asked[-1][2]["host"] == host


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"endpoint": "http://s3.example.com"}, "plain http is allowed only to a loopback address"),
        ({"endpoint": "https://u:p@s3.example.com"}, "must not hold a user or a password"),
        ({"endpoint": "https://s3.example.com/?x=1"}, "must not have a query"),
        ({"endpoint": "ftp://s3.example.com"}, "https://"),
        ({"region": "eu de"}, "is not a region"),
        ({"endpoint": "", "region": ""}, '"" is not a region\nset state.region'),
    ],
)
def test_a_place_that_cannot_be_used(known: dict[str, Any], text: str) -> None:
    with pytest.raises((StateError, ConfigError)) as caught:
        opened(**{"endpoint": "https://s3.example.com", **known})
    assert text in str(caught.value)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize(
    ("known", "url", "name"),
    [
        ({}, "https://state.s3.eu-de.amazonaws.com/", "s3://state/ml/sentiment"),
        ({"path_style": True}, "https://s3.eu-de.amazonaws.com/state/", "s3://state/ml/sentiment"),
        ({"bucket": "a.b"}, "https://s3.eu-de.amazonaws.com/a.b/", "s3://a.b/ml/sentiment"),
        (
            {"endpoint": "https://S3.example.com:443/x/"},
            "https://state.s3.example.com/x/",
            "s3://state/ml/sentiment at https://s3.example.com/x",
        ),
    ],
)
def test_addresses(known: dict[str, Any], url: str, name: str) -> None:
    store = opened(**{"endpoint": "", "path_style": False, **known})
    assert store._url == url
    assert store.name == name


EXAMPLE = Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "", "us-east-1")


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "signature"),
    [
        (
            *("GET", "/test.txt", {"Range": "bytes=0-9"}, b""),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            *("PUT", "/test%24file.text"),
            {
                "Date": "Fri, 24 May 2013 00:00:00 GMT",
                "x-amz-storage-class": "REDUCED_REDUNDANCY",
            },
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            *("GET", "/?lifecycle=", {}, b""),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            *("GET", "/?max-keys=2&prefix=J", {}, b""),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_amazon_s_own_examples(
    method: str, path: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    """Those of "Signature Calculations for the Authorization Header" in the S3 API reference,
    https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html."""
    url = f"https://examplebucket.s3.amazonaws.com{path}"
    when = datetime(2013, 5, 24, tzinfo=timezone.utc)
    sent = sign(method, url, headers, body, EXAMPLE, when)
    assert sent["Authorization"].endswith(f"Signature={signature}")
    assert sent.keys() >= {*headers, "x-amz-date", "x-amz-content-sha256"}


WORD = st.text("abcXYZ019-_.~", min_size=1, max_size=9)


@settings(max_examples=200)
@given(
    st.sampled_from(["GET", "PUT", "DELETE"]),
    st.lists(WORD, min_size=1, max_size=4).map("/".join),
    st.dictionaries(WORD, st.text(st.characters(codec="utf-8"), max_size=9), max_size=3),
    st.binary(max_size=20),
)
def test_signatures_hold(method: str, path: str, query: dict[str, str], body: bytes) -> None:
    from urllib.parse import quote, urlencode, urlsplit

    url = f"https://s3.example.com:8443/{path}?{urlencode(sorted(query.items()), quote_via=quote)}"
    keys = Keys(fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY, fake_s3.SESSION_TOKEN, fake_s3.REGION)
    sent = sign(method, url, {"If-None-Match": "*"}, body, keys, datetime.now(timezone.utc))
    headers = {name.lower(): value for name, value in sent.items()} | {
        "host": "s3.example.com:8443"
    }
    parts, store = urlsplit(url), FakeS3(session_token=fake_s3.SESSION_TOKEN)
    assert store.fault_of(method, parts.path, parts.query, headers, body) == ""
    assert store.fault_of(method, parts.path + "x", parts.query, headers, body) != ""


CONFIG = """
[default]
region = eu-central-1
s3 =
    addressing_style = path

[profile team]
region = eu-west-1
sso_session = ours

[profile 'role one']
role_arn = arn:aws:iam::111122223333:role/one
source_profile = default

[profile program]
credential_process = /usr/bin/keys
[profile old]
sso_start_url = https://example.awsapps.com/start
[profile login]
login_session = arn:aws:iam::111122223333:user/a
[profile empty]
"""
CREDENTIALS = """
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = sk/default%20+
[temporary]
aws_access_key_id = AKTEMPORARY
aws_secret_access_key = sk
aws_session_token = token==
[program]
aws_access_key_id = AKPROGRAM
aws_secret_access_key = sk
[half]
aws_access_key_id = AKHALF
"""
NO_PAIR = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}


@pytest.fixture
def profiles(monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NO_PAIR:
        monkeypatch.delenv(name)
    folder = Path.home() / ".aws"
    folder.mkdir()
    (folder / "config").write_text(CONFIG)
    (folder / "credentials").write_text(CREDENTIALS)
    return folder


@pytest.mark.parametrize(
    ("variables", "region", "keys"),
    [
        ({}, "", Keys("AKDEFAULT", "sk/default%20+", "", "eu-central-1")),
        ({}, "eu-de", Keys("AKDEFAULT", "sk/default%20+", "", "eu-de")),
        (
            {"AWS_REGION": "r", "AWS_DEFAULT_REGION": "s"},
            "",
            Keys("AKDEFAULT", "sk/default%20+", "", "r"),
        ),
        ({"AWS_DEFAULT_REGION": "s"}, "", Keys("AKDEFAULT", "sk/default%20+", "", "s")),
        ({"AWS_PROFILE": "temporary"}, "", Keys("AKTEMPORARY", "sk", "token==", "")),
        ({"AWS_PROFILE": "program"}, "", Keys("AKPROGRAM", "sk", "", "")),
        (PAIR, "", Keys(fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY, "", "eu-central-1")),
        (
            {**PAIR, "AWS_SESSION_TOKEN": "t"},
            "r",
            Keys(fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY, "t", "r"),
        ),
        (
            {**PAIR, "AWS_PROFILE": "temporary"},
            "r",
            Keys(fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY, "", "r"),
        ),
        (
            {**PAIR, "AWS_CONFIG_FILE": "/nowhere"},
            "",
            Keys(fake_s3.ACCESS_KEY, fake_s3.SECRET_KEY, "", ""),
        ),
        ({"AWS_SESSION_TOKEN": "stale"}, "r", Keys("AKDEFAULT", "sk/default%20+", "", "r")),
        (
            {"aws_access_key_id": "x", "role_arn": "y"},
            "r",
            Keys("AKDEFAULT", "sk/default%20+", "", "r"),
        ),
        (
            {"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": ""},
            "r",
            Keys("AKDEFAULT", "sk/default%20+", "", "r"),
        ),
    ],
)
def test_credentials(
    profiles: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    region: str,
    keys: Keys,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert find_keys(region) == keys
    assert keys.secret_key not in repr(find_keys(region))


EXPORT = 'eval "$(aws configure export-credentials --profile %s --format env)"'


@pytest.mark.parametrize(
    ("variables", "texts"),
    [
        ({"AWS_PROFILE": "team"}, ["sso_session is set, for single sign-on", EXPORT % "team"]),
        ({"AWS_PROFILE": "old"}, ["sso_start_url", EXPORT % "old"]),
        ({"AWS_PROFILE": "role one"}, ["role_arn is set, for a role", EXPORT % "'role one'"]),
        ({"AWS_PROFILE": "login"}, ["login_session", "`aws login`"]),
        ({"AWS_PROFILE": "empty"}, ["IMDS", "set AWS_ACCESS_KEY_ID and", EXPORT % "empty"]),
        (
            {"AWS_PROFILE": "half"},
            ["aws_access_key_id is set, for a pair of keys that is not complete"],
        ),
        ({"AWS_PROFILE": "tema"}, ['no profile "tema"', 'did you mean "team"']),
        (
            {"AWS_ACCESS_KEY_ID": "a"},
            ["AWS_ACCESS_KEY_ID is set, for a pair of keys that is not complete"],
        ),
        ({"AWS_SECRET_ACCESS_KEY": "a"}, ["AWS_SECRET_ACCESS_KEY is set, for a pair"]),
        ({"AWS_WEB_IDENTITY_TOKEN_FILE": "/t"}, ["a web identity", EXPORT % "default"]),
        (
            {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://x", "AWS_PROFILE": "empty"},
            ["a container's role"],
        ),
        (
            {"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_PROFILE": "program"},
            ["credential_process is set, for a program"],
        ),
    ],
)
def test_credentials_that_are_not_there(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], texts: list[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(StateError) as caught:
        find_keys("eu-de")
    for text in ("no credentials for S3", *texts):
        assert text in str(caught.value)
    assert not any(value in str(caught.value) for value in ("sk/default", "token=="))


@pytest.mark.parametrize(
    "content", [b"aws_access_key_id = AKSECRET", b"[a]\nx\n", b"[a]\n\xff = 1\n"]
)
def test_a_damaged_file_is_not_quoted(profiles: Path, content: bytes) -> None:
    (profiles / "credentials").write_bytes(content)
    with pytest.raises(StateError, match="credentials: not an ini file") as caught:
        find_keys("eu-de")
    assert "AKSECRET" not in str(caught.value)


def test_a_record_grows_older(versitygw: str) -> None:
    store = opened(versitygw, "t/clock")
    store.add(1, b"x")
    time.sleep(2.2)
    ((_, age),) = store.numbers()
    assert age is not None and 0 < age < 60
