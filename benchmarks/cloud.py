"""The emulator, served in a process of its own, for the works that send calls."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_SECONDS = 10


@contextmanager
def serving(
    majobctl: tuple[str, ...], seed: Path, latency_ms: int, environment: Mapping[str, str]
) -> Iterator[str]:
    """The address of an emulator that starts with ``seed`` and waits before each answer."""
    command = [*majobctl, "emulator", "serve", "--seed", str(seed), "--latency-ms", str(latency_ms)]
    with subprocess.Popen(
        command, env=environment, cwd=seed.parent, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            if not words:
                sys.exit("the emulator did not start")
            yield words[-1]
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
