"""Creating, reading, changing and deleting a configuration."""

from __future__ import annotations

import time
from typing import Any, Literal

import pytest

from majobctl.emulator.faults import Faults

from .client import CONFIGS, Client, Connect, body, error_of

FULL = {
    "config_desc": "Grüße 配置 ☃",
    "worker_server_num": 2,
    "app_url": "/bucket/src/",
    "boot_file_url": "/bucket/src/boot.py",
    "parameter": [{"label": "lr", "value": "0.10"}, {"label": "n", "value": 3}],
    "spec_id": 4,
    "dataset_id": "4AZNvFkN7KYr5EdhFkH",
    "dataset_version_id": "UOF9BIeSGArwVt0oI6T",
    "engine_id": 4,
    "train_url": "/bucket/output/",
    "log_url": "/bucket/log/",
    "user_image_url": "100.125.5.235:20202/jobmng/custom-cpu-base:1.0",
    "user_command": "bash run.sh",
}
COMPUTED = {
    "engine_type": 1,
    "engine_name": "TensorFlow",
    "engine_version": "TF-1.8.0-python3.6",
    "spec_code": "modelarts.vm.gpu.v100",
    "core": "8",
    "cpu": "64",
    "gpu_num": 1,
    "gpu_type": "v100",
    "dataset_name": "dataset-4AZNvFkN7KYr5EdhFkH",
    "dataset_version_name": "version-UOF9BIeSGArwVt0oI6T",
}
UNSET = {
    *("model_id", "data_url", "data_source", "volumes"),
    *("pool_id", "pool_name", "pool_type"),
    *("nas_type", "nas_mount_path", "nas_share_addr"),
}


def test_what_was_sent_comes_back_with_the_computed_fields(client: Client) -> None:
    before = time.time_ns() // 1_000_000
    client.create("full", **FULL)
    config = client.config("full")
    assert before <= config.pop("create_time") <= time.time_ns() // 1_000_000
    expected = {"is_success": True, "config_name": "full", **FULL, **COMPUTED}
    assert config == expected | dict.fromkeys(UNSET)


def test_put_replaces_everything_by_default(client: Client) -> None:
    client.create("a", **FULL)
    created = client.config("a")["create_time"]
    assert client.put("a", body(log_url="/b/other/")).json() == {"is_success": True}
    config = client.config("a")
    assert config["log_url"] == "/b/other/"
    assert config["config_desc"] is config["parameter"] is config["engine_id"] is None
    assert config["create_time"] == created


def test_put_may_name_the_configuration_in_its_body_too(client: Client) -> None:
    client.create("a")
    assert client.put("a", body(config_name="a")).ok
    assert error_of(client.put("a", body(config_name="b"))) == (400, "ModelArts.0104")


def test_merging_keeps_what_is_absent_and_clears_what_is_blank(connect: Connect) -> None:
    client = connect(faults=Faults(put="merge"))
    client.create("a", **FULL)
    answer = client.put("a", {"config_desc": "", "parameter": [], "log_url": None, "spec_id": 5})
    assert error_of(answer) == (400, "ModelArts.2793")
    answer = client.put("a", {"config_desc": "", "parameter": [], "log_url": None})
    assert answer.ok
    config = client.config("a")
    assert config["config_desc"] is config["parameter"] is config["log_url"] is None
    assert config["train_url"] == "/bucket/output/"


def test_merging_checks_the_merged_result(connect: Connect) -> None:
    client = connect(faults=Faults(put="merge"))
    client.create("a", **FULL)
    assert error_of(client.put("a", {"spec_id": None})) == (400, "ModelArts.0101")
    assert error_of(client.put("a", {"boot_file_url": ""})) == (400, "ModelArts.0104")
    assert client.config("a")["boot_file_url"] == FULL["boot_file_url"]
    assert client.put("a", {"model_id": 4}).ok
    assert client.config("a")["app_url"] is None


def test_a_configuration_that_is_not_there_is_404_for_every_method(client: Client) -> None:
    client.create("other")
    for method in ("GET", "PUT", "DELETE"):
        answer = client.call(method, f"{CONFIGS}/none", json=body())
        assert error_of(answer) == (404, "ModelArts.0102"), method


def test_a_refused_put_changes_nothing(client: Client) -> None:
    client.create("a", **FULL)
    before = client.config("a")
    assert error_of(client.put("a", body(spec_id=999))) == (400, "ModelArts.2781")
    assert client.config("a") == before


def test_a_name_can_be_used_once_and_again_after_deleting(client: Client) -> None:
    client.create("a", config_desc="first")
    answer = client.post(body(config_name="a", config_desc="second"))
    assert error_of(answer) == (400, "ModelArts.0103")
    assert client.config("a")["config_desc"] == "first"
    assert client.call("DELETE", f"{CONFIGS}/a").json() == {"is_success": True}
    assert error_of(client.call("GET", f"{CONFIGS}/a")) == (404, "ModelArts.0102")
    client.create("a")


