"""The journal of an apply: intents and outcomes, appended and flushed, merged into the state.

One JSON line a record, ``{"record": {...}, "sum": "..."}``; each sum covers the line and the sum
before it, so that a line that is changed, lost or moved shows. The first record says which state
the journal continues. The cost of a record does not depend on the number of job configs.

    {"begin": 1, "lineage", "serial", "salt", "target"}   the state it continues
    {"intent": NAME, "params": {...}}                     a call is about to be sent
    {"done": NAME, "at": "2026-11-23T12:00:00Z"}          the service acknowledged it
    {"refused": NAME}                                     the service refused it
    {"forget": NAME}                                      no longer kept in the state
    {"known": NAME, "params": {...}, "at": "..."}         the service has it: no call was needed

``"prevent_delete": true`` stands in an intent, and in what is known, of such a job config. An
intent that nothing follows means that the call's outcome is unknown.
"""

from __future__ import annotations

import errno
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from majobctl.errors import StateError
from majobctl.state.document import Entry, State, target_of
from majobctl.text import printable, utc_now

VERSION = 1
Record = Mapping[str, Any]


class JournalFile(Protocol):
    """Where a journal's bytes go; ``write`` returns when they are safe on disk."""

    def write(self, content: bytes) -> None: ...

    def close(self) -> None: ...


class Journal:
    """Records of one run, written by many threads. Threads that wait at once share one flush."""

    def __init__(self, file: JournalFile, state: State) -> None:
        self._file = file
        self._state = state
        self._records: list[Record] = []
        self._sum = ""
        self._waiting: list[bytes] = []
        self._added = 0
        self._flushed = 0
        self._is_flushing = False
        self._failure: OSError | None = None
        self._changed = threading.Condition()
        target = state.target.document()
        self._add(
            {
                "begin": VERSION,
                "lineage": state.lineage,
                "serial": state.serial,
                "salt": state.salt,
                "target": target,
            }
        )
        self.flush()

    def intend(self, name: str, params: Mapping[str, Any], *, prevent_delete: bool = False) -> None:
        """To be called before a call is sent: on disk when this returns, with all that was recorded
        before it. Raises OSError where it cannot be kept; the call must then not be sent."""
        record = {"intent": name, "params": params, **_protected(prevent_delete)}
        self._add(record)
        try:
            self.flush()
        except OSError:
            with self._changed:
                self._records = [kept for kept in self._records if kept is not record]
            raise

    def record_done(self, name: str) -> None:
        """The service took what was intended. Each outcome is on disk with the next intent, or when
        ``flush`` returns."""
        self._add({"done": name, "at": utc_now()})

    def record_known(
        self, name: str, params: Mapping[str, Any], *, prevent_delete: bool = False
    ) -> None:
        """What the service has already."""
        record = {"known": name, "params": params, "at": utc_now()}
        self._add({**record, **_protected(prevent_delete)})

    def record_refused(self, name: str) -> None:
        """The service did not take what was intended."""
        self._add({"refused": name})

    def record_forgotten(self, name: str) -> None:
        """It leaves the state."""
        self._add({"forget": name})

    def outcome(self) -> State:
        """The state after all records, those too that could not be kept on disk."""
        with self._changed:
            return _merged(self._state, self._records[1:], "the journal")

    def close(self) -> None:
        self._file.close()

    def flush(self) -> None:
        """Returns when all that was recorded is on disk. Raises OSError where it cannot be kept."""
        with self._changed:
            mine = self._added
            while self._is_flushing and self._flushed < mine and self._failure is None:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            if self._flushed >= mine:
                return
            content, self._waiting = b"".join(self._waiting), []
            upto = self._added
            self._is_flushing = True
        self._flush(content, upto)

    def _add(self, record: Record) -> None:
        with self._changed:
            self._records.append(record)
            line, self._sum = _line(record, self._sum)
            self._waiting.append(line)
            self._added += 1

    def _flush(self, content: bytes, upto: int) -> None:
        failure: OSError | None = OSError(errno.EIO, "the write was broken off")
        try:
            self._file.write(content)
            failure = None
        except OSError as error:
            failure = error
        finally:
            with self._changed:
                self._is_flushing = False
                self._flushed = upto
                self._failure = failure
                self._changed.notify_all()
        if failure is not None:
            raise failure


def _protected(prevent_delete: bool) -> dict[str, bool]:
    return {"prevent_delete": True} if prevent_delete else {}


def _line(record: Record, previous: str) -> tuple[bytes, str]:
    import hashlib

    content = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    checksum = hashlib.sha256(f"{previous}\n{content}".encode()).hexdigest()[:16]
    return f'{{"record":{content},"sum":"{checksum}"}}\n'.encode(), checksum


