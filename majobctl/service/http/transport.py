"""One try over HTTP: sends exactly the given bytes and returns a complete response, or the reason
why there is none. Imports requests, so a session imports this module with its first request."""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests
import requests.utils
from requests.adapters import BaseAdapter
from urllib3 import exceptions as urllib3_errors

from majobctl.errors import AuthError
from majobctl.service.http.deadlines import DeadlineAdapter, Deadlines, start_deadline
from majobctl.service.http.responses import NoResponse, Response
from majobctl.target import is_loopback
from majobctl.text import printable

SIZE_LIMIT = 64 * 2**20
"""The largest response that is read, in bytes."""

_CHUNK = 2**16
_LOG = logging.getLogger(__name__)

_REASONS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((TimeoutError, urllib3_errors.TimeoutError), "timed out"),
    (
        (
            urllib3_errors.IncompleteRead,
            urllib3_errors.InvalidChunkLength,
            requests.exceptions.ChunkedEncodingError,
        ),
        "the answer was cut short",
    ),
    (http.client.RemoteDisconnected, "no answer came"),
    ((http.client.HTTPException, urllib3_errors.InvalidHeader), "the answer is not HTTP"),
)


class Transport:
    """A pool of connections; safe to use from several threads.

    ``timeout`` limits, in seconds, the connecting and then the complete response. Proxies and
    trusted certificates come from the environment; a loopback address needs no proxy. ``.netrc``,
    cookies and redirects are ignored: requests handles them in its session, which is not used.
    """

    def __init__(
        self,
        *,
        timeout: float,
        connections: int,
        ca_file: str | None = None,
        mounted: Mapping[str, BaseAdapter] | None = None,
    ) -> None:
        self._timeout = timeout
        self._mounted = dict(mounted or {})
        self._adapter = DeadlineAdapter(pool_connections=4, pool_maxsize=connections)
        self._deadlines = Deadlines(timeout)
        self._verify = _trusted_certificates(ca_file)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response | NoResponse:
        """Sends one request and reads the complete response.

        Each request is logged without its headers and body, which hold secrets.
        """
        start = time.monotonic()
        result = self._sent(method, url, headers, body)
        ending = f"HTTP {result.status}" if isinstance(result, Response) else result.reason
        seconds = time.monotonic() - start
        _LOG.debug("%s %s: %s (%.2f s)", method, printable(url), ending, seconds)
        return result

    def _sent(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response | NoResponse:
        request = _prepared(method, url, headers, body)
        with start_deadline(self._deadlines) as deadline:
            try:
                result = self._exchange(request)
            except (requests.RequestException, urllib3_errors.HTTPError, OSError) as error:
                result = _no_response(error, url)
            except ValueError:
                # urllib3 raises this for a chunk of a negative size.
                result = NoResponse(reason="the answer is not HTTP", was_sent=True)
        if deadline.has_passed:
            reason = f"no complete answer within {self._timeout:g} s"
            return NoResponse(reason=reason, was_sent=True)
        return result

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.close()
        for adapter in self._mounted.values():
            adapter.close()

    def _exchange(self, request: requests.PreparedRequest) -> Response | NoResponse:
        url = request.url or ""
        adapter = self._adapter_for(url)
        response = adapter.send(
            request,
            stream=True,
            timeout=(self._timeout, self._timeout),
            verify=self._verify,
            proxies={} if is_loopback(url) else requests.utils.get_environ_proxies(url),
        )
        with contextlib.closing(response):
            return _read(response)

    def _adapter_for(self, url: str) -> BaseAdapter:
        for prefix, adapter in self._mounted.items():
            if url.startswith(prefix + "/"):
                return adapter
        return self._adapter


def _prepared(
    method: str, url: str, headers: Mapping[str, str], body: bytes
) -> requests.PreparedRequest:
    """A request that keeps ``url`` as it is: it is already quoted, and signed like that."""
    request = requests.PreparedRequest()
    request.prepare_method(method)
    request.url = url
    request.prepare_headers(headers)
    request.prepare_body(body or None, None)
    return request


def _read(response: requests.Response) -> Response | NoResponse:
    headers = {name.lower(): value for name, value in response.headers.items()}
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        reason = "the answer is compressed, although majobctl did not ask for that"
        return NoResponse(reason=reason, was_sent=True)
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > SIZE_LIMIT:
            reason = f"the answer is larger than {SIZE_LIMIT // 2**20} MiB"
            return NoResponse(reason=reason, was_sent=True)
    length = headers.get("content-length", "")
    if length.isdecimal() and "transfer-encoding" not in headers and int(length) != len(body):
        reason = f"the answer was cut short after {len(body)} of {length} bytes"
        return NoResponse(reason=reason, was_sent=True)
    return Response(status=response.status_code, headers=headers, body=bytes(body))


def _no_response(error: Exception, url: str) -> NoResponse:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = (
                f"the service's certificate is not trusted ({cause.verify_message}); set OS_CACERT"
                " or REQUESTS_CA_BUNDLE to a file with the certificates to trust"
            )
            return NoResponse(reason=reason, was_sent=False, is_final=True)
    reason = _reason(causes)
    unconnected = (urllib3_errors.NewConnectionError, urllib3_errors.ConnectTimeoutError)
    if any(isinstance(cause, unconnected) for cause in causes):
        address = "/".join(url.split("/", 3)[:3])
        return NoResponse(reason=f"cannot connect to {address}: {reason}", was_sent=False)
    return NoResponse(reason=f"the connection broke: {reason}", was_sent=True)


def _reason(causes: list[BaseException]) -> str:
    """The system's message, or else what the type of one of the errors means."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    for cause in causes:
        for types, text in _REASONS:
            if isinstance(cause, types):
                return text
    return "no answer came"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and all that it wraps. Messages use only their types and the system's texts: the
    texts of requests may hold a URL or a header."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]


def _trusted_certificates(ca_file: str | None) -> str | bool:
    named = {"OS_CACERT": ca_file}
    named |= {name: os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")}
    for name, path in named.items():
        if path and not Path(path).exists():
            raise AuthError(f"{name} is set to {path}, which does not exist")
        if path:
            return path
    return True
