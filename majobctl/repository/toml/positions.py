"""The positions of keys and headers in a TOML text. tomli reads only the values."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count

import tomli

KeyPath = tuple[str | int, ...]

# No value begins like this, so it cannot be a line of an array.
_HEADER = re.compile(
    r"^[ \t]*\[([A-Za-z_][\w-]*)\.([\w-]+)\][ \t]*(?:#.*)?$", re.ASCII | re.MULTILINE
)

# A repeated group costs memory for each repetition: these stop after 999, to be matched again.
_BLANK = re.compile(r"[ \t\n]*(?:#[^\n]*[ \t\n]*){0,999}")
_INSIDE = {
    '"""': re.compile(r'[^"\\]*(?:(?:\\.|"{1,2}(?!"))[^"\\]*){0,999}', re.DOTALL),
    "'''": re.compile(r"[^']*(?:'{1,2}(?!')[^']*){0,999}"),
    '"': re.compile(r'[^"\\]*(?:\\.[^"\\]*){0,999}'),
    "'": re.compile(r"[^']*"),
}
_BARE_KEY = re.compile(r"[^\s.=\[\]{}\"',#]+")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_BARE_VALUE = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:[^\s,\]}#]*|[^\s,\]}#]+")
# Most lines: a header, or a bare key with a string or a number.
_LINE = re.compile(
    r"[ \t\n]*(?:#[^\n]*\n[ \t\n]*){0,999}()(\[)?([\w-]+(?:\.[\w-]+)*)"
    r'(?(2)\]|[ \t]*=[ \t]*(?:"[^"\\\n]*"(?!")|[\w.+-]+))(?=[ \t]*(?:[#\n]|\Z))',
    re.ASCII,
)
_MAX_DEPTH = 16


@dataclass(slots=True)
class Positions:
    """The offsets of keys and array items, by path, and of headers. ``repeated`` is a key that is
    defined twice, with both offsets. Of a text that is not valid: ``last``, the path and the offset
    of the last statement, and where its brackets that are ``unclosed`` begin, or its ``quote``."""

    keys: dict[KeyPath, int] = field(default_factory=dict)
    headers: list[int] = field(default_factory=list)
    repeated: tuple[KeyPath, int, int] | None = None
    last: tuple[KeyPath, int] = ((), 0)
    unclosed: list[int] = field(default_factory=list)
    quote: int | None = None


def positions_of(text: str) -> Positions:
    """The positions in ``text``, which is valid TOML."""
    return _Scanner(text, len(text)).run()


def positions_until(text: str, end: int) -> Positions:
    """The positions in ``text``, which is valid TOML up to ``end``."""
    scanner = _Scanner(text, end)
    # An inline table is refused before its end, and anything may follow.
    with suppress(IndexError, ValueError):
        scanner.run()
    return scanner.positions


def plain_headers(text: str) -> Mapping[KeyPath, int]:
    """The offsets of headers such as ``[job_config.NAME]``, found without scanning the rest."""
    if '"""' in text or "'''" in text:
        # Such a line may be part of a multi-line string.
        return {}
    return {(match[1], match[2]): match.start(1) for match in _HEADER.finditer(text)}


