"""``plan --out``: where a plan may be saved, and that nothing else is ever overwritten."""

from __future__ import annotations

import os
import stat

import pytest

from tests.config_repository import Repository, finished


@pytest.mark.parametrize(
    "name",
    [
        "majobctl.toml",
        "jobs/one.toml",
        "majobctl.state.json",
        "majobctl.state.json.journal",
        "majobctl.state.json.backup",
        "jobs",
        "pipe",
        "loop",
    ],
)
def test_what_is_not_a_plan_is_not_overwritten(on_emulator: Repository, name: str) -> None:
    on_emulator.cloud("alpha", "one")
    on_emulator.job("one")
    on_emulator.apply()
    on_emulator.job("one", train_instance_count=2)
    os.mkfifo(on_emulator.root / "pipe")
    (on_emulator.root / "loop").symlink_to("loop")
    before = {path: path.read_bytes() for path in on_emulator.root.rglob("*") if path.is_file()}
    ran = on_emulator.run("plan", "--out", name, code=1)
    is_folder = name == "jobs"
    expected = '"jobs" is a folder; choose' if is_folder else "is not a place for a plan"
    assert expected in ran.stderr or "cannot be written" in ran.stderr
    after = {path: path.read_bytes() for path in on_emulator.root.rglob("*") if path.is_file()}
    assert after == before


def test_a_plan_replaces_a_plan_and_a_link_is_followed(on_emulator: Repository) -> None:
    on_emulator.cloud("alpha", "one")
    on_emulator.job("one")
    on_emulator.done("plan", "--out", "saved.plan")
    (on_emulator.root / "link.plan").symlink_to("saved.plan")
    on_emulator.job("one", train_instance_count=2)
    on_emulator.done("plan", "--out", "link.plan")
    path = on_emulator.root / "saved.plan"
    assert (on_emulator.root / "link.plan").is_symlink()
    assert '"after": 2' in path.read_text(encoding="utf-8")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_plan_does_not_fit_a_copy_of_the_state_that_was_applied_apart(
    on_emulator: Repository,
) -> None:
    on_emulator.cloud("alpha", "one")
    on_emulator.job("one", config_desc="first")
    on_emulator.apply()
    first = on_emulator.state_path.read_bytes()
    on_emulator.job("one", config_desc="ours")
    on_emulator.apply()
    on_emulator.job("one", config_desc="reviewed")
    on_emulator.done("plan", "--out", "saved.plan")
    on_emulator.state_path.write_bytes(first)
    on_emulator.job("one", config_desc="theirs")
    on_emulator.apply("--overwrite")
    ran = on_emulator.run("apply", "saved.plan", code=5)
    assert "had other entries" in ran.stderr


def test_a_secret_in_the_toml_is_found_though_another_file_is_broken(
    on_emulator: Repository,
) -> None:
    on_emulator.cloud("alpha", "one")
    on_emulator.job("one", sensitive=["config_desc"], config_desc="hidden-words")
    on_emulator.done("plan", "--out", "saved.plan")
    on_emulator.write("jobs/other.toml", "[job_config.other\n")
    assert on_emulator.run("apply", "saved.plan").code == 0


def test_the_text_around_a_variable_is_not_reported(
    on_emulator: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PART", "variable-words")
    on_emulator.cloud("alpha", "one")
    on_emulator.job("one", config_desc="literal-words ${env.PART}")
    ran = on_emulator.done("plan", "--out", "saved.plan", "--format", "json")
    for text in (ran.stdout, (on_emulator.root / "saved.plan").read_text(encoding="utf-8")):
        assert "literal-words" not in text
        assert "variable-words" not in text
    assert on_emulator.run("apply", "saved.plan").code == 0


@pytest.mark.parametrize(
    "options",
    [["--out", "one", "--also", "html=one"], ["--also", "text=one", "--also", "json=./one"]],
)
def test_two_outputs_need_two_files(options: list[str], repository: Repository) -> None:
    repository.cloud("one")
    repository.job("one")
    ran = repository.run("plan", *options, code=1)
    assert "each output needs a file of its own" in ran.stderr
    assert not (repository.root / "one").exists()


@pytest.mark.parametrize("option", ["--out", "--also"])
def test_a_plan_does_not_wait_for_the_reader_of_a_pipe(option: str, repository: Repository) -> None:
    repository.cloud("one")
    os.mkfifo(repository.root / "pipe")
    value = "markdown=pipe" if option == "--also" else "pipe"
    ran = finished(repository.start("plan", option, value))
    assert ran.code == 1
    assert '"pipe" is not a place for a' in ran.stderr


def test_a_saved_plan_is_not_replaced_by_a_rendered_one(repository: Repository) -> None:
    repository.cloud("one")
    repository.job("one")
    repository.done("plan", "--out", "reviewed.plan")
    before = (repository.root / "reviewed.plan").read_bytes()
    assert repository.run("plan", "--also", "text=reviewed.plan").code == 1
    assert (repository.root / "reviewed.plan").read_bytes() == before


def test_a_plan_is_written_in_several_formats_at_once(repository: Repository) -> None:
    repository.cloud("one")
    repository.job("one")
    formats = ("json", "markdown", "html", "text")
    options = [f"--also={format_}=plan.{format_}" for format_ in formats]
    printed = repository.done("plan", *options).stdout
    assert (repository.root / "plan.text").read_text(encoding="utf-8") == printed
    for format_ in formats:
        written = (repository.root / f"plan.{format_}").read_text(encoding="utf-8")
        assert written == repository.done("plan", "--format", format_).stdout


@pytest.mark.parametrize("also", ["html", "pdf=x", "html=", "=x"])
def test_a_wrong_output_is_reported(also: str, repository: Repository) -> None:
    repository.cloud("one")
    ran = repository.run("plan", "--also", also, code=1)
    assert "write FORMAT=FILE" in ran.stderr
