"""What IAM issues: a token for a password, or for a token of an identity provider. One serves a
session, and is renewed once for all its workers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from majobctl.errors import TOKEN_CODES, AuthError, ServiceError, TransportError
from majobctl.service.auth.credentials import (
    AkSk,
    Credentials,
    IdToken,
    Password,
    Token,
)
from majobctl.service.auth.methods import AkSkAuth, TokenAuth
from majobctl.service.http.responses import Failure, NoResponse, Response, classify, read_object

RENEW_EARLY = 300.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IamRequest:
    """A POST to IAM. ``path`` follows the address of its version 3; ``read`` gives the ``method``
    that the answer makes possible, and times."""

    path: str
    body: bytes = field(repr=False)
    read: Callable[[Response | NoResponse], dict[str, Any] | Failure]
    headers: Mapping[str, str] = field(default_factory=dict)


class IssuedAuth:
    """Gets from IAM what authorizes requests when it is first needed, and keeps it; safe to use
    from several threads. ``issue`` sends the request and returns what its ``read`` did. A refusal
    is kept, too: a wrong password is tried once, however many workers there are."""

    def __init__(self, issue: Callable[[], Mapping[str, Any]]) -> None:
        self._issue = issue
        self._lock = threading.Lock()
        self._method: TokenAuth | None = None
        self._renew_at = 0.0  # on the monotonic clock
        self._refusal = ""
        # A token that was renewed and never worked is not renewed again.
        self._is_renewed = self._has_worked = False

    @property
    def project_id(self) -> str:
        """The id of the token's project. Raises as ``headers``."""
        return self._current().project_id

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """Those to use now. Raises AuthError or TransportError if IAM issues nothing."""
        return self._current().headers(method, url, body)

    def renew(self, sent: Mapping[str, str], response: Response) -> bool:
        """Drops the token in ``sent`` if the service refused it; another worker may have already
        renewed it."""
        if not _refuses_token(response):
            self._has_worked |= response.status < 500
            return False
        with self._lock:
            # Not "==": IAM may issue the same text again, which need not be renewed twice.
            if self._method and self._method.token is sent["X-Auth-Token"]:
                if self._is_renewed and not self._has_worked:
                    return False
                self._method, self._is_renewed, self._has_worked = None, True, False
        return True

    def _current(self) -> TokenAuth:
        with self._lock:
            if self._method is None or time.monotonic() >= self._renew_at:
                self._method = None
                found = self._get()
                self._method, self._renew_at = found["method"], time.monotonic() + _use_for(found)
            return self._method

    def _get(self) -> Mapping[str, Any]:
        if self._refusal:
            raise AuthError(self._refusal)
        try:
            return self._issue()
        except ServiceError as error:
            text = f"(HTTP status {error.status}): {error}"
            if error.status == 429 or error.status >= 500:
                message = f"IAM did not issue a token {text}"
                raise TransportError(message, outcome_unknown=False) from None
            self._refusal = f"IAM refused the credentials {text}"
        raise AuthError(self._refusal)


AuthMethod = AkSkAuth | TokenAuth | IssuedAuth


def _refuses_token(response: Response) -> bool:
    if response.status not in (400, 403):
        return response.status == 401
    try:
        return str(read_object(response.body).get("error_code")) in TOKEN_CODES
    except ValueError:
        return False


def auth_method(
    credentials: Credentials,
    project: tuple[str | None, str | None],
    issue: Callable[[IamRequest], Mapping[str, Any]],
) -> AuthMethod:
    """``project`` is its id and name, of which one is enough for what IAM issues a token for.
    ``issue`` sends a request to IAM and returns what its ``read`` did."""
    if isinstance(credentials, AkSk):
        return AkSkAuth(credentials, project[0] or "")
    if isinstance(credentials, Token):
        return TokenAuth(credentials.token, project[0] or "")
    return IssuedAuth(partial(issue, token_request(credentials, *project)))


def token_request(
    credentials: Password | IdToken, project_id: str | None, project_name: str | None
) -> IamRequest:
    """Requests a token for one project, by its id or else by its name. IAM's page names a domain by
    its name only; it takes Keystone's id as well, which Terraform's provider for the Open Telekom
    Cloud sends."""
    project = {"id": project_id} if project_id else {"name": project_name}
    auth: dict[str, Any] = {"scope": {"project": project}}
    read = partial(_read_token, project_id=project_id)
    if isinstance(credentials, IdToken):
        auth["id_token"] = {"id": credentials.token}
        headers = {"X-Idp-Id": credentials.provider}
        path = ".0/OS-AUTH/id-token/tokens"
        return IamRequest(path=path, body=_encoded(auth), read=read, headers=headers)
    name, its_id = credentials.account, credentials.account_id
    domain = {"name": name} if name else {"id": its_id}
    user = {"name": credentials.username, "password": credentials.password, "domain": domain}
    auth["identity"] = {"methods": ["password"], "password": {"user": user}}
    return IamRequest(path="/auth/tokens", body=_encoded(auth), read=read)


def _encoded(auth: Mapping[str, Any]) -> bytes:
    return json.dumps({"auth": auth}, ensure_ascii=False).encode()


def _read_token(result: Response | NoResponse, project_id: str | None) -> dict[str, Any] | Failure:
    """``project_id`` is the one that was asked for; the answer has that of a name. Its times may be
    missing or of any type."""
    if isinstance(result, NoResponse) or not 200 <= result.status < 300:
        return _failed(result)
    token = result.headers.get("x-subject-token", "").strip()
    try:
        about = read_object(result.body)["token"]
        times = {key: about.get(key) for key in ("issued_at", "expires_at")}
        project_id = project_id or about["project"]["id"]
    except (ValueError, KeyError, TypeError, AttributeError):
        token, times = "", {}
    if not token or not isinstance(project_id, str):
        text = "IAM's answer does not hold a token for a project"
        return Failure(error=TransportError(text, outcome_unknown=False), may_pass=True)
    return {"method": TokenAuth(token, project_id), **times}


def _failed(result: Response | NoResponse) -> Failure:
    failure = classify(result, writes=False)
    if not isinstance(failure, Failure):
        raise AssertionError("a response without success must be a failure")
    if isinstance(result, NoResponse) or 300 <= result.status < 400 or result.status == 407:
        return failure
    # The rest stays hidden: whatever answers in IAM's place may echo the password.
    reason = _iam_message(result) or f"HTTP status {result.status}"
    code = failure.error.code if isinstance(failure.error, ServiceError) else ""
    return replace(failure, error=ServiceError(code, reason, status=result.status))


def _iam_message(response: Response) -> str:
    """IAM's ``{"error": {"message": ...}}`` or its gateway's ``{"error_msg": ...}``."""
    try:
        document = read_object(response.body)
        message = document.get("error_msg") or document["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""


def _use_for(found: Mapping[str, Any]) -> float:
    """Seconds until it is due for renewal; a day if IAM's times cannot be right. Both times are
    IAM's, so a wrong clock on this machine does no harm."""
    try:
        life = (_moment(found["expires_at"]) - _moment(found["issued_at"])).total_seconds()
    except (KeyError, TypeError, ValueError, AttributeError):
        life = 0.0
    life = life if life > 0 else 24 * 3600.0
    return life - min(RENEW_EARLY, life / 10)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
