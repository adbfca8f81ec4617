"""``majobctl probe``."""

from __future__ import annotations

import os

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.types import UserPath

_QUESTION = "Make and delete a configuration named majobctl-probe-XXXX? Only yes is accepted"
_ADVICE = "run `majobctl probe --write --auto-approve`, or without --write"


@click.command("probe")
@click.option("--write", is_flag=True, help="Also make, change and delete a configuration.")
@click.option("--auto-approve", is_flag=True, help="Do not ask before that.")
@click.option(
    "--out",
    metavar="FILE",
    type=UserPath(),
    help="Write the result to FILE instead of printing it.",
)
@options.environment_option
@options.format_option
def command(write: bool, auto_approve: bool, out: str | None, format_: str) -> None:
    """Find out which assumptions about the service hold on your own project.

    The page "Assumptions" lists them. The result has no name, ID or value of the project in it;
    as JSON, it makes `emulator serve --like` behave as your service does.

    With --write, a configuration named majobctl-probe-XXXX is made, changed and deleted, several
    times. If majobctl is killed meanwhile, the next probe deletes it.

    \b
    Example:
      majobctl probe --write --format json --out report.json
    """
    from majobctl.operations.output_files import write_rendered
    from majobctl.operations.probe import probe
    from majobctl.plan.document import HEAD, dumps
    from majobctl.text import table_text

    with INTERRUPTS.careful("The next probe deletes what is left."):

        def approve() -> bool:
            is_approved = auto_approve or terminal.is_confirmed(_QUESTION, _ADVICE)
            INTERRUPTS.defer()
            return is_approved

        stop = INTERRUPTS.should_stop
        found = probe(invocation.repository(), write=write, approve=approve, should_stop=stop)
    each = [it.status for it in found]
    counts = [f"{each.count(it)} {it.removesuffix('s')}" for it in ("holds", "differs", "unknown")]
    more = "" if write else " To find out more: majobctl probe --write"
    text = f"{table_text(('assumption', '', 'observed'), found)}\n{', '.join(counts)}.{more}\n"
    if format_ == "json":
        text = dumps({**HEAD, "findings": [it._asdict() for it in found]})
    if out is None:
        terminal.say(text, format_)
    else:
        write_rendered(text, out, invocation.load_settings())
        os.chmod(out, 0o600)
