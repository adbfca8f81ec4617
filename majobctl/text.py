"""Text for people: safe to print, counted, dated, and with hints at what was probably meant."""

from __future__ import annotations

import codecs
import json
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, islice

MOST_CHARACTERS = 4000
"""Of a message: it may quote a text of millions."""
_MOST_COMPARED = 300
_WIDEST_COLUMN = 60

_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u2d7f\u3164\ufe00-\ufe0f\uffa0\U0001107f"
    "\U00011a47\U00011a99\U00013441\U00013442\U00016fe4\U0001bc9d\U0001d159\U000e0000-\U000e0fff]"
)
"""Fillers, blanks, selectors and joiners, which Python counts as printable and nobody sees."""
_DOUBTFUL = re.compile(r"[^\n -~]")

CONFLICT_MARKER = re.compile(r"^(?:(?:<{7}|\|{7}|>{7})(?: |\r?$)|={7}\r?$)", re.MULTILINE)
"""A line that git leaves in a file that it could not merge."""


def is_utf16(content: bytes) -> bool:
    """Whether ``content``, a text that begins with ASCII, is UTF-16."""
    return content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or content[:2].count(0) == 1


def printable(text: str) -> str:
    """``text`` with an escape for every character that a terminal acts on or that nobody sees."""
    if text.isprintable() and (text.isascii() or not _UNSEEN.search(text)):
        return text
    return "".join(
        char.encode("unicode_escape").decode("ascii") if is_unseen(char) else char for char in text
    )


def printable_json(text: str) -> str:
    """JSON in lines that means the same, safe to print, in the log of a CI job, too."""
    text = _DOUBTFUL.sub(lambda it: json.dumps(it[0])[1:-1] if is_unseen(it[0]) else it[0], text)
    return text.replace("##", "#\\u0023")


def is_unseen(char: str) -> bool:
    return not char.isprintable() or _UNSEEN.match(char) is not None


def printable_lines(text: str) -> str:
    """``text`` as ``printable``, with its line ends."""
    return "\n".join(map(printable, text.split("\n")))


_JOB_LOG_COMMAND = re.compile(
    r"((?:^|[\r\n])(?:[^\S\r\n]|\x1b\[[0-9;]*m)*:)(?=:)|(##)(?=\[|vso\[|teamcity\[)"
)


def harmless_in_job_log(text: str) -> str:
    """``text`` with a space in what the log of a CI job takes for a command, such as
    ``::stop-commands::`` at the beginning of a line and ``##[add-mask]`` anywhere."""
    return _JOB_LOG_COMMAND.sub(r"\1\2 ", text)


def cut(text: str, most: int = 500) -> str:
    """The first ``most`` characters of a text that may have millions, and how many it has."""
    return text if len(text) <= most + 50 else f"{text[:most]}… ({len(text):,} characters)"


def quoted(text: str) -> str:
    """``text`` in double quotes, safe to print, ``cut``."""
    return printable(json.dumps(cut(text), ensure_ascii=False))


def complete(value: object) -> str:
    """A plain value as JSON, safe to print; ``blank`` for None."""
    return "blank" if value is None else printable(json.dumps(value, ensure_ascii=False))


def without_login(text: str) -> str:
    """``text`` without the user and the password of its addresses."""
    return re.sub(r"(?<=://)[^/\s]*@", "", text)


def reason_of(error: Exception) -> str:
    """Why the system refused something, safe to print."""
    return printable(getattr(error, "strerror", None) or str(error))


def counted(number: int, noun: str) -> str:
    """``1 job config``, ``2 job configs``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def in_short(names: Collection[str], limit: int = 3) -> str:
    """``a, b, c and 7 more``."""
    names, more = [*names], len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def table_text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, two spaces apart; numbers are aligned to the right. No cell is cut, since names are
    there to be copied: one of more than 60 characters pushes the rest of its line to the right."""
    lines = [[printable(cell) for cell in row] for row in (heads, *rows)]
    columns = list(zip(*lines, strict=True))
    widths = [min(_WIDEST_COLUMN, max(map(len, column))) for column in columns]
    are_numbers = [_are_numbers(column[1:]) for column in columns]
    return "".join(
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, are_numbers, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _are_numbers(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(cell.isdecimal() for cell in filled)


def environment_flag(environment: str) -> str:
    """The option that chooses it, for a command in a message: `` -e NAME``, or ""."""
    return f" -e {printable(environment)}" if environment else ""


def utc_now(ago: float = 0) -> str:
    """The time in UTC to the second, such as ``2026-11-23T21:37:00Z``, or ``ago`` seconds before.
    Of two, the later one is greater."""
    from datetime import datetime, timedelta, timezone

    at = datetime.now(timezone.utc) - timedelta(seconds=ago)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean "log_url"?``, or "" if no known word is similar."""
    matches = similar(word, known)
    return f"; did you mean {' or '.join(map(quoted, matches))}?" if matches else ""


def similar(word: str, known: Iterable[str]) -> Sequence[str]:
    """At most three of the known words, the most similar one first."""
    known = list(known)
    if len(known) > _MOST_COMPARED:
        # A comparison is slow: 10,000 wrong words of 10,000 would be 100,000,000.
        alike = (it for it in known if it[:1] == word[:1] and abs(len(it) - len(word)) < 3)
        known = list(islice(alike, _MOST_COMPARED))
    return _similar(word[:200], tuple(known))


@lru_cache(maxsize=1024)
def _similar(word: str, known: tuple[str, ...]) -> Sequence[str]:
    # Cached: [defaults] or a matrix can give thousands of job configs the same wrong word.
    import difflib

    return difflib.get_close_matches(word, known, n=3, cutoff=0.6)


_WIDE = ("W", "F")
_COLOR = re.compile(r"\x1b\[[0-9;]*m")
_HANGING = 2
_CELL, _WORD, _STEP = r" *(?:[^ ]| (?! ))+", r" *[^ ]+", r" *[^/]*/|[^/]+"
_BREAKS = tuple(map(re.compile, (_CELL, _WORD, _STEP)))


def columns(text: str) -> int:
    """The columns that ``text``, which is safe to print, takes on a terminal, or a few more."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
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
