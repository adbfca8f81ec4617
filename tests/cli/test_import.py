from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest

from majobctl import __version__
from majobctl.emulator.faults import Faults
from majobctl.emulator.store import Store
from majobctl.state.backends.local import LocalBackend
from tests.config_repository import Repository, finished, until
from tests.emulator.client import Client, Connect, connecting

KEYS = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
CODE = {"app_url": "/ml/src/", "boot_file_url": "/ml/src/train.py", "engine_id": 501}
LONG = "x" * 64


def fields(**more: Any) -> dict[str, Any]:
    """The fields of a configuration that keeps every rule of a job config."""
    common = {"worker_server_num": 1, "spec_id": 4, "train_url": "/ml/output/"}
    return {**common, **CODE, "data_url": "/ml/data/", **more}


def various(number: int) -> dict[str, Any]:
    """The fields of the configuration with this number: nulls, blanks and missing ones mixed."""
    kinds: list[Mapping[str, Any]] = [
        {
            "parameter": [
                {"label": "lr", "value": 1e-5},
                {"label": "a b", "value": "é\u3164\u202e${x}"},
            ]
        },
        {"data_url": None, "data_source": [{"data_url": "/b/x/"}, {"data_url": "/b/y/"}]},
        {"data_url": "", "dataset_id": "d", "dataset_version_id": "v", "parameter": []},
        {**dict.fromkeys(CODE), "model_id": 4, "log_url": "/ml/log/", "config_desc": "${env.X}"},
        {"user_image_url": "swr/x:1", "user_command": 'sh -c "a\\b"', "log_url": "/else/"},
    ]
    found = fields(**kinds[number % 5])
    if number % 3 == 0:
        return {key: value for key, value in found.items() if value}
    return found


class Cloud:
    """An emulator with a config repository that has it as its provider."""

    def __init__(self, connect: Connect, repository: Repository, **options: Any) -> None:
        self.repository = repository
        self._log = repository.root.parent / "requests"
        self.client: Client = connect(request_log=self._log, **options)
        repository.environment.update(KEYS)
        self.settings()

    def settings(self, extra: str = "") -> None:
        url = self.client.url
        self.repository.settings(
            f'[provider]\nkind = "modelarts"\nendpoint = "{url}"\nproject_id = "emulator"\n{extra}'
        )

    def create(self, *names: str, **more: Any) -> None:
        for name in names:
            self.client.create(name, **fields(**more))
        self.forget_requests()

    def forget_requests(self) -> None:
        self._log.write_text("")

    @property
    def requests(self) -> list[tuple[str, str]]:
        lines = map(json.loads, self._log.read_text().splitlines())
        return [(line["method"], line["path"]) for line in lines]

    @property
    def files(self) -> list[str]:
        root = self.repository.root
        return sorted(path.relative_to(root).as_posix() for path in root.rglob("jobs/**/*.toml"))


@pytest.fixture
def connect() -> Iterator[Connect]:
    with connecting() as make:
        yield make


@pytest.fixture
def cloud(connect: Connect, repository: Repository) -> Cloud:
    return Cloud(connect, repository)


