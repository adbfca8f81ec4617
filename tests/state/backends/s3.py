"""S3 for the tests: a server that is not ours, and how a store is opened."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from majobctl.state.backends.s3 import S3Store
from tests import fake_s3
from tests.network import unused_port

PAIR = {
    "AWS_ACCESS_KEY_ID": fake_s3.ACCESS_KEY,
    "AWS_SECRET_ACCESS_KEY": fake_s3.SECRET_KEY,
}
NAME = "ml/sentiment"
VERSITYGW = os.environ.get("MAJOBCTL_VERSITYGW") or shutil.which("versitygw")
"""A server that is not ours, which .ci/run builds: it checks signatures and heeds conditions."""
_logs = itertools.count()


def opened(endpoint: str, name: str = NAME, timeout: float = 20, **more: Any) -> S3Store:
    known = {"bucket": fake_s3.BUCKET, "region": fake_s3.REGION, "path_style": True}
    return S3Store({"endpoint": endpoint, "name": name, **known, **more}, timeout)


@contextlib.contextmanager
def serving_versitygw(root: Path) -> Iterator[str]:
    """The address of a real server with a bucket, whose data is in ``root``."""
    if not VERSITYGW:
        pytest.skip("no versitygw: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0")
    port = unused_port()
    (root / "data" / fake_s3.BUCKET).mkdir(parents=True)
    (root / "attributes").mkdir()
    options = f"--port 127.0.0.1:{port} --region {fake_s3.REGION} --keep-alive --quiet"
    keys = {"ROOT_ACCESS_KEY": fake_s3.ACCESS_KEY, "ROOT_SECRET_KEY": fake_s3.SECRET_KEY}
    with open(root / "log", "wb") as log:
        sidecar = ["--sidecar", str(root / "attributes"), str(root / "data")]
        command = [VERSITYGW, *options.split(), "posix", *sidecar]
        process = subprocess.Popen(command, env={**os.environ, **keys}, stdout=log, stderr=log)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def versitygw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_versitygw(tmp_path_factory.mktemp("versitygw")) as address:
        yield address


@pytest.fixture
def s3_store(versitygw: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], S3Store]:
    """Opens the same new log again and again, on the real server."""
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    log = f"log/{next(_logs)}"
    return lambda: opened(versitygw, log)


@pytest.fixture
def fake_s3_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], S3Store]]:
    for name, value in PAIR.items():
        monkeypatch.setenv(name, value)
    with fake_s3.running() as store:
        yield lambda: opened(store.url)
