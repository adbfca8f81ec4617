"""Takes what was changed in the service into the TOML files. It changes neither the service nor
the state: the next apply records what is equal, without a call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, MajobctlError
from majobctl.job_config.compare_policy import ComparePolicies, Place
from majobctl.job_config.directives import ENVIRONMENTS
from majobctl.job_config.live import LiveConfig, notes
from majobctl.job_config.values import require_strings
from majobctl.operations import context
from majobctl.operations.context import RepositoryOrPath
from majobctl.operations.refresh import read_live
from majobctl.operations.selection import names_known, resolved
from majobctl.plan.drift import find_drift
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.planner import Live, make_plan, old_names
from majobctl.plan.pulled import Outcome, Pulled, PulledField, place_of, pulled_fields, with_taken
from majobctl.repository.authoring.edits import EditedFile, NotEditableError
from majobctl.repository.authoring.replacing import UNDONE, replace_all
from majobctl.repository.config import Config, load_config
from majobctl.repository.jobs.layers import Origin, unset_name
from majobctl.repository.settings.environments import environments_of
from majobctl.repository.toml.file import content_of
from majobctl.state.document import State
from majobctl.text import environment_flag, in_short, printable

_NOT_COMPARED = (
    "the state does not know it yet: `majobctl import{option} NAME` takes it in",
    "no job file describes it",
    "the files have it for other environments",
    "the service no longer has it",
)


def pull(repository: RepositoryOrPath, *, names: Sequence[str] = (), check: bool = False) -> Pulled:
    """Takes what was changed in the service since the last apply, and not in the files, into the
    tables of the job configs ``names`` (names, globs or job files; default: all). With ``check``,
    nothing is written. All files are replaced, or none. Raises ConfigError for TOML files that
    break a rule, StateError for a state that cannot be used, AuthError and ProviderError if the
    service cannot be read, MajobctlError for the rest."""
    require_strings(names=names)
    repository = context.as_repository(repository)
    config = repository.load_config()
    settings = config.settings
    store = context.store_of(settings)
    state = store.read()
    repository.warn_all(context.under_way(store))
    context.check_target(state, settings)
    known = state.job_configs if state else {}
    at_once, observe = repository.calls_at_once(settings), repository.observe_reading
    with context.provider_of(settings, at_once) as provider:
        renamed = old_names(config.job_configs, state)
        is_named = names_known(Selection(targeted=tuple(names)), {*known, *renamed})
        listed = [*known] if is_named else provider.config_names()
        selection = _selection(names, repository.folder, config, {*known, *listed})
        covers = selection.covers
        renamed = {new: old for new, old in renamed.items() if covers(new) or covers(old)}
        selected = {*filter(covers, known)} - renamed.keys() | {*renamed.values()}
        left = selected - config.job_configs.keys() - {*renamed.values()}
        live = read_live(
            provider, sorted(selected), parallelism=at_once, observe=observe, listed=listed
        )
    repository.warn_all(notes(live.values()))
    found = {name: it for name, it in live.items() if it is not None and name not in left}
    renamed = {new: old for new, old in renamed.items() if old in found}
    make = _planner(config, state, found, renamed)
    plan = make(config)
    fields, edited = _edited([*_fields(plan, config, found)], config)
    contents = {name: it.content for name, it in edited.items()}
    after = _proven(config, fields, contents, plan, make)
    # What is only shown leaves the lines of the others where they are.
    moved = (
        _moved(it, config if check and it.outcome is not Outcome.TAKEN else after) for it in fields
    )
    if not check:
        befores = {name: it.before for name, it in edited.items()}
        replace_all(befores, contents, settings.root)
    there = {*filter(covers, (*known, *listed))}
    return Pulled(
        fields=tuple(moved),
        files=tuple(contents),
        remarks=tuple(_remarks(there - found.keys() - renamed.keys(), known, config)),
        environments=tuple(_others(fields, config)),
        undescribed=tuple(_changed(left, state, config, live)),
        compared=len(found),
        is_check=check,
    )


def _fields(plan: Plan, config: Config, found: Mapping[str, LiveConfig]) -> Iterator[PulledField]:
    for change in plan.changes:
        if change.after is not None:
            live = found[change.old_name or change.name]
            yield from pulled_fields(change, _origin(config, change.name), live)


def _changed(names: Iterable[str], state: State | None, config: Config, live: Live) -> list[str]:
    """Those of ``names`` that the service has otherwise than the state, and that are not like a job
    config which is new to the state."""
    known = state.job_configs if state else {}
    new = [it for it in config.job_configs.values() if it.name not in known]
    selection = Selection(targeted=("*",), names=frozenset(names))
    target = context.target_of(config.settings)
    policies = ComparePolicies(default=config.default_policy)
    drift = find_drift(state, target, live, listed=(), selection=selection, policies=policies)
    found = ((it.name, live[it.name]) for it in drift.changes)
    return [name for name, it in found if it and not any(n.agrees_with(it.params) for n in new)]


def _selection(
    names: Sequence[str], folder: Path, config: Config, others: Collection[str]
) -> Selection:
    if not names:
        return EVERYTHING
    files = {name: it.source.file for name, it in config.job_configs.items() if it.source}
    selection = Selection(targeted=tuple(names))
    return resolved(selection, folder, files, others, config.elsewhere)


def _planner(
    config: Config, state: State | None, found: Mapping[str, LiveConfig], renamed: Iterable[str]
) -> Callable[[Config], Plan]:
    """Makes refreshed plans of what was ``found``, for ``config`` before and after its edits. Those
    that are ``renamed`` are compared under their old names alone."""
    make = partial(
        make_plan,
        state=state,
        target=context.target_of(config.settings),
        selection=Selection(targeted=("*",), names=frozenset({*found, *renamed})),
        live=found,
        default_policy=config.default_policy,
    )
    return lambda it: make(it.job_configs)


def _origin(config: Config, name: str) -> Origin:
    source = config.job_configs[name].source
    assert isinstance(source, Origin)
    return source


def _edited(
    fields: Iterable[PulledField], config: Config
) -> tuple[list[PulledField], Mapping[str, EditedFile]]:
    """The job files with what is taken. What a file's form does not allow is left."""
    files: dict[str, EditedFile] = {}
    result = []
    # What is added goes before what leaves, whose commas it takes over.
    for item in sorted(fields, key=lambda it: it.change.live is None):
        if item.outcome is Outcome.TAKEN:
            name, path, value = item.file, item.change.path, item.change.live
            if name not in files:
                files[name] = EditedFile(content_of(config.settings.root / name, name), name)
            origin = _origin(config, item.name)
            at = origin.written(path)
            value, unwanted = _over_below(origin, path, value)
            like = at.value if at else None
            try:
                files[name].set(origin.own.prefix, path, value, like, unwanted=unwanted)
            except NotEditableError as error:
                item = replace(item, outcome=Outcome.LEFT, note=str(error))
        result.append(item)
    taken = {it.file for it in result if it.outcome is Outcome.TAKEN}
    return result, {name: it for name, it in files.items() if name in taken}


