"""The files for CI are what their schemas say, and ask for no more than they need."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from majobctl.cli import cli
from tests.ci import github, gitlab
from tests.ci.machine import EXAMPLES, yaml
from tests.config_repository import PATIENCE, Repository

WORKFLOWS = sorted(github.WORKFLOWS.glob("*.yml"))
PIPELINES = [gitlab.FILE, *sorted(gitlab.FILE.parent.glob(".gitlab/*.yml"))]
HOOKS = yaml.safe_load((EXAMPLES.parents[1] / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
WRITES = {"actions": "read", "contents": "write"}
PERMISSIONS = {
    "apply": {"dev": WRITES, "prod": WRITES},
    "drift": {"drift": {"contents": "read", "issues": "write"}},
    "environment": {"plan": {"contents": "read"}, "apply": WRITES},
    "plan": {"plan": {"contents": "read", "pull-requests": "write"}},
}
"""What each job of each workflow may do."""
PINS = {
    "actions/checkout": "d23441a48e516b6c34aea4fa41551a30e30af803 # v6.1.0",
    "actions/setup-python": "ece7cb06caefa5fff74198d8649806c4678c61a1 # v6.3.0",
    "actions/upload-artifact": "b7c566a772e6b6bfb58ed0dc250532a479d7789f # v6.0.0",
    "actions/download-artifact": "37930b1c2abaa49bbe596cd826c3c89aef350131 # v7.0.0",
}
"""The commits that these tags of the actions' repositories name."""


def check(schema: str, *files: Path) -> subprocess.CompletedProcess[str]:
    """Checks files by a schema that comes with check-jsonschema."""
    options = ["--builtin-schema", f"vendor.{schema}"]
    if schema == "gitlab-ci":
        options += ["--data-transform", "gitlab-ci"]
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *options, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_workflows_are_valid_by_the_published_schema() -> None:
    for schema, files in (("github-workflows", WORKFLOWS), ("github-actions", [github.ACTION])):
        ended = check(schema, *files)
        assert ended.returncode == 0, ended


def test_the_pipeline_is_valid_by_the_published_schema() -> None:
    ended = check("gitlab-ci", *PIPELINES)
    assert ended.returncode == 0, ended


@pytest.mark.parametrize(
    ("file", "schema", "old", "new"),
    [
        (WORKFLOWS[1], "github-workflows", "runs-on:", "runs:"),
        (gitlab.FILE, "gitlab-ci", "when: always", "when: whenever"),
    ],
    ids=["github", "gitlab"],
)
def test_a_wrong_key_is_not_valid(
    tmp_path: Path, file: Path, schema: str, old: str, new: str
) -> None:
    text = file.read_text(encoding="utf-8")
    wrong = tmp_path / file.name
    wrong.write_text(text.replace(old, new), encoding="utf-8")
    assert old in text
    assert check(schema, wrong).returncode == 1


@pytest.mark.parametrize("name", PERMISSIONS)
def test_a_workflow_has_the_least_permissions(name: str) -> None:
    document = github.load(name)
    assert document.get("permissions") == ({} if name != "environment" else None)
    jobs = document["jobs"].items()
    assert {job: told["permissions"] for job, told in jobs} == PERMISSIONS[name]


def test_a_file_is_short_enough_to_read() -> None:
    for file in (*WORKFLOWS, github.ACTION, *PIPELINES):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 30, file
        assert max(map(len, lines)) <= 115, file


def test_an_action_is_the_commit_of_a_version() -> None:
    seen = set()
    for file in (*WORKFLOWS, github.ACTION):
        used = re.findall(r"uses: (actions/\S+)@(.*)", file.read_text(encoding="utf-8"))
        assert used == [(action, PINS[action]) for action, _ in used]
        seen |= {action for action, _ in used}
    assert seen == {*PINS}


def test_no_workflow_is_left_out() -> None:
    assert [file.stem for file in WORKFLOWS] == [f"majobctl-{name}" for name in sorted(PERMISSIONS)]


def test_both_install_majobctl_in_the_same_way() -> None:
    steps = github.action()["runs"]["steps"]
    (command,) = [step["run"] for step in steps if "pip install" in step.get("run", "")]
    assert gitlab.load()["default"]["before_script"] == [command]


