"""Durable writes: a file is replaced completely, or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path


def write_durably(path: Path, content: bytes, mode: int = stat.S_IRUSR | stat.S_IWUSR) -> None:
    """Writes a temporary file beside ``path``, flushes it to disk and renames it.

    Raises OSError: either ``path`` is unchanged, or it has the new content, which may not survive
    a power failure.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=temporary_prefix(path), dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    flush_folder(path.parent)


def temporary_prefix(path: Path) -> str:
    """How the names of the temporary files of ``path`` begin."""
    # Of a long name, only the end distinguishes the files of one state.
    return f".{path.name[-100:]}."


def flush_folder(folder: Path) -> None:
    """Makes a rename or a removal durable. Windows does so by itself and offers no call for it."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
