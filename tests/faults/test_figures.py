"""What recording an update costs: how many flushes a burst needs, how many bytes an update."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from majobctl.state.backends.local import LocalBackend
from majobctl.state.document import Entry, State
from majobctl.state.journal import intent
from majobctl.state.store import StateStore
from majobctl.target import Target
from tests.config_repository import JOB, Repository, toml_of
from tests.fake_service import FakeService, Reply
from tests.faults.conftest import Tally
from tests.faults.launcher import Launcher

BURST = 200
SIZES = (10, 1_000, 10_000)
UPDATES = 20


def test_a_burst_of_outcomes_shares_its_flushes(
    on_rest: Repository, rest: FakeService, launcher: Launcher, tally: Tally
) -> None:
    names = [f"job-{number:03}" for number in range(BURST)]
    on_rest.write("jobs/all.toml", "".join(toml_of(name, JOB) for name in names))

    def take_a_while(name: str) -> Reply | None:
        time.sleep(0.02)
        return None

    rest.before_put = take_a_while
    found: dict[int, int] = {}
    for parallelism in (1, 10, 50):
        ran = launcher.run(
            on_rest.root,
            *("apply", "--auto-approve", "--refresh=none", "--parallelism", str(parallelism)),
            environment=on_rest.environment,
        )
        assert f"{BURST} added" in ran.stdout
        calls = Counter(kind for kind, name in ran.calls if name.endswith(".journal"))
        found[parallelism] = calls["fsync"]
        on_rest.state_path.unlink()
    records = 2 + BURST
    # The first line with all intents, the outcomes, the folder.
    assert found[1] <= BURST + 2
    assert found[50] < found[10] < BURST
    told = ", ".join(f"{count} at parallelism {number}" for number, count in found.items())
    tally("flushes", f"{records} records of {BURST} updates: {told}")


def test_the_bytes_of_an_update_do_not_depend_on_the_number_of_job_configs(
    tmp_path: Path, tally: Tally
) -> None:
    sizes: dict[int, float] = {}
    for size in SIZES:
        path = tmp_path / str(size) / "state.json"
        store = StateStore(LocalBackend(path, "state.json"))
        entries = {f"job-{number:05}": Entry(params=JOB, applied_at="") for number in range(size)}
        with store.locked("test") as locked:
            locked.write(
                State(
                    lineage="lineage",
                    serial=1,
                    target=Target("emulator", "p"),
                    job_configs=entries,
                    salt="salt",
                )
            )
            assert locked.state is not None
            journal = locked.open_journal(locked.state)
            file = path.with_name("state.json.journal")
            before = file.stat().st_size
            for number in range(UPDATES):
                params = {**JOB, "train_instance_count": 2}
                journal.intend_all({f"job-{number % size:05}": intent(params)})
                journal.record_done(f"job-{number % size:05}")
            journal.flush()
            sizes[size] = (file.stat().st_size - before) / UPDATES
            journal.close()
            assert locked.save(journal) == ""
    assert len(set(sizes.values())) == 1
    told = ", ".join(f"{sizes[size]:.0f} bytes of {size}" for size in SIZES)
    tally("an update's record", told)
