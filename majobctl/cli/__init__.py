"""The command line: one file a command, each declares its options, makes one call and prints.

Only here do errors become messages and exit codes."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import click

from majobctl import __version__
from majobctl.cli.commands import LazyGroup
from majobctl.cli.failures import show_failure
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.job_log import guarded_streams, unguarded_stdout
from majobctl.cli.options import INTERRUPTED
from majobctl.cli.progress import showing
from majobctl.cli.terminal import color_choice


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Results go to stdout; progress, warnings and errors to stderr.",
)
@click.version_option(__version__, message="majobctl %(version)s")
def cli() -> None:
    """Plan and apply ModelArts training job configurations kept as TOML in git.

    `majobctl init` creates a config repository, `majobctl plan` shows what `majobctl apply` would
    change, and `majobctl COMMAND --help` shows more about a command. The options below can be
    given before the command or after it.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code (section "Exit codes" of docs/commands.md)."""
    with guarded_streams(), INTERRUPTS.handled(), showing():
        streams = [*filter(None, (sys.stdout, sys.stderr))]
        try:
            code = _run(sys.argv[1:] if arguments is None else arguments)
        except (OSError, SystemExit):
            # The error cannot be written either; or a closed pipe, as click ends for it.
            code = 1
        for stream in streams:
            try:
                stream.flush()
            except OSError:
                # Python would try again at its exit, complain, and exit with 120.
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
                code = code or 1
        return INTERRUPTED if INTERRUPTS.count else code


def _run(arguments: Sequence[str]) -> int:
    # Few of a command's objects are cyclic garbage, and most live until it ends.
    gc.set_threshold(200_000, 50)
    chosen: dict[str, Any] = {}
    if isinstance(stdout := unguarded_stdout(), io.TextIOWrapper):
        # Characters that the output's encoding lacks are shown as escapes.
        stdout.reconfigure(errors="backslashreplace")
    try:
        if "_MAJOBCTL_COMPLETE" in os.environ:
            from majobctl.cli.completion import register

            register()
        _check_arguments(arguments)
        with INTERRUPTS.raising():
            code = cli.main(arguments, prog_name="majobctl", standalone_mode=False, obj=chosen)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, click.ClickException):
            from majobctl.cli.spellings import corrected

            error = corrected(error, arguments)
        with click.Context(cli, obj=chosen) as context:
            context.color = color_choice() == "always" or None
            return show_failure(error, arguments)
    return code if isinstance(code, int) else 0


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raises UsageError for an empty value, which would count as a choice that nobody made, and
    for what click reads as ``-e xclude=x``."""
    if "capture" in arguments:
        # What follows the script belongs to it.
        scripts = (at for at, it in enumerate(arguments) if it.endswith(".py"))
        arguments = arguments[: next(scripts, len(arguments))]
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if not argument or (equals and not value and option.startswith("--")):
            which = option or (before if before.startswith("-") else "an argument")
            raise click.UsageError(f"{which} is empty; is a variable of the shell not set?")
        if option in ("-exclude", "-environment", "-help", "-version", "-verbose"):
            raise click.UsageError(f"No such option: {option}; write -{option}")
        if option in ("-C", "-e") and equals:
            raise click.UsageError(f"{argument}: write {option} {value}")
