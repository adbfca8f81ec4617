"""The commands around a state that a team shares, in a branch of a git remote or in PostgreSQL."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from majobctl.state.backends.git import GitStore
from majobctl.state.backends.log import LogBackend
from majobctl.state.journal import intent
from majobctl.state.store import StateStore
from tests.config_repository import COMMAND, PATIENCE, Repository, finished, terminal
from tests.git_servers import git, git_remote, hook
from tests.postgres import Server, postgres_server

__all__ = ["git_remote", "postgres_server"]

PLACE = "origin/majobctl-state"
PROVIDER = '[provider]\nkind = "emulator"\nseed = "cloud.toml"\n'
IN_GIT = f'{PROVIDER}[state]\nbackend = "git"\n'
HOLDER = r"\S+@\S+, process \d+, `majobctl apply`, since 20\d\d-\d\d-\d\dT\S+Z"


@pytest.fixture
def local(on_emulator: Repository, git_remote: Path) -> Repository:
    """A clone whose state is a file, and has alpha and beta."""
    git(on_emulator.root, "init", "-q")
    git(on_emulator.root, "remote", "add", "origin", str(git_remote))
    on_emulator.job("beta")
    on_emulator.apply()
    return on_emulator


@pytest.fixture
def shared(local: Repository) -> Repository:
    """The same, with the state in a branch of its remote."""
    moved(local, "git")
    return local


def moved(repository: Repository, *arguments: str) -> str:
    """Moves the state, and sets what the command says."""
    lines = repository.done("state", "move", *arguments).stdout
    repository.settings(PROVIDER + lines)
    return lines


def store_of(repository: Repository) -> StateStore:
    return StateStore(LogBackend(GitStore(repository.root, "origin", "majobctl-state")))


def state_of(repository: Repository) -> Any:
    return json.loads(repository.done("state", "pull").stdout)


# --- state check ---


def test_check_says_what_the_place_has(on_emulator: Repository) -> None:
    ran = on_emulator.done("state", "check")
    assert ran.stdout == (
        "Place   majobctl.state.json (backend local)\n"
        "State   none yet\n"
        "Lock    free\n"
        "Proof   the system's lock keeps other processes out\n"
    )
    assert not on_emulator.state_path.exists()


def test_check_proves_that_a_store_keeps_its_word(shared: Repository) -> None:
    before = state_of(shared)
    assert shared.done("state", "check").stdout == (
        f"Place   {PLACE} (backend git)\n"
        "State   serial 1, 2 job configs\n"
        "Lock    free\n"
        "Proof   16 writers at once, 10 times: one got in each time\n"
    )
    assert state_of(shared) == before


def test_check_of_a_locked_place_says_who_has_the_lock(shared: Repository) -> None:
    with store_of(shared).locked("majobctl apply"):
        ran = shared.run("state", "check", code=4)
    assert re.search(f"^Lock    held by {HOLDER}$", ran.stdout, re.MULTILINE)
    assert f"{PLACE} is locked by " in ran.stderr
    assert "Proof" not in ran.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is damaged"),
        ('{"format_version": 9}', "has format 9"),
        ({"endpoint": "https://x", "project_id": "y"}, "belongs to another target"),
    ],
)
def test_check_of_a_state_that_cannot_be_used_fails(
    local: Repository, content: Any, message: str
) -> None:
    if isinstance(content, dict):
        content = json.dumps({**local.state, "target": content})
    local.state_path.write_text(content)
    assert message in local.run("state", "check", code=1).stderr


def test_check_of_a_place_that_is_not_there_fails(shared: Repository) -> None:
    git(shared.root, "remote", "set-url", "origin", str(shared.root / "missing.git"))
    ran = shared.run("state", "check", code=1)
    assert ran.stdout == f"Place   {PLACE} (backend git)\n"
    assert f"{PLACE} cannot be used: " in ran.stderr


# --- state move ---


def test_a_state_moves_and_leaves_a_mark(local: Repository) -> None:
    before = local.state
    ran = local.done("state", "move", "git")
    assert ran.stdout == '[state]\nbackend = "git"\n'
    assert ran.stderr == (
        f"The state is in {PLACE}. State serial 1.\nPut this into majobctl.toml, and commit it:\n"
    )
    for arguments in (["plan"], ["apply", "--auto-approve"], ["state", "rm", "alpha"], ["show"]):
        ran = local.run(*arguments, code=1)
        assert f"the state in majobctl.state.json was moved to {PLACE}\n" in ran.stderr
        assert '[state]\nbackend = "git"\n' in ran.stderr
    # What an older version sees: the key is none of those it reads.
    seen = {key: it for key, it in local.state.items() if key != "moved"}
    local.write("majobctl.state.json", json.dumps(seen))
    assert "majobctl.state.json has format 2, made by majobctl" in local.run("plan", code=1).stderr
    local.settings(IN_GIT)
    assert state_of(local) == before
    assert local.done("plan").stdout == "No changes. 2 job configs match the state.\n"


def test_a_move_takes_what_a_crash_left_in_the_journal(local: Repository) -> None:
    with StateStore(_local(local)).locked("apply") as locked:
        assert locked.state is not None
        journal = locked.open_journal(locked.state, {"alpha": intent({"config_desc": "x"})})
        journal.record_done("alpha")
        journal.flush()
        journal.close()
    moved(local, "git")
    assert state_of(local)["job_configs"]["alpha"]["params"] == {"config_desc": "x"}
    assert not (local.root / "majobctl.state.json.journal").exists()


def _local(repository: Repository) -> Any:
    from majobctl.state.backends.local import LocalBackend

    return LocalBackend(repository.state_path, "majobctl.state.json")


@pytest.mark.slow
def test_a_state_moves_back_and_on(shared: Repository) -> None:
    before = state_of(shared)
    assert moved(shared, "local") == '[state]\nbackend = "local"\n'
    assert shared.state == before
    shared.job("gamma")
    shared.apply()
    shared.settings(IN_GIT)
    assert f"the state in {PLACE} was moved to majobctl.st" in shared.run("plan", code=1).stderr
    shared.settings(PROVIDER)
    moved(shared, "git")
    assert len(state_of(shared)["job_configs"]) == 3
    moved(shared, "git", "branch=other", "lease=5")
    assert shared.done("state", "check").stdout.startswith("Place   origin/other (backend git)\n")


def test_a_move_that_was_made_is_made_already(local: Repository) -> None:
    first = local.done("state", "move", "git")
    content = local.state_path.read_bytes()
    again = local.done("state", "move", "git")
    assert (again.stdout, again.stderr) == (first.stdout, first.stderr)
    assert local.state_path.read_bytes() == content
    local.settings(IN_GIT)
    ran = local.run("state", "move", "git", code=1)
    assert f"the state is in {PLACE} already; nothing was done" in ran.stderr


def test_after_a_move_the_old_place_does_not_have_the_state(shared: Repository) -> None:
    shared.done("state", "move", "local")
    ran = shared.run("state", "move", "git", code=1)
    assert f"the state in {PLACE} was moved to " in ran.stderr
    assert "already" not in ran.stderr


def test_a_place_with_another_state_is_not_taken(shared: Repository) -> None:
    in_git, mark = state_of(shared), shared.state_path.read_bytes()
    shared.state_path.unlink()
    shared.settings(PROVIDER)
    shared.apply("--overwrite")
    content = shared.state_path.read_bytes()
    ran = shared.run("state", "move", "git", code=1)
    assert f"{PLACE} has another state already: serial 1, lineage {in_git['lineage']}" in ran.stderr
    assert "nothing was moved" in ran.stderr
    assert shared.state_path.read_bytes() == content != mark
    shared.settings(IN_GIT)
    assert state_of(shared) == in_git
    # The mark of another state is not taken either.
    other = shared.write("other.json", json.dumps({"format_version": 9})).read_bytes()
    shared.write("third.json", mark.decode().replace(in_git["lineage"], "another"))
    assert "was moved to" in shared.run("state", "move", "local", "path=third.json", code=1).stderr
    assert "has format 9" in shared.run("state", "move", "local", "path=other.json", code=1).stderr
    assert (shared.root / "other.json").read_bytes() == other


def test_what_is_not_there_cannot_be_moved(on_emulator: Repository, git_remote: Path) -> None:
    git(on_emulator.root, "init", "-q")
    git(on_emulator.root, "remote", "add", "origin", str(git_remote))
    ran = on_emulator.run("state", "move", "git", code=1)
    assert f"there is no state in majobctl.state.json yet; to begin one in {PLACE}" in ran.stderr
    assert '[state]\nbackend = "git"\n' in ran.stderr


def test_a_move_waits_for_both_locks(local: Repository) -> None:
    with StateStore(_local(local)).locked("majobctl apply"):
        assert "majobctl.state.json is locked" in local.run("state", "move", "git", code=4).stderr
    with store_of(local).locked("majobctl apply"):
        assert f"{PLACE} is locked by " in local.run("state", "move", "git", code=4).stderr
    assert local.done("plan").stdout.startswith("No changes.")


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        (["gti"], ['did you mean "git"?']),
        (["postgres"], ["name is missing"]),
        (["http"], ["address is missing"]),
        (["postgres", "address=postgresql://a:b@c/d", "name=.x"], ["a password", "name must be"]),
        (["postgres", "address=h/d?p%61ssword=x", "name=x"], ["must not have a password"]),
        (["s3", "bucket=b", "name=n", "endpoint=http://s3.example.com"], ["https://"]),
        (["git", "lease=1", "keep=x"], ["lease must be from 5", "keep must be an integer"]),
        (["git", "path=x", "brunch=y"], ["path is for local", 'did you mean "branch"?']),
        (["git", "password=x", "branch=a..b"], ['"password" looks like', "branch must be"]),
        (["s3", "bucket=b", "name=n", "path_style=yes"], ["path_style must be true or false"]),
        (["local", "path=jobs/a.toml"], ["path must not be in"]),
        (["git", "branch"], ["branch: write KEY=VALUE"]),
        (["git", "branch="], ["branch must not be empty"]),
    ],
)
def test_the_keys_of_a_move_are_checked_as_settings(
    local: Repository, arguments: list[str], problems: list[str]
) -> None:
    content = local.state_path.read_bytes()
    ran = local.run("state", "move", *arguments, code=1)
    for problem in problems:
        assert problem in ran.stderr, ran.stderr
    assert local.state_path.read_bytes() == content


@pytest.mark.slow
def test_each_environment_moves_alone(local: Repository) -> None:
    settings = f'{PROVIDER}[environments.prod]\nstate.path = "p.json"\n'
    local.settings(settings)
    local.apply("-e", "prod", "--overwrite")
    ran = local.run("state", "move", "git", code=1)
    assert (
        "Warning: this changes where other environments look, too: prod; first move" in ran.stderr
    )
    assert 'path is for local, and backend is "git"' in ran.stderr
    lines = local.done("state", "move", "git", "-e", "prod").stdout
    branch = f"{PLACE[7:]}-prod"
    assert lines == f'[environments.prod.state]\nbackend = "git"\nbranch = "{branch}"\n'
    local.settings(PROVIDER + lines)
    check = local.done("state", "check", "-e", "prod").stdout
    assert check.startswith(f"Place   {PLACE}-prod (backend git)\nState   serial 1, 2 ")
    ran = local.run("state", "move", "git", f"branch={branch}", code=1)
    assert "is also the state of" in ran.stderr
    base = local.done("state", "move", "git")
    assert "Warning" not in base.stderr
    local.settings(PROVIDER + base.stdout + lines)
    assert local.done("plan").stdout.startswith("No changes.")
    assert "No changes. 2 job" in local.done("plan", "-e", "prod").stdout


def test_a_mark_is_replaced_only_by_force(shared: Repository) -> None:
    copy = shared.write("copy.json", shared.done("state", "pull").stdout)
    shared.settings(PROVIDER)
    assert f"was moved to {PLACE}" in shared.run("state", "push", str(copy), code=1).stderr
    shared.done("state", "push", "--force", "copy.json")
    assert shared.done("plan").stdout.startswith("No changes.")


KILL = """read old new ref
case "$(git log -1 --format=%s "$new")" in
"majobctl: {kind} "*) kill -9 "$(cat {pid})";; esac"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "moment", "kind"),
    [
        ("git", "post-receive", "open"),
        ("git", "post-receive", "beat"),
        ("git", "pre-receive", "state"),
        ("git", "post-receive", "state"),
        ("git", "post-receive", "close"),
        ("local", "post-receive", "open"),
        ("local", "pre-receive", "state"),
        ("local", "post-receive", "state"),
    ],
)
def test_a_move_that_is_killed_goes_on_when_it_is_run_again(
    local: Repository, git_remote: Path, backend: str, moment: str, kind: str
) -> None:
    if backend == "local":
        moved(local, "git")
    before = state_of(local)
    pid = local.root / "pid"
    hook(git_remote, moment, KILL.format(kind=kind, pid=shlex.quote(str(pid))))
    shell = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', str(pid), *COMMAND]
    killed = subprocess.run(
        [*shell, "state", "move", backend], cwd=local.root, capture_output=True, timeout=PATIENCE
    )
    assert killed.returncode == -9, killed.stderr
    (git_remote / "hooks" / moment).unlink()
    settings = (local.root / "majobctl.toml").read_text()
    if (ran := local.run("state", "move", backend)).code == 4:
        local.settings(IN_GIT)
        local.done("unlock", re.findall(r"majobctl unlock (\w+)", ran.stderr)[0])
        local.settings(settings)
        ran = local.done("state", "move", backend)
    local.settings(PROVIDER + ran.stdout)
    assert state_of(local) == before
    local.settings(settings)
    assert " was moved to " in local.run("plan", code=1).stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "kill_at"),
    [
        (["plan"], "fetch"),
        (["apply", "--auto-approve"], "push"),
        (["plan", "--base=HEAD"], "batch"),
    ],
)
def test_a_killed_command_leaves_no_temporary_folder_for_longer_than_the_next(
    shared: Repository, tmp_path: Path, arguments: list[str], kill_at: str
) -> None:
    """What is in use, and what only looks like it, stays."""
    shared.job("gamma")
    git(shared.root, "add", "-A")
    git(shared.root, "commit", "-q", "-m", "x")
    (folder := tmp_path / "temporary").mkdir()
    shared.environment["TMPDIR"] = str(folder)
    (own := tmp_path / "own").mkdir()
    killer = f'#!/bin/sh\ncase "$*" in *{kill_at}*) kill -9 $PPID; exit;; esac\n'
    (own / "git").write_text(f'{killer}exec {shutil.which("git")} "$@"\n')
    (own / "git").chmod(0o755)
    path = f"{own}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **shared.environment, "PATH": path}
    assert finished(shared.start(*arguments, env=environment)).code == -9
    assert [*folder.iterdir()]
    (others := folder / ".majobctl-notes").mkdir()
    with terminal(shared, "apply") as shown:
        shown.expect("yes")
        (used,) = {*folder.iterdir()} - {others}
        shared.process("plan", code=0)
        assert {*folder.iterdir()} == {used, others}
        shown.type("no\n")
        assert shown.finish()[0] == 1
    assert [*folder.iterdir()] == [others]


