"""A config repository whose service is an emulator that a test looks into and interferes with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from majobctl.emulator.faults import Faults
from tests.config_repository import Repository
from tests.live_cloud import Cloud, running, seed_of


@pytest.fixture(params=["plain", "documented"])
def cloud(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """Whatever the answers name beside what was set, it makes no difference."""
    faults = Faults(answers=request.param)
    with running(tmp_path, seed_of("alpha", "beta", "gamma"), faults) as found:
        yield found


@pytest.fixture
def on_cloud(repository: Repository, cloud: Cloud) -> Repository:
    """A config repository without job configs whose service is ``cloud``."""
    repository.environment.update(cloud.environment)
    repository.settings(cloud.settings())
    return repository


@pytest.fixture
def repo(on_cloud: Repository, cloud: Cloud) -> Repository:
    """Three job configs, applied, and nothing counted so far."""
    for name in ("alpha", "beta", "gamma"):
        on_cloud.job(name, config_desc="first")
    on_cloud.apply("--overwrite")
    cloud.take()
    return on_cloud
