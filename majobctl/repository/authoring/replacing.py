"""Replaces many files, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from majobctl.errors import MajobctlError
from majobctl.files import flush_folder, replaceable, staged, sweep, write_durably
from majobctl.repository.toml.file import content_of
from majobctl.text import printable, reason_of

UNDONE = "no file was changed"


def replace_all(befores: Mapping[str, bytes], contents: Mapping[str, bytes], root: Path) -> None:
    """Gives the files, named from ``root``, their ``contents``. Raises MajobctlError, with those of
    ``befores`` in all of them, if one cannot be replaced. What somebody writes meanwhile stays."""
    places: dict[str, tuple[Path, int]] = {}
    done: list[str] = []
    name = ""
    try:
        with ExitStack() as stack:
            temporary = {}
            for name, before in befores.items():
                places[name] = replaceable(root / name, root)
                _refuse_edited(places[name][0], name, before)
            paths = {path for path, _ in places.values()}
            folders = {it.parent for it in paths}
            for folder in folders:
                sweep(folder, paths)
            for name, (path, mode) in places.items():
                temporary[name] = stack.enter_context(staged(path, contents[name], mode))
            for name, before in befores.items():
                _refuse_edited(places[name][0], name, before)
                done.append(name)
                os.replace(temporary[name], places[name][0])
        for folder in folders:
            flush_folder(folder)
    except BaseException as error:
        undone = _put_back({name: (*places[name], contents[name]) for name in done}, befores)
        if isinstance(error, OSError):
            message = f"{name} cannot be written: {reason_of(error)}; {undone}"
            raise MajobctlError(message) from error
        if isinstance(error, MajobctlError):
            raise MajobctlError(f"{error}; {undone}") from error
        raise


def _refuse_edited(path: Path, name: str, before: bytes) -> None:
    if content_of(path, name) != before:
        raise MajobctlError(f"{name} was changed meanwhile")


def _put_back(written: Mapping[str, tuple[Path, int, bytes]], befores: Mapping[str, bytes]) -> str:
    """Gives each file that has the new content its old one; says whether that is done."""
    kept: list[str] = []
    for name, (path, mode, content) in written.items():
        try:
            if (found := path.read_bytes()) == content:
                write_durably(path, befores[name], mode)
            elif found != befores[name]:
                kept.append(f"{name} was changed after it got the new values")
        except OSError:
            kept.append(f"{printable(str(path))} has the new values, and cannot be put back")
    return "; ".join(kept) or UNDONE
