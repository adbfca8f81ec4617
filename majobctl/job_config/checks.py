"""Checks one job config, key by key and between keys."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from majobctl.job_config.data_source import data_source_at
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS, Field, Kind
from majobctl.job_config.hyperparameters import hyperparameters_at
from majobctl.job_config.rules import broken_rules
from majobctl.job_config.scalars import Checked, count_at, obs_path_at, string_at
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import is_blank
from majobctl.job_config.violations import Path, Violation
from majobctl.text import nearest, quoted, similar

_KNOWN = (*FIELDS, *DIRECTIVES)
_Check = Callable[[Path, object, str], Checked]
"""Of the value at a path; the text names it in a message."""
_CHECKS: Mapping[Kind, _Check] = {
    Kind.TEXT: string_at,
    Kind.OBS_PATH: obs_path_at,
    Kind.COUNT: count_at,
    Kind.HYPERPARAMETERS: hyperparameters_at,
    Kind.DATA_SOURCE: data_source_at,
}
_REQUIRED = {name: field.unless for name, field in FIELDS.items() if field.required}


def checked_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """The params of ``raw``, each key checked by itself. A wrong value is None: it still counts as
    set, so that the rules between keys report nothing false."""
    params: dict[str, Any] = {}
    checks, unknown = _checks_of(tuple(raw))
    violations = [*unknown]
    for name, path, check, is_array, longest in checks:
        value = raw[name]
        is_quick = type(value) is str and 0 < len(value) <= longest
        if is_quick and value.isascii() and value.isprintable():
            params[name] = value  # as most texts
            continue
        # An empty array or table is blank only in a field that can have one; else it is wrong.
        is_blank_array = is_array and is_blank(value)
        if value if isinstance(value, str) else not (value is None or is_blank_array):
            params[name], found = check(path, value, name)
            if found:
                violations += found
    return params, violations


@lru_cache(maxsize=1024)
def _checks_of(
    keys: tuple[str, ...],
) -> tuple[Sequence[tuple[str, Path, _Check, bool, int]], Sequence[Violation]]:
    """The checks of ``keys`` in the documented order, with the length up to which a plain text is
    right. Cached: many job configs have equal keys."""
    texts = [it for it in FIELDS.values() if it.kind is Kind.TEXT]
    longest = {it.name: it.max_length or sys.maxsize for it in texts}
    checks = [
        (name, (name,), _check_of(field), field.is_array, longest.get(name, 0))
        for name, field in FIELDS.items()
        if name in keys
    ]
    return checks, [Violation((key,), _unknown_key(key)) for key in keys if key not in FIELDS]


def _check_of(field: Field) -> _Check:
    limit = field.max_length
    return partial(string_at, max_length=limit) if limit else _CHECKS[field.kind]


def _unknown_key(key: str) -> str:
    hint = nearest(key, _KNOWN) or "; hyperparameters have a table of their own"
    return secret_key_message(key) or f"unknown key {quoted(key)}{hint}"


def holds_keys(value: object) -> bool:
    """Whether ``value`` is a table with keys of a job config, maybe below dots of its name."""
    while isinstance(value, Mapping) and len(value) == 1 and FIELDS.keys().isdisjoint(value):
        (value,) = value.values()
    return isinstance(value, Mapping) and not FIELDS.keys().isdisjoint(value)


def rule_violations(raw: Mapping[str, Any], params: Mapping[str, Any]) -> list[Violation]:
    """The rules about required keys and between keys that ``params``, made from ``raw``, break."""
    violations = [
        Violation((name,), f"{name} {'must not be empty' if name in raw else 'is missing'}")
        for name in _missing(tuple(params))
    ]
    violations += broken_rules(params)
    if not violations or any(key not in FIELDS and holds_keys(it) for key, it in raw.items()):
        return []  # Of a table with a dot in its name, the keys are there.
    # A misspelt key is one problem, not two. Nobody misspells more than a few.
    unknown = islice((key for key in raw if key not in FIELDS), 20)
    misspelt = (similar(key, _KNOWN) for key in unknown)
    meant = {matches[0] for matches in misspelt if matches} - params.keys()
    return [it for it in violations if (it.with_key or str((*it.path, "")[0])) not in meant]


@lru_cache(maxsize=1024)
def _missing(keys: tuple[str, ...]) -> Sequence[str]:
    """What is required beside ``keys``. Cached: many job configs have equal keys."""
    return [name for name, unless in _REQUIRED.items() if not {name, unless} & {*keys}]
