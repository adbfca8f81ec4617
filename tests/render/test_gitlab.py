from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import Problem
from majobctl.render.gitlab import code_quality
from tests.config_repository import Repository

KEYS = ["description", "check_name", "fingerprint", "severity", "location"]
POLICY = """
[policy.small]
because = "nodes are few"
level = "{level}"
require = {{ train_instance_count = {{ maximum = 1 }} }}
fails = [{{ train_instance_count = 2 }}]
"""


def report(repository: Repository, code: int = 0) -> list[dict[str, Any]]:
    ran = repository.run("validate", "--format", "gitlab", code=code)
    issues: list[dict[str, Any]] = ran.document
    assert all(list(issue) == KEYS for issue in issues)
    return issues


def places(issues: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [
        (it["severity"], it["location"]["path"], it["location"]["lines"]["begin"]) for it in issues
    ]


def test_a_valid_repository_is_an_empty_report(on_emulator: Repository) -> None:
    on_emulator.job("alpha")
    assert report(on_emulator) == []


def test_problems_are_major_warnings_are_minor_and_the_log_has_both(
    on_emulator: Repository,
) -> None:
    on_emulator.job("alpha", train_instance_count=0)
    on_emulator.job("beta", inputs=None, job_description="50 %")
    issues = report(on_emulator, code=1)
    assert places(issues) == [
        ("major", "jobs/alpha.toml", 9),
        ("minor", "jobs/beta.toml", 1),
        ("minor", "jobs/beta.toml", 9),
    ]
    assert issues[0]["description"].startswith("job_config.alpha: train_instance_count ")
    log = on_emulator.run("validate", "--format", "gitlab").stderr
    assert "jobs/alpha.toml:9: job_config.alpha: train_instance_count " in log
    assert "Warning: jobs/beta.toml:9: " in log
    assert log.endswith("1 problem. Nothing was done.\n")


@pytest.mark.parametrize(
    ("level", "severity", "code"), [("deny", "major", 1), ("warn", "minor", 0)]
)
def test_a_violation_of_a_policy_is_at_the_line_of_the_value(
    on_emulator: Repository, level: str, severity: str, code: int
) -> None:
    on_emulator.write("policy.toml", POLICY.format(level=level))
    on_emulator.job("alpha", train_instance_count=2)
    (issue,) = report(on_emulator, code)
    assert places([issue]) == [(severity, "jobs/alpha.toml", 9)]
    assert issue["description"] == (
        "job_config.alpha: train_instance_count is 2;"
        " policy small (policy.toml:2) allows at most 1: nodes are few"
    )


def test_a_fingerprint_stays_when_lines_are_added_above(on_emulator: Repository) -> None:
    on_emulator.write("policy.toml", POLICY.format(level="deny"))
    on_emulator.job("alpha", train_instance_count=2)
    (before,) = report(on_emulator, code=1)
    for name in ("policy.toml", "jobs/alpha.toml"):
        text = (on_emulator.root / name).read_text(encoding="utf-8")
        on_emulator.write(name, f"# A line.\n\n{text}")
    (after,) = report(on_emulator, code=1)
    assert [it["location"]["lines"]["begin"] for it in (before, after)] == [9, 11]
    assert before["fingerprint"] == after["fingerprint"]


@pytest.mark.parametrize(("checkout", "folder"), [("..", "repository/jobs"), (".", "jobs")])
def test_a_path_is_that_from_the_folder_that_gitlab_checks_out(
    on_emulator: Repository, checkout: str, folder: str
) -> None:
    on_emulator.environment["CI_PROJECT_DIR"] = str(on_emulator.root / checkout)
    on_emulator.job("alpha", train_instance_count=0)
    assert places(report(on_emulator, code=1)) == [("major", f"{folder}/alpha.toml", 9)]


def test_without_a_repository_there_is_no_report(repository: Repository) -> None:
    ran = repository.run("validate", "--format", "gitlab")
    assert (ran.code, ran.stdout) == (1, "")
    assert "no majobctl.toml" in ran.stderr


problems = st.builds(
    Problem,
    file=st.sampled_from(["", "a", "b"]),
    line=st.integers(0, 3),
    where=st.sampled_from(["", "x"]),
    message=st.text("a:12\ud800\x1b", max_size=3),
)


@given(st.lists(problems, max_size=8), st.lists(problems, max_size=8))
def test_every_issue_has_a_place_and_a_fingerprint_of_its_own(
    problems: list[Problem], warnings: list[Problem]
) -> None:
    issues = code_quality(problems, warnings)
    assert len({it["fingerprint"] for it in issues}) == len(problems) + len(warnings)
    assert all(it["location"]["path"] for it in issues)
    assert all(it["location"]["lines"]["begin"] > 0 for it in issues)
