"""Running all changes of a plan, with the real provider over HTTP and a journal in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from majobctl.job_config.job_config import JobConfig
from majobctl.operations.executor import ChangeExecutor
from majobctl.operations.guard import Guard
from majobctl.operations.runner import Runner
from majobctl.plan.change import Action, Change
from majobctl.plan.guard import Allowed
from majobctl.plan.plan import Plan
from majobctl.plan.planner import make_plan
from majobctl.plan.results import ApplyResult, ChangeResult, ChangeStatus
from majobctl.render.results import result_counts
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.session import Session
from majobctl.state.backends.lease import Clock, Moment
from majobctl.state.document import Entry, State
from majobctl.state.journal import Journal
from majobctl.state.replay import replayed
from tests.config_repository import BODY, JOB
from tests.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, FakeService, Reply, refusal
from tests.plan.values import AT, TARGET
from tests.state.test_journal import Memory

BUSY: Reply = (503, {"error_code": "X.503", "error_msg": "busy"}, {})
NAMES = [f"n{number:02}" for number in range(12)]
EMPTY = State(lineage="a-lineage", serial=0, target=TARGET, job_configs={}, salt="a-salt")


@pytest.fixture
def provider(rest: FakeService) -> Iterator[Provider]:
    session = Session(
        ACCESS_KEY, SECRET_KEY, PROJECT, endpoint=rest.url, retries=0, backoff=0.01, connections=20
    )
    with Provider(session, Estimator) as opened:
        opened.catalog.unknown_names([("n", JOB)])
        yield opened
    session.close()


class Run:
    """One run over a plan: what was reported, and what the journal holds."""

    is_blind = True
    fresh_since: Moment | None = None

    def __init__(self, provider: Provider, state: State = EMPTY, memory: Memory | None = None):
        self.reported: list[ChangeResult] = []
        self.file = memory or Memory()
        self.state = state
        self._provider = provider

    def apply(
        self,
        plan: Plan,
        *,
        parallelism: int = 4,
        retry_failed: bool = True,
        should_stop: Callable[[], bool] = lambda: False,
        observe: Callable[[ChangeResult], None] | None = None,
        params_of: Callable[[Change], Mapping[str, Any]] = lambda change: change.after or {},
    ) -> Runner:
        runner = Runner(
            plan=plan,
            journal=Journal(self.file, self.state),
            executor=self._executor(params_of),
            parallelism=parallelism,
            retry_failed=retry_failed,
            should_stop=should_stop,
            observe=observe or self.reported.append,
        )
        runner.run()
        return runner

    def _executor(self, params_of: Callable[[Change], Mapping[str, Any]]) -> ChangeExecutor:
        guard = Guard(
            provider=self._provider,
            masker=EMPTY.masker,
            params_of=params_of,
            allowed=Allowed(is_blind=self.is_blind),
            entries=self.state.job_configs,
            fresh_since=self.fresh_since,
        )
        return ChangeExecutor(guard=guard)

    @property
    def entries(self) -> Mapping[str, Entry]:
        state = replayed(self.state, self.file.content, "journal")
        assert state is not None
        return state.job_configs


def plan_of(*names: str, state: State | None = None, **params: Any) -> Plan:
    desired = {name: JobConfig(name, {**JOB, **params}) for name in names}
    return make_plan(desired, state, TARGET)


def ends(applied: Runner) -> dict[str, ChangeStatus]:
    return {result.name: result.status for result in applied.results}


@pytest.mark.parametrize("most", [1, 5, 100], ids=["interrupted", "later", "to the end"])
def test_the_last_outcomes_wait_for_no_others(
    provider: Provider, rest: FakeService, most: int
) -> None:
    """Where each write of the journal costs, as on a state over HTTP."""
    run = Run(provider)
    run.file.wait = 3600.0
    run.apply(plan_of(*NAMES), should_stop=lambda: len(rest.configs) >= most)
    assert sorted(it.name for it in run.reported) == sorted(rest.configs) == sorted(run.entries)
    assert not any(entry.pending for entry in run.entries.values())


def test_results_come_in_name_order_and_are_reported_as_they_end(
    provider: Provider, rest: FakeService
) -> None:
    run = Run(provider)
    applied = run.apply(plan_of(*reversed(NAMES)))
    assert [result.name for result in applied.results] == NAMES
    assert sorted(result.name for result in run.reported) == NAMES
    assert all(result.seconds > 0 for result in applied.results)
    assert rest.puts == dict.fromkeys(NAMES, BODY)
    assert {name: entry.params for name, entry in run.entries.items()} == dict.fromkeys(NAMES, JOB)
    assert applied.failure is None


def test_the_intent_is_on_disk_before_the_call_and_the_outcome_before_it_is_reported(
    provider: Provider, rest: FakeService
) -> None:
    run = Run(provider)
    during: list[Entry] = []
    rest.before_put = lambda name: during.append(run.entries[name])
    after: list[Entry] = []
    run.apply(plan_of("one"), observe=lambda result: after.append(run.entries[result.name]))
    assert [entry.pending for entry in (*during, *after)] == [True, False]


def test_the_workers_are_no_more_than_asked_for(provider: Provider, rest: FakeService) -> None:
    barrier = threading.Barrier(3)

    def meet(name: str) -> None:
        barrier.wait(20)

    rest.before_put = meet
    Run(provider).apply(plan_of(*NAMES), parallelism=3)
    assert rest.most_at_once == 3


def test_one_that_is_refused_does_not_stop_the_others(
    provider: Provider, rest: FakeService
) -> None:
    refused = {"n03": refusal(404, "ModelArts.0102", "n03 does not exist.")}
    rest.before_put = refused.get
    run = Run(provider)
    applied = run.apply(plan_of(*NAMES))
    assert ends(applied) == {**dict.fromkeys(NAMES, ChangeStatus.DONE), "n03": ChangeStatus.FAILED}
    failed = applied.results[3]
    assert (failed.code, failed.message) == ("ModelArts.0102", "n03 does not exist.")
    assert failed.advice
    assert "n03" not in run.entries


def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(
    provider: Provider, rest: FakeService
) -> None:
    rest.before_put = lambda name: (200, b"?", {})
    run = Run(provider)
    (result,) = run.apply(plan_of("one")).results
    assert (result.status, result.code) == (ChangeStatus.UNKNOWN, "")
    assert result.advice
    assert run.entries["one"] == Entry(params={}, applied_at="", pending=True, attempted=JOB)


class Gather(Memory):
    """A journal that somebody uses the time of: ``meanwhile`` is what is done at the first look."""

    meanwhile: Callable[[], None] | None = None

    def check(self) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile:
            meanwhile()


def test_what_is_changed_while_the_journal_is_written_is_seen(
    provider: Provider, rest: FakeService
) -> None:
    """The journal of a shared state may take long: the read comes after that."""
    first = Run(provider)
    first.apply(plan_of("one"))
    state = replace(EMPTY, serial=1, job_configs=first.entries)
    memory = Gather()
    memory.meanwhile = lambda: rest.configs["one"].update(config_desc="by somebody else")
    run = Run(provider, state, memory)
    run.is_blind = False
    applied = run.apply(plan_of("one", state=state, config_desc="mine"))
    assert ends(applied) == {"one": ChangeStatus.HELD_BACK}
    assert rest.configs["one"]["config_desc"] == "by somebody else"


@pytest.mark.parametrize("ran, wall", [(0, 0), (3600, 3600), (0, 3600), (0, -3600)])
def test_what_was_read_a_moment_ago_counts_by_both_clocks(
    ran: int, wall: int, provider: Provider, rest: FakeService
) -> None:
    """A virtual machine that is suspended between the read and the call has one that stands."""
    first = Run(provider)
    first.apply(plan_of("one"))
    state = replace(EMPTY, serial=1, job_configs=first.entries)
    desired = {"one": JobConfig("one", {**JOB, "config_desc": "mine"})}
    plan = make_plan(desired, state, TARGET, live={"one": provider.read_job_config("one")})
    rest.configs["one"].update(config_desc="by somebody else")
    run, (boot, clock) = Run(provider, state), Clock().now()
    run.is_blind, run.fresh_since = False, (boot - ran, clock - wall)
    is_fresh = not (ran or wall)
    wanted = ChangeStatus.DONE if is_fresh else ChangeStatus.CHANGED_MEANWHILE
    assert ends(run.apply(plan)) == {"one": wanted}


def test_once_stopped_nothing_more_is_begun(provider: Provider, rest: FakeService) -> None:
    run = Run(provider)
    applied = run.apply(plan_of(*NAMES), parallelism=1, should_stop=lambda: len(rest.configs) >= 2)
    assert list(rest.puts) == NAMES[:2]
    assert [result.status for result in applied.results] == (
        [ChangeStatus.DONE] * 2 + [ChangeStatus.NOT_ATTEMPTED] * 10
    )
    assert [result.name for result in run.reported] == NAMES[:2]
    assert set(run.entries) == set(NAMES[:2])


def test_a_forgotten_one_needs_no_call(provider: Provider, rest: FakeService) -> None:
    state = State(
        lineage="a-lineage",
        serial=1,
        target=TARGET,
        job_configs={"gone": Entry(params=JOB, applied_at=AT)},
        salt="a-salt",
    )
    run = Run(provider, state)
    (result,) = run.apply(make_plan({}, state, TARGET)).results
    assert (result.action, result.status, result.seconds) == (
        Action.FORGET,
        ChangeStatus.DONE,
        0.0,
    )
    assert rest.asked("PUT") == []
    assert run.entries == {}


def test_what_is_cleared_is_sent_blank(provider: Provider, rest: FakeService) -> None:
    before = {**JOB, "log_url": "/ml/log/", "hyperparameters": {"lr": "1"}}
    state = State(
        lineage="a-lineage",
        serial=1,
        target=TARGET,
        job_configs={"one": Entry(params=before, applied_at=AT)},
        salt="a-salt",
    )
    run = Run(provider, state)
    run.apply(plan_of("one", state=state))
    assert rest.puts == {"one": {**BODY, "log_url": "", "parameter": []}}
    assert run.entries["one"].params == JOB


def test_a_transient_failure_is_tried_once_more_when_the_service_works(
    provider: Provider, rest: FakeService
) -> None:
    replies = {"n01": [BUSY], "n05": [BUSY, BUSY]}
    rest.before_put = lambda name: replies[name].pop() if replies.get(name) else None
    run = Run(provider)
    applied = run.apply(plan_of(*NAMES))
    assert ends(applied)["n01"] is ChangeStatus.DONE
    assert ends(applied)["n05"] in (ChangeStatus.UNKNOWN, ChangeStatus.FAILED)
    assert sorted(result.name for result in run.reported) == NAMES
    assert len(rest.asked("PUT")) == len(NAMES) + 2


@pytest.mark.parametrize("status", [400, 401, 403, 409, 429])
def test_a_refusal_after_an_unknown_outcome_does_not_make_it_known(
    provider: Provider, rest: FakeService, status: int
) -> None:
    replies = [refusal(status, "X.1", "not now"), BUSY]
    rest.before_put = lambda name: replies.pop() if name == "n01" and replies else None
    run = Run(provider)
    applied = run.apply(plan_of(*NAMES))
    assert ends(applied)["n01"] is ChangeStatus.UNKNOWN
    assert run.entries["n01"].pending


def test_without_a_retry_nothing_is_sent_again(provider: Provider, rest: FakeService) -> None:
    rest.before_put = lambda name: BUSY if name == "n01" else None
    applied = Run(provider).apply(plan_of(*NAMES), retry_failed=False)
    assert ends(applied)["n01"] is not ChangeStatus.DONE
    assert len(rest.asked("PUT")) == len(NAMES)


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), KeyboardInterrupt()])
def test_an_interruption_loses_no_outcome(
    error: BaseException, provider: Provider, rest: FakeService
) -> None:
    run = Run(provider)
    is_raised = threading.Event()

    def hold(name: str) -> None:
        if name not in NAMES[:2]:
            is_raised.wait(20)

    def observe(result: Any) -> None:
        is_raised.set()
        raise error

    rest.before_put = hold
    applied = run.apply(plan_of(*NAMES), parallelism=2, observe=observe)
    assert applied.defect is error
    done = {name for name, end in ends(applied).items() if end is ChangeStatus.DONE}
    assert set(rest.puts) == done == set(run.entries)
    assert len(done) < len(NAMES)


def test_a_stop_ends_the_pauses_between_tries(rest: FakeService) -> None:
    rest.before_put = lambda name: BUSY
    session = Session(ACCESS_KEY, SECRET_KEY, PROJECT, endpoint=rest.url, retries=3, backoff=600)
    with Provider(session, Estimator) as provider:
        run = Run(provider)
        (result,) = run.apply(plan_of("one"), should_stop=lambda: bool(rest.asked("PUT"))).results
    assert result.status in (ChangeStatus.FAILED, ChangeStatus.UNKNOWN)
    assert len(rest.asked("PUT")) == 1


def test_a_service_that_does_not_work_at_all_is_not_asked_twice(
    provider: Provider, rest: FakeService
) -> None:
    rest.before_put = lambda name: BUSY
    run = Run(provider)
    applied = run.apply(plan_of(*NAMES))
    assert ChangeStatus.DONE not in ends(applied).values()
    assert len(rest.asked("PUT")) == len(NAMES)
    assert sorted(result.name for result in run.reported) == NAMES


def test_a_journal_that_cannot_be_kept_stops_the_run(provider: Provider, rest: FakeService) -> None:
    file = Memory()
    run = Run(provider, memory=file)

    def fill(name: str) -> None:
        file.failure = OSError(28, "No space left on device")

    rest.before_put = fill
    applied = run.apply(plan_of(*NAMES), parallelism=1)
    assert list(rest.puts) == ["n00"]
    assert isinstance(applied.failure, OSError)
    assert ends(applied)["n00"] is ChangeStatus.DONE
    assert set(ends(applied).values()) == {ChangeStatus.DONE, ChangeStatus.NOT_ATTEMPTED}
    assert run.reported == []


class Breaking(Memory):
    """A journal's file whose last write breaks off, and not as the system's writes do."""

    def __init__(self, good: int) -> None:
        super().__init__()
        self._good = good

    def write(self, content: bytes) -> None:
        if self.flushes == self._good:
            raise MemoryError
        super().write(content)


@pytest.mark.parametrize("good", [1, 2])
def test_a_journal_that_breaks_off_loses_no_outcome_and_no_reason(
    good: int, provider: Provider, rest: FakeService
) -> None:
    # The first line; all intents; the first outcome, and maybe the second.
    run = Run(provider, memory=Breaking(good))
    applied = run.apply(plan_of("a", "b"), parallelism=1)
    assert isinstance(applied.defect, MemoryError)
    assert isinstance(applied.failure, OSError)
    sent = list(rest.puts)
    assert bool(sent) is (good == 2)
    assert [item.name for item in applied.results if item.status is ChangeStatus.DONE] == sent
    assert run.reported == []


def test_a_defect_is_handed_over_when_all_have_ended(provider: Provider, rest: FakeService) -> None:
    def params_of(change: Change) -> Mapping[str, Any]:
        raise ZeroDivisionError

    applied = Run(provider).apply(plan_of(*NAMES), params_of=params_of)
    assert isinstance(applied.defect, ZeroDivisionError)
    assert rest.asked("PUT") == []


def test_an_empty_plan_runs_nothing(provider: Provider) -> None:
    applied = Run(provider).apply(make_plan({}, None, TARGET))
    assert (applied.results, applied.failure, applied.defect) == ((), None, None)


def test_what_is_sent_may_be_more_than_what_is_kept(provider: Provider, rest: FakeService) -> None:
    secret = {**JOB, "config_desc": "hidden-value"}
    masked = {**JOB, "config_desc": {"$sensitive": "hmac-sha256:0"}}
    plan = make_plan({"one": JobConfig("one", masked)}, None, TARGET)
    rest.before_put = lambda name: refusal(400, "X.1", "hidden-value is wrong")
    run = Run(provider)
    applied = run.apply(plan, params_of=lambda change: secret)
    assert b"hidden-value" not in run.file.content
    assert "hidden-value" not in applied.results[0].message
    rest.before_put = lambda name: None
    rest.forget_requests()
    run = Run(provider)
    run.apply(plan, params_of=lambda change: secret)
    assert rest.puts["one"]["config_desc"] == "hidden-value"
    assert b"hidden-value" not in run.file.content


def test_a_result_counts_each_end() -> None:
    results = tuple(
        ChangeResult(name=f"{action.value}{end.value}", action=action, status=end)
        for action in Action
        for end in ChangeStatus
    )
    summary = result_counts(ApplyResult(results=results, serial=3))
    done = ("added", "updated", "resent", "created", "deleted", "recorded", "forgotten")
    others = (
        "failed",
        "unknown",
        "changed meanwhile",
        "held back",
        "not verified",
        "not attempted",
    )
    # What the service acknowledged is done, verified or not.
    assert summary == {**dict.fromkeys(done, 2), **dict.fromkeys(others, 7)}
    assert ApplyResult(results=(), serial=0).is_complete
    assert not ApplyResult(results=(), serial=0, problem="x").is_complete
