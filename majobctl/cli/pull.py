"""``majobctl pull``."""

from __future__ import annotations

import sys

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.types import JobConfigOrFile


@click.command("pull")
@click.argument("names", metavar="[NAME|GLOB|FILE]...", nargs=-1, type=JobConfigOrFile())
@click.option("--check", is_flag=True, help="Write nothing; exit with 2 if there is work left.")
@options.variable_options
@options.parallelism_option
@options.format_option
def command(names: tuple[str, ...], check: bool, format_: str) -> int:
    """Take what was changed in the service into the TOML files.

    Only values that were changed in the service since the last apply, and not in the files, are
    taken: each into its job config's own table, with comments and order kept. A value that both
    sides changed is a conflict, and left alone; so are secrets, matrices and texts with ${...}.
    All files are written, or none. The state stays as it is: the next apply records the values,
    without a call.

    \b
    Exit codes: 0 if the files have all that was changed in the service, 2 if something is left to
    decide, such as changes of what no file describes any more. With --check, 2 also if there is
    something to take.

    \b
    Example:
      majobctl pull sentiment
      majobctl pull --check --format json
    """
    from majobctl.operations import pull
    from majobctl.plan.document import dumps
    from majobctl.render.pull import is_settled, pull_document, pull_text

    with INTERRUPTS.careful():
        pulled = pull(invocation.repository(), names=names, check=check)
    if format_ == "json":
        text = dumps(pull_document(pulled))
    else:
        text = pull_text(pulled, terminal.painter(), terminal.width_of(sys.stdout))
    terminal.say(text, format_)
    return 0 if is_settled(pulled) else options.HAS_CHANGES