# --- what others see ---


def test_a_plan_says_that_an_apply_is_under_way(shared: Repository) -> None:
    said = re.compile(f"{PLACE}: an apply is under way: {HOLDER}")
    formats = ["text", "json", "markdown", "html"]
    with store_of(shared).locked("majobctl apply"):
        plans = {it: shared.done("plan", "--format", it) for it in formats}
        others = [shared.done(*it) for it in (["show"], ["show", "alpha"], ["drift"])]
        drift = shared.done("drift", "--format", "json").document
    for ran in (*plans.values(), *others):
        assert said.search(ran.stderr), ran.stderr
    for form in formats[1:]:
        assert "an apply is under way: " in plans[form].stdout
    assert said.fullmatch(drift["warnings"][0])
    assert "No changes." in plans["text"].stdout
    for arguments in (["plan"], ["show"], ["drift"], ["plan", "--state", str(_copy(shared))]):
        assert "under way" not in shared.done(*arguments).stderr


@pytest.mark.slow
def test_of_one_that_is_silent_where_there_is_no_clock_it_says_since_when(
    shared: Repository,
) -> None:
    shared.settings(f"{IN_GIT}lease = 5\n")
    shared.job("gamma")
    with terminal(shared, "apply") as shown:
        shown.expect("yes")
        assert f"{PLACE}: an apply is under way: " in shared.done("plan").stderr
        shown.process.kill()
    time.sleep(6.5)
    said = shared.done("plan").stderr
    time_of = r"20\d\d-\d\d-\d\dT\S+Z"
    doubt = f"{HOLDER}; its last sign of life was at {time_of}, by its own clock\n"
    assert re.search(f"{PLACE}: an apply may be under way: {doubt}", said), said
    ran = shared.run("state", "check", code=4)
    assert re.search(f"^Lock    may be held by {doubt}", ran.stdout, re.MULTILINE)


