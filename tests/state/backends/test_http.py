"""A state that GitLab keeps, or a server of Terraform's protocol."""

from __future__ import annotations

import itertools
import json
import operator
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import OvertakenError
from majobctl.state.backends.http import HttpBackend
from majobctl.state.backends.http_server import Document, Server
from majobctl.state.document import State
from majobctl.state.journal import intent
from majobctl.state.store import StateStore
from majobctl.target import Target
from tests import fake_gitlab, live_cloud
from tests.config_repository import Repository, finished, until
from tests.fake_gitlab import FakeGitLab, lost, refused
from tests.live_cloud import Cloud
from tests.network import unused_port

TARGET = Target("https://modelarts.example.com", "p")
INTENTS = {name: intent({"code_dir": f"/{name}/"}) for name in ("alpha", "beta")}


@pytest.fixture(params=["gitlab", "plain"])
def gitlab(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitLab]:
    for name in ("CI_JOB_TOKEN", "CI_API_V4_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_HTTP_USERNAME", fake_gitlab.USER)
    monkeypatch.setenv("TF_HTTP_PASSWORD", fake_gitlab.TOKEN)
    with fake_gitlab.running(is_plain=request.param == "plain") as found:
        yield found


real = pytest.mark.parametrize("gitlab", ["gitlab"], indirect=True)


def opened(gitlab: FakeGitLab, pause: float = 0.3) -> HttpBackend:
    return HttpBackend(Server(gitlab.url), pause=pause, patience=3)


def state(serial: int = 1) -> State:
    return replace(State.new(TARGET), serial=serial)


class TestState:
    def test_it_is_the_same_bytes_elsewhere(self, gitlab: FakeGitLab) -> None:
        assert (opened(gitlab).read(), opened(gitlab).read_journal()) == (None, None)
        content = state().dump()
        with opened(gitlab).lock("apply") as holder:
            backend = opened(gitlab)
            with pytest.raises(LockedError, match=holder.id):
                backend.lock("apply").__enter__()
        with backend.lock("apply"):
            backend.write(content)
            backend.write(content.replace(b"example", b"\xc3\xa4\xe2\x82\xac"))
            assert backend.read() == opened(gitlab).read() != content
        assert gitlab.lock == {}
        assert gitlab.document["serial"] == 2

    def test_the_last_lines_of_the_history_travel_with_it(self, gitlab: FakeGitLab) -> None:
        lines = [b"%d\n" % number for number in range(250)]
        backend = opened(gitlab)
        with backend.lock("apply"):
            backend.write(state(1).dump(), b"".join(lines[:200]))
            assert opened(gitlab).read_history() == b"".join(lines[:200])
            backend.write(state(2).dump(), b"".join(lines[200:]))
            assert opened(gitlab).read_history() == b"".join(lines[50:])
            large = b"x" * 2**18 + b"\n"
            backend.write(state(3).dump(), large)
            assert opened(gitlab).read_history() == backend.end_of_history() == large
            backend.replace_history(b"one\n")
        assert opened(gitlab).read_history() == b"one\n"
        before = {key: it for key, it in gitlab.document.items() if key != "history"}
        assert Document.load(json.dumps(before).encode(), "x").history == ""

    def test_a_journal_travels_with_it(self, gitlab: FakeGitLab) -> None:
        store, backend = StateStore(opened(gitlab)), opened(gitlab)
        with StateStore(backend).locked("apply") as locked:
            locked.write(first := state())
            journal = locked.open_journal(first, INTENTS)
            seen = store.read()
            assert seen and {it for it in seen.job_configs if seen.job_configs[it].pending} == {
                "alpha",
                "beta",
            }
            journal.record_done("alpha")
            journal.record_unsent([])
            journal.flush()
            seen = store.read()
            assert seen and [(name, it.pending) for name, it in seen.job_configs.items()] == [
                ("alpha", False)
            ]
            assert locked.save(journal) == ""
        assert store.read() == locked.state
        assert gitlab.document["journal"] == ""

    def test_each_write_has_a_higher_serial(self, gitlab: FakeGitLab) -> None:
        """GitLab would show a lower one to nobody."""
        store = StateStore(opened(gitlab))
        with store.locked("push") as locked:
            for serial in (9, 3):
                locked.write(state(serial))
        found = store.read()
        assert found and found.serial == 3
        assert gitlab.document["serial"] == 2

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"<html>Sign in</html>", "it is not JSON.*\n.*a page to sign in"),
            (
                b'{"version": 4, "terraform_version": "1.9.0", "serial": 7}',
                "by is missing.*\n.*Terraform",
            ),
            (b'{"serial": 7, "format_version": 1}', "damaged"),
        ],
    )
    def test_what_it_cannot_read_is_left_untouched(
        self, gitlab: FakeGitLab, content: bytes, told: str
    ) -> None:
        gitlab.versions[7] = content
        store = StateStore(opened(gitlab))
        with pytest.raises(StateError, match=told):
            store.read()
        with pytest.raises(StateError, match=told), store.locked("apply"):
            pass
        assert gitlab.content == content
        assert gitlab.lock == {}

    def test_a_state_that_was_uploaded_is_taken_over(self, gitlab: FakeGitLab) -> None:
        gitlab.versions[12] = state(12).dump()
        store = StateStore(opened(gitlab))
        with store.locked("apply") as locked:
            assert locked.state
            locked.write(locked.state.changed({}))
        found = store.read()
        assert found and found.serial == 13

    def test_a_state_and_its_journal_are_read_at_once(self, gitlab: FakeGitLab) -> None:
        assert StateStore(opened(gitlab)).read() is None
        assert gitlab.asked == ["GET"]

    @pytest.mark.slow
    def test_calls_go_on_between_two_writes(self, gitlab: FakeGitLab) -> None:
        backend, known = opened(gitlab, pause=1), {f"n{it}": intent({}) for it in range(6)}
        with StateStore(backend).locked("apply") as locked:
            journal = locked.open_journal(state(0), known)
            del gitlab.times[:]
            for name in known:
                journal.check()
                journal.record_done(name)
                journal.flush()
        pauses = [after - before for before, after in itertools.pairwise(gitlab.times)]
        least = [0.49, 0.99, 0.99, 0.99, 0.99]
        assert all(map(operator.ge, pauses, least)) and len(pauses) == len(least)