def test_a_script_has_no_expression_that_an_author_could_fill() -> None:
    for name in PERMISSIONS:
        for job in github.load(name)["jobs"].values():
            assert not any("run" in step for step in job.get("steps", ()))
    assert not any("${{" in step.get("run", "") for step in github.action()["runs"]["steps"])


def test_the_plan_is_read_only_and_the_apply_waits_for_the_protected_environment() -> None:
    jobs = github.load("environment")["jobs"]
    assert (jobs["plan"]["environment"], jobs["apply"]["environment"]) == (
        "${{ inputs.environment }}-read",
        "${{ inputs.environment }}",
    )
    assert jobs["apply"]["needs"] == "plan"
    assert github.load("apply")["jobs"]["prod"]["needs"] == "dev"


def test_a_pull_request_sees_no_secret() -> None:
    text = (github.WORKFLOWS / "majobctl-plan.yml").read_text(encoding="utf-8")
    assert "secrets." not in text
    assert list(github.load("plan")[True]) == ["pull_request"]  # YAML 1.1 reads "on" so


def test_applies_wait_for_one_another() -> None:
    started = [name for name in PERMISSIONS if name != "environment"]
    assert len({github.load(name)["concurrency"]["group"] for name in started}) == 3
    assert "cancel-in-progress" not in github.load("apply")["concurrency"]
    assert gitlab.load()[".apply"]["resource_group"] == "majobctl-$MAJOBCTL_ENVIRONMENT"


def test_an_apply_waits_for_somebody_who_starts_it() -> None:
    document = gitlab.load()
    assert [rule["when"] for rule in document[".apply"]["rules"]] == ["manual"]
    assert document["apply-prod"]["needs"] == ["review", "apply-dev"]


def requirements() -> dict[str, list[str]]:
    """What the jobs install: the hashes of each requirement."""
    lines = (EXAMPLES / "requirements-ci.txt").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#"))
    parts = [logical.split() for logical in text.replace("\\\n", "").splitlines()]
    return {
        " ".join(part for part in words if not part.startswith("--hash=")): [
            part for part in words if part.startswith("--hash=")
        ]
        for words in parts
    }


def test_each_requirement_is_one_version_with_hashes() -> None:
    found = requirements()
    pattern = re.compile(r"[a-z0-9-]+==[\w.]+|majobctl @ https://git\.example\.com/\S+\.whl")
    assert [name for name in found if not pattern.fullmatch(name)] == []
    hashes = [item for items in found.values() for item in items]
    assert all(found.values())
    assert [item for item in hashes if not re.fullmatch("--hash=sha256:[0-9a-f]{64}", item)] == []
    assert len(set(hashes)) == len(hashes)


def test_all_that_majobctl_needs_is_required() -> None:
    """Each requirement of its package, and theirs, as they are installed here."""
    names = {re.split("==| @ ", requirement)[0] for requirement in requirements()}
    missing, seen = {"majobctl"}, set[str]()
    while missing:
        name = missing.pop()
        seen.add(name)
        texts = [text for text in requires(name) or () if "extra ==" not in text]
        missing |= {re.split(r"[^\w-]", text)[0].lower() for text in texts} - seen
    assert names >= {*(name.replace("_", "-") for name in seen), "jsonschema-rs"}
    wanted = (EXAMPLES / "requirements-ci.in").read_text(encoding="utf-8").splitlines()[-1]
    assert wanted.replace("[policy]", "", 1) in requirements()
    assert "[policy]" in wanted


