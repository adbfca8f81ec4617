"""``-e NAME`` with every command: the right target, the right state, and never another's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from majobctl.cli import cli
from tests.config_repository import JOB, Repository, toml_of

SETTINGS = """\
[provider]
kind = "emulator"

[state]
path = "dev.json"

[variables]
bucket = "ml-dev"

[defaults]
log_url = "/${var.bucket}/log/"

[environments.prod]
provider = { project_id = "prod-project", seed = "prod.toml" }
variables.bucket = "ml-prod"

[environments.test]
provider.project_id = "test-project"
"""


@pytest.fixture
def repo(repository: Repository) -> Repository:
    """A job config that the base (which creates) and prod's cloud have."""
    create = "\n[apply]\ncreate_missing = true\n"
    repository.settings(SETTINGS + create)
    repository.write("prod.toml", toml_of("alpha", JOB) + toml_of("beta", JOB))
    repository.job("alpha")
    return repository


def state_of(repository: Repository, name: str) -> Any:
    return json.loads((repository.root / name).read_bytes())


def states(repository: Repository) -> list[str]:
    return sorted(path.name for path in repository.root.glob("*.json"))


@pytest.mark.parametrize("option", ["--out=prod.state.json", "--also=json=prod.state.json"])
def test_a_plan_is_not_written_over_another_environments_state(
    option: str, repository: Repository
) -> None:
    repository.settings(
        '[provider]\nkind = "emulator"\n[apply]\ncreate_missing = true\n'
        '[environments.prod]\nprovider.project_id = "prod"\n'
    )
    repository.job("one")
    repository.apply("-e", "prod")
    before = (repository.root / "prod.state.json").read_bytes()
    ran = repository.run("plan", option, code=1)
    assert '"prod.state.json" is not a place for a' in ran.stderr
    assert (repository.root / "prod.state.json").read_bytes() == before


def test_each_environment_applies_to_its_target_and_keeps_its_state(repo: Repository) -> None:
    repo.apply("--refresh")
    assert states(repo) == ["dev.json"]
    repo.apply("-e", "prod")
    assert states(repo) == ["dev.json", "prod.state.json"]
    dev, prod = state_of(repo, "dev.json"), state_of(repo, "prod.state.json")
    assert dev["target"] == {"endpoint": "emulator", "project_id": "emulator"}
    assert prod["target"] == {"endpoint": "emulator", "project_id": "prod-project"}
    assert dev["job_configs"]["alpha"]["params"]["log_url"] == "/ml-dev/log/"
    assert prod["job_configs"]["alpha"]["params"]["log_url"] == "/ml-prod/log/"
    assert dev["lineage"] != prod["lineage"]
    for options in ((), ("-e", "prod"), ("--environment", "prod")):
        assert repo.done("plan", *options).last_line.startswith("No changes.")
    assert "1 to add" in repo.done("plan", "-e", "test").stdout


def test_the_process_may_name_the_environment_and_the_option_wins(repo: Repository) -> None:
    repo.environment["MAJOBCTL_ENVIRONMENT"] = "prod"
    repo.apply()
    assert states(repo) == ["prod.state.json"]
    assert repo.done("state", "list").stdout == "alpha\n"
    assert repo.done("state", "list", "-e", "test").stdout == ""
    repo.environment["MAJOBCTL_ENVIRONMENT"] = "prd"
    for command in (("plan",), ("show",), ("state", "pull"), ("flavors",), ("drift",)):
        ran = repo.run(*command, code=1)
        assert 'no environment "prd"; did you mean "prod"?' in ran.stderr


@pytest.mark.parametrize("other", ["HW_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID"])
def test_an_empty_project_is_not_replaced_by_that_of_another_source(
    other: str, repository: Repository
) -> None:
    repository.settings('[provider]\nregion = "eu-de"\n')
    repository.job("alpha")
    repository.environment[other] = "another"
    assert repository.done("plan", "--format", "json").document["target"]["project_id"] == "another"
    repository.environment["OS_PROJECT_ID"] = ""
    for command in (["plan"], ["apply", "--auto-approve"], ["drift"]):
        ran = repository.run(*command)
        assert (ran.code, ran.stdout) == (1, "")
        assert "OS_PROJECT_ID is empty: set a project's id, or unset it" in ran.stderr


