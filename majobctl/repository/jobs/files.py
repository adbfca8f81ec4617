"""Which files the settings' patterns lead to. What stands in them is not known here."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from pathlib import Path

from majobctl.errors import Problem
from majobctl.repository.settings.settings import Settings
from majobctl.text import printable, quoted


def job_files(settings: Settings, warnings: list[Problem]) -> list[tuple[Path, str]]:
    """The job files with their names in the order of those; each is there once, links or not.

    Only folders are passed over. A link that leads nowhere counts, for its job configs must not
    seem removed.
    """
    names: set[str] = set()
    for index, pattern in enumerate(settings.job_files):
        matches = glob.glob(pattern, root_dir=settings.root, recursive=True)
        # Not Path.is_dir: it raises where a folder may not be searched.
        # And a pattern such as a/** matches "a/" where there is no folder a.
        files = {
            Path(match).as_posix()
            for match in matches
            if not os.path.isdir(settings.root / match) and os.path.lexists(settings.root / match)
        }
        if not files:
            message = f"files: {quoted(pattern)} matches no file"
            line = settings.file.line_of(("jobs", "files", index))
            warnings.append(Problem(settings.file.name, line, 0, "jobs", message))
        names |= files
    found: dict[str, str] = {}
    for name in sorted(names):
        found.setdefault(os.path.realpath(settings.root / name), name)
    found.pop(os.path.realpath(settings.file_path), None)
    return [(settings.root / name, printable(name)) for name in found.values()]


def unlisted_folders(settings: Settings) -> Iterator[Problem]:
    """The folders that the patterns lead to and that cannot be listed: the job configs in them
    must not seem removed."""
    failures: list[OSError] = []
    for pattern in dict.fromkeys(settings.job_files):
        _walk(settings.root, pattern, failures)
    for error in failures:
        if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
            folder = os.path.relpath(error.filename, settings.root)
            yield Problem(printable(folder), 0, 0, "", f"cannot be listed: {error.strerror}")


def _walk(root: Path, pattern: str, failures: list[OSError]) -> None:
    """Lists the folders that ``pattern`` leads to, and no others: they may be anything."""
    start = _fixed_part(pattern)
    top, parts = root / start, Path(pattern).parts[len(Path(start).parts) :]
    seen: set[str] = set()
    for folder, folders, _ in os.walk(top, onerror=failures.append, followlinks=True):
        seen.add(os.path.realpath(folder))
        if "**" not in parts:
            depth = len(Path(os.path.relpath(folder, top)).parts)
            folders[:] = fnmatch.filter(folders, parts[depth]) if depth < len(parts) - 1 else []
        # glob passes over hidden folders, too; a link may lead to where the walk was already.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) not in seen
        ]


def _fixed_part(pattern: str) -> str:
    """The folder above the first part of ``pattern`` that has a wildcard."""
    parts: list[str] = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        parts.append(part)
    return os.path.join("", *parts)
