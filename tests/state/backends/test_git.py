"""The store in a branch of the config repository's remote, as teams reach it."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from majobctl.errors import StateError
from majobctl.git import run_git
from majobctl.state.backends.git import GitStore
from majobctl.state.backends.stores import Store
from tests.config_repository import until
from tests.git_servers import NO_GIT, HttpGit, bare, clone, daemon, git, hook, over_http

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(NO_GIT), reason=str(NO_GIT))]

BRANCH = "majobctl-state"
REF = f"refs/heads/{BRANCH}"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in [*os.environ]:
        if name.startswith(("GIT_", "SSH_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return Path(os.environ["HOME"])


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return bare(tmp_path / "remote.git")


@pytest.fixture
def http(remote: Path) -> Iterator[HttpGit]:
    with over_http(remote.parent) as server:
        server.address += "/remote.git"
        yield server


@pytest.fixture(params=["path", "http", "daemon", "sha256"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    options = ["--object-format=sha256"] if request.param == "sha256" else []
    path = bare(tmp_path / "remote.git", *options)
    with contextlib.ExitStack() as stack:
        if request.param == "http":
            yield stack.enter_context(over_http(tmp_path)).address + "/remote.git"
        elif request.param == "daemon":
            yield stack.enter_context(daemon(tmp_path, "--enable=receive-pack")) + "/remote.git"
        else:
            yield path


def store(root: Path, branch: str = BRANCH) -> GitStore:
    return GitStore(root, "origin", branch)


def cleared_up(place: Store, number: int, content: bytes) -> bool:
    """``add`` as the log calls it: an unknown outcome is cleared up by reading."""
    while True:
        try:
            return place.add(number, content)
        except ConnectionError:
            if (found := place.read(number)) is not None:
                return found == content


def raced(places: list[Store], numbers: range) -> dict[int, list[bytes]]:
    """Who believes to have added which number."""
    won: dict[int, list[bytes]] = {number: [] for number in numbers}
    start = threading.Barrier(len(places))

    def run(who: int) -> None:
        start.wait()
        for number in numbers:
            content = b"%d of %d" % (number, who)
            if cleared_up(places[who], number, content):
                won[number].append(content)

    threads = [threading.Thread(target=run, args=(who,)) for who in range(len(places))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won


def test_a_record_is_added_once_and_read_by_all(tmp_path: Path, address: str | Path) -> None:
    one, two = (store(clone(address, tmp_path / name)) for name in ("one", "two"))
    assert one.numbers() == [] and one.read(1) is None
    contents = [b'{"kind": "open"}\n\0\xff\r\nbody', b"", b"a\n" * 100_000]
    for number, content in enumerate(contents, 1):
        assert two.read(number) is None
        assert one.add(number, content) is True
        assert (one.add(number, b"x"), two.add(number, b"x")) == (False, False)
        assert one.read(number) == two.read(number) == content
    assert two.numbers() == [(1, None), (2, None), (3, None)]
    two.prune([1, 3])
    assert [it for it, _ in two.numbers()] == [2, 3]  # the last is what the next one is added to
    assert two.add(4, b"four")
    assert [it for it, _ in store(tmp_path / "one").numbers()] == [2, 3, 4]
    assert one.read(4) == b"four" and two.read(1) is None and not one.add(1, b"again")


def test_a_number_is_won_by_one_of_twelve_clones(tmp_path: Path, address: str | Path) -> None:
    places = [store(clone(address, tmp_path / str(who))) for who in range(12)]
    won = raced([*places], range(1, 16))
    assert [len(it) for it in won.values()] == [1] * 15
    assert {number: [places[0].read(number)] for number in won} == won
    log = git(tmp_path / "remote.git", "log", "--format=%H %P", BRANCH).splitlines()
    assert sorted(len(it.split()) for it in log) == [1, *[2] * 14]


def test_equal_records_of_two_writers_are_not_one(tmp_path: Path, remote: Path) -> None:
    places = [store(clone(remote, tmp_path / str(who))) for who in range(8)]
    won: list[int] = []
    start = threading.Barrier(len(places))

    def run(who: int) -> None:
        start.wait()
        with contextlib.suppress(ConnectionError):
            won.extend([who] * places[who].add(1, b"the same"))

    threads = [threading.Thread(target=run, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_lost_answer_is_an_unknown_outcome(tmp_path: Path, http: HttpGit) -> None:
    chance = random.Random(1)
    http.is_cut = lambda: chance.random() < 0.5
    places = [store(clone(http.address, tmp_path / str(who))) for who in range(3)]
    won = raced([*places], range(1, 9))
    assert {number: [places[0].read(number)] for number in won} == won


def _everything(root: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def _dirty(root: Path) -> Path:
    (root / "jobs.toml").write_text("staged")
    git(root, "add", "-A")
    (root / "jobs.toml").write_text("not staged")
    return root


def _in_a_rebase(root: Path) -> Path:
    for branch in ("left", "right"):
        git(root, "checkout", "-q", "-b", branch, "main")
        (root / "majobctl.toml").write_text(branch)
        git(root, "commit", "-q", "-a", "-m", branch)
    command = ["git", "-C", str(root), "-c", "user.name=x", "-c", "user.email=x", "rebase", "left"]
    assert subprocess.run(command, capture_output=True).returncode == 1
    assert (root / ".git" / "rebase-merge").exists()
    return root


def _shallow(root: Path) -> Path:
    git(root, "push", "-q", "origin", "main")
    other, url = root.with_name("shallow"), git(root, "remote", "get-url", "origin")
    git(root, "clone", "-q", "--depth=1", "-b", "main", f"file://{url}", str(other))
    return other


def _partial(root: Path) -> Path:
    git(root, "push", "-q", "origin", "main")
    other, url = root.with_name("partial"), git(root, "remote", "get-url", "origin")
    git(Path(url), "config", "uploadpack.allowFilter", "true")
    git(root, "clone", "-q", "--filter=tree:0", "--no-checkout", f"file://{url}", str(other))
    return other


def _worktree(root: Path) -> Path:
    git(root, "worktree", "add", "-q", "--detach", str(root / "tree"))
    return root / "tree"


def _submodule(root: Path) -> Path:
    url = git(root, "remote", "get-url", "origin")
    git(root, "push", "-q", "origin", "main")
    outer = clone(url, root.with_name("outer"))
    git(outer, "remote", "remove", "origin")
    adding = ("-c", "protocol.file.allow=always", "submodule", "add", "-q", "-b", "main")
    git(outer, *adding, url, "inner")
    return outer / "inner"


def _subfolder(root: Path) -> Path:
    (root / "ml" / "a b").mkdir(parents=True)
    git(root, "remote", "set-url", "origin", "../remote.git")
    return root / "ml" / "a b"


def _stubborn(root: Path) -> Path:
    """Settings and hooks that would change what is pushed, or end it."""
    keys = ("commit.gpgsign true", "push.gpgsign true", "push.followtags true", "fetch.prune true")
    more = ("push.pushoption ci.variable=a", "push.recursesubmodules only", "push.default nothing")
    last = ("remote.origin.mirror true", "remote.origin.push +refs/*:refs/*", "core.abbrev 4")
    rest = ("push.useforceifincludes true", "core.commentchar auto", "gpg.program /nowhere")
    for line in (*keys, *more, *last, *rest):
        key, _, value = line.partition(" ")
        git(root, "config", key, value)
        if not key.startswith("remote."):
            git(root, "config", "--global", key, value)
    git(root, "config", "core.hookspath", f"{root}/.git/hooks")
    git(root, "tag", "v1")
    for name in ("pre-push", "reference-transaction", "post-checkout"):
        hook(root / ".git", name, "echo no >&2; exit 1")
    return root


@pytest.mark.parametrize(
    ("count", "prepare"),
    [
        (100, lambda root: root),
        *((2, it) for it in (_dirty, _in_a_rebase, _shallow, _partial, _worktree, _submodule)),
        *((2, it) for it in (_subfolder, _stubborn)),
    ],
)
def test_a_clone_stays_as_it_is(
    tmp_path: Path, remote: Path, count: int, prepare: Callable[[Path], Path]
) -> None:
    root = prepare(clone(remote, tmp_path / "clone"))
    others = git(remote, "for-each-ref", "--format=%(refname)")
    before = {path.name: _everything(path) for path in tmp_path.iterdir() if path != remote}
    place = store(root)
    for number in range(1, count + 1):
        assert place.add(number, b"%d" % number) and place.read(number) == b"%d" % number
    assert len(store(root).numbers()) == count
    del place
    after = {path.name: _everything(path) for path in tmp_path.iterdir() if path != remote}
    assert after == before
    assert git(remote, "for-each-ref", "--format=%(refname)").split() == sorted(
        [*others.split(), REF]
    )


def test_a_hook_of_git_may_run_it(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = clone(remote, tmp_path / "clone"), clone(remote, tmp_path / "other")
    git(other, "remote", "set-url", "origin", "/nowhere")
    for name, value in {
        "DIR": ".git",
        "INDEX_FILE": "index",
        "OBJECT_DIRECTORY": "objects",
    }.items():
        monkeypatch.setenv(f"GIT_{name}", str(other / ".git" / value))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    before = _everything(other)
    assert store(root).add(1, b"x") and store(root).read(1) == b"x"
    assert _everything(other) == before


def test_a_commit_says_what_it_is_and_starts_no_pipeline(tmp_path: Path, remote: Path) -> None:
    root, form = clone(remote, tmp_path / "clone"), "--format=%s|%an|%ae"
    git(root, "config", "user.useConfigOnly", "true")
    assert store(root).add(1, b'{"epoch": 1, "kind": "open"}\nbody')
    git(root, "config", "user.name", "Ada")
    git(root, "config", "user.email", "ada@example.com")
    assert store(root).add(2, b"\xff\n")
    assert git(remote, "log", form, BRANCH).splitlines() == [
        "majobctl: record 2 [skip ci]|Ada|ada@example.com",
        "majobctl: open 1 [skip ci]|majobctl|majobctl@localhost",
    ]
    files = git(remote, "ls-tree", "-r", "--name-only", BRANCH).split()
    assert files == ["records/000001", "records/000002"]


def test_a_reader_fetches_one_commit_only_what_it_lacks(tmp_path: Path, http: HttpGit) -> None:
    one, two = (store(clone(http.address, tmp_path / name)) for name in ("one", "two"))
    for number in range(1, 5):
        assert one.add(number, random.Random(number).randbytes(200_000))
        assert len(two.numbers()) == number
    made = [path for path in tmp_path.glob(".majobctl-*.tmp") if (path / "shallow").exists()]
    assert [git(path, "rev-list", "--count", "refs/majobctl/tip") for path in made] == ["1"]
    sizes = sorted(path.stat().st_size for path in made[0].rglob("*") if path.is_file())
    assert len([it for it in sizes if it > 190_000]) == 4 and sum(sizes) < 1_000_000


GIT = shutil.which("git")


def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    """A command ``name`` that is found before the real one."""
    path = tmp_path / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")


KILLED = """
import sys
from pathlib import Path
from majobctl.state.backends.git import GitStore
store = GitStore(Path(sys.argv[1]), "origin", "majobctl-state")
print(store.add(2, b"mine"))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed_around_the_push(
    tmp_path: Path, remote: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, other = (clone(remote, tmp_path / name) for name in ("one", "two"))
    assert store(root).add(1, b"x")
    push = f'{GIT} "$@"; ' if moment == "after" else ""
    text = f'case "$*" in *porcelain*) {push}kill -9 $PPID; exit 1;; esac; exec {GIT} "$@"'
    with monkeypatch.context() as patch:
        command(tmp_path, patch, "git", text)
        ran = subprocess.run([sys.executable, "-c", KILLED, str(root)])
    assert ran.returncode == -signal.SIGKILL
    place = store(other)
    assert place.read(2) == (b"mine" if moment == "after" else None)
    assert place.add(2, b"other") is (moment == "before")
    assert store(root).add(3, b"next")


Broken = Callable[[Path, Path], object]


def _deleted(root: Path, remote: Path) -> None:
    git(remote, "update-ref", "-d", REF)


def _back(root: Path, remote: Path) -> None:
    git(remote, "update-ref", REF, f"{REF}~2")


def _amended(root: Path, remote: Path) -> None:
    commit = git(remote, "commit-tree", f"{REF}^{{tree}}", "-p", f"{REF}~1", "-m", "x")
    git(remote, "update-ref", REF, commit)


@pytest.mark.parametrize("change", [_deleted, _back, _amended])
def test_a_branch_that_lost_records_is_named_and_can_be_restored(
    tmp_path: Path, remote: Path, change: Broken
) -> None:
    root = clone(remote, tmp_path / "clone")
    place = store(root)
    assert all(place.add(number, b"x") for number in range(1, 6))
    git(root, "fetch", "-q", "origin")
    change(root, remote)
    now = git(remote, "for-each-ref", REF)
    calls: list[Callable[[], object]] = [lambda: place.add(6, b"y"), place.numbers]
    calls.append(lambda: place.read(6))
    for call in calls:
        with pytest.raises(StateError, match="overwritten: its last record was 5, and") as raised:
            call()
    assert git(remote, "for-each-ref", REF) == now
    command = re.search(r"git (push --force .*)", str(raised.value))
    assert command
    git(root, *command[1].split())
    assert place.add(6, b"y") and place.read(5) == b"x"


@pytest.mark.parametrize(("change", "now"), [(_deleted, "none"), (_back, "2"), (_amended, "4")])
def test_a_clone_that_has_fetched_the_branch_remembers_it(
    tmp_path: Path, remote: Path, change: Broken, now: str
) -> None:
    root, other = (clone(remote, tmp_path / name) for name in ("one", "two"))
    assert all(store(root).add(number, b"x") for number in (1, 2, 3, 4))
    git(root, "fetch", "-q", "origin")
    change(root, remote)
    with pytest.raises(StateError, match=f"its last record was 4, and is {now} now"):
        store(root).numbers()
    assert len(store(other).numbers()) == (0 if now == "none" else int(now))
    git(root, "fetch", "-q", "--prune", "origin")
    assert store(root).add(5 if now == "4" else 3 if now == "2" else 1, b"z")
    assert len(store(root).numbers()) > 0


def test_no_number_is_left_out(tmp_path: Path, remote: Path) -> None:
    place = store(clone(remote, tmp_path / "clone"))
    assert place.add(1, b"x")
    with pytest.raises(StateError, match="has no record 2; 3 was not added"):
        place.add(3, b"x")


def _no_repository(root: Path, remote: Path) -> None:
    (root / ".git").rename(root.parent / "moved")


def _set(key: str, value: str) -> Broken:
    return lambda root, remote: git(root, "config", key, value)


def _renamed(root: Path, remote: Path) -> None:
    git(root, "remote", "rename", "origin", "upstream")


def _hook(name: str, words: str) -> Broken:
    return lambda root, remote: hook(remote, name, f"printf '{words}\\n' >&2; exit 1")


def _foreign(root: Path, remote: Path) -> None:
    git(root, "push", "-q", "origin", f"main:{REF}")


def _foreign_and_empty(root: Path, remote: Path) -> None:
    tree = git(remote, "hash-object", "-t", "tree", "-w", os.devnull)
    git(remote, "update-ref", REF, git(remote, "commit-tree", tree, "-m", "x"))


def _bad_settings(root: Path, remote: Path) -> None:
    with (root / ".git" / "config").open("a") as file:
        file.write("[broken\n")


def _foreign_file(root: Path, remote: Path) -> None:
    store(root).add(1, b"x")
    git(root, "fetch", "-q", "origin", BRANCH)
    git(root, "checkout", "-q", "FETCH_HEAD")
    (root / "records" / "notes\033.txt").write_text("x")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "x")
    git(root, "push", "-q", "origin", f"HEAD:{REF}")


