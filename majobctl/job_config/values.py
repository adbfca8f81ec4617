"""Plain values: blank or not, as text, and what TOML calls their types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


def is_blank(value: object) -> bool:
    """Whether ``value`` means that the key is not set: "", an empty array or table, or None."""
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


INTEGER_LIMIT = 2**63


class WrittenFloat(float):
    """A TOML float that remembers how it was written, without digit separators."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text.replace("_", "")
        return number


def hyperparameter_text(value: object) -> str | None:
    """The string that is sent for a hyperparameter's value; None where it has no such form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -INTEGER_LIMIT <= value < INTEGER_LIMIT else None
    if isinstance(value, WrittenFloat):
        return value.text
    return repr(value) if isinstance(value, float) else None


def as_text(value: object) -> str:
    """A JSON value as text: a string unchanged, a number as it was written, others as JSON."""
    text = hyperparameter_text(value)
    if text is not None:
        return _clean(text)
    try:
        return _clean(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError, RecursionError):
        return "(unreadable)"


def _clean(text: str) -> str:
    """``text`` with half of a surrogate pair, which no file takes, as an escape."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def type_name(value: object) -> str:
    """TOML's word for the type of ``value``, with its article."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a float"),
        (str, "a string"),
        ((list, tuple), "an array"),
        (Mapping, "a table"),
    )
    for types, name in names:
        if isinstance(value, types):
            return name
    return f"a {type(value).__name__}"
