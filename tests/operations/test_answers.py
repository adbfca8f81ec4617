"""Whatever the service's answers name beside what was set, whatever an update leaves as it was, and
however an unset field comes back: nothing differs that nobody changed, and what somebody changed in
the service is seen."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.emulator.faults import Faults
from majobctl.job_config.fields import FIELDS
from majobctl.operations import ConfigRepository, apply, drift, import_configs, plan
from majobctl.operations.context import provider_of
from majobctl.plan.change import Action
from majobctl.plan.results import ApplyResult, ChangeStatus
from majobctl.repository.authoring.generate import JobTable
from majobctl.service.sdk_calls import DONE
from tests import fake_service
from tests.live_cloud import Cloud, running
from tests.strategies import known_params

Params = Mapping[str, Any]
NAME = "job"
GROUPS = (
    {"train_instance_type", "train_instance_count", "pool_id"},
    {"code_dir", "boot_file", "framework_type", "framework_version", "model_name"}
    | {"user_image_url", "user_command"},
    {"inputs", "dataset_id", "dataset_version_id", "data_source"},
    *({key} for key in ("output_path", "hyperparameters", "log_url", "config_desc")),
)
"""The keys that change together, so that one change breaks no rule."""

faults = st.builds(
    Faults,
    put=st.sampled_from(["replace", "merge"]),
    blanks=st.sampled_from(["null", "empty", "missing", "mixed"]),
    answers=st.sampled_from(["plain", "documented"]),
)


@st.composite
def edits(draw: st.DrawFn) -> tuple[Params, Params]:
    """A job config, and what somebody makes of it in one or two places."""
    before, other = draw(known_params), draw(known_params)
    keys = set[str]().union(*draw(st.lists(st.sampled_from(GROUPS), min_size=1, max_size=2)))
    after = {**before, **{key: other.get(key) for key in keys}}
    return before, {key: value for key, value in after.items() if value is not None}


def meaning(params: Params) -> Params:
    """``params`` in one of the words that they have for the same thing."""
    found = dict(params)
    if "inputs" in found:
        found["data_source"] = [{"type": "obs", "data_url": found.pop("inputs")}]
    if "dataset_id" in found:
        dataset = {"dataset_id": found.pop("dataset_id")}
        dataset["dataset_version"] = found.pop("dataset_version_id")
        found["data_source"] = [{"type": "dataset", **dataset}]
    if "user_image_url" in found and found.get("framework_version") == "TF-1.4.0-python2.7":
        del found["framework_type"], found["framework_version"]
    return found


def repository(folder: Path, cloud: Cloud, params: Params | None = None) -> ConfigRepository:
    folder.mkdir()
    found = cloud.settings("[apply]\ncreate_missing = true\n")
    (folder / "majobctl.toml").write_text(found)
    if params:
        describe(folder, params)
    return ConfigRepository(folder)


def describe(folder: Path, params: Params) -> None:
    (folder / "jobs").mkdir(exist_ok=True)
    (folder / "jobs/job.toml").write_text(JobTable(name=NAME, values=params).text(), "utf-8")


def applied(at: ConfigRepository, **options: Any) -> ApplyResult:
    return apply(at, approve=lambda plan: True, verify=True, **options)


def check_unchanged(at: ConfigRepository, cloud: Cloud) -> None:
    """The service is as the state and the files say, and nothing is left to be sent."""
    assert drift(at).changes == ()
    assert plan(at, refresh="all").changes == ()
    cloud.take()
    assert applied(at, refresh="all").results == ()
    assert cloud.writes() == []


def check_seen(at: ConfigRepository, cloud: Cloud, params: Params) -> None:
    """What was changed in the service shows, is not undone unseen, and can be undone."""
    assert [item.name for item in drift(at).changes] == [NAME]
    (change,) = plan(at, refresh="all").changes
    assert change.action is Action.UPDATE
    describe(at.folder, {**params, "train_instance_count": 1, "config_desc": "edited"})
    cloud.take()
    result = applied(at)
    assert [item.status for item in result.results] == [ChangeStatus.HELD_BACK]
    assert cloud.writes() == []
    describe(at.folder, params)
    assert applied(at, refresh="all", overwrite=True).is_complete
    check_unchanged(at, cloud)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OS_ACCESS_KEY", "OS_SECRET_KEY"):
        monkeypatch.setenv(name, "emulator")


@settings(max_examples=25)
@given(faults, edits())
def test_nothing_differs_that_nobody_changed_and_what_somebody_changed_is_seen(
    faults: Faults, edit: tuple[Params, Params]
) -> None:
    first, second = edit
    with tempfile.TemporaryDirectory() as name, running(Path(name), faults=faults) as cloud:
        ours = repository(Path(name) / "ours", cloud, first)
        assert applied(ours).is_complete
        check_unchanged(ours, cloud)

        for params in (second, first):
            describe(ours.folder, params)
            assert applied(ours).is_complete
            check_unchanged(ours, cloud)

        theirs = repository(Path(name) / "theirs", cloud)
        assert import_configs(theirs, names=["*"]).imported == (NAME,)
        found = theirs.load_config().job_configs[NAME].params
        assert meaning(found) == meaning(first)
        check_unchanged(theirs, cloud)

        cleared = [key for key in FIELDS if key in first and key not in second]
        with provider_of(ours.load_settings(), 1) as console:
            assert console.update_job_config(NAME, second, cleared) == DONE
        if meaning(first) != meaning(second):
            check_seen(ours, cloud, first)
        elif first.keys() <= second.keys():
            check_unchanged(ours, cloud)


FULL = {
    "worker_server_num": 1,
    "spec_id": 2,
    "train_url": "/usr/train/",
    **{"app_url": "/usr/app/", "boot_file_url": "/usr/app/boot.py", "engine_id": 4},
    **{"data_url": "/usr/data/", "data_source": [{"type": "obs", "data_url": "/usr/data/"}]},
    **{"dataset_id": "d1", "dataset_version_id": "v1", "model_id": 4},
    **{"user_image_url": "swr/image:1", "user_command": "run"},
    **{"pool_id": "pool1", "pool_type": "SYSTEM_DEFINED", "nas_type": "efs", "volumes": None},
}
"""What the documented sample of a configuration's details names at once."""
NODE = {"train_instance_type": "modelarts.vm.cpu.2u", "train_instance_count": 1}
NODE |= {"output_path": "/usr/train/"}
MODEL, DATASET = {"model_name": "ResNet_v2_50"}, {"dataset_id": "d1", "dataset_version_id": "v1"}
CODE = {"code_dir": "/usr/app/", "boot_file": "/usr/app/boot.py"}
ENGINE = {"framework_type": "TensorFlow", "framework_version": "TF-1.8.0-python3.6"}
IMAGE = {"user_image_url": "swr/image:1", "user_command": "run"}
DEFAULT = {"engine_name": "TensorFlow", "engine_version": "TF-1.4.0-python2.7", "engine_id": 1}
URL = {"inputs": "/usr/data/"}