class TestLock:
    def test_the_next_one_sees_who_has_it(self, gitlab: FakeGitLab) -> None:
        first = opened(gitlab).lock("majobctl apply --target ä " + "x" * 300)
        with first as holder, pytest.raises(LockedError) as caught:
            opened(gitlab).lock("apply").__enter__()
        told = str(caught.value)
        assert str(holder)[:80] in told
        assert f"majobctl unlock {holder.id}" in told

    def test_it_is_waited_for(self, gitlab: FakeGitLab) -> None:
        first = opened(gitlab).lock("apply")
        first.__enter__()
        threading.Timer(0.5, first.__exit__, (None, None, None)).start()
        with opened(gitlab).lock("apply", 20):
            assert gitlab.asked.count("LOCK") > 2

    def test_unlock_frees_and_fences(
        self, gitlab: FakeGitLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        backend, other = opened(gitlab, pause=0.05), opened(gitlab)
        with StateStore(backend).locked("apply") as locked:
            journal = locked.open_journal(state(0), INTENTS)
            assert locked.state is None
            holder = json.loads(gitlab.content)["by"].split()[0]
            with pytest.raises(StateError, match=f"has the ID {holder}"):
                other.unlock("other")
            assert other.unlock(holder).id == holder
            with pytest.raises(StateError, match="is not locked"):
                other.unlock(holder)
            assert gitlab.lock == {}
            with StateStore(other).locked("apply") as theirs:
                assert theirs.state
                time.sleep(0.1)
                with pytest.raises(OvertakenError, match="was taken over by"):
                    journal.check()
                journal.record_done("alpha")
                with pytest.raises(OvertakenError):
                    journal.flush()
                kept = gitlab.content
                said = locked.save(journal)
                assert "do not push it" in said
                assert gitlab.content == kept
                assert gitlab.lock
        assert gitlab.lock == {}

    @real
    def test_a_write_without_the_lock_is_known_for_what_it_is(self, gitlab: FakeGitLab) -> None:
        backend = opened(gitlab)
        with backend.lock("apply") as holder:
            opened(gitlab).unlock(holder.id)
            with pytest.raises(OvertakenError, match="was freed by somebody else"):
                backend.write(b"{}")
            assert (gitlab.versions, gitlab.lock) == ({}, {})
            with opened(gitlab).lock("another"), pytest.raises(OvertakenError):
                backend.write(b"{}")
        backend.lock("apply").__enter__()

    def test_another_programs_lock_is_named_and_freed(self, gitlab: FakeGitLab) -> None:
        gitlab.lock = {"ID": "75ebe9d6-9aed", "Who": "bob@laptop"}
        with pytest.raises(
            LockedError,
            match=r"by another program, for bob@laptop.*\n.*majobctl unlock 75ebe9d6-9aed",
        ):
            opened(gitlab).lock("apply").__enter__()
        assert opened(gitlab).unlock("75ebe9d6-9aed").user == "bob@laptop"
        assert gitlab.lock == {}

    def test_one_that_cannot_be_freed_is_named(self, gitlab: FakeGitLab) -> None:
        warned: list[object] = []
        with opened(gitlab).lock("apply", 0, warned.append) as holder:
            gitlab.users.clear()
        assert f"majobctl unlock {holder.id}" in str(warned)


FAULTS = {
    "lost": [lost],
    "500 before": [refused(500)],
    "502 after": [refused(502, after=True)],
    "429": [refused(429)],
    "lost, then 503": [lost, refused(503)],
    "503 three times": [refused(503)] * 3,
}


@pytest.mark.parametrize("faults", FAULTS.values(), ids=list(FAULTS))
class TestFaults:
    @pytest.mark.parametrize("method", ["GET", "LOCK", "UNLOCK"])
    def test_what_is_asked_again(
        self, gitlab: FakeGitLab, faults: list[fake_gitlab.Fault], method: str
    ) -> None:
        gitlab.fail(method, *faults)
        with opened(gitlab).lock("apply"):
            assert gitlab.lock
        assert gitlab.lock == {}

    def test_a_write_is_cleared_up(
        self, gitlab: FakeGitLab, faults: list[fake_gitlab.Fault]
    ) -> None:
        backend, content = opened(gitlab), state().dump()
        with backend.lock("apply"):
            gitlab.fail("POST", *faults)
            backend.write(content)
            assert gitlab.document["serial"] == 1
            backend.write(content)
        assert gitlab.document["serial"] == 2
        assert opened(gitlab).read() == content


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_write_that_was_broken_off_is_the_own_one(gitlab: FakeGitLab, is_kept: bool) -> None:
    def broken_off(
        handler: fake_gitlab.Handler, carry_out: Callable[[], fake_gitlab.Reply]
    ) -> None:
        if is_kept:
            carry_out()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)

    backend, content = opened(gitlab), state(3).dump()
    with backend.lock("apply"):
        backend.write(state().dump())
        gitlab.fail("POST", broken_off)
        with pytest.raises(KeyboardInterrupt):
            backend.write(state(2).dump())
        backend.write(content)
    assert opened(gitlab).read() == content
    assert gitlab.document["serial"] == 2 + is_kept
    assert gitlab.lock == {}


