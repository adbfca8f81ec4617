from __future__ import annotations

import os
import shutil
import subprocess

import pytest
import tomli

from tests.config_repository import Repository
from tests.live_cloud import Cloud

FILES = [
    *("majobctl.toml", "jobs/example.toml", "cloud.toml"),
    *(".gitignore", ".gitattributes"),
    *("schema/jobs.schema.json", "schema/settings.schema.json"),
]


def test_a_new_repository_works_at_once(repository: Repository) -> None:
    ran = repository.done("init")
    assert [line.split() for line in ran.stdout.splitlines()[: len(FILES)]] == [
        ["created", name] for name in FILES
    ]
    assert "Next: majobctl plan" in ran.last_line
    assert "1 to add" in repository.done("plan").stdout
    assert "Apply complete: 1 added" in repository.apply("--overwrite").last_line
    assert repository.done("plan").stdout == "No changes. 1 job config matches the state.\n"
    assert repository.done("validate").stdout == "1 job config is valid.\n"


def test_the_cloud_does_not_follow_what_is_written_before_the_first_apply(
    repository: Repository,
) -> None:
    repository.done("init")
    for name, old, new in (
        ("majobctl.toml", "# [defaults] ", "[defaults] "),
        ("majobctl.toml", "# log_url", "log_url"),
        ("jobs/example.toml", 'inputs = "/my-bucket/dataset/"\n', ""),
        ("jobs/example.toml", "lr = 0.001", 'lr = "${env.LR}"'),
    ):
        text = (repository.root / name).read_text()
        assert text.count(old) == 1
        repository.write(name, text.replace(old, new))
    repository.environment["LR"] = "0.5"
    assert "Apply complete: 1 added" in repository.apply("--overwrite").last_line


@pytest.mark.skipif(shutil.which("git") is None, reason="the state is in a git branch")
def test_two_lines_of_the_settings_share_the_state(repository: Repository) -> None:
    repository.done("init")
    text = (repository.root / "majobctl.toml").read_text()
    repository.settings(text.replace("# [state]", "[state]").replace("# backend", "backend"))
    for command in (["init", "-q"], ["remote", "add", "origin", "."]):
        subprocess.run(["git", *command], cwd=repository.root, check=True)
    repository.apply("--overwrite")
    assert "Place   origin/majobctl-state (backend git)" in repository.done("state", "check").stdout
    assert not repository.state_path.exists()


def test_a_folder_is_made_where_it_is_missing(repository: Repository) -> None:
    ran = repository.done("init", "deep/er")
    assert ran.last_line == "Next: cd deep/er, then majobctl plan and majobctl apply."
    assert all((repository.root / "deep" / "er" / name).is_file() for name in FILES)
    repository.done("-C", "deep/er", "plan")


def test_nothing_is_overwritten(repository: Repository) -> None:
    repository.done("init")
    contents = {name: (repository.root / name).read_bytes() for name in FILES}
    repository.settings("mine")
    (repository.root / ".gitignore").unlink()
    ran = repository.done("init")
    assert "kept majobctl.toml\n" in ran.stdout
    assert "created .gitignore\n" in ran.stdout
    contents["majobctl.toml"] = b"mine"
    assert contents == {name: (repository.root / name).read_bytes() for name in FILES}


def test_a_repository_that_is_there_gets_no_example(repository: Repository) -> None:
    repository.settings("mine")
    repository.job("one")
    ran = repository.done("init")
    assert "example" not in ran.stdout
    assert "Next:" not in ran.stdout
    assert not (repository.root / "jobs/example.toml").exists()
    assert not (repository.root / "cloud.toml").exists()


def test_working_files_are_left_out_of_git(repository: Repository) -> None:
    repository.done("init")
    ignored = (repository.root / ".gitignore").read_text().splitlines()
    assert {".majobctl/", "*.plan"} < set(ignored)
    assert "majobctl.state.json" not in ignored


FILES_BESIDE = (
    *(
        f"majobctl.state.json{suffix}"
        for suffix in (".journal", ".lock", ".lock.holder", ".backup")
    ),
    *(".majobctl.state.json.majobctl-a1b2c3d4.tmp", "majobctl.rescue-2-77.json"),
)


@pytest.mark.skipif(shutil.which("git") is None, reason="git cleans")
@pytest.mark.parametrize("options", [["-df"], ["-xdf", "-e", "*.state.json*", "-e", "*.rescue-*"]])
def test_git_clean_leaves_the_files_of_the_state(
    options: list[str], repository: Repository
) -> None:
    repository.done("init")
    for name in (*FILES_BESIDE, "other.txt"):
        repository.write(name, "mine")
    for command in (["init", "-q"], ["clean", "-q", *options]):
        subprocess.run(["git", *command], cwd=repository.root, check=True)
    assert not (repository.root / "other.txt").exists()
    assert [name for name in FILES_BESIDE if not (repository.root / name).exists()] == []


