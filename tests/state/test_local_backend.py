"""What every backend keeps, run through the local one; then what is the local one's alone."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import Backend, Holder
from majobctl.state.backends.local import LocalBackend
from majobctl.state.backends.local_journal import LocalJournalFile

NAME = "majobctl.state.json"
WHO = {"user": "ada", "host": "elsewhere", "command": "majobctl apply"}
FOREIGN = Holder(id="abc", pid=7, since="2026-11-23T12:00:00Z", **WHO)

HOLD = """
import sys
from pathlib import Path
from majobctl.state.backends.local import LocalBackend
from majobctl.errors import LockedError
path, timeout = sys.argv[1:]
try:
    with LocalBackend(Path(path), "the state").lock("holding", float(timeout)):
        print("held", flush=True)
        sys.stdin.readline()
except LockedError as error:
    print("refused", error, flush=True)
"""

ENDS_BEFORE_A_RENAME = """
import os, sys
from pathlib import Path
from majobctl.state.backends.local import LocalBackend
from majobctl.state.backends.local_journal import LocalJournalFile
backend = LocalBackend(Path(sys.argv[1]), "the state")
with backend.lock("test", 0):
    os.replace = lambda *paths: os._exit(9)
    backend.write(b"2")
"""

CLIMB = """
import sys, time
from pathlib import Path
from majobctl.state.backends.local import LocalBackend
from majobctl.errors import LockedError
path, inside = sys.argv[1:]
while sys.stdin.readline():
    try:
        with LocalBackend(Path(path), "the state").lock("fighting", 0):
            Path(inside).touch(exist_ok=False)
            print("won", flush=True)
            sys.stdin.readline()
            Path(inside).unlink()
        print("left", flush=True)
    except LockedError as error:
        print("lost", flush=True)
        sys.stdin.readline()
        print("left", flush=True)
"""


class Script:
    """A process that runs a text of Python and is spoken to line by line."""

    def __init__(self, text: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", text, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> int:
        """Closes its stdin and waits for it; the pipes are closed however that goes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if not self.process.stdout.closed:
            with self.process.stdout:
                self.process.stdout.read()
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "folder" / NAME


@pytest.fixture
def backend(path: Path) -> Backend:
    return LocalBackend(path, NAME)


@pytest.fixture
def holding(path: Path) -> Iterator[Script]:
    """A process that holds the lock."""
    script = Script(HOLD, path, 0)
    assert script.line() == "held"
    yield script
    script.kill()


class TestEveryBackend:
    def test_nothing_is_there_at_first(self, backend: Backend) -> None:
        assert backend.read() is None
        assert backend.read_journal() is None

    def test_what_is_written_is_read(self, backend: Backend, path: Path) -> None:
        for content in (b"one", b"", b"\x00\xff" * 100_000, b"two"):
            backend.write(content)
            assert backend.read() == content
        assert LocalBackend(path, NAME).read() == b"two"

    def test_a_journal_is_read_as_it_grows(self, backend: Backend) -> None:
        journal = backend.open_journal()
        assert backend.read_journal() == b""
        journal.write(b"one\n")
        assert backend.read_journal() == b"one\n"
        journal.write(b"two\n")
        journal.close()
        assert backend.read_journal() == b"one\ntwo\n"
        assert backend.read() is None

    def test_a_new_journal_is_empty_and_a_removed_one_is_gone(self, backend: Backend) -> None:
        for _ in range(2):
            journal = backend.open_journal()
            assert backend.read_journal() == b""
            journal.write(b"one\n")
            journal.close()
        backend.remove_journal()
        assert backend.read_journal() is None
        backend.remove_journal()

    def test_messages_have_names_for_both(self, backend: Backend) -> None:
        assert backend.name == NAME
        assert backend.name in backend.journal_name
        assert backend.journal_name != backend.name

    def test_a_lock_names_its_holder(self, backend: Backend) -> None:
        with backend.lock("majobctl apply --x", 0) as holder:
            assert (holder.pid, holder.command) == (os.getpid(), "majobctl apply --x")
            assert holder.host == socket.gethostname()
            assert str(holder) == (
                f"{holder.user}@{holder.host}, process {os.getpid()}, `majobctl apply --x`,"
                f" since {holder.since}"
            )

    def test_a_lock_that_is_held_shows_who_holds_it(
        self, backend: Backend, holding: Script
    ) -> None:
        with pytest.raises(LockedError) as raised, backend.lock("x", 0):
            raise AssertionError("never given")
        message = str(raised.value)
        assert raised.value.exit_code == 4
        assert message.startswith(f"{NAME} is locked by ")
        assert f"@{socket.gethostname()}, process {holding.process.pid}, `holding`" in message
        assert "--lock-timeout" in message

    def test_a_lock_is_free_again_after_use_and_after_a_failure(self, backend: Backend) -> None:
        for _ in range(2):
            with pytest.raises(KeyError), backend.lock("x", 0):
                raise KeyError
        with backend.lock("x", 0):
            pass

    def test_of_two_processes_exactly_one_works(self, path: Path, tmp_path: Path) -> None:
        inside = tmp_path / "inside"
        both = [Script(CLIMB, path, inside) for _ in range(2)]
        for number in range(20):
            for script in both[:: 1 if number % 2 else -1]:
                script.go_on()
            assert sorted(script.line() for script in both) == ["lost", "won"]
            for script in both:
                script.go_on()
            assert [script.line() for script in both] == ["left", "left"]
        assert [script.end() for script in both] == [0, 0]

    def test_a_killed_holder_does_not_block(self, backend: Backend, holding: Script) -> None:
        holding.kill()
        with backend.lock("x", 0) as holder:
            assert holder.pid == os.getpid()

    def test_a_timeout_waits_for_the_holder(self, backend: Backend, holding: Script) -> None:
        released = threading.Event()

        def release() -> None:
            released.set()
            holding.go_on()

        timer = threading.Timer(0.4, release)
        timer.start()
        with backend.lock("x", 20):
            assert released.is_set()
        timer.join()

    def test_a_timeout_ends(self, backend: Backend, holding: Script) -> None:
        with pytest.raises(LockedError), backend.lock("x", 0.3):
            raise AssertionError("never given")
        assert holding.process.poll() is None

    def test_the_lock_of_a_living_process_is_not_freed(
        self, backend: Backend, holding: Script
    ) -> None:
        with pytest.raises(LockedError) as locked, backend.lock("x", 0):
            raise AssertionError("never given")
        assert "unlock" not in str(locked.value)
        with pytest.raises(StateError) as raised:
            backend.unlock("someone-else")
        holder_id = str(raised.value).split("has the ID ")[1].split(":")[0]
        with pytest.raises(LockedError, match="is locked by"):
            backend.unlock(holder_id)

    def test_what_is_not_locked_is_not_freed(self, backend: Backend) -> None:
        with pytest.raises(StateError, match=f"{NAME} is not locked"):
            backend.unlock("abc")