@pytest.fixture(params=["null", "empty", "missing", "mixed"])
def blanks(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_forty_configurations_made_elsewhere_are_taken_in(
    connect: Connect, repository: Repository, blanks: Literal["null", "empty", "missing", "mixed"]
) -> None:
    cloud = Cloud(connect, repository, faults=Faults(blanks=blanks))
    cloud.settings('[defaults]\nlog_url = "/ml/log/"\noutput_path = "obs://ml/output/"\n')
    for number in range(39):
        cloud.client.create(f"cfg-{number:02}", **various(number))
    cloud.create(LONG)
    ran = repository.done("import", "--all")
    assert ran.stdout == (
        "Imported 39 job configs into the state, described in 39 new files in jobs/imported."
        " 1 left out. State serial 1.\n"
    )
    assert ran.stderr == (
        f"Warning: job_config.{LONG} was left out: a name has 1 to 20 characters, each a letter"
        " A-Z a-z, a digit, _ or -; jobs.max_name_length = 64 allows it; or copy it under such a"
        " name in the console, and import the copy\n"
    )
    assert len(cloud.files) == 39
    validated = repository.done("validate")
    assert (validated.stdout, validated.stderr) == ("39 job configs are valid.\n", "")
    assert repository.done("plan", "--detailed-exitcode").stdout.startswith("No changes.")
    refreshed = repository.done("plan", "--refresh", "--detailed-exitcode")
    assert refreshed.stdout.startswith("No changes.")
    assert "No drift." in repository.done("drift", "--detailed-exitcode").stdout
    assert {method for method, _ in cloud.requests} == {"GET"}


def test_a_name_of_64_characters_is_managed_like_any_other(cloud: Cloud) -> None:
    cloud.settings("[jobs]\nmax_name_length = 64\n[environments.short.jobs]\nmax_name_length = 63")
    cloud.create(LONG)
    assert cloud.repository.done("import", LONG).stderr == ""
    for command in ("validate", "plan --detailed-exitcode", "plan --refresh --detailed-exitcode"):
        assert cloud.repository.done(*command.split()).stderr == ""
    file = cloud.repository.root / cloud.files[0]
    file.write_text(file.read_text().replace("count = 1", "count = 2"))
    assert "1 updated" in cloud.repository.done("apply", "--auto-approve").stdout
    ran = cloud.repository.run("validate", "-e", "short")
    assert ran.code == 1
    assert "1 to 63 characters, each a letter A-Z a-z, a digit, _ or -; jobs.max" in ran.stderr
    file.write_text(file.read_text().replace(LONG, f'short]\nrenamed_from = "{LONG}"\n#'))
    assert f'renamed from "{LONG}"' in cloud.repository.done("plan").stdout


def test_a_second_import_changes_nothing_and_reads_no_details(cloud: Cloud) -> None:
    cloud.create("a", "b")
    cloud.repository.done("import", "--all")
    before = cloud.repository.state_path.read_bytes()
    cloud.forget_requests()
    ran = cloud.repository.done("import", "--all")
    assert ran.stdout == (
        "Nothing was imported. 2 were in the state and in a job file already. State serial 1.\n"
    )
    assert ran.stderr == ""
    assert cloud.repository.state_path.read_bytes() == before
    assert cloud.requests == [("GET", "/v1/emulator/training-job-configs")]


def test_names_and_globs_choose(cloud: Cloud) -> None:
    cloud.create("bert-1", "bert-2", "Bert-3", "resnet", "vgg")
    ran = cloud.repository.done("import", "vgg", "bert-*")
    assert ran.stdout.startswith("Imported 3 job configs into the state, described in 3 new files")
    assert list(cloud.repository.state["job_configs"]) == ["bert-1", "bert-2", "vgg"]
    ran = cloud.repository.done("import", "job_config.vgg", "*e*")
    assert ran.stdout == (
        "Imported 2 job configs into the state, described in 2 new files in jobs/imported."
        " 3 were in the state and in a job file already. State serial 2.\n"
    )
    assert ran.stderr == "job_config.vgg is in the state and in a job file already.\n"


@pytest.mark.parametrize(
    ("name", "which"),
    [
        ("resnt", '"resnt"; did you mean "resnet"?'),
        ("job_config.resnt", '"resnt"; did you mean "resnet"?'),
        ("x*", '"x*"'),
    ],
)
def test_a_name_that_does_not_exist_is_an_error_and_nothing_is_done(
    name: str, which: str, cloud: Cloud
) -> None:
    cloud.create("resnet", "bert")
    ran = cloud.repository.run("import", "bert", name)
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == (
        f"Error: the service has no configuration {which}\nnothing was imported\n"
    )
    assert cloud.files == []
    assert not cloud.repository.state_path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to import: names, globs such as 'resnet-*', or --all"),
        (["--all", "a"], "give names, or --all, but not both"),
    ],
)
def test_it_must_be_said_what_to_import(cloud: Cloud, arguments: list[str], message: str) -> None:
    ran = cloud.repository.run("import", *arguments, code=1)
    assert message in ran.stderr
    assert cloud.requests == []


