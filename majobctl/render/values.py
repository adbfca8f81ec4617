"""One value as one line of text that is safe to print, and how long values are cut."""

from __future__ import annotations

import json
import unicodedata
from itertools import accumulate
from typing import Any

from majobctl.job_config.secrets import SHOWN, is_masked, unset_variables, without_hashes
from majobctl.text import printable

_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode
_WIDE = ("W", "F")
_SHARE_BEFORE = 3
"""If two values begin alike, a third of what is shown is what they share."""


def json_text(value: Any) -> str:
    """The value as JSON; a sensitive one as ``(sensitive)``, with the variables that it lacks."""
    missing = "".join(f", {name} is not set" for name in unset_variables(value))
    text = SHOWN if is_masked(value) else _ENCODE(without_hashes(value, SHOWN))
    return printable(f"(sensitive{missing})" if missing else text)


def columns(text: str) -> int:
    """The columns that ``text`` takes on a terminal, or a few more."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(char: str) -> int:
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def padded(text: str, width: int) -> str:
    """``text`` with spaces after it, up to ``width`` columns."""
    return text + " " * (width - columns(text))


def cut(text: str, width: int) -> str:
    """``text`` in at most ``width`` columns; an ellipsis ends what is cut."""
    if columns(text) <= width:
        return text
    ends = accumulate(map(_columns_of, text[:width]))
    return text[: sum(end < width for end in ends)] + "…"


def cut_pair(old: str, new: str, old_width: int, new_width: int) -> tuple[str, str]:
    """Both texts cut to so many columns; at the front, too, if they differ only further on."""
    first, second = cut(old, old_width), cut(new, new_width)
    if first == old or second == new:
        return first, second
    shared = shared_length(old, new)
    if shared < max(len(first), len(second)) - 1:
        return first, second
    start = shared - min(old_width, new_width) // _SHARE_BEFORE
    return cut("…" + old[start:], old_width), cut("…" + new[start:], new_width)


def shared_length(old: str, new: str) -> int:
    """How many characters the two begin with alike."""
    pairs = enumerate(zip(old, new, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(old), len(new)))
