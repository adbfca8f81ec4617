"""What every store keeps, and a log over it, by many writers who trust nobody."""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import OvertakenError
from majobctl.state.backends import records as log
from majobctl.state.backends.log import LogBackend
from majobctl.state.backends.race import race
from majobctl.state.backends.records import Record
from majobctl.state.backends.stores import Store
from tests.state.backends.conftest import WITH_A_LOG, OpenStore
from tests.state.backends.memory import Unreliable

WRITERS, NUMBERS = 12, 15


def state(serial: int, *names: str) -> bytes:
    return json.dumps({"serial": serial, "job_configs": dict.fromkeys(names)}).encode()


def records_of(store: Store) -> list[Record]:
    """The log, which has no gap, and one epoch at a time: from each open to the next, all records
    are of its epoch, and none follows its close."""
    numbers = [number for number, _ in store.numbers()]
    assert numbers == list(range(1, len(numbers) + 1))
    found = [log.load(number, store.read(number) or b"", "the log") for number in numbers]
    epoch, last_state = 0, 0
    for before, record in itertools.zip_longest([None, *found], found):
        if record is None:
            break
        if record.kind == "open":
            epoch = record.number
        else:
            assert before is not None
            assert before.kind != "close"
        assert (record.epoch, record.state) == (epoch, last_state)
        last_state = record.number if record.kind == "state" else last_state
    return found


