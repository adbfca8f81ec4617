"""``majobctl capture``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options
from majobctl.cli.interrupts import Interrupts
from majobctl.errors import MajobctlError
from majobctl.text import counted, printable, printable_lines

if TYPE_CHECKING:
    from majobctl.operations import ConfigRepository


@click.command("capture", context_settings={"allow_interspersed_args": False})
@click.argument("script", metavar="SCRIPT")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--out", metavar="FILE", help="Write a new job file, in place of stdout.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=options.NumberRange(0.1, 86400),
    default=60,
    show_default=True,
    help="Stop the script after this time.",
)
@click.option(
    "--pass-env",
    "passed",
    metavar="NAME",
    multiple=True,
    help="Give the script this variable of the environment, unless it is a credential. Repeatable.",
)
@options.variable_options
def command(
    script: str,
    arguments: tuple[str, ...],
    out: str | None,
    timeout: float,
    passed: tuple[str, ...],
) -> int:
    """Run a script that uses the ModelArts SDK, and write TOML for what it would configure.

    THIS RUNS YOUR CODE: whatever the script does beside using the SDK, it does. Only the SDK and
    moxing are replaced, by a stand-in that records the calls and sends none. The script runs in a
    process of its own, with an empty home, without pauses, and without the variables of the
    environment, except PATH, LANG and their like.

    Each job config of create_job_configs, update_job_configs, fit and create_job_version is
    printed as TOML, without the values that [defaults] of the config repository already gives;
    those that differ in a few values only become a matrix. Options come before SCRIPT; what follows
    it belongs to the script.

    \b
    Example:
      majobctl capture train.py --epochs 10
      majobctl capture --out jobs/captured.toml train.py
    """
    from majobctl.operations.capturing import capture

    shown = printable(script)
    click.echo(f"Running {shown}: this is your code, and it can do whatever you can.", err=True)
    with Interrupts():
        result = capture(
            script,
            arguments,
            timeout=timeout,
            passed=passed,
            repository=_repository(is_needed=out is not None),
            out=out or "",
        )
    for warning in result.warnings:
        invocation.warn(warning)
    for problem in result.left_out:
        invocation.warn(f"left out: {problem}")
    captured = f"Captured {counted(len(result.names), 'job config')}"
    if result.failure:
        unwritten = "; no file was written" if out else ""
        click.echo(f"Error: {printable_lines(str(result.failure))}", err=True)
        captured = f"{captured} before that{unwritten}"
    if result.names and not out:
        click.echo(result.text, nl=False)
    text = f"{captured} in {printable(result.file)}." if result.file else f"{captured}."
    click.echo(text, err=not result.file)
    return 1 if result.failure else 0


def _repository(*, is_needed: bool) -> ConfigRepository | None:
    """The config repository, if there is one."""
    try:
        return invocation.repository()
    except MajobctlError:
        chosen = options.kept("environment", "values", "files")
        if is_needed or any(chosen.values()):
            raise
        return None
