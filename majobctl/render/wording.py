"""The sentences that a plan is told with in every format that people read.

Each is one line of plain text that is safe to print; what marks, wraps or escapes it stands in the
formats themselves. ``show`` makes safe, and marks, what comes from outside.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from majobctl.plan.change import Action, Change, Renamed
from majobctl.plan.plan import Plan
from majobctl.text import counted, quoted

_ORDER = (
    Action.ADD,
    Action.UPDATE,
    Action.RESEND,
    Action.CREATE,
    Action.DELETE,
    Action.RECORD,
    Action.FORGET,
)
_ALWAYS_TOLD = (Action.ADD, Action.UPDATE, Action.FORGET)


def counts(plan: Plan) -> dict[Action, int]:
    """How many changes the plan has of each action that it has any of, in the summary's order."""
    return {action: number for action in _ORDER if (number := plan.count(action))}


def summary(plan: Plan) -> str:
    """What the plan comes to, in one line."""
    if not plan.changes:
        verb = "matches" if plan.unchanged == 1 else "match"
        sides = "the state and the service" if plan.is_refreshed else "the state"
        return f"No changes. {counted(plan.unchanged, 'job config')} {verb} {sides}."
    found = counts(plan)
    parts = [
        f"{found.get(action, 0)} to {action.value}"
        for action in _ORDER
        if action in found or action in _ALWAYS_TOLD
    ]
    made = [counted(number, f"{call} call") for call, number in plan.calls.items() if number]
    calls = ", ".join(made) or "0 update_job_configs calls"
    return f"Plan: {', '.join(parts)}; {plan.unchanged} unchanged. {calls}."


def remarks_on_plan(plan: Plan, show: Callable[[str], str] = quoted) -> Iterator[str]:
    """What holds for the plan as a whole, beside its notices and warnings."""
    if plan.creates_missing and not plan.is_refreshed and plan.calls["update_job_configs"]:
        yield "A configuration that the service does not have is created instead."
    if plan.selection:
        yield plan.selection.told(plan.total, plan.left_out, show)


def remarks_on_change(change: Change, show: Callable[[str], str] = quoted) -> Iterator[str]:
    """What the fields of a change do not tell."""
    yield from _remarks_on_action(change)
    if change.renamed is Renamed.DECLARED:
        yield f"renamed from {show(change.old_name)}"
    elif change.renamed is Renamed.DETECTED:
        line = f"renamed_from = {show(change.old_name)}"
        yield f"looks like {show(change.old_name)} renamed: if so, add {line}"


def _remarks_on_action(change: Change) -> Iterator[str]:
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
            yield (
                "the service does not have it, so the call will fail: create it there first, or"
                " set apply.create_missing = true"
            )
        case Action.RESEND:
            yield "the outcome of the last call is unknown: it is sent again"
        case Action.UPDATE if _is_about_masks_alone(change):
            yield "only how a sensitive value is kept changes"


def _is_about_masks_alone(change: Change) -> bool:
    return all(field.before == field.after and field.live is None for field in change.fields)
