from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import Problem
from majobctl.render.github import workflow_commands
from tests.config_repository import Repository

_COMMAND = re.compile(r"::(error|warning) ([^\n]*?)::([^\n]*)\n")
_BACK = {"%25": "%", "%0D": "\r", "%0A": "\n", "%3A": ":", "%2C": ","}


def read(text: str, *, is_property: bool) -> str:
    """What GitHub's runner makes of an escaped text: its own table, read from left to right."""
    known = _BACK if is_property else {"%25": "%", "%0D": "\r", "%0A": "\n"}
    return re.sub(r"%[0-9A-F]{2}", lambda match: known.get(match[0], match[0]), text)


def test_a_problem_is_an_error_and_a_warning_a_warning() -> None:
    place = {"file": "jobs/a.toml", "where": "job_config.a"}
    problem = Problem(**place, line=12, column=3, message="inputs must be a string")
    warning = Problem(file="jobs/b.toml", line=1, message="no data")
    assert workflow_commands([problem], [warning]) == (
        "::error file=jobs/a.toml,line=12,col=3,title=job_config.a"
        "::jobs/a.toml:12:3: job_config.a: inputs must be a string\n"
        "::warning file=jobs/b.toml,line=1,title=majobctl::jobs/b.toml:1: no data\n"
    )


def test_a_problem_without_a_place_has_none() -> None:
    assert workflow_commands([Problem(message="no")], []) == "::error title=majobctl::no\n"


def test_nothing_is_nothing() -> None:
    assert workflow_commands([], []) == ""


texts = st.text(st.sampled_from("a%:,\r\n25ACD0 é"), max_size=12)


@given(file=texts, line=st.integers(0, 9), where=texts, message=texts)
def test_whatever_the_texts_are_each_is_one_command_that_reads_back(
    file: str, line: int, where: str, message: str
) -> None:
    problem = Problem(file=file, line=line, where=where, message=message)
    match = _COMMAND.fullmatch(workflow_commands([problem], []))
    assert match
    assert read(match[3], is_property=False) == str(problem)
    properties = dict(part.split("=", 1) for part in match[2].split(","))
    assert read(properties.get("file", ""), is_property=True) == file
    assert properties.get("line", "0") == str(line)
    assert "\n" not in read(properties["title"], is_property=True)


def test_validate_shows_all_problems_and_warnings_on_stdout(on_emulator: Repository) -> None:
    on_emulator.job("alpha", train_instance_count=0)
    on_emulator.job("beta", inputs=None, job_description="50 %")
    ran = on_emulator.run("validate", "--format", "github", code=1)
    lines = ran.stdout.splitlines()
    assert [line.partition(",title")[0] for line in lines] == [
        "::error file=jobs/alpha.toml,line=9",
        "::warning file=jobs/beta.toml,line=1",
        "::warning file=jobs/beta.toml,line=9",
        "1 problem.",
    ]


def test_what_is_valid_is_counted_after_its_warnings(on_emulator: Repository) -> None:
    on_emulator.job("alpha", inputs=None)
    ran = on_emulator.done("validate", "--format", "github")
    first, last = ran.stdout.splitlines()
    assert first.startswith("::warning file=jobs/alpha.toml,line=1,title=job_config.alpha::")
    assert last == "1 job config is valid."


@pytest.mark.parametrize(
    ("workspace", "folder"), [("..", "repository/jobs"), (".", "jobs"), ("elsewhere", "jobs")]
)
def test_a_path_is_that_from_the_folder_that_github_checks_out(
    on_emulator: Repository, workspace: str, folder: str
) -> None:
    on_emulator.environment["GITHUB_WORKSPACE"] = str(on_emulator.root / workspace)
    on_emulator.job("alpha", train_instance_count=0)
    on_emulator.job("beta", train_instance_count=0)
    ran = on_emulator.run("validate", "--format", "github")
    assert ran.stdout.startswith(f"::error file={folder}/alpha.toml,line=9,")
    assert ran.stdout.endswith("\n2 problems.\n")


def test_without_a_repository_nothing_is_annotated(repository: Repository) -> None:
    ran = repository.run("validate", "--format", "github")
    assert (ran.code, ran.stdout) == (1, "")
    assert "no majobctl.toml" in ran.stderr