def test_an_empty_service_is_reported(cloud: Cloud) -> None:
    ran = cloud.repository.done("import", "--all")
    assert ran.stdout == "Nothing was imported.\n"
    assert ran.stderr == "Warning: the service has no configuration\n"
    assert not cloud.repository.state_path.exists()


def test_what_a_file_describes_is_recorded_and_the_plan_shows_what_differs(cloud: Cloud) -> None:
    cloud.create("a", "b", "new")
    cloud.repository.job("a", train_instance_count=2)
    cloud.repository.job("b")
    before = (cloud.repository.root / "jobs/a.toml").read_bytes()
    ran = cloud.repository.done("import", "--all")
    assert ran.stdout == (
        "Imported 3 job configs into the state, 1 of them described in 1 new file in"
        " jobs/imported. 2 differ from their files: `majobctl plan` shows how. State serial 1.\n"
    )
    assert (cloud.repository.root / "jobs/a.toml").read_bytes() == before
    assert cloud.files == ["jobs/a.toml", "jobs/b.toml", "jobs/imported/new.toml"]
    plan = cloud.repository.done("plan").stdout
    assert "~ train_instance_count" in plan
    assert "1 -> 2" in plan
    assert "1 unchanged" in plan


def test_one_that_differs_is_reported_as_one(cloud: Cloud) -> None:
    cloud.create("a", "b")
    cloud.repository.job("a")
    cloud.repository.done("import", "b")
    assert cloud.repository.done("import", "--all").stdout == (
        "Imported 1 job config into the state. 1 differs from its file: `majobctl plan` shows how."
        " 1 was in the state and in a job file already. State serial 2.\n"
    )


def test_a_single_file_takes_all_and_nothing_is_overwritten(cloud: Cloud) -> None:
    cloud.create("a", "b")
    cloud.repository.write("jobs/all/IMPORTED.toml", "# ours\n")
    ran = cloud.repository.done("import", "--all", "--single-file", "--out-dir", "jobs/all")
    assert ran.stdout == (
        "Imported 2 job configs into the state, described in jobs/all/imported-2.toml. State"
        " serial 1.\n"
    )
    assert (cloud.repository.root / "jobs/all/IMPORTED.toml").read_text() == "# ours\n"
    assert cloud.repository.done("plan").stdout.startswith("No changes. 2 job configs")


def test_the_folder_is_below_the_settings_wherever_the_command_runs(cloud: Cloud) -> None:
    cloud.create("a")
    below = cloud.repository.root / "jobs/deep"
    below.mkdir(parents=True)
    cloud.repository.done("-C", str(below), "import", "a")
    assert cloud.files == ["jobs/imported/a.toml"]


@pytest.mark.parametrize(
    ("out_dir", "message"),
    [
        ("../else", "outside the folder of majobctl.toml"),
        ("else", 'jobs.files in majobctl.toml does not match new files in "else"'),
    ],
)
def test_a_folder_that_no_job_file_is_read_from_is_refused_before_anything_is_asked(
    cloud: Cloud, out_dir: str, message: str
) -> None:
    ran = cloud.repository.run("import", "--all", "--out-dir", out_dir, code=1)
    assert message in ran.stderr
    assert cloud.requests == []


