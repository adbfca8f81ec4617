"""Ctrl-C once and twice, SIGTERM, on a terminal and off it, at chosen and at random moments."""

from __future__ import annotations

import contextlib
import os
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.config_repository import JOB, PATIENCE, Repository, finished, take_over, until
from tests.fake_service import FakeService, Reply
from tests.faults.conftest import Tally
from tests.faults.launcher import started
from tests.faults.observed import REST_IDS, claims_in, counted_codes, state_in
from tests.faults.service import body_of, contradictions, without_blanks

NAMES = [f"job-{number:02}" for number in range(12)]
APPLY = ("apply", "--auto-approve", "--parallelism", "3")


class Gate:
    """Lets a number of updates through and holds the others until it is opened."""

    def __init__(self, rest: FakeService, free: int) -> None:
        self._open = threading.Event()
        self._free = free
        self._lock = threading.Lock()
        self.waiting = 0
        rest.before_put = self

    def __call__(self, name: str) -> Reply | None:
        with self._lock:
            self._free -= 1
            is_free = self._free >= 0
            self.waiting += not is_free
        if not is_free:
            self._open.wait(3 * PATIENCE)
        return None

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gated(on_rest: Repository, rest: FakeService) -> Iterator[tuple[Repository, Gate]]:
    """A repository whose apply has done four updates and waits for the answers of three."""
    for name in NAMES:
        on_rest.job(name)
    gate = Gate(rest, 4)
    yield on_rest, gate
    gate.open()


def apply_started(repository: Repository, **streams: Any) -> subprocess.Popen[bytes]:
    environment = {**repository.environment, "TERM": "xterm"}
    options = {"start_new_session": True, "bufsize": 0, **streams}
    return started(repository.root, *APPLY, environment=environment, **options)


def said_until_stopping(process: subprocess.Popen[bytes]) -> str:
    """What was said on stderr up to the line that answers the first signal."""
    assert process.stderr is not None
    said = ""
    while "Stopping" not in said:
        line = process.stderr.readline().decode()
        assert line, said
        said += line
    return said


def check_nothing_is_lost(root: Path, rest: FakeService, said: str) -> int:
    """What the state says after an interrupt fits the service and what was told; returns how
    many outcomes it does not know."""
    state = state_in(root)
    entries = state.job_configs if state else {}
    held = {key: without_blanks(body) for key, body in rest.configs.items()}
    assert contradictions(state, held, **REST_IDS) == []
    for key in held:
        assert key in entries
    for key in (name for name, _ in claims_in(said)):
        assert body_of(entries[key].params, **REST_IDS) == held[key]
        assert not entries[key].pending
    return sum(entry.pending for entry in entries.values())


def check_converges(repository: Repository, rest: FakeService) -> None:
    rest.before_put = lambda name: None
    repository.apply()
    held = {name: without_blanks(rest.configs[name]) for name in NAMES}
    assert held == dict.fromkeys(NAMES, body_of(JOB, **REST_IDS))
    assert "No changes." in repository.done("plan").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_one_signal_waits_for_the_calls_under_way_and_saves(
    gated: tuple[Repository, Gate], rest: FakeService, number: signal.Signals
) -> None:
    repository, gate = gated
    process = apply_started(repository)
    until(lambda: gate.waiting == 3, "three calls")
    process.send_signal(number)
    said = said_until_stopping(process)
    assert process.poll() is None
    gate.open()
    ran = finished(process)
    said += ran.stderr
    assert ran.code == 130
    assert said.count("Stopping: waiting for the calls under way.") == 1
    assert len(claims_in(said)) == 7
    assert ran.last_line == ("Apply incomplete: 7 added, 5 not attempted. State serial 1.")
    assert check_nothing_is_lost(repository.root, rest, said) == 0
    assert len(repository.state["job_configs"]) == 7
    check_converges(repository, rest)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_second_signal_leaves_at_once_and_what_was_acknowledged_is_kept(
    gated: tuple[Repository, Gate], rest: FakeService, second: signal.Signals
) -> None:
    repository, gate = gated
    process = apply_started(repository)
    until(lambda: gate.waiting == 3, "three calls")
    process.send_signal(signal.SIGINT)
    said = said_until_stopping(process)
    process.send_signal(second)
    ran = finished(process)
    assert len(rest.configs) == 4  # it did not wait for the calls under way
    assert ran.code == 130
    said += ran.stderr
    # Three are under way, five were never begun; the last outcome may not have been kept yet.
    pending = check_nothing_is_lost(repository.root, rest, said)
    assert pending in (8, 9)
    assert len(claims_in(said)) in (3, 12 - pending)
    plan = repository.done("plan", "--format", "json").document
    assert plan["summary"]["resend"] == pending
    gate.open()
    until(lambda: len(rest.configs) == 7, "the last three calls")
    check_converges(repository, rest)


