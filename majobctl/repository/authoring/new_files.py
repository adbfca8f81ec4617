"""New job files: where they may go, and writing all of them or none."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path, PurePath

from majobctl.errors import MajobctlError
from majobctl.files import refuse_link_out
from majobctl.repository.settings.settings import FILE_NAME, Settings
from majobctl.text import printable, quoted, reason_of

SINGLE_STEM = "imported"
"""The name of the single file for all job configs, without its suffix."""
_RESERVED = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
"""Names that are reserved on Windows, whatever the suffix."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where new job files go: a folder, its name in messages, and whether one file holds all."""

    folder: Path
    shown: str
    is_single: bool = False


def place_of_files(
    settings: Settings, out_dir: str, *, is_single: bool, option: str = "--out-dir"
) -> Place:
    """The place ``out_dir``, which ``option`` names. Raises MajobctlError if job files are not read
    from there."""
    root = settings.root
    folder = Path(os.path.normpath(root / out_dir))
    if not folder.is_relative_to(root):
        folder = Path(os.path.realpath(folder))
    if not folder.is_relative_to(root):
        raise MajobctlError(
            f"{option} {quoted(out_dir)} is outside the folder of {FILE_NAME}; choose a place"
            " below it"
        )
    try:
        refuse_link_out(folder, root)
    except OSError as error:
        raise MajobctlError(f"{option} {quoted(out_dir)}: {error.strerror}") from error
    shown = printable(folder.relative_to(root).as_posix())
    # Any stem will do: if a pattern wants other names, that is found when the files are read again.
    example = folder / f"{SINGLE_STEM}.toml"
    if not any(_matches(root, pattern, example) for pattern in settings.job_files):
        raise MajobctlError(
            f"jobs.files in {FILE_NAME} does not match new files in {quoted(shown)}: add"
            f' "{shown}/*.toml" to it, or choose another {option}'
        )
    return Place(folder, shown, is_single)


def _matches(root: Path, pattern: str, path: Path) -> bool:
    """Whether glob finds ``path``, below ``root``, for ``pattern``."""
    parts = PurePath(pattern).parts
    is_absolute = PurePath(pattern).is_absolute()
    return _parts_match(parts, (path if is_absolute else path.relative_to(root)).parts)


@lru_cache(maxsize=4096)
def _parts_match(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    # Cached: many ** can fit in more ways than could be tried.
    if not pattern or not path:
        return not pattern and not path
    is_hidden = path[0].startswith(".") and not pattern[0].startswith(".")
    if pattern[0] == "**":
        is_end = len(pattern) == len(path) == 1 and not is_hidden
        here = is_end or _parts_match(pattern[1:], path)
        return here or (not is_hidden and _parts_match(pattern, path[1:]))
    fits = fnmatch.fnmatch(path[0], pattern[0]) and not is_hidden
    return fits and _parts_match(pattern[1:], path[1:])


class NewFiles:
    """Writes new files, and removes them again at the end of the ``with``, unless they are kept."""

    def __init__(self, place: Place) -> None:
        self._folder = place.folder
        self._shown = place.shown
        self._made = ExitStack()
        self._taken: set[str] | None = None
        self._is_kept = False

    def __enter__(self) -> NewFiles:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_kept:
            self.remove()

    def write(self, stem: str, text: str, *, is_secret: bool = False) -> str:
        """Writes ``STEM.toml``, or ``STEM-2.toml`` if that is taken, and returns its name. Case
        does not count, as on some file systems. Only the user may read one that ``is_secret``.
        Raises MajobctlError if the file cannot be written."""
        # Commands would take a name that begins with a hyphen for options.
        stem = f"_{stem}" if stem.startswith("-") else stem
        name = f"{stem}.toml"
        try:
            taken = self._taken_names()
            number = 1
            while name.casefold() in taken or (number == 1 and _RESERVED.fullmatch(stem.lower())):
                number += 1
                name = f"{stem}-{number}.toml"
            taken.add(name.casefold())
            # "x": a file that appeared meanwhile belongs to somebody else.
            opener = partial(os.open, mode=0o600 if is_secret else 0o666)
            path = self._folder / name
            with open(path, "x", encoding="utf-8", newline="\n", opener=opener) as file:
                self._made.callback(_quietly, path.unlink)
                file.write(text)
                # Before the state: an empty file after a power cut would look like a removal.
                file.flush()
                os.fsync(file.fileno())
        except (OSError, ValueError) as error:
            place = printable(f"{self._shown}/{name}")
            raise MajobctlError(f"{place} cannot be written: {reason_of(error)}") from error
        return name

    def keep(self) -> None:
        self._is_kept = True

    def remove(self) -> None:
        """Removes the written files, and the folders that were created for them."""
        self._made.close()

    def _taken_names(self) -> set[str]:
        """The names in the folder, which is created if it is missing."""
        if self._taken is None:
            folders = (self._folder, *self._folder.parents)
            for folder in reversed([*takewhile(lambda it: not os.path.lexists(it), folders)]):
                folder.mkdir()
                self._made.callback(_quietly, folder.rmdir)
            self._taken = {name.casefold() for name in os.listdir(self._folder)}
        return self._taken


def _quietly(remove: Callable[[], None]) -> None:
    with suppress(OSError):
        remove()
