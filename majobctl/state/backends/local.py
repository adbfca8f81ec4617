"""A state in a file on this machine, with its backup, its journal and its lock beside it.

The lock is the operating system's, because that ends with its process, however the process ends: a
lock file that a crash leaves behind would lock everybody out until somebody dares to remove it. A
second file says who holds the lock, for the message to those who wait. In a folder that several
machines share, the system's lock may not reach the others; so a holder on another machine counts as
alive for as long as its file exists, and only `majobctl unlock` or the holder removes that. Where
the file system has no locks at all, that holds for every holder: the file is created exclusively.

Anybody may remove or replace these files meanwhile, `git clean -xdf` for example. So the journal is
checked after each write, before the call that its intent belongs to, and the lock before each write
of the state: another process that has locked a new file has merged, and removed, this journal."""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majobctl.errors import LockedError, StateError
from majobctl.files import create_durably, flush_folder, read_file, sweep, write_durably
from majobctl.state.backends import Holder, Seen, Warn, unheard
from majobctl.state.backends.local_history import LocalHistory, history_of
from majobctl.state.backends.local_journal import LocalJournalFile
from majobctl.state.backends.lock import holder_of, lives_here, may_live, this_process
from majobctl.text import printable, reason_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_NOT_LOCKED = "its lock was replaced, and another process may have it now"
_POLL_SECONDS = 0.1
_HOLDER_SECONDS = 1.0
"""How long the holder of a lock may take to say who it is."""


def of_settings(settings: Mapping[str, Any], root: Path) -> LocalBackend:
    return LocalBackend(root / settings["path"], settings["path"])


