"""Where two texts differ: stretches that both have, and stretches that only one has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from operator import eq

Stretch = tuple[str, str]
"""What the old text has, and what the new one has in its place."""

_TOKEN = re.compile(r"\\.[\w.-]*|[\w.\u0300-\u036f-]+|\s+|.")
"""A word, with an escape that begins it; blanks; or one other character."""
_MAX_TOKENS = 2_000
"""More of two texts, without what they begin and end with, are a single stretch: the time that a
comparison takes grows faster than they do."""
_MIN_ALIKE = 4
"""Fewer characters between two differences belong to them."""
_MIN_SHARED = 8
_CONTEXT = 20
"""Of what both texts have, beside what differs; less, down to 12, where a word ends there."""


def stretches(old: str, new: str) -> list[Stretch]:
    """Both texts from the beginning to the end; a single stretch if they have little in common."""
    if min(len(old), len(new)) < _MIN_SHARED:
        return [(old, new)]
    one, other = _TOKEN.findall(old), _TOKEN.findall(new)
    found: list[Stretch] = []
    at = to = 0
    for first, second, length in _matches(one, other):
        was, now = "".join(one[at:first]), "".join(other[to:second])
        at, to = first + length, second + length
        start, end = _alike_ends(was, now, _CONTEXT)
        for pair in (
            (was[:start], now[:start]),
            (was[start : len(was) - end], now[start : len(now) - end]),
            (was[len(was) - end :] + "".join(one[first:at]),) * 2,
        ):
            if found and (pair[0] == pair[1]) is (found[-1][0] == found[-1][1]):
                found[-1] = (found[-1][0] + pair[0], found[-1][1] + pair[1])
            elif pair != ("", ""):
                found.append(pair)
    shared = sum(len(was) for was, now in found if was == now)
    return found if shared >= max(_MIN_SHARED, min(len(old), len(new)) // 4) else [(old, new)]


def _matches(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[int, int, int]]:
    """Where in both texts, in words, there are how many that they share."""
    start, end = _alike_ends(old, new)
    yield 0, 0, start
    one, other = old[start : len(old) - end], new[start : len(new) - end]
    if len(one) + len(other) <= _MAX_TOKENS:
        from difflib import SequenceMatcher

        # It passes over what the second one has often: if that is the longer, this bounds the time.
        is_turned = len(one) > len(other)
        pair = (other, one) if is_turned else (one, other)
        for *places, length in SequenceMatcher(None, *pair).get_matching_blocks():
            first, second = reversed(places) if is_turned else places
            if sum(map(len, one[first : first + length])) >= _MIN_ALIKE:
                yield start + first, start + second, length
    yield len(old) - end, len(new) - end, end


def _alike_ends(old: Sequence[str], new: Sequence[str], least: int = 1) -> tuple[int, int]:
    """How long a beginning and an end the two share; 0 for one that is shorter than ``least``."""
    start = sum(takewhile(bool, map(eq, old, new)))
    start = start if start >= least else 0
    end = sum(takewhile(bool, map(eq, reversed(old[start:]), reversed(new[start:]))))
    return start, end if end >= least else 0


def marked(found: Sequence[Stretch], *marks: tuple[str, str]) -> list[str]:
    """The old text and the new one, with ``marks`` around what only one of them has."""
    return [
        "".join(
            pair[side] if pair[0] == pair[1] or not pair[side] else f"{opens}{pair[side]}{closes}"
            for pair in found
        )
        for side, (opens, closes) in enumerate(marks)
    ]


def abridged(found: Sequence[Stretch]) -> list[Stretch]:
    """The same with an ellipsis for most of what both texts have, where that is long."""
    return [
        (_middle_cut(one, at > 0, at < len(found) - 1),) * 2 if one == other else (one, other)
        for at, (one, other) in enumerate(found)
    ]


def _middle_cut(text: str, has_before: bool, has_after: bool) -> str:
    head, tail = text[: _CONTEXT * has_before], text[len(text) - _CONTEXT * has_after :]
    head, tail = head[: head.rfind(" ", 12) + 1 or None], tail[tail.find(" ", 0, 8) + 1 :]
    return text if len(text) <= len(head) + len(tail) + 8 else f"{head}…{tail}"
