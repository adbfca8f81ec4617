"""What an operation works on: a config repository, and the store and provider that it names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from majobctl.errors import ConfigError, MajobctlError, Problem, StateError
from majobctl.job_config.secrets import KEY_VARIABLE
from majobctl.repository.settings.keys import WORKING_FOLDER
from majobctl.repository.settings.settings import FILE_NAME, read_settings
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides
from majobctl.target import REGIONS, Target, checked_project_id, endpoint_of, iam_endpoint_of
from majobctl.text import nearest, printable, quoted

if TYPE_CHECKING:
    from majobctl.repository.config import Config
    from majobctl.repository.settings.settings import Settings
    from majobctl.service.provider import Provider
    from majobctl.state.document import State
    from majobctl.state.store import LockedState, StateStore


@dataclass(frozen=True, slots=True)
class ConfigRepository:
    """A config repository, and what the operations on it have in common. ``root`` is the folder of
    majobctl.toml. At most ``parallelism`` calls are made at once, by default as many as the
    settings say. ``lock_timeout`` is in seconds; others see ``command`` while the state is locked.
    ``warn`` gets each warning, and each MajobctlError to report beside another one: ``str`` of
    either is the message. ``observe_reading`` gets the number of configurations read, and of all.
    Raises MajobctlError for a wrong argument."""

    root: str | os.PathLike[str]
    _: KW_ONLY
    overrides: Overrides = NO_OVERRIDES
    parallelism: int | None = None
    lock_timeout: float = 0
    command: str = "majobctl.operations"
    warn: Callable[[object], None] = lambda warning: None
    observe_reading: Callable[[int, int], None] = lambda done, total: None

    def __post_init__(self) -> None:
        is_path = isinstance(self.root, (str, os.PathLike))
        count, seconds = self.parallelism, self.lock_timeout
        is_count = count is None or (type(count) is int and 1 <= count <= 1000)
        is_time = type(seconds) in (int, float) and 0 <= seconds <= 86_400
        for is_valid, name, wanted in (
            (is_path, "root", "a path"),
            (is_count, "parallelism", "an integer from 1 to 1000"),
            (is_time, "lock_timeout", "a number of seconds from 0 to 86400"),
        ):
            if not is_valid:
                raise MajobctlError(f"{name} must be {wanted}, not {getattr(self, name)!r}")

    @property
    def folder(self) -> Path:
        return Path(self.root)

    def load_settings(self) -> Settings:
        """Raises ConfigError with every problem, and MajobctlError."""
        settings, problems = read_settings(self.folder, self.overrides)
        if problems:
            raise ConfigError(sorted(problems))
        return settings

    def load_config(self) -> Config:
        """Settings and job configs, whose warnings include those of the cached catalog. Raises
        ConfigError with every problem of every file, and MajobctlError."""
        from majobctl.repository import config

        try:
            loaded = config.load_config(self.folder, self.overrides)
        except ConfigError as error:
            self.warn_all(error.warnings)
            raise
        if (self.folder / WORKING_FOLDER).is_dir():
            from majobctl.operations.catalog_check import warnings_of

            offline = warnings_of(loaded)
            loaded = replace(loaded, warnings=tuple(sorted({*loaded.warnings, *offline})))
        self.warn_all(loaded.warnings)
        return loaded

    def warn_all(self, warnings: Iterable[object]) -> None:
        for warning in warnings:
            self.warn(warning)

    def calls_at_once(self, settings: Settings) -> int:
        return self.parallelism or settings.parallelism

    @contextmanager
    def locked(
        self,
        settings: Settings,
        *,
        instead: State | None = None,
        force: bool = False,
        plan: str = "",
    ) -> Iterator[LockedState]:
        """As ``StateStore.locked``; ``plan`` is the digest of a saved plan that is applied. Raises
        MajobctlError, too, for an empty key of the state."""
        from majobctl.operations.authorship import author

        if os.environ.get(KEY_VARIABLE) == "":
            # Hashes without the state's key would make every secret look changed.
            raise MajobctlError(f"{KEY_VARIABLE} is empty: set the state's key, or unset it")
        options: Any = {"instead": instead, "force": force, "warn": self.warn}
        with (
            author(settings, self.command, plan) as about,
            store_of(settings).locked(
                self.command, self.lock_timeout, about=about, **options
            ) as locked,
        ):
            yield locked


RepositoryOrPath: TypeAlias = ConfigRepository | str | os.PathLike[str]


def as_repository(place: RepositoryOrPath) -> ConfigRepository:
    return place if isinstance(place, ConfigRepository) else ConfigRepository(place)


def check_target(state: State | None, settings: Settings) -> None:
    """Raises StateError if ``state`` is of another target than the settings name."""
    if state is not None:
        target = target_of(settings)
        if state.target != target:
            state.check_target(target, store_of(settings).name)


def unknown_name(name: str, state: State | None) -> str:
    hint = nearest(name, state.job_configs if state else ())
    return f"the state has no job config {quoted(printable(name))}{hint}"


def under_way(store: StateStore) -> tuple[Problem, ...]:
    """A warning if somebody had the state's lock when it was read."""
    seen = None
    with suppress(StateError):
        seen = store.backend.holder()
    if seen is None:
        return ()
    what = "an apply" if " apply" in seen.holder.command else "a change"
    verb = "may be" if seen.doubt else "is"
    return (Problem(where=store.name, message=f"{what} {verb} under way: {seen}"),)


def store_of(settings: Settings) -> StateStore:
    from majobctl.state.backends import open_backend
    from majobctl.state.store import StateStore

    state, environment = settings.values["state"], settings.environment
    return StateStore(open_backend(state, settings.root, environment))


def provider_of(settings: Settings, parallelism: int) -> Provider:
    """The provider of the settings' target, for ``parallelism`` calls. Raises as ``connect``."""
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
            emulator_seed=(settings.root / seed, seed) if seed else None,
            emulator_answers=values["answers"] or "plain",
        )
    )


def target_of(settings: Settings) -> Target:
    """The target in the settings; its project may come from the environment. Raises MajobctlError
    without a project, or for one that cannot be."""
    if settings.provider["kind"] == "emulator":
        return Target("emulator", settings.provider["project_id"] or "emulator")
    values = settings.provider
    endpoint = endpoint_of(values["region"], values["endpoint"])
    project_id = values["project_id"] or _project_id_of_environment()
    written = values["iam_endpoint"] if values["auth"] != "aksk" else ""  # agencies: tokens, too
    iam, region = written and iam_endpoint_of(None, written), values["region"]
    is_own = not iam or (region in REGIONS and iam == iam_endpoint_of(region, None))
    return Target(endpoint, project_id, "" if is_own else iam)


def _project_id_of_environment() -> str:
    from majobctl.service.auth.sources import Sources

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
