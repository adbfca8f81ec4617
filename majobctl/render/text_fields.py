"""The fields of one change as lines of text, for plans and for drift. Nothing is cut: a value that
does not fit goes on in further lines, and of two long ones what differs is marked."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from majobctl.plan.change import Action, FieldAction, FieldChange
from majobctl.plan.diff import each_item
from majobctl.render import Paint
from majobctl.render.stretches import Stretch, abridged, stretches
from majobctl.render.values import json_text
from majobctl.render.wording import REASONS
from majobctl.text import columns, fitting, padded, printable

PATH_WIDTH = 28
MIN_WIDTH = 40
"""A narrower terminal gets text for this many columns."""
_WIDTH = 100
"""Of values, without a terminal."""
_COLOURS = {"+": "green", "~": "yellow", "again": "magenta", "-": "red"}
_INDENT = " " * 6
_DEEPER = " " * 10
_ARROW = "-> "
_MIN_ROOM = 40
"""If fewer columns are left beside a path, a long value begins below it."""

_Piece = tuple[str, str]
"""A text and its colour, which is "" for most."""


def painted_sign(action: Action | FieldAction, paint: Paint) -> str:
    return paint(action.sign, _COLOURS.get(action.sign, "cyan"))


def wrapped(sentence: str, width: int | None, indent: str = "") -> list[str]:
    """``sentence`` in lines of ``width``, broken between words; one line without a width."""
    if width is None:
        return [indent + sentence]
    room = width - len(indent)
    lines = textwrap.wrap(sentence, room, break_long_words=False, break_on_hyphens=False)
    return [indent + line for line in lines]


def field_lines(fields: Sequence[FieldChange], paint: Paint, width: int | None) -> Iterator[str]:
    """Each field; of an array that changes, each item that does."""
    for field in each_item(fields):
        path_width = min(PATH_WIDTH, (width or _WIDTH) * 2 // 5)
        start = f"{_INDENT}{field.action.sign} {padded(printable(field.dotted), path_width)} "
        old = None if field.action is FieldAction.RECORD else field.replaced
        texts = [json_text(side) for side in (old, field.after) if side is not None] or ["blank"]
        first, *more = value_lines(start, texts, paint, width, _note(field))
        yield f"{_INDENT}{painted_sign(field.action, paint)}{first[len(_INDENT) + 1 :]}"
        yield from more


def value_lines(
    start: str, texts: Sequence[str], paint: Paint, width: int | None, note: str = ""
) -> Iterator[str]:
    """One value after ``start``, or the old one and the new one, and then ``note``, complete: in
    lines of ``width``, as far as ``start`` lets them."""
    width = max(width or _WIDTH, MIN_WIDTH)
    together, indent = f" {_ARROW}".join(texts), columns(start)
    values: list[list[_Piece]] = [[(together, "")]]
    if columns(together) > width - indent:
        indent = indent if width - indent >= _MIN_ROOM else len(_DEEPER)
        if len(texts) == 2 and columns(together) > width - indent:
            values = _pair(*texts, room=width - indent)
    lines = [line for value in values for line in _broken(value, width - indent)]
    if indent < columns(start):
        yield start.rstrip()
        start = " " * indent
    if note and sum(columns(text) for text, _ in lines[-1]) + 2 + columns(note) <= width - indent:
        lines[-1].append((f"  {note}", ""))
    elif note:
        lines += _broken([(note, "")], width - indent)
    for line in lines:
        yield start + "".join(paint(text, colour) if colour else text for text, colour in line)
        start = " " * indent


def _pair(old: str, new: str, *, room: int) -> list[list[_Piece]]:
    """What differs between two long texts, marked, among what they share, and all of that if it
    fits on a line; or both, complete."""
    found = stretches(old, new)
    if len(found) == 1:
        return [[(old, "")], [(_ARROW, ""), (new, "")]]
    line = _marked_in_line(found)
    if sum(columns(text) for text, _ in line) > room:
        line = _marked_in_line(abridged(found))
    return [line]


def _marked_in_line(found: Sequence[Stretch]) -> list[_Piece]:
    line: list[_Piece] = []
    for one, other in found:
        if one == other:
            line.append((one, ""))
            continue
        line += [(f"[-{one}-]", "red")] * bool(one)
        line += [(f"{{+{other}+}}", "green")] * bool(other)
    return line


def _broken(pieces: Sequence[_Piece], room: int) -> Iterator[list[_Piece]]:
    """The pieces in lines of ``room`` columns, broken before a space or a piece where that is
    possible. Every character is in a line: a space begins one."""
    line: list[_Piece] = []
    left = room
    for text, colour in pieces:
        at = 0
        while (head := fitting(rest := text[at : at + room + 1], left)) != rest:
            stop = max(0, rest.rfind(" ", 0, len(head) + 1))
            if not stop and not (line and (rest[0] == " " or columns(rest) <= room)):
                slash = head.rfind("/") + 1
                stop = slash if slash > room // 2 else len(head)
            yield [*line, (rest[:stop], colour)] if stop else line
            line, left, at = [], room, at + stop
        line.append((rest, colour))
        left -= columns(rest)
    yield line


def _note(field: FieldChange) -> str:
    if field.reason is None:
        return ""
    if field.before in (field.live, field.after):
        return f"({REASONS[field.reason]})"
    was = "blank" if field.before is None else json_text(field.before)
    return f"({REASONS[field.reason]}; the state has {was})"
