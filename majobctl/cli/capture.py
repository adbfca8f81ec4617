"""``majobctl capture``."""

from __future__ import annotations

import os
from contextlib import nullcontext, suppress

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.failures import report
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.types import UserPath
from majobctl.errors import MajobctlError
from majobctl.text import counted, printable, quoted


@click.command("capture", context_settings={"allow_interspersed_args": False})
@click.argument("script", metavar="SCRIPT", type=UserPath())
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--out",
    metavar="FILE",
    type=UserPath(),
    default="",
    help="Write a new job file, in place of stdout.",
)
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
def command(
    script: str, arguments: tuple[str, ...], out: str, timeout: float, passed: tuple[str, ...]
) -> int:
    """Run a script that uses the ModelArts SDK, and write TOML for what it would configure.

    THIS RUNS YOUR CODE: whatever the script does beside using the SDK, it does. Only the SDK and
    moxing are replaced, by a stand-in that records the calls and sends none. The script runs in a
    process of its own, with an empty home, without pauses, and without the variables of the
    environment, except PATH, LANG and their like. A program that it starts is not captured, and
    may call the service: a warning names the line.

    Exits with 1 if something may be missing: the script fails, a job config is left out because it
    breaks a rule, or another program starts. What was captured is printed then; --out writes no
    file.

    The TOML leaves out what [defaults] of the config repository already gives; job configs that
    differ only in a few values become a matrix. Options come before SCRIPT; what follows it belongs
    to the script.

    \b
    Example:
      majobctl capture train.py --epochs 10
      majobctl capture --out jobs/captured.toml train.py
    """
    from majobctl.operations.capturing import capture

    root = None
    with suppress(MajobctlError) if not out else nullcontext():
        root = invocation.root()
    notice = f"Running {printable(script)}: this is your code, and it can do whatever you can."
    terminal.say(notice, err=True)
    with INTERRUPTS.careful():
        found = capture(script, arguments, timeout=timeout, passed=passed, root=root, out=out)
    for warning in (*found.warnings, *(f"left out: {problem}" for problem in found.left_out)):
        invocation.warn(warning)
    end = f" in {printable(found.file)}" if found.file else ""
    if found.failure:
        report("Error", found.failure)
        end = " before that"
    if out and not found.file:
        end += "; no file was written"
    scripts = [it for it in arguments if it.endswith(".py") and os.path.isfile(it)]
    if scripts and not found.names:
        first, *more = scripts
        which = quoted(first) + (f" and {len(more)} more" if more else "")
        how = "as arguments" if more else "as an argument"
        advice = "capture runs one script; run it once for each"
        invocation.warn(f"{which} went to {quoted(script)} {how}: {advice}")
    if found.names and not out:
        click.echo(found.text, nl=False)
    terminal.say(f"Captured {counted(len(found.names), 'job config')}{end}.", err=not found.file)
    return 0 if found.is_complete else 1
