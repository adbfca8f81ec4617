"""The history beside a state in a file."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from majobctl.files import flush_folder

_GROWING = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
_CHUNK = 2**16
_MOST_BYTES = 2**26
"""Of the end that is read: a line of 50,000 job configs has less."""
_TORN = re.compile(rb'\{(?!.*"\},"sum":"[0-9a-f]{16}"\})')
"""What a crash leaves of a line: its beginning."""


def history_of(path: str) -> str:
    """The file beside the state ``path``: ``x.history.jsonl`` for ``x.state.json``."""
    return path.removesuffix(".state.json") + ".history.jsonl"


class LocalHistory:
    """A file of lines. What a crash left of its last one is cut off when the next is added."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self._name = path, name

    def append(self, lines: bytes) -> None:
        """Adds ``lines``, and returns when they are on disk. Raises OSError: then they are not in
        the file, as far as that can be helped."""
        if not lines:
            return
        is_new = not self.path.exists()
        descriptor = self._open(_GROWING)
        try:
            with suppress(OSError, AttributeError):
                os.fchmod(descriptor, 0o600)
            size = os.fstat(descriptor).st_size
            torn = self._end(descriptor, size).rpartition(b"\n")[2]
            is_torn = len(torn) < _MOST_BYTES and _TORN.match(torn)
            start = size - len(torn) if is_torn else size
            if torn and start == size:
                lines = b"\n" + lines
            try:
                os.ftruncate(descriptor, start)
                os.lseek(descriptor, start, os.SEEK_SET)
                rest = memoryview(lines)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, start)
                raise
        finally:
            os.close(descriptor)
        if is_new:
            flush_folder(self.path.parent)

    def end(self) -> bytes:
        """The last lines, at least one. Raises OSError."""
        descriptor = self._open(os.O_RDONLY)
        try:
            return self._end(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def _open(self, flags: int) -> int:
        if self.path.exists() and not self.path.is_file():
            raise OSError(errno.EINVAL, "it is not a regular file")
        return os.open(self.path, flags | getattr(os, "O_BINARY", 0), 0o600)

    def _end(self, descriptor: int, size: int) -> bytes:
        content, start = b"", size
        # A line begins after the end of one: the last may be cut short.
        while start > 0 and content.count(b"\n") < 2 and len(content) < _MOST_BYTES:
            length = min(start, max(_CHUNK, len(content)))
            start -= length
            os.lseek(descriptor, start, os.SEEK_SET)
            content = os.read(descriptor, length) + content
        return content
