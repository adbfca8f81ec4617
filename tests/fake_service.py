"""The fake of ModelArts and IAM, on a loopback port; scripts and hooks make it misbehave.

It is written from the REST reference, checks signatures by its own arithmetic, keeps what it was
asked, and uses nothing of majobctl.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from tests.config_repository import until

ACCESS_KEY = "TESTAK00000000000001"
SECRET_KEY = "test-sk-not-a-real-secret-0000000000000001"
SECURITY_TOKEN = "test-security-token-not-a-real-one"
PASSWORD = "test-password-not-a-real-one"
PROJECT = "0123456789abcdef0123456789abcdef"

ENVIRONMENT = {"OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}

SPECS: list[dict[str, Any]] = [
    {"spec_id": 2, "spec_code": "modelarts.vm.cpu.2u", "max_num": 4},
    {"spec_id": 4, "spec_code": "modelarts.vm.gpu.v100", "max_num": 4},
    {"spec_id": 70, "spec_code": "modelarts.vm.gpu.p100", "max_num": 4},
]
ENGINES: list[dict[str, Any]] = [
    {"engine_id": 31, "engine_name": "PyTorch", "engine_version": "PyTorch-1.0.0-python3.6"},
    {"engine_id": 4, "engine_name": "TensorFlow", "engine_version": "TF-1.8.0-python3.6"},
]
MODELS: list[dict[str, Any]] = [
    {"model_id": 4, "model_name": "ResNet_v2_50"},
    {"model_id": 12, "model_name": "yolo_v3"},
]
MANY_MODELS = [{"model_id": number, "model_name": f"model_{number}"} for number in range(1, 106)]
IDS = {"spec_id": 70, "engine_id": 31}
"""The ids of the flavor and the engine in ``config_repository.JOB``."""

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "worker_server_num": int,
    "app_url": str,
    "boot_file_url": str,
    "model_id": int,
    "train_url": str,
    "log_url": str,
    "user_image_url": str,
    "user_command": str,
    "config_desc": str,
    "parameter": list,
    "spec_id": int,
    "engine_id": int,
    "data_url": str,
    "dataset_id": str,
    "dataset_version_id": str,
    "data_source": list,
}
"""The fields of a configuration's body; a blank one is "" or [], or 0 for a number."""

Reply = tuple[int, Any, Mapping[str, str]]
OK: Reply = (200, {"is_success": True}, {})


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
    """What the service holds, what it was asked, and how it misbehaves.

    ``configs`` are the bodies by name. With ``has_every_name`` any configuration may be updated
    (none is missing, those that were never sent are blank), and bodies must be complete and of the
    right types. ``script`` answers the next requests;
    ``before_put`` is called with the name while a PUT waits for its answer; if it gives a reply,
    that is the answer, and nothing is kept.
    """

    has_every_name: bool = False
    url: str = ""
    requests: list[Received] = field(default_factory=list)
    script: deque[Callable[[Handler], None]] = field(default_factory=deque)
    before_put: Callable[[str], Reply | None] = lambda name: None
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    specs: list[dict[str, Any]] = field(default_factory=SPECS.copy)
    engines: list[dict[str, Any]] = field(default_factory=ENGINES.copy)
    models: list[dict[str, Any]] = field(default_factory=MODELS.copy)
    tokens: set[str] = field(default_factory=set)
    password: str = PASSWORD
    issued: int = 0
    token_life: timedelta = timedelta(days=1)
    paged: bool = True
    largest_page: int = 1000
    tells_total: bool = True
    connections: int = 0
    badly_signed: int = 0
    most_at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _under_way: int = 0
    _open: int = 0

    @property
    def environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def settings(self, extra: str = "") -> str:
        """A majobctl.toml for this service; ``extra`` are further lines of [provider]."""
        return (
            "[provider]\n"
            f'kind = "modelarts"\nendpoint = "{self.url}"\nproject_id = "{PROJECT}"\n{extra}\n'
        )

    def answer_next(
        self, status: int, document: object, headers: dict[str, str] | None = None
    ) -> None:
        """The next request gets this answer, whatever it is; bytes are sent as they are."""
        self.script.append(lambda handler: handler.answer(status, document, headers))

    def asked(self, method: str, part: str = "") -> list[Received]:
        return [item for item in self.requests if item.method == method and part in item.path]

    @property
    def puts(self) -> dict[str, dict[str, Any]]:
        """The bodies of all PUTs by name; each name was sent once."""
        found = [(name_of(item.path), item.document) for item in self.asked("PUT")]
        assert len(dict(found)) == len(found), "a configuration was sent twice"
        return dict(found)

    def forget_requests(self) -> None:
        self.requests.clear()
        self.connections = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self.lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self.lock:
                self._under_way -= 1

    def await_rest(self) -> None:
        """Waits for what processes that have ended may have sent: until it has no connection."""
        until(lambda: not self._open, "the end of all connections")

    def fault_of(self, received: Received) -> str:
        """What is wrong with a configuration's body; "" for nothing."""
        body = received.document
        if received.headers.get("content-type") != "application/json" or not isinstance(body, dict):
            return "the body is not a JSON object"
        for key, value in body.items():
            if key not in TYPES:
                return f"unknown field {key}"
            if not isinstance(value, TYPES[key]):
                return f"wrong type of {key}"
        for item in body.get("parameter", []):
            if item.keys() != {"label", "value"} or not isinstance(item["value"], str):
                return "wrong parameter"
        known = {"spec_id": self.specs, "engine_id": self.engines, "model_id": self.models}
        for key, items in known.items():
            blanks = [] if key == "spec_id" else [0]
            if body.get(key, 0) not in [*blanks, *(item[key] for item in items)]:
                return f"unknown {key}"
        return ""