@pytest.mark.parametrize(
    ("requirement", "message"),
    [
        ("majobctl @ {url}", "Hashes are required in --require-hashes mode"),
        ("majobctl @ {url} --hash=sha256:" + "0" * 64, "DO NOT MATCH THE HASHES"),
    ],
    ids=["no hash", "another hash"],
)
def test_what_has_not_its_hash_is_not_installed(
    tmp_path: Path, requirement: str, message: str
) -> None:
    wheel = tmp_path / "majobctl-0.2.0-py3-none-any.whl"
    wheel.write_bytes(b"not the wheel that was meant")
    text = requirement.format(url=wheel.as_uri())
    (tmp_path / "requirements-ci.txt").write_text(f"{text}\n", encoding="utf-8")
    (command,) = gitlab.load()["default"]["before_script"]
    ended = subprocess.run(
        [sys.executable, *command.split()[1:], "--no-index", "--ignore-installed", "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ended.returncode == 1
    assert message in ended.stderr, ended


def test_only_an_apply_sees_credentials_that_may_write() -> None:
    document = gitlab.load()
    names = {
        name: gitlab.environment_of(job)
        for name, job in document.items()
        if isinstance(job, dict) and "environment" in job
    }
    read_only = dict.fromkeys(("review", "drift"), "$MAJOBCTL_ENVIRONMENT-read")
    assert names == {"apply-dev": "dev", "apply-prod": "prod", **read_only}


def test_each_hook_is_a_command_that_is_there() -> None:
    assert [hook["id"] for hook in HOOKS] == ["majobctl-fmt", "majobctl-validate"]
    for hook in HOOKS:
        program, command = hook["entry"].split()
        assert (program, command in cli.commands) == ("majobctl", True)
        assert (hook["language"], hook["pass_filenames"]) == ("python", False)


def git(repository: Repository, *arguments: str) -> subprocess.CompletedProcess[str]:
    """git with the commands of this environment, and with pre-commit's own files inside .git."""
    author = ("-c", "user.name=Author", "-c", "user.email=author@example.com")
    return subprocess.run(
        ["git", *author, *arguments],
        cwd=repository.root,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PRE_COMMIT_HOME": str(repository.root / ".git" / "pre-commit"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


TEMPLATE = '[templates.t]\noutput_path = "/ml/output/"\n'


def test_both_hooks_run_when_a_file_is_only_removed(on_emulator: Repository) -> None:
    on_emulator.write("jobs/templates.toml", TEMPLATE)
    on_emulator.job("alpha", use="t", output_path=None)
    on_emulator.done("fmt")
    # The environments that pre-commit makes for Python need an index of packages.
    hooks = [{**hook, "language": "system", "additional_dependencies": []} for hook in HOOKS]
    config = yaml.safe_dump({"repos": [{"repo": "local", "hooks": hooks}]})
    on_emulator.write(".pre-commit-config.yaml", config)
    for command in ("init --quiet", "add --all", "commit --quiet --message First"):
        assert git(on_emulator, *command.split()).returncode == 0
    install = [sys.executable, "-m", "pre_commit", "install"]
    subprocess.run(install, cwd=on_emulator.root, timeout=PATIENCE, check=True)
    git(on_emulator, "rm", "--quiet", "jobs/templates.toml")
    ended = git(on_emulator, "commit", "--message", "Removed")
    assert ended.returncode == 1
    assert "majobctl fmt" in ended.stderr
    assert "Skipped" not in ended.stderr
    assert 'job_config.alpha: use: no template "t"' in ended.stderr


def hook_of(id_: str) -> Any:
    (hook,) = (hook for hook in HOOKS if hook["id"] == id_)
    return hook


def run_hook(repository: Repository, id_: str) -> int:
    return repository.run(*hook_of(id_)["entry"].split()[1:]).code


def test_the_hook_validate_fails_where_a_file_is_wrong(on_emulator: Repository) -> None:
    assert run_hook(on_emulator, "majobctl-validate") == 0
    on_emulator.job("alpha", train_instance_count=0)
    assert run_hook(on_emulator, "majobctl-validate") == 1


def test_the_hook_fmt_changes_job_files_and_no_other_file(on_emulator: Repository) -> None:
    other = on_emulator.write("pyproject.toml", "[tool]\nb=1\na=2\n")
    job = on_emulator.root / "jobs" / "alpha.toml"
    before = job.read_text(encoding="utf-8")
    assert run_hook(on_emulator, "majobctl-fmt") == 0
    after = job.read_text(encoding="utf-8")
    assert after != before
    assert other.read_text(encoding="utf-8") == "[tool]\nb=1\na=2\n"
    assert run_hook(on_emulator, "majobctl-fmt") == 0
    assert job.read_text(encoding="utf-8") == after
