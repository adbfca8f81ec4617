"""No connection, no outcome to doubt: proxies, certificates, TLS, and what answers instead."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from majobctl.errors import TransportError
from majobctl.service.auth.sources import Sources
from majobctl.service.session import Session
from tests.fake_service import ACCESS_KEY, PASSWORD, PROJECT, SECRET_KEY, FakeService, Handler
from tests.network import (
    HOST,
    Answer,
    Listener,
    hangs,
    listening,
    make_certificate,
    says,
    secure,
    trickles,
    tunnels_to,
    unused_port,
)

RETRIES = 2
SECRET = "hunter2"
OK = {"is_success": True}
KEYS = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "project_id": PROJECT}
USER = {"account": "account", "username": "u", "password": PASSWORD, "project_id": PROJECT}
CALLS = ("read", "update", "token")


def put(address: str, **options: Any) -> dict[str, Any]:
    with Session(
        endpoint=address, **{**KEYS, "timeout": 30, "backoff": 0.002, **options}
    ) as session:
        return session.request("PUT", "/training-job-configs/x", body={})


def failed(call: str, address: str, **options: Any) -> TransportError:
    """The error of one kind of call to ``address``, of which nothing was sent."""
    given = {"retries": RETRIES, "backoff": 0.002, "timeout": 30, **options}
    if call == "token":
        given |= {"endpoint": "https://127.0.0.1:1", "iam_endpoint": address, **USER}
    else:
        given |= {"endpoint": address, **KEYS}
    with Session(**given) as session, pytest.raises(TransportError) as caught:
        session.request("GET" if call == "read" else "PUT", "/x")
    assert not caught.value.outcome_unknown
    assert SECRET not in str(caught.value)
    return caught.value


def check_tries(error: TransportError, there: Listener, tries: int) -> None:
    """Each try was one connection; another one later is only worthwhile if these were repeated."""
    assert len(there.heads) == tries
    assert error.may_pass is (tries > 1)


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("certificates")
    return {
        "good": make_certificate(folder / "good", "localhost", HOST),
        "other": make_certificate(folder / "other", "other.example"),
        "expired": make_certificate(folder / "expired", "localhost", days=-1),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What answers at the port of ``proxy``, and the end of the message. Tried so often."""

    answer: Answer
    proxy: str = "http://127.0.0.1:{port}"
    reason: str
    tries: int = 1


def status(number: int) -> Answer:
    return says(f"HTTP/1.1 {number} Hello {SECRET}\r\nContent-Length: 0\r\n\r\n".encode())


