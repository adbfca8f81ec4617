"""Finds the credentials that a user already has: in the environment, clouds.yaml, or Huawei
Cloud's own file. Sends nothing and shows no secret."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from majobctl.errors import AuthError, ConfigError, Problem
from majobctl.service.auth.credential_files import (
    CLOUD_KEYS,
    HUAWEI_CLOUD_KEYS,
    first_values,
    read_cloud,
    read_huawei_cloud,
)
from majobctl.target import checked_project_id
from majobctl.text import quoted

AUTH_KINDS = ("aksk", "password", "token")

_ENVIRONMENT: tuple[Mapping[str, tuple[str, ...]], ...] = (
    {
        "access_key": ("OS_ACCESS_KEY",),
        "secret_key": ("OS_SECRET_KEY",),
        "security_token": ("OS_SECURITY_TOKEN",),
        "account": ("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
        "username": ("OS_USERNAME",),
        "password": ("OS_PASSWORD",),
        "token": ("OS_TOKEN", "OS_AUTH_TOKEN"),
        "project_id": ("OS_PROJECT_ID",),
        "project_name": ("OS_PROJECT_NAME",),
        "region": ("OS_REGION_NAME",),
        "iam_endpoint": ("OS_AUTH_URL",),
        "ca_file": ("OS_CACERT",),
        "endpoint": ("MAJOBCTL_ENDPOINT",),
    },
    {
        "access_key": ("HUAWEICLOUD_SDK_AK",),
        "secret_key": ("HUAWEICLOUD_SDK_SK",),
        "security_token": ("HUAWEICLOUD_SDK_SECURITY_TOKEN",),
        "project_id": ("HUAWEICLOUD_SDK_PROJECT_ID",),
    },
    {
        "access_key": ("HW_ACCESS_KEY",),
        "secret_key": ("HW_SECRET_KEY",),
        "security_token": ("HW_SECURITY_TOKEN",),
        "project_id": ("HW_PROJECT_ID",),
        "project_name": ("HW_PROJECT_NAME",),
        "region": ("HW_REGION_NAME",),
    },
)

_PAIRS = [(names["access_key"][0], names["secret_key"][0]) for names in _ENVIRONMENT]
_PARTNERS = {**dict(_PAIRS), **{secret: access for access, secret in _PAIRS}}
_WANTED = {
    "aksk": "an access key (OS_ACCESS_KEY and OS_SECRET_KEY, HUAWEICLOUD_SDK_AK and"
    " HUAWEICLOUD_SDK_SK, HW_ACCESS_KEY and HW_SECRET_KEY, or ak and sk in"
    " ~/.huaweicloud/credentials)",
    "password": "a password (OS_USERNAME, OS_PASSWORD and OS_USER_DOMAIN_NAME, or OS_CLOUD with"
    " clouds.yaml)",
    "token": "a token (OS_TOKEN)",
}


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
    """A user of an account (IAM calls it a domain)."""

    account: str
    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_encodable(self.account, "account")
        _check_encodable(self.username, "user name")
        _check_encodable(self.password, "password")


@dataclass(frozen=True, slots=True)
class Token:
    """A token that IAM issued to the user; it is used until it expires."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_header_value(self.token, "token")


Credentials = AkSk | Password | Token
_Triple = tuple[str | None, str | None, str | None]


def given_credentials(keys: _Triple, user: _Triple, token: str | None) -> Credentials | None:
    """The credentials in a Session's arguments; AuthError if they are incomplete.

    ``keys`` are access key, secret key and security token; ``user`` is account, name and password.
    """
    access_key, secret_key, security_token = keys
    account, username, password = user
    if access_key and secret_key:
        return AkSk(access_key, secret_key, security_token)
    if access_key or secret_key:
        raise AuthError("access_key and secret_key go together")
    if username and password:
        # An account's own user has its name.
        return Password(account or username, username, password)
    if username or password or account:
        raise AuthError("account, username and password go together")
    return Token(token) if token else None


def checked_project(
    project_id: str | None, project_name: str | None, credentials: Credentials
) -> str | None:
    """The project's id; None if IAM will give it for the name. AuthError if both are missing."""
    if project_id:
        return checked_project_id(project_id)
    if project_name and isinstance(credentials, Password):
        return None
    hint = " (a project's name is enough only with a password)" if project_name else ""
    raise AuthError(f"no project: set project_id, or OS_PROJECT_ID in the environment{hint}")


