"""The journal of an apply: intents and outcomes, appended and flushed, merged into the state.

An apply may die at any moment, between any two instructions: a killed process, a power cut, a full
disk. The state must still say the truth about each call. Writing the complete state after each call
would be safe, but would cost more with each job config; a journal costs the same for every record.
An intent is on disk before its call is sent, because a call whose outcome was never recorded may
have been carried out: the next plan sends it again, and until then nobody claims to know. All
intents of a round are one record, since a write may take longer than a call. So a crash leaves what
was never begun, too; nobody can tell, and the guard reads each before it is sent again. Outcomes
are written together, while calls go on: if one is lost, its intent is left, which is still true.

One JSON line a record, ``{"record": {...}, "sum": "..."}``. Each sum covers the record and the sum
before it, so that a changed, lost or moved line is noticed. A last line that is cut short is what a
crash leaves, and counts as never written. The first record says which state the journal continues.

    {"begin": 1, "lineage", "serial", "salt", "target", "about"}   the state it continues
    {"intents": {NAME: {"params": {...}}}}                calls that are about to be sent
    {"unsent": [NAME, ...], "held_back": {NAME: [FIELD]}} those of them that were never begun
    {"intent": NAME, "params": {...}}                     one intent, in journals until 0.1
    {"done": NAME, "at": "2026-11-23T12:00:00Z"}          the service acknowledged it
    {"refused": NAME}                                     the service refused it
    {"forget": NAME}                                      no longer kept in the state
    {"known": NAME, "params": {...}, "at": "..."}         the service has it: no call was needed

``"prevent_delete": true`` is added to an intent, and to what is known, of such a job config. An
intent that no outcome follows means that the outcome of the call is unknown.

The rest is for the history, whoever merges the journal. ``about`` is who applies, from which
commit. Beside ``params`` are ``"causes": {FIELD: "jobs/nlp.toml:5"}``, or ``*`` in place of all
fields, and ``"from"``, the old name; beside ``done`` is ``"overwrote": {FIELD: VALUE}``."""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from majobctl.errors import StateError
from majobctl.state.document import State
from majobctl.state.record import About, Notes
from majobctl.state.replay import VERSION, Record, last_sum_of, line_of, merged_with, notes_of
from majobctl.text import utc_now
from majobctl.waiting import awaiting

_MAX_WAITING = 100  # outcomes that no flush has taken while calls go on; so many wait no longer


class JournalFile(Protocol):
    """Where a journal's bytes go. ``write``, by one thread at a time, returns when they are safe on
    disk; ``check``, by many, also meanwhile, if they and the lock are certainly still ours. Both
    raise OSError. ``pause`` is for how many seconds the next write should wait for others to come,
    where each one costs."""

    def pause(self) -> float: ...

    def write(self, content: bytes) -> None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


