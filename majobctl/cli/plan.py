"""``majobctl plan``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import (
    HAS_CHANGES,
    color_option,
    detailed_exitcode_option,
    format_option,
    painter,
    parallelism_option,
    refresh_option,
    selection_options,
)
from majobctl.cli.repository import config_here, plan_for, provider_of, store_of

if TYPE_CHECKING:
    from majobctl.plan import Plan
    from majobctl.settings import Settings
    from majobctl.state import State


@click.command("plan")
@selection_options
@refresh_option
@parallelism_option
@format_option
@click.option("--out", metavar="FILE", help="Save the plan, for `majobctl apply FILE`.")
@detailed_exitcode_option
@color_option
def command(
    targeted: tuple[str, ...],
    excluded: tuple[str, ...],
    refresh: bool,
    parallelism: int | None,
    format_: str,
    out: str | None,
    detailed_exitcode: bool,
    no_color: bool,
) -> int:
    """Show what apply would do. Sends nothing, changes nothing.

    With --refresh, the service is read, and each field says who changed it: you, or somebody else.

    \b
    Example:
      majobctl plan --target 'resnet-*' --out resnet.plan
    """
    from majobctl.plan import Selection

    config = config_here()
    state = store_of(config.settings).read()
    selection, is_kept = Selection(targeted, excluded), out is not None
    at_once = parallelism or config.settings.parallelism
    with provider_of(config.settings, at_once) if refresh else nullcontext() as provider:
        plan = plan_for(config, state, selection, provider, at_once, is_kept=is_kept)
    if out is not None:
        _save(plan, state, out, config.settings)
    if format_ == "json":
        from majobctl.render.json import dumps, plan_document

        click.echo(dumps(plan_document(plan)), nl=False)
    else:
        from majobctl.render.text import plan_text

        click.echo(plan_text(plan, painter(no_color)), nl=False)
    return HAS_CHANGES if detailed_exitcode and plan.changes else 0


def _save(plan: Plan, state: State | None, out: str, settings: Settings) -> None:
    from majobctl.backends.local import write_durably
    from majobctl.errors import MajobctlError, printable
    from majobctl.plan_file import plan_bytes

    path = Path(os.path.realpath(out))
    state_path = Path(os.path.realpath(settings.state_path))
    is_beside = path.parent == state_path.parent and path.name.startswith(state_path.name)
    if not out or is_beside or (os.path.lexists(path) and not _is_plan_file(path)):
        raise MajobctlError(
            f'"{printable(out)}" is no place for a plan; choose the name of a new file, or of a'
            " plan file"
        )
    try:
        write_durably(path, plan_bytes(plan, state))
    except OSError as error:
        raise MajobctlError(f"{printable(out)} cannot be written: {error.strerror}") from error
    click.echo(f"Saved the plan; apply it with: majobctl apply {printable(out)}", err=True)


def _is_plan_file(path: Path) -> bool:
    from majobctl.errors import MajobctlError
    from majobctl.plan_file import plan_file_document

    try:
        plan_file_document(path.read_bytes() if path.is_file() else b"", path.name)
    except (MajobctlError, OSError):
        return False
    return True
