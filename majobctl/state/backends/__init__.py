"""Where a state's bytes are kept: read, write, lock. A backend knows only bytes.

Each is a module of this folder, named as in ``[state] backend``, whose ``of_settings`` opens it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from majobctl.errors import StateError
from majobctl.text import environment_flag

if TYPE_CHECKING:
    from majobctl.state.journal import JournalFile

Warn: TypeAlias = Callable[[object], None]


def unheard(warning: object) -> None:
    """A Warn for those who have no use for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
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


class Seen(NamedTuple):
    """The holder of a lock, as others see it; ``doubt``: why it may be gone, for the end of a
    sentence."""

    holder: Holder
    doubt: str = ""

    def __str__(self) -> str:
        return f"{self.holder}; {self.doubt}" if self.doubt else str(self.holder)


class NotKeptError(StateError, OSError):
    """A place that refused what it was given, for a reason that will not pass by itself."""


class OvertakenError(NotKeptError):
    """Somebody else has the lock by now. Nothing was written."""


class Backend(Protocol):
    """The place of a state. A failure raises StateError, which says what to do; but ``write`` and
    the journal's calls raise OSError, so that the caller can save what they were given."""

    name: str
    """The place, as messages name it."""
    place: str
    """The same in full: somebody may have moved the folder that ``name`` is relative to."""
    journal_name: str
    history_name: str
    forgets_history: bool
    """The place keeps only the last lines of the history."""
    unlocked: str
    """What becomes of a living holder whose lock is freed, for the end of a sentence."""
    option: str
    """What commands need to find the place: ``" -e NAME"`` in an environment."""

    @property
    def copies(self) -> str:
        """Where earlier states are, and how to take one; "" for those beside a file."""
        ...

    def read(self) -> bytes | None:
        """The state's bytes; None if there is no state yet."""
        ...

    def write(self, content: bytes, lines: bytes = b"") -> None:
        """Replaces the bytes atomically, and keeps the ones before as a backup; ``lines`` are
        added to the history, unless that cannot be written."""
        ...

    def read_history(self) -> bytes:
        """All lines that there are, the oldest first: as of when the state was read last. Raises
        StateError if they cannot be read."""
        ...

    def end_of_history(self) -> bytes:
        """Its last lines, under the lock: at least one, as long as there is one."""
        ...

    def replace_history(self, content: bytes) -> None:
        """Raises OSError, as ``write``."""
        ...

    def read_journal(self) -> bytes | None: ...

    def snapshot(self) -> tuple[bytes | None, bytes | None]:
        """The journal, then the state: if a writer merges the one meanwhile, the other has it."""
        ...

    def open_journal(self) -> JournalFile:
        """A new, empty journal."""
        ...

    def remove_journal(self) -> None: ...

    def lock(
        self, command: str, timeout: float, warn: Warn = ...
    ) -> AbstractContextManager[Holder]:
        """Raises LockedError, which names the holder, if somebody else has the lock for longer than
        ``timeout`` seconds. ``warn`` is called if the lock is taken over from somebody."""
        ...

    def holder(self) -> Seen | None:
        """Who had the lock when the state was last read, as far as others can know."""
        ...

    def prove(self) -> str:
        """Under the lock: says why no two can have it at once. Raises StateError if they can."""
        ...

    def unlock(self, holder_id: str) -> Holder:
        """Frees a lock whose holder is gone, and returns the holder. Raises LockedError if the
        holder is alive, StateError if ``holder_id`` is not its id."""
        ...


def open_backend(settings: Mapping[str, Any], root: Path, environment: str = "") -> Backend:
    """The backend of ``[state]``, as ``environment`` has it; paths in it are relative to ``root``.
    Nothing is read yet."""
    module = importlib.import_module(f"{__name__}.{settings['backend']}")
    backend: Backend = module.of_settings(settings, root)
    backend.option = environment_flag(environment)
    return backend
