"""``majobctl import``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation, options, terminal
from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.types import JobConfigGlob, UserPath
from majobctl.text import counted, printable

if TYPE_CHECKING:
    from majobctl.operations.importing import Imported


@click.command("import")
@click.argument("names", metavar="[NAME|GLOB]...", nargs=-1, type=JobConfigGlob("files"))
@click.option("--all", "all_", is_flag=True, help="Import everything that the service has.")
@click.option(
    "--out-dir",
    metavar="DIR",
    type=UserPath("dir"),
    default="jobs/imported",
    show_default=True,
    help="The folder for new job files, below the folder of majobctl.toml.",
)
@click.option("--single-file", is_flag=True, help="Describe all in one new file.")
@options.variable_options
@options.parallelism_option
@options.lock_timeout_option
@options.format_option
def command(
    names: tuple[str, ...], all_: bool, out_dir: str, single_file: bool, format_: str
) -> int:
    """Import configurations of the service into the state, and write TOML files for them.

    A configuration that no job file describes gets a new file, without the values that [defaults]
    already gives; no file is overwritten. One that a file describes goes into the state as the
    service has it, and the next plan shows the differences. Those in both are skipped. Nothing is
    changed in the service.

    \b
    Example:
      majobctl import --all
      majobctl import resnet50 'bert-*' --out-dir jobs/nlp
    """
    from majobctl.operations import import_configs

    if all_ and names:
        raise click.UsageError("give names, or --all, but not both")
    if not all_ and not names:
        raise click.UsageError("say what to import: names, globs such as 'resnet-*', or --all")
    with INTERRUPTS.careful():
        result = import_configs(
            invocation.repository(),
            names=("*",) if all_ else names,
            out_dir=out_dir,
            single_file=single_file,
        )
    for notice in _notices(result, names):
        terminal.say(notice, err=True)
    if not (result.imported or result.passed_over or result.left_out):
        invocation.warn("the service has no configuration")
    for warning in result.warnings:
        invocation.warn(printable(warning))
    for reason in dict.fromkeys(result.left_out.values()):
        names_of = [f"job_config.{it}" for it, why in result.left_out.items() if why == reason]
        verb = "was" if len(names_of) == 1 else "were"
        invocation.warn(printable(f"{', '.join(names_of)} {verb} left out: {reason}"))
    text = f"{' '.join(_sentences(result, single_file))}\n"
    terminal.say(_document(result) if format_ == "json" else text, format_)
    return 0


def _notices(result: Imported, names: tuple[str, ...]) -> Iterator[str]:
    from majobctl.job_config.fields import plain_name

    for name in dict.fromkeys(map(plain_name, names)):
        if name in result.passed_over:
            yield f"job_config.{name} is in the state and in a job file already."


def _sentences(result: Imported, is_single: bool) -> Iterator[str]:
    if result.imported:
        configs, written = counted(len(result.imported), "job config"), _written(result, is_single)
        yield f"Imported {configs} into the state{written}."
    else:
        yield "Nothing was imported."
    differing = len(result.differing)
    if differing:
        verb = "differs from its file" if differing == 1 else "differ from their files"
        yield f"{differing} {verb}: `majobctl plan` shows how."
    if result.passed_over:
        verb = "was" if len(result.passed_over) == 1 else "were"
        yield f"{len(result.passed_over)} {verb} in the state and in a job file already."
    if result.left_out:
        yield f"{len(result.left_out)} left out."
    if result.serial:
        yield f"State serial {result.serial}."


def _written(result: Imported, is_single: bool) -> str:
    files = set(result.written.values())
    if not files:
        return ""
    file = min(files)
    folder = PurePath(file).parent.as_posix()
    where = file if is_single else f"{counted(len(files), 'new file')} in {folder}"
    count = len(result.written)
    return f",{'' if count == len(result.imported) else f' {count} of them'} described in {where}"


def _document(result: Imported) -> str:
    from dataclasses import asdict

    from majobctl.plan.document import HEAD, dumps

    left_out = [{"name": name, "reason": reason} for name, reason in result.left_out.items()]
    return dumps({**HEAD, **asdict(result), "left_out": left_out})
