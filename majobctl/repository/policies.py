"""The policies of a config repository: ``[policy.NAME]`` in ``policy.toml`` beside the settings, or
in the settings themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import wrong_type
from majobctl.job_config.violations import Path, Violation
from majobctl.repository.settings.environments import POLICY, environments_of, unknown_environment
from majobctl.repository.settings.settings import POLICY_NAME, Settings
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, printable, quoted

if TYPE_CHECKING:
    from majobctl.policy.policy import Policy


@dataclass(frozen=True, slots=True)
class _Source:
    """A policy's table."""

    written_in: TomlFile
    name: str

    @property
    def file(self) -> str:
        return self.written_in.name

    @property
    def line(self) -> int:
        return self.written_in.line_of((POLICY, self.name))

    def problem(self, path: Path, message: str) -> Problem:
        line = self.written_in.line_of((POLICY, self.name, *path))
        where = f"{POLICY}.{self.name}"
        return Problem(file=self.file, line=line, where=where, message=message)


def read_policies(settings: Settings) -> tuple[tuple[Policy, ...], list[Problem]]:
    """The policies without a problem, in the order of their files and lines, and every problem."""
    problems: list[Problem] = []
    sources: dict[str, _Source] = {}
    policies = []
    for file in _files(settings, problems):
        for name, table in _tables(file, problems):
            from majobctl.policy.policy import read_policy

            source = _Source(file, name)
            if first := sources.get(name):
                message = f"is defined twice, first at {first.file}:{first.line}"
                problems.append(source.problem((), message))
            sources.setdefault(name, source)
            policy, wrong = read_policy(name, table, source)
            wrong += _unknown_environments(policy, settings.file.plain)
            policies += [] if wrong else [policy]
            problems += [source.problem(it.path, it.text()) for it in wrong]
    return tuple(policies), problems


def _unknown_environments(policy: Policy, file: TomlFile) -> Iterator[Violation]:
    known = ("", *environments_of(file))
    for key, conditions in (("where", policy.where), ("require", policy.require)):
        for words in [it.words for it in conditions if it.path == ("environment",)]:
            for word in ("const", "enum"):
                names = words.get(word, [])
                for name in [names] if isinstance(names, str) else names:
                    if name not in known:
                        yield Violation((key, "environment", word), unknown_environment(name, file))


def _files(settings: Settings, problems: list[Problem]) -> Iterator[TomlFile]:
    yield settings.file.plain
    if not os.path.lexists(settings.root / POLICY_NAME):
        for name in sorted(os.listdir(settings.root)):
            if name.casefold() in (POLICY_NAME, "policies.toml"):
                message = f"its policies are not read; rename it to {POLICY_NAME}"
                problems.append(Problem(file=printable(name), message=message))
        return
    try:
        file = TomlFile.read(settings.root / POLICY_NAME, POLICY_NAME)
    except ConfigError as error:
        problems += error.problems
        return
    for key in file.data:
        if key != POLICY:
            hint = nearest(key, [POLICY])
            message = f"unknown table {quoted(key)}; {POLICY_NAME} has [{POLICY}.NAME] tables"
            problems.append(file.problem(Violation((key,), message + hint)))
    yield file


def _tables(file: TomlFile, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    tables = file.data.get(POLICY, {})
    if isinstance(tables, Mapping):
        yield from tables.items()
        return
    message = wrong_type(POLICY, f"tables, [{POLICY}.NAME]", tables)
    problems.append(file.problem(Violation((POLICY,), message)))
