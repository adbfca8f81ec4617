"""The main job against a server that knows the REST reference only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.config_repository import BODY, Repository
from tests.fake_service import FakeService, Reply, refusal

NO_CODE = dict.fromkeys(("framework_type", "framework_version", "code_dir", "boot_file"))
NAMES = [f"job-{number:02}" for number in range(30)]


def write_all(repository: Repository) -> None:
    for number, name in enumerate(NAMES):
        repository.job(name, train_instance_count=1 + number % 4, config_desc=f"No {number} ☃")


def failing(replies: dict[str, Reply]) -> Callable[[str], Reply | None]:
    return replies.get


def test_thirty_configs_are_thirty_puts_then_none_then_three_after_three_edits(
    on_rest: Repository, rest: FakeService
) -> None:
    write_all(on_rest)
    ran = on_rest.apply()
    assert ran.last_line == ("Apply complete: 30 added. State serial 1.")
    assert rest.puts == {
        name: {**BODY, "worker_server_num": 1 + number % 4, "config_desc": f"No {number} ☃"}
        for number, name in enumerate(NAMES)
    }
    assert len(rest.asked("GET", "job-configs")) == 30
    assert len(rest.asked("GET", "/job/")) == 2  # flavors and engines, each once
    rest.forget_requests()

    assert on_rest.apply().stdout.startswith("No changes. 30 job configs match the state.\n")
    assert (rest.requests, rest.connections) == ([], 0)

    for name in ("job-03", "job-17", "job-29"):
        on_rest.job(name, train_instance_count=4, config_desc="edited")
    ran = on_rest.apply()
    edited = {**BODY, "worker_server_num": 4, "config_desc": "edited"}
    assert rest.puts == dict.fromkeys(("job-03", "job-17", "job-29"), edited)
    assert ran.last_line.startswith("Apply complete: 3 updated")
    assert rest.badly_signed == 0
    assert on_rest.done("plan").stdout == "No changes. 30 job configs match the state.\n"


def test_a_plan_opens_no_connection(on_rest: Repository, rest: FakeService) -> None:
    write_all(on_rest)
    for arguments in (["plan"], ["plan", "--format", "json"], ["validate"], ["show"]):
        on_rest.done(*arguments)
    on_rest.apply("--target", "job-0*")
    rest.forget_requests()
    on_rest.done("plan")
    assert (rest.requests, rest.connections) == ([], 0)


def test_a_plan_needs_no_credentials(on_rest: Repository) -> None:
    on_rest.environment.clear()
    on_rest.job("one")
    assert "1 to add" in on_rest.done("plan").stdout
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert "OS_ACCESS_KEY" in ran.stderr
    assert not on_rest.state_path.exists()


def test_fields_that_are_gone_are_sent_as_blanks(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one", config_desc="text", log_url="/ml/log/", hyperparameters={"lr": "0.1"})
    on_rest.job(
        "two",
        **NO_CODE,
        model_name="yolo_v3",
        inputs=None,
        data_source=[{"type": "obs", "data_url": "/ml/a/"}],
    )
    on_rest.apply()
    two = {"spec_id": 70, "worker_server_num": 1, "train_url": "/ml/output/", "model_id": 12}
    assert rest.puts["two"] == {**two, "data_source": [{"type": "obs", "data_url": "/ml/a/"}]}
    rest.forget_requests()

    on_rest.job("one")
    on_rest.job("two")
    plan = on_rest.done("plan").stdout
    for removed in ("config_desc", "log_url", "hyperparameters.lr", "data_source[0]", "model_name"):
        assert f"      - {removed} " in plan
    on_rest.apply()
    assert rest.puts["one"] == {**BODY, "config_desc": "", "log_url": "", "parameter": []}
    assert rest.puts["two"] == {**BODY, "data_source": [], "model_id": 0}
    assert on_rest.done("plan").stdout.startswith("No changes.")


def test_one_of_several_hyperparameters_that_is_gone_is_just_not_sent(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one", hyperparameters={"lr": "0.1", "a.b": "1", "__x": "2"})
    on_rest.apply()
    rest.forget_requests()
    on_rest.job("one", hyperparameters={"lr": "0.1"})
    on_rest.apply()
    assert rest.puts["one"] == {**BODY, "parameter": [{"label": "lr", "value": "0.1"}]}


def test_failures_do_not_stop_the_others(on_rest: Repository, rest: FakeService) -> None:
    for name in NAMES:
        on_rest.job(name)
    on_rest.apply("--target", "job-00")
    rest.forget_requests()
    on_rest.job("job-00", train_instance_count=2)
    rest.before_put = failing(
        {
            "job-00": refusal(400, "ModelArts.2793", "too many nodes"),
            "job-04": refusal(404, "ModelArts.0102", "job-04 does not exist."),
            "job-11": (200, {"is_success": False, "error_code": "X.1", "error_msg": "no"}, {}),
            "job-12": refusal(404, "ModelArts.0102", "\x1b[31mred\nline"),
        }
    )
    ran = on_rest.run("apply", "--auto-approve", code=3)
    assert len(rest.puts) == 30
    assert ran.last_line == ("Apply incomplete: 26 added, 4 failed. State serial 2.")
    assert "job_config.job-04: failed: ModelArts.0102 job-04 does not exist.\n" in ran.stderr
    assert (
        "Failed:\n"
        "  job_config.job-00: ModelArts.2793 too many nodes (HTTP status 400)\n"
        "      lower train_instance_count, or choose another flavor\n"
        "  job_config.job-04: ModelArts.0102 job-04 does not exist. (HTTP status 404)\n"
        "      create it in ModelArts, or set apply.create_missing = true (and check the project);"
        " then apply again\n"
        "  job_config.job-11: X.1 no (HTTP status 200)\n"
        "  job_config.job-12: ModelArts.0102 \\x1b[31mred\\nline (HTTP status 404)\n"
    ) in ran.stdout
    assert len(on_rest.state["job_configs"]) == 27
    assert on_rest.state["job_configs"]["job-00"]["params"]["train_instance_count"] == 1

    rest.forget_requests()
    rest.before_put = failing({})
    planned = on_rest.done("plan", "--format", "json").document["changes"]
    assert [(item["name"], item["action"]) for item in planned] == [
        ("job-00", "update"),
        ("job-04", "add"),
        ("job-11", "add"),
        ("job-12", "add"),
    ]
    on_rest.apply()
    assert sorted(rest.puts) == ["job-00", "job-04", "job-11", "job-12"]


def test_an_outcome_that_is_not_known_is_sent_again(on_rest: Repository, rest: FakeService) -> None:
    on_rest.settings(rest.settings("retries = 0"))
    on_rest.job("one")
    on_rest.job("two")
    rest.before_put = failing({"two": (200, b'{"is_succ', {})})
    ran = on_rest.run("apply", "--auto-approve", code=3)
    assert ran.last_line == ("Apply incomplete: 1 added, 1 unknown. State serial 1.")
    assert "job_config.two: unknown: " in ran.stderr
    assert on_rest.state["job_configs"]["two"]["pending"] is True
    plan = on_rest.done("plan")
    assert "  again job_config.two " in plan.stdout
    assert "1 to resend" in plan.stdout
    assert "outcome unknown" in on_rest.done("show").stdout
    assert (
        "the last call may have succeeded, or never been sent" in on_rest.done("show", "two").stdout
    )

    rest.before_put = failing({})
    rest.forget_requests()
    ran = on_rest.apply()
    assert rest.puts == {"two": BODY}
    assert ran.last_line == ("Apply complete: 1 resent. State serial 2.")
    assert "pending" not in on_rest.state["job_configs"]["two"]


def test_what_an_unknown_call_may_have_set_is_cleared_by_the_next(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.settings(rest.settings("retries = 0"))
    on_rest.job("one")
    on_rest.apply()
    lost = failing({"one": (200, b"<html>", {})})
    rest.before_put = lost
    on_rest.job("one", log_url="/ml/log/")
    assert on_rest.run("apply", "--auto-approve").code == 3
    on_rest.job("one", config_desc="text")
    assert on_rest.run("apply", "--auto-approve").code == 3
    on_rest.job("one")
    rest.before_put = failing({})
    rest.forget_requests()
    on_rest.apply()
    assert rest.puts == {"one": {**BODY, "log_url": "", "config_desc": ""}}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"train_instance_type": "modelarts.vm.gpu.p10"},
            'train_instance_type "modelarts.vm.gpu.p10" does not exist; did you mean'
            ' "modelarts.vm.gpu.p100"',
        ),
        (
            {"framework_type": "PyTroch"},
            'framework_type "PyTroch" does not exist; did you mean "PyTorch"?',
        ),
        (
            {"framework_version": "PyTorch-1.0.0-python3.7"},
            'framework_version "PyTorch-1.0.0-python3.7" does not exist; did you mean'
            ' "PyTorch-1.0.0-python3.6"?',
        ),
        (
            {"model_name": "yolo_v4", **NO_CODE},
            'model_name "yolo_v4" does not exist; did you mean "yolo_v3"?',
        ),
    ],
)
def test_an_unknown_name_stops_before_the_first_put(
    on_rest: Repository, rest: FakeService, params: dict[str, Any], message: str
) -> None:
    on_rest.job("good")
    on_rest.job("wrong", **params)
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert f"job_config.wrong: {message}" in ran.stderr
    assert "nothing was sent" in ran.stderr
    assert rest.puts == {}
    assert not on_rest.state_path.exists()


def test_parallelism_is_reached_and_never_exceeded(on_rest: Repository, rest: FakeService) -> None:
    for number in range(15):
        on_rest.job(f"job-{number}")
    barrier = threading.Barrier(5)

    def wait_for_four_others(name: str) -> None:
        barrier.wait(20)

    rest.before_put = wait_for_four_others
    on_rest.apply("--parallelism", "5")
    assert len(rest.puts) == 15
    assert rest.most_at_once == 5


def test_the_settings_name_the_parallelism(on_rest: Repository, rest: FakeService) -> None:
    on_rest.settings(rest.settings() + "\n[apply]\nparallelism = 1\n")
    for number in range(5):
        on_rest.job(f"job-{number}")
    on_rest.apply()
    assert rest.most_at_once == 1


def test_connections_are_used_again(on_rest: Repository, rest: FakeService) -> None:
    write_all(on_rest)
    on_rest.apply("--parallelism", "4")
    assert rest.connections <= 5


def test_target_and_exclude_choose_by_name(on_rest: Repository, rest: FakeService) -> None:
    for name in ("cat-1", "cat-2", "dog-1", "Dog-2"):
        on_rest.job(name)
    plan = on_rest.done("plan", "--target", "cat-*", "--target", "dog-?", "--exclude", "*-2")
    assert '2 of 4 job configs selected by --target "cat-*" --target "dog-?" --exclude "*-2".' in (
        plan.stdout
    )
    assert "Plan: 2 to add" in plan.last_line
    ran = on_rest.apply("--target", "cat-*", "--target", "dog-?", "--exclude", "*-2")
    assert sorted(rest.puts) == ["cat-1", "dog-1"]
    assert "2 added" in ran.last_line
    on_rest.remove("cat-1")
    on_rest.remove("dog-1")
    on_rest.apply("--exclude", "[Ddc][oa][gt]-2", "--exclude", "cat-1")
    assert list(on_rest.state["job_configs"]) == ["cat-1"]


def test_a_job_config_that_left_the_files_is_forgotten_without_a_call(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one")
    on_rest.job("two")
    on_rest.apply()
    rest.forget_requests()
    on_rest.remove("two")
    ran = on_rest.apply()
    assert ran.last_line == ("Apply complete: 1 forgotten. State serial 2.")
    assert "job_config.two: forgotten\n" in ran.stderr
    assert rest.asked("PUT") == []
    assert list(on_rest.state["job_configs"]) == ["one"]


def test_throttling_and_passing_faults_are_lived_through(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one")
    on_rest.job("two")
    replies: dict[str, list[Reply]] = {
        "one": [(429, {"error_code": "APIGW.0308", "error_msg": "busy"}, {"Retry-After": "0"})],
        "two": [(502, b"<html>Bad Gateway</html>", {})],
    }
    rest.before_put = lambda name: replies[name].pop() if replies[name] else None
    on_rest.apply()
    assert rest.configs == {"one": BODY, "two": BODY}
    assert len(rest.asked("PUT")) == 4


def test_no_secret_is_in_any_file_or_message(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one")
    rest.before_put = failing({"one": (401, {"error_code": "APIGW.0301", "error_msg": "no"}, {})})
    ran = on_rest.run("apply", "--auto-approve", code=3)
    secret = rest.environment["OS_SECRET_KEY"]
    texts = [ran.stdout, ran.stderr]
    texts += [path.read_text() for path in on_rest.root.rglob("*") if path.is_file()]
    assert all(secret not in text and "Signature=" not in text for text in texts)
