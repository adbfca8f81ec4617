"""The words of a rule: those of JSON Schema (2020-12, "Validation", section 6) that look at one
value. The list is closed: what no rule can say, no rule says by mistake."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.job_config.fields import FIELDS, Kind
from majobctl.job_config.values import WrittenFloat, as_text, hyperparameter_text, type_name
from majobctl.job_config.violations import Path, Violation
from majobctl.text import complete, nearest, printable, quoted

OPTIONAL, NOT = "optional", "not"
LABELS = "hyperparameters"


class Type(enum.Enum):
    """The type of what a condition looks at; its value is what messages call it."""

    TEXT = "a string"
    NUMBER = "a number"
    ARRAY = "an array"
    LABEL = "a hyperparameter"
    """Text, and a number as well if it looks like one."""


FACTS: Mapping[str, Type] = {
    "name": Type.TEXT,
    "file": Type.TEXT,
    "environment": Type.TEXT,
    "action": Type.TEXT,
    "gpus": Type.NUMBER,
    "price_per_hour": Type.NUMBER,
}
"""What a rule can ask beside the keys of a job config."""
ACTIONS = ("add", "update", "resend", "forget", "create", "delete", "record")
"""The values of ``plan.change.Action``."""
_TYPES = {Kind.COUNT: Type.NUMBER, Kind.DATA_SOURCE: Type.ARRAY}
KEYS: Mapping[str, Type] = {
    **FACTS,
    **{
        name: _TYPES.get(field.kind, Type.TEXT)
        for name, field in FIELDS.items()
        if field.rest and field.kind is not Kind.HYPERPARAMETERS
    },
}
"""What a condition may look at, beside hyperparameters. No request has a ``job_description``."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word: the types that it fits, what its operand must be, and how a message says what it
    allows, and what ``not`` with it forbids."""

    fits: frozenset[Type]
    operand: str
    is_operand: Callable[[Any, Type], bool]
    allows: str
    forbids: str


_MOST = 1e300
"""Of a number; the library takes no infinite one."""


def is_number(value: object, of: Type = Type.NUMBER) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MOST


def _is_count(value: object, of: Type) -> bool:
    return type(value) is int and 0 <= value < 2**31


def _is_value(value: object, of: Type) -> bool:
    if of is Type.LABEL:
        return isinstance(value, (str, bool)) or is_number(value)
    return isinstance(value, str) if of is Type.TEXT else is_number(value)


def _are_values(value: object, of: Type) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_value(it, of) for it in value)


_TEXTS = frozenset({Type.TEXT, Type.LABEL})
_NUMBERS = frozenset({Type.NUMBER, Type.LABEL})
_ARRAYS = frozenset({Type.ARRAY})
WORDS: Mapping[str, Word] = {
    "const": Word(_TEXTS | _NUMBERS, "{}", _is_value, "only {}", "{}"),
    "enum": Word(_TEXTS | _NUMBERS, "an array, each item {}", _are_values, "only {}", "{}"),
    "pattern": Word(
        _TEXTS,
        "a string of at most 10,000 characters",
        lambda value, of: isinstance(value, str) and len(value) <= 10_000,
        "only what matches {}",
        "what matches {}",
    ),
    "minimum": Word(_NUMBERS, "a number", is_number, "at least {}", "{} or more"),
    "maximum": Word(_NUMBERS, "a number", is_number, "at most {}", "{} or less"),
    "exclusiveMinimum": Word(_NUMBERS, "a number", is_number, "only more than {}", "more than {}"),
    "exclusiveMaximum": Word(_NUMBERS, "a number", is_number, "only less than {}", "less than {}"),
    "multipleOf": Word(
        _NUMBERS,
        "a number above 0",
        lambda value, of: is_number(value) and value > 0,
        "only multiples of {}",
        "multiples of {}",
    ),
    "minLength": Word(
        _TEXTS, "a count", _is_count, "at least {} characters", "{} or more characters"
    ),
    "maxLength": Word(
        _TEXTS, "a count", _is_count, "at most {} characters", "{} or fewer characters"
    ),
    "minItems": Word(_ARRAYS, "a count", _is_count, "at least {} items", "{} or more items"),
    "maxItems": Word(_ARRAYS, "a count", _is_count, "at most {} items", "{} or fewer items"),
}
OF_NUMBERS = frozenset(word for word, it in WORDS.items() if it.fits == _NUMBERS)
OF_TEXTS = frozenset(word for word, it in WORDS.items() if it.fits == _TEXTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What one value must be: ``words`` are in the order of the file. Without any, it must be
    there. ``optional``: it may be missing."""

    path: tuple[str, ...]
    """A key, a fact, or ``hyperparameters`` and a label."""
    words: Mapping[str, Any]
    optional: bool = False

    @property
    def dotted(self) -> str:
        return ".".join(self.path)

    @property
    def type(self) -> Type:
        return Type.LABEL if self.path[0] == LABELS else KEYS[self.path[0]]

    @property
    def needs_number(self) -> bool:
        return not OF_NUMBERS.isdisjoint({*self.words, *self.words.get(NOT, ())})


def conditions_of(
    table: object, at: Path, *, may_be_optional: bool
) -> tuple[tuple[Condition, ...], list[Violation]]:
    """The conditions of ``where`` or ``require``, which is at ``at``."""
    found: list[Condition] = []
    violations: list[Violation] = []
    for path, words in _entries(table, at, violations):
        place = (*at, *path)
        condition = Condition(path=path, words={})
        if not isinstance(words, Mapping):
            example = "{ const = ... }"
            what = f"write the words for {condition.dotted} as a table, such as {example}"
            violations.append(Violation(place, f"{what}, not {type_name(words)}"))
            continue
        allowed = (*WORDS, NOT, OPTIONAL) if may_be_optional else (*WORDS, NOT)
        violations += _wrong_words(condition, words, place, allowed)
        optional = words.get(OPTIONAL) is True
        rest = {key: value for key, value in words.items() if key != OPTIONAL}
        found.append(Condition(path=path, words=rest, optional=optional))
    return tuple(found), violations


