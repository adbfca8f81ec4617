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

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import WrittenFloat
from majobctl.repository.toml.positions import (
    _HEADER,
    KeyPath,
    Scanner,
)
from majobctl.text import printable


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
        return Scanner(self._text).offsets()

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
        scanner = Scanner(text, error.pos)
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