@pytest.mark.parametrize(
    ("method", "fault", "told"),
    [
        ("GET", refused(401), "401 for TF_HTTP_USERNAME\nset TF_HTTP_USERNAME and"),
        ("LOCK", refused(403), "403 for TF_HTTP_USERNAME\nGitLab lets the role Developer"),
        ("LOCK", refused(404), "404 .*\ncheck state.address; GitLab says this, too"),
        ("LOCK", refused(405), "this server has no lock"),
        ("LOCK", refused(501), "this server has no lock"),
        ("GET", refused(302, "https://example.com/?s=cret"), "302.*\nit leads to another address"),
        ("POST", refused(413), "413.*\nthe state is larger than the server allows"),
        ("POST", refused(422), "422"),
        ("POST", refused(401), "401"),
    ],
)
def test_what_will_not_pass_is_said(
    gitlab: FakeGitLab, method: str, fault: fake_gitlab.Fault, told: str
) -> None:
    gitlab.fail(method, fault)
    backend = opened(gitlab)
    with pytest.raises(StateError, match=told) as caught, backend.lock("apply"):
        backend.write(state().dump())
    assert fake_gitlab.TOKEN not in str(caught.value) and "s=cret" not in str(caught.value)
    assert (gitlab.versions, gitlab.lock) == ({}, {})


@pytest.mark.slow
def test_a_server_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = HttpBackend(Server(f"http://127.0.0.1:{unused_port()}/x"), patience=0)
    with pytest.raises(StateError, match="cannot be reached: cannot connect"):
        backend.read()


