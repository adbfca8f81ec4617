"""The machines that jobs of ``examples/ci`` run on: a shell, git with a bare remote, services of
the emulator, and a forge."""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from majobctl import __version__
from majobctl.emulator import create_app, start
from majobctl.emulator.faults import Faults
from majobctl.operations.seed import read_seed
from tests import git_servers
from tests.config_repository import JOB, Ran, finished, toml_of, until
from tests.fake_forge import FakeForge

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ci"
yaml: Any = importlib.import_module("yaml")  # it has no type stubs
NAMES = ("alpha", "beta", "gamma")
"""The configurations that each service has."""
REPORTED = re.compile(r"^job_config\.(\w+): (?:updated|resent|recorded)", re.MULTILINE)
"""Of whom an apply reports that it is as desired."""
CREDENTIALS = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
_AUTHOR = ("-c", "user.name=Author", "-c", "user.email=author@example.com")


@dataclass(frozen=True, slots=True)
class Machine:
    """``remote`` is a bare repository with the branch main; ``services`` are by environment.
    ``member`` has the variables of somebody who works with the repository, past the CI."""

    root: Path
    services: Mapping[str, str]
    member: dict[str, str] = field(default_factory=dict)
    url: str = ""
    """Where jobs of GitHub get the repository, and those of GitLab the states."""
    forge: FakeForge = field(default_factory=FakeForge)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    @property
    def environment(self) -> dict[str, str]:
        """What every job has: the commands, and no way to a package index."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GIT_TERMINAL_PROMPT": "0",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return git_servers.git(cwd or self.remote, *_AUTHOR, *arguments)

    def commit(self, message: str, files: Mapping[str, str | None], branch: str = "main") -> str:
        """A commit of somebody on ``branch``, made from main if it is new; its id.

        A file whose content is None is removed.
        """
        clone = self.clone()
        known = self.git("branch", "--list", branch)
        self.git(
            "checkout", "--quiet", "-B", branch, f"origin/{branch if known else 'main'}", cwd=clone
        )
        for name, text in files.items():
            path = clone / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text, encoding="utf-8")
        self.git("add", "--all", cwd=clone)
        self.git("commit", "--quiet", "--message", message, cwd=clone)
        self.git("push", "--quiet", "origin", branch, cwd=clone)
        return self.git("rev-parse", "HEAD", cwd=clone)

    def clone(self) -> Path:
        """Somebody's new clone."""
        place = self.root / f"clone-{len(list(self.root.glob('clone-*')))}"
        self.git("clone", "--quiet", f"file://{self.remote}", str(place))
        return place

    def ask(self, command: str) -> Ran:
        """What a command says to somebody in a new clone."""
        ran = self.shell(command, self.clone(), {**CREDENTIALS, **self.member})
        assert ran.code == 0, ran
        return ran

    def job_configs(self, options: str = "") -> Any:
        """What the state has, as another machine finds it."""
        return self.ask(f"majobctl state pull {options}").document["job_configs"]

    def make_slow(self) -> None:
        """From the next apply on, calls are made one after the other; it has all job configs."""
        settings = self.git("show", "main:majobctl.toml") + "\nparallelism = 1\n"
        self.commit("One by one", {"majobctl.toml": settings, **described("first")})

    @property
    def branches(self) -> list[str]:
        return self.git("branch", "--format=%(refname:short)").split()

    def change_there(self, environment: str, name: str, **params: Any) -> None:
        """Somebody changes a configuration in the service, past the repository."""
        elsewhere = self.root / f"elsewhere-{len(list(self.root.glob('elsewhere-*')))}"
        (elsewhere / "jobs").mkdir(parents=True)
        text = settings_text({environment: self.services[environment]}, environment)
        (elsewhere / "majobctl.toml").write_text(text, encoding="utf-8")
        (elsewhere / "jobs" / "job.toml").write_text(job_text(name, **params), encoding="utf-8")
        ran = self.shell("majobctl apply --auto-approve --overwrite", elsewhere, CREDENTIALS)
        assert ran.code == 0, ran

    def shell(self, script: str, cwd: Path, variables: Mapping[str, str]) -> Ran:
        """Runs a script as CI does, and stops at unset variables, too."""
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", "-c", script],
            cwd=cwd,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.running.append(process)
        return finished(process)

    def left_by(self, dead: Ran, options: str = "") -> set[str]:
        """What an apply that was killed had reported is in the state; the names of those whose
        outcome is unknown. One that is kept may not have been reported yet."""
        assert dead.code == -signal.SIGKILL
        configs = self.job_configs(options)
        unknown = {name for name, entry in configs.items() if entry.get("pending")}
        reported = {*REPORTED.findall(dead.stderr)}
        assert unknown and reported <= {*configs} - unknown, dead
        return unknown

    def check_applied(self, text: str, options: str = "") -> None:
        """All job configs have the description ``text``, in the state and in the service."""
        configs = self.job_configs(options).values()
        assert {(it["params"]["config_desc"], it.get("pending")) for it in configs} == {
            (text, None)
        }
        self.ask(f"majobctl drift --detailed-exitcode {options}")

    def interrupt(self, environment: str, number: int = signal.SIGKILL) -> int:
        """Sends a signal to all processes of the running job, once a call of it was answered; their
        group."""
        before = len(puts(self, environment))
        until(lambda: len(puts(self, environment)) > before, "the first call")
        group = self.running[-1].pid
        os.killpg(group, number)
        return group


