"""The journal beside a state in a file."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from majobctl.files import flush_folder

_NOT_KEPT = "it was removed, replaced or cut short meanwhile"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)


class LocalJournalFile:
    """A new journal file, which replaces an old one. Each write is flushed to disk."""

    def __init__(self, path: Path) -> None:
        self._path, self._size = path, 0
        self._descriptor = os.open(path, _NEW_FILE, 0o600)
        try:
            flush_folder(path.parent)
        except OSError:
            self.close()
            raise

    def pause(self) -> float:
        return 0

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)
        self._size += len(content)
        if self._found_size() != self._size:
            raise OSError(errno.ESTALE, _NOT_KEPT)

    def check(self) -> None:
        size = self._size  # before the look: another thread's write makes it longer
        if self._found_size() < size:
            raise OSError(errno.ESTALE, _NOT_KEPT)

    def _found_size(self) -> int:
        """-1 if the file in its place is another one."""
        with suppress(FileNotFoundError):
            found = os.stat(self._path)
            if os.path.samestat(os.fstat(self._descriptor), found):
                return found.st_size
        return -1

    def close(self) -> None:
        # Each write is on disk already, so a close that fails loses nothing. The descriptor soon
        # belongs to another file, and must not be used again.
        descriptor, self._descriptor = self._descriptor, -1
        with suppress(OSError):
            os.close(descriptor)
