"""Takes configurations that the service has into the state, and writes TOML for those that no file
describes. It sends nothing, and prints nothing.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePath

from majobctl.errors import ConfigError, MajobctlError, StateError
from majobctl.job_config.fields import name_violation
from majobctl.job_config.live import LiveConfig
from majobctl.operations.context import target_of
from majobctl.repository.authoring.generate import (
    Defaults,
    JobTable,
    comment,
    reason_against,
    table_of,
)
from majobctl.repository.authoring.new_files import SINGLE_STEM, NewFiles, Place
from majobctl.repository.config import Config, load_config
from majobctl.repository.settings.settings import FILE_NAME, Settings
from majobctl.state.document import Entry, State, secret_places
from majobctl.state.store import LockedState, StateStore
from majobctl.text import nearest, quoted

_UNDONE = "nothing was imported, and no new file is left"


@dataclass(frozen=True, slots=True)
class Sorted:
    """The configurations that were asked for, by what is to become of them. All in name order."""

    passed_over: tuple[str, ...]
    """In the state, and described by a file."""
    left_out: Mapping[str, str]
    """Names with the reason."""
    wanted: tuple[str, ...]
    """To be read."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. ``written`` leads from names to files, ``serial`` is the state's."""

    imported: tuple[str, ...]
    written: Mapping[str, str]
    differing: tuple[str, ...]
    """Those of the imported that a file describes otherwise than they are."""
    passed_over: tuple[str, ...]
    left_out: Mapping[str, str]
    serial: int
    warnings: tuple[str, ...]


