"""What many changes of a plan have in common, independent of how it is shown."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from majobctl.plan.change import Change, FieldChange
from majobctl.render.values import json_text
from majobctl.render.wording import remarks_on_change

Row = tuple[Change, ...]
_MIN_GROUP = 5
"""Fewer changes are shown one by one, even if they are equal."""


@dataclass(frozen=True, slots=True)
class Group:
    """The field changes that exactly these job configs, of ``names``, have in common."""

    names: tuple[str, ...]
    fields: tuple[FieldChange, ...]


def key_of(field: FieldChange) -> Hashable:
    """The same for two field changes that look the same; sensitive values all do."""
    sides = map(json_text, (field.before, field.live, field.after))
    return field.path, field.action, field.reason, *sides


def rows_of(changes: Sequence[Change]) -> list[Row]:
    """Each change by itself, or with those that differ from it only in their names and places: the
    most first, then in the plan's order."""
    alike: dict[Hashable, list[Change]] = {}
    for change in changes:
        alike.setdefault(_equality(change), []).append(change)
    many = [tuple(items) for items in alike.values() if len(items) >= _MIN_GROUP]
    grouped = {change.name for row in many for change in row}
    few: list[Row] = [(change,) for change in changes if change.name not in grouped]
    return sorted(many, key=len, reverse=True) + few


def _equality(change: Change) -> Hashable:
    return (change.action, tuple(remarks_on_change(change)), tuple(map(key_of, change.fields)))


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