@contextmanager
def at_terminal(repository: Repository) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """An apply whose three streams are a terminal: the process, and both ends of it."""
    master, slave = pty.openpty()
    process = apply_started(
        repository, stdin=slave, stdout=slave, stderr=slave, preexec_fn=take_over
    )
    try:
        yield process, master, slave
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


def everything_shown(master: int) -> str:
    seen = ""
    while select.select([master], [], [], 0.1)[0]:
        seen += os.read(master, 65536).decode("utf-8", "replace")
    return seen


def shown_lines(seen: str) -> list[str]:
    """The lines as a terminal shows them: what follows a carriage return is in place of it."""
    return [line.rpartition("\r")[2].rstrip() for line in seen.replace("\r\n", "\n").split("\n")]


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_at_a_terminal_leaves_it_sane(
    gated: tuple[Repository, Gate], rest: FakeService, times: int
) -> None:
    repository, gate = gated
    with at_terminal(repository) as (process, master, slave):
        before = termios.tcgetattr(slave)
        until(lambda: gate.waiting == 3, "three calls")
        seen = everything_shown(master)
        while " 4/12 [" not in seen:  # the bar is drawn every tenth of a second
            seen += everything_shown(master)
        os.write(master, b"\x03")
        while "Stopping" not in seen:
            seen += everything_shown(master)
        if times == 2:
            os.write(master, b"\x03")
        else:
            gate.open()
        assert process.wait(PATIENCE) == 130
        seen += everything_shown(master)
        assert termios.tcgetattr(slave) == before
    said = "Stopping: waiting for the calls under way. Ctrl-C again exits at once."
    said_twice = "Exited at once. The next plan resends what is not known to be done."
    shown = shown_lines(seen)
    assert said in shown
    assert (said_twice in shown) is (times == 2)
    assert all(it.startswith("job_config.") for it in shown if ": added" in it)
    assert "Traceback" not in seen
    assert "\033[?" not in seen  # no mode of the terminal was changed
    pending = check_nothing_is_lost(repository.root, rest, "")
    assert pending in ((8, 9) if times == 2 else (0,))
    gate.open()
    until(lambda: len(rest.configs) == 7, "the last three calls")
    check_converges(repository, rest)


SHOTS = 24
SEED = 4711


def slow_applies(on_rest: Repository, rest: FakeService) -> Iterator[subprocess.Popen[bytes]]:
    """Applies of changes to all job configs, one after the other, each once it has the lock."""

    def be_slow(name: str) -> Reply | None:
        time.sleep(0.05)
        return None

    holder = on_rest.root / "majobctl.state.json.lock.holder"
    for shot in range(SHOTS):
        for name in NAMES:
            on_rest.job(name, config_desc=f"shot {shot}")
        rest.before_put = be_slow
        holder.unlink(missing_ok=True)  # of a process that has ended
        process = apply_started(on_rest)
        until(holder.exists, "the lock")
        yield process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_while_the_state_is_locked_loses_nothing_and_shows_no_traceback(
    on_rest: Repository, rest: FakeService, number: signal.Signals, tally: Tally
) -> None:
    dice = random.Random(SEED + number)
    codes: Counter[int] = Counter()
    for process in slow_applies(on_rest, rest):
        time.sleep(dice.uniform(0, 0.35))
        process.send_signal(number)
        ran = finished(process)
        codes[ran.code] += 1
        # Python's own end, once all is told, is not the command's any more.
        assert ran.code in (0, 130) or (ran.code == -number and "\nApply " in ran.stdout), ran
        check_nothing_is_lost(on_rest.root, rest, ran.stderr)
    for name in NAMES:
        on_rest.job(name)
    check_converges(on_rest, rest)
    figures = f"{SHOTS} signals: {counted_codes(codes)}"
    tally(f"interrupts, {number.name} at random moments", figures)
    assert codes[130] > SHOTS / 3


