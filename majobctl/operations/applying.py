"""Applies: makes a plan or takes a saved one, asks for approval, sends, and saves the outcomes.

An apply calls back: ``show`` with the plan, and ``approve`` if it has changes, without whose True
nothing is sent; ``begin`` just before the first change; ``observe`` with each result once it is on
disk; ``should_stop`` before each change, in several threads. Once that returns True, no further
change is begun. After an interruption, too, calls under way are waited for and saved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import LOOKED_UP
from majobctl.job_config.secrets import Masker, Maskers, is_masked
from majobctl.operations import context
from majobctl.operations.context import ConfigRepository, RepositoryOrPath
from majobctl.operations.planning import plan_config
from majobctl.operations.saved_plan import SavedPlan, with_secrets
from majobctl.plan.change import SENDING, Params, Renamed
from majobctl.plan.guard import Allowed
from majobctl.plan.limits import exceeded_limits
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.results import ApplyResult, ChangeResult
from majobctl.repository.config import Config, valid_job_configs
from majobctl.state.backends.lease import Clock, Moment
from majobctl.state.document import State
from majobctl.text import printable
from majobctl.waiting import awaiting

if TYPE_CHECKING:
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.store import LockedState


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

    A ``saved_plan`` is applied without ``selection`` and ``refresh``, which is what is read first:
    "changed", "all" or "none". What somebody changed in the service is held back, unless a saved
    plan shows it, a person whom ``approve`` asks has ``reviewed`` it, or with ``overwrite``.

    Raises as ``plan``, LockedError, StalePlanError for a saved plan that does not fit, ConfigError
    for a value that is not set, MajobctlError without approval, or ``force`` to exceed a limit."""
    repository = context.as_repository(repository)
    source = saved_plan or repository.load_config()
    settings = source.settings if isinstance(source, Config) else repository.load_settings()
    refresh = refresh or settings.apply["refresh"]
    allowed = Allowed(
        overwrites=overwrite or settings.apply["overwrite"],
        is_reviewed=reviewed or saved_plan is not None,
        is_blind=refresh == "none",
    )
    digest = saved_plan.digest if saved_plan else ""
    with repository.locked(settings, plan=digest) as locked, ExitStack() as opened:
        at_once = repository.calls_at_once(settings)
        provider = cache(lambda: opened.enter_context(context.provider_of(settings, at_once)))
        run = _Run(
            repository=repository,
            source=source,
            settings=settings,
            locked=locked,
            provider=provider,
            allowed=allowed,
            verifies=verify,
            callbacks=_Callbacks(approve, show, begin, observe, should_stop),
        )
        return run.apply(selection, refresh, force)


