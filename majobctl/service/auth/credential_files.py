"""Where other tools keep credentials: variables, clouds.yaml, and the files of Huawei Cloud's."""

from __future__ import annotations

import configparser
import importlib
import os
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from majobctl.errors import AuthError
from majobctl.files import at_home, read_file
from majobctl.strict_json import JsonError, parse_object
from majobctl.text import nearest, quoted

Names = Mapping[str, tuple[str, ...]]
"""What a source calls each key; the first that has a value counts."""


def names_of_keys(text: str) -> Names:
    """Reads ``key=NAME|OTHER_NAME`` after ``key=NAME``."""
    pairs = (item.partition("=") for item in text.split())
    return {key: tuple(names.split("|")) for key, _, names in pairs}


ENVIRONMENT: tuple[Names, ...] = (
    names_of_keys("""
        access_key=OS_ACCESS_KEY secret_key=OS_SECRET_KEY security_token=OS_SECURITY_TOKEN
        account=OS_USER_DOMAIN_NAME|OS_DOMAIN_NAME account_id=OS_USER_DOMAIN_ID|OS_DOMAIN_ID
        username=OS_USERNAME password=OS_PASSWORD token=OS_TOKEN|OS_AUTH_TOKEN
        project_id=OS_PROJECT_ID project_name=OS_PROJECT_NAME region=OS_REGION_NAME
        iam_endpoint=OS_AUTH_URL ca_file=OS_CACERT endpoint=MAJOBCTL_ENDPOINT
        agency=OS_AGENCY_NAME agency_account=OS_AGENCY_DOMAIN_NAME
    """),
    names_of_keys("""
        access_key=HUAWEICLOUD_SDK_AK secret_key=HUAWEICLOUD_SDK_SK
        security_token=HUAWEICLOUD_SDK_SECURITY_TOKEN provider=HUAWEICLOUD_SDK_IDP_ID
        id_token_file=HUAWEICLOUD_SDK_ID_TOKEN_FILE project_id=HUAWEICLOUD_SDK_PROJECT_ID
        iam_endpoint=HUAWEICLOUD_SDK_IAM_ENDPOINT
    """),
    names_of_keys("""
        access_key=HW_ACCESS_KEY secret_key=HW_SECRET_KEY security_token=HW_SECURITY_TOKEN
        account=HW_DOMAIN_NAME account_id=HW_DOMAIN_ID username=HW_USER_NAME
        password=HW_USER_PASSWORD token=HW_AUTH_TOKEN project_id=HW_PROJECT_ID
        project_name=HW_PROJECT_NAME region=HW_REGION_NAME iam_endpoint=HW_AUTH_URL
        provider=HW_ASSUME_ROLE_IDP_ID id_token=HW_ASSUME_ROLE_ID_TOKEN
        id_token_file=HW_ASSUME_ROLE_ID_TOKEN_FILE agency=HW_ASSUME_ROLE_AGENCY_NAME
        agency_account=HW_ASSUME_ROLE_DOMAIN_NAME agency_account_id=HW_ASSUME_ROLE_DOMAIN_ID
    """),
)
CLOUD_KEYS = names_of_keys("""
    access_key=access_key|ak secret_key=secret_key|sk security_token=security_token token=token
    account=user_domain_name|domain_name account_id=user_domain_id|domain_id username=username
    password=password project_id=project_id project_name=project_name region=region_name
    iam_endpoint=auth_url ca_file=cacert endpoint=modelarts_endpoint_override
""")
HUAWEI_CLOUD_KEYS = names_of_keys("""
    access_key=ak secret_key=sk security_token=security_token project_id=project_id
    iam_endpoint=iam_endpoint
""")
PROFILE_KEYS = names_of_keys("""
    access_key=accessKeyId secret_key=secretAccessKey security_token=securityToken
    project_id=projectId region=region agency=agencyName agency_account=agencyDomainName
    agency_account_id=agencyDomainId encrypted=encrypted
""")


class Source:
    """A place, what it calls each key, and its values, which are read when first needed."""

    def __init__(self, label: str, names: Names, read: Callable[[], Mapping[str, str]]) -> None:
        self.label, self.names, self._read = label, names, read

    @cached_property
    def values(self) -> Mapping[str, str]:
        return self._read()


def first_values(values: Mapping[str, str], names: Names) -> dict[str, str]:
    """For each key the first of its names that has a value, without the space around it."""
    found = {key: (values.get(name, "").strip() for name in names[key]) for key in names}
    return {key: value for key in found if (value := next(filter(None, found[key]), ""))}


def home_folder(name: str) -> Path | None:
    """A folder in the user's home; None if there is no home or no such folder, or if it belongs to
    somebody else, as in containers that run as any user."""
    try:
        folder = Path.home() / name
    except RuntimeError:
        return None
    return folder if os.access(folder, os.X_OK) else None


def home_file(
    name: str, names: Names, read: Callable[[Path], Mapping[str, str]], named: str = ""
) -> Source:
    """A file below the user's home, or the one that a variable has ``named``."""
    folder, _, base = name.partition("/")
    home = home_folder(folder)
    path = Path(at_home(named)) if named else home / base if home else None
    missing = "" if path and path.exists() else ", which does not exist"
    return Source(f"{named or '~/' + name}{missing}", names, partial(read, path) if path else dict)