def job_text(name: str, **params: Any) -> str:
    return toml_of(name, {**JOB, **params})


POLICY = """
[policy.small]
because = "nodes are few"
require = { train_instance_count = { maximum = 1 } }
fails = [{ train_instance_count = 2 }]
"""
VIOLATION = (
    "job_config.beta: train_instance_count is 2;"
    " policy small (policy.toml:2) allows at most 1: nodes are few"
)


def described(text: str) -> dict[str, str]:
    """The files of all job configs, with this description."""
    return {f"jobs/{name}.toml": job_text(name, config_desc=text) for name in NAMES}


def settings_text(services: Mapping[str, str], own: str = "", state: str = "") -> str:
    """Settings whose tables are those of the environment ``own``, the others beside them; they end
    with the table ``[apply]``."""
    lines = ["[provider]", 'kind = "modelarts"', 'region = "eu-de"', "retries = 0"]
    lines += [f'project_id = "{own}"', f'endpoint = "{services[own]}"'] if own else []
    for name, url in services.items():
        if name != own:
            lines += [f"[environments.{name}.provider]"]
            lines += [f'project_id = "{name}"', f'endpoint = "{url}"']
    return "\n".join([*lines, state, "[apply]"]) + "\n"


@contextmanager
def machine(
    root: Path, *environments: str, own: str = "", state: str = "", latency_ms: float = 0
) -> Iterator[Machine]:
    """A machine whose remote has settings for these environments, with the tables ``state``, and
    the job config alpha."""
    seed = root / "seed.toml"
    made_by_hand = {**JOB, "config_desc": "made by hand"}
    texts = (toml_of(name, made_by_hand) for name in NAMES)
    seed.write_text("\n".join(texts), encoding="utf-8")
    with ExitStack() as opened:
        services = {}
        for name in environments:
            log = root / f"requests-{name}"
            faults = Faults(latency_ms=latency_ms)
            app = create_app(
                seed=partial(read_seed, seed), project_id=name, request_log=log, faults=faults
            )
            services[name] = opened.enter_context(start(opened.enter_context(app))).url
        made = Machine(root, services)
        git_servers.bare(made.remote, "--initial-branch=main")
        _first_commit(made, settings_text(services, own, state))
        yield made


def _first_commit(machine: Machine, settings: str) -> None:
    first = machine.clone()
    machine.git("commit", "--quiet", "--allow-empty", "--message", "Begin", cwd=first)
    machine.git("push", "--quiet", "origin", "HEAD:main", cwd=first)
    machine.commit(
        "Job configs",
        {
            "majobctl.toml": settings,
            "jobs/alpha.toml": job_text("alpha"),
            "requirements-ci.txt": f"majobctl=={__version__} --hash=sha256:{'0' * 64}\n",
            ".gitignore": ".majobctl/\n*.plan\n*.html\n*.state.json.*\n",
        },
    )


def puts(machine: Machine, environment: str) -> list[str]:
    """The names that were sent to the service, in order."""
    log = machine.root / f"requests-{environment}"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    sent = [json.loads(line) for line in lines]
    return [request["path"].rpartition("/")[2] for request in sent if request["method"] == "PUT"]
