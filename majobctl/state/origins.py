"""Which write set each value: found by going back through the lines of a history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from majobctl.state.event import Event, event_of
from majobctl.state.history_lines import Line
from majobctl.state.record import FieldPath, Fields
from majobctl.strict_json import JsonError, Node

Found: TypeAlias = "dict[str, dict[FieldPath, tuple[Event, str]]]"


def origins_in(lines: Iterable[Line], sought: Mapping[str, Fields]) -> Found:
    """The write, and its cause, that set each of these fields, as far as ``lines``, the newest
    first, know."""
    found: Found = {name: {} for name in sought}
    # By the name that a job config had: those that it has now, and what is not found yet.
    left = {name: [(name, dict(fields))] for name, fields in sought.items()}
    keys = {key_of(name) for name in left} if len(left) == 1 else None
    for line in lines:
        if not left:
            break
        if keys and not any(map(line.raw.__contains__, keys)):
            continue
        if (event := line.event) is None:
            break
        if line.pruned:
            _take_pruned(line.pruned, left, found)
            break
        before: dict[str, list[tuple[str, Fields]]] = {}
        for name in event.changes.keys() & left.keys():
            edit = event.changes[name]
            older = edit.old_name if edit.is_new else name
            for own, fields in left.pop(name):
                for item in (it for it in edit.fields if it.before != it.after):
                    if fields.pop(item.path, None) is not None:
                        found[own][item.path] = event, item.cause
                if fields and older:
                    before.setdefault(older, []).append((own, fields))
        for name, waiting in before.items():
            left.setdefault(name, []).extend(waiting)
        if keys:
            keys = {key_of(name) for name in left}
    return found


def _take_pruned(pruned: Node, left: Mapping[str, list[tuple[str, Fields]]], found: Found) -> None:
    with suppress(JsonError):
        events = [event_of(it, 0, True) for it in pruned["events"].items()]
        for name in pruned["origins"].table().keys() & left.keys():
            for origin in pruned["origins"][name].items():
                path, index, cause = origin.items()
                for own, fields in left[name]:
                    if path.texts() in fields and index.integer() < len(events):
                        found[own][path.texts()] = events[index.integer()], cause.text()


def document_of(found: Found) -> dict[str, Any]:
    """What the line of a history that was pruned says of ``found``."""
    events = {(it.serial, it.at): it for its in found.values() for it, _ in its.values()}
    indices = {key: index for index, key in enumerate(sorted(events))}
    heads = [
        {**it.about.document(), "serial": it.serial, "at": it.at}
        for _, it in sorted(events.items())
    ]
    origins = {
        name: [
            [[*path], indices[it.serial, it.at], cause] for path, (it, cause) in sorted(its.items())
        ]
        for name, its in found.items()
        if its
    }
    return {"events": heads, "origins": origins}


def key_of(name: str) -> bytes:
    return json.dumps(name, ensure_ascii=False).encode(errors="replace") + b":"
