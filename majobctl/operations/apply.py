"""Walks a plan: calls the provider, records each outcome. It prints nothing and decides nothing.

Each change goes through one worker thread: its intent is on disk before the call, its outcome
before anybody is told. A worker's outcome and its next intent share a flush. A change that fails
does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from majobctl.operations.executor import ChangeExecutor
from majobctl.operations.workers import WorkerPool
from majobctl.plan.change import Change
from majobctl.plan.plan import Plan
from majobctl.plan.results import ChangeResult, ChangeStatus
from majobctl.state.journal import Journal


@dataclass(frozen=True, slots=True)
class Applied:
    """The results in name order; ``failure`` is why the journal could not be kept to the end,
    ``defect`` what else ended the walk: to be raised once the outcomes are saved."""

    results: tuple[ChangeResult, ...]
    failure: OSError | None
    defect: BaseException | None


def apply_changes(
    plan: Plan,
    journal: Journal,
    errand: ChangeExecutor,
    *,
    parallelism: int,
    retry_failed: bool,
    should_stop: Callable[[], bool],
    observe: Callable[[ChangeResult], None],
) -> Applied:
    """Applies each change of ``plan``, at most ``parallelism`` at once; what leaves goes last.

    ``observe`` is called in this thread with each result that is on disk, in the order of their
    ends. Once ``is_stopped`` says so, or the journal or ``observe`` fails, no further change is
    begun; those under way are waited for. With ``second_round``, calls that ended by a passing
    fault are made once more, after all others, if any other succeeded.
    """
    walk = WorkerPool(journal, errand, should_stop, observe)
    staying = [item for item in plan.changes if item.after is not None]
    leaving = [item for item in plan.changes if item.after is None]
    walk.run_with_retry(staying, parallelism, retry_failed)
    # Those that only look renamed wait, too: the new one may fail.
    new_names = {item.old_name: item.name for item in staying if item.old_name}
    may_be_removed = [
        item for item in leaving if walk.may_be_removed(item, new_names.get(item.name))
    ]
    walk.run_with_retry(may_be_removed, parallelism, retry_failed)
    ordered = tuple(
        walk.results.get(item.name) or _not_attempted(item, new_names.get(item.name, ""))
        for item in plan.changes
    )
    return Applied(ordered, walk.failure, walk.defect)


def _not_attempted(change: Change, new_name: str) -> ChangeResult:
    message = f"it waits until job_config.{new_name}, its new name, is there" if new_name else ""
    return ChangeResult(
        name=change.name, action=change.action, outcome=ChangeStatus.NOT_ATTEMPTED, message=message
    )
