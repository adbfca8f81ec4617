"""``majobctl render``."""

from __future__ import annotations

import sys
from dataclasses import replace

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.types import JobConfigOrFile


@click.command("render")
@click.argument("names", metavar="[NAME|GLOB|FILE]...", nargs=-1, type=JobConfigOrFile("files"))
@click.option(
    *("--as", "--format", "format_"),
    type=click.Choice(("toml", "sdk", "rest", "json")),
    default="toml",
    show_default=True,
    is_eager=True,
    callback=options.keep,
    help="sdk: a Python script that runs with the ModelArts SDK or with majobctl; rest: the"
    " requests, in the form of .http files.",
)
@click.option("--origin", is_flag=True, help="Say where each value comes from.")
@options.variable_options
@options.selection_options
def command(names: tuple[str, ...], format_: str, origin: bool) -> None:
    """Show the job configs as they will be: defaults, templates, matrices, variables and the
    environment resolved.

    Each has its file and line; with --origin, each value, too, and the variables in it. Only
    files are read, and no secret is needed: a sensitive value is shown as `(sensitive)`, and a
    script reads it from os.environ. Requests have the ids that `majobctl flavors`,
    `engines` and `algorithms` have cached.

    \b
    Example:
      majobctl render 'nlp-*' jobs/vision.toml --origin
      majobctl render sentiment -e prod --as sdk > sentiment.py
    """
    from majobctl.operations.resolving import resolve_configs
    from majobctl.render import job_configs as render
    from majobctl.text import printable_lines

    chosen = invocation.selection()
    chosen = replace(chosen, targeted=(*chosen.targeted, *names))
    found = resolve_configs(invocation.repository(), chosen)
    shown = found.configs, found.sources if origin else lambda config: {}
    if format_ == "json":
        from majobctl.plan.document import dumps

        text = dumps(render.configs_document(*shown, found.settings.environment))
    elif format_ == "sdk":
        text = render.sdk_script(*shown, found.sdk_arguments, found.address)
    elif format_ == "rest":
        from majobctl.operations.requests import requests_of
        from majobctl.render.values import shown as shown_value

        text = render.requests_text(*shown, requests_of(found, shown_value, invocation.warn))
        if terminal.is_terminal(sys.stdout):
            text = printable_lines(text)  # a file gets the bytes that are sent
    else:
        text = render.toml_text(*shown)
    if format_ == "toml" and (width := terminal.width_of(sys.stdout)):
        text = "".join(_fitted(line, width) for line in text.splitlines(keepends=True))
    if format_ in ("toml", "sdk"):
        text = text.replace("##", "#\\u0023")  # a CI job's log may take it for a command
    click.echo(text, nl=False)


def _fitted(line: str, width: int) -> str:
    """A line of TOML; where it is wider than the terminal, its comment is in a line above it."""
    value, mark, comment = line.rpartition("  # ")
    if len(line) <= width + 1 or not mark or '"' in comment:
        return line
    return f"# {comment}{value}\n"