class Sources:
    """What the environment and the files hold, each file read when it is first needed.

    Keys are ``access_key``, ``secret_key``, ``security_token``, ``account``, ``username``,
    ``password``, ``token``, ``project_id``, ``project_name``, ``region``, ``iam_endpoint``,
    ``endpoint`` and ``ca_file``. The environment wins over clouds.yaml, and that over Huawei
    Cloud's file. Raises AuthError for a file that cannot be read.
    """

    def get(self, key: str) -> str | None:
        """The first value for ``key``, or None."""
        return next((layer[key] for layer in self._layers(key) if key in layer), None)

    def credentials(self, auth: str | None = None) -> Credentials:
        """The credentials of kind ``auth``, or of the first complete kind of ``AUTH_KINDS``.

        Raises AuthError, which says what to set, if there are none.
        """
        if auth is not None and auth not in AUTH_KINDS:
            message = f'auth is "aksk", "password" or "token", not {quoted(auth)}'
            raise ConfigError([Problem(where="auth", message=message)])
        kinds = AUTH_KINDS if auth is None else (auth,)
        readers = {"aksk": self._aksk, "password": self._password, "token": self._token}
        for kind in kinds:
            if found := readers[kind]():
                return found
        wanted = "; or ".join(_WANTED[kind] for kind in kinds)
        raise AuthError(f"no credentials: {self._half_set()}set {wanted}.")

    def project(self) -> tuple[str | None, str | None]:
        """The project's id and name from the first source that has either."""
        for layer in self._layers("project_id"):
            if "project_id" in layer or "project_name" in layer:
                return layer.get("project_id"), layer.get("project_name")
        return None, None

    def ca_file(self) -> str | None:
        """The file with the certificates to trust, from the environment.

        A cloud's own file counts if something else came from that cloud.
        """
        cloud = self._cloud if "_cloud" in self.__dict__ else {}
        return self._environment[0].get("ca_file") or cloud.get("ca_file")

    def _layers(self, key: str) -> Iterator[Mapping[str, str]]:
        """The sources that may hold ``key``, best first.

        Other files are not read, so that a damaged one does no harm if it is not needed.
        """
        yield from self._environment
        if key in CLOUD_KEYS:
            yield self._cloud
        if key in HUAWEI_CLOUD_KEYS:
            yield self._huawei_cloud

    @cached_property
    def _environment(self) -> tuple[Mapping[str, str], ...]:
        return tuple(first_values(os.environ, names_of_keys) for names_of_keys in _ENVIRONMENT)

    @cached_property
    def _cloud(self) -> Mapping[str, str]:
        name = os.environ.get("OS_CLOUD", "").strip()
        return read_cloud(name) if name else {}

    @cached_property
    def _huawei_cloud(self) -> Mapping[str, str]:
        return read_huawei_cloud(Path.home() / ".huaweicloud" / "credentials")

    def _aksk(self) -> AkSk | None:
        # The keys of a pair come from one source: never one user's key with another's.
        for layer in self._layers("access_key"):
            if "access_key" in layer and "secret_key" in layer:
                return AkSk(layer["access_key"], layer["secret_key"], layer.get("security_token"))
        return None

    def _password(self) -> Password | None:
        account, username, password = map(self.get, ("account", "username", "password"))
        if account and username and password:
            return Password(account, username, password)
        return None

    def _token(self) -> Token | None:
        token = self.get("token")
        return Token(token) if token else None

    def _half_set(self) -> str:
        """What is set already, for the beginning of the message."""
        keys = ("access_key", "secret_key", "account", "username", "password", "token")
        present = sorted(
            name
            for names_of_keys in _ENVIRONMENT
            for key in keys
            for name in names_of_keys.get(key, ())
            if os.environ.get(name, "").strip()
        )
        if len(present) == 1 and present[0] in _PARTNERS:
            return f"{present[0]} is set, but {_PARTNERS[present[0]]} is not; "
        return f"found only {', '.join(present)}; " if present else ""


def _check_encodable(value: str, what: str) -> None:
    """An environment variable may hold bytes that are not UTF-8: half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise AuthError(f"the {what} is not UTF-8 text")


def _check_header_value(value: str, what: str) -> None:
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise AuthError(f"the {what} holds an invalid character")