def test_git_attributes_that_are_there_are_kept_and_the_line_is_named(
    repository: Repository,
) -> None:
    repository.write(".gitattributes", "*.png binary\n")
    needed = "*.state.json -merge, *.history.jsonl merge=union"
    line = f"kept .gitattributes; it needs these lines: {needed}\n"
    assert line in repository.done("init").stdout
    assert (repository.root / ".gitattributes").read_text() == "*.png binary\n"


def test_a_place_that_cannot_be_used_is_reported(repository: Repository) -> None:
    repository.write("file", "")
    for directory in ("file", "file/below", "x" * 300, "a/" * 3000):
        ran = repository.run("init", directory, code=1)
        assert "cannot be created: " in ran.stderr
    repository.write("kept", "")
    assert repository.run("init", "a", "b").code == 1


@pytest.mark.parametrize("directory", ["with space", "é☃", "-x", "\x1b[31m"])
def test_any_name_will_do(repository: Repository, directory: str) -> None:
    ran = repository.done("init", "--", directory)
    assert ran.stdout.replace("\n", "").isprintable()
    assert (repository.root / directory / "majobctl.toml").is_file()
    assert sorted(os.listdir(repository.root / directory)) == [
        ".gitattributes",
        ".gitignore",
        "cloud.toml",
        "jobs",
        "majobctl.toml",
        "schema",
    ]


def test_a_broken_seed_is_named_as_the_settings_name_it(repository: Repository) -> None:
    repository.done("init")
    repository.write("cloud.toml", "[job_config.example]\nnothing = 1\n")
    ran = repository.run("apply", "--auto-approve", code=1)
    assert "cloud.toml" in ran.stderr
    assert str(repository.root) not in ran.stderr


SERVICE = ("--region", "eu-de", "--project-id", "emulator")


def test_the_advice_for_the_real_service_is_commands_that_work(
    repository: Repository, cloud: Cloud
) -> None:
    ran = repository.done("init", *SERVICE)
    files = sorted(it.removeprefix("created ") for it in ran.stdout.split("\nNext")[0].splitlines())
    assert "jobs/example.toml" not in files
    assert "cloud.toml" not in files
    text = (repository.root / "majobctl.toml").read_text()
    provider = {"kind": "modelarts", "region": "eu-de", "project_id": "emulator"}
    assert tomli.loads(text)["provider"] == provider
    assert "emulator:" not in text
    repository.settings(text.replace('region = "eu-de"', f'endpoint = "{cloud.url}"'))
    advice = ran.stdout.partition("\nNext")[2]
    assert max(map(len, advice.splitlines())) <= 80
    assert '"My Credentials"' in advice
    repository.environment.update(cloud.environment)
    steps = [line.split("#")[0].split()[1:] for line in advice.splitlines() if "majobctl " in line]
    assert steps == [["flavors"], ["import", "--all"], ["plan"]]
    said = [repository.done(*step).stdout for step in steps]
    assert "modelarts.vm.gpu.p100" in said[0]
    assert "Imported 3 job configs" in said[1]
    assert said[2] == "No changes. 3 job configs match the state.\n"
    assert cloud.writes() == []


def test_the_advice_begins_with_the_folder(repository: Repository) -> None:
    ran = repository.done("init", "a b", *SERVICE)
    assert "\n  cd 'a b'\n" in ran.stdout
    assert (repository.root / "a b" / "majobctl.toml").is_file()


def test_a_project_that_is_not_given_is_left_to_the_environment(repository: Repository) -> None:
    repository.done("init", "--region", "eu-de")
    text = (repository.root / "majobctl.toml").read_text()
    assert tomli.loads(text)["provider"] == {"kind": "modelarts", "region": "eu-de"}
    assert '# project_id = "' in text
    repository.environment["OS_PROJECT_ID"] = "of-the-environment"
    repository.job("alpha")
    assert "1 to add" in repository.done("plan").stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--region", "eu-dee"], 'no address that majobctl knows; did you mean "eu-de"?'),
        (["--region", "../x"], "no address that majobctl knows; run majobctl init without it"),
        (["--region", "eu-de", "--project-id", 'a"b'], "must be a project's id"),
        (["--region", "eu-de", "--project-id", ""], "--project-id is empty"),
        (["--project-id", "p"], "--project-id needs --region, such as --region eu-de"),
    ],
)
def test_settings_that_would_be_wrong_are_not_written(
    repository: Repository, options: list[str], message: str
) -> None:
    assert message in repository.run("init", *options, code=1).stderr
    assert list(repository.root.iterdir()) == []


def test_settings_that_are_there_do_not_take_a_region(repository: Repository) -> None:
    repository.settings("mine")
    ran = repository.run("init", *SERVICE, code=1)
    assert "majobctl.toml exists, and is not changed: set region and project_id there" in ran.stderr
    assert [path.name for path in repository.root.iterdir()] == ["majobctl.toml"]