@pytest.mark.parametrize(
    ("changed", "meant", "left_out"),
    [
        (
            {},
            MODEL | DATASET,
            "boot_file, code_dir, data_source, inputs, user_command, user_image_url",
        ),
        (
            {"data_source": [], "data_url": "/a/V002/v1.manifest", **dict.fromkeys(IMAGE)},
            MODEL | DATASET,
            "boot_file, code_dir, inputs",
        ),
        (
            {
                "model_id": 0,
                "dataset_id": "",
                "dataset_version_id": None,
                "user_image_url": "",
                "user_command": "",
                "spec_id": 0,
                "flavor": {"code": "modelarts.vm.cpu.2u"},
            },
            CODE | ENGINE | URL,
            "data_source",
        ),
        (
            {"model_id": None, **DEFAULT, "app_url": "", "boot_file_url": ""},
            IMAGE | DATASET,
            "data_source, framework_type, framework_version, inputs",
        ),
        (
            {
                "data_source": None,
                "data_url": None,
                "app_url": None,
                "boot_file_url": None,
                "engine_id": 0,
                **dict.fromkeys(IMAGE),
            },
            MODEL | DATASET,
            "",
        ),
    ],
)
def test_a_documented_answer_is_imported_and_never_differs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    meant: dict[str, Any],
    left_out: str,
) -> None:
    with fake_service.running() as service:
        service.configs = {NAME: {**FULL, **changed}}
        at = ConfigRepository(tmp_path)
        (tmp_path / "majobctl.toml").write_text(service.settings())
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        found = import_configs(at, names=["*"])
        text = "left out what the service derives"
        assert list(found.warnings) == [f"job_config.{NAME}: {text}: {left_out}"] * bool(left_out)
        assert at.load_config().job_configs[NAME].params == NODE | meant
        assert drift(at).changes == ()
        assert plan(at, refresh="all").changes == ()
