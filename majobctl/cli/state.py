"""``majobctl state``: list, rm, pull, push."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation
from majobctl.cli.options import environment_option, format_option, lock_timeout_option
from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import plain_name
from majobctl.operations.context import store_of, target_of
from majobctl.text import nearest, printable, quoted

if TYPE_CHECKING:
    from majobctl.state.document import State


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
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@lock_timeout_option
def rm(names: tuple[str, ...]) -> None:
    """Remove job configs from the state; nothing is sent to the service.

    \b
    Example:
      majobctl state rm resnet50
    """
    repository, names = invocation.repository(), tuple(map(plain_name, names))
    with repository.locked(repository.load_settings()) as locked:
        known = locked.state.job_configs if locked.state else {}
        missing = [name for name in names if name not in known]
        if locked.state is None or missing:
            hints = "\n".join(
                f"the state has no job config {quoted(name)}{nearest(name, known)}"
                for name in missing
            )
            raise MajobctlError(f"{hints}\nnothing was changed")
        rest = {name: entry for name, entry in known.items() if name not in names}
        locked.write(locked.state.changed(rest))
    removed = len(set(names))
    click.echo(f"Removed {removed} from the state. State serial {locked.state.serial}.")


@command.command("pull")
@environment_option
def pull() -> None:
    """Print the state file.

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
@click.argument("file", metavar="FILE")
@click.option(
    "--force",
    is_flag=True,
    help="Accept FILE even if it is older, of the same serial or another lineage, or if the state"
    " is damaged.",
)
@lock_timeout_option
def push(file: str, force: bool) -> None:
    """Check FILE ("-" for stdin) and make it the state; the previous state becomes the backup.

    \b
    Example:
      majobctl state push state-copy.json
    """
    from dataclasses import replace

    from majobctl.state.document import State

    repository = invocation.repository()
    settings = repository.load_settings()
    try:
        pushed = State.load(invocation.read_file(file), file)
    except StateError as error:
        if error.__cause__ is None:
            raise
        name = "stdin" if file == "-" else file
        reason = printable(f"{name} is not a state file: {error.__cause__}")
        raise StateError(
            f"{reason}\nnothing was changed; `majobctl state pull > FILE` makes one (in Windows"
            ' PowerShell: cmd /c "majobctl state pull > FILE")'
        ) from error
    pushed.check_target(target_of(settings), file)
    with repository.locked(settings, instead=pushed, force=force) as locked:
        current = locked.state
        if current is not None and not force:
            _check_follows(pushed, current, file)
        if current and (pushed.lineage, pushed.digest()) == (current.lineage, current.digest()):
            click.echo(f"The state has the same entries. State serial {current.serial}.")
            return
        before = current.serial if current else 0
        serial = max(pushed.serial, before + 1)
        locked.write(replace(pushed, serial=serial))
    click.echo(f"Pushed {printable(file)}. State serial {serial}.")


def _check_follows(pushed: State, current: State, file: str) -> None:
    if pushed.lineage != current.lineage:
        ours, theirs = printable(current.lineage), printable(pushed.lineage)
        reason = f"is of another lineage ({theirs}) than the state ({ours})"
    elif pushed.serial < current.serial:
        reason = f"has serial {pushed.serial}, the state {current.serial}: it is older"
    elif pushed.serial == current.serial and pushed.digest() != current.digest():
        reason = f"has serial {pushed.serial}, as the state, but other entries"
    else:
        return
    file = printable(file)
    anyway = f"to replace it anyway, run `majobctl state push --force {file}`"
    raise StateError(f"{file} {reason}\nnothing was changed; {anyway}")
