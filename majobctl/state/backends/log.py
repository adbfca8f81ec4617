"""A state that a team shares, as a log of numbered records that never change.

Lock, lease, journal and state are records of one log, and a store does one thing: it adds record
*n* unless that is there. So whoever finds *n + 1* taken by somebody else knows that it was
overtaken, and cannot write, whatever it believes of the time. The time only decides when others may
take over: when the holder's last record is older than its lease. Before a call, the holder makes
sure that its last record is younger, so that nobody has taken over yet.

The outcome of an add whose answer is lost is cleared up by adding the record again: if it is there
already, its content says whose it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TypeVar

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import Holder, NotKeptError, OvertakenError
from majobctl.state.backends import records as log
from majobctl.state.backends.lease import SURE, Clock, Heartbeat, Moment, is_within
from majobctl.state.backends.lock import this_process
from majobctl.state.backends.records import Record
from majobctl.state.backends.stores import Store
from majobctl.text import reason_of, utc_now

T = TypeVar("T")
_PATIENCE = 5.0
"""Seconds for which a store that does not answer is asked again, where no lease says more."""
_PRUNED_AFTER = 3600
_READERS = 8
_TRIES = 3


class LogBackend:
    """A state in the log of ``store``. ``lease`` is in seconds, ``keep`` a number of states."""

    def __init__(
        self, store: Store, *, lease: float = 60, keep: int = 100, clock: Clock | None = None
    ) -> None:
        self.name = self.place = store.name
        self.journal_name = f"the journal of {store.name}"
        self._store, self._lease, self._keep = store, lease, keep
        self._clock = clock or Clock()
        self._known: dict[int, Record] = {}  # what was read: records never change
        # While the lock is held:
        self._mutex = threading.RLock()
        self._epoch = 0  # the number of the own open
        self._tail: list[Record] = []  # the last state, and what follows it
        self._sure_since: Moment = (0.0, 0.0)  # when the last own record was begun
        self._overtaken: OvertakenError | None = None

    def read(self) -> bytes | None:
        return log.state_of(self._records())

    def read_journal(self) -> bytes | None:
        return log.journal_of(self._records())

    def write(self, content: bytes) -> None:
        with self._mutex:
            last, number = self._tail[0], self._tail[-1].number + 1
            before = last.head["states"] if last.kind == "state" else []
            kept = [*before, number][-self._keep :]
            about = {**log.about_state(content), "at": utc_now(), "states": kept}
            self._add("state", content, **about, by=this_process("").user)
        if len(kept) == self._keep:
            # A state is kept without the right to remove the old ones, too.
            with suppress(StateError, ConnectionError):
                self._prune(min(*kept, self._epoch))

    def open_journal(self) -> NoteFile:
        self.remove_journal()
        return NoteFile(self)

    def add_note(self, content: bytes) -> None:
        self._add("note", content)

    def remove_journal(self) -> None:
        with self._mutex:
            if log.journal_of(self._tail) is not None:
                self._add("drop")

    def check(self) -> None:
        """Returns if nobody can have taken over. Raises OSError."""
        for _ in range(_TRIES):
            if self._overtaken:
                raise self._overtaken
            if is_within(self._lease * SURE, self._sure_since, self._clock.now()):
                return
            self._add("beat")
        raise TimeoutError(f"{self.name} is too slow for a lease of {self._lease:g} seconds")

    @contextmanager
    def lock(
        self, command: str, timeout: float = 0, warn: Callable[[object], None] = lambda it: None
    ) -> Iterator[Holder]:
        holder, heartbeat = this_process(command), None
        if expired := self._open(holder, timeout):
            warn(
                f"{self.name}: took over the lock of {expired}: it gave no sign of life for longer"
                " than its lease"
            )
        try:
            if log.state_of(self._tail) is None:
                self._check_store()
            heartbeat = Heartbeat(self._beat)
            yield holder
        finally:
            if heartbeat:
                heartbeat.end()
            # What was done under the lock must be reported; the lease ends by itself, too.
            with suppress(OSError):
                self._add("close", patience=_PATIENCE, holder=asdict(holder))
            self._epoch, self._overtaken = 0, None

    def unlock(self, holder_id: str) -> Holder:
        by = asdict(this_process("majobctl unlock"))
        last = self._newest().last
        while last is not None and last.kind != "close":
            holder = self._fetch(last.epoch).holder
            if holder.id != holder_id:
                raise StateError(f"the lock of {self.name} has the ID {holder.id}: {holder}")
            record = log.following(last, "close", holder=by)
            last = self._ask(partial(self._put, record, record.dump()))
            if last is record:
                return holder
        raise StateError(f"{self.name} is not locked")

    def _open(self, holder: Holder, timeout: float) -> Holder | None:
        """Takes the lock; returns its last holder if that let its lease expire."""
        deadline, pause = self._clock.now()[0] + timeout, 0.1
        newest = self._newest()
        while not self._may_open(newest) or not self._take(newest, holder):
            left = deadline - self._clock.now()[0]
            if self._may_open(newest):
                pause = 0.1  # somebody else was faster
            elif left <= 0:
                raise self._locked(newest)
            else:
                self._clock.sleep(min(pause, left))
                pause = min(1.5 * pause, 5, self._lease / 10)
            newest = self._newest(newest)
        last = newest.last
        return self._fetch(last.epoch).holder if last and last.kind != "close" else None

    def _may_open(self, newest: _Newest) -> bool:
        last = newest.last
        if last is None or last.kind == "close":
            return True
        return newest.silent > self._fetch(last.epoch).lease

    def _take(self, newest: _Newest, holder: Holder) -> bool:
        tail, start = self._tail_of(newest), self._clock.now()
        record = log.following(newest.last, "open", holder=asdict(holder), lease=self._lease)
        if self._ask(partial(self._put, record, record.dump())) is not record:
            return False
        self._epoch, self._sure_since, self._tail = record.number, start, [*tail, record]
        return True

    def _locked(self, newest: _Newest) -> LockedError:
        assert newest.last is not None
        opened = self._fetch(newest.last.epoch)
        left = max(1, round(opened.lease - newest.silent))
        return LockedError(
            f"{self.name} is locked by {opened.holder}\n"
            f"wait for it, with --lock-timeout SECONDS: in {left} seconds it is taken over, unless"
            f" it gives a sign of life; or stop it: majobctl unlock {opened.holder.id}"
        )

    def _check_store(self) -> None:
        from majobctl.state.backends.race import race

        last = self._tail[-1]
        beat = log.following(last, "beat")
        contents = self._ask(
            lambda: race(
                self._store, beat.number, lambda number: replace(beat, number=number).dump()
            )
        )
        for number, content in enumerate(contents, beat.number):
            self._append(log.load(number, content, self.name))

    def _beat(self) -> float | None:
        """Shows a sign of life if it is time to; returns when to do so next."""
        pause = self._lease / 4
        try:
            if not is_within(pause, self._sure_since, self._clock.now()):
                self._add("beat", patience=0)
        except ConnectionError:
            return pause / 4
        except OSError:
            return None  # The next record that somebody waits for says why.
        return max(pause / 4, self._sure_since[0] + pause - self._clock.now()[0])

    def _add(
        self, kind: str, body: bytes = b"", *, patience: float | None = None, **about: object
    ) -> None:
        """Adds a record of the own epoch. Raises OSError, as a place of bytes does."""
        seconds = SURE * self._lease if patience is None else patience
        with self._mutex:
            while not self._overtaken:
                start = self._clock.now()
                record = log.following(self._tail[-1], kind, body, **about)
                try:
                    put = partial(self._put, record, record.dump())
                    found = self._patiently(put, seconds)
                except StateError as error:
                    raise NotKeptError(str(error)) from error
                self._append(found)
                if found is record:
                    self._sure_since = start
                    return
            raise self._overtaken

    def _append(self, record: Record) -> None:
        """Takes in the record that has the next number: an own one, which may be an earlier one
        that seemed to be lost, or the one that ends the own epoch."""
        if record.epoch == self._epoch and record.kind != "close":
            if record.kind == "state":
                self._tail.clear()
            self._tail.append(record)
        else:
            who = f"{record.holder}" if record.kind in ("open", "close") else "another process"
            verb = "freed" if record.kind == "close" else "taken over"
            self._overtaken = OvertakenError(f"the lock of {self.name} was {verb} by {who}")

    def _put(self, record: Record, content: bytes) -> Record:
        """Adds ``record``, unless there is another one with its number; returns the one there."""
        if self._store.add(record.number, content):
            return record
        found = self._store.read(record.number)
        if found is None:
            raise log.damaged(f"{self.name} has no record {record.number}, and takes none")
        return record if found == content else log.load(record.number, found, self.name)

    def _newest(self, before: _Newest | None = None) -> _Newest:
        asked = self._clock.now()[0]
        numbers = self._ask(self._store.numbers)
        if not numbers:
            return _Newest()
        number, age = numbers[-1]
        since = self._clock.now()[0]
        if before and before.last and before.last.number == number:
            since = before.since
        return _Newest(
            numbers=[it for it, _ in numbers],
            last=self._fetch(number),
            since=since,
            silent=max(0, asked - since) if age is None else age,
        )

    def _records(self) -> list[Record]:
        with self._mutex:
            return self._tail if self._epoch else self._tail_of(self._newest())

    def _tail_of(self, newest: _Newest) -> list[Record]:
        """The last state and all that follows it."""
        last = newest.last
        if last is None:
            return []
        log.check_complete(last, newest.numbers, self.name)
        numbers = range(last.first, last.number + 1)
        missing = [number for number in numbers if number not in self._known]
        if len(missing) > 1:
            from concurrent.futures import ThreadPoolExecutor

            with ThreadPoolExecutor(_READERS) as pool:
                list(pool.map(self._fetch, missing))
        return [self._fetch(number) for number in numbers]

    def _fetch(self, number: int) -> Record:
        record = self._known.get(number)
        if record is None:
            content = self._ask(partial(self._store.read, number))
            if content is None:
                raise log.damaged(f"record {number} of {self.name} is missing")
            record = self._known[number] = log.load(number, content, self.name)
        return record

    def _prune(self, before: int) -> None:
        ages = self._store.numbers()
        old = [it for it, age in ages if it < before and (age or 0) > _PRUNED_AFTER]
        if old:
            self._store.prune(old)

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return self._patiently(call, _PATIENCE)
        except ConnectionError as error:
            raise StateError(
                f"{self.name} cannot be reached: {reason_of(error)}\nnothing was done"
            ) from error

    def _patiently(self, call: Callable[[], T], seconds: float) -> T:
        """The answer to ``call``, which is repeated for ``seconds`` while there is none."""
        until, pause = self._clock.now()[0] + seconds, 0.05
        while True:
            try:
                return call()
            except ConnectionError:
                if self._clock.now()[0] + pause > until:
                    raise
            self._clock.sleep(pause)
            pause = min(2 * pause, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newest:
    """What was found of a log: its last record, and for how long it had no other."""

    numbers: Sequence[int] = ()
    last: Record | None = None
    since: float = 0
    silent: float = 0


class NoteFile:
    """The journal of a run, as notes in the log."""

    def __init__(self, backend: LogBackend) -> None:
        self._backend = backend

    def write(self, content: bytes) -> None:
        self._backend.add_note(content)

    def check(self) -> None:
        self._backend.check()

    def close(self) -> None:
        pass
