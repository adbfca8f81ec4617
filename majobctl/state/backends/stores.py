"""What the log of a shared state is kept in: numbered records that never change.

A store can do one thing that matters: add record *n* unless it is there. Everything else (the lock,
its lease, the fence, the journal, the state) is made of such records in ``log``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Store(Protocol):
    """All calls raise StateError for what will not pass by itself, with what to do about it, and
    ConnectionError if the store cannot be reached or its answer is lost. Nothing is repeated here:
    a repeated ``add`` would find its own record and take it for somebody else's."""

    name: str
    """The place, as messages name it; without credentials."""

    def add(self, number: int, content: bytes) -> bool:
        """Keeps ``content`` as record ``number``, durably, and returns True; False if there is one
        with this number already. After a ConnectionError either may be the case."""
        ...

    def numbers(self) -> list[tuple[int, float | None]]:
        """The numbers there are, ascending, each with its age in seconds by the store's clock; None
        if the store has no clock."""
        ...

    def read(self, number: int) -> bytes | None:
        """The content of a record; None if there is none. Many threads may read at once."""
        ...

    def prune(self, numbers: Iterable[int]) -> None:
        """Removes records that nobody needs any more."""
        ...
