"""The rules between the keys of a job config as JSON Schema, as far as one table shows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from majobctl.job_config.directives import RENAMED_FROM
from majobctl.job_config.fields import FIELDS, Kind
from majobctl.job_config.fields import NAME as JOB_CONFIG_NAME
from majobctl.job_config.rules import RULES, Excludes, HasAlgorithm, LiesInside, Needs, Rule
from majobctl.repository.jobs.matrix import MATRIX, NAME

Schema = dict[str, Any]

MAY_BE_BLANK = r"^(\$\{[^}]*\})*$"
"""Nothing, or only references, whose values may be blank."""
_FILLED: Schema = {"minLength": 1}
_COUNT: Schema = {"type": ["integer", "string"], "pattern": r"^\$\{(var|matrix)\.[^}]+\}$"}
"""A reference alone has the type of its value."""
OTHERS: Schema = {"additionalProperties": True}
"""Without it, some editors read a rule as one that forbids all other keys."""


def rules_between_keys() -> Schema:
    """The rules between a job config's own keys. They override [defaults] and templates, so two
    that exclude each other are certainly wrong; a matrix may replace any of them."""
    parts = (part for rule in RULES for part in _parts(rule))
    return {
        **OTHERS,
        "if": {**OTHERS, "required": [MATRIX]},
        "then": {**OTHERS, "required": [NAME]},
        "else": {**OTHERS, "allOf": [_no_name_rule(), _required_rule(), *parts]},
    }


def _no_name_rule() -> Schema:
    return {
        **OTHERS,
        "description": f"{NAME} goes with {MATRIX} only: the table's name is the job config's.",
        "not": {"required": [NAME]},
        "properties": {RENAMED_FROM: {"pattern": f"^({JOB_CONFIG_NAME.pattern})?$"}},
    }


def _required_rule() -> Schema:
    required: dict[str, Schema] = {
        name: _COUNT if field.kind is Kind.COUNT else _FILLED
        for name, field in FIELDS.items()
        if field.required and not field.unless
    }
    text = f"{', '.join(required)} are required, here or below: none can be blank."
    return {"description": text, **holding(required)}


def _parts(rule: Rule) -> Iterator[Schema]:
    if isinstance(rule, Needs):
        yield from (_when_set(key, {other: _FILLED}, rule) for key, other in rule.pairs)
    elif isinstance(rule, Excludes):
        yield _when_set(rule.key, {other: _blank(other) for other in rule.others}, rule)
    elif not isinstance(rule, (LiesInside, HasAlgorithm)):
        raise AssertionError(f"the schema neither expresses {rule} nor leaves it out")


def _when_set(key: str, properties: Mapping[str, Schema], rule: Rule) -> Schema:
    """``properties`` apply if ``key`` is certainly not blank."""
    is_set: Schema = {"type": "string", "not": {"pattern": MAY_BE_BLANK}}
    if FIELDS[key].is_array:
        is_set = {"type": "array", "minItems": 1}
    return {
        "description": plain(rule.text),
        "if": {**holding({key: is_set}), "required": [key]},
        "then": holding(properties),
    }


def _blank(key: str) -> Schema:
    return {"maxItems": 0} if FIELDS[key].is_array else {"pattern": MAY_BE_BLANK}


def holding(properties: Mapping[str, Schema]) -> Schema:
    """A rule for some keys of a table."""
    return {"properties": dict(properties), **OTHERS}


def plain(help_text: str) -> str:
    """Help without Markdown: editors show descriptions as plain text."""
    return help_text.replace("`", "")
