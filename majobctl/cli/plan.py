"""``majobctl plan``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.types import UserPath, completed
from majobctl.files import at_home
from majobctl.render import Paint, unpainted
from majobctl.text import environment_flag, printable

if TYPE_CHECKING:
    from majobctl.plan.plan import Plan

FORMATS = ("text", "json", "markdown", "html")


@click.command("plan")
@options.selection_options
@options.variable_options
@options.refresh_option
@options.parallelism_option
@options.format_choice(*FORMATS, meaning="How to print the plan.")
@click.option(
    "--also",
    metavar="FORMAT=FILE",
    shell_complete=completed("renderings"),
    multiple=True,
    help="Also write the plan to FILE in another format. Repeatable.",
)
@click.option(
    "--out", metavar="FILE", type=UserPath(), help="Save the plan, for `majobctl apply FILE`."
)
@click.option(
    "--base",
    metavar="REV",
    default="",
    help="Compare with the files of this git revision, not with the state.",
)
@click.option(
    "--state",
    "copy",
    metavar="FILE",
    type=UserPath(),
    help='Compare with FILE ("-" for stdin), a copy from `majobctl state pull`.',
)
@options.view_options
@options.detailed_exitcode_option("are changes")
def command(
    refresh: str | None,
    format_: str,
    also: tuple[str, ...],
    out: str | None,
    base: str,
    copy: str | None,
    detailed_exitcode: bool,
) -> int:
    """Show what apply would do. Sends nothing, changes nothing.

    With --refresh, the service is read, and each field says who changed it: you, or somebody else.
    Markdown fits into a comment on a pull request; HTML is one page to search and filter.

    The exit code is 1 if a policy denies a change: an apply would send nothing.

    \b
    Example:
      majobctl plan --target 'resnet-*' --out resnet.plan
      majobctl plan --also markdown=plan.md --also html=plan.html
    """
    from majobctl.operations import plan

    outputs = [_output(text) for text in also]
    if {format_, *(kind for kind, _ in outputs)}.isdisjoint({"text", "markdown"}):
        options.no_view("only for text and Markdown; JSON and HTML have everything")
    files = [file for _, file in outputs] + ([out] if out else [])
    if len({os.path.realpath(file) for file in files}) < len(files):
        raise click.UsageError("--also and --out: each output needs a file of its own")
    repository, selection = invocation.repository(), invocation.selection()
    read = refresh or "none"
    state = None if copy is None else invocation.read_state(copy)
    made = plan(repository, selection=selection, refresh=read, out=out, base=base, copy=state)
    if out is not None:
        again = f"majobctl apply{environment_flag(made.environment)} {printable(out)}"
        way = "policies deny what it does" if made.denials else f"apply it with: {again}"
        terminal.say(f"Saved the plan; {way}", err=True)
    if outputs:
        from majobctl.operations.output_files import write_rendered

        settings = invocation.load_settings()
        for kind, file in outputs:
            write_rendered(rendered(made, kind, unpainted), file, settings)
    text = rendered(made, format_, terminal.painter(), terminal.width_of(sys.stdout))
    terminal.say(text, format_)
    if made.denials:
        return 1
    return options.HAS_CHANGES if detailed_exitcode and made.changes else 0


def rendered(plan: Plan, format_: str, paint: Paint, width: int | None = None) -> str:
    """``plan`` in one of ``FORMATS``; ``width`` is that of the terminal, if there is one."""
    if format_ == "json":
        from majobctl.plan.document import dumps, plan_document

        return dumps(plan_document(plan))
    if format_ == "markdown":
        from majobctl.render.markdown import plan_markdown

        return plan_markdown(plan, options.view())
    if format_ == "html":
        from majobctl.render.html import plan_html

        return plan_html(plan)
    from majobctl.render.text import plan_text

    return plan_text(plan, paint, width, options.view())


def _output(text: str) -> tuple[str, str]:
    format_, equals, file = text.partition("=")
    if format_ not in FORMATS or not (equals and file):
        known = ", ".join(FORMATS)
        raise click.UsageError(f"--also {text!r}: write FORMAT=FILE, FORMAT being one of {known}")
    return format_, at_home(file)
