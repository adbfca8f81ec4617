"""Text for people: safe to print, counted, and with hints at what was probably meant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache


def printable(text: str) -> str:
    """``text`` with every character that a terminal could act on shown as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def quoted(text: str) -> str:
    """``text`` in double quotes, safe to print."""
    return printable(json.dumps(text, ensure_ascii=False))


def counted(number: int, noun: str) -> str:
    """Such as ``1 job config`` and ``2 job configs``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint such as ``; did you mean "log_url"?``, or "" where nothing is near."""
    return _nearest(word, tuple(known))


@lru_cache(maxsize=1024)
def _nearest(word: str, known: tuple[str, ...]) -> str:
    # Thousands of job configs may have the same wrong word, from [defaults] or a matrix.
    import difflib

    matches = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if not matches:
        return ""
    return f"; did you mean {' or '.join(map(quoted, matches))}?"
