from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import StateError
from majobctl.state.document import Entry, State
from majobctl.state.journal import Journal, intent
from majobctl.state.replay import last_sum_of, replayed
from tests.plan.values import AT, TARGET, entry_of, unsure

NAME = "majobctl.state.json.journal"
OLD, NEW = {"train_instance_count": 1}, {"train_instance_count": 2}


class Memory:
    """A journal's file in memory, which counts its flushes and may fail or be slow."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.content = b""
        self.flushes = 0
        self.is_closed = False
        self.failure: OSError | None = None
        self._seconds = seconds
        self.wait = 0.0

    def pause(self) -> float:
        return self.wait

    def write(self, content: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        time.sleep(self._seconds)
        self.flushes += 1
        self.content += content

    def check(self) -> None:
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        self.is_closed = True


def state_of(**entries: Entry) -> State:
    return State(lineage="a-lineage", serial=5, target=TARGET, job_configs=entries, salt="a-salt")


BEFORE = state_of(a=entry_of(OLD), b=entry_of(OLD))


Step = tuple[Any, ...]


def journal_of(*steps: Step, state: State = BEFORE) -> bytes:
    """The journal of ``state`` after these steps: a method, its arguments, and whether the job
    config is protected."""
    file = Memory()
    journal = Journal(file, state)
    for method, *arguments in steps:
        protected = {"prevent_delete": arguments.pop()} if len(arguments) == 3 else {}
        if method in ("intend", "record_known"):
            name, found = arguments[0], intent(arguments[1], **protected)
            arguments = [{name: found}] if method == "intend" else [name, found]
        getattr(journal, "intend_all" if method == "intend" else method)(*arguments)
    journal.flush()
    return file.content


def merged(content: bytes, state: State | None = BEFORE) -> State:
    after = replayed(state, content, NAME)
    assert after is not None
    return after


def after(*steps: Step, state: State = BEFORE) -> dict[str, Entry]:
    """The entries of ``state`` once the journal of these steps is merged."""
    return dict(merged(journal_of(*steps, state=state), state).job_configs)


def done(name: str, *params: Any) -> list[Step]:
    return [("intend", name, *params), ("record_done", name)]


REFUSED: list[Step] = [("intend", "a", NEW), ("record_refused", "a")]
FIRST = Entry(params={}, applied_at="", pending=True, attempted=NEW)
WHOLE = journal_of(
    ("intend", "a", NEW),
    ("intend", "c", {**NEW, "config_desc": "Grüße ☃\n\x1b"}),
    ("record_done", "a"),
    ("record_forgotten", "b"),
    ("record_refused", "c"),
    ("intend", "d", NEW),
)
LINES = WHOLE.splitlines(keepends=True)


def test_a_journal_without_outcomes_changes_nothing() -> None:
    assert replayed(BEFORE, journal_of(), NAME) is BEFORE
    assert replayed(BEFORE, b"", NAME) is BEFORE
    assert replayed(None, b"", NAME) is None


def test_what_was_done_replaces_what_was_there() -> None:
    found = merged(journal_of(*done("a", NEW)))
    assert (found.serial, found.lineage, found.salt) == (6, "a-lineage", "a-salt")
    assert found.job_configs["a"].params == NEW
    assert found.job_configs["a"].applied_at.endswith("Z")
    assert found.job_configs["a"].applied_at != AT
    assert found.job_configs["b"] == entry_of(OLD)


def test_a_refusal_changes_nothing_and_leaves_an_unknown_outcome_unknown() -> None:
    unknown = state_of(a=unsure(OLD, {"log_url": "/b/l/"}))
    for state in (BEFORE, unknown):
        assert replayed(state, journal_of(*REFUSED, state=state), NAME) is state


def test_an_intent_that_nothing_follows_is_an_unknown_outcome() -> None:
    found = after(("intend", "a", NEW), ("intend", "c", NEW))
    assert found == {"a": unsure(OLD, NEW), "b": entry_of(OLD), "c": FIRST}


def test_two_unknown_outcomes_remember_what_either_may_have_set() -> None:
    """Each as it was sent: what one of them lacks, it may have removed."""
    first: dict[str, Any] = {"log_url": "/b/l/", "train_instance_count": 9}
    second: dict[str, Any] = {"config_desc": "second"}
    state = state_of(a=unsure(OLD, first))
    for sent, earlier in [
        (first, ()),
        (second, (first,)),
        (second, (first,)),
        (NEW, (second, first)),
    ]:
        state = replace(state, job_configs=after(("intend", "a", sent), state=state))
        assert state.job_configs["a"] == replace(unsure(OLD, sent), earlier=earlier)
    assert after(*done("a", second), state=state)["a"].document().keys() == {"params", "applied_at"}


def test_what_is_forgotten_leaves_the_state() -> None:
    assert list(after(("record_forgotten", "a"))) == ["b"]


def test_the_entries_stay_in_name_order() -> None:
    steps = [step for name in ("z", "0", "aa") for step in done(name, NEW)]
    assert list(after(*steps)) == ["0", "a", "aa", "b", "z"]


def test_the_first_journal_of_a_state_that_is_not_there_yet_makes_it() -> None:
    new = State.new(TARGET, "its-salt")
    found = merged(journal_of(*done("a", NEW), state=new), None)
    assert (found.lineage, found.serial, found.target) == (new.lineage, 1, TARGET)
    assert found.salt == "its-salt"
    assert found.job_configs["a"].params == NEW


def test_a_first_journal_in_which_nothing_was_done_makes_no_state() -> None:
    assert replayed(None, journal_of(*REFUSED, state=State.new(TARGET)), NAME) is None


def test_a_journal_whose_state_is_missing_is_refused() -> None:
    with pytest.raises(StateError, match="a state with serial 5, but the state is missing"):
        replayed(None, WHOLE, NAME)


def test_a_journal_that_was_merged_already_changes_nothing() -> None:
    found = merged(WHOLE)
    assert found.merged == last_sum_of(WHOLE, NAME)
    later = replace(found, serial=found.serial + 2, job_configs={"x": entry_of(OLD)})
    assert replayed(later, WHOLE, NAME) is later


def test_a_journal_that_no_state_took_in_is_not_dropped_for_a_newer_state() -> None:
    pulled = replace(BEFORE, serial=6, job_configs={"x": entry_of(OLD)})
    with pytest.raises(StateError, match="never merged it") as raised:
        replayed(pulled, WHOLE, NAME)
    assert "continues serial 5" in str(raised.value)
    assert "move the journal away" in str(raised.value)


def test_an_older_journal_whose_outcomes_the_state_has_already_changes_nothing() -> None:
    same = replace(BEFORE, serial=9, job_configs=merged(WHOLE).job_configs)
    assert replayed(same, WHOLE, NAME) is same


@pytest.mark.parametrize("other", [{"lineage": "other"}, {"lineage": "a"}, {"serial": 4}])
def test_the_journal_of_another_state_is_refused(other: dict[str, Any]) -> None:
    with pytest.raises(StateError, match="continues another state") as raised:
        replayed(replace(BEFORE, job_configs={}, **other), WHOLE, NAME)
    assert "a-lineage" in str(raised.value)


def test_a_last_line_that_is_cut_short_at_any_byte_is_passed_over() -> None:
    kept = b"".join(LINES[:-1])
    shorter = merged(kept)
    for length in range(len(LINES[-1])):
        assert replayed(BEFORE, kept + LINES[-1][:length], NAME) == shorter
    assert merged(WHOLE).job_configs["d"].pending
    assert "d" not in shorter.job_configs


def test_any_prefix_of_a_journal_is_a_state_before_its_end() -> None:
    for length in range(len(WHOLE) + 1):
        assert merged(WHOLE[:length]).serial in (5, 6)


def test_a_last_line_of_garbage_is_passed_over() -> None:
    kept = b"".join(LINES[:-1])
    for torn in (b"\x00" * 40, b"\xff\xfe\n", b"{}\n", b'{"record": 1}\n', b"[" * 99_999):
        assert replayed(BEFORE, kept + torn, NAME) == replayed(BEFORE, kept, NAME)


@pytest.mark.parametrize("number", range(len(LINES) - 1))
def test_damage_before_the_last_line_is_refused_with_its_line(number: int) -> None:
    line = LINES[number]
    damages = [
        b"\n",
        b"garbage\n",
        line[:-20] + b"\n",
        line.replace(b'"record"', b'"rekord"'),
        bytes([line[0] ^ 1]) + line[1:],
    ]
    if number < len(LINES) - 2:  # where the last line alone is left, it counts as cut short
        damages.append(b"")
    for damage in damages:
        with pytest.raises(StateError, match="the journal is damaged") as raised:
            replayed(BEFORE, b"".join([*LINES[:number], damage, *LINES[number + 1 :]]), NAME)
        assert str(raised.value).startswith(f"{NAME}:{number + 1}: ")
        assert "left untouched" in str(raised.value)


@pytest.mark.parametrize("number", range(1, len(LINES) - 1))
def test_a_value_that_is_changed_shows_by_its_sum(number: int) -> None:
    document = json.loads(LINES[number])
    document["record"]["more"] = 1
    changed = json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    lines = [*LINES[:number], changed.encode() + b"\n", *LINES[number + 1 :]]
    with pytest.raises(StateError, match="the journal is damaged"):
        replayed(BEFORE, b"".join(lines), NAME)


def test_two_lines_that_changed_places_are_refused() -> None:
    turned = b"".join([*LINES[:2], LINES[3], LINES[2], *LINES[4:]])
    with pytest.raises(StateError, match=f"{NAME}:3: the journal is damaged"):
        replayed(BEFORE, turned, NAME)


@given(st.binary(max_size=80), st.integers(0, len(WHOLE)))
def test_any_bytes_in_a_journal_are_passed_over_or_refused(content: bytes, offset: int) -> None:
    for mixed in (content, WHOLE[:offset] + content + WHOLE[offset:]):
        with suppress(StateError):
            merged(mixed)


def signed(*records: dict[str, Any]) -> bytes:
    """A journal with right sums and these records, made as the module's docstring says."""
    import hashlib

    lines, previous = b"", ""
    for record in records:
        text = json.dumps(record, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        previous = hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()[:16]
        lines += f'{{"record":{text},"sum":"{previous}"}}\n'.encode()
    return lines


INCOMPLETE: list[dict[str, Any]] = [
    *({"intent": "a"}, {"intent": "a", "params": []}, {"done": "a"}),
    *({"intents": ["a"]}, {"intents": {"a": NEW}}, {"intents": {"a": {"params": []}}}),
    *({"unsent": "a"}, {"unsent": [5]}),
]
BEGIN = {
    "begin": 1,
    "lineage": "a-lineage",
    "serial": 5,
    "salt": "a-salt",
    "target": {"endpoint": TARGET.endpoint, "project_id": TARGET.project_id},
}


def test_the_sums_are_a_chain_over_the_lines() -> None:
    assert journal_of() == signed(BEGIN)
    content = journal_of(("intend", "a", NEW))
    assert content == signed(BEGIN, {"intents": {"a": {"params": NEW}}})


@pytest.mark.parametrize(
    "begin",
    [
        {**BEGIN, "begin": 2},
        {**BEGIN, "serial": "5"},
        {"intent": "a", "params": {}},
        {**BEGIN, "target": None},
    ],
)
def test_a_journal_that_begins_otherwise_is_refused(begin: dict[str, Any]) -> None:
    with pytest.raises(StateError):
        replayed(BEFORE, signed(begin), NAME)


@pytest.mark.parametrize(
    "record", [*INCOMPLETE, {"done": "a", "at": AT}, {"refused": 5}, {"unheard-of": "a"}, {}]
)
def test_a_record_of_another_kind_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(StateError, match=f"{NAME}:2: this majobctl does not know this record"):
        replayed(BEFORE, signed(BEGIN, record), NAME)


def test_a_journal_from_before_the_salt_is_read() -> None:
    begin = {key: value for key, value in BEGIN.items() if key != "salt"}
    found = merged(signed(begin, {"forget": "a"}))
    assert (list(found.job_configs), found.salt) == (["b"], "a-salt")


def test_intents_are_on_disk_when_their_call_returns_and_take_outcomes_along() -> None:
    file = Memory()
    journal = Journal(file, BEFORE, {"a": intent(NEW), "b": intent(NEW)})
    assert (file.content.count(b"\n"), file.flushes) == (2, 1)
    journal.record_done("a")
    journal.intend_all({"b": intent(NEW)})  # which has no outcome yet
    assert (file.content.count(b"\n"), file.flushes) == (3, 2)
    journal.intend_all({"a": intent(NEW)})
    assert (file.content.count(b"\n"), file.flushes) == (4, 3)
    journal.record_refused("b")
    journal.record_forgotten("c")
    assert journal.outcome().job_configs["a"].pending
    journal.record_unsent(["b"])
    assert journal.outcome().job_configs["a"].params == NEW
    journal.flush()
    journal.flush()
    assert (file.content.count(b"\n"), file.flushes) == (7, 4)
    journal.close()
    assert file.is_closed


def test_a_check_stops_a_run_for_good() -> None:
    file = Memory()
    journal = Journal(file, BEFORE, {"a": intent(NEW), "b": intent(NEW)})
    journal.check()
    journal.record_done("a")
    file.failure = OSError(116, "Stale file handle")
    for is_lost in (True, False):
        file.failure = file.failure if is_lost else None
        with pytest.raises(OSError, match="Stale file handle"):
            journal.check()
        with pytest.raises(OSError, match="Stale file handle"):
            journal.flush()
    assert journal.outcome().job_configs["a"].params == NEW


def test_outcomes_that_nobody_flushes_do_not_pile_up() -> None:
    file = Memory()
    names = [f"n{number}" for number in range(250)]
    journal = Journal(file, state_of(), {name: intent(NEW) for name in names})
    for name in names:
        journal.check()
        journal.record_done(name)
    assert file.content.count(b"\n") == 2 + 200


@pytest.mark.parametrize("was_pending", [False, True])
def test_what_was_never_begun_leaves_no_trace(was_pending: bool) -> None:
    entry = unsure(OLD, NEW) if was_pending else entry_of(OLD)
    state = state_of(a=entry, b=entry_of(OLD))
    for sent, pending in (((), was_pending), (("a",), True)):
        steps = [("intend", "a", NEW, True), ("intend", "c", NEW), ("record_unsent", sent)]
        found = merged(journal_of(*steps, state=state), state).job_configs
        assert list(found) == ["a", "b"]
        assert found["a"].pending is pending


def test_the_intents_of_a_journal_of_before_are_read() -> None:
    sent = {"intent": "a", "params": NEW, "prevent_delete": True}
    (done_a, left) = ({"done": "a", "at": AT}, {"intent": "b", "params": NEW})
    found = merged(signed(BEGIN, sent, done_a, left)).job_configs
    assert found == {"a": entry_of(NEW, prevent_delete=True), "b": unsure(OLD, NEW)}


def at_once(work: Callable[[str], None], count: int) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, [f"n{number}" for number in range(count)]))


