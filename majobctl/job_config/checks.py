"""Checks one job config, key by key and between keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from majobctl.job_config.data_source import checked_data_source
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS, Field, Kind
from majobctl.job_config.hyperparameters import checked_hyperparameters
from majobctl.job_config.rules import broken_rules
from majobctl.job_config.scalars import Checked, checked_count, checked_obs_path, checked_text
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import is_blank
from majobctl.job_config.violations import Violation
from majobctl.text import nearest, quoted

_Check = Callable[[object, Field], Checked]
_CHECKS: Mapping[Kind, _Check] = {
    Kind.TEXT: checked_text,
    Kind.OBS_PATH: checked_obs_path,
    Kind.COUNT: checked_count,
    Kind.HYPERPARAMETERS: checked_hyperparameters,
    Kind.DATA_SOURCE: checked_data_source,
}
_REQUIRED = tuple(name for name, field in FIELDS.items() if field.required)


def checked_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """The params of ``raw``, each key checked by itself; None stands for a wrong value.

    A wrong value still counts as set, so that the rules between keys report nothing false.
    """
    params: dict[str, Any] = {}
    checks, unknown = _checks_of(tuple(raw))
    violations = [*unknown]
    for name, field, check, is_array in checks:
        value = raw[name]
        # An empty array or table is blank only in a field that can have one; else it is wrong.
        is_blank_array = is_array and is_blank(value)
        if value if isinstance(value, str) else not (value is None or is_blank_array):
            params[name], found = check(value, field)
            if found:
                violations += found
    return params, violations


@lru_cache(maxsize=1024)
def _checks_of(
    keys: tuple[str, ...],
) -> tuple[Sequence[tuple[str, Field, _Check, bool]], Sequence[Violation]]:
    """The checks of ``keys`` in the documented order. Cached: many job configs have equal keys."""
    checks = [
        (name, field, _CHECKS[field.kind], field.is_array)
        for name, field in FIELDS.items()
        if name in keys
    ]
    return checks, [Violation((key,), _unknown_key(key)) for key in keys if key not in FIELDS]


def _unknown_key(key: str) -> str:
    unknown = f"unknown key {quoted(key)}{nearest(key, (*FIELDS, *DIRECTIVES))}"
    return secret_key_message(key) or unknown


def rule_violations(raw: Mapping[str, Any], params: Mapping[str, Any]) -> list[Violation]:
    """The rules about required keys and between keys that ``params``, made from ``raw``, break."""
    violations = []
    for name in _REQUIRED:
        if name not in params:
            state = "must not be empty" if name in raw else "is missing"
            violations.append(Violation((name,), f"{name} {state}"))
    return violations + broken_rules(params)
