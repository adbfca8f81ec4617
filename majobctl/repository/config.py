"""The config repository: its settings and job files, with the file and line of every problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.compare_policy import ComparePolicies, ComparePolicy
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import unset_places
from majobctl.job_config.violations import Violation
from majobctl.repository.impact import NO_PRICES, Prices, read_prices
from majobctl.repository.jobs.files import job_files
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.jobs.reader import read_job_files
from majobctl.repository.jobs.readings import Reading
from majobctl.repository.policies import read_policies
from majobctl.repository.settings.settings import Settings, read_settings
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides, misspelt
from majobctl.repository.toml.file import TomlFile
from majobctl.text import in_short

if TYPE_CHECKING:
    from majobctl.policy.policy import Policy

_AS_THEY_ARE: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Valid settings and job configs, these by name and in the order of the names."""

    settings: Settings
    job_configs: Mapping[str, JobConfig]
    warnings: tuple[Problem, ...]
    unmatched: tuple[Problem, ...] = ()
    """The warnings about patterns that match no file, and about links that lead nowhere."""
    prices: Prices = NO_PRICES
    policies: tuple[Policy, ...] = ()
    elsewhere: Mapping[str, Origin] = field(default_factory=dict)
    """What files describe for other environments than the chosen one, by name."""
    default_policy: ComparePolicy = field(default_factory=ComparePolicy)
    """The compare policy of a job config that no file describes."""


def load_config(
    root: Path, overrides: Overrides = NO_OVERRIDES, replaced: Mapping[str, bytes] = _AS_THEY_ARE
) -> Config:
    """The settings of ``root`` and all job files that they name; those in ``replaced`` as if they
    had that content. Raises ConfigError with every problem of every file, in the order of files and
    lines."""
    found = _read(root, overrides, replaced)
    problems = {*found.settings_problems, *found.unreadable}
    warnings = {*found.unmatched, *misspelt(found.settings.variables)}
    for reading in found.readings:
        if reading.warnings:
            warnings.update(_problems(reading, reading.warnings))
        if reading.job_config is None:
            wrong = (*reading.violations, *reading.expansion_violations)
            problems.update(_problems(reading, wrong))
    warnings.update(_unset_variables(found.readings))
    prices = NO_PRICES
    try:
        prices = read_prices(root)
    except ConfigError as error:
        problems.update(error.problems)
    policies, wrong_policies = read_policies(found.settings)
    problems.update(wrong_policies)
    if problems:
        hidden = {name for it in found.readings for name in it.policy.secret_names}
        raise ConfigError(sorted(problems), sorted(warnings), hidden)
    return Config(
        settings=found.settings,
        job_configs=dict(sorted(found.job_configs.items())),
        warnings=tuple(sorted(warnings)),
        unmatched=tuple(found.unmatched),
        prices=prices,
        policies=policies,
        elsewhere={it.name: it.origin for it in found.readings if it.name and it.elsewhere},
        default_policy=found.default_policy,
    )


def valid_job_configs(root: Path, overrides: Overrides = NO_OVERRIDES) -> Mapping[str, JobConfig]:
    """The job configs that break no rule. Raises ConfigError if the settings cannot be read."""
    return _read(root, overrides).job_configs


def compare_policies(
    root: Path, overrides: Overrides = NO_OVERRIDES
) -> tuple[Settings, ComparePolicies, Mapping[str, str], Sequence[Problem]]:
    """The settings, the compare policies, the file of each job config, and a problem for each file
    that cannot be read and each table that cannot be expanded. A variable may be missing, or a rule
    be broken, since no value is needed. Raises ConfigError if the settings are wrong."""
    found = _read(root, overrides)
    if found.settings_problems:
        raise ConfigError(sorted(found.settings_problems))
    here = [(it.name, it) for it in found.readings if it.name is not None and not it.elsewhere]
    described = {name: it.policy for name, it in here}
    files = {name: it.origin.file for name, it in here}
    problems = [*found.unreadable]
    for reading in found.readings:
        problems += _problems(reading, reading.expansion_violations)
    elsewhere = frozenset(it.name for it in found.readings if it.name and it.elsewhere)
    policies = ComparePolicies(described, found.default_policy, elsewhere)
    return found.settings, policies, files, problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Repository:
    """What was read, valid or not."""

    settings: Settings
    settings_problems: Sequence[Problem]
    unmatched: Sequence[Problem]
    unreadable: Sequence[Problem]
    readings: Sequence[Reading]

    @property
    def job_configs(self) -> Mapping[str, JobConfig]:
        return {it.job_config.name: it.job_config for it in self.readings if it.job_config}

    @property
    def default_policy(self) -> ComparePolicy:
        return self.readings[0].policy


def _read(
    root: Path, overrides: Overrides, replaced: Mapping[str, bytes] = _AS_THEY_ARE
) -> _Repository:
    settings, settings_problems = read_settings(root, overrides)
    found = job_files(settings)
    files: list[TomlFile] = []
    unreadable = [*found.problems]
    for path, name in found.files:
        try:
            content = replaced.get(name)
            read = TomlFile.read(path, name) if content is None else TomlFile.parse(content, name)
            files.append(read)
        except ConfigError as error:
            unreadable += error.problems
    return _Repository(
        settings=settings,
        settings_problems=settings_problems,
        unmatched=found.unmatched,
        unreadable=unreadable,
        readings=read_job_files(settings, files),
    )


def _unset_variables(readings: Iterable[Reading]) -> Iterator[Problem]:
    """One for each variable of the environment that is not set, where it is needed first."""
    users: dict[str, dict[str, Any]] = {}
    for reading in readings:
        it = reading.job_config
        for place, name in unset_places(it.params) if it and it.sensitive else ():
            users.setdefault(name, {}).setdefault(f"job_config.{reading.name}", (reading, place))
    for name, places in users.items():
        first, place = next(iter(places.values()))
        what = f"{name} is unset or empty in the environment: a plan cannot see whether it changed"
        message = f"{what}, and an apply that sends {in_short(places)} needs it"
        yield replace(first.origin.problem(place, message), where="")


def _problems(reading: Reading, violations: Iterable[Violation]) -> list[Problem]:
    hide = reading.policy.is_secret
    return [reading.origin.problem(item.path, item.text(hide)) for item in violations]
