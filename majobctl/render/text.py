"""Plans, drift and states as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from majobctl.job_config.secrets import is_masked
from majobctl.plan.change import Change, FieldAction
from majobctl.plan.plan import Plan
from majobctl.render import Paint, unpainted
from majobctl.render.text_fields import (
    MIN_WIDTH,
    PATH_WIDTH,
    field_lines,
    painted_sign,
    value_lines,
    wrapped,
)
from majobctl.render.values import columns, json_text, padded
from majobctl.render.wording import (
    drift_summary,
    notes_on_drift,
    remarks_on_change,
    remarks_on_drifted,
    remarks_on_plan,
    summary,
)
from majobctl.state.document import State
from majobctl.text import counted, printable

if TYPE_CHECKING:
    from majobctl.plan.drift import Drift, DriftedConfig

_NAME_WIDTH = 44


def plan_text(plan: Plan, paint: Paint = unpainted, width: int | None = None) -> str:
    """Each change with its fields, and the summary as the last line. Values and sentences are made
    to fit ``width``, the terminal's; nothing is cut. Without a width, values have 100 columns."""
    width = width and max(width, MIN_WIDTH)
    lines = [line for change in plan.changes for line in (*_change(change, paint, width), "")]
    lines += [paint(line, "red") for notice in plan.notices for line in wrapped(notice, width)]
    lines += [line for remark in remarks_on_plan(plan) for line in wrapped(remark, width)]
    if plan.environment:
        lines.append(f"Environment {printable(plan.environment)}: {plan.target}.")
    lines.append(summary(plan))
    return "\n".join(lines) + "\n"


def _change(change: Change, paint: Paint, width: int | None) -> Iterator[str]:
    sign = painted_sign(change.action, paint)
    name = printable(f"job_config.{change.name}")
    place = printable(f"{change.source.file}:{change.source.line}") if change.source else ""
    # On a narrow terminal the place moves to the left, as far as the name allows.
    room = _NAME_WIDTH if width is None else min(_NAME_WIDTH, width - columns(place) - 5)
    yield f"  {sign} {padded(name, room)} {place}".rstrip()
    for remark in remarks_on_change(change):
        yield from wrapped(remark, width, " " * 6)
    yield from field_lines(change.fields, paint, width)


def state_text(state: State) -> str:
    lines = [f"Target   {state.target}", f"Serial   {state.serial}"]
    lines += [f"Lineage  {printable(state.lineage)}", ""]
    for name, entry in state.job_configs.items():
        note = "outcome unknown, will be sent again" if entry.pending else entry.applied_at
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
        lines.append("    (the outcome of the last call is unknown; it will be sent again)")
    lines.append(f"    applied at {printable(entry.applied_at or 'no time known')}")
    return "\n".join(lines) + "\n"


def drift_text(drift: Drift, paint: Paint = unpainted, width: int | None = None) -> str:
    """Each job config that has drifted, and the summary; ``width`` is as in ``plan_text``."""
    width = width and max(width, MIN_WIDTH)
    lines = [line for item in drift.changes for line in (*_drifted(item, paint, width), "")]
    lines += [line for note in notes_on_drift(drift) for line in wrapped(note, width)]
    return "\n".join([*lines, drift_summary(drift)]) + "\n"


def _drifted(item: DriftedConfig, paint: Paint, width: int | None) -> Iterator[str]:
    action = FieldAction.REMOVE if item.is_missing else FieldAction.UPDATE
    yield f"  {painted_sign(action, paint)} job_config.{printable(item.name)}"
    for remark in remarks_on_drifted(item):
        yield from wrapped(remark, width, " " * 6)
    yield from field_lines(item.fields, paint, width)