def _checked_out(root: Path, remote: Path) -> None:
    git(remote, "config", "core.bare", "false")
    git(remote, "symbolic-ref", "HEAD", REF)


def _other_format(root: Path, remote: Path) -> None:
    other = bare(remote.with_name("other.git"), "--object-format=sha256")
    GitStore(clone(other, remote.with_name("x")), "origin", BRANCH).add(1, b"x")
    git(root, "remote", "set-url", "origin", str(other))


MAY_NOT = "use credentials that may push to majobctl-state"
FETCH, PUSH = "git fetch origin", "git push --dry-run origin"
CERTAIN: list[tuple[Broken, str, str]] = [
    (_no_repository, "not a git repository", FETCH),
    (_set("remote.origin.url", ""), 'no remote "origin"', "git remote add origin URL"),
    (_renamed, 'no remote "origin"', "set state.remote"),
    (_set("remote.origin.url", "/nowhere.git"), "does not appear to be a git", FETCH),
    (_foreign, "not a branch of majobctl: it has majobctl.toml", "set state.branch"),
    (_foreign_and_empty, "it has no records", "set state.branch"),
    (_bad_settings, "bad config line", FETCH),
    (_foreign_file, r"it has records/notes\x1b.txt", "set state.branch"),
    (_hook("pre-receive", r"GitLab: \033[1mprotected\033[0m branch"), r"\x1b[1mprotected", MAY_NOT),
    (
        _hook("update", "no direct push"),
        "no direct push; error: hook declined",
        MAY_NOT,
    ),
    (_hook("pre-receive", "GH001: exceeds 100 MB"), "exceeds 100 MB", "take larger pushes"),
    (_checked_out, "currently checked out", MAY_NOT),
    (_other_format, "algorithm", FETCH),
]


