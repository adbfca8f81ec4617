"""Answers from the history: what was applied when and by whom, and what a job config was then."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timezone
from itertools import islice
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError
from majobctl.job_config.fields import documented_order
from majobctl.operations.context import ConfigRepository, store_of, unknown_name
from majobctl.text import nearest, printable, quoted
from majobctl.waiting import awaiting

if TYPE_CHECKING:
    from majobctl.repository.settings.settings import Settings
    from majobctl.state.document import State
    from majobctl.state.event import Event
    from majobctl.state.history import Blame, History, HistoryFault
    from majobctl.state.store import StateStore

_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)
_FORMS = "write 2026-10-15, or 2026-10-15T09:30; times are in UTC"
_COMMANDS = ("prune", "verify")


def _history(store: StateStore, content: bytes, state: State | None) -> History:
    from majobctl.state.history import History

    late, name = store.backend.forgets_history, store.backend.history_name
    return History(content, state, name, begins_late=late)


def _opened(store: StateStore) -> tuple[History, State | None]:
    """The history, and the state as it was last written: what an apply that is under way or died
    has done since is not in it yet."""
    from majobctl.state.document import State

    with awaiting(f"Reading the history of {store.name}"):
        content = store.backend.read()
        state = None if content is None else State.load(content, store.name)
        return _history(store, store.backend.read_history(), state), state


def moment_of(text: str, option: str, *, is_end: bool = False) -> str:
    """The moment that ``text``, a date with or without a time, names, as ``2026-11-23T12:00:00Z``.
    A date alone is its first second in UTC, or its last with ``is_end``. Raises MajobctlError if it
    is not a date, or in the future."""
    try:
        if not (match := _DATE.fullmatch(text)):
            raise ValueError
        moment = datetime.fromisoformat(text.removesuffix("Z"))
        if moment.tzinfo:
            moment = moment.astimezone(timezone.utc).replace(tzinfo=None)
    except (ValueError, OverflowError):
        raise MajobctlError(f"{option}: {quoted(text)} is not a date; {_FORMS}") from None
    if (now := datetime.now(timezone.utc)) < moment.replace(tzinfo=timezone.utc):
        is_now = f"{now:%Y-%m-%d %H:%M} UTC"
        raise MajobctlError(f"{option}: {quoted(text)} is in the future; it is {is_now} now")
    if is_end and not match[1]:
        moment = datetime.combine(moment, time(23, 59, 59))
    return f"{moment.isoformat()}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Events, the newest first. ``known_since`` is the serial of the oldest state that is known, 0
    if all are; None if older events were left out. Only all events together show ``faults``."""

    events: Sequence[Event]
    known_since: int | None = None
    faults: Sequence[HistoryFault] = ()


def events_of(store: StateStore, name: str = "", limit: int = 0, since: str = "") -> Found:
    """At most ``limit`` events, 0 being all, no older than the moment ``since``; with ``name``,
    those of this job config. Raises MajobctlError for a name that neither history nor state has."""
    history, state = _opened(store)
    found = [*islice(history.events(name, since=since), limit + 1 if limit else None)]
    if 0 < limit < len(found):
        return Found(events=found[:limit])
    if name and not found:
        _check_name(name, history, state)
    faults = () if name or since else history.verify()
    return Found(events=found, known_since=history.known_since(), faults=faults)


def _check_name(name: str, history: History, state: State | None) -> None:
    known = {*(state.job_configs if state else ())}
    known |= {it for event in history.events() for it in (*event.changes, *event.held_back)}
    if name not in known:
        hint = nearest(name, known)
        if name in _COMMANDS:
            hint = f"; for the command, write `majobctl history {name}`, and its options after it"
        what = f"neither the state nor its history has a job config {quoted(printable(name))}"
        raise MajobctlError(f"{what}{hint}")


def faults_of(store: StateStore) -> Found:
    """What is wrong with the history, with the newest event alone."""
    history, _ = _opened(store)
    newest = [*history.events(limit=1)]
    return Found(events=newest, known_since=history.known_since(), faults=history.verify())


def blame_of(store: StateStore, name: str) -> tuple[int, Sequence[Blame]]:
    """The state's serial, and who set each value of a job config. Raises MajobctlError for a name
    that the state does not have."""
    history, state = _opened(store)
    if state is None or name not in state.job_configs:
        raise MajobctlError(unknown_name(name, state))
    return state.serial, sorted(history.blame(name), key=lambda it: documented_order(it.path))


def past_of(store: StateStore, at: str, name: str = "") -> tuple[State, Event | None, str]:
    """The state of a serial, or at a date; the write that made it, if that is known; and what the
    job config ``name`` was called then. Raises MajobctlError if the state is not known, or does
    not have that."""
    history, _ = _opened(store)
    is_serial = re.fullmatch(r"[0-9]{1,18}", at)
    state = history.state_at(int(at) if is_serial else moment_of(at, "--at", is_end=True))
    former, added = name, 0
    for event in history.events(name) if name else ():
        edit = event.changes.get(former) if event.counts else None
        if event.serial > state.serial and edit and edit.is_new:
            former, added = edit.old_name or former, 0 if edit.old_name else event.serial
    if name and former not in state.job_configs:
        hint = f"; serial {added} added it" if added else nearest(former, state.job_configs)
        what = f"the state of serial {state.serial} has no job config {quoted(printable(former))}"
        raise MajobctlError(what + hint)
    return state, history.event(state.serial), former


def toml_of(settings: Settings, state: State, names: Mapping[str, str]) -> str:
    """What job files would have to say, over today's ``[defaults]``, for the service to have what
    ``state`` has; ``names`` maps those of its job configs to those in the files. Raises
    MajobctlError for what no job file can say."""
    from majobctl.repository.authoring.applied import applied_table
    from majobctl.repository.authoring.generate import Defaults

    defaults = Defaults.of(settings.defaults, settings.references)
    tables = []
    for name, new_name in names.items():
        entry, masker = state.job_configs[name], state.masker(name)
        params, protects = entry.params or entry.attempted or {}, entry.prevent_delete
        table = applied_table(new_name, params, defaults, masker, prevent_delete=protects)
        if entry.pending:
            sent = "a later call has" if entry.params else "the call that sent it has"
            table = replace(table, remarks=(f"{sent} no known outcome", *table.remarks))
        tables.append(table.text())
    return "\n".join(tables)


def prune_history(
    repository: ConfigRepository, moment: str, approve: Callable[[int], bool]
) -> tuple[int, int]:
    """Replaces the records before ``moment`` by one, if ``approve``, called with their number, says
    so; returns that number, 0 if nothing was done, and the serial that is known since. Raises
    LockedError and StateError."""
    settings = repository.load_settings()
    store = store_of(settings)
    with repository.locked(settings) as locked:
        history = _history(store, store.backend.read_history(), locked.state)
        number = sum(event.at < moment for event in history.events())
        content = history.pruned(moment) if number and approve(number) else None
        if content is None:
            return 0, history.known_since()
        locked.replace_history(content)
        return number, _history(store, content, locked.state).known_since()
