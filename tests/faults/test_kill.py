"""A real ``python -m majobctl apply`` is killed at random moments, 200 times, and loses nothing."""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from majobctl.state.document import State
from majobctl.state.history import History
from tests.config_repository import JOB, PATIENCE, toml_of, until
from tests.faults.cloud import ENVIRONMENT, IDS, Cloud, serving
from tests.faults.conftest import Tally
from tests.faults.launcher import Launcher, Watched, launching, side_by_side, started
from tests.faults.observed import HISTORY, STATE, claims_in, held_back_in, lost, state_in
from tests.faults.service import Body, body_of, contradictions

KILLS = 200
SEEDS = (20261, 20262)
"""One for each of the repositories that are killed side by side."""
NAMES = [f"job-{number:02}" for number in range(40)]
CHANGED = 30
APPLY = ("apply", "--auto-approve", "--parallelism", "3")
CONVERGES_EVERY = 4

BEFORE, AMONG, MERGE, AFTER = "before the first call", "among the calls", "in the merge", "too late"

_CALLS = re.compile(r"(\d+) update_job_configs call")


@dataclass
class Trial:
    """One repository, its cloud, and what is desired: descriptions by name."""

    root: Path
    cloud: Cloud
    launcher: Launcher
    dice: random.Random
    desired: dict[str, str] = field(default_factory=dict)
    moments: Counter[str] = field(default_factory=Counter)
    claims: int = 0
    pending: int = 0
    serial: int = 0
    environment: Mapping[str, str] = field(default_factory=lambda: ENVIRONMENT)
    apply: tuple[str, ...] = APPLY
    files: tuple[str, ...] = (STATE, f"{STATE}.backup", f"{STATE}.lock", HISTORY)
    records: int = 0

    def state(self) -> State | None:
        return state_in(self.root)

    def run(self, *arguments: str) -> Watched:
        return self.launcher.run(self.root, *arguments, environment=self.environment)

    def edit(self, round_: int) -> None:
        """Changes 30 of 40 job configs; those changed may also leave the files or come back."""
        for name in self.dice.sample(NAMES, CHANGED):
            self.desired[name] = f"round {round_}"
            if self.dice.random() < 0.05:
                del self.desired[name]
        text = "".join(
            toml_of(name, {**JOB, "config_desc": description})
            for name, description in sorted(self.desired.items())
        )
        (self.root / "jobs/all.toml").write_text(text)

    def body(self, name: str) -> Body:
        return body_of({**JOB, "config_desc": self.desired[name]}, **IDS)

    def kill_one(self) -> str:
        """Starts an apply, kills it, and returns what it had said by then."""
        since = self.cloud.log.stat().st_size
        said = self.root.parent / "stdout"
        errors = self.root.parent / "stderr"
        with said.open("wb") as out, errors.open("wb") as err:
            own, pipes = self.environment, {"stdout": out, "stderr": err}
            process = started(self.root, *self.apply, environment=own, **pipes)
            self._await_moment(process, since)
            process.kill()
            code = process.wait(PATIENCE)
        self.cloud.await_rest()
        found, told = _CALLS.search(said.read_text()), errors.read_text()
        calls = (int(found[1]) if found else CHANGED) - len([*held_back_in(told)])
        self.moments[self._moment(code, since, calls)] += 1
        return told

    def _await_moment(self, process: subprocess.Popen[bytes], since: int) -> None:
        """A moment of the start, after any of the calls, or of what follows the last one."""
        draw = self.dice.random()
        if draw < 0.15:
            time.sleep(self.dice.uniform(0, 0.4))
            return
        calls = self.dice.randrange(1, CHANGED - 3) if draw < 0.75 else CHANGED
        pause = self.dice.uniform(0, 0.005 if draw < 0.75 else 0.05)
        until(
            lambda: self.cloud.puts(since) >= calls or process.poll() is not None,
            f"{calls} calls",
        )
        time.sleep(pause)

    def _moment(self, code: int, since: int, planned: int) -> str:
        answered = self.cloud.puts(since)
        if code >= 0:
            return AFTER
        return BEFORE if answered == 0 else AMONG if answered < planned else MERGE

    def check(self, said: str) -> None:
        """The state opens, has every claim, and contradicts the cloud nowhere."""
        assert "Traceback" not in said
        state = self.state()
        entries = state.job_configs if state else {}
        assert contradictions(state, self.cloud.held(), **IDS) == []
        serial = state.serial if state else 0
        assert serial >= self.serial
        self.serial = serial
        claims = claims_in(said)
        for name, word in claims:
            if word == "forgotten":
                assert name not in entries
            else:
                assert not entries[name].pending
                assert body_of(entries[name].params, **IDS) == self.body(name)
        self.claims += len(claims)
        self.pending += sum(entry.pending for entry in entries.values())

    def converge(self) -> Watched:
        """One more apply, which sends again what is pending, and all is as desired."""
        state = self.state()
        known = state.job_configs if state else {}
        pending = {name for name, entry in known.items() if entry.pending}
        changes = self.run("plan", "--format", "json").document["changes"]
        resent = {item["name"] for item in changes if item["action"] == "resend"}
        assert resent == pending & self.desired.keys()
        held = self.cloud.held()
        ran = first = self.run(*self.apply)
        if first.code == 5:
            # The service still has what an earlier round forgot, and the state does not know it.
            for name in held_back_in(ran.stderr):
                assert lost(known.get(name), held[name], self.body(name), IDS)
                assert name not in known or not known[name].params
            ran = self.run(*self.apply, "--overwrite")
        assert ran.code == 0, ran
        held = self.cloud.held()
        assert {name: held[name] for name in self.desired} == {
            name: self.body(name) for name in self.desired
        }
        after = self.state()
        assert after is not None
        assert set(after.job_configs) == set(self.desired)
        assert not any(entry.pending for entry in after.job_configs.values())
        self.check_history(after)
        left = sorted(path.name for path in self.root.iterdir() if path.is_file())
        assert left == sorted(["majobctl.toml", *self.files])
        return first

    def check_history(self, state: State) -> None:
        """It has every write since the first one, by whoever was killed, and each line of it."""
        history = History(self.history(), state, "the history")
        assert history.verify() == []
        assert history.known_since() == 0
        assert history.state_at(0).job_configs == {}
        events = [it for it in history.events() if it.counts]
        assert [it.serial for it in events] == [*range(state.serial, 0, -1)]
        command = " ".join(["majobctl", *self.apply])
        assert {it.about.command for it in events} <= {command, f"{command} --overwrite"}
        blamed = [it for name in state.job_configs for it in history.blame(name)]
        assert all(it.event for it in blamed)
        assert {it.cause.partition(":")[0] for it in blamed} <= {"jobs/all.toml", ""}
        self.records = len(events)

    def history(self) -> bytes:
        return (self.root / HISTORY).read_bytes()