def chosen_names(existing: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """Those of ``existing`` that are in ``wanted`` or match a glob in it, in the same order.

    Raises MajobctlError where a plain name does not exist.
    """
    known = frozenset(existing)
    chosen: set[str] = set()
    missing = []
    for name in wanted:
        if is_glob(name):
            chosen.update(item for item in existing if fnmatch.fnmatchcase(item, name))
        elif name in known:
            chosen.add(name)
        else:
            missing.append(f"the service has no configuration {quoted(name)}{nearest(name, known)}")
    if missing:
        raise MajobctlError("\n".join([*missing, "nothing was imported"]))
    return [name for name in existing if name in chosen]


def is_glob(name: str) -> bool:
    return any(char in name for char in "*?[")


def select(names: Iterable[str], config: Config, state: State | None) -> Sorted:
    """What is to become of the configurations ``names``, as far as that is known unread."""
    entries = state.job_configs if state else {}
    heirs = {item.renamed_from: item.name for item in config.job_configs.values()}
    passed_over: list[str] = []
    wanted: list[str] = []
    left_out: dict[str, str] = {}
    for name in names:
        fault = name_violation(name)
        if name in config.job_configs:
            is_whole = name in entries and not entries[name].pending
            (passed_over if is_whole else wanted).append(name)
        elif fault:
            left_out[name] = fault.message
        elif name in heirs:
            heir = f"job_config.{heirs[name]}"
            left_out[name] = f"{heir} is renamed from it; to have both, take renamed_from out there"
        else:
            wanted.append(name)
    return Sorted(tuple(passed_over), left_out, tuple(wanted))


@dataclass(slots=True)
class _Taken:
    """What is taken in: the configurations as they are, and the tables of those without a file."""

    live: dict[str, LiveConfig] = field(default_factory=dict)
    tables: dict[str, JobTable] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def import_configs(
    asked: Sorted,
    live: Mapping[str, LiveConfig | None],
    config: Config,
    place: Place,
    store: StateStore,
    locked: LockedState,
    now: str,
) -> Imported:
    """Takes ``live``, read for ``asked.wanted``, into the state, which ``locked`` gives.

    ``config`` is what the files say, ``now`` the time as the state writes it. The state is written
    once, when all files are written and say what the service says. Raises MajobctlError, with
    nothing done, where anything of that fails.
    """
    before = locked.state
    taken = _taken(asked, live, config, before)
    left_out = dict(sorted({**asked.left_out, **taken.left_out}.items()))
    if not taken.live:
        serial = before.serial if before else 0
        return Imported((), {}, (), asked.passed_over, left_out, serial, ())
    with NewFiles(place) as files:
        try:
            written = _write(files, place, taken.tables, _head(config.settings, now))
            if written:
                config = _read_again(config.settings, taken, written)
        except MajobctlError as error:
            raise MajobctlError(f"{error}\n{_UNDONE}") from error
        state = _state_with(taken.live, config, before, now)
        # They stay whatever interrupts this: entries of the state that no file describes could be
        # deleted in the service, but files without an entry are only imported again.
        files.keep()
        try:
            locked.write(state)
        except StateError as error:
            raise StateError(f"{error}\n{_withdraw(files, store, before)}") from error
    return Imported(
        tuple(taken.live),
        written,
        tuple(_differing(taken, config)),
        asked.passed_over,
        left_out,
        state.serial,
        tuple(_warnings(taken, written)),
    )


def _taken(
    asked: Sorted, live: Mapping[str, LiveConfig | None], config: Config, state: State | None
) -> _Taken:
    taken = _Taken()
    defaults = Defaults.of(config.settings.defaults, config.settings.references)
    entries = state.job_configs if state else {}
    for name in asked.wanted:
        found = live[name]
        if found is None:
            taken.left_out[name] = "the service does not have it any more"
        elif name in config.job_configs:
            taken.live[name] = found
        else:
            # No file says so any more, but the state still knows what is secret or protected.
            entry = entries.get(name)
            secrets = frozenset(str(place[-1]) for place in secret_places(entry))
            reason = reason_against(found.params, defaults, secrets)
            if reason:
                taken.left_out[name] = reason
                continue
            taken.live[name] = found
            protect = entry is not None and entry.prevent_delete
            taken.tables[name] = table_of(found, defaults, secrets, prevent_delete=protect)
    return taken


def _head(settings: Settings, now: str) -> str:
    target = target_of(settings)
    return comment(f"Imported from {target}, {now}.")


def _write(
    files: NewFiles, place: Place, tables: Mapping[str, JobTable], head: str
) -> dict[str, str]:
    """The file of each table, by its name."""
    if not place.is_single:
        names = {
            name: files.write(name, f"{head}\n{table.text()}") for name, table in tables.items()
        }
    elif tables:
        texts = [head, *(table.text() for table in tables.values())]
        names = dict.fromkeys(tables, files.write(SINGLE_STEM, "\n".join(texts)))
    else:
        names = {}
    return {name: (PurePath(place.shown) / file).as_posix() for name, file in names.items()}


def _read_again(settings: Settings, taken: _Taken, written: Mapping[str, str]) -> Config:
    """What all files say now. Raises MajobctlError where that is not what the service says."""
    try:
        config = load_config(settings.root, settings.overrides)
    except ConfigError as error:
        raise MajobctlError(f"the job files break rules with the new ones\n{error}") from error
    for name, file in written.items():
        found = config.job_configs.get(name)
        if found is None:
            raise MajobctlError(f"{file} is not read: jobs.files in {FILE_NAME} does not match it")
        if found.params != taken.live[name].params:
            raise MajobctlError(f"{file} does not say what the service says")
    return config


def _withdraw(files: NewFiles, store: StateStore, before: State | None) -> str:
    """Removes ``files``, unless the state may know of them already; says what was done."""
    with suppress(StateError):
        if store.read() == before:
            files.remove()
            return _UNDONE
    return "the new files stay, for the state may have them; `majobctl import` them again"


def _state_with(
    live: Mapping[str, LiveConfig], config: Config, before: State | None, now: str
) -> State:
    """The state once ``live`` is in it, with hashes in place of secret values."""
    state = before or State.new(target_of(config.settings))
    masker = state.masker()
    entries = dict(state.job_configs)
    for name, found in live.items():
        job_config = config.job_configs[name]
        hidden = [*job_config.hidden(found.params), *secret_places(entries.get(name))]
        params = masker.masked(found.params, hidden)
        entries[name] = Entry(
            params=params, applied_at=now, prevent_delete=job_config.prevent_delete
        )
    return state.changed(dict(sorted(entries.items())))


def _differing(taken: _Taken, config: Config) -> Iterator[str]:
    for name, found in taken.live.items():
        if found.params != config.job_configs[name].params:
            yield name


def _warnings(taken: _Taken, written: Mapping[str, str]) -> Iterator[str]:
    for name, found in taken.live.items():
        for problem in found.problems:
            yield f"job_config.{name}: {problem}"
        table = taken.tables.get(name)
        for secret in table.secrets if table else ():
            yield (
                f"{written[name]}: job_config.{name}: {quoted(secret)} looks like a secret, and its"
                ' value stands there in clear: put "${env.NAME}" in its place, or take it out of'
                " sensitive if it is none"
            )
