"""A state that a team shares: machines die with their disks, stop or are overtaken, and what was
told is in the state."""

from __future__ import annotations

import random
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from majobctl.operations.context import ConfigRepository, store_of
from majobctl.state.document import State
from tests import fake_s3, live_cloud
from tests.config_repository import PATIENCE, Ran, finished, until
from tests.faults.cloud import serving
from tests.faults.conftest import Tally
from tests.faults.launcher import Launcher, launching, side_by_side, started
from tests.faults.observed import claims_in
from tests.faults.team import LEASE, STORES, Team, describe, in_postgres, in_s3, opened
from tests.faults.test_kill import AFTER, AMONG, APPLY, BEFORE, MERGE, NAMES, Trial
from tests.postgres import running_server
from tests.state.backends.s3 import PAIR

MakeTeam = Callable[[], Team]
KILLS = 36
"""On each of three stores."""
SEEDS = range(20261, 20267)
"""Side by side, since most of the time is that of leases which end."""
OVERWRITING = (*APPLY, "--overwrite")
PATIENT = (*APPLY, "--lock-timeout", "25")


@pytest.fixture(params=STORES)
def make_team(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeTeam]:
    with opened(request.param, tmp_path_factory.mktemp("store")) as make:
        yield make


@dataclass
class Machines(Trial):
    """A trial each of whose applies runs on a machine of its own."""

    team: Team = field(kw_only=True)
    takeovers: int = 0
    text: str = ""

    def state(self) -> State | None:
        return self.team.read(self.root, self.launcher)

    def history(self) -> bytes:
        settings = ConfigRepository(self.root).load_settings()
        return store_of(settings).backend.read_history()

    def renew(self) -> None:
        """The machine's disk is thrown away; the next one has what the team shares."""
        for folder in (self.root, Path(self.environment["TMPDIR"])):
            shutil.rmtree(folder, ignore_errors=True)
        Path(self.environment["TMPDIR"]).mkdir()
        self.root = self.root.with_name(f"machine-{self.dice.randrange(10**9)}")
        self.team.machine(self.root, self.cloud.settings(), self.desired)

    def _await_moment(self, process: subprocess.Popen[bytes], since: int) -> None:
        """As for a local state; but each step after the last call takes a store's time."""
        draw, calls = self.dice.random(), sum(text == self.text for text in self.desired.values())
        if draw < 0.2:
            time.sleep(self.dice.uniform(0, 1.5))
            return
        if draw < 0.85:
            calls = self.dice.randrange(1, calls)
        until(
            lambda: self.cloud.puts(since) >= calls or process.poll() is not None,
            f"{calls} calls",
        )
        time.sleep(self.dice.uniform(0, 0.005 if draw < 0.85 else 0.1))

    def kill_machine(self, round_: int) -> None:
        self.renew()
        self.edit(round_)
        self.text = f"round {round_}"
        before = Counter(self.moments)
        said = self.kill_one()
        (moment,) = self.moments - before
        self.renew()
        self.check(said)
        is_taken_over = "took over the lock of" in self.converge().stderr
        assert is_taken_over or moment != AMONG
        assert not is_taken_over or moment != AFTER
        self.takeovers += is_taken_over


def killed(make_team: MakeTeam, folder: Path, seed: int, kills: int) -> Machines:
    with (
        serving(folder / "cloud", NAMES, "--latency-ms", "5") as cloud,
        launching(folder / "launcher") as launcher,
    ):
        team, dice = make_team(), random.Random(seed)
        own = {**team.environment, "TMPDIR": str(folder / "tmp")}
        made = Machines(
            folder / "machine", cloud, launcher, dice, team=team, environment=own, apply=PATIENT
        )
        made.files = ()
        made.desired = dict.fromkeys(NAMES, "at first")
        for number in range(1, kills + 1):
            made.kill_machine(number)
        return made


