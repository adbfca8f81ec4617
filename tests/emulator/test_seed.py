"""The seed: job configs in TOML become the service's documents, or an error with a place."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.emulator.errors import EmulatorError
from majobctl.emulator.seed import read_seed

from .client import CONFIGS, Connect

FIRST = """
[job_config.sentiment]
train_instance_type = "modelarts.vm.gpu.p100"
train_instance_count = 1
framework_type = "PyTorch"
framework_version = "PyTorch-1.0.0-python3.6"
code_dir = "obs://bucket/src/"
boot_file = "/bucket/src/pytorch_sentiment.py"
output_path = "obs://bucket/output/"
log_url = ""
inputs = "/bucket/dataset/"
config_desc = "costs $${5}, Grüße"
job_description = "no field for it"
sensitive = ["lr"]

[job_config.sentiment.hyperparameters]
lr = 1e-5
decay = 0.10
classes = 10
nesterov = true
name = "x"

[job_config.vision]
train_instance_type = "modelarts.vm.gpu.v100"
train_instance_count = 4
model_name = "ResNet_v2_50"
output_path = "/bucket/output/"
framework_type = ""
framework_version = ""
hyperparameters = [{ label = "a b", value = 1 }, { label = "c", value = "d" }]
data_source = [{ type = "obs", data_url = "obs://bucket/in/" }]
"""
LEAST = """
[job_config.a]
train_instance_type = "modelarts.vm.gpu.v100"
train_instance_count = 1
"""


def seed(folder: Path, text: str | bytes) -> Path:
    path = folder / "cloud.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_job_configs_become_the_services_fields(tmp_path: Path) -> None:
    first, second = read_seed(seed(tmp_path, FIRST))
    assert first == (
        "sentiment",
        {
            "worker_server_num": 1,
            "app_url": "/bucket/src/",
            "boot_file_url": "/bucket/src/pytorch_sentiment.py",
            "train_url": "/bucket/output/",
            "data_url": "/bucket/dataset/",
            "config_desc": "costs ${5}, Grüße",
            "spec_id": 951,
            "engine_id": 902,
            "parameter": [
                {"label": "lr", "value": "1e-5"},
                {"label": "decay", "value": "0.10"},
                {"label": "classes", "value": "10"},
                {"label": "nesterov", "value": "true"},
                {"label": "name", "value": "x"},
            ],
        },
    )
    assert second == (
        "vision",
        {
            "worker_server_num": 4,
            "train_url": "/bucket/output/",
            "model_id": 4,
            "spec_id": 4,
            "parameter": [{"label": "a b", "value": "1"}, {"label": "c", "value": "d"}],
            "data_source": [{"type": "obs", "data_url": "/bucket/in/"}],
        },
    )


def test_the_cloud_starts_with_the_seed(connect: Connect, tmp_path: Path) -> None:
    client = connect(seed=seed(tmp_path, FIRST))
    names = [entry["config_name"] for entry in client.get(CONFIGS)["configs"]]
    assert names == ["vision", "sentiment"]
    assert client.config("sentiment")["spec_code"] == "modelarts.vm.gpu.p100"


def test_a_seed_is_read_only_into_new_data(connect: Connect, tmp_path: Path) -> None:
    data, path = tmp_path / "emulator.db", seed(tmp_path, LEAST)
    client = connect(data=data, seed=path)
    client.call("DELETE", f"{CONFIGS}/a")
    path.write_text("broken")
    assert connect(data=data, seed=path).get(CONFIGS)["configs"] == []


def test_each_project_of_the_same_data_gets_its_own_seed(connect: Connect, tmp_path: Path) -> None:
    data, path = tmp_path / "emulator.db", seed(tmp_path, LEAST)
    connect(data=data, seed=path, project_id="dev").call("DELETE", f"{CONFIGS}/a")
    assert len(connect(data=data, seed=path, project_id="prod").get(CONFIGS)["configs"]) == 1
    assert len(connect(data=data, seed=path, project_id="dev").get(CONFIGS)["configs"]) == 0


def test_a_seed_that_was_wrong_is_read_again_once_corrected(
    connect: Connect, tmp_path: Path
) -> None:
    data, path = tmp_path / "emulator.db", seed(tmp_path, LEAST + "colour = 1\n")
    with pytest.raises(EmulatorError, match="colour"):
        connect(data=data, seed=path)
    seed(tmp_path, LEAST)
    assert connect(data=data, seed=path).config("a")["config_name"] == "a"


@pytest.mark.parametrize("text", ["", "[job_config]\n"])
def test_an_empty_seed_gives_an_empty_cloud(tmp_path: Path, text: str) -> None:
    assert read_seed(seed(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ("colour = 1", "job_config.a: colour: unknown key"),
        ("boot_file = '/b/x.py'", "job_config.a: boot_file: .*together"),
        ("log_url = 'x'", "job_config.a: log_url: .*OBS path"),
        ("log_url = '${var.x}'", r"job_config.a: log_url: \$\{\.\.\.\} is not known"),
        ("config_desc = 1.5", "job_config.a: config_desc: .*string"),
        ("user_command = 2026-01-01", "job_config.a: user_command: .*string"),
        ("dataset_id = 'd'", "job_config.a: dataset_id: .*together"),
        ("model_name = 'x'", "job_config.a: model_name: 'x' is not one of ResNet_v2_50"),
        ("model_name = 4", "job_config.a: model_name: 4 is not one of"),
        ("framework_type = 'PyTorch'", "job_config.a: framework_type: needs framework_version"),
        ("framework_version = 'x'", "job_config.a: framework_version: needs framework_type"),
        ("framework_type = 'x'\nframework_version = 'y'", "job_config.a: framework_type: 'x' is"),
        ("framework_type = ['x']\nframework_version = 'y'", "job_config.a: framework_type: "),
        (
            "framework_type = 'PyTorch'\nframework_version = 'y'",
            "job_config.a: framework_version: 'y' is not one of PyTorch-1.0.0-python2.7",
        ),
        ("hyperparameters = 5", "job_config.a: hyperparameters: must be a table"),
        ("hyperparameters = [5]", "job_config.a: hyperparameters: each entry"),
        ("hyperparameters = [{label = 'x'}]", "job_config.a: hyperparameters: each entry"),
        ("hyperparameters = {x = [1]}", "job_config.a: hyperparameters: a value must be"),
        ("hyperparameters = {'' = 1}", "job_config.a: hyperparameters: .*not empty"),
        (
            "hyperparameters = [{label = 'x', value = 1}, {label = 'x', value = 2}]",
            "job_config.a: hyperparameters: .*twice",
        ),
        ("data_source = [5]", "job_config.a: data_source: "),
        ("data_source = [{data_url = 5}]", "job_config.a: data_source: .*strings"),
        ("data_source = [{type = 'obs'}]", "job_config.a: data_source: .*needs data_url"),
        ("[job_config.b]", "job_config.b: train_instance_count: .*required"),
        ("[job_config.'b c']", "job_config.b c: .*64 letters"),
        ("[job_config]\nb = 5", "job_config.b: must be a table"),
        ("[defaults]", "defaults: not known in a seed"),
        ("x = ", "not valid TOML: .*line 5"),
    ],
)
def test_a_problem_names_the_file_the_job_config_and_the_key(
    tmp_path: Path, lines: str, place: str
) -> None:
    path = seed(tmp_path, LEAST + lines + "\n")
    with pytest.raises(EmulatorError, match=f"cloud.toml: {place}"):
        read_seed(path)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("job_config = 5", "job_config: must be tables"),
        ("[job_config]\na = 5", "job_config.a: must be a table"),
        ("[job_config.a]\ntrain_instance_type = 'x'", "train_instance_type: 'x' is not one of"),
        ("[job_config.a]\ntrain_instance_type = ''", "job_config.a: train_instance_count: "),
        (b"\xff", r"\.toml: not UTF-8: byte 0\. Save the seed as UTF-8"),
        ("a = " + "[" * 20_000, "not valid TOML"),
    ],
)
def test_a_seed_of_another_shape_is_an_error(tmp_path: Path, text: str | bytes, place: str) -> None:
    with pytest.raises(EmulatorError, match=place):
        read_seed(seed(tmp_path, text))


def test_a_seed_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmulatorError, match=r"none\.toml: the seed cannot be read: .*Check"):
        read_seed(tmp_path / "none.toml")


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=80))
def test_any_bytes_are_a_seed_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = seed(tmp_path_factory.mktemp("seed"), text)
    try:
        assert isinstance(read_seed(path), list)
    except EmulatorError as error:
        assert str(path) in str(error)
