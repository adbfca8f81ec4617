"""A small S3 on a loopback port, for one bucket; scripts make it misbehave.

It is written from Amazon's API reference, checks Signature Version 4 by its own arithmetic, and
uses nothing of majobctl.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

from tests.fake_service import QuietServer, serving

BUCKET, REGION = "state", "eu-de"
ACCESS_KEY, SECRET_KEY = "TESTAK0000000000S3", "test-sk-not-a-real-secret-s3"
SESSION_TOKEN = "test-session-token-not-a-real-one"

Reply = tuple[int, bytes, dict[str, str]]


def refusal(status: int, code: str, extra: str = "") -> Reply:
    text = f"<Error><Code>{code}</Code><Message>Not &lt;shown&gt;.</Message>{extra}</Error>"
    return status, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode(), {}


@dataclass
class FakeS3:
    """``objects`` are the bytes and the time of each key. ``script`` answers the next requests: a
    reply in place of the object's, or a callable that does anything with the handler."""

    url: str = ""
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    script: deque[Reply | Callable[[Handler], None]] = field(default_factory=deque)
    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    page: int = 1000
    session_token: str = ""
    heeds_conditions: bool = True
    date: str | None = None
    """The Date header of all answers, in place of the clock."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply_to(self, handler: Handler, body: bytes) -> Reply:
        parts, headers = urlsplit(handler.path), handler.lower()
        path = unquote(parts.path)
        if not headers["host"].startswith(f"{BUCKET}."):
            bucket, _, path = path.removeprefix("/").partition("/")
            if bucket != BUCKET:
                return refusal(404, "NoSuchBucket")
        if fault := self.fault_of(handler.command, parts.path, parts.query, headers, body):
            return refusal(400 if "Malformed" in fault else 403, fault)
        key, now = path.removeprefix("/"), datetime.now(timezone.utc)
        with self.lock:
            if handler.command == "PUT":
                is_refused = self.heeds_conditions and headers.get("if-none-match") == "*"
                if is_refused and key in self.objects:
                    return refusal(412, "PreconditionFailed")
                self.objects[key] = body, now
                return 200, b"", {}
            if handler.command == "DELETE":
                self.objects.pop(key, None)
                return 204, b"", {}
            if not key:
                return self.listed(dict(parse_qsl(parts.query)))
            if key not in self.objects:
                return refusal(404, "NoSuchKey")
        return 200, self.objects[key][0], {}

    def listed(self, query: dict[str, str]) -> Reply:
        assert query["list-type"] == "2"
        prefix, after = query["prefix"], query.get("continuation-token", "").removeprefix("a+/=")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        direct = [key for key in keys if query["delimiter"] not in key[len(prefix) :]]
        more = len(direct) > self.page
        text = "".join(
            f"<Contents><Key>{escape(key)}</Key>"
            f"<LastModified>{self.objects[key][1]:%Y-%m-%dT%H:%M:%S}.000Z</LastModified></Contents>"
            for key in direct[: self.page]
        )
        token = f"a+/={direct[self.page - 1]}" if more else ""
        text += f"<IsTruncated>{str(more).lower()}</IsTruncated>"
        text += f"<NextContinuationToken>{token}</NextContinuationToken>" if more else ""
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        return 200, f'<ListBucketResult xmlns="{space}">{text}</ListBucketResult>'.encode(), {}

    def fault_of(
        self, method: str, path: str, query: str, headers: dict[str, str], body: bytes
    ) -> str:
        """The code of what is wrong with a request's signature; "" for nothing."""
        form = (
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/([0-9]{8})/([^/]+)/s3/aws4_request,"
            r" ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
        )
        match = re.fullmatch(form, headers.get("authorization", ""))
        if not match or match[3] != REGION:
            return "AuthorizationHeaderMalformed"
        if match[1] != ACCESS_KEY:
            return "InvalidAccessKeyId"
        if headers.get("x-amz-security-token", "") != self.session_token:
            return "InvalidToken"
        date, names = headers["x-amz-date"], match[4].split(";")
        moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(datetime.now(timezone.utc) - moment) > timedelta(minutes=15):
            return "RequestTimeTooSkewed"
        wanted = {"host"} | {name for name in headers if name.startswith(("x-amz-", "if-"))}
        if not wanted <= set(names) or names != sorted(names) or date[:8] != match[2]:
            return "SignatureDoesNotMatch"
        digest = headers["x-amz-content-sha256"]
        if digest != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        pairs = sorted(
            (quote(key, safe="~"), quote(value, safe="~"))
            for key, value in parse_qsl(query, keep_blank_values=True)
        )
        canonical = [
            *(method, path, "&".join(f"{key}={value}" for key, value in pairs)),
            *(f"{name}:{headers[name]}" for name in names),
            *("", match[4], digest),
        ]
        hashed = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
        scope = f"{date[:8]}/{REGION}/s3/aws4_request"
        key = f"AWS4{SECRET_KEY}".encode()
        for text in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashed}"):
            key = hmac.new(key, text.encode(), "sha256").digest()
        return "" if key.hex() == match[5] else "SignatureDoesNotMatch"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    store: FakeS3

    def lower(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def handle_one(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.store.lock:
            self.store.asked.append((self.command, self.path, self.lower()))
            scripted = self.store.script.popleft() if self.store.script else None
        if callable(scripted):
            scripted(self)
        else:
            self.answer(*(scripted or self.store.reply_to(self, self.body)))

    do_GET = do_PUT = do_DELETE = handle_one

    def answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        date = self.store.date
        if date is None:
            date = format_datetime(datetime.now(timezone.utc), usegmt=True)
        own = {"Date": date, "x-amz-request-id": "TESTREQUEST1"} if date else {}
        if status != 204:
            own["Content-Length"] = str(len(body))
        for name, value in (own | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def lose_answer(self) -> None:
        """For a script: carries the request out, and hangs up without an answer."""
        self.store.reply_to(self, self.body)
        self.hang_up()

    def hang_up(self) -> None:
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def running(**known: Any) -> Iterator[FakeS3]:
    """A store that is served until the end; ``known`` are its fields."""
    store = FakeS3(**known)
    handler = type("BoundHandler", (Handler,), {"store": store})
    with serving(QuietServer(("127.0.0.1", 0), handler)) as port:
        store.url = f"http://127.0.0.1:{port}"
        yield store