@real
def test_a_project_that_one_may_not_see_is_no_empty_state(gitlab: FakeGitLab) -> None:
    gitlab.url = gitlab.url.replace("/42/", "/43/")
    with pytest.raises(StateError, match="those who may not see the project"):
        opened(gitlab).read()


@pytest.mark.parametrize(
    ("environment", "user"),
    [
        ({"CI_JOB_TOKEN": "job"}, None),
        ({"CI_JOB_TOKEN": "job", "CI_API_V4_URL": "{url}/api/v4"}, "gitlab-ci-token"),
        ({"CI_JOB_TOKEN": "job", "CI_API_V4_URL": "https://gitlab.example.com/api/v4"}, None),
        ({"CI_JOB_TOKEN": "job", "TF_HTTP_USERNAME": "u", "TF_HTTP_PASSWORD": "p"}, "u"),
        ({"TF_HTTP_PASSWORD": "p"}, ""),
        ({}, None),
    ],
)
@real
def test_whose_credentials_are_sent(
    gitlab: FakeGitLab,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    user: str | None,
) -> None:
    monkeypatch.delenv("TF_HTTP_USERNAME")
    monkeypatch.delenv("TF_HTTP_PASSWORD")
    origin = gitlab.url.removesuffix(fake_gitlab.PATH)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(url=origin))
    gitlab.users = {} if user is None else {user: "job" if "token" in user else "p"}
    if user is None:
        with pytest.raises(StateError, match="HTTP status 401 without credentials"):
            opened(gitlab).read()
    else:
        assert opened(gitlab).read() is None


