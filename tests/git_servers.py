"""A bare repository as teams reach it: as a path, from ``git http-backend`` and
from ``git daemon``, on loopback."""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from majobctl.state.backends.git import GitStore
from tests.config_repository import until

NO_GIT = shutil.which("git") is None and "git is not installed"


def git(root: Path, *arguments: str) -> str:
    who = {f"GIT_{it}_{key}": "x" for it in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    own = {**os.environ, **who, "LC_ALL": "C"}
    ran = subprocess.run(["git", "-C", str(root), *arguments], env=own, capture_output=True)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().strip()


def bare(path: Path, *options: str) -> Path:
    """An empty repository that anybody may push to."""
    subprocess.run(["git", "init", "-q", "--bare", *options, str(path)], check=True)
    git(path, "config", "http.receivepack", "true")
    (path / "git-daemon-export-ok").touch()
    return path


@pytest.fixture
def git_remote(tmp_path: Path) -> Path:
    if NO_GIT:
        pytest.skip(NO_GIT)
    return bare(tmp_path / "remote.git")


def clone(remote: str | Path, path: Path, *options: str) -> Path:
    """A clone with a commit, which its remote has, too."""
    form = git(remote, "rev-parse", "--show-object-format") if isinstance(remote, Path) else "sha1"
    git(path.parent, "init", "-q", "-b", "main", f"--object-format={form}", *options, path.name)
    git(path, "remote", "add", "origin", str(remote))
    (path / "majobctl.toml").write_text("")
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "one")
    return path


def hook(remote: Path, name: str, text: str) -> None:
    path = remote / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@dataclass
class HttpGit:
    """``git http-backend`` for the repositories in ``root``. ``before`` may answer in its place:
    (method, path) -> an answer's status or None; ``is_cut`` cuts the answers of a push."""

    root: Path
    before: Callable[[str, str], int | None] = lambda method, path: None
    is_cut: Callable[[], bool] = lambda: False
    credentials: str = ""
    requests: list[str] = field(default_factory=list)
    address: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length) if length else _chunks(handler)
        self.requests.append(f"{handler.command} {handler.path}")
        given = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        status = self.before(handler.command, handler.path)
        if self.credentials and handler.headers.get_all("Authorization") != [given]:
            status = 401
        if status:
            handler.send_response(status)
            handler.send_header("WWW-Authenticate", 'Basic realm="git"')
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        own = {
            **{"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "GIT_HTTP_EXPORT_ALL": "1"},
            **{"GIT_PROJECT_ROOT": str(self.root), "PATH_INFO": path, "QUERY_STRING": query},
            **{"REQUEST_METHOD": handler.command, "REMOTE_ADDR": "127.0.0.1"},
            "CONTENT_TYPE": handler.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": handler.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": handler.headers.get("Git-Protocol", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        ran = subprocess.run(["git", "http-backend"], input=body, env=own, capture_output=True)
        head, _, content = ran.stdout.partition(b"\r\n\r\n")
        if path.endswith("receive-pack") and handler.command == "POST" and self.is_cut():
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n")]
        status = next((int(value[:3]) for key, _, value in lines if key == "Status"), 200)
        handler.send_response(status)
        for key, _, value in lines:
            if key != "Status":
                handler.send_header(key, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)


def _chunks(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding") != "chunked":
        return b""
    body = b""
    while size := int(handler.rfile.readline(), 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    handler.rfile.readline()
    return body


@contextlib.contextmanager
def over_http(root: Path) -> Iterator[HttpGit]:
    server = HttpGit(root)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@contextlib.contextmanager
def daemon(root: Path, *options: str) -> Iterator[str]:
    """The address of ``git daemon`` for the repositories in ``root``."""
    if not (Path(git(root, "--exec-path")) / "git-daemon").exists():
        pytest.skip("git daemon is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}"]
    process = subprocess.Popen(
        [*command, f"--base-path={root}", *options, str(root)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until(lambda: _listens(port), "git daemon")
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def opened(address: str | Path, folder: Path) -> Callable[[], GitStore]:
    """Opens the branch ``state`` of the remote ``address``, each time from a clone of its own."""
    count = itertools.count()
    return lambda: GitStore(clone(address, folder / f"clone{next(count)}"), "origin", "state")
