"""Finds the credentials that a user already has: in the environment, clouds.yaml, or Huawei
Cloud's own file. Sends nothing and shows no secret."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import repeat

from majobctl.errors import AuthError, ConfigError, Problem
from majobctl.service.auth.credential_files import (
    CLOUD_KEYS,
    HUAWEI_CLOUD_KEYS,
    Names,
    first_values,
    home_folder,
    read_cloud,
    read_huawei_cloud,
)
from majobctl.target import checked_project_id
from majobctl.text import quoted

AUTH_KINDS = ("aksk", "password", "token")

_ENVIRONMENT: tuple[Names, ...] = (
    {
        "access_key": ("OS_ACCESS_KEY",),
        "secret_key": ("OS_SECRET_KEY",),
        "security_token": ("OS_SECURITY_TOKEN",),
        "account": ("OS_USER_DOMAIN_NAME", "OS_DOMAIN_NAME"),
        "account_id": ("OS_USER_DOMAIN_ID", "OS_DOMAIN_ID"),
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

_NEEDED = {
    "aksk": ("access_key", "secret_key"),
    "password": ("username", "password", "account"),
    "token": ("token",),
}
_NAMES = {"aksk": "access key"}


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


Credentials = AkSk | Password | Token


def secrets_of(credentials: Credentials) -> set[str]:
    """What ``repr`` does not show of them."""
    return {getattr(credentials, it.name) or "" for it in fields(credentials) if not it.repr}


_Triple = tuple[str | None, str | None, str | None]


def given_credentials(keys: _Triple, user: _Triple, token: str | None) -> Credentials | None:
    """The credentials in a Session's arguments; AuthError if they are incomplete. ``keys`` are
    access key, secret key and security token; ``user`` is account, name and password."""
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
    """What the environment and the files hold, each file read when it is first needed. Keys are
    those of ``CLOUD_KEYS``. The environment wins over clouds.yaml, and that over Huawei Cloud's
    file. Raises AuthError for a file that cannot be read."""

    def get(self, key: str) -> str | None:
        """The first value for ``key``, or None."""
        return next((layer[key] for layer in self._layers(key) if key in layer), None)

    def credentials(self, auth: str | None = None) -> Credentials:
        """The credentials of kind ``auth``, or of the first complete kind of ``AUTH_KINDS``. Raises
        AuthError, which says what to set, if there are none."""
        if auth is not None and auth not in AUTH_KINDS:
            message = f'auth is "aksk", "password" or "token", not {quoted(auth)}'
            raise ConfigError([Problem(where="auth", message=message)])
        kinds = AUTH_KINDS if auth is None else (auth,)
        readers = {"aksk": self._aksk, "password": self._password, "token": self._token}
        for kind in kinds:
            if found := readers[kind]():
                return found
        lines = "\n".join(f"  {line}" for line in self._looked_for(kinds))
        raise AuthError(f"no credentials; complete one of these:\n{lines}")

    def project(self) -> tuple[str | None, str | None]:
        """The project's id and name from the first source that has either."""
        return self._first_pair("project_id", "project_name")

    def ca_file(self) -> tuple[str, str] | None:
        """The file with the certificates to trust, and what names it. A cloud's own file counts if
        something else came from that cloud."""
        if path := self._environment[0].get("ca_file"):
            return path, "OS_CACERT"
        cloud = self._cloud if "_cloud" in self.__dict__ else {}
        return (cloud["ca_file"], f"cacert of the {cloud['cloud']}") if "ca_file" in cloud else None

    def _first_pair(self, first: str, second: str) -> tuple[str | None, str | None]:
        """The values of the first source that has either."""
        for layer in self._layers(first):
            if first in layer or second in layer:
                return layer.get(first), layer.get(second)
        return None, None

    def _layers(self, key: str) -> Iterator[Mapping[str, str]]:
        """The sources that may hold ``key``, best first. Other files are not read, so that a
        damaged one does no harm if it is not needed."""
        for layer, names in zip(self._environment, _ENVIRONMENT, strict=True):
            yield layer
            if key == "project_id" and not os.environ.get(names[key][0], "unset").strip():
                # Another source would give a project that nobody chose.
                raise AuthError(f"{names[key][0]} is empty: set a project's id, or unset it")
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
        folder = home_folder(".huaweicloud")
        return read_huawei_cloud(folder / "credentials") if folder else {}

    def _aksk(self) -> AkSk | None:
        # The keys of a pair come from one source: never one user's key with another's.
        for layer in self._layers("access_key"):
            if "access_key" in layer and "secret_key" in layer:
                return AkSk(layer["access_key"], layer["secret_key"], layer.get("security_token"))
        return None

    def _password(self) -> Password | None:
        account, account_id = self._first_pair("account", "account_id")
        username, password = self.get("username"), self.get("password")
        if (account or account_id) and username and password:
            return Password(account or "", username, password, "" if account else account_id or "")
        return None

    def _token(self) -> Token | None:
        token = self.get("token")
        return Token(token) if token else None

    def _looked_for(self, kinds: Iterable[str]) -> Iterator[str]:
        """A line for each kind and each source that may hold it; never a value."""
        folder = home_folder(".huaweicloud")
        missing = "" if folder and (folder / "credentials").exists() else ", which does not exist"
        sources = [
            *zip(repeat("environment"), _ENVIRONMENT, self._environment),
            *([(self._cloud["cloud"], CLOUD_KEYS, self._cloud)] if self._cloud else []),
            (f"~/.huaweicloud/credentials{missing}", HUAWEI_CLOUD_KEYS, self._huawei_cloud),
        ]
        for kind in kinds:
            for source, names, found in sources:
                if names.keys() >= set(_NEEDED[kind]):
                    state = _state_of(_NEEDED[kind], names, found)
                    yield f"{_NAMES.get(kind, kind)} ({source}): {state}"
        if not self._cloud:
            yield "clouds.yaml: OS_CLOUD not set"


def _state_of(keys: Iterable[str], names: Names, found: Mapping[str, str]) -> str:
    """Such as ``OS_ACCESS_KEY set; OS_SECRET_KEY empty``."""
    states: dict[str, list[str]] = {"set": [], "empty": [], "not set": []}
    for key in keys:
        accepted = (key, "account_id") if key == "account" else (key,)
        choices = [name for item in accepted for name in names.get(item, ())]
        blank = [name for name in choices if name in os.environ]
        state = "set" if set(accepted) & found.keys() else "empty" if blank else "not set"
        states[state].append((blank or choices)[0])
    return "; ".join(f"{', '.join(items)} {state}" for state, items in states.items() if items)


def _check_encodable(value: str, what: str) -> None:
    """An environment variable may hold bytes that are not UTF-8: half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise AuthError(f"the {what} is not UTF-8 text")


def _check_header_value(value: str, what: str) -> None:
    if not value.isascii() or not value.isprintable() or value != value.strip():
        raise AuthError(f"the {what} holds an invalid character")
