"""Reading the files of another revision: what git has, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from majobctl.errors import MajobctlError
from majobctl.repository.revision import config_of
from majobctl.repository.settings.variables import NO_OVERRIDES
from tests.config_files import committed, git
from tests.config_repository import JOB, toml_of

SETTINGS = '[provider]\nkind = "emulator"\n'


def write(root: Path, *names: str) -> None:
    (root / "jobs").mkdir(parents=True, exist_ok=True)
    (root / "majobctl.toml").write_text(SETTINGS)
    for name in names:
        (root / "jobs" / f"{name}.toml").write_text(toml_of(name, JOB))


def read(root: Path, revision: str = "HEAD") -> list[str]:
    return [*config_of(root, revision, NO_OVERRIDES).job_configs]


@pytest.mark.parametrize("folder", [".", "team/a b"])
def test_the_files_of_a_revision_are_read_and_nothing_is_touched(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / folder
    write(tmp_path, "other")
    write(root, "one", "two")
    (tmp_path / ".gitattributes").write_text("*.toml export-ignore\n* text eol=crlf\n")
    committed(tmp_path)
    git(tmp_path, "tag", "-m", "x", "v1")
    write(root, "three")
    (root / "jobs" / "one.toml").write_text("broken")
    index = (tmp_path / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    wanted = ["one", "two"] if folder != "." else ["one", "other", "two"]
    assert read(root) == read(root, "v1") == wanted
    assert (tmp_path / ".git" / "index").read_bytes() == index
    assert not (tmp_path / "index").exists()
    assert (root / "jobs" / "one.toml").read_text() == "broken"


@pytest.mark.parametrize(
    "revision",
    ["--output=x", "-x", "--all", "nosuch", "HEAD:jobs", "HEAD^{tree}", "", "@{u}", "a\nb"],
)
def test_what_is_not_a_commit_is_refused(tmp_path: Path, revision: str) -> None:
    write(tmp_path, "one")
    committed(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(MajobctlError):
        read(tmp_path, revision)
    assert sorted(tmp_path.iterdir()) == before


def _link(to: str, name: str = "jobs/link.toml") -> Callable[[Path], object]:
    return lambda root: (root / name).symlink_to(to)


def _submodule(root: Path) -> None:
    inner = root / "jobs" / "sub"
    write(inner, "inner")
    committed(inner)


def _settings(text: str) -> Callable[[Path], object]:
    return lambda root: (root / "majobctl.toml").write_text(SETTINGS + text)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (_link("/etc/passwd"), "jobs/link.toml is a link"),
        (_link("../../x.toml"), "jobs/link.toml is a link"),
        (_link("/srv/team", "jobs/team"), "jobs/team is a link"),
        (_submodule, "jobs/sub is a submodule"),
        (_settings('[jobs]\nfiles = ["../x/*.toml"]\n'), "leads out of this folder"),
        (_settings("[jobs\n"), "majobctl.toml:3"),
        (lambda root: (root / "jobs" / "one.toml").write_text("version 1\n"), "jobs/one.toml:1"),
        (lambda root: (root / "majobctl.toml").unlink(), "it has no majobctl.toml"),
    ],
)
def test_what_git_does_not_keep_as_a_file_is_not_followed(
    tmp_path: Path, prepare: Callable[[Path], object], said: str
) -> None:
    write(tmp_path, "one")
    prepare(tmp_path)
    committed(tmp_path)
    with pytest.raises(MajobctlError, match=said):
        read(tmp_path)


def test_a_link_beside_the_job_files_does_not_matter(tmp_path: Path) -> None:
    write(tmp_path, "one")
    _link("/srv/documents", "docs")(tmp_path)
    committed(tmp_path)
    assert read(tmp_path) == ["one"]


def test_without_a_git_repository_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one")
    with pytest.raises(MajobctlError, match="not a git repository"):
        read(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MajobctlError, match="git is not installed"):
        read(tmp_path)
