from __future__ import annotations

import json
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from majobctl.emulator import create_app, start
from majobctl.emulator.faults import Faults
from majobctl.operations.connect import ProviderOptions, connect
from majobctl.operations.seed import read_seed
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import DONE
from tests.config_repository import BODY, JOB, Repository, finished, terminal, toml_of, until
from tests.fake_service import (
    ACCESS_KEY,
    PROJECT,
    SECRET_KEY,
    FakeService,
    Handler,
)

CLEAN = "No drift. 1 job config is as in the state.\n"


def cloud_of(repository: Repository) -> Provider:
    """The embedded emulator's cloud, for somebody else to change."""
    data = repository.root / ".majobctl" / "emulator.db"
    return connect(ProviderOptions(kind="emulator", emulator_data=data))


def change_there(repository: Repository, name: str, **params: Any) -> None:
    with cloud_of(repository) as provider:
        assert provider.update_job_config(name, {**JOB, **params}) == DONE


@pytest.fixture
def applied(on_emulator: Repository) -> Repository:
    """``alpha`` as it was applied; the cloud has ``beta`` and ``gamma`` as well, and so do files
    that were never applied."""
    on_emulator.apply()
    on_emulator.job("beta")
    on_emulator.job("gamma")
    return on_emulator


@pytest.fixture
def on_service(repository: Repository, service: FakeService) -> Repository:
    """A config repository with ``alpha`` and ``beta``, both applied to a REST service."""
    repository.settings(
        f'[provider]\nkind = "modelarts"\nendpoint = "{service.url}"\nproject_id = "{PROJECT}"\n'
    )
    repository.environment |= {"OS_ACCESS_KEY": ACCESS_KEY, "OS_SECRET_KEY": SECRET_KEY}
    for name in ("alpha", "beta"):
        service.configs[name] = {}
        repository.job(name)
    repository.apply()
    service.requests.clear()
    return repository


def test_what_was_applied_has_not_drifted(applied: Repository) -> None:
    ran = applied.done("drift", "--detailed-exitcode")
    assert (ran.stdout, ran.stderr) == (CLEAN, "")


def test_a_value_changed_elsewhere_is_reported_and_an_offline_plan_says_nothing(
    applied: Repository,
) -> None:
    change_there(applied, "alpha", train_instance_count=3)
    ran = applied.run("drift", "--detailed-exitcode")
    assert (ran.code, ran.stderr) == (2, "")
    assert ran.stdout == (
        "  ~ job_config.alpha\n      ~ train_instance_count         1 -> 3\n\n"
        "To keep what was changed in the service, run `majobctl pull`. To undo it, run"
        " `majobctl apply --refresh` and type yes.\n"
        "Drift: 1 changed.\n"
    )
    assert applied.done("drift").stdout == ran.stdout
    assert "No changes." in applied.done("plan", "--target", "alpha").stdout


def test_edits_of_the_toml_files_are_no_drift(applied: Repository) -> None:
    applied.job("alpha", train_instance_count=2)
    assert applied.done("drift").stdout == CLEAN
    applied.remove("alpha")
    assert applied.done("drift").stdout == CLEAN


def test_one_deleted_elsewhere_is_missing(applied: Repository) -> None:
    with cloud_of(applied) as provider:
        assert provider.delete_job_config("alpha") == DONE
    ran = applied.run("drift", "--detailed-exitcode", code=2)
    assert ran.stdout == (
        "  - job_config.alpha\n      the service no longer has it\n\nDrift: 1 missing.\n"
    )


def test_what_neither_state_nor_files_know_is_reported_and_no_drift(applied: Repository) -> None:
    applied.remove("beta")
    applied.remove("gamma")
    ran = applied.done("drift", "--detailed-exitcode")
    note, summary = ran.stdout.splitlines()
    assert '2 configurations that neither the state nor a TOML file knows: "beta", "gamma"' in note
    assert summary == CLEAN.strip()
    ran = applied.done("drift", "--format", "json", "--exclude", "*mma")
    assert ran.document["unmanaged"] == ["beta"]


