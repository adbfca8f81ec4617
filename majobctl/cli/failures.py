"""How a command reports what is wrong: sentences on stderr, with the lines of the files that they
are about, and with --format json one document on stdout."""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Sequence
from itertools import pairwise

import click

from majobctl import __version__
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.options import INTERRUPTED, kept
from majobctl.cli.terminal import color_choice, is_colored, is_terminal, painted, say
from majobctl.errors import ConfigError, DeniedError, MajobctlError, Problem, ServiceError
from majobctl.text import counted, printable, printable_lines

_MOST_EXCERPTS = 20
"""Of one run: whoever has more problems reads a list."""
_COLOURS = {"Error": "red", "Warning": "yellow"}


def report(label: str, what: object) -> None:
    """Prints ``label``, "Error" or "Warning", and ``what``, whose place has its colour, too."""
    place = what.place if isinstance(what, Problem) else ""
    colour = _COLOURS[label]
    text = _marked(printable_lines(str(what)), place, colour)
    say(f"{_marked(f'{label}:', label, colour)} {text}", err=True)


def _marked(text: str, start: str, colour: str) -> str:
    """``text`` with what it starts with, and the colon after that, in ``colour``."""
    start = printable(start) + ":" if start else ""
    if not start or not text.startswith(start) or not is_colored(sys.stderr):
        return text
    return painted(start, colour) + text[len(start) :]


def show_failure(error: BaseException, arguments: Sequence[str]) -> int:
    """Says why the command failed, and returns its exit code."""
    kind, code, text = _print_error(error, arguments)
    if _wants_json(error, arguments):
        from majobctl.plan.document import dumps
        from majobctl.render.errors import error_document

        known = error if isinstance(error, (ConfigError, DeniedError)) else None
        warnings = error.warnings if isinstance(error, ConfigError) else ()
        problems, service = known.problems if known else (), _refusal(error)
        document = error_document(kind, code, text, problems, warnings, service)
        click.echo(dumps(document), nl=False)
    return code


def _wants_json(error: BaseException, arguments: Sequence[str]) -> bool:
    """Whether stdout is for one JSON document; the command line may be wrong before that option."""
    known = kept("format_", "command")
    if format_ := known.get("format_"):
        return bool(format_ == "json")
    context = getattr(error, "ctx", None)
    command = context.command if context else known.get("command")
    names = {name for it in getattr(command, "params", ()) for name in it.opts}
    if command and "--format" not in names and not isinstance(command, click.Group):
        return False
    words = [*arguments, ""]
    return "--format=json" in words or ("--format", "json") in pairwise(words)


def _print_error(error: BaseException, arguments: Sequence[str]) -> tuple[str, int, str]:
    """Prints the error; returns its kind, the exit code, and the message."""
    if isinstance(error, click.ClickException):
        return "usage", 1, _show_usage(error)
    if isinstance(error, ConfigError):
        typed = {part for it in arguments for part in (it, it.partition("=")[2])}
        show_problems(error.problems, typed, error.secret_names)
        text = f"{counted(len(error.problems), 'problem')}. Nothing was done."
        click.echo(text, err=True)
        return error.kind, 1, text
    if isinstance(error, MajobctlError):
        from majobctl.render.errors import kind_of

        text = "\n".join([printable_lines(str(error)), *_advice(error)])
        report("Error", text)
        return kind_of(error), error.exit_code, text
    if isinstance(error, OSError):
        # A full disk, a stream that cannot be written, a folder that is gone: not a defect of ours.
        report("Error", text := printable(_reason(error)))
        return "system", 1, text
    if isinstance(error, (click.Abort, KeyboardInterrupt)) or INTERRUPTS.is_raised:
        # Python makes another error of one that is raised in an import, or until 3.12 while a class
        # is created.
        click.echo("Interrupted.", err=True)
        return "interrupted", INTERRUPTED, "Interrupted."
    import traceback

    traceback.print_exception(error)
    text = "this is a defect in majobctl. Please report it with the lines above."
    say(f"majobctl {__version__}: {text}", err=True)
    return "defect", 1, f"this is a defect in majobctl: {type(error).__name__}"


def _show_usage(error: click.ClickException) -> str:
    error.message = printable_lines(error.message)  # type: ignore[misc]
    error.show(shown := io.StringIO())
    text = error.format_message()
    usage = shown.getvalue().removesuffix(f"Error: {text}\n")
    click.echo(usage, nl=False, err=True)
    if usage.strip() != text.strip():  # or a group was called alone, and this is its help
        report("Error", text)
    return text


def _refusal(error: BaseException) -> ServiceError | None:
    found = [it for it in (error, error.__cause__) if isinstance(it, ServiceError)]
    return found[0] if found else None


def _advice(error: MajobctlError) -> list[str]:
    refusal = _refusal(error)
    if refusal is None or refusal.status >= 429:
        return []
    from majobctl.service.codes import ADVICE

    is_denied = refusal.is_about_credentials or refusal.status == 403
    default = "check the credentials and their rights" if is_denied else ""
    return [it for it in (ADVICE.get(refusal.code, default),) if it]


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}"
    is_gone = isinstance(error, FileNotFoundError)
    return "the current directory was removed" if is_gone else f"cannot write the output: {reason}"


def show_problems(
    problems: Sequence[Problem], typed: Collection[str], secret_names: Collection[str]
) -> None:
    """Prints each problem, on a terminal with the line that it is about. Paths are relative to the
    folder of the settings, but for those that were ``typed``."""
    has_excerpts = is_terminal(sys.stderr) or color_choice() == "always"
    excerpts: list[list[str]] = []
    if has_excerpts:
        from majobctl.cli.excerpts import Excerpts

        found = Excerpts(typed, secret_names)
        excerpts = [found.of(it) if it.line else [] for it in problems[:_MOST_EXCERPTS]]
    for index, problem in enumerate(problems):
        say(_marked(printable_lines(str(problem)), problem.place, "red"), err=True)
        here, following = excerpts[index : index + 1], excerpts[index + 1 : index + 2]
        if here and here != following:
            click.echo("".join(f"{line}\n" for line in here[0]), nl=False, err=True)
