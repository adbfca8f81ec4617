from __future__ import annotations

import contextlib
import errno
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from majobctl.errors import LockedError, StateError
from majobctl.state.backends.local import LocalBackend
from majobctl.state.backends.local_journal import LocalJournalFile
from majobctl.state.document import Entry, State
from majobctl.state.journal import Journal, intent
from majobctl.state.store import LockedState, StateStore
from tests.faults.sabotage import JOURNAL, STATE, SUFFIXES, WAYS, clear
from tests.plan.values import AT, TARGET
from tests.state.test_local_backend import FOREIGN

PARAMS = {"train_instance_count": 1}
ENTRY = Entry(params=PARAMS, applied_at=AT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "majobctl.state.json"


@pytest.fixture
def store(path: Path) -> StateStore:
    return StateStore(LocalBackend(path, path.name))


def read(store: StateStore) -> State:
    state = store.read()
    assert state is not None
    return state


def journal_path(path: Path) -> Path:
    return path.with_name(path.name + ".journal")


def recorded(locked: LockedState, *names: str) -> Journal:
    """The journal of an apply that has done these."""
    journal = locked.open_journal(locked.state or State.new(TARGET))
    with contextlib.closing(journal):
        for name in names:
            journal.intend_all({name: intent(PARAMS)})
            journal.record_done(name)
        journal.flush()
    return journal


def record(store: StateStore, *names: str, merge: bool) -> None:
    """An apply that does these; without ``merge`` it ends like a process that is killed."""
    with store.locked("apply") as locked:
        journal = recorded(locked, *names)
        if merge:
            assert locked.save(journal) == ""


def test_without_a_file_there_is_no_state(store: StateStore) -> None:
    assert store.read() is None
    with store.locked("plan") as locked:
        assert locked.state is None


def test_what_is_merged_is_in_the_file_and_the_journal_is_gone(
    store: StateStore, path: Path
) -> None:
    record(store, "a", "b", merge=True)
    state = read(store)
    assert (state.serial, list(state.job_configs)) == (1, ["a", "b"])
    assert not journal_path(path).exists()
    record(store, "c", merge=True)
    assert json.loads(path.read_bytes())["serial"] == 2


def test_a_reader_sees_what_a_killed_apply_did_and_changes_nothing(
    store: StateStore, path: Path
) -> None:
    record(store, "a", merge=True)
    content = path.read_bytes()
    record(store, "b", merge=False)
    journal = journal_path(path).read_bytes()
    state = read(store)
    assert (state.serial, list(state.job_configs)) == (2, ["a", "b"])
    assert (path.read_bytes(), journal_path(path).read_bytes()) == (content, journal)


def test_the_next_writer_merges_what_a_killed_apply_did(store: StateStore, path: Path) -> None:
    record(store, "a", merge=False)
    assert not path.exists()
    with store.locked("apply") as locked:
        assert locked.state is not None
        assert list(locked.state.job_configs) == ["a"]
    assert list(json.loads(path.read_bytes())["job_configs"]) == ["a"]
    assert not journal_path(path).exists()


def test_a_kill_between_merge_and_removal_of_the_journal_does_no_harm(
    store: StateStore, path: Path
) -> None:
    record(store, "a", merge=True)
    record(store, "b", merge=False)
    journal = journal_path(path).read_bytes()
    with store.locked("apply"):
        pass
    journal_path(path).write_bytes(journal)
    content = path.read_bytes()
    state = store.read()
    with store.locked("apply") as locked:
        assert locked.state == state
    assert path.read_bytes() == content
    assert not journal_path(path).exists()


def test_a_journal_of_nothing_is_removed_without_a_write(store: StateStore, path: Path) -> None:
    record(store, "a", merge=True)
    content = path.read_bytes()
    record(store, merge=True)
    assert path.read_bytes() == content
    journal_path(path).write_bytes(b"")
    with store.locked("apply"):
        pass
    assert path.read_bytes() == content
    assert not journal_path(path).exists()


def test_a_damaged_state_is_refused_and_left_as_it_is(store: StateStore, path: Path) -> None:
    path.write_bytes(b"damage")
    with pytest.raises(StateError, match="damaged"):
        store.read()
    with pytest.raises(StateError, match="damaged"), store.locked("apply"):
        raise AssertionError("never given")
    assert path.read_bytes() == b"damage"
    with StateStore(LocalBackend(path.with_name("x"), "x")).locked("apply") as locked:
        assert locked.state is None


def test_a_damaged_journal_is_refused_and_left_as_it_is(store: StateStore, path: Path) -> None:
    record(store, "a", merge=True)
    content = path.read_bytes()
    journal_path(path).write_bytes(b"damage\nmore\n")
    with pytest.raises(StateError, match="journal is damaged"):
        store.read()
    with pytest.raises(StateError, match="journal is damaged"), store.locked("apply"):
        raise AssertionError("never given")
    assert journal_path(path).read_bytes() == b"damage\nmore\n"
    assert path.read_bytes() == content


def test_one_writer_at_a_time(store: StateStore, path: Path) -> None:
    other = StateStore(LocalBackend(path, path.name))
    with store.locked("majobctl apply"):
        with pytest.raises(LockedError, match="majobctl apply"), other.locked("x"):
            raise AssertionError("never given")
        assert other.read() is None
    with other.locked("x"):
        pass


def test_unlock_says_who_it_was(store: StateStore, path: Path) -> None:
    path.with_name(path.name + ".lock.holder").write_text(json.dumps(asdict(FOREIGN)))
    assert store.unlock("abc") == (
        "ada@elsewhere, process 7, `majobctl apply`, since 2026-11-23T12:00:00Z"
    )
    assert store.name == path.name


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes there")
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_shown(store: StateStore, path: Path) -> None:
    path.parent.chmod(0o500)
    try:
        with pytest.raises(StateError, match="cannot be locked"), store.locked("x"):
            raise AssertionError("never given")
    finally:
        path.parent.chmod(0o700)


def test_a_state_that_cannot_be_written_is_shown_and_the_journal_stays(
    store: StateStore, path: Path
) -> None:
    record(store, "a", merge=True)
    content = path.read_bytes()
    path.with_name(path.name + ".backup").mkdir()
    with store.locked("apply") as locked:
        message = locked.save(recorded(locked, "b"))
        assert "cannot be written: Is a directory\nnothing is lost" in message
        assert locked.state is not None
        with pytest.raises(StateError, match="cannot be written"):
            locked.write(locked.state.changed({}))
    assert path.read_bytes() == content
    assert list(read(store).job_configs) == ["a", "b"]


def test_a_journal_that_cannot_be_opened_is_shown(store: StateStore, path: Path) -> None:
    with store.locked("apply") as locked:
        journal_path(path).mkdir()
        with pytest.raises(StateError, match="journal cannot be written"):
            locked.open_journal(State.new(TARGET))
        journal_path(path).rmdir()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("suffixes", [*((suffix,) for suffix in SUFFIXES), SUFFIXES])
def test_what_was_told_survives_whatever_becomes_of_the_files(
    store: StateStore,
    path: Path,
    suffixes: tuple[str, ...],
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(path.parent)
    record(store, "a", merge=True)
    record(store, "b", merge=True)
    files = [path.with_name(path.name + suffix) for suffix in suffixes]
    with store.locked("apply") as locked:
        journal = recorded(locked, "c")
        for file in files:
            WAYS[way](file)
        left = path.read_bytes() if path.is_file() else None
        message = locked.save(journal)
    is_replaced = STATE in suffixes and way != "copy"
    assert bool(message) >= is_replaced
    assert bool(message) >= (JOURNAL in suffixes and way not in ("copy", "append"))
    # A person puts in order what is not as it was, and does what the message says.
    rescues = [*path.parent.glob("majobctl.rescue-*")]
    assert len(rescues) == is_replaced
    assert (path.read_bytes() if path.is_file() else None) == left or not is_replaced
    for file in files:
        clear(file)
    if "move it away" in message:
        journal_path(path).unlink(missing_ok=True)
    for rescue in rescues:
        assert f"majobctl state push --force {rescue.name}" in message
        rescued = State.load(rescue.read_bytes(), rescue.name)
        with store.locked("push", instead=rescued, force=True) as locked:
            locked.write(rescued)
    with store.locked("plan"):
        pass
    after = State.load(path.read_bytes(), path.name)
    assert (after.serial, list(after.job_configs)) == (3, ["a", "b", "c"])
    assert not any(entry.pending for entry in after.job_configs.values())
    assert not journal_path(path).exists()


class FullDisk(LocalBackend):
    """A place that takes no byte more once it is full; ``takes_state``: but the state file."""

    is_full = False
    takes_state = False
    keeps_journal = False

    def write(self, content: bytes, lines: bytes = b"") -> None:
        if self.is_full and not self.takes_state:
            raise OSError(errno.ENOSPC, "No space left on device")
        super().write(content, lines)

    def open_journal(self) -> FullJournalFile:  # type: ignore[override]
        return FullJournalFile(self, super().open_journal())

    def remove_journal(self) -> None:
        if self.keeps_journal:
            raise OSError(errno.EACCES, "Permission denied")
        super().remove_journal()


class FullJournalFile:
    def __init__(self, disk: FullDisk, file: LocalJournalFile) -> None:
        self._disk = disk
        self._file = file

    def pause(self) -> float:
        return self._file.pause()

    def write(self, content: bytes) -> None:
        if self._disk.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._file.write(content)

    def check(self) -> None:
        self._file.check()

    def close(self) -> None:
        self._file.close()


def fill_while_applying(disk: FullDisk) -> str:
    """One config is done before the disk is full, one after it: the message of the rescue."""
    with StateStore(disk).locked("apply") as locked:
        with contextlib.closing(locked.open_journal(State.new(TARGET))) as journal:
            journal.intend_all({"before": intent(PARAMS)})
            journal.record_done("before")
            journal.intend_all({"after": intent(PARAMS)})
            disk.is_full = True
            journal.record_done("after")
            with pytest.raises(OSError, match="No space left"):
                journal.intend_all({"never": intent(PARAMS)})
            journal.record_unsent(())
        return locked.save(journal)


@pytest.fixture
def disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    monkeypatch.chdir(path.parent)
    return FullDisk(path, path.name)


def rescued_names(content: bytes) -> list[str]:
    state = State.load(content, "rescue.json")
    assert not any(entry.pending for entry in state.job_configs.values())
    return list(state.job_configs)


def test_outcomes_that_the_journal_cannot_take_go_into_the_state(
    disk: FullDisk, path: Path
) -> None:
    disk.takes_state = True
    message = fill_while_applying(disk)
    assert "no further call was started" in message
    assert rescued_names(path.read_bytes()) == ["after", "before"]
    assert not journal_path(path).exists()


def test_a_journal_that_stays_after_that_does_no_harm(disk: FullDisk, path: Path) -> None:
    disk.takes_state = disk.keeps_journal = True
    assert "cannot be removed: Permission denied" in fill_while_applying(disk)
    assert journal_path(path).exists()
    state = read(StateStore(LocalBackend(path, path.name)))
    assert not any(entry.pending for entry in state.job_configs.values())


def test_where_the_state_cannot_be_written_a_rescue_file_takes_the_outcomes(
    disk: FullDisk, path: Path
) -> None:
    message = fill_while_applying(disk)
    (rescue,) = path.parent.glob("majobctl.rescue-*.json")
    assert f"majobctl state push {rescue.name}" in message
    assert rescued_names(rescue.read_bytes()) == ["after", "before"]
    assert rescue.stat().st_mode & 0o777 == 0o600
    left = read(StateStore(LocalBackend(path, path.name)))
    assert left.job_configs["after"].pending


def test_where_no_file_can_be_written_the_message_holds_the_outcomes(
    disk: FullDisk, path: Path
) -> None:
    (path.parent / f"majobctl.rescue-2-{os.getpid()}.json").mkdir()
    message = fill_while_applying(disk)
    assert "majobctl state push rescue.json" in message
    assert rescued_names(message[message.index("\n{") :].encode()) == ["after", "before"]