def test_a_selection_leaves_the_rest_alone(on_service: Repository, service: FakeService) -> None:
    service.configs["alpha"]["worker_server_num"] = 2
    ran = on_service.done("drift", "--detailed-exitcode", "--target", "b*")
    first, last = ran.stdout.splitlines()
    assert first == '1 of 2 job configs selected by --target "b*".'
    assert last == CLEAN.strip()
    details = service.asked("GET", "/training-job-configs/")
    assert [item.path.rpartition("/")[2] for item in details] == ["beta"]


def test_nothing_is_sent_but_reads_and_nothing_is_written(
    on_service: Repository, service: FakeService
) -> None:
    service.configs["alpha"]["worker_server_num"] = 2
    service.configs["stranger"] = dict(BODY)
    files = {path: path.stat().st_mtime_ns for path in on_service.root.rglob("*")}
    state = on_service.state_path.read_bytes()
    for format_ in ("text", "json", "markdown"):
        on_service.done("drift", "--format", format_)
    assert {item.method for item in service.requests} == {"GET"}
    assert on_service.state_path.read_bytes() == state
    assert files == {path: path.stat().st_mtime_ns for path in on_service.root.rglob("*")}
    assert not service.asked("GET", "/training-job-configs/stranger")


def test_it_works_while_somebody_else_holds_the_lock(applied: Repository) -> None:
    holder = {"id": "4f1c2d9a7b60", "user": "ada", "host": "elsewhere", "pid": 7}
    holder |= {"command": "majobctl apply", "since": "2026-11-23T12:00:00Z"}
    applied.write("majobctl.state.json.lock.holder", json.dumps(holder))
    assert applied.run("apply", "--auto-approve").code == 4
    assert applied.done("drift").stdout == CLEAN


def test_an_apply_under_way_does_not_hold_it_up(
    on_service: Repository, service: FakeService
) -> None:
    on_service.job("alpha", config_desc="new")
    may_go_on = threading.Event()

    def hold_put(handler: Handler) -> None:
        received = handler.service.requests[-1]
        if received.method == "PUT":
            assert may_go_on.wait(30)
        else:
            service.script.append(hold_put)
        handler.serve(received)

    service.script.append(hold_put)
    process = on_service.start("apply", "--auto-approve")
    try:
        until(lambda: service.asked("PUT"), "the update")
        assert on_service.run("apply", "--auto-approve").code == 4
        assert on_service.done("drift").stdout == "No drift. 2 job configs are as in the state.\n"
    finally:
        may_go_on.set()
        assert finished(process).code == 0


def test_ignored_places_do_not_count(applied: Repository) -> None:
    change_there(applied, "alpha", config_desc="x", hyperparameters={"seed": "1"})
    text = (applied.root / "majobctl.toml").read_text()
    applied.settings(text + '[drift]\nignore = ["hyperparameters.seed"]\n')
    ran = applied.run("drift", "--detailed-exitcode", code=2)
    assert "hyperparameters" not in ran.stdout
    assert '      + config_desc                  "x"\n' in ran.stdout
    applied.job("alpha", ignore_changes=["config_desc"])
    assert applied.done("drift", "--detailed-exitcode").stdout == CLEAN


def test_broken_job_files_are_told_and_do_not_stop_it(applied: Repository) -> None:
    applied.write(
        "jobs/alpha.toml",
        toml_of("alpha", {**JOB, "config_desc": "${env.NOT_SET}", "ignore_changes": ["log_url"]}),
    )
    applied.write("jobs/broken.toml", "[job_config.x\n")
    change_there(applied, "alpha", log_url="/ml/log/")
    ran = applied.done("drift", "--detailed-exitcode", "--format", "json")
    assert ran.document["changes"] == []
    lines = ran.stderr.splitlines()
    assert [line.removeprefix("Warning: ") for line in lines] == ran.document["warnings"]
    assert [line.partition(": not")[0] for line in lines] == ["Warning: jobs/broken.toml:1:14"]


