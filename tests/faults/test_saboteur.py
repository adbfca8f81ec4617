"""Somebody removes, replaces, empties, cuts or links the files of the state while an apply runs."""

from __future__ import annotations

import copy
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from majobctl.errors import StateError
from majobctl.state.document import State
from tests import fake_service
from tests.config_repository import JOB, Repository, finished, toml_of, until
from tests.fake_service import FakeService
from tests.faults.conftest import Tally
from tests.faults.launcher import Launcher, Watched, launching, side_by_side
from tests.faults.observed import REST_IDS, STATE, claims_in, state_in
from tests.faults.sabotage import JOURNAL, SUFFIXES, WAYS, clear
from tests.faults.service import Body, contradictions, without_blanks
from tests.faults.test_interrupts import NAMES as INTERRUPTED
from tests.faults.test_interrupts import Gate

ROUNDS = 500
SEEDS = (20261, 20262)
NAMES = [f"job-{number}" for number in range(6)]
APPLY = ("apply", "--auto-approve", "--parallelism", "3")
CONVERGES_EVERY = 20


@dataclass
class Stage:
    """A repository whose files have more than its state, its service, and the saboteur's dice."""

    rest: FakeService
    launcher: Launcher
    folder: Path
    dice: random.Random
    held: dict[str, Body] = field(default_factory=dict)
    seconds: float = 0
    hits: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    claims: int = 0
    rescued: int = 0
    too_late: int = 0

    def fresh(self, number: int) -> Path:
        self.rest.configs = copy.deepcopy(self.held)
        root = self.folder / f"round-{number}"
        shutil.copytree(self.folder / "template", root)
        return root

    def run(self, root: Path, *arguments: str) -> Watched:
        return self.launcher.run(root, *arguments, environment=self.rest.environment)

    def sabotage(self, root: Path, gone: list[bytes]) -> None:
        """Does something to one of the files, or to each, once it is there; ``gone`` is what the
        state file had before."""
        end = time.monotonic() + self.seconds
        time.sleep(self.dice.uniform(0, self.seconds))
        suffixes = SUFFIXES if self.dice.random() < 0.2 else [self.dice.choice(SUFFIXES)]
        way = self.dice.choice(list(WAYS))
        for suffix in suffixes:
            path = root / (STATE + suffix)
            while not path.is_file() and time.monotonic() < end:
                time.sleep(0.0005)
            with suppress(FileNotFoundError, FileExistsError):
                content = WAYS[way](path)
                self.hits[way] += 1
                if suffix == "":
                    gone.append(content)

    def play(self, number: int) -> None:
        root = self.fresh(number)
        gone: list[bytes] = []
        saboteur = threading.Thread(target=self.sabotage, args=(root, gone))
        saboteur.start()
        ran = self.run(root, *APPLY)
        saboteur.join()
        self.codes[ran.code] += 1
        claims = [name for name, _ in claims_in(ran.stderr)]
        if any(has_all(content, claims) for content in gone) and claims:
            self.too_late += 1
        else:
            self.check(root, ran, claims)
        shutil.rmtree(root)

    def check(self, root: Path, ran: Watched, claims: list[str]) -> None:
        assert ran.code in (0, 1, 5), ran
        self.claims += len(claims)
        for suffix in SUFFIXES:
            clear(root / (STATE + suffix))
        if ran.code == 0:
            # It removed its journal: the saboteur made this one, too late. The state alone counts.
            (root / f"{STATE}{JOURNAL}").unlink(missing_ok=True)
        else:
            self.mend(root, ran)
        if not claims:
            return
        state = state_in(root)
        assert state is not None, ran
        for name in claims:
            assert not state.job_configs[name].pending, ran
            assert state.job_configs[name].params["train_instance_count"] == 2, ran
        held = {name: without_blanks(body) for name, body in self.rest.configs.items()}
        assert contradictions(state, held, **REST_IDS) == [], ran
        if sum(self.codes.values()) % CONVERGES_EVERY == 0:
            for suffix in SUFFIXES:
                clear(root / (STATE + suffix))
            again = self.run(root, *APPLY, "--overwrite")
            assert again.code == 0, (ran, again)
            assert "No changes." in self.run(root, "plan").stdout

    def mend(self, root: Path, ran: Watched) -> None:
        """What a person does who reads the message."""
        if "move it away" in ran.stderr:
            (root / f"{STATE}.journal").unlink(missing_ok=True)
        for rescue in root.glob("majobctl.rescue-*.json"):
            self.rescued += 1
            is_named = f"majobctl state push {rescue.name}" in ran.stderr
            force = [] if is_named else ["--force"]
            pushed = self.run(root, "state", "push", *force, rescue.name)
            assert " ".join(["majobctl state push", *force, rescue.name]) in ran.stderr, ran
            assert pushed.code == 0, (ran, pushed)