REPEATED = 1 + RETRIES
PROXIES: Mapping[str, Kind] = {
    "407": Kind(
        answer=status(407),
        reason="the proxy wants a user (HTTP status 407); set HTTPS_PROXY to"
        " http://USER:PASSWORD@127.0.0.1:{port}",
    ),
    "407 with a user": Kind(
        answer=status(407),
        proxy=f"http://user:{SECRET}@127.0.0.1:{{port}}",
        reason="the proxy refuses the user and the password in HTTPS_PROXY (HTTP status 407)",
    ),
    "403": Kind(answer=status(403), reason="the proxy does not connect to it (HTTP status 403)"),
    "503": Kind(
        answer=status(503),
        reason="the proxy does not connect to it (HTTP status 503)",
        tries=REPEATED,
    ),
    "rubbish": Kind(
        answer=says(b"rubbish\r\n\r\n"),
        reason="the proxy cannot be used (the answer is not HTTP); check HTTPS_PROXY, or set"
        " NO_PROXY",
        tries=REPEATED,
    ),
    "hangs up": Kind(
        answer=says(b""),
        reason="the proxy cannot be used (no answer came); check HTTPS_PROXY, or set NO_PROXY",
        tries=REPEATED,
    ),
    "hangs": Kind(answer=hangs, reason="timed out", tries=REPEATED),
    "a tunnel to nowhere": Kind(
        answer=says(b"HTTP/1.1 200 OK\r\n\r\n"),
        reason="the server closed the connection during the TLS handshake",
        tries=REPEATED,
    ),
    "no TLS at the proxy": Kind(
        answer=says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        proxy="https://127.0.0.1:{port}",
        reason="the proxy does not speak TLS; the port may be one for plain http",
    ),
    "SOCKS without a way to sign in": Kind(
        answer=says(b"\x05\xff"),
        proxy="socks5h://127.0.0.1:{port}",
        reason="the proxy cannot be used (All offered SOCKS5 authentication methods were rejected);"
        " check HTTPS_PROXY, or set NO_PROXY",
    ),
    "SOCKS that does not connect": Kind(
        answer=says(b"\x05\x00\x05\x05\x00\x01" + bytes(6)),
        proxy="socks5h://127.0.0.1:{port}",
        reason="the proxy cannot be used (0x05: Connection refused); check HTTPS_PROXY, or set"
        " NO_PROXY",
        tries=REPEATED,
    ),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", PROXIES.values(), ids=PROXIES)
@pytest.mark.bad_inputs("connections", "kind")
def test_a_proxy_that_gives_no_connection(
    kind: Kind, call: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if "socks" in kind.proxy:
        pytest.importorskip("socks")
    caplog.set_level(logging.DEBUG)
    with listening(kind.answer) as there:
        proxy = kind.proxy.format(port=there.port)
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        error = failed(call, f"https://{HOST}", timeout=0.3 if kind.answer is hangs else 30)
        check_tries(error, there, kind.tries)
    shown = proxy.replace(f"user:{SECRET}@", "")
    reason = kind.reason.format(port=there.port)
    assert str(error) == (
        f"cannot connect to https://{HOST}:443 through the proxy {shown} (HTTPS_PROXY): {reason}"
    )
    assert SECRET not in caplog.text


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("variable", "proxy", "reason"),
    [
        ("HTTPS_PROXY", "http://127.0.0.1:{port}", "Connection refused"),
        ("https_proxy", "127.0.0.1:{port}", "Connection refused"),
        ("all_proxy", "socks5h://127.0.0.1:{port}", "Connection refused"),
        ("ALL_PROXY", "http://nobody.invalid:3128\n", "Name or service not known"),
    ],
)
@pytest.mark.bad_inputs("connections", "variable", "proxy")
def test_nobody_at_the_proxy(
    variable: str, proxy: str, reason: str, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "socks" in proxy:
        pytest.importorskip("socks")
    proxy = proxy.format(port=unused_port())
    monkeypatch.setenv(variable, proxy)
    error = failed(call, f"https://{HOST}")
    text = str(error)
    assert error.may_pass
    assert f"cannot connect to https://{HOST}:443 through the proxy " in text
    assert f"{proxy.strip().rpartition('/')[2]} ({variable}): the proxy cannot be used (" in text
    assert text.endswith(f"); check {variable}, or set NO_PROXY")
    assert f"({reason})" in text or "nobody" in proxy


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "proxy",
    [
        "http://:8080",
        "foo bar",
        "http://host:notaport",
        "http://host:99999",
        "http:/host:3128",
        "http://[::1",
        "zzz://host:1",
        "file:///etc/passwd",
        f"http://user:{SECRET}#@host:3128",
        f"http://user:1/{SECRET}@host:3128",
        f"http://us er:{SECRET}@host:3128",
    ],
)
@pytest.mark.bad_inputs("connections", "proxy")
def test_what_is_no_proxys_address(proxy: str, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    error = failed(call, f"https://{HOST}")
    assert not error.may_pass
    assert str(error) == (
        f"cannot connect to https://{HOST}:443: HTTPS_PROXY is not the address of a proxy, such as"
        " http://proxy.example.com:3128; special characters of a user or a password must be"
        " percent-encoded (%23 for #)"
    )


def test_a_socks_proxy_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "socks.py").write_text("raise ImportError('no socks here')\n")
    script = f"""
        from majobctl.service.session import Session
        from majobctl.errors import TransportError
        try:
            Session("a", "b", "{PROJECT}", endpoint="https://{HOST}").request("PUT", "/x")
        except TransportError as error:
            print(error, error.outcome_unknown, error.may_pass)
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "ALL_PROXY": "socks5://proxy.invalid"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == (
        f"cannot connect to https://{HOST}:443 through the proxy socks5://proxy.invalid:1080"
        " (ALL_PROXY): SOCKS needs PySocks: install it with pip install PySocks False False\n"
    )


@pytest.mark.parametrize("blank", ["", " \n"])
def test_a_blank_variable_names_no_proxy(blank: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", blank)
    assert "proxy" not in str(failed("read", f"https://{HOST}"))


def test_no_proxy_is_asked_for_what_no_proxy_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", f"example.com,{HOST}")
    with listening(status(407)) as there:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{there.port}")
        assert str(failed("read", f"https://{HOST}")).startswith(
            f"cannot connect to https://{HOST}:443: "
        )
        assert there.heads == []
        failed("read", "https://elsewhere.invalid")
    assert there.heads[0].startswith(b"CONNECT elsewhere.invalid:443 HTTP/1.")


@pytest.mark.parametrize("call", CALLS)
def test_a_proxy_on_the_way_that_answers_in_the_services_place(
    call: str, service: FakeService
) -> None:
    service.answer_next(407, b"<html>Sign in</html>")
    error = failed(call, service.url)
    assert str(error) == "a proxy on the way wants a user and a password (HTTP status 407)"
    assert len(service.requests) == 1


SOCKS = (b"\5\0", b"\5\0\0\1" + bytes(6))
TLS_HEAD = b"\x16\3\3\x40\0"
TRICKLES: Mapping[str, Answer] = {
    "the first line": trickles(b"O", b"HTTP/1.1 200 "),
    "a header": trickles(b"y", b"HTTP/1.1 200 OK\r\nX-Slow: "),
    "the TLS behind it": trickles(b"\2", b"HTTP/1.1 200 OK\r\n\r\n", TLS_HEAD),
    "SOCKS's answer": trickles(b"x", SOCKS[0], b"\5\0\0\3\xff"),
    "the TLS behind SOCKS": trickles(b"\2", *SOCKS, TLS_HEAD),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("scheme", "what"),
    [
        (scheme, what)
        for what in TRICKLES
        for scheme in (["socks5h"] if "SOCKS" in what else ["http", "https"])
    ],
)
@pytest.mark.bad_inputs("connections", "what", "scheme")
def test_a_proxy_whose_answer_trickles_in_is_given_up(
    what: str,
    scheme: str,
    call: str,
    certificates: Mapping[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "socks" in scheme:
        pytest.importorskip("socks")
    monkeypatch.setenv("OS_CACERT", str(certificates["good"]))
    with listening(TRICKLES[what], certificates["good"] if scheme == "https" else None) as there:
        proxy = f"{scheme}://localhost:{there.port}"
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        error = failed(call, f"https://{HOST}", timeout=1, retries=0)
        there.over.set()
    assert len(there.heads) == 1
    assert error.may_pass
    assert str(error) == (
        f"cannot connect to https://{HOST}:443 through the proxy {proxy} (HTTPS_PROXY): timed out"
    )


class TestThroughAProxy:
    @pytest.fixture
    def port(
        self,
        service: FakeService,
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[int]:
        service.configs["x"] = {}
        monkeypatch.setenv("OS_CACERT", str(certificates["good"]))
        with secure(service, certificates["good"]) as port:
            yield port

    def test_a_call_arrives_and_the_proxy_sees_none_of_it(
        self, port: int, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with listening(tunnels_to(port)) as there:
            monkeypatch.setenv("HTTPS_PROXY", f"http://us%40er:{SECRET}@127.0.0.1:{there.port}")
            assert put(f"https://{HOST}") == OK
        (head,) = there.heads
        assert head.startswith(f"CONNECT {HOST}:443 HTTP/1.".encode())
        user = base64.b64encode(f"us@er:{SECRET}".encode())
        assert b"Proxy-Authorization: Basic " + user in head
        assert b"SDK-HMAC" not in head and ACCESS_KEY.encode() not in head
        assert len(service.requests) == 1
        assert "proxy-authorization" not in service.requests[0].headers

    @pytest.mark.parametrize("user", ["", f"us%40er:{SECRET}@"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_of_socks_a_call_arrives(
        self,
        host: str,
        user: str,
        port: int,
        service: FakeService,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pytest.importorskip("socks")
        with listening(tunnels_to(port, user=f"us@er:{SECRET}")) as there:
            monkeypatch.setenv("ALL_PROXY", f"socks5h://{user}{host}:{there.port}")
            assert put(f"https://{HOST}") == OK
        assert len(there.heads) == len(service.requests) == 1

    def test_an_answer_that_does_not_come_leaves_the_outcome_unknown(
        self, port: int, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.script.append(lambda handler: handler.send_raw(b""))
        with listening(tunnels_to(port)) as there:
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{there.port}")
            with pytest.raises(TransportError) as caught:
                put(f"https://{HOST}", retries=0)
        assert caught.value.outcome_unknown
        assert str(caught.value).startswith(f"https://{HOST}:443: the connection broke: ")


TLS: Mapping[str, tuple[Answer, str, int]] = {
    "plain http": (
        says(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        "the server does not speak TLS; the port may be one for plain http",
        1,
    ),
    "hangs up at hello": (
        says(b""),
        "the server closed the connection during the TLS handshake",
        REPEATED,
    ),
    "says goodbye at hello": (
        says(bytes.fromhex("15 0303 0002 0100")),
        "the server closed the connection during the TLS handshake",
        REPEATED,
    ),
    "an old protocol": (
        says(bytes.fromhex("15 0301 0002 0246")),
        "the server does not speak TLS 1.2 or newer",
        1,
    ),
    "no cipher in common": (
        says(bytes.fromhex("15 0301 0002 0228")),
        "the TLS handshake with the server failed (sslv3 alert handshake failure)",
        1,
    ),
    "an internal error": (
        says(bytes.fromhex("15 0301 0002 0250")),
        "the TLS handshake with the server failed (tlsv1 alert internal error)",
        REPEATED,
    ),
    "hangs": (hangs, "timed out", REPEATED),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("answer", "reason", "tries"), TLS.values(), ids=TLS)
@pytest.mark.bad_inputs("connections", "answer")
def test_a_handshake_that_fails(answer: Answer, reason: str, tries: int, call: str) -> None:
    with listening(answer) as there:
        address = f"https://localhost:{there.port}"
        error = failed(call, address, timeout=0.3 if answer is hangs else 30)
        check_tries(error, there, tries)
    assert str(error).startswith(f"cannot connect to {address}: {reason}")


class TestCertificates:
    @pytest.fixture
    def serve(
        self, service: FakeService, certificates: Mapping[str, Path]
    ) -> Iterator[Callable[[str], str]]:
        from contextlib import ExitStack

        with ExitStack() as stack:
            yield (
                lambda name: (
                    f"https://localhost:{stack.enter_context(secure(service, certificates[name]))}"
                )
            )

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        ("served", "trusted", "found", "advice"),
        [
            ("good", "", "self", "set OS_CACERT or REQUESTS_CA_BUNDLE to a file with the"),
            ("good", "other", "self", "{path} (OS_CACERT) does not vouch for it"),
            ("other", "other", "Hostname mismatch, certificate is not", "check the address"),
            ("expired", "expired", "certificate has expired", "check this machine's clock"),
        ],
    )
    def test_that_are_not_trusted(
        self,
        served: str,
        trusted: str,
        found: str,
        advice: str,
        call: str,
        serve: Callable[[str], str],
        service: FakeService,
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if trusted:
            monkeypatch.setenv("OS_CACERT", str(certificates[trusted]))
        address = serve(served)
        error = failed(call, address, backoff=30)
        assert not error.may_pass
        start = (
            f"cannot connect to {address}: the certificate of the server is not trusted ({found}"
        )
        assert str(error).startswith(start)
        assert f"; {advice.format(path=certificates.get(trusted))}" in str(error)
        assert service.requests == []

    @pytest.mark.parametrize(
        "variable", ["OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
    )
    def test_are_trusted_if_the_environment_names_them(
        self,
        variable: str,
        service: FakeService,
        serve: Callable[[str], str],
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        service.configs["x"] = {}
        monkeypatch.setenv(variable, str(certificates["good"]))
        assert put(serve("good")) == OK

    def test_are_trusted_if_a_folder_holds_them_under_their_hashes(
        self,
        service: FakeService,
        serve: Callable[[str], str],
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        service.configs["x"] = {}
        command = ["openssl", "x509", "-hash", "-noout", "-in", str(certificates["good"])]
        name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        (tmp_path / f"{name}.0").write_bytes(certificates["good"].read_bytes())
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
        assert put(serve("good")) == OK

    def test_of_a_cloud_may_be_below_the_home_directory(
        self,
        service: FakeService,
        serve: Callable[[str], str],
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pytest.importorskip("yaml")
        service.configs["x"] = {}
        home = Path(os.environ["HOME"])
        monkeypatch.setenv("OS_CLOUD", "otc")
        Path("clouds.yaml").write_text("clouds: {otc: {cacert: ~/ca.pem, auth: {project_id: p}}}")
        monkeypatch.setenv("OS_ACCESS_KEY", ACCESS_KEY)
        monkeypatch.setenv("OS_SECRET_KEY", SECRET_KEY)
        address = serve("good")
        keyless = {"access_key": None, "secret_key": None, "project_id": None}
        with pytest.raises(TransportError) as caught:
            put(address, **keyless)
        assert str(caught.value) == (
            f'cannot connect to {address}: cacert of the cloud "otc" of clouds.yaml names'
            f" {home}/ca.pem, which cannot be read: No such file or directory"
        )
        (home / "ca.pem").write_bytes(certificates["good"].read_bytes())
        Path("clouds.yaml").write_text(
            f"clouds: {{otc: {{cacert: ~/ca.pem, auth: {{project_id: {PROJECT}}}}}}}"
        )
        assert put(address, **keyless) == OK

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize(
        "variable", ["OS_CACERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
    )
    @pytest.mark.parametrize(
        ("kind", "problem"),
        [
            ("missing", "which cannot be read: No such file or directory"),
            ("empty", "which is not a file of certificates in PEM form"),
            ("key", "which is not a file of certificates in PEM form"),
            ("binary", "which is not a file of certificates in PEM form"),
            ("folder", "a folder that `openssl rehash` has not prepared"),
            ("unreadable", "which cannot be read: Too many levels of symbolic links"),
        ],
    )
    def test_that_cannot_be_read_are_named(
        self,
        kind: str,
        problem: str,
        variable: str,
        call: str,
        certificates: Mapping[str, Path],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "ca.pem"
        if kind == "folder":
            path.mkdir()
        elif kind == "unreadable":
            # Also by root.
            path.symlink_to(path)
        elif kind != "missing":
            key = (certificates["good"].parent / "key.pem").read_bytes()
            path.write_bytes({"empty": b"", "key": key, "binary": b"\x30\x82\x00"}[kind])
        monkeypatch.setenv(variable, str(path))
        with listening(says(b"")) as there:
            address = f"https://localhost:{there.port}"
            error = failed(call, address)
        assert there.heads == []
        assert str(error) == f"cannot connect to {address}: {variable} names {path}, {problem}"
        assert not error.may_pass

    def test_that_cannot_be_read_do_no_harm_to_plain_http(
        self, service: FakeService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service.configs["x"] = {}
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
        assert put(service.url) == OK

    def test_a_trickling_answer_over_tls_is_cut_at_the_timeout(
        self,
        service: FakeService,
        serve: Callable[[str], str],
        certificates: Mapping[str, Path],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("OS_CACERT", str(certificates["good"]))
        over = threading.Event()

        def trickle(handler: Handler) -> None:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n")
            while not over.wait(0.05):
                handler.wfile.write(b" ")

        service.script.append(trickle)
        address = serve("good")
        with pytest.raises(TransportError) as caught:
            put(address, timeout=2, retries=0)
        over.set()
        assert str(caught.value) == f"{address}: no complete answer within 2 s"
        assert caught.value.outcome_unknown


def test_a_cloud_that_nothing_else_came_from_names_no_certificates() -> None:
    assert Sources().ca_file() is None
