"""The state above its backend: when it may be read, written and journalled, and what it counts.

Readers take no lock: they read the journal, then the state, and so see a state that was whole at
one moment. Writers hold the lock; they first merge what an interrupted run left in the journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import StateError
from majobctl.state.backends import Backend
from majobctl.state.document import State
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.state.journal import Journal


class StateStore:
    """Reads a state, and gives it to one writer at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        return self._backend.name

    def read(self) -> State | None:
        """The state with what the journal adds to it; None where there is none.

        Raises StateError where either cannot be used.
        """
        while True:
            # In this order: a journal that is merged meanwhile is known to the state read after it.
            journal = self._backend.read_journal() or b""
            content = self._backend.read()
            try:
                state = None if content is None else State.load(content, self.name)
                return _replayed(state, journal, self._backend)
            except StateError:
                # Unless it only went on between the two reads.
                if (self._backend.read_journal() or b"", self._backend.read()) == (
                    journal,
                    content,
                ):
                    raise

    @contextmanager
    def locked(self, command: str, timeout: float = 0) -> Iterator[LockedState]:
        """The state under its lock, ``command`` being what its holder is shown to do.

        Raises LockedError and StateError.
        """
        with self._backend.lock(command, timeout):
            state = self.read()
            locked = LockedState(self._backend, state)
            if self._backend.read_journal() is not None:
                locked.merge()
            yield locked

    def unlock(self, holder_id: str) -> str:
        """Frees the lock of a holder that is gone, and says who it was."""
        return str(self._backend.unlock(holder_id))


class LockedState:
    """A state that this process alone may write. ``state`` is None where there is none yet."""

    def __init__(self, backend: Backend, state: State | None) -> None:
        self._backend = backend
        self.state = state

    def write(self, state: State) -> None:
        """Writes ``state`` as it is. Raises StateError where it cannot be kept."""
        try:
            self._backend.write(state.dump())
        except OSError as error:
            raise not_kept(self._backend.name, error) from error
        self.state = state

    def open_journal(self, state: State) -> Journal:
        """A journal that continues ``state``. Raises StateError where it cannot be kept."""
        from majobctl.state.journal import Journal

        try:
            return Journal(self._backend.open_journal(), state)
        except OSError as error:
            error_text = not_kept(self._backend.journal_name, error)
            raise StateError(f"{error_text}\nnothing was sent") from error

    def rescue(self, journal: Journal) -> str:
        """Saves what ``journal`` could not: into the state file, or else into a new file here.

        Returns the message that says where it is; it ends with the state itself where no file
        could be written at all.
        """
        before = self.state
        self.state = state = replace(journal.outcome(), merged=self._last_sum())
        try:
            if state.serial > (before.serial if before else 0):
                self._backend.write(state.dump())
        except OSError as error:
            return _rescued(state, self._backend.name, error)
        return self._remove_journal() or (
            f"{self._backend.journal_name} cannot be written, so no further call was begun; what"
            " was done is in the state\napply again once there is room for it"
        )

    def _last_sum(self) -> str:
        """What the journal on disk ends with, as far as it got there."""
        from majobctl.state.journal import last_sum_of

        try:
            content = self._backend.read_journal() or b""
            return last_sum_of(content, self._backend.journal_name)
        except StateError:
            return ""

    def _remove_journal(self) -> str:
        """ "" where it is gone; else why it, which the state has taken in, is still there."""
        try:
            self._backend.remove_journal()
        except OSError as error:
            reason = printable(error.strerror or str(error))
            return (
                f"{self._backend.journal_name} cannot be removed: {reason}\n"
                "the state has all that is in it; the next majobctl command that can removes it"
            )
        return ""

    def merge(self) -> None:
        """Brings what the journal holds into the state file, and removes the journal.

        Raises StateError where the state cannot be kept; the journal then stays.
        """
        journal = self._backend.read_journal() or b""
        content = self._backend.read()
        before = None if content is None else State.load(content, self._backend.name)
        after = _replayed(before, journal, self._backend)
        try:
            if after is not None and after != before:
                self._backend.write(after.dump())
        except OSError as error:
            raise StateError(
                f"{not_kept(self._backend.name, error)}\n"
                f"nothing is lost: what was done is in {self._backend.journal_name}, and the next"
                " majobctl command that can write merges it"
            ) from error
        self.state = after
        left = self._remove_journal()
        if left:
            raise StateError(left)


def _replayed(state: State | None, journal: bytes, backend: Backend) -> State | None:
    if not journal:
        return state
    from majobctl.state.journal import replayed

    return replayed(state, journal, backend.journal_name)


def _rescued(state: State, name: str, error: OSError) -> str:
    content = state.dump()
    path = Path(f"majobctl.rescue-{state.serial}-{os.getpid()}.json")
    reason = f"{not_kept(name, error)}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        # Half a file would look like a rescue.
        with suppress(OSError):
            path.unlink()
        return (
            f"{reason}what was done is in the state below, which no file could take: keep it as"
            f" rescue.json and, once {name} can be written, bring it back with\n"
            f"    majobctl state push rescue.json\n{content.decode()}"
        )
    return (
        f"{reason}what was done is in {path}: once {name} can be written, bring it back with\n"
        f"    majobctl state push {path}"
    )


def not_kept(name: str, error: OSError) -> StateError:
    """The error for a file that cannot be written."""
    return StateError(f"{name} cannot be written: {printable(error.strerror or str(error))}")
