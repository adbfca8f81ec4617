"""The counts of these tests, told at the end of the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.launcher import Launcher, launching

_FIGURES = pytest.StashKey[dict[str, str]]()


class Tally:
    """Keeps one line of figures for each subject."""

    def __init__(self, figures: dict[str, str]) -> None:
        self._figures = figures

    def tell(self, subject: str, figures: str) -> None:
        self._figures[subject] = figures


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return Tally(pytestconfig.stash.setdefault(_FIGURES, {}))


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("launcher")) as launcher:
        yield launcher


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, {})
    if figures:
        terminalreporter.section("faults")
        for subject, text in sorted(figures.items()):
            terminalreporter.write_line(f"{subject}: {text}")
