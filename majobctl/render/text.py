"""Plans, results and states as text for people. Long values are cut here, and only here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from majobctl.apply import ApplyResult, End, Result
from majobctl.errors import printable, quoted
from majobctl.plan import Action, Change, FieldChange, Plan
from majobctl.render import Paint, unpainted
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
    Action.REMOVE: "red",
}
_DONE_WORDS: Mapping[Action, str] = {
    Action.ADD: "added",
    Action.UPDATE: "updated",
    Action.RESEND: "resent",
    Action.FORGET: "forgotten",
}


def plan_text(plan: Plan, paint: Paint = unpainted) -> str:
    """Each change with its fields, and the summary as the last line."""
    lines = [line for change in plan.changes for line in (*_change(change, paint), "")]
    if plan.notice:
        lines.append(paint(plan.notice, "red"))
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
        return f"No changes. {_counted(plan.unchanged, 'job config')} match the state.".replace(
            "1 job config match ", "1 job config matches "
        )
    resend = plan.count(Action.RESEND)
    parts = [
        f"{plan.count(Action.ADD)} to add",
        f"{plan.count(Action.UPDATE)} to update",
        *([f"{resend} to resend"] if resend else []),
        f"{plan.count(Action.FORGET)} to forget",
    ]
    calls = _counted(plan.calls, "update_job_configs call")
    return f"Plan: {', '.join(parts)}; {plan.unchanged} unchanged. {calls}."


def _change(change: Change, paint: Paint) -> Iterator[str]:
    sign = paint(change.action.sign, _COLOURS[change.action])
    name = f"job_config.{change.name}"
    place = f"{change.source.file}:{change.source.line}" if change.source else ""
    yield f"  {sign} {printable(name):<{_NAME_WIDTH}} {place}".rstrip()
    if change.action is Action.FORGET:
        yield "      in no file any more: it leaves the state, and stays in the service"
    if change.action is Action.RESEND:
        yield "      the outcome of the last call is unknown: it is sent again"
    if change.action is Action.UPDATE and all(item.before == item.after for item in change.fields):
        yield "      only how a sensitive value is kept changes"
    for field in change.fields:
        yield _field(field, paint)


def _field(field: FieldChange, paint: Paint) -> str:
    sign = paint(field.action.sign, _COLOURS[field.action])
    path = printable(".".join(field.path))
    values = [shown(value) for value in (field.before, field.after) if value is not None]
    return f"      {sign} {path:<{_FIELD_WIDTH}} {' -> '.join(values)}"


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
    word = _DONE_WORDS[result.action]
    seconds = "" if result.action is Action.FORGET else f" ({result.seconds:.1f} s)"
    return f"{name}: {word}{seconds}"


def result_text(result: ApplyResult) -> str:
    """What failed, what was not attempted, and the summary as the last line."""
    lines: list[str] = []
    for end in (End.FAILED, End.UNKNOWN, End.NOT_ATTEMPTED):
        items = [item for item in result.results if item.outcome is end]
        if items:
            lines += [f"{end.value.capitalize()}:", *(_not_done(item) for item in items), ""]
    counts = result.summary()
    parts = [f"{counts[key]} {key}" for key in ("added", "updated", "resent", "forgotten")]
    parts += [f"{counts[key]} {key}" for key in ("failed", "unknown")]
    parts += [f"{counts['not_attempted']} not attempted"]
    optional = ("resent", "unknown", "not attempted")
    told = [part for part in parts if not (part.startswith("0 ") and part[2:] in optional)]
    head = "Apply complete" if result.is_complete else "Apply incomplete"
    lines.append(f"{head}: {', '.join(told)}. State serial {result.serial}.")
    return "\n".join(lines) + "\n"


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
