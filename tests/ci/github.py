"""Runs the jobs of a GitHub workflow, step by step: each script as shell, each expression from a
table."""

from __future__ import annotations

import re
import shutil
import signal
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.ci.machine import CREDENTIALS, EXAMPLES, Machine, yaml
from tests.config_repository import Ran

WORKFLOWS = EXAMPLES / "github" / ".github" / "workflows"
REPOSITORY = "ml/configs"
TOKEN = "job-token"
USER = f"x-access-token:{TOKEN}"
"""How git signs in for a job."""
_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
_CONDITIONS: Mapping[str, Callable[[bool, bool], bool]] = {
    "": lambda has_failed, is_fork: not has_failed,
    "always()": lambda has_failed, is_fork: True,
    "!cancelled() && github.event.pull_request.head.repo.full_name == github.repository": (
        lambda has_failed, is_fork: not is_fork
    ),
}
"""Which conditions of steps there are, and when they hold."""
_JOB_CONDITIONS: Mapping[str, Callable[[Mapping[str, str]], bool]] = {
    "": lambda known: True,
    "github.ref == 'refs/heads/main'": lambda known: True,
    "needs.plan.outputs.code == '2'": lambda known: known["needs.plan.outputs.code"] == "2",
}
"""The same of jobs; each starts once those before it have succeeded, as ``needs`` says."""
EXPRESSIONS = {
    "github.token": TOKEN,
    "github.event.pull_request.number": "3",
    "github.server_url": "https://github.com",
    "github.repository": REPOSITORY,
    "github.run_id": "77",
    **{f"secrets.{name}": value for name, value in CREDENTIALS.items()},
}


@dataclass
class Finished:
    """How the jobs ended: their steps that ran, by name, and the text of their summaries."""

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
    is_approved: bool = True,
    installs: bool = False,
    before: Mapping[str, Callable[[], object]] | None = None,
    replaced: tuple[str, str] = ("", ""),
) -> Finished:
    """Runs the workflow's jobs, each in a fresh checkout of ``branch``, or of what it asks for. If
    its machine is killed, no further step runs, and its disk is thrown away.

    ``before`` has what happens before a step; ``replaced`` is a text of the steps, and what
    somebody wrote for it. ``is_approved``: somebody has approved the deployment to the environment
    "production". ``installs`` says whether majobctl is installed, which is slow.
    """
    document = load(workflow)
    assert document["defaults"] == {"run": {"shell": "bash"}}
    environments = [{"name": "production"}]
    approvals = [{"state": "approved", "environments": environments}] if is_approved else []
    if "apply" in document["jobs"]:
        machine.keep(approvals=approvals)
    finished = Finished()
    known = {**EXPRESSIONS, "github.event.pull_request.head.sha": machine.git("rev-parse", branch)}
    known["runner.artifacts"] = str(machine.root / f"artifacts-{_count(machine, 'artifacts')}")
    for name, job in document["jobs"].items():
        if finished.has_failed or not _JOB_CONDITIONS[job.get("if", "")](known):
            continue
        number = _count(machine, "runner")
        workspace = machine.root / f"workspace-{number}"
        variables = _runner_variables(machine.root / f"runner-{number}", workspace)
        variables |= document.get("env", {}) | job.get("env", {})
        for step in job["steps"]:
            condition = step.get("if", "").removeprefix("${{ ").removesuffix(" }}")
            if not _CONDITIONS[condition](finished.has_failed, is_fork):
                continue
            if "uses" in step:
                _use(machine, step, branch, workspace, Path(known["runner.artifacts"]))
                continue
            if step["name"] == "Install majobctl" and not installs:
                continue
            if before and step["name"] in before:
                before[step["name"]]()
            own = {key: _filled(value, known) for key, value in step.get("env", {}).items()}
            script = step["run"].replace(*replaced)
            ran = finished.steps[step["name"]] = machine.shell(script, workspace, variables | own)
            if ran.code == -signal.SIGKILL:
                shutil.rmtree(workspace)
                return finished
            known |= _outputs(step, Path(variables["GITHUB_OUTPUT"]))
        for key, value in job.get("outputs", {}).items():
            known[f"needs.{name}.outputs.{key}"] = known.get(_EXPRESSION.sub(r"\1", value), "")
        finished.summary += Path(variables["GITHUB_STEP_SUMMARY"]).read_text(encoding="utf-8")
    return finished


def _count(machine: Machine, kind: str) -> int:
    return len(list(machine.root.glob(f"{kind}-*")))


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


def _use(machine: Machine, step: Any, branch: str, workspace: Path, artifacts: Path) -> None:
    given = step.get("with", {})
    action = step["uses"].partition("@")[0]
    if action == "actions/checkout":
        ref = given.get("ref", branch)
        _check_out(machine, workspace, ref, keeps=given.get("persist-credentials", True))
    elif action == "actions/upload-artifact":
        folder = artifacts / given["name"]
        folder.mkdir(parents=True)
        for path in (file for glob in given["path"].split() for file in workspace.glob(glob)):
            shutil.copy(path, folder)
    elif action == "actions/download-artifact":
        shutil.copytree(artifacts / given["name"], workspace, dirs_exist_ok=True)


def _check_out(machine: Machine, workspace: Path, ref: str, *, keeps: bool) -> None:
    """As actions/checkout does: the token is in a file that the clone's configuration includes."""
    header = f"Authorization: Basic {b64encode(USER.encode()).decode()}"
    shallow = ("clone", "--quiet", "--depth=1", "--branch", ref, machine.url, str(workspace))
    machine.git("-c", f"http.extraheader={header}", *shallow)
    if keeps:
        file = machine.root / f"git-credentials-{workspace.name}.config"
        machine.git("config", "--file", str(file), f"http.{machine.url}.extraheader", header)
        key = f"includeIf.gitdir:{workspace}/.git.path"
        machine.git("config", key, str(file), cwd=workspace)


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: known[match[1]], text)


def _outputs(step: Any, file: Path) -> dict[str, str]:
    lines = file.read_text(encoding="utf-8").splitlines() if "id" in step else []
    pairs = (line.partition("=") for line in lines)
    return {f"steps.{step['id']}.outputs.{key}": value for key, _, value in pairs}
