"""Options that several commands share, and what they mean."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from majobctl.cli.types import JobConfigOrFile, UserPath, completed
from majobctl.text import quoted

INTERRUPTED = 130
"""The exit code after Ctrl-C or SIGTERM."""
HAS_CHANGES = 2
"""The exit code of ``--detailed-exitcode`` if there are changes."""
ENVIRONMENT = "MAJOBCTL_ENVIRONMENT"

Command = TypeVar("Command", bound=Callable[..., Any])


class NumberRange(click.FloatRange):
    """click's own range accepts NaN; this one does not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        with suppress(ValueError):
            if float(value) == float(value):
                return super().convert(value, param, ctx)
        unit = " of seconds" if param and param.metavar == "SECONDS" else ""
        return self.fail(f"{quoted(value)} is not a number{unit}", param, ctx)


def keep(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """What is typed last counts, before the command or after it; then what the command has."""
    chosen, name = context.find_root().ensure_object(dict), parameter.name or ""
    is_typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    if is_typed or chosen.get(name) is None:
        chosen[name] = value
    return value


def kept_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """An option that is not an argument of its command: ``kept`` gives its value."""
    return click.option(*names, expose_value=False, callback=keep, **attributes)


def _repeatable_option(
    option: str, name: str, metavar: str, meaning: str, **attributes: Any
) -> Callable[[Command], Command]:
    return kept_option(option, name, metavar=metavar, multiple=True, help=meaning, **attributes)


def kept(*names: str) -> dict[str, Any]:
    """The values of those of ``names`` that are options of the running command."""
    context = click.get_current_context(silent=True)
    values = context.find_root().ensure_object(dict) if context else {}
    return {name: values[name] for name in names if name in values}


ENVIRONMENT_NAMES = ("-e", "--environment")
ENVIRONMENT_ATTRIBUTES = {
    "metavar": "NAME",
    "shell_complete": completed("environments"),
    "help": f"The environment of the settings to use (also: {ENVIRONMENT}).",
}
environment_option = kept_option(
    *ENVIRONMENT_NAMES, default="", envvar=ENVIRONMENT, **ENVIRONMENT_ATTRIBUTES
)
_var_option = _repeatable_option(
    *("--var", "values", "NAME=VALUE", "Set a variable (also: MAJOBCTL_VAR_NAME). Repeatable."),
    shell_complete=completed("variables"),
)
_var_file_option = _repeatable_option(
    *("--var-file", "files", "FILE", "A TOML file of variables. Repeatable; later files win."),
    type=UserPath(),
)
_target_option = _repeatable_option(
    *("--target", "targeted", "NAME|GLOB|FILE", "Only the job configs that match. Repeatable."),
    type=JobConfigOrFile(),
)
_exclude_option = _repeatable_option(
    *("--exclude", "excluded", "NAME|GLOB|FILE", "Exclude the job configs that match. Repeatable."),
    type=JobConfigOrFile(),
)
parallelism_option = kept_option(
    "--parallelism",
    metavar="N",
    type=click.IntRange(1, 1000),
    help="Make at most N calls at once (default: apply.parallelism in the settings, 10).",
)
refresh_option = click.option(
    "--refresh",
    metavar="[=all|changed|none]",
    is_flag=False,
    flag_value="all",
    type=click.Choice(("all", "changed", "none")),
    help="Read the service first: all job configs (also --refresh alone), or those to be sent.",
)


def lock_timeout(seconds: int) -> Callable[[Command], Command]:
    """The option; ``seconds`` is its default."""
    return kept_option(
        "--lock-timeout",
        metavar="SECONDS",
        type=NumberRange(0, 86400),
        default=seconds,
        show_default=True,
        help="Wait at most this long for the state's lock.",
    )


lock_timeout_option = lock_timeout(0)


def detailed_exitcode_option(what: str) -> Callable[[Command], Command]:
    meaning = f"Exit with 2 if there {what}, with 0 if not."
    return click.option("--detailed-exitcode", is_flag=True, help=meaning)


def format_choice(
    *formats: str, meaning: str = "How to print the result."
) -> Callable[[Command], Command]:
    """The option ``--format``; the first of ``formats`` is the default. It is kept: an
    error is a document if the result would be one."""
    return click.option(
        *("--format", "format_"),
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        is_eager=True,
        callback=keep,
        help=meaning,
    )


format_option = format_choice("text", "json")


_by_option = kept_option(
    "--by",
    type=click.Choice(("cause", "config")),
    default="cause",
    show_default=True,
    help="List the edited lines and what each changes, or the job configs with all their fields.",
)
_summary_option = kept_option("--summary", is_flag=True, help="Print one line per change.")


def no_view(reason: str) -> None:
    """Raises UsageError if there is an option of ``view_options``, which would do nothing."""
    source_of = click.get_current_context().get_parameter_source
    for option in ("by", "summary"):
        if source_of(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option}: {reason}")


def view_options(command: Command) -> Command:
    return _by_option(_summary_option(command))


def view() -> str:
    """What a plan is told by."""
    options = kept("by", "summary")
    return "summary" if options.get("summary") else str(options.get("by", "cause"))


def variable_options(command: Command) -> Command:
    return environment_option(_var_option(_var_file_option(command)))


def selection_options(command: Command) -> Command:
    return _target_option(_exclude_option(command))