def test_threads_that_wait_at_once_share_a_flush() -> None:
    file = Memory(seconds=0.02)
    journal = Journal(file, state_of())
    gate = threading.Barrier(40)

    def work(name: str) -> None:
        gate.wait(10)
        journal.intend_all({name: intent(NEW)})
        journal.record_done(name)
        journal.flush()

    at_once(work, 40)
    assert file.content.count(b"\n") == 81
    assert file.flushes <= 30  # 81 without sharing
    entries = merged(file.content, state_of()).job_configs
    assert len(entries) == 40
    assert not any(entry.pending for entry in entries.values())


@pytest.mark.parametrize("why", ["nothing more is begun", "too many wait", "it failed"])
def test_a_write_that_waits_for_others_waits_no_longer_if(why: str) -> None:
    file = Memory()
    journal = Journal(file, state_of(), {f"n{number}": intent(NEW) for number in range(101)})
    file.wait = 3600.0
    journal.record_done("n0")
    with ThreadPoolExecutor(1) as pool:
        flush = pool.submit(journal.flush)
        time.sleep(0.1)
        assert not flush.done()
        for number in range(1, 100):
            journal.record_done(f"n{number}")
            assert file.flushes == 1 or number == 99
            if why != "too many wait":
                break
        if why == "nothing more is begun":
            journal.hurry()
        if why == "it failed":
            file.failure = OSError(28, "No space left on device")
            with pytest.raises(OSError, match="No space left"):
                journal.check()
            assert isinstance(flush.exception(60), OSError)
        else:
            flush.result(60)
    # All that came meanwhile is kept, too.
    count = {"nothing more is begun": 2, "too many wait": 100, "it failed": 0}[why]
    assert file.content.count(b"\n") == 2 + count