@pytest.mark.parametrize("command", [["plan"], ["apply", "--auto-approve"], ["state", "list"]])
def test_an_empty_environment_is_an_error_and_not_none(
    command: list[str], repo: Repository
) -> None:
    for option in (["-e", ""], ["--environment="]):
        ran = repo.run(*command, *option)
        assert (ran.code, ran.stdout) == (1, "")
        assert f"{option[0].rstrip('=')} is empty; is a variable of the shell" in ran.stderr
    repo.environment["MAJOBCTL_ENVIRONMENT"] = ""
    ran = repo.run(*command)
    assert (ran.code, ran.stdout) == (1, "")
    assert "MAJOBCTL_ENVIRONMENT is empty: name an environment, or unset it" in ran.stderr
    assert states(repo) == []
    assert repo.done(*command, "-e", "prod").code == 0


def test_drift_show_and_the_state_commands_look_at_the_chosen_one(repo: Repository) -> None:
    repo.apply("--refresh")
    repo.apply("-e", "prod")
    assert "beta" in repo.done("drift", "-e", "prod").stdout
    assert "beta" not in repo.done("drift").stdout
    assert "/ml-prod/log/" in repo.done("show", "-e", "prod", "alpha").stdout
    assert "/ml-dev/log/" in repo.done("show", "alpha").stdout
    assert json.loads(repo.done("state", "pull", "-e", "prod").stdout)["target"]["project_id"] == (
        "prod-project"
    )
    repo.done("state", "rm", "-e", "prod", "alpha")
    assert repo.done("state", "list", "-e", "prod").stdout == ""
    assert repo.done("state", "list").stdout == "alpha\n"
    ran = repo.run("unlock", "-e", "prod", "abc")
    assert (ran.code, "prod.state.json" in ran.stderr) == (1, True)


def test_import_reads_the_chosen_target(repo: Repository) -> None:
    ran = repo.done("import", "--all", "-e", "prod")
    assert "2 job configs" in ran.stdout
    assert list(state_of(repo, "prod.state.json")["job_configs"]) == ["alpha", "beta"]
    written = (repo.root / "jobs/imported/beta.toml").read_text()
    assert "project prod-project" in written
    # prod's [defaults] give a log_url that the service does not have.
    assert 'log_url = ""' in written
    assert states(repo) == ["prod.state.json"]


def test_the_catalogue_is_asked_of_the_chosen_target(repo: Repository) -> None:
    document = repo.done("flavors", "-e", "prod", "--format", "json").document
    assert document["target"]["project_id"] == "prod-project"
    assert repo.done("flavors", "--format", "json").document["target"]["project_id"] == "emulator"


def test_a_state_never_serves_two_targets(repo: Repository) -> None:
    repo.apply("-e", "prod")
    (repo.root / "prod.state.json").rename(repo.root / "test.state.json")
    before = (repo.root / "test.state.json").read_bytes()
    for command in (("plan",), ("apply", "--auto-approve"), ("drift",), ("import", "--all")):
        ran = repo.run(*command, "-e", "test", code=1)
        assert "prod-project" in ran.stderr
        assert "test.state.json" in ran.stderr
    repo.write("pushed.json", before.decode())
    assert "prod-project" in repo.run("state", "push", "-e", "test", "pushed.json").stderr
    assert (repo.root / "test.state.json").read_bytes() == before


def test_a_saved_plan_is_applied_with_its_environment_only(repo: Repository) -> None:
    repo.done("plan", "-e", "prod", "--out", "prod.plan")
    repo.done("plan", "--out", "dev.plan")
    refused = repo.run("apply", "prod.plan", code=5)
    assert "made for another target: emulator, project prod-project (with -e prod)" in (
        refused.stderr
    )
    assert refused.stderr.endswith("apply it with: majobctl apply -e prod prod.plan\n")
    refused = repo.run("apply", "dev.plan", "-e", "prod", code=5)
    assert refused.stderr.endswith("apply it with: majobctl apply dev.plan\n")
    assert "made for another target: emulator, project emulator (without -e)" in refused.stderr
    assert states(repo) == []
    repo.done("apply", "prod.plan", "-e", "prod")
    assert states(repo) == ["prod.state.json"]
    assert repo.done("plan", "-e", "prod", "--format", "json").document["environment"] == "prod"