def test_what_is_secret_by_the_toml_alone_is_not_shown_either(applied: Repository) -> None:
    """Not applied yet, not desired, or not to be looked up: the service's value stays hidden."""
    secrets = {"hyperparameters": {"token": "theirs", "added": "theirs-too"}}
    applied.job("alpha", config_desc="${env.NOT_SET}", sensitive=["token"])
    applied.settings(
        '[provider]\nkind = "emulator"\nseed = "cloud.toml"\n[defaults]\nsensitive = ["added"]\n'
    )
    change_there(applied, "alpha", config_desc="their words", **secrets)
    for format_ in ("text", "json", "markdown"):
        ran = applied.done("drift", "--format", format_)
        assert "theirs" not in ran.stdout + ran.stderr
        assert "their words" not in ran.stdout + ran.stderr
        assert "token" in ran.stdout and "added" in ran.stdout and "config_desc" in ran.stdout


def test_broken_settings_stop_it(applied: Repository) -> None:
    applied.settings('[drift]\nignore = ["nothing"]\n')
    ran = applied.run("drift")
    assert (ran.code, ran.stdout) == (1, "")
    assert "majobctl.toml:2: drift: ignore:" in ran.stderr


def test_secret_values_are_compared_and_never_shown(on_emulator: Repository) -> None:
    on_emulator.environment["API_SECRET"] = "first-hidden-value"
    on_emulator.job(
        "alpha",
        config_desc="${env.API_SECRET}",
        hyperparameters={"token": "of-the-file", "lr": "0.1"},
        sensitive=["token"],
    )
    on_emulator.apply()
    on_emulator.monkeypatch.delenv("API_SECRET")
    del on_emulator.environment["API_SECRET"]
    ran = on_emulator.done("drift", "--detailed-exitcode", "--exclude", "beta")
    assert ran.last_line == CLEAN.strip()
    change_there(
        on_emulator,
        "alpha",
        config_desc="second-hidden-value",
        hyperparameters={"token": "put-there", "lr": "0.1"},
    )
    for format_ in ("text", "json", "markdown"):
        ran = on_emulator.run("drift", "--detailed-exitcode", "--format", format_, code=2)
        for word in ("hidden-value", "put-there", "of-the-file"):
            assert word not in ran.stdout + ran.stderr
    text = on_emulator.done("drift").stdout
    assert "      ~ config_desc                  (sensitive) -> (sensitive)\n" in text
    assert "      ~ hyperparameters.token        (sensitive) -> (sensitive)\n" in text
    assert "hyperparameters.lr" not in text


def test_a_call_of_unknown_outcome_is_reported_as_that(applied: Repository) -> None:
    state = applied.state
    entry = state["job_configs"]["alpha"]
    attempted = {**entry["params"], "train_instance_count": 2}
    entry |= {"pending": True, "attempted": attempted}
    applied.state_path.write_text(json.dumps(state))
    assert applied.done("drift").stdout == CLEAN
    change_there(applied, "alpha", train_instance_count=2)
    assert applied.done("drift").stdout == CLEAN
    change_there(applied, "alpha", train_instance_count=4)
    ran = applied.done("drift")
    sentence = "the last call may have succeeded, or never been sent: the next apply resends it"
    assert sentence in ran.stdout
    assert "~ train_instance_count         1 -> 4" in ran.stdout


def test_another_targets_state_is_refused_and_nothing_is_read(
    on_service: Repository, service: FakeService
) -> None:
    settings = (on_service.root / "majobctl.toml").read_text()
    on_service.settings(settings.replace(PROJECT, "f" * 32))
    ran = on_service.run("drift")
    assert (ran.code, ran.stdout) == (1, "")
    assert "majobctl.state.json belongs to another target" in ran.stderr
    assert service.requests == []


