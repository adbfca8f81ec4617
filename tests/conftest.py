"""A clean environment for each test, and a config repository with the command to run in it."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.config_repository import Repository
from tests.fake_service import MANY_MODELS, FakeService, running
from tests.state.backends.s3 import fake_s3_store, s3_store, versitygw  # noqa: F401

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

_STARTS = ("AWS_", "OS_", "HUAWEICLOUD_", "HW_", "MAJOBCTL_", "XDG_", "PG")
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


BAD_INPUTS = 6000
"""So many distinct bad inputs a run of all tests has, at least."""
_BAD = "bad inputs, "
BadInput = Callable[[str, object], None]
"""Counts an input of a kind that was refused, or did no harm, as it should."""


@pytest.fixture
def bad_input(record_property: Callable[[str, object], None]) -> BadInput:
    """Equal inputs of a kind count once, also those of other tests; only tests that pass count."""

    def count(kind: str, content: object) -> None:
        given = content if isinstance(content, bytes) else repr(content).encode()
        record_property(f"{_BAD}{kind}", hashlib.sha256(given).hexdigest()[:16])

    return count


@pytest.fixture(autouse=True)
def count_bad_inputs(request: pytest.FixtureRequest, bad_input: BadInput) -> None:
    """``bad_inputs(kind, *names)`` marks a table whose arguments ``names`` are a bad input."""
    for marker in request.node.iter_markers("bad_inputs"):
        kind, *names = marker.args
        bad_input(kind, [request.node.callspec.params[name] for name in names])


def bad_inputs(reporter: pytest.TerminalReporter) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for report in reporter.stats.get("passed", []):
        for subject, text in report.user_properties:
            if subject.startswith(_BAD):
                found[subject].add(text)
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures that tests recorded, those of other processes too."""
    passed = terminalreporter.stats.get("passed", [])
    figures = [item for report in passed for item in report.user_properties]
    counts = {kind: len(found) for kind, found in bad_inputs(terminalreporter).items()}
    shown = [item for item in figures if item[0] not in counts]
    shown += [(kind, str(count)) for kind, count in counts.items()]
    if figures:
        terminalreporter.section("figures")
        for subject, text in sorted(shown):
            terminalreporter.write_line(f"{subject}: {text}")
        terminalreporter.write_line(f"bad inputs: {sum(counts.values())}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run of all tests fails with fewer bad inputs than are promised."""
    config = session.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    part = ("collectonly", "keyword", "markexpr", "lf", "ignore", "deselect")
    is_part = any(config.getoption(option, None) for option in part)
    if is_part or config.args_source is not config.ArgsSource.TESTPATHS or reporter is None:
        return
    count = sum(map(len, bad_inputs(reporter).values()))
    if count < BAD_INPUTS:
        reporter.write_line(f"{count} bad inputs; there must be {BAD_INPUTS}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
