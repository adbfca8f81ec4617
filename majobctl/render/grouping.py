"""What many changes of a plan have in common, independent of how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from majobctl.plan.change import Change, FieldChange
from majobctl.render.values import json_text
from majobctl.render.wording import remarks_on_change

_MIN_GROUP = 5
"""Fewer changes are shown one by one, even if they are equal."""
_MAX_ROWS = 100
"""If more are left, changes of the same fields share a row, whatever their values."""


@dataclass(frozen=True, slots=True)
class Row:
    """One change, or several that differ only in their names and places; if ``is_equal`` is false,
    also in the values of their fields."""

    changes: tuple[Change, ...]
    is_equal: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """The field changes that exactly these job configs, of ``names``, have in common."""

    names: tuple[str, ...]
    fields: tuple[FieldChange, ...]


def key_of(field: FieldChange) -> Hashable:
    """The same for two field changes that look the same; sensitive values all do."""
    sides = map(_key_of_value, (field.before, field.live, field.after))
    return field.path, field.action, field.reason, *sides


def _key_of_value(value: Any) -> Hashable:
    # In JSON a string has quotes, so no other value has the key of a string.
    return f'"{value}' if isinstance(value, str) else json_text(value)


def rows_of(changes: Sequence[Change]) -> list[Row]:
    """Each change in one row: those with the most changes first, then in the plan's order."""
    rows = [Row(alike) for alike in _together(changes, _equality)]
    if len(rows) > _MAX_ROWS:
        single = [row.changes[0] for row in rows if len(row.changes) == 1]
        rows = [row for row in rows if len(row.changes) > 1]
        rows += [Row(alike, len(alike) == 1) for alike in _together(single, _likeness)]
    places = {change.name: number for number, change in enumerate(changes)}
    return sorted(rows, key=lambda row: (-len(row.changes), places[row.changes[0].name]))


def _together(
    changes: Iterable[Change], key: Callable[[Change], Hashable]
) -> list[tuple[Change, ...]]:
    alike: dict[Hashable, list[Change]] = {}
    for change in changes:
        alike.setdefault(key(change), []).append(change)
    found: list[tuple[Change, ...]] = []
    for items in alike.values():
        found += [tuple(items)] if len(items) >= _MIN_GROUP else [(item,) for item in items]
    return found


def _equality(change: Change) -> Hashable:
    return (change.action, tuple(remarks_on_change(change)), tuple(map(key_of, change.fields)))


def _likeness(change: Change) -> Hashable:
    paths = tuple((field.path, field.action) for field in change.fields)
    remarks = tuple(remarks_on_change(replace(change, renamed=None)))
    return change.action, change.renamed, remarks, paths


def groups_of(changes: Iterable[Change]) -> list[Group]:
    """The field changes that several job configs have, the most frequent first."""
    owners: dict[Hashable, tuple[FieldChange, list[str]]] = {}
    for change in changes:
        for field in change.fields:
            owners.setdefault(key_of(field), (field, []))[1].append(change.name)
    alike: dict[tuple[str, ...], list[FieldChange]] = {}
    for field, names in owners.values():
        if len(names) >= _MIN_GROUP:
            alike.setdefault(tuple(names), []).append(field)
    groups = [Group(names, tuple(items)) for names, items in alike.items()]
    return sorted(groups, key=lambda group: -len(group.names))
