"""What each command that writes the state leaves in its history."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from majobctl.operations.authorship import author
from majobctl.operations.context import ConfigRepository, store_of
from majobctl.state.event import Event
from majobctl.state.history import History
from majobctl.state.journal import intent
from tests.config_repository import Repository
from tests.fake_service import FakeService
from tests.git_servers import NO_GIT

CI = ("GITHUB_ACTIONS", "GITLAB_CI")


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI:
        monkeypatch.delenv(name, raising=False)


def history(repository: Repository) -> History:
    settings = ConfigRepository(repository.root).load_settings()
    store = store_of(settings)
    return History(store.backend.read_history(), store.read(), store.backend.history_name)


def last(repository: Repository) -> Event:
    return next(history(repository).events())


def edits(event: Event) -> dict[str, tuple[str, dict[str, tuple[object, object, str]]]]:
    return {
        name: (
            it.action,
            {item.dotted: (item.before, item.after, item.cause) for item in it.fields},
        )
        for name, it in event.changes.items()
    }


def git(repository: Repository, *arguments: str) -> str:
    command = ["git", "-c", "commit.gpgsign=false", *arguments]
    ran = subprocess.run(command, cwd=repository.root, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def in_git(on_emulator: Repository) -> Repository:
    """A clone with a commit of all that is not ignored, by alice."""
    if NO_GIT:
        pytest.skip(NO_GIT)
    on_emulator.write(".gitignore", ".majobctl/\n*.state.json*\n")
    git(on_emulator, "init", "-q")
    git(on_emulator, "config", "user.name", "alice")
    git(on_emulator, "config", "user.email", "alice@example.com")
    git(on_emulator, "add", "--all")
    git(on_emulator, "commit", "-qm", "first")
    return on_emulator


def test_an_apply_says_who_from_which_commit_and_why(in_git: Repository) -> None:
    in_git.process("apply", "--auto-approve", code=0)
    first = last(in_git)
    assert (first.serial, first.about.user, first.about.clean) == (1, "alice", True)
    assert first.about.commit == git(in_git, "rev-parse", "HEAD")
    assert first.about.command == "majobctl apply --auto-approve"
    assert (first.about.job, first.about.plan) == ("", "")
    action, fields = edits(first)["alpha"]
    assert action == "record"  # the cloud has it
    assert fields["train_instance_count"] == (None, 1, "jobs/alpha.toml:1")
    # Neither the history nor a file that majobctl does not read makes it dirty.
    in_git.write("notes.txt", "x")
    in_git.job("alpha", train_instance_count=2)
    git(in_git, "commit", "-qam", "second")
    in_git.apply()
    assert last(in_git).about.clean is True
    assert edits(last(in_git)) == {
        "alpha": ("update", {"train_instance_count": (1, 2, "jobs/alpha.toml:9")})
    }
    in_git.job("beta")
    in_git.apply()
    assert (last(in_git).about.clean, list(last(in_git).changes)) == (False, ["beta"])
    assert [it.counts for it in history(in_git).events()] == [True] * 3
    assert history(in_git).verify() == []


@pytest.mark.parametrize(
    ("variables", "user", "job", "commit"),
    [
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_ACTOR": "bob", "GITHUB_RUN_ID": "42"},
            *("bob", "GitHub run 42", "0123abc"),
        ),
        (
            {"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "carol", "CI_JOB_ID": "4211"},
            *("carol", "GitLab job 4211", "0123abc"),
        ),
        ({"GITLAB_CI": "true", "GITLAB_USER_LOGIN": "\x1b[31m"}, "\\x1b[31m", "GitLab", "0123abc"),
        ({}, None, "", ""),
    ],
    ids=["GitHub", "GitLab", "hostile", "neither"],
)
def test_without_git_the_ci_says_who(
    on_emulator: Repository, variables: dict[str, str], user: str | None, job: str, commit: str
) -> None:
    on_emulator.environment |= {"GITHUB_SHA": "0123abc", "CI_COMMIT_SHA": "0123abc", **variables}
    on_emulator.apply()
    about = last(on_emulator).about
    assert (about.user == user) or (user is None and about.user)
    assert (about.job, about.commit, about.clean) == (job, commit, None)
    assert about.host


def test_a_git_that_says_nothing_keeps_nobody_from_applying(in_git: Repository) -> None:
    (in_git.root / ".git" / "HEAD").write_text("damaged")
    in_git.apply()
    assert (last(in_git).about.commit, last(in_git).about.clean) == ("", None)


def test_a_job_file_that_git_hides_is_not_in_the_commit(in_git: Repository) -> None:
    git(in_git, "config", "status.showUntrackedFiles", "no")
    in_git.job("beta")
    in_git.apply()
    assert last(in_git).about.clean is False


def test_a_file_of_variables_that_is_not_in_the_commit_is_not_clean(in_git: Repository) -> None:
    in_git.write("big [1].toml", 'size = "2"\n')
    settings = (in_git.root / "majobctl.toml").read_text()
    in_git.settings(f'{settings}\n[variables]\nsize = "1"\n')
    in_git.job("alpha", hyperparameters={"size": "${var.size}"})
    git(in_git, "commit", "-qam", "second")
    in_git.apply("--var-file", "big [1].toml")
    assert last(in_git).about.clean is False
    git(in_git, "add", "--all")
    git(in_git, "commit", "-qm", "third")
    in_git.job("alpha", hyperparameters={"size": "${var.size}"}, config_desc="second")
    git(in_git, "commit", "-qam", "fourth")
    in_git.apply("--var-file", "big [1].toml")
    assert last(in_git).about.clean is True


def test_no_command_of_the_clone_is_run(in_git: Repository) -> None:
    git(in_git, "config", "core.fsmonitor", f"touch '{in_git.root}/was-run' #")
    in_git.apply()
    assert not (in_git.root / "was-run").exists()
    assert last(in_git).about.clean is True


def test_a_git_that_nobody_asks_is_not_waited_for(
    in_git: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, late = tmp_path / "slow" / "git", tmp_path / "late"
    slow.parent.mkdir()
    slow.write_text(f"#!/bin/sh\n(sleep 4; touch '{late}') &\nsleep 4\n")
    slow.chmod(0o755)
    settings = ConfigRepository(in_git.root).load_settings()
    monkeypatch.setenv("PATH", str(slow.parent), prepend=os.pathsep)
    with author(settings, "majobctl apply"):
        pass
    assert not late.exists()


def test_a_saved_plan_is_known_by_its_digest(on_emulator: Repository) -> None:
    on_emulator.done("plan", "--out", "saved.plan")
    digest = hashlib.sha256((on_emulator.root / "saved.plan").read_bytes()).hexdigest()
    on_emulator.process("apply", "saved.plan", code=0)
    about = last(on_emulator).about
    assert (about.plan, about.command) == (f"sha256:{digest}", "majobctl apply saved.plan")


def test_causes_of_the_defaults_and_renames_are_followed(on_emulator: Repository) -> None:
    on_emulator.apply()
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(f'{settings}[defaults]\nlog_url = "/b/log/"\n')
    on_emulator.apply()
    line = settings.count("\n") + 2
    cause = f"majobctl.toml:{line} (defaults)"
    assert edits(last(on_emulator)) == {"alpha": ("update", {"log_url": (None, "/b/log/", cause)})}
    on_emulator.remove("alpha")
    on_emulator.job("beta", renamed_from="alpha", train_instance_count=2)
    on_emulator.apply("--overwrite")
    renamed = last(on_emulator).changes
    assert {name: it.action for name, it in renamed.items()} == {"alpha": "forget", "beta": "add"}
    assert renamed["beta"].old_name == "alpha"
    assert [it.dotted for it in renamed["beta"].fields] == ["train_instance_count"]
    blamed = {it.dotted: it.event and it.event.serial for it in history(on_emulator).blame("beta")}
    assert blamed.pop("train_instance_count") == 3
    assert blamed.pop("log_url") == 2
    assert {*blamed.values()} == {1}
    assert [it.serial for it in history(on_emulator).events("beta")] == [3, 2, 1]


def test_what_was_held_back_and_what_was_overwritten_is_kept(
    on_rest: Repository, rest: FakeService
) -> None:
    labels = {"lr": "0.1", "token": "secret-1"}
    on_rest.job("one", hyperparameters=labels, sensitive=["token"])
    on_rest.job("two")
    on_rest.apply()
    others = [("lr", "0.7"), ("token", "secret-2"), ("api_key", "secret-3")]
    rest.configs["one"]["parameter"] = [{"label": key, "value": it} for key, it in others]
    on_rest.job("one", hyperparameters=labels, sensitive=["token"], train_instance_count=2)
    on_rest.job("two", train_instance_count=2)
    on_rest.run("apply", "--auto-approve", code=5)
    event = last(on_rest)
    assert list(event.changes) == ["two"]
    labels_of = [f"hyperparameters.{key}" for key in ("api_key", "lr", "token")]
    assert {key: sorted(it) for key, it in event.held_back.items()} == {"one": labels_of}
    assert [it.serial for it in history(on_rest).events("one")] == [2, 1]
    on_rest.apply("--overwrite")
    content = (on_rest.root / "majobctl.history.jsonl").read_text()
    assert not [number for number in "123" if f"secret-{number}" in content]


def test_what_was_overwritten_is_beside_what_is_there_now(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one", config_desc="mine")
    on_rest.apply()
    rest.configs["one"]["config_desc"] = "theirs"
    on_rest.job("one", config_desc="mine again")
    on_rest.apply("--overwrite")
    (field,) = last(on_rest).changes["one"].fields
    assert (field.before, field.after) == ("mine", "mine again")
    assert (field.overwrote, field.is_overwriting) == ("theirs", True)


def test_what_was_put_back_is_there_though_the_state_had_it_already(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one", config_desc="mine", hyperparameters={"lr": "1"})
    on_rest.apply()
    rest.configs["one"] |= {"config_desc": "theirs", "parameter": [{"label": "a.b", "value": "9"}]}
    on_rest.job("one", config_desc="mine", hyperparameters={"lr": "1"}, train_instance_count=2)
    on_rest.apply("--overwrite")
    assert {
        it.dotted: (it.path[1:], it.before, it.after, it.is_overwriting, it.overwrote)
        for it in last(on_rest).changes["one"].fields
    } == {
        "train_instance_count": ((), 1, 2, False, None),
        "config_desc": ((), "mine", "mine", True, "theirs"),
        "hyperparameters.lr": (("lr",), "1", "1", True, None),
        "hyperparameters.a.b": (("a.b",), None, None, True, "9"),
    }
    found = history(on_rest)
    serials = {it.dotted: it.event.serial for it in found.blame("one") if it.event}
    assert (serials["config_desc"], serials["hyperparameters.lr"]) == (1, 1)
    assert serials["train_instance_count"] == 2
    (labels,) = (it.params["hyperparameters"] for it in found.state_at(1).job_configs.values())
    assert labels == {"lr": "1"}
    lines = [" ".join(it.split()) for it in on_rest.done("history", "one").stdout.splitlines()]
    assert lines[2:6] == [
        "~ train_instance_count 1 -> 2 jobs/one.toml:9",
        '~ hyperparameters.a.b undid "9" in the service',
        '~ hyperparameters.lr "1" undid a removal in the service',
        '~ config_desc "mine" undid "theirs" in the service',
    ]
    markdown = on_rest.done("history", "one", "--format", "markdown").stdout
    assert '`config_desc` `"mine"` `undid "theirs" in the service`' in markdown
    assert '`hyperparameters.a.b` `undid "9" in the service`' in markdown


def test_a_state_does_not_move_without_its_history(in_git: Repository) -> None:
    git(in_git, "init", "-q", "--bare", "remote.git")
    git(in_git, "remote", "add", "origin", "remote.git")
    in_git.apply()
    path = in_git.root / "majobctl.history.jsonl"
    path.unlink()
    path.mkdir()
    ran = in_git.process("state", "move", "git", code=1)
    assert "majobctl.history.jsonl cannot be read" in ran.stderr
    assert in_git.process("show", code=0).stdout.count("job_config.") == 1


def test_the_commands_on_the_state_leave_a_record_each(on_emulator: Repository) -> None:
    on_emulator.cloud("alpha", "beta")
    on_emulator.process("import", "--all", code=0)
    assert {name: it.action for name, it in last(on_emulator).changes.items()} == {
        "alpha": "import",
        "beta": "import",
    }
    old = on_emulator.done("state", "pull").stdout
    on_emulator.process("state", "rm", "beta", code=0)
    assert edits(last(on_emulator))["beta"][0] == "remove"
    on_emulator.write("old.json", old)
    on_emulator.process("state", "push", "--force", "old.json", code=0)
    assert (last(on_emulator).serial, edits(last(on_emulator))["beta"][0]) == (3, "add")
    commands = [it.about.command.split()[1:3] for it in history(on_emulator).events()]
    assert commands == [["state", "push"], ["state", "rm"], ["import", "--all"]]
    assert list(history(on_emulator).state_at(2).job_configs) == ["alpha"]
    assert history(on_emulator).verify() == []


def test_the_history_moves_with_the_state_and_back(in_git: Repository) -> None:
    git(in_git, "init", "-q", "--bare", "remote.git")
    git(in_git, "remote", "add", "origin", "remote.git")
    in_git.apply()
    provider = (in_git.root / "majobctl.toml").read_text()
    for serial, backend in enumerate(("git", "local", "git"), 2):
        lines = in_git.process("state", "move", backend, code=0).stdout
        in_git.settings(provider + lines)
        assert last(in_git).about.command == f"majobctl state move {backend}"
        in_git.job("alpha", train_instance_count=serial)
        in_git.apply()
        counted = [it.serial for it in history(in_git).events() if it.counts]
        moves = [it.serial for it in history(in_git).events() if not it.changes]
        assert (counted[0], moves[0]) == (serial, serial - 1)
        assert {*counted} == {*range(1, serial + 1)}
        assert history(in_git).verify() == []
        assert history(in_git).known_since() == 0
        blamed = {it.dotted: it.event for it in history(in_git).blame("alpha")}
        assert [it and it.serial for key, it in blamed.items() if "count" in key] == [serial]
        assert {it and it.serial for key, it in blamed.items() if "count" not in key} == {1}


def test_no_two_environments_share_a_history(on_emulator: Repository) -> None:
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(f"{settings}[environments.prod]\n[environments.test]\n")
    on_emulator.apply("-e", "prod")
    on_emulator.apply("-e", "test")
    files = {path.name for path in on_emulator.root.glob("*.jsonl")}
    assert files == {"prod.history.jsonl", "test.history.jsonl"}
    own = '[environments.test]\nstate.path = "prod.history.jsonl"\n'
    on_emulator.settings(f"{settings}[environments.prod]\n{own}")
    assert "is also the state of the environment" in on_emulator.run("validate", code=1).stderr


def test_whoever_merges_a_dead_apply_writes_under_its_name(
    in_git: Repository,
) -> None:
    in_git.apply()
    commit = git(in_git, "rev-parse", "HEAD")
    settings = ConfigRepository(in_git.root).load_settings()
    with (
        author(settings, "majobctl apply of the dead", "") as about,
        store_of(settings).locked("apply", about=about) as locked,
    ):
        assert locked.state is not None
        causes = {"config_desc": "jobs/alpha.toml:9"}
        intents = {"alpha": intent({"config_desc": "x"}, causes=causes)}
        journal = locked.open_journal(locked.state, intents)
        journal.record_done("alpha")
        journal.flush()
        journal.close()
    git(in_git, "config", "user.name", "bob")
    in_git.done("state", "rm", "alpha")
    removed, merged, _ = history(in_git).events()
    assert (removed.about.user, merged.about.user) == ("bob", "alice")
    assert (merged.about.command, merged.about.commit) == ("majobctl apply of the dead", commit)
    (edit,) = merged.changes.values()
    assert {it.cause for it in edit.fields if it.path == ("config_desc",)} == {"jobs/alpha.toml:9"}
