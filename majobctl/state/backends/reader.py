"""Reads a log, and adds to it, through a store whose answers may be lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from majobctl.errors import StateError
from majobctl.state.backends import records
from majobctl.state.backends.lease import SURE, Clock, Moment, is_within
from majobctl.state.backends.records import Record
from majobctl.state.backends.stores import Store
from majobctl.text import reason_of

T = TypeVar("T")
PATIENCE = 5.0
"""Seconds for which a store that does not answer is asked again, where no lease says more."""
PRUNED_AFTER = 3600
"""A record that is younger, in seconds, is never removed."""
_READERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The last record of a log, when that was asked, and for how long there was no other: since its
    own time by the store's clock, if it has one, or since it was first seen here."""

    numbers: Sequence[int] = ()
    last: Record | None = None
    since: float = 0
    silent: float = 0
    asked: Moment = (0.0, 0.0)
    has_clock: bool = True


class Asker:
    """Asks again where an answer is lost."""

    def __init__(self, name: str, clock: Clock) -> None:
        self.name, self._clock = name, clock

    def ask(self, call: Callable[[], T]) -> T:
        try:
            return self.patiently(call, PATIENCE)
        except ConnectionError as error:
            reason = reason_of(error).removeprefix(f"{self.name}: ")
            reason = reason.removeprefix(f"{self.name} cannot be reached: ")
            raise StateError(
                f"{self.name} cannot be reached: {reason}\nnothing was done"
            ) from error

    def patiently(self, call: Callable[[], T], seconds: float) -> T:
        until, pause = self._clock.now()[0] + seconds, 0.05
        while True:
            try:
                return call()
            except ConnectionError:
                if self._clock.now()[0] + pause > until:
                    raise
            self._clock.sleep(pause)
            pause = min(2 * pause, 2)


class LogReader(Asker):
    def __init__(self, store: Store, clock: Clock) -> None:
        super().__init__(store.name, clock)
        self._store = store
        self._known: dict[int, Record] = {}  # records never change

    def newest(self, before: Newest | None = None) -> Newest:
        """``before`` is what was seen the last time: our clock counts if the store has none, or set
        it back."""
        asked = self._clock.now()
        numbers = self.ask(self._store.numbers)
        if not numbers:
            return Newest(asked=asked)
        (number, age), since = numbers[-1], self._clock.now()[0]
        if before and before.last and before.last.number == number:
            since = before.since
        return Newest(
            numbers=[it for it, _ in numbers],
            last=self.fetch(number),
            since=since,
            silent=max(0, asked[0] - since, age or 0),
            asked=asked,
            has_clock=age is not None,
        )

    def tail(self, newest: Newest) -> list[Record]:
        """The last state and all that follows it."""
        if (last := newest.last) is None:
            return []
        records.check_complete(last, newest.numbers, self.name)
        return self._fetch_all(self.fetch, range(last.first, last.number + 1))

    def fetch_usable(self, numbers: Sequence[int]) -> list[Record]:
        """Those of the records that are there and not damaged."""
        return [it for it in self._fetch_all(self._usable, numbers) if it is not None]

    def _usable(self, number: int) -> Record | None:
        with suppress(StateError):
            return self.fetch(number)
        return None

    def _fetch_all(self, fetch: Callable[[int], T], numbers: Sequence[int]) -> list[T]:
        if len([number for number in numbers if number not in self._known]) < 2:
            return [*map(fetch, numbers)]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_READERS) as pool:
            return [*pool.map(fetch, numbers)]

    def fetch(self, number: int) -> Record:
        if number not in self._known:
            content = self.ask(partial(self._store.read, number))
            if content is None:
                raise records.damaged(f"record {number} of {self.name} is missing")
            self._known[number] = records.load(number, content, self.name)
        return self._known[number]

    def put(self, record: Record, since: Moment, patience: float = PATIENCE) -> Record:
        """Adds ``record`` after the one that was the last at ``since``, unless there is another one
        with its number; returns the one there, or the last one if others went on from there so long
        ago that theirs may be removed. Raises ConnectionError after ``patience`` seconds: any may
        be the case then."""
        found = self.patiently(partial(self._put, record), patience)
        if found and (found is not record or self._is_young(since)):
            return found
        last = max((it for it, _ in self.patiently(self._store.numbers, patience)), default=0)
        if last > record.number:
            return self.fetch(last)
        if found is None:
            raise records.damaged(f"{self.name} has no record {record.number}, and takes none")
        return found

    def _is_young(self, since: Moment) -> bool:
        return is_within(PRUNED_AFTER * SURE, since, self._clock.now())

    def _put(self, record: Record) -> Record | None:
        content = record.dump()
        if self._store.add(record.number, content):
            return record
        found = self._store.read(record.number)
        if found is None or found == content:
            return record if found else None
        return records.load(record.number, found, self.name)
