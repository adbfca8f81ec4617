"""Plans: compares the TOML files with the state and, if asked, with the service."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.live import notes
from majobctl.job_config.secrets import new_salt, unset_places, with_value
from majobctl.operations import context
from majobctl.operations.context import ConfigRepository, RepositoryOrPath
from majobctl.operations.selection import resolved
from majobctl.plan.change import SENDING
from majobctl.plan.guard import GUARDED
from majobctl.plan.limits import exceeded_limits
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.planner import Live, make_plan, names_to_read, old_names, only_shown
from majobctl.repository.config import Config
from majobctl.state.backends.local_history import history_of
from majobctl.state.document import Entry, State
from majobctl.text import environment_flag, nearest, quoted

if TYPE_CHECKING:
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider


def plan(
    repository: RepositoryOrPath,
    *,
    selection: Selection = EVERYTHING,
    refresh: str = "none",
    out: str | None = None,
    base: str = "",
    copy: State | None = None,
) -> Plan:
    """What ``apply`` would do with ``repository``. Changes nothing. ``refresh`` is what is read
    first: "all", "changed" (what would be sent) or "none". ``out`` is a file for ``SavedPlan``.
    ``base`` is a revision of git to compare with, in place of the state and the service; one that
    cannot be read is a warning. ``copy`` is a copy of the state, to be used in its place.
    Raises ConfigError for TOML files that break a rule, StateError for a state that cannot be used,
    AuthError and ProviderError if the service cannot be read, MajobctlError for the rest."""
    repository = context.as_repository(repository)
    if base and (out is not None or refresh != "none"):
        raise MajobctlError(
            "--base compares two revisions of the files: such a plan cannot be saved and applied,"
            " and reads no service\nleave out --base, or --out and --refresh"
        )
    if copy and (base or out is not None):
        raise MajobctlError(
            "--state takes a copy, which may be older than the state: such a plan cannot be saved"
            " and applied, nor compared with --base\nleave out --out and --base, or --state"
        )
    config = repository.load_config()
    settings = config.settings
    before = _config_of(repository, config, base) if base else None
    if isinstance(before, Problem):
        config, before = replace(config, warnings=(*config.warnings, before)), None
    if before:
        config, before = _by_reference(config, before), _by_reference(before, config)
    state, remarks, history = _state(settings, copy, before)
    repository.warn_all(remarks)
    config = replace(config, warnings=(*config.warnings, *remarks))
    at_once = repository.calls_at_once(settings)
    with ExitStack() as opened:
        made = plan_config(
            repository,
            config,
            state,
            lambda: opened.enter_context(context.provider_of(settings, at_once)),
            refresh,
            selection=selection,
            for_saving=out is not None,
            base=before,
            read_history=history,
        )
    if before:
        return replace(only_shown(made), base=base)
    if out is not None:
        from majobctl.operations.output_files import save_plan

        save_plan(made, state, out, settings)
    return made


def _state(
    settings: Settings, copy: State | None, base: Config | None
) -> tuple[State | None, tuple[Problem, ...], Callable[[], bytes] | None]:
    """The state, its ``copy``, or that of ``base``; what to say of it; and what reads its history,
    if it has one."""
    if base:
        return _as_applied(base, settings), (), None
    if copy is None:
        store = context.store_of(settings)
        return store.read(), context.under_way(store), store.backend.read_history
    copy.check_target(context.target_of(settings), "the copy of the state")
    message = f"this is the plan against a copy of the state, serial {copy.serial}"
    return copy, (Problem(where="--state", message=f"{message}; it may be out of date"),), None


def _config_of(repository: ConfigRepository, config: Config, base: str) -> Config | Problem:
    from majobctl.repository.revision import config_of

    try:
        found = config_of(repository.folder, base, config.settings.given_again)
    except MajobctlError as error:
        reason = str(error).partition("\n")[0]
        message = f"cannot be read, so this is the plan against the state: {reason}"
        unread = Problem(where=f"--base {base}", message=message)
        repository.warn(unread)
        return unread
    for name in [it for it in config.settings.given if it not in found.settings.variables]:
        message = f"has no variable {quoted(name)}, so the value that is given is not for it"
        repository.warn(Problem(where=f"--base {base}", message=message))
    return found


def _by_reference(config: Config, other: Config) -> Config:
    """``config`` with the text of each ``${env.NAME}`` as its value, unless ``other`` has the same
    text there: values that are not known, or happen to be equal, do not hide that it was edited."""
    found = {}
    for name, it in config.job_configs.items():
        same = other.job_configs.get(name)
        params = it.params
        for place, text in it.sensitive.items():
            if same and text is not None and same.sensitive.get(place) != text:
                params = with_value(params, place, text)
        found[name] = replace(it, params=params)
    return replace(config, job_configs=found)


def _as_applied(base: Config, settings: Settings) -> State:
    """What the state would be if ``base`` had just been applied."""
    state = State.new(context.target_of(settings))
    entries = {
        name: Entry(
            params=state.masker(name).masked(it.params, it.sensitive),
            applied_at="",
            prevent_delete=it.prevent_delete,
        )
        for name, it in base.job_configs.items()
    }
    return replace(state, lineage="", job_configs=entries)


def plan_config(
    repository: ConfigRepository,
    config: Config,
    state: State | None,
    provider: Callable[[], Provider],
    refresh: str,
    *,
    selection: Selection,
    for_saving: bool = True,
    overwrites: bool = False,
    base: Config | None = None,
    read_history: Callable[[], bytes] | None = None,
) -> Plan:
    """The plan for ``config`` against ``state`` and, as ``refresh`` says, the service. One
    ``for_saving``, or to be applied, has the salt that the first state needs. ``read_history`` is
    called if there are changes."""
    context.check_target(state, config.settings)
    if selection:
        files = {name: it.source.file for name, it in config.job_configs.items() if it.source}
        others = state.job_configs if state else ()
        selection = resolved(selection, repository.folder, files, others, config.elsewhere)
    settings, deletes = config.settings, config.settings.apply["delete_removed"]
    make = partial(
        make_plan,
        config.job_configs,
        state,
        context.target_of(settings),
        selection=selection,
        creates_missing=settings.apply["create_missing"],
        deletes_removed=deletes,
        environment=settings.environment,
        default_policy=config.default_policy,
    )
    names = partial(names_to_read, config.job_configs, state, selection, deletes_removed=deletes)
    renamed = partial(old_names, config.job_configs, state)
    live = _live(repository, config, provider, refresh, make, names, renamed, selection)
    noted = (*notes((live or {}).values()), *_notes_on_state(config, state))
    repository.warn_all(noted)
    has_secrets = any(job_config.sensitive for job_config in config.job_configs.values())
    needs_salt = state is None and (live is not None or (for_saving and has_secrets))
    salt = new_salt() if needs_salt else ""
    made = make(warnings=(*config.warnings, *noted), salt=salt, live=live)
    made = replace(made, overwrites=overwrites or settings.apply["overwrite"])
    if read_history and state and made.changes:
        from majobctl.operations.checkout import outdated

        older = outdated(repository.folder, made.changes, state, read_history)
        repository.warn_all(older)
        made = replace(made, warnings=(*made.warnings, *older))
    made = _explained(repository, made, config, state, base)
    _check_found(made, config)
    if selection and not made.total:
        repository.warn("what is selected waits for the job config that is renamed from it")
    return only_shown(made) if needs_salt and not for_saving else made


def _explained(
    repository: ConfigRepository,
    made: Plan,
    config: Config,
    state: State | None,
    base: Config | None,
) -> Plan:
    """``made`` with its causes, with what keeps an apply from it, and with what it costs."""
    settings = config.settings
    if any(change.fields for change in made.changes):
        from majobctl.operations.causes import with_causes

        made = with_causes(made, config, base)
    made = replace(
        made,
        changes=tuple(
            replace(it, source=config.elsewhere[it.name]) if it.name in config.elsewhere else it
            for it in made.changes
        ),
        needs_force=tuple(exceeded_limits(made, state, settings.apply, settings.job_files)),
        unset=_unset(made, config),
    )
    if config.policies:
        from majobctl.operations.policies import judged

        made = judged(repository, made, settings, config.policies)
    if made.changes:
        from majobctl.operations.impact import with_impact

        made = with_impact(made, config, base)
    return made


def _unset(plan: Plan, config: Config) -> tuple[str, ...]:
    """The variables of the environment that what is sent needs, and that are not set."""
    sent = (config.job_configs[it.name] for it in plan.changes if it.action in SENDING)
    secret = (it for it in sent if it.sensitive)
    return tuple(dict.fromkeys(name for it in secret for _, name in unset_places(it.params)))


def _check_found(plan: Plan, config: Config) -> None:
    """Raises MajobctlError for deletions if a pattern of the job files matches nothing, or leads
    to a broken link."""
    if plan.calls["delete_job_configs"] and config.unmatched:
        missed = config.unmatched[0]
        what = f"the pattern at {missed.file}:{missed.line}" if missed.line else missed.file
        raise MajobctlError(
            "this plan would delete configurations, perhaps only because their files were not"
            f" found\ncorrect {what}, or remove it"
        )


def _live(
    repository: ConfigRepository,
    config: Config,
    provider: Callable[[], Provider],
    refresh: str,
    make: Callable[[], Plan],
    all_names: Callable[[], list[str]],
    renamed: Callable[[], Mapping[str, str]],
    selection: Selection,
) -> Live | None:
    """What the service has, as far as it is to be read; None if it is not."""
    changed = None
    if refresh == "changed":
        changed = [change.name for change in make().changes if change.action in GUARDED]
    if refresh == "none" or changed == []:
        return None
    from majobctl.operations.refresh import read_live

    at_once, observe = repository.calls_at_once(config.settings), repository.observe_reading
    names, old = changed or all_names(), renamed()
    names = sorted({*names, *(old[it] for it in names if it in old)})
    # A few, which changed or are named, are read one by one, without a list of all.
    listed = names if changed or selection.targeted else None
    return read_live(provider(), names, parallelism=at_once, observe=observe, listed=listed)


def _notes_on_state(config: Config, state: State | None) -> Iterator[Problem]:
    """A lost state that has a backup or a history; an old name that nothing has, which may be
    misspelt."""
    path = config.settings.state_path
    if state is None and path:
        file = config.settings.values["state"]["path"]
        option = environment_flag(config.settings.environment)
        message = ""
        if os.path.exists(f"{path}.backup"):
            message = f"has a backup: `majobctl state push{option} {file}.backup` restores it"
        elif os.path.exists(history_of(str(path))):
            again = f"majobctl apply --refresh{option}"
            message = f"has a history: restore it with git, or make it again with `{again}`"
        if message:
            yield Problem(where=f"the state {file}", message=f"it is gone, but {message}")
    known = state.job_configs if state else {}
    for item in config.job_configs.values():
        old = item.renamed_from
        if known and old and known.keys().isdisjoint({old, item.name}):
            what = f"the state has no job config {quoted(old)}{nearest(old, known)}"
            yield Problem(where=f"job_config.{item.name}", message=f"renamed_from: {what}")
