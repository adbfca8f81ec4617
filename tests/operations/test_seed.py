"""The seed: job configs in TOML become the service's documents, or errors with their places."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.operations.seed import read_seed
from tests.emulator.client import CONFIGS, connecting

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
                {"label": "classes", "value": "10"},
                {"label": "decay", "value": "0.10"},
                {"label": "lr", "value": "1e-5"},
                {"label": "name", "value": "x"},
                {"label": "nesterov", "value": "true"},
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


def test_the_cloud_starts_with_the_seed(tmp_path: Path) -> None:
    with connecting() as connect:
        client = connect(seed=partial(read_seed, seed(tmp_path, FIRST)))
        names = [entry["config_name"] for entry in client.get(CONFIGS)["configs"]]
        assert names == ["vision", "sentiment"]
        assert client.config("sentiment")["spec_code"] == "modelarts.vm.gpu.p100"


def test_a_seed_is_read_once_into_each_project_of_the_data(tmp_path: Path) -> None:
    path = seed(tmp_path, LEAST + "colour = 1\n")
    with connecting() as connect:
        new = partial(connect, data=tmp_path / "emulator.db", seed=partial(read_seed, path))
        with pytest.raises(ConfigError, match="colour"):
            new()
        seed(tmp_path, LEAST)
        new().call("DELETE", f"{CONFIGS}/a")
        assert len(new(project_id="prod").get(CONFIGS)["configs"]) == 1
        path.write_text("broken")
        assert new().get(CONFIGS)["configs"] == []


@pytest.mark.parametrize("text", ["", "[job_config]\n"])
def test_an_empty_seed_gives_an_empty_cloud(tmp_path: Path, text: str) -> None:
    assert read_seed(seed(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("colour = 1", '5: job_config.a: unknown key "colour"'),
        ("boot_file = '/b/x.py'", "5: job_config.a: boot_file needs code_dir"),
        ("log_url = 'x'", "5: job_config.a: log_url must be an OBS path"),
        ("log_url = '${var.x}'", '5: job_config.a: .*no variable "x"'),
        ("log_url = '${env.HOME}'", "5: job_config.a: a seed has values only"),
        ("user_command = 2026-01-01", "5: job_config.a: user_command must be a string"),
        ("dataset_id = 'd'", "5: job_config.a: dataset_id needs dataset_version_id"),
        ("inputs = '/b/x'\ndataset_id = 'd'\ndataset_version_id = 'v'", "6: .*: dataset_id: "),
        ("train_instance_count = 99", "4: job_config.a: train_instance_count: .*at most 4"),
        ("model_name = 'x'", '2: job_config.a: model_name "x" does not exist'),
        ("framework_type = 'PyTorch'", "5: job_config.a: framework_type needs framework_version"),
        ("framework_version = 'x'", "5: job_config.a: framework_version needs framework_type"),
        ("framework_type = 'x'\nframework_version = 'y'", '2: .*framework_type "x" does not exist'),
        (
            "framework_type = 'PyTorch'\nframework_version = 'y'",
            '2: job_config.a: framework_version "y" does not exist',
        ),
        ("hyperparameters = [5]", "5: job_config.a: hyperparameters: item 1"),
        ("data_source = [{type = 'obs'}]", "5: job_config.a.data_source: .*needs data_url"),
        ("[job_config.b]", "5: job_config.b: train_instance_count: .*required"),
        ("[job_config.'b c']", "5: job_config.b c: .*64 letters"),
        ("[job_config]\nb = 5", "6: job_config.b: b must be a table"),
        ("[defaults]", r"5: defaults: a seed has \[job_config.NAME\] only"),
        ("x = ", "5:5: not valid TOML"),
        ("[job_config.b]\nx = 1\n[job_config.c]\nx = 1", "6: .*unknown key(.|\n)*8: .*unknown key"),
    ],
)
def test_every_problem_is_named_with_its_line(tmp_path: Path, lines: str, problem: str) -> None:
    text = LEAST if "count = 99" not in lines else LEAST.replace("train_instance_count = 1\n", "")
    path = seed(tmp_path, text + lines + "\n")
    with pytest.raises(ConfigError, match=f"cloud.toml:{problem}"):
        read_seed(path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("job_config = 5", "cloud.toml:1: job_config must be a table"),
        ("[job_config.a]\ntrain_instance_type = 'x'", 'train_instance_type "x" does not exist'),
        ("[job_config.a]\ntrain_instance_type = ''", "job_config.a: train_instance_count: "),
        (b"\xff", "cloud.toml:1:1: .*not UTF-8"),
        ("a = " + "[" * 20_000, "not valid TOML"),
        (None, "cloud.toml: cannot be read"),
    ],
)
def test_a_seed_of_another_shape_is_an_error(
    tmp_path: Path, text: str | bytes | None, problem: str
) -> None:
    path = tmp_path / "cloud.toml" if text is None else seed(tmp_path, text)
    with pytest.raises(ConfigError, match=problem):
        read_seed(path)


@settings(max_examples=60, deadline=None)
@given(text=st.binary(max_size=80))
def test_any_bytes_are_a_seed_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    path = seed(tmp_path_factory.mktemp("seed"), text)
    try:
        assert isinstance(read_seed(path), list)
    except ConfigError as error:
        assert str(path) in str(error)
