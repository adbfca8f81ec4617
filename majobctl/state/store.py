"""The state above its backend: when it may be read, written and journalled.

Two applies at once would each send what it planned, and the state would keep only what the last one
wrote: the first one's calls would be forgotten. So whoever writes holds the lock, from before the
plan is made until after the last outcome is saved; and first merges what an interrupted run left in
the journal. Readers take no lock, since a `plan` must not wait for an hour's apply. They read the
journal, then the state, and so see a state that existed at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import Backend, OvertakenError, Warn, unheard
from majobctl.state.document import State
from majobctl.state.rescue import OVERTAKEN, cannot, in_journal, or_cannot, rescued
from majobctl.text import counted, in_short, printable, utc_now
from majobctl.waiting import awaiting

if TYPE_CHECKING:
    from majobctl.state.journal import Journal
    from majobctl.state.record import About, Notes
    from majobctl.state.replay import Record


class StateStore:
    """Reads a state, and gives it to one writer at a time."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    @property
    def name(self) -> str:
        return self.backend.name

    def read(self) -> State | None:
        """The state with what the journal adds to it; None if there is none. Raises StateError if
        either cannot be used."""
        return self._read()[0]

    def _read(self) -> tuple[State | None, bytes | None]:
        """The same, and the bytes of the state file."""
        while True:
            with awaiting(f"Reading the state {self.name}"):
                journal, content = found = self.backend.snapshot()
            try:
                state = (
                    None if content is None else State.load(content, self.name, self.backend.copies)
                )
                if not journal:
                    return state, content
                from majobctl.state.replay import replayed

                return replayed(state, journal, self.backend.journal_name), content
            except StateError:
                # Unless a writer changed them between the two reads.
                if self.backend.snapshot() == found:
                    raise

    @contextmanager
    def locked(
        self,
        command: str,
        timeout: float = 0,
        *,
        instead: State | None = None,
        force: bool = False,
        warn: Warn = unheard,
        about: Callable[[], About] | None = None,
    ) -> Iterator[LockedState]:
        """The state under its lock; others are shown ``command`` as what its holder does.
        ``instead`` is to be written in its place: what it holds already, a journal or a state that
        is missing, need not be readable, and with ``force`` the state need not be either. ``warn``
        is called if the lock is waited for or taken over, ``about`` for who writes, if something is
        written. Raises LockedError and StateError."""
        with self._lock(command, timeout, warn):
            try:
                locked = LockedState(self.backend, *self._read(), about)
            except StateError:
                content = self.backend.read()
                if instead is None or not self._is_replaced_by(instead, force or content is None):
                    raise
                locked = LockedState(self.backend, None, content, about)
            else:
                if self.backend.read_journal() is not None:
                    locked.merge()
            yield locked

    @contextmanager
    def _lock(self, command: str, timeout: float, warn: Warn) -> Iterator[None]:
        with ExitStack() as stack:
            at_end = stack.enter_context(ExitStack())

            def take(seconds: float) -> None:
                with awaiting(f"Taking the lock of {self.name}"):
                    stack.enter_context(self.backend.lock(command, seconds, warn))

            try:
                take(0)
            except LockedError as error:
                if timeout <= 0:
                    raise
                reason = str(error).partition("\n")[0]
                warn(f"{reason}\nwaiting for it, up to {timeout:g} seconds")
                take(timeout)
            try:
                yield
            finally:
                at_end.enter_context(awaiting(f"Releasing the lock of {self.name}"))

    def _is_replaced_by(self, state: State, may_lack_state: bool) -> bool:
        from majobctl.state.replay import last_sum_of

        last_sum = last_sum_of(self.backend.read_journal() or b"", self.backend.journal_name)
        return may_lack_state and last_sum in ("", state.merged)

    def unlock(self, holder_id: str) -> str:
        """Frees the lock of a holder that is gone; returns a description of it."""
        with awaiting(f"Releasing the lock of {self.name}"):
            return f"{self.backend.unlock(holder_id)}{self.backend.unlocked}"


