"""A small AK/SK signer for these tests, written from the REST reference alone. It shares nothing
with the emulator's check or with the client's own signer."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import requests
from requests.auth import AuthBase


class Signer(AuthBase):
    """Signs a request of requests: `names` are the signed headers besides host and x-sdk-date. With
    a `scope` (region/service) in the older form; with `unsigned`, without the body."""

    def __init__(
        self,
        access_key: str = "emulator",
        secret_key: str = "emulator",
        *,
        names: Iterable[str] = (),
        minutes_off: float = 0,
        scope: str = "",
        leave_out: Iterable[str] = (),
        unsigned: bool = False,
    ) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.names = tuple(names)
        self.minutes_off = minutes_off
        self.scope = scope
        self.leave_out = tuple(leave_out)
        self.unsigned = unsigned

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        moment = datetime.now(timezone.utc) + timedelta(minutes=self.minutes_off)
        date = moment.strftime("%Y%m%dT%H%M%SZ")
        url = urlsplit(str(request.url))
        request.headers["Host"] = url.netloc
        request.headers["X-Sdk-Date"] = date
        if self.unsigned:
            request.headers["X-Sdk-Content-Sha256"] = "UNSIGNED-PAYLOAD"
        headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
        names = sorted({"host", "x-sdk-date", *self.names} - set(self.leave_out))
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body
        text = canonical_request(
            str(request.method),
            url.path,
            url.query,
            {name: headers[name] for name in names},
            "UNSIGNED-PAYLOAD" if self.unsigned else content,
        )
        scope = f"{date[:8]}/{self.scope}/sdk_request" if self.scope else ""
        signature = sign(self.secret_key, date, text, scope)
        key = f"Credential={self.access_key}/{scope}" if scope else f"Access={self.access_key}"
        request.headers["Authorization"] = (
            f"SDK-HMAC-SHA256 {key}, SignedHeaders={';'.join(names)}, Signature={signature}"
        )
        return request


def canonical_request(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes | str
) -> str:
    """The text that is hashed; `headers` are the signed ones by lower-case name. A `body` that is
    text takes the place of its hash."""
    uri = quote(unquote(path), safe="/~")
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    text = f"{method}\n{uri if uri.endswith('/') else uri + '/'}\n"
    text += "&".join(quote(key, safe="~") + "=" + quote(value, safe="~") for key, value in pairs)
    text += "\n"
    for name in sorted(headers):
        text += f"{name}:{headers[name].strip()}\n"
    payload = body if isinstance(body, str) else hashlib.sha256(body).hexdigest()
    return f"{text}\n{';'.join(sorted(headers))}\n{payload}"


def sign(secret_key: str, date: str, text: str, scope: str = "") -> str:
    """The signature of a canonical request; with a scope, the older form's."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    key = secret_key.encode()
    to_sign = f"SDK-HMAC-SHA256\n{date}\n{digest}"
    if scope:
        to_sign = f"SDK-HMAC-SHA256\n{date}\n{scope}\n{digest}"
        key = b"SDK" + key
        for part in scope.split("/"):
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
