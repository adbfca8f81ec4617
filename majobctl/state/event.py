"""One write of the state, as it is read from its record, and what undoes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.state.document import Entry, entry_of
from majobctl.state.record import About, FieldPath, fields_of, params_of, rest_of
from majobctl.strict_json import Node

__all__ = ["About", "Edit", "Event", "FieldEdit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldEdit:
    """One changed field. None: it was not, or is not, set."""

    path: FieldPath
    before: Any
    after: Any
    cause: str = ""
    overwrote: Any = None
    """What the service had instead of ``before``, if ``is_overwriting``."""
    is_overwriting: bool = False
    """Somebody had changed it in the service, and this write undid that."""

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What one write changed of one job config. ``entry`` has what changed of its entry beside the
    params, each as it was and as it is."""

    action: str
    """``add``, ``update``, ``remove``, or ``pending`` for a call of unknown outcome; or the plan's
    word: ``record``, ``forget``, ``delete``, ``import``."""
    fields: tuple[FieldEdit, ...] = ()
    entry: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    old_name: str = ""
    """The name before a rename; the fields are those that changed since."""

    @property
    def is_new(self) -> bool:
        return self.entry.get("applied_at", ("", ""))[0] is None

    @property
    def is_gone(self) -> bool:
        return self.entry.get("applied_at", ("", ""))[1] is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One write of the state."""

    serial: int
    at: str
    """UTC, as ``2026-11-23T12:00:00Z``."""
    about: About
    changes: Mapping[str, Edit] = field(default_factory=dict)
    held_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    line: int = 0
    """The number of its line in the history."""
    counts: bool = True
    """False for a write that the state does not have: it never happened, or was undone when
    somebody restored an older state, or the other side of a merge won."""


def event_of(record: Node, line: int, counts: bool) -> Event:
    """Raises JsonError for a record of another form."""
    changes, held_back = record.get("changes"), record.get("held_back")
    return Event(
        serial=record["serial"].integer(),
        at=record["at"].text(),
        about=About.of(record.table()),
        changes={it: _edit(changes[it]) for it in changes.table()} if changes else {},
        held_back={it: held_back[it].texts() for it in held_back.table()} if held_back else {},
        line=line,
        counts=counts,
    )


def _edit(node: Node) -> Edit:
    fields, entry, old_name = node.get("fields"), node.get("entry"), node.get("from")
    return Edit(
        action=node["action"].text(),
        fields=tuple(map(_field, fields.items())) if fields else (),
        entry={it: _both(entry[it]) for it in entry.table()} if entry else {},
        old_name=old_name.text() if old_name else "",
    )


def _both(node: Node) -> tuple[Any, Any]:
    if len(both := node.array()) != 2:
        raise node.wrong("must have two values")
    return both[0], both[1]


def _field(node: Node) -> FieldEdit:
    path, *values = node.items()
    if not 2 <= len(values) <= 4:
        raise node.wrong("must have three to five values")
    before, after, cause, overwrote = [*(it.value for it in values), None, None][:4]
    return FieldEdit(
        path=path.texts(),
        before=before,
        after=after,
        cause=cause if isinstance(cause, str) else "",
        overwrote=overwrote,
        is_overwriting=len(values) == 4,
    )


def undo(event: Event, job_configs: dict[str, Entry]) -> None:
    """Turns the entries after ``event`` into those before it."""
    for name, edit in event.changes.items():
        found = job_configs.get(name)
        params, rest = fields_of(found.params if found else {}), rest_of(found)
        if edit.is_new:
            job_configs.pop(name, None)
            continue
        for item in edit.fields:
            params.pop(item.path, None)
            if item.before is not None:
                params[item.path] = item.before
        rest |= {key: before for key, (before, _) in edit.entry.items()}
        own = {key: value for key, value in rest.items() if value is not None}
        job_configs[name] = entry_of(Node({**own, "params": params_of(params)}))