def _copy(repository: Repository) -> Path:
    return repository.write("copy.json", repository.done("state", "pull").stdout)


@contextmanager
def held(repository: Repository, **changes: Any) -> Iterator[None]:
    """The state file's lock, by this process, unless the file says otherwise."""
    with StateStore(_local(repository)).locked("majobctl import"):
        holder = repository.root / "majobctl.state.json.lock.holder"
        holder.write_text(json.dumps({**json.loads(holder.read_text()), **changes}))
        yield


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "a change is under way: "),
        ({"command": "majobctl -C x apply"}, "an apply is under way: "),
        ({"host": "elsewhere"}, "@elsewhere, "),
        ({"pid": 2**22 + 1}, None),
        ({"pid": "x"}, None),
    ],
)
def test_a_local_holder_is_named_if_it_may_be_alive(
    on_emulator: Repository, changes: dict[str, Any], said: str | None
) -> None:
    with held(on_emulator, **changes):
        ran = on_emulator.done("plan")
    assert (said or "1 to add") in ran.stderr + ran.stdout
    assert ("under way" in ran.stderr) == (said is not None)


@pytest.fixture
def postgres(postgres_server: Server, request: pytest.FixtureRequest) -> dict[str, str]:
    """The keys of a place of its own in PostgreSQL."""
    name = re.sub(r"\W", "-", request.node.name)
    return {"address": postgres_server.address(), "name": name}


