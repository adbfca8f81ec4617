"""``majobctl state``: list, rm, mv, pull, push, check, move."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options
from majobctl.cli.options import environment_option, format_option, lock_timeout_option, say
from majobctl.cli.types import JobConfigGlob, JobConfigName, UserPath, completed
from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import is_glob
from majobctl.operations.context import store_of, target_of, unknown_name
from majobctl.operations.selection import matching
from majobctl.text import printable, quoted

if TYPE_CHECKING:
    from majobctl.state.document import State


_UNDONE = "nothing was changed"
_QUESTION = "Remove these from the state? Only yes is accepted"
_ADVICE = "name them, or run `majobctl state rm --auto-approve GLOB`"


@click.group("state")
def command() -> None:
    """Inspect and repair the state.

    \b
    Example:
      majobctl state list
    """


@command.command("list")
@environment_option
@format_option
def list_(format_: str) -> None:
    """Print the names of the job configs in the state.

    \b
    Example:
      majobctl state list
    """
    state = store_of(invocation.load_settings()).read()
    names = list(state.job_configs) if state else []
    if format_ == "json":
        from majobctl.plan.document import dumps

        click.echo(dumps(names), nl=False)
    else:
        for name in names:
            click.echo(printable(name))


@command.command("rm")
@environment_option
@click.argument(
    "names", metavar="NAME|GLOB...", nargs=-1, required=True, type=JobConfigGlob("state")
)
@click.option("--auto-approve", is_flag=True, help="Do not ask about what a glob matches.")
@lock_timeout_option
def rm(names: tuple[str, ...], auto_approve: bool) -> None:
    """Remove job configs from the state; nothing is sent to the service.

    With a glob, the job configs that it matches are listed, and you are asked for the literal
    "yes".

    \b
    Example:
      majobctl state rm resnet50
      majobctl state rm 'bert-*'
    """
    repository = invocation.repository()
    with repository.locked(repository.load_settings()) as locked:
        known = locked.state.job_configs if locked.state else {}
        unknown = partial(unknown_name, state=locked.state)
        chosen = dict.fromkeys(matching(names, known, unknown, _UNDONE))
        if any(map(is_glob, names)):
            for name in chosen:
                click.echo(f"  forget job_config.{printable(name)}", err=True)
            if not (auto_approve or options.is_confirmed(_QUESTION, _ADVICE, _UNDONE)):
                raise MajobctlError(f"not approved; {_UNDONE}")
        assert locked.state is not None
        rest = {name: entry for name, entry in known.items() if name not in chosen}
        locked.write(locked.state.changed(rest))
    say(f"Removed {len(chosen)} from the state. State serial {locked.state.serial}.")


@command.command("mv")
@environment_option
@click.argument("old", type=JobConfigName("state"))
@click.argument("new", type=JobConfigName("files"))
@lock_timeout_option
def mv(old: str, new: str) -> None:
    """Give the job config OLD in the state the name NEW; nothing is sent to the service.

    Rename its table in the TOML, too. To have an apply write NEW in the service, do not use this:
    write renamed_from = "OLD" in the job config.

    \b
    Example:
      majobctl state mv resnet50 resnet-50
    """
    from majobctl.job_config.fields import name_violation
    from majobctl.state.record import Notes

    repository = invocation.repository()
    settings = repository.load_settings()
    with repository.locked(settings) as locked:
        entries = dict(locked.state.job_configs if locked.state else {})
        wrong = [] if old in entries else [unknown_name(old, locked.state)]
        if violation := name_violation(new, settings.values["jobs"]["max_name_length"]):
            wrong.append(f"{quoted(new)} cannot be its name: {violation.message}")
        elif new in entries:
            wrong.append(f"the state has job_config.{new} already")
        if locked.state is None or wrong:
            raise MajobctlError("\n".join([*wrong, "nothing was changed"]))
        entries[new] = entries.pop(old)
        state = locked.state.changed(dict(sorted(entries.items())))
        locked.write(state, Notes(renamed={new: old}))
    say(f"Renamed in the state, from {quoted(old)}. State serial {state.serial}.")
    option = f" -e {printable(settings.environment)}" if settings.environment else ""
    say(
        f"Now rename the table in its job file to [job_config.{new}]; the service was not asked,"
        f" and may still have the configuration as {quoted(old)}: majobctl plan{option} --refresh",
        err=True,
    )


@command.command("pull")
@environment_option
def pull() -> None:
    """Print the state, as a file for `state push` and `plan --state`.

    \b
    Example:
      majobctl state pull > state-copy.json
    """
    state = store_of(invocation.load_settings()).read()
    if state is None:
        raise MajobctlError("there is no state yet; `majobctl apply` creates it")
    click.echo(state.dump(), nl=False)


@command.command("push")
@environment_option
@click.argument("file", metavar="FILE", type=UserPath())
@click.option(
    "--force",
    is_flag=True,
    help="Accept FILE even if it is older, of the same serial or another lineage, or if the state"
    " is damaged.",
)
@lock_timeout_option
def push(file: str, force: bool) -> None:
    """Check FILE ("-" for stdin) and make it the state; the state before is kept.

    \b
    Example:
      majobctl state push state-copy.json
    """
    from dataclasses import replace

    repository = invocation.repository()
    settings = repository.load_settings()
    pushed = invocation.read_state(file)
    pushed.check_target(target_of(settings), file)
    with repository.locked(settings, instead=pushed, force=force) as locked:
        current = locked.state
        if current is not None and not force:
            _check_follows(pushed, current, file, settings.environment)
        if current and (pushed.lineage, pushed.digest()) == (current.lineage, current.digest()):
            say(f"The state has the same entries. State serial {current.serial}.")
            return
        before = current.serial if current else 0
        serial = max(pushed.serial, before + 1)
        locked.write(replace(pushed, serial=serial))
    say(f"Pushed {printable(file)}. State serial {serial}.")


@command.command("check")
@environment_option
@lock_timeout_option
def check() -> None:
    """Check that the state's place can be used: read it, take the lock, and prove it.

    In a shared place, many writers race for each of a few records: only one may succeed.

    \b
    Example:
      majobctl state check
    """
    from majobctl.operations.state_places import check_state

    for label, text in check_state(invocation.repository()):
        say(f"{label:<7} {printable(text)}")


@command.command("move")
@environment_option
@click.argument("backend", metavar="BACKEND", shell_complete=completed("backends"))
@click.argument("keys", metavar="[KEY=VALUE]...", nargs=-1)
@lock_timeout_option
def move(backend: str, keys: tuple[str, ...]) -> None:
    """Move the state to another place: BACKEND with these keys of [state].

    Both places are locked. A mark in the old one tells everybody who still uses it where the state
    is now. Afterwards, put the printed lines into majobctl.toml. A move that was interrupted goes
    on when it is run again.

    \b
    Example:
      majobctl state move git
      majobctl state move postgres address=postgresql://db.example.com/majobctl name=ml/sentiment
    """
    from majobctl.operations.state_places import move_state

    if wrong := next((it for it in keys if "=" not in it), ""):
        raise click.UsageError(f"{wrong}: write KEY=VALUE")
    given = {key: value for key, _, value in (it.partition("=") for it in keys)}
    moved = move_state(invocation.repository(), backend, given)
    say(f"The state is in {printable(moved.place)}. State serial {moved.serial}.", err=True)
    say("Put this into majobctl.toml, and commit it:", err=True)
    click.echo(moved.lines)


def _check_follows(pushed: State, current: State, file: str, environment: str) -> None:
    if pushed.lineage != current.lineage:
        ours, theirs = printable(current.lineage), printable(pushed.lineage)
        reason = f"is of another lineage ({theirs}) than the state ({ours})"
    elif pushed.serial < current.serial:
        reason = f"has serial {pushed.serial}, the state {current.serial}: it is older"
    elif pushed.serial == current.serial and pushed.digest() != current.digest():
        reason = f"has serial {pushed.serial}, as the state, but other entries"
    else:
        return
    file, option = printable(file), f" -e {printable(environment)}" if environment else ""
    anyway = f"to replace it anyway, run `majobctl state push{option} --force {file}`"
    raise StateError(f"{file} {reason}\nnothing was changed; {anyway}")
