"""Durable writes: a file is replaced completely, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_REFUSALS = {
    *(errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
}


def write_durably(path: Path, content: bytes, mode: int = stat.S_IRUSR | stat.S_IWUSR) -> None:
    """Writes a temporary file beside ``path``, flushes it to disk and renames it.

    Raises OSError: either ``path`` is unchanged, or it has the new content, which may not survive
    a power failure.
    """
    descriptor, temporary = tempfile.mkstemp(".tmp", temporary_prefix(path), path.parent)
    with _written(descriptor, temporary, content):
        with _if_supported():
            os.chmod(temporary, mode)
        os.replace(temporary, path)
    flush_folder(path.parent)


def create_durably(path: Path, content: bytes) -> None:
    """Creates ``path``, for the user alone, and flushes it to disk.

    Raises FileExistsError if it is there already, and OSError: then it is not there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _written(descriptor, path, content):
        flush_folder(path.parent)


def temporary_prefix(path: Path) -> str:
    """How the names of the temporary files of ``path`` begin."""
    # Of a long name, only the end distinguishes the files of one state. Nobody else's file is
    # called like this: what a killed process left is removed by its name.
    return f".{path.name[-50:]}.majobctl-"


def flush_folder(folder: Path) -> None:
    """Makes a rename or a removal durable. Windows does so by itself and offers no call for it."""
    if os.name != "nt":
        with _if_supported():
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


@contextmanager
def _written(descriptor: int, path: str | Path, content: bytes) -> Iterator[None]:
    """Fills a new file, which is removed if that fails, or what follows."""
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield
    except BaseException:
        with suppress(OSError):
            os.unlink(path)
        raise


@contextmanager
def _if_supported() -> Iterator[None]:
    """Goes on if a share (CIFS, vfat) refuses what is done beside the content; EIO is an error."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
