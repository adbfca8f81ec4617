"""What a person at a terminal sees while a command runs, and at its narrow edge; and what a log has
of it elsewhere."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from majobctl.state.backends.local import of_settings
from majobctl.state.store import StateStore
from majobctl.text import columns, fitted
from tests.config_repository import PATIENCE, Repository, Terminal, finished, terminal
from tests.fake_service import PASSWORD, FakeService, Handler, Reply, refusal, running

Hold = Callable[[Repository, FakeService], AbstractContextManager[threading.Event]]


def shown_lines(seen: str) -> list[str]:
    """The lines as a terminal shows them: what follows a carriage return is in place of it."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", seen).replace("\r\n", "\n")
    return [line.rpartition("\r")[2].rstrip() for line in plain.split("\n")]


def held_requests(part: str) -> Hold:
    """The service does not answer requests whose path ends with ``part`` until the block ends. The
    event: there is such a request."""

    @contextmanager
    def hold(repository: Repository, service: FakeService) -> Iterator[threading.Event]:
        may_answer, is_held = threading.Event(), threading.Event()

        def answer(handler: Handler) -> None:
            path = handler.received.path
            if path.endswith(part):
                is_held.set()
                may_answer.wait(3 * PATIENCE)
            if path.endswith("/auth/tokens"):
                handler.handle_one_token()
            else:
                handler.serve(handler.received)

        service.script.extend([answer] * 50)
        try:
            yield is_held
        finally:
            may_answer.set()

    return hold


@contextmanager
def held_lock(repository: Repository, service: FakeService) -> Iterator[threading.Event]:
    place = of_settings({"path": "majobctl.state.json"}, repository.root)
    with StateStore(place).locked("majobctl apply"):
        yield threading.Event()


@dataclass(frozen=True)
class Wait:
    """A command that waits, as long as the block of ``hold`` lasts; ``shown`` on a terminal, and
    ``named`` after ten seconds. ``{host}`` is the service's."""

    command: str
    hold: Hold
    shown: str
    named: str


APPLY = "apply --auto-approve"
WAITS = [
    Wait(
        "flavors",
        held_requests("/auth/tokens"),
        "Signing in to {host}",
        "Signing in to {host}: still waiting after 10 s",
    ),
    Wait(
        "flavors",
        held_requests("/resource-specs"),
        "Looking up flavors",
        "Looking up flavors: still waiting after 10 s",
    ),
    Wait(
        "import --all",
        held_requests("/training-job-configs"),
        "Reading from the service: get_job_configs_list",
        "Reading from the service: still waiting after 10 s (get_job_configs_list)",
    ),
    Wait(
        "plan --refresh=changed",
        held_requests("/training-job-configs/alpha"),
        "Reading 0/1 [------------------------]",
        "job_config.alpha: still waiting after 10 s (get_job_configs_info)",
    ),
    Wait(
        f"{APPLY} --refresh=none",
        held_requests("/training-job-configs/alpha"),
        "Applying 0/1 [------------------------]",
        "job_config.alpha: still waiting after 10 s (update_job_configs)",
    ),
    Wait(
        f"{APPLY} --lock-timeout 600",
        held_lock,
        "Taking the lock of majobctl.state.json",
        "Taking the lock of majobctl.state.json: still waiting after 10 s",
    ),
]


def prepare(repository: Repository, service: FakeService) -> Repository:
    extra = f'auth = "password"\niam_endpoint = "{service.url}/v3"'
    repository.settings(service.settings(extra))
    user = {"OS_USERNAME": "user", "OS_USER_DOMAIN_NAME": "domain", "OS_PASSWORD": PASSWORD}
    repository.environment.update(user)
    repository.job("alpha")
    return repository


def of_host(text: str, service: FakeService) -> str:
    return text.format(host=service.url.removeprefix("http://"))


@pytest.mark.parametrize("wait", WAITS, ids=lambda it: f"{it.command}: {it.named[:20]}")
def test_what_is_awaited_is_shown_at_once_and_leaves_nothing_behind(
    repository: Repository, rest: FakeService, wait: Wait
) -> None:
    prepare(repository, rest)
    with terminal(repository, *wait.command.split()) as screen:
        with wait.hold(repository, rest):
            screen.expect(of_host(wait.shown, rest))
            assert screen.process.poll() is None
        code, seen = screen.finish()
    assert code == 0
    lines = shown_lines(seen)
    assert not [it for it in lines if of_host(wait.shown, rest) in it]
    assert "still waiting" not in seen