def has_all(content: bytes, names: list[str]) -> bool:
    """Whether these bytes were a state that had what was told of ``names``."""
    with suppress(StateError):
        entries = State.load(content, "gone").job_configs
        return all(
            name in entries and entries[name].params.get("train_instance_count") == 2
            for name in names
        )
    return False


def write_jobs(root: Path, count: int) -> None:
    jobs = (toml_of(name, {**JOB, "train_instance_count": count}) for name in NAMES)
    (root / "jobs/all.toml").write_text("".join(jobs))


@contextmanager
def stage(folder: Path, seed: int) -> Iterator[Stage]:
    with (
        fake_service.running(has_every_name=True) as rest,
        launching(folder / "launcher") as launcher,
    ):
        template = folder / "template"
        (template / "jobs").mkdir(parents=True)
        (template / "majobctl.toml").write_text(rest.settings())
        made = Stage(rest, launcher, folder, random.Random(seed))
        write_jobs(template, 1)
        assert made.run(template, *APPLY).code == 0
        made.held = {name: without_blanks(body) for name, body in rest.configs.items()}
        write_jobs(template, 2)
        # A second write, so that there is a backup, too.
        assert made.run(template, "state", "rm", NAMES[0]).code == 0
        del made.held[NAMES[0]]
        start = time.monotonic()
        assert made.run(made.fresh(-1), *APPLY).code in (0, 1)
        made.seconds = time.monotonic() - start
        yield made


def played(folder: Path, seed: int, rounds: int) -> Stage:
    with stage(folder, seed) as made:
        for number in range(rounds):
            made.play(number)
        return made


def calls_under_way(on_rest: Repository, rest: FakeService) -> tuple[Gate, subprocess.Popen[bytes]]:
    """An apply whose first three calls wait at the gate."""
    for name in INTERRUPTED:
        on_rest.job(name)
    gate = Gate(rest, 4)
    process = on_rest.start(*APPLY)
    until(lambda: gate.waiting == 3, "the calls under way")
    return gate, process


def test_a_repository_that_is_moved_is_told_where_its_state_is(
    on_rest: Repository, rest: FakeService
) -> None:
    gate, process = calls_under_way(on_rest, rest)
    on_rest.root.rename(on_rest.root.with_name("moved"))
    gate.open()
    ran = finished(process)
    assert ran.code == 1
    assert f"what was done is in {on_rest.state_path.resolve()}\n" in ran.stderr
    assert on_rest.state_path.is_file()


@pytest.mark.skipif(shutil.which("git") is None, reason="git cleans")
def test_a_second_apply_after_git_clean_takes_nothing_from_the_first(
    on_rest: Repository, rest: FakeService
) -> None:
    gate, first = calls_under_way(on_rest, rest)
    on_rest.write(".gitignore", "majobctl.*\n")
    for command in ("init -q", "clean -q -xdf -e majobctl.toml -e jobs"):
        subprocess.run(["git", *command.split()], cwd=on_rest.root, check=True)
    second = on_rest.start(*APPLY, "--overwrite")
    until(lambda: gate.waiting > 3 or second.poll() is not None, "the second apply")
    gate.open()
    one, two = finished(first), finished(second)
    assert (one.code, two.code) == (1, 0), (one, two)
    assert "its lock was replaced, and another process may have it now" in one.stderr
    assert "journal was damaged or replaced meanwhile: move it away, unless another" in one.stderr
    (rescue,) = on_rest.root.glob("majobctl.rescue-*.json")
    assert rescue.name in one.stderr
    for content, ran in ((rescue.read_bytes(), one), (on_rest.state_path.read_bytes(), two)):
        entries = State.load(content, "state").job_configs
        told = {name for name, _ in claims_in(ran.stderr)}
        assert told <= {name for name, entry in entries.items() if not entry.pending}
    assert "--force" in on_rest.run("state", "push", rescue.name).stderr
    assert "No changes." in on_rest.done("plan", "--refresh").stdout


def test_what_was_told_is_kept_beside_a_saboteur(tmp_path: Path, tally: Tally) -> None:
    stages = side_by_side(played, tmp_path, SEEDS, ROUNDS)
    hits = sum((made.hits for made in stages), Counter[str]())
    codes = sum((made.codes for made in stages), Counter[int]())
    told = sum(made.claims for made in stages)
    rescued, late = (sum(getattr(made, key) for made in stages) for key in ("rescued", "too_late"))
    ways = ", ".join(f"{hits[way]} x {way}" for way in WAYS)
    ends = ", ".join(f"{count} x exit {code}" for code, count in sorted(codes.items()))
    tally(
        "a saboteur",
        f"{codes.total()} applies: {ends}; {ways}; {told} claims, all kept; {rescued} rescued;"
        f" {late} after the end",
    )
    assert codes.total() == ROUNDS
    assert hits.total() > ROUNDS / 2
    assert min(hits[way] for way in WAYS) > 10
    assert rescued > 10
