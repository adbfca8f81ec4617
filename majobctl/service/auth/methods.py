"""The two ways to authorize a request: an access key signs it (SDK-HMAC-SHA256), as the public
signer in the Huawei Cloud Python SDK does, or a token goes with it. Safe to use from several
threads."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from majobctl.service.auth.credentials import AkSk, Token

ALGORITHM = "SDK-HMAC-SHA256"


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


def sign(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: AkSk, when: datetime
) -> dict[str, str]:
    """The headers that sign the request: ``X-Sdk-Date`` and ``Authorization``. Every header in
    ``headers`` is signed, and must be sent as it is. So is Host, as of ``url``, which has no
    default port. ``when`` has a time zone; the service allows it to be off by 15 minutes."""
    parts = urlsplit(url)
    date = when.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    signed = {"host": parts.netloc}
    signed.update({name.lower(): value.strip() for name, value in headers.items()})
    signed["x-sdk-date"] = date
    names = ";".join(sorted(signed))
    lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
    path = quote(unquote(parts.path), safe="/~").removesuffix("/") + "/"
    pairs = sorted(parse_qsl(parts.query, keep_blank_values=True))
    query = "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)
    digest = hashlib.sha256(body).hexdigest()
    request = "\n".join((method.upper(), path, query, lines, names, digest))
    to_sign = "\n".join((ALGORITHM, date, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(keys.secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    value = f"{ALGORITHM} Access={keys.access_key}, SignedHeaders={names}, Signature={signature}"
    return {"X-Sdk-Date": date, "Authorization": value}