def test_json_is_one_document(cloud: Cloud) -> None:
    cloud.create("a", "b", "kept", LONG)
    cloud.create("token", parameter=[{"label": "api_token", "value": "hunter2"}])
    cloud.repository.done("import", "kept")
    cloud.repository.job("b")
    ran = cloud.repository.done("import", "--all", "--format", "json")
    warning = (
        'jobs/imported/token.toml: job_config.token: "api_token" looks like a secret, and its value'
        ' is in the file in clear: replace it with "${env.NAME}", or, if it is not a secret, remove'
        " it from sensitive"
    )
    reason = "a name has 1 to 20 characters, each a letter A-Z a-z, a digit, _ or -"
    reason += "; jobs.max_name_length = 64 allows it"
    reason += "; or copy it under such a name in the console, and import the copy"
    assert ran.document == {
        "format_version": "1.0",
        "majobctl_version": __version__,
        "imported": ["a", "b", "token"],
        "written": {"a": "jobs/imported/a.toml", "token": "jobs/imported/token.toml"},
        "differing": ["b"],
        "passed_over": ["kept"],
        "left_out": [{"name": LONG, "reason": reason}],
        "serial": 2,
        "warnings": [warning],
    }
    assert ran.stderr.splitlines() == [
        f"Warning: {warning}",
        f"Warning: job_config.{LONG} was left out: {reason}",
    ]


def test_what_is_left_out_for_one_reason_is_one_warning_with_the_setting_for_all(
    cloud: Cloud,
) -> None:
    names = [f"{'x' * 20}{'y' * number}" for number in (1, 30, 44)]
    for name in ("fits", *names):
        cloud.create(name)
    ran = cloud.repository.done("import", "--all")
    assert "1 job config into the state" in ran.stdout
    assert "3 left out." in ran.stdout
    assert ran.stderr == (
        f"Warning: {', '.join(f'job_config.{it}' for it in names)} were left out: a name has 1 to"
        " 20 characters, each a letter A-Z a-z, a digit, _ or -; jobs.max_name_length = 64 allows"
        " it; or copy it under such a name in the console, and import the copy\n"
    )
    cloud.settings("[jobs]\nmax_name_length = 64\n")
    assert "left out" not in cloud.repository.done("import", "--all").stdout


def test_a_secret_is_reported_and_never_gets_into_the_state(cloud: Cloud) -> None:
    labelled = [{"label": "api_token", "value": "hunter2"}, {"label": "user", "value": "hunter3"}]
    cloud.create("a", parameter=labelled)
    cloud.settings('[defaults]\nsensitive = ["user"]\n')
    ran = cloud.repository.done("import", "--all")
    assert [line.partition(" looks")[0] for line in ran.stderr.splitlines()] == [
        f'Warning: jobs/imported/a.toml: job_config.a: "{label}"' for label in ("api_token", "user")
    ]
    assert "hunter" not in cloud.repository.state_path.read_text() + ran.stdout + ran.stderr
    path = cloud.repository.root / "jobs/imported/a.toml"
    text = path.read_text()
    assert 'sensitive = ["api_token"]\n' in text
    cloud.repository.environment["TOKEN"] = "hunter2"
    path.write_text(text.replace("hunter2", "${env.TOKEN}"))
    for arguments in (["plan"], ["plan", "--refresh"]):
        assert cloud.repository.done(*arguments).stdout.startswith("No changes.")
    assert "No drift." in cloud.repository.done("drift").stdout


def test_protection_by_default_gets_into_the_state(cloud: Cloud) -> None:
    cloud.create("a")
    cloud.settings("[defaults]\nprevent_delete = true\n")
    cloud.repository.done("import", "--all")
    assert cloud.repository.state["job_configs"]["a"]["prevent_delete"] is True
    assert cloud.repository.done("plan").stdout.startswith("No changes.")


def test_what_only_the_defaults_have_is_unset(cloud: Cloud) -> None:
    cloud.create("none")
    cloud.create("other", parameter=[{"label": "lr", "value": "1"}])
    cloud.settings("[defaults.hyperparameters]\nseed = 1\n")
    assert cloud.repository.done("import", "--all").stderr == ""
    written = cloud.repository.root / "jobs/imported"
    assert 'hyperparameters = ""\n' in (written / "none.toml").read_text()
    assert 'unset = ["seed"]\n' in (written / "other.toml").read_text()
    assert cloud.repository.done("plan").stdout.startswith("No changes.")


