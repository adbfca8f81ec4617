"""What holds for a state in every place where one can be: moves, locks, pushes and failures."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from majobctl.operations.context import store_of
from majobctl.repository.settings.settings import read_settings
from majobctl.state.journal import intent
from majobctl.state.store import StateStore
from tests import fake_gitlab, fake_s3, live_cloud
from tests.config_repository import Ran, Repository, terminal
from tests.fake_gitlab import FakeGitLab
from tests.git_servers import NO_GIT, bare, git, hook
from tests.network import unused_port
from tests.postgres import Server, postgres_server
from tests.state.backends.s3 import PAIR

__all__ = ["postgres_server"]
pytestmark = pytest.mark.slow

PLACES = ["local", "git", "postgres", "s3", "gitlab", "plain"]
SHARED = PLACES[1:]
_numbers = itertools.count()


@dataclass
class Place:
    """A place for a state, and what is behind it; ``keys`` are those of ``[state]``."""

    backend: str
    keys: dict[str, str] = field(default_factory=dict)
    server: Any = None

    @property
    def table(self) -> str:
        values = (
            f"{key} = {it if it == 'true' else json.dumps(it)}" for key, it in self.keys.items()
        )
        return "\n".join(["[state]", f'backend = "{self.backend}"', *values, ""])

    @property
    def arguments(self) -> list[str]:
        return [self.backend, *(f"{key}={it}" for key, it in self.keys.items())]


class Places:
    """Opens each place when it is first wanted."""

    def __init__(self, stack: ExitStack, request: pytest.FixtureRequest, repository: Repository):
        self._stack, self._request, self._repository = stack, request, repository
        repository.environment.update(PAIR)
        repository.environment.update(
            TF_HTTP_USERNAME=fake_gitlab.USER, TF_HTTP_PASSWORD=fake_gitlab.TOKEN
        )

    def __call__(self, kind: str) -> Place:
        if kind == "git":
            if NO_GIT:
                pytest.skip(NO_GIT)
            root = self._repository.root
            if not (root / ".git").exists():
                git(root, "init", "-q")
                git(root, "remote", "add", "origin", str(bare(root.parent / "remote.git")))
            return Place("git", server=root.parent / "remote.git")
        if kind == "postgres":
            server: Server = self._request.getfixturevalue("postgres_server")
            keys = {"address": server.address(), "name": f"places/{next(_numbers)}"}
            return Place("postgres", keys, server)
        if kind == "s3":
            store = self._stack.enter_context(fake_s3.running())
            keys = {"bucket": fake_s3.BUCKET, "name": "x", "region": fake_s3.REGION}
            return Place("s3", {**keys, "endpoint": store.url, "path_style": "true"}, store)
        if kind in ("gitlab", "plain"):
            gitlab = self._stack.enter_context(fake_gitlab.running(is_plain=kind == "plain"))
            return Place("http", {"address": gitlab.url}, gitlab)
        return Place("local")


@pytest.fixture
def places(
    request: pytest.FixtureRequest, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Places]:
    for name in ("CI_JOB_TOKEN", "CI_API_V4_URL"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as stack:
        yield Places(stack, request, repository)


PROVIDER = '[provider]\nkind = "emulator"\nseed = "cloud.toml"\n'


def settle(repository: Repository, place: Place) -> None:
    repository.settings(PROVIDER + place.table)


def opened(repository: Repository) -> StateStore:
    """The state's store, as another process opens it."""
    for name, value in repository.environment.items():
        repository.monkeypatch.setenv(name, value)
    settings, problems = read_settings(repository.root, overrides=_none())
    assert not problems
    return store_of(settings)


def _none() -> Any:
    from majobctl.repository.settings.variables import NO_OVERRIDES

    return NO_OVERRIDES


def state_of(repository: Repository) -> Any:
    return json.loads(repository.done("state", "pull").stdout)


def leave_journal(repository: Repository) -> None:
    """What an apply leaves that is killed after one of two calls."""
    with opened(repository).locked("majobctl apply") as locked:
        assert locked.state is not None
        intents = {it: intent({"config_desc": "x"}) for it in ("alpha", "beta")}
        journal = locked.open_journal(locked.state, intents)
        journal.record_done("alpha")
        journal.flush()
        journal.close()


