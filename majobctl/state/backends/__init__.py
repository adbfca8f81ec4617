"""Where a state's bytes live: read, write, lock. A backend knows no state, only bytes.

``BACKENDS`` names them; each is one module of this folder with a class of the shape ``Backend``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from majobctl.state.journal import JournalFile

BACKENDS: Mapping[str, str] = {"local": "majobctl.state.backends.local:LocalBackend"}


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: ``since`` is UTC, as ``2026-11-23T12:00:00Z``."""

    id: str
    user: str
    host: str
    pid: int
    command: str
    since: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}, process {self.pid}, `{self.command}`, since {self.since}"


class Backend(Protocol):
    """A state's place. Each method raises StateError, with what to do, where the place fails it;
    ``write`` and the journal's own calls raise OSError, for the caller to save what they hold."""

    name: str
    """The place, as messages name it."""
    journal_name: str

    def read(self) -> bytes | None:
        """The state's bytes; None where there is no state yet."""
        ...

    def write(self, content: bytes) -> None:
        """Replaces the bytes at once or not at all, and keeps those before as a backup."""
        ...

    def read_journal(self) -> bytes | None: ...

    def open_journal(self) -> JournalFile:
        """A new, empty journal."""
        ...

    def remove_journal(self) -> None: ...

    def lock(self, command: str, timeout: float) -> AbstractContextManager[Holder]:
        """Raises LockedError, with its holder, where somebody else has the lock for longer than
        ``timeout`` seconds."""
        ...

    def unlock(self, holder_id: str) -> Holder:
        """Frees a lock whose holder is gone; returns who it was. Raises LockedError where the
        holder lives, StateError where ``holder_id`` is not the holder's."""
        ...


def open_backend(kind: str, path: Path, name: str) -> Backend:
    """The backend ``kind`` of ``BACKENDS`` for the state at ``path``, called ``name``."""
    module, _, attribute = BACKENDS[kind].partition(":")
    backend: Backend = getattr(importlib.import_module(module), attribute)(path, name)
    return backend
