"""The machine that jobs of ``examples/ci`` run on: a shell, git with a bare remote, two services
of the emulator, and stand-ins for gh and curl on the PATH that keep their calls in a file."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from majobctl import __version__
from majobctl.emulator import create_app, start
from majobctl.emulator.faults import Faults
from majobctl.operations.seed import read_seed
from tests.config_repository import JOB, PATIENCE, Ran, toml_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "ci"
yaml: Any = importlib.import_module("yaml")  # it has no type stubs
NAMES = ("alpha", "beta", "gamma")
"""The configurations that each service has."""
CREDENTIALS = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
_AUTHOR = ("-c", "user.name=Author", "-c", "user.email=author@example.com")


@dataclass(frozen=True, slots=True)
class Machine:
    """``remote`` is a bare repository with the branch main; ``services`` are by environment."""

    root: Path
    services: Mapping[str, str]

    @property
    def remote(self) -> Path:
        return self.root / "remote.git"

    @property
    def kept(self) -> Any:
        """What the stand-in for gh or curl has kept so far."""
        return json.loads((self.root / "kept.json").read_text(encoding="utf-8"))

    @property
    def environment(self) -> dict[str, str]:
        """What every job has: the commands, and no way to a package index."""
        places = [self.root / "bin", Path(sys.executable).parent]
        return {
            **os.environ,
            "PATH": os.pathsep.join([*map(str, places), os.environ["PATH"]]),
            "KEPT": str(self.root / "kept.json"),
            "GIT_TERMINAL_PROMPT": "0",
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    def keep(self, **kept: Any) -> None:
        """Adds to what is kept, as somebody else would."""
        before = self.kept if (self.root / "kept.json").exists() else {}
        (self.root / "kept.json").write_text(json.dumps({**before, **kept}), encoding="utf-8")

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        ended = subprocess.run(
            ["git", *_AUTHOR, *arguments],
            cwd=cwd or self.remote,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        return ended.stdout.strip()

    def commit(self, message: str, files: Mapping[str, str | None], branch: str = "main") -> str:
        """A commit of somebody on ``branch``, made from main if it is new; its id.

        A file whose content is None is removed.
        """
        clone = self.root / f"author-{len(list(self.root.glob('author-*')))}"
        self.git("clone", "--quiet", f"file://{self.remote}", str(clone))
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

    def state(self, name: str = "majobctl.state.json", branch: str = "main") -> Any:
        """The state as it is committed."""
        return json.loads(self.git("show", f"{branch}:{name}"))

    def subjects(self, branch: str = "main") -> list[str]:
        """The first lines of the commits, the newest first."""
        return self.git("log", "--format=%s", branch).splitlines()

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
        file = self.root / "script.sh"
        file.write_text(script, encoding="utf-8")
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-euo", "pipefail", str(file)],
            cwd=cwd,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(ended.returncode, ended.stdout, ended.stderr)


def job_text(name: str, **params: Any) -> str:
    return toml_of(name, {**JOB, **params})


def settings_text(services: Mapping[str, str], own: str = "") -> str:
    """Settings whose tables are those of the environment ``own``, the others beside them."""
    lines = ["[provider]", 'kind = "modelarts"', 'region = "eu-de"', "retries = 0"]
    lines += [f'project_id = "{own}"', f'endpoint = "{services[own]}"'] if own else []
    for name, url in services.items():
        if name != own:
            lines += [f"[environments.{name}.provider]"]
            lines += [f'project_id = "{name}"', f'endpoint = "{url}"']
    return "\n".join([*lines, "[apply]"]) + "\n"


@contextmanager
def machine(
    root: Path, *environments: str, own: str = "", latency_ms: float = 0
) -> Iterator[Machine]:
    """A machine whose remote has settings for these environments and the job config alpha."""
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
        _make_commands(root / "bin")
        made.git(
            "init", "--quiet", "--bare", "--initial-branch", "main", str(made.remote), cwd=root
        )
        made.git("config", "receive.advertisePushOptions", "true")
        _first_commit(made, settings_text(services, own))
        yield made


def _make_commands(folder: Path) -> None:
    folder.mkdir()
    for name in ("gh", "curl"):
        source = Path(__file__).parent / f"fake_{name}.py"
        command = folder / name
        command.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{source}" "$@"\n', encoding="utf-8"
        )
        command.chmod(0o755)


def _first_commit(machine: Machine, settings: str) -> None:
    first = machine.root / "author-0"
    machine.git("init", "--quiet", "--initial-branch", "main", str(first), cwd=machine.root)
    machine.git("commit", "--quiet", "--allow-empty", "--message", "Begin", cwd=first)
    machine.git("push", "--quiet", f"file://{machine.remote}", "main", cwd=first)
    machine.commit(
        "Job configs",
        {
            "majobctl.toml": settings,
            "jobs/alpha.toml": job_text("alpha"),
            "requirements-ci.txt": f"majobctl=={__version__} --hash=sha256:{'0' * 64}\n",
            ".gitignore": ".majobctl/\n*.plan\n*.state.json.*\n",
        },
    )


def puts(machine: Machine, environment: str) -> list[str]:
    """The names that were sent to the service, in order."""
    log = machine.root / f"requests-{environment}"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    sent = [json.loads(line) for line in lines]
    return [request["path"].rpartition("/")[2] for request in sent if request["method"] == "PUT"]
