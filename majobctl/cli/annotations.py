"""Problems and warnings at their lines, as GitHub and GitLab show them to a reviewer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click

from majobctl.cli import invocation
from majobctl.cli.job_log import unguarded_stdout
from majobctl.errors import Problem

REPORT = "gl-code-quality-report.json"


def path_in_workspace() -> Callable[[str], str]:
    """Makes a path of the repository one of the folder that the job checked out, as GitHub and
    GitLab expect it."""
    folder = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    root, workspace = invocation.root_or_here(), Path(folder).resolve() if folder else None

    def path_of(file: str) -> str:
        path = root / file
        if workspace and path.is_relative_to(workspace):
            return path.relative_to(workspace).as_posix()
        return file

    return path_of


@dataclass
class Annotations:
    """Those of one job: each once, however many environments have it."""

    is_github: bool
    problems: dict[Problem, None] = field(default_factory=dict)
    warnings: dict[Problem, None] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)

    def warn(self, warning: object) -> None:
        if str(warning) not in self.warned:
            self.warned.add(str(warning))
            invocation.warn(warning)

    def add(self, problems: Iterable[Problem], warnings: Iterable[Problem]) -> None:
        """GitHub takes them from the log."""
        from majobctl.render.github import workflow_commands

        problems = [it for it in problems if it not in self.problems]
        warnings = [it for it in warnings if it not in self.warnings]
        self.problems.update(dict.fromkeys(problems))
        self.warnings.update(dict.fromkeys(warnings))
        if self.is_github:
            text = workflow_commands(problems, warnings, path_in_workspace())
            click.echo(text, unguarded_stdout(), nl=False)

    def write(self) -> None:
        """GitLab takes them from a report."""
        from majobctl.plan.document import dumps
        from majobctl.render.gitlab import code_quality

        if not self.is_github:
            found = code_quality(self.problems, self.warnings, path_in_workspace())
            Path(REPORT).write_text(dumps(found), encoding="utf-8")
