"""The state above its backend: when it may be read, written and journalled.

Two applies at once would each send what it planned, and the state would keep only what the last one
wrote: the first one's calls would be forgotten. So whoever writes holds the lock, from before the
plan is made until after the last outcome is saved; and first merges what an interrupted run left in
the journal. Readers take no lock, since a `plan` must not wait for an hour's apply. They read the
journal, then the state, and so see a state that existed at one moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import StateError
from majobctl.files import create_durably
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
        """The state with what the journal adds to it; None if there is none.

        Raises StateError if either cannot be used.
        """
        while True:
            # In this order: if the journal is merged meanwhile, the state read after it has it.
            journal = self._backend.read_journal() or b""
            content = self._backend.read()
            try:
                state = None if content is None else State.load(content, self.name)
                return _replayed(state, journal, self._backend)
            except StateError:
                # Unless a writer changed them between the two reads.
                again = (self._backend.read_journal() or b"", self._backend.read())
                if again == (journal, content):
                    raise

    @contextmanager
    def locked(self, command: str, timeout: float = 0) -> Iterator[LockedState]:
        """The state under its lock; others are shown ``command`` as what its holder does.

        Raises LockedError and StateError.
        """
        with self._backend.lock(command, timeout):
            state = self.read()
            locked = LockedState(self._backend, state)
            if self._backend.read_journal() is not None:
                locked.merge()
            yield locked

    def unlock(self, holder_id: str) -> str:
        """Frees the lock of a holder that is gone; returns a description of it."""
        return str(self._backend.unlock(holder_id))


class LockedState:
    """A state that only this process may write. ``state`` is None if there is none yet."""

    def __init__(self, backend: Backend, state: State | None) -> None:
        self._backend = backend
        self.state = state

    def write(self, state: State) -> None:
        """Writes ``state`` as it is. Raises StateError if it cannot be written."""
        try:
            self._backend.write(state.dump())
        except OSError as error:
            raise not_kept(self._backend.name, error) from error
        self.state = state

    def open_journal(self, state: State) -> Journal:
        """A journal that continues ``state``. Raises StateError if it cannot be written."""
        from majobctl.state.journal import Journal

        try:
            return Journal(self._backend.open_journal(), state)
        except OSError as error:
            error_text = not_kept(self._backend.journal_name, error)
            raise StateError(f"{error_text}\nnothing was sent") from error

    def rescue(self, journal: Journal) -> str:
        """Saves what ``journal`` could not: to the state file, or else to a new file here.

        Returns the message that says where; it ends with the state itself if no file can be
        written at all.
        """
        serial = self.state.serial if self.state else 0
        self.state = state = replace(journal.outcome(), merged=self._last_sum())
        try:
            if state.serial > serial:
                self._backend.write(state.dump())
        except OSError as error:
            return _rescued(state, self._backend.name, error)
        return self._remove_journal() or (
            f"{self._backend.journal_name} cannot be written, so no further call was started; what"
            " was done is in the state\napply again once there is room for it"
        )

    def _last_sum(self) -> str:
        """The last sum of the journal that is on disk."""
        from majobctl.state.journal import last_sum_of

        with suppress(StateError):
            content = self._backend.read_journal() or b""
            return last_sum_of(content, self._backend.journal_name)
        return ""

    def _remove_journal(self) -> str:
        """Why the merged journal cannot be removed, and what to do; "" if it is removed."""
        try:
            self._backend.remove_journal()
            return ""
        except OSError as error:
            reason = printable(error.strerror or str(error))
            return (
                f"{self._backend.journal_name} cannot be removed: {reason}\n"
                "the state has everything in it; the next majobctl command that can removes it"
            )

    def merge(self) -> None:
        """Merges the journal into the state file, and removes the journal.

        Raises StateError if the state cannot be written; the journal then stays.
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
        if left := self._remove_journal():
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
    restore = f"once {name} can be written, restore it with\n    majobctl state push"
    try:
        create_durably(path, content)
    except OSError:
        return (
            f"{reason}what was done is in the state below, which no file could hold: save it as"
            f" rescue.json and, {restore} rescue.json\n{content.decode()}"
        )
    return f"{reason}what was done is in {path}: {restore} {path}"


def not_kept(name: str, error: OSError) -> StateError:
    """The error for a file that cannot be written."""
    return StateError(f"{name} cannot be written: {printable(error.strerror or str(error))}")