@pytest.mark.parametrize(
    "name", ["state.address", "TF_HTTP_LOCK_ADDRESS", "TF_HTTP_UNLOCK_ADDRESS"]
)
@pytest.mark.parametrize("address", ["http://example.com/x", "https://u:s3cret@example.com", "x"])
def test_an_address_that_is_none(name: str, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("TF"):
        monkeypatch.setenv(name, address)
    with pytest.raises(StateError, match=f"^{name} must") as caught:
        Server("https://example.com/state" if name.startswith("TF") else address)
    assert "s3cret" not in str(caught.value)


def test_methods_and_addresses_of_the_environment(
    gitlab: FakeGitLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = gitlab.url if gitlab.is_plain else f"{gitlab.url}/lock"
    monkeypatch.setenv("TF_HTTP_LOCK_ADDRESS", lock + "?x=1")
    monkeypatch.setenv("TF_HTTP_LOCK_METHOD", "LOCK" if gitlab.is_plain else "POST")
    monkeypatch.setenv("TF_HTTP_UNLOCK_METHOD", "UNLOCK" if gitlab.is_plain else "DELETE")
    with opened(gitlab).lock("apply"):
        assert gitlab.lock
    assert gitlab.lock == {}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    (tmp_path / "cloud").mkdir()
    with live_cloud.running(tmp_path / "cloud", live_cloud.seed_of("alpha", "beta")) as found:
        yield found


@pytest.fixture
def clones(
    gitlab: FakeGitLab, cloud: Cloud, tmp_path: Path, repository: Repository
) -> list[Repository]:
    """Two clones of a config repository."""
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        clone = replace(repository, root=tmp_path / name, environment=cloud.environment)
        clone.settings(cloud.settings(f'[state]\nbackend = "http"\naddress = "{gitlab.url}"\n'))
        for job in ("alpha", "beta"):
            clone.job(job, config_desc=name)
        found.append(clone)
    return found


@pytest.mark.slow
class TestCommands:
    def test_what_one_clone_applied_the_other_plans_against(
        self, clones: list[Repository], gitlab: FakeGitLab
    ) -> None:
        one, two = clones
        one.done("apply", "--auto-approve", "--overwrite")
        assert "No changes" in one.done("plan").stdout
        assert "2 to update" in two.run("plan").stdout
        two.done("apply", "--auto-approve")
        assert json.loads(two.done("state", "pull").stdout)["serial"] == 2
        assert "2 to update" in one.run("plan").stdout
        assert gitlab.lock == {}
        assert not list(one.root.glob("*.state.json*"))

    def test_a_killed_apply_is_named_unlocked_and_continued(
        self, clones: list[Repository], gitlab: FakeGitLab, cloud: Cloud
    ) -> None:
        one, two = clones
        one.done("apply", "--auto-approve", "--overwrite")
        cloud.take()
        stay, asked = threading.Event(), threading.Event()

        def hold(request: live_cloud.Asked) -> None:
            if request.method == "PUT" and request.name == "beta":
                asked.set()
                stay.wait(30)

        cloud.before = hold
        process = two.start("apply", "--auto-approve", "--parallelism", "1")
        try:
            until(asked.is_set, "the call")
            said = rf"process {process.pid}, `.* apply .*`, since \S+Z; or it was broken off: the"
            assert re.search(f"an apply may be under way: .*{said}", one.run("plan").stderr)
            document = json.loads(gitlab.content)
            assert [*live_intents(document["journal"])] == ["alpha", "beta"]
            process.kill()
            finished(process)
        finally:
            stay.set()
            process.kill()
        cloud.before = lambda request: None
        check = one.run("state", "check", code=4).stdout
        assert re.search(f"Lock    may be held by .*{said}", check)
        refused = one.run("apply", "--auto-approve", code=4)
        assert f"process {process.pid}, `" in refused.stderr
        holder = refused.stderr.split("majobctl unlock ")[1].split()[0]
        assert "the last call may have succeeded, or never been sent" in one.run("plan").stdout
        unlocked = one.done("unlock", holder).stdout
        assert f"process {process.pid}" in unlocked
        cloud.take()
        two.done("apply", "--auto-approve")
        ran = two.done("plan")
        assert "No changes" in ran.stdout and not ran.stderr
        assert cloud.console.config("beta")["config_desc"] == "two"

    def test_a_living_apply_that_is_freed_stops(
        self, clones: list[Repository], gitlab: FakeGitLab, cloud: Cloud
    ) -> None:
        one, two = clones
        asked, stay = threading.Event(), threading.Event()

        def hold(request: live_cloud.Asked) -> None:
            if request.method == "PUT" and not asked.is_set():
                asked.set()
                stay.wait(60)

        cloud.before = hold
        process = two.start("apply", "--auto-approve", "--overwrite", "--parallelism", "1")
        until(asked.is_set, "the call")
        unlocked = one.done("unlock", gitlab.document["by"].split()[0]).stdout
        assert "if it still runs, it" in unlocked
        one.done("apply", "--auto-approve", "--overwrite")
        kept = gitlab.content
        time.sleep(5.1)
        cloud.take()
        stay.set()
        ended = finished(process)
        assert cloud.take()["PUT beta"] == 0
        assert ended.code == 1, ended
        assert "was taken over by" in ended.stderr
        assert "updated" not in ended.stderr
        assert gitlab.content == kept
        assert gitlab.lock == {}

    def test_of_two_clones_at_once_one_works_at_a_time(
        self, clones: list[Repository], gitlab: FakeGitLab
    ) -> None:
        for _ in range(3):
            started = [clone.start("apply", "--auto-approve", "--overwrite") for clone in clones]
            ended = [finished(process) for process in started]
            assert {ran.code for ran in ended} <= {0, 4}
            assert 0 in {ran.code for ran in ended}
            assert all("is locked by" in ran.stderr for ran in ended if ran.code == 4)
            assert gitlab.lock == {}
        serials = [it["serial"] for it in gitlab.states if it]
        assert serials == sorted(serials)

    def test_ctrl_c_saves_and_frees(
        self, clones: list[Repository], gitlab: FakeGitLab, cloud: Cloud
    ) -> None:
        asked = threading.Event()

        def tell(request: live_cloud.Asked) -> None:
            if request.method == "PUT":
                asked.set()
                time.sleep(0.3)

        cloud.before = tell
        process = clones[0].start("apply", "--auto-approve", "--overwrite", "--parallelism", "1")
        until(asked.is_set, "the call")
        process.send_signal(signal.SIGINT)
        assert finished(process).code == 130
        assert gitlab.lock == {}
        assert gitlab.document["journal"] == ""
        assert json.loads(gitlab.document["state"])["job_configs"]["alpha"]


def live_intents(journal: str) -> dict[str, Any]:
    records = [json.loads(line)["record"] for line in journal.splitlines()]
    found: dict[str, Any] = next(it["intents"] for it in records if "intents" in it)
    return found
