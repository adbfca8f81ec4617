"""Any order of locks, writes, stalls, lost answers, jumps of the clock, crashes and unlocks."""

from __future__ import annotations

import contextlib

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from majobctl.errors import LockedError, StateError
from majobctl.state.backends.lease import Clock
from majobctl.state.backends.log import LogBackend
from tests.state.backends.memory import FakeClock, MemoryStore, Unreliable
from tests.state.backends.test_stores import added, records_of, state

LEASE = 60.0


class Machine(Clock):
    """The clocks of one machine. While it is suspended, only the wall clock goes on."""

    def __init__(self, world: FakeClock) -> None:
        self._world, self.suspended, self.jump = world, 0.0, 0.0

    def now(self) -> tuple[float, float]:
        boot, wall = self._world.now()
        return boot - self.suspended, wall + self.jump

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)


class Actor:
    def __init__(self, world: FakeClock, store: MemoryStore) -> None:
        self.clock, self.network = Machine(world), Unreliable(store)
        self.backend = LogBackend(self.network, lease=LEASE, clock=self.clock)
        self.held = contextlib.ExitStack()
        self.epoch = 0

    def leave(self) -> None:
        self.held.close()
        self.epoch = 0


ACTORS = st.integers(0, 2)
SECONDS = st.sampled_from([0.1, 10.0, 14.0, 46.0, 49.0, 61.0, 5000.0])


class LogMachine(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.world = FakeClock()
        self.store = MemoryStore(lambda: self.world.boot)
        self.actors = [Actor(self.world, self.store) for _ in range(3)]
        self.outcomes: dict[bytes, str] = {}
        with self.actors[0].backend.lock("seed", 0):
            self.outcomes[state(0)] = added(self.actors[0].backend, state(0))

    @rule(index=ACTORS)
    def lock(self, index: int) -> None:
        actor, last = self.actors[index], records_of(self.store)[-1]
        if actor.epoch:
            return
        start, age = self.world.boot, self.store.numbers()[-1][1] or 0
        try:
            actor.held.enter_context(actor.backend.lock("apply", 0))
        except LockedError:
            assert last.kind != "close"
            assert age <= LEASE
        except StateError:
            assert actor.network.is_down or actor.network.losses
        else:
            waited = self.world.boot - start
            assert last.kind == "close" or age + waited > LEASE
            actor.epoch = max(it.number for it in records_of(self.store) if it.kind == "open")

    @rule(index=ACTORS, is_state=st.booleans())
    def write(self, index: int, is_state: bool) -> None:
        actor, number = self.actors[index], len(self.outcomes)
        if actor.epoch:
            body = state(number) if is_state else b"%d\n" % number
            self.outcomes[body] = added(actor.backend, body)

    @rule(index=ACTORS)
    def call(self, index: int) -> None:
        """What is sure enough to begin a call was not taken over; it may have been unlocked."""
        actor = self.actors[index]
        if not actor.epoch:
            return
        try:
            actor.backend.check()
        except OSError:
            return
        records = records_of(self.store)
        after = next((it for it in records if it.number > actor.epoch and it.kind == "open"), None)
        assert after is None or records[after.number - 2].kind == "close"
        if after is None and records[-1].kind != "close":
            assert (self.store.numbers()[-1][1] or 0) < LEASE

    @rule(index=ACTORS, is_killed=st.booleans())
    def end(self, index: int, is_killed: bool) -> None:
        actor = self.actors[index]
        actor.network.is_down = is_killed or actor.network.is_down
        actor.leave()
        if is_killed:
            self.actors[index] = Actor(self.world, self.store)

    @rule(index=ACTORS)
    def unlock(self, index: int) -> None:
        with contextlib.suppress(StateError):
            last = records_of(self.store)[-1]
            opened = records_of(self.store)[last.epoch - 1]
            self.actors[index].backend.unlock(opened.holder.id)
            assert records_of(self.store)[-1].kind == "close"

    @rule(seconds=SECONDS)
    def stall(self, seconds: float) -> None:
        self.world.sleep(seconds)

    @rule(seconds=SECONDS)
    def suspend(self, seconds: float) -> None:
        self.world.sleep(seconds)
        self.actors[0].clock.suspended += seconds

    @rule(index=st.integers(1, 2), seconds=SECONDS, is_back=st.booleans())
    def set_clock(self, index: int, seconds: float, is_back: bool) -> None:
        self.actors[index].clock.jump += -seconds if is_back else seconds

    @rule(index=ACTORS, losses=st.lists(st.sampled_from(["request", "answer", ""]), max_size=9))
    def lose(self, index: int, losses: list[str]) -> None:
        self.actors[index].network.losses = losses

    @rule(index=ACTORS)
    def cut_or_mend(self, index: int) -> None:
        self.actors[index].network.is_down = not self.actors[index].network.is_down

    @precondition(lambda self: hasattr(self, "store"))
    @invariant()
    def what_was_acknowledged_is_there_and_nothing_that_was_refused(self) -> None:
        records = records_of(self.store)
        bodies = [record.body for record in records if record.body]
        assert len(set(bodies)) == len(bodies)
        assert {body for body, it in self.outcomes.items() if it == "kept"} <= {*bodies}
        assert {*bodies} <= {body for body, it in self.outcomes.items() if it != "overtaken"}
        states = [record.body for record in records if record.kind == "state"]
        assert LogBackend(self.store).read() == states[-1]

    def teardown(self) -> None:
        for actor in getattr(self, "actors", []):
            actor.leave()


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = hypothesis.settings(
    max_examples=2 * hypothesis.settings().max_examples, stateful_step_count=50
)
