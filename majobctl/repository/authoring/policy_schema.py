"""Policies in JSON Schema, for editors: the form of their tables, and their rules as far as the
table of one job config shows that it breaks them. What a default, a template, a matrix or a
reference may change breaks nothing here; ``validate`` sees all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from majobctl.job_config.fields import FIELDS, NAME, Kind
from majobctl.policy.policy import LEVELS, Policy
from majobctl.policy.words import (
    ACTIONS,
    FACTS,
    KEYS,
    LABELS,
    NOT,
    OF_TEXTS,
    OPTIONAL,
    WORDS,
    Condition,
    Type,
    plain_operand,
)
from majobctl.repository.authoring.schema_rules import OTHERS, Schema, holding
from majobctl.repository.jobs.matrix import MATRIX

_REFERENCE: Schema = {"pattern": r"\$\{"}
_UNSEEN: Schema = {"anyOf": [_REFERENCE, {"pattern": "^obs:"}]}
"""Text whose value, as a rule sees it, is another one."""
_LIKE_NUMBER: Schema = {"pattern": r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"}
_ANY: Schema = {"type": ["string", "number", "boolean"]}
_PLAIN: Mapping[Type, Schema] = {Type.TEXT: {"type": "string"}, Type.NUMBER: {"type": "number"}}


POLICIES: Schema = {
    "title": "Policies",
    "description": "Rules that job configs keep, or are not applied.",
    "type": "object",
    "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,40}$"},
    "additionalProperties": {"$ref": "#/$defs/policy"},
}
"""The form of ``[policy]``, with the definitions of ``definitions_of_policies``."""


def definitions_of_policies(fields: Mapping[str, Schema]) -> dict[str, Schema]:
    """``fields`` are the keys of a job config."""
    keys: dict[str, Schema] = {key: _ref(_name_of(kind)) for key, kind in KEYS.items()}
    keys["action"] = {"description": f"One of {', '.join(ACTIONS)}.", **keys["action"]}
    of_label = _ref(_name_of(Type.LABEL))
    labels = {"type": "object", "minProperties": 1, "additionalProperties": of_label}
    facts = {name: _PLAIN[kind] for name, kind in FACTS.items()}
    examples: Schema = {"type": "array", "items": _ref("example")}
    texts: Schema = {"type": "array", "items": {"type": "string", "minLength": 1}}
    policy = _table(
        {
            "because": {"description": "The reason, for whoever breaks it.", **_FILLED},
            "level": {"enum": [*LEVELS], "default": "deny"},
            "where": {"description": "The job configs that it is about.", **_ref("conditions")},
            "require": {"description": "What they must have.", **_ref("conditions")},
            "exempt": {"description": "Names that it is not for, as globs.", **texts},
            "frozen": {"description": "What may not change once applied.", **texts},
            "fails": {"description": "Examples that break it.", "minItems": 1, **examples},
            "passes": {"description": "Examples that do not.", **examples},
        },
        required=["because"],
        anyOf=[{"required": ["require", "fails"]}, {"required": ["frozen"]}],
        dependentRequired={"require": ["fails"], "fails": ["require"], "passes": ["require"]},
    )
    return {
        "policy": {"title": "Policy", **policy},
        "conditions": _table({**keys, LABELS: labels}, minProperties=1),
        "example": _table({**facts, **fields}),
        **{_name_of(kind): _words_of(kind) for kind in Type},
    }


def _name_of(kind: Type) -> str:
    return f"words_of_{kind.name.lower()}"


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


_FILLED: Schema = {"type": "string", "minLength": 1}


def _table(properties: Mapping[str, Schema], **others: Any) -> Schema:
    table = {"type": "object", "properties": dict(properties), "additionalProperties": False}
    return {**table, **others}


def _words_of(kind: Type) -> Schema:
    words = {word: _operand(word, kind) for word, it in WORDS.items() if kind in it.fits}
    return _table({**words, NOT: _table(words, minProperties=1), OPTIONAL: {"type": "boolean"}})


def _operand(word: str, kind: Type) -> Schema:
    if word == "const":
        return _PLAIN.get(kind, _ANY)
    if word == "enum":
        return {"type": "array", "minItems": 1, "items": _PLAIN.get(kind, _ANY)}
    if word == "pattern":
        return {"type": "string", "format": "regex"}
    if WORDS[word].operand == "a count":
        return {"type": "integer", "minimum": 0}
    return {"type": "number", **({"exclusiveMinimum": 0} if word == "multipleOf" else {})}


def rules_of_policies(policies: Iterable[Policy]) -> Iterator[tuple[str, Schema]]:
    """Patterns of the names of job configs, and what their tables must be."""
    for policy in policies:
        if rule := _rule(policy):
            exempt = "|".join(map(_as_pattern, policy.exempt))
            names = f"^(?!({exempt})$){NAME.pattern}$" if exempt else f"^{NAME.pattern}$"
            yield names, rule


_CHARACTERS = "".join(filter(re.compile(NAME.pattern).fullmatch, map(chr, range(128))))
"""Of names."""


def _as_pattern(glob: str) -> str:
    """As ``fnmatch.translate``, whose result is Python's alone."""
    parts = re.split(r"(\*|\?|\[!?\]?[^\]]*\])", glob)
    return "".join({"*": ".*", "?": "."}.get(it) or _as_set(it) for it in parts)


