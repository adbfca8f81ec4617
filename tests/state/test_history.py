"""The history: what it says of random lives of a state is what a naive replay says."""

from __future__ import annotations

import os
import random
import subprocess
import tracemalloc
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from majobctl.errors import StateError
from majobctl.state.backends import Backend, Warn, unheard
from majobctl.state.backends.local import LocalBackend
from majobctl.state.backends.log import LogBackend
from majobctl.state.document import Entry, State
from majobctl.state.history import History
from majobctl.state.journal import intent
from majobctl.state.record import About, Notes, fields_of
from majobctl.state.store import LockedState, StateStore
from tests.plan.values import TARGET
from tests.state.backends.memory import MemoryStore

NAMES = "abcdef"
Origins = dict[str, dict[tuple[str, ...], tuple[int, str]]]
"""Of each field: the serial that set it, and the line that did."""


class Place:
    """Where the state of one life is kept."""

    def open(self) -> Backend:
        """As another process opens it."""
        raise NotImplementedError

    def die(self, backend: Backend, work: Callable[[LockedState], object]) -> None:
        """``work`` is done under the lock, by a process that is gone then."""
        with StateStore(backend).locked("apply", about=about_of(backend)) as locked:
            work(locked)

    def before_rename(self, write: Callable[[], object]) -> None:
        """Leaves what a crash leaves that comes right before the state is replaced."""


class OnDisk(Place):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "x.state.json"
        self.history = folder / "x.history.jsonl"

    def open(self) -> LocalBackend:
        return LocalBackend(self.path, "x.state.json")

    def before_rename(self, write: Callable[[], object]) -> None:
        content = self.path.read_bytes()
        write()
        self.path.write_bytes(content)


class InLog(Place):
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.left: list[object] = []

    def open(self) -> LogBackend:
        return LogBackend(self.store, keep=3)

    def die(self, backend: Backend, work: Callable[[LockedState], object]) -> None:
        lock, other = StateStore(backend).locked("apply", about=about_of(backend)), self.open()
        work(lock.__enter__())
        self.left.append(lock)  # one that nobody holds would be closed
        other.read()
        seen = other.holder()
        assert seen is not None
        other.unlock(seen.holder.id)


def about_of(backend: Backend) -> Callable[[], About]:
    return lambda: About(
        user=f"user of {id(backend)}", commit="c" * 40, clean=True, command="apply"
    )


