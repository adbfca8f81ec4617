"""Plans, results and states as text for people. Long values are cut here, and only here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from majobctl.drift import Drift, Drifted
from majobctl.errors import printable, quoted
from majobctl.plan import CALLS, Action, Change, FieldChange, Plan, Renamed
from majobctl.render import Paint, unpainted
from majobctl.results import DONE_WORDS, ApplyResult, End, Result
from majobctl.sensitive import SHOWN, is_masked
from majobctl.state import State

VALUE_WIDTH = 60
_NAME_WIDTH = 44
_FIELD_WIDTH = 28
_COLOURS: Mapping[Action, str] = {
    Action.ADD: "green",
    Action.UPDATE: "yellow",
    Action.RESEND: "magenta",
    Action.FORGET: "cyan",
    Action.CREATE: "green",
    Action.DELETE: "red",
    Action.RECORD: "cyan",
    Action.REMOVE: "red",
}


def plan_text(plan: Plan, paint: Paint = unpainted) -> str:
    """Each change with its fields, and the summary as the last line."""
    lines = [line for change in plan.changes for line in (*_change(change, paint), "")]
    lines += [paint(notice, "red") for notice in plan.notices]
    if plan.creates_missing and not plan.is_refreshed and plan.calls["update_job_configs"]:
        lines.append("A configuration that the service does not have is created instead.")
    if plan.selection:
        lines.append(_selection(plan))
    lines.append(_summary(plan))
    return "\n".join(lines) + "\n"


def _selection(plan: Plan) -> str:
    looked_at = len(plan.changes) + plan.unchanged
    options = [f"--target {quoted(glob)}" for glob in plan.selection.targeted]
    options += [f"--exclude {quoted(glob)}" for glob in plan.selection.excluded]
    total = looked_at + plan.left_out
    return f"{looked_at} of {total} job configs selected by {' '.join(options)}."


def _summary(plan: Plan) -> str:
    if not plan.changes:
        verb = "matches" if plan.unchanged == 1 else "match"
        sides = "the state and the service" if plan.is_refreshed else "the state"
        return f"No changes. {_counted(plan.unchanged, 'job config')} {verb} {sides}."
    always = (Action.ADD, Action.UPDATE, Action.FORGET)
    counts = [(action, plan.count(action)) for action in _SUMMARY_ORDER]
    parts = [f"{count} to {action.value}" for action, count in counts if count or action in always]
    made = [_counted(count, f"{call} call") for call, count in plan.calls.items() if count]
    calls = ", ".join(made) or "0 update_job_configs calls"
    return f"Plan: {', '.join(parts)}; {plan.unchanged} unchanged. {calls}."


_SUMMARY_ORDER = (
    Action.ADD,
    Action.UPDATE,
    Action.RESEND,
    Action.CREATE,
    Action.DELETE,
    Action.RECORD,
    Action.FORGET,
)


def _change(change: Change, paint: Paint) -> Iterator[str]:
    sign = paint(change.action.sign, _COLOURS[change.action])
    name = f"job_config.{change.name}"
    place = f"{change.source.file}:{change.source.line}" if change.source else ""
    yield f"  {sign} {printable(name):<{_NAME_WIDTH}} {place}".rstrip()
    for remark in _remarks(change):
        yield f"      {remark}"
    for field in change.fields:
        yield _field(field, paint)


def _remarks(change: Change) -> Iterator[str]:
    match change.action:
        case Action.FORGET if change.is_missing:
            yield "in no file any more, and gone from the service: it leaves the state"
        case Action.FORGET:
            yield "in no file any more: it leaves the state, and stays in the service"
        case Action.DELETE:
            yield "in no file any more: it is deleted from the service"
        case Action.RECORD if change.live_digest:
            yield "the service has it already: the state takes that in, without a call"
        case Action.CREATE:
            yield "the service does not have it: it is created"
        case _ if change.is_missing:
            yield "the service does not have it, so the call will fail: create it there first, or"
            yield "set apply.create_missing = true"
        case Action.RESEND:
            yield "the outcome of the last call is unknown: it is sent again"
        case Action.UPDATE if all(field.before == field.after for field in change.fields):
            if all(field.live is None for field in change.fields):
                yield "only how a sensitive value is kept changes"
    if change.renamed is Renamed.WRITTEN:
        yield f"renamed from {quoted(change.old_name)}"
    elif change.renamed is Renamed.LIKELY:
        line = f"renamed_from = {quoted(change.old_name)}"
        yield f"looks like {quoted(change.old_name)} renamed: if so, add {line}"


def _field(field: FieldChange, paint: Paint) -> str:
    sign = paint(field.action.sign, _COLOURS[field.action])
    path = printable(".".join(field.path))
    is_live = field.reason is not None or field.live is not None
    old = field.live if is_live else field.before
    if field.action is Action.RECORD:
        old = None
    values = [shown(value) for value in (old, field.after) if value is not None]
    line = f"      {sign} {path:<{_FIELD_WIDTH}} {' -> '.join(values)}"
    return line + (f"  ({_reason_of(field)})" if field.reason else "")


def _reason_of(field: FieldChange) -> str:
    assert field.reason is not None
    if field.before == field.live or field.before == field.after:
        return field.reason.value
    was = "blank" if field.before is None else shown(field.before)
    return f"{field.reason.value}; the state has {was}"


def shown(value: Any) -> str:
    """A value as JSON on one line, cut where it is long, safe to print."""
    text = _whole(value)
    return text if len(text) <= VALUE_WIDTH else text[: VALUE_WIDTH - 1] + "…"


def _whole(value: Any) -> str:
    if is_masked(value):
        return SHOWN
    return printable(json.dumps(value, ensure_ascii=False, sort_keys=True))


def result_line(result: Result) -> str:
    """One finished change, as it is told while an apply runs."""
    name = f"job_config.{printable(result.name)}"
    if result.outcome is not End.DONE:
        return f"{name}: {result.outcome.value}: {_reason(result)}"
    word = DONE_WORDS[result.action]
    seconds = f" ({result.seconds:.1f} s)" if result.action in CALLS else ""
    return f"{name}: {word}{seconds}"


def result_text(result: ApplyResult) -> str:
    """What failed, what was not attempted, and the summary as the last line."""
    lines: list[str] = []
    for end in _NOT_DONE:
        items = [item for item in result.results if item.outcome is end]
        if items:
            lines += [f"{end.value.capitalize()}:", *(_not_done(item) for item in items), ""]
    always = ("added", "updated", "forgotten", "failed")
    counts = [(key.replace("_", " "), count) for key, count in result.summary().items()]
    told = [f"{count} {words}" for words, count in counts if count or words in always]
    head = "Apply complete" if result.is_complete else "Apply incomplete"
    lines.append(f"{head}: {', '.join(told)}. State serial {result.serial}.")
    return "\n".join(lines) + "\n"


_NOT_DONE = [end for end in End if end is not End.DONE]


def _not_done(item: Result) -> str:
    line = f"  job_config.{printable(item.name)}"
    if item.message:
        line += f": {_reason(item)}"
    return f"{line}\n      {item.advice}" if item.advice else line


def _reason(item: Result) -> str:
    return printable(f"{item.code} {item.message}".strip())


def state_text(state: State) -> str:
    """The state's head and a line for each job config."""
    lines = [
        f"Target   {printable(state.target.endpoint)}, project"
        f" {printable(state.target.project_id)}",
        f"Serial   {state.serial}",
        f"Lineage  {printable(state.lineage)}",
        "",
    ]
    for name, entry in state.job_configs.items():
        note = "outcome unknown, will be sent again" if entry.pending else entry.applied_at
        lines.append(f"  {'job_config.' + printable(name):<{_NAME_WIDTH}} {printable(note)}")
    lines.append(f"{_counted(len(state.job_configs), 'job config')}.")
    return "\n".join(lines) + "\n"


