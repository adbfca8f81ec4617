"""A clean environment for each test, and a config repository with the command to run in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.config_repository import Repository
from tests.fake_service import MANY_MODELS, FakeService, running

hypothesis.settings.register_profile(
    "majobctl",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.filter_too_much,
        hypothesis.HealthCheck.too_slow,
    ],
)
hypothesis.settings.register_profile(
    "fast", hypothesis.settings.get_profile("majobctl"), max_examples=10
)
hypothesis.settings.load_profile("majobctl")

# Whoever starts the tests in the background may have Ctrl-C ignored, and child processes inherit
# that. They do not inherit a handler.
signal.signal(signal.SIGINT, signal.default_int_handler)

_STARTS = ("OS_", "HUAWEICLOUD_", "HW_", "MAJOBCTL_", "XDG_")
_NAMES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONIOENCODING", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """No settings, credentials or proxies of whoever runs the tests, and an empty home."""
    for name in os.environ:
        if name.startswith(_STARTS) or name in _NAMES or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))


@pytest.fixture
def repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Repository:
    """An empty folder that is to be a config repository."""
    root = tmp_path / "repository"
    root.mkdir()
    monkeypatch.chdir(root)
    return Repository(root, monkeypatch, capsys)


@pytest.fixture
def on_emulator(repository: Repository) -> Repository:
    """A config repository with one job config, ``alpha``, that the emulator has."""
    repository.cloud("alpha", "beta", "gamma")
    repository.job("alpha")
    return repository


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A service without configurations, and with more than a page of algorithms."""
    with running(models=MANY_MODELS) as service:
        yield service


@pytest.fixture
def rest() -> Iterator[FakeService]:
    """A service that takes an update of any configuration, and is strict about its body."""
    with running(has_every_name=True) as service:
        yield service


@pytest.fixture
def on_rest(repository: Repository, rest: FakeService) -> Repository:
    """A config repository without job configs whose provider is the REST server."""
    repository.settings(rest.settings())
    repository.environment.update(rest.environment)
    return repository


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures that tests recorded, those of other processes too."""
    passed = terminalreporter.stats.get("passed", [])
    figures = sorted(item for report in passed for item in report.user_properties)
    if figures:
        terminalreporter.section("figures")
        for subject, text in figures:
            terminalreporter.write_line(f"{subject}: {text}")