@dataclass(frozen=True, slots=True)
class _Callbacks:
    approve: Callable[[Plan], bool]
    show: Callable[[Plan], None]
    begin: Callable[[Plan], None]
    observe: Callable[[ChangeResult], None]
    should_stop: Callable[[], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One apply, while it holds the lock of the state."""

    repository: ConfigRepository
    source: Config | SavedPlan
    settings: Settings
    locked: LockedState
    provider: Callable[[], Provider]
    allowed: Allowed
    verifies: bool
    callbacks: _Callbacks

    def apply(self, selection: Selection, refresh: str, force: bool) -> ApplyResult:
        # A person may take any time to approve, and a plan may have been saved long ago.
        is_at_once = not self.allowed.is_reviewed
        fresh_since = Clock().now() if is_at_once else None
        plan = self._plan(selection, refresh)
        self.callbacks.show(plan)
        if plan.denials:
            from majobctl.operations.policies import refuse_denied

            refuse_denied(plan, isinstance(self.source, SavedPlan))
        if not force:
            self._check_limits(plan)
        if not plan.changes:
            return ApplyResult(results=(), serial=plan.serial)
        return self._carried_out(plan, fresh_since)

    def _plan(self, selection: Selection, refresh: str) -> Plan:
        """The saved plan if it fits; otherwise a new one."""
        source, state, settings = self.source, self.locked.state, self.settings
        if not isinstance(source, Config):
            plan = source.checked(state, context.target_of(settings), settings.environment)
            return self._judged_again(plan)
        # What nobody looks at is read only by the worker that sends it.
        ahead = refresh if self.allowed.is_reviewed or refresh == "all" else "none"
        return plan_config(
            self.repository,
            source,
            state,
            self.provider,
            ahead,
            selection=selection,
            overwrites=self.allowed.overwrites,
            read_history=self.locked.read_history,
        )

    def _judged_again(self, plan: Plan) -> Plan:
        """A saved ``plan`` under the policies of now."""
        from majobctl.operations.policies import judged, policies_of

        return judged(self.repository, plan, self.settings, policies_of(self.settings))

    def _check_limits(self, plan: Plan) -> None:
        patterns, apply = self.settings.job_files, self.settings.apply
        exceeded = exceeded_limits(plan, self.locked.state, apply, patterns)
        lines = [f"the plan {found}; nothing was sent" for found in exceeded]
        if lines:
            advice = "check the files first; if this is intended, run the same command with --force"
            raise MajobctlError("\n".join([*lines, advice]))

    def _carried_out(self, plan: Plan, fresh_since: Moment | None) -> ApplyResult:
        from majobctl.operations.executor import ChangeExecutor
        from majobctl.operations.guard import Guard
        from majobctl.operations.runner import Runner, intents_of

        plan, params = self._approved(plan)
        self.callbacks.begin(plan)
        state = self.locked.state or State.new(plan.target, plan.salt)
        guard = Guard(
            provider=self.provider(),
            masker=state.masker,
            params_of=lambda change: params[change.name],
            allowed=self.allowed,
            creates_missing=plan.creates_missing,
            environment=plan.environment,
            entries=state.job_configs,
            renamed_to={
                it.old_name: it.after
                for it in plan.changes
                if it.after and it.renamed is Renamed.DECLARED
            },
            fresh_since=fresh_since,
        )
        intents = intents_of(item for item in plan.changes if item.after is not None)
        with closing(self.locked.open_journal(state, intents)) as journal:
            runner = Runner(
                plan=plan,
                journal=journal,
                executor=ChangeExecutor(guard=guard, verifies=self.verifies),
                parallelism=self.repository.calls_at_once(self.settings),
                retry_failed=self.settings.provider["retries"] > 0,
                should_stop=self.callbacks.should_stop,
                observe=self.callbacks.observe,
            )
            runner.run()
        with awaiting("Saving the state"):
            problem = self.locked.save(journal)
        if runner.defect is not None:
            if problem:
                self.repository.warn(StateError(problem))
            raise runner.defect
        return ApplyResult(
            results=runner.results,
            serial=self.locked.state.serial if self.locked.state else 0,
            is_interrupted=self.callbacks.should_stop(),
            problem=problem,
        )

    def _approved(self, plan: Plan) -> tuple[Plan, Mapping[str, Params]]:
        """``plan`` with all that it needs, and the params of each job config."""
        from majobctl.operations.catalog_check import keep_lists
        from majobctl.service.codes import MISSING

        state = self.locked.state
        masker = state.masker if state else partial(Masker, plan.salt)
        params = self._params(masker)
        plan = with_secrets(plan, params, masker)
        if plan.missing and isinstance(self.source, Config):
            names = map(printable, plan.missing)
            lines = [f"job_config.{it}: the service does not have it" for it in names]
            raise MajobctlError("\n".join([*lines, f"nothing was sent; {MISSING}"]))
        if self.callbacks.approve(plan) is not True:
            raise MajobctlError("not approved; nothing was sent")
        provider = self.provider()
        try:
            _check_names(plan, provider, params)
        finally:
            keep_lists(self.settings, provider.catalog, self.repository.warn)
        return plan, params

    def _params(self, masker: Maskers) -> Mapping[str, Params]:
        """The params of each job config; for a saved plan, TOML is read only for secrets."""
        source, settings = self.source, self.settings
        if isinstance(source, Config):
            return {name: job_config.params for name, job_config in source.job_configs.items()}
        return source.params(masker, lambda: valid_job_configs(settings.root, settings.given_again))


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
        *provider.catalog.unknown_names(shown),
        *(
            f"job_config.{name}: a sensitive flavor, engine or algorithm does not exist"
            for name in sorted(hidden)
            if provider.catalog.unknown_names([(name, params[name])])
        ),
    ]
    if unknown:
        raise MajobctlError("\n".join([*unknown, "nothing was sent"]))
