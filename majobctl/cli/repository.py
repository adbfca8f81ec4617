"""The config repository that a command works in: its settings, its job configs, its state.

Everything is imported where it is used: the help of a command needs none of it.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import OVERRIDES
from majobctl.cli.progress import reading_progress
from majobctl.operations.context import WORKING_FOLDER, target_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from majobctl.errors import Problem
    from majobctl.job_config.live import LiveConfig
    from majobctl.plan.plan import Plan, Selection
    from majobctl.repository.config import Config
    from majobctl.repository.settings.settings import Settings
    from majobctl.repository.settings.variables import Overrides
    from majobctl.service.provider import Provider
    from majobctl.state.document import State


def overrides_here() -> Overrides:
    """What the options of the running command say of environments and variables."""
    from majobctl.repository.settings.variables import Overrides

    context = click.get_current_context(silent=True)
    kept = context.meta.get(OVERRIDES, {}) if context else {}
    return Overrides(**kept)


def load_settings() -> Settings:
    """The settings of the current directory or one above. Raises ConfigError and MajobctlError."""
    from majobctl.errors import ConfigError
    from majobctl.repository.settings.settings import find_root, read_settings

    settings, problems = read_settings(find_root(Path.cwd()), overrides_here())
    if problems:
        raise ConfigError(sorted(problems))
    return settings


def load_config_here() -> Config:
    """Settings and job configs, the warnings told. Raises ConfigError and MajobctlError."""
    from majobctl.errors import ConfigError
    from majobctl.repository.config import load_config
    from majobctl.repository.settings.settings import find_root

    try:
        config = load_config(find_root(Path.cwd()), overrides_here())
    except ConfigError as error:
        _tell(error.warnings)
        raise
    folder = config.settings.root / WORKING_FOLDER
    if folder.is_dir():
        from majobctl.operations.catalog_check import warnings_of

        offline = warnings_of(config, folder)
        config = replace(config, warnings=tuple(sorted({*config.warnings, *offline})))
    _tell(config.warnings)
    return config


def _tell(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


def reading_live(
    provider: Provider,
    names: Sequence[str],
    parallelism: int,
    listed: Collection[str] | None = None,
) -> dict[str, LiveConfig | None]:
    """The configurations of ``names`` as the service has them, its progress shown on stderr.

    ``listed`` are the names of all of them, where they are known. Raises ProviderError where one
    cannot be read.
    """
    from majobctl.operations.refresh import read_live

    with reading_progress(len(names)) as observe:
        return read_live(provider, names, parallelism=parallelism, observe=observe, listed=listed)


def plan_for(
    config: Config,
    state: State | None,
    selection: Selection,
    provider: Provider | None,
    parallelism: int,
    *,
    for_saving: bool,
) -> Plan:
    """The plan for ``config`` against ``state``, and against the service where ``provider`` is one.

    One that is kept, to be applied, has what the first state needs. Raises StateError for another
    target's state, ProviderError where the service cannot be read.
    """
    from majobctl.errors import MajobctlError
    from majobctl.job_config.secrets import new_salt
    from majobctl.plan.planner import make_plan, names_to_read, only_shown

    target, apply = target_of(config.settings), config.settings.values["apply"]
    if state is not None:
        state.check_target(target, str(config.settings.values["state"]["path"]))
    live = None
    if provider is not None:
        deletes = apply["delete_removed"]
        names = names_to_read(config.job_configs, state, selection, deletes_removed=deletes)
        live = reading_live(provider, names, parallelism)
        unread = _unread(live)
        _tell(unread)
        config = replace(config, warnings=(*config.warnings, *unread))
    needs_salt = state is None and (live is not None or (for_saving and _holds_secrets(config)))
    plan = make_plan(
        config.job_configs,
        state,
        target,
        selection=selection,
        warnings=config.warnings,
        salt=new_salt() if needs_salt else "",
        live=live,
        creates_missing=apply["create_missing"],
        deletes_removed=apply["delete_removed"],
        environment=config.settings.environment,
        default_policy=config.default_policy,
    )
    if plan.calls["delete_job_configs"] and config.unmatched:
        raise MajobctlError(
            f"{config.unmatched[0]}\nthis plan would delete configurations, and may only miss"
            " their files: mend the pattern, or remove it"
        )
    if selection and not plan.total:
        click.echo("Warning: --target and --exclude select no job config", err=True)
    return only_shown(plan) if needs_salt and not for_saving else plan


def _unread(live: Mapping[str, LiveConfig | None]) -> tuple[Problem, ...]:
    """What the service answered that no job config could say, such as an id without a name."""
    from majobctl.errors import Problem

    return tuple(
        Problem(where=f"job_config.{name}", message=text)
        for name, found in live.items()
        if found is not None
        for text in found.problems
    )


def _holds_secrets(config: Config) -> bool:
    return any(job_config.sensitive for job_config in config.job_configs.values())


def read_file(file: str) -> bytes:
    """The bytes of ``file``, "-" being stdin. Raises MajobctlError where it cannot be read."""
    from majobctl.errors import MajobctlError
    from majobctl.text import printable

    try:
        if file == "-":
            return sys.stdin.buffer.read() if sys.stdin else b""
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MajobctlError(f"{printable(file)} cannot be read: {reason}") from error


def command_line() -> str:
    """What the holder of a lock is shown to do. A variable's value may be nobody's business."""
    shown: list[str] = []
    for argument in sys.argv[1:]:
        is_value = bool(shown) and shown[-1] == "--var"
        option = "--var=" if argument.startswith("--var=") else ""
        name, equals, _ = argument.removeprefix(option).partition("=")
        is_hidden = (is_value or option) and equals
        shown.append(f"{option}{name}=..." if is_hidden else argument)
    return " ".join(["majobctl", *shown])
