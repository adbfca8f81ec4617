"""Runs the jobs of a GitHub workflow, with those that it calls and their action, step by step: each
script as shell, each expression from a table."""

from __future__ import annotations

import json
import re
import shutil
import signal
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from tests.ci.machine import CREDENTIALS, EXAMPLES, Machine, yaml
from tests.config_repository import Ran
from tests.fake_forge import JOB_TOKEN, REPOSITORY, FakeGitHub

GITHUB = EXAMPLES / "github" / ".github"
WORKFLOWS = GITHUB / "workflows"
ACTION = GITHUB / "actions" / "majobctl" / "action.yml"
USER = f"x-access-token:{JOB_TOKEN}"
"""How git signs in for a job."""
RUN = "https://github.com/ml/configs/actions/runs/77"
_EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")
_SCOPES = ("dev-read", "prod-read", "dev", "prod")
"""The environments with secrets of their own."""
_STEP_CONDITIONS: Mapping[str, Callable[[bool, str], bool]] = {
    "": lambda has_failed, command: not has_failed,
    "always()": lambda has_failed, command: True,
    "startsWith(inputs.command, 'apply')": (
        lambda has_failed, command: not has_failed and command.startswith("apply")
    ),
}
_JOB_CONDITIONS: Mapping[str, Callable[[list[str], Mapping[str, str]], bool]] = {
    "": lambda needs, known: {*needs} <= {"success"},
    "${{ !failure() && !cancelled() }}": lambda needs, known: "failure" not in needs,
    "needs.plan.outputs.changes == 'true'": (
        lambda needs, known: (
            {*needs} <= {"success"} and known["needs.plan.outputs.changes"] == "true"
        )
    ),
}
"""Which conditions of steps and jobs there are, and when they hold."""


@dataclass
class Finished:
    """How the jobs ended: the commands that ran, as ``plan dev``, and the text of their
    summaries."""

    steps: dict[str, Ran] = field(default_factory=dict)
    summary: str = ""

    @property
    def has_failed(self) -> bool:
        return any(ran.code for ran in self.steps.values())

    @property
    def codes(self) -> dict[str, int]:
        return {name: ran.code for name, ran in self.steps.items()}


def load(workflow: str) -> Any:
    return _read(WORKFLOWS / f"majobctl-{workflow}.yml")


def action() -> Any:
    return _read(ACTION)


def _read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def run_workflow(
    machine: Machine,
    workflow: str,
    *,
    branch: str = "main",
    is_fork: bool = False,
    approved: Collection[str] = ("dev", "prod"),
    installs: bool = False,
    before: Mapping[str, Callable[[], object]] | None = None,
    replaced: tuple[str, str] = ("", ""),
) -> Finished:
    """Runs the workflow's jobs, each in a fresh checkout of ``branch``, or of what it asks for. If
    its machine is killed, no further step runs, and its disk is thrown away.

    ``before`` has what happens before a command; ``replaced`` is a text of the scripts, and what
    somebody wrote for it. ``approved`` are the environments whose deployment somebody approved.
    ``installs`` says whether majobctl is installed, which is slow.
    """
    run = _Run(machine, branch, is_fork, installs, before or {}, replaced)
    environments = [[{"name": name}] for name in approved]
    run.forge.approvals = [{"state": "approved", "environments": it} for it in environments]
    run.jobs(load(workflow), {})
    return run.finished


