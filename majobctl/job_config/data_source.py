"""Checks of ``data_source``: an array of tables, each of type ``obs`` or ``dataset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS
from majobctl.job_config.scalars import Checked, obs_path_at, refused, string_at
from majobctl.job_config.secrets import UnsetText, is_masked, unset_variables
from majobctl.job_config.values import is_blank, type_name, wrong_type
from majobctl.job_config.violations import Path, Violation
from majobctl.text import nearest, quoted


def data_source_at(path: Path, value: object, what: str) -> Checked:
    if not isinstance(value, (list, tuple)):
        return refused(path, wrong_type(what, "an array of tables", value))
    entries: list[Mapping[str, Any]] = []
    violations: list[Violation] = []
    for index, item in enumerate(value):
        entry, found = _entry(item, (*path, index))
        entries.append(entry)
        violations += found
    types = [(at, it["type"]) for at, it in enumerate(entries) if it and not is_masked(it["type"])]
    other = next((index for index, kind in types if kind != types[0][1]), None)
    if other is not None:
        message = f"{what} cannot mix the types obs and dataset in one array"
        violations.append(Violation((*path, other), message))
    unset = [name for entry in entries for it in entry.values() for name in unset_variables(it)]
    return (None if violations else UnsetText("", unset).mask if unset else entries), violations


def _entry(item: object, path: Path) -> tuple[Mapping[str, Any], list[Violation]]:
    if not isinstance(item, Mapping):
        what = f"data_source: item {int(path[1]) + 1}"
        return {}, [Violation(path, wrong_type(what, "a table", item))]
    kind = item.get("type")
    if isinstance(kind, UnsetText):
        return {"type": kind.mask}, []
    if not isinstance(kind, str) or kind not in DATA_SOURCE_KEYS:
        return {}, [_wrong_type(kind, (*path, "type"))]
    keys = DATA_SOURCE_KEYS[kind]
    violations = [
        Violation((*path, key), _foreign_key(key, kind))
        for key, content in item.items()
        if key not in keys and key != "type" and not is_blank(content)
    ]
    entry = {"type": kind}
    for key in keys:
        content, at = item.get(key), (*path, key)
        if is_blank(content):
            violations.append(Violation(at, f'data_source: type "{kind}" needs {key}'))
            continue
        check = obs_path_at if key == "data_url" else string_at
        entry[key], found = check(at, content, f"data_source: {key}")
        violations += found
    return entry, violations


def _wrong_type(kind: object, path: Path) -> Violation:
    message = 'data_source: type must be "obs" or "dataset"'
    if kind is None:
        return Violation(path, f"{message}; it is missing")
    if not isinstance(kind, str):
        return Violation(path, f"{message}, not {type_name(kind)}")
    return Violation(path, f"{message}, not", value=kind, value_path=path)


def _foreign_key(key: object, kind: str) -> str:
    if not isinstance(key, str):
        return wrong_type("data_source: a key", "a string", key)
    known = ("type", *(name for names in DATA_SOURCE_KEYS.values() for name in names))
    if key in known:
        return f'data_source: {key} cannot be used with type "{kind}"'
    is_misplaced = key in FIELDS or key in DIRECTIVES
    hint = "; it belongs above data_source, in the job config" if is_misplaced else ""
    return f"data_source: unknown key {quoted(key)}{hint or nearest(key, known)}"
