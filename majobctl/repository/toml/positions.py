"""The positions of keys and headers in a TOML text."""

from __future__ import annotations

import re
from collections.abc import Mapping

import tomli

KeyPath = tuple[str | int, ...]

# No value begins like this, so that it is no line of an array.
_HEADER = re.compile(
    r"^[ \t]*\[([A-Za-z_][\w-]*)\.([\w-]+)\][ \t]*(?:#.*)?$", re.ASCII | re.MULTILINE
)

# A repeated group costs memory for each of its turns: these stop in between, to be matched again.
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

_DEEPEST = 16


class Scanner:
    """Finds where each key of a document begins that is valid up to ``end``.

    Raises IndexError and ValueError where it is not.

    Uses no recursion. Keys deeper than ``_DEEPEST`` are left to the table around them: a dotted
    key of thousands of parts would cost the square of that.
    """

    def __init__(self, text: str, end: int | None = None) -> None:
        self.repeated: tuple[KeyPath, int, int] | None = None
        self._text = text
        self._end = len(text) if end is None else end
        self._written: set[KeyPath] = set()
        self._position = 0
        self._found: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}

    def offsets(self) -> Mapping[KeyPath, int]:
        table: KeyPath = ()
        while self._skip_blank() < self._end and not self.repeated:
            start = self._position
            if self._text[start] == "[":
                table = self._header()
                self._mark(table, start)
            else:
                path = table + self._key()
                self._mark(path, start)
                if not self.repeated:
                    self._value(path)
        return self._found

    def _mark(self, path: KeyPath, offset: int) -> None:
        """Notes ``path``, and what it passes through where that has no place of its own yet."""
        if path in self._written:
            self.repeated = (path, self._found[path], offset)
            return
        for length in range(1, min(len(path), _DEEPEST) + 1):
            self._found.setdefault(path[:length], offset)
        if len(path) <= _DEEPEST:
            self._written.add(path)
            self._found[path] = offset

    def _skip_blank(self) -> int:
        before = -1
        while self._position != before:
            before = self._position
            self._pass(_BLANK)
        return self._position

    def _pass(self, pattern: re.Pattern[str]) -> None:
        match = pattern.match(self._text, self._position)
        if match is None:
            raise self._unexpected()
        self._position = match.end()

    def _pass_bare_or_quoted(self, bare: re.Pattern[str]) -> None:
        quote = next((it for it in _INSIDE if self._text.startswith(it, self._position)), None)
        if quote is None:
            self._pass(bare)
            return
        self._position += len(quote)
        while not self._text.startswith(quote, self._position):
            before = self._position
            self._pass(_INSIDE[quote])
            if self._position == before:
                raise self._unexpected()
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
            dot = _DOT.match(self._text, self._position)
            if dot is None:
                return tuple(parts)
            self._position = dot.end()

    def _value(self, path: KeyPath) -> None:
        """Passes over ``= value``, marking each key and array item inside it."""
        self._position = self._text.index("=", self._position) + 1
        open_parts: list[tuple[KeyPath, bool]] = []
        counts: list[int] = []
        while True:
            self._skip_blank()
            char = self._text[self._position]
            if char in "[{":
                open_parts.append((path, char == "["))
                counts.append(0)
                self._position += 1
            else:
                self._pass_bare_or_quoted(_BARE_VALUE)
            while open_parts:
                self._skip_blank()
                char = self._text[self._position]
                if char in "]}":
                    open_parts.pop()
                    counts.pop()
                elif char != ",":
                    break
                self._position += 1
            if not open_parts:
                return
            path, is_array = open_parts[-1]
            start = self._position
            if is_array:
                path = (*path, counts[-1])
                counts[-1] += 1
            else:
                path = path + self._key()
                self._position = self._text.index("=", self._position) + 1
            self._mark(path, start)