def _entries(
    table: object, at: Path, violations: list[Violation]
) -> Iterator[tuple[tuple[str, ...], object]]:
    if not isinstance(table, Mapping) or not table:
        what = "an empty table" if table == {} else type_name(table)
        message = f"{at[-1]} must be a table of conditions, such as {{ KEY = {{ WORD = VALUE }} }}"
        violations.append(Violation(at, f"{message}, not {what}"))
        return
    for key, words in table.items():
        if key == LABELS and isinstance(words, Mapping) and words:
            yield from (((key, label), own) for label, own in words.items())
        elif key == LABELS:
            message = f"write the labels below {key}: {{ {key}.LABEL = {{ WORD = VALUE }} }}"
            violations.append(Violation((*at, key), message))
        elif key in KEYS:
            yield (key,), words
        else:
            hint = nearest(key, (*KEYS, LABELS)) or "; hyperparameters are hyperparameters.LABEL"
            violations.append(Violation((*at, key), f"unknown key {quoted(key)}{hint}"))


def _wrong_words(
    condition: Condition, words: Mapping[str, Any], at: Path, allowed: tuple[str, ...]
) -> Iterator[Violation]:
    for word, operand in words.items():
        place = (*at, word)
        if word not in allowed:
            hint = nearest(word, allowed) or f"; the words are {', '.join(allowed)}"
            yield Violation(place, f"unknown word {quoted(word)}{hint}")
        elif word == OPTIONAL:
            if not isinstance(operand, bool):
                yield Violation(place, f"{word} must be true or false, not {type_name(operand)}")
        elif word == NOT:
            if not isinstance(operand, Mapping) or not operand:
                yield Violation(
                    place, f"{word} must be a table of words, such as {{ const = ... }}"
                )
            else:
                yield from _wrong_words(condition, operand, place, tuple(WORDS))
        else:
            yield from _wrong_operand(condition, word, operand, place)


def _wrong_operand(
    condition: Condition, word: str, operand: object, place: Path
) -> Iterator[Violation]:
    of, known = condition.type, WORDS[word]
    if of not in known.fits:
        fitting = ", ".join(it for it, other in WORDS.items() if of in other.fits)
        message = f"{word} does not fit {condition.dotted}, which is {of.value}; use {fitting}"
        yield Violation(place, message)
    elif not known.is_operand(operand, of):
        value = "a string, a number or a boolean" if of is Type.LABEL else of.value
        wanted = known.operand.format(value)
        yield Violation(place, f"{word} must be {wanted}, not {as_written(operand)}")
    elif condition.path == ("action",) and word in ("const", "enum"):
        for action in [operand] if isinstance(operand, str) else operand:  # type: ignore[attr-defined]
            if action not in ACTIONS:
                hint = nearest(action, ACTIONS) or f"; the actions are {', '.join(ACTIONS)}"
                yield Violation(place, f"unknown action {quoted(action)}{hint}")


def as_written(value: object) -> str:
    """A short value as it is written, or its type."""
    if not isinstance(value, (str, int, float, list)):
        return type_name(value)
    if isinstance(value, int) and abs(value) >= _MOST:
        return "one of that size"
    try:
        text = as_text(value) if isinstance(value, float) else complete(value)
    except (TypeError, ValueError):  # A date in an array, or too many digits.
        return type_name(value)
    return text if len(text) < 40 else type_name(value)


_LOOKS_LIKE_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)


def number_or_text(value: object) -> int | float | str:
    """What a hyperparameter's value compares as: a number if its text looks like one."""
    text = hyperparameter_text(value) or ""
    if not _LOOKS_LIKE_NUMBER.fullmatch(text) or len(text) > 40:
        return text
    if text.lstrip("-+").isdigit():
        return int(text)  # As it is written: a float would make neighbours of many digits equal.
    number = float(text)
    if abs(number) >= 2**53 or number != int(number):
        return number if abs(number) < _MOST else text
    return int(number)


def plain_operand(condition: Condition, word: str, operand: Any) -> Any:
    """``operand`` as JSON Schema has it: a hyperparameter's values as they compare."""
    if word == NOT:
        return {it: plain_operand(condition, it, own) for it, own in operand.items()}
    if isinstance(operand, list):
        return [plain_operand(condition, "const", it) for it in operand]
    if condition.type is Type.LABEL and word == "const":
        return number_or_text(operand)
    return float(operand) if isinstance(operand, WrittenFloat) else operand


def sentence_of(word: str, operand: Any) -> str:
    """What a rule with ``word`` says, after the rule's name."""
    if word == NOT:
        parts = (WORDS[it].forbids.format(_shown(it, own)) for it, own in operand.items())
        return f"does not allow {' and '.join(parts)}"
    allowed = WORDS[word].allows.format(_shown(word, operand))
    is_one = WORDS[word].operand == "a count" and operand == 1
    return f"allows {allowed.removesuffix('s') if is_one else allowed}"


def _shown(word: str, operand: Any) -> str:
    if word == "pattern":
        return f"'{printable(operand)}'"
    if isinstance(operand, list):
        *first, last = (_shown("const", it) for it in operand)
        return f"{', '.join(first)} or {last}" if first else last
    return operand.text if isinstance(operand, WrittenFloat) else complete(operand)