@pytest.mark.parametrize("is_terminal", [True, False], ids=["terminal", "log"])
def test_whatever_hangs_for_ten_seconds_is_named(
    repository: Repository, tmp_path: Path, is_terminal: bool
) -> None:
    """All of them side by side, since each takes that long."""
    with ExitStack() as stack:
        begun: list[tuple[str, ExitStack, Terminal | subprocess.Popen[bytes]]] = []
        for number, wait in enumerate(WAITS):
            service = stack.enter_context(running(has_every_name=True))
            root = tmp_path / str(number)
            root.mkdir()
            place = prepare(replace(repository, root=root, environment={}), service)
            held = stack.enter_context(ExitStack())
            held.enter_context(wait.hold(place, service))
            if is_terminal:
                screen = stack.enter_context(terminal(place, *wait.command.split()))
                begun.append((of_host(wait.named, service), held, screen))
            else:
                process = place.start(*wait.command.split())
                begun.append((of_host(wait.named, service), held, process))
        for named, held, running_ in begun:
            if isinstance(running_, subprocess.Popen):
                assert running_.stderr is not None
                said = ""
                while named not in said:
                    line = running_.stderr.readline().decode()
                    assert line, said
                    said += line
                held.close()
                ran = finished(running_)
                assert ran.code == 0
                assert (said + ran.stderr).splitlines().count(named) == 1
            else:
                running_.expect(named)
                held.close()
                code, seen = running_.finish()
                assert code == 0
                assert shown_lines(seen).count(named) == 1


def test_each_finished_job_config_is_a_line_above_the_bar(
    on_rest: Repository, rest: FakeService
) -> None:
    names = [f"job-{number}" for number in range(6)]
    for name in names:
        on_rest.job(name)
    free = iter(range(4))
    may_end = threading.Event()
    rest.before_put = lambda name: None if next(free, None) is not None else wait(may_end)
    with terminal(on_rest, "-v", *APPLY.split(), "--parallelism", "2") as screen:
        screen.expect("Applying 4/6 [################--------]")
        now = shown_lines(screen.seen)
        may_end.set()
        code, seen = screen.finish()
    assert now[-1].startswith("Applying 4/6 [################--------]")
    assert sum(": added (0." in it for it in now) == 4
    lines = shown_lines(seen)
    assert code == 0
    added = [it for it in lines if re.fullmatch(r"job_config\.\S+: added \([\d.]+ s\)", it)]
    assert {it.partition(":")[0] for it in added} == {f"job_config.{name}" for name in names}
    assert not [it for it in lines if "Applying" in it]
    # The log of requests, from other threads, comes above the bar as well.
    assert [it for it in lines if re.fullmatch(r"[\d :,-]+PUT http.*\)", it)]


def wait(event: threading.Event) -> None:
    event.wait(3 * PATIENCE)


def failing(service: FakeService) -> None:
    """Two updates are refused, with a request id or without one."""
    refused = refusal(400, "ModelArts.2781", "Flavor (9) not found.")
    with_id: Reply = (400, {**refused[1], "request_id": "r-17"}, {})
    service.before_put = {"alpha": with_id, "beta": refused}.get


REASON = "ModelArts.2781 Flavor (9) not found."
TOLD = f"""\
Failed:
  job_config.alpha: {REASON} (HTTP status 400, request id r-17)
      choose a flavor that the service offers
  job_config.beta: {REASON} (HTTP status 400)
      choose a flavor that the service offers

Apply incomplete: 1 added, 2 failed. State serial 1.
"""


@pytest.fixture
def refusing(on_rest: Repository, rest: FakeService) -> Repository:
    for name in ("alpha", "beta", "gamma"):
        on_rest.job(name)
    failing(rest)
    return on_rest


