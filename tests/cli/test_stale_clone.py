"""Two clones of a config repository with one state: a plan of files that are older than the state
says so."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.config_repository import JOB, Repository, toml_of
from tests.git_servers import NO_GIT, bare, git
from tests.live_cloud import Cloud

pytestmark = [
    pytest.mark.skipif(bool(NO_GIT), reason=str(NO_GIT)),
    pytest.mark.parametrize("cloud", ["plain"], indirect=True),
]
DAY = r"20\d\d-\d\d-\d\d"
COMMITTED = rf"commit [0-9a-f]{{7}}, which is not in HEAD \(alice, {DAY}\)"
UNCOMMITTED = rf"files that were not committed \(alice, {DAY}\)"
GIT = shutil.which("git")
CREATES = "[apply]\ncreate_missing = true\n"
ADVICE = "unless you mean to, get it first, with `git pull` or `git merge`"


def warning(names: str, source: str = COMMITTED) -> str:
    advice = f"{ADVICE}, once it is committed" if source == UNCOMMITTED else ADVICE
    undone = f"this plan undoes what was applied from {source}; {advice}"
    return f"(?m)^Warning: {names}: {undone}$"


@dataclass
class Team:
    """Alice's and Bob's clones, with ``alpha`` and ``beta``, applied by Alice from a commit."""

    alice: Repository
    bob: Repository
    origin: Path

    def edit(self, who: Repository, text: str, name: str = "alpha") -> None:
        who.job(name, config_desc=text)

    def commit(self, who: Repository) -> None:
        git(who.root, "add", "--all")
        git(who.root, "commit", "-qm", "edit")

    def push(self, who: Repository) -> None:
        git(who.root, "push", "-q", "origin", "HEAD")

    def applied(self, text: str = "second", name: str = "alpha") -> None:
        """Alice commits, pushes and applies."""
        self.edit(self.alice, text, name)
        self.commit(self.alice)
        self.push(self.alice)
        self.alice.apply()

    def pull(self, *options: str) -> None:
        git(self.bob.root, "pull", "-q", *options)


@pytest.fixture
def team(repository: Repository, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Team:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        monkeypatch.delenv(name, raising=False)
    origin, alice = bare(repository.root.parent / "origin.git", "-b", "main"), repository
    alice.environment.update(cloud.environment)
    git(alice.root, "clone", "-q", str(origin), ".")
    git(alice.root, "checkout", "-q", "-B", "main")
    git(alice.root, "config", "user.name", "alice")
    alice.settings(f'{cloud.settings()}\n[state]\npath = "../shared.state.json"\n')
    alice.write(".gitignore", ".majobctl/\n")
    found = Team(alice, cloned(alice, origin, "bob"), origin)
    for name in ("alpha", "beta"):
        found.edit(alice, "first", name)
    found.commit(alice)
    found.push(alice)
    alice.apply("--overwrite")
    git(found.bob.root, "pull", "-q", "origin", "main")
    git(found.bob.root, "branch", "-q", "--set-upstream-to", "origin/main")
    return found


def cloned(like: Repository, origin: Path, name: str, *options: str) -> Repository:
    root = like.root.parent / name
    git(like.root, "clone", "-q", *options, f"file://{origin}", str(root))
    git(root, "checkout", "-q", "-B", "main")
    git(root, "config", "user.name", name)
    return Repository(root, like.monkeypatch, like.capsys, like.environment)


# --- what is an older file, and what is an edit ---


def not_pulled(team: Team) -> None:
    team.applied()


def not_pulled_twice(team: Team) -> None:
    team.applied()
    team.applied("third")


def committed_after_the_apply(team: Team) -> None:
    team.edit(team.alice, "second")
    team.alice.apply()
    team.commit(team.alice)
    team.push(team.alice)


def on_a_branch_that_is_behind(team: Team) -> None:
    git(team.bob.root, "checkout", "-qb", "mine")
    team.edit(team.bob, "mine", "beta")
    team.commit(team.bob)
    team.applied()
    git(team.bob.root, "fetch", "-q")


def on_a_branch_that_was_merged(team: Team) -> None:
    on_a_branch_that_is_behind(team)
    git(team.bob.root, "merge", "-q", "origin/main")


def pulled(team: Team) -> None:
    team.applied()
    team.pull()
    team.edit(team.bob, "third")


def reverted(team: Team) -> None:
    team.applied()
    team.pull()
    git(team.bob.root, "revert", "--no-edit", "HEAD")


def back_to_an_older_commit(team: Team) -> None:
    team.applied()
    team.pull()
    git(team.bob.root, "checkout", "-q", "HEAD~")


def squashed(team: Team) -> None:
    git(team.alice.root, "checkout", "-qb", "theirs")
    team.applied()
    git(team.alice.root, "checkout", "-q", "main")
    git(team.alice.root, "merge", "-q", "--squash", "theirs")
    team.commit(team.alice)
    team.push(team.alice)
    team.pull()
    team.edit(team.bob, "third")


def rebased(team: Team) -> None:
    team.edit(team.bob, "bob's", "beta")
    team.commit(team.bob)
    team.push(team.bob)
    team.edit(team.alice, "second")
    team.commit(team.alice)
    team.alice.apply()
    git(team.alice.root, "pull", "-q", "--rebase", "origin", "main")
    team.push(team.alice)
    team.pull()


def shallow(team: Team) -> None:
    shutil.rmtree(team.bob.root)
    cloned(team.alice, team.origin, "bob", "--depth=1")
    team.applied()


def without_git(team: Team) -> None:
    team.applied()
    shutil.rmtree(team.bob.root / ".git")


def without_a_commit(team: Team) -> None:
    team.applied()
    shutil.rmtree(team.bob.root / ".git")
    git(team.bob.root, "init", "-q")


def without_history(team: Team) -> None:
    team.applied()
    (team.origin.parent / "shared.history.jsonl").unlink()


def with_a_history_that_cannot_be_read(team: Team) -> None:
    team.applied()
    path = team.origin.parent / "shared.history.jsonl"
    path.unlink()
    path.mkdir()


def with_a_damaged_history(team: Team) -> None:
    team.applied()
    path = team.origin.parent / "shared.history.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"fields":[', b'"fields":7,"x":['))


def partial(team: Team) -> None:
    git(team.origin, "config", "uploadpack.allowFilter", "true")
    shutil.rmtree(team.bob.root)
    cloned(team.alice, team.origin, "bob", "--filter=tree:0")
    team.applied()


def theirs_alone(team: Team) -> None:
    team.applied()
    team.edit(team.bob, "third", "beta")
    team.pull()


def added(team: Team) -> None:
    team.applied("new", "gamma")


def removed(team: Team) -> None:
    team.alice.remove("beta")
    team.commit(team.alice)
    team.alice.apply()


def renamed(team: Team) -> None:
    team.alice.remove("beta")
    team.alice.job("gamma", config_desc="first", renamed_from="beta")
    team.commit(team.alice)
    team.alice.apply("--overwrite")


def tried_and_taken_back(team: Team) -> None:
    git(team.bob.root, "config", "user.name", "alice")
    committed_after_the_apply(team)


def by_whom_nobody_knows(team: Team) -> None:
    """A CI without git's history may have named anything as its commit."""
    variables = {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "alice", "GITHUB_SHA": "--output=x"}
    shutil.move(team.alice.root / ".git", team.alice.root.parent / "git")
    team.edit(team.alice, "second")
    with team.alice.monkeypatch.context() as patched:
        for name, value in variables.items():
            patched.setenv(name, value)
        team.alice.apply()


