"""Started without stdin, stdout or stderr: no message goes where a file has taken their place."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config_repository import PATIENCE, Repository, until
from tests.fake_service import FakeService
from tests.faults.launcher import plain_environment
from tests.faults.observed import state_in
from tests.faults.test_interrupts import APPLY, NAMES, Gate, check_converges, check_nothing_is_lost

CLOSED = [item for size in (1, 2, 3) for item in itertools.combinations(range(3), size)]
START = """
import os, sys
for number in map(int, sys.argv[1].split()):
    os.close(number)
os.execv(sys.executable, [sys.executable, "-m", "majobctl", *sys.argv[2:]])
"""


def start_without(closed: tuple[int, ...], root: Path, *arguments: str) -> subprocess.Popen[bytes]:
    numbers = " ".join(map(str, closed))
    return subprocess.Popen(
        [sys.executable, "-c", START, numbers, *arguments],
        cwd=root,
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("closed", CLOSED, ids=str)
def test_an_apply_that_is_stopped_keeps_what_it_did(
    closed: tuple[int, ...], number: int, on_rest: Repository, rest: FakeService
) -> None:
    for name in NAMES:
        on_rest.job(name)
    gate = Gate(rest, 4)
    for variable, value in on_rest.environment.items():
        on_rest.monkeypatch.setenv(variable, value)
    process = start_without(closed, on_rest.root, *APPLY)
    until(lambda: gate.waiting == 3 or process.poll() is not None, "the calls under way")
    process.send_signal(number)
    gate.open()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert (b"Stopping" in err) is (2 not in closed)
    assert (b"Apply incomplete" in out) is (1 not in closed)
    state = state_in(on_rest.root)
    assert state is not None
    assert len(state.job_configs) >= 4
    assert check_nothing_is_lost(on_rest.root, rest, err.decode()) == 0
    check_converges(on_rest, rest)


@pytest.mark.parametrize("closed", CLOSED, ids=str)
@pytest.mark.parametrize("command", [["validate"], ["plan"], ["state", "list"], ["plan", "--bad"]])
def test_every_command_ends_as_it_would(
    command: list[str], closed: tuple[int, ...], on_rest: Repository
) -> None:
    on_rest.job("alpha")
    on_rest.write("majobctl.state.json", "")
    expected = on_rest.process(*command).code
    process = start_without(closed, on_rest.root, *command)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == expected
    assert b"Traceback" not in err
    assert on_rest.state_path.read_bytes() == b""
