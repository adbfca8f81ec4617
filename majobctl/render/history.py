"""The history, and who set each value of a job config, as text and as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from majobctl.job_config.fields import documented_order
from majobctl.job_config.secrets import SHOWN
from majobctl.plan.change import Action, FieldAction, FieldChange
from majobctl.plan.diff import items_of
from majobctl.render import unpainted
from majobctl.render.markdown_blocks import code, joined, shown_values, table_head, table_row
from majobctl.render.text_fields import MIN_WIDTH, PATH_WIDTH, value_lines
from majobctl.render.values import json_text
from majobctl.text import columns, fitting, in_short, padded, printable, table_text

if TYPE_CHECKING:
    from majobctl.state.event import Edit, Event
    from majobctl.state.history import Blame

_HEADS = ("serial", "when", "who", "commit", "what")
_BLAME_HEADS = ("field", "value", "serial", "commit", "who", "when", "set by")
_WIDTH = 100
"""Without a terminal."""
_MIN_ROOM = 12
_MORE_WIDTH = 14
_SIGNS = {it.value: it.sign for it in Action} | {"remove": "forget"}
_OTHERS = re.compile(r" (import|state (?:rm|mv|push|move))(?: |$)")
"""The commands other than apply that write a state."""


def history_text(
    events: Iterable[Event], notes: Iterable[str], name: str = "", width: int | None = None
) -> str:
    """A line for each event, with as many names as fit into ``width``; then ``notes``. With
    ``name``, what each event changed of that job config is below it, whatever it was called."""
    width = max(width or _WIDTH, MIN_WIDTH)
    events = [*followed(events, name)]
    heads = [_head(it) for it in events]
    widths = [max(map(columns, it)) + 2 for it in zip(_HEADS[:-1], *heads, strict=True)]
    room = max(width - sum(widths), _MIN_ROOM)
    rows = [(*head, _what(event, room)) for head, event in zip(heads, events, strict=True)]
    lines = table_text(_HEADS, rows).splitlines() if rows else []
    for at in reversed(range(len(events)) if name else ()):
        lines[at + 2 : at + 2] = _details(events[at], width)
    return "".join(f"{it}\n" for it in (*lines, *notes))


def history_markdown(
    events: Iterable[Event], notes: Iterable[str], name: str = "", width: int | None = None
) -> str:
    """The same as a table, of whatever width."""
    rows = []
    for event in followed(events, name):
        what = [code(_what(event, _WIDTH))]
        for item, note in _fields(event) if name else ():
            values = " -> ".join(shown_values(*_sides(item)))
            what.append(" ".join(filter(None, (code(item.dotted), values, _code(note)))))
        what += map(code, _held(event) if name else ())
        rows.append([*map(_code, _head(event)), "<br>".join(what)])
    return joined([_table(_HEADS, rows)] * bool(rows) + [*notes])


def followed(events: Iterable[Event], name: str) -> Iterator[Event]:
    """``events``, the newest first; with ``name``, what they have of that job config alone. One
    that got a new name is there under that alone."""
    names = {name}
    for event in events:
        edits = {it: edit for it, edit in event.changes.items() if not name or it in names}
        held = {it: fields for it, fields in event.held_back.items() if not name or it in names}
        old_names = {it.old_name for it in edits.values() if it.is_new and it.old_name}
        edits = {it: edit for it, edit in edits.items() if it not in old_names}
        yield replace(event, changes=edits, held_back=held)
        names |= old_names


def written(serial: int, event: Event | None) -> str:
    """What is known of the write that made this serial, as a sentence."""
    if event is None:
        return f"This is serial {serial}." if serial else "This is before the first write."
    _, time, who, commit = _head(event)
    by = f" by {who}" if who else ""
    at = f", commit {commit}" if commit else ""
    return printable(f"This is serial {serial}, written {time} UTC{by}{at}.")


def _head(event: Event) -> tuple[str, ...]:
    """Its first columns; who it was is such as ``bob (laptop, dirty)``."""
    about = event.about
    where = [about.job or about.host, "dirty" if about.clean is False else ""]
    inner = ", ".join(filter(None, where))
    who = f"{about.user} ({inner})" if inner else about.user
    return (str(event.serial), event.at[:16].replace("T", " "), printable(who), about.commit[:7])


def _what(event: Event, room: int) -> str:
    """What changed, by names, as many as fit into ``room``, and what else there is to say."""
    remarks = [f"held back: {in_short([*map(printable, event.held_back)])}"] * bool(event.held_back)
    remarks += [f"({it})" for it in _other_command(event)]
    remarks += ["(not in the state)"] * (not event.counts)
    names = [_named(*it) for it in event.changes.items()]
    room -= sum(columns(it) + 2 for it in remarks)
    shown = names
    while len(shown) > 1 and columns("  ".join(shown)) > room - _MORE_WIDTH * (shown is not names):
        shown = shown[:-1]
    more = [f"and {len(names) - len(shown)} more"] * (shown is not names)
    return "  ".join([*shown, *more, *remarks])


def _named(name: str, edit: Edit) -> str:
    was = f" (was {edit.old_name})" if edit.old_name else ""
    return printable(f"{_SIGNS.get(edit.action, edit.action)} {name}{was}")


def _other_command(event: Event) -> list[str]:
    return _OTHERS.findall(event.about.command)[:1]


def _details(event: Event, width: int) -> Iterator[str]:
    """The fields, as a plan shows them, each with the line that changed it."""
    for item, note in _fields(event):
        texts = [json_text(it) for it in _sides(item) if it is not None]
        start = f"      {item.action.sign} {padded(printable(item.dotted), PATH_WIDTH)} "
        yield from value_lines(start, texts, unpainted, width, note)
    yield from (f"      {it}" for it in _held(event))


def _held(event: Event) -> Iterator[str]:
    for fields in event.held_back.values():
        yield f"changed in the service: {in_short([*map(printable, fields)])}"


def _sides(item: FieldChange) -> list[Any]:
    """Its value before and after, or the one that was put back in the service, if it has one."""
    if item.before != item.after:
        return [item.before, item.after]
    return [] if item.after is None else [item.after]


def _fields(event: Event) -> Iterator[tuple[FieldChange, str]]:
    """Each field, or each item of an array, and what else is known of its change."""
    for edit in event.changes.values():
        for field in sorted(edit.fields, key=lambda it: documented_order(it.path)):
            what = "a removal" if field.overwrote is None else json_text(field.overwrote)
            what = SHOWN if field.overwrote == SHOWN else what
            # The lines of a new one are those of its table.
            is_told = field.cause and (edit.old_name or not edit.is_new)
            notes = [printable(field.cause)] if is_told else []
            notes += [f"undid {what} in the service"] if field.is_overwriting else []
            for item in items_of(_change(field.path, field.before, field.after)):
                yield item, ", ".join(notes)
        if "prevent_delete" in edit.entry:
            yield _change(("prevent_delete",), *edit.entry["prevent_delete"]), ""


def _change(path: tuple[str, ...], before: Any, after: Any) -> FieldChange:
    is_both = (before is None) == (after is None)
    one_side = FieldAction.ADD if before is None else FieldAction.REMOVE
    action = FieldAction.UPDATE if is_both else one_side
    return FieldChange(path=path, action=action, before=before, after=after)


def blame_text(found: Iterable[Blame], width: int | None = None) -> str:
    """A line for each value with the write that set it. On a terminal, a long value is cut; `show`
    has it."""
    rows = [*map(_blamed, found)]
    if width is not None and rows:
        widths = [max(map(columns, it)) + 2 for it in zip(*rows, strict=True)]
        room = max(max(width, MIN_WIDTH) - sum(widths) + widths[1], _MIN_ROOM)
        for row in (it for it in rows if columns(it[1]) > room):
            row[1] = f"{fitting(row[1], room - 1)}…"
    return table_text([""] * len(_BLAME_HEADS), rows).partition("\n")[2]


def blame_markdown(found: Iterable[Blame], width: int | None = None) -> str:
    rows = [[*map(_code, it)] for it in map(_blamed, found)]
    return joined([_table(_BLAME_HEADS, rows)])


def _blamed(found: Blame) -> list[str]:
    row = [printable(found.dotted), json_text(found.value)]
    if (event := found.event) is None:
        return [*row, "", "", "", "", found.cause]
    cause = found.cause or "".join(_other_command(event))
    about = event.about
    return [*row, str(event.serial), about.commit[:7], about.user, event.at[:10], cause]


def _code(text: str) -> str:
    return code(text) if text else ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join([table_head(heads), *map(table_row, rows)])
