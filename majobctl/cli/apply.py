"""``majobctl apply``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.failures import report
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.progress import ApplyProgress
from majobctl.cli.types import UserPath
from majobctl.errors import MajobctlError, StalePlanError, together
from majobctl.text import environment_flag, printable

if TYPE_CHECKING:
    from majobctl.operations import SavedPlan
    from majobctl.plan.plan import Plan
    from majobctl.plan.results import ApplyResult

FAILED = 3
_HINT = "\nthe argument is a saved plan; for one job config: majobctl apply --target NAME"


@click.command("apply")
@click.argument("planfile", required=False, type=UserPath())
@options.selection_options
@options.variable_options
@options.refresh_option
@options.format_option
@options.view_options
@click.option("--auto-approve", is_flag=True, help="Do not ask for approval.")
@click.option(
    "--overwrite",
    is_flag=True,
    help="Undo what was changed in the service: the files win. With --refresh, also in job configs"
    " that the files did not change.",
)
@click.option("--force", is_flag=True, help="Apply even more than apply.max_*_percent allow.")
@click.option(
    "--verify", is_flag=True, help="Read each configuration back after writing it, and compare."
)
@options.parallelism_option
@options.lock_timeout_option
def command(
    planfile: str | None,
    refresh: str | None,
    format_: str,
    auto_approve: bool,
    overwrite: bool,
    force: bool,
    verify: bool,
) -> int:
    """Plan, show the plan, ask for the literal "yes", and send the calls that are needed.

    A saved PLANFILE is applied as it was reviewed, without asking. It is refused with exit code 5
    if it no longer fits the state or the target.

    Each configuration is read right before it is sent. If the call would undo what somebody
    changed in the service, it is held back (exit code 5), unless you typed yes to a plan that
    shows it, the saved plan was made with --refresh, or --overwrite is given.

    Each success is on disk before it is reported. A failed call does not stop the others, but
    refused credentials do: no further call is begun. One Ctrl-C starts no further call and waits
    for those under way; a second one exits at once.

    \b
    Example:
      majobctl apply --auto-approve --parallelism 20
    """
    saved = _saved_plan(planfile, refresh) if planfile is not None else None
    is_approved = auto_approve or saved is not None
    if format_ == "json" and is_approved:
        options.no_view("no plan is shown with --format json")
    return applied(
        saved,
        format_=format_,
        is_approved=is_approved,
        refresh=refresh or "",
        overwrite=overwrite,
        reviewed=not is_approved and terminal.is_terminal(sys.stdin),
        force=force,
        verify=verify,
    )


def applied(
    saved: SavedPlan | None,
    *,
    format_: str = "text",
    is_approved: bool = True,
    environment: str = "",
    **arguments: Any,
) -> int:
    """Applies with these ``arguments`` of the operation, prints the result and returns the exit
    code."""
    from majobctl.operations import apply

    applying = ApplyProgress(format_)
    with INTERRUPTS.careful():
        result = apply(
            invocation.repository(environment),
            approve=lambda plan: is_approved or _is_confirmed(plan),
            saved_plan=saved,
            selection=invocation.selection(),
            show=lambda plan: _show_plan(plan, format_, is_approved),
            begin=lambda plan: _begin(plan, applying),
            observe=applying.observe,
            should_stop=INTERRUPTS.should_stop,
            **arguments,
        )
    return _report(result, format_)


def _saved_plan(planfile: str, refresh: str | None) -> SavedPlan:
    from majobctl.operations import SavedPlan

    if invocation.selection() or refresh == "all":
        what = "--target, --exclude and --refresh"
        raise click.UsageError(f"a saved plan is applied as it was made; give {what} to plan")
    return SavedPlan.read(invocation.read_file(planfile, _HINT), planfile)


def _begin(plan: Plan, progress: ApplyProgress) -> None:
    # Later, no descriptor may be free, or `git clean -xdf` may have removed a .venv.
    import shutil  # noqa: F401

    from majobctl.render import json, results  # noqa: F401

    INTERRUPTS.defer()
    progress.start(len(plan.changes))


def _report(result: ApplyResult, format_: str) -> int:
    """Prints the result and returns the exit code."""
    from majobctl.plan.results import ChangeStatus

    if result.problem:
        # First: it says where the outcomes are, and stdout may be what cannot be written.
        report("Error", result.problem)
    # The plan has said already that there was nothing to do.
    if result.results or format_ == "json":
        _show_result(result, format_)
    if result.is_interrupted:
        return options.INTERRUPTED
    if result.problem:
        return 1
    if result.count(ChangeStatus.CHANGED_MEANWHILE) or result.count(ChangeStatus.HELD_BACK):
        return StalePlanError.exit_code
    return 0 if result.is_complete else FAILED


def _show_plan(plan: Plan, format_: str, is_approved: bool) -> None:
    from majobctl.render.text import plan_text

    if format_ == "text":
        text = plan_text(plan, terminal.painter(), terminal.width_of(sys.stdout), options.view())
        terminal.say(f"{text}\n" if plan.changes else text)
    elif not is_approved:
        # stdout is for the one JSON document; the plan to approve is shown on stderr.
        width = terminal.width_of(sys.stderr)
        terminal.say(f"{plan_text(plan, width=width, by=options.view())}\n", err=True)
    else:
        for denied in together(plan.denials):
            terminal.say(printable(str(denied)), err=True)


def _is_confirmed(plan: Plan) -> bool:
    option = environment_flag(plan.environment)
    place = f" to the environment {plan.environment}" if plan.environment else ""
    return terminal.is_confirmed(
        f"Apply these changes{place}? Only yes is accepted",
        f"save a plan (`majobctl plan{option} --refresh --out FILE`), review it and run"
        f" `majobctl apply{option} FILE`; or run `majobctl apply{option} --auto-approve`",
    )


def _show_result(result: ApplyResult, format_: str) -> None:
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import result_document

        text = dumps(result_document(result))
    else:
        from majobctl.render.results import result_text

        text = result_text(result)
    try:
        terminal.say(text, format_)
    except OSError as error:
        raise MajobctlError(
            f"the result cannot be written: {error.strerror}\n"
            f"what was done is in the state, serial {result.serial}"
        ) from error