def test_there_are_no_sample_configurations(client: Client) -> None:
    client.create("a")
    assert client.get(f"{CONFIGS}/a", config_type="custom")["config_name"] == "a"
    answer = client.call("GET", f"{CONFIGS}/a?config_type=sample")
    assert error_of(answer) == (404, "ModelArts.0102")
    answer = client.call("GET", f"{CONFIGS}/a?config_type=all")
    assert error_of(answer) == (400, "ModelArts.0101")


def read_with_blanks(
    connect: Connect, blanks: Literal["null", "empty", "missing", "mixed"]
) -> tuple[dict[str, Any], dict[str, Any]]:
    client = connect(faults=Faults(blanks=blanks))
    client.create("a")
    assert client.config("a") == client.config("a")
    return client.config("a"), client.get(CONFIGS)["configs"][0]


def test_unset_fields_come_back_as_null(connect: Connect) -> None:
    config, entry = read_with_blanks(connect, "null")
    assert config["parameter"] is config["log_url"] is entry["config_desc"] is None


def test_unset_fields_come_back_empty(connect: Connect) -> None:
    config, entry = read_with_blanks(connect, "empty")
    assert (config["parameter"], config["log_url"], entry["config_desc"]) == ([], "", "")


def test_unset_fields_come_back_not_at_all(connect: Connect) -> None:
    config, entry = read_with_blanks(connect, "missing")
    assert not {"parameter", "log_url"} & config.keys()
    assert "config_desc" not in entry
    assert config["worker_server_num"] == 1


def test_unset_fields_come_back_in_all_three_forms(connect: Connect) -> None:
    config, _ = read_with_blanks(connect, "mixed")
    unset = UNSET | (FULL.keys() | COMPUTED.keys()) - {"spec_id", "worker_server_num"}
    unset -= {"spec_code", "core", "cpu", "gpu_num", "gpu_type"}
    forms = {str(config.get(key, "missing")) for key in unset}
    assert {"None", "", "missing"} <= forms <= {"None", "", "missing", "[]"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 404),
        ("GET", "nonsense", 404),
        ("GET", f"{CONFIGS}/a/b", 404),
        ("PUT", CONFIGS, 405),
        ("PATCH", f"{CONFIGS}/a", 405),
        ("POST", "built-in-algorithms", 405),
    ],
)
def test_paths_and_methods_that_do_not_exist_are_refused_in_json(
    client: Client, method: str, path: str, status: int
) -> None:
    answer = client.call(method, path)
    assert error_of(answer) == (status, "APIGW.0101")
    assert ("Allow" in answer.headers) == (status == 405)


def test_data_that_fails_is_an_internal_error(client: Client) -> None:
    client.app.close()
    assert error_of(client.call("GET", CONFIGS)) == (500, "ModelArts.0010")


MANIFEST = {"data_url": "/bucket/annotation/V002/v1.manifest"}
OBS, DATASET = {"type": "obs", "data_url": "/b/x/"}, {"type": "dataset", "dataset_id": "d"}
DATASET |= {"dataset_version": "v"}
IDS = {"dataset_id": "d", "dataset_version_id": "v"}


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        ({"data_url": "/b/x/"}, {"data_source": [OBS], "pool_type": "SYSTEM_DEFINED"}),
        ({"data_source": [OBS]}, {"data_url": "/b/x/", "nas_type": "efs"}),
        (IDS, {"data_source": [DATASET], **MANIFEST}),
        ({"data_source": [DATASET]}, {**IDS, **MANIFEST}),
        ({"model_id": 4}, {"app_url": "/usr/app/", "engine_id": 501, "engine_name": "MXNet"}),
        ({"user_image_url": "i"}, {"engine_id": 1, "engine_version": "TF-1.4.0-python2.7"}),
        ({"user_image_url": "i", "engine_id": 4}, {"engine_name": "TensorFlow"}),
        ({"pool_id": "p"}, {"pool_type": "USER_DEFINED", "spec_code": "modelarts.vm.gpu.v100"}),
    ],
)
def test_documented_answers_name_what_follows_beside_what_was_set(
    connect: Connect, given: dict[str, Any], beside: dict[str, Any]
) -> None:
    client = connect(faults=Faults(answers="documented"))
    client.create("a", **given)
    config = client.config("a")
    assert {key: config[key] for key in (*given, *beside)} == {**beside, **given}


@pytest.mark.parametrize("put", ["replace", "merge"])
def test_a_dedicated_pool_replaces_the_flavor(
    connect: Connect, put: Literal["replace", "merge"]
) -> None:
    client = connect(faults=Faults(put=put))
    client.create("a")
    assert client.put("a", {"worker_server_num": 99, "pool_id": "p"}).ok
    config = client.config("a")
    assert (config["pool_id"], config["pool_name"]) == ("p", "p")
    assert config["spec_id"] is config["spec_code"] is None
    assert error_of(client.put("a", {"worker_server_num": 1, "pool_id": ""})) == (
        400,
        "ModelArts.0101",
    )
    assert client.put("a", body(pool_id="")).ok
    assert (client.config("a")["spec_id"], client.config("a")["pool_id"]) == (4, None)
