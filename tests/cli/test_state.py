from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from majobctl.state.backends.local import LocalBackend
from majobctl.state.document import State
from majobctl.state.journal import intent
from majobctl.state.store import StateStore
from majobctl.target import Target
from tests.config_repository import Repository


@pytest.fixture
def applied(on_emulator: Repository) -> Repository:
    """A repository whose state holds alpha, beta and gamma."""
    on_emulator.job("beta")
    on_emulator.job("gamma")
    on_emulator.apply()
    return on_emulator


def copy_of(repository: Repository, **changes: Any) -> str:
    repository.write("copy.json", json.dumps({**repository.state, **changes}))
    return "copy.json"


def test_list_prints_the_names(applied: Repository) -> None:
    assert applied.done("state", "list").stdout == "alpha\nbeta\ngamma\n"
    assert applied.done("state", "list", "--format", "json").document == ["alpha", "beta", "gamma"]


def test_list_without_a_state_is_empty(on_emulator: Repository) -> None:
    assert on_emulator.done("state", "list").stdout == ""
    assert on_emulator.done("state", "list", "--format", "json").document == []


def test_rm_takes_names_out_and_the_next_plan_adds_them(applied: Repository) -> None:
    ran = applied.done("state", "rm", "alpha", "gamma", "alpha")
    assert ran.stdout == "Removed 2 from the state. State serial 2.\n"
    assert list(applied.state["job_configs"]) == ["beta"]
    assert "2 to add" in applied.done("plan").stdout


def test_rm_of_a_name_that_is_not_there_changes_nothing(applied: Repository) -> None:
    content = applied.state_path.read_bytes()
    ran = applied.run("state", "rm", "alpha", "gama", "\x1bx", code=1)
    assert 'the state has no job config "gama"; did you mean "gamma"?' in ran.stderr
    assert "nothing was changed" in ran.stderr
    assert "\x1b" not in ran.stderr
    assert applied.state_path.read_bytes() == content


def test_rm_without_a_state_or_a_name_is_an_error(on_emulator: Repository) -> None:
    assert on_emulator.run("state", "rm", "alpha").code == 1
    assert on_emulator.run("state", "rm").code == 1
    assert not on_emulator.state_path.exists()


def test_pull_prints_the_file(applied: Repository) -> None:
    assert applied.done("state", "pull").stdout.encode() == applied.state_path.read_bytes()
    assert applied.process("state", "pull").stdout.encode() == applied.state_path.read_bytes()


def test_pull_without_a_state_is_an_error(on_emulator: Repository) -> None:
    ran = on_emulator.run("state", "pull")
    assert (ran.code, ran.stdout) == (1, "")
    assert "there is no state yet" in ran.stderr


def test_what_was_pulled_can_be_pushed(applied: Repository) -> None:
    before = applied.state
    applied.write("copy.json", applied.done("state", "pull").stdout)
    applied.done("state", "rm", "alpha")
    assert applied.done("state", "push", "--force", "copy.json").stdout == (
        "Pushed copy.json. State serial 3.\n"
    )
    assert applied.state == {**before, "serial": 3}


def test_pushing_the_same_entries_changes_nothing(applied: Repository) -> None:
    before = applied.state_path.read_bytes()
    assert applied.done("state", "push", copy_of(applied)).stdout == (
        "The state has the same entries. State serial 1.\n"
    )
    assert applied.state_path.read_bytes() == before


def test_push_without_a_state_brings_it_back(applied: Repository) -> None:
    content = applied.state_path.read_bytes()
    copy = copy_of(applied)
    applied.state_path.unlink()
    applied.done("state", "push", copy)
    assert applied.state_path.read_bytes() == content
    assert applied.done("plan").stdout.startswith("No changes.")


def test_push_reads_stdin(applied: Repository) -> None:
    content = applied.state_path.read_bytes()
    applied.state_path.unlink()
    ran = applied.process("state", "push", "-", stdin=content)
    assert (ran.code, ran.stdout) == (0, "Pushed -. State serial 1.\n")


def test_an_older_state_is_pushed_only_by_force(applied: Repository) -> None:
    older = copy_of(applied, job_configs={})
    applied.job("alpha", train_instance_count=2)
    applied.apply()
    content = applied.state_path.read_bytes()
    ran = applied.run("state", "push", older, code=1)
    assert "copy.json has serial 1, the state 2: it is older" in ran.stderr
    assert "--force" in ran.stderr
    assert applied.state_path.read_bytes() == content
    applied.done("state", "push", older, "--force")
    assert (applied.state["serial"], applied.state["job_configs"]) == (3, {})