@pytest.mark.parametrize(("change", "words", "advice"), CERTAIN)
def test_what_will_not_pass_is_said_with_a_way_out(
    tmp_path: Path, remote: Path, change: Broken, words: str, advice: str
) -> None:
    root = clone(remote, tmp_path / "clone")
    change(root, remote)
    before = git(remote, "for-each-ref")
    with pytest.raises(StateError) as raised:
        store(root).add(1, b"x")
    summary, _, way_out = str(raised.value).partition("\n")
    assert words in summary and advice in way_out
    assert "\033" not in summary and git(remote, "for-each-ref") == before


@pytest.mark.parametrize(
    ("statuses", "error", "words"),
    [
        ({"": 401}, StateError, PUSH),
        ({"git-receive-pack": 401}, StateError, PUSH),
        ({"git-receive-pack": 403}, StateError, MAY_NOT),
        ({"": 404}, StateError, PUSH),
        ({"POST /remote.git/git-receive-pack": 413}, StateError, "larger pushes"),
        ({"POST /remote.git/git-receive-pack": 500}, ConnectionError, "500"),
        ({"": 503}, ConnectionError, "503"),
        ({"": 429}, ConnectionError, "429"),
    ],
)
def test_what_a_server_answers(
    tmp_path: Path, http: HttpGit, statuses: dict[str, int], error: type[Exception], words: str
) -> None:
    root = clone(http.address.replace("//", "//me:s3cret@"), tmp_path / "clone")
    place = store(root)
    assert place.numbers() == [] and "s3cret" not in place.name
    [(part, status)] = statuses.items()
    http.before = lambda method, path: status if part in f"{method} {path}" else None
    with pytest.raises(error, match=words) as raised:
        place.add(1, b"x" * 2_000_000)
    assert "s3cret" not in str(raised.value) and "me@" not in str(raised.value)