class TestStore:
    def test_it_is_empty_at_first(self, open_store: OpenStore) -> None:
        store = open_store()
        assert (store.numbers(), store.read(1)) == ([], None)
        assert store.name

    @pytest.mark.parametrize(
        "content",
        [b"", b"{}\n", bytes(range(256)) * 4, b"\r\n\n", "ä€😀".encode(), b"x" * 1_000_000],
        ids=["empty", "text", "bytes", "line ends", "unicode", "large"],
    )
    def test_what_is_added_is_read_elsewhere(self, open_store: OpenStore, content: bytes) -> None:
        assert open_store().add(1, content) is True
        assert open_store().read(1) == content

    def test_a_number_is_given_once(self, open_store: OpenStore) -> None:
        assert open_store().add(1, b"first") is True
        for content in (b"second", b"first", b""):
            assert open_store().add(1, content) in (False, content == b"first")
            assert open_store().read(1) == b"first"

    def test_numbers_are_ascending_and_have_ages(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(1, 13):
            assert store.add(number, b"%d" % number)
        time.sleep(0.1)
        found = open_store().numbers()
        assert [number for number, _ in found] == list(range(1, 13))
        ages = [age for _, age in found if age is not None]
        assert len(ages) in (0, 12)
        assert all(age >= 0 for age in ages)
        assert ages == sorted(ages, reverse=True)
        again = [age for _, age in open_store().numbers() if age is not None]
        assert all(after >= before for before, after in zip(ages, again, strict=True))

    def test_what_is_removed_is_gone_and_the_rest_stays(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(1, 6):
            assert store.add(number, b"%d" % number)
        store.prune([1, 2])
        left = [number for number, _ in store.numbers()]
        assert left in ([3, 4, 5], [1, 2, 3, 4, 5])  # a store may keep what nobody needs
        assert [store.read(number) for number in (3, 4, 5)] == [b"3", b"4", b"5"]
        assert store.add(6, b"6")

    def test_many_threads_read_at_once(self, open_store: OpenStore) -> None:
        store = open_store()
        for number in range(1, 10):
            assert store.add(number, b"%d" % number)
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(store.read, [*range(1, 10)] * 4))
        assert found == [b"%d" % number for number in range(1, 10)] * 4

    def test_of_those_who_race_for_a_number_one_gets_it(self, open_store: OpenStore) -> None:
        start, store = threading.Barrier(WRITERS), open_store()
        assert store.numbers() == []

        def climb(writer: int) -> list[int]:
            own, won, number = open_store(), [], 1
            start.wait()
            while number <= NUMBERS:
                if own.add(number, b"%d of %d" % (number, writer)):
                    won.append(number)
                number += 1
            return won

        with ThreadPoolExecutor(WRITERS) as pool:
            won = list(pool.map(climb, range(WRITERS)))
        assert sorted(itertools.chain(*won)) == list(range(1, NUMBERS + 1))
        for writer, numbers in enumerate(won):
            for number in numbers:
                assert store.read(number) == b"%d of %d" % (number, writer)

    def test_it_keeps_what_it_promises(self, open_store: OpenStore) -> None:
        kept = race(open_store(), log.following(None, "beat"))
        assert [open_store().read(number) for number in range(1, 11)] == kept


@pytest.fixture
def open_log(open_store: OpenStore, lease: float) -> Callable[[], LogBackend]:
    return lambda: LogBackend(open_store(), lease=lease)


@pytest.mark.parametrize("open_store", WITH_A_LOG, indirect=True)
class TestLog:
    def test_it_is_empty_at_first(self, open_log: Callable[[], LogBackend]) -> None:
        backend = open_log()
        assert (backend.read(), backend.read_journal()) == (None, None)

    def test_another_machine_reads_what_is_kept(self, open_log: Callable[[], LogBackend]) -> None:
        with open_log().lock("apply", 0), contextlib.suppress(StateError):
            pass
        backend = open_log()
        with backend.lock("apply", 0):
            backend.write(state(1))
            journal = backend.open_journal()
            assert backend.read_journal() is None
            for number, line in enumerate((b"one\n", b"two\n"), 1):
                journal.check()
                journal.write(line)
                assert open_log().read_journal() == b"one\ntwo\n"[: 4 * number]
            assert (open_log().read(), backend.read()) == (state(1), state(1))
            backend.write(state(2, "a"))
            assert open_log().read_journal() is None
            journal.close()
            backend.open_journal().write(b"three\n")
            backend.remove_journal()
            assert open_log().read_journal() is backend.read_journal() is None
        assert open_log().read() == backend.read() == state(2, "a")

    def test_the_history_is_kept_with_each_state(self, open_log: Callable[[], LogBackend]) -> None:
        # Of 20 kB each: four are too many for the head of a state.
        lines = [b"%d %s\n" % (number, b"x" * 20_000) for number in range(1, 7)]
        backend = open_log()
        with backend.lock("apply", 0):
            for number, line in enumerate(lines, 1):
                backend.write(state(number), line)
                assert backend.end_of_history().endswith(line)
        assert open_log().read_history() == b"".join(lines)
        with backend.lock("prune", 0):
            assert backend.read_history() == b"".join(lines)
            backend.replace_history(b"one\n")
            backend.write(state(7), b"two\n")
        assert (open_log().read(), open_log().read_history()) == (state(7), b"one\ntwo\n")

    def test_the_second_sees_who_holds_the_lock(self, open_log: Callable[[], LogBackend]) -> None:
        with open_log().lock("majobctl apply --x", 0) as holder:
            with pytest.raises(LockedError) as raised, open_log().lock("other", 0):
                raise AssertionError("never given")
            text = str(raised.value)
            assert f"is locked by {holder}\n" in text
            assert f"majobctl unlock {holder.id}" in text
        with open_log().lock("other", 0) as other:
            assert other.id != holder.id

    def test_a_lock_is_waited_for(self, open_log: Callable[[], LogBackend], lease: float) -> None:
        entered, leave = threading.Event(), threading.Event()

        def hold() -> None:
            with open_log().lock("first", 0):
                entered.set()
                leave.wait()

        thread = threading.Thread(target=hold)
        thread.start()
        assert entered.wait(30)
        threading.Timer(2 * lease, leave.set).start()  # it lives, however long that takes
        with open_log().lock("second", 60):
            assert leave.is_set()
        thread.join()

    def test_whoever_is_taken_over_writes_no_more(
        self, open_log: Callable[[], LogBackend], open_store: OpenStore, lease: float
    ) -> None:
        slow, heard = Unreliable(open_store()), list[object]()
        backend = LogBackend(slow, lease=lease)
        with backend.lock("first", 0) as first:
            backend.add_note(b"one\n")
            slow.goes_on.clear()
            other = open_log()
            with other.lock("second", 60, heard.append):
                slow.goes_on.set()
                check_fenced(backend, "was taken over by .*`second`")
                assert other.read_journal() == b"one\n"
                other.write(state(1))
        assert [str(first) in str(warning) for warning in heard] == [True]
        assert [record.body for record in records_of(open_store()) if record.body] == [
            b"one\n",
            state(1),
        ]

    def test_unlock_fences_one_that_lives(
        self, open_log: Callable[[], LogBackend], open_store: OpenStore
    ) -> None:
        backend = open_log()
        with pytest.raises(StateError, match="is not locked"):
            open_log().unlock("abc")
        with backend.lock("first", 0) as holder:
            backend.add_note(b"one\n")
            with pytest.raises(StateError, match=f"has the ID {holder.id}"):
                open_log().unlock("abc")
            assert open_log().unlock(holder.id) == holder
            check_fenced(backend, "was freed by .*`majobctl unlock`")
            with open_log().lock("second", 0):
                pass
        with pytest.raises(StateError, match="is not locked"):
            open_log().unlock(holder.id)
        assert [record.body for record in records_of(open_store()) if record.body] == [b"one\n"]

    def test_writers_that_lose_answers_and_stall_keep_one_log(
        self, open_store: OpenStore, lease: float
    ) -> None:
        """Every record that was acknowledged is there, once, and no other but those of which nobody
        knows."""
        start, outcomes = threading.Barrier(WRITERS), dict[bytes, str]()
        turns = 3 if lease < 2 else 2

        def work(writer: int) -> None:
            store, chance = Unreliable(open_store(), 0.03, writer), random.Random(writer)
            backend = LogBackend(store, lease=lease)
            start.wait()
            for turn in range(turns):
                with contextlib.suppress(LockedError, StateError), backend.lock("fight", 60):
                    for count in range(4):
                        if writer < 2 and turn == count == 1:
                            store.stall(4 * lease)
                        body = b"%d: %d: %d\n" % (writer, turn, count)
                        outcomes[body] = added(backend, body)
                    if chance.random() < 0.5:
                        body = state(writer * 100 + turn)
                        outcomes[body] = added(backend, body)

        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(work, range(WRITERS)))
        found = [record.body for record in records_of(open_store()) if record.body]
        assert len(set(found)) == len(found)
        kept = {body for body, outcome in outcomes.items() if outcome == "kept"}
        assert kept <= {*found} <= {it for it in outcomes if outcomes[it] != "overtaken"}
        assert len(kept) > WRITERS


def added(backend: LogBackend, body: bytes) -> str:
    try:
        (backend.write if body.startswith(b"{") else backend.add_note)(body)
    except OvertakenError:
        return "overtaken"
    except OSError:
        return "unknown"
    return "kept"


def check_fenced(backend: LogBackend, text: str) -> None:
    for _ in range(2):
        for body in (state(7), b"late\n"):
            with pytest.raises(OvertakenError, match=text):
                (backend.write if body == state(7) else backend.add_note)(body)
        with pytest.raises(OvertakenError, match=text):
            backend.check()
