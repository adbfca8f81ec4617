"""One try over HTTP: sends exactly the given bytes and returns a complete response, or the reason
why there is none. Imports requests, so others import this module with their first request."""

from __future__ import annotations

import codecs
import contextlib
import logging
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property

import requests
from requests.adapters import BaseAdapter
from urllib3.exceptions import HTTPError

from majobctl.http import NoResponse, Response
from majobctl.http.deadlines import DeadlineAdapter, Deadlines, start_deadline
from majobctl.http.failures import no_response, timed_out
from majobctl.http.route import Route, address_of, proxy_for, trusted_certificates
from majobctl.text import printable

SIZE_LIMIT = 16 * 2**20
_UNKNOWN_COMPRESSION = "the answer is not compressed as majobctl can read it, or was cut short"
_CHUNK = 2**16
Mask = Callable[[str], str]
_LOG = logging.getLogger(__name__)
for _name in ("urllib3.connection", "urllib3.connectionpool"):
    # This warning quotes the answer.
    logging.getLogger(_name).addFilter(lambda it: "parse headers" not in str(it.msg))


class Transport:
    """A pool of connections; safe to use from several threads.

    ``timeout`` limits, in seconds, the connecting and then the complete response. Proxies and
    trusted certificates come from the environment; ``ca_file``, a path and what names it, wins.
    ``.netrc``, cookies and redirects are ignored: requests handles them in its session, which is
    not used. ``adapter`` carries the requests in place of the network; no response may have more
    than ``size_limit`` bytes."""

    def __init__(
        self,
        *,
        timeout: float,
        connections: int,
        ca_file: tuple[str, str] | None = None,
        adapter: BaseAdapter | None = None,
        size_limit: int = SIZE_LIMIT,
    ) -> None:
        self._timeout, self._size_limit = timeout, size_limit
        self._is_network = adapter is None
        own = DeadlineAdapter(pool_connections=4, pool_maxsize=connections)
        self._adapter = adapter or own
        self._deadlines = Deadlines(timeout)
        self._ca_file = ca_file

    def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, shown: Mask
    ) -> Response | NoResponse:
        """Sends one request and reads the complete response. It is logged without its headers and
        body, which hold secrets; ``shown`` takes them out of a request id."""
        start = time.monotonic()
        request, route = _prepared(method, url, headers, body), Route(address=address_of(url))
        with start_deadline(self._deadlines) as deadline:
            # Only connections of the network note what was sent.
            deadline.was_sent = not self._is_network
            try:
                if self._is_network:
                    ca = self._ca if url.startswith("https:") else route.ca
                    route = replace(route, proxy=proxy_for(url), ca=ca)
                result = self._exchange(request, route)
            except (requests.RequestException, HTTPError, OSError, ValueError) as error:
                was_cut = deadline.has_passed and not deadline.was_sent
                # The socket's own timeout is as long, and may be first.
                deadline.has_passed |= deadline.was_sent and timed_out(error)
                result = no_response(
                    TimeoutError() if was_cut else error, route, was_sent=deadline.was_sent
                )
        if deadline.has_passed and deadline.was_sent:
            reason = f"{route.address}: no complete answer within {self._timeout:g} s"
            result = NoResponse(reason=reason, was_sent=True)
        ending = f"HTTP {result.status}" if isinstance(result, Response) else result.reason
        if _LOG.isEnabledFor(logging.DEBUG) and isinstance(result, Response):
            ending += f", request id {shown(it)}" if (it := result.request_id) else ""
        seconds = time.monotonic() - start
        _LOG.debug("%s %s: %s (%.2f s)", method, printable(url), ending, seconds)
        return result

    def close(self) -> None:
        """Closes the connections."""
        self._adapter.close()

    def _exchange(self, request: requests.PreparedRequest, route: Route) -> Response | NoResponse:
        response = self._adapter.send(
            request,
            stream=True,
            timeout=(self._timeout, self._timeout),
            verify=route.ca[0] or True,
            proxies={"all": route.proxy.url} if route.proxy else {},
        )
        with contextlib.closing(response):
            return _read(response, route.address, self._size_limit)

    @cached_property
    def _ca(self) -> tuple[str, str]:
        """As ``Route.ca``. Raises RouteError, each time."""
        return trusted_certificates(self._ca_file)


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


def _read(response: requests.Response, address: str, most: int) -> Response | NoResponse:
    too_large = f"{address}: the answer is larger than {most // 2**20} MiB"
    headers = {name.lower(): value for name, value in response.headers.items()}
    body = bytearray()
    # Not decoded by requests: a few bytes can become gigabytes at once.
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > most:
            return NoResponse(reason=too_large, was_sent=True)
    length = headers.get("content-length", "")
    if length.isdecimal() and "transfer-encoding" not in headers and int(length) != len(body):
        reason = f"{address}: the answer was cut short after {len(body)} of {length} bytes"
        return NoResponse(reason=reason, was_sent=True)
    content = bytes(body)
    if body and headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or deflate
        with contextlib.suppress(zlib.error):
            content = inflater.decompress(content, most + 1)
        if len(content) > most or not inflater.eof:
            reason = too_large if len(content) > most else f"{address}: {_UNKNOWN_COMPRESSION}"
            return NoResponse(reason=reason, was_sent=True)
    if content.startswith(codecs.BOM_UTF8 + b"{"):  # JSON has no room for the mark
        content = content.removeprefix(codecs.BOM_UTF8)
    return Response(status=response.status_code, headers=headers, body=content)
