"""Runs commands and takes their cost: two by turns, so that what else the machine does meets both.

What the commands are, and what their costs should be, is not known here.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.environment import ROOT

_CLOCK = Path(__file__).resolve().parent / "clock.py"


@dataclass(frozen=True, slots=True)
class Command:
    """A command to measure. ``expects`` must appear in what it prints; ``prepare`` is called before
    each run and not measured."""

    arguments: tuple[str, ...]
    expects: str
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process cost: wall time and user + system time in seconds, peak memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each part by itself."""
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.cpu_seconds for cost in costs),
        round(statistics.median(cost.peak_bytes for cost in costs)),
    )


class Measurer:
    """Runs commands in an environment without settings or credentials of whoever measures."""

    def __init__(self, scratch: Path) -> None:
        home = scratch / "home"
        home.mkdir()
        self._stdout, self._stderr = scratch / "stdout", scratch / "stderr"
        self.environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PATH": os.defpath,
            # The emulator's keys are no secrets.
            "OS_ACCESS_KEY": "emulator",
            "OS_SECRET_KEY": "emulator",
        }

    def by_turns(self, commands: Sequence[Command], runs: int) -> list[list[Cost]]:
        """The costs of each command in ``runs`` runs: A B A B ..., after one run that warms up."""
        for command in commands:
            self.run(command)
        rounds = [[self.run(command) for command in commands] for _ in range(runs)]
        return [list(costs) for costs in zip(*rounds, strict=True)]

    def run(self, command: Command) -> Cost:
        """The cost of one run. Ends the process if the command does not do what it should."""
        command.prepare()
        files = (_CLOCK, self._stdout, self._stderr)
        clock = (sys.executable, "-I", "-S", *map(str, files))
        answer = subprocess.run(
            [*clock, *command.arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        code, seconds, cpu_seconds, peak_bytes = answer.stdout.split()
        self._check(command, int(code))
        return Cost(float(seconds), float(cpu_seconds), int(peak_bytes))

    def _check(self, command: Command, code: int) -> None:
        printed = "".join(file.read_text(encoding="utf-8") for file in (self._stdout, self._stderr))
        if code != 0 or command.expects not in printed:
            sys.exit(
                f"{' '.join(command.arguments)}: exit code {code}, {command.expects!r} expected;"
                f" the end of what it printed:\n{printed[-2000:]}"
            )