def in_a_folder_of_the_repository(team: Team) -> None:
    for it in (team.alice, team.bob):
        it.root = it.root / "models"
    team.bob.root.mkdir()
    shutil.copytree(team.bob.root.parent / "jobs", team.bob.root / "jobs")
    text = (team.bob.root.parent / "majobctl.toml").read_text()
    team.bob.settings(text.replace("../shared", "../../shared"))
    team.commit(team.bob)
    team.push(team.bob)
    git(team.alice.root.parent, "pull", "-q")
    team.applied()


ALPHA = warning(r"job_config\.alpha")
CASES: list[tuple[Callable[[Team], None], str]] = [
    (not_pulled, ALPHA),
    (not_pulled_twice, ALPHA),
    (committed_after_the_apply, warning(r"job_config\.alpha", UNCOMMITTED)),
    (on_a_branch_that_is_behind, ALPHA),
    (on_a_branch_that_was_merged, ""),
    (pulled, ""),
    (reverted, ""),
    (back_to_an_older_commit, ALPHA),
    (squashed, ""),
    (rebased, ""),
    (shallow, ""),
    (without_git, ""),
    (without_a_commit, ""),
    (without_history, ""),
    (with_a_history_that_cannot_be_read, ""),
    (with_a_damaged_history, ""),
    (partial, ALPHA),
    (theirs_alone, ""),
    (added, warning(r"job_config\.gamma")),
    (removed, warning(r"job_config\.beta")),
    (renamed, warning(r"job_config\.beta")),
    (tried_and_taken_back, ""),
    (by_whom_nobody_knows, ""),
    (in_a_folder_of_the_repository, ALPHA),
]