def check_left(repository: Repository) -> None:
    found = state_of(repository)["job_configs"]
    assert found["alpha"]["params"] == {"config_desc": "x"}
    assert found["beta"]["pending"] is True
    assert found["beta"]["attempted"] == {"config_desc": "x"}


def moved(repository: Repository, place: Place) -> Ran:
    ran = repository.done("state", "move", *place.arguments)
    repository.settings(PROVIDER + ran.stdout)
    return ran


@pytest.mark.parametrize("kind", SHARED)
class TestMove:
    def test_a_state_moves_there_and_back_with_all_that_a_crash_left(
        self, on_emulator: Repository, places: Places, kind: str
    ) -> None:
        on_emulator.job("beta")
        on_emulator.apply()
        leave_journal(on_emulator)
        there = places(kind)
        moved(on_emulator, there)
        check_left(on_emulator)
        check = on_emulator.done("state", "check").stdout
        assert re.search(r"^State   serial 2, 2 job configs\nLock    free\nProof   ", check, re.M)
        moved(on_emulator, Place("local"))
        check_left(on_emulator)
        moved(on_emulator, there)
        on_emulator.apply("--overwrite")
        leave_journal(on_emulator)
        before = on_emulator.done("state", "pull").stdout
        moved(on_emulator, other := places("git" if kind != "git" else "postgres"))
        assert on_emulator.done("state", "pull").stdout == before
        check_left(on_emulator)
        moved(on_emulator, there)
        assert on_emulator.done("state", "pull").stdout == before
        settle(on_emulator, other)
        assert "was moved to" in on_emulator.run("plan", code=1).stderr

    def test_a_place_with_another_state_is_not_taken(
        self, on_emulator: Repository, places: Places, kind: str
    ) -> None:
        there = places(kind)
        settle(on_emulator, there)
        on_emulator.apply()
        theirs = on_emulator.done("state", "pull").stdout
        settle(on_emulator, Place("local"))
        on_emulator.apply()
        ours = on_emulator.state_path.read_bytes()
        ran = on_emulator.run("state", "move", *there.arguments, code=1)
        assert "has another state already: serial 1, lineage" in ran.stderr
        assert "nothing was moved; choose a place without one" in ran.stderr
        assert on_emulator.state_path.read_bytes() == ours
        settle(on_emulator, there)
        assert on_emulator.done("state", "pull").stdout == theirs


@pytest.mark.parametrize("kind", PLACES)
def test_a_different_state_of_the_same_serial_needs_force(
    on_emulator: Repository, places: Places, kind: str
) -> None:
    settle(on_emulator, places(kind))
    on_emulator.apply()
    copy = on_emulator.done("state", "pull").stdout
    on_emulator.write("same.json", copy)
    changed = json.loads(copy)
    changed["job_configs"]["alpha"]["params"]["config_desc"] = "theirs"
    on_emulator.write("other.json", json.dumps(changed))
    ran = on_emulator.run("state", "push", "other.json", code=1)
    assert "other.json has serial 1, as the state, but other entries\n" in ran.stderr
    assert "run `majobctl state push --force other.json`" in ran.stderr
    assert on_emulator.done("state", "pull").stdout == copy
    assert "has the same entries" in on_emulator.done("state", "push", "same.json").stdout
    on_emulator.done("state", "push", "--force", "other.json")
    found = state_of(on_emulator)
    assert (found["serial"], found["job_configs"]) == (2, changed["job_configs"])


