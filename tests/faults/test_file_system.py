"""Every file-system call of an apply fails in turn, in a process of its own; then all of them."""

from __future__ import annotations

import copy
import errno
import json
import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from majobctl.state.document import State
from tests import fake_service
from tests.config_repository import JOB, PATIENCE, toml_of
from tests.fake_service import FakeService
from tests.faults.conftest import Tally
from tests.faults.faulty import CRASHED
from tests.faults.launcher import Fault, Launcher, Watched, launching
from tests.faults.observed import REST_IDS, claims_in, counted_codes, state_in
from tests.faults.service import Body, body_of, contradictions, without_blanks

APPLY = ("apply", "--auto-approve", "--parallelism", "1")
ERRNOS = (errno.ENOSPC, errno.EIO, errno.EACCES)
STATE = "state/majobctl.state.json"
JOURNAL_WRITE = ("write", "majobctl.state.json.journal")
BEFORE = {"alpha": 1, "beta": 1, "gamma": 1}
ENDS = {"error": (0, 1, 3), "interrupt": (0, 130)}
"""The exit codes of an apply, by what happened to it."""
DESIRED = {"alpha": 2, "beta": 3, "delta": 4}
"""The names and their train_instance_count; gamma is to be forgotten."""


def rest_body(count: int) -> Body:
    return body_of({**JOB, "train_instance_count": count}, **REST_IDS)


@dataclass
class Bench:
    """A repository whose state has BEFORE and whose files have DESIRED, and its service.

    ``fresh`` copies it for one case; the service then holds again what it held at first.
    """

    rest: FakeService
    launcher: Launcher
    folder: Path
    held: dict[str, Body]
    numbers: Iterator[int]

    def fresh(self) -> Path:
        self.rest.configs = copy.deepcopy(self.held)
        root = self.folder / f"case-{next(self.numbers)}"
        shutil.copytree(self.folder / "template", root)
        return root

    def run(
        self, root: Path, *arguments: str, fault: Fault | None = None, watched: str = "state"
    ) -> Watched:
        return self.launcher.run(
            root,
            *arguments,
            environment=self.rest.environment,
            fault=fault or Fault(0),
            watched=root / watched,
        )


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    with (
        fake_service.running(has_every_name=True) as rest,
        launching(folder / "launcher") as launcher,
    ):
        template = folder / "template"
        (template / "jobs").mkdir(parents=True)
        (template / "majobctl.toml").write_text(rest.settings(f'[state]\npath = "{STATE}"'))
        made = Bench(rest, launcher, folder, {}, iter(range(10**6)))
        write_jobs(template, BEFORE)
        assert made.run(template, *APPLY).code == 0
        made.held = {name: without_blanks(body) for name, body in rest.configs.items()}
        assert made.held == {name: rest_body(count) for name, count in BEFORE.items()}
        write_jobs(template, DESIRED)
        yield made


def write_jobs(root: Path, counts: Mapping[str, int]) -> None:
    text = "".join(
        toml_of(name, {**JOB, "train_instance_count": count}) for name, count in counts.items()
    )
    (root / "jobs/all.toml").write_text(text)


def printed_state(ran: Watched) -> str | None:
    """The state that an apply printed for want of a file; None where it printed none."""
    start = ran.stderr.find("\n{\n")
    if start < 0:
        return None
    document, _ = json.JSONDecoder().raw_decode(ran.stderr[start + 1 :])
    return json.dumps(document)


def rescued_state(root: Path, ran: Watched) -> State | None:
    """What the rescue file, or the output in place of it, holds."""
    files = [*root.glob("majobctl.rescue-*.json")]
    assert len(files) <= 1
    text = printed_state(ran)
    if files:
        assert text is None
        assert f"majobctl state push {files[0].name}" in ran.stderr
        assert files[0].stat().st_mode & 0o777 == 0o600
        return State.load(files[0].read_bytes(), files[0].name)
    if text is not None:
        assert "majobctl state push rescue.json" in ran.stderr
        (root / "majobctl.rescue-printed.json").write_text(text)
        return State.load(text.encode(), "rescue")
    return None


def for_saving(state: State | None, name: str, body: Body) -> bool:
    """Whether ``state`` says that the service has ``body``, or that it does not know."""
    entry = state.job_configs.get(name) if state else None
    return entry is not None and (entry.pending or body_of(entry.params, **REST_IDS) == body)


def check_nothing_is_lost(made: Bench, root: Path, ran: Watched) -> State | None:
    """Checks all that must hold after any fault; returns the rescued state, if there is one."""
    states = [state_in(root, STATE), rescued := rescued_state(root, ran)]
    held = {name: without_blanks(body) for name, body in made.rest.configs.items()}
    for name, body in held.items():
        is_forgotten = name == "gamma" and body == made.held["gamma"]
        assert is_forgotten or any(for_saving(state, name, body) for state in states), (name, ran)
    final = rescued or states[0]
    assert contradictions(final, held, **REST_IDS) == [], ran
    for name, word in claims_in(ran.stderr):
        entries = final.job_configs if final else {}
        if word == "forgotten":
            assert name not in entries, ran
        else:
            assert not entries[name].pending, ran
            assert body_of(entries[name].params, **REST_IDS) == rest_body(DESIRED[name]), ran
    return rescued


