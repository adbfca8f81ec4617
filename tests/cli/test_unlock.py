from __future__ import annotations

import json

import pytest

from tests.config_repository import Repository, finished, until

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
        assert "--lock-timeout" in ran.stderr
        os.write(master, b"no\n")
        assert finished(process).code == 1
    finally:
        os.close(master)
    on_emulator.apply("--lock-timeout", "5")
