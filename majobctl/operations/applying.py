"""Applies: makes a plan or takes a saved one, asks for approval, sends, and saves the outcomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import LOOKED_UP
from majobctl.job_config.secrets import Masker, is_masked
from majobctl.operations import context
from majobctl.operations.context import Warn, ignore
from majobctl.operations.planning import Observe, plan_config
from majobctl.plan.change import SENDING, Action, Params
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.results import ApplyResult, ChangeResult
from majobctl.repository.config import Config, valid_job_configs
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides
from majobctl.state.document import State

if TYPE_CHECKING:
    from majobctl.operations.runner import Applied
    from majobctl.operations.saved_plan import SavedPlan
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.journal import Journal
    from majobctl.state.store import LockedState

_GUARDED_TOTAL = 10
"""apply.max_change_percent applies from this number of job configs on."""


def apply(
    root: Path,
    *,
    approve: Callable[[Plan], bool],
    saved_plan: SavedPlan | None = None,
    overrides: Overrides = NO_OVERRIDES,
    selection: Selection = EVERYTHING,
    refresh: bool = False,
    force: bool = False,
    verify: bool = False,
    parallelism: int | None = None,
    lock_timeout: float = 0,
    command: str = "majobctl.operations.apply",
    show: Callable[[Plan], None] = lambda plan: None,
    observe: Callable[[ChangeResult], None] = lambda result: None,
    observe_reading: Observe = lambda done, total: None,
    should_stop: Callable[[], bool] = lambda: False,
    warn: Warn = ignore,
) -> ApplyResult:
    """Brings the service to what the config repository in ``root`` says.

    ``show`` is called with the plan, and ``approve`` if it has changes: nothing is sent unless it
    returns True. A ``saved_plan`` is applied as it is; ``selection`` and ``refresh`` then play no
    part. ``observe`` is called in this thread with each result once it is on disk. ``should_stop``
    is asked before each change, from several threads, and once before the first; when it returns
    True, no further change is begun. After an interruption, too, the calls under way are waited
    for and their outcomes saved. ``lock_timeout`` is in seconds.

    Failed calls are in the result. Raises ConfigError for broken rules, StalePlanError for a saved
    plan that does not fit, LockedError and StateError for the state, AuthError and ProviderError
    for the service, MajobctlError for the rest, such as a plan that is not approved.
    """
    source: _NewPlan | _ReviewedPlan
    if saved_plan is None:
        config = context.load_config(root, overrides, warn)
        source = _NewPlan(config, selection, refresh, observe_reading, warn)
    else:
        source = _ReviewedPlan(saved_plan, context.load_settings(root, overrides))
    settings = source.settings
    send = partial(_send, verify=verify, should_stop=should_stop, observe=observe, warn=warn)
    at_once = parallelism or settings.parallelism
    with context.store_of(settings).locked(command, lock_timeout) as locked, ExitStack() as opened:
        provider = cache(lambda: opened.enter_context(context.provider_of(settings, at_once)))
        plan = source.plan(locked.state, provider, at_once)
        show(plan)
        _check_share(plan, settings, force)
        if not plan.changes:
            return ApplyResult(results=(), serial=plan.serial)
        if not approve(plan):
            raise MajobctlError("not approved; nothing was sent")
        params = source.params(locked.state)
        return send(plan, params, locked, provider(), at_once, settings.provider["retries"] > 0)


@dataclass(frozen=True, slots=True)
class _NewPlan:
    """A plan to be made from the TOML files."""

    config: Config
    selection: Selection
    refresh: bool
    observe: Observe
    warn: Warn

    @property
    def settings(self) -> Settings:
        return self.config.settings

    def plan(self, state: State | None, provider: Callable[[], Provider], at_once: int) -> Plan:
        return plan_config(
            self.config,
            state,
            provider() if self.refresh else None,
            selection=self.selection,
            parallelism=at_once,
            for_saving=True,
            observe=self.observe,
            warn=self.warn,
        )

    def params(self, state: State | None) -> Mapping[str, Params]:
        return {name: config.params for name, config in self.config.job_configs.items()}


@dataclass(frozen=True, slots=True)
class _ReviewedPlan:
    """A saved plan; the TOML files are read only for the secrets that they contain."""

    saved: SavedPlan
    settings: Settings

    def plan(self, state: State | None, provider: Callable[[], Provider], at_once: int) -> Plan:
        settings = self.settings
        self.saved.check_fits(state, context.target_of(settings), settings.environment)
        return self.saved.plan

    def params(self, state: State | None) -> Mapping[str, Params]:
        masker = state.masker() if state else Masker(self.saved.plan.salt)
        root, overrides = self.settings.root, self.settings.overrides
        return self.saved.params(masker, lambda: valid_job_configs(root, overrides))


def _check_share(plan: Plan, settings: Settings, force: bool) -> None:
    """Raises MajobctlError if the plan changes a larger share than the settings allow."""
    most = settings.values["apply"]["max_change_percent"]
    changes, total = len(plan.changes) - plan.count(Action.RECORD), plan.total
    if most and total >= _GUARDED_TOTAL and changes * 100 > most * total and not force:
        raise MajobctlError(
            f"the plan changes {changes} of {total} job configs, more than"
            f" apply.max_change_percent = {most} allows; nothing was sent\n"
            "if this is intended, run `majobctl apply --force`"
        )


def _send(
    plan: Plan,
    params: Mapping[str, Params],
    locked: LockedState,
    provider: Provider,
    parallelism: int,
    retry_failed: bool,
    *,
    verify: bool,
    observe: Callable[[ChangeResult], None],
    should_stop: Callable[[], bool],
    warn: Warn,
) -> ApplyResult:
    from majobctl.operations.executor import ChangeExecutor
    from majobctl.operations.runner import run_changes

    _check_names(plan, provider, params)
    state = locked.state or State.new(plan.target, plan.salt)
    executor = ChangeExecutor(
        provider=provider,
        params_of=lambda change: params[change.name],
        digest=state.masker().digest,
        creates_missing=plan.creates_missing,
        verifies=verify,
    )
    should_stop()
    with closing(locked.open_journal(state)) as journal:
        applied = run_changes(
            plan,
            journal,
            executor,
            parallelism=parallelism,
            retry_failed=retry_failed,
            should_stop=should_stop,
            observe=observe,
        )
    problem = _save(locked, journal, applied)
    if applied.defect is not None:
        if problem:
            warn(problem)
        raise applied.defect
    return ApplyResult(
        results=applied.results,
        serial=locked.state.serial if locked.state else 0,
        is_interrupted=should_stop(),
        problem=problem,
    )


def _check_names(plan: Plan, provider: Provider, params: Mapping[str, Params]) -> None:
    """Raises MajobctlError, with nothing sent, for each name that the service does not offer. The
    message has no sensitive value."""
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
