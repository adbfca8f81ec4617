"""Finds the credentials that a user already has: in the environment, clouds.yaml, or the files of
Huawei Cloud's tools. Sends nothing and shows no secret."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from majobctl.errors import AuthError, ConfigError, Problem
from majobctl.service.auth.credential_files import (
    CLOUD_KEYS,
    ENVIRONMENT,
    HUAWEI_CLOUD_KEYS,
    PROFILE_KEYS,
    Names,
    Source,
    first_values,
    home_file,
    read_cloud,
    read_huawei_cloud,
    read_id_token,
    read_profile,
)
from majobctl.service.auth.credentials import (
    Agency,
    AkSk,
    Caller,
    Credentials,
    IdToken,
    Password,
    Token,
)
from majobctl.target import checked_project_id
from majobctl.text import quoted

AUTH_KINDS = ("oidc", "aksk", "password", "token")

_NEEDED = {
    "oidc": ("provider", "id_token"),
    "aksk": ("access_key", "secret_key"),
    "password": ("username", "password", "account"),
    "token": ("token",),
}
_TOGETHER = {
    "aksk": "access_key and secret_key",
    "password": "account, username and password",
    "token": "",
}
_INSTEAD = {"account": "account_id", "id_token": "id_token_file"}
_NAMES = {"aksk": "access key", "oidc": "ID token"}


def given_credentials(given: Mapping[str, str | None]) -> Credentials | None:
    """The credentials in a Session's arguments; AuthError if they are incomplete."""
    values = {key: value for key, value in given.items() if value}
    if "username" in values:
        values.setdefault("account", values["username"])  # an account's own user has its name
    for kind, together in _TOGETHER.items():
        if _has_all(kind, values):
            return _made(kind, values)
        if not values.keys().isdisjoint(_NEEDED[kind]):
            raise AuthError(f"{together} go together")
    return None


def checked_project(
    project_id: str | None, project_name: str | None, credentials: Credentials
) -> str | None:
    """The project's id; None if IAM will give it for the name. AuthError if both are missing."""
    if project_id:
        return checked_project_id(project_id)
    if project_name and isinstance(credentials, (Password, IdToken)):
        return None
    hint = " (a name is enough only with a password or an ID token)" if project_name else ""
    raise AuthError(f"no project: set project_id, or OS_PROJECT_ID in the environment{hint}")


