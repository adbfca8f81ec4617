"""IAM tokens for an account's user: one for a whole session, renewed once for all its workers.

The call is ``POST /v3/auth/tokens`` of the IAM API reference. How a request is sent and repeated
is not known here.
"""

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
from majobctl.service.http.responses import Failure, NoResponse, Response, classify, read_object
from majobctl.text import quoted

RENEW_EARLY = 300.0
"""Seconds before its end at which a token is renewed, or a tenth of its life where that is less."""


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token: ``renew_at`` is a moment of the monotonic clock, ``generation`` counts from 1."""

    token: str = field(repr=False)
    project_id: str
    renew_at: float
    generation: int


class TokenKeeper:
    """Gets a token when one is first needed and keeps it; safe to use from several threads.

    ``ask`` sends IAM's request, given the body, and returns what ``judge_issue`` read. A refusal
    is kept as well: a wrong password is tried once, however many workers there are.
    """

    def __init__(self, ask: Callable[[bytes], Mapping[str, Any]], request: bytes) -> None:
        self._ask = ask
        self._request = request
        self._lock = threading.Lock()
        self._issued: IssuedToken | None = None
        self._generation = 0
        self._refusal = ""

    def current(self) -> IssuedToken:
        """The token to use now. Raises AuthError or TransportError where there is none."""
        with self._lock:
            if self._issued is None or time.monotonic() >= self._issued.renew_at:
                self._issued = self._get()
            return self._issued

    def after(self, refused: IssuedToken) -> IssuedToken:
        """The token to use after the service refused one; only the first worker asks for it."""
        with self._lock:
            if self._issued is None or self._issued.generation <= refused.generation:
                self._issued = None
                self._issued = self._get()
            return self._issued

    def _get(self) -> IssuedToken:
        if self._refusal:
            raise AuthError(self._refusal)
        try:
            found = self._ask(self._request)
        except ServiceError as error:
            text = f"IAM gave no token (HTTP status {error.status}): {error}"
            if error.status == 429 or error.status >= 500:
                raise TransportError(text, outcome_unknown=False) from None
            self._refusal = f"IAM refused the credentials (HTTP status {error.status}): {error}"
        else:
            self._generation += 1
            renew_at = time.monotonic() + _time_to_use(found)
            return IssuedToken(found["token"], found["project_id"], renew_at, self._generation)
        raise AuthError(self._refusal)


def token_request(credentials: Password, project_id: str | None, project_name: str | None) -> bytes:
    """The body that asks for a token for one project, by its id or else by its name."""
    user = {
        "name": credentials.username,
        "password": credentials.password,
        "domain": {"name": credentials.account},
    }
    identity = {"methods": ["password"], "password": {"user": user}}
    project = {"id": project_id} if project_id else {"name": project_name}
    body = {"auth": {"identity": identity, "scope": {"project": project}}}
    return json.dumps(body, ensure_ascii=False).encode()


def judge_issue(result: Response | NoResponse) -> dict[str, Any] | Failure:
    """``token``, ``project_id``, ``issued_at`` and ``expires_at`` of IAM's answer, or the failure.

    The times may be missing, as texts or altogether.
    """
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
        text = "IAM's answer has no token for a project"
        return Failure(TransportError(text, outcome_unknown=False), may_pass=True)
    return {"token": token.strip(), "project_id": project_id, **times}


def _failed(result: Response | NoResponse) -> Failure:
    failure = classify(result, writes=False)
    if not isinstance(failure, Failure):
        raise AssertionError("an answer that is no success has failed")
    if isinstance(result, NoResponse) or 300 <= result.status < 400:
        return failure
    # Nothing else of the answer is told: what takes IAM's place may echo the password.
    reason = _iam_message(result) or f"HTTP status {result.status}"
    code = failure.error.code if isinstance(failure.error, ServiceError) else ""
    return replace(failure, error=ServiceError(code, reason, status=result.status))


def _iam_message(answer: Response) -> str:
    """IAM's ``{"error": {"message": ...}}`` or its gateway's ``{"error_msg": ...}``."""
    try:
        document = read_object(answer.body)
        message = document.get("error_msg") or document["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return message if isinstance(message, str) else ""


def _time_to_use(found: Mapping[str, Any]) -> float:
    """Seconds until the token is due for renewal; a day where IAM's times cannot be read.

    Both times are IAM's, so that a wrong clock of this machine does no harm.
    """
    try:
        life = (_moment(found["expires_at"]) - _moment(found["issued_at"])).total_seconds()
    except (KeyError, TypeError, ValueError):
        life = 24 * 3600.0
    return life - min(RENEW_EARLY, life / 10)


def _moment(text: str) -> datetime:
    if not isinstance(text, str):
        raise TypeError(f"a time is a string, not {quoted(str(text))}")
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