def test_broken_job_files_are_told_first(cloud: Cloud) -> None:
    cloud.create("a")
    cloud.repository.write("jobs/broken.toml", "x =\n")
    ran = cloud.repository.run("import", "--all", code=1)
    assert "jobs/broken.toml:1:" in ran.stderr
    assert cloud.requests == []


def test_the_state_of_another_target_is_refused(cloud: Cloud) -> None:
    cloud.create("a")
    cloud.repository.done("import", "a")
    text = cloud.repository.state_path.read_text()
    cloud.repository.state_path.write_text(text.replace("http://127", "https://x.127"))
    cloud.forget_requests()
    ran = cloud.repository.run("import", "--all", code=1)
    assert "majobctl.state.json belongs to another target" in ran.stderr
    assert cloud.requests == []


def test_a_folder_that_cannot_be_made_leaves_everything_as_it_was(cloud: Cloud) -> None:
    cloud.create("a", "b")
    cloud.repository.write("jobs/imported", "no folder")
    ran = cloud.repository.run("import", "--all")
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr == (
        "Error: jobs/imported/a.toml cannot be written: Not a directory\n"
        "nothing was imported, and no new file is left\n"
    )
    assert not cloud.repository.state_path.exists()


def test_a_service_that_cannot_be_read_ends_the_import(
    connect: Connect, repository: Repository
) -> None:
    cloud = Cloud(connect, repository, faults=Faults(error_rate=1.0))
    cloud.settings("retries = 0\n")
    ran = repository.run("import", "--all")
    assert (ran.code, ran.stdout) == (1, "")
    assert "The service is unavailable" in ran.stderr
    assert cloud.files == []
    assert not repository.state_path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_reading_leaves_nothing(
    connect: Connect, repository: Repository, number: signal.Signals
) -> None:
    cloud = Cloud(connect, repository, faults=Faults(latency_ms=150))
    cloud.create("a", "b", "c", "d")
    process = repository.start("import", "--all", "--parallelism", "1")
    until(lambda: ("GET", "/v1/emulator/training-job-configs/a") in cloud.requests, "the reading")
    process.send_signal(number)
    ran = finished(process)
    assert (ran.code, ran.stdout) == (130, "")
    assert ran.stderr.endswith("Interrupted.\n")
    assert cloud.files == []
    assert not repository.state_path.exists()
    assert repository.done("import", "--all").stdout.startswith("Imported 4 job configs")


def test_the_lock_of_another_run_is_respected(cloud: Cloud) -> None:
    cloud.create("a")
    with LocalBackend(cloud.repository.state_path, "majobctl.state.json").lock("majobctl apply"):
        ran = cloud.repository.run("import", "--all")
    assert ran.code == 4
    assert "majobctl.state.json is locked by" in ran.stderr
    assert cloud.requests == []


@pytest.mark.slow
def test_a_thousand_and_more_need_one_request_each(
    connect: Connect, repository: Repository
) -> None:
    data = repository.root.parent / "cloud.db"
    store = Store(data, "emulator")
    for number in range(1100):
        store.insert(f"cfg-{number}", fields())
    store.close()
    cloud = Cloud(connect, repository, data=data)
    ran = repository.done("import", "--all")
    assert ran.stdout.startswith("Imported 1100 job configs into the state, described in 1100 new")
    assert ran.stderr.splitlines() == [
        f"Read {count} of 1100 configurations." for count in (500, 1000)
    ]
    paths = [path for _, path in cloud.requests]
    assert len(paths) - len(set(paths)) <= 3, "only the list, of two pages, is asked for twice"
    assert len(cloud.files) == 1100


def test_a_configuration_with_a_control_character_is_left_out_with_the_reason(
    connect: Connect, repository: Repository
) -> None:
    cloud = Cloud(connect, repository)
    cloud.client.create("a", **fields(config_desc="one\ntwo"))
    cloud.client.create("b", **fields(config_desc="one two"))
    ran = repository.done("import", "--all")
    reason = "config_desc must not have a control character, such as a line break"
    assert f"Warning: job_config.a was left out: {reason}\n" in ran.stderr
    assert list(repository.state["job_configs"]) == ["b"]
