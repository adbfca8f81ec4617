"""Two applies at once: one works. Readers meanwhile never fail, wait, or see half a write."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.config_repository import JOB, Ran, finished, toml_of, until
from tests.faults.cloud import ENVIRONMENT, IDS, Cloud, serving
from tests.faults.conftest import Tally
from tests.faults.launcher import Launcher, started
from tests.faults.observed import STATE, state_in
from tests.faults.service import body_of, contradictions

ROUNDS = 10
NAMES = [f"job-{number}" for number in range(10)]
APPLY = ("apply", "--auto-approve", "--overwrite", "--parallelism", "1")
_HOLDER = re.compile(
    r"locked by [^@\s]+@\S+, process (\d+), `majobctl apply[^`]*`,"
    r" since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n"
)


@pytest.fixture(scope="module")
def slow_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("slow") / "cloud"
    with serving(folder, NAMES, "--latency-ms", "40") as cloud:
        yield cloud


@pytest.fixture
def root(tmp_path: Path, slow_cloud: Cloud) -> Path:
    folder = tmp_path / "repository"
    (folder / "jobs").mkdir(parents=True)
    (folder / "majobctl.toml").write_text(slow_cloud.settings())
    return folder


def edit(root: Path, text: str) -> None:
    job_configs = (toml_of(name, {**JOB, "config_desc": text}) for name in NAMES)
    (root / "jobs/all.toml").write_text("".join(job_configs))


def check_all_have(root: Path, cloud: Cloud, text: str) -> None:
    body = body_of({**JOB, "config_desc": text}, **IDS)
    assert cloud.held() == dict.fromkeys(NAMES, body)
    assert contradictions(state_in(root), cloud.held(), **IDS) == []


def test_exactly_one_of_two_works_and_the_other_names_it(
    root: Path, slow_cloud: Cloud, tally: Tally
) -> None:
    for number in range(ROUNDS):
        edit(root, f"round {number}")
        processes = [started(root, *APPLY, environment=ENVIRONMENT) for _ in range(2)]
        ran = [finished(process) for process in processes]
        assert Counter(item.code for item in ran) == {0: 1, 4: 1}, ran
        loser = ran[0].code == 0
        found = _HOLDER.search(ran[loser].stderr)
        assert found, ran[loser]
        assert int(found[1]) == processes[not loser].pid
        assert "--lock-timeout" in ran[loser].stderr
        assert f"State serial {number + 1}." in ran[not loser].stdout
        check_all_have(root, slow_cloud, f"round {number}")
    tally("two processes", f"{ROUNDS} times two applies at once: one works, one exits 4")


def test_both_work_one_after_the_other_when_they_may_wait(root: Path, slow_cloud: Cloud) -> None:
    for number in range(3):
        edit(root, f"waiting {number}")
        processes = [
            started(root, *APPLY, "--lock-timeout", "20", environment=ENVIRONMENT) for _ in range(2)
        ]
        ran = [finished(process) for process in processes]
        assert [item.code for item in ran] == [0, 0], ran
        assert sum("No changes." in item.stdout for item in ran) == 1
        check_all_have(root, slow_cloud, f"waiting {number}")


def test_an_apply_that_waited_too_long_ends_with_the_holder(root: Path) -> None:
    edit(root, "held")
    holder = started(root, *APPLY, environment=ENVIRONMENT)
    until((root / f"{STATE}.lock.holder").exists, "the lock")
    ran = finished(started(root, *APPLY, "--lock-timeout", "0.1", environment=ENVIRONMENT))
    assert ran.code == 4
    assert f"process {holder.pid}" in ran.stderr
    assert finished(holder).code == 0


def test_readers_during_an_apply_see_whole_states_and_do_not_wait(
    root: Path, slow_cloud: Cloud, launcher: Launcher, tally: Tally
) -> None:
    edit(root, "before")
    assert finished(started(root, *APPLY, environment=ENVIRONMENT)).code == 0
    reads = commands = number = 0
    while commands <= 30 or number < 3:
        assert number < 20
        number += 1
        edit(root, f"after {number}")
        serials = [serial_in(root)]
        writer = started(root, *APPLY, environment=ENVIRONMENT)
        while writer.poll() is None:
            for command in (("plan",), ("show",), ("state", "pull")):
                check_reader(command, launcher.run(root, *command, environment={}))
                commands += 1
            for _ in range(50):
                serials.append(serial_in(root))
                reads += 1
        assert finished(writer).code == 0
        serials.append(serial_in(root))
        assert serials == sorted(serials)
        assert set(serials) == {number, number + 1}
        check_all_have(root, slow_cloud, f"after {number}")
    tally("readers during an apply", f"{commands} commands and {reads} reads, none failed")


def serial_in(root: Path) -> int:
    """The serial of a state that is complete."""
    state = state_in(root)
    assert state is not None
    assert list(state.job_configs) == NAMES
    return state.serial


def check_reader(command: tuple[str, ...], ran: Ran) -> None:
    assert ran.code == 0, ran
    if command == ("state", "pull"):
        assert list(json.loads(ran.stdout)["job_configs"]) == NAMES
    else:
        assert re.search(r"Plan: \d+ to (update|resend)|\d+ job configs", ran.stdout), ran