@pytest.mark.parametrize("kind", PLACES)
def test_unlock_of_a_living_holder(on_emulator: Repository, places: Places, kind: str) -> None:
    settle(on_emulator, places(kind))
    on_emulator.done("state", "check")
    assert " is not locked" in on_emulator.run("unlock", "4f1c2d9a7b60", code=1).stderr
    with terminal(on_emulator, "apply") as shown:
        shown.expect("yes")
        refused = on_emulator.run("state", "rm", "alpha", code=4).stderr
        assert f"process {shown.process.pid}, `majobctl apply`" in refused
        if kind == "local":
            holder = on_emulator.root / "majobctl.state.json.lock.holder"
            holder_id = json.loads(holder.read_text())["id"]
        else:
            holder_id = re.findall(r"majobctl unlock (\w+)", refused)[0]
        wrong = on_emulator.run("unlock", "4f1c2d9a7b60", code=1).stderr
        assert f" has the ID {holder_id}: " in wrong
        ran = on_emulator.run("unlock", holder_id, code=4 if kind == "local" else 0)
        if kind == "local":
            assert "is locked by" in ran.stderr and "--lock-timeout" in ran.stderr
        else:
            assert f"process {shown.process.pid}, `majobctl apply`" in ran.stdout
            fate = "may still write, so end it" if kind == "plain" else "cannot write any more"
            assert f"; if it still runs, it {fate}, and " in ran.stdout
            assert " is not locked" in on_emulator.run("unlock", holder_id, code=1).stderr
        shown.type("yes\n")
        code, seen = shown.finish()
        text = " ".join(seen.split())
    if kind in ("local", "plain"):  # Terraform's protocol fences only once another has written
        assert (code, "1 recorded" in text) == (0, True), text
    else:
        assert code == 1, text
        assert "was freed by " in text and "nothing was sent" in text
        assert "no state yet" in on_emulator.run("state", "pull", code=1).stderr


@pytest.mark.parametrize("kind", SHARED)
def test_in_an_environment_the_way_to_unlock_names_it(
    on_emulator: Repository, places: Places, kind: str
) -> None:
    table = places(kind).table.replace("[state]", "[environments.prod.state]")
    on_emulator.settings(f"{PROVIDER}[apply]\n{table}")
    with terminal(on_emulator, "apply", "-e", "prod") as shown:
        shown.expect("yes")
        refused = on_emulator.run("apply", "-e", "prod", "--auto-approve", code=4).stderr
        unlock = re.findall(r"majobctl (unlock -e prod \w+)$", refused, re.MULTILINE)[0]
        assert f"process {shown.process.pid}, " in on_emulator.done(*unlock.split()).stdout
        shown.type("no\n")
        shown.finish()


def refused(
    status: int, methods: tuple[str, ...] = ("GET", "POST", "LOCK", "UNLOCK")
) -> Callable[[Place], None]:
    """Whatever is asked of ``http`` from now on."""

    def spoil(place: Place) -> None:
        for method in methods:
            place.server.fail(method, *[fake_gitlab.refused(status)] * 200)

    return spoil


def moves_away(place: Place) -> None:
    place.server.rename(place.server.with_name("away.git"))


def declines(place: Place) -> None:
    hook(place.server, "pre-receive", "echo 'protected branch' >&2; exit 1")


def revokes(place: Place) -> None:
    place.server.execute("ALTER TABLE majobctl_log RENAME COLUMN content TO was_content")


def denies(place: Place) -> None:
    place.server.script.extend([fake_s3.refusal(403, "AccessDenied")] * 200)


def is_busy(place: Place) -> None:
    place.server.script.extend([fake_s3.refusal(503, "SlowDown")] * 200)


def mend(place: Place) -> None:
    if place.backend == "git":
        if (away := place.server.with_name("away.git")).exists():
            away.rename(place.server)
        (place.server / "hooks/pre-receive").unlink(missing_ok=True)
    elif place.backend == "postgres":
        place.server.execute("ALTER TABLE majobctl_log RENAME COLUMN was_content TO content")
    else:
        (place.server.script if place.backend == "s3" else place.server.faults).clear()


FAILURES: list[tuple[str, Callable[[Place], None], str, str]] = [
    ("git", moves_away, "does not appear to be a git repository", "git push --dry-run origin"),
    ("git", declines, "protected branch", "use credentials that may push"),
    ("postgres", revokes, 'column "content"', "rename it"),
    ("s3", denies, "403, AccessDenied", "docs/state-s3.md"),
    ("s3", is_busy, "cannot be written: HTTP status 503, SlowDown", ""),
    ("gitlab", refused(401), "HTTP status 401", "set TF_HTTP_USERNAME"),
    ("gitlab", refused(403), "HTTP status 403", "docs/state-http.md"),
    ("gitlab", refused(413), "HTTP status 413", "larger than the server allows"),
    ("gitlab", refused(422), "HTTP status 422", ""),
    ("plain", refused(401), "HTTP status 401", "set TF_HTTP_USERNAME"),
    ("plain", refused(404, ("GET",)), "has no state any more: it was removed", ""),
]