TOKEN = "Authorization: Basic bWU6czNjcmV0"
HELPER = "!f() { test $1 = get && echo username=me && echo password=s3cret; }; f"


def _included(home: Path, root: Path, address: str) -> None:
    """As a checkout in CI keeps its token: a file that exactly this clone includes."""
    git(root, "config", "--file", str(home / "token"), "http.extraheader", TOKEN)
    git(root, "config", f"includeif.gitdir:{root}/.git.path", str(home / "token"))


def _netrc(home: Path, root: Path, address: str) -> None:
    (home / ".netrc").write_text("machine 127.0.0.1 login me password s3cret\n")


def _configured(key: str, value: str, where: str = "--local") -> Callable[[Path, Path, str], None]:
    def give(home: Path, root: Path, address: str) -> None:
        git(root, "config", where, *(it.replace("ADDRESS", address) for it in (key, value)))

    return give


@pytest.mark.parametrize(
    "give",
    [
        *(_included, _netrc),
        _configured("http.extraheader", TOKEN, "--global"),
        _configured("http.ADDRESS.extraheader", TOKEN),
        _configured("credential.helper", HELPER, "--global"),
        _configured("credential.ADDRESS.helper", HELPER),
        _configured("url.http://me:s3cret@127.0.0.1.insteadof", "http://127.0.0.1"),
        _configured("url.http://me:s3cret@127.0.0.1.insteadof", "http://127.0.0.1", "--global"),
    ],
)
def test_the_users_credentials_are_used(
    tmp_path: Path, http: HttpGit, home: Path, give: Callable[[Path, Path, str], None]
) -> None:
    http.credentials = "me:s3cret"
    root = clone(http.address, tmp_path / "clone")
    with pytest.raises(StateError, match=FETCH):
        store(root).numbers()
    give(home, root, http.address)
    assert store(root).add(1, b"x") and store(root).read(1) == b"x"


