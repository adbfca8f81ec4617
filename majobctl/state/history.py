"""The history of a state: one line for each write, which ``event`` describes, and what they tell.

Lines are as those of a journal, ``{"record": {...}, "sum": "..."}``. Each names the sum of the line
before, so that a changed, lost or moved line is noticed; and the versions of the state before and
after the write. Those say what led to the state of today, going back from it: a line may be of a
write that never happened, since a crash came between; of one that was undone, when somebody brought
back an older state; or of the other side of a merge. Nothing is cut off for that.

What is older than a version that no line leads to is not known: a majobctl before histories wrote
the state, or the history was lost. The first line of one that was pruned says what blame knew:

    {"after": "?", "state": "9:…", "serial", "at", "previous": "",
     "pruned": {"sum": that of the last line that it replaces, "events": [{"serial", "at", ...}],
     "origins": {NAME: [[PATH, index of an event, CAUSE]]}}}"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, tee
from typing import Any

from majobctl.errors import StateError
from majobctl.state.document import Entry, State
from majobctl.state.event import Event, undo
from majobctl.state.history_lines import Line, Lines, checked, damage_of, version_in
from majobctl.state.origins import document_of, key_of, origins_in
from majobctl.state.record import (
    BEGINNING,
    UNKNOWN,
    FieldPath,
    Fields,
    fields_of,
    serial_of,
    version_of,
)
from majobctl.state.replay import line_of
from majobctl.text import quoted

_FEW = 100
"""Names that are sought in each line before it is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blame:
    """Who set one field to its value. ``event`` is None if that is not known, and ``cause`` says
    why; of one that was pruned, it has no changes."""

    path: FieldPath
    value: Any
    event: Event | None = None
    cause: str = ""
    """The line that did it, such as ``jobs/nlp.toml:5``; "" if it is not known."""

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFault:
    """What is wrong with the line ``number``, from 1, or 0 if there are none; ``serial`` is that of
    its write, 0 if nobody can say."""

    number: int
    serial: int
    message: str


