"""``majobctl state``: list, rm, mv, pull, push, check, move."""

from __future__ import annotations

import click

from majobctl.cli import invocation, terminal
from majobctl.cli.options import environment_option, format_option, lock_timeout_option
from majobctl.cli.terminal import say
from majobctl.cli.types import JobConfigGlob, JobConfigName, UserPath, completed
from majobctl.errors import MajobctlError
from majobctl.job_config.fields import is_glob
from majobctl.operations.context import store_of
from majobctl.text import environment_flag, printable, quoted

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
    from majobctl.operations.state_edits import UNDONE, remove_from_state

    def approve(chosen: list[str]) -> bool:
        if not any(map(is_glob, names)):
            return True
        for name in chosen:
            click.echo(f"  forget job_config.{printable(name)}", err=True)
        return auto_approve or terminal.is_confirmed(_QUESTION, _ADVICE, UNDONE)

    number, serial = remove_from_state(invocation.repository(), names, approve)
    say(f"Removed {number} from the state. State serial {serial}.")


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
    from majobctl.operations.state_edits import rename_in_state

    repository = invocation.repository()
    serial = rename_in_state(repository, old, new)
    say(f"Renamed in the state, from {quoted(old)}. State serial {serial}.")
    option = environment_flag(repository.overrides.environment)
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
    from majobctl.operations.state_edits import push_state

    pushed = invocation.read_state(file)
    serial, is_new = push_state(invocation.repository(), pushed, file, force=force)
    what = f"Pushed {printable(file)}." if is_new else "The state has the same entries."
    say(f"{what} State serial {serial}.")


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
