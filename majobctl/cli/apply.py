"""``majobctl apply``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cache
from typing import TYPE_CHECKING

import click

from majobctl.cli.interrupts import Interrupts, terminable
from majobctl.cli.options import (
    INTERRUPTED,
    color_option,
    format_option,
    is_terminal,
    lock_timeout_option,
    painter,
    parallelism_option,
    refresh_option,
    selection_options,
    variable_options,
    width_of,
)
from majobctl.cli.progress import apply_progress
from majobctl.cli.repository import (
    command_line,
    load_config_here,
    load_settings,
    overrides_here,
    plan_for,
    read_file,
)
from majobctl.errors import MajobctlError, StalePlanError, StateError
from majobctl.job_config.fields import LOOKED_UP
from majobctl.operations.context import provider_of, store_of, target_of
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.operations.apply import Applied
    from majobctl.plan.change import Change, Params
    from majobctl.plan.plan import Plan, Selection
    from majobctl.plan.results import ApplyResult
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.document import State
    from majobctl.state.journal import Journal
    from majobctl.state.store import LockedState

FAILED = 3
_GUARDED_TOTAL = 10
"""apply.max_change_percent says something from this number of job configs on."""


@click.command("apply")
@click.argument("planfile", required=False)
@selection_options
@variable_options
@refresh_option
@format_option
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Apply more changes than apply.max_change_percent.")
@click.option(
    "--verify", is_flag=True, help="Read each configuration back once it is written, and compare."
)
@parallelism_option
@lock_timeout_option
@color_option
def command(
    planfile: str | None,
    targeted: tuple[str, ...],
    excluded: tuple[str, ...],
    refresh: bool,
    format_: str,
    auto_approve: bool,
    force: bool,
    verify: bool,
    parallelism: int | None,
    lock_timeout: float,
    no_color: bool,
) -> int:
    """Plan, show the plan, ask for the literal "yes", and send the calls that are needed.

    A saved PLANFILE is applied as it was reviewed, without asking; one that no longer fits the
    state or the target is refused with exit code 5.

    With --refresh, the service is read first: what was changed there is part of the plan, and a
    configuration that somebody changes after that is not sent (exit code 5).

    Each success is on disk before it is told. A call that fails does not stop the others. One
    Ctrl-C stops starting calls and waits for those under way; a second one leaves at once.

    \b
    Example:
      majobctl apply --auto-approve --parallelism 20
    """
    from majobctl.plan.plan import Selection

    selection = Selection(targeted, excluded)
    if planfile is not None and (selection or refresh):
        what = "--target, --exclude and --refresh"
        raise click.UsageError(f"a saved plan is applied as it was made; give {what} to plan")
    review = _SavedPlan(planfile) if planfile is not None else _FreshPlan(selection, refresh)
    settings = review.settings
    at_once = parallelism or settings.parallelism
    store = store_of(settings)
    with terminable(), store.locked(command_line(), lock_timeout) as locked, ExitStack() as opened:
        provider = cache(lambda: opened.enter_context(provider_of(settings, at_once)))
        plan = review.plan(locked.state, provider, at_once)
        is_approved = auto_approve or planfile is not None
        _show_plan(plan, format_, is_approved, no_color)
        _check_share(plan, settings, force)
        if plan.changes and not is_approved:
            _ask(plan)
        params = review.params(plan, locked.state)
        result = _run(plan, params, locked, settings, provider, at_once, verify)
    if result.problem:
        # First: it says where the outcomes are, and stdout may be what cannot be written.
        click.echo(f"Error: {result.problem}", err=True)
    _show_result(result, format_)
    return _exit_code(result)


def _exit_code(result: ApplyResult) -> int:
    from majobctl.plan.results import ChangeStatus

    if result.is_interrupted:
        return INTERRUPTED
    if result.problem:
        return 1
    if result.count(ChangeStatus.CHANGED_MEANWHILE):
        return StalePlanError.exit_code
    return 0 if result.is_complete else FAILED


class _FreshPlan:
    """A plan made now, from the TOML files."""

    def __init__(self, selection: Selection, refresh: bool) -> None:
        self._config = load_config_here()
        self._selection = selection
        self._refresh = refresh
        self.settings = self._config.settings

    def plan(self, state: State | None, provider: Callable[[], Provider], at_once: int) -> Plan:
        read = provider() if self._refresh else None
        return plan_for(self._config, state, self._selection, read, at_once, for_saving=True)

    def params(self, plan: Plan, state: State | None) -> Mapping[str, Params]:
        return {name: config.params for name, config in self._config.job_configs.items()}


class _SavedPlan:
    """A plan that was reviewed; the TOML files are read only for secrets that stand in them."""

    def __init__(self, file: str) -> None:
        from majobctl.plan.document import read_plan

        self._name = printable(file)
        self._plan = read_plan(read_file(file), self._name)
        self.settings = load_settings()

    def plan(self, state: State | None, provider: Callable[[], Provider], at_once: int) -> Plan:
        from majobctl.operations.saved_plan import check_fits

        settings = self.settings
        check_fits(self._plan, state, target_of(settings), self._name, settings.environment)
        return self._plan

    def params(self, plan: Plan, state: State | None) -> Mapping[str, Params]:
        from majobctl.job_config.secrets import Masker
        from majobctl.operations.saved_plan import resolved_params
        from majobctl.repository.config import valid_job_configs

        masker = state.masker() if state else Masker(plan.salt)
        root, overrides = self.settings.root, overrides_here()
        return resolved_params(plan, masker, self._name, lambda: valid_job_configs(root, overrides))


def _show_plan(plan: Plan, format_: str, is_approved: bool, no_color: bool) -> None:
    from majobctl.render.text import plan_text

    if format_ == "text":
        click.echo(plan_text(plan, painter(no_color), width_of(sys.stdout)))
    elif not is_approved:
        # stdout is for the one JSON document; who is asked must see the plan all the same.
        click.echo(plan_text(plan, width=width_of(sys.stderr)), err=True)


def _check_share(plan: Plan, settings: Settings, force: bool) -> None:
    """Raises MajobctlError where the plan changes a larger share than the settings allow."""
    from majobctl.plan.change import Action

    most = settings.values["apply"]["max_change_percent"]
    changes, total = len(plan.changes) - plan.count(Action.RECORD), plan.total
    if most and total >= _GUARDED_TOTAL and changes * 100 > most * total and not force:
        raise MajobctlError(
            f"the plan changes {changes} of {total} job configs, more than"
            f" apply.max_change_percent = {most} allows; nothing was sent\n"
            "if that is meant, apply with --force"
        )


def _ask(plan: Plan) -> None:
    """Raises MajobctlError unless the user types the literal yes."""
    if not is_terminal(sys.stdin):
        raise MajobctlError(
            "nobody can be asked, since stdin is no terminal; nothing was sent\n"
            "save a plan (`majobctl plan --out FILE`), review it and `majobctl apply FILE`; or use"
            " `majobctl apply --auto-approve`"
        )
    place = f" to the environment {plan.environment}" if plan.environment else ""
    answer = click.prompt(
        f"Apply these changes{place}? Only yes is accepted",
        default="",
        show_default=False,
        err=True,
    )
    if answer != "yes":
        raise MajobctlError("not approved; nothing was sent")


def _run(
    plan: Plan,
    params: Mapping[str, Params],
    locked: LockedState,
    settings: Settings,
    provider_here: Callable[[], Provider],
    parallelism: int,
    verify: bool,
) -> ApplyResult:
    from majobctl.operations.apply import apply_changes
    from majobctl.operations.executor import ChangeExecutor
    from majobctl.plan.results import ApplyResult
    from majobctl.state.document import State

    if not plan.changes:
        return ApplyResult(results=(), serial=plan.serial)
    state = locked.state or State.new(plan.target, plan.salt)
    provider = provider_here()
    _check_names(plan, provider, params)
    errand = ChangeExecutor(
        provider,
        lambda change: params[change.name],
        state.masker().digest,
        creates_missing=plan.creates_missing,
        verifies=verify,
    )
    journal = locked.open_journal(state)
    with Interrupts(provider) as interrupts:
        with closing(journal), apply_progress(len(plan.changes)) as observe:
            applied = apply_changes(
                plan,
                journal,
                errand,
                parallelism=parallelism,
                retry_failed=settings.provider["retries"] > 0,
                should_stop=lambda: interrupts.count > 0,
                observe=observe,
            )
        problem = _save(locked, journal, applied)
    if applied.defect is not None:
        if problem:
            click.echo(f"Error: {problem}", err=True)
        raise applied.defect
    serial = locked.state.serial if locked.state else 0
    return ApplyResult(
        results=applied.results, serial=serial, is_interrupted=interrupts.count > 0, problem=problem
    )


def _save(locked: LockedState, journal: Journal, applied: Applied) -> str:
    """Brings the outcomes into the state file; says what to do where that cannot be done."""
    if applied.failure is not None:
        return locked.rescue(journal)
    try:
        locked.merge()
    except StateError as error:
        return str(error)
    return ""


def _check_names(plan: Plan, provider: Provider, params: Mapping[str, Params]) -> None:
    """Raises MajobctlError, with nothing sent, where the service does not offer a name."""
    from majobctl.plan.change import SENDING

    sending = [change for change in plan.changes if change.action in SENDING]
    unknown = _unknown_names(provider, sending, params)
    if unknown:
        raise MajobctlError("\n".join([*unknown, "nothing was sent"]))


def _unknown_names(
    provider: Provider, calling: Sequence[Change], params: Mapping[str, Params]
) -> list[str]:
    """A sentence for each name that the service does not offer, telling no sensitive one."""
    from majobctl.job_config.secrets import is_masked

    hidden = {
        item.name
        for item in calling
        if any(is_masked((item.after or {}).get(key)) for key in LOOKED_UP)
    }
    shown = [(item.name, params[item.name]) for item in calling if item.name not in hidden]
    return [
        *provider.unknown_names(shown),
        *(
            f"job_config.{name}: a sensitive flavor, engine or algorithm does not exist"
            for name in sorted(hidden)
            if provider.unknown_names([(name, params[name])])
        ),
    ]


def _show_result(result: ApplyResult, format_: str) -> None:
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import result_document

        text = dumps(result_document(result))
    else:
        from majobctl.render.results import result_text

        text = result_text(result)
    try:
        click.echo(text, nl=False)
    except OSError as error:
        raise MajobctlError(
            f"the result cannot be written: {error.strerror}\n"
            f"what was done is in the state, serial {result.serial}"
        ) from error
