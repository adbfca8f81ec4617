"""What somebody else may do to a file that majobctl is using.

Each way takes a path and returns the bytes that are no longer there, exactly: majobctl may replace
the file at any moment. Raises FileNotFoundError or FileExistsError if majobctl was faster.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


def _remove(path: Path) -> bytes:
    aside = path.with_name("taken")
    path.rename(aside)
    content = aside.read_bytes()
    aside.unlink()
    return content


def _cut(path: Path, share: float) -> bytes:
    with path.open("r+b") as file:
        content = file.read()
        file.truncate(int(len(content) * share))
        return content


def _empty(path: Path) -> bytes:
    return _cut(path, 0)


def _truncate(path: Path) -> bytes:
    return _cut(path, 0.7)


def _append(path: Path) -> bytes:
    with path.open("r+b") as file:
        content = file.read()
        file.write(b"more\n")
        return content


def _replace(path: Path) -> bytes:
    content = _remove(path)
    with path.open("xb") as file:
        file.write(b"something else\nentirely\n")
    return content


def _copy(path: Path) -> bytes:
    content = _remove(path)
    with path.open("xb") as file:
        file.write(content)
    return content


def _link(path: Path) -> bytes:
    content = _remove(path)
    path.symlink_to(path.with_name("nowhere"))
    return content


def _link_to_folder(path: Path) -> bytes:
    content = _remove(path)
    path.symlink_to(path.parent)
    return content


def _make_folder(path: Path) -> bytes:
    content = _remove(path)
    path.mkdir()
    return content


WAYS: Mapping[str, Callable[[Path], bytes]] = {
    "remove": _remove,
    "empty": _empty,
    "truncate": _truncate,
    "append": _append,
    "replace": _replace,
    "copy": _copy,
    "link": _link,
    "link to a folder": _link_to_folder,
    "make a folder": _make_folder,
}
SUFFIXES = STATE, JOURNAL, LOCK, HOLDER, BACKUP = "", ".journal", ".lock", ".lock.holder", ".backup"
"""The files of a state's folder, after the state's name."""


def clear(path: Path) -> None:
    """Removes what is there unless it is a file, or a link to one, as a person would."""
    if path.is_symlink() and not path.is_file():
        path.unlink()
    elif path.is_dir():
        path.rmdir()
