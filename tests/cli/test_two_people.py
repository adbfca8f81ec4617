"""Two people, one config repository: what git and other people's shells do to its files."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.config_repository import PATIENCE, Repository
from tests.live_cloud import Cloud

Damage = Callable[[bytes], bytes]


def conflict(*base: bytes) -> Damage:
    """Two sides of the file's second line, and with ``base`` what both come from."""

    def damage(content: bytes) -> bytes:
        first, second, *rest = content.splitlines()
        sides = [b"<<<<<<< HEAD", second, *base, b"=======", second, b">>>>>>> theirs"]
        return b"\n".join([first, *sides, *rest, b""])

    return damage


def encoded(encoding: str, mark: bytes = b"") -> Damage:
    return lambda content: mark + content.decode().encode(encoding)


DAMAGES: Mapping[str, Damage] = {
    "conflict": conflict(),
    "diff3": conflict(b"||||||| 1f2e3d4", b"base"),
    "mark": encoded("utf-8-sig"),
    "utf-16-le": encoded("utf-16-le", b"\xff\xfe"),
    "utf-16-be": encoded("utf-16-be", b"\xfe\xff"),
    "unmarked": encoded("utf-16-le"),
    "crlf": lambda content: content.replace(b"\n", b"\r\n"),
}
_JSON = {
    "conflict": "it contains git's conflict markers",
    "mark": "it begins with a byte-order mark; save it as UTF-8 without one",
    "utf-16": "it is UTF-16, as Windows PowerShell's > writes it; save it as UTF-8",
}
_TOML = {"conflict": ":2:1: not valid TOML: this is git's conflict marker;", "utf-16": "UTF-16"}
KINDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "majobctl.state.json": ("plan", _JSON),
    "copy.json": ("state push copy.json", _JSON),
    "saved.plan": ("apply saved.plan", _JSON),
    "majobctl.toml": ("plan", _TOML),
    "jobs/alpha.toml": ("validate", _TOML),
    "jobs/beta.toml": ("fmt --check", _TOML),
    "vars.toml": ("plan --var-file vars.toml", _TOML),
    "cloud.toml": ("plan --refresh", _TOML),
}
"""What reads a file, and what it says of each kind of damage; without one it reads the file."""


@pytest.fixture
def shared(on_emulator: Repository) -> Repository:
    """Applied, with one file of each kind beside it; the emulator will read its seed again."""
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(f'{settings}[variables]\nbucket = "ml"\n')
    on_emulator.job("beta")
    on_emulator.done("fmt")
    on_emulator.apply("--overwrite")
    on_emulator.job("alpha", config_desc="second")
    on_emulator.done("fmt")
    on_emulator.write("vars.toml", 'bucket = "ml"\n# a second line\n')
    on_emulator.done("plan", "--out", "saved.plan")
    shutil.copy(on_emulator.state_path, on_emulator.root / "copy.json")
    shutil.rmtree(on_emulator.root / ".majobctl")
    return on_emulator


def kind_of(damage: str) -> str:
    kinds = {"diff3": "conflict", "utf-16-le": "utf-16", "utf-16-be": "utf-16"}
    return kinds.get(damage, "utf-16" if damage == "unmarked" else damage)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", KINDS)
def test_a_damaged_file_is_named_with_what_was_done_to_it(
    shared: Repository, name: str, damage: str
) -> None:
    command, messages = KINDS[name]
    path = shared.root / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    before = path.read_bytes()
    ran = shared.run(*command.split())
    if said := messages.get(kind_of(damage)):
        assert ran.code == 1
        assert re.search(rf"{re.escape(name)}.*{re.escape(said)}", ran.stderr), ran
    else:
        assert ran.code == 0, ran
    assert path.read_bytes() == before