def test_ctrl_c_twice_always_ends_with_130_and_loses_nothing(
    on_rest: Repository, rest: FakeService, tally: Tally
) -> None:
    dice = random.Random(SEED)
    codes: Counter[int] = Counter()
    for process in slow_applies(on_rest, rest):
        time.sleep(dice.uniform(0, 0.3))
        process.send_signal(signal.SIGINT)
        time.sleep(dice.choice([0, dice.uniform(0, 0.01), dice.uniform(0, 0.1)]))
        process.send_signal(signal.SIGINT)
        ran = finished(process)
        codes[ran.code] += 1
        assert ran.code == 130 or (ran.code == 0 and "\nApply complete" in ran.stdout), ran
        check_nothing_is_lost(on_rest.root, rest, ran.stderr)
    for name in NAMES:
        on_rest.job(name)
    check_converges(on_rest, rest)
    tally("interrupts, Ctrl-C twice", f"{SHOTS} runs: {counted_codes(codes)}")
    assert codes[130] > SHOTS / 3


READY = "from majobctl.__main__ import run; print('ready', flush=True); run()"


def test_signals_while_the_command_is_loaded_or_ends_show_no_traceback(
    on_emulator: Repository,
) -> None:
    """Before that, Python's own start is interrupted, which nothing of ours can change."""
    dice = random.Random(SEED)
    codes: Counter[int] = Counter()
    start = time.monotonic()
    on_emulator.process("plan")
    length = time.monotonic() - start
    for _ in range(SHOTS):
        process = subprocess.Popen(
            [sys.executable, "-c", READY, "plan"],
            cwd=on_emulator.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.002 + dice.uniform(0, 0.7 * length))
        for pause in (0.0, dice.uniform(0, 0.05)):
            time.sleep(pause)
            process.send_signal(signal.SIGINT)
        ran = finished(process)
        codes[ran.code] += 1
        assert ran.code == 130 or (ran.code == 0 and "Plan: " in ran.stdout), ran
    assert codes[130] > SHOTS / 3


LONG_CALL = """
import hashlib, pathlib
pathlib.Path("loading").touch()
hashlib.pbkdf2_hmac("sha256", b"x", b"x", 10**9)
"""


def test_a_second_ctrl_c_ends_a_call_of_c_that_knows_no_signals(on_emulator: Repository) -> None:
    """As the look-up of a host is one. Here it is a library that takes an hour to load."""
    on_emulator.write("stand-in/filelock.py", LONG_CALL)
    on_emulator.environment["PYTHONPATH"] = str(on_emulator.root / "stand-in")
    process = on_emulator.start("state", "check")
    until((on_emulator.root / "loading").exists, "the long call")
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130


def test_a_second_ctrl_c_ends_an_apply_whose_messages_nobody_reads(
    gated: tuple[Repository, Gate], rest: FakeService
) -> None:
    repository, gate = gated
    read, write = os.pipe()
    process = apply_started(repository, stdout=subprocess.DEVNULL, stderr=write)
    until(lambda: gate.waiting == 3, "three calls")
    os.set_blocking(write, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write, b"x" * 4096)  # nothing more fits into the pipe
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 130
    os.close(read)
    os.close(write)
    check_nothing_is_lost(repository.root, rest, "")


def test_output_that_nobody_reads_loses_nothing(on_rest: Repository, rest: FakeService) -> None:
    for name in NAMES:
        on_rest.job(name)
    read, write = os.pipe()
    os.close(read)
    process = apply_started(on_rest, stderr=write)
    os.close(write)
    out, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 1)
    assert b"Traceback" not in out
    check_nothing_is_lost(on_rest.root, rest, "")
    check_converges(on_rest, rest)


def test_output_to_a_full_disk_loses_nothing(on_rest: Repository, rest: FakeService) -> None:
    for name in NAMES:
        on_rest.job(name)
    with open("/dev/full", "wb") as full:
        process = apply_started(on_rest, stderr=full)
        process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 1)
    check_nothing_is_lost(on_rest.root, rest, "")
    check_converges(on_rest, rest)
