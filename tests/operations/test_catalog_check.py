from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from majobctl.operations.catalog_check import catalog_warnings, warnings_of
from majobctl.repository.config import load_config
from majobctl.service.catalog_cache import CachedList, save_lists
from majobctl.target import Target
from majobctl.text import nearest
from tests.config_files import loaded, write_files

TARGET = Target("https://modelarts.eu-de.otc.t-systems.com", "project-1")
SETTINGS = '[provider]\nregion = "eu-de"\nproject_id = "project-1"\n'
AT = "2026-11-23T12:00:00Z"


def flavor(name: str, max_num: int | None = None) -> dict[str, Any]:
    return {"train_instance_type": name, "max_num": max_num}


def engine(name: str, version: str) -> dict[str, Any]:
    return {"framework_type": name, "framework_version": version}


LISTS = {
    "flavors": CachedList(
        AT,
        [
            flavor("modelarts.vm.cpu.2u", 2),
            flavor("modelarts.vm.cpu.8u", 1),
            flavor("modelarts.vm.gpu.p100", 4),
            flavor("modelarts.kat1.xlarge"),
        ],
    ),
    "engines": CachedList(
        "2026-11-24T12:00:00Z",
        [engine("PyTorch", "PyTorch-1.0.0-python3.6"), engine("MXNet", "MXNet-1.2.1-python3.6")],
    ),
    "algorithms": CachedList("2026-11-25T12:00:00Z", [{"model_name": "ResNet_v2_50"}]),
}

ENGINE_JOB = """\
[job_config.{name}]
train_instance_type = "{flavor}"
train_instance_count = {count}
output_path = "/ml/output/"
code_dir = "/ml/src/"
boot_file = "/ml/src/train.py"
framework_type = "{framework}"
framework_version = "{version}"
inputs = "/ml/data/"
"""
MODEL_JOB = """\
[job_config.model]
train_instance_type = "modelarts.vm.cpu.2u"
train_instance_count = 1
output_path = "/ml/output/"
model_name = "{model}"
inputs = "/ml/data/"
"""


def engine_job(
    name: str = "alpha",
    flavor: str = "modelarts.vm.gpu.p100",
    count: int = 1,
    framework: str = "PyTorch",
    version: str = "PyTorch-1.0.0-python3.6",
) -> str:
    return ENGINE_JOB.format(
        name=name, flavor=flavor, count=count, framework=framework, version=version
    )


def warned(
    root: Path, job: str, defaults: str = "", lists: Mapping[str, CachedList] = LISTS
) -> list[str]:
    """The warnings of a config repository with one file."""
    files = {"jobs/a.toml": job, "majobctl.toml": f"{SETTINGS}{defaults}"}
    return [str(problem) for problem in catalog_warnings(loaded(root, files), lists)]


# What is judged


def test_names_that_were_offered_are_no_warning(tmp_path: Path) -> None:
    job = engine_job(count=4) + MODEL_JOB.format(model="ResNet_v2_50")
    assert warned(tmp_path, job) == []


def test_a_flavor_that_was_not_offered_is_reported_with_its_line_and_the_nearest(
    tmp_path: Path,
) -> None:
    assert warned(tmp_path, engine_job(flavor="modelarts.vm.gpu.p10")) == [
        'jobs/a.toml:2: job_config.alpha: train_instance_type "modelarts.vm.gpu.p10" was not'
        ' offered on 2026-11-23; did you mean "modelarts.vm.gpu.p100" or "modelarts.vm.cpu.8u" or'
        ' "modelarts.vm.cpu.2u"?'
    ]


@pytest.mark.parametrize("written", ["P100", "gpu.p100", "p100"])
def test_a_part_of_a_flavors_name_is_enough_for_a_hint(written: str, tmp_path: Path) -> None:
    (warning,) = warned(tmp_path, engine_job(flavor=written))
    assert warning.endswith('on 2026-11-23; did you mean "modelarts.vm.gpu.p100"?')


def test_an_engine_that_was_not_offered_is_reported_once(tmp_path: Path) -> None:
    assert warned(tmp_path, engine_job(framework="Pytorch")) == [
        'jobs/a.toml:7: job_config.alpha: framework_type "Pytorch" was not offered on 2026-11-24;'
        ' did you mean "PyTorch"?'
    ]


