"""Text for people: safe to print, counted, dated, and with hints at what was probably meant."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from itertools import islice

_MOST_COMPARED = 300

CONFLICT_MARKER = re.compile(r"^(?:(?:<{7}|\|{7}|>{7})(?: |\r?$)|={7}\r?$)", re.MULTILINE)
"""A line that git leaves in a file that it could not merge."""


def is_utf16(content: bytes) -> bool:
    """Whether ``content``, a text that begins with ASCII, is UTF-16."""
    return content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or content[:2].count(0) == 1


def printable(text: str) -> str:
    """``text`` with an escape for every character that a terminal could act on."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def cut(text: str, most: int = 500) -> str:
    """The first ``most`` characters of a text that may have millions, and how many it has."""
    return text if len(text) <= most + 50 else f"{text[:most]}… ({len(text):,} characters)"


def quoted(text: str) -> str:
    """``text`` in double quotes, safe to print, ``cut``."""
    return printable(json.dumps(cut(text), ensure_ascii=False))


def shortened(value: object, width: int = 60) -> str:
    """A plain value as JSON, safe to print, in at most ``width`` characters; ``blank`` for None."""
    text = "blank" if value is None else printable(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= width else text[: width - 1] + "…"


def counted(number: int, noun: str) -> str:
    """``1 job config``, ``2 job configs``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def in_short(names: Collection[str], limit: int = 3) -> str:
    """``a, b, c and 7 more``."""
    names, more = [*names], len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def utc_now() -> str:
    """The time in UTC to the second, such as ``2026-11-23T21:37:00Z``."""
    from datetime import datetime, timezone

    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean "log_url"?``, or "" if no known word is similar."""
    known = list(known)
    if len(known) > _MOST_COMPARED:
        # A comparison is slow: 10,000 wrong words of 10,000 would be 100,000,000.
        alike = (it for it in known if it[:1] == word[:1] and abs(len(it) - len(word)) < 3)
        known = list(islice(alike, _MOST_COMPARED))
    return _nearest(word[:200], tuple(known))


@lru_cache(maxsize=1024)
def _nearest(word: str, known: tuple[str, ...]) -> str:
    # Cached: [defaults] or a matrix can give thousands of job configs the same wrong word.
    import difflib

    matches = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if not matches:
        return ""
    return f"; did you mean {' or '.join(map(quoted, matches))}?"