_NEVER = "(?!)"


def _as_set(part: str) -> str:
    """A set of characters as the names' own that it has; other text as it is, which no name has
    where it is no character of names."""
    if part[:1] != "[" or len(part) < 3:
        return "".join(it if it in _CHARACTERS else _NEVER for it in part)
    own = "".join(it for it in _CHARACTERS if fnmatchcase(it, part))
    return f"[{own}]" if own else _NEVER


def _rule(policy: Policy) -> Schema | None:
    seen = [it for it in policy.require if it.path[0] not in FACTS]
    if not seen or policy.asks("action") or any(it.path[0] in FACTS for it in policy.where):
        return None
    certain: list[Schema] = [{"not": {"required": [MATRIX]}}]
    certain += [_at(it, _certainly(it), is_required=True) for it in policy.where]
    return {
        **OTHERS,
        "description": f"Policy {policy.name}: {policy.because}",
        "if": {**OTHERS, "allOf": certain},
        "then": {**OTHERS, "allOf": [_at(it, _not_broken(it), is_required=False) for it in seen]},
    }


def _at(condition: Condition, value: Schema, *, is_required: bool) -> Schema:
    """``value`` for the value of a condition, which may have to be in the table itself."""
    key, *label = condition.path
    if not label:
        return {**holding({key: value}), **({"required": [key]} if is_required else {})}
    needed: Schema = {"required": label} if is_required else {}
    table = {**holding({label[0]: value}), **needed, "type": "object"}
    pair = {**holding({"label": {"const": label[0]}}), "required": ["label", "value"]}
    of_pair = holding({"value": value})
    if is_required:
        array: Schema = {"type": "array", "contains": {"allOf": [pair, of_pair]}}
        return {**holding({key: {"anyOf": [table, array]}}), "required": [key]}
    items = {"items": {"if": pair, "then": of_pair}}
    forms = [{"if": {"type": "object"}, "then": table}, {"if": {"type": "array"}, "then": items}]
    return holding({key: {"allOf": forms}})


def _certainly(condition: Condition) -> Schema:
    """A written value that the condition holds for, whatever else is written."""
    return {"anyOf": [{"allOf": [kind, *words]} for kind, words in _kinds(condition)]}


def _not_broken(condition: Condition) -> Schema:
    """A written value that does not certainly break the condition."""
    rules = [{"if": kind, "then": {"allOf": words}} for kind, words in _kinds(condition)]
    return {"allOf": rules}


def _kinds(condition: Condition) -> Iterator[tuple[Schema, list[Schema]]]:
    """Each kind of written value that shows what a rule sees, and what the condition asks of it."""
    words = [
        {word: plain_operand(condition, word, operand)} for word, operand in condition.words.items()
    ]
    text: Schema = {"type": "string", "minLength": 1, "not": _UNSEEN}
    if condition.type is Type.TEXT:
        key = FIELDS[condition.path[0]]
        unseen = _UNSEEN if key.kind is Kind.OBS_PATH else _REFERENCE
        yield {**text, "not": unseen}, words
    elif condition.type is Type.NUMBER:
        yield {"type": "number"}, words
    elif condition.type is Type.ARRAY:
        yield {"type": "array", "minItems": 1}, words
    else:
        used = {word for it in condition.words for word in (it, *condition.words.get(NOT, ()))}
        if OF_TEXTS.isdisjoint(used):
            yield {"type": "number"}, words
        of_text = {"type": "string", "allOf": [{"not": _REFERENCE}, {"not": _LIKE_NUMBER}]}
        yield of_text, [*words, *([{"type": "number"}] if condition.needs_number else [])]