@contextmanager
def trial(folder: Path, seed: int) -> Iterator[Trial]:
    root = folder / "repository"
    (root / "jobs").mkdir(parents=True)
    with (
        serving(folder / "cloud", NAMES, "--latency-ms", "5") as cloud,
        launching(folder / "launcher") as launcher,
    ):
        (root / "majobctl.toml").write_text(cloud.settings())
        made = Trial(root, cloud, launcher, random.Random(seed))
        made.desired = dict.fromkeys(NAMES, "at first")
        yield made


def killed(folder: Path, seed: int, kills: int) -> Trial:
    with trial(folder, seed) as made:
        for number in range(1, kills + 1):
            made.edit(number)
            made.check(made.kill_one())
            if number % CONVERGES_EVERY == 0:
                made.converge()
        made.converge()
        return made


def test_an_apply_that_is_killed_at_any_moment_loses_nothing(tmp_path: Path, tally: Tally) -> None:
    trials = side_by_side(killed, tmp_path, SEEDS, KILLS)
    moments = sum((made.moments for made in trials), Counter[str]())
    told = ", ".join(f"{moments[name]} {name}" for name in (BEFORE, AMONG, MERGE, AFTER))
    claims = sum(made.claims for made in trials)
    pending = sum(made.pending for made in trials)
    records = sum(made.records for made in trials)
    tally(
        "kill -9",
        f"{moments.total()} kills: {told}; {claims} claims, all kept; {pending} of unknown outcome,"
        f" all sent again; {records} writes of the state, all in its history",
    )
    assert moments.total() == KILLS
    assert moments[AMONG] > KILLS / 2
    assert moments[BEFORE] >= 10
    assert moments[MERGE] >= 5
    assert claims > KILLS
