"""Plain values: whether they are blank, their text, and TOML's names for their types."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from majobctl.errors import MajobctlError

CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
INTEGER_LIMIT = 2**63


def is_blank(value: object) -> bool:
    """Whether ``value`` means that the key is not set: "", an empty array or table, or None."""
    return value is None or (isinstance(value, (str, list, tuple, dict)) and not value)


def require_strings(**arguments: Any) -> None:
    """Raises MajobctlError for a string, whose characters would pass for a tuple of strings."""
    for name, value in arguments.items():
        is_one = isinstance(value, str) or not isinstance(value, Collection)
        if is_one or not all(isinstance(item, str) for item in value):
            raise MajobctlError(f"{name} must be a tuple of strings, not {value!r}")


class WrittenFloat(float):
    """A TOML float that keeps its text, without digit separators."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text.replace("_", "")
        return number


class TypedText(str):
    """The text of a variable, or of a matrix's value, whose ``value`` may be no string."""

    __slots__ = ("value",)
    value: Any

    def __new__(cls, text: str, value: object) -> TypedText:
        typed = super().__new__(cls, text)
        typed.value = value
        return typed


def hyperparameter_text(value: object) -> str | None:
    """The string that is sent for a hyperparameter's value; None if its type has no such form."""
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
    if (text := hyperparameter_text(value)) is None:
        try:
            text = json.dumps(value, ensure_ascii=False, default=str)
        except (TypeError, ValueError, RecursionError):
            return "(unreadable)"
    # Half of a surrogate pair, which no file takes, becomes an escape.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


def type_name(value: object) -> str:
    """TOML's name for the type of ``value``, with its article."""
    if isinstance(value, bool):
        return "a boolean"
    names = {int: "an integer", float: "a float", str: "a string", Mapping: "a table"}
    names |= {list: "an array", tuple: "an array"}
    other = f"a {type(value).__name__}"
    return next((name for kind, name in names.items() if isinstance(value, kind)), other)


def wrong_type(what: str, wanted: str, value: object) -> str:
    """The message for a ``value`` that is not what is ``wanted``, such as ``an integer``."""
    return f"{what} must be {wanted}, not {type_name(value)}"
