"""Takes what was changed in the service into the TOML files. It changes neither the service nor
the state: the next apply records what is equal, without a call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from majobctl.errors import ConfigError, MajobctlError
from majobctl.files import flush_folder, replaceable, staged, sweep, write_durably
from majobctl.job_config.compare_policy import Place
from majobctl.job_config.live import notes
from majobctl.job_config.values import require_strings
from majobctl.operations import context
from majobctl.operations.context import RepositoryOrPath
from majobctl.operations.refresh import read_live
from majobctl.operations.selection import resolved
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.planner import make_plan
from majobctl.plan.pulled import Outcome, Pulled, PulledField, own_line, pulled_fields, with_taken
from majobctl.repository.authoring.edits import EditedFile, NotEditableError
from majobctl.repository.config import Config, load_config
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.settings.environments import environments_of
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.repository.toml.file import content_of
from majobctl.text import in_short, printable, reason_of

_UNDONE = "no file was changed"


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
    selection = Selection(targeted=tuple(names)) if names else EVERYTHING
    with context.provider_of(settings, at_once) as provider:
        listed = provider.config_names()
        if selection:
            files = {name: it.source.file for name, it in config.job_configs.items() if it.source}
            selection = resolved(selection, repository.folder, files, {*known, *listed})
        both = sorted(filter(selection.covers, known.keys() & config.job_configs.keys()))
        live = read_live(provider, both, parallelism=at_once, observe=observe, listed=listed)
    repository.warn_all(notes(live.values()))
    found = {name: it for name, it in live.items() if it is not None}
    make = partial(
        make_plan,
        state=state,
        target=context.target_of(settings),
        selection=Selection(targeted=("*",), names=frozenset(found)),
        live=found,
        default_policy=config.default_policy,
    )
    plan = make(config.job_configs)
    fields = [
        field
        for change in plan.changes
        for field in pulled_fields(change, _origin(config, change.name), found[change.name])
    ]
    fields, edited = _edited(fields, config)
    contents = {name: it.content for name, it in edited.items()}
    after = _proven(config, fields, contents, plan, lambda it: make(it.job_configs))
    if not check:
        _replace_all(edited, contents, settings.root)
    strangers = {it for it in {*listed} - known.keys() if selection.covers(it)}
    gone = [name for name, it in live.items() if it is None]
    others = environments_of(settings.file.plain)
    undescribed = {*filter(selection.covers, known.keys() - config.job_configs.keys())}
    return Pulled(
        fields=tuple(_moved(it, after) for it in fields),
        files=tuple(contents),
        remarks=tuple(_remarks(strangers, undescribed, gone)),
        environments=tuple(it for it in others if contents and it != settings.environment),
        compared=len(found),
        is_check=check,
    )


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
            if value is None and any(layer.has(path) for layer in origin.layers[1:]):
                value = ""  # A blank takes away what comes from below.
            try:
                files[name].set(origin.own.prefix, path, value, at.value if at else None)
            except NotEditableError as error:
                item = replace(item, outcome=Outcome.LEFT, note=str(error))
        result.append(item)
    taken = {it.file for it in result if it.outcome is Outcome.TAKEN}
    return result, {name: it for name, it in files.items() if name in taken}


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
    given = [it for it in settings.variables.items() if it[1].file != FILE_NAME]
    # Not the files of variables: a pipe cannot be read again.
    values = tuple(f"{name}={it.text}" for name, it in given)
    overrides = replace(settings.overrides, values=values, files=())
    try:
        after = load_config(settings.root, overrides, contents)
    except ConfigError as error:
        what = "with the service's values, the job files would break rules"
        raise MajobctlError(f"{what}; {_UNDONE}\n{error}") from error
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
        raise MajobctlError(f"{what}; {_UNDONE}\n{advice}")
    return after


def _unsent(plan: Plan) -> set[tuple[str, Place]]:
    """The fields in which the files and the service differ."""
    return {
        (it.name, item.path) for it in plan.changes for item in it.fields if item.live != item.after
    }


def _replace_all(
    files: Mapping[str, EditedFile], contents: Mapping[str, bytes], root: Path
) -> None:
    """Raises MajobctlError, with the old content in all files, if one cannot be replaced. What
    somebody writes meanwhile stays."""
    places: dict[str, tuple[Path, int]] = {}
    done: list[str] = []
    name = ""
    try:
        with ExitStack() as stack:
            temporary = {}
            for name, file in files.items():
                places[name] = replaceable(root / name, root)
                _refuse_edited(places[name][0], file)
            paths = {path for path, _ in places.values()}
            folders = {it.parent for it in paths}
            for folder in folders:
                sweep(folder, paths)
            for name, (path, mode) in places.items():
                temporary[name] = stack.enter_context(staged(path, contents[name], mode))
            for name, file in files.items():
                _refuse_edited(places[name][0], file)
                done.append(name)
                os.replace(temporary[name], places[name][0])
        for folder in folders:
            flush_folder(folder)
    except BaseException as error:
        undone = _put_back({name: (*places[name], contents[name]) for name in done}, files)
        if isinstance(error, OSError):
            message = f"{name} cannot be written: {reason_of(error)}; {undone}"
            raise MajobctlError(message) from error
        if isinstance(error, MajobctlError):
            raise MajobctlError(f"{error}; {undone}") from error
        raise


def _refuse_edited(path: Path, file: EditedFile) -> None:
    if content_of(path, file.name) != file.before:
        raise MajobctlError(f"{file.name} was changed meanwhile")


def _put_back(
    written: Mapping[str, tuple[Path, int, bytes]], files: Mapping[str, EditedFile]
) -> str:
    """Gives each file that has the new content its old one; says whether that is done."""
    kept: list[str] = []
    for name, (path, mode, content) in written.items():
        try:
            if (found := path.read_bytes()) == content:
                write_durably(path, files[name].before, mode)
            elif found != files[name].before:
                kept.append(f"{name} was changed after it got the new values")
        except OSError:
            kept.append(f"{printable(str(path))} has the new values, and cannot be put back")
    return "; ".join(kept) or _UNDONE


def _moved(item: PulledField, config: Config) -> PulledField:
    """``item`` with the line that it has now."""
    if item.outcome is not Outcome.TAKEN:
        return item
    origin = _origin(config, item.name)
    return replace(item, line=own_line(origin, origin.written(item.change.path)))


def _remarks(
    strangers: Iterable[str], undescribed: Iterable[str], gone: Iterable[str]
) -> Iterator[str]:
    for names, what in (
        (strangers, "the state does not know it yet: `majobctl import NAME` takes it in"),
        (undescribed, "no job file describes it"),
        (gone, "the service no longer has it"),
    ):
        if found := sorted(names):
            yield f"{in_short([printable(f'job_config.{it}') for it in found])}: {what}"