def test_without_a_state_it_says_what_there_is_to_take_in(on_emulator: Repository) -> None:
    ran = on_emulator.done("drift", "--detailed-exitcode")
    first, second, last = ran.stdout.splitlines()
    assert first.startswith("There is no state yet to compare with; `majobctl import --all`")
    assert '"beta", "gamma"' in second
    assert last == "No drift. There are no job configs to compare."
    assert not on_emulator.state_path.exists()
    document = on_emulator.done("drift", "--format", "json").document
    assert (document["lineage"], document["serial"]) == ("", 0)


def test_the_document_has_both_values_and_is_the_same_again(
    on_service: Repository, service: FakeService
) -> None:
    service.configs["alpha"] |= {"config_desc": "配置 \x1b[31m", "worker_server_num": 2}
    del service.configs["beta"]
    service.configs["stranger"] = dict(BODY)
    one = on_service.done("drift", "--format", "json")
    assert one.stdout.isascii()
    assert one.stdout == on_service.done("drift", "--format", "json", "--parallelism", "1").stdout
    document = one.document
    assert document["changes"] == [
        {
            "name": "alpha",
            "kind": "changed",
            "fields": [
                {"path": ["train_instance_count"], "action": "update", "state": 1, "live": 2},
                {"path": ["config_desc"], "action": "add", "state": None, "live": "配置 \x1b[31m"},
            ],
        },
        {"name": "beta", "kind": "missing", "fields": []},
    ]
    assert document["summary"] == {"changed": 1, "missing": 1, "unchanged": 0}
    assert document["unmanaged"] == ["stranger"]
    assert document["serial"] == on_service.state["serial"]
    assert document["lineage"] == on_service.state["lineage"]
    assert document["target"] == {"endpoint": service.url, "project_id": PROJECT}
    assert "\x1b" not in on_service.done("drift").stdout


def test_markdown_is_for_an_issue(on_service: Repository, service: FakeService) -> None:
    service.configs["alpha"]["config_desc"] = "a | b\n`c` <img>"
    ran = on_service.run("drift", "--format", "markdown", "--detailed-exitcode", code=2)
    assert ran.stdout.startswith("**Drift: 1 changed, 1 as in the state.**\n")
    assert ran.last_line == (
        '| `config_desc` | not set | `"a \\u007c b\\n\\u0060c\\u0060 \\u003cimg\\u003e"` |'
    )


def test_what_cannot_be_read_back_is_warned_of(
    on_service: Repository, service: FakeService
) -> None:
    service.configs["alpha"]["spec_id"] = 4711
    ran = on_service.done("drift", "--format", "json")
    assert "Warning: job_config.alpha: train_instance_type: the service has no" in ran.stderr
    assert ran.document["changes"][0]["fields"][0]["live"] == "(spec_id 4711)"
    assert ran.stderr == f"Warning: {ran.document['warnings'][0]}\n"


def test_a_service_that_refuses_ends_it_with_the_name(
    on_service: Repository, service: FakeService
) -> None:
    def refuse_details(handler: Handler) -> None:
        received = handler.service.requests[-1]
        service.script.append(refuse_details)
        if received.path.endswith("/alpha"):
            handler.refuse(403, "ModelArts.0210", "wrong project")
        else:
            handler.serve(received)

    service.script.append(refuse_details)
    ran = on_service.run("drift", "--parallelism", "1")
    assert (ran.code, ran.stdout) == (1, "")
    assert "Error: job_config.alpha: ModelArts.0210 wrong project" in ran.stderr


