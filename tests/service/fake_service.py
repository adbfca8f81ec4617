"""A small ModelArts and IAM on a loopback port, which also misbehaves on demand.

It knows the REST calls only, and checks signatures by its own arithmetic.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

ACCESS_KEY = "TESTAK00000000000001"
SECRET_KEY = "test-sk-not-a-real-secret-0000000000000001"
SECURITY_TOKEN = "test-security-token-not-a-real-one"
PASSWORD = "test-password-not-a-real-one"
PROJECT = "0123456789abcdef0123456789abcdef"

SPECS = [
    {"spec_id": 2, "spec_code": "modelarts.vm.cpu.2u", "max_num": 2},
    {"spec_id": 70, "spec_code": "modelarts.vm.gpu.p100", "max_num": 4},
]
ENGINES = [
    {"engine_id": 31, "engine_name": "PyTorch", "engine_version": "PyTorch-1.0.0-python3.6"},
    {"engine_id": 501, "engine_name": "MXNet", "engine_version": "MXNet-1.2.1-python2.7"},
]
MODELS = [{"model_id": number, "model_name": f"model_{number}"} for number in range(1, 106)]


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass
class FakeService:
    """What the service knows, and what it was asked; ``script`` answers the next requests."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    script: deque[Callable[[Handler], None]] = field(default_factory=deque)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    issued: int = 0
    token_life: timedelta = timedelta(days=1)
    paged: bool = True
    largest_page: int = 1000
    tells_total: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer_next(
        self, status: int, document: object, headers: dict[str, str] | None = None
    ) -> None:
        """The next request gets this answer, whatever it is; bytes are sent as they are."""
        self.script.append(lambda handler: handler.answer(status, document, headers))

    def asked(self, method: str, part: str = "") -> list[Received]:
        return [item for item in self.requests if item.method == method and part in item.path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    service: FakeService

    def handle_one_token(self) -> None:
        """For a script: answers as IAM does."""
        with self.service.lock:
            received = self.service.requests[-1]
        self.issue_token(received)

    def handle_one(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.command, parts.path, query, headers, body)
        with self.service.lock:
            self.service.requests.append(received)
            scripted = self.service.script.popleft() if self.service.script else None
        if scripted:
            scripted(self)
        elif parts.path == "/v3/auth/tokens":
            self.issue_token(received)
        else:
            self.serve(received)

    do_GET = do_PUT = do_POST = do_DELETE = handle_one

    def answer(self, status: int, document: object, headers: dict[str, str] | None = None) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def send_raw(self, data: bytes) -> None:
        """Sends bytes that need not be HTTP, and hangs up."""
        self.wfile.write(data)
        self.wfile.flush()
        self.close_connection = True

    def refuse(self, status: int, code: str, message: str) -> None:
        document = {"is_success": False, "error_code": code, "error_message": message}
        self.answer(status, document)

    def issue_token(self, received: Received) -> None:
        auth = received.document["auth"]
        user = auth["identity"]["password"]["user"]
        if user["password"] != PASSWORD:
            self.answer(401, {"error": {"message": "wrong user or password", "code": 401}})
            return
        now = datetime.now(timezone.utc)
        with self.service.lock:
            self.service.issued += 1
            token = f"test-token-{self.service.issued}"
            self.service.tokens.add(token)
        self.answer(
            201,
            {
                "token": {
                    "expires_at": f"{(now + self.service.token_life).isoformat()[:-6]}Z",
                    "issued_at": f"{now.isoformat()[:-6]}Z",
                    "project": {"id": PROJECT, "name": "eu-de"},
                    "user": {"name": user["name"], "domain": user["domain"]},
                }
            },
            {"X-Subject-Token": token},
        )

    def serve(self, received: Received) -> None:
        if not self.is_known(received):
            return
        path = received.path.removeprefix(f"/v1/{PROJECT}")
        name = unquote(path.removeprefix("/training-job-configs/"))
        if path == "/job/resource-specs":
            self.answer(200, {"is_success": True, "specs": SPECS})
        elif path == "/job/ai-engines":
            self.answer(200, {"is_success": True, "engines": ENGINES})
        elif path == "/built-in-algorithms":
            self.list_models(received.query)
        elif path == "/training-job-configs" and received.method == "POST":
            self.create_config(received.document)
        elif path == "/training-job-configs":
            self.list_configs(received.query)
        elif name not in self.service.configs:
            self.refuse(404, "ModelArts.0102", f"{name} does not exist.")
        else:
            self.serve_config(received, name)

    def create_config(self, document: dict[str, Any]) -> None:
        name = document["config_name"]
        if name in self.service.configs:
            self.refuse(400, "ModelArts.0103", f"{name} is already in use.")
            return
        self.service.configs[name] = document
        self.answer(200, {"is_success": True})

    def list_configs(self, query: dict[str, str]) -> None:
        size = min(int(query.get("per_page", 10)), self.service.largest_page)
        start = size * (int(query.get("page", 1)) - 1) if self.service.paged else 0
        names = sorted(self.service.configs, reverse=query.get("order") != "asc")
        configs = [{"config_name": name} for name in names[start : start + size]]
        answer: dict[str, Any] = {"is_success": True, "configs": configs}
        if self.service.tells_total:
            answer["config_total_count"] = len(names)
        self.answer(200, answer)

    def lose_answer(self) -> None:
        """For a script: carries the request out, and hangs up without an answer."""
        received = self.service.requests[-1]
        name = unquote(received.path.rpartition("/")[2])
        if received.method == "POST":
            self.service.configs[received.document["config_name"]] = received.document
        elif received.method == "DELETE":
            del self.service.configs[name]
        self.send_raw(b"")

    def serve_config(self, received: Received, name: str) -> None:
        if received.method == "GET":
            self.answer(200, {"is_success": True, **self.service.configs[name]})
            return
        if received.method == "PUT":
            self.service.configs[name] = received.document
        else:
            del self.service.configs[name]
        self.answer(200, {"is_success": True})

    def list_models(self, query: dict[str, str]) -> None:
        size = int(query["per_page"])
        start = size * (int(query["page"]) - 1) if self.service.paged else 0
        models = MODELS[start : start + size]
        self.answer(200, {"is_success": True, "model_total_count": len(MODELS), "models": models})

    def is_known(self, received: Received) -> bool:
        token = received.headers.get("x-auth-token")
        if token is not None:
            if token not in self.service.tokens:
                self.refuse(401, "ModelArts.0202", "The token has expired.")
            return token in self.service.tokens
        if not is_signed(received, urlsplit(self.path).query):
            self.answer(401, {"error_code": "APIGW.0301", "error_msg": "wrong signature"})
            return False
        if received.headers.get("x-project-id") != PROJECT:
            self.refuse(403, "ModelArts.0210", "wrong project")
            return False
        return True

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def is_signed(received: Received, raw_query: str) -> bool:
    """Whether the AK/SK signature of a request is right, and its date is now."""
    form = r"SDK-HMAC-SHA256 Access=(.+), SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
    match = re.fullmatch(form, received.headers.get("authorization", ""))
    if not match or match[1] != ACCESS_KEY:
        return False
    names = match[2].split(";")
    if not {"host", "x-sdk-date"} <= set(names) or names != sorted(names):
        return False
    date = received.headers["x-sdk-date"]
    moment = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
    if abs(datetime.now(timezone.utc) - moment) > timedelta(minutes=15):
        return False
    segments = [quote(part, safe="~") for part in unquote(received.path).split("/")]
    pairs = sorted(parse_qsl(raw_query, keep_blank_values=True))
    lines = [
        received.method,
        "/".join(segments).rstrip("/") + "/",
        "&".join(f"{quote(k, safe='~')}={quote(v, safe='~')}" for k, v in pairs),
        *(f"{name}:{received.headers[name].strip()}" for name in names),
        "",
        match[2],
        hashlib.sha256(received.body).hexdigest(),
    ]
    hashed = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{hashed}".encode()
    return hmac.new(SECRET_KEY.encode(), to_sign, "sha256").hexdigest() == match[3]


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news here."""


@contextmanager
def running_service() -> Iterator[FakeService]:
    service = FakeService()
    handler = type("BoundHandler", (Handler,), {"service": service})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield service
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
