"""The command line: one file a command, each declares its options, makes one call and prints.

Only here do errors become messages and exit codes."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from itertools import pairwise

import click

from majobctl import __version__
from majobctl.cli.commands import LazyGroup
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.job_log import guarded_streams, unguarded_stdout
from majobctl.cli.options import INTERRUPTED, fitted_error, say
from majobctl.cli.progress import showing
from majobctl.errors import ConfigError, MajobctlError, ServiceError
from majobctl.text import counted, printable, printable_lines


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Results go to stdout; progress, warnings and errors to stderr.",
)
@click.version_option(__version__, message="majobctl %(version)s")
@click.option("-C", "--chdir", metavar="DIR", help="Change to DIR first.")
@click.option("-v", "--verbose", is_flag=True, help="Log each request to stderr.")
def cli(chdir: str | None, verbose: bool) -> None:
    """Plan and apply ModelArts training job configurations kept as TOML in git.

    `majobctl init` creates a config repository, `majobctl plan` shows what `majobctl apply` would
    change, and `majobctl COMMAND --help` shows more about a command.
    """
    if verbose:
        import logging

        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        own = logging.getLogger("majobctl")
        own.addHandler(handler)
        own.setLevel(logging.DEBUG)
        click.get_current_context().call_on_close(lambda: own.removeHandler(handler))
    if chdir is not None:
        try:
            os.chdir(chdir)
        except OSError as error:
            raise MajobctlError(f"cannot change to {printable(chdir)}: {error.strerror}") from error


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
    gc.set_threshold(50_000, 50)
    if isinstance(stdout := unguarded_stdout(), io.TextIOWrapper):
        # Characters that the output's encoding lacks are shown as escapes.
        stdout.reconfigure(errors="backslashreplace")
    try:
        _check_arguments(arguments)
        with INTERRUPTS.raising():
            code = cli.main(arguments, prog_name="majobctl", standalone_mode=False)
    except click.ClickException as error:
        fitted_error(_with_hint(error, arguments)).show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except MajobctlError as error:
        _show(error)
        return error.exit_code
    except OSError as error:
        # A full disk, a stream that cannot be written, a folder that is gone: not a defect of ours.
        say(f"Error: {printable(_reason(error))}", err=True)
        return 1
    except Exception:
        if INTERRUPTS.is_raised:
            # Python makes another error of one that is raised in an import, or until 3.12 while a
            # class is created.
            click.echo("Interrupted.", err=True)
            return INTERRUPTED
        import traceback

        traceback.print_exc()
        say(
            f"majobctl {__version__}: this is a defect in majobctl. Please report it with the lines"
            " above.",
            err=True,
        )
        return 1
    return code if isinstance(code, int) else 0


def _check_arguments(arguments: Sequence[str]) -> None:
    """Raises UsageError for an empty value, which would count as a choice that nobody made, and
    for what click reads as ``-e xclude=x``."""
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=")
        if not argument or (equals and not value and option.startswith("--")):
            which = option or (before if before.startswith("-") else "an argument")
            raise click.UsageError(f"{which} is empty; is a variable of the shell not set?")
        if option in ("-exclude", "-environment"):
            raise click.UsageError(f"No such option: {option}; write -{option}")


_OF_TERRAFORM = {
    "destroy": "remove the job configs from the files, with apply.delete_removed = true",
    "force-unlock": "majobctl unlock ID",
    "refresh": "majobctl plan --refresh",
    "state show": "majobctl show NAME",
    "workspace": "choose an environment: -e NAME",
}


def _with_hint(error: click.ClickException, arguments: Sequence[str]) -> click.ClickException:
    """The same error, or a hint if the command or the option is spelled as in Terraform."""
    words = " ".join(argument for argument in arguments if not argument.startswith("-"))
    for command, hint in _OF_TERRAFORM.items():
        if f"{words} ".startswith(f"{command} "):
            return click.UsageError(f"No such command: {command}; {hint}")
    if isinstance(error, click.NoSuchOption) and error.ctx:
        known = {name for parameter in error.ctx.command.params for name in parameter.opts}
        for name in (argument.partition("=")[0] for argument in arguments):
            if f"-{name}" in known:
                return click.UsageError(f"No such option: {name}; write -{name}", error.ctx)
    return error


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    is_gone = isinstance(error, FileNotFoundError)
    return "the current directory was removed" if is_gone else f"cannot write the output: {reason}"


def _show(error: MajobctlError) -> None:
    if isinstance(error, ConfigError):
        say(printable_lines(str(error)), err=True)
        click.echo(f"{counted(len(error.problems), 'problem')}. Nothing was done.", err=True)
    else:
        say(f"Error: {printable_lines(str(error))}", err=True)
        cause = error.__cause__ or error
        if isinstance(cause, ServiceError) and cause.status < 429:
            from majobctl.service.codes import ADVICE

            is_denied = cause.is_about_credentials or cause.status == 403
            default = "check the credentials and their rights" if is_denied else ""
            if advice := ADVICE.get(cause.code, default):
                say(advice, err=True)