@pytest.mark.parametrize("part", ["training-job-configs", "alpha"])
def test_ctrl_c_ends_it_with_130(on_service: Repository, service: FakeService, part: str) -> None:
    is_asked, is_over = threading.Event(), threading.Event()

    def hold(handler: Handler) -> None:
        if handler.received.path.endswith(f"/{part}"):
            is_asked.set()
            assert is_over.wait(30)
        else:
            service.script.append(hold)
        handler.serve(handler.received)

    service.script.append(hold)
    process = on_service.start("drift")
    try:
        assert is_asked.wait(30)
        process.send_signal(signal.SIGINT)
        # The list is read in the main thread: a signal just before that waits is not seen by it.
        while part == "training-job-configs" and process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        is_over.set()
        ran = finished(process)
    finally:
        is_over.set()
    assert (ran.code, ran.stdout) == (130, "")
    # An interrupted read may leave a socket to the garbage collector; these tests show its warning.
    first, *others = ran.stderr.strip().splitlines()
    assert first == "Interrupted."
    assert not others or "<socket.socket" in others[0]


def test_a_terminal_sees_colours(applied: Repository) -> None:
    change_there(applied, "alpha", train_instance_count=3)
    with terminal(applied, "drift") as screen:
        code, seen = screen.finish()
        assert code == 0
    assert "\x1b[33m" in seen
    with terminal(applied, "drift", "--no-color") as screen:
        screen.finish()
        assert "\x1b[33m" not in screen.seen


def test_a_log_sees_a_line_for_each_five_hundred(
    on_service: Repository, service: FakeService
) -> None:
    state = on_service.state
    entry = state["job_configs"]["alpha"]
    entries = {f"n{number}": entry for number in range(998)}
    state["job_configs"] |= entries
    on_service.state_path.write_text(json.dumps(state))
    ran = on_service.done("drift", "--format", "json")
    assert ran.stderr == ("Read 998 of 1000 configurations.\nRead 1000 of 1000 configurations.\n")
    assert ran.document["summary"] == {"changed": 0, "missing": 998, "unchanged": 2}


SHAPES: dict[str, dict[str, Any]] = {
    "plain": JOB,
    "full": {
        **JOB,
        "hyperparameters": {"lr": "1e-5", "flag": "true", "empty": ""},
        "log_url": "/ml/log/",
        "config_desc": "Grüße 配置",
    },
    "model": {
        **{key: JOB[key] for key in ("output_path", "train_instance_type", "inputs")},
        "model_name": "ResNet_v2_50",
        "train_instance_count": 1,
    },
    "image": {
        **{key: JOB[key] for key in ("output_path", "train_instance_type", "inputs")},
        "user_image_url": "100.125.5.235:20202/jobmng/custom-cpu-base:1.0",
        "user_command": "bash run.sh | tee log",
        "train_instance_count": 1,
    },
    "sources": {
        **{key: JOB[key] for key in JOB if key != "inputs"},
        "data_source": [{"type": "obs", "data_url": "/ml/data/"}],
    },
}