def test_other_entries_of_the_same_serial_are_pushed_only_by_force(applied: Repository) -> None:
    content = applied.state_path.read_bytes()
    entries = {"alpha": {**applied.state["job_configs"]["alpha"], "applied_at": ""}}
    for job_configs in ({}, entries):
        other = copy_of(applied, job_configs=job_configs)
        ran = applied.run("state", "push", other, code=1)
        assert "copy.json has serial 1, as the state, but other entries\n" in ran.stderr
        assert "majobctl state push --force copy.json" in ran.stderr
        assert applied.state_path.read_bytes() == content
    applied.done("state", "push", "--force", other)
    assert (applied.state["serial"], applied.state["job_configs"]) == (2, entries)


@pytest.mark.parametrize("content", [b"", b"{", b"rubbish", b"\xff" * 9])
def test_a_damaged_state_is_replaced_only_by_force(applied: Repository, content: bytes) -> None:
    copy, before = copy_of(applied), applied.state
    applied.state_path.write_bytes(content)
    assert "is damaged" in applied.run("state", "push", copy).stderr
    assert applied.state_path.read_bytes() == content
    applied.done("state", "push", "--force", copy)
    assert applied.state == before


def test_a_journal_that_the_pushed_state_does_not_hold_is_never_passed_over(
    applied: Repository, tmp_path: Path
) -> None:
    copy = copy_of(applied)
    applied.state_path.unlink()
    with StateStore(LocalBackend(tmp_path / "other", "other")).locked("apply") as locked:
        other = locked.open_journal(replace(State.new(Target("emulator", "p")), serial=3))
        other.intend_all({"alpha": intent({})})
        other.close()
    for content in ("rubbish\nmore\n", (tmp_path / "other.journal").read_text()):
        journal = applied.write("majobctl.state.json.journal", content)
        for force in ([], ["--force"]):
            assert applied.run("state", "push", *force, copy).code == 1
            assert journal.read_text() == content
            assert not applied.state_path.exists()


def test_a_state_of_another_lineage_is_pushed_only_by_force(applied: Repository) -> None:
    other = copy_of(applied, lineage="other\x1b", serial=99)
    ran = applied.run("state", "push", other, code=1)
    assert "is of another lineage (other\\x1b)" in ran.stderr
    applied.done("state", "push", "--force", other)
    assert (applied.state["serial"], applied.state["lineage"]) == (99, "other\x1b")


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_what_is_not_a_state_of_this_target_is_never_pushed(
    applied: Repository, force: list[str]
) -> None:
    content = applied.state_path.read_bytes()
    elsewhere = copy_of(applied, target={"endpoint": "https://x", "project_id": "y"})
    for name, message in [
        (elsewhere, "copy.json belongs to another target"),
        ("missing.json", "missing.json cannot be read: No such file"),
        ("jobs", "jobs cannot be read: Is a directory"),
        ("x" * 5000, "cannot be read: File name too long"),
        ("jobs/alpha.toml", "jobs/alpha.toml is not a state file: it is not JSON (line 1, "),
    ]:
        ran = applied.run("state", "push", *force, str(name))
        assert (ran.code, ran.stdout) == (1, "")
        assert message in ran.stderr
    for text in ("", "{}", "[]", '{"format_version": 9}', '"\\ud800"'):
        applied.write("copy.json", text)
        ran = applied.run("state", "push", *force, "copy.json", code=1)
        assert "copy.json" in ran.stderr
    assert applied.state_path.read_bytes() == content


def test_a_state_whose_values_could_not_be_saved_is_refused(applied: Repository) -> None:
    content = applied.state_path.read_bytes()
    for value in ('"\\ud800"', "1e999", "[" * 700 + "]" * 700):
        text = content.decode().replace('"modelarts.vm.gpu.p100"', value)
        applied.write("copy.json", text)
        assert applied.run("state", "push", "copy.json").code == 1
        assert applied.state_path.read_bytes() == content


def test_the_state_keeps_its_mode(applied: Repository) -> None:
    applied.state_path.chmod(0o644)
    applied.done("state", "rm", "alpha")
    assert applied.state_path.stat().st_mode & 0o777 == 0o600


def test_push_without_stdin_is_an_error_and_no_defect(applied: Repository) -> None:
    process = applied.start("state", "push", "-", preexec_fn=lambda: os.close(0))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.startswith(b"Error: stdin is not a state file: it is empty\nnothing was changed; ")


