"""A pool of worker threads that carries out the changes of one plan."""

from __future__ import annotations

import errno
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from majobctl.operations.executor import Errand
from majobctl.plan.change import CALLS, SENDING, Action, Change
from majobctl.plan.results import End, Result
from majobctl.state.journal import Journal

_LOOK_AGAIN_SECONDS = 0.2


class WorkerPool:
    """Worker threads that share one list of changes and one queue of results."""

    def __init__(
        self,
        journal: Journal,
        errand: Errand,
        is_stopped: Callable[[], bool],
        observe: Callable[[Result], None],
    ) -> None:
        self.results: dict[str, Result] = {}
        self.failure: OSError | None = None
        self.defect: BaseException | None = None
        self._unsaved: set[str] = set()
        self._journal = journal
        self._errand = errand
        self._is_stopped = is_stopped
        self._observe = observe
        self._changes: Iterator[Change] = iter(())
        self._taking = threading.Lock()
        self._ended: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

    def go_twice(self, changes: Sequence[Change], parallelism: int, second_round: bool) -> None:
        """Walks ``changes``, and tells each result."""
        self.go(changes, parallelism)
        passing = [item for item in changes if self.met_passing_fault(item)]
        if second_round and any(result.outcome is End.DONE for result in self.results.values()):
            # The service works; some calls met a passing fault at each try. Once more for them.
            self.go(passing, parallelism)
        for change in filter(self.met_passing_fault, passing):
            self.tell(self.results[change.name])

    def may_leave(self, change: Change, new_name: str | None) -> bool:
        """Whether its new name, if there is one, is there: by the service's word, and for what is
        deleted by what was read back, too."""
        if new_name is None:
            return True
        result = self.results.get(new_name)
        is_sure = result is not None and result.outcome is End.DONE
        is_told = result is not None and result.is_acknowledged
        return is_sure or (is_told and change.action is Action.FORGET)

    def go(self, changes: Sequence[Change], parallelism: int) -> None:
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
                    self.tell(result)

    def _next_end(self) -> Result | None:
        while True:
            # Not for ever: a signal that comes just before the wait is only seen after it.
            with suppress(queue.Empty):
                return self._ended.get(timeout=_LOOK_AGAIN_SECONDS)

    def tell(self, result: Result) -> None:
        """Tells a result that is on disk; one that is not is told with the rescue of the state."""
        if result.name in self._unsaved:
            return
        try:
            self._observe(result)
        except Exception as error:
            # Nobody can be told any more; the workers must end, and their outcomes be saved.
            self.defect = self.defect or error

    def met_passing_fault(self, change: Change) -> bool:
        return change.name in self.results and self.results[change.name].may_pass

    def _work(self) -> None:
        ended: list[Result] = []
        try:
            while (change := self._next()) is not None:
                self._walk(change, ended)
        except BaseException as error:
            # Kept for the main thread, which raises it once the other workers have ended.
            self.defect = error
        finally:
            try:
                self._settle(ended)
            finally:
                self._ended.put(None)

    def _next(self) -> Change | None:
        with self._taking:
            if self._is_stopped() or self.failure or self.defect:
                return None
            return next(self._changes, None)

    def _walk(self, change: Change, ended: list[Result]) -> None:
        """Carries out ``change``; ``ended`` are results whose outcomes are not yet on disk."""
        if change.was_read and ended:
            # Asking the service again may take long.
            self._settle(ended)
        earlier = self.results.get(change.name)
        is_under_way = earlier is not None and earlier.outcome is End.UNKNOWN
        result = None if is_under_way else self._errand.look_again(change)
        if result is None and change.action in CALLS:
            # Of a deletion nobody hears of, the next plan must not say that all is as it was.
            params, protect = change.after or change.before or {}, change.prevent_delete
            try:
                self._journal.intend(change.name, params, prevent_delete=protect)
            except OSError as error:
                self.failure = error
                self._settle(ended)
                return
            self._hand_on(ended)
            result = self._errand.call(change, earlier)
        result = result or Result(change.name, change.action, End.DONE)
        self._record(change, result)
        ended.append(result)

    def _settle(self, ended: list[Result]) -> None:
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
            self._hand_on(ended)

    def _hand_on(self, ended: list[Result]) -> None:
        for result in ended:
            self._ended.put(result)
        ended.clear()

    def _record(self, change: Change, result: Result) -> None:
        if change.action in CALLS and result.outcome is End.FAILED:
            self._journal.record_refused(change.name)
        elif change.action in SENDING:
            if result.is_acknowledged:
                self._journal.record_done(change.name)
        elif result.is_acknowledged and change.action is Action.RECORD:
            protect = change.prevent_delete
            self._journal.record_known(change.name, change.after or {}, prevent_delete=protect)
        elif result.is_acknowledged:
            self._journal.record_forgotten(change.name)
