"""The in-process transport: a requests adapter that calls a WSGI application without a socket."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse

from majobctl.emulator.app import Emulator, call_app
from majobctl.emulator.errors import AnswerLost

_DEFAULT_PORTS = {"http": "80", "https": "443"}


class WsgiAdapter(HTTPAdapter):
    """Sends each request to `app`, which it does not close; timeouts, proxies and certificates have
    no effect. A lost answer raises requests' ConnectionError, as a broken connection does."""

    def __init__(self, app: Emulator) -> None:
        super().__init__()
        self._app = app

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        try:
            status, headers, body = call_app(self._app, _make_environ(request))
        except AnswerLost:
            message = "Connection aborted: the answer was lost"
            raise requests.exceptions.ConnectionError(message, request=request) from None
        code, _, reason = status.partition(" ")
        raw = HTTPResponse(
            body=io.BytesIO(body),
            headers=HTTPHeaderDict(headers),
            status=int(code),
            reason=reason,
            preload_content=False,
            request_method=request.method,
        )
        response = self.build_response(request, raw)
        if not stream:
            response.content  # noqa: B018  (reads the body, as a session would)
        return response


def _make_environ(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url or "")
    body = _read_body(request.body)
    path = url.path or "/"
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": url.query,
        "RAW_URI": f"{path}?{url.query}" if url.query else path,
        "SERVER_NAME": url.hostname or "",
        "SERVER_PORT": str(url.port or _DEFAULT_PORTS[url.scheme]),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": url.netloc.rpartition("@")[2],
    }
    for key, value in request.headers.items():
        name = _text(key).upper().replace("-", "_")
        prefix = "" if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_"
        environ[prefix + name] = _text(value)
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _read_body(body: Any) -> bytes:
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        return body.encode()
    if body is None or isinstance(body, bytes):
        return body or b""
    chunks: Iterable[str | bytes] = body
    return b"".join(_read_body(chunk) for chunk in chunks)