def test_environments_with_one_target_do_not_take_each_others_plans(repo: Repository) -> None:
    repo.settings(SETTINGS.replace('project_id = "test-project"', "retries = 0"))
    repo.done("plan", "-e", "test", "--out", "saved.plan")
    refused = repo.run("apply", "saved.plan")
    assert (refused.code, states(repo)) == (5, [])
    assert "saved.plan does not fit: it was made with -e test\n" in refused.stderr
    refused = repo.run("apply", "saved.plan", "-e", "prod")
    assert (refused.code, states(repo)) == (5, [])
    assert "it was made for another target" in refused.stderr
    assert "majobctl apply -e test saved.plan\n" in refused.stderr


def test_validate_shows_what_is_chosen(repo: Repository) -> None:
    repo.write("more.toml", 'bucket = "ml-more"\n')
    ran = repo.done("validate", "--verbose")
    assert (ran.stdout, ran.stderr) == (
        "1 job config is valid.\n",
        "Environment: none\nState: dev.json\n"
        'variable  value     from\nbucket    "ml-dev"  majobctl.toml:8\n',
    )
    assert repo.done("-v", "validate", "--format", "json").stderr == ran.stderr
    lines = repo.done("validate", "--verbose", "-e", "prod").stderr.splitlines()
    assert lines[:2] == ["Environment: prod", "State: prod.state.json"]
    assert lines[3].split() == ["bucket", '"ml-prod"', "majobctl.toml:15"]
    lines = repo.done("validate", "--verbose", "--var-file", "more.toml").stderr.splitlines()
    assert lines[3].split() == ["bucket", '"ml-more"', "more.toml:1"]
    repo.environment["MAJOBCTL_VAR_bucket"] = "ml-process"
    lines = repo.done("validate", "--verbose", "-e", "prod").stderr.splitlines()
    assert lines[3].split() == ["bucket", '"ml-process"', "MAJOBCTL_VAR_bucket"]
    lines = repo.done("validate", "--verbose", "--var", "bucket=ml-x").stderr.splitlines()
    assert lines[3].split() == ["bucket", '"ml-x"', "--var"]


@pytest.mark.parametrize(
    ("backend", "keys", "place"),
    [
        ("git", "", "git, branch majobctl-state-prod"),
        ("postgres", 'name = "team"\n', "postgres, name team/prod"),
        ("s3", 'name = "team"\nbucket = "states"\n', "s3, name team/prod"),
    ],
)
def test_validate_shows_where_a_shared_state_is(
    repo: Repository, backend: str, keys: str, place: str
) -> None:
    repo.settings(SETTINGS.replace('path = "dev.json"\n', f'backend = "{backend}"\n{keys}'))
    lines = repo.done("validate", "--verbose", "-e", "prod").stderr.splitlines()
    assert lines[1] == f"State: {place}"


def test_what_to_run_next_names_the_environment(repo: Repository) -> None:
    """Without ``-e``, it would be about another project."""
    ran = repo.done("drift", "-e", "prod")
    assert "`majobctl import -e prod --all` or `majobctl apply -e prod` creates it" in ran.stdout
    repo.apply("-e", "prod")
    repo.done("emulator", "set", "-e", "prod", "alpha", "train_instance_count=3")
    for format_ in ("text", "markdown"):
        ran = repo.done("drift", "-e", "prod", "--format", format_)
        assert "`majobctl import -e prod --all` imports it." in ran.stdout
        assert "run `majobctl pull -e prod`." in ran.stdout
        assert "To undo it, run `majobctl apply --refresh -e prod`" in ran.stdout
    ran = repo.done("drift", "-e", "prod", "--unmanaged")
    assert "`majobctl import -e prod beta` takes it in" in ran.stdout
    assert "`majobctl import -e prod NAME` takes it in" in repo.done("pull", "-e", "prod").stdout
    repo.job("alpha", train_instance_count=2)
    ran = repo.run("apply", "-e", "prod", code=1)
    assert "(`majobctl plan -e prod --refresh --out FILE`)" in ran.stderr
    assert "`majobctl apply -e prod FILE`; or run `majobctl apply -e prod --auto-" in ran.stderr


def test_validate_without_variables_reports_none(on_emulator: Repository) -> None:
    assert on_emulator.done("validate", "--verbose").stderr == (
        "Environment: none\nState: majobctl.state.json\n"
    )