def holder_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock.holder")


def put_holder(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    holder_path(path).write_text(content)


class TestLocal:
    @pytest.fixture
    def local(self, path: Path) -> LocalBackend:
        return LocalBackend(path, NAME)

    def test_the_write_before_is_the_backup(self, local: LocalBackend, path: Path) -> None:
        local.write(b"one")
        backup = path.with_name(NAME + ".backup")
        assert not backup.exists()
        local.write(b"two")
        assert (path.read_bytes(), backup.read_bytes()) == (b"two", b"one")
        local.write(b"three")
        assert backup.read_bytes() == b"two"

    def test_only_the_owner_may_read_the_files(self, local: LocalBackend, path: Path) -> None:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"zero")
        path.chmod(0o644)
        with local.lock("x"):
            local.write(b"one")
            journal = local.open_journal()
            journal.close()
            modes = {item.name: stat.S_IMODE(item.stat().st_mode) for item in path.parent.iterdir()}
        assert set(modes.values()) == {0o600}
        assert len(modes) >= 5

    @pytest.mark.parametrize("name", ["state.json", "s" * 125 + ".json"])
    def test_what_a_killed_process_left_is_removed(self, name: str, tmp_path: Path) -> None:
        path = tmp_path / name
        local = LocalBackend(path, name)
        with local.lock("test", 0):
            local.write(b"1")
        ended = subprocess.run([sys.executable, "-c", ENDS_BEFORE_A_RENAME, path], timeout=30)
        assert ended.returncode == 9
        known = {name + suffix for suffix in ("", ".backup", ".lock", ".lock.holder")}
        assert len({item.name for item in tmp_path.iterdir()} - known) == 1
        with local.lock("test", 0):
            local.write(b"3")
        assert {item.name for item in tmp_path.iterdir()} <= known

    @pytest.mark.parametrize("state", ["env", "state.json", "s" * 125 + ".json"])
    def test_what_majobctl_did_not_make_is_not_removed(self, state: str, tmp_path: Path) -> None:
        own = {state + suffix for suffix in ("", ".backup", ".lock")}
        suffixes = ("producti", "majobctl", "a1b2c3d4.tmp", "majobctl-notes.txt", "backup.producti")
        others = {f".{state[-100:]}.{suffix}" for suffix in suffixes}
        for name in others:
            (tmp_path / name).write_text("mine")
        local = LocalBackend(tmp_path / state, state)
        with local.lock("x"):
            local.write(b"one")
            local.write(b"two")
        assert {item.name for item in tmp_path.iterdir()} == own | others
        assert all((tmp_path / name).read_text() == "mine" for name in others)

    def test_nothing_is_left_beside_the_files(self, local: LocalBackend, path: Path) -> None:
        with local.lock("x"):
            local.write(b"one")
            local.write(b"two")
        left = {item.name for item in path.parent.iterdir()}
        assert left <= {NAME, NAME + ".backup", NAME + ".lock"}

    def test_a_symbolic_link_is_followed(self, path: Path, tmp_path: Path) -> None:
        target = tmp_path / "elsewhere" / "real.json"
        target.parent.mkdir()
        path.parent.mkdir(parents=True)
        path.symlink_to(target)
        local = LocalBackend(path, NAME)
        local.write(b"one")
        local.write(b"two")
        assert path.is_symlink()
        assert target.read_bytes() == b"two"
        assert target.with_name("real.json.backup").read_bytes() == b"one"
        with local.lock("x"), pytest.raises(LockedError), LocalBackend(target, NAME).lock("y"):
            raise AssertionError("never given")

    def test_a_write_that_fails_changes_nothing(self, local: LocalBackend, path: Path) -> None:
        local.write(b"one")
        path.with_name(NAME + ".backup").mkdir()
        with pytest.raises(OSError):
            local.write(b"two")
        assert local.read() == b"one"
        assert {item.name for item in path.parent.iterdir()} == {NAME, NAME + ".backup"}

    def test_a_folder_in_place_of_a_file_is_shown(self, local: LocalBackend, path: Path) -> None:
        path.mkdir(parents=True)
        with pytest.raises(StateError, match=f"{NAME} cannot be read: Is a directory"):
            local.read()
        path.with_name(NAME + ".journal").mkdir()
        with pytest.raises(StateError, match="journal cannot be read"):
            local.read_journal()

    def test_a_place_that_cannot_be_locked_is_shown(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        local = LocalBackend(tmp_path / "file" / NAME, NAME)
        with pytest.raises(StateError, match=f"{NAME} cannot be locked") as raised, local.lock("x"):
            raise AssertionError("never given")
        assert "nothing was done" in str(raised.value)

    def test_a_holder_that_cannot_be_written_is_shown(
        self, local: LocalBackend, path: Path
    ) -> None:
        holder_path(path).mkdir(parents=True)
        with pytest.raises(StateError), local.lock("x"):
            raise AssertionError("never given")

    def test_a_holder_on_another_machine_blocks_until_it_is_unlocked(
        self, local: LocalBackend, path: Path
    ) -> None:
        put_holder(path, json.dumps(asdict(FOREIGN)))
        with pytest.raises(LockedError) as raised, local.lock("x"):
            raise AssertionError("never given")
        assert "ada@elsewhere, process 7, `majobctl apply`, since" in str(raised.value)
        assert "majobctl unlock abc" in str(raised.value)
        with pytest.raises(StateError, match="has the ID abc: ada@elsewhere"):
            local.unlock("wrong")
        assert local.unlock("abc") == FOREIGN
        with local.lock("x"):
            pass
        with pytest.raises(StateError, match="not locked"):
            local.unlock("abc")

    def test_a_holder_on_another_machine_is_waited_for(
        self, local: LocalBackend, path: Path
    ) -> None:
        put_holder(path, json.dumps(asdict(FOREIGN)))
        timer = threading.Timer(0.3, holder_path(path).unlink)
        timer.start()
        with local.lock("x", 20):
            pass
        timer.join()

    def test_a_holder_of_this_machine_that_is_gone_needs_no_unlocking(
        self, local: LocalBackend, path: Path
    ) -> None:
        gone = {**asdict(FOREIGN), "host": socket.gethostname()}
        put_holder(path, json.dumps(gone))
        with local.lock("x"):
            pass
        put_holder(path, json.dumps(gone))
        assert local.unlock("abc").user == "ada"

    @pytest.mark.parametrize(
        "content",
        ["", "damage", "[]", "{}", '"x"', "[" * 100_000]
        + [json.dumps({**asdict(FOREIGN), "pid": wrong}) for wrong in ("x", "", "1.5")]
        + [json.dumps({**asdict(FOREIGN), "pid": None})]
        + [json.dumps(asdict(FOREIGN)).replace(": 7", ": 1e999")],
    )
    def test_a_holder_that_says_nothing_readable_does_not_block(
        self, local: LocalBackend, path: Path, content: str
    ) -> None:
        put_holder(path, content)
        with local.lock("x"):
            pass

    def test_a_holders_words_are_safe_to_print(self, local: LocalBackend, path: Path) -> None:
        put_holder(path, json.dumps({**asdict(FOREIGN), "command": "\x1b[31mred\n"}))
        with pytest.raises(LockedError) as raised, local.lock("x"):
            raise AssertionError("never given")
        assert "\\x1b[31mred\\n" in str(raised.value)

    def test_a_lock_held_by_one_who_has_not_said_who_it_is(
        self, local: LocalBackend, path: Path
    ) -> None:
        other = LocalBackend(path, NAME)
        with other.lock("x"):
            holder_path(path).unlink()
            with pytest.raises(LockedError, match="has not said who it is yet"), local.lock("y"):
                raise AssertionError("never given")

    def test_a_user_without_a_name_still_holds(
        self, local: LocalBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LOGNAME", "ada")
        with local.lock("x") as holder:
            assert holder.user == "ada"


def test_a_check_beside_a_write_is_no_false_alarm(tmp_path: Path) -> None:
    with contextlib.closing(LocalJournalFile(tmp_path / "journal")) as file:
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(collections.deque, map(file.write, [b"x" * 100] * 300), 0)
            while not writing.done():
                file.check()
            writing.result()
        (tmp_path / "journal").write_bytes(b"")
        with pytest.raises(OSError, match="cut short"):
            file.check()