class _Scanner:
    """Finds the positions in a document that is valid up to ``end``, without recursion. ``run``
    raises IndexError or ValueError at what is not valid. Keys deeper than ``_MAX_DEPTH`` have the
    position of the table around them: a dotted key of thousands of parts would cost quadratic
    time."""

    def __init__(self, text: str, end: int) -> None:
        self.positions = Positions()
        self._text = text
        self._end = end
        self._written: set[KeyPath] = set()
        self._position = 0
        self._lengths: dict[KeyPath, int] = {}

    def run(self) -> Positions:
        table: KeyPath = ()
        while not self.positions.repeated:
            line = _LINE.match(self._text, self._position)
            start = line.start(1) if line else self._skip_blank()
            if start >= self._end:
                break
            if line:
                self._position = line.end()
            if self._text[start] == "[":
                table = self._table(line[3].split(".")) if line else self._header()
                self.positions.headers.append(start)
                self.positions.last = (table, start)
                self._mark(table, start)
            else:
                path = (*table, *(line[3].split(".") if line else self._key()))
                self.positions.last = (path, start)
                self._mark(path, start)
                if not line and not self.positions.repeated:
                    self._value(path)
        return self.positions

    def _mark(self, path: KeyPath, offset: int) -> None:
        """Records ``path``, and the tables around it that have no position of their own yet."""
        keys = self.positions.keys
        if path in self._written:
            self.positions.repeated = (path, keys[path], offset)
            return
        around = path[:_MAX_DEPTH]
        while around and around not in keys:
            keys[around], around = offset, around[:-1]
        if len(path) <= _MAX_DEPTH:
            self._written.add(path)
            keys[path] = offset

    def _skip_blank(self) -> int:
        before = -1
        while self._position != before:
            before = self._position
            self._pass(_BLANK)
        return self._position

    def _pass(self, pattern: re.Pattern[str]) -> None:
        if (match := pattern.match(self._text, self._position)) is None:
            raise self._unexpected()
        self._position = match.end()

    def _pass_bare_or_quoted(self, bare: re.Pattern[str]) -> None:
        quote = next((it for it in _INSIDE if self._text.startswith(it, self._position)), None)
        if quote is None:
            self._pass(bare)
            return
        self.positions.quote = self._position
        self._position += len(quote)
        while not self._text.startswith(quote, self._position):
            before = self._position
            self._pass(_INSIDE[quote])
            if self._position == before:
                raise self._unexpected()
        self.positions.quote = None
        self._position += len(quote)
        while len(quote) == 3 and self._text.startswith(quote[0], self._position):
            self._position += 1

    def _unexpected(self) -> ValueError:
        return ValueError(f"unexpected TOML at offset {self._position}")

    def _header(self) -> KeyPath:
        is_array = self._text.startswith("[[", self._position)
        self._position += 1 + is_array
        self._skip_blank()
        keys = self._key()
        self._position = self._text.index("]", self._position) + 1 + is_array
        return self._table(keys, is_array)

    def _table(self, keys: Sequence[str | int], is_array: bool = False) -> KeyPath:
        path: KeyPath = ()
        for key in keys[:-1]:
            path = self._newest((*path, key))
        path = (*path, keys[-1])
        if is_array:
            self._lengths[path] = self._lengths.get(path, 0) + 1
        return self._newest(path)

    def _newest(self, path: KeyPath) -> KeyPath:
        length = self._lengths.get(path)
        return path if length is None else (*path, length - 1)

    def _key(self) -> KeyPath:
        parts: list[str] = []
        while True:
            start = self._position
            self._pass_bare_or_quoted(_BARE_KEY)
            part = self._text[start : self._position]
            parts.append(tomli.loads(f"key = {part}")["key"] if part[0] in "\"'" else part)
            if (dot := _DOT.match(self._text, self._position)) is None:
                return tuple(parts)
            self._position = dot.end()

    def _value(self, path: KeyPath) -> None:
        """Skips ``= value``, and marks each key and array item inside it."""
        self._position = self._text.index("=", self._position) + 1
        around: list[tuple[KeyPath, Iterator[int] | None]] = []
        while True:
            self._skip_blank()
            char = self._text[self._position]
            if char in "[{":
                around.append((path, count() if char == "[" else None))
                self.positions.unclosed.append(self._position)
                self._position += 1
            else:
                self._pass_bare_or_quoted(_BARE_VALUE)
            while around:
                self._skip_blank()
                char = self._text[self._position]
                if char in "]}":
                    around.pop()
                    self.positions.unclosed.pop()
                elif char != ",":
                    break
                self._position += 1
            if not around:
                return
            (path, indices), start = around[-1], self._position
            if indices is not None:
                path = (*path, next(indices))
            else:
                path = path + self._key()
                self._position = self._text.index("=", self._position) + 1
            self._mark(path, start)