def _over_below(origin: Origin, path: Place, value: Any) -> tuple[Any, str]:
    """What the job config's own table has to have at ``path`` to have ``value`` over the tables
    below, and what its ``unset`` has to name."""
    below = origin.layers[1:]
    if value is None and any(layer.has(path) for layer in below):
        # A blank takes a key away, as import writes it.
        return ("", "") if len(path) == 1 else (None, unset_name(path[1]))
    is_blank = len(path) == 2 and origin.own.table.get(path[0]) in ("", [])
    if is_blank and any(layer.has(path[:1]) for layer in below):
        return value, path[0]  # A first label would bring back all of them.
    return value, ""


def _proven(
    config: Config,
    fields: Sequence[PulledField],
    contents: Mapping[str, bytes],
    plan: Plan,
    make: Callable[[Config], Plan],
) -> Config:
    """The config repository with ``contents``. Raises MajobctlError unless all job configs are as
    they were but for what is taken, and a refreshed plan has nothing to send for that."""
    if not contents:
        return config
    settings = config.settings
    try:
        after = load_config(settings.root, settings.given_again, contents)
    except ConfigError as error:
        what = "with the service's values, the job files would break rules"
        raise MajobctlError(f"{what}; {UNDONE}\n{error}") from error
    taken: dict[str, list[PulledField]] = {}
    for item in fields:
        taken.setdefault(item.name, []).append(item)
    wanted = {
        name: replace(it, params=with_taken(it.params, taken[name])) if name in taken else it
        for name, it in config.job_configs.items()
    }
    done = {(it.name, it.change.path) for it in fields if it.outcome is Outcome.TAKEN}
    if after.job_configs != wanted or not _unsent(make(after)) <= _unsent(plan) - done:
        what = "the edited files would change more than was changed in the service"
        advice = "if no file was edited meanwhile, name fewer job configs"
        raise MajobctlError(f"{what}; {UNDONE}\n{advice}")
    return after


def _unsent(plan: Plan) -> set[tuple[str, Place]]:
    """The fields in which the files and the service differ, as far as the state knows them."""
    return {
        (it.name, item.path)
        for it in plan.changes
        for item in it.fields
        if item.reason and item.live != item.after
    }


def _moved(item: PulledField, config: Config) -> PulledField:
    """``item`` with the line that it has in the files of ``config``."""
    file, line = place_of(_origin(config, item.name), item.change.path, item.outcome)
    return replace(item, file=file, line=line)


def _others(fields: Iterable[PulledField], config: Config) -> Iterator[str]:
    """The other environments, "" being none, that have a job config of which something is taken."""
    taken = {it.name for it in fields if it.outcome is Outcome.TAKEN}
    written = [_origin(config, name).written((ENVIRONMENTS,)) for name in taken]
    for environment in ("", *environments_of(config.settings.file.plain)):
        if environment != config.settings.environment and any(
            it is None or environment in it.value for it in written
        ):
            yield environment


def _remarks(names: Collection[str], known: Container[str], config: Config) -> Iterator[str]:
    """Why ``names`` of the state, which has those that are ``known``, or of the service were not
    compared."""
    kinds: dict[str, list[str]] = {it: [] for it in _NOT_COMPARED}
    for name in sorted(names):
        kinds[_kind(name, known, config)].append(printable(f"job_config.{name}"))
    for what, found in kinds.items():
        if found:
            option = environment_flag(config.settings.environment)
            yield f"{in_short(found)}: {what.format(option=option)}"


def _kind(name: str, known: Container[str], config: Config) -> str:
    stranger, undescribed, elsewhere, gone = _NOT_COMPARED
    if name in config.elsewhere:
        return elsewhere
    if name not in known:
        return stranger
    return gone if name in config.job_configs else undescribed
