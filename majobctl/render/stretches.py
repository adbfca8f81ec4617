"""Where two texts differ: stretches that both have, and stretches that only one has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile

Stretch = tuple[str, str]
"""What the old text has, and what the new one has in its place."""

_TOKEN = re.compile(r"\\.[\w.-]*|[\w.\u0300-\u036f-]+|\s+|.")
"""A word, with an escape that begins it; blanks; or one other character."""
_MAX_TOKENS = 2_000
"""More of two texts, without what they begin and end with, are a single stretch: the time that a
comparison takes grows faster than they do."""
_MIN_BETWEEN = 4
"""Fewer characters between two differences belong to them."""
_MIN_SHARED = 8
_MIN_CONTEXT, _MAX_CONTEXT = 12, 20


def stretches(old: str, new: str) -> list[Stretch]:
    """Both texts from the beginning to the end; a single stretch if they have little in common."""
    pairs = [*_compared(_TOKEN.findall(old), _TOKEN.findall(new))]
    rough: list[Stretch] = []
    for at, (one, other) in enumerate(pairs):
        if rough and at < len(pairs) - 1 and one == other and len(one) < _MIN_BETWEEN:
            rough[-1] = (rough[-1][0] + one, rough[-1][1] + other)
        else:
            _append(rough, one, other)
    found: list[Stretch] = []
    for one, other in rough:
        start = _shared_length(one, other)
        end = _shared_length(one[start:][::-1], other[start:][::-1])
        start, end = (length if length >= _MIN_CONTEXT else 0 for length in (start, end))
        _append(found, one[:start], other[:start])
        _append(found, one[start : len(one) - end], other[start : len(other) - end])
        _append(found, one[len(one) - end :], other[len(other) - end :])
    shared = sum(len(one) for one, other in found if one == other)
    return found if shared >= max(_MIN_SHARED, min(len(old), len(new)) // 4) else [(old, new)]


def abridged(found: Sequence[Stretch]) -> list[Stretch]:
    """The same with an ellipsis for most of what both texts have, where that is long."""
    shown = []
    for at, (one, other) in enumerate(found):
        head = "" if at == 0 else _head(one)
        tail = "" if at == len(found) - 1 else _tail(one)
        is_long = one == other and len(one) > len(head) + len(tail) + 1
        shown.append((f"{head}…{tail}",) * 2 if is_long else (one, other))
    return shown


def _head(text: str) -> str:
    """So much of the beginning as shows where one is, up to the end of a word where one is near."""
    start = text[:_MAX_CONTEXT]
    return start[: start.rfind(" ", _MIN_CONTEXT) + 1 or None]


def _tail(text: str) -> str:
    end = text[-_MAX_CONTEXT:]
    return end[end.find(" ", 0, _MAX_CONTEXT - _MIN_CONTEXT) + 1 :]


def _compared(old: Sequence[str], new: Sequence[str]) -> Iterator[Stretch]:
    """The stretches of two texts in words: those that both have, and those that differ, in turn."""
    start = _shared_length(old, new)
    end = _shared_length(old[start:][::-1], new[start:][::-1])
    yield "".join(old[:start]), "".join(new[:start])
    yield from _between(old[start : len(old) - end], new[start : len(new) - end])
    yield "".join(old[len(old) - end :]), "".join(new[len(new) - end :])


def _between(old: Sequence[str], new: Sequence[str]) -> Iterator[Stretch]:
    if not (old and new) or len(old) + len(new) > _MAX_TOKENS:
        yield "".join(old), "".join(new)
        return
    from difflib import SequenceMatcher

    # What the second one often has is not looked for, which bounds the time if it is the longer.
    is_turned = len(old) > len(new)
    sides = (new, old) if is_turned else (old, new)
    for _, start, stop, first, last in SequenceMatcher(None, *sides).get_opcodes():
        pair = "".join(sides[0][start:stop]), "".join(sides[1][first:last])
        yield pair[::-1] if is_turned else pair


def _append(found: list[Stretch], old: str, new: str) -> None:
    """Adds a stretch, together with the last one if that is of the same kind."""
    if found and (old == new) is (found[-1][0] == found[-1][1]):
        found[-1] = (found[-1][0] + old, found[-1][1] + new)
    elif old or new:
        found.append((old, new))


def _shared_length(old: Sequence[str], new: Sequence[str]) -> int:
    """How many characters or words the two begin with alike."""
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
