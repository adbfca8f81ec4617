"""The settings of a config repository: ``majobctl.toml``, found, read and checked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.job_config.compare_policy import Place, ignored_places
from majobctl.job_config.violations import Violation
from majobctl.repository.settings import checks, environments, variables
from majobctl.repository.settings.keys import SETTINGS
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides, Variable
from majobctl.repository.toml.file import TomlFile
from majobctl.text import quoted

FILE_NAME = "majobctl.toml"
PRICES_NAME = "prices.toml"
WORKING_FOLDER = ".majobctl"
"""Beside the settings: the emulator's data and caches, which are never committed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings; paths are relative to ``root``. ``environment`` is the chosen one or ""."""

    root: Path
    file: TomlFile
    values: checks.Values
    defaults: Mapping[str, Any]
    environment: str = ""
    overrides: Overrides = NO_OVERRIDES
    variables: Mapping[str, Variable] = field(default_factory=dict)

    @property
    def provider(self) -> Mapping[str, Any]:
        return self.values["provider"]

    @property
    def apply(self) -> Mapping[str, Any]:
        return self.values["apply"]

    @property
    def parallelism(self) -> int:
        return int(self.apply["parallelism"])

    @property
    def job_files(self) -> tuple[str, ...]:
        return tuple(self.values["jobs"]["files"])

    @property
    def ignored(self) -> frozenset[Place]:
        """The places whose changes in the service are ignored in every job config."""
        names = dict(enumerate(self.values["drift"]["ignore"]))
        return ignored_places(names, ("drift", "ignore"))[0]

    @property
    def references(self) -> Mapping[str, str]:
        """The text of each ``${var.NAME}``, by what is between the braces."""
        return {f"var.{name}": variable.text for name, variable in self.variables.items()}

    @property
    def file_path(self) -> Path:
        return self.root / FILE_NAME

    @property
    def state_path(self) -> Path:
        return self.root / str(self.values["state"]["path"])


def find_root(start: Path) -> Path:
    """The nearest folder with settings, ``start`` or above it. Raises MajobctlError if none has."""
    start = start.resolve()
    for folder in (start, *start.parents):
        # Not Path.is_file: it raises in a folder that may not be searched.
        if os.path.isfile(folder / FILE_NAME):
            if folder != start:
                _check_owner(folder)
            return folder
    raise MajobctlError(
        f"no {FILE_NAME} in {start} or above it\n"
        "`majobctl init` makes a config repository here; `majobctl -C DIR ...` goes to another one"
    )


def _check_owner(folder: Path) -> None:
    """Raises MajobctlError if somebody else can decide in ``folder``, which nobody named, where the
    user's credentials go."""
    file = folder / FILE_NAME
    owners = {str(it.st_uid) for it in (os.lstat(folder), os.lstat(file), os.stat(file))}
    # Windows has no such ids. Whoever became root with sudo trusts themselves.
    trusted = {"0", str(getattr(os, "geteuid", lambda: 0)()), os.environ.get("SUDO_UID")}
    if owners - trusted:
        raise MajobctlError(
            f"{file} belongs to another user, and would decide where your credentials"
            f" are sent\nif you trust it, name its folder: majobctl -C {folder} ..."
        )


def read_settings(
    root: Path, overrides: Overrides = NO_OVERRIDES
) -> tuple[Settings, list[Problem]]:
    """The settings of ``root``, with defaults for wrong values, and every problem in them. Raises
    ConfigError for a file that cannot be read or is not TOML, MajobctlError for a wrong
    override."""
    file = TomlFile.read(root / FILE_NAME, FILE_NAME)
    known = environments.environments_of(file)
    name = overrides.environment
    problems = [*map(file.problem, environments.environment_violations(file))]
    if name and name not in known:
        if problems:
            raise ConfigError(problems)
        raise MajobctlError(environments.unknown_environment(name, file))
    settings, found = _read(root, file, name)
    problems += found
    for other in known:
        # The violations of one environment, except those of its defaults, are reported in all.
        if other != name:
            problems += _read(root, file, other)[1]
    problems += map(file.problem, _shared_states(root, file))
    values = variables.with_overrides(settings.variables, overrides)
    return replace(settings, overrides=overrides, variables=values), sorted(set(problems))