def git(root: Path, *arguments: str, fails: bool = False) -> str:
    names = ("user.name=Author", "user.email=author@example.com", "core.autocrlf=false")
    options = [part for name in names for part in ("-c", name)]
    ended = subprocess.run(
        ["git", *options, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert bool(ended.returncode) == fails, ended
    return ended.stdout


def edit(repo: Repository) -> None:
    repo.job("alpha", config_desc="mine")


def edit_theirs_too(repo: Repository) -> None:
    """Another field of the job config that they have edited: an apply holds that back."""
    edit(repo)
    text = (repo.root / "jobs" / "gamma.toml").read_text()
    repo.write("jobs/gamma.toml", text.replace("]\n", ']\nlog_url = "/ml/mine/"\n'))


def add(repo: Repository) -> None:
    repo.job("delta", config_desc="mine")


def remove(repo: Repository) -> None:
    repo.remove("alpha")


class TestAStateThatGitCouldNotMerge:
    @pytest.fixture
    def mine(self, repo: Repository, cloud: Cloud) -> Repository:
        """A clone in which both have applied different edits; theirs is of gamma."""
        repo.settings(cloud.settings("[apply]\ncreate_missing = true\ndelete_removed = true\n"))
        repo.write(".gitignore", "*.state.json.*\n/mine/\n")
        git(repo.root, "init", "--quiet", "--initial-branch", "main")
        git(repo.root, "add", "--all")
        git(repo.root, "commit", "--quiet", "--message", "Begin")
        git(repo.root, "clone", "--quiet", ".", "mine")
        repo.job("gamma", config_desc="theirs")
        repo.apply()
        git(repo.root, "commit", "--quiet", "--all", "--message", "Theirs")
        return Repository(repo.root / "mine", repo.monkeypatch, repo.capsys, repo.environment)

    def merge(self, mine: Repository) -> None:
        git(mine.root, "add", "--all")
        git(mine.root, "commit", "--quiet", "--message", "Mine")
        git(mine.root, "pull", "--quiet", "--no-rebase", fails=True)

    def follow(self, mine: Repository, side: str) -> list[str]:
        """Does what the message says up to the apply; the arguments of that."""
        *_, checkout, _, apply = mine.run("plan").stderr.splitlines()
        words = checkout.replace("--ours", side).partition("(or --theirs)")[0].split()
        assert words.pop(0) == "git"
        git(mine.root, *words)
        program, *arguments = apply.split()
        assert program == "majobctl"
        return arguments

    @pytest.mark.parametrize("side", ["--ours", "--theirs"])
    @pytest.mark.parametrize("change", [edit, edit_theirs_too, add, remove])
    def test_loses_nothing_whichever_side_is_taken(
        self, mine: Repository, cloud: Cloud, change: Callable[[Repository], None], side: str
    ) -> None:
        change(mine)
        assert mine.run("apply", "--auto-approve", "--target", "[!g]*").code == 0
        self.merge(mine)
        mine.done(*self.follow(mine, side), "--auto-approve")
        assert mine.done("plan", "--refresh").stdout.startswith("No changes.")
        assert cloud.console.config("gamma")["config_desc"] == "theirs"
        named = {"config_desc": "mine"}
        expected = {"alpha": named} if change is edit else {"delta": named} if change is add else {}
        for name, fields in expected.items():
            assert fields.items() <= cloud.console.config(name).items()
        assert ("alpha" in cloud.console.names()) == (change is not remove)
        assert sorted(mine.state["job_configs"]) == cloud.console.names()

    def test_comes_back_if_its_markers_were_committed(self, mine: Repository, cloud: Cloud) -> None:
        edit(mine)
        mine.run("apply", "--auto-approve", "--target", "alpha")
        self.merge(mine)
        git(mine.root, "commit", "--quiet", "--all", "--message", "Merge")
        *_, checkout, apply = mine.run("plan", code=1).stderr.splitlines()
        git(mine.root, *checkout.partition("(")[0].split()[1:])
        mine.done(*apply.split()[1:], "--auto-approve")
        assert mine.done("plan", "--refresh").stdout.startswith("No changes.")
        assert cloud.console.config("alpha")["config_desc"] == "mine"

    @pytest.mark.parametrize("side", ["--ours", "--theirs"])
    def test_holds_back_what_a_third_one_changed(
        self, mine: Repository, cloud: Cloud, side: str
    ) -> None:
        edit(mine)
        mine.run("apply", "--auto-approve", "--target", "alpha")
        self.merge(mine)
        cloud.console.change("beta", worker_server_num=4)
        ran = mine.run(*self.follow(mine, side), "--auto-approve", code=5)
        assert "train_instance_count: 1 in the state, 4 in the service, 1 wanted" in ran.stdout
        assert cloud.console.config("beta")["worker_server_num"] == 4
        assert cloud.console.config("alpha")["config_desc"] == "mine"
        assert cloud.console.config("gamma")["config_desc"] == "theirs"

    def test_is_one_complete_side_where_init_has_told_git_so(
        self, mine: Repository, cloud: Cloud
    ) -> None:
        mine.done("init")
        edit(mine)
        mine.done("apply", "--auto-approve", "--target", "alpha")
        before = mine.state_path.read_bytes()
        self.merge(mine)
        assert mine.state_path.read_bytes() == before
        assert "majobctl.state.json" in git(mine.root, "diff", "--name-only", "--diff-filter=U")
        mine.apply("--refresh")
        assert mine.done("plan", "--refresh").stdout.startswith("No changes.")
