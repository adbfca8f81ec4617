"""Every config repository among the examples is validated, planned and applied."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import tomli

from majobctl import emulator
from majobctl.operations.seed import read_seed
from tests import git_servers
from tests.config_repository import Repository
from tests.postgres import INITDB, running_server

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
REPOSITORIES = sorted(path.parent.name for path in EXAMPLES.glob("*/majobctl.toml"))
REGION = 'region = "eu-de"\n'


@pytest.fixture
def example(repository: Repository, request: pytest.FixtureRequest) -> Repository:
    """A copy of the config repository that the test names."""
    shutil.copytree(EXAMPLES / request.param, repository.root, dirs_exist_ok=True)
    return repository


def provider_of(repository: Repository) -> dict[str, str]:
    settings = tomli.loads((repository.root / "majobctl.toml").read_text(encoding="utf-8"))
    provider: dict[str, str] = settings["provider"]
    return provider


def test_there_are_examples_on_the_emulator_and_one_on_the_service() -> None:
    assert REPOSITORIES == ["environments", "otc", "policy", "quickstart", "shared-state"]


@pytest.mark.parametrize("example", REPOSITORIES, indirect=True)
def test_an_example_is_formatted(example: Repository) -> None:
    assert example.run("fmt", "--check").code == 0


@pytest.mark.parametrize("options", [[], ["-e", "prod"]], ids=["dev", "prod"])
@pytest.mark.parametrize("example", ["environments"], indirect=True)
def test_each_environment_is_planned_applied_and_then_without_changes(
    options: list[str], example: Repository
) -> None:
    count = 5 if options else 4
    assert f"{count} created" in example.apply(*options, "--force").last_line
    assert example.run("plan", "--refresh", "--detailed-exitcode", *options).code == 0
    state = "prod.state.json" if options else "majobctl.state.json"
    assert [path.name for path in example.root.glob("*.state.json")] == [state]


@pytest.mark.parametrize("example", REPOSITORIES, indirect=True)
def test_an_example_is_valid_without_a_warning(example: Repository) -> None:
    assert example.done("validate").stderr == ""


@pytest.mark.parametrize("example", ["quickstart"], indirect=True)
def test_the_quickstart_is_planned_applied_and_then_without_changes(example: Repository) -> None:
    assert example.run("plan", "--detailed-exitcode").code == 2
    example.done("plan", "--refresh", "--out", "first.plan")
    applied = example.done("apply", "first.plan")
    assert "4 added" in applied.last_line
    assert example.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("example", ["quickstart"], indirect=True)
def test_a_plan_of_the_quickstart_made_offline_undoes_nothing_that_was_changed_meanwhile(
    example: Repository, tmp_path: Path
) -> None:
    log, data = tmp_path / "requests", tmp_path / "cloud.db"
    app = emulator.create_app(
        data, seed=partial(read_seed, example.root / "cloud.toml"), request_log=log
    )
    with app, emulator.start(app) as server:
        example.settings(
            (example.root / "majobctl.toml")
            .read_text(encoding="utf-8")
            .replace('kind = "emulator"', f'kind = "modelarts"\nendpoint = "{server.url}"')
            .replace('seed = "cloud.toml"', 'project_id = "emulator"')
        )
        example.environment.update(OS_ACCESS_KEY="emulator", OS_SECRET_KEY="emulator")
        example.apply("--overwrite")
        edit = {"sentiment": ("lr = 1e-3", "lr = 5e-4"), "vision": ("EPOCHS = 30", "EPOCHS = 60")}
        for name, (old, new) in edit.items():
            file = example.root / "jobs" / f"{name}.toml"
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        example.done("plan", "--out", "offline.plan")
        console = ("emulator", "set", "--data", str(data), "sentiment")
        example.done(*console, "train_instance_count=4")
        before = len(log.read_text(encoding="utf-8").splitlines())
        ran = example.run("apply", "offline.plan")
    assert ran.code == 5
    assert "train_instance_count: 1 in the state, 4 in the service, 1 wanted" in ran.stdout
    lines = log.read_text(encoding="utf-8").splitlines()[before:]
    sent = [request["path"] for line in lines if (request := json.loads(line))["method"] == "PUT"]
    assert [path.rpartition("/")[2] for path in sent] == ["detector"]
    assert "1 updated" in ran.last_line


@pytest.mark.parametrize("example", ["quickstart"], indirect=True)
def test_an_edit_of_the_quickstart_is_one_change_and_one_call(example: Repository) -> None:
    example.apply("--overwrite")
    file = example.root / "jobs" / "sentiment.toml"
    content = file.read_text(encoding="utf-8")
    assert content.count("lr = 1e-3") == 1
    file.write_text(content.replace("lr = 1e-3", "lr = 5e-4"), encoding="utf-8")

    plan = example.done("plan", "--format", "json").document

    assert plan["calls"]["update_job_configs"] == 1
    (change,) = plan["changes"]
    (field,) = change["fields"]
    assert (field["path"], field["before"], field["after"]) == (
        ["hyperparameters", "lr"],
        "1e-3",
        "5e-4",
    )
    assert "1 updated" in example.apply().last_line
    assert example.run("plan", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("example", ["otc"], indirect=True)
def test_the_example_for_the_service_is_applied_over_http(
    example: Repository, tmp_path: Path
) -> None:
    log = tmp_path / "requests"
    seed = tmp_path / "cloud.toml"
    job = (example.root / "jobs" / "my_job_config.toml").read_text(encoding="utf-8")
    seed.write_text(
        job + 'train_instance_type = "modelarts.vm.gpu.p4"\ntrain_instance_count = 1\n',
        encoding="utf-8",
    )
    project_id = provider_of(example)["project_id"]
    with (
        emulator.create_app(
            seed=partial(read_seed, seed), project_id=project_id, request_log=log
        ) as app,
        emulator.start(app) as server,
    ):
        settings = (example.root / "majobctl.toml").read_text(encoding="utf-8")
        assert REGION in settings
        example.settings(settings.replace(REGION, f'{REGION}endpoint = "{server.url}"\n'))
        example.environment |= {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}

        assert example.run("plan", "--detailed-exitcode").code == 2
        assert "1 added" in example.apply("--overwrite").last_line
        assert example.run("plan", "--detailed-exitcode").code == 0

    sent = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    puts = [request for request in sent if request["method"] == "PUT"]
    path = f"/v1/{project_id}/training-job-configs/my_job_config"
    assert [(put["path"], put["status"]) for put in puts] == [(path, 200)]


SHARED = EXAMPLES / "shared-state"
yaml: Any = import_module("yaml")  # it has no type stubs
COMPOSE = yaml.safe_load((SHARED / "compose.yaml").read_text(encoding="utf-8"))


def readme_blocks(example: Path = SHARED) -> list[str]:
    text = (example / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    return re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def run_blocks(blocks: list[str], folder: Path, **variables: str) -> str:
    """Runs blocks of the README one after the other, with ``folder`` in place of /tmp."""
    script = "\n".join(blocks).replace("/tmp/", f"{folder}/")
    who = {f"GIT_{it}_{key}": "x" for it in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    places = [Path(sys.executable).parent, Path(str(INITDB)).parent]
    path = os.pathsep.join([*map(str, places), os.environ["PATH"]])
    ended = subprocess.run(
        ["sh", "-euc", script],
        cwd=ROOT,
        env={**os.environ, **who, "PATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended
    return ended.stdout


def test_the_compose_file_has_a_server_for_this_machine_and_no_password() -> None:
    (service,) = COMPOSE["services"].values()
    variables = service["environment"]
    assert variables.pop("POSTGRES_DB") == "majobctl"
    assert all(re.fullmatch(rf"\$\{{{key}:\?.+\}}", text) for key, text in variables.items())
    blocks = "\n".join(readme_blocks())
    assert [key for key in variables if f" {key}=" not in blocks] == []
    assert service["ports"] == ["127.0.0.1:5432:5432"]
    assert service["healthcheck"]["test"][:2] == ["CMD", "pg_isready"]
    volume, script = (it.split(":") for it in service["volumes"])
    assert (volume[0] in COMPOSE["volumes"], (SHARED / script[0]).is_file()) == (True, True)


@pytest.mark.slow
@pytest.mark.skipif(bool(git_servers.NO_GIT), reason="needs git")
def test_two_clones_share_a_state_in_a_git_branch(tmp_path: Path) -> None:
    first, *_, last = readme_blocks()
    clone = "git clone --quiet /tmp/remote.git /tmp/theirs"
    said = run_blocks([first, clone, last], tmp_path)
    assert "1 created" in said
    assert "No changes. 1 job config matches the state.\n" in said
    assert said.endswith("refs/heads/majobctl-state-git\n")


@pytest.mark.slow
def test_two_clones_share_a_state_in_postgresql(tmp_path: Path) -> None:
    first, passwords, applied, planned, _ = readme_blocks()
    passwords = passwords.replace("docker compose up --wait\n", "psql --quiet -f roles.sql\n")
    with running_server() as server:
        server.execute("CREATE DATABASE majobctl")
        owner = {"PGHOST": str(server.folder), "PGUSER": "owner", "PGDATABASE": "majobctl"}
        owner["PGPORT"] = str(server.port)
        without_address = "sed -i '/^address/d' majobctl.toml\nmajobctl plan -e postgres\n"
        blocks = [first, passwords, applied, planned, without_address]
        said = run_blocks(blocks, tmp_path, **owner)
    assert "1 created" in said
    assert said.count("No changes. 1 job config matches the state.\n") == 2


@pytest.mark.slow
def test_the_policies_refuse_what_their_readme_says(tmp_path: Path) -> None:
    copied, broken, refused, agreed, untested = readme_blocks(EXAMPLES / "policy")
    said = run_blocks(["exec 2>&1", copied, "echo -----", broken], tmp_path)
    valid, problems = said.split("-----\n")
    assert valid.startswith("3 job configs are valid.\n")
    assert "Apply complete: 3 created." in valid
    names = re.findall(r"^jobs/nlp.toml:\d+: .*; policy ([\w-]+) ", problems, re.MULTILINE)
    assert names == ["v100-nodes", "learning-rate"]
    assert problems.endswith("2 problems. Nothing was done.\nexit code 1\n")
    here = "exec 2>&1\ncd /tmp/mine"
    said = run_blocks([here, refused], tmp_path)
    assert "Error: 2 policy violations; nothing was sent\n" in said
    assert said.endswith("exit code 1\n")
    assert "Apply complete: 1 updated." in run_blocks([here, agreed], tmp_path)
    said = run_blocks([here, untested], tmp_path)
    assert "policy.toml:8: policy.v100-nodes: this example does not break the rule" in said
    assert said.endswith("exit code 1\n")


@pytest.mark.parametrize("example", ["policy"], indirect=True)
def test_an_editor_marks_what_breaks_a_policy(example: Repository) -> None:
    """By another validator, which takes no pattern that JSON Schema's dialect does not have."""
    example.done("schema", "--out-dir", "schema")
    file = example.root / "jobs" / "nlp.toml"
    for name in ("jobs", "policy"):
        path = example.root / "schema" / f"{name}.schema.json"
        checked = file if name == "jobs" else example.root / "policy.toml"
        command = [sys.executable, "-m", "check_jsonschema", "--schemafile", str(path)]
        run = partial(subprocess.run, [*command, str(checked)], capture_output=True, text=True)
        ended = run(timeout=60)
        assert ended.returncode == 0, ended
        if name == "jobs":
            text = file.read_text(encoding="utf-8")
            file.write_text(text.replace("count = 2", "count = 3"), encoding="utf-8")
            assert "sentiment.train_instance_count: 3 is greater than the maximum of 2" in (
                run(timeout=60).stdout
            )


def set_up(code: str) -> subprocess.CompletedProcess[str]:
    """Runs ``code`` with what the two set-up commands share."""
    return subprocess.run(
        [sys.executable, "-c", f"import sys\nfrom tools import environment\n{code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_set_up_without_the_means_for_a_virtual_environment_says_what_to_install() -> None:
    ended = set_up("sys.modules['ensurepip'] = None\nenvironment.ready_environment('no-such', 'x')")
    assert ended.returncode == 1
    assert "has no module ensurepip" in ended.stderr
    assert "apt install python3-venv" in ended.stderr
    assert not (ROOT / "no-such").exists()


def test_a_set_up_ends_with_the_first_command_that_fails() -> None:
    ended = set_up(
        "environment.run([sys.executable, '-c', 'raise SystemExit(7)'])\nprint('went on')"
    )
    assert ended.returncode == 1
    assert "exit code 7; nothing after it was run" in ended.stderr
    assert "went on" not in ended.stdout
