"""The in-process transport: a requests adapter that calls a WSGI application without a socket."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPHeaderDict, HTTPResponse
from werkzeug.test import EnvironBuilder

from majobctl.emulator.app import Emulator, call_app
from majobctl.emulator.errors import AnswerLost


class WsgiAdapter(HTTPAdapter):
    """Sends each request to `app`, which it does not close; timeouts, proxies and certificates have
    no effect. A lost answer raises requests' ConnectionError, as a broken connection does."""

    def __init__(self, app: Emulator) -> None:
        super().__init__()
        self._app = app

    def send(  # type: ignore[override]
        self, request: requests.PreparedRequest, **ignored: Any
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
        return self.build_response(request, raw)


def _make_environ(request: requests.PreparedRequest) -> dict[str, Any]:
    url = urlsplit(request.url or "")
    path, body = url.path or "/", request.body
    environ = EnvironBuilder(
        path=unquote(path),
        base_url=f"{url.scheme}://{url.netloc.rpartition('@')[2]}",
        query_string=url.query,
        method=request.method or "GET",
        headers=[*request.headers.items()],
        input_stream=io.BytesIO(body.encode() if isinstance(body, str) else body or b""),
    ).get_environ()
    raw = f"{path}?{url.query}" if url.query else path
    return {**environ, "RAW_URI": raw, "wsgi.input_terminated": True}
