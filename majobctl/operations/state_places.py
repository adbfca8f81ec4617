"""Where the state is: checks that its place keeps it, and moves it to another one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from majobctl.errors import ConfigError, MajobctlError, Problem, StateError
from majobctl.operations import context
from majobctl.operations.context import ConfigRepository, RepositoryOrPath, store_of
from majobctl.repository.settings import environments
from majobctl.repository.settings.keys import SETTINGS, Kind
from majobctl.repository.settings.settings import Settings, read_settings
from majobctl.repository.settings.state_place import OWN, places
from majobctl.repository.toml.file import TomlFile
from majobctl.state.document import MovedError, State, mark_of
from majobctl.text import counted, printable
from majobctl.waiting import awaiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A state that is at another place now; ``lines`` are those of majobctl.toml that name it."""

    place: str
    serial: int
    lines: str


def check_state(repository: RepositoryOrPath) -> Iterator[tuple[str, str]]:
    """Says of the state's place what it is, what it has and that it keeps its word, as far as it
    can be used; then raises StateError, or LockedError if somebody has the lock."""
    repository = context.as_repository(repository)
    settings = repository.load_settings()
    store = store_of(settings)
    yield "Place", f"{store.name} (backend {settings.values['state']['backend']})"
    state = store.read()
    context.check_target(state, settings)
    number = counted(len(state.job_configs), "job config") if state else ""
    yield "State", f"serial {state.serial}, {number}" if state else "none yet"
    seen = store.backend.holder()
    yield "Lock", f"{'may be held' if seen.doubt else 'held'} by {seen}" if seen else "free"
    with store.backend.lock(repository.command, repository.lock_timeout, repository.warn):
        with awaiting(f"Proving {store.name}"):
            proof = store.backend.prove()
        yield "Proof", proof


def move_state(repository: RepositoryOrPath, backend: str, keys: Mapping[str, str]) -> Move:
    """Moves the state to ``backend``, whose settings ``keys`` has as text, and leaves a mark in its
    old place. A move that was interrupted goes on. Raises ConfigError for wrong settings,
    StateError, LockedError and MajobctlError."""
    repository = context.as_repository(repository)
    settings = repository.load_settings()
    table = {"backend": backend, **{key: _value(key, text) for key, text in keys.items()}}
    there = _checked(repository, settings, table)
    old, new, lines = store_of(settings), store_of(there), _lines(there, table)
    if old.backend.place == new.backend.place:
        old.read()  # raises MovedError if it was moved from there
        raise MajobctlError(f"the state is in {old.name} already; nothing was done")
    try:
        with repository.locked(settings) as here:
            if (state := here.state) is None:
                reason = f"there is no state in {old.name} yet; to begin one in {new.name}"
                raise MajobctlError(f"{reason}, set this in majobctl.toml:\n{lines}")
            context.check_target(state, settings)
            with _copied(repository, state, there, here.read_history()):
                here.leave(mark_of(state, new.name, lines))
    except MovedError as error:
        state = new.read() if error.to == new.name else None
        if state is None or state.lineage != error.lineage:
            raise
    return Move(place=new.name, serial=state.serial, lines=lines)


def _checked(
    repository: ConfigRepository, settings: Settings, table: Mapping[str, object]
) -> Settings:
    """The settings as they will be. Raises ConfigError."""
    file, name, root = settings.file.plain, settings.environment, settings.root
    own = environments.environments_of(file)
    above: dict[str, object] = {"state": table}
    if name:
        above = {environments.TABLE: {**own, name: {**own[name], **above}}}
    changed = TomlFile(file.name, "", {**file.data, **above})

    def place(file: TomlFile, name: str) -> list[str]:
        overrides = replace(settings.overrides, environment=name)
        return places(read_settings(root, overrides, file)[0].values["state"], root)

    if others := [it for it in own if it != name and place(file, it) != place(changed, it)]:
        reason = f"this changes where other environments look, too: {', '.join(others)}"
        repository.warn(f"{reason}; first move their states: majobctl state move -e NAME ...")
    there, problems = read_settings(root, settings.overrides, changed)
    if problems:
        raise ConfigError(Problem(where=it.where, message=it.message) for it in problems)
    return there


@contextmanager
def _copied(
    repository: ConfigRepository, state: State, there: Settings, history: bytes
) -> Iterator[None]:
    """Writes ``state``, with its ``history``, to a place that has none, or has this one already,
    and reads it back; the place stays locked."""
    store, content, has_mark = store_of(there), state.dump(), False
    try:
        store.read()
    except MovedError as error:
        has_mark = error.lineage == state.lineage  # it moves back
    with repository.locked(there, instead=state, force=has_mark) as copy:
        if copy.state is None:
            copy.move_here(state, history)
        elif copy.state.dump() != content:
            raise StateError(
                f"{store.name} has another state already: serial {copy.state.serial}, lineage"
                f" {printable(copy.state.lineage)}\nnothing was moved; choose a place without one"
            )
        found = store_of(there).read()
        if found is None or found.dump() != content:
            raise StateError(f"{store.name} does not keep what was written\nnothing was moved")
        yield


def _value(key: str, text: str) -> object:
    setting = SETTINGS["state"].get(key)
    if setting and setting.kind is Kind.COUNT and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    is_flag = setting and setting.kind is Kind.FLAG and text in ("true", "false")
    return text == "true" if is_flag else text


def _lines(settings: Settings, table: Mapping[str, object]) -> str:
    name, state = settings.environment, settings.values["state"]
    if name:
        # By default, its place would follow that of the other settings.
        table = {**table, (key := OWN[state["backend"]]): state[key]}
    header = f"[{environments.TABLE}.{name}.state]" if name else "[state]"
    values = (f"{key} = {json.dumps(it, ensure_ascii=False)}" for key, it in table.items())
    return "\n".join([header, *values])
