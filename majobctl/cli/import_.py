"""``majobctl import``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from majobctl.cli.interrupts import terminable
from majobctl.cli.options import (
    format_option,
    lock_timeout_option,
    parallelism_option,
    variable_options,
)
from majobctl.cli.repository import command_line, load_settings, overrides_here, reading_live
from majobctl.operations.context import provider_of, store_of, target_of
from majobctl.text import counted, printable, quoted, utc_now

if TYPE_CHECKING:
    from majobctl.operations.importing import Imported
    from majobctl.repository.authoring.new_files import Place
    from majobctl.repository.settings.settings import Settings


@click.command("import")
@click.argument("names", metavar="[NAME|GLOB]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="Import whatever the service has.")
@click.option(
    "--out-dir",
    metavar="DIR",
    default="jobs/imported",
    show_default=True,
    help="Where to put new job files, below the folder of majobctl.toml.",
)
@click.option("--single-file", is_flag=True, help="Describe all in one new file.")
@variable_options
@parallelism_option
@lock_timeout_option
@format_option
def command(
    names: tuple[str, ...],
    all_: bool,
    out_dir: str,
    single_file: bool,
    parallelism: int | None,
    lock_timeout: float,
    format_: str,
) -> int:
    """Take configurations that the service has into the state, and write TOML for them.

    A configuration that no job file describes gets one, with what [defaults] does not say already;
    no file is overwritten. One that a file describes goes into the state as the service has it, and
    the next plan shows what differs. Those that both have are passed over. Nothing is sent but
    requests to read.

    \b
    Example:
      majobctl import --all
      majobctl import resnet50 'bert-*' --out-dir jobs/nlp
    """
    from majobctl.repository.authoring.new_files import place_of_files

    if all_ and names:
        raise click.UsageError("give names, or --all, but not both")
    if not all_ and not names:
        raise click.UsageError("say what to import: names, globs such as 'resnet-*', or --all")
    settings = load_settings()
    place = place_of_files(settings, out_dir, is_single=single_file)
    wanted = ("*",) if all_ else names
    result = _import(settings, wanted, place, parallelism or settings.parallelism, lock_timeout)
    for notice in _notices(result, names):
        click.echo(notice, err=True)
    click.echo(_document(result) if format_ == "json" else _text(result, place), nl=False)
    return 0


def _import(
    settings: Settings,
    wanted: tuple[str, ...],
    place: Place,
    parallelism: int,
    lock_timeout: float,
) -> Imported:
    from majobctl.operations.importing import chosen_names, import_configs, select
    from majobctl.repository.config import load_config

    store = store_of(settings)
    with terminable(), store.locked(command_line(), lock_timeout) as locked:
        # Under the lock, for another import may have ended meanwhile. Its warnings are told by
        # what is run next; that no file is there yet is no news here.
        config = load_config(settings.root, overrides_here())
        if locked.state is not None:
            locked.state.check_target(target_of(config.settings), store.name)
        with provider_of(config.settings, parallelism) as provider:
            listed = provider.config_names()
            asked = select(chosen_names(listed, wanted), config, locked.state)
            live = reading_live(provider, asked.wanted, parallelism, listed)
        return import_configs(asked, live, config, place, store, locked, utc_now())


def _notices(result: Imported, names: tuple[str, ...]) -> Iterator[str]:
    from majobctl.operations.importing import chosen_names, is_glob

    seen = [*result.imported, *result.passed_over, *result.left_out]
    if not names and not seen:
        yield "Warning: the service has no configuration"
    for name in dict.fromkeys(names):
        if is_glob(name) and not chosen_names(seen, [name]):
            yield f"Warning: the service has no configuration that matches {quoted(name)}"
        elif name in result.passed_over:
            yield f"job_config.{name} is in the state and in a job file already."
    for warning in result.warnings:
        yield f"Warning: {printable(warning)}"
    for name, reason in result.left_out.items():
        yield f"Warning: job_config.{printable(name)} was left out: {printable(reason)}"


def _text(result: Imported, place: Place) -> str:
    return f"{' '.join(_sentences(result, place))}\n"


def _sentences(result: Imported, place: Place) -> Iterator[str]:
    count = len(result.imported)
    if not count:
        yield "Nothing was imported."
    else:
        configs, written = counted(count, "job config"), _written(result, place)
        yield f"Imported {configs} into the state{written}."
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


def _written(result: Imported, place: Place) -> str:
    files = set(result.written.values())
    if not files:
        return ""
    where = f"{counted(len(files), 'new file')} in {place.shown}"
    if place.is_single:
        (where,) = files
    count = len(result.written)
    return f",{'' if count == len(result.imported) else f' {count} of them'} described in {where}"


def _document(result: Imported) -> str:
    from majobctl.plan.document import HEAD, dumps

    return dumps(
        {
            **HEAD,
            "imported": result.imported,
            "written": result.written,
            "differing": result.differing,
            "passed_over": result.passed_over,
            "left_out": [
                {"name": name, "reason": reason} for name, reason in result.left_out.items()
            ],
            "serial": result.serial,
            "warnings": result.warnings,
        }
    )