@pytest.mark.parametrize("key", ["pushurl", "url"])
def test_reads_and_writes_go_to_one_place(tmp_path: Path, remote: Path, key: str) -> None:
    """A mirror that lags behind would show an old lock."""
    root, mirror = clone(remote, tmp_path / "clone"), bare(tmp_path / "mirror.git")
    for address in (remote, mirror):
        git(root, "config", "--add", f"remote.origin.{key}", str(address))
    if key == "pushurl":
        git(root, "config", "remote.origin.url", str(mirror))
    assert store(root).add(1, b"x") and store(root).read(1) == b"x"
    assert (git(remote, "for-each-ref") != "", git(mirror, "for-each-ref")) == (True, "")


SSH = 'echo "$@" >>"$HOME/ssh"; for last; do :; done; exec sh -c "$last"'


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("", "", "-oBatchMode=yes"),
        ("core.sshCommand", "ssh -i key", "-i key"),
        ("GIT_SSH_COMMAND", "ssh -i other", "-i other"),
    ],
)
def test_ssh_does_not_ask_and_is_the_users(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: str, words: str
) -> None:
    command(tmp_path, monkeypatch, "ssh", SSH)
    root = clone(f"ssh://nobody@localhost{remote}", tmp_path / "clone")
    if key.startswith("core"):
        git(root, "config", key, value)
    elif key:
        monkeypatch.setenv(key, value)
    assert store(root).add(1, b"x") and store(root).read(1) == b"x"
    used = (Path(os.environ["HOME"]) / "ssh").read_text().splitlines()
    assert all(words in it for it in used) and any("receive-pack" in it for it in used)


