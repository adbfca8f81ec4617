"""One Session in processes that are forked from one another: each has its own connections."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.config_repository import PATIENCE, until
from tests.fake_service import ACCESS_KEY, PASSWORD, PROJECT, SECRET_KEY, FakeService, Handler
from tests.network import make_certificate, secure

READS, CHILDREN = 40, 3
KEYS = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "project_id": PROJECT}
USER = {"account": "account", "username": "u", "password": PASSWORD, "project_id": PROJECT}

SCRIPT = f"""
import json, os, sys, threading
from majobctl.service.session import Session

session = Session(**json.loads(sys.argv[1]), retries=0, timeout=20)

def right(name):
    reads = (session.request("GET", f"/training-job-configs/{{name}}") for _ in range({READS}))
    return sum(body["config_desc"] == name for body in reads)

if "warm" in sys.argv:
    right("job-9")
print("ready", flush=True)
sys.stdin.readline()
if "reading" in sys.argv:
    # Its answer does not come: a lock is held that other readers wait for.
    threading.Thread(target=session.catalog.entries, args=["flavors"], daemon=True).start()
    sys.stdin.readline()
children = []
for number in range({CHILDREN}):
    child = os.fork()
    if child == 0:
        session.catalog.entries("flavors")
        os._exit(right(f"job-{{number}}"))
    children.append(child)
if "reading" not in sys.argv:
    print(right("job-9"))
for child in children:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
@pytest.mark.parametrize("reading", ["", "reading"])
@pytest.mark.parametrize("warm", ["", "warm"])
@pytest.mark.parametrize("tls", [False, True], ids=["", "TLS"])
@pytest.mark.parametrize("given", [KEYS, USER], ids=["keys", "password"])
def test_each_process_gets_its_own_answers(
    given: Mapping[str, str],
    tls: bool,
    warm: str,
    reading: str,
    service: FakeService,
    tmp_path: Path,
) -> None:
    service.configs |= {f"job-{number}": {"config_desc": f"job-{number}"} for number in range(10)}
    over = threading.Event()

    def hang(handler: Handler) -> None:
        over.wait(PATIENCE)

    with ExitStack() as opened:
        opened.callback(over.set)
        address, environment = service.url, dict(os.environ)
        if tls:
            certificate = make_certificate(tmp_path / "certificate", "localhost")
            port = opened.enter_context(secure(service, certificate))
            address = f"https://localhost:{port}"
            environment["OS_CACERT"] = str(certificate)
        options = json.dumps({**given, "endpoint": address, "iam_endpoint": f"{address}/v3"})
        process = opened.enter_context(
            subprocess.Popen(
                [sys.executable, "-c", SCRIPT, options, warm, reading],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        opened.callback(process.kill)
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        if reading:
            service.script.append(hang)
        process.stdin.write("\n")
        process.stdin.flush()
        if reading:
            until(lambda: not service.script, "the request without an answer")
        out, _ = process.communicate("\n", timeout=PATIENCE)
    assert list(map(int, out.split())) == [READS] * (CHILDREN + (not reading))