def entry_text(state: State, name: str) -> str:
    """One job config of the state, key by key."""
    entry = state.job_configs[name]
    lines = [f"job_config.{printable(name)}"]
    for key, value in entry.params.items():
        if isinstance(value, Mapping) and not is_masked(value):
            pairs = [(f"{key}.{label}", item) for label, item in value.items()]
        else:
            pairs = [(key, value)]
        lines += [f"    {printable(path):<{_FIELD_WIDTH}} {_whole(item)}" for path, item in pairs]
    if entry.pending:
        lines.append("    (the outcome of the last call is unknown; it will be sent again)")
    lines.append(f"    applied at {printable(entry.applied_at or 'no time known')}")
    return "\n".join(lines) + "\n"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def drift_text(drift: Drift, paint: Paint = unpainted) -> str:
    """Each job config that has drifted with its fields, and the summary as the last line."""
    lines = [line for item in drift.changes for line in (*_drifted(item, paint), "")]
    return "\n".join([*lines, *drift.notes(), drift.summary]) + "\n"


def _drifted(item: Drifted, paint: Paint) -> Iterator[str]:
    action = Action.REMOVE if item.is_missing else Action.UPDATE
    yield f"  {paint(action.sign, _COLOURS[action])} job_config.{printable(item.name)}"
    for remark in item.remarks:
        yield f"      {remark}"
    for field in item.fields:
        yield _field(field, paint)
