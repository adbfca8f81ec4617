"""Why no complete response came: the errors of requests, urllib3, ssl and the system in sentences,
and whether another try could help."""

from __future__ import annotations

import http.client
import re
import ssl
from collections.abc import Iterator

import requests
from urllib3 import exceptions as urllib3_errors

from majobctl.http import NoResponse
from majobctl.http.route import Proxy, Route, RouteError

_TUNNEL = re.compile(r"Tunnel connection failed: ([0-9]{3})")
_INVALID = (urllib3_errors.LocationValueError, requests.exceptions.InvalidURL)
_CUT_SHORT = (
    urllib3_errors.IncompleteRead,
    urllib3_errors.InvalidChunkLength,
    requests.exceptions.ChunkedEncodingError,
)
_TIMEOUTS = (TimeoutError, urllib3_errors.TimeoutError)
_REASONS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (_TIMEOUTS, "timed out"),
    (_CUT_SHORT, "the answer was cut short"),
    (http.client.RemoteDisconnected, "no answer came"),
    ((http.client.HTTPException, urllib3_errors.InvalidHeader), "the answer is not HTTP"),
    (_INVALID, "this is not a valid address"),
    # urllib3 raises this for a chunk of a negative size.
    (ValueError, "the answer is not HTTP"),
)
_CERTIFICATE_ADVICE = {
    **dict.fromkeys((9, 10), "check this machine's clock"),  # not yet valid, expired
    **dict.fromkeys((62, 64), "check the address"),  # of another host
}


def timed_out(error: Exception) -> bool:
    return any(isinstance(cause, _TIMEOUTS) for cause in _causes(error))


def no_response(error: Exception, route: Route, *, was_sent: bool) -> NoResponse:
    """What ``error`` means; its own text is not shown, since it may hold a URL or a header."""
    causes = list(_causes(error))
    if was_sent:
        reason = f"{route.address}: the connection broke: {_reason(causes)}"
        return NoResponse(reason=reason, was_sent=True)
    reason, may_pass = _why_unconnected(causes, route)
    text = f"cannot connect to {route.address}{route.proxy or ''}: {reason}"
    return NoResponse(reason=text, was_sent=False, is_final=not may_pass)


def _why_unconnected(causes: list[BaseException], route: Route) -> tuple[str, bool]:
    """The reason, and whether it may pass."""
    reason, may_pass = _reason(causes), not any(isinstance(item, _INVALID) for item in causes)
    # Without a connection to the service, an answer that is not HTTP is the proxy's.
    of_proxy = (urllib3_errors.ProxyError, http.client.HTTPException)
    is_of_proxy = any(isinstance(cause, of_proxy) for cause in causes)
    who = "the proxy" if is_of_proxy else "the server"
    for cause in causes:
        if isinstance(cause, RouteError):
            return str(cause), False
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _why_untrusted(cause, route, who), False
        if isinstance(cause, ssl.SSLError):
            return _why_no_tls(cause, who)
        if isinstance(cause, requests.exceptions.InvalidSchema):
            return "SOCKS needs PySocks: install it with pip install PySocks", False
        if route.proxy and (match := _TUNNEL.match(str(cause))):
            return _why_refused(int(match[1]), route.proxy)
        if type(cause).__module__ == "socks":
            may_pass, is_of_proxy = "authentication" not in str(cause), True
    if route.proxy and is_of_proxy:
        advice = f"check {route.proxy.variable}, or set NO_PROXY"
        reason = f"the proxy cannot be used ({reason}); {advice}"
    return reason, may_pass


def _why_refused(status: int, proxy: Proxy) -> tuple[str, bool]:
    if status != 407:
        text = f"the proxy does not connect to it (HTTP status {status})"
    elif "@" in proxy.url:
        text = f"the proxy refuses the user and the password in {proxy.variable} (HTTP status 407)"
    else:
        wanted = proxy.address.replace("://", "://USER:PASSWORD@")
        text = f"the proxy wants a user (HTTP status 407); set {proxy.variable} to {wanted}"
    return text, status >= 500 or status in (408, 429)


def _why_untrusted(error: ssl.SSLCertVerificationError, route: Route, who: str) -> str:
    path, origin = route.ca
    others = "set OS_CACERT or REQUESTS_CA_BUNDLE to a file with the certificates to trust"
    if path:
        others = f"{path} ({origin}) does not vouch for it"
    advice = _CERTIFICATE_ADVICE.get(error.verify_code, others)
    return f"the certificate of {who} is not trusted ({error.verify_message}); {advice}"


def _why_no_tls(error: ssl.SSLError, who: str) -> tuple[str, bool]:
    code = error.reason or ""
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return f"{who} closed the connection during the TLS handshake", True
    if code in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return f"{who} does not speak TLS; the port may be one for plain http", False
    if "PROTOCOL" in code:
        return f"{who} does not speak TLS 1.2 or newer", False
    words = code.lower().replace("_", " ")
    return f"the TLS handshake with {who} failed ({words})", "INTERNAL_ERROR" in code


def _reason(causes: list[BaseException]) -> str:
    """The system's message, or else what the type of one of the errors means."""
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    if texts := [str(cause) for cause in causes if type(cause).__module__ == "socks"]:
        return texts[-1]
    for cause in causes:
        for types, text in _REASONS:
            if isinstance(cause, types):
                return text
    return "no answer came"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """``error`` and all that it wraps."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__, cause.__context__]
