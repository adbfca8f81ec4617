from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from tests.config_repository import BODY, Repository, finished, terminal, until
from tests.fake_service import FakeService, Reply


class Gate:
    """Holds the PUTs of some names until it is opened."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.waiting: set[str] = set()
        self._open = threading.Event()

    def __call__(self, name: str) -> Reply | None:
        if name in self.names:
            self.waiting.add(name)
            self._open.wait(60)
        return None

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(rest: FakeService) -> Iterator[Gate]:
    gate = Gate("one", "two")
    rest.before_put = gate
    yield gate
    gate.open()


@pytest.fixture
def six(on_rest: Repository) -> Repository:
    for name in ("one", "two", "three", "four", "five", "six"):
        on_rest.job(name)
    return on_rest


def test_without_a_terminal_no_question_is_asked_and_nothing_is_sent(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one")
    for arguments in (["apply"], ["apply", "--format", "json"]):
        ran = on_rest.process(*arguments, stdin=b"yes\n", code=1)
        assert "--auto-approve" in ran.stderr
        assert rest.requests == []
    assert not on_rest.state_path.exists()


def test_without_changes_no_question_is_asked(on_rest: Repository) -> None:
    on_rest.job("one")
    on_rest.apply()
    ran = on_rest.process("apply", code=0)
    assert ran.stdout == "No changes. 1 job config matches the state.\n"


@pytest.mark.parametrize("answer", ["y", "Yes", "YES", "yes please", "", "no", "true", "\x1b[A"])
def test_only_the_literal_yes_is_accepted(on_emulator: Repository, answer: str) -> None:
    with terminal(on_emulator, "apply") as screen:
        screen.expect("Only yes is accepted")
        screen.type(answer + "\n")
        code, seen = screen.finish()
    assert code == 1
    assert "not approved; nothing was sent" in seen
    assert not on_emulator.state_path.exists()


def test_yes_applies_what_was_shown(on_emulator: Repository) -> None:
    for name in ("alpha", "beta"):
        on_emulator.job(name, config_desc="mine")
    with terminal(on_emulator, "apply") as screen:
        screen.expect("Only yes is accepted")
        assert "  + job_config.beta " in screen.plain
        screen.type("yes\n")
        code, _ = screen.finish()
    assert code == 0
    assert "job_config.alpha: added (" in screen.plain
    assert "Apply complete: 2 added" in screen.plain.splitlines()[-1]
    assert list(on_emulator.state["job_configs"]) == ["alpha", "beta"]


def test_who_is_asked_sees_the_plan_though_the_result_is_json(on_emulator: Repository) -> None:
    on_emulator.job("alpha", config_desc="mine")
    with terminal(on_emulator, "apply", "--format", "json") as screen:
        screen.expect("Only yes is accepted")
        assert "  + job_config.alpha " in screen.plain
        screen.type("yes\n")
        assert screen.finish()[0] == 0
    assert '"complete": true' in screen.plain


@pytest.mark.slow
def test_ctrl_c_and_ctrl_d_at_the_question_send_nothing(on_emulator: Repository) -> None:
    for key in ("\x03", "\x04"):
        with terminal(on_emulator, "apply") as screen:
            screen.expect("Only yes is accepted")
            # Until it ends: one that comes just before the read begins is not seen by it.
            for _ in range(10):
                if key == "\x03":
                    screen.process.send_signal(signal.SIGINT)
                else:
                    screen.type(key)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    screen.process.wait(3)
                    break
            code, _ = screen.finish()
        is_interrupted = key == "\x03"
        assert code == (130 if is_interrupted else 1)
        told = "Interrupted." if is_interrupted else "\nError: not approved; nothing"
        assert told in screen.plain
        assert not on_emulator.state_path.exists()
    on_emulator.apply()


def test_elsewhere_each_finished_call_is_a_line(on_emulator: Repository) -> None:
    for name in ("alpha", "beta"):
        on_emulator.job(name, config_desc="mine")
    ran = on_emulator.process("apply", "--auto-approve")
    lines = sorted(ran.stderr.splitlines())
    assert [line.partition(" (")[0] for line in lines] == [
        "job_config.alpha: added",
        "job_config.beta: added",
    ]
    assert all(line.endswith(" s)") for line in lines)
    assert "\x1b" not in ran.stdout + ran.stderr


def test_the_result_as_json(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one")
    on_rest.job("two")
    answers: dict[str, Reply] = {
        "two": (400, {"error_code": "ModelArts.0105", "error_msg": "not allowed"}, {})
    }
    rest.before_put = answers.get
    ran = on_rest.run("apply", "--auto-approve", "--format", "json", code=3)
    assert ran.document["complete"] is False
    assert ran.document["serial"] == 1
    assert ran.document["summary"]["failed"] == 1
    one, two = ran.document["results"]
    assert (one["name"], one["action"], one["outcome"]) == ("one", "add", "done")
    assert (two["outcome"], two["error_code"]) == ("failed", "ModelArts.0105")
    assert two["error_msg"] == "not allowed"
    answers.clear()
    document = on_rest.apply("--format", "json").document
    assert (document["complete"], document["summary"]["added"]) == (True, 1)
    document = on_rest.apply("--format", "json").document
    assert (document["complete"], document["results"], document["serial"]) == (True, [], 2)


def test_a_failed_apply_says_what_to_do_with_json_too(on_rest: Repository) -> None:
    on_rest.job("one", train_instance_type="unheard.of")
    ran = on_rest.run("apply", "--auto-approve", "--format", "json")
    assert ran.code == 1
    assert ran.document["error"]["advice"][-1] == "nothing was sent"
    assert "nothing was sent" in ran.stderr


def test_one_ctrl_c_waits_for_the_calls_under_way_and_saves(
    six: Repository, rest: FakeService, gate: Gate
) -> None:
    process = six.start("apply", "--auto-approve", "--parallelism", "2")
    until(lambda: {"one", "two"} <= gate.waiting or len(rest.configs) == 4, "the calls")
    until(lambda: {"one", "two"} <= gate.waiting, "both calls")
    done_before = set(rest.configs)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    seen = b""
    while b"Stopping" not in seen:
        seen += process.stderr.readline()
    gate.open()
    ran = finished(process)
    assert ran.code == 130
    assert set(rest.configs) == done_before | {"one", "two"}
    assert set(six.state["job_configs"]) == set(rest.configs)
    rest.forget_requests()
    six.apply()
    assert set(rest.puts) == {"three", "four", "five", "six"} - done_before


def test_an_interrupted_apply_says_what_was_not_attempted(
    six: Repository, rest: FakeService, gate: Gate
) -> None:
    gate.names = ("five", "four")  # the first two in name order
    process = six.start("apply", "--auto-approve", "--parallelism", "2")
    until(lambda: len(gate.waiting) == 2, "both calls")
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"Stopping: waiting")
    gate.open()
    ran = finished(process)
    assert ran.code == 130
    left = ", ".join(f"job_config.{name}" for name in ("one", "six", "three", "two"))
    assert f"Not attempted:\n  {left}\n" in ran.stdout
    assert ran.last_line == ("Apply incomplete: 2 added, 4 not attempted. State serial 1.")
    assert len(rest.asked("PUT")) == 2


def test_a_second_ctrl_c_leaves_at_once_and_loses_nothing(
    six: Repository, rest: FakeService, gate: Gate
) -> None:
    process = six.start("apply", "--auto-approve", "--parallelism", "2")
    until(lambda: gate.waiting == {"one", "two"}, "both calls")
    known = set(rest.configs)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"Stopping" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    assert finished(process).code == 130
    actions = {
        change["name"]: change["action"]
        for change in six.done("plan", "--format", "json").document["changes"]
    }
    assert {name for name, action in actions.items() if action == "resend"} == {"one", "two"}
    assert known.isdisjoint(actions)
    gate.open()
    rest.forget_requests()
    six.apply()
    assert set(rest.puts) == set(actions)
    assert set(six.state["job_configs"]) == {"one", "two", "three", "four", "five", "six"}


def test_a_killed_apply_loses_nothing_that_was_acknowledged(
    six: Repository, rest: FakeService, gate: Gate
) -> None:
    process = six.start("apply", "--auto-approve", "--parallelism", "2")
    until(lambda: gate.waiting == {"one", "two"}, "both calls")
    known = set(rest.configs)
    process.kill()
    process.communicate()
    gate.open()
    document = six.done("plan", "--format", "json").document
    assert document["summary"]["resend"] == 2
    assert document["summary"]["no-op"] == len(known)
    six.apply()
    assert six.done("plan").stdout.startswith("No changes.")


def test_an_interrupt_ends_the_pauses_between_tries(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one")
    busy = (429, {"error_code": "APIGW.0308", "error_msg": "busy"}, {"Retry-After": "60"})
    rest.before_put = lambda name: busy
    process = on_rest.start("apply", "--auto-approve")
    until(lambda: rest.asked("PUT"), "the call")
    process.send_signal(signal.SIGINT)
    ran = finished(process)
    assert ran.code == 130
    assert len(rest.asked("PUT")) == 1


def test_two_applies_at_once_are_one(six: Repository, rest: FakeService, gate: Gate) -> None:
    first = six.start("apply", "--auto-approve")
    until(lambda: gate.waiting, "a call")
    second = six.process("apply", "--auto-approve", code=4)
    assert f"process {first.pid}, `majobctl apply --auto-approve`" in second.stderr
    assert "--lock-timeout" in second.stderr
    six.done("plan")
    third = six.start("apply", "--auto-approve", "--lock-timeout", "60")
    gate.open()
    assert finished(first).code == 0
    ran = finished(third)
    assert ran.code == 0
    assert ran.stdout.startswith("No changes.")
    assert len(rest.puts) == 6


def test_a_service_that_is_not_there_sends_nothing(on_rest: Repository, rest: FakeService) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        text = rest.settings("retries = 0").replace(rest.url, f"http://127.0.0.1:{port}")
        on_rest.settings(text)
        on_rest.job("one")
        ran = on_rest.run("apply", "--auto-approve")
    assert ran.code == 1
    assert f"cannot connect to http://127.0.0.1:{port}: " in ran.stderr
    assert not on_rest.state_path.exists()


def test_credentials_that_are_refused_stop_before_the_first_put(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.environment["OS_SECRET_KEY"] = "wrong-secret-value"
    on_rest.job("one")
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert "APIGW.0301 wrong signature\ncheck the keys (OS_ACCESS_KEY and" in ran.stderr
    assert "wrong-secret-value" not in ran.stderr + ran.stdout
    assert rest.asked("PUT") == []


@pytest.mark.parametrize(
    "answer",
    [
        b'""',
        b"\xff\xfe",
        b"<html>",
        b"null",
        b"[]",
        b'{"is_success": "true"}',
        b"[" * 100_000,
        b'{"is_success": true',
        b'{"x": NaN}',
        b'{"error_msg": "\\ud800"}',
    ],
    ids=range(10),
)
@pytest.mark.parametrize("status", [200, 302, 400, 404, 500])
def test_no_answer_is_a_defect(
    on_rest: Repository, rest: FakeService, status: int, answer: bytes
) -> None:
    on_rest.settings(rest.settings("retries = 0"))
    on_rest.job("one")
    rest.before_put = lambda name: (status, answer, {"Location": "http://elsewhere.invalid/"})
    ran = on_rest.run("apply", "--auto-approve", code=3)
    assert ran.last_line.startswith("Apply incomplete")
    rest.before_put = lambda name: None
    on_rest.apply()
    assert rest.configs == {"one": BODY}


INTENTS, OUTCOME = 11_260, 79
"""So many bytes of a journal are the intents of 19 job configs, and an outcome, about."""


@pytest.mark.parametrize(
    ("limit", "is_begun"),
    [(4000, False), (INTENTS + 6 * OUTCOME, True)],
    ids=["intents", "outcomes"],
)
def test_a_disk_that_is_full_is_reported_and_nothing_acknowledged_is_lost(
    limit: int, is_begun: bool, on_rest: Repository, rest: FakeService
) -> None:
    for number in range(20):
        on_rest.job(f"n{number}", config_desc="x" * 256)
    on_rest.apply("--target", "n0")
    rest.forget_requests()

    def wait_for_the_outcome_before(name: str) -> None:
        """If there is room for it."""
        journal, outcomes = on_rest.root / "majobctl.state.json.journal", len(rest.puts) - 1
        end = time.monotonic() + 1
        while journal.read_bytes().count(b'"done":') < outcomes and time.monotonic() < end:
            time.sleep(0.01)

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    rest.before_put = wait_for_the_outcome_before

    # Not measured: what coverage writes would be cut short as well.
    environment = {key: text for key, text in os.environ.items() if "COVERAGE" not in key}
    process = on_rest.start(
        *("apply", "--auto-approve", "--parallelism", "1"),
        env={**environment, **on_rest.environment},
        preexec_fn=small_files,
    )
    ran = finished(process)
    rest.before_put = lambda name: None
    assert ran.code == 1
    assert "majobctl.state.json" in ran.stderr
    sent = set(rest.puts)
    assert (0 < len(sent) < 19) is is_begun
    document = on_rest.done("plan", "--format", "json").document
    planned = {change["name"]: change["action"] for change in document["changes"]}
    lines = [line for line in ran.stderr.splitlines() if ": added (" in line]
    told = {line.split(":")[0].removeprefix("job_config.") for line in lines}
    assert bool(told) is is_begun
    assert ("nothing was sent" in ran.stderr) is not is_begun
    # The state is smaller than the intents: it takes the outcomes that the journal cannot.
    assert told < sent or not is_begun
    assert planned == {f"n{number}": "add" for number in range(1, 20) if f"n{number}" not in sent}
    on_rest.apply()
    assert on_rest.done("plan").stdout.startswith("No changes.")


def test_the_state_is_written_once_though_many_calls_succeed(six: Repository) -> None:
    six.apply()
    assert six.state["serial"] == 1
    left = {path.name for path in six.root.iterdir()}
    assert "majobctl.state.json.journal" not in left
    assert "majobctl.state.json.lock.holder" not in left


def test_a_state_elsewhere_and_behind_a_link(on_rest: Repository, rest: FakeService) -> None:
    on_rest.settings(rest.settings() + '[state]\npath = "deep/er/state.json"\n')
    (on_rest.root / "deep").mkdir()
    (on_rest.root / "real").mkdir()
    (on_rest.root / "deep" / "er").symlink_to("../real")
    on_rest.job("one")
    on_rest.apply()
    state = on_rest.root / "real" / "state.json"
    assert json.loads(state.read_bytes())["serial"] == 1
    assert state.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("path", ["/", ".", "jobs", "majobctl.toml/x", "x" * 300, "\\u0000"])
def test_a_state_path_that_cannot_be_one_is_reported(on_emulator: Repository, path: str) -> None:
    on_emulator.settings(f'[provider]\nkind = "emulator"\n[state]\npath = "{path}"\n')
    for arguments in (["plan"], ["show"]):
        assert on_emulator.run(*arguments).code == 1


def test_damage_in_the_journal_is_reported_and_left_as_it_is(on_emulator: Repository) -> None:
    on_emulator.apply()
    journal = on_emulator.write("majobctl.state.json.journal", "damage\nmore\n")
    for arguments in (["plan"], ["apply", "--auto-approve"], ["state", "rm", "alpha"]):
        ran = on_emulator.run(*arguments, code=1)
        assert "majobctl.state.json.journal:1: the journal is damaged" in ran.stderr
    assert journal.read_text() == "damage\nmore\n"


def test_a_seed_that_cannot_be_used_is_reported(on_emulator: Repository) -> None:
    for seed in ("missing.toml", ".", "jobs"):
        on_emulator.settings(f'[provider]\nkind = "emulator"\nseed = "{seed}"\n')
        ran = on_emulator.run("apply", "--auto-approve", code=1)
        assert seed in ran.stderr


def test_the_official_package_is_asked_for_where_it_is_missing(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.settings(rest.settings().replace('"modelarts"', '"sdk"'))
    on_rest.job("one")
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert "modelarts" in ran.stderr


def test_the_lock_is_left_by_every_way_out(on_emulator: Repository) -> None:
    on_emulator.job("missing")
    assert on_emulator.run("apply").code == 1
    assert on_emulator.run("apply", "--auto-approve").code == 3
    on_emulator.job("alpha", train_instance_type="unheard.of")
    assert on_emulator.run("apply", "--auto-approve").code == 1
    assert not (on_emulator.root / "majobctl.state.json.lock.holder").exists()


def test_output_that_is_piped_away_does_not_stop_an_apply(on_emulator: Repository) -> None:
    process = on_emulator.start(
        "apply", "--auto-approve", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert process.wait(30) == 0
    assert os.path.exists(on_emulator.state_path)
