"""What the shared lines of the files change, which each format tells once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from majobctl.job_config.secrets import is_masked
from majobctl.plan.change import Action, Change, FieldAction, FieldChange, Reason
from majobctl.plan.plan import Plan
from majobctl.render.values import json_text
from majobctl.render.wording import Show, remarks_on_change
from majobctl.text import counted, in_short

if TYPE_CHECKING:
    from majobctl.plan.causes import CauseGroup, Part

_MAX_NAMES = 5
_MAX_FOLDERS = 10
_COMPLETE = (Action.ADD, Action.CREATE)
_LEAVING = (Action.FORGET, Action.DELETE)


def told(plan: Plan, by: str) -> tuple[list[CauseGroup], list[Part]]:
    """The shared causes, and the changes with the fields that none of these tells: all those of a
    new job config, and what somebody has changed in the service as well."""
    every = [(it, _shown(it) if it.action in _LEAVING else it.fields) for it in plan.changes]
    if by != "cause" or not every:
        return [], every
    from majobctl.plan.causes import by_cause

    known = [part for part in every if part[0].before and part[0].action not in _COMPLETE]
    if plan.is_refreshed:
        own = (None, Reason.EDITED)
        known = [(it, tuple(f for f in fields if f.reason in own)) for it, fields in known]
    groups = [it for it in by_cause(plan, known) if it.is_shared]
    parts = [part for group in groups for part in group.parts]
    shared = {(change.name, item.path) for change, fields in parts for item in fields}
    rest = []
    for change, shown in every:
        fields = tuple(
            it
            for it in shown
            if (change.name, it.path) not in shared or it.reason is Reason.OLD_NAME
        )
        is_told = len(fields) < len(change.fields) and change.action is Action.UPDATE
        if fields or not is_told or any(remarks_on_change(change)):
            rest.append((change, fields))
    return groups, rest


def _shown(change: Change) -> tuple[FieldChange, ...]:
    """The fields of one that leaves: no line was edited to make them."""
    return tuple(
        replace(it, reason=None) if it.reason is Reason.EDITED else it for it in change.fields
    )


def line_sides(group: CauseGroup) -> list[Any]:
    """What the cause's line said and says, if that tells everything; [] if ``rows_of`` has to."""
    sides = [group.before, group.after]
    are_long = any(isinstance(it, (list, Mapping)) and not is_masked(it) for it in sides)
    fields = [item for _, items in group.parts for item in items]
    hides = (sides[0] is None and any(it.before is not None for it in fields)) or (
        sides[1] is None and any(it.after is not None for it in fields)
    )
    return [] if are_long or hides else sides


def rows_of(group: CauseGroup) -> list[CauseGroup]:
    """A group for each different change of a field: the job configs that have it."""
    found: dict[tuple[object, ...], list[Part]] = {}
    for change, fields in group.parts:
        for it in fields:
            key = (it.path, it.action, json_text(it.before), json_text(it.after))
            found.setdefault(key, []).append((change, (it,)))
    return [replace(group, parts=tuple(parts)) for parts in found.values()]


def action_of(group: CauseGroup) -> FieldAction:
    actions = {item.action for _, fields in group.parts for item in fields}
    return actions.pop() if len(actions) == 1 else FieldAction.UPDATE


def reach(group: CauseGroup, show: Show) -> str:
    """The keys, unless the cause names the only one, and the job configs: if they are many,
    by folder, or by file if one folder has all of a few files."""
    dotted = [".".join(path) for path in group.paths]
    is_named = len(dotted) == 1 and group.cause.key.endswith(f".{dotted[0]}")
    keys = "" if is_named else f"{', '.join(map(show, dotted))} "
    return f"{keys}in {job_configs(group, show)}"


def job_configs(group: CauseGroup, show: Show) -> str:
    who = [show(change.name) for change, _ in group.parts]
    if len(who) > _MAX_NAMES:
        folders, files = group.folders, group.files
        places = files if len(folders) == 1 and len(files) <= _MAX_NAMES else folders
        who = [f"{show(place or './')} {number}" for place, number in places.items()]
    return f"{counted(len(group.parts), 'job config')}: {in_short(who, _MAX_FOLDERS)}"


def place_of(group: CauseGroup) -> str:
    at = group.cause
    return f"{at.file}:{at.line}" if at.line else at.file


def own_place(change: Change, fields: Sequence[FieldChange]) -> str:
    """The only line of its own table that makes ``fields``; else where that begins."""
    if (source := change.source) is None:
        return ""
    causes = {it.cause for it in fields}
    lines = {it.line if it and it.key.startswith("job_config.") else 0 for it in causes}
    return f"{source.file}:{(sum(lines) if len(lines) == 1 else 0) or source.line}"
