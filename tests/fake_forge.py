"""The REST interfaces of GitHub and of GitLab, as far as a CI job needs them, on a loopback port.

Written from their public reference, and uses nothing of majobctl. It is strict: it refuses what the
real ones refuse (tokens, permissions, bodies that are too long), gives lists in pages, and orders
them as documented.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.fake_service import QuietServer, serving

REPOSITORY, REQUEST = "ml/configs", 3
JOB_TOKEN, NOTE_TOKEN = "job-token-not-a-real-one", "note-token-not-a-real-one"
BOT = {"id": 41898282, "login": "github-actions[bot]", "type": "Bot"}
OWN = {"id": 70, "username": "project_42_bot"}

Reply = tuple[int, Any, dict[str, str]]
Fault = Callable[[Callable[[], Reply]], Reply | None]
Query = Mapping[str, str]


def failed(status: int, text: str, **more: Any) -> Reply:
    return status, {"message": text, **more}, {}


def lost(carry_out: Callable[[], Reply]) -> None:
    """Carried out, and no answer."""
    carry_out()


def dropped(carry_out: Callable[[], Reply]) -> None:
    """Not carried out, and no answer."""


def refused(status: int, text: str = "", /, after: bool = False, **headers: str) -> Fault:
    """This status, with or without the request being carried out."""

    def fault(carry_out: Callable[[], Reply]) -> Reply:
        if after:
            carry_out()
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return status, {"message": text}, named

    return fault


@dataclass
class FakeForge:
    """``comments`` are those of the one request, as documents of the interface, and ``issues`` all
    of them. ``permissions`` has those of the job whose token it is (GitHub). ``faults`` answer the
    next requests of a method in its place; ``users`` has whose each token is, None for a token that
    may not ask."""

    users: dict[str, Any] = field(default_factory=dict)
    comments: list[Any] = field(default_factory=list)
    issues: list[Any] = field(default_factory=list)
    approvals: list[Any] = field(default_factory=list)
    permissions: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: dict[str, deque[Fault]] = field(default_factory=dict)
    has_issues: bool = True
    asked: list[str] = field(default_factory=list)
    url: str = ""
    next_id: int = 500
    mutex: threading.RLock = field(default_factory=threading.RLock)
    prefix = ""
    author = ""
    numbers = "number"

    def fail(self, method: str, *faults: Fault) -> None:
        self.faults.setdefault(method, deque()).extend(faults)

    def serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        """Answers one request."""
        parts, method = urlsplit(handler.path), handler.command
        query = dict(parse_qsl(parts.query))
        self.asked.append(f"{method} {handler.path}")

        def carry_out() -> Reply:
            with self.mutex:
                path = parts.path.removeprefix(self.prefix)
                return self.reply(method, path, query, handler.headers, body)

        waiting = self.faults.get(method)
        reply = waiting.popleft()(carry_out) if waiting else carry_out()
        if reply is None:
            handler.close_connection = True
            return
        status, document, headers = reply
        content = b"" if status == 204 else json.dumps(document).encode()
        handler.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def reply(self, method: str, path: str, query: Query, headers: Any, content: bytes) -> Reply:
        raise NotImplementedError

    def page(self, path: str, items: list[Any], query: Query, usual: int) -> Reply:
        size = min(int(query.get("per_page", usual)), 100)
        number = int(query.get("page", 1))
        part = items[(number - 1) * size : number * size]
        links = []
        for name, wanted in (("next", number + 1), ("first", 1)):
            if name == "first" or number * size < len(items):
                given = urlencode({**query, "page": wanted})
                links.append(f'<{self.url}{path}?{given}>; rel="{name}"')
        return 200, part, {"Link": ", ".join(links)}

    def new_id(self) -> int:
        self.next_id += 1
        return self.next_id

    def made(self, author: Any, **more: Any) -> Any:
        return {"id": self.new_id(), self.author: author, **more}


def found(items: list[Any], key: str, number: str) -> Any:
    return next((item for item in items if item[key] == int(number)), None)


class FakeGitHub(FakeForge):
    author = "user"

    def reply(self, method: str, path: str, query: Query, headers: Any, content: bytes) -> Reply:
        scheme, _, token = (headers["Authorization"] or "").partition(" ")
        if not headers["User-Agent"]:
            return failed(403, "Request forbidden by administrative rules.")
        if scheme != "Bearer" or token not in self.users:
            return failed(401, "Bad credentials")
        user, document = self.users[token], json.loads(content or b"{}")
        if path == "/user":
            return (
                (200, user, {}) if user else failed(403, "Resource not accessible by integration")
            )
        place = path.removeprefix(f"/repos/{REPOSITORY}")
        if place == path:
            return failed(404, "Not Found")
        if place == "":
            return 200, {"full_name": REPOSITORY, "default_branch": "main"}, {}
        wanted = "issues" if re.fullmatch(r"/issues(/\d+)?", place) else "pull-requests"
        wanted = "actions" if place.startswith("/actions/") else wanted
        level = self.permissions[token].get(wanted, "")
        if level not in (("read", "write") if method == "GET" else ("write",)):
            return failed(403, "Resource not accessible by integration")
        if place == "/actions/runs/77/approvals" and method == "GET":
            return 200, self.approvals, {}
        if place.startswith("/issues/comments/"):
            return self._comment(method, place.rpartition("/")[2], document)
        if place == f"/issues/{REQUEST}/comments":
            return self._comments(method, path, query, document, user or BOT)
        return self._issues(method, place, path, query, document, user or BOT)

    def _refusal(self, document: Any, resource: str) -> Reply | None:
        body = document.get("body", "")
        if not isinstance(body, str) or (resource == "IssueComment" and not body.strip()):
            return failed(422, "Validation Failed")
        if len(body) > 65_536:
            text = "body is too long (maximum is 65536 characters)"
            error = {"resource": resource, "code": "custom", "field": "body", "message": text}
            return failed(422, "Validation Failed", errors=[error])
        return None

    def _comments(self, method: str, path: str, query: Query, document: Any, user: Any) -> Reply:
        if method == "GET":
            ordered = sorted(self.comments, key=lambda it: int(it["id"]))
            return self.page(path, ordered, query, 30)
        if refusal := self._refusal(document, "IssueComment"):
            return refusal
        self.comments.append(made := self.made(user, body=document["body"]))
        return 201, made, {}

    def _comment(self, method: str, number: str, document: Any) -> Reply:
        comment = found(self.comments, "id", number)
        if comment is None:
            return failed(404, "Not Found")
        if method == "DELETE":
            self.comments.remove(comment)
            return 204, None, {}
        if refusal := self._refusal(document, "IssueComment"):
            return refusal
        comment["body"] = document["body"]
        return 200, comment, {}

    def _issues(
        self, method: str, place: str, path: str, query: Query, document: Any, user: Any
    ) -> Reply:
        if not self.has_issues:
            return failed(410, "Issues has been disabled in this repository.")
        if method == "GET":
            state = query.get("state", "open")
            shown = [it for it in self.issues if state in ("all", it["state"])]
            shown.sort(key=lambda it: int(it["id"]), reverse=query.get("direction") != "asc")
            return self.page(path, shown, query, 30)
        if refusal := self._refusal(document, "Issue"):
            return refusal
        if method == "POST":
            labels = [{"name": name} for name in document.pop("labels", [])]
            number = len(self.issues) + 7
            made = self.made(user, number=number, state="open", labels=labels, **document)
            self.issues.append(made)
            return 201, made, {}
        issue = found(self.issues, "number", place.rpartition("/")[2])
        if issue is None:
            return failed(404, "Not Found")
        issue.update(document)
        return 200, issue, {}


class FakeGitLab(FakeForge):
    author, prefix = "author", "/api/v4"

    def reply(self, method: str, path: str, query: Query, headers: Any, content: bytes) -> Reply:
        user = self.users.get(headers["PRIVATE-TOKEN"] or "")
        if user is None:
            return failed(401, "401 Unauthorized")
        if path == "/user":
            return 200, user, {}
        place, document = path.removeprefix("/projects/42"), json.loads(content or b"{}")
        if place == path:
            return failed(404, "404 Project Not Found")
        for text in (document.get("body", ""), document.get("description", "")):
            if len(text) > 1_000_000:
                too_long = "is too long (maximum is 1000000 characters)"
                return 400, {"message": {"note": [too_long]}}, {}
        match = re.fullmatch(rf"/(merge_requests/{REQUEST}/notes|issues)(?:/(\d+))?", place)
        if match is None:
            return failed(404, "404 Not found")
        is_note, number = match[1] != "issues", match[2]
        items = self.comments if is_note else self.issues
        if method == "GET":
            shown = [it for it in items if is_note or query.get("state") in (None, it["state"])]
            shown.sort(key=lambda it: int(it["id"]), reverse=query.get("sort") != "asc")
            return self.page(self.prefix + path, shown, query, 20)
        if method == "POST":
            if is_note:
                made = self.made(user, body=document["body"], system=False)
            else:
                labels = document.pop("labels", "").split(",")
                made = self.made(
                    user, iid=len(items) + 7, state="opened", **document, labels=labels
                )
            items.append(made)
            return 201, made, {}
        item = found(items, "id" if is_note else "iid", number)
        if item is None:
            return failed(404, "404 Note Not Found")
        if is_note and item["author"] != user:
            return failed(403, "403 Forbidden")
        if method == "DELETE":
            items.remove(item)
            return 204, None, {}
        if document.pop("state_event", "") == "close":
            item["state"] = "closed"
        item.update(document)
        return 200, item, {}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    forge: FakeForge

    def handle_one(self) -> None:
        self.forge.serve(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the tests look at what was asked."""


@contextmanager
def running(forge: FakeForge) -> Iterator[FakeForge]:
    handler = type("BoundHandler", (Handler,), {"forge": forge})
    with serving(QuietServer(("127.0.0.1", 0), handler)) as port:
        forge.url = f"http://127.0.0.1:{port}"
        yield forge
