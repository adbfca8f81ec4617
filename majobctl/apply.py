"""Walks a plan: calls the provider, records each outcome. It prints nothing and decides nothing.

Each change goes through one worker thread: its intent is on disk before the call, its outcome
before anybody is told. One that fails does not stop the others.
"""

from __future__ import annotations

import enum
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from majobctl.journal import Journal
from majobctl.plan import CALLING, Action, Change, Params, Plan
from majobctl.provider import Ending, Outcome, Provider
from majobctl.sensitive import secret_texts, without_traces

_LOOK_AGAIN_SECONDS = 0.2


class End(enum.Enum):
    """How a change ended."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one change; ``code``, ``message`` and ``advice`` are "" where it was done.

    ``may_pass``: it failed for a reason that has nothing to do with what was sent.
    """

    name: str
    action: Action
    outcome: End
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    advice: str = ""
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """All results in name order; ``serial`` is the state's after them."""

    results: tuple[Result, ...]
    serial: int
    is_interrupted: bool = False
    problem: str = ""
    """Why the state file could not be saved, and what to do; "" where it was."""

    @property
    def is_complete(self) -> bool:
        return not self.problem and all(result.outcome is End.DONE for result in self.results)

    def summary(self) -> Mapping[str, int]:
        """How many were added, updated, resent, forgotten, failed, unknown, not attempted."""
        done = Counter(item.action for item in self.results if item.outcome is End.DONE)
        ends = Counter(item.outcome for item in self.results)
        return {
            "added": done[Action.ADD],
            "updated": done[Action.UPDATE],
            "resent": done[Action.RESEND],
            "forgotten": done[Action.FORGET],
            "failed": ends[End.FAILED],
            "unknown": ends[End.UNKNOWN],
            "not_attempted": ends[End.NOT_ATTEMPTED],
        }


@dataclass(frozen=True, slots=True)
class Applied:
    """The results in name order; ``failure`` is why the journal could not be kept to the end,
    ``defect`` what else ended the walk: to be raised once the outcomes are saved."""

    results: tuple[Result, ...]
    failure: OSError | None
    defect: BaseException | None


def apply_changes(
    plan: Plan,
    journal: Journal,
    provider: Provider,
    *,
    params_of: Callable[[Change], Params],
    parallelism: int,
    second_round: bool,
    is_stopped: Callable[[], bool],
    observe: Callable[[Result], None],
) -> Applied:
    """Applies each change of ``plan``, at most ``parallelism`` at once.

    ``params_of`` gives the params of a change with its sensitive values. ``observe`` is called in
    this thread with each result that is on disk, in the order of their ends. Once ``is_stopped``
    says so, or the journal or ``observe`` fails, no further change is begun; those under way are
    waited for. With ``second_round``, calls that ended by a passing fault are made once more, after
    all others, if any other succeeded.
    """
    walk = _Walk(journal, provider, params_of, is_stopped, observe)
    walk.go(plan.changes, parallelism)
    passing = [item for item in plan.changes if walk.met_passing_fault(item)]
    if second_round and any(result.outcome is End.DONE for result in walk.results.values()):
        # The service works; some calls met a passing fault at each try. Once more for them.
        walk.go(passing, parallelism)
    for change in filter(walk.met_passing_fault, passing):
        walk.tell(walk.results[change.name])
    ordered = tuple(walk.results.get(item.name) or _not_attempted(item) for item in plan.changes)
    return Applied(ordered, walk.failure, walk.defect)


def _not_attempted(change: Change) -> Result:
    return Result(change.name, change.action, End.NOT_ATTEMPTED)