class Sources:
    """What the environment and the files hold, each file read when it is first needed. Keys are
    those of ``CLOUD_KEYS``. The environment wins over clouds.yaml, and that over Huawei Cloud's
    files. Raises AuthError for a file that cannot be read."""

    def __init__(self) -> None:
        environment = [
            Source("environment", names, partial(first_values, os.environ, names))
            for names in ENVIRONMENT
        ]
        self._own = environment[0]
        cloud = os.environ.get("OS_CLOUD", "").strip()
        self._cloud = Source("clouds.yaml", CLOUD_KEYS, partial(read_cloud, cloud))
        of_profile = partial(read_profile, name=os.environ.get("HW_PROFILE", ""))
        shared = os.environ.get("HW_SHARED_CONFIG_FILE", "")
        self._sources = [
            *environment,
            *([self._cloud] if cloud else []),
            home_file(".huaweicloud/credentials", HUAWEI_CLOUD_KEYS, read_huawei_cloud),
            home_file(".hcloud/config.json", PROFILE_KEYS, of_profile, named=shared),
        ]
        self._chosen: Source | None = None

    def get(self, key: str) -> str | None:
        """The first value for ``key``, or None."""
        return next((layer[key] for layer in self._layers(key) if key in layer), None)

    def credentials(self, auth: str | None = None) -> Credentials:
        """The credentials of kind ``auth``, or of the first complete kind of ``AUTH_KINDS``. Raises
        AuthError, which says what to set, if there are none."""
        if auth is not None and auth not in AUTH_KINDS:
            message = f'auth is "oidc", "aksk", "password" or "token", not {quoted(auth)}'
            raise ConfigError([Problem(where="auth", message=message)])
        kinds = AUTH_KINDS if auth is None else (auth,)
        for kind in kinds:
            for source in self._sources_for(kind):
                values = source.values
                if kind == "password" and source is self._cloud:
                    values = {**values, **self._own.values}
                # All come from one source: never one user's key with another's.
                if _has_all(kind, values):
                    self._chosen = source
                    return _with_agency(_made(kind, values), values)
        raise AuthError("\n".join(["no credentials", *self._looked_for(kinds)]))

    def project(self) -> tuple[str | None, str | None]:
        """The project's id and name from the first source that has either."""
        for layer in self._layers("project_id"):
            if layer.keys() & {"project_id", "project_name"}:
                return layer.get("project_id"), layer.get("project_name")
        return None, None

    def ca_file(self) -> tuple[str, str] | None:
        """The file with the certificates to trust, and what names it. A cloud's own file counts if
        something else came from that cloud."""
        if path := self._own.values.get("ca_file"):
            return path, "OS_CACERT"
        cloud = self._cloud.values if "values" in self._cloud.__dict__ else {}
        return (cloud["ca_file"], f"cacert of the {cloud['cloud']}") if "ca_file" in cloud else None

    def _sources_for(self, kind: str) -> Iterator[Source]:
        return (source for source in self._sources if _has_all(kind, source.names))

    def _layers(self, key: str) -> Iterator[Mapping[str, str]]:
        """The sources that may hold ``key``, best first. Other files are not read, so that a
        damaged one does no harm if it is not needed."""
        sources = self._sources
        if key in ("region", "endpoint", "iam_endpoint"):
            sources = [it for it in sources if not self._is_apart(it, key)]
            # A variable wins over the cloud that OS_CLOUD names, but over no vendor's own.
            sources.sort(key=lambda it: it is not self._chosen or it is self._cloud)
        for source in sources:
            if key in source.names:
                yield source.values
            if key == "project_id" and source.label == "environment":
                (name,) = source.names[key]
                if not os.environ.get(name, "unset").strip():
                    # Another source would give a project that nobody chose.
                    raise AuthError(f"{name} is empty: set a project's id, or unset it")

    def _is_apart(self, source: Source, key: str) -> bool:
        """Whether ``source`` could lead what one vendor's cloud has issued to another's."""
        are_open = {it in (None, self._own, self._cloud) for it in (source, self._chosen)}
        if key == "iam_endpoint":
            return source is not self._chosen and False in are_open
        return source is not self._own and len(are_open) == 2

    def _looked_for(self, kinds: Sequence[str]) -> Iterator[str]:
        """A line for each kind and source, what is begun first; and what to do. Never a value."""
        found = []
        for kind in kinds:
            for source in self._sources_for(kind):
                states = _states_of(_NEEDED[kind], source.names, source.values)
                label = source.values.get("cloud", source.label)
                note = ", whose keys are encrypted" if "encrypted" in source.values else ""
                state = "; ".join(f"{', '.join(it)} {name}" for name, it in states.items() if it)
                line = f"  {_NAMES.get(kind, kind)} ({label}{note}): {state}"
                advice = f"set {' and '.join([*states['empty'], *states['not set']])} in {label}"
                found.append((not (states["set"] or states["empty"]), kind != "aksk", line, advice))
        yield from (line for _, _, line, _ in sorted(found, key=lambda it: it[0]))
        if self._cloud not in self._sources:
            yield "  clouds.yaml: OS_CLOUD not set"
        advice = min(found, key=lambda it: it[:2])[3].replace(" environment", " the environment")
        yield f"{advice}, or complete another of these"


def _has_all(kind: str, keys: Container[str]) -> bool:
    return all(key in keys or _INSTEAD.get(key, "") in keys for key in _NEEDED[kind])


def _made(kind: str, values: Mapping[str, str]) -> Caller:
    if kind == "oidc":
        token = values.get("id_token") or read_id_token(Path(values["id_token_file"]))
        return IdToken(values["provider"], token)
    if kind == "aksk":
        return AkSk(values["access_key"], values["secret_key"], values.get("security_token"))
    if kind == "token":
        return Token(values["token"])
    account = values.get("account", "")
    user = (account, values["username"], values["password"])
    return Password(*user, "" if account else values["account_id"])


def _with_agency(caller: Caller, values: Mapping[str, str]) -> Credentials:
    if "agency" not in values:
        return caller
    account, account_id = values.get("agency_account", ""), values.get("agency_account_id", "")
    if not account and not account_id:
        wanted = "OS_AGENCY_DOMAIN_NAME, HW_ASSUME_ROLE_DOMAIN_NAME or agencyDomainName"
        raise AuthError(f"the agency {quoted(values['agency'])} needs its account: set {wanted}")
    return Agency(name=values["agency"], account=account, account_id=account_id, caller=caller)


def _states_of(keys: Iterable[str], names: Names, found: Mapping[str, str]) -> dict[str, list[str]]:
    """Which of the names are ``set``, ``empty`` and ``not set``."""
    states: dict[str, list[str]] = {"set": [], "empty": [], "not set": []}
    for key in keys:
        accepted = (key, _INSTEAD[key]) if key in _INSTEAD else (key,)
        choices = [name for item in accepted for name in names.get(item, ())]
        blank = [name for name in choices if name in os.environ]
        state = "set" if set(accepted) & found.keys() else "empty" if blank else "not set"
        states[state].append((blank or choices)[0])
    return states
