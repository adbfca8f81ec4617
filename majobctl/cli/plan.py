"""``majobctl plan``."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import (
    HAS_CHANGES,
    color_option,
    detailed_exitcode_option,
    painter,
    parallelism_option,
    refresh_option,
    selection_options,
    variable_options,
    width_of,
)
from majobctl.cli.output_files import (
    check_files,
    save_plan,
    write_rendered,
)
from majobctl.cli.repository import load_config_here, plan_for
from majobctl.operations.context import provider_of, store_of
from majobctl.render import Paint, unpainted

if TYPE_CHECKING:
    from majobctl.plan.plan import Plan


FORMATS = ("text", "json", "markdown", "html")


@click.command("plan")
@selection_options
@variable_options
@refresh_option
@parallelism_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="How to print the plan.",
)
@click.option(
    "--also",
    metavar="FORMAT=FILE",
    multiple=True,
    help="Write the plan to FILE, too, in another format. Repeatable.",
)
@click.option("--out", metavar="FILE", help="Save the plan, for `majobctl apply FILE`.")
@detailed_exitcode_option
@color_option
def command(
    targeted: tuple[str, ...],
    excluded: tuple[str, ...],
    refresh: bool,
    parallelism: int | None,
    format_: str,
    also: tuple[str, ...],
    out: str | None,
    detailed_exitcode: bool,
    no_color: bool,
) -> int:
    """Show what apply would do. Sends nothing, changes nothing.

    With --refresh, the service is read, and each field says who changed it: you, or somebody else.
    Markdown fits into a comment of a pull request; HTML is one page to search and filter.

    \b
    Example:
      majobctl plan --target 'resnet-*' --out resnet.plan
      majobctl plan --also markdown=plan.md --also html=plan.html
    """
    from majobctl.plan.plan import Selection

    outputs = [_output(text) for text in also]
    check_files([file for _, file in outputs] + ([out] if out else []))
    config = load_config_here()
    state = store_of(config.settings).read()
    selection, for_saving = Selection(targeted, excluded), out is not None
    at_once = parallelism or config.settings.parallelism
    with provider_of(config.settings, at_once) if refresh else nullcontext() as provider:
        plan = plan_for(config, state, selection, provider, at_once, for_saving=for_saving)
    if out is not None:
        save_plan(plan, state, out, config.settings)
    for name, file in outputs:
        write_rendered(rendered(plan, name, unpainted), file, config.settings)
    click.echo(rendered(plan, format_, painter(no_color), width_of(sys.stdout)), nl=False)
    return HAS_CHANGES if detailed_exitcode and plan.changes else 0


def rendered(plan: Plan, format_: str, paint: Paint, width: int | None = None) -> str:
    """``plan`` in one of ``FORMATS``; ``width`` is that of the terminal, if there is one."""
    if format_ == "json":
        from majobctl.plan.document import dumps, plan_document

        return dumps(plan_document(plan))
    if format_ == "markdown":
        from majobctl.render.markdown import plan_markdown

        return plan_markdown(plan)
    if format_ == "html":
        from majobctl.render.html import plan_html

        return plan_html(plan)
    from majobctl.render.text import plan_text

    return plan_text(plan, paint, width)


def _output(text: str) -> tuple[str, str]:
    format_, equals, file = text.partition("=")
    if format_ not in FORMATS or not (equals and file):
        known = ", ".join(FORMATS)
        raise click.UsageError(f"--also {text!r}: write FORMAT=FILE, FORMAT being one of {known}")
    return format_, file
