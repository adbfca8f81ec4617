from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.config_repository import Repository


def test_what_is_valid_is_counted(on_emulator: Repository) -> None:
    assert on_emulator.done("validate").stdout == "1 job config is valid.\n"
    on_emulator.job("beta")
    assert on_emulator.done("validate").stdout == "2 job configs are valid.\n"
    on_emulator.remove("alpha")
    on_emulator.remove("beta")
    assert on_emulator.done("validate").stdout == "0 job configs are valid.\n"


def test_every_problem_of_every_file_is_reported_in_one_run(on_emulator: Repository) -> None:
    on_emulator.job("alpha", train_instance_count=0, inputs=5)
    on_emulator.write("jobs/broken.toml", "[job_config.x]\nkey = \n")
    on_emulator.job("beta", boot_file="/elsewhere/x.py")
    ran = on_emulator.run("validate")
    assert (ran.code, ran.stdout) == (1, "")
    lines = ran.stderr.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("jobs/alpha.toml:6: job_config.alpha: inputs must be a string")
    assert lines[1].startswith("jobs/alpha.toml:9: job_config.alpha: train_instance_count must")
    assert lines[2].startswith("jobs/beta.toml:5: job_config.beta: boot_file must ")
    assert lines[3].startswith("jobs/broken.toml:2:7: not valid TOML: ")
    assert lines[4] == "4 problems. Nothing was done."


FILES = ("majobctl.toml", "policy.toml", "prices.toml", "jobs/x.toml", "values.toml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a = True", "5: not valid TOML: write true and false in small letters"),
        (
            "a\u00a0= 1",
            "2: not valid TOML: this is U+00A0 (no-break space); write a plain space instead",
        ),
        ("a = “x”", '5: not valid TOML: this is a typographic quote; write " instead'),
        ("a: 1", "2: not valid TOML: write = instead of :"),
        ("a = [1", "5: not valid TOML: this [ is never closed"),
        (
            "=======",
            "1: not valid TOML: this is git's conflict marker; keep the lines that are meant",
        ),
    ],
)
def test_broken_toml_has_its_cause_in_every_file(
    on_emulator: Repository, name: str, text: str, problem: str
) -> None:
    file = on_emulator.root / name
    before = file.read_text() if file.exists() else ""
    on_emulator.write(name, f"{before}{text}\n")
    options = ("--var-file", name) if name == "values.toml" else ()
    told = on_emulator.run("validate", *options, code=1).stderr
    assert told.startswith(f"{name}:{before.count(chr(10)) + 1}:{problem}")
    assert told.endswith("1 problem. Nothing was done.\n")


def test_one_problem_is_one(on_emulator: Repository) -> None:
    on_emulator.job("alpha", train_instance_count=0)
    assert "\n1 problem. Nothing was done.\n" in on_emulator.run("validate").stderr


def test_problems_as_json(on_emulator: Repository) -> None:
    on_emulator.job("alpha", train_instance_count=0)
    ran = on_emulator.run("validate", "--format", "json")
    assert (ran.code, ran.stderr) == (1, "")
    (problem,) = ran.document["problems"]
    assert ran.document["valid"] is False
    assert (problem["file"], problem["line"]) == ("jobs/alpha.toml", 9)
    assert problem["where"] == "job_config.alpha"
    assert "at least 1" in problem["message"]


def test_warnings_are_told_and_are_no_error(on_emulator: Repository) -> None:
    on_emulator.job("alpha", inputs=None, job_description="text")
    ran = on_emulator.done("validate")
    assert "Warning: jobs/alpha.toml:1: job_config.alpha: no data: " in ran.stderr
    assert "job_description is never sent" in ran.stderr
    document = on_emulator.done("validate", "--format", "json").document
    assert document["valid"] is True
    assert document["job_configs"] == ["alpha"]
    assert len(document["warnings"]) == 2


def test_it_needs_neither_state_nor_credentials(on_rest: Repository) -> None:
    on_rest.environment.clear()
    on_rest.job("one")
    on_rest.state_path.write_bytes(b"damage")
    on_rest.done("validate")