def replayed(state: State | None, content: bytes, name: str) -> State | None:
    """``state`` after the records of the journal ``content``, kept in the file ``name``.

    A journal that was merged before changes nothing; one that holds no change neither. A last
    line that is cut short is a crash, not damage. Raises StateError for damage elsewhere, and for
    the journal of another state.
    """
    records, last_sum = _records(content, name)
    if not records:
        return state
    begin = _checked_begin(records[0], name)
    if state is None:
        if begin["serial"] != 0:
            raise StateError(
                f"{name} continues a state with serial {begin['serial']}, but the state file is"
                " missing\nbring the state back (its .backup, or a copy) beside the journal"
            )
        target = target_of(begin["target"], name)
        state = State(begin["lineage"], 0, target, {}, begin["salt"])
        merged = _merged(state, records[1:], name)
        return replace(merged, merged=last_sum) if merged.serial else None
    if begin["lineage"] != state.lineage or begin["serial"] > state.serial:
        raise StateError(
            f"{name} continues another state (serial {begin['serial']}, lineage"
            f" {printable(str(begin['lineage']))}) than the one beside it (serial {state.serial},"
            f" lineage {printable(state.lineage)})\n"
            "bring back the state it belongs to, or move the journal away if its changes are known"
        )
    merged = _merged(state, records[1:], name)
    if merged is state:
        return state
    if begin["serial"] == state.serial:
        return replace(merged, merged=last_sum)
    if state.merged != last_sum:
        raise StateError(
            f"{name} continues serial {begin['serial']} of the state, which has serial"
            f" {state.serial} now and never took it in\n"
            "the state was replaced meanwhile: bring back the one before, or move the journal away"
            " if its changes are known"
        )
    return state


def last_sum_of(content: bytes, name: str) -> str:
    """The sum of the last whole line; raises as ``replayed``."""
    return _records(content, name)[1]


def _records(content: bytes, name: str) -> tuple[list[Record], str]:
    *whole, torn = content.split(b"\n")
    records: list[Record] = []
    previous = ""
    for number, raw in enumerate(whole, 1):
        record, stated = _checked_record(raw, previous)
        if record is not None:
            records.append(record)
            previous = stated
        elif number == len(whole) and not torn:
            break
        else:
            raise StateError(
                f"{name}:{number}: the journal is damaged; it was left untouched\n"
                "it holds what an interrupted apply did: keep a copy, cut it before this line,"
                " and let `majobctl plan` show what is left to do"
            )
    return records, previous


def _checked_record(raw: bytes, previous: str) -> tuple[Record | None, str]:
    """The record of a line and its sum; None where they do not fit each other, or ``previous``."""
    try:
        line = json.loads(raw.decode())
        record, stated = line["record"], line["sum"]
        fits = isinstance(record, dict) and _line(record, previous) == (raw + b"\n", stated)
    except (ValueError, RecursionError, KeyError, TypeError):
        # A UnicodeError is a ValueError, too: half of a surrogate pair has no bytes.
        return None, ""
    return (record, stated) if fits else (None, "")


def _checked_begin(record: Record, name: str) -> Record:
    serial, lineage = record.get("serial"), record.get("lineage")
    if record.get("begin") != VERSION or not isinstance(serial, int):
        raise StateError(
            f"{name}:1: this majobctl does not know this journal; use the majobctl that wrote it"
        )
    target_of(record.get("target"), name)
    salt = str(record.get("salt", ""))
    return {"serial": serial, "lineage": str(lineage), "salt": salt, "target": record["target"]}


def _merged(state: State, records: list[Record], name: str) -> State:
    entries = dict(state.job_configs)
    intents: dict[str, Record] = {}
    for number, record in enumerate(records, 2):
        protected = record.get("prevent_delete") is True
        match record:
            case {"intent": str(key), "params": dict()}:
                intents[key] = record
            case {"done": str(key), "at": str(at)} if key in intents:
                sent = intents.pop(key)
                protected = sent.get("prevent_delete") is True
                entries[key] = Entry(sent["params"], at, prevent_delete=protected)
            case {"known": str(key), "params": dict(params), "at": str(at)}:
                entries[key] = Entry(params, at, prevent_delete=protected)
            case {"refused": str(key)}:
                sent = intents.pop(key, {})
                if sent.get("prevent_delete") is True and key in entries:
                    # It was wished for, whatever became of the rest.
                    entries[key] = replace(entries[key], prevent_delete=True)
            case {"forget": str(key)}:
                intents.pop(key, None)
                entries.pop(key, None)
            case _:
                raise StateError(f"{name}:{number}: a record that this majobctl does not know")
    for key, sent in intents.items():
        before = entries.get(key, Entry({}, ""))
        # What an earlier call of unknown outcome sent may be there as well.
        attempted = {**(before.attempted or {}), **sent["params"]}
        protected = before.prevent_delete or sent.get("prevent_delete") is True
        entries[key] = Entry(before.params, before.applied_at, True, attempted, protected)
    if entries == dict(state.job_configs):
        return state
    return state.changed(dict(sorted(entries.items())))
