"""What is measured, on what, and the targets: a comparison, and the workshop that makes what it
needs."""

from __future__ import annotations

import enum
import itertools
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cloud import serving
from benchmarks.measure import Command
from benchmarks.programs import Programs
from benchmarks.repositories import (
    OFFLINE,
    write_policies,
    write_repository,
    write_seed,
    write_settings,
)

LATENCY_MS = 50
PARALLELISM = 10
HERE = Path(__file__).resolve().parent
STATE = "majobctl.state.json"


class Measure(enum.Enum):
    """What of two costs is compared; of SPEED more is better, and it is the baseline's share. CPU
    is TIME for what waits for nothing, whatever else the machine does."""

    TIME = "time"
    CPU = "cpu"
    MEMORY = "memory"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of a ratio."""

    measure: Measure
    bound: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """``measured`` against ``baseline``: another command, or the seconds of the ideal."""

    work: str
    against: str
    measured: Command
    baseline: Command | float
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many job configs a small, a middle and a large repository have."""

    small: int
    middle: int
    large: int


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes comparisons: repositories stay in ``scratch``, emulators end with ``stack``."""

    programs: Programs
    sizes: Sizes
    scratch: Path
    environment: Mapping[str, str]
    stack: ExitStack

    def majobctl(self, root: Path, *arguments: str) -> tuple[str, ...]:
        return (*self.programs.majobctl, "-C", str(root), *arguments)

    def plan(self, count: int, *, is_changed: bool = False) -> Command:
        """A plan of ``count`` job configs that equal their state, or all differ from it."""
        root = self.repository(count, is_changed=is_changed)
        return Command(self.majobctl(root, "plan"), expected(count, is_changed=is_changed))

    def repository(self, count: int, *, is_changed: bool = False) -> Path:
        root = self.scratch / f"{count}-{'changed' if is_changed else 'unchanged'}"
        if not root.exists():
            write_repository(root, count, OFFLINE)
            self.write_state(root, root / STATE, is_changed=is_changed)
        return root

    def repository_of_causes(self, count: int) -> Path:
        """One whose state is that before an edit of one line of ``[defaults]``."""
        root = self.scratch / f"{count}-causes"
        if not root.exists():
            write_repository(root, count, OFFLINE)
            self.write_state(root, root / STATE, is_changed=False)
            write_settings(root, OFFLINE, log_url="/ml-bucket/other-log/")
        return root

    def repository_under(self, count: int, policies: int) -> Path:
        """One without a state whose job configs meet so many policies."""
        root = self.scratch / f"{count}-policies"
        if not root.exists():
            write_repository(root, count, OFFLINE)
            write_policies(root, policies)
        return root

    def write_state(self, root: Path, file: Path, *, is_changed: bool) -> None:
        options = ["--changed"] if is_changed else []
        command = [self.programs.python, str(HERE / "states.py"), str(root), str(file), *options]
        subprocess.run(command, env=self.environment, check=True)

    def served_repository(self, count: int, url: str) -> Path:
        """A repository, without a state, whose provider is the emulator at ``url``."""
        root = self.scratch / f"{count}-served"
        shutil.rmtree(root, ignore_errors=True)
        write_repository(root, count, {"endpoint": url, "project_id": "emulator"})
        return root

    def emulator(self, count: int, latency_ms: int) -> str:
        """The address of an emulator that has ``count`` configurations."""
        seed = self.scratch / f"{count}-seed.toml"
        if not seed.exists():
            write_seed(seed, count)
        served = serving(self.programs.majobctl, seed, latency_ms, self.environment)
        return self.stack.enter_context(served)

    def apply(self, count: int, url: str) -> Command:
        """A blind apply that updates all of ``count``; before each run the state is what it was."""
        root = self.served_repository(count, url)
        before, state = root / "before.json", root / STATE
        self.write_state(root, before, is_changed=True)
        return self._update_of_all(
            root, count, "--refresh=none", lambda: shutil.copyfile(before, state)
        )

    def guarded_apply(self, count: int, url: str) -> Command:
        """An apply that reads, then updates, all of ``count``; each run has another log_url."""
        root = self.served_repository(count, url)
        self.write_state(root, root / STATE, is_changed=False)
        runs = itertools.count()

        def edit() -> None:
            provider = {"endpoint": url, "project_id": "emulator"}
            write_settings(root, provider, log_url=f"/ml-bucket/log-{next(runs)}/")

        return self._update_of_all(root, count, "--refresh=changed", edit)

    def _update_of_all(
        self, root: Path, count: int, refresh: str, prepare: Callable[[], object]
    ) -> Command:
        arguments = ("apply", "--auto-approve", refresh, "--parallelism", str(PARALLELISM))
        expected = f"Apply complete: {count} updated."
        return Command(self.majobctl(root, *arguments), expected, prepare)


def expected(count: int, *, is_changed: bool) -> str:
    if is_changed:
        return f"Plan: {count} to update."
    return f"No changes. {count} job configs match the state."