def read_huawei_cloud(path: Path) -> Mapping[str, str]:
    """The values of Huawei Cloud's own file; none if it is missing."""
    # The parser's errors quote lines, which may hold a secret.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_read(path, if_missing=b"").decode("utf-8-sig"))
    except (configparser.Error, UnicodeDecodeError):
        raise AuthError(f"{path}: not an ini file with a section [basic]") from None
    found = dict(parser.items("basic")) if parser.has_section("basic") else {}
    return first_values(found, HUAWEI_CLOUD_KEYS)


def read_profile(path: Path, name: str) -> Mapping[str, str]:
    """The values of a profile of KooCLI, Huawei Cloud's command line, the current one by default;
    none if the file is missing. ``encrypted`` is in place of keys that only KooCLI can read."""
    try:
        document = parse_object(_read(path, if_missing=b"{}"), is_ours=False)
    except JsonError as error:
        raise AuthError(f"{path}: {error}") from None
    listed = document.get("profiles")
    tables = map(_table, listed if isinstance(listed, list) else [])
    profiles = {table.get("name"): table for table in tables}
    if name and name not in profiles:
        raise AuthError(f"{path}: there is no profile {quoted(name)}, to which HW_PROFILE is set")
    profile = profiles.get(name or document.get("current")) or {}
    if profile.get("mode") == "SSO":
        profile = {**profile, **_table(_table(profile.get("ssoAuth")).get("stsToken"))}
    found = {key: value for key, value in profile.items() if isinstance(value, str)}
    if str(document.get("authEncrypt")).lower() == "true":
        readable = found.keys() & {"region", "projectId"}
        found = {"encrypted": "yes", **{key: found[key] for key in readable}}
    return first_values(found, PROFILE_KEYS)


def read_id_token(path: Path) -> str:
    """The token that a CI, or a cluster, has written to a file."""
    return _read(path).decode("ascii", "replace").strip()


def read_cloud(name: str) -> Mapping[str, str]:
    """The values of one cloud in clouds.yaml, with those of secure.yaml laid over it. ``cloud``
    among them names the cloud and its file."""
    if (path := _first_file("clouds", "OS_CLIENT_CONFIG_FILE")) is None:
        raise AuthError(
            f"OS_CLOUD is {quoted(name)}, but there is no clouds.yaml here, in"
            " ~/.config/openstack or in /etc/openstack"
        )
    clouds = _clouds_in(path)
    if name not in clouds:
        known = ", ".join(map(quoted, clouds)) or "none"
        raise AuthError(
            f"{path}: there is no cloud {quoted(name)}, to which OS_CLOUD is set"
            f"{nearest(name, clouds)}; the file has {known}"
        )
    found = _values_of(path, name, clouds[name])
    if secure := _first_file("secure", "OS_CLIENT_SECURE_FILE"):
        found |= _values_of(secure, name, _clouds_in(secure).get(name, {}))
    return first_values(found, CLOUD_KEYS) | {"cloud": f"cloud {quoted(name)} of {path}"}


def _first_file(stem: str, variable: str) -> Path | None:
    if named := os.environ.get(variable):
        return Path(at_home(named))
    homes = filter(None, [home_folder(".config/openstack")])
    for directory in (Path(), *homes, Path("/etc/openstack")):
        for suffix in (".yaml", ".yml"):
            path = directory / (stem + suffix)
            if path.is_file():
                return path
    return None


def _clouds_in(path: Path) -> dict[str, dict[str, Any]]:
    clouds = _table(_table(_load_yaml(path)).get("clouds"))
    return {str(name): cloud for name, cloud in clouds.items() if isinstance(cloud, dict)}


def _values_of(path: Path, name: str, cloud: dict[str, Any]) -> dict[str, str]:
    """The keys that are read, in one table."""
    known = {key for keys in CLOUD_KEYS.values() for key in keys}
    flat = {**cloud, **_table(cloud.get("auth"))}
    found = {key: flat[key] for key in known & flat.keys() if flat[key] is not None}
    for key in sorted(found):
        if not isinstance(found[key], str):
            raise AuthError(f"{path}: {key} of the cloud {quoted(name)} must be text")
    return found


def _read(path: Path, if_missing: bytes | None = None) -> bytes:
    try:
        return read_file(path, 2**20, may_be_pipe=True)
    except OSError as error:
        if if_missing is None or not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise AuthError(f"{path}: cannot be read: {error.strerror}") from None
    return if_missing


def _load_yaml(path: Path) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise AuthError(
            f"OS_CLOUD is set, and reading {path} needs PyYAML: install it with pip install PyYAML"
        ) from None
    try:
        return yaml.load(_read(path).decode("utf-8"), _text_loader(yaml))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error's text quotes the line, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise AuthError(f"{path}{place}: not valid YAML") from None


def _text_loader(yaml: Any) -> Any:
    """A safe loader that takes 0123, yes and 2026-01-02 as the text that was written."""
    kept = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:null")
    resolvers = {
        first: [rule for rule in rules if rule[0] in kept]
        for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return type("TextLoader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": resolvers})


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
