"""A log in memory: an apply over it, time that jumps, lost answers, records that are bad."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from majobctl.errors import LockedError, StateError
from majobctl.operations import apply
from majobctl.operations.context import ConfigRepository
from majobctl.plan.results import ChangeResult
from majobctl.state.backends import OvertakenError
from majobctl.state.backends import records as log
from majobctl.state.backends.log import LogBackend
from majobctl.state.document import State
from majobctl.state.journal import Journal, intent
from majobctl.state.store import StateStore
from tests.config_repository import BODY, Repository, until
from tests.fake_service import FakeService, name_of
from tests.plan.values import TARGET
from tests.state.backends.memory import FakeClock, MemoryStore, Unreliable
from tests.state.backends.test_stores import added, records_of, state


@dataclass(frozen=True)
class Shared(ConfigRepository):
    """A config repository whose state is in a log."""

    backend: LogBackend = field(kw_only=True)

    def locked(self, *_: Any, plan: str = "", **options: Any) -> Any:
        store = StateStore(self.backend)
        return store.locked(self.command, self.lock_timeout, warn=self.warn, **options)


def test_an_apply_keeps_its_state_in_a_log(on_emulator: Repository) -> None:
    store = MemoryStore()
    repository = Shared(on_emulator.root, backend=LogBackend(store))
    result = apply(repository, approve=lambda plan: True)
    assert (result.serial, result.problem) == (1, "")
    state = StateStore(LogBackend(store)).read()
    assert state is not None
    assert list(state.job_configs) == ["alpha"]
    kinds = [record.kind for record in records_of(store) if record.kind != "beat"]
    assert (kinds[0], *kinds[-2:]) == ("open", "state", "close")
    assert set(kinds[1:-2]) == {"note"}
    on_emulator.job("beta")
    assert apply(repository, approve=lambda plan: True).serial == 2
    assert apply(replace(repository), approve=lambda plan: True).serial == 2


PARAMS = {"train_instance_count": 1}


@dataclass
class Desk:
    """Two machines at one log: ``clock`` is the store's time and everybody's."""

    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.store = MemoryStore(lambda: self.clock.boot)
        self.network = Unreliable(self.store)
        self.mine = LogBackend(self.network, clock=self.clock)
        self.other = LogBackend(self.store, clock=self.clock)

    def kinds(self) -> list[str]:
        return [record.kind for record in records_of(self.store)][1 + 10 :]


@pytest.fixture
def desk() -> Desk:
    return Desk()


class TestTime:
    @pytest.mark.parametrize(
        ("boot", "jump", "beats"),
        [
            (0.0, 0.0, 0),
            (47.9, 0.0, 0),
            (48.1, 0.0, 1),
            (3600.0, 0.0, 1),
            (0.0, 48.1, 1),
            (0.0, 86_400.0, 1),
            (0.0, -0.1, 1),
            (0.0, -86_400.0, 1),
            (48.1, -48.1, 1),
            (-1.0, 1.0, 1),
        ],
    )
    def test_before_a_call_the_last_record_is_young_by_both_clocks(
        self, desk: Desk, boot: float, jump: float, beats: int
    ) -> None:
        with desk.mine.lock("apply", 0):
            file = desk.mine.open_journal()
            file.write(b"one\n")
            desk.clock.boot += boot
            desk.clock.jump += jump
            file.check()
            assert desk.kinds().count("beat") == beats
            file.check()
            assert desk.kinds().count("beat") == beats

    def test_of_many_that_are_about_to_call_one_shows_a_sign_of_life(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0), ThreadPoolExecutor(8) as pool:
            file = desk.mine.open_journal()
            desk.clock.boot += 50
            desk.network.stall(0.5)
            checked = [pool.submit(file.check) for _ in range(8)]
            assert [it.result() for it in checked] == [None] * 8
            assert desk.kinds().count("beat") == 1

    def test_without_a_sign_of_life_nothing_may_be_sent(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0):
            file = desk.mine.open_journal()
            desk.clock.boot += 50
            desk.network.is_down = True
            start = desk.clock.boot
            with pytest.raises(ConnectionError):
                file.check()
            assert 40 < desk.clock.boot - start <= 48
            desk.network.is_down = False
            file.check()

    def test_a_store_that_is_too_slow_for_the_lease_is_named(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0):
            file = desk.mine.open_journal()
            desk.clock.boot += 50
            desk.network.seconds = 49
            desk.network.clock = desk.clock
            with pytest.raises(OSError, match="memory is too slow for a lease of 60 seconds"):
                file.check()
            desk.network.seconds = 0

    @pytest.mark.parametrize("seconds", [0.0, 30.0, 59.9, 60.1, 100_000.0])
    @pytest.mark.parametrize("last", ["open", "note", "beat", "state", "drop"])
    def test_a_lock_is_taken_over_once_its_lease_has_passed_after_any_record(
        self, desk: Desk, last: str, seconds: float
    ) -> None:
        heard: list[object] = []
        with desk.other.lock("seed", 0):
            desk.other.write(state(1))
        with desk.mine.lock("majobctl apply", 0) as holder:
            desk.clock.boot += 50
            if last in ("note", "drop"):
                desk.mine.add_note(b"one\n")
            if last == "drop":
                desk.mine.remove_journal()
            if last == "beat":
                desk.mine.check()
            if last == "state":
                desk.mine.write(state(2))
            desk.clock.boot += seconds - (50 if last == "open" else 0)
            if seconds > 60:
                with desk.other.lock("second", 0, heard.append):
                    pass
                text = f"memory: took over the lock of {holder}: it gave no sign of life"
                assert str(heard[0]).startswith(text)
            else:
                with pytest.raises(LockedError) as raised, desk.other.lock("x", 0, heard.append):
                    raise AssertionError("never given")
                left = max(1, round(60 - seconds))
                expected = f"--lock-timeout {left + 5} or more: in {left} seconds it is taken"
                assert expected in str(raised.value)
                assert not heard

    def test_the_lease_is_that_of_the_holder(self, desk: Desk) -> None:
        short = LogBackend(desk.store, lease=5, clock=desk.clock)
        with short.lock("first", 0):
            desk.clock.boot += 6
            with desk.mine.lock("second", 0):
                desk.clock.boot += 6
                with pytest.raises(LockedError), short.lock("third", 0):
                    raise AssertionError("never given")

    def test_who_waits_does_so_gently_and_takes_over_in_the_end(self, desk: Desk) -> None:
        with desk.mine.lock("first", 0):
            start, asked = desk.clock.boot, desk.store.asked
            with desk.other.lock("second", 300):
                assert 60 < desk.clock.boot - start < 70
                assert desk.store.asked - asked < 40

    @pytest.mark.parametrize("is_set_back", [False, True])
    def test_without_a_clock_of_the_store_the_one_who_waits_watches(
        self, is_set_back: bool
    ) -> None:
        clock, time = FakeClock(), [1e9]
        store = MemoryStore(now=(lambda: time[0]) if is_set_back else None)
        first, second = (LogBackend(store, clock=clock) for _ in range(2))
        with first.lock("first", 0):
            clock.boot, time[0] = clock.boot + 1000, 0.0
            with pytest.raises(LockedError) as raised, second.lock("second", 59):
                raise AssertionError("never given")
            start, said = clock.boot, str(raised.value)
            enough = float(said.partition("--lock-timeout ")[2].split()[0])
            third = LogBackend(store, clock=clock)
            with third.lock("third", 90 if is_set_back else enough):
                assert 60 < clock.boot - start < 70

    @pytest.mark.parametrize("work", ["check", "note", "state", "open", "unlock"])
    @pytest.mark.parametrize("stalled", [100.0, 100_000.0])
    @pytest.mark.parametrize("has_order", [True, False])
    def test_who_stalls_until_what_followed_was_removed_does_not_go_on(
        self, desk: Desk, work: str, stalled: float, has_order: bool
    ) -> None:
        desk.store.has_order = has_order
        with desk.other.lock("seed", 0):
            desk.other.write(state(1))
        desk.mine.read()
        with contextlib.ExitStack() as stack:
            if work not in ("open", "unlock"):
                stack.enter_context(desk.mine.lock("mine", 0))

            def others() -> None:
                for serial in (2, 3):
                    other = LogBackend(desk.store, keep=1, clock=desk.clock)
                    desk.clock.boot += stalled
                    with other.lock("other", 0):
                        other.write(state(serial))
                if work != "state":
                    stack.enter_context(desk.other.lock("majobctl last", 0))

            if work in ("open", "unlock"):
                if work == "unlock":
                    holder = stack.enter_context(desk.mine.lock("mine", 0))
                    desk.mine = LogBackend(desk.network, clock=desk.clock)
                desk.network.before_add = others
                with pytest.raises((LockedError, StateError), match=r"`(majobctl last|other)`"):
                    if work == "open":
                        stack.enter_context(desk.mine.lock("mine", 0))
                    desk.mine.unlock(holder.id)
            else:
                others()
                body = state(9) if work == "state" else b"one\n"
                with pytest.raises(OvertakenError, match="was taken over by"):
                    if work == "check":
                        desk.mine.check()
                    (desk.mine.write if work == "state" else desk.mine.add_note)(body)
            assert (len(desk.store.pruned) > 0) is (stalled > 3600)
            if work != "state":
                desk.other.check()
            assert LogBackend(desk.store).read() == state(3)

    def test_two_that_open_with_one_number_do_not_share_it(self, desk: Desk) -> None:
        """A server took over without the last records."""
        with desk.other.lock("seed", 0):
            desk.other.write(state(1))
        with desk.mine.lock("first", 0):
            desk.store.records.popitem()
            with desk.other.lock("second", 0):
                desk.other.add_note(b"second\n")
                for _ in range(2):
                    assert added(desk.mine, b"first\n") == "overtaken"
                desk.other.write(state(2))


class TestAnswers:
    @pytest.mark.parametrize("losses", [["answer"], ["request"], ["request", "answer"] * 2])
    @pytest.mark.parametrize("kind", ["note", "state", "beat", "drop", "close", "open"])
    def test_a_lost_answer_is_cleared_up(self, desk: Desk, kind: str, losses: list[str]) -> None:
        with desk.other.lock("seed", 0):
            desk.other.write(state(1))
        desk.network.losses = [*losses] if kind == "open" else []
        with desk.mine.lock("apply", 0):
            if kind == "drop":
                desk.mine.add_note(b"one\n")
            desk.network.losses = [*losses]
            if kind in ("note", "drop"):
                desk.mine.add_note(b"two\n")
            if kind == "drop":
                desk.mine.remove_journal()
            if kind == "state":
                desk.mine.write(state(2))
            if kind == "beat":
                desk.clock.boot += 50
                desk.mine.check()
        kinds = [record.kind for record in records_of(desk.store)]
        del kinds[1:11]  # the race
        others = {"state": 1, "open": 1, "close": 1}
        assert kinds.count(kind) == 1 + others.get(kind, 0)
        with desk.other.lock("next", 0):
            pass

    @pytest.mark.parametrize("lost", ["request", "answer"])
    def test_what_was_given_up_may_still_be_an_own_record(self, desk: Desk, lost: str) -> None:
        with desk.mine.lock("apply", 0):
            desk.network.losses = [lost, *["request"] * 100]
            with pytest.raises(ConnectionError):
                desk.mine.add_note(b"one\n")
            desk.network.losses = []
            desk.mine.add_note(b"two\n")
            assert desk.other.read_journal() == (b"one\n" if lost == "answer" else b"") + b"two\n"
            assert desk.mine.read_journal() == desk.other.read_journal()
        records_of(desk.store)

    def test_a_record_of_another_epoch_stops_the_writer_whatever_it_is(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0):
            number = max(desk.store.records) + 1
            stray = log.Record(number=number, kind="note", epoch=number - 1, state=0, body=b"stray")
            desk.store.add(number, stray.dump())
            for _ in range(2):
                assert added(desk.mine, b"one\n") == "overtaken"

    def test_a_store_that_cannot_be_reached_is_named_by_every_call(self, desk: Desk) -> None:
        desk.network.is_down = True
        for call in (
            desk.mine.read,
            desk.mine.read_journal,
            lambda: desk.mine.unlock("abc"),
            lambda: desk.mine.lock("x", 0).__enter__(),
        ):
            with pytest.raises(StateError) as raised:
                call()
            assert str(raised.value) == (
                "memory cannot be reached: connection refused\nnothing was done"
            )

    def test_what_a_store_refuses_for_good_stops_the_writer(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0):
            desk.store.refusal = "the role planner may not INSERT"
            for body in (b"one\n", state(1)):
                assert added(desk.mine, body) == "unknown"
            desk.store.refusal = ""
            desk.mine.write(state(1))

    @pytest.mark.parametrize(
        "store", [MemoryStore(is_careless=True), MemoryStore(is_blind=True)], ids=["looks", "blind"]
    )
    def test_a_store_that_ignores_the_condition_is_refused_before_the_first_state(
        self, store: MemoryStore
    ) -> None:
        for _ in range(2):
            backend = LogBackend(store)
            with pytest.raises(StateError, match="cannot keep a state"), backend.lock("apply", 0):
                raise AssertionError("never given")
            assert backend.read() is None


def first_line(content: bytes) -> dict[str, Any]:
    head: dict[str, Any] = json.loads(content.split(b"\n")[0])
    return head


def changed(content: bytes, **members: object) -> bytes:
    head = {**first_line(content), **members}
    body = content.partition(b"\n")[2]
    return (
        json.dumps({key: it for key, it in head.items() if it is not None}).encode() + b"\n" + body
    )


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda it: b"", "is damaged: it is empty"),
    "foreign": (lambda it: b"hello\n", "is damaged: it is not JSON"),
    "foreign JSON": (lambda it: b'{"version": 4}\n', "is damaged: majobctl is missing"),
    "bytes": (lambda it: b"\xff\xfe" * 9, "is damaged: it is"),
    "cut short": (lambda it: it[:-3], "is damaged: it is not"),
    "longer": (lambda it: it + b"x", "is damaged: it is not as it was written"),
    "another number": (lambda it: changed(it, number=3), "is damaged: it is not as it was written"),
    "no epoch": (lambda it: changed(it, epoch=None), "is damaged: epoch is missing"),
    "text for a number": (lambda it: changed(it, state="1"), "is damaged: state must be"),
    "no sum": (lambda it: changed(it, sum=None), "is damaged: sum is missing"),
    "newer": (lambda it: changed(it, majobctl=2), "was made by a newer majobctl"),
    "an unknown kind": (lambda it: changed(it, kind="key"), "was made by a newer majobctl"),
}


class TestDamage:
    @pytest.fixture
    def written(self, desk: Desk) -> Desk:
        """A log whose last records are a state, an open and a note: who wrote it was killed."""
        with desk.other.lock("seed", 0):
            desk.other.write(state(1))
        with contextlib.suppress(OvertakenError), desk.other.lock("apply", 0) as holder:
            desk.other.add_note(b"one\n")
            desk.mine.unlock(holder.id)
        desk.store.records.popitem()
        desk.clock.boot += 1000
        return desk

    @pytest.mark.parametrize("which", [-1, -2, -4])
    @pytest.mark.parametrize("way", DAMAGE)
    def test_what_majobctl_did_not_write_is_refused_and_left(
        self, written: Desk, way: str, which: int
    ) -> None:
        damage, text = DAMAGE[way]
        number = sorted(written.store.records)[which]
        at, content = written.store.records[number]
        written.store.records[number] = at, damage(content)
        self.check_refused(written, f"^record {number} of memory {text}")

    @pytest.mark.parametrize("which", [-2, -3, -4])
    def test_a_gap_is_refused_and_named(self, written: Desk, which: int) -> None:
        number = sorted(written.store.records)[which]
        del written.store.records[number]
        self.check_refused(written, f"record {number}( of memory)? is missing")

    def check_refused(self, written: Desk, text: str) -> None:
        before = {**written.store.records}
        fresh = LogBackend(written.store, clock=written.clock)
        for call in (fresh.read, fresh.read_journal, lambda: fresh.lock("x", 0).__enter__()):
            with pytest.raises(StateError) as raised:
                call()
            assert re.search(text, str(raised.value))
            assert "it was left untouched" in str(raised.value)
        assert written.store.records == before


class TestSize:
    def test_a_state_and_its_journal_are_read_at_once(self, desk: Desk) -> None:
        asked = desk.store.asked
        assert StateStore(desk.mine).read() is None
        assert desk.store.asked - asked == 1

    @pytest.mark.parametrize("is_late", [False, True], ids=["at once", "much later"])
    @pytest.mark.parametrize("is_beaten", [False, True], ids=["alone", "beaten"])
    def test_what_was_just_read_is_not_asked_again_to_take_the_lock(
        self, desk: Desk, is_late: bool, is_beaten: bool
    ) -> None:
        with desk.other.lock("apply", 0):
            desk.other.write(state(1))
        assert desk.mine.read() == state(1)
        if is_beaten:
            with desk.other.lock("apply", 0):
                desk.other.write(state(2))
        desk.clock.sleep(3700 if is_late else 1)
        asked = desk.store.asked
        with desk.mine.lock("apply", 0):
            assert desk.mine.read() == state(2 if is_beaten else 1)
        assert desk.store.asked - asked == (is_late or is_beaten)

    def test_of_a_long_log_the_last_state_and_what_follows_is_read(self, desk: Desk) -> None:
        for serial in range(1, 101):
            with desk.other.lock("apply", 0):
                desk.other.write(state(serial))
        with desk.other.lock("apply", 0):
            desk.other.add_note(b"one\n")
            desk.store.was_read.clear()
            backend = LogBackend(desk.store)
            assert backend.read_journal() == b"one\n"
            assert backend.read() == state(100)
        numbers = sorted(desk.store.records)
        assert sorted(desk.store.was_read) == numbers[-5:-1]

    @pytest.mark.parametrize("keep", [1, 2, 5])
    @pytest.mark.parametrize("age", [3599, 3700])
    def test_what_is_older_than_the_kept_states_and_an_hour_is_removed(
        self, desk: Desk, keep: int, age: int
    ) -> None:
        backend = LogBackend(desk.store, keep=keep, clock=desk.clock)
        for serial in range(1, 9):
            with backend.lock("apply", 0):
                backend.add_note(b"one\n")
                if serial == 8:
                    desk.clock.boot += age
                backend.write(state(serial))
        found = [
            log.load(number, content, "") for number, (_, content) in desk.store.records.items()
        ]
        kept = [record for record in found if record.kind == "state"]
        assert len(kept) == (8 if age < 3600 else keep)
        if age > 3600:
            # The open of this epoch stays, too, since it says who holds the lock.
            opened = next(it.number for it in found if it.kind == "open")
            assert found[0].number == min(kept[0].number, found[-1].epoch), opened
        assert LogBackend(desk.store).read() == state(8)
        with backend.lock("next", 0):
            pass

    def test_the_history_outlives_the_states(self, desk: Desk) -> None:
        lines = [b'{"serial":%d}\n' % number for number in range(1, 351)]
        backend = LogBackend(desk.store, keep=3, clock=desk.clock)
        for serial, line in enumerate(lines, 1):
            with backend.lock("apply", 0):
                desk.clock.boot += 600
                backend.write(state(serial), line)
        assert LogBackend(desk.store).read_history() == b"".join(lines)
        # An hour of records, which are six applies, and one with the lines before.
        assert len(desk.store.records) < 40
        kinds = [
            log.load(number, content, "").kind
            for number, (_, content) in desk.store.records.items()
        ]
        assert kinds.count("history") == 1
        # One that is lost takes its lines with it, and nothing else.
        lost = min(desk.store.records)
        assert log.load(lost, desk.store.records.pop(lost)[1], "").kind == "history"
        assert lines[-1] in LogBackend(desk.store).read_history() != b"".join(lines)
        with LogBackend(desk.store, clock=desk.clock).lock("next", 0):
            pass

    def test_a_state_is_kept_where_nothing_may_be_removed(self, desk: Desk) -> None:
        backend = LogBackend(desk.store, keep=1, clock=desk.clock)
        for serial in range(1, 4):
            with backend.lock("apply", 0):
                desk.clock.boot += 4000
                desk.store.prune_refusal = "the role applier may not DELETE"
                backend.write(state(serial))
        assert LogBackend(desk.store).read() == state(3)
        assert desk.store.pruned == []

    def test_a_head_says_what_a_state_is(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0) as holder:
            desk.mine.write(state(7, "a", "b"))
        (record,) = (it for it in records_of(desk.store) if it.kind == "state")
        assert {key: record.head[key] for key in ("serial", "job_configs", "by", "states")} == {
            "serial": 7,
            "job_configs": 2,
            "by": holder.user,
            "states": [record.number],
        }


NAMES = ("alpha", "beta", "gamma")


@dataclass
class Watched:
    """An apply of three job configs, one after the other, over a log that another machine reads
    while a call is under way, and before each outcome is told."""

    desk: Desk
    rest: FakeService
    root: Path
    events: dict[str, Callable[[], object]]
    """What happens before the first call, or while the call of a name is under way."""
    told: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def sent(self) -> list[str]:
        return [name_of(item.path) for item in self.rest.asked("PUT")]

    def pending(self) -> dict[str, bool]:
        state = StateStore(LogBackend(self.desk.store, clock=self.desk.clock)).read()
        return {name: it.pending for name, it in state.job_configs.items()} if state else {}

    def before_put(self, name: str) -> None:
        assert self.pending()[name]
        assert [*self.pending()] == [*NAMES]
        until(lambda: len(self.told) == NAMES.index(name), "the outcomes before it")
        self.happen(name)

    def happen(self, at: str) -> None:
        self.events.get(at, lambda: None)()

    def observe(self, result: ChangeResult) -> None:
        assert not self.pending()[result.name]
        self.told.append(result.name)

    def run(self, backend: LogBackend) -> None:
        repository = Shared(self.root, backend=backend, parallelism=1)
        self.rest.before_put = self.before_put
        try:
            self.problem = apply(
                repository,
                approve=lambda plan: True,
                begin=lambda plan: self.happen(""),
                observe=self.observe,
            ).problem
        except StateError as error:
            self.problem = str(error)
        self.rest.before_put = lambda name: None


@pytest.fixture
def watched(
    desk: Desk, on_rest: Repository, rest: FakeService, monkeypatch: pytest.MonkeyPatch
) -> Watched:
    for name, value in on_rest.environment.items():
        monkeypatch.setenv(name, value)
    for name in NAMES:
        on_rest.job(name)
    return Watched(desk, rest, on_rest.root, {})


class TestApply:
    """What an apply sends and tells, by what happens to its log, and when ("": before the first
    call)."""

    @pytest.mark.parametrize(
        ("happens", "at", "sent", "told", "said"),
        [
            ("nothing", "alpha", 3, 3, ""),
            ("answers are lost", "", 3, 3, ""),
            ("answers are lost", "alpha", 3, 3, ""),
            ("it sleeps", "", 3, 3, ""),
            ("it sleeps", "alpha", 3, 3, ""),
            ("it is taken over", "", 0, 0, "was taken over by"),
            ("it is taken over", "alpha", 1, 0, "was taken over by"),
            ("it is freed", "", 0, 0, "was freed by"),
            ("it is freed", "gamma", 3, 2, "was freed by"),
            ("it may not write", "", 0, 0, "the role planner may not INSERT"),
            ("it may not write", "gamma", 3, 2, "the role planner may not INSERT"),
            ("the store is gone", "", 0, 0, "cannot be written: connection refused"),
            ("the store is gone", "gamma", 3, 2, "cannot be written: connection refused"),
        ],
    )
    def test_nothing_is_sent_or_told_before_it_is_kept(
        self, happens: str, at: str, sent: int, told: int, said: str, watched: Watched
    ) -> None:
        desk, elsewhere = watched.desk, contextlib.ExitStack()

        def take_over() -> None:
            desk.clock.boot += 61
            elsewhere.enter_context(StateStore(desk.other).locked("majobctl other"))

        def free() -> None:
            desk.other.unlock(records_of(desk.store)[0].holder.id)

        events: dict[str, Callable[[], object]] = {
            "nothing": lambda: None,
            "answers are lost": lambda: desk.network.losses.extend(["answer", "request"] * 3),
            "it sleeps": lambda: setattr(desk.clock, "boot", desk.clock.boot + 1e5),
            "it is taken over": take_over,
            "it is freed": free,
            "it may not write": lambda: setattr(desk.store, "refusal", said),
            "the store is gone": lambda: setattr(desk.network, "is_down", True),
        }
        watched.events[at] = events[happens]
        with elsewhere:
            watched.run(desk.mine)
        assert (len(watched.sent), len(watched.told)) == (sent, told)
        assert said in watched.problem
        assert bool(watched.problem) is bool(said)
        is_unsent = "nothing was sent" in watched.problem
        assert is_unsent is (bool(said) and not at)
        rescued = [*watched.root.glob("majobctl.rescue-*")]
        assert len(rescued) == (1 if said and at else 0)
        is_overtaken = "by" in said
        assert ("do not push it" in watched.problem) is (is_overtaken and bool(rescued))
        assert ("majobctl state push" in watched.problem) is (not is_overtaken and bool(rescued))
        pending = watched.pending()
        assert not any(pending[name] for name in watched.told)
        assert all(pending[name] for name in watched.sent if name not in watched.told)
        # The next one, on another machine, finds all of it.
        desk.store.refusal, watched.events = "", {}
        desk.clock.boot += 61
        watched.told = [name for name in NAMES if not pending.get(name, True)]
        watched.run(desk.other)
        assert watched.problem == ""
        assert watched.pending() == dict.fromkeys(NAMES, False)
        assert watched.rest.configs == dict.fromkeys(NAMES, BODY)

    def test_all_intents_are_one_note_and_outcomes_come_together(self, watched: Watched) -> None:
        watched.run(watched.desk.mine)
        notes = [it.body for it in records_of(watched.desk.store) if it.kind == "note"]
        assert notes[0].count(b"\n") == 2  # the beginning, all intents
        assert [it.count(b'"done":') for it in notes] == [0, 1, 1, 1]


class TestOvertaken:
    """What LockedState makes of a lock that is lost."""

    @pytest.mark.parametrize("way", ["taken over", "freed"])
    @pytest.mark.parametrize("is_kept", [True, False])
    def test_what_was_done_is_in_the_log_or_in_a_file_that_is_not_to_be_pushed(
        self, desk: Desk, way: str, is_kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with contextlib.ExitStack() as other, StateStore(desk.mine).locked("apply") as locked:
            file = desk.mine.open_journal()
            journal = Journal(file, State.new(TARGET), {"a": intent(PARAMS)})
            if is_kept:
                journal.record_done("a")
                journal.flush()
            if way == "freed":
                opened = records_of(desk.store)[0]
                desk.other.unlock(opened.holder.id)
            desk.clock.boot += 61
            new = other.enter_context(StateStore(desk.other).locked("majobctl other"))
            assert new.state is not None
            if not is_kept:
                journal.record_done("a")
                with pytest.raises(OvertakenError):
                    journal.flush()
            message = locked.save(journal)
            assert message.count(f"the lock of memory was {way} by") == 1
            assert "so no further call was started\n" in message
            with pytest.raises(OvertakenError):
                locked.write(State.new(TARGET))
        rescued = [*tmp_path.iterdir()]
        state = StateStore(desk.other).read()
        assert state is not None
        assert state.job_configs["a"].pending is not is_kept
        if is_kept:
            assert "nothing is lost: what was done is in the journal of memory" in message
            assert not rescued
        else:
            assert "\n0 outcomes kept; not kept: a\n" in message
            assert "do not push it" in message
            assert "state push" not in message
            assert message.endswith("majobctl state pull")
            assert [*State.load(rescued[0].read_bytes(), "rescue").job_configs] == ["a"]

    def test_unlock_says_what_becomes_of_the_holder(self, desk: Desk) -> None:
        with desk.mine.lock("apply", 0) as holder:
            assert StateStore(desk.other).unlock(holder.id) == (
                f"{holder}; if it still runs, it cannot write any more, and starts no further call"
                " once it notices, within 15 seconds"
            )


KEEPS_A_LOCK = """
import sys, threading
from majobctl.state.backends.log import LogBackend
from tests.state.backends.memory import MemoryStore
lock = LogBackend(MemoryStore(), lease=3600).lock("x", 0)
lock.__enter__()
assert [it.name for it in threading.enumerate()].count("heartbeat") == 1
sys.exit(3)
"""


def test_the_sign_of_life_ends_with_the_lock_and_keeps_no_process_alive(desk: Desk) -> None:
    before = {*threading.enumerate()}
    with desk.mine.lock("x", 0):
        (heartbeat,) = (it for it in {*threading.enumerate()} - before if it.name == "heartbeat")
    heartbeat.join(30)
    assert not heartbeat.is_alive()
    assert subprocess.run([sys.executable, "-c", KEEPS_A_LOCK], timeout=60).returncode == 3
