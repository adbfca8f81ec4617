"""What an operation works on: settings, job configs, and the store and provider they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import ConfigError, MajobctlError
from majobctl.repository.settings.settings import FILE_NAME, read_settings
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides
from majobctl.target import Target, checked_project_id, endpoint_of

if TYPE_CHECKING:
    from majobctl.repository.config import Config
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.document import State
    from majobctl.state.store import StateStore


WORKING_FOLDER = ".majobctl"
"""Beside the settings: the emulator's data and caches, which are never committed."""
Warn = Callable[[object], None]
"""Receives a warning; ``str`` of it is the message."""


def ignore(warning: object) -> None:
    """Drops a warning."""


def load_settings(root: Path, overrides: Overrides = NO_OVERRIDES) -> Settings:
    """The settings of ``root``. Raises ConfigError with every problem, and MajobctlError."""
    settings, problems = read_settings(root, overrides)
    if problems:
        raise ConfigError(sorted(problems))
    return settings


def load_config(root: Path, overrides: Overrides = NO_OVERRIDES, warn: Warn = ignore) -> Config:
    """The settings and job configs of ``root``; its warnings include those of the cached catalog.

    Raises ConfigError with every problem of every file, and MajobctlError.
    """
    from majobctl.repository import config

    try:
        loaded = config.load_config(root, overrides)
    except ConfigError as error:
        for warning in error.warnings:
            warn(warning)
        raise
    folder = loaded.settings.root / WORKING_FOLDER
    if folder.is_dir():
        from majobctl.operations.catalog_check import warnings_of

        offline = warnings_of(loaded, folder)
        loaded = replace(loaded, warnings=tuple(sorted({*loaded.warnings, *offline})))
    for warning in loaded.warnings:
        warn(warning)
    return loaded


def check_target(state: State | None, settings: Settings) -> None:
    """Raises StateError if ``state`` is of another target than the settings name."""
    if state is not None:
        state.check_target(target_of(settings), str(settings.values["state"]["path"]))


def store_of(settings: Settings) -> StateStore:
    from majobctl.state.backends import open_backend
    from majobctl.state.store import StateStore

    state = settings.values["state"]
    return StateStore(open_backend(state["backend"], settings.state_path, state["path"]))


def provider_of(settings: Settings, parallelism: int) -> Provider:
    """The provider of the settings' target; nothing is sent yet. Close it when done.

    ``parallelism`` is the number of connections to keep open. Raises as ``connect``.
    """
    from majobctl.operations.connect import ProviderOptions, connect

    values = settings.provider
    optional = {key: values[key] or None for key in ("region", "endpoint", "iam_endpoint", "auth")}
    seed = values["seed"]
    return connect(
        ProviderOptions(
            kind=values["kind"],
            **optional,
            project_id=target_of(settings).project_id,
            timeout=values["timeout"],
            retries=values["retries"],
            connections=parallelism,
            emulator_data=settings.root / WORKING_FOLDER / "emulator.db",
            emulator_seed=settings.root / seed if seed else None,
            emulator_seed_name=seed,
        )
    )


def target_of(settings: Settings) -> Target:
    """The target in the settings; its project may come from the environment.

    Raises MajobctlError if no project is named, or the environment's cannot be one.
    """
    if settings.provider["kind"] == "emulator":
        return Target("emulator", settings.provider["project_id"] or "emulator")
    endpoint = endpoint_of(settings.provider["region"], settings.provider["endpoint"])
    return Target(endpoint, settings.provider["project_id"] or _project_id_of_environment())


def _project_id_of_environment() -> str:
    from majobctl.service.auth.credentials import Sources

    project_id = Sources().get("project_id")
    if not project_id:
        raise MajobctlError(
            f"no project: set provider.project_id in {FILE_NAME}, or OS_PROJECT_ID in the"
            " environment"
        )
    try:
        return checked_project_id(project_id)
    except ConfigError as error:
        raise MajobctlError(
            "the project's id of the environment (OS_PROJECT_ID) or of a credentials file"
            f" {error.problems[0].message}"
        ) from error
