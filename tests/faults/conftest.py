"""What all tests of faults share: their marker, their figures and a launcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.launcher import Launcher, launching

Tally = Callable[[str, str], None]
"""Keeps a line of figures about a subject for the summary at the end of the run."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


@pytest.fixture
def tally(record_property: Tally) -> Tally:
    return record_property


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launching(tmp_path_factory.mktemp("launcher")) as launcher:
        yield launcher
