"""One try at a time over HTTP: sends exactly the given bytes and brings back a whole answer.

It knows neither credentials nor JSON, and never raises for what the network does. It imports
requests, so that it is itself imported where a session first sends.
"""

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
from majobctl.service.http.deadlines import (
    DeadlineAdapter,
    _Deadlines,
    start_deadline,
)
from majobctl.service.http.responses import NoResponse, Response
from majobctl.target import is_loopback
from majobctl.text import printable

SIZE_LIMIT = 64 * 2**20
"""The largest answer that is read, in bytes."""

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
    ((http.client.HTTPException, urllib3_errors.InvalidHeader), "what came is not HTTP"),
)


class Transport:
    """A pool of connections; safe to use from several threads.

    ``timeout`` bounds, in seconds, the connecting and then the whole answer. Proxies and trusted
    certificates come from the environment, but for a loopback address. ``.netrc``, cookies and
    redirects are not followed: requests' adapter is used without its session, which does that.
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
        self._deadlines = _Deadlines(timeout)
        self._verify = _trusted_certificates(ca_file)

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Response | NoResponse:
        """Sends one request and reads the whole answer.

        Tells the log of each, without its headers and bodies: there the secrets are.
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
                result = _no_answer(error)
            except ValueError:
                # What urllib3 lets through for a chunk of a negative size.
                result = NoResponse("what came is not HTTP", was_sent=True)
        if deadline.has_passed:
            return NoResponse(f"no whole answer within {self._timeout:g} s", was_sent=True)
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
    """The request as it is: it was quoted, and signed as that, before it came here."""
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
        return NoResponse("the answer is compressed, which was not asked for", was_sent=True)
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > SIZE_LIMIT:
            return NoResponse(f"the answer is larger than {SIZE_LIMIT // 2**20} MiB", was_sent=True)
    promised = headers.get("content-length", "")
    if promised.isdecimal() and "transfer-encoding" not in headers and int(promised) != len(body):
        return NoResponse(
            f"the answer was cut short: {len(body)} of {promised} bytes came", was_sent=True
        )
    return Response(response.status_code, headers, bytes(body))


def _no_answer(error: Exception) -> NoResponse:
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            reason = (
                f"the service's certificate is not trusted ({cause.verify_message});"
                " OS_CACERT or REQUESTS_CA_BUNDLE names a file with the certificates to trust"
            )
            return NoResponse(reason, was_sent=False, is_final=True)
    reason = _reason(causes)
    never_connected = any(
        isinstance(cause, (urllib3_errors.NewConnectionError, urllib3_errors.ConnectTimeoutError))
        for cause in causes
    )
    if never_connected:
        return NoResponse(f"cannot connect to the service: {reason}", was_sent=False)
    return NoResponse(f"the connection broke: {reason}", was_sent=True)


def _reason(causes: list[BaseException]) -> str:
    """What the system says, or else what the kind of one of the errors means."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    for cause in causes:
        for types, text in _REASONS:
            if isinstance(cause, types):
                return text
    return "no answer came"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it wraps. Only types and system messages are told of them: the texts of
    requests' errors are not ours to vouch for."""
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
    named = {
        "OS_CACERT": ca_file,
        "REQUESTS_CA_BUNDLE": os.environ.get("REQUESTS_CA_BUNDLE"),
        "CURL_CA_BUNDLE": os.environ.get("CURL_CA_BUNDLE"),
    }
    for name, path in named.items():
        if path:
            if not Path(path).exists():
                raise AuthError(f"{name} names {path}, which does not exist")
            return path
    return True
