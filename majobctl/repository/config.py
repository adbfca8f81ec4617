"""The config repository as a whole: settings and job configs, loaded together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.compare_policy import ComparePolicies, ComparePolicy
from majobctl.job_config.job_config import JobConfig
from majobctl.repository.jobs.reader import (
    _Reader,
)
from majobctl.repository.settings.settings import Settings, read_settings
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides


@dataclass(frozen=True, slots=True)
class Config:
    """What the TOML files say: job configs by name, in name order, and what is worth a warning."""

    settings: Settings
    job_configs: Mapping[str, JobConfig]
    warnings: tuple[Problem, ...]
    unmatched: tuple[Problem, ...] = ()
    """The warnings of patterns that lead to no file."""
    default_policy: ComparePolicy = field(default_factory=ComparePolicy)
    """What is watched of a job config that no file describes."""


def load_config(root: Path, overrides: Overrides = NO_OVERRIDES) -> Config:
    """Reads the settings of ``root`` and all job files that they name.

    Raises ConfigError with every problem of every file, in the order of files and lines.
    """
    settings, problems = read_settings(root, overrides)
    reader = _Reader(settings, problems)
    reader.read_all()
    warnings = sorted(set(reader.warnings))
    if problems:
        raise ConfigError(sorted(set(problems)), warnings)
    job_configs = dict(sorted(reader.job_configs.items()))
    return Config(
        settings, job_configs, tuple(warnings), tuple(reader.unmatched), reader.default_policy
    )


def whole_job_configs(root: Path, overrides: Overrides = NO_OVERRIDES) -> Mapping[str, JobConfig]:
    """The job configs of ``root`` that break no rule, whatever the others do.

    Raises ConfigError where the settings cannot be read.
    """
    settings, _ = read_settings(root, overrides)
    reader = _Reader(settings, [])
    reader.read_all()
    return reader.job_configs


def compare_policies(
    root: Path, overrides: Overrides = NO_OVERRIDES
) -> tuple[Settings, ComparePolicies, Sequence[Problem]]:
    """The settings, what is watched of each job config, and the job files that cannot be read.

    No value is needed, so that an environment variable may be missing, or a rule be broken. Raises
    ConfigError where the settings are wrong.
    """
    settings, problems = read_settings(root, overrides)
    if problems:
        raise ConfigError(sorted(problems))
    reader = _Reader(settings, problems)
    reader.read_all()
    return settings, ComparePolicies(reader.watched, reader.default_policy), reader.unread
