"""The ways to sign in: an access key signs each request, a token goes with it, and a password
(``tokens``) is exchanged for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from majobctl.service.auth.credentials import AkSk, Credentials, Password
from majobctl.service.auth.signing import sign
from majobctl.service.auth.tokens import PasswordAuth, token_request
from majobctl.service.http.responses import Response


class AuthMethod(Protocol):
    """One way to sign requests for one project; safe to use from several threads."""

    @property
    def project_id(self) -> str: ...

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """The headers that authorize a request."""

    def renew(self, sent: Mapping[str, str], response: Response) -> bool:
        """Whether to send the request once more, with new ``headers`` in place of ``sent``."""


@dataclass(eq=False, repr=False)
class _Lasting:
    """Credentials that are used as they are: what the service refuses stays refused."""

    credentials: Any
    project_id: str

    def renew(self, sent: Mapping[str, str], response: Response) -> bool:
        return False


class AkSkAuth(_Lasting):
    """Signs each request with an access key, over all of these headers."""

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        own: AkSk = self.credentials
        headers = {"X-Project-Id": self.project_id}
        if body:
            headers["Content-Type"] = "application/json"
        if own.security_token:
            headers["X-Security-Token"] = own.security_token
        return headers | sign(
            method,
            url,
            headers,
            body,
            access_key=own.access_key,
            secret_key=own.secret_key,
            when=datetime.now(timezone.utc),
        )


class TokenAuth(_Lasting):
    """Sends a token that the user has."""

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"X-Auth-Token": self.credentials.token}


def auth_method(
    credentials: Credentials,
    project: tuple[str | None, str | None],
    issue: Callable[[bytes], Mapping[str, Any]],
) -> AuthMethod:
    """``project`` is its id and name (enough for a password), ``issue`` that of PasswordAuth."""
    if isinstance(credentials, Password):
        return PasswordAuth(issue, token_request(credentials, *project))
    project_id = project[0] or ""
    if isinstance(credentials, AkSk):
        return AkSkAuth(credentials, project_id)
    return TokenAuth(credentials, project_id)
