"""``apply --verify``: what the service has afterwards, compared with what was sent."""

from __future__ import annotations

from typing import Any

import pytest

from tests.config_repository import Repository
from tests.live_cloud import Asked, Cloud, Reply


@pytest.fixture
def repo(on_cloud: Repository, cloud: Cloud) -> Repository:
    on_cloud.settings(cloud.settings("[apply]\ncreate_missing = true\ndelete_removed = true"))
    on_cloud.job("alpha", config_desc="mine")
    on_cloud.job("beta", config_desc="mine")
    return on_cloud


def takes_otherwise(cloud: Cloud, name: str, **fields: Any) -> None:
    """From now on the service has these fields of its own after each PUT or POST."""

    def change(asked: Asked) -> None:
        is_write = asked.name == name and asked.method in ("PUT", "POST")
        if is_write and name in cloud.console.names():
            cloud.console.change(name, **fields)

    cloud.after = change


def test_what_was_taken_as_sent_is_done(repo: Repository, cloud: Cloud) -> None:
    repo.job("new", config_desc="mine", hyperparameters={"lr": "1e-5"})
    ran = repo.apply("--verify")
    assert "1 created" in ran.last_line
    assert cloud.take() == {
        **dict.fromkeys(("PUT alpha", "PUT beta", "POST new", "GET list"), 1),
        **dict.fromkeys(("GET alpha", "GET beta", "GET new"), 2),
    }
    repo.remove("new")
    repo.job("beta", config_desc="mine", prevent_delete=True)
    repo.apply("--verify")
    calls = {"DELETE new": 1, "GET new": 2, "GET list": 1}
    assert cloud.take() == calls, "what needs no call is not read"


def test_without_it_nothing_is_read_back(repo: Repository, cloud: Cloud) -> None:
    repo.apply()
    assert cloud.take() == dict.fromkeys(("GET alpha", "PUT alpha", "GET beta", "PUT beta"), 1)


def test_what_was_not_taken_is_reported_with_field_and_both_values(
    repo: Repository, cloud: Cloud
) -> None:
    takes_otherwise(cloud, "alpha", config_desc="cut", log_url="/ml/log/", data_url="")
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    told = (
        "log_url is set, but blank was sent;"
        ' config_desc is "cut", but "mine" was sent;'
        ' inputs is blank, but "/ml/data/" was sent'
    )
    assert f"job_config.alpha: not verified: {told}\n" in ran.stderr
    assert f"Not verified:\n  job_config.alpha: {told}\n      majobctl drift shows" in ran.stdout
    assert "1 not verified" in ran.last_line
    assert ran.last_line.startswith("Apply incomplete: 2 added")
    entry = repo.state["job_configs"]["alpha"]
    assert entry["params"]["config_desc"] == "mine"
    assert "pending" not in entry
    assert repo.done("plan").stdout.startswith("No changes.")
    assert "changed in the service" in repo.done("plan", "--refresh").stdout


def test_the_result_says_the_same_as_json(repo: Repository, cloud: Cloud) -> None:
    takes_otherwise(cloud, "alpha", config_desc="cut")
    ran = repo.run("apply", "--auto-approve", "--verify", "--format", "json", code=3)
    document = ran.document
    assert document["complete"] is False
    assert document["summary"]["added"] == 2
    assert document["summary"]["not_verified"] == 1
    (result,) = (item for item in document["results"] if item["name"] == "alpha")
    assert result["outcome"] == "not verified"
    assert result["error_msg"] == 'config_desc is "cut", but "mine" was sent'