def refusal(status: int, code: str, message: str) -> Reply:
    return status, {"is_success": False, "error_code": code, "error_message": message}, {}


def name_of(path: str) -> str:
    return unquote(path.rpartition("/")[2])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: FakeService
    received: Received

    def setup(self) -> None:
        super().setup()
        with self.service.lock:
            self.service.connections += 1
            self.service._open += 1

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.service.lock:
                self.service._open -= 1

    def handle_one(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.received = received = Received(self.command, parts.path, query, headers, body)
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

    def answer(
        self, status: int, document: object, headers: Mapping[str, str] | None = None
    ) -> None:
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
        self.answer(*refusal(status, code, message))

    def handle_one_token(self) -> None:
        """For a script: answers as IAM does."""
        with self.service.lock:
            received = self.service.requests[-1]
        self.issue_token(received)

    def lose_answer(self) -> None:
        """For a script: carries the request out, and hangs up without an answer."""
        self.reply_to(self.service.requests[-1])
        self.send_raw(b"")

    def issue_token(self, received: Received) -> None:
        user = received.document["auth"]["identity"]["password"]["user"]
        if user["password"] != self.service.password:
            self.answer(401, {"error": {"message": "wrong user or password", "code": 401}})
            return
        now = datetime.now(timezone.utc)
        with self.service.lock:
            self.service.issued += 1
            token = f"test-token-{self.service.issued}"
            self.service.tokens.add(token)
        about = {
            "expires_at": f"{(now + self.service.token_life).isoformat()[:-6]}Z",
            "issued_at": f"{now.isoformat()[:-6]}Z",
            "project": {"id": PROJECT, "name": "eu-de"},
            "user": {"name": user["name"], "domain": user["domain"]},
        }
        self.answer(201, {"token": about}, {"X-Subject-Token": token})

    def unauthorized(self, received: Received) -> Reply | None:
        token = received.headers.get("x-auth-token")
        if token is not None:
            is_known = token in self.service.tokens
            return None if is_known else refusal(401, "ModelArts.0202", "The token has expired.")
        if not is_signed(received, urlsplit(self.path).query):
            self.service.badly_signed += 1
            return 401, {"error_code": "APIGW.0301", "error_msg": "wrong signature"}, {}
        if received.headers.get("x-project-id") != PROJECT:
            return refusal(403, "ModelArts.0210", "wrong project")
        return None

    def serve(self, received: Received) -> None:
        self.answer(*(self.unauthorized(received) or self.reply_to(received)))

    def reply_to(self, received: Received) -> Reply:
        service, path = self.service, received.path.removeprefix(f"/v1/{PROJECT}")
        if path == "/job/resource-specs":
            return 200, {"is_success": True, "specs": service.specs}, {}
        if path == "/job/ai-engines":
            return 200, {"is_success": True, "engines": service.engines}, {}
        if path == "/built-in-algorithms":
            models, total = self.page(received.query, service.models), len(service.models)
            return 200, {"is_success": True, "model_total_count": total, "models": models}, {}
        if path == "/training-job-configs":
            if received.method == "POST":
                return self.create_config(received.document)
            return self.list_configs(received.query)
        return self.serve_config(received, unquote(path.removeprefix("/training-job-configs/")))

    def create_config(self, document: dict[str, Any]) -> Reply:
        name = document["config_name"]
        if name in self.service.configs:
            return refusal(400, "ModelArts.0103", f"{name} is already in use.")
        self.service.configs[name] = document
        return OK

    def list_configs(self, query: dict[str, str]) -> Reply:
        names = sorted(self.service.configs, reverse=query.get("order") != "asc")
        configs = [{"config_name": name} for name in self.page(query, names)]
        answer: dict[str, Any] = {"is_success": True, "configs": configs}
        if self.service.tells_total:
            answer["config_total_count"] = len(names)
        return 200, answer, {}

    def page(self, query: dict[str, str], items: list[Any]) -> list[Any]:
        size = min(int(query.get("per_page", 10)), self.service.largest_page)
        start = size * (int(query.get("page", 1)) - 1) if self.service.paged else 0
        return items[start : start + size]

    def serve_config(self, received: Received, name: str) -> Reply:
        service = self.service
        if received.method == "PUT" and service.has_every_name:
            with service.counted():
                return service.before_put(name) or self.update_config(received, name)
        if received.method == "GET" and service.has_every_name:
            config = service.configs.get(name, {})
            return 200, {"is_success": True, "config_name": name, **config}, {}
        if name not in service.configs:
            return refusal(404, "ModelArts.0102", f"{name} does not exist.")
        if received.method == "GET":
            found = service.configs[name] or {"config_name": name}
            return 200, {"is_success": True, **found}, {}
        if received.method == "PUT":
            service.configs[name] = received.document
        else:
            del service.configs[name]
        return OK

    def update_config(self, received: Received, name: str) -> Reply:
        fault = self.service.fault_of(received)
        if fault:
            return refusal(400, "ModelArts.0101", fault)
        self.service.configs[name] = received.document
        return OK

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


class QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news here."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[int]:
    """Serves in a thread; the port."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def running(**known: Any) -> Iterator[FakeService]:
    """A service that is served until the end; ``known`` are its fields."""
    service = FakeService(**known)
    handler = type("BoundHandler", (Handler,), {"service": service})
    with serving(QuietServer(("127.0.0.1", 0), handler)) as port:
        service.url = f"http://127.0.0.1:{port}"
        yield service
