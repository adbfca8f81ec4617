"""A secret is found in the request and nowhere else: in no file, no output, no log."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.config_repository import JOB, Ran, Repository, toml_of
from tests.fake_service import SECRET_KEY, FakeService, Reply, refusal
from tests.faults.conftest import Tally
from tests.faults.launcher import Fault, Launcher

FROM_ENVIRONMENT = "env-secret-not-a-real-one"
SEVERAL_LINES = '-----BEGIN-----\nlines of a not\treal ☃ "key"\n-----END-----'
IN_FILE = "file-secret-not-a-real-one"
FLAVOR = "flavor-secret.not.real"
HIDDEN = (FROM_ENVIRONMENT, SEVERAL_LINES, IN_FILE, SECRET_KEY)
TOML = {
    **JOB,
    "sensitive": ["token", "config_desc", "pem"],
    "config_desc": IN_FILE,
    "user_image_url": "swr.example/image:1",
    "user_command": "run --password ${env.PASSWORD}",
    "hyperparameters": {
        "key": "${env.KEY}",
        "pem": SEVERAL_LINES,
        "token": IN_FILE,
        "lr": "0.1",
    },
}


def traces(secret: str) -> tuple[str, ...]:
    """The forms in which a text would give ``secret`` away."""
    escaped = json.dumps(secret)[1:-1]
    return (
        secret,
        escaped,
        json.dumps(secret, ensure_ascii=False)[1:-1],
        secret.encode("unicode_escape").decode(),
        *(line for line in secret.splitlines() if len(line) > 8),
    )


@dataclass
class Search:
    """Looks for the secrets in all that it is given, and counts what that was."""

    secrets: tuple[str, ...] = HIDDEN
    outputs: int = 0
    files: int = 0
    kinds: set[str] = field(default_factory=set)

    def in_text(self, text: str, where: str) -> None:
        for secret in self.secrets:
            for trace in traces(secret):
                assert trace not in text, f"{trace!r} in {where}: {text}"

    def in_output(self, ran: Ran) -> Ran:
        self.outputs += 1
        self.in_text(ran.stdout, "stdout")
        self.in_text(ran.stderr, "stderr")
        return ran

    def in_files(self, root: Path) -> None:
        """All files of a repository but the job files, where a value of ``sensitive`` stands."""
        for path in root.rglob("*"):
            if path.is_file() and path.parent.name != "jobs":
                self.files += 1
                self.kinds.add(path.name)
                self.in_text(path.read_bytes().decode("utf-8", "replace"), str(path))


@pytest.fixture
def secretive(on_rest: Repository, caplog: pytest.LogCaptureFixture) -> Iterator[Repository]:
    """A repository with secrets from the environment and from the file; all logs are kept."""
    on_rest.environment |= {"PASSWORD": FROM_ENVIRONMENT, "KEY": FROM_ENVIRONMENT}
    on_rest.write("jobs/one.toml", toml_of("one", TOML))
    on_rest.job("two")
    caplog.set_level(logging.DEBUG)
    yield on_rest
    Search().in_text(caplog.text, "the log")


def edit(repository: Repository, count: int) -> None:
    repository.write("jobs/one.toml", toml_of("one", {**TOML, "train_instance_count": count}))


def test_no_command_and_no_file_shows_a_secret(
    secretive: Repository, rest: FakeService, tally: Tally, caplog: pytest.LogCaptureFixture
) -> None:
    search = Search()

    def look_in_the_middle(name: str) -> Reply | None:
        search.in_files(secretive.root)
        return None

    rest.before_put = look_in_the_middle
    formats: tuple[tuple[str, ...], ...] = ((), ("--format", "json"))
    for number, format_ in enumerate(formats, 2):
        for command in ("validate", "plan"):
            shown = format_ if command == "plan" else ()
            assert search.in_output(secretive.run(command, *shown)).code == 0
        edit(secretive, number)
        ran = search.in_output(secretive.apply(*format_))
        assert ran.code == 0
        search.in_files(secretive.root)
        for arguments in (["show"], ["show", "one"], ["state", "list"]):
            assert search.in_output(secretive.run(*arguments, *format_)).code == 0
    assert search.in_output(secretive.run("state", "pull")).code == 0
    assert "(sensitive)" in secretive.run("show", "one").stdout
    sent = rest.configs["one"]
    assert sent["user_command"] == f"run --password {FROM_ENVIRONMENT}"
    assert {item["label"]: item["value"] for item in sent["parameter"]} == {
        "key": FROM_ENVIRONMENT,
        "lr": "0.1",
        "pem": SEVERAL_LINES,
        "token": IN_FILE,
    }
    assert sent["config_desc"] == IN_FILE

    edit(secretive, 3)
    search.in_output(secretive.done("plan", "--out", "saved.plan"))
    for format_ in formats:
        search.in_output(secretive.done("show", "saved.plan", *format_))
    search.in_files(secretive.root)
    assert (secretive.root / "saved.plan").stat().st_mode & 0o777 == 0o600
    assert search.in_output(secretive.run("apply", "saved.plan")).code == 0
    search.in_files(secretive.root)
    assert {"majobctl.state.json", "majobctl.state.json.backup", "majobctl.state.json.journal",
            "majobctl.state.json.lock.holder", "saved.plan"} <= search.kinds  # fmt: skip
    assert caplog.records  # the log is not silent: it has the requests
    tally(
        "secrets",
        f"{len(search.secrets)} secrets looked for in {search.outputs} outputs and"
        f" {search.files} files",
    )


def test_a_saved_plan_with_another_secret_is_stale_and_shows_neither(
    secretive: Repository, rest: FakeService
) -> None:
    secretive.done("plan", "--out", "saved.plan")
    other = "another-not-real-secret"
    secretive.environment["KEY"] = other
    ran = Search((*HIDDEN, other)).in_output(secretive.run("apply", "saved.plan"))
    assert ran.code == 5
    assert "hyperparameters.key" in ran.stderr
    assert rest.requests == []


@pytest.mark.parametrize(
    "echo",
    ["{}", "the value <{}> is not allowed", "{}{}", " " * 150 + "{}", "x" * 190 + "{}"],
    ids=["alone", "within", "twice", "after spaces", "cut off"],
)
@pytest.mark.parametrize("form", ["JSON", "escaped JSON", "page", "not JSON"])
@pytest.mark.parametrize("secret", [FROM_ENVIRONMENT, SEVERAL_LINES], ids=["one line", "lines"])
def test_a_refusal_that_echoes_a_secret_does_not_show_it(
    secretive: Repository, rest: FakeService, echo: str, form: str, secret: str
) -> None:
    text = echo.replace("{}", secret)
    document = refusal(400, "ModelArts.0101", text)
    replies: dict[str, Reply] = {
        "JSON": (400, json.dumps(document[1], ensure_ascii=False).encode(), {}),
        "escaped JSON": document,
        "page": (400, f"<p>{text}</p>".encode(), {}),
        "not JSON": (500, json.dumps({"x": text})[:-1].encode(), {}),
    }
    rest.before_put = lambda name: replies[form] if name == "one" else None
    secretive.settings(rest.settings("retries = 0"))
    search = Search()
    for format_ in ("text", "json"):
        ran = search.in_output(secretive.run("apply", "--auto-approve", "--format", format_))
        assert ran.code == 3
        for part in pieces(secret):
            assert part not in ran.stdout + ran.stderr, ran
    search.in_files(secretive.root)


def pieces(secret: str) -> list[str]:
    """Parts of a secret that are long enough to be worth something."""
    line = max(secret.splitlines(), key=len)
    return [line[:9], line[-9:]]


def test_names_and_broken_rules_do_not_show_the_secret_that_they_are_about(
    secretive: Repository, rest: FakeService
) -> None:
    search = Search((*HIDDEN, FLAVOR, "engine-secret"))
    secretive.environment |= {"FLAVOR": FLAVOR, "ENGINE": "engine-secret", "BAD": FROM_ENVIRONMENT}
    wrong: tuple[dict[str, object], ...] = (
        {"train_instance_type": "${env.FLAVOR}"},
        {"framework_version": "${env.ENGINE}"},
        {"framework_type": "${env.ENGINE}"},
    )
    for params in wrong:
        secretive.write("jobs/one.toml", toml_of("one", {**JOB, **params}))
        ran = search.in_output(secretive.run("apply", "--auto-approve"))
        assert (ran.code, rest.asked("PUT")) == (1, [])
        assert "sensitive" in ran.stderr
    broken: tuple[dict[str, object], ...] = (
        {"output_path": "${env.BAD}"},
        {"inputs": "/b/${env.BAD}//x"},
        {"boot_file": "/elsewhere/${env.BAD}"},
        {"code_dir": "/${env.BAD}/"},
        {"train_instance_count": "${env.BAD}"},
        {"config_desc": "${env.BAD}" * 20},
        {"output_path": IN_FILE, "sensitive": ["output_path"]},
        {"data_source": [{"type": "${env.BAD}"}]},
        {"data_source": [{"type": "obs", "data_url": "${env.BAD}"}]},
        {"hyperparameters": {"a": "${env.BAD}", "": "x"}},
        {"inputs": "${env.BAD}", "dataset_id": "${env.BAD}"},
    )
    for params in broken:
        secretive.write("jobs/one.toml", toml_of("one", {**JOB, **params}))
        for command in ("validate", "plan"):
            ran = search.in_output(secretive.run(command))
            assert (ran.code, "jobs/one.toml:" in ran.stderr) == (1, True), (params, ran)
    search.in_files(secretive.root)


@pytest.mark.parametrize("everywhere", [False, True], ids=["rescue file", "rescued to the output"])
def test_what_is_rescued_holds_no_secret(
    secretive: Repository, launcher: Launcher, everywhere: bool
) -> None:
    secretive.settings(
        (secretive.root / "majobctl.toml").read_text() + '[state]\npath = "state/s.json"\n'
    )
    search = Search()
    arguments = ("apply", "--auto-approve", "--parallelism", "1")
    watched = secretive.root if everywhere else secretive.root / "state"
    kinds = ("create", "write", "flush")
    rescued = 0
    for at in range(24, 40):
        edit(secretive, 1 + at % 4)
        fault = Fault(at, errno=errno.ENOSPC, lasting=True, kinds=kinds)
        ran = launcher.run(
            secretive.root,
            *arguments,
            environment=secretive.environment,
            fault=fault,
            watched=watched,
        )
        search.in_output(ran)
        search.in_files(secretive.root)
        rescued += "state push" in ran.stderr
    assert rescued
