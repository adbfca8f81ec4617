"""The fields of one change as lines of text, for plans and for drift. Paths are never cut;
values are, to VALUE_WIDTH or to what fits on the terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from majobctl.plan.change import Action, FieldAction, FieldChange
from majobctl.plan.diff import item_changes
from majobctl.render import Paint
from majobctl.render.values import columns, cut, cut_pair, json_text, padded
from majobctl.render.wording import FIELD_WORDS, REASONS
from majobctl.text import printable

VALUE_WIDTH = 60
PATH_WIDTH = 28
_COLOURS = {"+": "green", "~": "yellow", "?": "magenta", ".": "cyan", "-": "red", "=": "cyan"}
_INDENT = " " * 6
_DEEPER = " " * 10
_LABEL_WIDTH = 40
_MAX_LABELS = 8
"""More hyperparameters than this become a table."""
_MAX_ITEMS = 20
"""Rows for the changes inside an array."""
_TABLE_WIDTH = 100
"""Of values side by side, without a terminal."""
_ARROW = " -> "
_MIN_ROOM = 12
"""Columns that a value always gets."""


def painted_sign(action: Action | FieldAction, paint: Paint) -> str:
    return paint(action.sign, _COLOURS[action.sign])


def wrapped(sentence: str, width: int | None, indent: str = "") -> list[str]:
    """``sentence`` in lines of ``width``, broken between words; one line without a width."""
    if width is None:
        return [indent + sentence]
    room = width - len(indent)
    lines = textwrap.wrap(sentence, room, break_long_words=False, break_on_hyphens=False)
    return [indent + line for line in lines]


def field_lines(fields: Sequence[FieldChange], paint: Paint, width: int | None) -> Iterator[str]:
    """A line for each field; many hyperparameters, and the changes inside an array, become a table
    below one line."""
    labelled = [field for field in fields if len(field.path) > 1]
    is_table = len(labelled) > _MAX_LABELS
    for field in fields:
        if is_table and len(field.path) > 1:
            if field is labelled[0]:
                yield from _table(labelled, paint, width)
        elif items := [*item_changes(*_sides(field))]:
            yield from _items(field, items, paint, width)
        else:
            yield from _field(field, paint, width)


def _field(field: FieldChange, paint: Paint, width: int | None) -> Iterator[str]:
    start = f"{_start(field.action, field.dotted, width)} "
    texts = [json_text(value) for value in _sides(field) if value is not None]
    lines = _with_values(start, texts, width)
    lines = [*lines[:-1], *_with_note(lines[-1], _note(field, width), width, _DEEPER)]
    yield _painted(lines[0], len(_INDENT), field.action, paint)
    yield from lines[1:]


def _items(
    field: FieldChange, items: Sequence[FieldChange], paint: Paint, width: int | None
) -> Iterator[str]:
    """What happens to the items of an array in one line; then a row for each."""
    *lines, last = _head(field.path[0], field.action, items, paint, width)
    yield from (*lines, *_with_note(last, _note(field, width), width, _DEEPER))
    shown = [replace(item, path=(*field.path, *item.path)) for item in items[:_MAX_ITEMS]]
    yield from _rows(shown, paint, width)
    if len(items) > len(shown):
        yield f"{_DEEPER}… and {len(items) - len(shown)} more"


def _with_values(start: str, texts: Sequence[str], width: int | None) -> list[str]:
    """The values after ``start``; two that do not fit there together have a line each."""
    room = VALUE_WIDTH if width is None else max(_MIN_ROOM, width - columns(start))
    if len(texts) != 2:
        return [start + "".join(cut(text, room) for text in texts)]
    old, new = cut_pair(texts[0], texts[1], room, room)
    if width is not None and columns(_ARROW.join(texts)) > room:
        return [start + old, f"{_ARROW:>{columns(start)}}{new}"]
    return [start + old + _ARROW + new]


def _with_note(line: str, note: str, width: int | None, indent: str) -> list[str]:
    if not note:
        return [line]
    if width is None or columns(line) + 2 + columns(note) <= width:
        return [f"{line}  {note}"]
    return [line, *wrapped(note, width, indent)]


def _painted(line: str, at: int, action: FieldAction, paint: Paint) -> str:
    """``line`` with its sign, the character ``at``, in the colour of ``action``."""
    return f"{line[:at]}{painted_sign(action, paint)}{line[at + 1 :]}"


def _start(action: FieldAction, path: str, width: int | None) -> str:
    path_width = PATH_WIDTH if width is None else min(PATH_WIDTH, width * 2 // 5)
    return f"{_INDENT}{action.sign} {padded(printable(path), path_width)}"


def _sides(field: FieldChange) -> tuple[Any, Any]:
    """What is shown on the left and on the right of the arrow."""
    return None if field.action is FieldAction.RECORD else field.replaced, field.after


def _note(field: FieldChange, width: int | None) -> str:
    if field.reason is None:
        return ""
    if field.before == field.live or field.before == field.after:
        return f"({REASONS[field.reason]})"
    # No word of a note may be wider than a line of its own.
    room = VALUE_WIDTH if width is None else width - len(_DEEPER + _INDENT) - 1
    limit = max(_MIN_ROOM, min(VALUE_WIDTH, room))
    was = "blank" if field.before is None else cut(json_text(field.before), limit)
    return f"({REASONS[field.reason]}; the state has {was})"


def _table(fields: Sequence[FieldChange], paint: Paint, width: int | None) -> Iterator[str]:
    """What happens to the labels in one line; then a row for each, or several side by side."""
    is_alike = len({field.action for field in fields}) == 1
    action = fields[0].action if is_alike else FieldAction.UPDATE
    yield from _head(fields[0].path[0], action, fields, paint, width)
    if is_alike and all(None in _sides(field) and not field.reason for field in fields):
        yield from _side_by_side(fields, width or _TABLE_WIDTH)
    else:
        yield from _rows(fields, paint, width)


def _head(
    key: str, action: FieldAction, fields: Sequence[FieldChange], paint: Paint, width: int | None
) -> list[str]:
    counts = Counter(field.action for field in fields)
    parts = ", ".join(f"{counts[key]} {word}" for key, word in FIELD_WORDS.items() if counts[key])
    start = _start(action, key, width)
    lines = [f"{start} {parts}"]
    if width is not None and columns(lines[0]) > width:
        lines = [start.rstrip(), *wrapped(parts, width, _DEEPER)]
    return [_painted(lines[0], len(_INDENT), action, paint), *lines[1:]]


def _label(field: FieldChange) -> str:
    return printable(".".join(field.path[1:]))


def _side_by_side(fields: Sequence[FieldChange], width: int) -> Iterator[str]:
    """Labels and values in as many columns as fit, in order from the top to the bottom."""
    room = width - len(_DEEPER)
    cells = []
    for field in fields:
        (value,) = [side for side in _sides(field) if side is not None]
        start = f"{_label(field)} = "
        limit = max(_MIN_ROOM, min(VALUE_WIDTH, room - columns(start)))
        cells.append(start + cut(json_text(value), limit))
    cell_width = max(map(columns, cells))
    height = -(-len(cells) // max(1, (room + 3) // (cell_width + 3)))
    for number in range(height):
        row = "   ".join(padded(cell, cell_width) for cell in cells[number::height])
        yield (_DEEPER + row).rstrip()


def _rows(fields: Sequence[FieldChange], paint: Paint, width: int | None) -> Iterator[str]:
    """A row for each label: its sign, the old value, the new one, the reason."""
    longest = max(columns(_label(field)) for field in fields)
    label_width = min(_LABEL_WIDTH, longest)
    sides = map(_sides, fields)
    pairs = [tuple("" if side is None else json_text(side) for side in pair) for pair in sides]
    room = None if width is None else width - len(_DEEPER) - longest - 3
    old_width, new_width = _shares(pairs, room)
    for field, (old, new) in zip(fields, pairs, strict=True):
        old, new = cut_pair(old, new, old_width, new_width)
        arrow = _ARROW if old and new else " " * len(_ARROW)
        label = padded(_label(field), label_width)
        line = f"{_DEEPER}{field.action.sign} {label} {padded(old, old_width)}{arrow}{new}".rstrip()
        first, *more = _with_note(line, _note(field, width), width, _DEEPER + _INDENT)
        yield _painted(first, len(_DEEPER), field.action, paint)
        yield from more


def _shares(pairs: Iterable[tuple[str, ...]], room: int | None) -> tuple[int, int]:
    """How many columns the values of each side get; the narrower side leaves more to the other."""
    old, new = (max(map(columns, side)) for side in zip(*pairs, strict=True))
    if room is None:
        return min(old, VALUE_WIDTH), min(new, VALUE_WIDTH)
    room = max(room, 2 * _MIN_ROOM) - len(_ARROW)
    first = min(old, max(room // 2, room - new))
    return first, min(new, room - first)
