"""Clients that nobody here wrote pass against the emulator. They are installed in an environment of
their own, which .ci/run makes (the extra ``clients``); MAJOBCTL_CLIENTS is its python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .client import Client, Connect

PYTHON = os.environ.get("MAJOBCTL_CLIENTS", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="MAJOBCTL_CLIENTS does not name a python with clients"),
]


def run(client: Client, home: Path, *command: str, **variables: str) -> Any:
    signed_in = {
        **{"OS_AUTH_URL": f"{client.url}/v3", "OS_IDENTITY_API_VERSION": "3"},
        **{"OS_USERNAME": "emulator", "OS_PASSWORD": "emulator", "OS_USER_DOMAIN_NAME": "emulator"},
        **{"OS_PROJECT_NAME": "eu-de", "OS_REGION_NAME": "eu-de"},
    }
    environment = {"HOME": str(home), "PYTHONWARNINGS": "ignore", "PATH": os.defpath, **signed_in}
    done = subprocess.run(
        command, env={**environment, **variables}, cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "openstacksdk",
            {
                **{"project": "p1", "names": ["two"], "described": "Grüße ☃", "left": []},
                **{"engine": "TF-1.4.0-python2.7", "flavor": "modelarts.vm.cpu.2u"},
                **{"algorithm": "ResNet_v1_50", "has_key": True},
            },
        ),
        ("huaweicloud", [200] * 5),
        ("huaweicloud_id_token", [200] * 5),
    ],
)
def test_a_library(connect: Connect, tmp_path: Path, name: str, expected: Any) -> None:
    client = connect(project_id="p1")
    script = str(Path(__file__).with_name("other_clients.py"))
    assert run(client, tmp_path, PYTHON, script, name, client.url) == expected


def test_the_openstack_command(connect: Connect, tmp_path: Path) -> None:
    client = connect(project_id="p1")
    openstack = str(Path(PYTHON).with_name("openstack"))

    def call(text: str, **variables: str) -> Any:
        return run(client, tmp_path, openstack, *text.split(), **variables)

    by_id = {"OS_USER_DOMAIN_NAME": "", "OS_USER_DOMAIN_ID": "emulator"}
    assert call("token issue -f json", **by_id)["project_id"] == "p1"
    # It cannot leave out the code or the engine of a configuration with a built-in algorithm.
    call(
        "ma training job config create one --worker-server-num 1 --spec-id 4 --model-id 4"
        " --engine-id 4 --app-url /b/src/ --boot-file-url /b/src/x.py -f json"
    )
    shown = call("ma training job config show one -f json")
    assert (shown["model_id"], shown["spec_code"]) == (4, "modelarts.vm.gpu.v100")
