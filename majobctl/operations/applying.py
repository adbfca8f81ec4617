"""Applies: makes a plan or takes a saved one, asks for approval, sends, and saves the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from functools import cache
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import LOOKED_UP
from majobctl.job_config.secrets import Masker, is_masked
from majobctl.operations import context
from majobctl.operations.context import ConfigRepository, RepositoryOrPath
from majobctl.operations.planning import plan_config
from majobctl.operations.saved_plan import SavedPlan, with_secrets
from majobctl.plan.change import SENDING, Action, Params
from majobctl.plan.guard import Allowed
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.results import ApplyResult, ChangeResult
from majobctl.repository.config import Config, valid_job_configs
from majobctl.state.document import State
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.operations.runner import Applied
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.journal import Journal
    from majobctl.state.store import LockedState

_GUARDED_TOTAL = 10
"""apply.max_change_percent applies from this number of job configs on."""


def apply(
    repository: RepositoryOrPath,
    *,
    approve: Callable[[Plan], bool],
    saved_plan: SavedPlan | None = None,
    selection: Selection = EVERYTHING,
    refresh: str = "",
    overwrite: bool = False,
    reviewed: bool = False,
    force: bool = False,
    verify: bool = False,
    show: Callable[[Plan], None] = lambda plan: None,
    begin: Callable[[Plan], None] = lambda plan: None,
    observe: Callable[[ChangeResult], None] = lambda result: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> ApplyResult:
    """Brings the service to what ``repository`` says. Failed calls are in the result.

    ``show`` is called with the plan, and ``approve`` if it has changes: nothing is sent unless it
    returns True. A ``saved_plan`` is applied as it is, without ``selection`` and ``refresh``.
    ``begin`` is called just before the first change, ``observe`` with each result once it is on
    disk, ``should_stop`` before each change, in several threads: once it returns True, no further
    change is begun. After an interruption, too, calls under way are waited for and saved.

    ``refresh`` is what is read before it is written: "changed", "all" or "none"; by default what
    the settings say. What somebody changed in the service is undone if a saved plan shows it, if
    the plan shows it and was ``reviewed`` (``approve`` asks a person), or with ``overwrite``;
    otherwise it is held back.

    Raises as ``plan``, and LockedError, StalePlanError for a saved plan that does not fit,
    ConfigError for a value to send that needs a variable of the environment that is not set, and
    MajobctlError for a plan that is not approved or changes too much.
    """
    repository = context.as_repository(repository)
    source = saved_plan or repository.load_config()
    settings = source.settings if isinstance(source, Config) else repository.load_settings()
    at_once, refresh = repository.calls_at_once(settings), refresh or settings.apply["refresh"]
    allowed = Allowed(
        overwrites=overwrite or settings.apply["overwrite"],
        is_reviewed=reviewed or saved_plan is not None,
        is_blind=refresh == "none",
    )
    with repository.locked(settings) as locked, ExitStack() as opened:
        provider = cache(lambda: opened.enter_context(context.provider_of(settings, at_once)))
        state = locked.state
        if isinstance(source, Config):
            # What nobody looks at is read only by the worker that sends it.
            ahead = refresh if reviewed or refresh == "all" else "none"
            plan = plan_config(repository, source, state, provider, ahead, selection=selection)
        else:
            plan = source.checked(state, context.target_of(settings), settings.environment)
        show(plan)
        _check_share(plan, settings, force)
        if not plan.changes:
            return ApplyResult(results=(), serial=plan.serial)
        masker = state.masker() if state else Masker(plan.salt)
        params = _params(source, settings, masker)
        plan = with_secrets(plan, params, masker)
        if isinstance(source, Config):
            _check_present(plan)
        if approve(plan) is not True:
            raise MajobctlError("not approved; nothing was sent")
        _check_names(plan, provider(), params)
        begin(plan)
        return _send(
            repository,
            settings,
            locked,
            provider(),
            plan,
            params,
            allowed,
            verify,
            observe,
            should_stop,
        )


def _params(source: Config | SavedPlan, settings: Settings, masker: Masker) -> Mapping[str, Params]:
    """The params of each job config; for a saved plan, TOML files are read only for secrets."""
    if isinstance(source, Config):
        return {name: job_config.params for name, job_config in source.job_configs.items()}
    return source.params(masker, lambda: valid_job_configs(settings.root, settings.overrides))


def _check_share(plan: Plan, settings: Settings, force: bool) -> None:
    """Raises MajobctlError if the plan changes a larger share than the settings allow."""
    most = settings.apply["max_change_percent"]
    changes, total = len(plan.changes) - plan.count(Action.RECORD), plan.total
    if most and total >= _GUARDED_TOTAL and changes * 100 > most * total and not force:
        raise MajobctlError(
            f"the plan changes {changes} of {total} job configs, more than"
            f" apply.max_change_percent = {most} allows; nothing was sent\n"
            "if this is intended, run `majobctl apply --force`"
        )


def _check_present(plan: Plan) -> None:
    """Raises MajobctlError for what the service does not have, and is not to be created."""
    from majobctl.operations.advice import MISSING

    missing = [
        f"job_config.{printable(change.name)}: the service does not have it"
        for change in plan.changes
        if change.is_missing and change.action in SENDING - {Action.CREATE}
    ]
    if missing:
        raise MajobctlError("\n".join([*missing, f"nothing was sent; {MISSING}"]))


def _send(
    repository: ConfigRepository,
    settings: Settings,
    locked: LockedState,
    provider: Provider,
    plan: Plan,
    params: Mapping[str, Params],
    allowed: Allowed,
    verify: bool,
    observe: Callable[[ChangeResult], None],
    should_stop: Callable[[], bool],
) -> ApplyResult:
    from majobctl.operations.executor import ChangeExecutor
    from majobctl.operations.guard import Guard
    from majobctl.operations.runner import run_changes

    state = locked.state or State.new(plan.target, plan.salt)
    guard = Guard(
        provider=provider,
        masker=state.masker(),
        params_of=lambda change: params[change.name],
        allowed=allowed,
        creates_missing=plan.creates_missing,
        environment=plan.environment,
    )
    with closing(locked.open_journal(state)) as journal:
        applied = run_changes(
            plan,
            journal,
            ChangeExecutor(guard=guard, verifies=verify),
            parallelism=repository.calls_at_once(settings),
            retry_failed=settings.provider["retries"] > 0,
            should_stop=should_stop,
            observe=observe,
        )
    problem = _save(locked, journal, applied)
    if applied.defect is not None:
        if problem:
            repository.warn(StateError(problem))
        raise applied.defect
    return ApplyResult(
        results=applied.results,
        serial=locked.state.serial if locked.state else 0,
        is_interrupted=should_stop(),
        problem=problem,
    )


def _check_names(plan: Plan, provider: Provider, params: Mapping[str, Params]) -> None:
    """Raises MajobctlError, without sensitive values, for names that the service does not offer."""
    sending = [change for change in plan.changes if change.action in SENDING]
    hidden = {
        item.name
        for item in sending
        if any(is_masked((item.after or {}).get(key)) for key in LOOKED_UP)
    }
    shown = [(item.name, params[item.name]) for item in sending if item.name not in hidden]
    unknown = [
        *provider.unknown_names(shown),
        *(
            f"job_config.{name}: a sensitive flavor, engine or algorithm does not exist"
            for name in sorted(hidden)
            if provider.unknown_names([(name, params[name])])
        ),
    ]
    if unknown:
        raise MajobctlError("\n".join([*unknown, "nothing was sent"]))


def _save(locked: LockedState, journal: Journal, applied: Applied) -> str:
    """Brings the outcomes into the state file; if that fails, says why and what to do."""
    if applied.failure is not None:
        return locked.rescue(journal)
    try:
        locked.merge()
    except StateError as error:
        return str(error)
    return ""