@pytest.mark.parametrize(("kind", "spoil", "words", "advice"), FAILURES)
def test_a_place_that_fails_while_an_apply_works(
    on_emulator: Repository,
    places: Places,
    tmp_path: Path,
    kind: str,
    spoil: Callable[[Place], None],
    words: str,
    advice: str,
) -> None:
    """One clear error, and nothing is lost."""
    names, place = [f"job-{number}" for number in range(6)], places(kind)
    on_emulator.remove("alpha")
    (tmp_path / "cloud").mkdir()
    on_emulator.environment.update(live_cloud.ENVIRONMENT)
    with live_cloud.running(tmp_path / "cloud", live_cloud.seed_of(*names)) as cloud:
        is_leased = kind in ("git", "postgres", "s3")
        table, option = place.table + "lease = 5\n" * is_leased, ""
        if kind == "gitlab":  # one in an environment
            table, option = table.replace("[state]", "[environments.prod.state]"), " -e prod"
            on_emulator.environment["MAJOBCTL_ENVIRONMENT"] = "prod"
        on_emulator.settings(cloud.settings(table))
        for name in names:
            on_emulator.job(name, config_desc="new")
        on_emulator.done("state", "check")

        def fail(asked: live_cloud.Asked) -> None:
            if asked.method == "PUT" and len(cloud.writes()) == 2:
                spoil(place)

        cloud.before = fail
        ran = on_emulator.run("apply", "--auto-approve", "--overwrite", "--parallelism", "1")
        sent = [it.removeprefix("PUT ") for it in cloud.writes()]
        mend(place)
        (rescue,) = on_emulator.root.glob("majobctl.rescue-*.json")
        if left := re.findall(
            rf"free it, if it is there: majobctl unlock{option} (\w+)", ran.stderr
        ):
            on_emulator.run("unlock", left[0])
        on_emulator.done("state", "push", rescue.name, "--lock-timeout", "20")
        plan = on_emulator.run("plan").stdout
        assert ("No changes" if len(sent) == len(names) else f"{len(sent)} unchanged") in plan
    assert ran.code == 1
    error = ran.stderr[ran.stderr.index("Error: ") :]
    assert error.count(words) == 1, error
    assert advice in error and r"\n" not in error
    assert error.count("no further call was started") == 1
    assert "State serial" not in ran.stdout
    push = f"majobctl state push{option} {rescue.name}\n"
    assert re.search(r"what was done is in \S+: once .* can be written, restore it with\n", error)
    assert error.endswith(f"    {push}")
    kept = json.loads(rescue.read_bytes())["job_configs"]
    assert sent and all("pending" not in kept[name] for name in sent)


def answers(content: bytes) -> Callable[[FakeGitLab], None]:
    return lambda gitlab: gitlab.versions.update({7: content})


def fails(status: int, method: str) -> Callable[[FakeGitLab], None]:
    return lambda gitlab: gitlab.fail(method, *[fake_gitlab.refused(status)] * 50)


def is_away(gitlab: FakeGitLab) -> None:
    gitlab.url = f"http://127.0.0.1:{unused_port()}/x"


def is_hidden(gitlab: FakeGitLab) -> None:
    gitlab.url = gitlab.url.replace("/42/", "/43/")


UNUSABLE: list[tuple[str, Callable[[FakeGitLab], None], str, str]] = [
    ("plain", is_away, "cannot be reached: cannot connect", ""),
    ("gitlab", is_hidden, "HTTP status 404", "check state.address; GitLab says this"),
    ("gitlab", fails(401, "GET"), "HTTP status 401", "set TF_HTTP_USERNAME and"),
    ("gitlab", fails(403, "LOCK"), "HTTP status 403", "docs/state-http.md"),
    ("gitlab", fails(500, "LOCK"), "HTTP status 500", ""),
    ("plain", fails(405, "LOCK"), "HTTP status 405", "this server has no lock"),
    ("plain", fails(501, "LOCK"), "HTTP status 501", "this server has no lock"),
    ("plain", fails(200, "LOCK"), "it gave its lock to two at once", "use GitLab"),
    ("plain", answers(b"<html>Sign in</html>"), "does not answer with a state", "state.address"),
    ("gitlab", answers(b'{"version": 4, "serial": 7}'), "does not answer with a st", "Terraform's"),
    ("gitlab", answers(b'{"serial": 7, "format_version": 1}'), "is damaged", "GitLab"),
]


