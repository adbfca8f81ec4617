"""Random histories of edits, plans, applies, crashes and lost answers keep what
docs/reliability.md promises."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from majobctl.state.document import Entry
from tests import fake_service
from tests.config_repository import JOB, toml_of
from tests.fake_service import FakeService, Reply
from tests.faults.conftest import Tally
from tests.faults.faulty import CRASHED
from tests.faults.launcher import NO_FAULT, Fault, Launcher, Watched, launching
from tests.faults.observed import REST_IDS, claims_in, held_back_in, lost, state_in
from tests.faults.service import Body, body_of, without_blanks

NAMES = [f"job-{letter}" for letter in "abcde"]
APPLY = ("apply", "--auto-approve", "--parallelism", "2")
EXAMPLES, STEPS = 60, 25

names = st.sampled_from(NAMES)
counts = st.integers(1, 4)
texts = st.sampled_from(["", "one", "two", "☃"])


class Histories(RuleBasedStateMachine):
    """A repository, its service, and a model of what must be true of the state."""

    rest: ClassVar[FakeService]
    launcher: ClassVar[Launcher]
    folder: ClassVar[Path]
    done: ClassVar[Counter[str]] = Counter()
    numbers: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.root = self.folder / f"history-{next(self.numbers)}"
        (self.root / "jobs").mkdir(parents=True)
        (self.root / "majobctl.toml").write_text(self.rest.settings("retries = 0\ntimeout = 5"))
        self.desired: dict[str, dict[str, Any]] = {}
        self.sent: dict[str, list[Body]] = {}
        self.serial = 0
        self.lineage = ""
        self.saved_serial: int | None = None
        self.saved: dict[str, dict[str, Any]] = {}
        self.losing: set[str] = set()
        self.rest.configs = {}
        self.rest.before_put = self._answer

    def teardown(self) -> None:
        self.rest.before_put = lambda name: None
        shutil.rmtree(self.root)

    def _answer(self, name: str) -> Reply | None:
        if name in self.losing:
            # Carried out, and the answer never arrives.
            mine = [item for item in self.rest.requests if item.path.endswith(f"/{name}")]
            self.rest.configs[name] = mine[-1].document
            raise ConnectionAbortedError
        return None

    # What may happen.

    @initialize(first=st.dictionaries(names, counts, min_size=2))
    def begin(self, first: dict[str, int]) -> None:
        self.desired = {name: {"train_instance_count": count} for name, count in first.items()}
        self._write()

    @rule(name=names, count=counts, text=texts, hides=st.booleans())
    def edit(self, name: str, count: int, text: str, hides: bool) -> None:
        extra = {"sensitive": ["config_desc"]} if hides and text else {}
        self.desired[name] = {"train_instance_count": count, "config_desc": text, **extra}
        self._write()
        self.done["edit"] += 1

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.desired.pop(name, None)
        self._write()
        self.done["remove"] += 1

    @rule(before=names, after=names)
    def rename(self, before: str, after: str) -> None:
        if before in self.desired:
            self.desired[after] = self.desired.pop(before)
            self._write()
            self.done["rename"] += 1

    @rule(lost=st.sets(names, max_size=2))
    def lose_answers(self, lost: set[str]) -> None:
        self.losing = lost

    @rule(name=names, count=counts)
    def change_outside(self, name: str, count: int) -> None:
        """Somebody else changes the service; no apply may undo that unseen."""
        if name in self.rest.configs:
            self.rest.configs[name] = {**self.rest.configs[name], "worker_server_num": count}
            # An apply may find that it is as desired, and record it without a call.
            self.sent.setdefault(name, []).append(self._held(name))
            self.done["change outside"] += 1

    @rule()
    def plan(self) -> None:
        state = state_in(self.root)
        document = self._run("plan", "--format", "json").document
        assert state_in(self.root) == state
        assert document["serial"] == (state.serial if state else 0)
        actions = {item["name"]: item["action"] for item in document["changes"]}
        known = state.job_configs if state else {}
        pending = {name for name, entry in known.items() if entry.pending}
        resent = {name for name, action in actions.items() if action == "resend"}
        assert resent == pending & self.desired.keys()
        forgotten = {name for name, action in actions.items() if action == "forget"}
        assert forgotten == known.keys() - self.desired.keys()
        added = {name for name, action in actions.items() if action == "add"}
        assert added == self.desired.keys() - known.keys()
        self.done["plan"] += 1

    @rule()
    def apply(self) -> None:
        self._check_ended(self._apply(*APPLY))

    @rule()
    def apply_over_changes_outside(self) -> None:
        ran = self._apply(*APPLY, "--overwrite")
        assert ran.code != 5, ran
        self._check_ended(ran)

    @rule()
    def save_plan(self) -> None:
        ran = self._run("plan", "--out", "saved.plan")
        assert ran.code == 0
        self.saved_serial = json.loads((self.root / "saved.plan").read_bytes())["serial"]
        self.saved = {name: dict(params) for name, params in self.desired.items()}
        self.done["plan saved"] += 1

    @rule()
    def apply_saved_plan(self) -> None:
        if self.saved_serial is None:
            return
        state = state_in(self.root)
        ran = self._apply("apply", "saved.plan")
        if self.saved_serial != (state.serial if state else 0):
            assert ran.code == 5, ran
            assert self.rest.requests == []
            assert "saved.plan is stale" in ran.stderr
            self.done["stale plan refused"] += 1
        elif ran.code == 5 and not held_back_in(ran.stderr):
            assert "sensitive value" in ran.stderr  # that of the file is another one by now
            assert self.rest.requests == []
        else:
            for name in {name for name, _ in claims_in(ran.stderr)} & set(self.saved):
                assert self._held(name) == self._body(self.saved[name])
            self.done["saved plan applied"] += 1

    @rule(name=names, count=counts, text=texts)
    def let_a_plan_go_stale(self, name: str, count: int, text: str) -> None:
        self.save_plan()
        self.edit(name, count, text, hides=False)
        self.apply()
        self.apply_saved_plan()

    @rule(name=names, count=counts, text=texts, is_saved=st.booleans())
    def let_an_edit_meet_a_change_outside(
        self, name: str, count: int, text: str, is_saved: bool
    ) -> None:
        self.edit(name, 1, text, hides=False)
        if is_saved:
            self.save_plan()
        self.change_outside(name, count)
        if is_saved:
            self.apply_saved_plan()
        else:
            self.apply()

    @rule(at=st.integers(1, 70), how=st.sampled_from(["before", "after"]))
    def apply_and_crash(self, at: int, how: str) -> None:
        ran = self._apply(*APPLY, fault=Fault(at, how))
        assert ran.code in (0, 3, 5, CRASHED), ran
        self.done["crash" if ran.code == CRASHED else "no crash"] += 1

    @rule(at=st.integers(20, 70), number=st.sampled_from([errno.ENOSPC, errno.EIO]))
    def apply_with_a_failing_disk(self, at: int, number: int) -> None:
        ran = self._apply(*APPLY, fault=Fault(at, errno=number))
        assert ran.code in (0, 1, 3, 5), ran
        assert not list(self.root.glob("majobctl.rescue-*"))
        self.done["one failing call"] += 1

    # What must be true.

    @invariant()
    def state_is_whole_and_contradicts_nothing(self) -> None:
        state = state_in(self.root)
        if state is None:
            return
        assert state.serial >= self.serial
        assert self.lineage in ("", state.lineage)
        self.serial, self.lineage = state.serial, state.lineage
        for name, entry in state.job_configs.items():
            if not entry.pending:
                assert any(fits(entry, body) for body in self.sent[name]), (name, entry)

    # Parts.

    def _body(self, params: Mapping[str, Any]) -> Body:
        return body_of({**JOB, **params}, **REST_IDS)

    def _write(self) -> None:
        text = "".join(
            toml_of(name, {**JOB, **self.desired[name]}) for name in sorted(self.desired)
        )
        (self.root / "jobs/all.toml").write_text(text, encoding="utf-8")

    def _entries(self) -> Mapping[str, Entry]:
        state = state_in(self.root)
        return state.job_configs if state else {}

    def _held(self, name: str) -> Body:
        return without_blanks(self.rest.configs.get(name, {}))

    def _run(self, *arguments: str, fault: Fault = NO_FAULT) -> Watched:
        return self.launcher.run(
            self.root, *arguments, environment=self.rest.environment, fault=fault
        )

    def _apply(self, *arguments: str, fault: Fault = NO_FAULT) -> Watched:
        """An apply, whose claims are all in the state, and whose serial grew by one at most."""
        before = state_in(self.root)
        known = before.job_configs if before else {}
        held = {name: self._held(name) for name in NAMES}
        self.rest.forget_requests()
        ran = self._run(*arguments, fault=fault)
        if ran.code == CRASHED:
            self.rest.await_rest()
        for received in self.rest.asked("PUT"):
            name = received.path.rpartition("/")[2]
            if len(received.body) == int(received.headers["content-length"]):
                # A crash may cut a request short; the service then does nothing of it.
                body = without_blanks(received.document)
                self.sent.setdefault(name, []).append(body)
                if "--overwrite" not in arguments:
                    assert lost(known.get(name), held[name], body) == set(), (name, ran)
                    self.done["call that undoes nothing"] += 1
        desired = self.saved if "saved.plan" in arguments else self.desired
        for name in held_back_in(ran.stderr):
            assert lost(known.get(name), held[name], self._body(desired[name])), (name, ran)
            self.done["held back"] += 1
        after = state_in(self.root)
        entries = after.job_configs if after else {}
        grown = (after.serial if after else 0) - (before.serial if before else 0)
        assert grown in (0, 1), ran
        for name, word in claims_in(ran.stderr):
            if word == "forgotten":
                assert name not in entries, ran
            else:
                assert not entries[name].pending, ran
                assert fits(entries[name], self._held(name)), ran
        return ran

    def _check_ended(self, ran: Watched) -> None:
        wanted = set(self.desired)
        entries = self._entries()
        if ran.code == 0:
            assert set(entries) == wanted
            assert not any(entry.pending for entry in entries.values())
            assert self._run("plan").stdout.startswith("No changes.")
            self.done["apply"] += 1
        elif ran.code == 5:
            assert held_back_in(ran.stderr), ran
        else:
            assert ran.code == 3, ran.stderr
            pending = {name for name, entry in entries.items() if entry.pending}
            assert pending
            assert pending <= self.losing & wanted
            self.done["apply with lost answers"] += 1


def fits(entry: Entry, body: Body) -> bool:
    """Whether the service has ``body`` where the state has ``entry``, but for a masked text."""
    visible = {key: value for key, value in entry.params.items() if not isinstance(value, dict)}
    hidden = {"config_desc"} if "config_desc" in entry.params.keys() - visible.keys() else set()
    rest = {key: value for key, value in body.items() if key not in hidden}
    return body_of(visible, **REST_IDS) == rest


def test_every_history_keeps_the_contract(tmp_path: Path, tally: Tally) -> None:
    with ExitStack() as stack:
        Histories.rest = stack.enter_context(fake_service.running(has_every_name=True))
        Histories.launcher = stack.enter_context(launching(tmp_path / "launcher"))
        Histories.folder = tmp_path
        Histories.done = Counter()
        settings = hypothesis.settings(
            hypothesis.settings.get_profile("majobctl"),
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
        )
        run_state_machine_as_test(Histories, settings=settings)
    told = ", ".join(f"{number} x {what}" for what, number in sorted(Histories.done.items()))
    tally("histories", f"{EXAMPLES} of up to {STEPS} steps: {told}")
    assert Histories.done["crash"] > 10
    assert Histories.done["apply"] > 10
    assert Histories.done["stale plan refused"] > 5
    assert Histories.done["held back"] > 10
