"""Signing in with a password: one IAM token for a session, renewed once for all its workers. The
call is ``POST /v3/auth/tokens`` of the IAM API reference."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from majobctl.errors import AuthError, ServiceError, TransportError
from majobctl.service.auth.credentials import Password
from majobctl.service.codes import TOKEN_CODES, service_error
from majobctl.service.http.responses import (
    Failure,
    NoResponse,
    Response,
    classify,
    read_object,
    told_in,
)

RENEW_EARLY = 300.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Issued:
    """A token; ``renew_at`` is a moment of the monotonic clock."""

    token: str = field(repr=False)
    project_id: str
    renew_at: float


class PasswordAuth:
    """Gets a token when one is first needed and keeps it; safe to use from several threads.
    ``issue`` sends ``request``, a body of IAM's call, and returns what ``classify_issue`` read. A
    refusal is kept, too: a wrong password is tried once, however many workers there are.
    """

    def __init__(self, issue: Callable[[bytes], Mapping[str, Any]], request: bytes) -> None:
        self._issue = issue
        self._request = request
        self._lock = threading.Lock()
        self._issued: _Issued | None = None
        self._refusal = ""
        # A token that was renewed and never worked is not renewed again.
        self._is_renewed = self._has_worked = False

    @property
    def project_id(self) -> str:
        """The id of the token's project. Raises as ``headers``."""
        return self._current().project_id

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """The token to use now. Raises AuthError or TransportError if IAM issues none."""
        return {"X-Auth-Token": self._current().token}

    def renew(self, sent: Mapping[str, str], response: Response) -> bool:
        """Drops the token in ``sent`` if the service refused it; another worker may have already
        renewed it."""
        if not _refuses_token(response):
            self._has_worked |= response.status < 500
            return False
        with self._lock:
            # Not "==": IAM may issue the same text again, which need not be renewed twice.
            if self._issued and self._issued.token is sent["X-Auth-Token"]:
                if self._is_renewed and not self._has_worked:
                    return False
                self._issued, self._is_renewed, self._has_worked = None, True, False
        return True

    def _current(self) -> _Issued:
        with self._lock:
            if self._issued is None or time.monotonic() >= self._issued.renew_at:
                self._issued = None
                self._issued = self._get()
            return self._issued

    def _get(self) -> _Issued:
        if self._refusal:
            raise AuthError(self._refusal)
        try:
            found = self._issue(self._request)
        except ServiceError as error:
            text = f"(HTTP status {error.status}): {error}"
            if error.status == 429 or error.status >= 500:
                message = f"IAM did not issue a token {text}"
                raise TransportError(message, outcome_unknown=False) from None
            self._refusal = f"IAM refused the credentials {text}"
        else:
            renew_at = time.monotonic() + _time_to_use(found)
            return _Issued(token=found["token"], project_id=found["project_id"], renew_at=renew_at)
        raise AuthError(self._refusal)


def _refuses_token(response: Response) -> bool:
    if not 400 <= response.status < 500:
        return False
    return response.status == 401 or _told_by(response)[0] in TOKEN_CODES


def _told_by(response: Response) -> tuple[str, str]:
    try:
        return told_in(read_object(response.body))
    except ValueError:
        return "", ""


def token_request(credentials: Password, project_id: str | None, project_name: str | None) -> bytes:
    """The body that requests a token for one project, by its id or else by its name. IAM's page
    names a domain by its name only; it takes Keystone's id, too, as Terraform's provider sends."""
    own = credentials
    account = {"name": own.account} if own.account else {"id": own.account_id}
    user = {"name": own.username, "password": own.password, "domain": account}
    identity = {"methods": ["password"], "password": {"user": user}}
    project = {"id": project_id} if project_id else {"name": project_name}
    body = {"auth": {"identity": identity, "scope": {"project": project}}}
    return json.dumps(body, ensure_ascii=False).encode()


def classify_issue(result: Response | NoResponse) -> dict[str, Any] | Failure:
    """``token``, ``project_id``, ``issued_at``, ``expires_at`` in IAM's response, or the failure;
    the times may be missing or of any type."""
    if isinstance(result, NoResponse) or not 200 <= result.status < 300:
        return _failed(result)
    token = result.headers.get("x-subject-token", "")
    try:
        about = read_object(result.body)["token"]
        project_id = about["project"]["id"]
        times = {key: about.get(key) for key in ("issued_at", "expires_at")}
    except (ValueError, KeyError, TypeError, AttributeError):
        project_id, times = None, {}
    if not token.strip() or not isinstance(project_id, str):
        text = "IAM's answer does not hold a token for a project"
        return Failure(error=TransportError(text, outcome_unknown=False), may_pass=True)
    return {"token": token.strip(), "project_id": project_id, **times}


def _failed(result: Response | NoResponse) -> Failure:
    failure = classify(result, writes=False)
    if not isinstance(failure, Failure):
        raise AssertionError("a response without success must be a failure")
    if isinstance(result, NoResponse) or 300 <= result.status < 400 or result.status == 407:
        return failure
    # The rest stays hidden: whatever answers in IAM's place may echo the password.
    code, reason = _told_by(result)
    reason = reason or f"HTTP status {result.status}"
    error = service_error(code, reason, status=result.status, request_id=result.request_id)
    return replace(failure, error=error)


def _time_to_use(found: Mapping[str, Any]) -> float:
    """Seconds until the token is due for renewal; a day if IAM's times cannot be right. Both are
    IAM's, so a wrong clock on this machine does no harm."""
    try:
        life = (_moment(found["expires_at"]) - _moment(found["issued_at"])).total_seconds()
    except (KeyError, TypeError, ValueError, AttributeError):
        life = 0.0
    life = life if life > 0 else 24 * 3600.0
    return life - min(RENEW_EARLY, life / 10)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
