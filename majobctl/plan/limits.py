"""How much a plan may change and lose before an apply needs ``--force``. Pure.

What is lost counts against the complete state, not against what is selected or described. Otherwise
job configs that are new in the same plan would make a large loss look small."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from majobctl.plan.change import Action
from majobctl.plan.plan import Plan
from majobctl.state.document import State
from majobctl.text import quoted

_MIN_TOTAL = 10
"""Of fewer job configs, one is a large share, so that there is no limit."""


def exceeded_limits(
    plan: Plan, state: State | None, apply: Mapping[str, Any], patterns: Sequence[str]
) -> Iterator[str]:
    """What ``plan`` does more of than the settings ``apply`` allow, each without its subject;
    ``patterns`` are those of the job files."""
    key, changed = "max_change_percent", len(plan.changes) - plan.count(Action.RECORD)
    if _is_over(changed, plan.total, apply[key]):
        of_all = f"changes {changed} of {plan.total} job configs"
        yield f"{of_all}, more than apply.{key} = {apply[key]} allows"
    # Another configuration may make the request of one that leaves: that is not lost.
    renamed = {change.old_name for change in plan.changes}
    leaving = [change.action for change in plan.changes if change.name not in renamed]
    lost = {"deletes": leaving.count(Action.DELETE), "forgets": leaving.count(Action.FORGET)}
    key = "max_delete_percent"
    in_state = len(state.job_configs) if state else 0
    if _is_over(sum(lost.values()), in_state, apply[key]):
        what = " and ".join(f"{verb} {number}" for verb, number in lost.items() if number)
        yield (
            f"{what} of the {in_state} job configs in the state, more than apply.{key} ="
            f" {apply[key]} allows (they are in no file that jobs.files finds:"
            f" {', '.join(map(quoted, patterns))})"
        )


def _is_over(number: int, total: int, most: int) -> bool:
    return bool(most) and total >= _MIN_TOTAL and number * 100 > most * total
