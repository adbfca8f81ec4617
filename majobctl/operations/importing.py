"""Imports configurations of the service into the state, and writes TOML for those that no file
describes. It changes nothing in the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePath

from majobctl.errors import ConfigError, MajobctlError, StateError
from majobctl.job_config.fields import plain_name
from majobctl.job_config.live import LiveConfig, notes
from majobctl.job_config.values import require_strings
from majobctl.operations import context
from majobctl.operations.catalog_check import keep_lists
from majobctl.operations.context import RepositoryOrPath
from majobctl.operations.import_selection import Selected, chosen_names, select
from majobctl.operations.refresh import read_live
from majobctl.repository.authoring import generate
from majobctl.repository.authoring.new_files import SINGLE_STEM, NewFiles, Place, place_of_files
from majobctl.repository.config import Config, load_config
from majobctl.repository.settings.settings import FILE_NAME, Settings
from majobctl.state.document import Entry, State, secret_places
from majobctl.state.record import Notes
from majobctl.state.store import LockedState, StateStore
from majobctl.text import quoted, utc_now

_UNDONE = "nothing was imported, and no new file is left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did. ``written`` maps names to new files, ``left_out`` names to reasons;
    ``differing`` are those of the imported whose file says something else than the service;
    ``passed_over`` were in the state and in a file already; ``serial`` is the state's."""

    imported: tuple[str, ...]
    written: Mapping[str, str] = field(default_factory=dict)
    differing: tuple[str, ...] = ()
    passed_over: tuple[str, ...]
    left_out: Mapping[str, str]
    serial: int
    warnings: tuple[str, ...] = ()


def import_configs(
    repository: RepositoryOrPath,
    *,
    names: Sequence[str],
    out_dir: str = "jobs/imported",
    single_file: bool = False,
) -> Imported:
    """Imports the configurations ``names``, which may be globs such as ``resnet-*``. Those that no
    job file describes get one in ``out_dir``, or, with ``single_file``, one for all of them.
    Raises, with nothing done, ConfigError for TOML files that break a rule, LockedError and
    StateError for the state, AuthError and ProviderError for the service, MajobctlError for the
    rest, such as a name that the service does not have."""
    require_strings(names=names)
    repository = context.as_repository(repository)
    settings = repository.load_settings()
    place = place_of_files(settings, out_dir, is_single=single_file)
    at_once, observe = repository.calls_at_once(settings), repository.observe_reading
    with repository.locked(settings) as locked:
        # Read under the lock, for another import may have ended meanwhile. Warnings are left to
        # the next command.
        config = load_config(repository.folder, settings.given_again)
        context.check_target(locked.state, config.settings)
        with context.provider_of(config.settings, at_once) as provider:
            read = partial(read_live, provider, parallelism=at_once, observe=observe)
            # Names alone need no list, unless one of them is not there, or cannot be imported.
            named = sorted({*map(plain_name, names)})
            selected = select(named, config, locked.state)
            live = read(named, listed=named) if [*selected.wanted] == named else {}
            if not live or None in live.values():
                listed = provider.config_names()
                selected = select(chosen_names(listed, names), config, locked.state)
                live = read(selected.wanted, listed=listed)
            keep_lists(settings, provider.catalog, repository.warn)
        store = context.store_of(settings)
        return import_selected(selected, live, config, place, store, locked, utc_now())


@dataclass(slots=True)
class _Taken:
    """The configurations to import as they are, and the tables of those without a file."""

    live: dict[str, LiveConfig] = field(default_factory=dict)
    tables: dict[str, generate.JobTable] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


def import_selected(
    selected: Selected,
    live: Mapping[str, LiveConfig | None],
    config: Config,
    place: Place,
    store: StateStore,
    locked: LockedState,
    now: str,
) -> Imported:
    """Imports ``live``, read for ``selected.wanted``, into the state of ``locked``, at the time
    ``now``. The state is written once, when all files are written and say what the service says.
    Raises MajobctlError, with nothing done, if any of that fails."""
    before = locked.state
    taken = _taken(selected, live, config, before)
    done = Imported(
        imported=tuple(taken.live),
        passed_over=selected.passed_over,
        left_out=dict(sorted({**selected.left_out, **taken.left_out}.items())),
        serial=before.serial if before else 0,
    )
    if not taken.live:
        return done
    with NewFiles(place) as files:
        try:
            head = generate.comment(f"Imported from {context.target_of(config.settings)}, {now}.")
            written = _write(files, place, taken.tables, head)
            if written:
                config = _read_again(config.settings, taken, written)
        except MajobctlError as error:
            raise MajobctlError(f"{error}\n{_UNDONE}") from error
        state = _state_with(taken.live, config, before, now)
        # The files stay whatever interrupts this: an entry of the state that no file describes
        # could be deleted in the service, but a file without an entry is only imported again.
        files.keep()
        try:
            locked.write(state, Notes(actions=dict.fromkeys(taken.live, "import")))
        except StateError as error:
            raise StateError(f"{error}\n{_withdraw(files, store, before)}") from error
    configs = config.job_configs
    return replace(
        done,
        written=written,
        differing=tuple(n for n, it in taken.live.items() if not configs[n].agrees_with(it.params)),
        serial=state.serial,
        warnings=tuple(_warnings(taken, written)),
    )


