"""A pool of worker threads that carries out the changes of one plan."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from majobctl.operations.executor import ChangeExecutor
from majobctl.plan.change import CALLS, SENDING, Action, Change
from majobctl.plan.results import ChangeResult, ChangeStatus
from majobctl.state.journal import Journal

_LOOK_AGAIN_SECONDS = 0.2


class WorkerPool:
    """Worker threads that share one list of changes and one queue of results."""

    def __init__(
        self,
        journal: Journal,
        errand: ChangeExecutor,
        should_stop: Callable[[], bool],
        observe: Callable[[ChangeResult], None],
    ) -> None:
        self.results: dict[str, ChangeResult] = {}
        self.failure: OSError | None = None
        self.defect: BaseException | None = None
        self._unsaved: set[str] = set()
        self._journal = journal
        self._errand = errand
        self._is_stopped = should_stop
        self._observe = observe
        self._changes: Iterator[Change] = iter(())
        self._taking = threading.Lock()
        self._ended: queue.SimpleQueue[ChangeResult | None] = queue.SimpleQueue()

    def run_with_retry(
        self, changes: Sequence[Change], parallelism: int, retry_failed: bool
    ) -> None:
        """Walks ``changes``, and tells each result."""
        self.run(changes, parallelism)
        passing = [item for item in changes if self.failed_transiently(item)]
        if retry_failed and any(
            result.outcome is ChangeStatus.DONE for result in self.results.values()
        ):
            # The service works; some calls met a passing fault at each try. Once more for them.
            self.run(passing, parallelism)
        for change in filter(self.failed_transiently, passing):
            self.report(self.results[change.name])

    def may_be_removed(self, change: Change, new_name: str | None) -> bool:
        """Whether its new name, if there is one, is there: by the service's word, and for what is
        deleted by what was read back, too."""
        if new_name is None:
            return True
        result = self.results.get(new_name)
        is_sure = result is not None and result.outcome is ChangeStatus.DONE
        is_told = result is not None and result.is_acknowledged
        return is_sure or (is_told and change.action is Action.FORGET)

    def run(self, changes: Sequence[Change], parallelism: int) -> None:
        """Walks ``changes``, and tells each result but those of a passing fault."""
        self._changes = iter(changes)
        workers = min(parallelism, len(changes))
        for number in range(workers):
            threading.Thread(target=self._work, name=f"apply-{number}", daemon=True).start()
        while workers:
            result = self._next_end()
            if result is None:
                workers -= 1
            else:
                self.results[result.name] = result
                if not result.may_pass:
                    self.report(result)

    def _next_end(self) -> ChangeResult | None:
        while True:
            # Not for ever: a signal that comes just before the wait is only seen after it.
            with suppress(queue.Empty):
                return self._ended.get(timeout=_LOOK_AGAIN_SECONDS)

    def report(self, result: ChangeResult) -> None:
        """Tells a result that is on disk; one that is not is told with the rescue of the state."""
        if result.name in self._unsaved:
            return
        try:
            self._observe(result)
        except Exception as error:
            # Nobody can be told any more; the workers must end, and their outcomes be saved.
            self.defect = self.defect or error

    def failed_transiently(self, change: Change) -> bool:
        return change.name in self.results and self.results[change.name].may_pass

    def _work(self) -> None:
        ended: list[ChangeResult] = []
        try:
            while (change := self._next()) is not None:
                self._walk(change, ended)
        except BaseException as error:
            # Kept for the main thread, which raises it once the other workers have ended.
            self.defect = error
        finally:
            try:
                self._flush(ended)
            finally:
                self._ended.put(None)

    def _next(self) -> Change | None:
        with self._taking:
            if self._is_stopped() or self.failure or self.defect:
                return None
            return next(self._changes, None)

    def _walk(self, change: Change, ended: list[ChangeResult]) -> None:
        """Carries out ``change``; ``ended`` are results whose outcomes are not yet on disk."""
        if change.was_read and ended:
            # Asking the service again may take long.
            self._flush(ended)
        earlier = self.results.get(change.name)
        is_under_way = earlier is not None and earlier.outcome is ChangeStatus.UNKNOWN
        result = None if is_under_way else self._errand.check_unchanged(change)
        if result is None and change.action in CALLS:
            # Of a deletion nobody hears of, the next plan must not say that all is as it was.
            params, protect = change.after or change.before or {}, change.prevent_delete
            try:
                self._journal.intend(change.name, params, prevent_delete=protect)
            except OSError as error:
                self.failure = error
                self._flush(ended)
                return
            self._publish(ended)
            result = self._errand.call(change, earlier)
        result = result or ChangeResult(
            name=change.name, action=change.action, outcome=ChangeStatus.DONE
        )
        self._record(change, result)
        ended.append(result)

    def _flush(self, ended: list[ChangeResult]) -> None:
        """Brings the outcomes of ``ended`` to disk, and hands them on."""
        try:
            self._journal.flush()
        except BaseException as error:
            self._unsaved.update(result.name for result in ended)
            if isinstance(error, OSError):
                self.failure = error
            else:
                # What only memory has by now goes into the state as after a failure.
                self.failure = OSError(errno.EIO, "the journal was broken off")
                self.defect = error
        finally:
            self._publish(ended)

    def _publish(self, ended: list[ChangeResult]) -> None:
        for result in ended:
            self._ended.put(result)
        ended.clear()

    def _record(self, change: Change, result: ChangeResult) -> None:
        if change.action in CALLS and result.outcome is ChangeStatus.FAILED:
            self._journal.record_refused(change.name)
        elif change.action in SENDING:
            if result.is_acknowledged:
                self._journal.record_done(change.name)
        elif result.is_acknowledged and change.action is Action.RECORD:
            protect = change.prevent_delete
            self._journal.record_known(change.name, change.after or {}, prevent_delete=protect)
        elif result.is_acknowledged:
            self._journal.record_forgotten(change.name)
