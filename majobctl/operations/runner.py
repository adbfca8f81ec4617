"""Runs all changes of a plan and records each outcome in the journal. It prints nothing.

All intents of a round are on disk before its first call. Worker threads then make the calls, while
the thread that reports brings to disk whatever has ended by then, all at once, and reports that. A
change that fails does not stop the others, unless the service refused the credentials."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.secrets import SHOWN, looks_secret
from majobctl.operations.authorship import causes_of
from majobctl.operations.executor import ChangeExecutor
from majobctl.operations.workers import WorkerPool
from majobctl.plan.change import CALLS, SENDING, Action, Change, FieldChange
from majobctl.plan.plan import Plan
from majobctl.plan.results import ChangeResult, ChangeStatus, result_of
from majobctl.state.journal import Journal, intent
from majobctl.state.replay import Record


@dataclass(eq=False, kw_only=True)
class Runner:
    """One run of ``plan``: at most ``parallelism`` changes at once, deletions last.

    ``observe`` is called in the thread of ``run`` with each result that is on disk, in the order in
    which the changes end. Once ``should_stop`` returns True, or the journal or ``observe`` fails,
    or the service refuses the credentials, no further change is begun, and those under way are
    waited for. With ``retry_failed``, calls that failed transiently are made once more, after all
    others, if any other succeeded."""

    plan: Plan
    journal: Journal
    executor: ChangeExecutor
    parallelism: int
    retry_failed: bool
    should_stop: Callable[[], bool]
    observe: Callable[[ChangeResult], None]
    ended: dict[str, ChangeResult] = field(default_factory=dict)
    sent: dict[str, Change] = field(default_factory=dict)
    """What is under way, or without a known outcome."""
    unreported: list[ChangeResult] = field(default_factory=list)
    unsaved: set[str] = field(default_factory=set)
    failure: OSError | None = None
    """Why the journal could not be kept to the end."""
    defect: BaseException | None = None
    """What else ended the run: raise it once the outcomes are saved."""
    is_refused: bool = False
    """Whether the service refused the credentials."""

    def __post_init__(self) -> None:
        self.pool: WorkerPool[Change, ChangeResult] = WorkerPool("apply", self._work, self._is_over)
        # A detected rename waits, too: the new configuration may fail.
        renamed = (item for item in self.plan.changes if item.after is not None and item.old_name)
        self.new_names = {item.old_name: item.name for item in renamed}

    def run(self) -> None:
        # A try may follow a long pause, in which another apply has taken over.
        self.executor.guard.provider.ask_before_writes(lambda: self._keep(self.journal.check))
        self._run_with_retry([item for item in self.plan.changes if item.after is not None])
        leaving = [item for item in self.plan.changes if item.after is None]
        self._run_with_retry([item for item in leaving if self._may_be_removed(item)])

    @property
    def results(self) -> tuple[ChangeResult, ...]:
        """In name order."""
        changes = self.plan.changes
        return tuple(self.ended.get(item.name) or self._not_attempted(item) for item in changes)

    def _run_with_retry(self, changes: Sequence[Change]) -> None:
        self._run(changes)
        failed = [item for item in changes if self._failed_transiently(item)]
        works = any(result.status is ChangeStatus.DONE for result in self.ended.values())
        if self.retry_failed and works:
            # The service works, but failed these at each try. Try them once more.
            self._run(failed)
        for change in filter(self._failed_transiently, failed):
            self._report(self.ended[change.name])

    def _may_be_removed(self, change: Change) -> bool:
        """Whether its new name, if there is one, exists: acknowledged by the service and, before
        a deletion, verified if it was to be."""
        new_name = self.new_names.get(change.name)
        if new_name is None or (result := self.ended.get(new_name)) is None:
            return new_name is None
        is_forgotten = change.action is Action.FORGET and result.is_acknowledged
        return is_forgotten or result.status is ChangeStatus.DONE

    def _not_attempted(self, change: Change) -> ChangeResult:
        new_name = self.new_names.get(change.name)
        reason = f"it waits until job_config.{new_name}, its new name, is there" if new_name else ""
        if self.is_refused:
            reason = "the service refused the credentials"
        return result_of(change, ChangeStatus.NOT_ATTEMPTED, reason)

    def _is_over(self) -> bool:
        return bool(self.should_stop() or self.failure or self.defect or self.is_refused)

    def _run(self, changes: Sequence[Change]) -> None:
        """Runs ``changes`` and reports each result but those of transient failures."""
        if not self._is_over():
            self._keep(lambda: self.journal.intend_all(intents_of(changes)))
        self.pool.start(changes, self.parallelism)
        while self.pool.is_running or self.unreported:
            try:
                for result in self.pool.wait():
                    self.ended[result.name] = result
                    self.unreported.append(result)
                self._report_ended()
                if self._is_over():
                    self.executor.guard.provider.stop()
            except BaseException as error:
                # An interruption or a defect. The calls under way must end, and be saved.
                self.defect = self.defect or error
        self.journal.record_unsent(self.sent, self._held_back())
        self._keep(self.journal.flush)

    def _held_back(self) -> Mapping[str, Sequence[str]]:
        """The fields for which a change was not sent, by its name."""
        return {
            it.name: [*(item.dotted for item in it.foreign), *it.unknown_fields]
            for it in self.results
            if it.status is ChangeStatus.HELD_BACK
        }

    def _report_ended(self) -> None:
        """Brings the outcomes of all that has ended to disk, and reports it."""
        if self.unreported and not self._keep(self.journal.flush):
            self.unsaved.update(result.name for result in self.unreported)
        while self.unreported:
            result = self.unreported.pop(0)
            if not result.may_pass:
                self._report(result)

    def _keep(self, write: Callable[[], None]) -> bool:
        """Whether ``write`` brought all to disk. If not, nothing more is begun."""
        try:
            write()
        except OSError as error:
            self.failure = error
        except BaseException as error:
            # What only memory has by now goes into the state as after a failure.
            self.failure = OSError(errno.EIO, "the journal was broken off")
            self.defect = self.defect or error
        return self.failure is None

    def _report(self, result: ChangeResult) -> None:
        """Reports a result that is on disk; the others are shown when the state is rescued."""
        if result.name in self.unsaved:
            return
        try:
            self.observe(result)
        except Exception as error:
            # Nothing can be reported any more; the workers must end, and their outcomes be saved.
            self.defect = self.defect or error

    def _failed_transiently(self, change: Change) -> bool:
        return change.name in self.ended and self.ended[change.name].may_pass

    def _work(self, changes: Iterator[Change]) -> None:
        try:
            for change in changes:
                if result := self._carry_out(change):
                    self.is_refused = self.is_refused or result.is_about_credentials
                    self.pool.publish(result)
        except BaseException as error:
            # Kept for the main thread, which raises it once the other workers have ended.
            self.defect = self.defect or error
        finally:
            self.journal.hurry()  # no further change is begun

    def _carry_out(self, change: Change) -> ChangeResult | None:
        """How ``change`` ended, with its outcome recorded, not yet on disk; None if not begun."""
        # This may take long, while the journal is written: not between the read and the call.
        if not self._keep(self.journal.check):
            return None
        earlier = self.ended.get(change.name)
        is_under_way = earlier is not None and earlier.status is ChangeStatus.UNKNOWN
        found = self.sent[change.name] if is_under_way else self.executor.guard.check(change)
        if isinstance(found, ChangeResult):
            self._record(change, found, is_sent=False)
            return found
        # The read took long: meanwhile this may have been interrupted or refused, or have failed.
        if self._is_over() or not self._keep(self.journal.check):
            return None
        result = result_of(change, ChangeStatus.DONE)
        if change.action in CALLS:
            self.sent[change.name] = found
            result = self.executor.execute(found, earlier)
        self._record(change, result, is_sent=change.action in CALLS)
        if result.status is not ChangeStatus.UNKNOWN:
            # What the service had may be large.
            self.sent.pop(change.name, None)
        return result

    def _record(self, change: Change, result: ChangeResult, *, is_sent: bool) -> None:
        if is_sent and result.status is ChangeStatus.FAILED:
            self.journal.record_refused(change.name)
        elif result.is_acknowledged and result.action is Action.RECORD:
            self.journal.record_known(change.name, _intent_of(change))
        elif result.is_acknowledged and change.action in SENDING:
            self.journal.record_done(change.name, _overwritten(result.foreign))
        elif result.is_acknowledged:
            self.journal.record_forgotten(change.name)


def intents_of(changes: Iterable[Change]) -> Mapping[str, Record]:
    """What ``changes`` are about to send. If the outcome of a deletion is unknown, the next plan
    must not call it unchanged, so it has what is deleted."""
    return {it.name: _intent_of(it) for it in changes if it.action in CALLS}


def _intent_of(change: Change) -> Record:
    return intent(
        change.after or change.before or {},
        prevent_delete=change.prevent_delete,
        causes=causes_of(change.fields),
        old_name=change.old_name,
    )


def _overwritten(fields: Iterable[FieldChange]) -> Mapping[str, Any]:
    """The service's values that were undone. One that may be a secret is not kept."""
    return {
        it.dotted: SHOWN if it.live is not None and looks_secret(it.path[-1]) else it.live
        for it in fields
    }
