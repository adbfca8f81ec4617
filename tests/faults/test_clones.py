"""Random histories of two clones and a person in the console: with default options, no apply undoes
unseen what another one did, and none holds anything back, or reads anything, without need."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from majobctl.cli import main
from majobctl.state.document import Entry
from tests import fake_service
from tests.config_repository import BODY, JOB, Ran, toml_of
from tests.fake_service import FakeService, name_of
from tests.faults.conftest import Tally
from tests.faults.observed import REST_IDS, STATE, held_back_in, lost, state_in
from tests.faults.service import Body, body_of, without_blanks

NAMES = ["job-a", "job-b", "job-c"]
HISTORIES, STEPS = 1000, 8
ARGUMENTS = {
    "auto": ["--auto-approve"],
    "overwriting": ["--auto-approve", "--overwrite"],
    "saved": ["saved.plan"],
    "reviewed": ["saved.plan"],
}
KEYS = {"worker_server_num": "train_instance_count", "config_desc": "config_desc"}

names = st.sampled_from(NAMES)
clones = st.sampled_from(["mine", "theirs"])
edits = st.sampled_from(
    [{"train_instance_count": count} for count in (1, 2, 3)]
    + [{"config_desc": text} for text in ("", "one", "two")]
)
people = st.sampled_from(
    [{"worker_server_num": count} for count in (1, 2, 4)]
    + [{"config_desc": text} for text in ("", "one", "three")]
)


class Terminal(io.StringIO):
    """A person at a terminal who types yes; ``before`` happens while they look at the plan."""

    def __init__(self, before: Callable[[], object]) -> None:
        super().__init__("yes\n")
        self._before = before

    def isatty(self) -> bool:
        return True

    def readline(self, *size: Any) -> Any:
        self._before()
        return super().readline(*size)


class Clones(RuleBasedStateMachine):
    """Two config repositories, each with a state of its own, for one project of the service."""

    rest: ClassVar[FakeService]
    folder: ClassVar[Path]
    done: ClassVar[Counter[str]] = Counter()
    numbers: ClassVar[Any] = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.root = self.folder / f"history-{next(self.numbers)}"
        self.desired: dict[str, dict[str, dict[str, Any]]] = {}
        self.rest.configs = {}

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    # What may happen.

    @initialize(there=st.dictionaries(names, people), is_applied=st.booleans())
    def begin(self, there: dict[str, Body], is_applied: bool) -> None:
        """The service has all configurations, some with values of its own."""
        for name in NAMES:
            self.rest.configs[name] = {**BODY, **there.get(name, {})}
        for clone in ("mine", "theirs"):
            (self.root / clone / "jobs").mkdir(parents=True)
            (self.root / clone / "majobctl.toml").write_text(self.rest.settings("retries = 0"))
            self.desired[clone] = {name: {} for name in NAMES}
            self._write(clone)
        if is_applied:
            self.apply("mine", "overwriting", NAMES[0], {})
            self.pull("theirs", "state")

    @rule(clone=clones, name=names, edit=edits)
    def edit(self, clone: str, name: str, edit: dict[str, Any]) -> None:
        self.desired[clone][name] = {**self.desired[clone][name], **edit}
        self._write(clone)

    @rule(name=names, edit=people)
    def change_in_the_console(self, name: str, edit: Body) -> None:
        self.rest.configs[name] = {**self.rest.configs[name], **edit}

    @rule(clone=clones, what=st.sampled_from(["files", "state", "both"]))
    def pull(self, clone: str, what: str) -> None:
        """The other clone's files, or its state, replace this one's: any of them may be behind."""
        other = "mine" if clone == "theirs" else "theirs"
        if what != "state":
            self.desired[clone] = dict(self.desired[other])
            self._write(clone)
        if what != "files" and (self.root / other / STATE).exists():
            shutil.copyfile(self.root / other / STATE, self.root / clone / STATE)

    @rule(
        clone=clones,
        how=st.sampled_from(["auto", "saved", "reviewed", "yes"]),
        edit=people,
        name=names,
    )
    def edit_both_and_apply(self, clone: str, how: str, edit: Body, name: str) -> None:
        self.edit(clone, name, {"train_instance_count": 3})
        self.change_in_the_console(name, edit)
        self.apply(clone, how, name, {})

    @rule(
        clone=clones,
        how=st.sampled_from(["auto", "auto", "saved", "reviewed", "yes", "overwriting"]),
        name=names,
        meanwhile=st.booleans().flatmap(lambda is_so: people if is_so else st.just({})),
    )
    def apply(self, clone: str, how: str, name: str, meanwhile: Body) -> None:
        """Somebody changes ``name`` once the plan is made, or shown to who is to say yes."""
        state = state_in(self.root / clone)
        known = state.job_configs if state else {}
        wanted = {it: self._body(params) for it, params in self.desired[clone].items()}
        bodies = {it: body_of(entry.params, **REST_IDS) for it, entry in known.items()}
        reads = Counter(it for it in NAMES if bodies.get(it) != wanted[it])
        shown = ""
        if how in ("saved", "reviewed"):
            options = ["--refresh"] if how == "reviewed" else []
            shown = self._run(
                clone, "plan", "--out", "saved.plan", "--format=json", *options
            ).stdout
            reads = Counter(change["name"] for change in json.loads(shown)["changes"])
        before: dict[str, Body] = {}

        def change() -> None:
            self.change_in_the_console(name, meanwhile)
            before.update({it: without_blanks(body) for it, body in self.rest.configs.items()})

        self.rest.forget_requests()
        if how == "yes":
            ran = self._run(clone, "apply", terminal=Terminal(change))
            reads += reads
        else:
            change()
            ran = self._run(clone, "apply", *ARGUMENTS[how])
        self._check(ran, how, known, before or self._held(), wanted, shown or ran.stdout)
        read = [it for it in self.rest.asked("GET") if "training-job-configs" in it.path]
        assert Counter(name_of(it.path) for it in read) == reads, ran
        self.done[f"{how}: exit {ran.code}"] += 1
        self.done["reads before calls"] += len(read)
        if ran.code == 0:
            assert self._run(clone, "plan").stdout.startswith("No changes.")

    # What must be true.

    def _check(
        self,
        ran: Ran,
        how: str,
        known: Mapping[str, Entry],
        before: Mapping[str, Body],
        wanted: Mapping[str, Body],
        shown: str,
    ) -> None:
        assert ran.code in (0, 5), ran
        held_back = held_back_in(ran.stderr)
        for name in held_back:
            assert how in ("auto", "saved")
            assert lost(known.get(name), before[name], wanted[name]), (name, ran)
        for received in self.rest.asked("PUT"):
            name, body = name_of(received.path), without_blanks(received.document)
            assert body == wanted[name]
            undone = lost(known.get(name), before[name], body)
            assert not undone or how not in ("auto", "saved"), (name, ran)
            for key in undone:
                assert is_shown(how, shown, name, key, before[name].get(key)), (name, key, ran)
            self.done["foreign edits undone that were shown"] += len(undone)
            self.done["calls"] += 1
        late = {name for name in NAMES if f"job_config.{name}: it was changed in" in ran.stderr}
        assert bool(held_back or late) is (ran.code == 5), ran
        self.done["foreign edits held back"] += len(held_back | late)

    # Parts.

    def _body(self, params: Mapping[str, Any]) -> Body:
        return body_of({**JOB, **params}, **REST_IDS)

    def _held(self) -> dict[str, Body]:
        return {name: without_blanks(body) for name, body in self.rest.configs.items()}

    def _write(self, clone: str) -> None:
        text = "".join(toml_of(it, {**JOB, **self.desired[clone][it]}) for it in NAMES)
        (self.root / clone / "jobs/all.toml").write_text(text)

    def _run(self, clone: str, *arguments: str, terminal: Terminal | None = None) -> Ran:
        """The command in this process, which takes a small part of the time of one of its own."""
        out, err, stdin = io.StringIO(), io.StringIO(), sys.stdin
        sys.stdin = terminal or io.StringIO()
        here = os.getcwd()
        os.chdir(self.root / clone)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main(list(arguments))
        finally:
            sys.stdin = stdin
            os.chdir(here)
        return Ran(code, out.getvalue(), err.getvalue())


def is_shown(how: str, shown: str, name: str, key: str, value: object) -> bool:
    """Whether the service's ``value`` of a job config's field was shown before it was undone; with
    --overwrite, afterwards."""
    path, text = KEYS[key], "blank" if value is None else json.dumps(value)
    if how == "reviewed":
        (change,) = (it for it in json.loads(shown)["changes"] if it["name"] == name)
        return [path, value] in ([*field["path"], field["live"]] for field in change["fields"])
    if how == "overwriting":
        (line,) = re.findall(f"^  job_config.{name}: (.*)$", shown, re.MULTILINE)
        return re.search(f"{path}: [^;]*{re.escape(text)} in the service", line) is not None
    (block,) = re.findall(f"^  [^ ]+ job_config.{name} .*\n((?:      .*\n)+)", shown, re.MULTILINE)
    return re.search(f"^      . {path} .*{re.escape(text)}", block, re.MULTILINE) is not None


@pytest.mark.timeout(900)
def test_no_history_of_two_clones_and_a_console_loses_an_edit_unseen(
    tmp_path: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fake_service.running() as Clones.rest:
        for name, value in Clones.rest.environment.items():
            monkeypatch.setenv(name, value)
        Clones.folder = tmp_path
        Clones.done = Counter()
        settings = hypothesis.settings(
            hypothesis.settings.get_profile("majobctl"),
            max_examples=HISTORIES,
            stateful_step_count=STEPS,
        )
        run_state_machine_as_test(Clones, settings=settings)
    told = ", ".join(f"{number} x {what}" for what, number in sorted(Clones.done.items()))
    tally("clones", f"{HISTORIES} of up to {STEPS} steps: {told}")
    assert Clones.done["foreign edits held back"] > HISTORIES / 4
    assert Clones.done["foreign edits undone that were shown"] > HISTORIES / 4