@pytest.mark.parametrize(("kind", "spoil", "words", "advice"), UNUSABLE)
def test_a_place_that_cannot_be_used_is_checked_and_moved_to_in_vain(
    on_emulator: Repository,
    places: Places,
    kind: str,
    spoil: Callable[[FakeGitLab], None],
    words: str,
    advice: str,
) -> None:
    on_emulator.apply()
    before, place = on_emulator.state_path.read_bytes(), places(kind)
    spoil(place.server)
    place.keys["address"], content = place.server.url, place.server.content
    move = on_emulator.run("state", "move", *place.arguments)
    settle(on_emulator, place)
    check = on_emulator.run("state", "check")
    for ran in (move, check):
        assert ran.code == 1
        assert ran.stderr.count(words) == 1 and advice in ran.stderr, ran
        assert ".backup" not in ran.stderr and r"\n" not in ran.stderr
        assert ran.stderr.count(place.keys["address"]) == 1
    assert on_emulator.state_path.read_bytes() == before
    assert place.server.content == content


def earlier_record(repository: Repository, place: Place) -> str:
    """By hand: the state in a record, after its first line."""
    git(repository.root, "fetch", "-q", "origin", "majobctl-state")
    tree = git(repository.root, "ls-tree", "--name-only", "FETCH_HEAD", "records/").split()
    found = (git(repository.root, "show", f"FETCH_HEAD:{it}") for it in tree)
    return next(it.partition("\n")[2] for it in found if '"kind":"state"' in it.partition("\n")[0])


def earlier_version(repository: Repository, place: Place) -> str:
    versions = (json.loads(it) for _, it in sorted(place.server.versions.items()))
    return next(str(it["state"]) for it in versions if it["state"])


COPIES: list[tuple[str, str, Callable[[Repository, Place], str] | None]] = [
    ("local", "the .backup beside the state, or one from git", None),
    ("git", "an earlier record of origin/majobctl-state has one after", earlier_record),
    ("postgres", "an earlier record of places/", None),
    ("s3", "an earlier record of s3://state/x at", None),
    ("gitlab", "GitLab keeps earlier versions; jq -r .state VERSION |", earlier_version),
    ("plain", "one of the server's; jq -r .state VERSION |", None),
]


@pytest.mark.parametrize(("kind", "advice", "earlier"), COPIES)
def test_of_a_damaged_state_it_says_where_a_copy_is(
    on_emulator: Repository,
    places: Places,
    kind: str,
    advice: str,
    earlier: Callable[[Repository, Place], str] | None,
) -> None:
    place = places(kind)
    settle(on_emulator, place)
    on_emulator.apply()
    copy = on_emulator.done("state", "pull").stdout
    backend = opened(on_emulator).backend
    with backend.lock("majobctl apply", 0):
        backend.write(b'{"format_version": 1, "serial": 1, "job_configs": {}}')
    for arguments in (["plan"], ["apply", "--auto-approve"], ["state", "check"]):
        ran = on_emulator.run(*arguments, code=1)
        assert "is damaged: lineage is missing\nit was left untouched; restore a c" in ran.stderr
        assert advice in ran.stderr
        assert (".backup" in ran.stderr) is (kind == "local")
    found = earlier(on_emulator, place) if earlier else copy
    assert json.loads(found) == json.loads(copy)
    on_emulator.write("copy.json", found)
    assert "is damaged" in on_emulator.run("state", "push", "copy.json", code=1).stderr
    on_emulator.done("state", "push", "--force", "copy.json")
    assert on_emulator.done("plan").stdout.startswith("No changes.")
