"""Starts commands in processes of their own: plainly, or with faults in their file system."""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.config_repository import PATIENCE, Ran

T = TypeVar("T")
FAULTY = Path(__file__).with_name("faulty.py")


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in the file system; the fields are those of ``faulty.Watch``."""

    at: int
    how: str = "error"
    errno: int = 0
    lasting: bool = False
    kinds: tuple[str, ...] = ()


NO_FAULT = Fault(0)


@dataclass(frozen=True, slots=True)
class Watched(Ran):
    """How a command ended, and the file-system calls it made, such as ``("fsync", "a.json")``."""

    calls: tuple[tuple[str, str], ...] = ()


def plain_environment(**more: str) -> dict[str, str]:
    """The environment of a process that is not measured."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("COV")}
    return {**kept, **more}


def started(
    root: Path, *arguments: str, environment: Mapping[str, str], **options: Any
) -> subprocess.Popen[bytes]:
    """The command in ``root``, in a process of its own that is not measured."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-m", "majobctl", *arguments],
        **{"cwd": root, "env": plain_environment(**environment), **pipes, **options},
    )


class Launcher:
    """Runs one command at a time in a fork of ``faulty.py``; its notes are kept in ``folder``."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self._numbers = itertools.count()

    def run(
        self,
        root: Path,
        *arguments: str,
        environment: Mapping[str, str],
        fault: Fault = NO_FAULT,
        watched: Path | None = None,
    ) -> Watched:
        """The command in ``root``, the calls below ``watched`` (all of ``root``) being watched."""
        files = {name: str(self._folder / name) for name in ("stdout", "stderr", "log")}
        request: dict[str, Any] = {
            "folder": str(root),
            "watched": str(watched or root),
            "arguments": arguments,
            "environment": plain_environment(**environment),
            "fault": {name: getattr(fault, name) for name in Fault.__slots__},
            **files,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        code = self._answer()
        stdout, stderr, log = (Path(file).read_text(errors="replace") for file in files.values())
        calls = (line.partition(" ") for line in log.splitlines())
        return Watched(code, stdout, stderr, tuple((kind, name) for kind, _, name in calls))

    def _answer(self) -> int:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert ready, "the command did not end"
        return int(self._process.stdout.readline())


@contextmanager
def launching(folder: Path) -> Iterator[Launcher]:
    """A launcher that keeps its notes in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", str(FAULTY)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=plain_environment(PYTHONPATH=os.pathsep.join(map(str, [_ROOT]))),
    )
    with process:
        try:
            yield Launcher(process, folder)
        finally:
            process.kill()


_ROOT = Path(__file__).resolve().parent.parent.parent


def side_by_side(
    run: Callable[[Path, int, int], T], folder: Path, seeds: Sequence[int], total: int
) -> list[T]:
    """What ``run`` gives for each seed, with a folder of its own and its share of ``total``."""
    with ThreadPoolExecutor(len(seeds)) as pool:
        share = total // len(seeds)
        runs = [pool.submit(run, folder / str(seed), seed, share) for seed in seeds]
        return [run.result() for run in runs]