@dataclass
class Life:
    """A state, and what a naive replay knows of it: all its versions that count, as they were."""

    place: Place
    dice: random.Random
    versions: list[tuple[State | None, Origins]] = field(default_factory=lambda: [(None, {})])
    number: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def state(self) -> State | None:
        return self.versions[-1][0]

    def params(self) -> dict[str, Any]:
        labels = {key: str(self.dice.randrange(3)) for key in ("lr", "ä", "a.b") if self.flip(0.6)}
        own: dict[str, Any] = {"config_desc": self.dice.choice(["x", "y\u2028z", '"state":"1:2"'])}
        own |= {"data_source": [{"type": "obs", "data_url": self.dice.choice("pq")}]}
        own |= {"hyperparameters": labels} if labels else {}
        return {key: value for key, value in own.items() if self.flip(0.8)}

    def flip(self, chance: float) -> bool:
        return self.dice.random() < chance

    def step(self) -> None:
        steps = (self.apply, self.apply, self.crash, self.push, self.remove, self.undo, self.torn)
        self.dice.choice(steps)()

    # Each step, and what it adds to the naive replay

    def record(
        self,
        after: State,
        causes: Mapping[str, str] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        before, origins = self.versions[-1]
        old = before.job_configs if before else {}
        found: Origins = {}
        for name, entry in after.job_configs.items():
            base = name if name in old else (renamed or {}).get(name, "")
            was, known = fields_of(old[base].params) if base in old else {}, origins.get(base, {})
            found[name] = {
                path: known[path]
                if was.get(path) == value
                else (after.serial, (causes or {}).get(name, ""))
                for path, value in fields_of(entry.params).items()
            }
        self.versions.append((after, found))

    def apply(self, dies: bool = False) -> None:
        known = self.state.job_configs if self.state else {}
        chosen = self.dice.sample(NAMES, self.dice.randint(1, 4))
        line = f"jobs/all.toml:{next(self.number)}"
        free = [name for name in known if name not in chosen]
        renamed = {
            name: free.pop() for name in chosen if name not in known and free and self.flip(0.4)
        }
        causes = {"config_desc": line, "data_source": line, "hyperparameters.lr": line}
        causes |= {"hyperparameters.ä": line, "hyperparameters.a.b": line}
        intents = {
            name: intent(self.params(), causes=causes, old_name=renamed.get(name, ""))
            for name in chosen
        }

        def work(locked: LockedState) -> None:
            state = locked.state or State.new(TARGET)
            with closing(locked.open_journal(state, intents)) as journal:
                for name in chosen:
                    end = self.dice.random()
                    if end < 0.6:
                        journal.record_done(name)
                    elif end < 0.7:
                        journal.record_refused(name)
                    elif end < 0.8:
                        journal.record_known(name, intents[name])
                for old in renamed.values():
                    journal.record_forgotten(old)
                if self.flip(0.5):
                    journal.record_unsent(chosen[:1], {chosen[0]: ["lr"]})
                journal.flush()
            if not dies:
                assert locked.save(journal) == ""

        backend = self.place.open()
        if dies:
            self.place.die(backend, work)
        else:
            with StateStore(backend).locked("apply", about=about_of(backend)) as locked:
                work(locked)
        self.look(dict.fromkeys(chosen, line), renamed)

    def look(self, causes: Mapping[str, str], renamed: Mapping[str, str]) -> None:
        """The next writer merges what is left, and says under whose name."""
        with StateStore(self.place.open()).locked("plan"):
            pass
        after = StateStore(self.place.open()).read()
        if after is not None and (self.state is None or after.serial != self.state.serial):
            self.record(after, causes, renamed)

    def crash(self) -> None:
        self.apply(dies=True)

    def write(self, change: Callable[[State], State]) -> State:
        backend = self.place.open()
        with StateStore(backend).locked("rm", about=about_of(backend)) as locked:
            assert locked.state is not None
            locked.write(change(locked.state))
            return locked.state

    def push(self) -> None:
        if self.state is not None:
            old = self.dice.choice(self.versions[1:])[0]
            assert old is not None
            entries = old.job_configs
            skip = self.dice.randint(1, 3)
            after = self.write(lambda it: replace(it, serial=it.serial + skip, job_configs=entries))
            self.record(after)

    def remove(self) -> None:
        if self.state is not None and self.state.job_configs:
            gone = self.dice.choice([*self.state.job_configs])
            rest = {name: it for name, it in self.state.job_configs.items() if name != gone}
            self.record(self.write(lambda it: it.changed(rest)))

    def undo(self) -> None:
        """Somebody brings back the state before: in a log, only ``push`` can."""
        if isinstance(self.place, OnDisk) and len(self.versions) > 3:
            before = self.versions[-self.dice.randint(2, 3)][0]
            assert before is not None
            self.place.path.write_bytes(before.dump())
            while self.versions[-1][0] != before:
                self.versions.pop()

    def torn(self) -> None:
        """A crash right before the state is replaced, or while the line is added."""
        if isinstance(self.place, OnDisk) and self.state is not None:
            self.place.before_rename(lambda: self.write(lambda it: it.changed({})))
            has = self.place.history.read_bytes()
            if self.flip(0.5):
                start = has.rfind(b"\n", 0, -1) + 1
                self.place.history.write_bytes(has[: self.dice.randint(start, len(has) - 1)])

    def read(self) -> History:
        backend = self.place.open()
        return History(backend.read_history(), StateStore(backend).read(), backend.history_name)

    def check(self) -> None:
        history, state = self.read(), self.state
        if state is None:
            return
        for was, _ in self.versions:
            found = history.state_at(was.serial if was else 0)
            assert found.job_configs == (was.job_configs if was else {})
        for name, origins in self.versions[-1][1].items():
            blamed = {
                it.path: (it.event.serial, it.cause) if it.event else None
                for it in history.blame(name)
            }
            assert blamed == origins
        assert history.known_since() == 0
        assert all(it.about.commit for it in history.events())
        counted = [it.serial for it in history.events() if it.counts]
        assert counted == [was.serial for was, _ in self.versions[:0:-1] if was]


@pytest.fixture(params=["on disk", "in a log"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return OnDisk(tmp_path) if request.param == "on disk" else InLog()


@pytest.mark.parametrize("seed", range(12))
def test_a_history_says_what_a_naive_replay_says(place: Place, seed: int) -> None:
    life = Life(place, random.Random(seed))
    for _ in range(30):
        life.step()
        life.check()
    faults = [it for it in life.read().verify() if "cut short" not in it.message]
    assert faults == []


# What becomes of the file


@pytest.fixture
def store(tmp_path: Path) -> StateStore:
    return StateStore(LocalBackend(tmp_path / "x.state.json", "x.state.json"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.history.jsonl"


def write(store: StateStore, serials: int = 1, warn: Warn = unheard, **notes: Any) -> State:
    """Sets the description of ``a`` to the serial, so many times."""
    for _ in range(serials):
        with store.locked("apply", warn=warn) as locked:
            state = locked.state or State.new(TARGET)
            params = {"config_desc": str(state.serial + 1), "inputs": "/b/x/"}
            locked.write(
                state.changed({"a": Entry(params=params, applied_at=uuid.uuid4().hex)}),
                Notes(**notes),
            )
    assert locked.state is not None
    return locked.state


def history(store: StateStore) -> History:
    return History(store.backend.read_history(), store.read(), store.backend.history_name)


def faults(store: StateStore) -> list[tuple[int, str]]:
    return [(it.number, it.message) for it in history(store).verify()]


def blamed(store: StateStore) -> dict[str, int]:
    """The serial that set each field of ``a``; 0 if nobody knows."""
    return {it.dotted: it.event.serial if it.event else 0 for it in history(store).blame("a")}


def test_each_changed_byte_is_named_with_its_line(store: StateStore, path: Path) -> None:
    write(store, 4)
    content, number = path.read_bytes(), 1
    for place, byte in enumerate(content):
        for other in {byte ^ 1, byte ^ 32, ord("\n"), ord('"')} - {byte}:
            path.write_bytes(content[:place] + bytes([other]) + content[place + 1 :])
            found = [it for it, _ in faults(store)]
            # What ends a line, or is made the end of one, is of two of them.
            is_end = ord("\n") in (byte, other)
            assert {number, number + is_end} & {*found}
            assert is_end or found == [number]
        number += byte == ord("\n")
    assert number == 5


LOST = "the line before it is missing, or was moved"
MOVES: Mapping[str, tuple[Callable[[list[bytes]], list[bytes]], list[tuple[int, str]]]] = {
    "the first is cut": (lambda it: it[1:], [(1, LOST)]),
    "one is cut": (lambda it: it[:2] + it[3:], [(3, LOST)]),
    "the last is cut": (lambda it: it[:-1], [(5, "the line of the last write is missing")]),
    "two change places": (lambda it: [it[0], it[2], it[1], *it[3:]], [(2, LOST)]),
    "one is moved to the end": (lambda it: [*it[:2], *it[3:], it[2]], [(3, LOST)]),
    "one is there twice": (lambda it: [*it[:3], *it[2:]], [(4, "it is there twice")]),
    "all are gone": (lambda it: [], [(0, "it has no records, not even of the last write")]),
    "git's line ends": (lambda it: [line.replace(b"\n", b"\r\n") for line in it], []),
}


@pytest.mark.parametrize(("move", "expected"), MOVES.values(), ids=MOVES)
def test_what_is_cut_or_moved_is_named_and_the_state_is_written_all_the_same(
    store: StateStore,
    path: Path,
    move: Callable[[list[bytes]], list[bytes]],
    expected: list[tuple[int, str]],
) -> None:
    write(store, 5)
    path.write_bytes(b"".join(move(path.read_bytes().splitlines(keepends=True))))
    assert faults(store) == expected
    assert write(store).serial == 6
    assert blamed(store)["config_desc"] == 6
    # Whoever cut the file is still named, and nothing that came after.
    left = [it for it in expected if it[0] and "last" not in it[1]]
    assert len(faults(store)) == len(left)


def test_a_history_that_is_lost_or_begins_late_says_since_when_it_knows(
    store: StateStore, path: Path
) -> None:
    write(store, 3)
    path.unlink()
    assert history(store).known_since() == 3
    assert blamed(store) == {"config_desc": 0, "inputs": 0}
    write(store, 2)
    assert history(store).known_since() == 3
    assert blamed(store) == {"config_desc": 5, "inputs": 0}
    assert history(store).state_at(3).job_configs["a"].params["config_desc"] == "3"
    for when in (2, "2020-01-01"):
        with pytest.raises(
            StateError, match=rf"{when} is not known: x.history.jsonl goes back to serial 3"
        ):
            history(store).state_at(when)
    assert faults(store) == []


def test_a_state_that_somebody_else_wrote_is_a_gap(store: StateStore, path: Path) -> None:
    state = write(store, 2)
    entry = Entry(params={"config_desc": "2", "inputs": "/b/x/"}, applied_at="by 0.1")
    (path.parent / "x.state.json").write_bytes(state.changed({"a": entry}).dump())
    write(store)
    assert [(it.serial, it.counts) for it in history(store).events()] == [
        (4, True),
        (2, True),
        (1, True),
    ]
    assert history(store).known_since() == 3
    assert blamed(store) == {"config_desc": 4, "inputs": 0}


def test_a_state_that_nobody_can_read_is_replaced_by_one_that_begins_anew(
    store: StateStore, path: Path
) -> None:
    state = write(store, 2)
    (path.parent / "x.state.json").write_text("damaged")
    with store.locked("push", instead=state, force=True) as locked:
        locked.write(replace(state, serial=5))
    assert blamed(store) == {"config_desc": 5, "inputs": 5}
    assert history(store).known_since() == 5
    with pytest.raises(StateError, match="goes back to serial 5"):
        history(store).state_at(4)
    assert faults(store) == []


@pytest.mark.parametrize(
    "spoil",
    [Path.mkdir, lambda path: os.mkfifo(path), lambda path: path.write_bytes(b"\xff\x00{\n")],
    ids=["folder", "pipe", "rubbish"],
)
def test_what_is_in_place_of_a_history_never_keeps_a_state_from_being_written(
    store: StateStore, path: Path, spoil: Callable[[Path], None]
) -> None:
    spoil(path)
    warnings: list[str] = []
    assert write(store, 2, lambda it: warnings.append(str(it))).serial == 2
    is_file = path.is_file()
    assert len(warnings) == (0 if is_file else 2)
    assert all("x.history.jsonl cannot be written" in it for it in warnings)
    if is_file:
        assert faults(store) == [(1, "it is not as it was written")]
        assert blamed(store) == {"config_desc": 2, "inputs": 1}


def test_what_has_no_end_of_a_line_is_not_read_as_one(store: StateStore, path: Path) -> None:
    write(store)
    with path.open("r+b") as file:
        file.truncate(2**29)
    tracemalloc.start()
    try:
        assert write(store).serial == 2
        assert tracemalloc.get_traced_memory()[1] < 2**28
    finally:
        tracemalloc.stop()
    with path.open("rb") as file:
        file.seek(2**29)
        assert file.read(10) == b'\n{"record"'


def test_a_link_in_place_of_a_history_is_refused(store: StateStore, path: Path) -> None:
    path.symlink_to("elsewhere")
    with pytest.raises(StateError, match=r"x\.history\.jsonl is a link to elsewhere"):
        write(store)


def test_a_history_is_for_its_user_alone(store: StateStore, path: Path) -> None:
    write(store)
    path.chmod(0o644)  # as git makes it
    write(store)
    assert path.stat().st_mode & 0o777 == 0o600


MERGES = {
    "by init": "*.state.json -merge\n*.history.jsonl merge=union\n",
    "of before": "*.state.json -merge\n",
}


@pytest.mark.parametrize("side", ["ours", "theirs"])
@pytest.mark.parametrize("attributes", MERGES.values(), ids=MERGES)
def test_two_branches_keep_the_records_of_both(
    store: StateStore, path: Path, attributes: str, side: str
) -> None:
    def git(*arguments: str) -> int:
        who = ("-c", "user.name=a", "-c", "user.email=a", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *who, *arguments], cwd=path.parent, capture_output=True
        ).returncode

    (path.parent / ".gitattributes").write_text(attributes)
    write(store, 2)
    git("init", "-q", "-b", "main")
    git("add", ".gitattributes", path.name, "x.state.json")
    git("commit", "-qm", "before")
    git("checkout", "-qb", "other")
    write(store, 3)
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "main")
    write(store, 1)
    git("commit", "-qam", "ours")
    assert git("merge", "other") == 1  # the states
    git("checkout", f"--{side}", "x.state.json")
    wrong = [message for _, message in faults(store)]
    has_markers = "union" not in attributes
    assert (
        wrong
        == ["git could not merge it: remove the lines of its markers, and keep all others"]
        * 3
        * has_markers
    )
    serial = 3 if side == "ours" else 5
    assert blamed(store) == {"config_desc": serial, "inputs": 1}
    counts = [(it.serial, it.counts) for it in history(store).events()]
    assert len(counts) == 6
    assert [it for it, is_so in counts if is_so] == [*range(serial, 0, -1)]
    if has_markers:
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(it for it in lines if it.startswith(b"{")))
    write(store)
    assert faults(store) == []
    assert blamed(store) == {"config_desc": serial + 1, "inputs": 1}


def test_what_is_pruned_leaves_what_blame_knew(store: StateStore, path: Path) -> None:
    write(store, 6, causes={"a": {"config_desc": "jobs/a.toml:1"}})
    lines = path.read_bytes().splitlines(keepends=True)
    own, before = history(store), blamed(store)
    assert own.pruned("2020-01-01") is None
    everything = own.pruned("2100-01-01")
    assert everything is not None
    with store.locked("prune") as locked:
        locked.replace_history(everything)
    assert blamed(store) == before == {"config_desc": 6, "inputs": 1}
    assert history(store).known_since() == 6
    assert faults(store) == []
    assert list(history(store).events()) == []
    write(store, 2)
    assert blamed(store) == {"config_desc": 8, "inputs": 1}
    assert faults(store) == []
    assert len(path.read_bytes().splitlines()) == 3 < len(lines)
    again = history(store).pruned("2100-01-01")
    assert again is not None
    path.write_bytes(again)
    assert blamed(store) == {"config_desc": 8, "inputs": 1}
    assert history(store).state_at(8) == store.read()
    with pytest.raises(StateError, match="goes back to serial 8"):
        history(store).state_at(7)
