"""Services that are busy, broken, slow or hostile: each fault's exit code, message and state, and
that the next apply to a healthy service brings everything as desired."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from majobctl.emulator import create_app, start
from majobctl.emulator.faults import Faults
from majobctl.operations.seed import read_seed
from tests.config_repository import JOB, Repository, finished, toml_of
from tests.conftest import BadInput
from tests.fake_service import ACCESS_KEY, SECRET_KEY, FakeService, Reply, refusal
from tests.faults import cloud
from tests.faults.conftest import Tally
from tests.faults.launcher import started
from tests.faults.service import body_of

TIMEOUT = 1.5
SETTINGS = f"timeout = {TIMEOUT}\nretries = 1"
FAILED, UNKNOWN = "failed", "unknown"
DESIRED = {"worker_server_num": 3}


@dataclass(frozen=True, slots=True)
class Misdeed:
    """What the service does to each update of one configuration, and what an apply makes of it:
    ``end`` as it is told, with ``says`` in the message, after one try or several."""

    reply: Callable[[], Reply | None]
    end: str
    says: str
    is_repeated: bool


def answering(status: int, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
    return status, body, headers or {}


def hang_up() -> Reply | None:
    raise ConnectionAbortedError


def be_late() -> Reply | None:
    time.sleep(2 * TIMEOUT)
    raise ConnectionAbortedError


def coded(status: int, code: str) -> Callable[[], Reply]:
    return lambda: refusal(status, code, "as told")


def plain(status: int, body: bytes, **headers: str) -> Callable[[], Reply]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: answering(status, body, named)


PAGE = b"<html><h1>Bad things</h1></html>"
MISDEEDS: Mapping[str, Misdeed] = {
    "429": Misdeed(coded(429, "APIGW.0308"), FAILED, "APIGW.0308 as told", True),
    "429-pause": Misdeed(
        plain(429, b'{"error_code": "ModelArts.2799", "error_msg": "busy"}', Retry_After="1"),
        FAILED, "ModelArts.2799 busy", True,
    ),
    "429-page": Misdeed(plain(429, PAGE), FAILED, "HTTP status 429", True),
    "400": Misdeed(coded(400, "ModelArts.0104"), FAILED, "ModelArts.0104 as told", False),
    "403": Misdeed(coded(403, "APIGW.0302"), FAILED, "APIGW.0302 as told", False),
    "403-page": Misdeed(plain(403, PAGE), FAILED, "HTTP status 403", False),
    "404": Misdeed(coded(404, "ModelArts.0102"), FAILED, "ModelArts.0102 as told", False),
    "200-no": Misdeed(coded(200, "ModelArts.0105"), FAILED, "ModelArts.0105 as told", False),
    "500": Misdeed(coded(500, "ModelArts.0010"), UNKNOWN, "ModelArts.0010 as told", False),
    "500-no-code": Misdeed(plain(500, b'{"message": "boom"}'), UNKNOWN, "boom", False),
    "500-page": Misdeed(plain(500, PAGE), UNKNOWN, "HTTP status 500", True),
    "502": Misdeed(plain(502, PAGE), UNKNOWN, "HTTP status 502", True),
    "503": Misdeed(coded(503, "ModelArts.0010"), UNKNOWN, "as told", True),
    "504": Misdeed(plain(504, b""), UNKNOWN, "504", True),
    "garbage": Misdeed(plain(200, b"\x00\xff\x1b[2J not JSON"), UNKNOWN, "not UTF-8", True),
    "not-an-object": Misdeed(plain(200, b"[1, 2]"), UNKNOWN, "not a JSON object", True),
    "no-word": Misdeed(plain(200, b"{}"), UNKNOWN, "does not say whether", True),
    "deep": Misdeed(plain(200, b"[" * 100_000), UNKNOWN, "unreadable answer", True),
    "half": Misdeed(
        plain(200, b'{"is_succ', Content_Length="19", Connection="close"),
        UNKNOWN, "cut short", True,
    ),
    "too-long": Misdeed(
        plain(200, b'{"is_success": true}', Content_Length="200"), UNKNOWN, f"{TIMEOUT} s", True,
    ),
    "hung-up": Misdeed(hang_up, UNKNOWN, "connection broke", True),
    "late": Misdeed(be_late, UNKNOWN, f"{TIMEOUT} s", True),
}  # fmt: skip


def name_of(misdeed: str) -> str:
    return f"s-{misdeed}"


def test_each_fault_ends_one_change_and_no_other_and_the_next_apply_mends_it(
    on_rest: Repository, rest: FakeService, tally: Tally, bad_input: BadInput
) -> None:
    on_rest.settings(rest.settings(SETTINGS))
    names = {name_of(key): misdeed for key, misdeed in MISDEEDS.items()}
    for name in (*names, "fine"):
        on_rest.job(name)
    on_rest.apply("--parallelism", "8")
    for name in (*names, "fine"):
        on_rest.job(name, train_instance_count=3)
    rest.forget_requests()
    rest.before_put = lambda name: names[name].reply() if name in names else None

    ran = on_rest.run("apply", "--auto-approve", "--parallelism", "8", code=3)
    counts = Counter(misdeed.end for misdeed in names.values())
    assert f"1 updated, {counts[FAILED]} failed, {counts[UNKNOWN]} unknown" in (ran.last_line)
    tries = Counter(item.path.rpartition("/")[2] for item in rest.asked("PUT"))
    entries = on_rest.state["job_configs"]
    for name, misdeed in names.items():
        (line,) = re.findall(rf"^job_config\.{name}: (.*)$", ran.stderr, re.MULTILINE)
        assert line.startswith(f"{misdeed.end}: "), (name, line)
        assert misdeed.says in line, (name, line)
        assert misdeed.says in ran.stdout
        assert "\x1b" not in line
        assert (tries[name] > 1) == misdeed.is_repeated, (name, tries[name])
        assert entries[name].get("pending", False) == (misdeed.end == UNKNOWN), name
        assert entries[name]["params"]["train_instance_count"] == 1
    assert entries["fine"]["params"]["train_instance_count"] == 3

    rest.before_put = lambda name: None
    plan = on_rest.done("plan", "--format", "json").document
    resent = {item["name"] for item in plan["changes"] if item["action"] == "resend"}
    assert resent == {name for name, misdeed in names.items() if misdeed.end == UNKNOWN}
    on_rest.apply()
    assert all(rest.configs[name]["worker_server_num"] == 3 for name in names)
    assert "No changes." in on_rest.done("plan").stdout
    for key in MISDEEDS:
        bad_input("connections", key)
    tally("services", f"{len(MISDEEDS)} ways of answering wrongly in one apply")


def test_an_update_whose_answer_was_lost_stays_unknown_when_its_repeat_is_refused(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.settings(rest.settings(SETTINGS))
    on_rest.job("one")
    on_rest.apply()
    on_rest.job("one", train_instance_count=3)
    replies = iter([hang_up, coded(401, "APIGW.0301")])

    def lose_one_and_refuse_the_next(name: str) -> Reply | None:
        reply = next(replies)
        rest.configs[name] = {**rest.configs[name], **DESIRED}
        return reply()

    rest.before_put = lose_one_and_refuse_the_next
    ran = on_rest.run("apply", "--auto-approve", code=3)
    assert "APIGW.0301" in ran.stderr
    assert on_rest.state["job_configs"]["one"]["pending"] is True
    # Back to what the state last knew: the cloud has other values, so this must be sent.
    on_rest.job("one")
    rest.before_put = lambda name: None
    on_rest.apply()
    assert rest.configs["one"]["worker_server_num"] == 1


def test_a_service_that_nobody_serves_ends_an_apply_before_anything_is_recorded(
    on_rest: Repository,
) -> None:
    with elsewhere() as closed:
        url = closed.url
    project = 'project_id = "p"'
    on_rest.settings(f'[provider]\nendpoint = "{url}"\n{project}\nretries = 0\n')
    on_rest.job("one")
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert "cannot connect to http" in ran.stderr
    assert not on_rest.state_path.exists()


@dataclass
class Elsewhere:
    """A server that writes down all that it gets, and answers with ``status`` and ``headers``."""

    url: str = ""
    got: list[str] = field(default_factory=list)
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            made.got.append(f"{self.requestline}\n{self.headers}")
            self.send_response(made.status)
            for name, value in {"Content-Length": "0", **made.headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_tells_nothing_secret(
    on_rest: Repository, rest: FakeService, status: int
) -> None:
    on_rest.job("one")
    with elsewhere() as other:
        location = {"Location": f"{other.url}/v1/steal"}
        rest.before_put = lambda name: answering(status, b"", location)
        ran = on_rest.run("apply", "--auto-approve", code=3)
        assert f"the service redirects (HTTP status {status}, to 127.0.0.1)" in ran.stderr
        assert other.got == []
    assert len(rest.asked("PUT")) == 1
    entries = on_rest.state["job_configs"] if on_rest.state_path.exists() else {}
    assert ("one" in entries) == (status == 303)
    rest.before_put = lambda name: None
    on_rest.apply()
    assert rest.configs["one"]["worker_server_num"] == 1


def test_a_redirect_of_the_first_look_up_sends_nothing_and_follows_nothing(
    on_rest: Repository,
) -> None:
    on_rest.job("one")
    with elsewhere() as first, elsewhere() as second:
        first.status, first.headers = 307, {"Location": f"{second.url}/"}
        on_rest.settings(f'[provider]\nendpoint = "{first.url}"\nproject_id = "p"\nretries = 1\n')
        ran = on_rest.run("apply", "--auto-approve", code=1)
        assert "the service redirects" in ran.stderr
        assert second.got == []
        assert len(first.got) == 1
        assert ACCESS_KEY in first.got[0]
        assert SECRET_KEY not in first.got[0]
    assert not on_rest.state_path.exists()


MANY = 100
SEEDS = (31, 32, 33, 34, 35, 36)


def test_one_apply_to_a_service_that_fails_a_third_of_all_requests_does_everything(
    tmp_path: Path, tally: Tally
) -> None:
    names = [f"job-{number:03}" for number in range(MANY)]
    with ExitStack() as stack:
        running = []
        for seed in SEEDS:
            root = tmp_path / str(seed)
            url, data, log = unsteady_emulator(stack, root, names, seed)
            (root / "majobctl.toml").write_text(
                f'[provider]\nendpoint = "{url}"\nproject_id = "emulator"\n'
            )
            (root / "jobs").mkdir()
            write_all(root, names)
            process = started(root, "apply", "--auto-approve", environment=cloud.ENVIRONMENT)
            running.append((root, process, cloud.Cloud(url, data, log)))
        for root, process, served in running:
            check_all_is_done(root, process, served, names)
        puts = sum(served.puts() for _, _, served in running)
    tally(
        "services, 15 % 503, 10 % 429, 10 % lost answers",
        f"{len(SEEDS)} x {MANY} job configs, one apply each, exit 0: {puts} requests for"
        f" {len(SEEDS) * MANY} updates",
    )


def unsteady_emulator(
    stack: ExitStack, root: Path, names: list[str], seed: int
) -> tuple[str, Path, Path]:
    """The address of an emulator with all three faults, its data and its request log."""
    root.mkdir()
    plan = root / "cloud.toml"
    plan.write_text("".join(toml_of(name, JOB) for name in names))
    data, log = root / "cloud.db", root / "requests.log"
    app = stack.enter_context(
        create_app(
            data,
            seed=partial(read_seed, plan),
            faults=Faults(error_rate=0.15, throttle_rate=0.10, lose_rate=0.10, seed=seed),
            request_log=log,
        )
    )
    return stack.enter_context(start(app)).url, data, log


def write_all(root: Path, names: list[str]) -> None:
    text = "".join(toml_of(name, {**JOB, "config_desc": f"This is {name}."}) for name in names)
    (root / "jobs/all.toml").write_text(text)


def check_all_is_done(
    root: Path, process: subprocess.Popen[bytes], served: cloud.Cloud, names: list[str]
) -> None:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, (out.decode()[-2000:], err.decode()[-2000:])
    assert f"Apply complete: {MANY} added" in out.decode()
    desired = {
        name: body_of({**JOB, "config_desc": f"This is {name}."}, **cloud.IDS) for name in names
    }
    assert served.held() == desired
    plan = started(root, "plan", environment=cloud.ENVIRONMENT)
    assert finished(plan).stdout == f"No changes. {MANY} job configs match the state.\n"
