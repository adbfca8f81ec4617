"""Durable writes: a file is replaced as a whole, or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


def write_durably(path: Path, content: bytes, mode: int = stat.S_IRUSR | stat.S_IWUSR) -> None:
    """Writes beside ``path``, flushes to disk and renames.

    Raises OSError: nothing is changed then, or the new content is there and may not outlive a
    power failure.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=_prefix(path), dir=path.parent)
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
    _flush_folder(path.parent)


def _prefix(path: Path) -> str:
    """How the name of a file begins that is to be renamed to ``path``."""
    # Of a long name only the end tells the files of one state apart.
    return f".{path.name[-100:]}."


def _flush_folder(folder: Path) -> None:
    """Makes a rename or a removal durable; Windows has no way to, and does it by itself."""
    if os.name != "nt":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