def test_a_failed_flush_is_shown_to_everybody_who_waits_and_who_comes_later() -> None:
    file = Memory()
    journal = Journal(file, BEFORE)
    file.failure = OSError(28, "No space left on device")
    failures: list[OSError] = []

    def work(name: str) -> None:
        try:
            journal.intend_all({name: intent(NEW)})
        except OSError as error:
            failures.append(error)

    at_once(work, 8)
    assert len(failures) == 8
    file.failure = None
    journal.record_done("n0")
    with pytest.raises(OSError, match="No space left"):
        journal.flush()
    assert file.content.count(b"\n") == 1


def test_what_is_known_replaces_what_was_there_without_a_call() -> None:
    state = state_of(a=unsure(OLD, NEW), b=entry_of(OLD))
    found = after(("record_known", "a", NEW), ("record_known", "c", NEW, True), state=state)
    assert (found["a"].params, found["a"].pending) == (NEW, False)
    assert found["a"].applied_at.endswith("Z")
    assert found["b"] == entry_of(OLD)
    assert found["c"].prevent_delete
    assert not found["a"].prevent_delete


def test_a_protection_comes_with_the_call_that_succeeds() -> None:
    state = state_of(a=entry_of(OLD, prevent_delete=True), b=entry_of(OLD))
    found = after(*done("a", NEW), *done("b", NEW, True), state=state)
    assert {name: item.prevent_delete for name, item in found.items()} == {"a": False, "b": True}


