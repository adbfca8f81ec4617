"""What a caller proves its identity with, checked, and without the secrets in its ``repr``."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from majobctl.errors import AuthError


@dataclass(frozen=True, slots=True)
class AkSk:
    """An access key pair; ``security_token`` belongs to a temporary one."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_header_value(self.access_key, "access key")
        _check_header_value(self.security_token or "", "security token")
        _check_encodable(self.secret_key, "secret key")


@dataclass(frozen=True, slots=True)
class Password:
    """A user of an account (IAM calls it a domain), which has a name or else an id."""

    account: str
    username: str
    password: str = field(repr=False)
    account_id: str = ""

    def __post_init__(self) -> None:
        _check_encodable(self.account + self.account_id, "account")
        _check_encodable(self.username, "user name")
        _check_encodable(self.password, "password")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that IAM issued to the user; it is used until it expires."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_header_value(self.token, "token")


@dataclass(frozen=True, slots=True)
class IdToken:
    """A token of an identity provider, such as a CI's own; IAM gives one of its own for it."""

    provider: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_header_value(self.provider, "identity provider")
        _check_encodable(self.token, "ID token")


Caller = AkSk | Password | Token | IdToken


@dataclass(frozen=True, slots=True, kw_only=True)
class Agency:
    """An agency of an account, which has a name or else an id; ``caller`` gets temporary keys of
    it from IAM."""

    name: str
    account: str
    account_id: str
    caller: Caller


Credentials = Caller | Agency


def secrets_of(credentials: Credentials) -> set[str]:
    """What ``repr`` does not show of them."""
    if isinstance(credentials, Agency):
        return secrets_of(credentials.caller)
    return {getattr(credentials, it.name) or "" for it in fields(credentials) if not it.repr}


def _check_encodable(value: str, what: str) -> None:
    """An environment variable may hold bytes that are not UTF-8: half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise AuthError(f"the {what} is not UTF-8 text")


def _check_header_value(value: str, what: str) -> None:
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise AuthError(f"the {what} holds an invalid character")
