"""Plans, drift and states as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from majobctl.errors import together
from majobctl.job_config.secrets import is_masked
from majobctl.plan.change import Change, FieldAction, FieldChange
from majobctl.plan.plan import Plan
from majobctl.render import Paint, unpainted
from majobctl.render.causes import (
    action_of,
    job_configs,
    line_sides,
    own_place,
    place_of,
    reach,
    rows_of,
    told,
)
from majobctl.render.text_fields import (
    MIN_WIDTH,
    PATH_WIDTH,
    field_lines,
    painted_sign,
    value_lines,
    wrapped,
)
from majobctl.render.values import json_text
from majobctl.render.wording import (
    compared_with,
    drift_summary,
    notes_on_drift,
    paths_in_short,
    remarks_on_change,
    remarks_on_drifted,
    remarks_on_plan,
    summary,
)
from majobctl.state.document import State
from majobctl.text import columns, counted, padded, printable

if TYPE_CHECKING:
    from majobctl.plan.causes import CauseGroup
    from majobctl.plan.drift import Drift, DriftedConfig

_NAME_WIDTH = 44
_BRIEF_AT = 72


def plan_text(
    plan: Plan, paint: Paint = unpainted, width: int | None = None, by: str = "cause"
) -> str:
    """The shared causes, each other change with its fields, and the summary as the last line.
    ``by`` may be ``config``, or ``summary`` for one line a change. Values and sentences fit into
    ``width``, the terminal's; nothing is cut. Without a width, values have 100 columns."""
    width = width and max(width, MIN_WIDTH)
    groups, changes = told(plan, by)
    room = max((columns(printable(place_of(it))) for it in groups), default=0)
    lines = [line for group in groups for line in _cause(group, room, paint, width)]
    lines += [""] * bool(groups)
    if by == "summary":
        lines += [_brief(*it, paint) for it in changes] + [""] * bool(changes)
    else:
        lines += [line for it in changes for line in (*_change(*it, paint, width), "")]
    refused = [*map(str, together(plan.denials)), *plan.notices]
    lines += [paint(line, "red") for notice in refused for line in wrapped(notice, width)]
    lines += [line for remark in remarks_on_plan(plan) for line in wrapped(remark, width)]
    ends = []
    if plan.base and plan.changes:
        ends.append(f"Compared with {compared_with(plan, printable)}, not with the state.")
    if plan.environment:
        ends.append(f"Environment {printable(plan.environment)}: {plan.target}.")
    lines += [line for end in (*ends, summary(plan)) for line in wrapped(end, width)]
    return "\n".join(lines) + "\n"


def _cause(group: CauseGroup, room: int, paint: Paint, width: int | None) -> Iterator[str]:
    action, sides = action_of(group), line_sides(group)
    place = padded(printable(place_of(group)), min(room, _NAME_WIDTH))
    start = f"  {action.sign} {place} {padded(printable(group.cause.key), PATH_WIDTH)} "
    texts = [json_text(it) for it in sides if it is not None]
    first, *more = value_lines(start, texts, paint, width) if texts else [start.rstrip()]
    yield f"  {painted_sign(action, paint)}{first[3:]}"
    yield from more
    if sides:
        yield from wrapped(reach(group, printable), width, " " * 6)
        return
    yield from wrapped(f"in {job_configs(group, printable)}", width, " " * 6)
    for row in rows_of(group):
        yield from field_lines(row.parts[0][1], paint, width)
        if len(row.parts) < len(group.parts):
            yield from wrapped(f"in {job_configs(row, printable)}", width, " " * 10)


def _brief(change: Change, fields: Sequence[FieldChange], paint: Paint) -> str:
    paths = [paths_in_short(fields, printable)] if fields else []
    title = padded(_title(change, own_place(change, fields), paint, _NAME_WIDTH), _BRIEF_AT)
    return f"{title}  {'; '.join([*paths, *remarks_on_change(change)])}"


def _title(change: Change, place: str, paint: Paint, room: int) -> str:
    name = padded(printable(f"job_config.{change.name}"), room)
    return f"  {painted_sign(change.action, paint)} {name} {printable(place)}".rstrip()


def _change(
    change: Change, fields: Sequence[FieldChange], paint: Paint, width: int | None
) -> Iterator[str]:
    place = own_place(change, fields)
    # On a narrow terminal the place moves to the left, as far as the name allows.
    left = _NAME_WIDTH if width is None else width - columns(printable(place)) - 5
    yield _title(change, place, paint, min(_NAME_WIDTH, left))
    for remark in remarks_on_change(change):
        yield from wrapped(remark, width, " " * 6)
    yield from field_lines(fields, paint, width)


def state_text(state: State) -> str:
    lines = [f"Target   {state.target}", f"Serial   {state.serial}"]
    lines += [f"Lineage  {printable(state.lineage)}", ""]
    for name, entry in state.job_configs.items():
        note = "outcome unknown, will be resent" if entry.pending else entry.applied_at
        lines.append(f"  {'job_config.' + printable(name):<{_NAME_WIDTH}} {printable(note)}")
    lines.append(f"{counted(len(state.job_configs), 'job config')}.")
    return "\n".join(lines) + "\n"


def entry_text(state: State, name: str, width: int | None = None) -> str:
    """One job config of the state, key by key."""
    entry = state.job_configs[name]
    lines = [f"job_config.{printable(name)}"]
    for key, value in entry.params.items():
        is_table = isinstance(value, Mapping) and not is_masked(value)
        pairs = {f"{key}.{label}": it for label, it in value.items()} if is_table else {key: value}
        for at, it in pairs.items():
            start = f"    {padded(printable(at), PATH_WIDTH)} "
            lines += value_lines(start, [json_text(it)], unpainted, width)
    if entry.pending:
        lines.append("    (the last call may have succeeded, or never been sent: it is resent)")
    lines.append(f"    applied at {printable(entry.applied_at or 'no time known')}")
    return "\n".join(lines) + "\n"


def drift_text(drift: Drift, paint: Paint = unpainted, width: int | None = None) -> str:
    """Each job config that has drifted, and the summary; ``width`` is as in ``plan_text``."""
    width = width and max(width, MIN_WIDTH)
    lines = [line for item in drift.changes for line in (*_drifted(item, drift, paint, width), "")]
    lines += [line for note in notes_on_drift(drift) for line in wrapped(note, width)]
    return "\n".join([*lines, *wrapped(drift_summary(drift), width)]) + "\n"


def _drifted(item: DriftedConfig, drift: Drift, paint: Paint, width: int | None) -> Iterator[str]:
    action = FieldAction.REMOVE if item.is_missing else FieldAction.UPDATE
    action = FieldAction.ADD if item.is_unmanaged else action
    yield f"  {painted_sign(action, paint)} job_config.{printable(item.name)}"
    for remark in remarks_on_drifted(item, drift.environment):
        yield from wrapped(remark, width, " " * 6)
    yield from field_lines(item.fields, paint, width)
