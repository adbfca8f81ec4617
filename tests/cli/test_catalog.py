from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from majobctl.operations.catalog_check import warnings_of
from majobctl.repository.config import load_config
from tests.config_repository import Repository
from tests.fake_service import ENVIRONMENT, PROJECT, FakeService

LISTS = ("flavors", "engines", "algorithms")
STAND_IN = Path(__file__).parent.parent / "service" / "stand_in"


def cache_path(repository: Repository) -> Path:
    return repository.root / ".majobctl" / "catalogue.json"


def cache(repository: Repository) -> Any:
    return json.loads(cache_path(repository).read_bytes())


def words(text: str) -> list[list[str]]:
    """The cells of a table, where no cell has two spaces in it."""
    return [[cell.strip() for cell in line.split("  ") if cell] for line in text.splitlines()]


# What is printed


def test_flavors_are_a_table(on_emulator: Repository) -> None:
    lines = on_emulator.done("flavors").stdout.splitlines()
    assert lines[:3] == [
        "train_instance_type      vCPUs  memory (GB)  GPUs  GPU type              max nodes"
        "  sold out",
        "modelarts.bm.gpu.8v100      72          512     8  nvidia-v100-nvlink32         16  no",
        "modelarts.kat1.8xlarge     192          720     0                                4  no",
    ]
    assert len(lines) == 11


def test_engines_are_a_table_with_the_keys_of_a_job_config(on_emulator: Repository) -> None:
    table = words(on_emulator.done("engines").stdout)
    assert table[0] == ["framework_type", "framework_version"]
    versions = [row[1] for row in table if row[0] == "TensorFlow"]
    assert versions[:3] == ["TF-1.4.0-python2.7", "TF-1.8.0-python2.7", "TF-1.8.0-python3.6"]
    assert versions[-1] == "TF-2.1.0-python3.6"


def test_algorithms_are_a_table_with_engine_and_hyperparameters(on_emulator: Repository) -> None:
    text = on_emulator.done("algorithms").stdout
    assert text.startswith("model_name  ")
    (line,) = [line for line in text.splitlines() if line.startswith("yolo_v3")]
    assert line.split("  ")[-1] == "lr, batch_size, num_epoch"
    assert "  MXNet       MXNet-1.2.1-python2.7  " in line


def test_json_is_one_document_with_the_same_items(on_emulator: Repository) -> None:
    document = on_emulator.done("flavors", "--format", "json").document
    assert list(document) == ["format_version", "majobctl_version", "target", "flavors"]
    assert document["format_version"] == "1.0"
    assert document["target"] == {"endpoint": "emulator", "project_id": "emulator"}
    assert document["flavors"][3] == {
        "train_instance_type": "modelarts.vm.cpu.2u",
        "core": "2",
        "cpu": "8",
        "gpu_num": 0,
        "gpu_type": "",
        "max_num": 2,
        "no_resource": False,
    }
    engines = on_emulator.done("engines", "--format", "json").document["engines"]
    assert {tuple(engine) for engine in engines} == {("framework_type", "framework_version")}
    algorithms = on_emulator.done("algorithms", "--format", "json").document["algorithms"]
    assert algorithms[-1] == {
        "model_name": "yolo_v3",
        "engine_name": "MXNet",
        "engine_version": "MXNet-1.2.1-python2.7",
        "hyperparameters": {"lr": "0.0001", "batch_size": "4", "num_epoch": "10"},
    }


def test_the_same_lists_give_the_same_bytes(on_emulator: Repository) -> None:
    for name in LISTS:
        first = on_emulator.done(name, "--format", "json")
        assert on_emulator.done(name, "--format", "json") == first


def test_what_the_service_does_not_say_is_empty(on_rest: Repository) -> None:
    assert on_rest.done("flavors").stdout == (
        "train_instance_type    vCPUs  memory (GB)  GPUs  GPU type  max nodes  sold out\n"
        "modelarts.vm.cpu.2u                                                4\n"
        "modelarts.vm.gpu.p100                                              4\n"
        "modelarts.vm.gpu.v100                                              4\n"
    )
    flavors = on_rest.done("flavors", "--format", "json").document["flavors"]
    assert (flavors[0]["core"], flavors[0]["max_num"]) == (None, 4)
    assert on_rest.done("algorithms").stdout.splitlines()[1:] == ["ResNet_v2_50", "yolo_v3"]


def test_an_empty_list_is_said_to_be_one(on_rest: Repository, rest: FakeService) -> None:
    rest.engines = []
    assert on_rest.done("engines").stdout == "The service offers no engines.\n"
    assert on_rest.done("engines", "--format", "json").document["engines"] == []


def test_hostile_names_are_shown_as_escapes(on_rest: Repository, rest: FakeService) -> None:
    rest.specs.append({"spec_id": 66, "spec_code": "evil\x1b[31m\n\u202e", "max_num": 4})
    text = on_rest.done("flavors").stdout
    assert "\nevil\\x1b[31m\\n\\u202e  " in text
    assert "\x1b" not in text
    document = on_rest.done("flavors", "--format", "json")
    assert "\x1b" not in document.stdout
    assert document.document["flavors"][0]["train_instance_type"] == "evil\x1b[31m\n\u202e"


def test_only_the_first_hyperparameters_of_many_are_shown(
    on_rest: Repository, rest: FakeService
) -> None:
    many = json.dumps([{"label": f"label_{index}", "value": ""} for index in range(40)])
    rest.models = [{"model_name": "big", "parameter": many}]
    shown = words(on_rest.done("algorithms").stdout)[1][-1]
    assert shown.startswith("label_0, label_1, ")
    assert (len(shown), shown[-1]) == (60, "…")
    (model,) = on_rest.done("algorithms", "--format", "json").document["algorithms"]
    assert len(model["hyperparameters"]) == 40


