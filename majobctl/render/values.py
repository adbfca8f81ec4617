"""One value as one line of text that is safe to print, and the columns that it takes."""

from __future__ import annotations

import json
import re
import unicodedata
from itertools import accumulate
from typing import Any

from majobctl.job_config.secrets import SHOWN, is_masked, unset_variables, without_hashes
from majobctl.text import printable

_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_WIDE = ("W", "F")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_HANGING = 2
_CELL, _WORD, _STEP = r" *(?:[^ ]| (?! ))+", r" *[^ ]+", r" *[^/]*/|[^/]+"
_BREAKS = tuple(map(re.compile, (_CELL, _WORD, _STEP)))


def json_text(value: Any) -> str:
    """The value as JSON; a sensitive one as ``(sensitive)``, with the variables that it lacks."""
    missing = "".join(f", {name} is not set" for name in unset_variables(value))
    text = SHOWN if is_masked(value) else _ENCODE(without_hashes(value, SHOWN))
    return printable(f"(sensitive{missing})" if missing else text)


def shown(value: Any) -> Any:
    """``value`` with a text in place of each mask."""
    return without_hashes(value, json_text)


def columns(text: str) -> int:
    """The columns that ``text`` takes on a terminal, or a few more."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def padded(text: str, width: int) -> str:
    """``text`` with spaces after it, up to ``width`` columns."""
    return text + " " * (width - columns(text))


def fitting(text: str, width: int) -> str:
    """What of ``text`` fits into ``width`` columns, from its beginning."""
    if columns(text[:width]) <= width:
        return text[:width]
    ends = accumulate(map(_columns_of, text[:width]))
    return text[: sum(end <= width for end in ends)]


def fitted(text: str, width: int | None) -> str:
    """``text``, with each line that is wider than ``width`` broken between the cells of a table,
    else between words, else after a slash; what goes on is indented. Anything longer sticks out."""
    if width is None or (text.isascii() and max(map(len, text.split("\n"))) <= width):
        return text
    lines = (_broken_at(line, width, *_BREAKS) for line in text.split("\n"))
    return "\n".join(part for line in lines for part in line)


def _broken_at(
    line: str, width: int, pattern: re.Pattern[str], *finer: re.Pattern[str]
) -> list[str]:
    hang = " " * min(len(line) - len(line.lstrip(" ")) + _HANGING, width // 3)
    found = [""]
    for piece in pattern.findall(line):
        if _width(found[-1] + piece) <= width:
            found[-1] += piece
            continue
        if found[-1].strip():
            found.append(hang)
            piece = piece.lstrip(" ")
        if finer and _width(found[-1] + piece) > width:
            found[-1:] = _broken_at(found[-1] + piece, width, *finer)
        else:
            found[-1] += piece
    return found


def _width(text: str) -> int:
    return columns(_COLOR.sub("", text))