@pytest.mark.parametrize("put", ["replace", "merge"])
@pytest.mark.parametrize("blanks", ["null", "empty", "missing", "mixed"])
def test_however_blanks_are_written_nothing_has_drifted(
    repository: Repository, put: Any, blanks: Any
) -> None:
    """Over HTTP, with an update that clears fields in between."""
    seed = repository.write("cloud.toml", "".join(toml_of(name, JOB) for name in SHAPES))
    with create_app(seed=partial(read_seed, seed), faults=Faults(put=put, blanks=blanks)) as app:
        server = start(app)
        try:
            repository.settings(
                f'[provider]\nkind = "modelarts"\nendpoint = "{server.url}"\n'
                'project_id = "emulator"\n'
            )
            repository.environment |= {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
            plain, shapes = [JOB] * len(SHAPES), list(SHAPES.values())
            for round_ in (plain, shapes, shapes[::-1]):
                for name, params in zip(SHAPES, round_, strict=True):
                    repository.write(f"jobs/{name}.toml", toml_of(name, params))
                repository.apply()
                ran = repository.done("drift", "--detailed-exitcode")
                assert ran.stdout == "No drift. 5 job configs are as in the state.\n"
        finally:
            server.stop()


class TestUnmanaged:
    """``beta`` was made in the console."""

    @pytest.fixture
    def strangers(self, on_emulator: Repository) -> Repository:
        on_emulator.job("gamma")
        on_emulator.apply()
        return on_emulator

    def test_is_no_drift_unless_it_is_asked_for(self, strangers: Repository) -> None:
        ran = strangers.done("drift", "--detailed-exitcode")
        assert 'neither the state nor a TOML file knows: "beta"' in ran.stdout
        assert ran.last_line == "No drift. 2 job configs are as in the state."

    def test_is_drift_with_the_way_out(self, strangers: Repository) -> None:
        ran = strangers.run("drift", "--unmanaged", "--detailed-exitcode", code=2)
        assert ran.stdout == (
            "  + job_config.beta\n"
            "      neither the state nor a TOML file knows it:"
            " `majobctl import beta` takes it in, or says why not\n\n"
            "Drift: 1 unmanaged, 2 as in the state.\n"
        )
        strangers.done("drift", "--unmanaged")
        strangers.done("import", "beta")
        ran = strangers.done("drift", "--unmanaged", "--detailed-exitcode")
        assert ran.stdout == "No drift. 3 job configs are as in the state.\n"

    def test_is_in_every_format(self, strangers: Repository) -> None:
        options = ("--unmanaged", "--detailed-exitcode", "--format")
        document = strangers.run("drift", *options, "json", code=2).document
        assert document["changes"] == [{"name": "beta", "kind": "unmanaged", "fields": []}]
        assert document["summary"] == {"changed": 0, "missing": 0, "unchanged": 2, "unmanaged": 1}
        assert document["unmanaged"] == ["beta"]
        text = strangers.run("drift", *options, "markdown", code=2).stdout
        assert text.startswith("**Drift: 1 unmanaged, 2 as in the state.**")
        assert "### `job_config.beta`\n\nNeither the state nor a TOML file knows it: " in text

    def test_is_told_beside_what_was_changed(self, strangers: Repository) -> None:
        change_there(strangers, "alpha", train_instance_count=3)
        ran = strangers.run("drift", "--unmanaged", "--detailed-exitcode", code=2)
        assert ran.last_line == "Drift: 1 changed, 1 unmanaged, 1 as in the state."
        assert (
            "To keep what was changed in the service, run `majobctl pull`. To undo it, "
            in ran.stdout
        )

    @pytest.mark.parametrize(
        ("target", "code"), [("alpha", 0), ("al*", 0), ("beta", 2), ("b*", 2), ("*", 2)]
    )
    def test_is_limited_by_the_selection(
        self, target: str, code: int, strangers: Repository
    ) -> None:
        options = ("--unmanaged", "--detailed-exitcode", "--target", target)
        ran = strangers.run("drift", *options, code=code)
        assert ("job_config.beta" in ran.stdout) is (code == 2)

    def test_is_not_what_a_file_describes_here_or_elsewhere(self, strangers: Repository) -> None:
        for here in ({}, {"environments": ["prod"]}):
            strangers.job("beta", **here)
            strangers.done("drift", "--unmanaged", "--detailed-exitcode")

    def test_without_a_state_is_everything(self, strangers: Repository) -> None:
        strangers.state_path.unlink()
        for name in ("alpha", "gamma"):
            strangers.remove(name)
        ran = strangers.run("drift", "--unmanaged", "--detailed-exitcode", code=2)
        assert "There is no state yet" in ran.stdout
        assert ran.last_line == "Drift: 3 unmanaged."

    def test_more_than_markdown_holds_are_counted(self, repository: Repository) -> None:
        repository.cloud(*(f"job-{number:04}" for number in range(900)))
        ran = repository.run("drift", "--unmanaged", "--detailed-exitcode", "--format", "markdown")
        assert (ran.code, len(ran.stdout.encode()) <= 65_000) == (2, True)
        assert "more job configs have drifted than fit here" in ran.stdout
