"""Who owns a file: CODEOWNERS as GitHub reads it, and as GitLab does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from majobctl.errors import ConfigError
from majobctl.repository.impact import owners_of
from tests.config_files import git

FILE = "jobs/nlp/a.toml"
SECTIONS = "[One] @one\njobs/\n[Two][2]\n*.toml @two\n^[three]\njobs/nlp/ @three\n"


def owners(root: Path, text: str, place: str = "CODEOWNERS", name: str = FILE) -> list[str]:
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)
    return [*owners_of(root, [name])[name]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("* @a\n", ["@a"]),
        ("* @a @org/team mail@example.com\n", ["@a", "@org/team", "mail@example.com"]),
        ("*.toml @a\n*.py @b\n", ["@a"]),
        ("* @a\njobs/ @b\n", ["@b"]),
        ("jobs/ @b\n* @a\n", ["@a"]),
        ("* @a\n/jobs/nlp/\n", []),
        ("nlp/ @a\n", ["@a"]),
        ("/nlp/ @a\n", []),
        ("jobs/* @a\n", []),
        ("jobs/** @a\n", ["@a"]),
        ("**/a.toml @a\n", ["@a"]),
        ("jobs/*/a.toml @a\n", ["@a"]),
        ("nlp/a.toml @a\n", []),
        ("* @a # not @b\n", ["@a"]),
        ("# * @b\n", []),
        ("* a-word @a\n", ["@a"]),
        ("* @a\n[ab].toml @b\n", ["@a"]),
        ("* @a\njobs/[z-a @b\n", ["@a"]),
        ("* @a\njobs/\\\\[nlp @b\n", ["@a"]),
        ("* @a\n!jobs/ @b\n", ["@a"]),
        ("* @\x07a\n", ["@\\x07a"]),
        ("\ufeff* @a\n", ["@a"]),
    ],
)
def test_a_file_of_github(tmp_path: Path, text: str, found: list[str]) -> None:
    assert owners(tmp_path, text, ".github/CODEOWNERS") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nlp/a.toml @a\n", ["@a"]),
        ("/nlp/a.toml @a\n", []),
        ("* @a\njobs/ @b @@developers\n", ["@b", "@@developers"]),
        (SECTIONS, ["@one", "@two", "@three"]),
        (f"* @all\n{SECTIONS}", ["@all", "@one", "@two", "@three"]),
        ("[One] @one @two\njobs/\n*.toml @x\n", ["@x"]),
        ("[One] @one @two\n*.toml @x\njobs/\n", ["@one", "@two"]),
        ("[One]\njobs/ @x\n[Two] @y\n*.py\n[ONE] @z\n*.toml\n", ["@z"]),
        ("[One]\n!jobs/nlp/\n* @x\n[Two]\n* @y\n", ["@y"]),
        ("[One] @x\n*.toml\n!*.py\n", ["@x"]),
        ("[One] @x\njobs/a\\ b/\n", []),
    ],
)
def test_a_file_of_gitlab(tmp_path: Path, text: str, found: list[str]) -> None:
    assert owners(tmp_path, text, ".gitlab/CODEOWNERS") == found


@pytest.mark.parametrize("place", ["CODEOWNERS", "docs/CODEOWNERS"])
def test_sections_make_it_a_file_of_gitlab(tmp_path: Path, place: str) -> None:
    assert owners(tmp_path, f"nlp/a.toml @all\n{SECTIONS}", place)[0] == "@all"
    assert owners(tmp_path, "nlp/a.toml @all\n", place) == []


def test_the_first_place_counts_and_without_one_nothing_is_known(tmp_path: Path) -> None:
    assert owners_of(tmp_path, [FILE]) == {}
    places = (".gitlab/CODEOWNERS", "docs/CODEOWNERS", "CODEOWNERS", ".github/CODEOWNERS")
    for number, place in enumerate(places):
        assert owners(tmp_path, f"* @{number}\n", place) == [f"@{number}"]


@pytest.mark.parametrize("link", [False, True])
def test_the_file_is_the_git_repositorys(tmp_path: Path, link: bool) -> None:
    root = tmp_path / "top" / "team a"
    root.mkdir(parents=True)
    (tmp_path / "CODEOWNERS").write_text("* @above\n")
    assert owners_of(root, [FILE]) == {}
    git(root.parent, "init", "-q")
    text = "* @all\n/team\\ a/jobs/ @team\n/shared/ @shared\n"
    (root.parent / "CODEOWNERS").write_text(text)
    if link:
        os.symlink(root, tmp_path / "link")
        root = tmp_path / "link"
    found = owners_of(root, [FILE, FILE, "../shared/b.toml", "../../c.toml"])
    assert found == {
        "../../c.toml": ("@all",),
        "../shared/b.toml": ("@shared",),
        FILE: ("@team",),
    }
    assert [*found] == sorted(found)


def test_one_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with open(tmp_path / "CODEOWNERS", "wb") as file:
        file.truncate(2**27)
    with pytest.raises(ConfigError, match="CODEOWNERS: cannot be read: it is larger than"):
        owners_of(tmp_path, [FILE])
