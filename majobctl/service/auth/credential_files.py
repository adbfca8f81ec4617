"""The credential files of other tools: clouds.yaml and the ModelArts SDK's own."""

from __future__ import annotations

import configparser
import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from majobctl.errors import AuthError
from majobctl.text import quoted

HUAWEI_CLOUD_KEYS = {
    "access_key": ("ak",),
    "secret_key": ("sk",),
    "security_token": ("security_token",),
    "project_id": ("project_id",),
    "iam_endpoint": ("iam_endpoint",),
}

CLOUD_KEYS = {
    "access_key": ("access_key", "ak"),
    "secret_key": ("secret_key", "sk"),
    "security_token": ("security_token",),
    "account": ("user_domain_name", "domain_name"),
    "username": ("username",),
    "password": ("password",),
    "token": ("token",),
    "project_id": ("project_id",),
    "project_name": ("project_name",),
    "region": ("region_name",),
    "iam_endpoint": ("auth_url",),
    "ca_file": ("cacert",),
    "endpoint": ("modelarts_endpoint_override",),
}


def first_values(
    values: Mapping[str, Any], names_of_keys: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """For each key the first of its names that has a value, without the space around it."""
    found: dict[str, str] = {}
    for key, names in names_of_keys.items():
        for name in names:
            value = values.get(name)
            if isinstance(value, str) and value.strip():
                found.setdefault(key, value.strip())
    return found


def read_huawei_cloud(path: Path) -> Mapping[str, str]:
    """The values of Huawei Cloud's own file; none if it is missing."""
    # The parser's errors quote lines, which may hold a secret.
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise AuthError(f"{path}: cannot be read: {error.strerror}") from None
    except (configparser.Error, UnicodeDecodeError):
        raise AuthError(f"{path}: not an ini file with a section [basic]") from None
    found = dict(parser.items("basic")) if parser.has_section("basic") else {}
    return first_values(found, HUAWEI_CLOUD_KEYS)


def read_cloud(name: str) -> Mapping[str, str]:
    """The values of one cloud in clouds.yaml, with those of secure.yaml laid over it."""
    if (path := _first_file("clouds", "OS_CLIENT_CONFIG_FILE")) is None:
        raise AuthError(
            f"OS_CLOUD is {quoted(name)}, but there is no clouds.yaml here, in"
            " ~/.config/openstack or in /etc/openstack"
        )
    if (cloud := _cloud_in(path, name)) is None:
        raise AuthError(f"{path}: there is no cloud {quoted(name)}, to which OS_CLOUD is set")
    secure = _first_file("secure", "OS_CLIENT_SECURE_FILE")
    over = (_cloud_in(secure, name) if secure else None) or {}
    return first_values({**cloud, **over}, CLOUD_KEYS)


def _first_file(stem: str, variable: str) -> Path | None:
    if named := os.environ.get(variable):
        return Path(named)
    for directory in (Path(), Path.home() / ".config" / "openstack", Path("/etc/openstack")):
        for suffix in (".yaml", ".yml"):
            path = directory / (stem + suffix)
            if path.is_file():
                return path
    return None


def _cloud_in(path: Path, name: str) -> dict[str, Any] | None:
    """One cloud of the file as a flat table, None if the file does not have it."""
    clouds = _table(_load_yaml(path)).get("clouds")
    cloud = _table(clouds).get(name)
    if not isinstance(cloud, dict):
        return None
    return {**cloud, **_table(cloud.get("auth"))}


def _load_yaml(path: Path) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ImportError:
        raise AuthError(
            f"OS_CLOUD is set, and reading {path} needs PyYAML: install it with pip install PyYAML"
        ) from None
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AuthError(f"{path}: cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error's text quotes the line, which may hold a secret.
        mark = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}" if mark else ""
        raise AuthError(f"{path}{place}: not valid YAML") from None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
