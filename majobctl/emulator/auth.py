"""Checks AK/SK signatures (SDK-HMAC-SHA256) on the raw parts of a request, as the guide to signing
describes them: whatever the caller signed is verified, and only the date must be among it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

from majobctl.emulator.errors import Refusal, refuse, refuse_at_gateway

ALGORITHM = "SDK-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
CLOCK_SKEW = 15 * 60
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What a signature covers: path and query as on the wire, headers by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class Authorization(NamedTuple):
    """The parts of an Authorization header. `scope` is empty in the form with Access=."""

    access_key: str
    scope: Sequence[str]
    signed_headers: Sequence[str]
    signature: str


def read_authorization(header: str) -> Authorization | None:
    """Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…`, or the older form with
    `Credential=AK/date/region/service/sdk_request`; None if it is neither."""
    algorithm, _, rest = header.strip().partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    access_key, *scope = parts.get("Access", parts.get("Credential", "")).split("/")
    signed = [name for name in parts.get("SignedHeaders", "").lower().split(";") if name]
    signature = parts.get("Signature", "")
    if algorithm != ALGORITHM or not access_key or not signature or len(scope) not in (0, 4):
        return None
    return Authorization(access_key, scope, signed, signature)


def compute_signature(
    secret_key: str,
    pieces: Pieces,
    signed_headers: Sequence[str],
    scope: Sequence[str] = (),
    payload: str = "",
) -> str:
    """The hex signature that `secret_key` gives to the request. `signed_headers` are lower-case
    names in the request's order. `scope` (date, region, service, sdk_request) is that of the older
    form, whose key is derived from it step by step. `payload` replaces the hash of the body."""
    request = _canonical_request(pieces, signed_headers, payload)
    hashed = hashlib.sha256(request.encode()).hexdigest()
    lines = [ALGORITHM, pieces.headers["x-sdk-date"].strip()]
    key = secret_key.encode()
    if scope:
        lines.append("/".join(scope))
        key = b"SDK" + key
        for step in scope:
            key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, "\n".join([*lines, hashed]).encode(), "sha256").hex()


def _canonical_request(pieces: Pieces, signed_headers: Sequence[str], payload: str) -> str:
    path = "/".join(quote(segment, safe="~") for segment in unquote(pieces.path).split("/"))
    pairs = sorted(parse_qsl(pieces.query, keep_blank_values=True))
    return "\n".join(
        [
            pieces.method,
            path if path.endswith("/") else path + "/",
            "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs),
            *(f"{name}:{pieces.headers[name].strip()}" for name in sorted(signed_headers)),
            "",
            ";".join(signed_headers),
            payload or hashlib.sha256(pieces.body).hexdigest(),
        ]
    )


def check_signature(
    pieces: Pieces, now: float, find_key: Callable[[str, str | None], str | None]
) -> None:
    """Raises Refusal: 403 ModelArts.0206 if `find_key` has no secret key for the access key and
    security token; 401 APIGW.0301 for a wrong signature, or a date more than 15 minutes from `now`
    (seconds since 1970)."""
    given = read_authorization(pieces.headers.get("authorization", ""))
    if given is None:
        raise _unverified("The Authorization header is not of the SDK-HMAC-SHA256 form.")
    secret_key = find_key(given.access_key, pieces.headers.get("x-security-token"))
    if secret_key is None:
        raise refuse("ModelArts.0206", "Invalid AK/SK: the key or its security token is unknown.")
    signed = {"x-sdk-date", *given.signed_headers}
    if missing := signed - (pieces.headers.keys() & set(given.signed_headers)):
        raise _unverified(f"These headers must be sent and signed: {', '.join(missing)}.")
    _check_date(pieces.headers["x-sdk-date"], given.scope, now)
    is_unsigned = pieces.headers.get("x-sdk-content-sha256") == UNSIGNED
    for payload in ("", UNSIGNED) if is_unsigned else ("",):  # clients sign no body either way
        expected = compute_signature(secret_key, pieces, given.signed_headers, given.scope, payload)
        if hmac.compare_digest(expected.encode(), given.signature.encode()):
            return
    raise _unverified("The signature does not match the request.")


def _check_date(text: str, scope: Sequence[str], now: float) -> None:
    try:
        signed_at = datetime.strptime(text.strip(), _DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        raise _unverified("X-Sdk-Date is not of the form YYYYMMDD'T'HHMMSS'Z'.") from None
    if abs(signed_at.timestamp() - now) > CLOCK_SKEW:
        raise _unverified("X-Sdk-Date is more than 15 minutes off.")
    if scope and (scope[0] != text.strip()[:8] or scope[3] != "sdk_request"):
        raise _unverified("The credential scope does not fit X-Sdk-Date.")


def _unverified(reason: str) -> Refusal:
    message = f"Incorrect IAM authentication information: verify aksk signature fail. {reason}"
    return refuse_at_gateway(401, "APIGW.0301", message)


def raw_path_and_query(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The path and query as they were on the wire, which servers add as RAW_URI or REQUEST_URI.
    Without it WSGI's decoded path is quoted again, which gives the same signature."""
    if (raw := environ.get("RAW_URI") or environ.get("REQUEST_URI")) is None:
        decoded = environ.get("PATH_INFO", "").encode("latin-1")
        return quote(decoded, safe="/~"), environ.get("QUERY_STRING", "")
    path, _, query = str(raw).partition("?")
    if "://" in path:  # an absolute request line, as a client sends to a proxy
        path = "/" + path.split("://", 1)[1].partition("/")[2]
    return path, query