def test_a_failure_is_told_once_on_a_terminal(refusing: Repository) -> None:
    with terminal(refusing, *APPLY.split()) as screen:
        code, seen = screen.finish()
    assert code == 3
    lines = shown_lines(seen)
    assert {"job_config.alpha: failed", "job_config.beta: failed"} <= set(lines)
    assert "\n".join(lines).endswith(TOLD)
    assert seen.count(REASON) == 2


def test_a_failure_is_told_once_where_both_streams_go_to_one_file(refusing: Repository) -> None:
    process = refusing.start(*APPLY.split(), stderr=subprocess.STDOUT)
    ran = finished(process)
    assert ran.code == 3
    assert ran.stdout.endswith(TOLD)
    assert ran.stdout.count(REASON) == 2


def test_each_of_two_streams_tells_a_failure(refusing: Repository) -> None:
    ran = refusing.process(*APPLY.split(), code=3)
    assert ran.stdout.endswith(TOLD)
    for name in ("alpha", "beta"):
        assert f"job_config.{name}: failed: {REASON}\n" in ran.stderr


def test_the_result_as_json_has_status_and_request_id(refusing: Repository) -> None:
    ran = refusing.run(*APPLY.split(), "--format", "json", code=3)
    found = {it["name"]: it for it in ran.document["results"]}
    told = [(found[it]["http_status"], found[it]["request_id"]) for it in ("alpha", "beta")]
    assert told == [(400, "r-17"), (400, "")]
    assert f"{found['alpha']['error_code']} {found['alpha']['error_msg']}" == REASON
    assert "http_status" not in found["gamma"]
    assert f"job_config.alpha: failed: {REASON}\n" in ran.stderr


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((500, {"error_code": "ModelArts.0010", "error_msg": "internal"}, {}), "HTTP status 500"),
        ((503, {"error_code": "x.1", "error_msg": "busy", "request_id": "r-2"}, {}), "r-2"),
        ((502, b"<html>", {}), "HTTP status 502"),
        ((403, {"error_code": "ModelArts.0108", "error_msg": "no right"}, {}), "HTTP status 403"),
        ((200, {"is_success": False, "error_code": "a.1", "error_msg": "no"}, {}), "status 200"),
    ],
)
def test_whatever_the_answer_is_its_status_is_named_once(
    on_rest: Repository, rest: FakeService, answer: tuple[int, object, dict[str, str]], told: str
) -> None:
    on_rest.settings(rest.settings("retries = 0"))
    on_rest.job("alpha")
    rest.before_put = lambda name: answer
    ran = on_rest.run(*APPLY.split(), code=3)
    assert ran.stdout.count(told) == 1
    ran = on_rest.run(*APPLY.split(), "--format", "json", code=3)
    assert ran.document["results"][0]["http_status"] == answer[0]


def test_ctrl_c_at_the_prompt_has_its_own_line(on_emulator: Repository) -> None:
    with terminal(on_emulator, "apply") as screen:
        screen.expect("Only yes is accepted: ")
        screen.type("\x03")
        code, seen = screen.finish()
    assert code == 130
    assert shown_lines(seen)[-3:] == [
        "Apply these changes? Only yes is accepted: ^C",
        "Interrupted.",
        "",
    ]


@pytest.mark.parametrize("wait", WAITS[:4], ids=lambda it: f"{it.command}: {it.named[:20]}")
def test_ctrl_c_while_something_is_awaited_has_its_own_line(
    repository: Repository, rest: FakeService, wait: Wait
) -> None:
    prepare(repository, rest)
    with (
        terminal(repository, *wait.command.split()) as screen,
        wait.hold(repository, rest) as is_held,
    ):
        screen.expect(of_host(wait.shown, rest))
        assert is_held.wait(PATIENCE)
        screen.type("\x03")
        if "[" in wait.shown:  # a read under way is waited for, but not twice
            screen.expect("Waiting for the calls under way")
            screen.type("\x03")
        code, seen = screen.finish()
    assert code == 130
    lines = [it for it in shown_lines(seen) if it]
    assert lines[-1] == "Interrupted."
    assert not [it for it in lines if "^C" in it], seen


