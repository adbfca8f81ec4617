"""The config repository that a command works in: its settings, its job configs, its state.

Everything is imported where it is used: the help of a command needs none of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from majobctl.config import Config
    from majobctl.errors import Problem
    from majobctl.plan import Plan, Selection
    from majobctl.provider import Provider
    from majobctl.settings import Settings
    from majobctl.state import State
    from majobctl.state_store import StateStore

WORKING_FOLDER = ".majobctl"
"""Beside the settings: the emulator's data and caches, which are never committed."""


def settings_here() -> Settings:
    """The settings of the current directory or one above. Raises ConfigError and MajobctlError."""
    from majobctl.errors import ConfigError
    from majobctl.settings import find_root, read_settings

    settings, problems = read_settings(find_root(Path.cwd()))
    if problems:
        raise ConfigError(sorted(problems))
    return settings


def config_here() -> Config:
    """Settings and job configs, the warnings told. Raises ConfigError and MajobctlError."""
    from majobctl.config import load_config
    from majobctl.errors import ConfigError
    from majobctl.settings import find_root

    try:
        config = load_config(find_root(Path.cwd()))
    except ConfigError as error:
        _tell(error.warnings)
        raise
    _tell(config.warnings)
    return config


def _tell(warnings: Iterable[Problem]) -> None:
    for warning in warnings:
        click.echo(f"Warning: {warning}", err=True)


def store_of(settings: Settings) -> StateStore:
    from majobctl.backends import open_backend
    from majobctl.state_store import StateStore

    state = settings.values["state"]
    return StateStore(open_backend(state["backend"], settings.state_path, state["path"]))


def provider_of(settings: Settings, parallelism: int) -> Provider:
    """The provider of the settings' target; nothing is sent yet. Close it when done with it.

    Raises AuthError, ConfigError and ProviderError as ``open_provider``.
    """
    from majobctl.provider import open_provider

    values = settings.provider
    folder = settings.root / WORKING_FOLDER
    seed = values["seed"]
    return open_provider(
        values["kind"],
        region=values["region"] or None,
        endpoint=values["endpoint"] or None,
        iam_endpoint=values["iam_endpoint"] or None,
        project_id=settings.target().project_id,
        auth=values["auth"] or None,
        timeout=values["timeout"],
        retries=values["retries"],
        parallelism=parallelism,
        emulator_data=folder / "emulator.db",
        emulator_seed=settings.root / seed if seed else None,
        emulator_seed_name=seed,
    )


def plan_for(config: Config, state: State | None, selection: Selection, *, is_kept: bool) -> Plan:
    """The plan for ``config`` against ``state``. Raises StateError for another target's state.

    One that is kept, to be applied, has what the first state needs.
    """
    from majobctl.plan import make_plan
    from majobctl.sensitive import new_salt

    target = config.settings.target()
    if state is not None:
        state.check_target(target, str(config.settings.values["state"]["path"]))
    needs_salt = is_kept and state is None and _holds_secrets(config)
    plan = make_plan(
        config.job_configs,
        state,
        target,
        selection=selection,
        warnings=config.warnings,
        salt=new_salt() if needs_salt else "",
    )
    if selection and not plan.total:
        click.echo("Warning: --target and --exclude select no job config", err=True)
    return plan


def _holds_secrets(config: Config) -> bool:
    return any(job_config.sensitive for job_config in config.job_configs.values())


def read_file(file: str) -> bytes:
    """The bytes of ``file``, "-" being stdin. Raises MajobctlError where it cannot be read."""
    from majobctl.errors import MajobctlError, printable

    try:
        if file == "-":
            return sys.stdin.buffer.read() if sys.stdin else b""
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MajobctlError(f"{printable(file)} cannot be read: {reason}") from error


def command_line() -> str:
    """What the holder of a lock is shown to do."""
    return " ".join(["majobctl", *sys.argv[1:]])
