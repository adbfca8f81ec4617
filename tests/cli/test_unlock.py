from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from majobctl.errors import StateError
from majobctl.state.backends.git import GitStore
from majobctl.state.backends.log import LogBackend
from majobctl.state.store import StateStore
from tests.config_repository import Repository, finished, terminal, until
from tests.git_servers import NO_GIT, bare, git

HOLDER = {
    "id": "4f1c2d9a7b60",
    "user": "ada",
    "host": "elsewhere",
    "pid": 7,
    "command": "majobctl apply",
    "since": "2026-11-23T12:00:00Z",
}


def put_holder(repository: Repository) -> None:
    repository.write("majobctl.state.json.lock.holder", json.dumps(HOLDER))


def test_a_lock_that_somebody_elsewhere_holds_blocks_until_it_is_freed(
    on_emulator: Repository,
) -> None:
    put_holder(on_emulator)
    for arguments in (["apply", "--auto-approve"], ["state", "rm", "alpha"]):
        ran = on_emulator.run(*arguments, code=4)
        assert "majobctl.state.json is locked by ada@elsewhere, process 7" in ran.stderr
        assert "majobctl unlock 4f1c2d9a7b60" in ran.stderr
    on_emulator.done("plan")
    ran = on_emulator.done("unlock", "4f1c2d9a7b60")
    assert ran.stdout == (
        "Unlocked majobctl.state.json. It was held by ada@elsewhere, process 7,"
        " `majobctl apply`, since 2026-11-23T12:00:00Z.\n"
    )
    on_emulator.apply()


@pytest.mark.parametrize("holder_id", ["wrong", "*", "\x1b", "x" * 10_000])
def test_only_the_right_id_frees_a_lock(on_emulator: Repository, holder_id: str) -> None:
    put_holder(on_emulator)
    ran = on_emulator.run("unlock", holder_id, code=1)
    assert "has the ID 4f1c2d9a7b60: ada@elsewhere" in ran.stderr
    assert on_emulator.run("apply", "--auto-approve").code == 4


def test_what_is_not_locked_cannot_be_freed(on_emulator: Repository) -> None:
    ran = on_emulator.run("unlock", "4f1c2d9a7b60", code=1)
    assert "majobctl.state.json is not locked" in ran.stderr
    assert on_emulator.run("unlock").code == 1


def test_the_lock_of_a_running_apply_is_not_freed(on_emulator: Repository) -> None:
    holder = on_emulator.root / "majobctl.state.json.lock.holder"
    on_emulator.write("jobs/alpha.toml", (on_emulator.root / "jobs/alpha.toml").read_text())
    import os
    import pty

    master, slave = pty.openpty()
    process = on_emulator.start("apply", stdin=slave)
    os.close(slave)
    try:
        until(lambda: holder.exists() and holder.stat().st_size, "the lock")
        holder_id = json.loads(holder.read_text())["id"]
        ran = on_emulator.run("unlock", holder_id, code=4)
        assert f"process {process.pid}, `majobctl apply`" in ran.stderr
        ran = on_emulator.run("apply", "--auto-approve", "--lock-timeout", "0.2", code=4)
        waiting, error = ran.stderr.split("Error: ")
        assert f"process {process.pid}" in waiting and "waiting for it, up to 0.2 sec" in waiting
        assert "--lock-timeout" in error
        os.write(master, b"no\n")
        assert finished(process).code == 1
    finally:
        os.close(master)
    on_emulator.apply("--lock-timeout", "5")


@pytest.fixture
def in_branch(on_emulator: Repository, tmp_path: Path) -> Repository:
    """A clone whose state is in a branch of its remote; alpha is to be applied."""
    if NO_GIT:
        pytest.skip(NO_GIT)
    git(on_emulator.root, "init", "-q")
    git(on_emulator.root, "remote", "add", "origin", str(bare(tmp_path / "remote.git")))
    on_emulator.settings(
        '[provider]\nkind = "emulator"\nseed = "cloud.toml"\n[state]\nbackend = "git"\n'
    )
    return on_emulator


def test_a_log_is_freed_under_a_living_holder_which_then_cannot_write(
    in_branch: Repository,
) -> None:
    in_branch.apply()
    other = StateStore(LogBackend(GitStore(in_branch.root, "origin", "majobctl-state")))
    with other.locked("majobctl apply") as locked:
        ran = in_branch.run("apply", "--auto-approve", code=4)
        holder_id = re.findall(r"majobctl unlock (\w{12})", ran.stderr)[0]
        for wrong in ("wrong", "*", "\x1b", "x" * 10_000):
            ran = in_branch.run("unlock", wrong, code=1)
            assert f"the lock of origin/majobctl-state has the ID {holder_id}: " in ran.stderr
        ran = in_branch.done("unlock", holder_id)
        assert re.fullmatch(
            r"Unlocked origin/majobctl-state\. It was held by \S+, process \d+, `majobctl apply`,"
            r" since \S+Z; if it still runs, it cannot write any more, and starts no further call"
            r" once it notices, within 15 seconds\.\n",
            ran.stdout,
        )
        assert "is not locked" in in_branch.run("unlock", holder_id, code=1).stderr
        in_branch.job("beta")
        in_branch.apply()
        assert locked.state is not None
        with pytest.raises(StateError, match=r"was freed by .*, `majobctl unlock`"):
            locked.write(locked.state.changed({}))
    assert in_branch.done("state", "list").stdout == "alpha\nbeta\n"


def test_a_running_apply_that_is_freed_sends_nothing(in_branch: Repository) -> None:
    in_branch.apply()
    in_branch.job("alpha", train_instance_count=3)
    with terminal(in_branch, "apply") as shown:
        shown.expect("yes")
        ran = in_branch.run("state", "check", code=4)
        in_branch.done("unlock", re.findall(r"majobctl unlock (\w{12})", ran.stderr)[0])
        shown.type("yes\n")
        code, text = shown.finish()
    assert code == 1, text
    assert "was freed by " in text
    assert "nothing was sent" in text
    in_branch.done("plan", "--refresh")
    assert '"train_instance_count": 1' in in_branch.done("state", "pull").stdout