@pytest.mark.parametrize(
    ("name", "text", "error", "words"),
    [
        ("ssh", "echo 'me@host: Permission denied (publickey).' >&2; exit 255", StateError, FETCH),
        ("ssh", "echo 'Host key verification failed.' >&2; exit 255", StateError, FETCH),
        (
            "ssh",
            "echo 'ssh: connect to host: Connection refused' >&2; exit 255",
            ConnectionError,
            "refused",
        ),
        ("ssh", "echo 'Could not resolve hostname x' >&2; exit 255", ConnectionError, "resolve"),
        ("git", "echo git version 2.30.2", StateError, "2.30 is too old: install 2.31"),
    ],
)
def test_what_a_command_says(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    name: str,
    text: str,
    error: type[Exception],
    words: str,
) -> None:
    root = clone("ssh://localhost/x.git", tmp_path / "clone")
    command(tmp_path, monkeypatch, name, text)
    with pytest.raises(error, match=words):
        store(root).add(1, b"x")


def test_a_clone_that_git_does_not_trust_is_named_with_gits_own_command(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = clone(remote, tmp_path / "clone")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(StateError, match=r"git config --global --add safe\.directory"):
        store(root).numbers()


def test_without_git_nothing_is_done(
    tmp_path: Path, remote: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = clone(remote, tmp_path / "clone")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StateError, match="git is not installed\nstate"):
        store(root).numbers()


def test_git_that_hangs_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transport that has git's pipes would keep the caller waiting, and could still push."""
    command(tmp_path, monkeypatch, "git", f"sleep 1000 & echo $! >{tmp_path}/pid; wait")
    with pytest.raises(TimeoutError, match=r"git did not end within 0\.5 s"):
        run_git(tmp_path, "push", seconds=0.5)
    pid = int((tmp_path / "pid").read_text())
    until(lambda: not _lives(pid), "the transport's end")


def _lives(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True).stdout
    return state.strip()[:1] not in (b"", b"Z")
