"""``majobctl drift``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options, terminal

if TYPE_CHECKING:
    from majobctl.plan.drift import Drift


@click.command("drift")
@options.selection_options
@click.option(
    "--unmanaged",
    is_flag=True,
    help="Count configurations that neither the state nor a TOML file knows as drift, too.",
)
@options.variable_options
@options.format_choice("text", "json", "markdown")
@options.detailed_exitcode_option("is drift")
@options.parallelism_option
def command(format_: str, detailed_exitcode: bool, unmanaged: bool) -> int:
    """Show what was changed in the service since it was last applied.

    Each value of the state is shown before the service's own. Nothing is changed, and no lock is
    taken. The TOML files are ignored, except for drift.ignore and ignore_changes. `majobctl pull`
    takes the changes into the TOML files; `majobctl apply --refresh` undoes them once you have
    typed yes.

    With --unmanaged, configurations that only the service has are drift, too: each is listed with
    the command that imports it, and --detailed-exitcode exits with 2 for them.

    \b
    Example:
      majobctl drift --detailed-exitcode --format markdown
      majobctl drift --detailed-exitcode --unmanaged
    """
    from majobctl.operations import drift

    repository, selection = invocation.repository(), invocation.selection()
    found = drift(repository, selection=selection, unmanaged=unmanaged)
    terminal.say(_rendered(found, format_), format_)
    return options.HAS_CHANGES if detailed_exitcode and found.changes else 0


def _rendered(drift: Drift, format_: str) -> str:
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import drift_document

        return dumps(drift_document(drift))
    if format_ == "markdown":
        from majobctl.render.drift_markdown import drift_markdown

        return drift_markdown(drift)
    from majobctl.render.text import drift_text

    return drift_text(drift, terminal.painter(), terminal.width_of(sys.stdout))
