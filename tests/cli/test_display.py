"""Hostile text in arguments, names, the environment, files and answers: nothing is printed that a
terminal acts on or that nobody sees, and in a CI job's log nothing that is read as a command."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from majobctl.text import is_unseen
from tests.config_repository import BODY, JOB, Ran, Repository, toml_of
from tests.conftest import BadInput
from tests.fake_service import FakeService

HOSTILE = "a\x1b[31mb\u3164\ufe0f\u2800\u202e\x9b\x7f\n::stop-commands::x\n##[add-mask]y\rz"
ONE_LINE = HOSTILE.replace("\n", "").replace("\r", "")
BYTES = "\udcff\udc80" + ONE_LINE
ANNOTATION = re.compile(r"::(error|warning) ")


def assert_harmless(ran: Ran) -> None:
    for text in (ran.stdout, ran.stderr):
        assert not any(map(is_unseen, text.replace("\n", ""))), ascii(text)
        for line in text.split("\n"):
            if not ANNOTATION.match(line):
                assert not line.lstrip().startswith("::"), ascii(text)
                assert "##[" not in line, ascii(text)


@pytest.fixture
def hostile(repository: Repository) -> Iterator[Repository]:
    """A config repository, applied, in a job of GitHub Actions."""
    repository.cloud("alpha")
    repository.job("alpha", config_desc="first")
    repository.apply("--overwrite")
    repository.environment["GITHUB_ACTIONS"] = "true"
    yield repository


COMMANDS = [
    *(
        ["plan"],
        ["plan", "--format", "markdown"],
        ["plan", "--format", "html"],
        ["plan", "--refresh"],
    ),
    *(["validate"], ["validate", "--verbose"], ["validate", "--format", "github"]),
    ["validate", "--format", "gitlab"],
    *(["apply", "--auto-approve"], ["drift"], ["drift", "--format", "markdown"]),
    *(["show"], ["show", "alpha"], ["state", "list"], ["state", "pull"], ["import", "--all"]),
    *(["history"], ["history", "alpha"], ["history", "alpha", "--format", "markdown"]),
    *(["history", "verify"], ["blame", "alpha"], ["blame", "alpha", "--format", "markdown"]),
    *(["show", "--as", "toml"], ["show", "--at", "1"], ["show", "--at", "1", "--as", "toml"]),
    *(["fmt", "--check"], ["fmt", "--diff"], ["flavors"], ["unlock", "x"], ["schema"]),
]
ARGUMENTS = [
    *(
        ["plan", option]
        for option in ("--target", "--exclude", "--var", "--var-file", "-e", "--out")
    ),
    *(["plan", option] for option in ("--refresh", "--format", "--also", "--parallelism")),
    *(["apply", "--auto-approve", option] for option in ("--target", "-e", "--lock-timeout")),
    *(["history"], ["history", "--since"], ["history", "--limit"], ["blame"], ["show", "--at"]),
    ["history", "prune", "--before"],
    *(["apply"], ["show"], ["fmt"], ["schema"], ["schema", "--out-dir"], ["import"], ["unlock"]),
    *(["import", "--all", "--out-dir"], ["state", "rm"], ["state", "push"], ["state"], ["version"]),
    *(["emulator", "serve", option] for option in ("--seed", "--port")),
    *(["-C"], [], ["init"], ["emulator"], ["flavors", "-e"]),
]
VALUES = [
    HOSTILE,
    ONE_LINE,
    BYTES,
    f"a={HOSTILE}",
    f"markdown=x/{ONE_LINE}",
    f"{ONE_LINE}/",
    "*" + HOSTILE,
]


@pytest.mark.parametrize("command", ARGUMENTS, ids=" ".join)
def test_of_arguments(hostile: Repository, command: list[str], bad_input: BadInput) -> None:
    for value in VALUES:
        bad_input("hostile characters", (command, value))
        assert_harmless(hostile.run(*command, value))
        assert_harmless(hostile.run(*command[:-1], f"{(command or ['-'])[-1]}={value}"))


_VARIABLES = [
    *("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_USERNAME", "OS_PASSWORD", "OS_TOKEN", "OS_PROJECT_ID"),
    *(
        "OS_REGION_NAME",
        "OS_AUTH_URL",
        "OS_CACERT",
        "OS_CLOUD",
        "MAJOBCTL_ENDPOINT",
        "HOME",
        "USER",
    ),
    *("MAJOBCTL_STATE_KEY", "MAJOBCTL_ENVIRONMENT", "MAJOBCTL_VAR_x", "GITHUB_WORKSPACE", "SECRET"),
]


@pytest.mark.parametrize("kind", ["emulator", "modelarts"])
@pytest.mark.parametrize("name", _VARIABLES)
def test_of_the_environment(hostile: Repository, name: str, kind: str, bad_input: BadInput) -> None:
    """Random bytes, too: none makes a traceback, and any of them may be a MAJOBCTL_STATE_KEY."""
    provider = 'kind = "emulator"' if kind == "emulator" else 'endpoint = "https://127.0.0.1:1"'
    hostile.settings(f'[provider]\n{provider}\nretries = 0\n[variables]\nx = "1"\n')
    hostile.job("alpha", config_desc="${env.SECRET} ${var.x}")
    hostile.environment["SECRET"] = "s"
    for value in (HOSTILE, ONE_LINE, BYTES, "\udcff\udcfe", f"https://{ONE_LINE}/"):
        hostile.environment[name] = value
        bad_input("hostile characters", (name, value))
        for command in (["plan"], ["validate", "--verbose"], ["flavors"], ["drift"], ["apply"]):
            assert_harmless(hostile.run(*command))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_of_names_of_folders_and_files(hostile: Repository, command: list[str]) -> None:
    name = HOSTILE.replace("/", "")
    root, hostile.root = hostile.root, hostile.root / name
    hostile.settings(
        '[provider]\nkind = "emulator"\nseed = "../cloud.toml"\n'
        '[jobs]\nfiles = ["jobs/**/*.toml", "*.job.toml"]\n'
    )
    for file in (f"jobs/{name}/::x.toml", f"::stop-commands::{ONE_LINE}.job.toml"):
        for text in (toml_of("alpha", JOB), toml_of("beta", {**JOB, "bad": 1}), "[job_config", "="):
            hostile.write(file, text)
            assert_harmless(hostile.run(*command))
            assert_harmless(hostile.run("-C", str(hostile.root), *command))
    hostile.root = root
    assert_harmless(hostile.run("-C", name + "nowhere", *command))


def _with_each_text_hostile(document: Any) -> Iterator[Any]:
    """Copies of a document, each with one text or key replaced."""
    if isinstance(document, str):
        yield HOSTILE
    elif isinstance(document, list):
        for index, item in enumerate(document):
            for changed in _with_each_text_hostile(item):
                yield [*document[:index], changed, *document[index + 1 :]]
    elif isinstance(document, dict):
        for key, item in document.items():
            yield {HOSTILE if it == key else it: value for it, value in document.items()}
            for changed in _with_each_text_hostile(item):
                yield {**document, key: changed}


def test_of_states(hostile: Repository, bad_input: BadInput) -> None:
    documents = list(_with_each_text_hostile(hostile.state))
    assert len(documents) > 20
    for document in documents:
        hostile.state_path.write_text(json.dumps(document))
        bad_input("hostile characters", ("state", document))
        for command in (
            ["show"],
            ["show", "alpha"],
            ["plan"],
            ["state", "list"],
            ["state", "pull"],
        ):
            ran = hostile.run(*command)
            assert_harmless(ran)
            if command == ["state", "pull"] and ran.code == 0:
                assert ran.document["job_configs"].keys() == document["job_configs"].keys()


def test_of_plans(hostile: Repository, bad_input: BadInput) -> None:
    from majobctl.plan.document import _checksum

    hostile.job("alpha", config_desc="second")
    hostile.done("plan", "--out", "p.plan")
    plan = json.loads((hostile.root / "p.plan").read_bytes())
    del plan["checksum"]
    for document in _with_each_text_hostile(plan):
        (hostile.root / "p.plan").write_text(
            json.dumps({**document, "checksum": _checksum(document)})
        )
        bad_input("hostile characters", ("plan", document))
        for command in (
            ["show", "p.plan"],
            ["show", "p.plan", "--format", "json"],
            ["apply", "p.plan"],
        ):
            assert_harmless(hostile.run(*command))


_ANSWERS: list[dict[str, Any]] = [
    {"config_desc": HOSTILE},
    {HOSTILE: HOSTILE},
    {"worker_server_num": HOSTILE, "data_url": [HOSTILE], "parameter": {HOSTILE: HOSTILE}},
    {"parameter": [{"label": HOSTILE, "value": HOSTILE}]},
    {"engine_id": HOSTILE, "spec_id": HOSTILE},
    {"config_name": HOSTILE},
]


@pytest.mark.parametrize("answer", _ANSWERS, ids=range(len(_ANSWERS)))
@pytest.mark.bad_inputs("hostile characters", "answer")
def test_of_what_the_service_has(hostile: Repository, service: FakeService, answer: Any) -> None:
    hostile.environment.update(service.environment)
    hostile.settings(service.settings("retries = 0") + '[state]\npath = "s.json"\n')
    service.configs = {"alpha": {**BODY, **answer}, HOSTILE: {**BODY}, "other": {**BODY, **answer}}
    for command in (
        *COMMANDS,
        ["-v", "drift"],
        ["apply", "--auto-approve", "--overwrite", "--verify"],
    ):
        assert_harmless(hostile.run(*command))


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 429, 500, 503])
@pytest.mark.bad_inputs("hostile characters", "status")
def test_of_refusals(hostile: Repository, service: FakeService, status: int) -> None:
    hostile.environment.update(service.environment)
    hostile.settings(service.settings("retries = 0") + '[state]\npath = "s.json"\n')
    in_header = ONE_LINE.encode().decode("latin-1")
    headers = {"Location": f"https://{in_header}/", "X-Request-Id": in_header}
    for document in (
        {"is_success": False, "error_code": HOSTILE, "error_msg": HOSTILE, "request_id": HOSTILE},
        {"error_code": "ModelArts.0101", "error_message": HOSTILE},
        {"error": {"code": HOSTILE, "message": HOSTILE}},
        HOSTILE.encode(),
    ):
        for command in (["flavors"], ["-v", "apply", "--auto-approve"], ["plan", "--refresh"]):
            service.script.clear()
            for _ in range(9):
                service.answer_next(status, document, headers)
            assert_harmless(hostile.run(*command))


def test_annotations_are_commands(hostile: Repository) -> None:
    hostile.write("::x.toml", "[job_config.a]\n")
    hostile.settings('[provider]\nkind = "emulator"\n[jobs]\nfiles = ["*.toml"]\n')
    ran = hostile.run("validate", "--format", "github")
    assert re.match(r"::error file=%3A%3Ax\.toml,line=1,", ran.stdout)


def test_only_a_job_changes_what_is_printed(hostile: Repository) -> None:
    hostile.write("##[x].toml", "bad")
    command = ["fmt", "--check", "##[x].toml"]
    assert "## [x].toml" in hostile.run(*command).stderr
    hostile.environment["GITHUB_ACTIONS"] = ""
    assert "##[x].toml" in hostile.run(*command).stderr


def test_the_log_of_verbose_is_ours_alone(hostile: Repository, service: FakeService) -> None:
    """urllib3 would log a header line that is not one, with its content."""
    hostile.environment.update(service.environment)
    hostile.settings(service.settings("retries = 0"))
    raw = b"HTTP/1.1 200 OK\r\nthis line is no header\r\nContent-Length: 2\r\n\r\n{}"
    service.script.append(lambda handler: handler.send_raw(raw))
    for _ in range(2):
        ran = hostile.run("-v", "flavors")
    lines = [line for line in ran.stderr.splitlines() if not line.startswith("Error: ")]
    assert lines
    assert all(re.match(r"[\d-]+ [\d:,]+ GET http://127\.0\.0\.1:", line) for line in lines)


MODULES = ("filelock", "click", "requests", "tomli", "json", "logging", "urllib3", "deepdiff")


def test_modules_of_a_clone_are_not_imported(repository: Repository) -> None:
    repository.cloud("alpha")
    repository.job("alpha", config_desc="first")
    for name in MODULES:
        repository.write(f"{name}.py", 'open("imported", "a").write(__name__)\n')
    for command in (["plan"], ["apply", "--auto-approve", "--overwrite"], ["drift"], ["--help"]):
        assert repository.process(*command).code == 0
    assert not (repository.root / "imported").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("path", ["/proc/x.json", "/proc/sys/x.json", "/proc/self/fd/x.json"])
def test_a_state_that_no_folder_can_take_is_refused(repository: Repository, path: str) -> None:
    repository.cloud("alpha")
    repository.job("alpha")
    settings = (repository.root / "majobctl.toml").read_text()
    repository.settings(f'{settings}[state]\npath = "{path}"\n')
    ran = repository.run("apply", "--auto-approve", "--lock-timeout", "1")
    assert (ran.code, ran.stderr) == (
        1,
        f"Error: {path} cannot be locked: {os.strerror(2)}\nnothing was done\n",
    )


@pytest.mark.parametrize("name", ["-rf", "--", "-x-", "-"])
def test_imported_files_are_not_options(repository: Repository, name: str) -> None:
    repository.cloud(name)
    repository.done("import", "--all")
    (file,) = Path(repository.root, "jobs").rglob("*.toml")
    assert file.name == f"_{name}.toml"
    assert not repository.done("plan", "--detailed-exitcode").stderr
