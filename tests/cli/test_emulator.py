from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from majobctl.emulator.store import Store
from tests.config_repository import BODY, Repository, finished

LINE = re.compile(r"majobctl emulator listening on (http://127\.0\.0\.1:\d+)\n")
DATA = ".majobctl/emulator.db"
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
        ran = on_emulator.run("apply", "--auto-approve", code=3)
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
        on_emulator.run("apply", "--auto-approve", code=1)
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
        ["--request-log", "pipe"],
        ["--data", "pipe"],
        ["--seed", "pipe"],
    ],
    ids=" ".join,
)
def test_files_that_cannot_be_used_are_told(repository: Repository, arguments: list[str]) -> None:
    repository.write("broken.toml", "broken = \n" * 500)
    os.mkfifo(repository.root / "pipe")
    ran = finished(repository.start("emulator", "serve", *arguments))
    assert (ran.code, ran.stdout) == (1, "")
    assert arguments[1] in ran.stderr


def fields(repository: Repository, name: str = "alpha", data: str = DATA) -> dict[str, Any]:
    with closing(Store(repository.root / data, "emulator")) as store:
        record = store.get(name)
    assert record is not None
    return record.fields


@pytest.mark.parametrize("data", ["inputs", "data_source"])
def test_documented_answers_make_no_difference(on_emulator: Repository, data: str) -> None:
    text = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(text.replace("seed", 'answers = "documented"\nseed'))
    entry = [{"type": "obs", "data_url": "/ml/data/"}]
    on_emulator.job("alpha", **{"inputs": None, data: "/ml/data/" if data == "inputs" else entry})
    on_emulator.apply("--verify", "--overwrite")
    for command in ("drift", "plan --refresh"):
        on_emulator.done(*command.split(), "--detailed-exitcode")
    on_emulator.done("emulator", "set", "alpha", "config_desc=theirs")
    assert "config_desc" in on_emulator.run("drift").stdout
    assert fields(on_emulator).keys() == {*BODY, "config_desc"}


