"""The credential files of other tools: clouds.yaml and the ModelArts SDK's own."""

from __future__ import annotations

import configparser
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from majobctl.errors import AuthError
from majobctl.files import read_file
from majobctl.text import nearest, quoted

Names = Mapping[str, tuple[str, ...]]
"""What a source calls each key; the first that has a value counts."""


def _alike(*keys: str) -> dict[str, tuple[str, ...]]:
    return {key: (key,) for key in keys}


HUAWEI_CLOUD_KEYS: Names = {
    "access_key": ("ak",),
    "secret_key": ("sk",),
    **_alike("security_token", "project_id", "iam_endpoint"),
}
CLOUD_KEYS: Names = {
    "access_key": ("access_key", "ak"),
    "secret_key": ("secret_key", "sk"),
    "account": ("user_domain_name", "domain_name"),
    "account_id": ("user_domain_id", "domain_id"),
    **_alike("security_token", "username", "password", "token", "project_id", "project_name"),
    "region": ("region_name",),
    "iam_endpoint": ("auth_url",),
    "ca_file": ("cacert",),
    "endpoint": ("modelarts_endpoint_override",),
}


def first_values(values: Mapping[str, str], names_of_keys: Names) -> dict[str, str]:
    """For each key the first of its names that has a value, without the space around it."""
    found: dict[str, str] = {}
    for key, names in names_of_keys.items():
        for name in names:
            if value := values.get(name, "").strip():
                found.setdefault(key, value)
    return found


def home_folder(name: str) -> Path | None:
    """A folder in the user's home; None if there is no home or no such folder, or if it belongs to
    somebody else, as in containers that run as any user."""
    try:
        folder = Path.home() / name
    except RuntimeError:
        return None
    return folder if os.access(folder, os.X_OK) else None


def read_huawei_cloud(path: Path) -> Mapping[str, str]:
    """The values of Huawei Cloud's own file; none if it is missing."""
    # The parser's errors quote lines, which may hold a secret.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_read(path).decode("utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise AuthError(f"{path}: cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError):
        raise AuthError(f"{path}: not an ini file with a section [basic]") from None
    found = dict(parser.items("basic")) if parser.has_section("basic") else {}
    return first_values(found, HUAWEI_CLOUD_KEYS)


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
        return Path(os.path.expanduser(named))
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


def _read(path: Path) -> bytes:
    return read_file(path, 2**20, may_be_pipe=True)


def _load_yaml(path: Path) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise AuthError(
            f"OS_CLOUD is set, and reading {path} needs PyYAML: install it with pip install PyYAML"
        ) from None
    try:
        return yaml.load(_read(path).decode("utf-8"), _text_loader(yaml))
    except OSError as error:
        raise AuthError(f"{path}: cannot be read: {error.strerror}") from None
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