def test_one_list_is_asked_for_and_nothing_is_sent(on_rest: Repository, rest: FakeService) -> None:
    paths = ("/job/resource-specs", "/job/ai-engines", "/built-in-algorithms")
    for name, path in zip(LISTS, paths, strict=True):
        rest.forget_requests()
        on_rest.done(name)
        asked = [(item.method, item.path) for item in rest.requests]
        assert asked == [("GET", f"/v1/{PROJECT}{path}")]


def test_neither_state_nor_job_files_are_needed(on_emulator: Repository) -> None:
    on_emulator.state_path.write_bytes(b"damage")
    on_emulator.write("jobs/alpha.toml", "damage")
    on_emulator.done("flavors")


def test_the_official_sdk_has_names_only(repository: Repository) -> None:
    repository.settings('[provider]\nkind = "sdk"\nregion = "eu-de"\nproject_id = "p"\n')
    repository.environment.update(ENVIRONMENT, PYTHONPATH=str(STAND_IN))
    ran = repository.process("flavors")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[1:] == ["modelarts.vm.cpu.2u"]
    assert repository.process("engines").code == 0
    ran = repository.process("algorithms")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[1:] == ["ResNet_v2_50"]
    # It shows a part of the algorithms, so that nothing can be said of the others.
    assert list(cache(repository)) == ["format_version", "target", "flavors", "engines"]


# What goes wrong


def test_a_service_that_refuses_is_an_error_and_leaves_the_cache(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.done("flavors")
    before = cache_path(on_rest).read_bytes()
    on_rest.environment["OS_SECRET_KEY"] = "wrong"
    ran = on_rest.run("flavors", code=1)
    assert ran.stdout == ""
    assert "OS_SECRET_KEY, or a credential file) and this machine's clock" in ran.stderr
    assert cache_path(on_rest).read_bytes() == before


def test_without_credentials_or_a_repository_it_is_an_error(
    repository: Repository, rest: FakeService
) -> None:
    for name in LISTS:
        assert "no majobctl.toml" in repository.run(name).stderr
    repository.settings(rest.settings())
    for name in LISTS:
        ran = repository.run(name)
        assert (ran.code, ran.stdout) == (1, "")
        assert "OS_ACCESS_KEY" in ran.stderr
    repository.settings("[provider]\nkind = 5\n")
    ran = repository.run("flavors")
    assert "majobctl.toml:2: provider: kind must be a string" in ran.stderr
    assert not cache_path(repository).exists()


def test_a_cache_that_cannot_be_written_is_a_warning(on_rest: Repository) -> None:
    on_rest.write(".majobctl", "no folder")
    ran = on_rest.done("engines")
    assert ran.stderr == (
        "Warning: .majobctl/catalogue.json cannot be written: File exists; engines are not cached\n"
    )
    assert "PyTorch-1.0.0-python3.6" in ran.stdout
    assert on_rest.done("engines", "--format", "json").document["engines"]


# What is kept


def test_each_list_is_kept_with_its_time(on_emulator: Repository) -> None:
    start = datetime.now(timezone.utc).replace(microsecond=0)
    items = {}
    for name in LISTS:
        items[name] = on_emulator.done(name, "--format", "json").document[name]
    kept = cache(on_emulator)
    assert list(kept) == ["format_version", "target", *LISTS]
    assert kept["target"] == {"endpoint": "emulator", "project_id": "emulator"}
    for name in LISTS:
        assert kept[name]["items"] == items[name]
        read_at = datetime.strptime(kept[name]["read_at"], "%Y-%m-%dT%H:%M:%S%z")
        assert start <= read_at <= start + timedelta(minutes=5)


def test_another_target_begins_a_new_cache(on_rest: Repository, rest: FakeService) -> None:
    on_rest.done("flavors")
    on_rest.done("engines")
    assert cache(on_rest)["target"] == {"endpoint": rest.url, "project_id": PROJECT}
    on_rest.cloud()
    on_rest.done("engines")
    assert list(cache(on_rest)) == ["format_version", "target", "engines"]


def test_a_damaged_cache_is_replaced_without_a_word(on_emulator: Repository) -> None:
    on_emulator.write(".majobctl/catalogue.json", "damage")
    assert on_emulator.done("flavors").stderr == ""
    assert list(cache(on_emulator)) == ["format_version", "target", "flavors"]


def test_what_is_kept_is_what_offline_warnings_know(on_rest: Repository, rest: FakeService) -> None:
    on_rest.job("one", train_instance_type="modelarts.vm.gpu.p10", train_instance_count=3)
    on_rest.job("two", train_instance_count=5)
    for name, value in on_rest.environment.items():
        on_rest.monkeypatch.setenv(name, value)
    for name in LISTS:
        on_rest.done(name)
    rest.forget_requests()
    one, two = map(str, warnings_of(load_config(on_rest.root)))
    day = cache(on_rest)["flavors"]["read_at"][:10]
    assert one.startswith(
        'jobs/one.toml:8: job_config.one: train_instance_type "modelarts.vm.gpu.p10" was not'
        f' offered on {day}; did you mean "modelarts.vm.gpu.p100"'
    )
    assert two == (
        "jobs/two.toml:9: job_config.two: train_instance_count 5 is more than the 4 nodes that"
        ' "modelarts.vm.gpu.p100" allows'
    )
    assert rest.requests == []


def test_the_help_names_the_file(on_emulator: Repository) -> None:
    for name in LISTS:
        assert ".majobctl/catalogue.json" in on_emulator.done(name, "--help").stdout
