"""The settings of a config repository: ``majobctl.toml``, found, read and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.job_config.compare_policy import Place, ignored_places
from majobctl.job_config.violations import Violation
from majobctl.repository.settings import checks, environments, state_place, variables
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides, Variable
from majobctl.repository.toml.file import TomlFile
from majobctl.text import quoted

FILE_NAME = "majobctl.toml"
PRICES_NAME = "prices.toml"
POLICY_NAME = "policy.toml"


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
    def given(self) -> Mapping[str, Variable]:
        """The variables whose values are not the settings' own."""
        return {name: it for name, it in self.variables.items() if it.file != FILE_NAME}

    @property
    def given_again(self) -> Overrides:
        """The overrides with all values of variables, and no file of them: a pipe cannot be read
        again."""
        return replace(self.overrides, values=(), files=(), known=self.given)

    @property
    def file_path(self) -> Path:
        return self.root / FILE_NAME

    @property
    def state_path(self) -> Path | None:
        """The state file, and the start of the names of those beside it; None if the state is not
        a file."""
        state = self.values["state"]
        return self.root / str(state["path"]) if state["backend"] == "local" else None


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
    root: Path, overrides: Overrides = NO_OVERRIDES, file: TomlFile | None = None
) -> tuple[Settings, list[Problem]]:
    """The settings of ``root`` (in ``file``, if it is given), with defaults for wrong values, and
    every problem in them. Raises ConfigError for a file that cannot be read or is not TOML,
    MajobctlError for a wrong override."""
    file = file or TomlFile.read(root / FILE_NAME, FILE_NAME)
    known = environments.environments_of(file)
    name = overrides.environment
    problems = [*map(file.problem, environments.environment_violations(file))]
    if name and name not in known:
        if problems:
            raise ConfigError(problems)
        raise MajobctlError(environments.unknown_environment(name, file))
    read = {other: _read(root, file, other) for other in ("", *known)}
    settings, found = read[name]
    problems += found
    for other in known:
        # The violations of one environment, except those of its defaults, are reported in all.
        if other != name:
            problems += read[other][1]
    states = {other: item.values["state"] for other, (item, _) in read.items()}
    problems += map(file.problem, state_place.shared_by_environments(states, root))
    values = variables.with_overrides(settings.variables, overrides)
    return replace(settings, overrides=overrides, variables=values), sorted(set(problems))


def _read(root: Path, file: TomlFile, environment: str) -> tuple[Settings, list[Problem]]:
    """The settings with an environment laid over them, or with none if it is ""."""
    seen = environments.OverlaidFile(file, environment) if environment else file
    values, violations = checks.checked_values(seen.data)
    own = environments.environments_of(file)
    own_state, _ = checks.checked_table(own.get(environment, file.data), "state")
    if environment:
        values["state"] = state_place.of_environment(values["state"], environment, own_state)
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
        *state_place.violations(values["state"], own_state, root, values["jobs"]["files"], others),
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
