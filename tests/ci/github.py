"""Runs the one job of a GitHub workflow, step by step: each script as shell, each expression from
a table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ci.machine import CREDENTIALS, EXAMPLES, Machine, yaml
from tests.config_repository import Ran

WORKFLOWS = EXAMPLES / "github" / ".github" / "workflows"
REPOSITORY = "ml/configs"
_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
_CONDITIONS: Mapping[str, Callable[[bool, bool], bool]] = {
    "": lambda has_failed, is_fork: not has_failed,
    "always()": lambda has_failed, is_fork: True,
    "!cancelled() && github.event.pull_request.head.repo.full_name == github.repository": (
        lambda has_failed, is_fork: not is_fork
    ),
}
"""Which conditions of steps there are, and when they hold."""
EXPRESSIONS = {
    "github.token": "job-token",
    "github.event.pull_request.number": "3",
    "github.server_url": "https://github.com",
    "github.repository": REPOSITORY,
    "github.run_id": "77",
    **{f"secrets.{name}": value for name, value in CREDENTIALS.items()},
}


@dataclass
class Finished:
    """How a job ended: its steps that ran, by name, and the text of its summary."""

    workspace: Path
    steps: dict[str, Ran] = field(default_factory=dict)
    summary: str = ""

    @property
    def has_failed(self) -> bool:
        return any(ran.code for ran in self.steps.values())


def load(workflow: str) -> Any:
    return yaml.safe_load((WORKFLOWS / f"majobctl-{workflow}.yml").read_text(encoding="utf-8"))


def run_workflow(
    machine: Machine,
    workflow: str,
    *,
    branch: str = "main",
    is_fork: bool = False,
    installs: bool = False,
    before: Mapping[str, Callable[[Path], object]] | None = None,
) -> Finished:
    """Runs the workflow's job in a fresh checkout of ``branch``, or of what it asks for itself.

    ``before`` has what happens before a step, which gets the folder of the checkout.
    ``installs`` says whether the step that installs majobctl is run, which is slow.
    """
    document = load(workflow)
    (job,) = document["jobs"].values()
    number = len(list(machine.root.glob("workspace-*")))
    finished = Finished(machine.root / f"workspace-{number}")
    variables = _runner_variables(machine.root / f"runner-{number}", finished.workspace)
    variables |= document.get("env", {}) | job.get("env", {})
    assert document["defaults"] == {"run": {"shell": "bash"}}
    known = {**EXPRESSIONS, "github.event.pull_request.head.sha": machine.git("rev-parse", branch)}
    for step in job["steps"]:
        condition = step.get("if", "").removeprefix("${{ ").removesuffix(" }}")
        if not _CONDITIONS[condition](finished.has_failed, is_fork):
            continue
        if "uses" in step:
            _use(machine, step, branch, finished.workspace)
            continue
        name = step["name"]
        if name == "Install majobctl" and not installs:
            continue
        if before and name in before:
            before[name](finished.workspace)
        own = {key: _filled(value, known) for key, value in step.get("env", {}).items()}
        ran = machine.shell(step["run"], finished.workspace, variables | own)
        finished.steps[name] = ran
        known |= _outputs(step, Path(variables["GITHUB_OUTPUT"]))
    finished.summary = Path(variables["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    return finished


def _runner_variables(folder: Path, workspace: Path) -> dict[str, str]:
    folder.mkdir()
    for name in ("output", "summary"):
        (folder / name).touch()
    return {
        "GITHUB_WORKSPACE": str(workspace),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_RUN_ID": "77",
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "RUNNER_TEMP": str(folder),
    }


def _use(machine: Machine, step: Any, branch: str, workspace: Path) -> None:
    if step["uses"].startswith("actions/checkout@"):
        ref = step.get("with", {}).get("ref", branch)
        url = f"file://{machine.remote}"
        machine.git("clone", "--quiet", "--depth=1", "--branch", ref, url, str(workspace))


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: known[match[1]], text)


def _outputs(step: Any, file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines() if "id" in step else []
    pairs = (line.partition("=") for line in lines)
    return {f"steps.{step['id']}.outputs.{key}": value for key, _, value in pairs}
