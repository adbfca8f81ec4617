"""A small GitLab on a loopback port that keeps Terraform states; scripts make it misbehave.

It uses nothing of majobctl. It has versions by the document's own serial, of which the highest is
shown and none is taken twice (422), and a lock whose ID is all that is told of its holder (409); a
write without that ID fails with 500. With ``is_plain`` it is a server of Terraform's protocol: LOCK
and UNLOCK on the address, 423, and whatever is written is kept. ``rest`` is the rest of GitLab.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fake_forge import FakeForge
from tests.fake_service import QuietServer, serving

PATH, PLAIN_PATH = "/api/v4/projects/42/terraform/state/ml", "/states/ml"
USER, TOKEN = "alice", "test-token-not-a-real-one"
LOCK_FIELDS = ("ID", "Operation", "Info", "Who", "Version", "Created", "Path")

Reply = tuple[int, bytes]
Fault = Callable[["Handler", Callable[[], Reply]], Reply | None]


def message(status: int, text: str) -> Reply:
    return status, json.dumps({"message": text}).encode()


def lost(handler: Handler, carry_out: Callable[[], Reply]) -> None:
    """Carried out, and no answer."""
    carry_out()


def refused(status: int, text: str = "", *, after: bool = False) -> Fault:
    """This status, with or without the request being carried out."""

    def fault(handler: Handler, carry_out: Callable[[], Reply]) -> Reply:
        if after:
            carry_out()
        return message(status, text)

    return fault


@dataclass
class FakeGitLab:
    """One state of it. ``faults`` answer the next requests of a method (``POST lock`` for a lock);
    ``others`` are the states beside this one, by their paths."""

    is_plain: bool = False
    url: str = ""
    path: str = PATH
    others: dict[str, FakeGitLab] = field(default_factory=dict)
    versions: dict[int, bytes] = field(default_factory=dict)
    lock: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=lambda: {USER: TOKEN})
    readers: tuple[str, ...] = ()
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When a document was written."""
    mutex: threading.RLock = field(default_factory=threading.RLock)
    rest: FakeForge | None = None

    @property
    def content(self) -> bytes:
        """What is shown."""
        return self.versions[max(self.versions)] if self.versions else b""

    @property
    def document(self) -> Any:
        return json.loads(self.content)

    @property
    def states(self) -> list[Any]:
        """The state in each version."""
        documents = [json.loads(self.versions[number]) for number in sorted(self.versions)]
        return [it["state"] and json.loads(it["state"]) for it in documents]

    def fail(self, method: str, *faults: Fault) -> None:
        self.faults.setdefault(method, deque()).extend(faults)

    def reply_to(self, method: str, query: dict[str, list[str]], user: str, body: bytes) -> Reply:
        if user not in self.users:
            return message(401, "401 Unauthorized")
        if method != "GET" and user in self.readers:
            return message(403, "403 Forbidden")
        if method == "GET":
            return (200, self.content) if self.versions else message(404, "404 Not found")
        document = json.loads(body) if body else {}
        given = document.get("ID") if method != "POST" else None
        given = query.get("ID", [given])[0]
        if method == "POST":
            return self.write(document, given, body)
        if method == "LOCK":
            return self.take(document, user)
        if given is not None and given != self.lock.get("ID"):
            return message(423 if self.is_plain else 409, "")
        self.lock = {}
        return 200, b""

    def write(self, document: Any, given: str | None, body: bytes) -> Reply:
        if self.is_plain:
            self.versions = {max(self.versions, default=0) + 1: body}
        elif given != self.lock.get("ID"):
            return message(500, "500 Internal Server Error")
        elif not isinstance(document.get("serial"), int):
            return message(422, "No serial in payload")
        elif document["serial"] in self.versions:
            return message(422, "PG::UniqueViolation: duplicate key value")
        else:
            self.versions[document["serial"]] = body
        self.times.append(time.monotonic())
        return 200, b""

    def take(self, document: Any, user: str) -> Reply:
        if sorted(document) != sorted(LOCK_FIELDS) or len(document["ID"]) > 255:
            return message(400, "a field is missing, or ID is too long")
        if self.lock:
            return 423 if self.is_plain else 409, json.dumps(self.lock).encode()
        self.lock = document if self.is_plain else {"ID": document["ID"], "Who": user}
        return 200, json.dumps(self.lock).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    gitlab: FakeGitLab

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.gitlab.rest and "/terraform/" not in self.path:
            self.gitlab.rest.serve(self, body)
            return
        parts, words = urlsplit(self.path), (self.headers.get("Authorization") or "").split()
        gitlab = self.gitlab.others.get(parts.path.removesuffix("/lock"), self.gitlab)
        known = {b64encode(f"{it}:{key}".encode()).decode(): it for it, key in gitlab.users.items()}
        user, path = known.get(words[-1] if words else "", ""), gitlab.path
        method = self.command
        if parts.path == f"{path}/lock" and not gitlab.is_plain:
            path, method = parts.path, {"POST": "LOCK", "DELETE": "UNLOCK"}.get(method, "")

        def carry_out() -> Reply:
            with gitlab.mutex:
                return gitlab.reply_to(method, parse_qs(parts.query), user, body)

        gitlab.asked.append(method)
        waiting = gitlab.faults.get(method)
        if parts.path != path:
            reply: Reply | None = message(404, "404 Project Not Found")
        elif waiting:
            reply = waiting.popleft()(self, carry_out)
        else:
            reply = carry_out()
        if reply is None:
            self.close_connection = True
            return
        self.send_response(reply[0])
        self.send_header("Content-Length", str(len(reply[1])))
        if 300 <= reply[0] < 400:
            self.send_header("Location", reply[1].decode())
        self.end_headers()
        self.wfile.write(reply[1])

    do_GET = do_POST = do_PUT = do_DELETE = do_LOCK = do_UNLOCK = handle_one

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at what was asked."""


@contextmanager
def running(*, is_plain: bool = False) -> Iterator[FakeGitLab]:
    gitlab = FakeGitLab(is_plain, path=PLAIN_PATH if is_plain else PATH)
    handler = type("BoundHandler", (Handler,), {"gitlab": gitlab})
    with serving(QuietServer(("127.0.0.1", 0), handler)) as port:
        gitlab.url = f"http://127.0.0.1:{port}{gitlab.path}"
        yield gitlab
