"""A state that a team shares: the stores of these tests, and machines that come and go."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from majobctl.state.document import State
from tests import fake_s3, git_servers
from tests.config_repository import JOB, toml_of
from tests.faults.cloud import ENVIRONMENT
from tests.faults.launcher import Launcher
from tests.postgres import Server, running_server
from tests.state.backends.s3 import PAIR, VERSITYGW, serving_versitygw

LEASE = 5
STORES = ("git", "postgres", "s3")
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class Team:
    """A log of its own in a store; its members have nothing in common but that and the service.
    ``state`` is the table of settings, ``remote`` what clones are made from."""

    state: str
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)
    remote: Path | None = None

    def machine(self, root: Path, settings: str, descriptions: Mapping[str, str]) -> Path:
        """A fresh clone, whose job configs have these descriptions."""
        root.parent.mkdir(parents=True, exist_ok=True)
        if self.remote:
            git_servers.clone(self.remote, root)
        (root / "jobs").mkdir(parents=True)
        (root / "majobctl.toml").write_text(f"{settings}\n[state]\nlease = {LEASE}\n{self.state}")
        describe(root, descriptions)
        return root

    def read(self, root: Path, launcher: Launcher) -> State | None:
        """The state as another machine finds it."""
        ran = launcher.run(root, "state", "pull", environment=self.environment)
        if ran.code and "no state" in ran.stderr:
            return None
        assert ran.code == 0, ran
        return State.load(ran.stdout.encode(), "the state")


def describe(root: Path, descriptions: Mapping[str, str]) -> None:
    job_configs = ((it, {**JOB, "config_desc": text}) for it, text in sorted(descriptions.items()))
    (root / "jobs/all.toml").write_text("".join(toml_of(*it) for it in job_configs))


def in_postgres(server: Server) -> Team:
    name = f'name = "log/{next(_numbers)}"'
    return Team(f'backend = "postgres"\naddress = "{server.address()}"\n{name}\n')


def in_s3(endpoint: str) -> Team:
    place = f'bucket = "{fake_s3.BUCKET}"\nregion = "{fake_s3.REGION}"\npath_style = true'
    state = f'backend = "s3"\nname = "log/{next(_numbers)}"\nendpoint = "{endpoint}"\n{place}\n'
    return Team(state, {**ENVIRONMENT, **PAIR})


@contextmanager
def opened(store: str, folder: Path) -> Iterator[Callable[[], Team]]:
    """Makes teams, each with a new log in ``store``; skips with the reason without its engine."""
    with ExitStack() as stack:
        if store == "postgres":
            server = stack.enter_context(running_server())
            yield lambda: in_postgres(server)
        elif store == "s3":
            # The one that is not ours where it is at hand.
            if VERSITYGW:
                endpoint = stack.enter_context(serving_versitygw(folder))
            else:
                endpoint = stack.enter_context(fake_s3.running()).url
            yield lambda: in_s3(endpoint)
        else:
            if git_servers.NO_GIT or not shutil.which("git"):
                pytest.skip(str(git_servers.NO_GIT))
            folder.mkdir(parents=True, exist_ok=True)
            yield lambda: Team(
                'backend = "git"\nremote = "origin"\nbranch = "majobctl-state"\n',
                remote=git_servers.bare(folder / f"{next(_numbers)}.git"),
            )