def test_a_version_is_looked_up_in_its_own_engine(tmp_path: Path) -> None:
    assert warned(tmp_path, engine_job(version="MXNet-1.2.1-python3.6")) == [
        'jobs/a.toml:8: job_config.alpha: framework_version "MXNet-1.2.1-python3.6" was not'
        ' offered with framework_type "PyTorch" on 2026-11-24; did you mean'
        ' "PyTorch-1.0.0-python3.6"?'
    ]


def test_an_algorithm_that_was_not_offered_is_reported(tmp_path: Path) -> None:
    assert warned(tmp_path, MODEL_JOB.format(model="ResNet_v2_5")) == [
        'jobs/a.toml:5: job_config.model: model_name "ResNet_v2_5" was not offered on 2026-11-25;'
        ' did you mean "ResNet_v2_50"?'
    ]


def test_more_nodes_than_the_flavor_allows_are_told(tmp_path: Path) -> None:
    assert warned(tmp_path, engine_job(count=5)) == [
        "jobs/a.toml:3: job_config.alpha: train_instance_count 5 is more than the 4 nodes that"
        ' "modelarts.vm.gpu.p100" allows'
    ]
    assert warned(tmp_path, engine_job(count=2, flavor="modelarts.vm.cpu.8u")) == [
        "jobs/a.toml:3: job_config.alpha: train_instance_count 2 is more than the 1 node that"
        ' "modelarts.vm.cpu.8u" allows'
    ]


def test_a_flavor_whose_most_nodes_are_not_told_allows_any(tmp_path: Path) -> None:
    assert warned(tmp_path, engine_job(count=500, flavor="modelarts.kat1.xlarge")) == []


def test_a_name_of_two_flavors_allows_what_the_larger_does(tmp_path: Path) -> None:
    two = [flavor("f", 2), flavor("f", 8), flavor("f")]
    lists = {"flavors": CachedList(AT, two)}
    assert warned(tmp_path, engine_job(count=8, flavor="f"), lists=lists) == []
    (warning,) = warned(tmp_path, engine_job(count=9, flavor="f"), lists=lists)
    assert "the 8 nodes" in warning


@pytest.mark.parametrize("name", LISTS)
def test_a_list_that_is_not_known_judges_nothing(tmp_path: Path, name: str) -> None:
    job = engine_job(flavor="f", framework="e", version="v") + MODEL_JOB.format(model="m")
    assert len(warned(tmp_path, job)) == 3
    rest = {key: offered for key, offered in LISTS.items() if key != name}
    assert len(warned(tmp_path, job, lists=rest)) == 2
    assert len(warned(tmp_path, job, lists={name: LISTS[name]})) == 1
    assert warned(tmp_path, job, lists={}) == []


# Where it is told


def test_a_value_of_the_defaults_is_reported_there_and_once(tmp_path: Path) -> None:
    defaults = '[defaults]\nlog_url = "/ml/log/"\ntrain_instance_type = "nothing.like.it"\n'
    own = engine_job().replace('train_instance_type = "modelarts.vm.gpu.p100"\n', "")
    job = own + own.replace("alpha", "beta") + engine_job("gamma", flavor="other")
    assert warned(tmp_path, job, defaults) == [
        'jobs/a.toml:18: job_config.gamma: train_instance_type "other" was not offered on'
        " 2026-11-23; `majobctl flavors` lists what there is",
        'majobctl.toml:6: defaults: train_instance_type "nothing.like.it" was not offered on'
        " 2026-11-23; `majobctl flavors` lists what there is",
    ]


def test_too_many_nodes_are_told_at_the_key_that_the_job_config_has_itself(tmp_path: Path) -> None:
    count = "[defaults]\ntrain_instance_count = 5\n"
    (warning,) = warned(
        tmp_path, engine_job(count=5).replace("train_instance_count = 5\n", ""), count
    )
    assert warning.startswith("jobs/a.toml:2: job_config.alpha: train_instance_count 5 is more")
    kind = 'train_instance_type = "modelarts.vm.gpu.p100"\n'
    own = engine_job(count=5).replace(kind, "")
    (warning,) = warned(tmp_path, own, f"[defaults]\n{kind}")
    assert warning.startswith("jobs/a.toml:2: job_config.alpha: train_instance_count 5 is more")
    own = own.replace("train_instance_count = 5\n", "")
    (warning,) = warned(tmp_path, own, f"{count}{kind}")
    assert warning.startswith("majobctl.toml:5: defaults: train_instance_count 5 is more")


def test_names_are_safe_to_print(tmp_path: Path) -> None:
    lists = {"flavors": CachedList(AT, [flavor("evil\u202e\x1b[31m")])}
    (warning,) = warned(tmp_path, engine_job(flavor="evil\\u202e[32m"), lists=lists)
    assert "evil\\u202e[32m" in warning
    assert "\\u001b[31m" in warning
    assert "did you mean" in warning
    assert warning.isprintable()


