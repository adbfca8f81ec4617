"""A log in memory: an apply over it, time that jumps, lost answers, records that are bad."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from majobctl.operations import apply
from majobctl.operations.context import ConfigRepository
from majobctl.state.backends.log import LogBackend
from majobctl.state.store import LockedState, StateStore
from tests.config_repository import Repository
from tests.state.backends.memory import MemoryStore
from tests.state.backends.test_stores import records_of


@dataclass(frozen=True)
class Shared(ConfigRepository):
    """A config repository whose state is in a log."""

    backend: LogBackend = field(kw_only=True)

    def locked(self, *_: Any, **options: Any) -> AbstractContextManager[LockedState]:
        store = StateStore(self.backend)
        return store.locked(self.command, self.lock_timeout, warn=self.warn, **options)


def test_an_apply_keeps_its_state_in_a_log(on_emulator: Repository) -> None:
    store = MemoryStore()
    repository = Shared(on_emulator.root, backend=LogBackend(store))
    result = apply(repository, approve=lambda plan: True)
    assert (result.serial, result.problem) == (1, "")
    state = StateStore(LogBackend(store)).read()
    assert state is not None
    assert list(state.job_configs) == ["alpha"]
    kinds = [record.kind for record in records_of(store) if record.kind != "beat"]
    assert (kinds[0], *kinds[-2:]) == ("open", "state", "close")
    assert set(kinds[1:-2]) == {"note"}
    on_emulator.job("beta")
    assert apply(repository, approve=lambda plan: True).serial == 2
    assert apply(replace(repository), approve=lambda plan: True).serial == 2
