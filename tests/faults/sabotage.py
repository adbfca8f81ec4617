"""What somebody else may do to a file that majobctl is using: each way takes a path."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path


def _remove(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more\n")


def _replaced(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


def _replace(path: Path) -> None:
    _replaced(path, b"something else\nentirely\n")


def _copy(path: Path) -> None:
    _replaced(path, path.read_bytes())


def _link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _link_to_folder(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent)


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


WAYS: Mapping[str, Callable[[Path], None]] = {
    way.__name__[1:]: way
    for way in (
        *(_remove, _empty, _truncate, _append, _replace, _copy, _link, _link_to_folder),
        _make_folder,
    )
}


def clear(path: Path) -> None:
    """Removes what is there unless it is a file, as a person would."""
    if path.is_symlink():
        path.unlink()
    elif path.is_dir():
        path.rmdir()