class LocalBackend:
    """``path`` is the state file (a symbolic link is followed), ``name`` what messages call it."""

    option = copies = ""

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self.unlocked = ""  # one that lives keeps its lock
        self.journal_name, self.history_name = f"{name}.journal", history_of(name)
        self.forgets_history = False
        self._named = path
        self._path = Path(os.path.realpath(path))
        self.place = str(self._path)
        suffixes = (".journal", ".backup", ".lock", ".lock.holder")
        paths = (self._path.parent / (self._path.name + suffix) for suffix in suffixes)
        self._journal_path, self._backup_path, self._lock_path, self._holder_path = paths
        self._history = LocalHistory(Path(history_of(str(self._path))), self.history_name)
        self._warn: Warn = unheard  # while the lock is held
        self._holding: tuple[Holder, os.stat_result] | None = None  # with the lock's file
        self._system_locks: list[BaseFileLock] = []  # more than one if the file was replaced
        self._is_held = False  # the system's lock, when it was last wanted
        self._has_no_locks = False  # the file system

    def read(self) -> bytes | None:
        if self._holding is None:
            self._check_links()
        return _read(self._path, self.name)

    def read_journal(self) -> bytes | None:
        return _read(self._journal_path, self.journal_name)

    def snapshot(self) -> tuple[bytes | None, bytes | None]:
        return self.read_journal(), self.read()

    def write(self, content: bytes, lines: bytes = b"") -> None:
        self._check_lock()
        try:
            self._history.append(lines)
        except OSError as error:
            reason = f"{self.history_name} cannot be written: {reason_of(error)}"
            self._warn(f"{reason}; the state is, and this write will be missing in its history")
        with suppress(FileNotFoundError):
            write_durably(self._backup_path, read_file(self._path))
        write_durably(self._path, content)

    def read_history(self) -> bytes:
        return _read(self._history.path, self.history_name) or b""

    def end_of_history(self) -> bytes:
        with suppress(OSError):
            return self._history.end()
        return b""

    def replace_history(self, content: bytes) -> None:
        self._check_lock()
        write_durably(self._history.path, content)

    def open_journal(self) -> LocalJournalFile:
        self._check_lock()
        return LocalJournalFile(self._journal_path)

    def remove_journal(self) -> None:
        self._check_lock()
        self._journal_path.unlink(missing_ok=True)
        flush_folder(self._path.parent)

    @contextmanager
    def lock(self, command: str, timeout: float = 0, warn: Warn = unheard) -> Iterator[Holder]:
        self._check_links()
        deadline, holder = time.monotonic() + timeout, this_process(command)
        while not self._take(holder):
            if time.monotonic() >= deadline:
                raise self._locked(self._holder_in_a_moment())
            time.sleep(_POLL_SECONDS)
        try:
            self._check_not_mounted()
            self._sweep()
            self._warn = warn
            yield holder
        finally:
            # What was done under the lock must be reported, whatever happens to this file.
            with suppress(OSError, StateError):
                if (found := self._holder()) and found.id == holder.id:
                    self._holder_path.unlink()
            self._holding = None
            while self._system_locks:
                self._system_locks.pop().release()

    def _check_lock(self) -> None:
        """Makes the folder again, and takes a lock again whose file was removed or replaced. Raises
        OSError if that fails."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._holding is None:
            return
        holder, file = self._holding
        if self._has_no_locks:
            is_kept = (found := self._holder()) is not None and found.id == holder.id
        else:
            is_kept = self._lock_path.exists() and os.path.samestat(file, self._lock_path.stat())
        with suppress(StateError):
            is_kept = is_kept or self._take(holder)
        if not is_kept:
            raise OSError(errno.ESTALE, _NOT_LOCKED)

    def _take(self, holder: Holder) -> bool:
        """Whether ``holder`` has the lock now. Raises StateError if nobody can have it."""
        system_lock, is_taken = self._system_lock(), False
        try:
            is_taken = self._acquire(system_lock) and self._announce(holder)
        finally:
            # `unlock` needs the system's lock, and may be what this waits for.
            if is_taken:
                self._system_locks.append(system_lock)
            else:
                system_lock.release()
        return is_taken

    def _announce(self, holder: Holder) -> bool:
        """Writes who holds the lock, unless somebody else does."""
        try:
            file = self._lock_path.stat()
            if not self._has_no_locks and self._holder_path.exists():
                other = self._holder_in_a_moment(lambda found: True)
                if other is None or other.host == holder.host:
                    # One that is alive on this machine would have the system's lock.
                    self._holder_path.unlink(missing_ok=True)
            create_durably(self._holder_path, json.dumps(asdict(holder)).encode())
            self._holding = holder, file
        except FileExistsError:
            return False
        except OSError as error:
            raise self._not_lockable(error) from error
        return True

    def _check_not_mounted(self) -> None:
        """Raises StateError if the file is a mount point, which no rename can replace."""
        path = os.fsencode(self._path).replace(b" ", rb"\040")
        with suppress(OSError):
            mounts = Path("/proc/self/mountinfo").read_bytes().splitlines()
            if path in (line.split()[4] for line in mounts):
                raise StateError(
                    f"{self.name} is mounted as a single file, and cannot be replaced; nothing was"
                    " done\nmount the folder that it is in"
                )

    def _check_links(self) -> None:
        """Raises StateError for a link in place of a file that majobctl itself makes, and for one
        that leads nowhere: a state on a share that is not mounted would seem to be none yet."""
        own = (self._journal_path, self._lock_path, self._holder_path, self._history.path)
        for link in (*own, self._named, *self._named.parents):
            if link.is_symlink() and (link in own or not os.path.exists(link)):
                text = printable(f"{link} is a link to {os.readlink(link)}")
                mend = "mount its target, which does not exist, or set another state.path"
                mend = "remove it" if link in own else mend
                raise StateError(f"{self.name} cannot be used: {text}\nnothing was done; {mend}")

    def _sweep(self) -> None:
        """Removes what the writes of a killed process left; only the lock's holder writes."""
        paths = (self._path, self._backup_path, self._holder_path, self._history.path)
        sweep(self._path.parent, paths)

    def holder(self) -> Seen | None:
        holder = self._holder()
        return Seen(holder) if holder and may_live(holder) else None

    def prove(self) -> str:
        own = f"the file system has no locks: {self._holder_path.name} is the lock"
        return own if self._has_no_locks else "the system's lock keeps other processes out"

    def unlock(self, holder_id: str) -> Holder:
        self._check_holder(holder_id)
        system_lock, deadline = self._system_lock(), time.monotonic() + _HOLDER_SECONDS
        try:
            while not self._acquire(system_lock) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
            holder = self._check_holder(holder_id)
            if self._is_held or (self._has_no_locks and lives_here(holder)):
                raise self._locked(holder)
            self._holder_path.unlink(missing_ok=True)
        finally:
            system_lock.release()
        return holder

    def _check_holder(self, holder_id: str) -> Holder:
        if (holder := self._holder()) is None:
            raise StateError(f"{self.name} is not locked")
        if holder.id != holder_id:
            raise StateError(f"the lock of {self.name} has the ID {holder.id}: {holder}")
        return holder

    def _system_lock(self) -> BaseFileLock:
        from filelock import FileLock

        # Its own way on without flock is another one in each version.
        return FileLock(self._lock_path, thread_local=False, fallback_to_soft=False)

    def _acquire(self, system_lock: BaseFileLock) -> bool:
        """Whether nobody else has the system's lock. Raises StateError if nobody can have it."""
        from filelock import Timeout

        self._is_held = False
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if not self._lock_path.exists():
                flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
                os.close(os.open(self._lock_path, flags, 0o600))
            system_lock.acquire(timeout=0)
        except Timeout:
            self._is_held = True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise self._not_lockable(error) from error
            self._has_no_locks = True
        return not self._is_held

    def _holder_in_a_moment(self, is_it: Callable[[Holder], bool] = may_live) -> Holder | None:
        """The holder; a process that has just taken the lock has a moment to say who it is."""
        deadline = time.monotonic() + _HOLDER_SECONDS
        while True:
            holder = self._holder()
            if (holder and is_it(holder)) or time.monotonic() >= deadline:
                return holder
            time.sleep(_POLL_SECONDS / 10)

    def _holder(self) -> Holder | None:
        content = _read(self._holder_path, self._holder_path.name)
        return None if content is None else holder_of(content)

    def _locked(self, holder: Holder | None) -> LockedError:
        who = str(holder) if holder else "another process, which has not said who it is yet"
        ways = "wait for it, with --lock-timeout SECONDS"
        if holder and not self._is_held and not lives_here(holder):
            ways += f"; or, if it is gone, free the lock: majobctl unlock{self.option} {holder.id}"
        elif self._has_no_locks:
            ways += f"; or, if no majobctl is running, remove {printable(str(self._holder_path))}"
        return LockedError(f"{self.name} is locked by {who}\n{ways}")

    def _not_lockable(self, error: OSError) -> StateError:
        mend, folder = "nothing was done", printable(str(self._path.parent))
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            mend += f"; make {folder} writable for this user"
        elif error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend += f"; make room in {folder}"
        return StateError(f"{self.name} cannot be locked: {reason_of(error)}\n{mend}")


def _read(path: Path, name: str) -> bytes | None:
    try:
        return read_file(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{name} cannot be read: {reason_of(error)}") from error
