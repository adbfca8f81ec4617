"""A store in memory, and what can go wrong with any store."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable

from majobctl.errors import StateError
from majobctl.state.backends.lease import Clock
from majobctl.state.backends.stores import Store


class MemoryStore:
    """``now`` is the store's clock; None: it has none. ``is_careless``: it looks whether a record
    is there, and then writes in any case; ``is_blind``: it replaces a record without a look."""

    def __init__(
        self,
        now: Callable[[], float] | None = time.monotonic,
        *,
        is_careless: bool = False,
        is_blind: bool = False,
    ) -> None:
        self.has_order = False  # only what follows the last record is added
        self.name = "memory"
        self.records: dict[int, tuple[float, bytes]] = {}
        self.was_read: list[int] = []
        self.asked = 0
        self.pruned: list[int] = []
        self.refusal = self.prune_refusal = ""
        self._now, self._is_careless, self._is_blind = now, is_careless, is_blind
        self._lock = threading.Lock()

    def add(self, number: int, content: bytes) -> bool:
        if self.refusal:
            raise StateError(self.refusal)
        if self._is_careless:
            is_there = number in self.records
            time.sleep(0.002)
            if is_there:
                return False
        with self._lock:
            if number in self.records and not (self._is_blind or self._is_careless):
                return False
            if self.has_order and number <= max(self.records, default=0):
                return False
            self.records[number] = (self._now() if self._now else 0.0), content
            return True

    def numbers(self) -> list[tuple[int, float | None]]:
        self.asked += 1
        with self._lock:
            now = self._now() if self._now else None
            ages = ((it, at) for it, (at, _) in sorted(self.records.items()))
            return [(it, None if now is None else now - at) for it, at in ages]

    def read(self, number: int) -> bytes | None:
        self.was_read.append(number)
        found = self.records.get(number)
        return found[1] if found else None

    def prune(self, numbers: Iterable[int]) -> None:
        if self.prune_refusal:
            raise StateError(self.prune_refusal)
        for number in numbers:
            self.records.pop(number, None)
            self.pruned.append(number)


class Unreliable:
    """``store`` over a network: of the calls, ``rate`` lose the answer, and as many the request.
    What is set as ``losses`` is lost next: "request" or "answer"."""

    def __init__(self, store: Store, rate: float = 0.0, seed: int = 0) -> None:
        self.name = store.name
        self.losses: list[str] = []
        self.clock: FakeClock | None = None
        self.seconds = 0.0  # by the clock, for each add
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.is_down = False
        self.before_add: Callable[[], None] | None = None  # what happens before the next add
        self._store, self._rate, self._random = store, rate, random.Random(seed)

    def stall(self, seconds: float) -> None:
        """Nothing is sent for so long, as if its process were stopped."""
        self.goes_on.clear()
        threading.Timer(seconds, self.goes_on.set).start()

    def add(self, number: int, content: bytes) -> bool:
        self.goes_on.wait()
        happens, self.before_add = self.before_add, None
        if happens:
            happens()
        if self.clock:
            self.clock.boot += self.seconds
        loss = self._loss()
        if loss == "request":
            raise ConnectionError("connection refused")
        is_added = self._store.add(number, content)
        if loss == "answer":
            raise ConnectionResetError("connection reset by peer")
        return is_added

    def numbers(self) -> list[tuple[int, float | None]]:
        self._check()
        return self._store.numbers()

    def read(self, number: int) -> bytes | None:
        self._check()
        return self._store.read(number)

    def prune(self, numbers: Iterable[int]) -> None:
        self._check()
        self._store.prune(numbers)

    def _check(self) -> None:
        if self.is_down or (self._rate and self._random.random() < self._rate):
            raise ConnectionError("connection refused")

    def _loss(self) -> str:
        if self.is_down:
            return "request"
        if self.losses:
            return self.losses.pop(0)
        drawn = self._random.random()
        return "answer" if drawn < self._rate else "request" if drawn < 2 * self._rate else ""


class FakeClock(Clock):
    """A clock that only moves when somebody sleeps; ``jump`` moves the wall clock alone."""

    def __init__(self) -> None:
        self.boot, self.jump = 1000.0, 0.0

    def now(self) -> tuple[float, float]:
        return self.boot, 1_800_000_000.0 + self.boot + self.jump

    def sleep(self, seconds: float) -> None:
        self.boot += seconds