def _read(root: Path, file: TomlFile, environment: str) -> tuple[Settings, list[Problem]]:
    """The settings with an environment laid over them, or with none if it is ""."""
    seen = environments.OverlaidFile(file, environment) if environment else file
    values, violations = checks.checked_values(seen.data)
    own = environments.environments_of(file)
    if environment and not _written_state_path(own[environment]):
        folder = Path(values["state"]["path"]).parent
        values["state"]["path"] = (folder / f"{environment}.state.json").as_posix()
    defaults, wrong_defaults = checks.checked_table(seen.data, "defaults")
    table, wrong_table = checks.checked_table(seen.data, variables.TABLE)
    declared, wrong_variables = variables.checked_variables(table, seen, (variables.TABLE,))
    others = [] if environment else list(own)
    violations += [
        *checks.unknown_tables(seen.data, in_environment=bool(environment)),
        *wrong_defaults,
        *wrong_table,
        *wrong_variables,
        *checks.provider_violations(seen.data, values["provider"], others),
        *_misplaced_state(root, values["state"]["path"], values["jobs"]["files"]),
    ]
    seed = values["provider"]["seed"]
    if seed and values["provider"]["kind"] == "emulator" and not os.path.isfile(root / seed):
        violations.append(Violation(("provider", "seed"), f"seed: no file {quoted(seed)}"))
    settings = Settings(
        root=root,
        file=seen,
        values=values,
        defaults=defaults,
        environment=environment,
        variables=declared,
    )
    return settings, [*map(seen.problem, violations)]


def _written_state_path(tables: Mapping[str, Any]) -> object:
    state = tables.get("state", {})
    return state.get("path") if isinstance(state, Mapping) else None


_BESIDE = ("", ".backup", ".journal", ".lock", ".lock.holder")
"""The suffixes of the files beside a state."""


def _misplaced_state(root: Path, path: str, patterns: Sequence[str]) -> Iterator[Violation]:
    """A state, or the lock beside it, must not get in the way of whoever else has that place."""
    top = Path(os.path.realpath(root))
    for place in {Path(os.path.normpath(top / path)), Path(os.path.realpath(top / path))}:
        name = (place.relative_to(top) if place.is_relative_to(top) else place).as_posix()
        parts = name.casefold().split("/")
        is_taken = ".git" in parts or parts[0] == WORKING_FOLDER or parts[-1].endswith(".toml")
        is_job_file = any(
            os.path.isabs(it) == os.path.isabs(name)
            and ("**" in it or it.count("/") == name.count("/"))
            and fnmatch(name, it.replace("**/", "*"))
            for it in patterns
        )
        if is_taken or is_job_file or os.path.isdir(place):
            message = f"path must not be in .git or {WORKING_FOLDER}, a folder, a TOML file, or a"
            message = f"{message} file that [jobs] files matches: choose another for the state"
            yield Violation(("state", "path"), message)
            return


def _shared_states(root: Path, file: TomlFile) -> Iterator[Violation]:
    """The states that two environments, or one and the settings without any, would share."""
    first = Path(str(_written_state_path(file.data) or SETTINGS["state"]["path"].default))
    taken = dict.fromkeys(_state_files(root / first), "the settings without an environment")
    for name, tables in environments.environments_of(file).items():
        path = str(_written_state_path(tables) or first.parent / f"{name}.state.json")
        found = _state_files(root / path)
        other = next((taken[item] for item in found if item in taken), "")
        if other:
            message = f"path is also the state of {other}; give each its own state"
            yield Violation((environments.TABLE, name, "state", "path"), message)
        taken = {**dict.fromkeys(found, f"the environment {quoted(name)}"), **taken}


def _state_files(path: Path) -> list[str]:
    """A state and the files beside it. Paths that are one file on some systems are equal."""
    return [os.path.normpath(path).casefold() + suffix for suffix in _BESIDE]
