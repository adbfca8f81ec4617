"""One strict reader of JSON from outside, and errors that name the place in the document.

As in RFC 8259: UTF-8, no ``NaN``, no number that a float cannot hold. No lone half of a surrogate
pair either, which no file or terminal accepts."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from majobctl.text import CONFLICT_MARKER, is_utf16

T = TypeVar("T")
_MOST_VALUES, _MOST_OF_OTHERS = 20_000_000, 1_000_000
"""A byte or two of JSON can become a value of sixty: a few megabytes would fill the memory."""
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonError(ValueError):
    """What is wrong with a document, for the user: ``it is not UTF-8: byte 3``, or
    ``changes[3].source.line must be an integer, not a string``."""


class ConflictError(JsonError):
    """git could not merge it, or somebody kept lines of both sides."""


def _refuse_constant(word: str) -> Any:
    raise JsonError(f"it is not JSON: {word} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError(f"{text} is too large for a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ConflictError(f"the key {json.dumps(twice)} appears twice in one object")
    return members


def parse_object(
    content: bytes, *, parse_float: Callable[[str], Any] = _finite, is_ours: bool = True
) -> dict[str, Any]:
    """The JSON object in ``content``. Raises JsonError for anything else, and for a key that
    appears twice in one object: two readers would read it in two ways."""
    most = _MOST_VALUES if is_ours else _MOST_OF_OTHERS
    if len(content) > most and sum(map(content.count, (b",", b"[", b"{"))) > most:
        raise JsonError(f"it has more than {most:,} values")
    if content.startswith(codecs.BOM_UTF8):
        raise JsonError("it begins with a byte-order mark; save it as UTF-8 without one")
    if is_ours and is_utf16(content):
        raise JsonError("it is UTF-16, as Windows PowerShell's > writes it; save it as UTF-8")
    try:
        text = content.decode("utf-8")
        decoder = json.JSONDecoder(
            parse_constant=_refuse_constant,
            parse_float=parse_float,
            object_pairs_hook=_unique,
        )
        document = decoder.decode(text)
        if _ESCAPED_SURROGATE.search(text):
            # json joins a pair into one character, and leaves a lone half.
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise JsonError(f"it is not UTF-8: byte {error.start}") from None
    except UnicodeEncodeError:
        raise JsonError("it has half of a surrogate pair in a string") from None
    except json.JSONDecodeError as error:
        if not error.doc.strip():
            raise JsonError("it is empty") from None
        if CONFLICT_MARKER.search(error.doc):
            raise ConflictError("it contains git's conflict markers") from None
        place = f"line {error.lineno}, column {error.colno}"
        raise JsonError(f"it is not JSON ({place})") from None
    except RecursionError:
        raise JsonError("it is nested too deeply") from None
    except JsonError:
        raise
    except ValueError:
        # Python does not read an integer of thousands of digits.
        raise JsonError("a number has too many digits") from None
    if not isinstance(document, dict):
        raise JsonError("it is not a JSON object")
    return document


def json_type(value: object) -> str:
    """JSON's name for the type of ``value``, with its article."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    names = {int: "an integer", float: "a number", str: "a string", list: "an array"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "an object")


class Node:
    """A value in a document, which knows its path, such as ``changes[3].source``. Each method
    returns it as one type, or raises JsonError with the path, what was expected and what was
    found."""

    __slots__ = ("_parent", "_step", "value")

    def __init__(self, value: object, parent: Node | None = None, step: str | int = "") -> None:
        self.value = value
        self._parent = parent
        self._step = step

    @property
    def path(self) -> str:
        """The path from the document's root, which is "". It is only made for an error."""
        if self._parent is None:
            return ""
        before, step = self._parent.path, self._step
        if isinstance(step, int):
            return f"{before}[{step}]"
        shown = step if re.fullmatch(r"[\w$-]+", step) else json.dumps(step)
        return f"{before}.{shown}" if before else shown

    def __getitem__(self, key: str) -> Node:
        table = self.table()
        if key in table:
            return Node(table[key], self, key)
        raise Node(None, self, key).wrong("is missing")

    def get(self, key: str) -> Node | None:
        """The member ``key`` of an object; None if the object does not have it."""
        table = self.table()
        return Node(table[key], self, key) if key in table else None

    def items(self) -> Iterator[Node]:
        for index, item in enumerate(self.array()):
            yield Node(item, self, index)

    def table(self) -> dict[str, Any]:
        return self._as(dict, "an object")

    def array(self) -> list[Any]:
        return self._as(list, "an array")

    def text(self) -> str:
        return self._as(str, "a string")

    def texts(self) -> tuple[str, ...]:
        found = self.array()
        # A plan has thousands: a wrong one alone needs its path.
        is_right = all(type(item) is str for item in found)
        return tuple(found) if is_right else tuple(item.text() for item in self.items())

    def flag(self) -> bool:
        return self._as(bool, "true or false")

    def integer(self) -> int:
        return self._as(int, "an integer")

    def number(self) -> float:
        return self._as(float, "a number")

    def _as(self, kind: type[T], wanted: str) -> T:
        # In Python, True is an int.
        if isinstance(self.value, kind) and (kind is bool or not isinstance(self.value, bool)):
            return self.value
        raise self.unexpected(wanted)

    def wrong(self, reason: str) -> JsonError:
        """The error for a value of the right type that breaks another rule."""
        return JsonError(f"{self.path} {reason}" if self.path else reason)

    def unexpected(self, wanted: str) -> JsonError:
        return JsonError(f"{self.path or 'it'} must be {wanted}, not {json_type(self.value)}")
