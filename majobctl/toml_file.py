"""A TOML file: its data, and the line of each of its keys. It knows no rule of ours.

tomli says nothing of places, so a second pass over the text finds them; it runs only when somebody
asks for a line, and only over text that tomli has accepted.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import tomli

from majobctl.errors import ConfigError, Problem, printable
from majobctl.job_config import WrittenFloat

KeyPath = tuple[str | int, ...]


def content_of(path: Path, name: str) -> bytes:
    """The bytes of a regular file. Raises ConfigError for what is none, or cannot be read."""
    try:
        # A pipe would be waited on for ever.
        is_file = path.is_file() or not path.exists()
        content = path.read_bytes() if is_file else b""
    except OSError as error:
        raise _unreadable(name, error.strerror or str(error)) from error
    if not is_file:
        raise _unreadable(name, "it is not a regular file")
    return content


class TomlFile:
    """``name`` is the file as the user would type it, ``data`` what tomli made of it."""

    def __init__(self, name: str, text: str, data: Mapping[str, Any]) -> None:
        self.name = name
        self.data = data
        self._text = text

    @classmethod
    def read(cls, path: Path, name: str) -> TomlFile:
        """Raises ConfigError for a file that cannot be read, or is not TOML."""
        return cls.parse(content_of(path, name), name)

    @classmethod
    def parse(cls, content: bytes, name: str) -> TomlFile:
        """Raises ConfigError with line and column for bytes that are not TOML."""
        content = content.removeprefix(codecs.BOM_UTF8)
        try:
            text = content.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            lines = content[: error.start].decode("utf-8").split("\n")
            reason = "this byte is not UTF-8; save the file as UTF-8"
            raise _broken(name, len(lines), len(lines[-1]) + 1, reason) from error
        try:
            return cls(name, text, _loaded(text))
        except tomli.TOMLDecodeError as error:
            raise _decode_error(name, text, error) from error
        except RecursionError as error:
            reason = "arrays, tables or keys are nested too deeply"
            raise _broken(name, _first_refused_line(text), 0, reason) from error
        except ValueError as error:
            # An integer of thousands of digits: Python refuses to read it.
            reason = "an integer must fit in 64 bits; write it in quotes if it is meant as text"
            raise _broken(name, _first_refused_line(text), 0, reason) from error

    @cached_property
    def may_refer(self) -> bool:
        """Whether a string in it may have a ``${``, an escaped one too."""
        return "${" in self._text or "\\" in self._text

    def line_of(self, path: KeyPath) -> int:
        """The line of the key at ``path``, or of the nearest key or table around it; else 1."""
        offset = self._headers.get(path)
        while path and offset is None:
            offset = self._offsets.get(path)
            path = path[:-1]
        return 1 if offset is None else bisect_right(self._line_starts, offset)

    @cached_property
    def _headers(self) -> Mapping[KeyPath, int]:
        """The plainest of table headers, found without a scan of the rest."""
        if '"""' in self._text or "'''" in self._text:
            # Such a line may be a part of a text.
            return {}
        return {(match[1], match[2]): match.start(1) for match in _HEADER.finditer(self._text)}

    @cached_property
    def _offsets(self) -> Mapping[KeyPath, int]:
        return _Scanner(self._text).offsets()

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]


_written_float = lru_cache(maxsize=1024)(WrittenFloat)


def _loaded(text: str) -> Mapping[str, Any]:
    return tomli.loads(text, parse_float=_written_float)


def _unreadable(name: str, reason: str) -> ConfigError:
    return ConfigError([Problem(name, 0, 0, "", f"cannot be read: {reason}")])


def _broken(name: str, line: int, column: int, reason: str) -> ConfigError:
    return ConfigError([Problem(name, line, column, "", f"not valid TOML: {printable(reason)}")])


def _decode_error(name: str, text: str, error: tomli.TOMLDecodeError) -> ConfigError:
    """tomli's own message, or a plainer one; a key that is there twice is told with both places."""
    if error.msg.startswith(("Cannot declare", "Cannot overwrite")):
        scanner = _Scanner(text, error.pos)
        # An inline table is refused before its end, and what follows may be anything.
        with suppress(IndexError, ValueError):
            scanner.offsets()
        if scanner.repeated:
            path, first, second = scanner.repeated
            key = ".".join(part for part in path if isinstance(part, str))
            before = text.count("\n", 0, first) + 1
            line = text.count("\n", 0, second) + 1
            column = second - text.rfind("\n", 0, second)
            return _broken(name, line, column, f"{key} is there twice, first in line {before}")
        reason = "a key or table of this line is there already in another form"
        return _broken(name, error.lineno, error.colno, reason)
    if error.msg == "Illegal character '\\n'":
        return _broken(name, error.lineno, error.colno, "this text is not closed in its line")
    return _broken(name, error.lineno, error.colno, error.msg)


def _first_refused_line(text: str) -> int:
    """The line with what tomli gave up on without a place.

    It gives up on every text that goes on beyond that line, and on none that ends before it.
    """
    ends = [match.end() for match in re.finditer("\n|$", text)]
    return bisect_left(ends, True, key=lambda end: _is_refused(text[:end])) + 1


def _is_refused(text: str) -> bool:
    try:
        _loaded(text)
    except tomli.TOMLDecodeError:
        return False
    except (RecursionError, ValueError):
        return True
    return False


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


class _Scanner:
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
