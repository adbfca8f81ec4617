"""AK/SK signatures (SDK-HMAC-SHA256), as the public signer in the Huawei Cloud Python SDK makes
them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from majobctl.service.auth.credentials import AkSk

ALGORITHM = "SDK-HMAC-SHA256"


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: AkSk,
    when: datetime,
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
    request = "\n".join(
        (
            method.upper(),
            _canonical_path(parts.path),
            _canonical_query(parts.query),
            "".join(f"{name}:{signed[name]}\n" for name in sorted(signed)),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = "\n".join((ALGORITHM, date, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(keys.secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    value = f"{ALGORITHM} Access={keys.access_key}, SignedHeaders={names}, Signature={signature}"
    return {"X-Sdk-Date": date, "Authorization": value}


def _canonical_path(path: str) -> str:
    canonical = quote(unquote(path), safe="/~")
    return canonical if canonical.endswith("/") else canonical + "/"


def _canonical_query(query: str) -> str:
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    return "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs)
