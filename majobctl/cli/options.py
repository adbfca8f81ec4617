"""Options that several commands share, and what they stand for."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from typing import Any, TextIO, TypeVar

import click

from majobctl.render import Paint, unpainted

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""
HAS_CHANGES = 2
"""The exit code of ``--detailed-exitcode`` where there are changes."""

Command = TypeVar("Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """click's own range, which takes NaN for a number within it; this one refuses it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


OVERRIDES = "majobctl.overrides"
"""Where a command's context keeps what its options say of environments and variables."""


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    context.meta.setdefault(OVERRIDES, {})[parameter.name] = value


def environment_option(command: Command) -> Command:
    return click.option(
        "-e",
        "--environment",
        metavar="NAME",
        default="",
        envvar="MAJOBCTL_ENVIRONMENT",
        expose_value=False,
        callback=_keep,
        help="The environment of the settings to use (also: MAJOBCTL_ENVIRONMENT).",
    )(command)


def variable_options(command: Command) -> Command:
    """The environment, and the variables of job configs."""
    command = click.option(
        "--var-file",
        "files",
        metavar="FILE",
        multiple=True,
        expose_value=False,
        callback=_keep,
        help="A TOML file of variables. Repeatable; later ones win.",
    )(command)
    command = click.option(
        "--var",
        "values",
        metavar="NAME=VALUE",
        multiple=True,
        expose_value=False,
        callback=_keep,
        help="The value of a variable (also: MAJOBCTL_VAR_NAME). Repeatable.",
    )(command)
    return environment_option(command)


def format_option(command: Command) -> Command:
    return click.option(
        "--format",
        "format_",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="How to print the result.",
    )(command)


def selection_options(command: Command) -> Command:
    command = click.option(
        "--exclude",
        "excluded",
        metavar="GLOB",
        multiple=True,
        help="Leave out the job configs whose names match. Repeatable.",
    )(command)
    return click.option(
        "--target",
        "targeted",
        metavar="GLOB",
        multiple=True,
        help="Only the job configs whose names match. Repeatable.",
    )(command)


def parallelism_option(command: Command) -> Command:
    return click.option(
        "--parallelism",
        metavar="N",
        type=click.IntRange(1, 1000),
        help="How many calls run at once (apply.parallelism in the settings, 10).",
    )(command)


def detailed_exitcode_option(command: Command) -> Command:
    return click.option(
        "--detailed-exitcode",
        is_flag=True,
        help="Exit with 2 where there are changes, 0 where not.",
    )(command)


def refresh_option(command: Command) -> Command:
    return click.option(
        "--refresh",
        is_flag=True,
        help="Read from the service first what was changed there.",
    )(command)


def lock_timeout_option(command: Command) -> Command:
    return click.option(
        "--lock-timeout",
        metavar="SECONDS",
        type=NumberRange(0, 86400),
        default=0,
        show_default=True,
        help="How long to wait for the state's lock.",
    )(command)


def color_option(command: Command) -> Command:
    return click.option(
        "--no-color", is_flag=True, help="No colours (also: NO_COLOR in the environment)."
    )(command)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal; Python has None for one that is closed."""
    return stream is not None and stream.isatty()


def width_of(stream: TextIO | None) -> int | None:
    """The columns of a terminal; None for anything else."""
    return shutil.get_terminal_size().columns if is_terminal(stream) else None


def painter(no_color: bool) -> Paint:
    """Colours on a terminal that wants them."""
    if no_color or os.environ.get("NO_COLOR") or not is_terminal(sys.stdout):
        return unpainted
    return lambda text, colour: click.style(text, fg=colour, bold=True)
