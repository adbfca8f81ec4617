"""Checks of the tables and values of ``majobctl.toml``. Independent of files and lines."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from majobctl.errors import ConfigError, MajobctlError
from majobctl.files import at_home
from majobctl.job_config.compare_policy import ignored_places
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import CONTROL_CHARACTER, INTEGER_LIMIT, type_name, wrong_type
from majobctl.job_config.violations import Violation
from majobctl.repository.settings import environments, variables
from majobctl.repository.settings.keys import PATHS, SETTINGS, Kind, Setting, home_of
from majobctl.target import checked_project_id, checked_region, endpoint_of, iam_endpoint_of
from majobctl.text import nearest, printable, quoted

TABLES = (*SETTINGS, "defaults", variables.TABLE, environments.TABLE, environments.POLICY)

Values = Mapping[str, Mapping[str, Any]]
"""The settings by table and key."""


def checked_table(data: Mapping[str, Any], table: str) -> tuple[Mapping[str, Any], list[Violation]]:
    """The keys of ``table``; none if it is not a table."""
    content = data.get(table, {})
    if isinstance(content, Mapping):
        return content, []
    return {}, [Violation((table,), wrong_type(table, "a table", content))]


def checked_values(data: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], list[Violation]]:
    """The settings in ``data``. Missing and wrong values have their defaults."""
    values: dict[str, dict[str, Any]] = {}
    violations: list[Violation] = []
    for table, known in SETTINGS.items():
        content, found = checked_table(data, table)
        values[table] = {key: setting.default for key, setting in known.items()}
        for key, value in content.items():
            place = (table, key)
            if key not in known:
                unknown = f"unknown key {quoted(key)}{nearest(key, known)}"
                found.append(Violation(place, secret_key_message(key) or home_of(key) or unknown))
            elif message := _wrong_value(key, known[key], value):
                found.append(Violation(place, message))
            else:
                try:
                    values[table][key] = _at_home(value) if place in PATHS else value
                except MajobctlError as error:
                    message = str(error).split("\n", 1)[0]
                    found.append(Violation(place, f"{key}: {message}"))
        violations += found
    names = dict(enumerate(values["drift"]["ignore"]))
    return values, violations + ignored_places(names, ("drift", "ignore"))[1]


def _at_home(value: Any) -> Any:
    """A path, or patterns, in which the home folder's own name is not one."""
    if isinstance(value, list):
        homes = ((it, it.partition("/")) for it in value)
        return [glob.escape(at_home(a)) + b + c if it[0] == "~" else it for it, (a, b, c) in homes]
    return at_home(value)


def unknown_tables(data: Mapping[str, Any], *, in_environment: bool) -> Iterator[Violation]:
    for key, content in data.items():
        if secret := secret_key_message(key):
            yield Violation((key,), secret)
        elif key == environments.TABLE and in_environment:
            yield Violation((key,), "an environment cannot have environments")
        elif key == environments.POLICY and in_environment:
            advice = "where = { environment = { const = ... } } limits one to an environment"
            yield Violation((key,), f"policies are the same for all environments; {advice}")
        elif key in ("job_config", "templates"):
            what = "templates" if key == "templates" else "job configs"
            yield Violation((key,), f"{what} belong in files of their own, such as jobs/NAME.toml")
        elif key not in TABLES:
            kind = "table" if isinstance(content, (Mapping, list)) else "key"
            unknown = f"unknown {kind} {quoted(key)}{nearest(key, TABLES)}"
            if (
                in_environment
                and isinstance(content, Mapping)
                and not content.keys().isdisjoint(TABLES)
            ):
                unknown += f"; an environment's name cannot have a dot: NAME-{printable(key)}"
            yield Violation((key,), home_of(key) or unknown)


_WANTED: Mapping[Kind, tuple[str, tuple[type, ...]]] = {
    Kind.TEXT: ("a string", (str,)),
    Kind.COUNT: ("an integer", (int,)),
    Kind.SECONDS: ("a number", (int, float)),
    Kind.FLAG: ("true or false", (bool,)),
    Kind.TEXTS: ("an array of strings", (list,)),
}


def _wrong_value(key: str, setting: Setting, value: object) -> str | None:
    wanted, types = _WANTED[setting.kind]
    if not isinstance(value, types) or (isinstance(value, bool) and setting.kind is not Kind.FLAG):
        return wrong_type(key, wanted, value)
    if isinstance(value, list):
        other = next((item for item in value if not isinstance(item, str)), None)
        if other is not None:
            return f"{key} must be {wanted}, not one with {type_name(other)}"
        if "" in value or (setting.default and not value):
            return f"{key} must not {'have an empty string' if value else 'be empty'}"
        return _wrong_texts(key, value)
    if isinstance(value, str):
        return _wrong_text(key, setting, value)
    return None if isinstance(value, bool) else _wrong_number(key, setting, value)


def _wrong_text(key: str, setting: Setting, value: str) -> str | None:
    if setting.choices and value not in setting.choices:
        choices, hint = ", ".join(map(quoted, setting.choices)), nearest(value, setting.choices)
        return f"{key} must be one of {choices}, not {quoted(value)}{hint}"
    if not value and setting.default:
        return f"{key} must not be empty"
    return _wrong_texts(key, [value])


def _wrong_texts(key: str, texts: Sequence[str]) -> str | None:
    if any("${" in text for text in texts):
        return f"{key}: references work only in job configs and [defaults]; write the value here"
    if any(CONTROL_CHARACTER.search(text) for text in texts):
        return f"{key} must not have a control character"
    return None


def _wrong_number(key: str, setting: Setting, value: Any) -> str | None:
    if not setting.minimum <= value <= setting.maximum:
        is_long = isinstance(value, int) and abs(value) >= INTEGER_LIMIT
        shown = "a number of more than 64 bits" if is_long else value
        return f"{key} must be from {setting.minimum} to {setting.maximum}, not {shown}"
    if setting.kind is Kind.SECONDS and not value:
        return f"{key} must be more than 0"
    return None


def provider_violations(
    data: Mapping[str, Any], provider: Mapping[str, Any], other_environments: Sequence[str]
) -> Iterator[Violation]:
    """The rules between the keys of ``[provider]``, whose checked values ``provider`` are.
    ``other_environments`` may have the region that is missing here."""
    written = data.get("provider", {})
    if not isinstance(written, Mapping):
        return
    # A value that is wrong is reported already and must not cause a misleading violation here.
    is_emulator = written.get("kind", "modelarts") not in ("modelarts", "sdk")
    has_address = any(written.get(key, "") != "" for key in ("region", "endpoint"))
    if not (is_emulator or has_address):
        message = 'region is missing; set it (such as "eu-de"), or endpoint'
        if other_environments:
            message += f", or choose an environment: -e {printable(other_environments[0])}"
        yield Violation(("provider", "region"), message)
    for key in ("seed", "answers"):
        if provider[key] and not is_emulator:
            yield Violation(("provider", key), f'{key} is only for kind = "emulator"; remove it')
    needs_region = not (is_emulator or written.get("endpoint"))
    for key, check in _PARTS_OF_ADDRESSES:
        try:
            if provider[key]:
                check(provider[key])
                if key == "region" and needs_region:
                    endpoint_of(provider[key], None)
        except ConfigError as error:
            problem = error.problems[0]
            yield Violation(("provider", key), f"{problem.where} {problem.message}")


_PARTS_OF_ADDRESSES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("region", checked_region),
    ("endpoint", lambda address: endpoint_of(None, address)),
    ("iam_endpoint", lambda address: iam_endpoint_of(None, address)),
    ("project_id", checked_project_id),
)