# What is secret


@pytest.mark.parametrize(
    ("key", "job"),
    [
        ("train_instance_type", engine_job(flavor="hidden-value")),
        ("framework_type", engine_job(framework="hidden-value")),
        ("framework_version", engine_job(version="hidden-value")),
        ("model_name", MODEL_JOB.format(model="hidden-value")),
        ("train_instance_count", engine_job(count=77)),
    ],
)
def test_a_sensitive_value_is_neither_judged_nor_shown(tmp_path: Path, key: str, job: str) -> None:
    (warning,) = warned(tmp_path, job)
    assert "hidden-value" in warning or "77" in warning
    assert warned(tmp_path, f'{job}sensitive = ["{key}"]\n') == []
    assert warned(tmp_path, job, f'[defaults]\nsensitive = ["{key}"]\n') == []


def test_a_value_of_the_environment_is_neither_judged_nor_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLAVOR", "modelarts.vm.gpu.p100")
    assert warned(tmp_path, engine_job(flavor="${env.FLAVOR}", count=77)) == []


def test_the_versions_of_a_sensitive_engine_are_not_judged(tmp_path: Path) -> None:
    job = engine_job(version="other") + 'sensitive = ["framework_type"]\n'
    assert warned(tmp_path, job) == []


# From the file


def repository(root: Path, files: Mapping[str, str] | None = None) -> Path:
    """A config repository with a wrong flavor and a wrong engine, and its working folder."""
    job = engine_job(flavor="other.flavor", framework="Other")
    write_files(root, {"jobs/a.toml": job, "majobctl.toml": SETTINGS, **(files or {})})
    return root / ".majobctl"


def test_the_file_is_read_for_the_target_of_the_settings(tmp_path: Path) -> None:
    folder = repository(tmp_path)
    path = folder / "catalogue.json"
    assert warnings_of(load_config(tmp_path)) == []
    save_lists(path, Target(TARGET.endpoint, "another"), {"flavors": LISTS["flavors"]})
    assert warnings_of(load_config(tmp_path)) == []
    save_lists(path, TARGET, {"engines": LISTS["engines"]})
    (warning,) = warnings_of(load_config(tmp_path))
    assert (warning.file, warning.line, warning.where) == ("jobs/a.toml", 7, "job_config.alpha")
    assert warning.message == (
        'framework_type "Other" was not offered on 2026-11-24;'
        " `majobctl engines` lists what there is"
    )


def test_without_a_project_there_is_no_warning(tmp_path: Path) -> None:
    folder = repository(tmp_path, {"majobctl.toml": '[provider]\nregion = "eu-de"\n'})
    save_lists(folder / "catalogue.json", TARGET, {"flavors": LISTS["flavors"]})
    assert warnings_of(load_config(tmp_path)) == []


def test_the_project_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OS_PROJECT_ID", "project-1")
    folder = repository(tmp_path, {"majobctl.toml": '[provider]\nregion = "eu-de"\n'})
    save_lists(folder / "catalogue.json", TARGET, {"flavors": LISTS["flavors"]})
    assert len(warnings_of(load_config(tmp_path))) == 1


def test_a_damaged_file_is_one_warning_that_says_what_to_do(tmp_path: Path) -> None:
    repository(tmp_path, {".majobctl/catalogue.json": "damage"})
    (warning,) = warnings_of(load_config(tmp_path))
    assert str(warning) == (
        ".majobctl/catalogue.json: it is damaged: it is not JSON (line 1, column 1);"
        " `majobctl flavors` writes it again"
    )


# Cost


def test_a_name_that_many_job_configs_have_is_compared_once(tmp_path: Path) -> None:
    jobs = [
        engine_job(f"job-{index}", f"other.{index % 20}", 1 + index % 50, "PyTorch", "1.0")
        for index in range(400)
    ]
    config = loaded(tmp_path, {"majobctl.toml": SETTINGS, "jobs/a.toml": "".join(jobs)})
    codes: list[CodeType] = []
    sys.setprofile(lambda frame, event, _: codes.append(frame.f_code) if event == "call" else None)
    try:
        warnings = catalog_warnings(config, LISTS)
    finally:
        sys.setprofile(None)
    assert len(warnings) == 2 * 400
    # 20 flavors and one version.
    assert codes.count(nearest.__code__) == 21
