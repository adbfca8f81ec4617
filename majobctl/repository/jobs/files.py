"""Which job files the settings' patterns match. Independent of what the files say."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from majobctl.errors import Problem
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.settings import Settings
from majobctl.text import printable, quoted


def job_files(settings: Settings) -> tuple[list[tuple[Path, str]], list[Problem]]:
    """The job files with their names, in that order, each once; and a warning for each pattern that
    matches no file but the settings. A broken link counts: its job configs must not seem to be
    removed."""
    own = os.path.realpath(settings.file_path)
    places: dict[str, str] = {}
    unmatched: list[Problem] = []
    for index, pattern in enumerate(settings.job_files):
        matches = _matches(settings.root, pattern)
        files = {name: os.path.realpath(settings.root / name) for name in matches}
        if not {*files.values()} - {own}:
            message = f"files: {quoted(pattern)} matches no file"
            if os.path.isdir(settings.root / pattern):
                below = quoted(f"{pattern.rstrip('/')}/*.toml")
                message = f"files: {quoted(pattern)} is a folder; write {below}"
            violation = Violation(("jobs", "files", index), message)
            unmatched.append(settings.file.problem(violation))
        places |= files
    found: dict[str, str] = {}
    for name, place in sorted(places.items()):
        found.setdefault(place, name)
    found.pop(own, None)
    return [(settings.root / name, printable(name)) for name in found.values()], unmatched


def _matches(root: Path, pattern: str) -> set[str]:
    # Not Path.is_dir: it raises where a folder may not be searched.
    # And a pattern such as a/** matches "a/" if there is no folder a.
    return {
        Path(match).as_posix()
        for match in glob.glob(pattern, root_dir=root, recursive=True)
        if not os.path.isdir(root / match) and os.path.lexists(root / match)
    }


def unlisted_folders(settings: Settings) -> tuple[set[Problem], set[Problem]]:
    """A problem for each folder that a pattern leads to and that cannot be listed, and one for each
    link that leads nowhere and may have been such a folder: the job configs in it must not seem to
    be removed."""
    failures: list[OSError] = []
    broken: set[str] = set()
    for pattern in dict.fromkeys(settings.job_files):
        broken.update(_walk(settings.root, pattern, failures))

    def problem(path: str, message: str) -> Problem:
        return Problem(file=printable(os.path.relpath(path, settings.root)), message=message)

    unlisted = {
        problem(error.filename, f"cannot be listed: {error.strerror}")
        for error in failures
        if not isinstance(error, (FileNotFoundError, NotADirectoryError))
    }
    message = "this link leads nowhere; if job files were there, they are missing"
    return unlisted, {problem(path, message) for path in broken}


def _walk(root: Path, pattern: str, failures: list[OSError]) -> Iterator[str]:
    """Lists the folders that ``pattern`` leads to, and no others, which may be anything. The links
    among them that lead nowhere."""
    # The folder above the first part with a wildcard.
    fixed = takewhile(lambda part: not glob.has_magic(part), Path(pattern).parts[:-1])
    start = os.path.join("", *fixed)
    top, parts = root / start, Path(pattern).parts[len(Path(start).parts) :]
    seen: set[str] = set()
    for folder, folders, files in os.walk(top, onerror=failures.append, followlinks=True):
        seen.add(os.path.realpath(folder))
        others = [*{*files}.difference(fnmatch.filter(files, parts[-1]))]
        if "**" not in parts:
            depth = len(Path(os.path.relpath(folder, top)).parts)
            for names in (folders, others):
                names[:] = fnmatch.filter(names, parts[depth]) if depth < len(parts) - 1 else []
        paths = (os.path.join(folder, name) for name in others if not name.startswith("."))
        yield from (path for path in paths if os.path.islink(path) and not os.path.exists(path))
        # glob passes over hidden folders, too; a link may lead back to a folder already seen.
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(folder, name)) not in seen
        ]
