"""Checks the values of one job config, key by key and between keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, Field, Kind
from majobctl.job_config.rules import broken_rules
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import (
    INTEGER_LIMIT,
    hyperparameter_text,
    is_blank,
    type_name,
)
from majobctl.job_config.violations import Path, Violation
from majobctl.text import nearest, quoted

_SURROGATE = re.compile("[\ud800-\udfff]")

_PART = r"(?!\.\.(?:/|\Z))[^/\x00-\x1f\x7f\ud800-\udfff]+"

_OBS_PATH = re.compile(rf"(?:obs:/)?(/{_PART}/(?:{_PART}/)*(?:{_PART})?)")

_ARRAYS = (Kind.HYPERPARAMETERS, Kind.DATA_SOURCE)

_Check = Callable[[object, Field, list[Violation]], Any]
"""Gives the normalised value of a field; None, and the faults, of a wrong one."""

COUNT_LIMIT = 2**31


def checked_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """The params of ``raw``, each key looked at by itself; None stands for a wrong value.

    A wrong value still counts as set, so that the rules between keys say nothing false.
    """
    params: dict[str, Any] = {}
    checks, unknown = _checks_of(tuple(raw))
    faults = [*unknown]
    for name, spec, check in checks:
        value = raw[name]
        if value if isinstance(value, str) else _is_set(value, spec):
            params[name] = check(value, spec, faults)
    return params, faults


@lru_cache(maxsize=1024)
def _checks_of(
    keys: tuple[str, ...],
) -> tuple[Sequence[tuple[str, Field, _Check]], list[Violation]]:
    """The checks of ``keys`` in the documented order: thousands of job configs have the same."""
    checks = [(name, spec, _CHECKS[spec.kind]) for name, spec in FIELDS.items() if name in keys]
    return checks, [Violation((key,), _unknown_key(key)) for key in keys if key not in FIELDS]


def _unknown_key(key: str) -> str:
    unknown = f"unknown key {quoted(key)}{nearest(key, (*FIELDS, *DIRECTIVES))}"
    return secret_key_message(key) or unknown


def _is_set(value: object, field: Field) -> bool:
    """Whether ``value``, which is no text, is there. An empty array or table where neither can
    stand is: it is wrong, not blank."""
    return value is not None and (field.kind not in _ARRAYS or not is_blank(value))


def rule_violations(raw: Mapping[str, Any], params: Mapping[str, Any]) -> list[Violation]:
    """What ``params``, made from ``raw``, lack or have too much of."""
    faults = []
    for name in _REQUIRED:
        if name not in params:
            state = "must not be empty" if name in raw else "is missing"
            faults.append(Violation((name,), f"{name} {state}"))
    return faults + broken_rules(params)


_REQUIRED = tuple(name for name, spec in FIELDS.items() if spec.required)


def _text(value: object, field: Field, faults: list[Violation]) -> str | None:
    wrong = _wrong_text(field.name, value)
    if wrong or not isinstance(value, str):
        faults.append(Violation((field.name,), wrong))
        return None
    if field.max_length and len(value) > field.max_length:
        message = (
            f"{field.name} has {len(value)} characters; at most {field.max_length} are allowed"
        )
        faults.append(Violation((field.name,), message))
        return None
    return value


def _obs_path(value: object, field: Field, faults: list[Violation]) -> str | None:
    return _checked_obs_path(value, (field.name,), field.name, faults)


def _checked_obs_path(value: object, path: Path, key: str, faults: list[Violation]) -> str | None:
    match = _OBS_PATH.fullmatch(value) if isinstance(value, str) else None
    if match:
        return match[1]
    unfit = _wrong_text(key, value)
    if unfit or not isinstance(value, str):
        faults.append(Violation(path, unfit))
    else:
        wrong = _wrong_path(value.removeprefix("obs:/") if value.startswith("obs://") else value)
        faults.append(Violation(path, f"{key} {wrong}", value=value, value_path=path))
    return None


def _wrong_path(plain: str) -> str:
    """Why ``plain`` is no OBS path: what stands before it in a message."""
    parts = plain.split("/")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return 'must be an OBS path such as "/bucket/dir/", not'
    if "" in parts[2:-1]:
        return "must not have an empty part (//):"
    return 'must not have a ".." part:' if ".." in parts else "must not have a control character:"


def _count(value: object, field: Field, faults: list[Violation]) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(Violation((field.name,), _wrong_type(field.name, "an integer", value)))
        return None
    if not 1 <= value < COUNT_LIMIT:
        shown = value if abs(value) < INTEGER_LIMIT else "a number of more than 64 bits"
        wanted = "must be at least 1" if value < 1 else f"must be less than {COUNT_LIMIT}"
        faults.append(Violation((field.name,), f"{field.name} {wanted}, not {shown}"))
        return None
    return value


def _hyperparameters(value: object, field: Field, faults: list[Violation]) -> dict[str, str] | None:
    before = len(faults)
    contents, places = _labelled_contents(value, field.name, faults)
    labelled: dict[str, str] = {}
    for label in sorted(contents):
        text = hyperparameter_text(contents[label])
        if not label or "${" in label:
            wrong = _wrong_label(label)
        elif text is None:
            wrong = _wrong_hyperparameter(label, contents[label])
        elif label.isascii() and text.isascii():
            wrong = ""
        else:
            wrong = _wrong_text(f"hyperparameter {quoted(label)}", label + text)
        if wrong:
            faults.append(Violation((field.name, places.get(label, label)), wrong))
        labelled[label] = text or ""
    return None if len(faults) > before else labelled


def _wrong_label(label: str) -> str:
    if not label:
        return "a hyperparameter's label must not be empty"
    return f"hyperparameter {quoted(label)}: a reference stands in values only, not in a label"


def _wrong_hyperparameter(label: str, content: object) -> str:
    what = f"hyperparameter {quoted(label)}"
    if isinstance(content, int):
        return f"{what} must fit in 64 bits; write it in quotes to send it as text"
    return _wrong_type(what, "a string, an integer, a float or a boolean", content)


def _labelled_contents(
    value: object, key: str, faults: list[Violation]
) -> tuple[Mapping[str, object], Mapping[str, int]]:
    """What stands at each label, and, in an array, the item that it stands in."""
    contents: dict[str, object] = {}
    places: dict[str, int] = {}
    if isinstance(value, Mapping):
        return value, places
    if not isinstance(value, (list, tuple)):
        wanted = "a table {label = value} or an array of {label, value}"
        faults.append(Violation((key,), _wrong_type(key, wanted, value)))
        return contents, places
    # Each message has the item's number: items may share a line, and each must be told of.
    for index, item in enumerate(value):
        path: Path = (key, index)
        if not isinstance(item, Mapping) or set(item) != {"label", "value"}:
            wanted = "must be a table with label and value, and nothing else"
            faults.append(Violation(path, f"{key}: item {index + 1} {wanted}"))
            continue
        label = item["label"]
        if not isinstance(label, str):
            what = f"{key}: the label of item {index + 1}"
            faults.append(Violation((*path, "label"), _wrong_type(what, "a string", label)))
        elif not label:
            message = f"{key}: the label of item {index + 1} must not be empty"
            faults.append(Violation(path, message))
        elif "${" in label:
            faults.append(Violation(path, _wrong_label(label)))
        elif label in contents:
            faults.append(Violation(path, f"hyperparameter {quoted(label)} is there twice"))
        else:
            contents[label], places[label] = item["value"], index
    return contents, places


def _data_source(
    value: object, field: Field, faults: list[Violation]
) -> list[dict[str, str]] | None:
    if not isinstance(value, (list, tuple)):
        faults.append(
            Violation((field.name,), _wrong_type(field.name, "an array of tables", value))
        )
        return None
    before = len(faults)
    entries = [
        _data_source_entry(item, (field.name, index), faults) for index, item in enumerate(value)
    ]
    types = [(index, entry["type"]) for index, entry in enumerate(entries) if entry]
    other = next((index for index, kind in types if kind != types[0][1]), None)
    if other is not None:
        message = f"{field.name} cannot mix the types obs and dataset in one array"
        faults.append(Violation((field.name, other), message))
    return None if len(faults) > before else entries


def _data_source_entry(item: object, path: Path, faults: list[Violation]) -> dict[str, str]:
    if not isinstance(item, Mapping):
        what = f"data_source: item {int(path[1]) + 1}"
        faults.append(Violation(path, _wrong_type(what, "a table", item)))
        return {}
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in DATA_SOURCE_KEYS:
        faults.append(_wrong_source_type(kind, (*path, "type")))
        return {}
    entry = {"type": kind}
    for key, content in item.items():
        if key != "type" and key not in DATA_SOURCE_KEYS[kind] and not is_blank(content):
            message = _foreign_data_source_key(key, kind)
            faults.append(Violation((*path, key), message))
    for key in DATA_SOURCE_KEYS[kind]:
        content = item.get(key)
        at = (*path, key)
        if is_blank(content):
            faults.append(Violation(at, f'data_source: type "{kind}" needs {key}'))
        elif key == "data_url":
            entry[key] = _checked_obs_path(content, at, "data_source: data_url", faults) or ""
        elif wrong := _wrong_text(f"data_source: {key}", content):
            faults.append(Violation(at, wrong))
        else:
            entry[key] = str(content)
    return entry


def _wrong_source_type(kind: object, path: Path) -> Violation:
    message = 'data_source: type must be "obs" or "dataset"'
    if kind is None:
        return Violation(path, f"{message}; it is missing")
    if not isinstance(kind, str):
        return Violation(path, f"{message}, not {type_name(kind)}")
    return Violation(path, f"{message}, not", value=kind, value_path=path)


def _foreign_data_source_key(key: str, kind: str) -> str:
    known = ("type", *(name for names in DATA_SOURCE_KEYS.values() for name in names))
    if key in known:
        return f'data_source: {key} cannot be used with type "{kind}"'
    return f"data_source: unknown key {quoted(key)}{nearest(key, known)}"


def _wrong_text(what: str, value: object) -> str:
    """What keeps ``value`` from being text that can be sent; "" where nothing does."""
    if not isinstance(value, str):
        return _wrong_type(what, "a string", value)
    # A lone surrogate comes from Python, or from an environment variable that is not UTF-8.
    if not value.isascii() and _SURROGATE.search(value):
        return f"{what} must be Unicode text"
    return ""


def _wrong_type(what: str, wanted: str, value: object) -> str:
    return f"{what} must be {wanted}, not {type_name(value)}"


_CHECKS: Mapping[Kind, _Check] = {
    Kind.TEXT: _text,
    Kind.OBS_PATH: _obs_path,
    Kind.COUNT: _count,
    Kind.HYPERPARAMETERS: _hyperparameters,
    Kind.DATA_SOURCE: _data_source,
}
