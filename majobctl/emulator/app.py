"""The WSGI application: routes a request, applies the faults, checks the caller, makes the call
and writes the answer, which is always JSON."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug import exceptions
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from majobctl.emulator import auth
from majobctl.emulator.calls import Calls
from majobctl.emulator.errors import AnswerLost, Refusal, refuse, refuse_at_gateway
from majobctl.emulator.faults import Draw, Faults
from majobctl.emulator.iam import Iam
from majobctl.emulator.like import LikeCalls
from majobctl.emulator.request_log import RequestLog
from majobctl.emulator.store import Store

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LARGEST_BODY = 1024 * 1024

_CONFIGS = "/v1/<project>/training-job-configs"
_ROUTES = Map(
    [
        Rule("/v3", methods=["GET"], endpoint="iam.show_version"),
        Rule("/v3/auth/tokens", methods=["POST"], endpoint="iam.issue_token"),
        Rule("/v3/auth/catalog", methods=["GET"], endpoint="iam.show_catalog"),
        Rule("/v3/projects", methods=["GET"], endpoint="iam.list_projects"),
        Rule("/v3/auth/projects", methods=["GET"], endpoint="iam.list_projects"),
        Rule("/v3.0/OS-AUTH/id-token/tokens", methods=["POST"], endpoint="iam.exchange_id_token"),
        Rule("/v3.0/OS-CREDENTIAL/securitytokens", methods=["POST"], endpoint="iam.issue_key"),
        Rule(_CONFIGS, methods=["GET"], endpoint="list_configs"),
        Rule(_CONFIGS, methods=["POST"], endpoint="create_config"),
        Rule(f"{_CONFIGS}/<name>", methods=["GET"], endpoint="get_config"),
        Rule(f"{_CONFIGS}/<name>", methods=["PUT"], endpoint="update_config"),
        Rule(f"{_CONFIGS}/<name>", methods=["DELETE"], endpoint="delete_config"),
        Rule("/v1/<project>/job/ai-engines", methods=["GET"], endpoint="list_engines"),
        Rule("/v1/<project>/job/resource-specs", methods=["GET"], endpoint="list_flavors"),
        Rule("/v1/<project>/built-in-algorithms", methods=["GET"], endpoint="list_algorithms"),
    ],
    strict_slashes=False,
    merge_slashes=False,
).bind("emulator")


class _Request(Request):
    max_content_length = LARGEST_BODY


class _Answer(NamedTuple):
    status: int
    document: Mapping[str, Any]
    headers: Mapping[str, str]
    config_name: str | None = None


class Emulator:
    """The application; safe to use from several threads. Close it at the end."""

    def __init__(
        self, store: Store, project_id: str, faults: Faults, log: RequestLog | None
    ) -> None:
        self._store = store
        self._calls = (LikeCalls if faults.like else Calls)(store, faults)
        self._latency = faults.latency_ms / 1000
        self._draw = Draw(faults)
        self._iam = Iam(project_id)
        self._log = log

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answers one request, or raises AnswerLost once it is carried out."""
        started = time.perf_counter()
        request = _Request(environ)
        fate = self._draw.next()
        if self._latency:
            time.sleep(self._latency)
        try:
            if fate.refusal is not None:
                raise fate.refusal
            answer = self._answer(request)
        except Refusal as refusal:
            name = _path_name(request.path)
            answer = _Answer(refusal.status, refusal.document, refusal.headers, name)
        self._write_log(request, answer, fate.loses_answer, time.perf_counter() - started)
        if fate.loses_answer:
            raise AnswerLost
        return _respond(answer)(environ, start_response)

    def expire_tokens(self) -> None:
        """From now on every token and temporary key issued so far is refused."""
        self._iam.expire_all()

    def close(self) -> None:
        """Closes the data and the log. May be called again."""
        self._store.close()
        if self._log:
            self._log.close()

    def __enter__(self) -> Emulator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> _Answer:
        endpoint, values = _route(request)
        body = _read_body(request)
        pieces = _pieces(request, body)
        if endpoint.startswith("iam."):
            return _Answer(*self._iam.answer(endpoint[4:], pieces, request.host_url.rstrip("/")))
        self._iam.check_caller(pieces, values.pop("project"))
        name = values.get("name")
        try:
            if endpoint == "create_config":
                name, document = self._calls.create_config(body)
            elif endpoint == "update_config":
                document = self._calls.update_config(values["name"], body)
            elif endpoint == "delete_config":
                document = self._calls.delete_config(values["name"])
            else:
                read: Callable[..., dict[str, Any]] = getattr(self._calls, endpoint)
                document = read(request.args, **values)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise refuse("ModelArts.0010", f"Internal error: {error}.") from error
        return _Answer(200, document, {}, name)

    def _write_log(self, request: Request, answer: _Answer, lost: bool, seconds: float) -> None:
        if self._log:
            self._log.write(
                method=request.method,
                path=request.path,
                query=request.query_string.decode("latin-1"),
                status=answer.status,
                error_code=answer.document.get("error_code"),
                duration_ms=round(seconds * 1000, 3),
                config_name=answer.config_name,
                **({"answer_lost": True} if lost else {}),
            )


def call_app(
    app: WSGIApplication, environ: WSGIEnvironment
) -> tuple[str, list[tuple[str, str]], bytes]:
    """The status line, headers and body of the response. Raises AnswerLost as ``app`` does."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None, /) -> Any:
        started.append((status, headers))

    body = b"".join(app(environ, start_response))
    return (*started[-1], body)


def _route(request: Request) -> tuple[str, dict[str, str]]:
    try:
        endpoint, values = _ROUTES.match(request.path, request.method)
    except exceptions.MethodNotAllowed as error:
        allowed = {"Allow": ", ".join(sorted(error.valid_methods or ()))}
        message = f"The API does not support {request.method}."
        raise refuse_at_gateway(405, "APIGW.0101", message, allowed) from None
    except exceptions.NotFound:
        raise refuse_at_gateway(404, "APIGW.0101", "The API does not exist.") from None
    return endpoint, dict(values)


def _read_body(request: Request) -> bytes:
    try:
        return request.get_data()
    except exceptions.RequestEntityTooLarge:
        raise refuse("ModelArts.2787", f"The body has more than {LARGEST_BODY} bytes.") from None
    except exceptions.ClientDisconnected:
        raise refuse("ModelArts.2787", "The body is shorter than Content-Length says.") from None


def _pieces(request: Request, body: bytes) -> auth.Pieces:
    path, query = auth.raw_path_and_query(request.environ)
    headers = {key.lower(): value for key, value in request.headers.items()}
    return auth.Pieces(method=request.method, path=path, query=query, headers=headers, body=body)


def _path_name(path: str) -> str | None:
    parts = path.split("/")
    is_config = len(parts) == 5 and parts[3] == "training-job-configs"
    return parts[4] if is_config else None


def _respond(answer: _Answer) -> Response:
    text = json.dumps(answer.document, separators=(",", ":"))
    response = Response(text, answer.status, answer.headers, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response