@pytest.mark.parametrize("was_protected", [True, False])
@pytest.mark.parametrize("is_to_be", [True, False])
def test_a_call_of_unknown_outcome_protects_where_either_side_does(
    was_protected: bool, is_to_be: bool
) -> None:
    state = state_of(a=entry_of(OLD, prevent_delete=was_protected))
    expected = entry_of(OLD, pending=True, attempted=NEW, prevent_delete=was_protected or is_to_be)
    assert after(("intend", "a", NEW, is_to_be), state=state)["a"] == expected


@pytest.mark.parametrize("was_protected", [True, False])
def test_a_refusal_does_not_take_a_protection_away_nor_a_wish_for_one(was_protected: bool) -> None:
    state = state_of(a=entry_of(OLD, prevent_delete=was_protected))
    found = after(("intend", "a", NEW, not was_protected), ("record_refused", "a"), state=state)
    assert found["a"] == entry_of(OLD, prevent_delete=True)


def test_a_deletion_of_unknown_outcome_is_remembered_and_a_known_one_is_not() -> None:
    assert after(("intend", "a", OLD))["a"] == unsure(OLD, OLD)
    assert list(after(("intend", "a", OLD), ("record_forgotten", "a"))) == ["b"]


def test_knowing_what_is_known_already_writes_nothing() -> None:
    assert after(("record_known", "a", OLD))["a"].params == OLD
