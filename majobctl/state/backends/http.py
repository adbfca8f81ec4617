"""A state at one address, as GitLab keeps it for Terraform, and whatever else speaks that protocol.

There is one document, so the journal travels in it, and the last lines of the history: older ones
are in the versions that the server keeps. The lock has no lease: nobody can see whether
its holder lives. GitLab refuses a write without the lock (with 500), others may not, so there the
document is compared first. What became of a write that failed, or has no answer, is found by
reading: each document says whose it is. Only the holder of the lock repeats it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from majobctl.errors import LockedError, StateError
from majobctl.state.backends import Holder, NotKeptError, OvertakenError, Seen, Warn, unheard
from majobctl.state.backends.http_server import Document, Server, holder_of, id_of
from majobctl.state.backends.lease import Clock, Moment, is_within
from majobctl.state.backends.lock import this_process
from majobctl.state.backends.log import NoteFile
from majobctl.state.backends.reader import Asker

_FIRST_INTERVAL = 0.25
_MOST_LINES, _MOST_CHARACTERS = 200, 2**18


def of_settings(settings: Mapping[str, Any], root: Path) -> HttpBackend:
    return HttpBackend(Server(settings["address"]))


class HttpBackend(Asker):
    """A state on ``server``. The time between two writes of an apply grows to ``pause`` seconds,
    unless many outcomes wait; what became of a write is found for ``patience`` seconds."""

    option = ""

    def __init__(self, server: Server, *, pause: float = 5, patience: float = 20) -> None:
        super().__init__(server.name, Clock())
        self.place, self.journal_name = server.name, f"the journal of {server.name}"
        self.history_name, self.forgets_history = f"the history of {server.name}", True
        keeps = "cannot write any more" if server.is_gitlab else "may still write, so end it"
        self.unlocked = f"; if it still runs, it {keeps}, and starts no call once it notices"
        self._server, self._pause, self._patience = server, pause, patience
        self._seen = Document()  # when the state was last read
        # While the lock is held, or may be:
        self._mutex = threading.RLock()
        self._holder: Holder | None = None
        self._held: Document | None = None
        self._sure_since: Moment = (0.0, 0.0)  # when the document was certainly its own
        self._next_flush = self._interval = 0.0
        self._overtaken: OvertakenError | None = None

    @property
    def copies(self) -> str:
        is_gitlab = self._server.is_gitlab
        versions = "GitLab keeps earlier versions" if is_gitlab else "one of the server's"
        return f"{versions}; jq -r .state VERSION | majobctl state push{self.option} --force -"

    def read(self) -> bytes | None:
        return self.snapshot()[1]

    def read_journal(self) -> bytes | None:
        return self.snapshot()[0]

    def snapshot(self) -> tuple[bytes | None, bytes | None]:
        found = self._seen = self._held or self.ask(self._server.fetch)
        return found.journal.encode() or None, found.state.encode() or None

    def write(self, content: bytes, lines: bytes = b"") -> None:
        with self._writing() as held:
            history = _last_lines(held.history + lines.decode(errors="replace"))
            self._replace(state=content.decode(), journal="", history=history)

    def read_history(self) -> bytes:
        read = self._held or (self._seen if self._seen.state else None)
        return (read or self.ask(self._server.fetch)).history.encode()

    def end_of_history(self) -> bytes:
        return self.read_history()

    def replace_history(self, content: bytes) -> None:
        with self._writing():
            self._replace(history=_last_lines(content.decode(errors="replace")))

    def open_journal(self) -> NoteFile:
        self.remove_journal()
        self._next_flush = self._interval = 0.0
        return NoteFile(self._add_note, self._check, self._until_next_flush)

    def _until_next_flush(self) -> float:
        return max(0, self._next_flush - self._clock.now()[0])

    def _add_note(self, content: bytes) -> None:
        journal = (self.read_journal() or b"") + content
        with self._writing():
            self._interval = min(2 * self._interval or _FIRST_INTERVAL, self._pause)
            self._next_flush = self._clock.now()[0] + self._interval
            self._replace(journal=journal.decode())

    def remove_journal(self) -> None:
        with self._writing() as held:
            if held.journal:
                self._replace(journal="")

    def _check(self) -> None:
        """Returns if nobody else wrote until a moment ago. Raises OSError."""
        with self._writing() as held:
            start = self._clock.now()
            if not is_within(self._pause, self._sure_since, start):
                self._has(held)
                self._sure_since = start

    @contextmanager
    def lock(self, command: str, timeout: float = 0, warn: Warn = unheard) -> Iterator[Holder]:
        holder = this_process(command)
        try:
            self._take(holder, timeout)
            self._held = self.ask(self._server.fetch)
            if self._held == Document():
                self.prove()
            yield holder
        finally:
            if self._holder and not self._overtaken:
                try:
                    self.ask(partial(self._server.free, holder))
                except StateError as error:
                    if self._held:
                        advice = (
                            f"free it, if it is there: majobctl unlock{self.option} {holder.id}"
                        )
                        warn(f"the lock may still be there: {error}\n{advice}")
            self._holder = self._held = self._overtaken = None
            self._seen = Document()

    def _take(self, holder: Holder, timeout: float) -> None:
        until, self._holder = self._clock.now()[0] + timeout, holder
        take = partial(self._server.take, holder)
        while (found := self.ask(take)) and found.id != holder.id:
            if (left := until - self._clock.now()[0]) <= 0:
                self._holder = None
                who = found if found.pid else f"another program, for {found.user}"
                raise LockedError(
                    f"{self.name} is locked by {who}\nwait for it, with --lock-timeout SECONDS;"
                    " or, if it is gone, which nobody can see from here, free the lock: majobctl"
                    f" unlock{self.option} {found.id}"
                )
            self._clock.sleep(min(1, left))

    def holder(self) -> Seen | None:
        """Who wrote what is about to be sent: only by taking the lock could one ask for more."""
        if not self._seen.journal:
            return None
        doubt = "or it was broken off: the server does not say"
        return Seen(holder_of({"ID": self._seen.by}), doubt)

    def prove(self) -> str:
        other = this_process("majobctl state check")
        if self.ask(partial(self._server.take, other)) is None:
            self.ask(partial(self._server.free, other))
            raise StateError(
                f"{self.name} cannot keep a state: it gave its lock to two at once\nnothing was"
                " written; use GitLab, PostgreSQL or git"
            )
        return "while one had the lock, another one was refused"

    def unlock(self, holder_id: str) -> Holder:
        own = this_process("majobctl unlock")
        found = self.ask(partial(self._server.take, own)) or own
        if found.id not in (own.id, holder_id):
            raise StateError(f"the lock of {self.name} has the ID {found.id}: {found}")
        self.ask(partial(self._server.free, found))
        if found.id == own.id:
            raise StateError(f"{self.name} is not locked")
        return found

    @contextmanager
    def _writing(self) -> Iterator[Document]:
        """The document to replace. Raises OSError, as the place of a state does."""
        with self._mutex:
            if self._overtaken:
                raise self._overtaken
            assert self._held is not None
            try:
                yield self._held
            except StateError as error:
                raise self._overtaken or NotKeptError(str(error)) from None

    def _replace(self, **changes: str) -> None:
        assert self._held and self._holder
        if not self._server.is_gitlab:
            self._has(self._held)
        start, lock, known = self._clock.now(), id_of(self._holder), self._held
        after = replace(known, serial=known.serial + 1, by=lock, **changes)
        while (fault := self._fault_of(after)) and not self._has(after):
            if self._held is known:
                self._check_lock(self._holder)
                is_late = self._clock.now()[0] > start[0] + self._patience
                if isinstance(fault, StateError) or is_late:
                    raise fault
                self._clock.sleep(0.5)
            known = self._held
            after = replace(after, serial=known.serial + 1)
        self._held, self._sure_since = after, start

    def _fault_of(self, document: Document) -> Exception | None:
        try:
            self._server.update(document)
        except (StateError, ConnectionError) as error:
            return error
        return None

    def _has(self, document: Document) -> bool:
        """Whether the server has ``document``. Raises OvertakenError if it has somebody else's."""
        found = self.patiently(self._server.fetch, self._patience)
        if self._holder and found.by == id_of(self._holder):
            self._held = found  # perhaps of a write that was broken off
        elif found != self._held:
            if found == Document():
                raise StateError(f"{self.name} has no state any more: it was removed meanwhile")
            raise self._lost("taken over", holder_of({"ID": found.by}) if found.by else None)
        return found == document

    def _check_lock(self, holder: Holder) -> None:
        """Tries to take its own lock again: the answer names who has it."""
        found = self.patiently(partial(self._server.take, holder), self._patience)
        if found is None:
            self.patiently(partial(self._server.free, holder), self._patience)
        if found is None or found.id != holder.id:
            raise self._lost("taken over" if found else "freed", found)

    def _lost(self, verb: str, by: Holder | None) -> OvertakenError:
        text = f"the lock of {self.name} was {verb} by {by or 'somebody else'}"
        self._overtaken = OvertakenError(text)
        return self._overtaken


def _last_lines(history: str) -> str:
    """As many of the last lines as there is room for, and at least one."""
    lines = history.split("\n")[-_MOST_LINES - 1 :]
    size = sum(map(len, lines))
    while len(lines) > 2 and size > _MOST_CHARACTERS:
        size -= len(lines.pop(0))
    return "\n".join(lines)