def check_converges(made: Bench, root: Path, rescued: State | None) -> None:
    if rescued:
        file = next(root.glob("majobctl.rescue-*.json"))
        pushed = made.run(root, "state", "push", file.name)
        assert pushed.code == 0, pushed
        after = state_in(root, STATE)
        assert after is not None
        assert after.job_configs == rescued.job_configs
        file.unlink()
    ran = made.run(root, *APPLY)
    assert ran.code == 0, ran
    assert {name: without_blanks(made.rest.configs[name]) for name in DESIRED} == {
        name: rest_body(count) for name, count in DESIRED.items()
    }
    assert "No changes." in made.run(root, "plan").stdout
    left = sorted(path.name for path in (root / "state").iterdir())
    assert [name for name in left if "journal" in name or "holder" in name] == []


def check_case(made: Bench, fault: Fault, watched: str = "state") -> tuple[int, bool]:
    """One apply with a fault, and what must hold afterwards: its exit code, and whether the state
    went into a rescue file or the output."""
    root = made.fresh()
    ran = made.run(root, *APPLY, fault=fault, watched=watched)
    made.rest.await_rest()
    try:
        # Outcomes are written together, so that one apply may make a few calls fewer than another.
        is_missed = ran.code == 0 and len(ran.calls) < fault.at
        assert ran.code in ENDS.get(fault.how, (CRASHED,)) or is_missed, ran
        if ran.code == 0:
            assert "Apply complete" in ran.stdout
        elif ran.code in (1, 3):
            assert "Error: " in ran.stderr or "incomplete" in ran.stdout
            assert "\nApply " in ran.stdout or not claims_in(ran.stderr)
        rescued = check_nothing_is_lost(made, root, ran)
        check_converges(made, root, rescued)
    except AssertionError as error:
        call = ran.calls[fault.at - 1] if len(ran.calls) >= fault.at else None
        raise AssertionError(f"{fault} hit {call}: {error}") from error
    shutil.rmtree(root)
    return ran.code, rescued is not None


@pytest.fixture(scope="module")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Bench]]:
    folder = tmp_path_factory.mktemp("benches")
    with bench(folder / "one") as one, bench(folder / "two") as two:
        yield [one, two]


def check_cases(
    benches: list[Bench], faults: Iterable[Fault], watched: str = "state"
) -> tuple[Counter[int], int]:
    """All cases, shared out among the benches: the exit codes, and how many were rescued."""
    remaining = list(faults)
    shares = [(made, remaining[index :: len(benches)]) for index, made in enumerate(benches)]
    with ThreadPoolExecutor(len(benches)) as pool:
        found = pool.map(
            lambda share: [check_case(share[0], fault, watched) for fault in share[1]], shares
        )
        ends = [end for ends in found for end in ends]
    return Counter(code for code, _ in ends), sum(is_rescued for _, is_rescued in ends)


def calls_of_an_apply(made: Bench) -> tuple[tuple[str, str], ...]:
    root = made.fresh()
    ran = made.run(root, *APPLY)
    assert ran.code == 0, ran
    shutil.rmtree(root)
    return ran.calls


@pytest.mark.parametrize("number", ERRNOS, ids=[errno.errorcode[number] for number in ERRNOS])
def test_nothing_is_lost_when_any_one_call_fails(
    benches: list[Bench], number: int, tally: Tally
) -> None:
    calls = calls_of_an_apply(benches[0])
    assert len(calls) > 70
    faults = [Fault(at, errno=number) for at in range(1, len(calls) + 1)]
    codes, rescued = check_cases(benches, faults)
    assert codes[1] > len(calls) / 2
    tally(
        f"file system, one {errno.errorcode[number]} at each of {len(calls)} calls",
        f"{len(faults)} faults: {counted_codes(codes)}; {rescued} rescued",
    )


@pytest.mark.parametrize("how", ["before", "after"])
def test_nothing_is_lost_when_the_process_ends_at_any_call(
    benches: list[Bench], how: str, tally: Tally
) -> None:
    calls = calls_of_an_apply(benches[0])
    kinds = Counter(kind for kind, _ in calls)
    assert kinds["replace"] >= 2  # the backup, the state
    codes, _ = check_cases(benches, [Fault(at, how) for at in range(1, len(calls) + 1)])
    assert codes.keys() <= {CRASHED, 0}
    assert codes[CRASHED] > len(calls) - 10
    tally(
        f"file system, a crash {how} each of {len(calls)} calls",
        f"{codes[CRASHED]} crashes, {kinds['replace']} of them at a rename",
    )