EDGES = [
    *("plan", "plan --refresh", "plan --summary", "plan --by config", "plan --base HEAD"),
    *("plan --target nope", "plan --tarjet x", "plan --format x", "plan -e nope", "plan --var x"),
    *("validate", "validate --verbose", "drift", "pull --check", "show", "show sentiment-of-x"),
    *("history", "history sentiment-of-x", "blame sentiment-of-x", "history verify"),
    *("render", "render --origin", "flavors", "engines", "algorithms", "state list", "state check"),
    *("probe", "import --all", "fmt --check", "unlock x", "show nope", "destroy", "version"),
    *("apply --auto-approve --target nope", "state rm nope", "state move git", "-C nowhere plan"),
    *("plan --help", "apply --help", "--help", "state --help", "state push --help"),
    *("emulator serve --help", "capture --help", "history --since tomorrow", "schema --out-dir s"),
    *("state mv beta beta-with-a-name", "init new", "apply --auto-approve"),
]
VERBATIM = re.compile(r" *[\w.]+ = ")
"""A line of TOML, to be copied."""


@pytest.fixture
def wordy(repository: Repository) -> Repository:
    """A long name, long values, a warning, drift and changes."""
    repository.cloud("alpha", "beta", "sentiment-of-x")
    for name in ("alpha", "beta", "sentiment-of-x"):
        repository.job(name, config_desc="first")
    repository.apply("--overwrite")
    long = "a description of what this training does and for whom it was made, in some words"
    repository.job("alpha", config_desc=long, output_path="/ml/a-rather-long-bucket/output/alpha/")
    repository.job("sentiment-of-x", train_instance_count=2, hyperparameters={"lr": "0.1"})
    repository.job("new", config_desc="second", hyperparameters={"api_key": "x" * 20})
    repository.done("emulator", "set", "beta", "train_instance_count=3")
    return repository


@pytest.mark.parametrize("width", [60, 40])
def test_no_word_is_broken_at_the_edge_of_a_terminal(wordy: Repository, width: int) -> None:
    for command in EDGES:
        with terminal(wordy, *command.split(), COLUMNS=str(width)) as screen:
            _, seen = screen.finish()
        # A single word that is wider than the terminal sticks out.
        wide = [it for it in shown_lines(seen) if columns(it) > width and " " in it.strip(" #")]
        assert not [it for it in wide if not VERBATIM.match(it)], command


@pytest.mark.parametrize("width", [1, 2, 7])
def test_the_narrowest_terminal_has_help(repository: Repository, width: int) -> None:
    repository.environment["COLUMNS"] = str(width)
    for command, code in (("--help", 0), ("plan --help", 0), ("state --help", 0), ("plan --no", 1)):
        ran = repository.process(*command.split(), code=code)
        assert "defect" not in ran.stderr
        assert "Usage:" in (ran.stderr if code else ran.stdout)


def test_problems_are_broken_between_words_on_a_terminal_alone(repository: Repository) -> None:
    repository.cloud("alpha")
    repository.job("alpha", code_dir="/a/", boot_file="/somewhere/else/train.py", unknown_key=1)
    with terminal(repository, "validate", COLUMNS="60") as screen:
        code, seen = screen.finish()
    assert code == 1
    lines = shown_lines(seen)
    assert max(map(columns, lines)) <= 60
    ran = repository.process("validate", code=1)
    lines = [it for it in lines if not re.match(r" *\d* \| ", it)]  # those of the file
    assert " ".join(" ".join(lines).split()) == " ".join(ran.stderr.split())
    assert max(map(columns, ran.stderr.splitlines())) > 60


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("short enough", ["short enough"]),
        ("one two three four five", ["one two three", "  four five"]),
        ("  name: one two three", ["  name: one two", "    three"]),
        ("cell one  cell two  cell three", ["cell one", "  cell two", "  cell three"]),
        ("a /some/where/far/away b", ["a", "  /some/where/", "    far/away b"]),
        ("a-single-word-without-an-end", ["a-single-word-without-an-end"]),
        ("漢字 漢字 漢字 漢字", ["漢字 漢字 漢字", "  漢字"]),
        ("\x1b[31mone two\x1b[0m three four", ["\x1b[31mone two\x1b[0m three", "  four"]),
        ("", [""]),
        (" " * 40, [""]),
    ],
)
def test_a_line_is_broken_where_that_does_least_harm(line: str, broken: list[str]) -> None:
    assert fitted(line, 16).split("\n") == broken
    assert fitted(line, None) == line