class History:
    """The history ``content``, called ``name`` in messages, of a state that is ``state`` now.
    ``begins_late``: older lines are not kept in this place. Damage raises nothing: it is passed
    over, and ``verify`` names it."""

    def __init__(
        self, content: bytes, state: State | None, name: str, *, begins_late: bool = False
    ) -> None:
        self._lines = Lines(content, version_of(state))
        self._state, self.name, self._begins_late = state, name, begins_late

    def events(self, name: str = "", limit: int | None = None, since: str = "") -> Iterator[Event]:
        """The newest first: at most ``limit``, none older than the UTC date or time ``since``, and
        with ``name`` those that changed this job config or held it back, under its names before,
        too."""
        names = {name}
        for line in self._lines.walk():
            if limit is not None and limit <= 0:
                return
            if name and not any(key_of(it) in line.raw for it in names):
                continue
            if (event := line.event) is None or line.pruned:
                continue
            if event.at < since:
                return
            edits = [event.changes[it] for it in names if it in event.changes]
            if name and not edits and not names & event.held_back.keys():
                continue
            if event.counts:
                names |= {edit.old_name for edit in edits if edit.is_new and edit.old_name}
            yield event
            limit = None if limit is None else limit - 1

    def known_since(self) -> int:
        """The serial of the oldest state that ``state_at`` knows; 0: all are known."""
        for oldest in deque(self._lines.known(), maxlen=1):
            return serial_of(oldest.state if oldest.after == UNKNOWN else oldest.after)
        return self._state.serial if self._state else 0

    def event(self, serial: int) -> Event | None:
        """The write that led to the state of this serial, if it is known."""
        lines = (it for it in self._lines.known() if serial_of(it.state) == serial)
        return next((it.event for it in lines if not it.pruned), None)

    def state_at(self, when: int | str) -> State:
        """The state of a serial, or at a UTC time such as ``2026-10-15T12:00:00Z``. Raises
        StateError if it is not known."""
        if (state := self._state) is None:
            raise StateError("there is no state yet; `majobctl apply` creates it")
        if isinstance(when, int) and when > state.serial:
            raise StateError(f"there is no serial {when} yet: the state has serial {state.serial}")
        until, serial = str(when), state.serial
        for serial, at, job_configs in self._versions(state):
            if serial <= when if isinstance(when, int) else at <= until:
                own = dict(sorted(job_configs.items()))
                return replace(state, serial=serial, job_configs=own)
        at = f"of serial {when}" if isinstance(when, int) else f"at {when}"
        raise StateError(f"the state {at} is not known: {self.name} goes back to serial {serial}")

    def _versions(self, state: State) -> Iterator[tuple[int, str, dict[str, Entry]]]:
        """The serial of each version, since when it was the state, and its entries, which change
        with the next step."""
        job_configs, serial, at = dict(state.job_configs), state.serial, UNKNOWN
        for line in self._lines.known():
            if (event := line.event) is None:
                break
            yield serial, event.at, job_configs
            if line.pruned or line.after == UNKNOWN:
                return
            undo(event, job_configs)
            serial, at = serial_of(line.after), "" if line.after == BEGINNING else UNKNOWN
        # UNKNOWN is later than every date.
        yield serial, at, job_configs

    def blame(self, name: str) -> list[Blame]:
        """Which write set each value of the job config. Raises StateError if the state does not
        have it."""
        entries = self._state.job_configs if self._state else {}
        if name not in entries:
            raise StateError(f"the state has no job config {quoted(name)}")
        fields = fields_of(entries[name].params)
        lines, followed = tee(self._lines.known())
        found = origins_in(lines, {name: fields})[name]
        why = "older than the history"
        if found.keys() != fields.keys():
            damaged = (it for it in followed if key_of(name) in it.raw and it.event is None)
            why = next((f"line {it.number} of the history is damaged" for it in damaged), why)
        return [
            Blame(path=path, value=fields[path], event=event, cause=cause)
            for path in sorted(fields)
            for event, cause in [found.get(path, (None, why))]
        ]

    def undone(self, wanted: Mapping[str, Fields]) -> Iterator[tuple[str, Event]]:
        """The job configs that get a former value of a field back with ``wanted``, each with the
        last write of that field."""
        last: dict[tuple[str, FieldPath], Event] = {}
        for line in self._lines.known():
            is_about_them = len(wanted) > _FEW or any(key_of(it) in line.raw for it in wanted)
            if not is_about_them or not (event := line.glimpse(wanted.keys())):
                continue
            for name, edit in event.changes.items():
                for item in (it for it in edit.fields if it.before != it.after):
                    origin = last.setdefault((name, item.path), event)
                    if item.path in wanted[name] and item.before == wanted[name][item.path]:
                        yield name, origin

    def pruned(self, before: str) -> bytes | None:
        """The history with one line in place of all those before the first that is not older than
        the UTC date or time ``before``; None if there are none."""
        ages = ((number, checked(raw)) for number, raw in enumerate(self._lines.all))
        cut, last = len(self._lines.all), None
        for number, found in ages:
            if found and found["record"]["at"].text() >= before:
                cut = number
                break
            last = found or last
        if last is None:
            return None
        entries, version = dict(self._state.job_configs if self._state else {}), self._lines.version
        older: Iterable[Line] = ()
        for line in (lines := self._lines.known()):
            if line.number <= cut:
                older = chain([line], lines)
                break
            if (event := line.event) is None:
                break
            undo(event, entries)
            version = line.after
        sought = {name: fields_of(entry.params) for name, entry in entries.items()}
        record = {
            "after": UNKNOWN,
            "at": last["record"]["at"].text(),
            "previous": "",
            "pruned": {"sum": last["sum"].text(), **document_of(origins_in(older, sought))},
            "serial": serial_of(version),
            "state": version,
        }
        return line_of(record, "")[0] + b"\n".join(self._lines.all[cut:])

    def verify(self) -> list[HistoryFault]:
        """The lines that are not as they were written, or not where they were."""
        faults: list[HistoryFault] = []
        sums, version = {""}, BEGINNING
        is_start = self._begins_late  # or the line before is damaged: its sum is not known
        for number, raw in enumerate(self._lines.all, 1):
            if not raw:
                continue
            message = ""
            if line := checked(raw):
                record, own = line["record"], line["sum"].text()
                version = record["state"].text()
                if own in sums:
                    message = "it is there twice"
                elif record["previous"].text() not in sums and not is_start:
                    message = "the line before it is missing, or was moved"
                if pruned := record.get("pruned"):
                    sums.add(pruned["sum"].text())
                sums.add(own)
            else:
                version, message = version_in(raw), damage_of(raw)
            is_start = line is None
            if message:
                serial = serial_of(version)
                faults.append(HistoryFault(number=number, serial=serial, message=message))
        if self._state and not faults and not self._lines.has_version:
            message, serial = "the line of the last write is missing", self._state.serial
            if not any(self._lines.all):
                number, message = 0, "it has no records, not even of the last write"
            faults.append(HistoryFault(number=number, serial=serial, message=message))
        return faults
