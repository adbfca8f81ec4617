"""The two ways to authorize a request: an access key signs it, or a token goes with it. Safe to use
from several threads."""

from __future__ import annotations

from datetime import datetime, timezone

from majobctl.service.auth.credentials import AkSk, Token
from majobctl.service.auth.signing import sign


class AkSkAuth:
    """Signs each request with an access key, over all of these headers."""

    def __init__(self, credentials: AkSk, project_id: str) -> None:
        self.project_id, self.secret = project_id, credentials.security_token
        self._credentials = credentials

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        """The headers that authorize a request."""
        own = self._credentials
        headers = {"X-Project-Id": self.project_id} if self.project_id else {}
        if body:
            headers["Content-Type"] = "application/json"
        if own.security_token:
            headers["X-Security-Token"] = own.security_token
        return headers | sign(method, url, headers, body, own, datetime.now(timezone.utc))


class TokenAuth:
    """Sends a token."""

    def __init__(self, credentials: Token, project_id: str) -> None:
        self.project_id, self.secret = project_id, credentials.token

    def headers(self, method: str, url: str, body: bytes) -> dict[str, str]:
        return {"X-Auth-Token": self.secret}
