"""The ways in: the HTTP server, the in-process adapter, the request log, the package itself."""

from __future__ import annotations

import ast
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

import majobctl.emulator
from majobctl.emulator import create_adapter, create_app, start
from majobctl.emulator.errors import EmulatorError
from majobctl.emulator.server import serve_until_interrupted

from .client import CONFIGS, Client, Connect, body, error_of
from .signer import Signer


def exchange(client: Client, data: bytes) -> bytes:
    """Sends raw bytes and gives everything that comes back until the emulator closes."""
    url = urlsplit(client.url)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(data)
        with connection.makefile("rb") as answer:
            return answer.read()


def test_a_connection_is_kept_from_one_request_to_the_next(client: Client) -> None:
    url = urlsplit(client.url)
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=60)
    connection.connect()
    port = connection.sock.getsockname()[1]
    for method, path in (("PUT", f"/v1/x/{CONFIGS}/a"), ("HEAD", "/v1/x/y"), ("GET", "/")):
        connection.request(method, path, body=b"x" * 1000)
        answer = connection.getresponse()
        text = answer.read()
        assert (text == b"") == (method == "HEAD")
        assert connection.sock.getsockname()[1] == port
    connection.close()


def test_a_connection_is_closed_when_asked(client: Client) -> None:
    answer = exchange(client, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 NOT FOUND\r\n")
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"PUT / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: many\r\n\r\n", 400),
        (b'GET \\x"y HTTP/x\r\n\r\n', 400),
    ],
)
def test_what_is_not_http_gets_an_answer_in_json(client: Client, head: bytes, status: int) -> None:
    text, _, document = exchange(client, head).partition(b"\r\n\r\n")
    assert text.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(document).keys() == {"error_code", "error_msg", "request_id"}


def test_a_body_in_chunks_is_read(client: Client) -> None:
    client.create("a")

    def chunks() -> Iterator[bytes]:
        yield b'{"worker_server_num": 1,'
        yield b'"spec_id": 4}'

    url = f"{client.url}/v1/emulator/{CONFIGS}/a"
    answer = client.session.put(url, data=chunks(), auth=Whole(), timeout=60)
    assert answer.json() == {"is_success": True}


class Whole(Signer):
    """Signs a body in chunks as if it were whole."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        chunks = request.body
        request.body = b'{"worker_server_num": 1,"spec_id": 4}'
        super().__call__(request)
        request.body = chunks
        return request


def test_a_body_shorter_than_it_says_is_refused(client: Client) -> None:
    url = urlsplit(client.url)
    head = f"PUT /v1/emulator/{CONFIGS}/a HTTP/1.1\r\nContent-Length: 50\r\n\r\nshort".encode()
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            assert b"ModelArts.2787" in answer.read()


def test_a_body_far_too_long_that_stops_early_is_still_answered(client: Client) -> None:
    url = urlsplit(client.url)
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(b"PUT /v1/e/built-in-algorithms HTTP/1.1\r\n")
        connection.sendall(b"Content-Length: 9000000\r\n\r\n" + b"x" * 2_000_000)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 405 ")


def test_stopping_ends_open_connections_and_frees_the_port() -> None:
    with create_app() as app, requests.Session() as session:
        session.auth = Signer()
        server = start(app)
        url = f"{server.url}/v1/emulator/{CONFIGS}"
        assert session.get(url, timeout=60).ok
        server.stop()
        server.stop()
        with pytest.raises(requests.exceptions.ConnectionError):
            session.get(url, timeout=60)
        port = int(server.url.rpartition(":")[2])
        with start(app, port=port) as again:
            assert again.url == server.url
            assert session.get(url, timeout=60).ok


def test_a_port_in_use_is_an_error_that_says_so() -> None:
    with create_app() as app, start(app) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(EmulatorError, match=f"port {port}: .*Choose another"):
            start(app, port=port)
        with pytest.raises(EmulatorError, match="port 70000: "):
            serve_until_interrupted(app, 70000, print)


SERVE = """
import signal, sys
from majobctl.emulator import create_app
from majobctl.emulator.server import serve_until_interrupted
class Terminated(Exception): pass
def stop(number, frame): raise Terminated
signal.signal(signal.SIGTERM, stop)
with create_app() as app:
    try:
        serve_until_interrupted(app, 0, lambda url: print(url, flush=True))
        print("returned")
    except Terminated:
        print("terminated")
