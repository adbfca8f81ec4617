"""What IAM issues: a token for a password or for an identity provider's token, and an agency's
temporary keys. One of them serves a session, and is renewed once for all its workers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from majobctl.errors import AuthError, ServiceError, TransportError
from majobctl.http import NoResponse, Response
from majobctl.service.auth.credentials import Agency, AkSk, Credentials, IdToken, Password, Token
from majobctl.service.auth.methods import AkSkAuth, TokenAuth
from majobctl.service.codes import TOKEN_CODES, service_error
from majobctl.service.http.responses import Failure, classify, read_object, told_in

RENEW_EARLY = 300.0
"""Seconds before its end at which a token is renewed; a tenth of its life if that is less."""
KEY_LIFE = 3600
"""Seconds that an agency's keys are asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IamRequest:
    """A POST to IAM. ``path`` follows the address of its version 3; ``caller`` authorizes it.
    ``read`` gives the ``method`` that the answer makes possible, and times."""

    path: str
    body: bytes = field(repr=False)
    read: Callable[[Response | NoResponse], dict[str, Any] | Failure]
    headers: Mapping[str, str] = field(default_factory=dict)
    caller: AuthMethod | None = None


class IssuedAuth:
    """Gets from IAM what authorizes requests when it is first needed, and keeps it; safe to use
    from several threads. ``issue`` sends the request and returns what its ``read`` did; ``caller``
    authorizes it. A refusal is kept, too: a wrong password is tried once, however many workers
    there are."""

    def __init__(
        self, issue: Callable[[], Mapping[str, Any]], caller: AuthMethod | None = None
    ) -> None:
        self._issue, self.caller = issue, caller
        self._lock = threading.Lock()
        self._method: AkSkAuth | TokenAuth | None = None
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
        """Whether to send the request once more, with new ``headers`` in place of ``sent``. Drops
        the token in those if the service refused it, and no other worker has renewed it."""
        if not _refuses_token(response):
            self._has_worked |= response.status < 500
            return False
        with self._lock:
            # Not "==": IAM may issue the same text again, which need not be renewed twice.
            used = sent.get("X-Auth-Token") or sent.get("X-Security-Token")
            if self._method and self._method.secret is used:
                if self._is_renewed and not self._has_worked:
                    return False
                self._method, self._is_renewed, self._has_worked = None, True, False
        return True

    def _current(self) -> AkSkAuth | TokenAuth:
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
    if not 400 <= response.status < 500:
        return False
    return response.status == 401 or _told_by(response)[0] in TOKEN_CODES


def _told_by(response: Response) -> tuple[str, str]:
    try:
        return told_in(read_object(response.body))
    except ValueError:
        return "", ""


def auth_method(
    credentials: Credentials,
    project: tuple[str | None, str | None] | None,
    issue: Callable[[IamRequest], Mapping[str, Any]],
) -> AuthMethod:
    """``project`` is its id and name, of which one is enough for what IAM issues a token for; None
    for calls to IAM itself. ``issue`` sends a request to IAM and returns what its ``read`` did."""
    project_id = (project and project[0]) or ""
    if isinstance(credentials, AkSk):
        return AkSkAuth(credentials, project_id)
    if isinstance(credentials, Token):
        return TokenAuth(credentials, project_id)
    if isinstance(credentials, Agency):
        caller = auth_method(credentials.caller, None, issue)
        request = agency_request(credentials, project_id, caller)
        return IssuedAuth(partial(issue, request), caller)
    return IssuedAuth(partial(issue, token_request(credentials, project)))


def token_request(
    credentials: Password | IdToken, project: tuple[str | None, str | None] | None
) -> IamRequest:
    """Requests a token for a project, or else for IAM itself. IAM's page names a domain by its name
    only; it takes Keystone's id as well, which Terraform's provider for the Open Telekom Cloud
    sends."""
    auth: dict[str, Any] = {}
    if project:
        auth["scope"] = {"project": {"id": project[0]} if project[0] else {"name": project[1]}}
    found_in = partial(_token_in, project_id=project[0] if project else "")
    read = partial(_read, what="a token for a project", found_in=found_in)
    if isinstance(credentials, IdToken):
        auth["id_token"] = {"id": credentials.token}
        headers = {"X-Idp-Id": credentials.provider}
        path = ".0/OS-AUTH/id-token/tokens"
        return IamRequest(path=path, body=_encoded(auth), read=read, headers=headers)
    domain = _named(credentials.account, credentials.account_id)
    user = {"name": credentials.username, "password": credentials.password, "domain": domain}
    identity = {"methods": ["password"], "password": {"user": user}}
    auth = {"identity": identity, "scope": {"domain": domain}, **auth}
    return IamRequest(path="/auth/tokens", body=_encoded(auth), read=read)


def agency_request(agency: Agency, project_id: str, caller: AuthMethod) -> IamRequest:
    """Requests temporary keys of an agency, for whoever may use it."""
    account = _named(agency.account, agency.account_id, prefix="domain_")
    role = {"agency_name": agency.name, **account, "duration_seconds": KEY_LIFE}
    body = _encoded({"identity": {"methods": ["assume_role"], "assume_role": role}})
    found_in = partial(_key_in, project_id=project_id)
    read = partial(_read, what="an agency's keys", found_in=found_in)
    return IamRequest(path=".0/OS-CREDENTIAL/securitytokens", body=body, read=read, caller=caller)


def _named(name: str, its_id: str, prefix: str = "") -> dict[str, str]:
    return {f"{prefix}name": name} if name else {f"{prefix}id": its_id}


def _encoded(auth: Mapping[str, Any]) -> bytes:
    return json.dumps({"auth": auth}, ensure_ascii=False).encode()


def _read(
    result: Response | NoResponse, what: str, found_in: Callable[[Response], dict[str, Any]]
) -> dict[str, Any] | Failure:
    if isinstance(result, NoResponse) or not 200 <= result.status < 300:
        return _failed(result)
    try:
        return found_in(result)
    except (ValueError, KeyError, TypeError, AttributeError):
        error = TransportError(f"IAM's answer does not hold {what}", outcome_unknown=False)
        return Failure(error=error, may_pass=True)


def _token_in(response: Response, project_id: str | None) -> dict[str, Any]:
    """``project_id`` is the one that was asked for, "" for none; the answer has that of a name. Its
    times may be missing or of any type."""
    token = Token(response.headers["x-subject-token"].strip())
    about = read_object(response.body)["token"]
    times = {key: about.get(key) for key in ("issued_at", "expires_at")}
    project_id = about["project"]["id"] if project_id is None else project_id
    if not token.token or not isinstance(project_id, str):
        raise ValueError
    return {"method": TokenAuth(token, project_id), **times}


def _key_in(response: Response, project_id: str) -> dict[str, Any]:
    found = read_object(response.body)["credential"]
    keys = AkSk(*(found[name] for name in ("access", "secret", "securitytoken")))
    return {"method": AkSkAuth(keys, project_id), "life": KEY_LIFE}


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


def _use_for(found: Mapping[str, Any]) -> float:
    """Seconds until it is due for renewal; a day if IAM's times cannot be right. Both times are
    IAM's, so a wrong clock on this machine does no harm."""
    try:
        life = (_moment(found["expires_at"]) - _moment(found["issued_at"])).total_seconds()
    except (KeyError, TypeError, ValueError, AttributeError):
        life = 0.0
    life = life if life > 0 else found.get("life", 24 * 3600.0)
    return life - min(RENEW_EARLY, life / 10)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