@pytest.mark.timeout(900)
def test_a_machine_that_dies_with_its_disk_loses_nothing(
    make_team: MakeTeam,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    tally: Tally,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, text in PAIR.items():
        monkeypatch.setenv(name, text)  # the history is read here
    store = request.node.callspec.params["make_team"]

    def run(folder: Path, seed: int, kills: int) -> Machines:
        return killed(make_team, folder, seed, kills)

    trials = side_by_side(run, tmp_path, SEEDS, KILLS)
    moments = sum((made.moments for made in trials), Counter[str]())
    told = ", ".join(f"{moments[name]} {name}" for name in (BEFORE, AMONG, MERGE, AFTER))
    claims, pending, takeovers = (
        sum(getattr(made, name) for made in trials) for name in ("claims", "pending", "takeovers")
    )
    tally(
        f"kill -9, {store}",
        f"{moments.total()} machines, disks thrown away: {told}; {takeovers} locks taken over;"
        f" {claims} claims, all kept; {pending} of unknown outcome, all sent again",
    )
    assert moments.total() == KILLS
    assert moments[AMONG] > KILLS / 3
    assert takeovers >= moments[AMONG]


FEW = [f"job-{number}" for number in range(3)]
SOME = [f"job-{number:02}" for number in range(24)]
PAIRS, PAIRS_OF_A_LOG = 67, 17
_HOLDER = re.compile(
    r"is locked by [^@\s]+@\S+, process (\d+), `majobctl apply[^`]*`, since \S+Z\n"
)


def wanted(names: list[str], text: str) -> dict[str, str]:
    return dict.fromkeys(names, text)


def descriptions(cloud: live_cloud.Cloud) -> set[str]:
    return {cloud.console.config(name)["config_desc"] for name in cloud.console.names()}


@pytest.mark.timeout(900)
def test_of_two_clones_that_apply_at_once_exactly_one_works(
    make_team: MakeTeam, request: pytest.FixtureRequest, tmp_path: Path, tally: Tally
) -> None:
    """No call is answered before one of them has given up, so they are at work at once."""
    is_open = threading.Event()
    with live_cloud.running(tmp_path, live_cloud.seed_of(*FEW)) as cloud:

        def hold(asked: live_cloud.Asked) -> None:
            assert asked.method == "GET" or is_open.wait(PATIENCE)

        cloud.before = hold
        for number in range(PAIRS):
            if number % PAIRS_OF_A_LOG == 0:
                team = make_team()
                clones = [
                    team.machine(tmp_path / f"{number}-{it}", cloud.settings(), {}) for it in "ab"
                ]
            is_open.clear()
            text = f"pair {number}"
            for root in clones:
                describe(root, wanted(FEW, text))
            pair = [started(root, *OVERWRITING, environment=team.environment) for root in clones]
            until(lambda pair=pair: any(it.poll() is not None for it in pair), "the one that loses")
            is_open.set()
            ran = [finished(process) for process in pair]
            assert Counter(it.code for it in ran) == {0: 1, 4: 1}, ran
            loser = ran[0].code == 0
            found = _HOLDER.search(ran[loser].stderr)
            assert found, ran
            assert int(found[1]) == pair[not loser].pid
            assert f"State serial {number % PAIRS_OF_A_LOG + 1}." in ran[not loser].stdout
            assert cloud.take() == Counter(f"{it} {name}" for name in FEW for it in ("GET", "PUT"))
            assert descriptions(cloud) == {text}
    store = request.node.callspec.params["make_team"]
    tally(f"pairs of clones, {store}", f"{PAIRS} times two at once: one works, one exits 4")


class Overtaking:
    """An apply of ``SOME`` on one machine, which another machine overtakes."""

    def __init__(self, team: Team, cloud: live_cloud.Cloud, folder: Path, settings: str) -> None:
        self.team, self.cloud = team, cloud
        self.roots = [team.machine(folder / it, settings, wanted(SOME, it)) for it in "ab"]
        self.first = started(self.roots[0], *APPLY, environment=team.environment)

    def __enter__(self) -> Overtaking:
        return self

    def __exit__(self, *_: object) -> None:
        if self.first.returncode is None:
            self.first.kill()
            self.first.communicate()

    def await_calls(self, count: int) -> None:
        until(lambda: len(self.cloud.writes()) >= count, f"{count} calls")

    def await_rest(self) -> None:
        """Waits until no request is under way."""
        asked = -1
        while asked != (asked := len(self.cloud.asked)):
            time.sleep(0.3)

    def run(self, *arguments: str) -> Ran:
        return finished(started(self.roots[1], *arguments, environment=self.team.environment))

    def check_end(self, ran: Ran, kept: State | None) -> None:
        """``kept`` is what the store had when nothing more could come of the first."""
        assert ran.code == 1, ran
        entries = kept.job_configs if kept else {}
        for name, _ in claims_in(ran.stderr):
            assert not entries[name].pending
            assert entries[name].params["config_desc"] == "a"
        assert "State serial" not in ran.stdout
        assert len(re.findall(r"was (?:taken over|freed) by", ran.stderr)) == 1
        rescued = [*self.roots[0].glob("majobctl.rescue-*.json")]
        if "nothing is lost" not in ran.stderr:
            told = re.search(r"\n(\d+) outcomes? kept; not kept: job-", ran.stderr)
            assert told and int(told[1]) == sum(not it.pending for it in entries.values())
            assert f"{rescued.pop().name}: do not push it" in ran.stderr
        assert not rescued


@pytest.mark.parametrize("is_busy", [False, True], ids=["works", "busy"])
def test_a_stopped_apply_that_was_overtaken_starts_no_further_call(
    make_team: MakeTeam,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    launcher: Launcher,
    tally: Tally,
    is_busy: bool,
) -> None:
    """All three workers have a call under way, or wait for the next try at a busy service."""
    goes_on = threading.Event()
    with live_cloud.running(tmp_path, live_cloud.seed_of(*SOME)) as cloud, ExitStack() as stack:
        refusal = live_cloud.Reply(503, {"error_code": "busy", "error_msg": "busy"})
        refusals: list[live_cloud.Reply] = [refusal] if is_busy else []

        def wait(asked: live_cloud.Asked) -> live_cloud.Reply | None:
            if asked.method == "PUT" and not refusals and len(cloud.writes()) > 3:
                assert goes_on.wait(PATIENCE)
            return refusals[0] if refusals and asked.method == "PUT" else None

        cloud.before = wait
        text = cloud.settings(provider="retries = 6")
        it = stack.enter_context(Overtaking(make_team(), cloud, tmp_path, text))
        it.await_calls(3 if is_busy else 6)
        it.first.send_signal(signal.SIGSTOP)
        goes_on.set()
        it.await_rest()
        refusals.clear()
        kept = it.team.read(it.roots[1], launcher)
        ran = it.run(*PATIENT)
        assert ran.code == 0, ran
        assert f"process {it.first.pid}, `majobctl apply" in ran.stderr
        assert descriptions(cloud) == {"b"}
        cloud.take()
        it.first.send_signal(signal.SIGCONT)
        ran = finished(it.first)
        assert cloud.writes() == []
        assert descriptions(cloud) == {"b"}
        it.check_end(ran, kept)
    tally(
        f"kill -STOP, overtaken, {request.node.callspec.id}",
        f"{len(claims_in(ran.stderr))} claims, all kept; 0 further calls",
    )


def test_an_unlocked_apply_is_fenced_while_it_works(
    make_team: MakeTeam,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    launcher: Launcher,
    tally: Tally,
) -> None:
    begun: list[float] = []
    with live_cloud.running(tmp_path, live_cloud.seed_of(*SOME)) as cloud, ExitStack() as stack:

        def wait(asked: live_cloud.Asked) -> None:
            if asked.method == "PUT":
                begun.append(time.monotonic())
                time.sleep(0.3)

        cloud.before = wait
        it = stack.enter_context(Overtaking(make_team(), cloud, tmp_path, cloud.settings()))
        it.await_calls(4)
        locked = it.run(*APPLY)
        assert locked.code == 4, locked
        found = re.search(r"majobctl unlock (\w+)", locked.stderr)
        assert found, locked
        assert it.run("unlock", found[1]).code == 0
        freed, calls = time.monotonic(), len(begun)
        ran = finished(it.first)
        further = [at - freed for at in begun[calls:]]
        it.check_end(ran, it.team.read(it.roots[1], launcher))
        assert "was freed by" in ran.stderr
        # Three under way may each end, and be followed by one before the refusal is there.
        assert len(further) <= 3
        assert len(begun) < len(SOME)
    tally(
        f"unlock, {request.node.callspec.id}",
        f"{len(further)} further calls, the last after {max(further, default=0):.2f} s"
        f" (lease {LEASE} s, calls of 0.3 s)",
    )


def test_a_store_that_ignores_the_condition_is_refused_and_nothing_is_sent(tmp_path: Path) -> None:
    with (
        fake_s3.running(heeds_conditions=False) as store,
        live_cloud.running(tmp_path, live_cloud.seed_of(*FEW)) as cloud,
    ):
        team = in_s3(store.url)
        root = team.machine(tmp_path / "clone", cloud.settings(), wanted(FEW, "new"))
        ran = finished(started(root, *APPLY, environment=team.environment))
        assert ran.code == 1
        assert "cannot keep a state" in ran.stderr
        assert "nothing was written" in ran.stderr
        assert cloud.writes() == []
        assert not [key for key, (body, _) in store.objects.items() if b'"kind":"state"' in body]


@pytest.mark.parametrize("is_back_in_time", [True, False], ids=["briefly", "for longer"])
def test_a_store_that_is_away_loses_nothing(
    tmp_path: Path, launcher: Launcher, tally: Tally, is_back_in_time: bool
) -> None:
    """The server of the store is killed with all its processes while an apply goes on."""
    with (
        running_server() as server,
        live_cloud.running(tmp_path, live_cloud.seed_of(*SOME)) as cloud,
        ExitStack() as stack,
    ):
        seconds = 0.2 if is_back_in_time else 1.0
        cloud.before = lambda asked: time.sleep(seconds * (asked.method == "PUT"))
        team = in_postgres(server)
        it = stack.enter_context(Overtaking(team, cloud, tmp_path, cloud.settings()))
        it.await_calls(5)
        server.kill()
        if is_back_in_time:
            server.start()
        ran = finished(it.first)
        calls = len(cloud.writes())
        if not is_back_in_time:
            server.start()
            assert "do not push" not in ran.stderr
            assert len(list(it.roots[0].glob("majobctl.rescue-*.json"))) == 1
        state = team.read(it.roots[0], launcher)
        assert state is not None
        told = claims_in(ran.stderr)
        assert all(not state.job_configs[name].pending for name, _ in told)
        assert ran.code == (0 if is_back_in_time else 1), ran
        assert (calls == len(SOME)) is is_back_in_time
        describe(it.roots[1], wanted(SOME, "a"))
        assert it.run(*PATIENT).code == 0
        assert descriptions(cloud) == {"a"}
    tally(
        f"a store that is away, {'briefly' if is_back_in_time else 'for longer'}",
        f"{len(told)} claims, all kept; {calls} of {len(SOME)} calls; exit {ran.code}",
    )
