"""A state that a team shares, as a log of numbered records that never change.

Lock, lease, journal and state are records of one log, and a store does one thing: it adds record
*n* unless that is there. So whoever finds *n + 1* taken by somebody else knows that it was
overtaken, and cannot write, whatever it believes of the time. The time only decides when others may
take over: when the holder's last record is older than its lease. Before a call, the holder makes
sure that its last record is younger, so that nobody has taken over yet.

An add whose answer is lost is repeated: if the record is there by then, its content says whose it
is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import (
    Holder,
    NotKeptError,
    OvertakenError,
    Seen,
    Warn,
    records,
    unheard,
)
from majobctl.state.backends.lease import SURE, Clock, Heartbeat, Moment, is_within
from majobctl.state.backends.lock import this_process
from majobctl.state.backends.reader import PATIENCE, PRUNED_AFTER, LogReader, Newest
from majobctl.state.backends.records import Record, following
from majobctl.state.backends.stores import Store
from majobctl.text import printable, utc_now

_TRIES = 3
_MOST_LINES, _MOST_BYTES = 100, 2**16
"""Of the history, in the head of a state: what is more goes into a record of its own."""
_LARGE = 2**20
"""A record of the history that is left as it is; a smaller one is replaced by a larger one."""


class LogBackend:
    """A state in the log of ``store``. ``lease`` is in seconds, ``keep`` a number of states."""

    option = ""

    def __init__(
        self, store: Store, *, lease: float = 60, keep: int = 100, clock: Clock | None = None
    ) -> None:
        self.name = self.place = store.name
        self.journal_name = f"the journal of {store.name}"
        self.history_name, self.forgets_history = f"the history of {store.name}", False
        self.unlocked = (
            "; if it still runs, it cannot write any more, and starts no further call once it"
            f" notices, within {lease / 4:g} seconds"
        )
        self._store, self._lease, self._keep = store, lease, keep
        self._clock = clock or Clock()
        self._reader = LogReader(store, self._clock)
        self._seen = Newest()  # when the state was last read
        # While the lock is held:
        self._mutex = threading.RLock()
        self._epoch = 0  # the number of its open
        self._tail: list[Record] = []  # the last state, and what follows it
        self._sure_since: Moment = (0.0, 0.0)  # when its last record was begun
        self._overtaken: OvertakenError | None = None

    @property
    def copies(self) -> str:
        return (
            f"an earlier record of {self.name} has one after its first line; then"
            f" majobctl state push{self.option} --force FILE"
        )

    def read(self) -> bytes | None:
        return records.state_of(self._records())

    def read_journal(self) -> bytes | None:
        return records.journal_of(self._records())

    def snapshot(self) -> tuple[bytes | None, bytes | None]:
        tail = self._records()
        return records.journal_of(tail), records.state_of(tail)

    def _records(self) -> list[Record]:
        with self._mutex:
            if self._epoch:
                return self._tail
            self._seen = self._reader.newest()
            return self._reader.tail(self._seen)

    def holder(self) -> Seen | None:
        last = self._seen.last
        if last is None or self._may_open(self._seen):
            return None
        opened, at = self._reader.fetch(last.epoch), str(last.head.get("at", ""))
        if self._seen.has_clock or at > utc_now(min(opened.lease, 86_400)):
            return Seen(opened.holder)
        doubt = f"its last sign of life was at {printable(at)}, by its own clock"
        return Seen(opened.holder, doubt)

    def read_history(self) -> bytes:
        is_read = self._seen.last and not self._epoch
        tail = self._reader.tail(self._seen) if is_read else self._records()
        before = self._reader.fetch_usable(records.histories_of(tail))
        return b"".join([*(it.body for it in before), records.end_of_history(tail)])

    def end_of_history(self) -> bytes:
        tail = self._records()
        before = self._reader.fetch_usable(records.histories_of(tail)[-1:])
        return b"".join([*(it.body for it in before), records.end_of_history(tail)])

    def replace_history(self, content: bytes) -> None:
        with self._mutex:
            self._write(self._tail[0].body, content, [])

    def write(self, content: bytes, lines: bytes = b"") -> None:
        with self._mutex:
            before = records.end_of_history(self._tail), records.histories_of(self._tail)
            self._write(content, before[0] + lines, before[1])

    def _write(self, content: bytes, lines: bytes, histories: list[int]) -> None:
        """Adds a state, with ``lines`` after those of ``histories``."""
        if len(lines) > _MOST_BYTES or lines.count(b"\n") > _MOST_LINES:
            lines, histories = b"", self._put_away(lines, histories)
        last, number = self._tail[0], self._tail[-1].number + 1
        before = last.head["states"] if last.kind == "state" else []
        kept = [*before, number][-self._keep :]
        about = {**records.about_state(content), "states": kept}
        about |= {"lines": lines.decode(errors="replace"), "histories": histories}
        self._add("state", content, **about, by=this_process("").user)
        if len(kept) == self._keep:
            # A state is kept without the right to remove the old ones, too.
            with suppress(StateError, ConnectionError):
                self._prune(min(*kept, self._epoch), histories)

    def _put_away(self, lines: bytes, histories: list[int]) -> list[int]:
        """Adds a record of ``lines``, with those of the last such record unless that is large."""
        others = histories
        for last in self._reader.fetch_usable(histories[-1:]):
            if len(last.body) < _LARGE:
                lines, others = last.body + lines, histories[:-1]
        self._add("history", lines)
        return [*others, self._tail[-1].number]

    def _prune(self, before: int, histories: Collection[int]) -> None:
        ages = self._store.numbers()
        # Without ages, a reader has all that it saw at once, and nothing is read later.
        old = [it for it, age in ages if it < before and (age is None or age > PRUNED_AFTER)]
        if old := [it for it in old if it not in histories]:
            self._store.prune(old)

    def open_journal(self) -> NoteFile:
        self.remove_journal()
        return NoteFile(self.add_note, self.check)

    def add_note(self, content: bytes) -> None:
        self._add("note", content)

    def remove_journal(self) -> None:
        with self._mutex:
            if records.journal_of(self._tail) is not None:
                self._add("drop")

    def check(self) -> None:
        """Returns if nobody can have taken over. Raises OSError."""
        for _ in range(_TRIES):
            if self._overtaken:
                raise self._overtaken
            if self._is_sure():
                return
            with self._mutex:  # one beat is enough for all who wait
                if not self._is_sure():
                    self._add("beat")
        raise TimeoutError(f"{self.name} is too slow for a lease of {self._lease:g} seconds")

    def _is_sure(self) -> bool:
        return is_within(self._lease * SURE, self._sure_since, self._clock.now())

    @contextmanager
    def lock(self, command: str, timeout: float = 0, warn: Warn = unheard) -> Iterator[Holder]:
        holder, heartbeat = this_process(command), None
        if expired := self._open(holder, timeout):
            warn(
                f"{self.name}: took over the lock of {expired}: it gave no sign of life for longer"
                " than its lease"
            )
        try:
            if records.state_of(self._tail) is None:
                self.prove()
            heartbeat = Heartbeat(self._beat, self._lease / 4)
            yield holder
        finally:
            if heartbeat:
                heartbeat.end()
            # What was done under the lock must be reported; the lease ends by itself, too.
            with suppress(OSError):
                self._add("close", patience=PATIENCE, holder=asdict(holder))
            self._epoch, self._overtaken, self._seen = 0, None, Newest()

    def unlock(self, holder_id: str) -> Holder:
        by = asdict(this_process("majobctl unlock"))
        start = self._clock.now()
        last = self._reader.newest().last
        while last is not None and last.kind != "close":
            holder = self._reader.fetch(last.epoch).holder
            if holder.id != holder_id:
                raise StateError(f"the lock of {self.name} has the ID {holder.id}: {holder}")
            record = following(last, "close", holder=by)
            last = self._reader.ask(partial(self._reader.put, record, start, 0))
            if last is record:
                return holder
        raise StateError(f"{self.name} is not locked")

    def _open(self, holder: Holder, timeout: float) -> Holder | None:
        """Takes the lock; returns its last holder if that let its lease expire."""
        start, pause, newest = self._clock.now(), 0.1, self._seen
        # If somebody added a record since the state was read, ours is refused. What is much older
        # may be pruned by now.
        if not is_within(self._lease, newest.asked, start):
            newest = self._reader.newest()
        while not self._may_open(newest) or not self._take(newest, holder):
            if not self._may_open(newest):
                left = start[0] + timeout - self._clock.now()[0]
                if left <= 0:
                    raise self._locked(newest)
                self._clock.sleep(min(pause, left))
                pause = min(1.5 * pause, 5, self._lease / 10)
            newest = self._reader.newest(newest)
        last = newest.last
        return self._reader.fetch(last.epoch).holder if last and last.kind != "close" else None

    def _may_open(self, newest: Newest) -> bool:
        last = newest.last
        if last is None or last.kind == "close":
            return True
        return newest.silent > self._reader.fetch(last.epoch).lease

    def _take(self, newest: Newest, holder: Holder) -> bool:
        tail, start = self._reader.tail(newest), self._clock.now()
        record = following(newest.last, "open", holder=asdict(holder), lease=self._lease)
        put = partial(self._reader.put, record, newest.asked, 0)
        if self._reader.ask(put) is not record:
            return False
        self._epoch, self._sure_since, self._tail = record.number, start, [*tail, record]
        return True

    def _locked(self, newest: Newest) -> LockedError:
        assert newest.last is not None
        opened = self._reader.fetch(newest.last.epoch)
        left = max(1, round(opened.lease - newest.silent))
        return LockedError(
            f"{self.name} is locked by {opened.holder}\n"
            f"wait for it, with --lock-timeout SECONDS: in {left} seconds it is taken over, unless"
            f" it gives a sign of life; or stop it: majobctl unlock{self.option}"
            f" {opened.holder.id}"
        )

    def prove(self) -> str:
        from majobctl.state.backends.race import WRITERS, race

        with self._mutex:
            beat = following(self._tail[-1], "beat")
            contents = self._reader.ask(partial(race, self._store, beat))
            for number, content in enumerate(contents, beat.number):
                self._append(records.load(number, content, self.name))
        return f"{WRITERS} writers at once, {len(contents)} times: one got in each time"

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
        """Adds a record of this epoch. Raises OSError, as a place of bytes does."""
        seconds = SURE * self._lease if patience is None else patience
        with self._mutex:
            while not self._overtaken:
                record, start = following(self._tail[-1], kind, body, **about), self._clock.now()
                try:
                    found = self._reader.put(record, self._sure_since, seconds)
                except StateError as error:
                    raise NotKeptError(str(error)) from error
                self._append(found)
                if found is record:
                    self._sure_since = start
                    return
            raise self._overtaken

    def _append(self, record: Record) -> None:
        """Takes in what is at the next number: a record of its own, perhaps an earlier one that
        seemed to be lost, or the one that ends its epoch."""
        mine = self._tail[-1]
        is_own = (record.epoch, record.lock) == (mine.epoch, mine.lock)
        if is_own and record.kind != "close":
            if record.kind == "state":
                self._tail.clear()
            self._tail.append(record)
            return
        verb = "freed" if is_own else "taken over"
        who = record.holder if record.kind in ("open", "close") else "another process"
        self._overtaken = OvertakenError(f"the lock of {self.name} was {verb} by {who}")


class NoteFile:
    """The journal of a run, as notes in a shared state."""

    def __init__(
        self,
        write: Callable[[bytes], None],
        check: Callable[[], None],
        pause: Callable[[], float] = lambda: 0,
    ) -> None:
        self.write, self.check, self.pause = write, check, pause

    def close(self) -> None:
        pass