"""


@pytest.mark.parametrize(
    ("number", "end"), [(signal.SIGINT, "returned"), (signal.SIGTERM, "terminated")]
)
def test_serving_goes_on_until_a_signal_comes(number: signal.Signals, end: str) -> None:
    command = [sys.executable, "-W", "error", "-c", SERVE]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:")
        with requests.Session() as session:
            session.auth = Signer()
            assert session.get(f"{url}/v1/emulator/{CONFIGS}", timeout=60).ok
            process.send_signal(number)
            try:
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert (out.strip(), err) == (end, "")


def test_serving_calls_ready_with_the_url_it_listens_on() -> None:
    class Enough(Exception):
        pass

    def ready(url: str) -> None:
        parts = urlsplit(url)
        socket.create_connection((parts.hostname, parts.port), timeout=60).close()
        raise Enough

    with create_app() as app, pytest.raises(Enough):
        serve_until_interrupted(app, 0, ready)


@pytest.fixture
def inside(connect: Connect) -> Client:
    """A client of an emulator in this process, at a host that does not exist."""
    client = connect()
    client.session.mount("http://", create_adapter(client.app))
    client.session.mount("https://", create_adapter(client.app))
    client.url = "https://modelarts.invalid"
    return client


def test_the_adapter_answers_without_a_socket(inside: Client) -> None:
    inside.create("a", config_desc="☃")
    assert inside.config("a")["config_desc"] == "☃"
    answer = inside.call("GET", f"{CONFIGS}/b", params={"config_type": "custom"})
    assert error_of(answer) == (404, "ModelArts.0102")
    assert (answer.reason, answer.url) == ("NOT FOUND", str(answer.request.url))
    assert inside.call("HEAD", CONFIGS).content == b""


def test_the_adapter_streams_when_asked(inside: Client) -> None:
    answer = inside.call("GET", CONFIGS, stream=True)
    text = b"".join(answer.iter_content(7))
    assert json.loads(text)["config_total_count"] == 0


def test_the_adapter_checks_signatures_with_ports_and_encoded_paths(inside: Client) -> None:
    for url in ("http://modelarts.invalid:8080", "http://modelarts.invalid", "http://[::1]:99"):
        inside.url = url
        assert inside.get(CONFIGS, search_content="ü ☃")["configs"] == []
        assert error_of(inside.put("%C3%BC%20x", body())) == (400, "ModelArts.0104")


def test_the_adapter_sends_every_kind_of_body(inside: Client) -> None:
    inside.create("a")
    data = json.dumps(body(config_desc="ü"), ensure_ascii=False).encode()
    answer = inside.call("PUT", f"{CONFIGS}/a", headers={"X-Auth-Token": "none"})
    assert error_of(answer) == (401, "ModelArts.0203")
    assert inside.call("PUT", f"{CONFIGS}/a", data=data.decode()).ok
    assert inside.call("PUT", f"{CONFIGS}/a", data=data).ok
    assert inside.config("a")["config_desc"] == "ü"
    answer = inside.session.get(inside.url.replace("https", "http"), timeout=60)
    assert error_of(answer) == (404, "APIGW.0101")


def read_log(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_request_is_one_line_of_the_log(connect: Connect, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = connect(request_log=log)
    client.create("a")
    client.call("GET", f"{CONFIGS}/b", params={"config_type": "custom"})
    client.call("GET", "nonsense")
    first, second, third = read_log(log)
    assert first.keys() == {
        *("time", "method", "path", "query", "status", "error_code", "duration_ms", "config_name")
    }
    assert (first["method"], first["status"], first["config_name"]) == ("POST", 200, "a")
    assert str(first["time"]).endswith("Z")
    assert second["path"] == f"/v1/emulator/{CONFIGS}/b"
    assert (second["query"], second["config_name"]) == ("config_type=custom", "b")
    assert (second["status"], second["error_code"]) == (404, "ModelArts.0102")
    assert (third["status"], third["config_name"]) == (404, None)


def test_the_log_shows_lost_answers_and_goes_on_where_it_was(
    connect: Connect, tmp_path: Path
) -> None:
    log = tmp_path / "requests.jsonl"
    connect(request_log=log).get(CONFIGS)
    client = connect(request_log=log, faults=majobctl.emulator.Faults(lose_rate=1))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.get(CONFIGS)
    client.app.close()
    with pytest.raises(requests.exceptions.ConnectionError):
        client.get(CONFIGS)
    assert [line.get("answer_lost") for line in read_log(log)] == [None, True]


def test_no_secret_reaches_the_log(connect: Connect, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = connect(request_log=log)
    user = {"name": "emulator", "password": "hidden-pass", "domain": {"name": "emulator"}}
    identity = {"methods": ["password"], "password": {"user": user}}
    auth = {"identity": identity, "scope": {"project": {"name": "emulator"}}}
    client.session.post(f"{client.url}/v3/auth/tokens", json={"auth": auth}, timeout=60)
    client.call("GET", CONFIGS, headers={"X-Auth-Token": "hidden-token"})
    client.call("GET", CONFIGS)
    text = log.read_text()
    assert text.count("\n") == 3
    for word in ("hidden", "Signature", "SDK-HMAC", "password", 'token"'):
        assert word not in text
    assert os.stat(log).st_mode & 0o777 == 0o600


def test_lines_of_many_threads_never_mix(connect: Connect, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    client = connect(request_log=log)

    def work() -> None:
        with requests.Session() as session:
            session.mount("http://", create_adapter(client.app))
            for _ in range(50):
                session.get("http://emulator.invalid/nothing")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(read_log(log)) == 200


def test_a_log_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"none/x: the request log cannot be written"):
        create_app(request_log=tmp_path / "none" / "x")


def test_the_emulator_imports_nothing_else_of_majobctl() -> None:
    folder = Path(str(majobctl.emulator.__file__)).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not isinstance(node, ast.ImportFrom) or node.level == 0
            for name in names:
                assert name.split(".")[0] != "majobctl" or name.startswith("majobctl.emulator")


def test_importing_the_package_loads_no_costly_library() -> None:
    code = "import sys, majobctl.emulator; print({'werkzeug', 'requests'} & set(sys.modules))"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "set()\n"
