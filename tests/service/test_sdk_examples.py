"""The samples of the SDK's document run as they are, against a loopback server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from majobctl import emulator
from majobctl.operations.seed import read_seed
from majobctl.service.estimator import Estimator
from majobctl.service.session import Session
from tests.fake_service import ACCESS_KEY, PROJECT, SECRET_KEY, FakeService
from tests.service.sdk_samples import EXAMPLES, SAMPLES, SESSIONS, WITHOUT_PROJECT

UPDATES = ("update_with_obs.py", "update_with_dataset.py")
DATA: dict[str, dict[str, str]] = {
    "update_with_obs.py": {"data_url": "/bucket/dataset/"},
    "update_with_dataset.py": {
        "dataset_id": "4AZNvFkN7KYr5EdhFkH",
        "dataset_version_id": "UOF9BIeSGArwVt0oI6T",
    },
}


def run(sample: str | Path, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", str(EXAMPLES / sample)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


@pytest.mark.parametrize("sample", UPDATES)
def test_a_sample_updates_its_configuration(sample: str, service: FakeService) -> None:
    service.configs["my_job_config"] = {}
    shown = run(
        sample,
        MAJOBCTL_ENDPOINT=service.url,
        HUAWEICLOUD_SDK_AK=ACCESS_KEY,
        HUAWEICLOUD_SDK_SK=SECRET_KEY,
        HUAWEICLOUD_SDK_PROJECT_ID=PROJECT,
    )
    assert shown == "{'is_success': True}\n"
    assert service.configs["my_job_config"] == {
        "spec_id": 70,
        "worker_server_num": 1,
        "train_url": "/bucket/output/",
        "app_url": "/bucket/src/",
        "boot_file_url": "/bucket/src/pytorch_sentiment.py",
        "engine_id": 31,
        "parameter": [{"label": "classes", "value": "10"}, {"label": "lr", "value": "0.001"}],
        "log_url": "/bucket/log/",
        "config_desc": "update",
        **DATA[sample],
    }


@pytest.mark.parametrize("sample", UPDATES)
def test_a_sample_reports_a_failure_as_the_sdk_does(sample: str, service: FakeService) -> None:
    shown = run(
        sample,
        MAJOBCTL_ENDPOINT=service.url,
        OS_ACCESS_KEY=ACCESS_KEY,
        OS_SECRET_KEY=SECRET_KEY,
        OS_PROJECT_ID=PROJECT,
    )
    assert "'is_success': False, 'error_code': 'ModelArts.0102'" in shown


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """The address of an emulator in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "majobctl", "emulator", "serve"], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
        process.terminate()


def test_the_pages_have_19_samples() -> None:
    assert len(SAMPLES) + len(SESSIONS) == 19


class TestEverySampleOfItsPages:
    """With nothing but the package's name changed, in a process of its own."""

    @pytest.fixture(autouse=True)
    def _cloud(self, served: str, request: pytest.FixtureRequest) -> None:
        """What the sample expects: ``my_job_config`` is there unless it creates it."""
        with Session("emulator", "emulator", "emulator", endpoint=served) as session:
            job = Estimator(
                session,
                train_instance_count=1,
                model_name="ResNet_v2_50",
                output_path="/bucket/output/",
                train_instance_type="modelarts.vm.cpu.2u",
            )
            for name in ("my_job_config", "my_configname"):
                Estimator(session, config_name=name).delete_job_configs()
                job.create_job_configs(name, inputs="/bucket/dataset/")
            if "create_job_configs" in SAMPLES[request.node.callspec.params["name"]].text:
                Estimator(session, config_name="my_job_config").delete_job_configs()

    def run(self, name: str, opening: str, url: str, folder: Path) -> None:
        script = SAMPLES[name].script(opening.format(url=url))
        file = folder / "sample.py"
        file.write_text(script.replace("from modelarts.", "from majobctl."))
        keys = dict.fromkeys(("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_PROJECT_ID"), "emulator")
        is_open = "set_endpoint" in opening
        variables = {} if is_open else {**keys, "MAJOBCTL_ENDPOINT": url}
        assert SAMPLES[name].shows in run(file, **variables)

    @pytest.mark.parametrize("opening", ["0123 nothing", "0154 user", "0155 key"])
    @pytest.mark.parametrize("name", SAMPLES)
    def test_runs(self, name: str, opening: str, served: str, tmp_path: Path) -> None:
        self.run(name, SESSIONS[opening], served, tmp_path)

    @pytest.mark.parametrize("opening", [SESSIONS["0154 account"], WITHOUT_PROJECT])
    @pytest.mark.parametrize("name", ["0179 delete 2"])
    def test_runs_for_an_accounts_own_user(
        self, name: str, opening: str, served: str, tmp_path: Path
    ) -> None:
        self.run(name, opening, served, tmp_path)


class TestAgainstTheEmulator:
    @pytest.fixture
    def url(self) -> Iterator[str]:
        with emulator.create_app(seed=partial(read_seed, EXAMPLES / "cloud.toml")) as app:
            server = emulator.start(app)
            yield server.url
            server.stop()

    def read(self, url: str) -> dict[str, Any]:
        with Session("emulator", "emulator", "emulator", endpoint=url) as session:
            return Estimator(session, config_name="my_job_config").get_job_configs_info()

    def test_the_samples_run_with_the_variables_of_the_readme(self, url: str) -> None:
        keys = dict.fromkeys(("OS_ACCESS_KEY", "OS_SECRET_KEY", "OS_PROJECT_ID"), "emulator")
        assert run("update_with_obs.py", MAJOBCTL_ENDPOINT=url, **keys) == "{'is_success': True}\n"
        info = self.read(url)
        assert info["spec_code"] == "modelarts.vm.gpu.p100"
        assert info["data_url"] == "/bucket/dataset/"
        shown = run("update_with_dataset.py", MAJOBCTL_ENDPOINT=url, **keys)
        assert shown == "{'is_success': True}\n"
        assert self.read(url)["dataset_id"] == "4AZNvFkN7KYr5EdhFkH"

    def test_a_sample_runs_with_a_password(self, url: str) -> None:
        names = ("OS_USERNAME", "OS_PASSWORD", "OS_USER_DOMAIN_NAME", "OS_PROJECT_NAME")
        user = dict.fromkeys(names, "emulator")
        shown = run("update_with_obs.py", MAJOBCTL_ENDPOINT=url, OS_AUTH_URL=url, **user)
        assert shown == "{'is_success': True}\n"
