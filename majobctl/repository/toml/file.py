"""A TOML file: its data, and the line of each of its keys. tomli gives no positions: if a line is
needed, a second pass over the text finds them."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import tomli

from majobctl.errors import ConfigError, Problem
from majobctl.files import read_file
from majobctl.job_config.values import WrittenFloat
from majobctl.job_config.violations import Violation
from majobctl.repository.toml import positions
from majobctl.repository.toml.positions import KeyPath
from majobctl.text import is_utf16, printable, reason_of

_MOST_BYTES = 64 * 2**20


def content_of(path: str | Path, name: str, *, may_be_pipe: bool = False) -> bytes:
    """As ``read_file``. Raises ConfigError if it cannot be read."""
    try:
        return read_file(path, _MOST_BYTES, may_be_pipe=may_be_pipe)
    except OSError as error:
        message = f"cannot be read: {reason_of(error)}"
        raise ConfigError([Problem(file=name, message=message)]) from error


class TomlFile:
    """``name`` is the path as the user would type it, ``data`` is what tomli read."""

    def __init__(self, name: str, text: str, data: Mapping[str, Any]) -> None:
        self.name = name
        self.data = data
        self._text = text

    @classmethod
    def read(cls, path: str | Path, name: str, *, may_be_pipe: bool = False) -> TomlFile:
        """Raises ConfigError for a file that cannot be read or is not TOML."""
        return cls.parse(content_of(path, name, may_be_pipe=may_be_pipe), name)

    @classmethod
    def parse(cls, content: bytes, name: str) -> TomlFile:
        """Raises ConfigError with line and column for bytes that are not TOML."""
        if is_utf16(content):
            raise _broken(name, 1, 1, "this is UTF-16; save the file as UTF-8")
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
        """Whether a string in it may have a ``${``, possibly an escaped one."""
        return "${" in self._text or "\\" in self._text

    def line_of(self, path: KeyPath) -> int:
        """The line of the key at ``path``, or of the nearest key or table around it; else 1."""
        offset = self._headers.get(path)
        while path and offset is None:
            offset = self._positions.keys.get(path)
            path = path[:-1]
        return 1 if offset is None else bisect_right(self._line_starts, offset)

    @property
    def plain(self) -> TomlFile:
        """The file without an environment."""
        return self

    def written(self, path: KeyPath) -> KeyPath:
        """Where the plain file has the key at ``path``, or the nearest one around it."""
        return path

    def problem(self, violation: Violation) -> Problem:
        """``violation``, whose path begins at the root of this file, with its file and line."""
        *tables, _ = [part for part in violation.path if isinstance(part, str)]
        line = self.line_of(violation.path)
        where = ".".join(tables)
        return Problem(file=self.name, line=line, where=where, message=violation.text())

    def sections(self) -> list[str]:
        """The text above the first header, and that of each header with what follows it."""
        starts = [self._text.rfind("\n", 0, header) + 1 for header in self._positions.headers]
        return [self._text[i:j] for i, j in pairwise([0, *starts, len(self._text)])]

    @cached_property
    def _headers(self) -> Mapping[KeyPath, int]:
        return positions.plain_headers(self._text)

    @cached_property
    def _positions(self) -> positions.Positions:
        return positions.positions_of(self._text)

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(match.end() for match in re.finditer("\n", self._text))]


_written_float = lru_cache(maxsize=1024)(WrittenFloat)


def _loaded(text: str) -> Mapping[str, Any]:
    return tomli.loads(text, parse_float=_written_float)


def _broken(name: str, line: int, column: int, reason: str) -> ConfigError:
    message = f"not valid TOML: {printable(reason)}"
    return ConfigError([Problem(file=name, line=line, column=column, message=message)])


def _decode_error(name: str, text: str, error: tomli.TOMLDecodeError) -> ConfigError:
    from majobctl.repository.toml.mistakes import mistake_in

    at, reason = mistake_in(text, error)
    return _broken(name, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), reason)


def _first_refused_line(text: str) -> int:
    """The line where tomli failed without giving a position: it fails on every text that includes
    that line, and on none that ends before it."""
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
