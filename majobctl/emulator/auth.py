"""Checks who calls: AK/SK signatures (SDK-HMAC-SHA256) and IAM's tokens of the emulator's account.
Works on the raw parts of a request, independent of the call."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qsl, quote, unquote
from uuid import uuid4

from majobctl.emulator.errors import Refusal, refuse, refuse_at_gateway, refuse_at_iam

ACCESS_KEY = SECRET_KEY = SECURITY_TOKEN = "emulator"
ACCOUNT = USER = PASSWORD = "emulator"
ALGORITHM = "SDK-HMAC-SHA256"
CLOCK_SKEW = 15 * 60
TOKEN_LIFE = timedelta(hours=24)
_REGION = re.compile(r"[a-z]{2}-[a-z]+\d*(-\d+)?")
"""The name of a region is also that of the project in it."""
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What a signature covers: path and query as on the wire, headers by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The parts of an Authorization header. `scope` is empty in the form with Access=."""

    access_key: str
    scope: tuple[str, ...]
    signed_headers: tuple[str, ...]
    signature: str


def read_authorization(header: str) -> Authorization | None:
    """Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…`, or the older form with
    `Credential=AK/date/region/service/sdk_request`; None if it is neither."""
    algorithm, _, rest = header.strip().partition(" ")
    parts = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    access_key, *scope = parts.get("Access", parts.get("Credential", "")).split("/")
    signed = tuple(name for name in parts.get("SignedHeaders", "").lower().split(";") if name)
    signature = parts.get("Signature", "")
    if algorithm != ALGORITHM or not access_key or not signature or len(scope) not in (0, 4):
        return None
    return Authorization(
        access_key=access_key, scope=tuple(scope), signed_headers=signed, signature=signature
    )


def compute_signature(
    secret_key: str, pieces: Pieces, signed_headers: Sequence[str], scope: Sequence[str] = ()
) -> str:
    """The hex signature that `secret_key` gives to the request. `signed_headers` are lower-case
    names in the request's order. `scope` (date, region, service, sdk_request) is that of the older
    form, whose key is derived from it step by step."""
    hashed = hashlib.sha256(_canonical_request(pieces, signed_headers).encode()).hexdigest()
    lines = [ALGORITHM, pieces.headers["x-sdk-date"].strip()]
    key = secret_key.encode()
    if scope:
        lines.append("/".join(scope))
        key = b"SDK" + key
        for step in scope:
            key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, "\n".join([*lines, hashed]).encode(), "sha256").hex()


def _canonical_request(pieces: Pieces, signed_headers: Sequence[str]) -> str:
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
            hashlib.sha256(pieces.body).hexdigest(),
        ]
    )


def check_signature(pieces: Pieces, now: float) -> None:
    """Raises Refusal unless the request is signed with the emulator's keys: 403 ModelArts.0206 for
    an unknown access key or security token, 401 APIGW.0301 for a wrong signature, or a date more
    than 15 minutes from `now` (seconds since 1970)."""
    given = read_authorization(pieces.headers.get("authorization", ""))
    if given is None:
        raise _unverified("The Authorization header is not of the SDK-HMAC-SHA256 form.")
    if given.access_key != ACCESS_KEY:
        raise refuse("ModelArts.0206", "Invalid AK/SK.")
    if pieces.headers.get("x-security-token", SECURITY_TOKEN) != SECURITY_TOKEN:
        raise refuse("ModelArts.0206", "Invalid AK/SK: the security token is not known.")
    missing = [name for name in given.signed_headers if name not in pieces.headers]
    missing += [name for name in ("host", "x-sdk-date") if name not in given.signed_headers]
    if missing:
        raise _unverified(f"These headers must be sent and signed: {', '.join(missing)}.")
    _check_date(pieces.headers["x-sdk-date"], given.scope, now)
    expected = compute_signature(SECRET_KEY, pieces, given.signed_headers, given.scope)
    if not hmac.compare_digest(expected.encode(), given.signature.encode()):
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


class Tokens:
    """Checks passwords and issues tokens, valid while the process runs; safe in several threads."""

    def __init__(self, project_id: str) -> None:
        self._project_id = project_id
        self._expiry: dict[str, datetime] = {}
        self._lock = threading.Lock()

    def issue(self, body: Any) -> tuple[str, dict[str, Any]]:
        """Answers POST /v3/auth/tokens: the token, and the document that describes it. Raises
        Refusal in IAM's form: 400 for anything but a password and a project, 401 for wrong ones."""
        project = _read_token_request(body, self._project_id)
        token = f"emulator-{uuid4().hex}{uuid4().hex}"
        issued = datetime.now(timezone.utc)
        expires = issued + TOKEN_LIFE
        with self._lock:
            self._expiry[token] = expires
        domain = {"id": ACCOUNT, "name": ACCOUNT}
        return token, {
            "token": {
                "expires_at": _write_time(expires),
                "issued_at": _write_time(issued),
                "methods": ["password"],
                "project": {"id": self._project_id, "name": project, "domain": domain},
                "user": {"id": USER, "name": USER, "domain": domain},
                "roles": [],
                "catalog": [],
            }
        }

    def check(self, token: str) -> None:
        """Raises Refusal: ModelArts.0201 no token, 0202 expired, 0203 never issued."""
        if not token:
            raise refuse("ModelArts.0201", "The request carries no token.")
        with self._lock:
            expires = self._expiry.get(token)
        if expires is None:
            raise refuse("ModelArts.0203", "Invalid token.")
        if expires <= datetime.now(timezone.utc):
            raise refuse("ModelArts.0202", "The token has expired.")

    def expire_all(self) -> None:
        """From now on every token issued so far counts as expired."""
        with self._lock:
            self._expiry = dict.fromkeys(self._expiry, datetime.now(timezone.utc))


def _write_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _read_token_request(body: Any, project_id: str) -> str:
    """Checks the account and returns the project's name as the caller wrote it."""
    if _dig(body, "auth", "identity", "methods") != ["password"]:
        raise refuse_at_iam(400, "Bad Request", 'auth.identity.methods must be ["password"].')
    user = _dig(body, "auth", "identity", "password", "user")
    account = _dig(user, "domain", "name")
    scope = _dig(body, "auth", "scope", "project")
    if not isinstance(scope, dict) or not ({"id", "name"} & scope.keys()):
        raise refuse_at_iam(400, "Bad Request", "auth.scope.project needs an id or a name.")
    if (account, _dig(user, "name"), _dig(user, "password")) != (ACCOUNT, USER, PASSWORD):
        raise refuse_at_iam(401, "Unauthorized", "The account, user name or password is wrong.")
    name = scope.get("name", project_id)
    is_known = name in (project_id, "emulator") or _REGION.fullmatch(str(name))
    if scope.get("id", project_id) != project_id or not is_known:
        raise refuse_at_iam(401, "Unauthorized", "The project is not known to this account.")
    return str(name)


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def check_caller(pieces: Pieces, project_id: str, own_project_id: str, tokens: Tokens) -> None:
    """Raises Refusal unless the request is signed, or carries a token, for the account's project,
    `own_project_id`."""
    if "x-auth-token" in pieces.headers:
        tokens.check(pieces.headers["x-auth-token"])
    elif "authorization" in pieces.headers:
        check_signature(pieces, time.time())
    else:
        tokens.check("")
    if {project_id, pieces.headers.get("x-project-id", project_id)} != {own_project_id}:
        raise refuse("ModelArts.0210", "The project does not match the token.")


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