class LockedState:
    """A state that only this process may write. ``state`` is None if there is none yet; ``content``
    are its bytes, which nobody else may have changed when they are replaced."""

    def __init__(
        self,
        backend: Backend,
        state: State | None,
        content: bytes | None,
        about: Callable[[], About] | None = None,
    ) -> None:
        self._backend = backend
        self._content = self._unfinished = content
        self.state = self._before = state
        self._about_writer = about

    def _about(self) -> About:
        from majobctl.state.record import About

        return self._about_writer() if self._about_writer else About()

    def write(self, state: State, notes: Notes | None = None) -> None:
        """Writes ``state`` as it is, and into the history what that changes, with ``notes``. Raises
        StateError if it cannot be written."""
        with or_cannot("written", self._backend.name):
            self._write(state, notes)

    def move_here(self, state: State, history: bytes) -> None:
        """Writes ``state`` as it is, which another place had, with its ``history``."""
        known, self._before = self.read_history(), state
        # It may be back where it was before.
        moved = history.removeprefix(known) if history.startswith(known) else history
        with or_cannot("written", self._backend.name):
            self._write(state, moved=moved)

    def leave(self, mark: bytes) -> None:
        """Puts ``mark`` in the place of a state that is elsewhere now."""
        with or_cannot("written", self._backend.name):
            self._replace(mark, b"")

    def read_history(self) -> bytes:
        """As ``Backend.read_history``."""
        return self._backend.read_history()

    def replace_history(self, content: bytes) -> None:
        """Raises StateError if it cannot be written."""
        with or_cannot("written", self._backend.history_name):
            self._backend.replace_history(content)

    def _write(
        self,
        state: State,
        notes: Notes | None = None,
        about: About | None = None,
        at: str = "",
        moved: bytes = b"",
    ) -> None:
        from majobctl.state.record import UNKNOWN, Notes, record_of, version_of
        from majobctl.state.replay import line_after

        before = self._before
        version = UNKNOWN if before is None and self._content is not None else version_of(before)
        about, at = about or self._about(), at or utc_now()
        record = record_of(before, state, about, notes or Notes(), at, version)
        line = line_after(moved or self._backend.end_of_history(), record)
        self._replace(state.dump(), moved + line)
        self.state = self._before = state

    def _replace(self, content: bytes, lines: bytes) -> None:
        with awaiting(f"Saving the state {self._backend.name}"):
            if self._is_replaced():
                name = self._backend.name
                reason = "was changed, replaced or removed meanwhile; it was left so"
                raise StateError(f"{name} {reason}")
            # A write that fails may have been carried out, and is not somebody else's.
            self._unfinished = content
            self._backend.write(content, lines)
            self._content = content

    def open_journal(self, state: State, intents: Mapping[str, Record] | None = None) -> Journal:
        """A journal that continues ``state`` and has ``intents``. Raises StateError if it cannot be
        written."""
        # The state is written with it. Later, no descriptor may be free to load it.
        import tempfile  # noqa: F401

        from majobctl.state.journal import Journal

        try:
            return Journal(self._backend.open_journal(), state, intents, self._about())
        except OSError as error:
            with suppress(OSError):  # what a failed flush left will not be sent
                self._backend.remove_journal()
            error_text = cannot("written", self._backend.journal_name, error)
            raise StateError(f"{error_text}\nnothing was sent") from error

    def save(self, journal: Journal) -> str:
        """Brings what ``journal`` holds into the state file, whatever became of its own file; or
        else into a new file here. Returns "", or the message that says what went wrong, where the
        outcomes are and what to do; it ends with the state itself if no file can be written at
        all."""
        kept, fault = self._kept(journal)
        push, look = (f"majobctl {it}{self._backend.option}" for it in ("state push", "plan"))
        state = journal.outcome(max(kept, 0))
        try:
            if isinstance(journal.failure, OvertakenError):
                raise journal.failure
            if state.serial > (self.state.serial if self.state else 0):
                self._write(state, journal.notes())
        except OvertakenError as error:
            return self._overtaken(error, journal, max(kept, 0))
        except (OSError, StateError) as error:
            reason = str(cannot("written", self._backend.name, error))
            is_replaced = self._is_replaced()
            if not fault and not is_replaced:
                return f"{reason}\n{in_journal(self._backend)}"
            # The part that the journal still has is merged before the rest can be restored.
            after = replace(state, serial=state.serial + (kept > 1 and not is_replaced))
            name = self._backend.name
            how = f"once {name} can be written, restore it with\n    {push}"
            if is_replaced:
                how = f"unless {name} is right as it is now, run\n    {push} --force"
            # Where state and journal are in one place, both fail for one reason.
            told = fault if reason in fault else "\n".join(filter(None, (fault, reason)))
            return f"{told}\n{rescued(after, how)}"
        if not fault:
            return self._remove_journal()
        place = printable(self._backend.place)
        if kept < 0:
            return f"{fault}\nwhat was done is in {place}: look at it with {look}"
        return self._remove_journal() or (
            f"{fault}; what was done is in {place}\nlook at what is left to do: {look}"
        )

    def _overtaken(self, error: OvertakenError, journal: Journal, kept: int) -> str:
        """What ``save`` says when somebody else has the lock by now."""
        lost, done = journal.outcomes(kept), len(journal.outcomes())
        text = f"{error}, so no further call was started"
        if not lost:
            return f"{text}\n{in_journal(self._backend)}"
        names = printable(in_short(lost))
        text += f"\n{counted(done - len(lost), 'outcome')} kept; not kept: {names}"
        compare = f"{OVERTAKEN}{self._backend.option}"
        return f"{text}\n{rescued(journal.outcome(kept), compare, is_pushed=False)}"

    def _kept(self, journal: Journal) -> tuple[int, str]:
        """How many records of ``journal`` its file still has, -1 if it is another one; and what is
        wrong with it."""
        name = self._backend.journal_name
        try:
            content = self._backend.read_journal()
            kept, is_all = journal.kept(content or b"", name)
        except StateError:
            advice = "move it away, unless another majobctl is running"
            return -1, f"{name} was damaged or replaced meanwhile: {advice}"
        if is_all:
            return kept, ""
        if failure := journal.failure:
            join = "\n" if isinstance(failure, StateError) else ", so "
            return kept, f"{cannot('written', name, failure)}{join}no further call was started"
        fault = "was cut short meanwhile" if content is not None else "was removed meanwhile"
        return kept, f"{name} {fault}"

    def _is_replaced(self) -> bool:
        """Whether somebody else changed the state file since it was read."""
        with suppress(StateError):
            return self._backend.read() not in (self._content, self._unfinished)
        return True

    def _remove_journal(self) -> str:
        """Why the merged journal cannot be removed, and what to do; "" if it is removed."""
        try:
            self._backend.remove_journal()
            return ""
        except (OSError, StateError) as error:
            return (
                f"{cannot('removed', self._backend.journal_name, error)}\n"
                "the state has everything in it; the next majobctl command that can removes it"
            )

    def merge(self) -> None:
        """Merges what an interrupted run left in the journal, and removes the journal. Raises
        StateError if the state cannot be written; the journal then stays."""
        from majobctl.state.replay import told_in

        name, content = self._backend.name, self._content
        before = None if content is None else State.load(content, name)
        try:
            if self.state is not None and self.state != before:
                self._before = before
                journal = self._backend.read_journal() or b""
                about, notes, at = told_in(journal, self._backend.journal_name)
                self._write(self.state, notes, about, at)
        except OSError as error:
            raise StateError(
                f"{cannot('written', name, error)}\n{in_journal(self._backend)}"
            ) from error
        if left := self._remove_journal():
            raise StateError(left)
