"""``majobctl history``, with ``verify`` and ``prune``, and ``majobctl blame``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.common import after_common_options
from majobctl.cli.types import JobConfigName
from majobctl.errors import MajobctlError
from majobctl.operations.context import store_of
from majobctl.text import counted, printable

if TYPE_CHECKING:
    from majobctl.operations.history import Found
    from majobctl.state.history import HistoryFault

_SHOWN = 20
_QUESTION = "Remove them for good? Only yes is accepted"
_NO_HISTORY = "There is no history yet; the next write of the state begins it."
_LOST = "The history has no records: they were lost, or an older majobctl wrote the state."
_ADVICE = "run `majobctl history prune --before DATE --auto-approve`"


class _NameOrCommand(click.Group):
    """A command with a NAME and options of its own, unless its first word is another command."""

    allow_interspersed_args, allow_extra_args = True, False
    parse_args, invoke = click.Command.parse_args, click.Command.invoke

    def make_context(self, info_name: Any, args: Any, *more: Any, **extra: Any) -> click.Context:
        first = after_common_options(args)
        if below := self.commands.get(*args[first : first + 1] or [""]):
            args = [*args[:first], *args[first + 1 :]]
            name = f"{info_name} {below.name}"
            return click.Command.make_context(below, name, args, *more, **extra)
        return super().make_context(info_name, args, *more, **extra)


@click.group(
    "history", cls=_NameOrCommand, invoke_without_command=True, subcommand_metavar="[COMMAND]"
)
@click.argument("name", metavar="[NAME]", required=False, type=JobConfigName("state"))
@click.option(
    *("--limit", "most"),
    metavar="N",
    type=click.IntRange(min=0),
    help=f"Show at most N records; 0: all (default: {_SHOWN}, or all with --since).",
)
@click.option("--since", metavar="DATE", help="Show no records that are older.")
@options.environment_option
@options.format_choice("text", "json", "markdown")
def command(name: str | None, most: int | None, since: str | None, format_: str) -> None:
    """Show who applied what, when and from which commit, the newest first.

    With the NAME of a job config, show what each record changed of it, also under a former name. A
    DATE is 2026-10-15 or 2026-10-15T09:30, in UTC.

    \b
    Example:
      majobctl history --limit 5
      majobctl history resnet50 --since 2026-10-01
    """
    from majobctl.operations.history import events_of, moment_of

    limit = (0 if since else _SHOWN) if most is None else most
    name, since = name or "", moment_of(since, "--since") if since else ""
    found = events_of(store_of(invocation.load_settings()), name, limit, since)
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import history_document

        text = dumps(history_document(found.events, name, found.known_since))
    else:
        from majobctl.render.history import history_markdown, history_text

        notes, width = [*_notes(found, name, since)], terminal.width_of(sys.stdout)
        is_text = format_ == "text"
        text = (history_text if is_text else history_markdown)(found.events, notes, name, width)
    terminal.say(text, format_)


def _notes(found: Found, name: str, since: str) -> Iterator[str]:
    """What the records do not say."""
    if found.faults and not found.faults[0].number:
        yield _LOST
    elif found.faults:
        what, more = _sentence(found.faults[0]), len(found.faults) - 1
        rest = f", and {counted(more, 'more fault')}" if more else ""
        yield f"The history is damaged: {what}{rest}. `majobctl history verify` names all."
    elif not found.events and name:
        yield f"The history has nothing about job_config.{printable(name)}."
    elif not found.events and since:
        yield f"The history has no record since {since}."
    elif not found.events and not found.known_since:
        yield _NO_HISTORY
    if found.known_since is None:
        yield "There are older records: --limit 0 shows all."
    if found.known_since:
        yield f"The history is known since serial {found.known_since}."


def _sentence(fault: HistoryFault) -> str:
    serial = f" (serial {fault.serial})" if fault.serial else ""
    return printable(f"line {fault.number}{serial}: {fault.message}")


@command.command("verify")
@options.environment_option
def verify() -> int:
    """Check that no record of the history was changed, removed or moved.

    Each that was is named, and the exit code is 1.

    \b
    Example:
      majobctl history verify
    """
    from majobctl.operations.history import faults_of

    found = faults_of(store_of(invocation.load_settings()))
    for fault in found.faults:
        terminal.say(_sentence(fault) if fault.number else _LOST)
    if not found.faults and not found.events and not found.known_since:
        terminal.say(_NO_HISTORY)
    elif not found.faults:
        since = f", since serial {found.known_since}" if found.known_since else ""
        terminal.say(f"Every record of the history is as it was written{since}.")
    return 1 if found.faults else 0


@command.command("prune")
@click.option("--before", metavar="DATE", required=True, help="Remove the records before it.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@options.environment_option
@options.lock_timeout_option
def prune(before: str, auto_approve: bool) -> None:
    """Replace the records before a date by one that keeps who set each value that is left.

    A DATE is 2026-10-15 or 2026-10-15T09:30, in UTC. Nothing is ever pruned by itself.

    \b
    Example:
      majobctl history prune --before 2026-01-01
    """
    from majobctl.operations.history import moment_of, prune_history

    moment = moment_of(before, "--before")

    def approve(number: int) -> bool:
        terminal.say(f"{counted(number, 'record')} before {moment} will be removed.", err=True)
        if auto_approve or terminal.is_confirmed(_QUESTION, _ADVICE, "nothing was removed"):
            return True
        raise MajobctlError("not approved; nothing was removed")

    removed, known_since = prune_history(invocation.repository(), moment, approve)
    text = f"Removed {counted(removed, 'record')}. The history is known since serial {known_since}."
    terminal.say(text if removed else f"The history has no record before {moment}.")


@click.command("blame")
@click.argument("name", metavar="NAME", type=JobConfigName("state"))
@options.environment_option
@options.format_choice("text", "json", "markdown")
def blame(name: str, format_: str) -> None:
    """Show who set each value of a job config: serial, commit, user, date, and the line of TOML.

    \b
    Example:
      majobctl blame resnet50
    """
    from majobctl.operations.history import blame_of

    serial, found = blame_of(store_of(invocation.load_settings()), name)
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import blame_document

        text = dumps(blame_document(name, serial, found))
    else:
        from majobctl.render.history import blame_markdown, blame_text

        width = terminal.width_of(sys.stdout)
        text = (blame_text if format_ == "text" else blame_markdown)(found, width)
    terminal.say(text, format_)