def _taken(
    selected: Selected, live: Mapping[str, LiveConfig | None], config: Config, state: State | None
) -> _Taken:
    taken = _Taken()
    defaults = generate.Defaults.of(config.settings.defaults, config.settings.references)
    entries = state.job_configs if state else {}
    for name in selected.wanted:
        found = live[name]
        if found is None:
            taken.left_out[name] = "the service does not have it any more"
            continue
        # Even without a file, the state may know what is secret or protected.
        described, entry = known = config.job_configs.get(name), entries.get(name)
        found = replace(found, params=found.params_as(*(it.params for it in known if it)))
        if described is None:
            secrets = frozenset(str(place[-1]) for place in secret_places(entry))
            if reason := generate.reason_against(found.params, defaults, secrets):
                taken.left_out[name] = reason
                continue
            protect = entry is not None and entry.prevent_delete
            table = generate.table_of(found, defaults, secrets, prevent_delete=protect)
            taken.tables[name] = table
        taken.live[name] = found
    return taken


def _write(
    files: NewFiles, place: Place, tables: Mapping[str, generate.JobTable], head: str
) -> dict[str, str]:
    """The file of each table, by its name."""
    if place.is_single and tables:
        texts = [head, *(table.text() for table in tables.values())]
        has_secrets = any(table.secrets for table in tables.values())
        file = files.write(SINGLE_STEM, "\n".join(texts), is_secret=has_secrets)
        names = dict.fromkeys(tables, file)
    else:
        names = {
            name: files.write(name, f"{head}\n{table.text()}", is_secret=bool(table.secrets))
            for name, table in tables.items()
        }
    return {name: (PurePath(place.shown) / file).as_posix() for name, file in names.items()}


def _read_again(settings: Settings, taken: _Taken, written: Mapping[str, str]) -> Config:
    """What all files say now. Raises MajobctlError unless that is what the service says."""
    try:
        config = load_config(settings.root, settings.given_again)
    except ConfigError as error:
        raise MajobctlError(f"the job files break rules with the new ones\n{error}") from error
    for name, file in written.items():
        found = config.job_configs.get(name)
        if found is None:
            raise MajobctlError(f"{file} is not read: jobs.files in {FILE_NAME} does not match it")
        if not found.agrees_with(taken.live[name].params):
            raise MajobctlError(f"{file} does not say what the service says")
    return config


def _withdraw(files: NewFiles, store: StateStore, before: State | None) -> str:
    """Removes ``files``, unless the state may know them already; says what was done."""
    with suppress(StateError):
        if store.read() == before:
            files.remove()
            return _UNDONE
    return "the new files stay, for the state may have them; run `majobctl import` again"


def _state_with(
    live: Mapping[str, LiveConfig], config: Config, before: State | None, now: str
) -> State:
    """The state once ``live`` is in it, with hashes in place of secret values."""
    state = before or State.new(context.target_of(config.settings))
    entries = dict(state.job_configs)
    for name, found in live.items():
        job_config = config.job_configs[name]
        hidden = [*job_config.hidden(found.params), *secret_places(entries.get(name))]
        params = state.masker(name).masked(found.params, hidden)
        protect = job_config.prevent_delete
        entries[name] = Entry(params=params, applied_at=now, prevent_delete=protect)
    return state.changed(dict(sorted(entries.items())))


def _warnings(taken: _Taken, written: Mapping[str, str]) -> Iterator[str]:
    for name, found in taken.live.items():
        yield from map(str, notes([found]))
        table = taken.tables.get(name)
        if table and (extra := {*found.repeated, *found.assumed}.difference(found.params)):
            listed = ", ".join(sorted(extra))
            yield f"job_config.{name}: left out what the service derives: {listed}"
        for secret in table.secrets if table else ():
            yield (
                f"{written[name]}: job_config.{name}: {quoted(secret)} looks like a secret, and its"
                ' value is in the file in clear: replace it with "${env.NAME}", or, if it is not a'
                " secret, remove it from sensitive"
            )