@dataclass
class _Run:
    machine: Machine
    branch: str
    is_fork: bool
    installs: bool
    before: Mapping[str, Callable[[], object]]
    replaced: tuple[str, str]
    finished: Finished = field(default_factory=Finished)

    def __post_init__(self) -> None:
        self.artifacts = self.machine.root / f"artifacts-{self._count('artifacts')}"
        self.artifacts.mkdir()

    @property
    def forge(self) -> FakeGitHub:
        assert isinstance(self.machine.forge, FakeGitHub)
        return self.machine.forge

    def _count(self, kind: str) -> int:
        return len(list(self.machine.root.glob(f"{kind}-*")))

    def jobs(self, document: Any, known: Mapping[str, str]) -> str:
        """The result of all jobs, which see what is ``known``."""
        results: dict[str, str] = {}
        known = dict(known)
        for name, job in document["jobs"].items():
            needs = job.get("needs", [])
            before = [results[it] for it in ([needs] if isinstance(needs, str) else needs)]
            if not _JOB_CONDITIONS[job.get("if", "")](before, known):
                results[name] = "skipped"
                continue
            for more in _matrix(job):
                ended = self._job(document, job, known | more, f"needs.{name}.outputs.", known)
                results[name] = max(
                    ended, results.get(name, ""), key=["", "success", "failure"].index
                )
        return "failure" if "failure" in results.values() else "success"

    def _job(
        self, document: Any, job: Any, known: dict[str, str], prefix: str, outputs: dict[str, str]
    ) -> str:
        if "uses" in job:
            assert job["secrets"] == "inherit"
            called = _read(GITHUB.parent / job["uses"])
            given = {f"inputs.{key}": value for key, value in job["with"].items()}
            for below in called["jobs"].values():
                assert below["permissions"].items() <= job["permissions"].items() | {
                    ("contents", "read")
                }
            return self.jobs(called, given)
        known = known | self._expressions(job, known)
        number = self._count("runner")
        folder, workspace = (self.machine.root / f"{it}-{number}" for it in ("runner", "workspace"))
        variables = self._variables(folder, workspace)
        has_failed = False
        for step in job["steps"]:
            if step["uses"] == "./.github/actions/majobctl":
                has_failed |= self._action(step, known, variables, workspace)
                if not workspace.exists():
                    break
            else:
                self._check_out(workspace, step.get("with", {}).get("ref", self.branch))
        for key, value in job.get("outputs", {}).items():
            outputs[f"{prefix}{key}"] = _filled(value, known | _outputs(folder / "output"))
        self.finished.summary += (folder / "summary").read_text(encoding="utf-8")
        return "failure" if has_failed else "success"

    def _expressions(self, job: Any, known: Mapping[str, str]) -> dict[str, str]:
        """With a token of its own, which has the job's permissions, and with the secrets of its
        environment."""
        token = f"{JOB_TOKEN}-{len(self.forge.users)}"
        self.forge.users[token] = None
        allowed = dict(job["permissions"])
        self.forge.permissions[token] = dict.fromkeys(allowed, "read") if self.is_fork else allowed
        environment = _filled(job.get("environment", ""), known)
        assert environment in ("", *_SCOPES)
        secrets = CREDENTIALS if environment else {}
        return {"github.token": token, **{f"secrets.{it}": text for it, text in secrets.items()}}

    def _action(
        self, step: Any, known: Mapping[str, str], variables: dict[str, str], workspace: Path
    ) -> bool:
        """Runs the action; whether it has failed."""
        command, has_failed = _filled(step["with"]["command"], known), False
        known = {**known, "inputs.command": command}
        given = {key: _filled(text, known) for key, text in step.get("env", {}).items()}
        for inner in action()["runs"]["steps"]:
            condition = inner.get("if", "")
            if not _STEP_CONDITIONS[condition](has_failed, command):
                continue
            if "uses" in inner:
                self._use(inner, known, workspace)
                continue
            assert inner["shell"] == "bash"
            label = command if inner.get("id") == "run" else "install"
            if label == "install" and not self.installs:
                continue
            self.before.get(label, lambda: None)()
            own = {key: _filled(text, known) for key, text in inner.get("env", {}).items()}
            script = inner["run"].replace(*self.replaced)
            ran = self.machine.shell(script, workspace, variables | given | own)
            self.finished.steps[label] = ran
            has_failed = ran.code != 0
            if ran.code == -signal.SIGKILL:
                shutil.rmtree(workspace)
                return True
        return has_failed

    def _variables(self, folder: Path, workspace: Path) -> dict[str, str]:
        """What GitHub itself sets, as far as it is used."""
        folder.mkdir()
        for name in ("output", "summary"):
            (folder / name).touch()
        commit = self.machine.git("rev-parse", self.branch)
        is_request = self.branch != "main"
        repository = "somebody/fork" if self.is_fork else REPOSITORY
        head = {"sha": commit, "repo": {"full_name": repository}}
        event: dict[str, Any] = {"repository": {"default_branch": "main"}}
        event |= {"pull_request": {"number": 3, "head": head}} if is_request else {}
        (folder / "event.json").write_text(json.dumps(event), encoding="utf-8")
        return {
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.forge.url,
            "GITHUB_EVENT_NAME": "pull_request" if is_request else "push",
            "GITHUB_EVENT_PATH": str(folder / "event.json"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_REF": "refs/pull/3/merge" if is_request else "refs/heads/main",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": "77",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_SHA": commit,
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            "GITHUB_WORKSPACE": str(workspace),
        }

    def _use(self, step: Any, known: Mapping[str, str], workspace: Path) -> None:
        given, action = step["with"], step["uses"].partition("@")[0]
        if action == "actions/upload-artifact":
            files = [it for glob in given["path"].split() for it in workspace.glob(glob)]
            folder = self.artifacts / _filled(given["name"], known)
            folder.mkdir()
            for path in files:
                shutil.copy(path, folder)
        elif action == "actions/download-artifact":
            assert given["merge-multiple"]
            for folder in self.artifacts.iterdir():
                if fnmatch(folder.name, given["pattern"]):
                    shutil.copytree(folder, workspace, dirs_exist_ok=True)

    def _check_out(self, workspace: Path, ref: str) -> None:
        """As actions/checkout does: the token is in a file that the clone's configuration
        includes."""
        header = f"Authorization: Basic {b64encode(USER.encode()).decode()}"
        machine = self.machine
        shallow = ("clone", "--quiet", "--depth=1", "--branch", ref, machine.url, str(workspace))
        machine.git("-c", f"http.extraheader={header}", *shallow)
        file = machine.root / f"git-credentials-{workspace.name}.config"
        machine.git("config", "--file", str(file), f"http.{machine.url}.extraheader", header)
        key = f"includeIf.gitdir:{workspace}/.git.path"
        machine.git("config", key, str(file), cwd=workspace)


def _matrix(job: Any) -> Iterator[dict[str, str]]:
    values = job.get("strategy", {}).get("matrix", {"": [""]})
    ((key, found),) = values.items()
    for value in found:
        yield {f"matrix.{key}": value}


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: known[match[1]], text)


def _outputs(file: Path) -> dict[str, str]:
    """Those of the action, which the step "plan" of a workflow calls."""
    pairs = (line.partition("=") for line in file.read_text(encoding="utf-8").splitlines())
    assert action()["outputs"]["changes"]["value"] == "${{ steps.run.outputs.changes }}"
    return {f"steps.plan.outputs.{key}": value for key, _, value in pairs}