def test_a_state_moves_into_postgres(local: Repository, postgres: dict[str, str]) -> None:
    before = local.state
    moved(local, "postgres", *(f"{key}={it}" for key, it in postgres.items()))
    assert state_of(local) == before
    ran = local.done("state", "check")
    assert ran.stdout.startswith(
        f"Place   {postgres['name']} in postgresql:///postgres (backend po"
    )
    assert ran.stdout.endswith("16 writers at once, 10 times: one got in each time\n")
    local.job("gamma")
    local.apply()
    moved(local, "git")
    assert len(state_of(local)["job_configs"]) == 3


@pytest.mark.parametrize(("lease", "is_under_way"), [(60, True), (0.1, False)])
def test_one_whose_lease_is_over_is_not_under_way(
    local: Repository, postgres: dict[str, str], lease: float, is_under_way: bool
) -> None:
    from majobctl.state.backends.postgres import PostgresStore
    from majobctl.state.backends.records import following, load

    moved(local, "postgres", *(f"{key}={it}" for key, it in postgres.items()))
    store = PostgresStore(postgres["address"], postgres["name"])
    number, _ = store.numbers()[-1]
    last = load(number, store.read(number) or b"", "")
    opened = following(last, "open", holder=last.head["holder"], lease=lease)
    assert store.add(opened.number, opened.dump())
    time.sleep(0.2)
    assert ("under way" in local.done("plan").stderr) == is_under_way