def test_without_a_repository_it_says_where_it_looked(repository: Repository) -> None:
    for format_ in ("text", "json", "github", "gitlab"):
        ran = repository.run("validate", "--format", format_, code=1)
        assert (ran.stdout == "") == (format_ != "json")
        assert f"no majobctl.toml in {repository.root} or above it" in ran.stderr
        assert "majobctl init" in ran.stderr


def test_settings_that_are_wrong_are_told_with_the_job_files(on_emulator: Repository) -> None:
    on_emulator.settings('[provider]\nkind = "emulater"\n[apply]\nparallelism = 0\n')
    on_emulator.job("alpha", train_instance_count=0)
    ran = on_emulator.run("validate")
    assert ran.stderr.count("majobctl.toml:") == 2 + ran.stderr.count("majobctl.toml:1:")
    assert 'did you mean "emulator"?' in ran.stderr
    assert "jobs/alpha.toml:9" in ran.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\x00",
        b"[job_config]",
        b"job_config = 5",
        b"[[job_config]]",
        b"[job_config.x]\n" + b"a = " + b"[" * 3000,
        b"x = " + b"9" * 5000,
        b"[job_config.'\x1b']".replace(b"\x1b", b"\\u001b"),
        b'[job_config."\\u001b[31m"]\n"\\u001b" = "\\u0000"',
        b"\n" * 200_000,
        b"[job_config." + b"x" * 100_000 + b"]",
        b"# " + b"\xc3\xa9" * 100_000,
        "﻿[job_config.bom]".encode(),
    ],
    ids=range(14),
)
def test_hostile_files_are_valid_or_told(on_emulator: Repository, content: bytes) -> None:
    (on_emulator.root / "jobs" / "hostile.toml").write_bytes(content)
    for arguments in (["validate"], ["validate", "--format", "json"], ["plan"]):
        ran = on_emulator.run(*arguments)
        assert ran.code in (0, 1)
        assert "\x1b" not in ran.stdout + ran.stderr
    (on_emulator.root / "majobctl.toml").write_bytes(content)
    assert on_emulator.run("validate").code in (0, 1)


@settings(max_examples=40)
@given(content=st.binary(max_size=80))
def test_any_bytes_in_a_file_are_valid_or_told(on_emulator: Repository, content: bytes) -> None:
    (on_emulator.root / "jobs" / "hostile.toml").write_bytes(content)
    assert on_emulator.run("validate").code in (0, 1)


def test_files_that_cannot_be_read_are_told(on_emulator: Repository) -> None:
    (on_emulator.root / "jobs" / "folder.toml").mkdir()
    on_emulator.done("validate")
    (on_emulator.root / "majobctl.toml").unlink()
    (on_emulator.root / "majobctl.toml").mkdir()
    assert "no majobctl.toml" in on_emulator.run("validate").stderr


def test_warnings_are_told_beside_problems(repository: Repository) -> None:
    repository.settings('[provider]\nregion = "eu-de"\n[jobs]\nfiles = ["jobs/*", "other/*"]\n')
    repository.job("alpha", train_instance_count=0)
    ran = repository.run("validate")
    warning, problem, _ = ran.stderr.splitlines()
    assert warning == 'Warning: majobctl.toml:4: jobs: files: "other/*" matches no file'
    assert problem.startswith("jobs/alpha.toml:9: ")
    document = repository.run("validate", "--format", "json").document
    assert [found["line"] for found in document["warnings"]] == [4]
    assert [found["line"] for found in document["problems"]] == [9]


@pytest.mark.parametrize(("count", "shown"), [(3, ""), (4, "16.8"), (5, "21.0"), (10, "42.0")])
def test_a_budget_takes_what_costs_exactly_that_much(
    on_emulator: Repository, count: int, shown: str
) -> None:
    on_emulator.write("prices.toml", 'currency = "EUR"\nprice_per_hour = { "flavor" = 4.2 }\n')
    on_emulator.write(
        "policy.toml",
        """[policy.budget]
because = "that is all we have"
require = { price_per_hour = { maximum = 12.6 } }
fails = [{ price_per_hour = 12.7 }]
""",
    )
    on_emulator.job("alpha", train_instance_type="flavor", train_instance_count=count)
    ran = on_emulator.run("validate")
    assert (ran.code, ran.stderr.count(f"price_per_hour is {shown}; policy budget")) == (
        (1, 1) if shown else (0, 0)
    )
