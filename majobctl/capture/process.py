"""The process that a script runs in: without credentials, at home nowhere, not for ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_START = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from majobctl.capture.script import main; del sys.path[0]; main()"
)
_PACKAGES = Path(__file__).parents[2]
_MOST_BYTES = 2**27
_LAST_WORDS = 1.0
"""How long a process that outlives the script may hold the script's output."""

_PASSED = ("LANG", "LANGUAGE", "PATH", "TEMP", "TERM", "TMP", "TMPDIR", "TZ")
_PASSED_ON_WINDOWS = ("COMSPEC", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "WINDIR")
_HOMES = ("HOME", "USERPROFILE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a script did. ``code`` is its process's exit code; None: it was stopped in time."""

    records: Sequence[Mapping[str, Any]]
    code: int | None


def environment(passed: Mapping[str, str], home: Path) -> dict[str, str]:
    """A list of what may pass, and ``passed``: nobody knows the names of all credentials."""
    names = (*_PASSED, *_PASSED_ON_WINDOWS)
    kept = {key: text for key, text in os.environ.items() if key in names or key[:3] == "LC_"}
    return {**kept, **passed, **dict.fromkeys(_HOMES, str(home))}


def run(
    script: Path,
    arguments: Sequence[str],
    *,
    folder: Path,
    passed: Mapping[str, str],
    timeout: float,
) -> Ended:
    """Runs ``script``, whose output goes to stderr, for at most ``timeout`` seconds, and ends
    its process group. Raises OSError if Python does not start."""
    records, home = folder / "records", folder / "home"
    home.mkdir()
    records.touch()
    process = subprocess.Popen(
        [sys.executable, "-I", "-u", "-c", _START, _PACKAGES, records, script, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(passed, home),
        start_new_session=True,
    )
    code, is_over = None, threading.Event()
    reader = threading.Thread(target=_pass_on, args=(process, is_over), daemon=True)
    reader.start()
    try:
        with suppress(subprocess.TimeoutExpired):
            code = process.wait(timeout)
    finally:
        _end(process)
        reader.join(_LAST_WORDS)
        is_over.set()
    with open(records, "rb") as file:
        lines = file.read(_MOST_BYTES).splitlines()
    return Ended(records=[*filter(None, map(_record, lines))], code=code)


def _pass_on(process: subprocess.Popen[bytes], is_over: threading.Event) -> None:
    """Writes to stderr what the script and its children write, until it is over: a child that
    outlives it must hold no descriptor of ours."""
    assert process.stdout
    with process.stdout as output:
        while (text := os.read(output.fileno(), 2**16)) and not is_over.is_set():
            with suppress(OSError):
                while text:
                    text = text[os.write(2, text) :]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kills the process and those of its group."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _record(line: bytes) -> Mapping[str, Any] | None:
    """None for a line that the process could not complete."""
    with suppress(ValueError, RecursionError):
        record = json.loads(line)
        return record if isinstance(record, dict) else None
    return None
