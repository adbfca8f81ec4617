"""Which job files the settings' patterns match. Independent of what the files say."""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from majobctl.errors import Problem
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.settings import FILE_NAME, POLICY_NAME, PRICES_NAME, Settings
from majobctl.text import printable, quoted

MOST_ENTRIES = 1_000_000
"""How many files and folders a pattern may lead past."""


class JobFiles(NamedTuple):
    """The paths of the job files with their names, in that order, each file once. ``unmatched`` has
    a warning for each pattern that matches no file but the settings, and for each link that leads
    nowhere; ``problems`` what keeps job files from being found. Their job configs must not seem to
    be removed."""

    files: list[tuple[str, str]]
    unmatched: list[Problem]
    problems: list[Problem]


def job_files(settings: Settings) -> JobFiles:
    own = {os.path.realpath(settings.root / name) for name in (FILE_NAME, POLICY_NAME, PRICES_NAME)}
    names: dict[str, str] = {}
    problems: list[Problem] = []
    broken: dict[Problem, None] = {}
    unmatched: list[Problem] = []
    for index, pattern in enumerate(settings.job_files):
        found = dict(_matches(settings.root, pattern, problems, broken))
        names |= found
        if not {*found.values()} - own:
            message = f"files: {quoted(pattern)} matches no file"
            if os.path.isdir(settings.root / pattern):
                below = quoted(f"{pattern.rstrip('/')}/*.toml")
                message = f"files: {quoted(pattern)} is a folder; write {below}"
            violation = Violation(("jobs", "files", index), message)
            unmatched.append(settings.file.problem(violation))
    by_place: dict[str, str] = {}
    for name in sorted(names):
        if names[name] not in own:
            by_place.setdefault(names[name], name)
    files = [(os.path.join(settings.root, it), printable(it)) for it in by_place.values()]
    return JobFiles(files, [*unmatched, *sorted(broken)], problems)


def _matches(
    root: Path, pattern: str, problems: list[Problem], broken: dict[Problem, None]
) -> Iterator[tuple[str, str]]:
    """The files that ``pattern`` matches, as ``glob`` does: the name of each, and its real place.
    Each folder is looked into once for each part of the pattern, however many links lead to it, and
    by its own name before that of a link."""
    parts = () if pattern.endswith("/") else Path(pattern).parts  # a slash means folders
    real_root = os.path.realpath(root)
    todo = [("", real_root, 0)] if parts else []
    linked = todo[:0]
    seen: set[tuple[str, int]] = set()
    left = MOST_ENTRIES
    while todo or linked:
        folder, place, depth = (todo or linked).pop()
        if (place, depth) in seen:
            continue
        seen.add((place, depth))
        left -= 1
        part, is_last, is_any = parts[depth], depth + 1 == len(parts), parts[depth] == "**"
        if is_any and not is_last:
            todo.append((folder, place, depth + 1))
        for entry, is_link, is_folder in _entries(root, folder, part, problems):
            left -= 1
            name, below = os.path.join(folder, entry), os.path.join(place, entry)
            if is_link or entry == os.pardir:
                below = os.path.realpath(below)
            if is_last and not is_folder:
                yield name.replace(os.sep, "/"), below
            elif is_folder and is_link and Path(below) in Path(real_root).parents:
                # The walk might be of the complete disk.
                message = f"it is a link to {printable(below)}, above the folder of {FILE_NAME}"
                mend = "remove it, or link the folder that has job files"
                problems.append(Problem(file=printable(name), message=f"{message}; {mend}"))
            elif is_folder and (is_any or not is_last):
                (linked if is_link else todo).append((name, below, depth + (not is_any)))
            elif is_link and not is_last and not os.path.exists(os.path.join(root, name)):
                message = "this link leads nowhere; if job files were there, they are missing"
                broken[Problem(file=printable(name), message=message)] = None
        if left < 0:
            message = f"{quoted(pattern)} leads past more than {MOST_ENTRIES:,} files and folders"
            mend = "name the folders that have job files"
            problems.append(Problem(file=FILE_NAME, where="jobs", message=f"{message}; {mend}"))
            return


def _entries(
    root: Path, folder: str, part: str, problems: list[Problem]
) -> Iterator[tuple[str, bool, bool]]:
    """The names in ``folder`` that fit ``part``; whether each is a link, and leads to a folder."""
    path = os.path.join(root, folder)
    if not glob.has_magic(part):
        path = os.path.join(path, part)
        if os.path.lexists(path):
            yield part, os.path.islink(path), os.path.isdir(path)
        return
    fits = re.compile(fnmatch.translate(os.path.normcase("*" if part == "**" else part))).match
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                is_hidden = entry.name.startswith(".") and not part.startswith(".")
                if not is_hidden and fits(os.path.normcase(entry.name)):
                    is_link = entry.is_symlink()
                    # Not DirEntry.is_dir for a link: it raises where that may not be followed.
                    is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir()
                    yield entry.name, is_link, is_folder
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        message = f"cannot be listed: {error.strerror}"
        problems.append(Problem(file=printable(folder or "."), message=message))