class _Walk:
    """Worker threads that share one list of changes and one queue of results."""

    def __init__(
        self,
        journal: Journal,
        provider: Provider,
        params_of: Callable[[Change], Params],
        is_stopped: Callable[[], bool],
        observe: Callable[[Result], None],
    ) -> None:
        self.results: dict[str, Result] = {}
        self.failure: OSError | None = None
        self.defect: BaseException | None = None
        self._unsaved: set[str] = set()
        self._journal = journal
        self._provider = provider
        self._params_of = params_of
        self._is_stopped = is_stopped
        self._observe = observe
        self._changes: Iterator[Change] = iter(())
        self._taking = threading.Lock()
        self._ended: queue.SimpleQueue[Result | None] = queue.SimpleQueue()

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
        try:
            while (change := self._next()) is not None:
                self._walk(change)
        except BaseException as error:
            # Kept for the main thread, which raises it once the other workers have ended.
            self.defect = error
        finally:
            self._ended.put(None)

    def _next(self) -> Change | None:
        with self._taking:
            if self._is_stopped() or self.failure or self.defect:
                return None
            return next(self._changes, None)

    def _walk(self, change: Change) -> None:
        try:
            if change.action in CALLING:
                self._journal.intend(change.name, change.after or {})
        except OSError as error:
            self.failure = error
            return
        result = self._called(change) if change.action in CALLING else _forgotten(change)
        try:
            self._record(result)
        except OSError as error:
            self.failure = error
            self._unsaved.add(result.name)
        self._ended.put(result)

    def _called(self, change: Change) -> Result:
        params = self._params_of(change)
        start = time.monotonic()
        outcome = self._provider.update_job_config(change.name, params, change.cleared)
        seconds = time.monotonic() - start
        if outcome.ending is Ending.DONE:
            return Result(change.name, change.action, End.DONE, seconds)
        secrets = secret_texts(change.after or {}, params)
        outcome = replace(
            outcome,
            code=without_traces(outcome.code, secrets),
            message=without_traces(outcome.message, secrets),
        )
        earlier = self.results.get(change.name)
        if earlier and earlier.outcome is End.UNKNOWN:
            # Whatever became of this try says nothing for sure of the one before.
            outcome = replace(outcome, ending=Ending.UNKNOWN)
        return _failed(change, outcome, seconds)

    def _record(self, result: Result) -> None:
        if result.action is Action.FORGET:
            self._journal.record_forgotten(result.name)
        elif result.outcome is End.DONE:
            self._journal.record_done(result.name)
        elif result.outcome is End.FAILED:
            self._journal.record_refused(result.name)


def _forgotten(change: Change) -> Result:
    return Result(change.name, change.action, End.DONE)


def _failed(change: Change, outcome: Outcome, seconds: float) -> Result:
    if outcome.ending is Ending.REFUSED:
        end, advice = End.FAILED, _ADVICE.get(outcome.code, "")
    else:
        end, advice = End.UNKNOWN, "apply again: it will be sent once more"
    told = (outcome.code, outcome.message, advice, outcome.may_pass)
    return Result(change.name, change.action, end, seconds, *told)


_ADVICE: Mapping[str, str] = {
    "ModelArts.0102": "create it in ModelArts first, or check the project; then apply again",
    "ModelArts.0201": "sign in again: the token is missing",
    "ModelArts.0202": "sign in again: the token has expired",
    "ModelArts.0203": "sign in again: the token is not valid",
    "ModelArts.0206": "check the access key and the secret key",
    "ModelArts.0210": "check provider.project_id against the credentials",
    "APIGW.0301": "check the access key, the secret key and this machine's clock",
    "ModelArts.2780": "choose an engine that the service offers",
    "ModelArts.2781": "choose a flavor that the service offers",
    "ModelArts.2782": "check dataset_version_id",
    "ModelArts.2783": "check dataset_id",
    "ModelArts.2791": "check that the OBS paths exist",
    "ModelArts.2793": "lower train_instance_count, or choose another flavor",
    "ModelArts.2799": "the service is busy: apply again later, or with less --parallelism",
    "APIGW.0308": "the service is busy: apply again later, or with less --parallelism",
    "ModelArts.0010": "an error inside the service: apply again later",
}