@pytest.mark.parametrize(
    ("arrange", "expected"), CASES, ids=[arrange.__name__ for arrange, _ in CASES]
)
def test_a_plan_says_if_its_files_are_older(
    team: Team, arrange: Callable[[Team], None], expected: str
) -> None:
    arrange(team)
    said = team.bob.done("plan").stderr
    assert re.search(expected, said) if expected else "undoes" not in said, said
    again = team.bob.run("apply", "--auto-approve").stderr
    assert ("undoes" in again) == bool(expected), again


def test_every_format_has_it_and_a_saved_plan_says_it_once(team: Team) -> None:
    team.applied()
    outputs = {"json": "plan.json", "html": "plan.html", "markdown": "plan.md"}
    also = [word for it in outputs.items() for word in ("--also", "=".join(it))]
    ran = team.bob.done("plan", "--out", "saved.plan", *also)
    assert ran.stderr.count("undoes") == 1
    for name in outputs.values():
        text = (team.bob.root / name).read_text()
        assert "this plan undoes what was applied from commit" in text, name
    (found,) = json.loads((team.bob.root / "plan.json").read_text())["warnings"]
    assert found.startswith("job_config.alpha: this plan undoes ")
    ran = team.bob.done("apply", "saved.plan")
    assert "undoes" not in ran.stderr
    assert "Apply complete: 1 updated" in ran.stdout


@pytest.mark.parametrize("options", [["--state", "copy.json"], ["--base", "HEAD"]])
def test_a_copy_and_a_revision_have_no_history(team: Team, options: list[str]) -> None:
    team.applied()
    team.bob.write("copy.json", team.bob.done("state", "pull").stdout)
    assert "undoes" not in team.bob.done("plan", *options).stderr


def test_an_environment_has_its_own(team: Team) -> None:
    path = f'[environments.prod]\nstate.path = "{team.origin.parent}/prod.state.json"\n'
    for it in (team.alice, team.bob):
        it.settings((it.root / "majobctl.toml").read_text() + path)
    team.commit(team.alice)
    team.push(team.alice)
    team.alice.apply("-e", "prod")
    git(team.bob.root, "checkout", "-q", ".")
    team.pull()
    team.edit(team.alice, "second")
    team.commit(team.alice)
    team.alice.apply("-e", "prod")
    assert re.search(ALPHA, team.bob.done("plan", "-e", "prod").stderr)
    assert team.bob.done("plan").stdout.startswith("No changes.")


def test_a_state_in_a_branch_of_the_remote(team: Team) -> None:
    text = (team.alice.root / "majobctl.toml").read_text()
    team.alice.done("state", "move", "git")
    team.alice.settings(text.replace('path = "../shared.state.json"', 'backend = "git"'))
    team.commit(team.alice)
    team.push(team.alice)
    team.pull()
    team.applied()
    assert re.search(ALPHA, team.bob.done("plan").stderr)
    team.pull()
    assert team.bob.done("plan").stderr == ""


def test_a_plan_asks_git_only_if_a_value_goes_back(team: Team) -> None:
    log = team.bob.root.parent / "asked.txt"
    fake = team.bob.write("../bin/git", f'#!/bin/sh\necho "$3" >> {log}\nexec {GIT} "$@"\n')
    fake.chmod(0o755)
    team.applied()
    team.pull()
    team.bob.monkeypatch.setenv("PATH", f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    team.bob.process("plan", code=0)
    team.edit(team.bob, "third")
    team.bob.process("plan", code=0)
    assert not log.exists()
    team.edit(team.bob, "first")
    team.bob.process("plan", code=0)
    assert log.read_text() == "merge-base\n"


def test_many_values_are_found_as_few_are(team: Team) -> None:
    def edit(text: str) -> None:
        tables = (toml_of(f"x{i}", {**JOB, "config_desc": f"{text} {i}"}) for i in range(101))
        team.alice.write("jobs/many.toml", "".join(tables))
        team.commit(team.alice)
        team.push(team.alice)
        team.alice.apply()

    team.alice.settings(f"{(team.alice.root / 'majobctl.toml').read_text()}{CREATES}")
    edit("first")
    team.pull()
    edit("second")
    said = team.bob.done("plan").stderr
    assert re.search(warning(r"job_config\.x0, job_config\.x1, job_config\.x10 and 98 more"), said)


def test_what_is_not_selected_is_not_named(team: Team) -> None:
    team.applied()
    team.applied(name="beta")
    said = team.bob.done("plan").stderr
    two = rf"{COMMITTED}, {COMMITTED}"
    assert re.search(warning(r"job_config\.beta, job_config\.alpha", two), said), said
    assert re.search(ALPHA, team.bob.done("plan", "--target", "alpha").stderr)