def test_a_sensitive_value_is_not_reported(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", hyperparameters={"token": "hidden-token", "lr": "1"}, sensitive=["token"])
    parameters = [{"label": "token", "value": "intruding-token"}, {"label": "lr", "value": "2"}]
    takes_otherwise(cloud, "alpha", parameter=parameters)
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "hyperparameters.token (sensitive) is not as it was sent" in ran.stdout
    assert 'hyperparameters.lr is "2", but "1" was sent' in ran.stdout
    assert "-token" not in ran.stdout + ran.stderr


def test_a_sensitive_value_that_was_to_be_cleared_is_not_reported(
    repo: Repository, cloud: Cloud
) -> None:
    repo.job("alpha", hyperparameters={"token": "hidden-token", "lr": "1"}, sensitive=["token"])
    repo.apply()
    repo.job("alpha", hyperparameters={"lr": "1"})
    kept = [{"label": "token", "value": "hidden-token"}, {"label": "lr", "value": "1"}]
    takes_otherwise(cloud, "alpha", parameter=kept)
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "hyperparameters.token" in ran.stdout
    assert "hidden-token" not in ran.stdout + ran.stderr


def test_a_value_that_was_not_sent_is_not_reported(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", hyperparameters={"lr": "1"}, sensitive=["hyperparameters"])
    parameters = [{"label": "key", "value": "intruding"}, {"label": "lr", "value": "intruding"}]
    takes_otherwise(cloud, "alpha", parameter=parameters)
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "hyperparameters.key is set, but blank was sent" in ran.stdout
    assert "hyperparameters.lr (sensitive) is not as it was sent" in ran.stdout
    assert "intruding" not in ran.stdout + ran.stderr


def test_one_that_cannot_be_read_back_is_reported_and_kept(repo: Repository, cloud: Cloud) -> None:
    refusal = Reply(403, {"error_code": "ModelArts.0110", "error_msg": "may not be read"})
    cloud.before = lambda asked: (
        refusal if asked == ("GET", "alpha") and ("PUT", "alpha") in cloud.asked else None
    )
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "job_config.alpha: not verified: it could not be read back: " in ran.stderr
    assert "ModelArts.0110 may not be read" in ran.stderr
    assert list(repo.state["job_configs"]) == ["alpha", "beta"]
    assert repo.done("plan").stdout.startswith("No changes.")


def test_one_that_is_gone_again_is_reported(repo: Repository, cloud: Cloud) -> None:
    def vanish(asked: Asked) -> None:
        if asked == ("PUT", "alpha"):
            cloud.console.delete("alpha")

    cloud.after = vanish
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "job_config.alpha: not verified: the service does not have it" in ran.stderr


def test_one_that_is_still_there_after_a_deletion_is_reported(
    repo: Repository, cloud: Cloud
) -> None:
    repo.apply()
    repo.remove("alpha")
    cloud.before = lambda asked: (
        Reply(200, {"is_success": True}) if asked.method == "DELETE" else None
    )
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "job_config.alpha: not verified: the service still has it" in ran.stderr
    assert list(repo.state["job_configs"]) == ["beta"]


def test_a_failed_one_is_not_read_back(repo: Repository, cloud: Cloud) -> None:
    refusal = Reply(400, {"error_code": "ModelArts.2791", "error_msg": "no such path"})
    cloud.before = lambda asked: refusal if asked == ("PUT", "alpha") else None
    repo.run("apply", "--auto-approve", "--verify", code=3)
    assert cloud.take() == {"GET alpha": 1, "PUT alpha": 1, "PUT beta": 1, "GET beta": 2}


def test_a_saved_plan_is_verified_too(repo: Repository, cloud: Cloud) -> None:
    repo.done("plan", "--out", "saved.plan")
    takes_otherwise(cloud, "alpha", config_desc="cut")
    ran = repo.run("apply", "saved.plan", "--verify", code=3)
    assert 'config_desc is "cut", but "mine" was sent' in ran.stdout


def test_the_old_name_is_not_deleted_while_the_new_one_is_not_verified(
    repo: Repository, cloud: Cloud
) -> None:
    repo.apply()
    repo.remove("alpha")
    repo.job("gamma", config_desc="mine", renamed_from="alpha")
    takes_otherwise(cloud, "gamma", config_desc="cut")
    ran = repo.run("apply", "--auto-approve", "--verify", code=3)
    assert "job_config.alpha: it waits until job_config.gamma, its new name, is there" in ran.stdout
    assert "alpha" in cloud.console.names()
    assert list(repo.state["job_configs"]) == ["alpha", "beta", "gamma"]
