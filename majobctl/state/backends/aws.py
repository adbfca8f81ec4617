"""As AWS's own tools sign in and sign: keys from variables or from a profile in ``~/.aws``, and
Signature Version 4 for S3. ModelArts' signature, in ``service.auth.methods``, has another path,
another key and other headers."""

from __future__ import annotations

import configparser
import hashlib
import hmac
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from shlex import quote
from urllib.parse import urlsplit

from majobctl.errors import StateError
from majobctl.files import at_home, read_file
from majobctl.text import nearest, printable, quoted, reason_of


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key; a ``session_token`` goes with a temporary one."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    region: str = ""


def sign(
    method: str, url: str, headers: Mapping[str, str], body: bytes, keys: Keys, when: datetime
) -> dict[str, str]:
    """The headers to send: ``headers``, which are all signed, and those of the signature. ``url``
    is encoded, its query sorted; ``when`` has a time zone, and may be off by 15 minutes."""
    parts, stamp = urlsplit(url), when.astimezone(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope, digest = (stamp[:8], keys.region, "s3", "aws4_request"), hashlib.sha256(body).hexdigest()
    sent = {**headers, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    if keys.session_token:
        sent["x-amz-security-token"] = keys.session_token
    signed = {"host": parts.netloc} | {name.lower(): value for name, value in sent.items()}
    lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
    names = ";".join(sorted(signed))
    request = "\n".join((method, parts.path, parts.query, lines, names, digest))
    hashed = hashlib.sha256(request.encode()).hexdigest()
    to_sign = "\n".join(("AWS4-HMAC-SHA256", stamp, "/".join(scope), hashed))
    signature = b"AWS4" + keys.secret_key.encode()
    for text in (*scope, to_sign):
        signature = hmac.digest(signature, text.encode(), "sha256")
    credential = "/".join((keys.access_key, *scope))
    value = f"Credential={credential}, SignedHeaders={names}, Signature={signature.hex()}"
    return {**sent, "Authorization": f"AWS4-HMAC-SHA256 {value}"}


_WAYS = {
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ""),
    "AWS_WEB_IDENTITY_TOKEN_FILE": "a web identity",
    "role_arn": "a role to assume",
    **dict.fromkeys(("sso_session", "sso_start_url"), "single sign-on"),
    "login_session": "`aws login`",
    **dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), ""),
    "credential_process": "a program that prints keys",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "a container's role",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "a container's role",
}
"""What says how to sign in, in the order of AWS's tools; "" for keys, which are all that it takes
here. The names of variables are in capitals, those of a profile are not."""


def find_keys(region: str, otherwise: str = "") -> Keys:
    """The keys for ``region``, the one set beside them, or ``otherwise``. Raises StateError."""
    values = {it: text.strip() for it, text in os.environ.items() if it.startswith("AWS_")}
    profile = values.get("AWS_PROFILE") or "default"
    region = region or values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION") or ""
    if not (region and values.get("AWS_ACCESS_KEY_ID")):
        values |= _read_profile(profile, values)
    found = next((name for name in _WAYS if values.get(name)), "")
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    named = (values.get(name.upper() if found.isupper() else name, "") for name in names)
    access_key, secret_key, token = named
    if found and not _WAYS[found] and access_key and secret_key:
        return Keys(access_key, secret_key, token, region or values.get("region") or otherwise)
    problem = "no keys in the environment or the profile; a machine's role (IMDS) is not asked"
    if found:
        problem = f"{found} is set, for {_WAYS[found] or 'a pair of keys that is not complete'}"
    raise StateError(
        f"no credentials for S3, profile {quoted(profile)}: {problem}\nset AWS_ACCESS_KEY_ID and"
        " AWS_SECRET_ACCESS_KEY, or let AWS's own tools hand them out: eval \"$(aws configure"
        f' export-credentials --profile {printable(quote(profile))} --format env)"'
    )


def _read_profile(name: str, env: Mapping[str, str]) -> dict[str, str]:
    """The profile's values in both files, of which those of ``credentials`` win."""
    parser, found = configparser.RawConfigParser(default_section=""), dict[str, dict[str, str]]()
    for file in ("config", "shared_credentials"):
        path = env.get(f"AWS_{file.upper()}_FILE") or f"~/.aws/{file.removeprefix('shared_')}"
        try:
            parser.read_string(read_file(at_home(path), 2**20).decode("utf-8-sig"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, configparser.Error) as error:
            # The parser's errors quote lines, which may hold a secret.
            reason = reason_of(error) if isinstance(error, OSError) else "not an ini file"
            raise StateError(f"no credentials for S3: {printable(path)}: {reason}") from None
    for title in parser.sections():
        short = title.removeprefix("profile ").strip(" \"'")
        found.setdefault(short, {}).update(parser.items(title))
    if env.get("AWS_PROFILE") and name not in found:
        problem = f"there is no profile {quoted(name)}, to which AWS_PROFILE is set"
        raise StateError(f"no credentials for S3: {problem}{nearest(name, found)}")
    return found.get(name, {})