def test_settings_where_an_environment_must_be_chosen_say_so(repo: Repository) -> None:
    repo.settings('[environments.prod.provider]\nregion = "eu-de"\n')
    ran = repo.run("validate")
    assert "or choose an environment: -e prod" in ran.stderr
    repo.done("validate", "-e", "prod")


SETTINGS_FREE = {"init", "emulator", "version", "schema", "fmt", "capture", "completion"}


def test_every_command_that_reads_the_settings_has_the_option() -> None:
    found: dict[str, set[str]] = {}
    for name, command in cli.commands.items():
        parts = getattr(command, "commands", {"": command})
        for part, leaf in parts.items():
            options = {option for param in leaf.params for option in param.opts}
            found[f"{name} {part}".strip()] = options
    for name, options in found.items():
        if name.split()[0] not in SETTINGS_FREE:
            assert {"-e", "--environment"} <= options, name
    for name in ("plan", "apply", "validate", "drift", "import"):
        assert {"--var", "--var-file"} <= found[name]


class TestOneThatLeavesAnEnvironment:
    """`environments` of a job config: elsewhere, it is as if it had left the TOML."""

    @pytest.fixture
    def left(self, repo: Repository) -> Repository:
        """Applied without an environment and in prod; then only prod is to have alpha."""
        repo.apply()
        repo.apply("-e", "prod", "--overwrite")
        repo.job("alpha", environments=["prod"])
        return repo

    def test_is_forgotten_there_and_nowhere_else(self, left: Repository) -> None:
        text = left.done("plan").stdout
        assert "forget job_config.alpha                             jobs/alpha.toml:1\n" in text
        assert (
            "no longer in this environment: it leaves the state, and stays in the service" in text
        )
        assert left.done("plan", "-e", "prod").last_line.startswith("No changes.")
        left.done("plan", "--out", "saved.plan")
        assert left.done("show", "saved.plan").stdout == text
        left.apply()
        assert state_of(left, "dev.json")["job_configs"] == {}
        assert list(state_of(left, "prod.state.json")["job_configs"]) == ["alpha"]
        assert left.done("plan").last_line.startswith("No changes.")

    def test_is_deleted_only_if_the_settings_say_so(self, left: Repository) -> None:
        left.settings(f"{SETTINGS}\n[apply]\ndelete_removed = true\n")
        text = left.done("plan").stdout
        assert "no longer in this environment: it is deleted from the service" in text
        left.job("alpha", environments=["prod"], prevent_delete=True)
        left.done("plan", "-e", "prod")

    def test_comes_back(self, left: Repository) -> None:
        left.apply()
        left.job("alpha", environments=["prod", ""])
        assert "1 to add" in left.done("plan").stdout

    @pytest.mark.parametrize("command", ["plan", "drift"])
    def test_is_not_selected_there(self, command: str, left: Repository) -> None:
        left.apply()
        ran = left.run(command, "--target", "jobs/alpha.toml", code=1)
        assert '"jobs/alpha.toml"; [jobs] files in majobctl.toml must match it, and a' in ran.stderr
        left.done("plan", "-e", "prod", "--target", "jobs/alpha.toml")
        ran = left.run("plan", "--target", "alpha", code=1)
        assert '"alpha"; the files have it for other environments' in ran.stderr

    def test_is_counted_by_validate(self, left: Repository) -> None:
        assert left.done("validate").stdout == (
            "0 job configs are valid. 1 more is for other environments.\n"
        )
        assert left.done("validate", "-e", "prod").stdout == "1 job config is valid.\n"

    def test_is_not_imported_a_second_time(self, left: Repository) -> None:
        left.apply()
        before = {it: it.read_bytes() for it in left.root.rglob("jobs/*")}
        ran = left.run("import", "alpha")
        assert "jobs/alpha.toml:1 has it for other environments" in ran.stdout + ran.stderr
        assert before == {it: it.read_bytes() for it in left.root.rglob("jobs/*")}


def test_an_unknown_environment_is_an_error_of_every_plan(repo: Repository) -> None:
    repo.job("alpha", environments=["prdo"])
    for options in ([], ["-e", "prod"]):
        ran = repo.run("plan", *options, code=1)
        assert ran.stderr.startswith(
            'jobs/alpha.toml:10: job_config.alpha: environments: no environment "prdo"; did you'
        )
