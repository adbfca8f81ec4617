"""Files: read within bounds, replaced completely or not at all, not through links that lead out."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from majobctl.errors import MajobctlError
from majobctl.text import printable, quoted

_CHUNK = 2**16
MOST_BYTES = 2**30
"""The largest file that is read: a state of far more than 100,000 job configs is smaller."""


def at_home(path: str) -> str:
    """``path`` with the home folder in place of a leading ``~`` or ``~USER``: no shell replaces it
    in the middle of a word, or in a file. Raises MajobctlError if there is no such user."""
    found = os.path.expanduser(path)
    if found != path or not path.startswith("~"):
        return found
    who = path.split("/")[0].split(os.sep)[0][1:]
    reason = f"there is no user {quoted(who)}" if who else "the home folder is not known"
    raise MajobctlError(
        f"{printable(path)}: {reason}\nfor a file whose name begins with ~, write"
        f" {printable(os.path.join(os.curdir, path))}"
    )


def read_file(path: str | Path, most: int = MOST_BYTES, *, may_be_pipe: bool = False) -> bytes:
    """The content of a regular file, or of a pipe. Raises OSError, also for a device and whatever
    else may never end, and for over ``most`` bytes."""
    about = os.stat(path)
    mode = about.st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or (may_be_pipe and stat.S_ISFIFO(mode))):
        # Opening a pipe would wait for somebody to write.
        raise OSError(errno.EINVAL, "it is not a regular file")
    if about.st_size > most:
        raise _too_large(most)
    with open(path, "rb") as file:
        content = file.read(about.st_size + 1)
        is_all = len(content) <= about.st_size
        return content if is_all else content + read_all(file, most - len(content))


def read_all(file: BinaryIO, most: int = MOST_BYTES) -> bytes:
    """Everything in ``file``. Raises OSError if that is more than ``most`` bytes."""
    content = bytearray()
    while len(content) <= most:
        content += (chunk := file.read(_CHUNK))
        if len(chunk) < _CHUNK:
            return bytes(content)
    raise _too_large(most)


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most // 2**20} MiB")


def refuse_link_out(path: str | Path, root: Path) -> None:
    """Raises OSError, which names the link, if writing ``path`` would follow one out of ``root``,
    or make the file that one lacks."""
    top = os.path.realpath(root)
    place = Path.cwd() / path
    for part in (*reversed(place.parents), place):
        if not os.path.islink(part):
            continue
        target = Path(os.path.realpath(part))
        is_inside = Path(os.path.realpath(part.parent)).is_relative_to(top)
        if (is_inside or not os.path.exists(part)) and not target.is_relative_to(top):
            link, to = (printable(os.path.relpath(it)) for it in (part, target))
            raise OSError(errno.ELOOP, f"{link} is a link out of the repository, to {to}")


def replaceable(path: str | Path, root: Path) -> tuple[Path, int]:
    """Where the file at ``path`` really is, and its mode. Raises OSError if it may not be written,
    or if a link leads out of ``root``: replacing it would need no permission to write it."""
    refuse_link_out(path, root)
    path = Path(os.path.realpath(path))
    mode = stat.S_IMODE(path.stat().st_mode)
    if not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return path, mode


_REFUSALS = {
    *(errno.EINVAL, errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)
}


def write_durably(path: Path, content: bytes, mode: int = stat.S_IRUSR | stat.S_IWUSR) -> None:
    """Writes a temporary file beside ``path``, flushes it to disk and renames it. Raises OSError:
    either ``path`` is unchanged, or it has the new content, which may not survive a power
    failure."""
    with staged(path, content, mode) as temporary:
        os.replace(temporary, path)
    flush_folder(path.parent)


@contextmanager
def staged(path: Path, content: bytes, mode: int) -> Iterator[str]:
    """A temporary file beside ``path``, flushed to disk, to be renamed; an error removes it."""
    import tempfile

    descriptor, temporary = tempfile.mkstemp(".tmp", temporary_prefix(path), path.parent)
    with _written(descriptor, temporary, content):
        with _if_supported():
            os.chmod(temporary, mode)
        yield temporary


def create_durably(path: Path, content: bytes) -> None:
    """Creates ``path``, for the user alone, and flushes it to disk. Raises FileExistsError if it is
    there already, and OSError: then it is not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with _written(descriptor, path, content):
        flush_folder(path.parent)


def temporary_prefix(path: Path) -> str:
    """How the names of the temporary files of ``path`` begin."""
    # Of a long name, only the end distinguishes the files of one state. Nobody else's file is
    # called like this: what a killed process left is removed by its name.
    return f".{path.name[-50:]}.majobctl-"


def sweep(folder: Path, paths: Iterable[Path]) -> None:
    """Removes from ``folder`` the temporary files of ``paths``: what a killed process left."""
    written = "|".join(re.escape(temporary_prefix(path)) for path in paths)
    is_left_over = re.compile(rf"({written})[a-z0-9_]{{8}}\.tmp").fullmatch
    with suppress(OSError):
        for path in folder.iterdir():
            if is_left_over(path.name):
                path.unlink(missing_ok=True)


def temporary_folder(stack: ExitStack) -> Path:
    """A new folder for temporary files, which goes with ``stack``, or else, after a kill, when the
    next one is made: as long as this process lives, it has the folder's lock."""
    import shutil
    import tempfile

    _sweep(tempfile.gettempdir())
    while True:
        folder = tempfile.mkdtemp(".tmp", ".majobctl-")
        if (descriptor := _locked(folder)) is not None:
            stack.callback(os.close, descriptor)
        if os.path.exists(folder):  # unless another process has just swept it
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            return Path(folder)


def _sweep(parent: str) -> None:
    """Removes the temporary folders of processes that are gone."""
    import shutil

    is_one, names = re.compile(r"\.majobctl-[a-z0-9_]{8}\.tmp").fullmatch, list[str]()
    with suppress(OSError):
        names = os.listdir(parent)
    for name in filter(is_one, names):
        if (descriptor := _locked(path := os.path.join(parent, name), waits=False)) is not None:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _locked(folder: str, *, waits: bool = True) -> int | None:
    """A descriptor that holds the lock of ``folder``; None if it cannot be had, as on Windows."""
    with suppress(OSError, ImportError):
        from fcntl import LOCK_EX, LOCK_NB, flock

        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            flock(descriptor, LOCK_EX | (0 if waits else LOCK_NB))
            return descriptor
        except OSError:
            os.close(descriptor)
    return None


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
