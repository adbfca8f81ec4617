"""``majobctl drift``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import (
    HAS_CHANGES,
    color_option,
    detailed_exitcode_option,
    painter,
    parallelism_option,
    selection_options,
    variable_options,
    width_of,
)
from majobctl.cli.repository import overrides_here, reading_live
from majobctl.operations.context import provider_of, store_of, target_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from majobctl.job_config.compare_policy import ComparePolicies
    from majobctl.plan.drift import Drift
    from majobctl.plan.plan import Selection
    from majobctl.repository.settings.settings import Settings


@click.command("drift")
@selection_options
@variable_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "markdown"]),
    default="text",
    show_default=True,
    help="How to print the result.",
)
@detailed_exitcode_option
@parallelism_option
@color_option
def command(
    targeted: tuple[str, ...],
    excluded: tuple[str, ...],
    format_: str,
    detailed_exitcode: bool,
    parallelism: int | None,
    no_color: bool,
) -> int:
    """Show what was changed in the service since it was last applied.

    Each value of the state stands before the service's own. Nothing is changed, no lock is taken,
    and what the TOML files want by now plays no part, but for drift.ignore and ignore_changes.
    `majobctl apply --refresh` brings the service back to the TOML files.

    \b
    Example:
      majobctl drift --detailed-exitcode --format markdown
    """
    from majobctl.plan.plan import Selection
    from majobctl.repository.config import compare_policies
    from majobctl.repository.settings.settings import find_root

    settings, watches, problems = compare_policies(find_root(Path.cwd()), overrides_here())
    warnings = [str(problem) for problem in problems]
    _warn(warnings)
    selection = Selection(targeted, excluded)
    drift = _read_drift(settings, selection, watches, parallelism or settings.parallelism)
    _warn(drift.warnings)
    click.echo(_rendered(drift, warnings, format_, no_color), nl=False)
    return HAS_CHANGES if detailed_exitcode and drift.changes else 0


def _read_drift(
    settings: Settings, selection: Selection, watches: ComparePolicies, parallelism: int
) -> Drift:
    from majobctl.plan.drift import find_drift, names_to_compare

    target, state = target_of(settings), store_of(settings).read()
    if state is not None:
        state.check_target(target, str(settings.values["state"]["path"]))
    names = names_to_compare(state, selection)
    if selection and state and not names:
        click.echo("Warning: --target and --exclude select no job config", err=True)
    with provider_of(settings, parallelism) as provider:
        listed = provider.config_names()
        live = reading_live(provider, names, parallelism, listed)
    return find_drift(state, target, live, listed=listed, selection=selection, policies=watches)


def _warn(warnings: Sequence[str]) -> None:
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


def _rendered(drift: Drift, warnings: Sequence[str], format_: str, no_color: bool) -> str:
    if format_ == "json":
        from majobctl.plan.document import dumps
        from majobctl.render.json import drift_document

        return dumps(drift_document(drift, warnings))
    if format_ == "markdown":
        from majobctl.render.drift_markdown import drift_markdown

        return drift_markdown(drift)
    from majobctl.render.text import drift_text

    return drift_text(drift, painter(no_color), width_of(sys.stdout))
