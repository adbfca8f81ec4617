"""One bad file for each rule of a job config and of the settings, with the problems it must have.

Each file ends with its expected problems, in the order they are reported, as comments:

    # error: LINE: TABLE: MESSAGE

This is what `majobctl validate` prints, without the file's name. The comments come last, so that
they move no line. A file without such a comment fails.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config_files import SETTINGS, problems_of

FOLDER = Path(__file__).parent / "bad_files"
MARK = "# error: "
JOB_FILES = {f"jobs/{path.name}": path.read_bytes() for path in sorted(FOLDER.glob("*.toml"))}
SETTINGS_FILES = sorted((FOLDER / "settings").glob("*.toml"))


def expected(name: str, content: bytes) -> list[str]:
    """The problems that the comments of a file describe."""
    lines = content.decode().split("\n")
    found = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    assert found, f"{name} has no line that starts with {MARK!r}"
    return [f"{name}:{problem}" for problem in found]


@pytest.mark.parametrize("name", JOB_FILES)
@pytest.mark.bad_inputs("job files", "name")
def test_a_bad_job_file_has_exactly_its_expected_problems(name: str, tmp_path: Path) -> None:
    assert problems_of(tmp_path, {name: JOB_FILES[name]}) == expected(name, JOB_FILES[name])


@pytest.mark.parametrize("path", SETTINGS_FILES, ids=lambda path: path.stem)
@pytest.mark.bad_inputs("settings", "path")
def test_bad_settings_have_exactly_their_expected_problems(path: Path, tmp_path: Path) -> None:
    name, content = "majobctl.toml", path.read_bytes()
    assert problems_of(tmp_path, {name: content}) == expected(name, content)


def test_all_bad_job_files_in_one_run_have_the_same_problems_as_alone(tmp_path: Path) -> None:
    alone = {line for name, content in JOB_FILES.items() for line in expected(name, content)}
    found = problems_of(tmp_path, JOB_FILES)
    repeated = [line for line in found if "already used at" in line and line not in alone]
    assert [line for line in found if line not in repeated] == sorted(alone, key=found.index)
    assert repeated


def test_no_problem_shows_a_character_that_a_terminal_acts_on(tmp_path: Path) -> None:
    assert all(line.isprintable() for line in problems_of(tmp_path, JOB_FILES))


def test_the_settings_of_these_tests_are_valid(tmp_path: Path) -> None:
    found = problems_of(tmp_path, {"majobctl.toml": SETTINGS, "jobs/a.toml": "x"})
    assert len(found) == 1
