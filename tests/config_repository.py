"""A config repository in a temporary folder, and the command run in it: in this process, in a
process of its own, or at a terminal."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from majobctl.cli import main

COMMAND = [sys.executable, "-W", "error", "-m", "majobctl"]
PATIENCE = 30.0

JOB = {
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "code_dir": "/ml/src/",
    "boot_file": "/ml/src/train.py",
    "inputs": "/ml/data/",
    "output_path": "/ml/output/",
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
}
"""A job config that the emulator and the REST server know all names of."""

BODY = {
    "engine_id": 31,
    "app_url": "/ml/src/",
    "boot_file_url": "/ml/src/train.py",
    "data_url": "/ml/data/",
    "train_url": "/ml/output/",
    "spec_id": 70,
    "worker_server_num": 1,
}
"""The body that tests.fake_service gets for JOB."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    def __post_init__(self) -> None:
        for text in (self.stdout, self.stderr):
            assert "Traceback" not in text, text
            assert "Exception ignored" not in text, text
            assert "this is a defect" not in text, text

    @property
    def document(self) -> Any:
        """stdout, which is one JSON document and nothing else."""
        assert self.stdout.endswith("\n")
        return json.loads(self.stdout)

    @property
    def last_line(self) -> str:
        return self.stdout.splitlines()[-1]


def toml_of(name: str, params: Mapping[str, Any]) -> str:
    lines = [f"[job_config.{name}]"]
    lines += [f"{key} = {_toml_value(value)}" for key, value in params.items()]
    return "\n".join(lines) + "\n"


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {_toml_value(item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml_value, value))}]"
    return json.dumps(value)


@dataclass
class Repository:
    """A config repository at ``root``, and the command in it."""

    root: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    environment: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def settings(self, text: str) -> None:
        self.write("majobctl.toml", text)

    def job(self, name: str, **params: Any) -> None:
        """A job file of one job config: JOB, with these params laid over it (None: left out)."""
        merged = {key: value for key, value in {**JOB, **params}.items() if value is not None}
        self.write(f"jobs/{name}.toml", toml_of(name, merged))

    def cloud(self, *names: str) -> None:
        """Settings for the emulator, whose cloud begins with these configurations."""
        self.write("cloud.toml", "\n".join(toml_of(name, JOB) for name in names))
        self.settings('[provider]\nkind = "emulator"\nseed = "cloud.toml"\n')

    def remove(self, name: str) -> None:
        (self.root / "jobs" / f"{name}.toml").unlink()

    @property
    def state_path(self) -> Path:
        return self.root / "majobctl.state.json"

    @property
    def state(self) -> Any:
        return json.loads(self.state_path.read_bytes())

    def run(self, *arguments: str, code: int | None = None) -> Ran:
        """The command in this process, with a stdin that is not a terminal; it must end with
        ``code``, if that is given."""
        self.monkeypatch.chdir(self.root)
        for name, value in self.environment.items():
            self.monkeypatch.setenv(name, value)
        self.capsys.readouterr()
        ended = main(list(arguments))
        said = self.capsys.readouterr()
        return ended_with(code, Ran(ended, said.out, said.err))

    def done(self, *arguments: str) -> Ran:
        """The command in this process, which must end with 0."""
        return self.run(*arguments, code=0)

    def apply(self, *arguments: str) -> Ran:
        return self.done("apply", "--auto-approve", *arguments)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """The command in a process of its own; to be ended by ``finished``."""
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = {**os.environ, **self.environment}
        return subprocess.Popen(
            [*COMMAND, *arguments],
            **{"cwd": self.root, "env": environment, **pipes, **options},
        )

    def process(self, *arguments: str, stdin: bytes = b"", code: int | None = None) -> Ran:
        """The command in a process of its own, run to its end, which must be ``code``, if given."""
        return ended_with(code, finished(self.start(*arguments, stdin=subprocess.PIPE), stdin))


def ended_with(code: int | None, ran: Ran) -> Ran:
    assert code in (None, ran.code), ran
    return ran


def finished(
    process: subprocess.Popen[bytes], stdin: bytes | None = None, encoding: str = "utf-8"
) -> Ran:
    """How a process ended; one that does not end is killed."""
    try:
        out, err = process.communicate(stdin, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ran(process.returncode, (out or b"").decode(encoding), (err or b"").decode(encoding))


def until(is_so: Any, what: str) -> None:
    """Waits for a moment that another process or thread brings."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(0.005)


class Terminal:
    """A command at a terminal of its own; ``seen`` is what it showed so far."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self.seen = ""
        self._master = master

    def expect(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"no {text!r} in {self.seen!r}"
            assert self._read(), f"it ended without {text!r}: {self.seen!r}"

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def finish(self) -> tuple[int, str]:
        """The exit code, and all that was shown, without colours and carriage returns."""
        end = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < end, f"it does not end: {self.seen!r}"
        code = self.process.wait(PATIENCE)
        assert "Traceback" not in self.seen, self.seen
        return code, self.seen

    @property
    def plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.seen).replace("\r\n", "\n")

    def _read(self) -> bool:
        ready, _, _ = select.select([self._master], [], [], 1.0)
        if not ready:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.seen += data.decode("utf-8", "replace")
        return bool(data)


def take_over() -> None:
    """Makes the terminal the controlling one, so that Ctrl-C typed there is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def terminal(repository: Repository, *arguments: str, **environment: str) -> Iterator[Terminal]:
    """Runs the command with all three streams at a terminal, 100 columns wide."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=repository.root,
        env={
            **os.environ,
            "TERM": "xterm",
            "COLUMNS": "100",
            **repository.environment,
            **environment,
        },
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=take_over,
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(master)
