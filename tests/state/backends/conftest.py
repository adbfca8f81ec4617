"""The stores that the suites of this folder run over.

To add one: write a fixture ``NAME_store``, below or in a module that is imported below. It returns
a function that opens the same, new and empty log once more, each call as on another machine. Then
add ``NAME`` to ``STORES``, with the lease that its tests need: some twenty times as long as an
``add`` takes. Where its engine is missing, the fixture skips with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from majobctl.state.backends.stores import Store
from tests.git_servers import git_remote, opened, over_http
from tests.postgres import pgbouncer, pgbouncer_store, postgres_server, postgres_store
from tests.state.backends.memory import MemoryStore

__all__ = ["git_remote", "pgbouncer", "pgbouncer_store", "postgres_server", "postgres_store"]

OpenStore = Callable[[], Store]
STORES = {
    **{"memory": 0.4, "timeless": 0.4, "postgres": 1, "pgbouncer": 1, "s3": 4, "fake_s3": 2},
    **{"git": 4, "git_http": 6},
}


@pytest.fixture
def memory_store() -> OpenStore:
    store = MemoryStore()
    return lambda: store


@pytest.fixture
def timeless_store() -> OpenStore:
    """In memory, without a clock of its own."""
    store = MemoryStore(now=None)
    return lambda: store


@pytest.fixture
def git_store(git_remote: Path) -> OpenStore:
    """A branch of a remote on the same machine."""
    return opened(git_remote, git_remote.parent)


@pytest.fixture
def git_http_store(git_remote: Path) -> Iterator[OpenStore]:
    with over_http(git_remote.parent) as server:
        yield opened(f"{server.address}/remote.git", git_remote.parent)


PARAMETERS = {
    store: pytest.param(store, marks=[pytest.mark.slow] if lease >= 1 else [])
    for store, lease in STORES.items()
}
WITH_A_LOG = [PARAMETERS[store] for store in STORES if store not in ("fake_s3", "git_http")]
"""The others add a record as one of these does."""


@pytest.fixture(params=PARAMETERS.values())
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Each store in turn; each call opens the same log, as another machine does."""
    opened: OpenStore = request.getfixturevalue(f"{request.param}_store")
    return opened


@pytest.fixture
def lease(request: pytest.FixtureRequest) -> float:
    """A lease in seconds that the store of ``open_store`` can keep."""
    return STORES[request.node.callspec.params["open_store"]]
