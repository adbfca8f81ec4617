"""``majobctl plan``."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path
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
from majobctl.cli.repository import config_here, plan_for, provider_of, store_of
from majobctl.render import Paint, unpainted

if TYPE_CHECKING:
    from majobctl.plan import Plan
    from majobctl.settings import Settings
    from majobctl.state import State


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
    from majobctl.plan import Selection

    outputs = [_output(text) for text in also]
    _check_files([file for _, file in outputs] + ([out] if out else []))
    config = config_here()
    state = store_of(config.settings).read()
    selection, is_kept = Selection(targeted, excluded), out is not None
    at_once = parallelism or config.settings.parallelism
    with provider_of(config.settings, at_once) if refresh else nullcontext() as provider:
        plan = plan_for(config, state, selection, provider, at_once, is_kept=is_kept)
    if out is not None:
        _save(plan, state, out, config.settings)
    for name, file in outputs:
        _write(rendered(plan, name, unpainted), file, config.settings)
    click.echo(rendered(plan, format_, painter(no_color), width_of(sys.stdout)), nl=False)
    return HAS_CHANGES if detailed_exitcode and plan.changes else 0


def rendered(plan: Plan, format_: str, paint: Paint, width: int | None = None) -> str:
    """``plan`` in one of ``FORMATS``; ``width`` is that of the terminal, if there is one."""
    if format_ == "json":
        from majobctl.render.json import dumps, plan_document

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


def _check_files(files: list[str]) -> None:
    if len({os.path.realpath(file) for file in files}) < len(files):
        raise click.UsageError("--also and --out: each output needs a file of its own")


def _write(text: str, file: str, settings: Settings) -> None:
    """Raises MajobctlError where ``file`` cannot be written, or is one of the repository's own."""
    from majobctl.errors import MajobctlError, printable

    path = Path(os.path.realpath(file))
    if path.suffix == ".toml" or _is_beside_state(path, settings) or _is_plan_file(path):
        raise MajobctlError(f'"{printable(file)}" is no place for a rendered plan')
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MajobctlError(f"{printable(file)} cannot be written: {error.strerror}") from error


def _is_beside_state(path: Path, settings: Settings) -> bool:
    """Whether ``path`` is a state, another environment's perhaps, or one of its files."""
    state_path = Path(os.path.realpath(settings.state_path))
    is_beside = path.parent == state_path.parent and path.name.startswith(state_path.name)
    return is_beside or ".state.json" in path.name or _holds_state(path)


def _holds_state(path: Path) -> bool:
    from majobctl.errors import StateError
    from majobctl.state import State

    try:
        State.load(path.read_bytes() if path.is_file() else b"", path.name)
    except (StateError, OSError):
        return False
    return True


def _save(plan: Plan, state: State | None, out: str, settings: Settings) -> None:
    from majobctl.backends.local import write_durably
    from majobctl.errors import MajobctlError, printable
    from majobctl.plan_file import plan_bytes

    path = Path(os.path.realpath(out))
    is_beside = _is_beside_state(path, settings)
    if not out or is_beside or (os.path.lexists(path) and not _is_plan_file(path)):
        raise MajobctlError(
            f'"{printable(out)}" is no place for a plan; choose the name of a new file, or of a'
            " plan file"
        )
    try:
        write_durably(path, plan_bytes(plan, state))
    except OSError as error:
        raise MajobctlError(f"{printable(out)} cannot be written: {error.strerror}") from error
    option = f"-e {plan.environment} " if plan.environment else ""
    click.echo(f"Saved the plan; apply it with: majobctl apply {option}{printable(out)}", err=True)


def _is_plan_file(path: Path) -> bool:
    from majobctl.errors import MajobctlError
    from majobctl.plan_file import plan_file_document

    try:
        plan_file_document(path.read_bytes() if path.is_file() else b"", path.name)
    except (MajobctlError, OSError):
        return False
    return True
