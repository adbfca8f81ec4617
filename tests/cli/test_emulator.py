from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.config_repository import Repository, finished

LINE = re.compile(r"majobctl emulator listening on (http://127\.0\.0\.1:\d+)\n")
EMULATOR_KEYS = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}


@contextmanager
def serving(
    repository: Repository, *arguments: str
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    process = repository.start("emulator", "serve", *arguments)
    try:
        assert process.stdout is not None
        match = LINE.fullmatch(process.stdout.readline().decode())
        assert match, process.communicate()
        yield process, match[1]
    finally:
        process.kill()
        process.communicate()


def use(repository: Repository, url: str, extra: str = "") -> None:
    repository.environment.update(EMULATOR_KEYS)
    repository.settings(
        f'[provider]\nkind = "modelarts"\nendpoint = "{url}"\nproject_id = "emulator"\n{extra}'
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_asked_to_end(repository: Repository, number: signal.Signals) -> None:
    with serving(repository) as (process, url):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/v1/emulator/training-job-configs", timeout=10)
        refused.value.close()
        assert refused.value.code == 401
        process.send_signal(number)
        ran = finished(process)
    assert ran.code in (0, 130, -number)
    assert ran.stderr in ("", "Interrupted.\n")


def test_a_repository_is_applied_to_it(on_emulator: Repository) -> None:
    log = on_emulator.root / "log"
    with serving(on_emulator, "--seed", "cloud.toml", "--request-log", str(log)) as (_, url):
        use(on_emulator, url)
        on_emulator.job("alpha", config_desc="mine")
        on_emulator.apply()
        assert on_emulator.done("plan").stdout.startswith("No changes.")
        on_emulator.job("missing")
        ran = on_emulator.run("apply", "--auto-approve")
        assert ran.code == 3
        assert "ModelArts.0102" in ran.stdout
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["method"] for entry in entries].count("PUT") == 1
    assert "Signature" not in log.read_text()


def test_its_data_outlive_it(on_emulator: Repository) -> None:
    for arguments in (["--seed", "cloud.toml"], []):
        with serving(on_emulator, "--data", "deep/data.db", *arguments) as (process, url):
            use(on_emulator, url)
            on_emulator.state_path.unlink(missing_ok=True)
            on_emulator.apply()
            process.send_signal(signal.SIGINT)
            finished(process)
    assert (on_emulator.root / "deep" / "data.db").is_file()


def test_its_faults_reach_an_apply(on_emulator: Repository) -> None:
    with serving(on_emulator, "--seed", "cloud.toml", "--error-rate", "1") as (_, url):
        use(on_emulator, url, "retries = 0\n")
        ran = on_emulator.run("apply", "--auto-approve")
        assert ran.code == 1
        assert not on_emulator.state_path.exists()


def test_a_project_of_any_name(on_emulator: Repository) -> None:
    arguments = ["--seed", "cloud.toml", "--project-id", "mine", "--put", "merge"]
    with serving(on_emulator, *arguments) as (_, url):
        use(on_emulator, url)
        text = (on_emulator.root / "majobctl.toml").read_text()
        on_emulator.settings(text.replace('"emulator"', '"mine"'))
        on_emulator.apply()


@pytest.mark.parametrize("project", ["a/b", "..", "x y"])
def test_a_project_that_cannot_be_one_is_refused(repository: Repository, project: str) -> None:
    ran = repository.run("emulator", "serve", "--project-id", project)
    assert (ran.code, ran.stdout) == (1, "")
    assert "'--project-id': must be a project's id" in ran.stderr


def test_a_port_that_is_taken_is_reported(repository: Repository) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = repository.run("emulator", "serve", "--port", str(port))
    assert (ran.code, ran.stdout) == (1, "")
    assert str(port) in ran.stderr
    assert "Address already in use" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--seed", "missing.toml"],
        ["--seed", "broken.toml"],
        ["--seed", "."],
        ["--data", "."],
        ["--data", "broken.toml"],
        ["--data", "broken.toml/x"],
        ["--request-log", "."],
    ],
    ids=" ".join,
)
def test_files_that_cannot_be_used_are_told(repository: Repository, arguments: list[str]) -> None:
    repository.write("broken.toml", "broken = \n" * 500)
    ran = repository.run("emulator", "serve", *arguments)
    assert (ran.code, ran.stdout) == (1, "")
    assert arguments[1] in ran.stderr