class TestMv:
    """`state mv`: one entry under another name, with all it has."""

    @pytest.mark.parametrize("old", ["beta", "job_config.beta"])
    @pytest.mark.parametrize("new", ["aaa", "job_config.zeta-1"])
    def test_the_entry_keeps_everything_and_no_call_is_made(
        self, old: str, new: str, applied: Repository
    ) -> None:
        log = applied.root / "requests.jsonl"
        before = applied.state
        edited = {**before["job_configs"]["beta"], "prevent_delete": True, "pending": True}
        edited |= {"attempted": {"inputs": "/ml/x/"}, "earlier": [{"inputs": "/ml/y/"}]}
        entries = {**before["job_configs"], "beta": edited}
        applied.state_path.write_text(json.dumps({**before, "job_configs": entries}))
        ran = applied.done("state", "mv", old, new)
        name = new.removeprefix("job_config.")
        assert ran.stdout == 'Renamed in the state, from "beta". State serial 2.\n'
        assert f"rename the table in its job file to [job_config.{name}]" in ran.stderr
        assert not log.exists()
        after = applied.state
        assert after["job_configs"].pop(name) == edited
        assert list(after["job_configs"]) == ["alpha", "gamma"]
        del entries["beta"]
        assert after == {**before, "serial": 2, "job_configs": entries}

    @pytest.mark.parametrize(
        ("names", "problem"),
        [
            (("bet", "new"), 'the state has no job config "bet"; did you mean "beta"?'),
            (("job_config.bet", "new"), 'no job config "bet"; did you mean "beta"?'),
            (("", "new"), "an argument is empty"),
            (("b*", "new"), '"b*" is a glob; this takes one name'),
            (("\x1b[2J", "new"), 'the state has no job config "\\\\x1b[2J"'),
            (("beta", "alpha"), "the state has job_config.alpha already"),
            (("beta", "beta"), "the state has job_config.beta already"),
            (("beta", "job_config.beta"), "the state has job_config.beta already"),
            (("beta", "a b"), '"a b" cannot be its name: a name has 1 to 20 characters'),
            (("beta", "job_config."), '"" cannot be its name: a name has 1 to 20'),
            (("beta", "x" * 21), "jobs.max_name_length = 21 allows it"),
            (("beta", "x" * 10_000), "cannot be its name"),
            (("beta", "\x1b[2J"), '"\\u001b[2J" cannot be its name'),
            (("beta", "ünïcode"), '"ünïcode" cannot be its name'),
            (("nobody", "a b"), '"a b" cannot be its name'),
            (("beta",), "Missing argument 'NEW'"),
            (("beta", "new", "more"), "unexpected extra argument"),
        ],
        ids=lambda it: repr(it)[:40],
    )
    def test_what_cannot_be_moved_changes_nothing(
        self, names: tuple[str, ...], problem: str, applied: Repository
    ) -> None:
        files = {it: it.read_bytes() for it in applied.root.rglob("*") if it.is_file()}
        ran = applied.run("state", "mv", *names, code=1)
        assert problem in ran.stderr
        assert "\x1b" not in ran.stderr
        assert files == {it: it.read_bytes() for it in applied.root.rglob("*") if it.is_file()}

    def test_a_longer_name_needs_the_setting(self, applied: Repository) -> None:
        text = (applied.root / "majobctl.toml").read_text()
        applied.settings(f"{text}[jobs]\nmax_name_length = 64\n")
        applied.done("state", "mv", "beta", "x" * 64)
        assert "x" * 64 in applied.state["job_configs"]

    def test_without_a_state_there_is_nothing_to_move(self, on_emulator: Repository) -> None:
        ran = on_emulator.run("state", "mv", "alpha", "new", code=1)
        assert 'the state has no job config "alpha"\nnothing was changed\n' in ran.stderr
        assert not on_emulator.state_path.exists()

    def test_the_toml_with_the_new_name_needs_no_call(self, applied: Repository) -> None:
        applied.job("beta", config_desc="hidden-words", sensitive=["config_desc"])
        applied.apply()
        applied.done("state", "mv", "beta", "heir")
        ran = applied.done("plan", "--format", "json")
        actions = {it["name"]: it["action"] for it in ran.document["changes"]}
        assert actions == {"beta": "add", "heir": "forget"}
        applied.remove("beta")
        applied.job("heir", config_desc="hidden-words", sensitive=["config_desc"])
        ran = applied.done("plan", "--format", "json")
        # The hash is still that of the old name; it is known all the same.
        assert ran.document["changes"] == []
        assert "hidden-words" not in applied.state_path.read_text()

    def test_history_and_blame_follow_it(self, applied: Repository) -> None:
        applied.process("state", "mv", "beta", "heir", code=0)
        applied.process("state", "mv", "heir", "last", code=0)
        lines = applied.done("history", "last").stdout.splitlines()
        assert "last (was heir)  (state mv)" in lines[1]
        assert "heir (was beta)  (state mv)" in next(it for it in lines if it.startswith("     2"))
        assert "beta" in next(it for it in lines if it.startswith("     1"))
        blamed = applied.done("blame", "last").stdout.splitlines()[1:]
        assert blamed
        assert all(line.split()[2] == "1" for line in blamed), blamed
        assert "inputs" in applied.done("show", "last", "--at", "1").stdout
        assert applied.done("history", "verify").code == 0
        applied.remove("beta")
        applied.job("last")
        assert applied.done("plan").stdout.startswith("No changes.")
