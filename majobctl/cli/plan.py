"""``majobctl plan``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import color_option, format_option, painter, selection_options
from majobctl.cli.repository import config_here, plan_for, store_of

if TYPE_CHECKING:
    from majobctl.plan import Plan

HAS_CHANGES = 2


@click.command("plan")
@selection_options
@format_option
@click.option("--out", metavar="FILE", help="Save the plan, for `majobctl apply FILE`.")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 where there are changes, 0 where not."
)
@color_option
def command(
    targeted: tuple[str, ...],
    excluded: tuple[str, ...],
    format_: str,
    out: str | None,
    detailed_exitcode: bool,
    no_color: bool,
) -> int:
    """Show what apply would do. Sends nothing, changes nothing.

    \b
    Example:
      majobctl plan --target 'resnet-*' --out resnet.plan
    """
    from majobctl.plan import Selection

    config = config_here()
    state = store_of(config.settings).read()
    plan = plan_for(config, state, Selection(targeted, excluded))
    if out is not None:
        _save(plan, out)
    if format_ == "json":
        from majobctl.render.json import dumps, plan_document

        click.echo(dumps(plan_document(plan)), nl=False)
    else:
        from majobctl.render.text import plan_text

        click.echo(plan_text(plan, painter(no_color)), nl=False)
    return HAS_CHANGES if detailed_exitcode and plan.changes else 0


def _save(plan: Plan, out: str) -> None:
    from majobctl.backends.local import write_durably
    from majobctl.errors import MajobctlError, printable
    from majobctl.plan_file import plan_bytes

    try:
        write_durably(Path(out), plan_bytes(plan))
    except OSError as error:
        raise MajobctlError(f"{printable(out)} cannot be written: {error.strerror}") from error
    click.echo(f"Saved the plan; apply it with: majobctl apply {printable(out)}", err=True)