def test_nothing_is_lost_when_ctrl_c_comes_at_any_call(benches: list[Bench], tally: Tally) -> None:
    calls = calls_of_an_apply(benches[0])
    faults = [Fault(at, "interrupt") for at in range(1, len(calls) + 1)]
    codes, rescued = check_cases(benches, faults)
    assert codes[130] > len(calls) / 2
    assert rescued == 0
    tally(f"file system, Ctrl-C at each of {len(calls)} calls", counted_codes(codes))


@pytest.mark.parametrize(
    ("write", "how", "sent", "pending"),
    [
        (0, "before", 0, ()),
        (0, "after", 0, ("alpha", "beta", "delta")),
        (1, "before", 1, ("alpha", "beta", "delta")),
        (1, "after", 1, ("beta", "delta")),
    ],
    ids=["before the intents", "after the intents", "before an outcome", "after an outcome"],
)
def test_a_crash_leaves_what_may_have_been_begun(
    write: int, how: str, sent: int, pending: tuple[str, ...], benches: list[Bench]
) -> None:
    """What is pending after a crash at one of the journal's writes. The first call is held until
    its outcome is written, so that the others are never begun."""
    made = benches[0]
    writes = [at for at, call in enumerate(calls_of_an_apply(made), 1) if call == JOURNAL_WRITE]
    root = made.fresh()
    made.rest.forget_requests()
    is_over = threading.Event()

    def hold(name: str) -> None:
        if name != "alpha":
            is_over.wait(PATIENCE)

    made.rest.before_put = hold
    try:
        ran = made.run(root, *APPLY, fault=Fault(writes[write], how))
    finally:
        is_over.set()
        made.rest.await_rest()
        made.rest.before_put = lambda name: None
    assert ran.code == CRASHED
    assert claims_in(ran.stderr) == []
    state = state_in(root, STATE)
    assert state is not None
    assert tuple(name for name, it in state.job_configs.items() if it.pending) == pending
    assert min(1, len(made.rest.asked("PUT"))) == sent
    check_converges(made, root, None)


SPACE = ("create", "write", "flush", "mkdir")
"""The calls that need room."""
WRITING = (*SPACE, "replace", "unlink", "chmod", "fsync")


@pytest.mark.parametrize(
    ("number", "kinds"), [(errno.ENOSPC, SPACE), (errno.EROFS, WRITING)], ids=["full", "read-only"]
)
@pytest.mark.parametrize("watched", ["state", "."], ids=["state only", "rescue file, too"])
def test_nothing_is_lost_when_all_calls_fail_from_any_one_on(
    benches: list[Bench], number: int, kinds: tuple[str, ...], watched: str, tally: Tally
) -> None:
    calls = calls_of_an_apply(benches[0])
    faults = [Fault(at, errno=number, lasting=True, kinds=kinds) for at in range(1, len(calls) + 1)]
    codes, rescued = check_cases(benches, faults, watched)
    assert rescued > 0
    where = "the state's folder" if watched == "state" else "all folders"
    tally(
        f"file system, {errno.errorcode[number]} in {where} from each of {len(calls)} calls on",
        f"{len(faults)} faults: {counted_codes(codes)}; {rescued} rescued",
    )


def test_a_state_that_cannot_be_locked_stops_an_apply_before_it_sends_anything(
    benches: list[Bench],
) -> None:
    made = benches[0]
    root = made.fresh()
    made.rest.forget_requests()
    fault = Fault(1, errno=errno.EROFS, lasting=True, kinds=WRITING)
    ran = made.run(root, *APPLY, fault=fault)
    assert ran.code == 1
    assert STATE in ran.stderr
    assert "nothing was done" in ran.stderr
    assert made.rest.requests == []
    assert made.run(root, "plan", fault=fault).code == 0
    assert made.run(root, "show", fault=fault).code == 0


def test_a_full_disk_ends_the_calls_and_the_rescue_file_brings_them_back(
    benches: list[Bench],
) -> None:
    made = benches[0]
    calls = enumerate(calls_of_an_apply(made), 1)
    # The beginning with all intents, and then the outcomes.
    second_outcome = [number for number, call in calls if call == JOURNAL_WRITE][2]
    root = made.fresh()
    fault = Fault(second_outcome, errno=errno.ENOSPC, lasting=True, kinds=SPACE)
    ran = made.run(root, *APPLY, fault=fault)
    assert ran.code == 1
    assert os.strerror(errno.ENOSPC) in ran.stderr
    assert "job_config.alpha: updated" in ran.stderr
    assert "job_config.beta" not in ran.stderr.split("Error: ")[0]
    rescued = check_nothing_is_lost(made, root, ran)
    assert rescued is not None
    assert set(rescued.job_configs) == set(BEFORE)
    check_converges(made, root, rescued)
