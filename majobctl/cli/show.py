"""``majobctl show``."""

from __future__ import annotations

import os
import sys

import click

from majobctl.cli import invocation, options
from majobctl.errors import MajobctlError
from majobctl.job_config.fields import NAME, plain_name
from majobctl.operations.context import store_of, under_way
from majobctl.text import nearest, printable, quoted


@click.command("show")
@click.argument("name", metavar="[NAME|PLANFILE]", required=False)
@options.environment_option
@options.format_option
@options.view_options
@options.color_option
def command(name: str | None, format_: str) -> None:
    """Show the job configs in the state, or the one called NAME; or show a saved plan.

    \b
    Example:
      majobctl show resnet50
    """
    file, name = name, plain_name(name) if name else name
    if file is not None and not NAME.fullmatch(name or ""):
        _show_plan(file, format_)
        return
    store = store_of(invocation.load_settings())
    state = store.read()
    for warning in under_way(store):
        invocation.warn(warning)
    known = state.job_configs if state else {}
    if name is not None and name not in known:
        if file and os.path.isfile(file):
            _show_plan(file, format_)
            return
        hint = nearest(name, known)
        raise MajobctlError(f"the state has no job config {quoted(printable(name))}{hint}")
    options.no_view("only a saved plan can be shown like that")
    if format_ == "json":
        from majobctl.plan.document import dumps

        document = state.document() if state else None
        shown = document["job_configs"][name] if document and name else document
        click.echo(dumps(shown), nl=False)
    elif state is None:
        click.echo("There is no state yet; `majobctl apply` creates it.")
    else:
        from majobctl.render.text import entry_text, state_text

        text = entry_text(state, name, options.width_of(sys.stdout)) if name else state_text(state)
        click.echo(text, nl=False)


def _show_plan(file: str, format_: str) -> None:
    from majobctl.plan.document import dumps, plan_file_document, read_plan
    from majobctl.render.text import plan_text

    content = invocation.read_file(file, "\nshow takes the name of a job config, or a saved plan")
    plan = read_plan(content, printable(file))
    if format_ == "json":
        options.no_view("JSON always has everything")
        click.echo(dumps(plan_file_document(content, file)), nl=False)
    else:
        paint, width = options.painter(), options.width_of(sys.stdout)
        click.echo(plan_text(plan, paint, width, options.view()), nl=False)
