"""``majobctl show``."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.types import JobConfigOrFile
from majobctl.errors import MajobctlError
from majobctl.job_config.fields import NAME, is_glob, plain_name
from majobctl.operations.context import store_of, under_way, unknown_name
from majobctl.operations.selection import matching
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.repository.settings.settings import Settings
    from majobctl.state.document import State


@click.command("show")
@click.argument(
    "name", metavar="[NAME|GLOB|PLANFILE]", required=False, type=JobConfigOrFile("state")
)
@click.option("--at", metavar="SERIAL|DATE", help="Show what the state was then.")
@click.option(
    "--as", "as_", type=click.Choice(("toml",)), help="Print what a job file would have to say."
)
@options.environment_option
@options.format_option
@options.view_options
def command(name: str | None, at: str | None, as_: str | None, format_: str) -> None:
    """Show the job configs in the state, or the one called NAME; or show a saved plan.

    A GLOB shows all that it matches; as JSON, they are an object by name.

    With --at, show them as they were: a DATE is 2026-10-15, which means the end of that day, or
    2026-10-15T09:30, in UTC. With --as toml, show what a job file has to say for that, without what
    [defaults] gives today. A secret value is a reference there: the state has only its hash.

    \b
    Example:
      majobctl show resnet50
      majobctl show 'resnet-*'
      majobctl show resnet50 --at 2026-10-15 --as toml
    """
    file, name = name, plain_name(name) if name else name
    if as_ and format_ == "json":
        raise click.UsageError("--as toml and --format json: choose one of them")
    several = name if name and is_glob(name) and not os.path.isfile(file or "") else ""
    if file is not None and not (several or NAME.fullmatch(name or "")):
        if at or as_:
            raise click.UsageError("--at and --as show job configs of the state, not a saved plan")
        _show_plan(file, format_)
        return
    name = None if several else name
    store = store_of(settings := invocation.load_settings())
    state, head, then = store.read(), "", name or ""
    for warning in under_way(store):
        invocation.warn(warning)
    if at:
        from majobctl.operations.history import past_of
        from majobctl.render.history import written

        state, event, then = past_of(store, at, name or "")
        head = written(state.serial, event)
        head += f" {name} was called {then} then." if name and then != name else ""
    elif name is not None and (state is None or name not in state.job_configs):
        if file and os.path.isfile(file) and not as_:
            _show_plan(file, format_)
            return
        raise MajobctlError(unknown_name(name, state))
    options.no_view("only a saved plan can be shown like that")
    chosen = [then] if then else list(state.job_configs) if state else []
    if several:
        chosen = matching([several], chosen, partial(unknown_name, state=state), "")
    if as_:
        names = {then: name} if name else {it: it for it in chosen}
        click.echo(_toml(settings, state, head, names), nl=False)
    elif format_ == "json":
        from majobctl.plan.document import dumps

        document = state.document() if state else None
        if document and then:
            document = document["job_configs"][then]
        elif document and several:
            document = {it: document["job_configs"][it] for it in chosen}
        click.echo(dumps(document), nl=False)
    elif state is None:
        terminal.say("There is no state yet; `majobctl apply` creates it.")
    else:
        from majobctl.render.text import entry_text, state_text

        width = terminal.width_of(sys.stdout)
        entries = (entry_text(state, it, width) for it in chosen)
        text = "\n".join(entries) if then or several else state_text(state)
        terminal.say(f"{head}\n{text}" if head else text)


def _toml(settings: Settings, state: State | None, head: str, names: dict[str, str]) -> str:
    from majobctl.operations.history import toml_of

    if state is None:
        raise MajobctlError("there is no state yet; `majobctl apply` creates it")
    return (f"# {printable(head)}\n" if head else "") + toml_of(settings, state, names)


def _show_plan(file: str, format_: str) -> None:
    from majobctl.plan.document import dumps, plan_file_document, read_plan
    from majobctl.render.text import plan_text

    content = invocation.read_file(file, "\nshow takes the name of a job config, or a saved plan")
    plan = read_plan(content, printable(file))
    if format_ == "json":
        options.no_view("JSON always has everything")
        click.echo(dumps(plan_file_document(content, file)), nl=False)
    else:
        paint, width = terminal.painter(), terminal.width_of(sys.stdout)
        terminal.say(plan_text(plan, paint, width, options.view()))