class TestSet:
    """Plays somebody who changes a value in the console."""

    @pytest.mark.parametrize(
        ("values", "changed"),
        [
            (["train_instance_count=4"], {"worker_server_num": 4}),
            (["config_desc=a = b"], {"config_desc": "a = b"}),
            (["inputs=obs://ml/other/"], {"data_url": "/ml/other/"}),
            (["inputs="], {"data_url": None}),
            (["log_url="], {}),
            (["hyperparameters.a.b="], {"parameter": None}),
            (["hyperparameters.none="], {}),
            (["hyperparameters.a.b=0.1"], {"parameter": [{"label": "a.b", "value": "0.1"}]}),
            (
                ["hyperparameters.lr=0.1", "hyperparameters.a.b=", "hyperparameters.c=1"],
                {"parameter": [{"label": "c", "value": "1"}, {"label": "lr", "value": "0.1"}]},
            ),
            (["train_instance_type=modelarts.vm.gpu.v100"], {"spec_id": 4}),
            (["framework_version=PyTorch-1.3.0-python3.6"], {"engine_id": 904}),
            (
                [
                    *("framework_type=", "framework_version=", "code_dir=", "boot_file="),
                    "model_name=ResNet_v2_50",
                ],
                dict.fromkeys(("engine_id", "app_url", "boot_file_url")) | {"model_id": 4},
            ),
        ],
    )
    def test_changes_what_it_names_and_nothing_else(
        self, on_emulator: Repository, values: list[str], changed: dict[str, Any]
    ) -> None:
        on_emulator.done("emulator", "set", "alpha", "hyperparameters.a.b=2")
        before, other = fields(on_emulator), fields(on_emulator, "beta")
        ran = on_emulator.done("emulator", "set", "alpha", *values)
        after = {key: value for key, value in {**before, **changed}.items() if value is not None}
        assert fields(on_emulator) == after
        assert fields(on_emulator, "beta") == other
        assert len(ran.stdout.splitlines()) == len(values)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (
                ["alpa", "log_url="],
                'the emulator has no configuration "alpa"; did you mean "alpha"?',
            ),
            (["x/y", "log_url="], 'configuration "x/y"'),
            (["alpha", "config_dsc=x"], 'unknown key "config_dsc"; did you mean "config_desc"?'),
            (["alpha", "lr=1"], 'unknown key "lr"'),
            (["alpha", "hyperparameter.lr=1"], 'unknown key "hyperparameter.lr"; did you mean'),
            (["alpha", "=1"], 'unknown key ""'),
            (["alpha", "hyperparameters=1"], "hyperparameters must be a table"),
            (["alpha", "hyperparameters.=1"], 'unknown key "hyperparameters."'),
            (["alpha", "train_instance_count=two"], "must be an integer"),
            (["alpha", "train_instance_count=" + "9" * 5000], "must be an integer"),
            (["alpha", "train_instance_count=0"], "must be at least 1"),
            (["alpha", "train_instance_count="], "must not be empty"),
            (["alpha", "train_instance_type="], "must not be empty"),
            (["alpha", "train_instance_type=modelarts.vm.gpu.p1"], "modelarts.vm.gpu.p100"),
            (["alpha", "framework_version=2"], "does not exist"),
            (["alpha", "framework_type="], "framework_version needs framework_type"),
            (["alpha", "model_name=ResNet_v2_50"], "cannot be used together"),
            (["alpha", "output_path=ml"], "must be an OBS path"),
            (["alpha", "boot_file="], "code_dir needs boot_file"),
            (["alpha", "data_source=x"], "data_source must be an array"),
            (["alpha", "train_instance_count=9999"], "allows at most 4"),
            (["alpha", "config_desc=ok", "log_url=nowhere"], "log_url"),
        ],
    )
    def test_refuses_what_the_console_would(
        self, on_emulator: Repository, arguments: list[str], said: str
    ) -> None:
        on_emulator.done("emulator", "set", "alpha", "hyperparameters.lr=0.1")
        before = fields(on_emulator)
        ran = on_emulator.run("emulator", "set", *arguments)
        assert (ran.code, ran.stdout) == (1, "")
        assert said in ran.stderr
        assert fields(on_emulator) == before

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["alpha"], "Missing argument 'KEY=VALUE...'"),
            (["alpha", "log_url"], '"log_url" is not KEY=VALUE'),
            (["--data", "missing.db", "alpha", "log_url="], "'missing.db' does not exist"),
            (["--data", "cloud.toml", "alpha", "log_url="], "is not a database"),
            (["--project-id", "a/b", "alpha", "log_url="], "must be a project's id"),
            (["-e", "prod", "alpha", "log_url="], "prod"),
        ],
    )
    def test_says_what_is_wrong_with_its_own_use(
        self, on_emulator: Repository, arguments: list[str], said: str
    ) -> None:
        ran = on_emulator.run("emulator", "set", *arguments)
        assert (ran.code, ran.stdout) == (1, "")
        assert said in ran.stderr

    def test_is_for_an_emulator_only(self, repository: Repository) -> None:
        repository.settings('[provider]\nkind = "modelarts"\nregion = "eu-de"\nproject_id = "p"\n')
        ran = repository.run("emulator", "set", "alpha", "log_url=", code=1)
        assert 'the provider is "modelarts", not an emulator' in ran.stderr
        assert not (repository.root / ".majobctl").exists()

    def test_finds_the_project_of_the_environment(self, on_emulator: Repository) -> None:
        text = (on_emulator.root / "majobctl.toml").read_text()
        prod = '[environments.prod]\nprovider.project_id = "prod"\nstate.path = "prod.json"\n'
        on_emulator.settings(text + prod)
        on_emulator.done("emulator", "set", "-e", "prod", "alpha", "train_instance_count=4")
        on_emulator.done("emulator", "set", "alpha", "train_instance_count=3")
        shown = on_emulator.done("plan", "-e", "prod", "--refresh").stdout
        assert "4 -> 1" in shown

    def test_an_apply_holds_back_what_was_set(self, on_emulator: Repository) -> None:
        on_emulator.apply()
        on_emulator.done("emulator", "set", "alpha", "train_instance_count=4")
        assert "1 -> 4" in on_emulator.done("drift").stdout
        on_emulator.job("alpha", config_desc="mine")
        ran = on_emulator.run("apply", "--auto-approve", code=5)
        assert "train_instance_count: 1 in the state, 4 in the service, 1 wanted" in ran.stdout
        assert fields(on_emulator)["worker_server_num"] == 4

    def test_reaches_an_emulator_that_serves_the_same_data(self, on_emulator: Repository) -> None:
        arguments = ["--data", "data.db", "--seed", "cloud.toml", "--project-id", "mine"]
        with serving(on_emulator, *arguments) as (_, url):
            use(on_emulator, url)
            text = (on_emulator.root / "majobctl.toml").read_text()
            on_emulator.settings(text.replace('"emulator"', '"mine"'))
            on_emulator.apply()
            own = ["--data", "data.db", "--project-id", "mine"]
            on_emulator.done("emulator", "set", *own, "alpha", "train_instance_count=4")
            assert "1 -> 4" in on_emulator.done("drift").stdout
