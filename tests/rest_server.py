"""The service as the REST reference describes it, on a loopback port, for tests of the command.

It knows catalogue calls and PUT, checks each signature, and keeps what it was asked. Nothing here
comes from majobctl.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.service.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, Received, is_signed

ENVIRONMENT = {"OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}

FLAVORS = {
    "modelarts.vm.cpu.2u": 2,
    "modelarts.vm.gpu.v100": 4,
    "modelarts.vm.gpu.p100": 91,
}
ENGINES = {
    ("PyTorch", "PyTorch-1.0.0-python3.6"): 77,
    ("TensorFlow", "TF-1.8.0-python3.6"): 4,
}
ALGORITHMS = {"ResNet_v2_50": 4, "yolo_v3": 12}

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "worker_server_num": int,
    "app_url": str,
    "boot_file_url": str,
    "model_id": (int, str),
    "train_url": str,
    "log_url": str,
    "user_image_url": str,
    "user_command": str,
    "config_desc": str,
    "parameter": list,
    "spec_id": int,
    "engine_id": (int, str),
    "data_url": str,
    "dataset_id": str,
    "dataset_version_id": str,
    "data_source": list,
}
"""The fields of a configuration's body; a blank one is "" or [] whatever else it may be."""

Reply = tuple[int, Any, Mapping[str, str]]


@dataclass
class RestServer:
    """What the service holds, what it was asked, and how it misbehaves.

    ``configs`` are the bodies by name. ``before_put`` is called with the name while a PUT waits
    for its answer; where it gives a reply, that is the answer and nothing is kept.
    """

    url: str = ""
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    connections: int = 0
    badly_signed: int = 0
    most_at_once: int = 0
    before_put: Callable[[str], Reply | None] = lambda name: None
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def environment(self) -> dict[str, str]:
        return ENVIRONMENT

    def settings(self, extra: str = "") -> str:
        """A majobctl.toml for this service; ``extra`` are further lines of [provider]."""
        return (
            "[provider]\n"
            f'kind = "modelarts"\nendpoint = "{self.url}"\nproject_id = "{PROJECT}"\n{extra}\n'
        )

    @property
    def puts(self) -> dict[str, dict[str, Any]]:
        """The bodies of all PUTs by name; each name was sent once."""
        found = [(name_of(item.path), item.document) for item in self.requests_of("PUT")]
        assert len(dict(found)) == len(found), "a configuration was sent twice"
        return dict(found)

    def requests_of(self, method: str) -> list[Received]:
        return [item for item in self.requests if item.method == method]

    def forget_requests(self) -> None:
        self.requests.clear()
        self.connections = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1


def refusal(status: int, code: str, message: str) -> Reply:
    return status, {"is_success": False, "error_code": code, "error_message": message}, {}


def name_of(path: str) -> str:
    return unquote(path.rpartition("/")[2])


def fault_of(body: Any) -> str:
    """What is wrong with a configuration's body; "" for nothing."""
    if not isinstance(body, dict):
        return "the body is no object"
    for key, value in body.items():
        if key not in TYPES:
            return f"unknown field {key}"
        if value not in ("", []) and not isinstance(value, TYPES[key]):
            return f"wrong type of {key}"
    for item in body.get("parameter", []):
        if item.keys() != {"label", "value"} or not isinstance(item["value"], str):
            return "wrong parameter"
    if body.get("spec_id") not in FLAVORS.values():
        return "unknown spec_id"
    if body.get("engine_id", "") not in ("", *ENGINES.values()):
        return "unknown engine_id"
    if body.get("model_id", "") not in ("", *ALGORITHMS.values()):
        return "unknown model_id"
    return ""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rest: RestServer

    def setup(self) -> None:
        super().setup()
        self.rest.connections += 1

    def do_GET(self) -> None:
        received = self._received()
        self._answer(self._fault(received) or _catalogue(self.rest, received))

    def do_PUT(self) -> None:
        received = self._received()
        with self.rest.counted():
            self._answer(self._fault(received) or self._put(received))

    def _received(self) -> Received:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        received = Received(self.command, parts.path, query, headers, body)
        self.rest.requests.append(received)
        return received

    def _fault(self, received: Received) -> Reply | None:
        if not is_signed(received, urlsplit(self.path).query):
            self.rest.badly_signed += 1
            return 401, {"error_code": "APIGW.0301", "error_msg": "wrong signature"}, {}
        if not received.path.startswith(f"/v1/{PROJECT}/"):
            return refusal(403, "ModelArts.0210", "wrong project")
        return None

    def _put(self, received: Received) -> Reply:
        name = name_of(received.path)
        reply = self.rest.before_put(name)
        if reply is not None:
            return reply
        if received.headers.get("content-type") != "application/json":
            return refusal(400, "ModelArts.2787", "the body is no JSON")
        fault = fault_of(received.document)
        if fault:
            return refusal(400, "ModelArts.0101", fault)
        self.rest.configs[name] = received.document
        return 200, {"is_success": True}, {}

    def _answer(self, reply: Reply) -> None:
        status, document, headers = reply
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _catalogue(rest: RestServer, received: Received) -> Reply:
    path = received.path.removeprefix(f"/v1/{PROJECT}")
    if path == "/job/resource-specs":
        specs = [{"spec_id": id_, "spec_code": code, "max_num": 4} for code, id_ in FLAVORS.items()]
        return 200, {"is_success": True, "specs": specs}, {}
    if path == "/job/ai-engines":
        engines = [
            {"engine_id": id_, "engine_name": name, "engine_version": version}
            for (name, version), id_ in ENGINES.items()
        ]
        return 200, {"is_success": True, "engines": engines}, {}
    if path == "/built-in-algorithms":
        models = [{"model_id": id_, "model_name": name} for name, id_ in ALGORITHMS.items()]
        return 200, {"is_success": True, "model_total_count": 2, "models": models}, {}
    return refusal(404, "ModelArts.0102", "there is nothing at this address")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no news here."""


@contextmanager
def running() -> Iterator[RestServer]:
    rest = RestServer()
    server = _Server(("127.0.0.1", 0), type("BoundHandler", (_Handler,), {"rest": rest}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    rest.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield rest
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
