"""What is printed, in the width and the colours of a terminal, and what is asked there."""

from __future__ import annotations

import os
import sys
from typing import TextIO

import click

from majobctl.cli.options import kept
from majobctl.errors import MajobctlError
from majobctl.render import Paint, unpainted
from majobctl.text import fitted


def is_terminal(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal; a closed one is None."""
    return stream is not None and stream.isatty()


def is_confirmed(question: str, advice: str, undone: str = "nothing was sent") -> bool:
    """Whether the user types the literal yes. Raises MajobctlError without a terminal."""
    if not is_terminal(sys.stdin):
        reason = f"cannot ask for approval: stdin is not a terminal; {undone}"
        raise MajobctlError(f"{reason}\n{advice}")
    try:
        # The question ends with ": ", and room for the answer.
        text = fitted(question, (width_of(sys.stderr) or 80) - 6)
        answer = click.prompt(text, default="", show_default=False, err=True)
    except click.Abort as error:
        if not isinstance(error.__context__, EOFError):
            raise
        answer = ""
        click.echo(err=True)  # Ctrl-D ends no line
    return bool(answer == "yes")


def width_of(stream: TextIO | None) -> int | None:
    """The columns of a terminal, or those that COLUMNS asks for; None for anything else."""
    is_known = is_terminal(stream) or "COLUMNS" in os.environ
    import shutil

    return shutil.get_terminal_size((0, 0)).columns or None if is_known else None


def color_choice() -> str:
    """``always``, ``never`` or ``auto``, by the option and the environment."""
    if (choice := str(kept("color").get("color") or "auto")) != "auto":
        return choice
    if os.environ.get("NO_COLOR"):
        return "never"
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return "always"
    return "never" if os.environ.get("TERM") == "dumb" else "auto"


def is_colored(stream: TextIO | None) -> bool:
    choice = color_choice()
    return choice == "always" or (choice == "auto" and is_terminal(stream))


def say(text: str, format_: str = "text", *, err: bool = False) -> None:
    """Prints lines; those for people so that no word is broken at the edge of a terminal."""
    stream = sys.stderr if err else sys.stdout
    if format_ == "text" and is_terminal(stream):
        text = fitted(text, width_of(stream))
    click.echo(text, err=err, nl=not text.endswith("\n"))


def painter() -> Paint:
    """Paints what is for stdout."""
    return painted if is_colored(sys.stdout) else unpainted


def painted(text: str, colour: str) -> str:
    return click.style(text, fg=colour, bold=True)