class Journal:
    """The records of one run, which begins with ``intents``; many threads add to them."""

    def __init__(
        self,
        file: JournalFile,
        state: State,
        intents: Mapping[str, Record] | None = None,
        about: About | None = None,
    ) -> None:
        self._file = file
        self._state = state
        self._records: list[Record] = []
        self._sums = [""]
        self._waiting: list[bytes] = []
        self._intents: dict[str, Record] = {}  # without an outcome
        self._flushed = 0
        self._is_flushing = self._is_hurried = False
        self.failure: OSError | None = None
        self._changed = threading.Condition()
        begin: dict[str, Any] = {"begin": VERSION, "lineage": state.lineage}
        begin["serial"] = state.serial
        begin |= {"salt": state.salt, "target": state.target.document()}
        self._add({**begin, **({"about": about.document()} if about else {})})
        self.intend_all(intents or {})

    def intend_all(self, intents: Mapping[str, Record]) -> None:
        """Records by name what is about to be sent, as ``intent`` makes it. When this returns, it
        is on disk, with everything recorded before. Raises OSError if not: send nothing of it."""
        if new := {name: intents[name] for name in intents if name not in self._intents}:
            self._intents |= new
            self._add({"intents": new})
        self.hurry()
        self.flush()
        self._is_hurried = False

    def hurry(self) -> None:
        """Few outcomes are still to come: until the next intents, none waits for others."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()

    def check(self) -> None:
        """Call this right before a call. Raises OSError if the journal or the lock may be lost."""
        if len(self._waiting) >= _MAX_WAITING:
            self.flush()
        try:
            self._file.check()
        except OSError as error:
            with self._changed:
                self.failure = self.failure or error
                self._changed.notify_all()
        if self.failure is not None:
            raise self.failure

    def record_unsent(
        self, sent: Collection[str], held_back: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """No call was begun for what was intended and has no outcome, but for those of ``sent``;
        for some, because of the fields in ``held_back``."""
        if unsent := sorted(self._intents.keys() - set(sent)):
            why = {"held_back": held_back} if held_back else {}
            self._add({"unsent": unsent, **why}, *unsent)

    def record_done(self, name: str, overwrote: Mapping[str, Any] | None = None) -> None:
        """The service accepted what was intended, instead of what it had at some fields. An outcome
        is on disk when ``flush`` returns."""
        undid = {"overwrote": overwrote} if overwrote else {}
        self._add({"done": name, "at": utc_now(), **undid}, name)

    def record_known(self, name: str, found: Record) -> None:
        """The service has ``found``, as ``intent`` makes it: no call was needed."""
        self._add({"known": name, "at": utc_now(), **found}, name)

    def record_refused(self, name: str) -> None:
        self._add({"refused": name}, name)

    def record_forgotten(self, name: str) -> None:
        self._add({"forget": name}, name)

    def outcome(self, kept: int = 0) -> State:
        """The state after all records, of which the first ``kept`` are on disk."""
        with self._changed:
            after = merged_with(self._state, self._records[1:], "the journal")
            merged = self._sums[kept] or after.merged
            return after if after is self._state else replace(after, merged=merged)

    def notes(self) -> Notes:
        """What the history is to know of the changes."""
        with self._changed:
            return notes_of(self._records)

    def outcomes(self, kept: int = 0) -> list[str]:
        """The names of those with an outcome after the first ``kept`` records."""
        kinds, records = ("done", "known", "refused", "forget"), self._records[kept:]
        return [str(record[it]) for record in records for it in kinds if it in record]

    def kept(self, content: bytes, name: str) -> tuple[int, bool]:
        """How many records the file ``name``, with ``content``, has, and if that is all. Raises
        StateError if it is not the beginning of this journal."""
        found = last_sum_of(content, name)
        if found not in self._sums:
            raise StateError(f"{name} is another journal")
        kept = self._sums.index(found)
        return kept, kept == len(self._sums) - 1 and self.failure is None

    def close(self) -> None:
        self._file.close()

    def flush(self) -> None:
        """Returns when all records are on disk. Raises OSError if they cannot be written."""
        with self._changed:
            mine = len(self._sums)
            while self._is_flushing and self._flushed < mine and self.failure is None:
                self._changed.wait()
            if self.failure is not None:
                raise self.failure
            if self._flushed >= mine:
                return
            self._is_flushing = True
        self._flush()

    def _add(self, record: Record, *ended: str) -> None:
        with self._changed:
            for name in ended:
                self._intents.pop(name, None)
            self._records.append(record)
            line, checksum = line_of(record, self._sums[-1])
            self._sums.append(checksum)
            self._waiting.append(line)
            if len(self._waiting) == _MAX_WAITING:
                self._changed.notify_all()

    def _flush(self) -> None:
        failure: OSError | None = OSError(errno.EIO, "the write was interrupted")
        upto = self._flushed
        try:
            with awaiting("Writing the journal"):
                with self._changed:
                    self._changed.wait_for(self._is_due, self._file.pause())
                    if self.failure is not None:
                        raise self.failure
                    content, self._waiting = b"".join(self._waiting), []
                    upto = len(self._sums)
                self._file.write(content)
            failure = None
        except OSError as error:
            failure = error
        finally:
            with self._changed:
                self._is_flushing, self._flushed = False, upto
                self.failure = self.failure or failure
                self._changed.notify_all()
        if failure is not None:
            raise failure

    def _is_due(self) -> bool:
        is_full = len(self._waiting) >= _MAX_WAITING
        return self._is_hurried or is_full or self.failure is not None


def intent(
    params: Mapping[str, Any],
    *,
    prevent_delete: bool = False,
    causes: Mapping[str, str] | None = None,
    old_name: str = "",
) -> Record:
    """What is about to be sent for one job config, and by which lines of the files."""
    own = {"prevent_delete": prevent_delete, "causes": causes, "from": old_name}
    return {"params": params, **{key: value for key, value in own.items() if value}}