# --- the other commands ---


def test_every_command_works_in_a_branch(shared: Repository) -> None:
    shared.job("gamma", config_desc="new")
    _copy(shared)
    for arguments, said in [
        ("plan", "1 to add"),
        ("plan --state copy.json", "1 to add"),
        ("apply --auto-approve", "Apply complete: 1 added. State serial 2."),
        ("show", "3 job configs."),
        ("show gamma", "job_config.gamma"),
        ("drift", "No drift"),
        ("state list", "alpha\nbeta\ngamma\n"),
        ("state pull", '"serial": 2'),
        ("state rm gamma", "Removed 1 from the state. State serial 3."),
        ("import gamma", "State serial 4."),
        ("plan --refresh", "No changes."),
        ("state push --force copy.json", "Pushed copy.json. State serial 5."),
        ("state list", "alpha\nbeta\n"),
        ("state check", "serial 5"),
        ("plan --out saved.plan", "1 to add"),
        ("show saved.plan", "1 to add"),
        ("apply saved.plan --overwrite", "State serial 6."),
        ("plan", "No changes."),
    ]:
        ran = shared.done(*arguments.split())
        assert said in ran.stdout, (arguments, ran)
        assert "state file" not in ran.stdout + ran.stderr, ran


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("state rm nobody", "the state has no job config"),
        ("state push old.json", "has serial 0, the state 1"),
        ("apply saved.plan", "saved.plan"),
        ("unlock abc", f"{PLACE} is not locked"),
        ("show nobody", "the state has no job config"),
    ],
)
def test_what_is_refused_names_the_place(shared: Repository, arguments: str, said: str) -> None:
    shared.write("old.json", json.dumps({**state_of(shared), "serial": 0, "job_configs": {}}))
    shared.job("gamma")
    shared.done("plan", "--out", "saved.plan")
    shared.done("state", "rm", "beta") if "plan" in arguments else None
    ran = shared.run(*arguments.split())
    assert ran.code in (1, 5)
    assert said in ran.stderr
    assert "majobctl.state.json" not in ran.stderr
    assert "state file" not in ran.stderr
