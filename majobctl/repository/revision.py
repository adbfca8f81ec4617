"""The config repository as another revision has it, read from git's objects alone: no worktree, no
index, no hook and no filter has a part in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from majobctl.errors import MajobctlError
from majobctl.files import MOST_BYTES, temporary_folder
from majobctl.git import run_git, said
from majobctl.repository.config import Config, load_config
from majobctl.repository.settings.settings import FILE_NAME, POLICY_NAME, PRICES_NAME, read_settings
from majobctl.repository.settings.variables import Overrides
from majobctl.text import printable, quoted, reason_of

_NOT_FOLLOWED = {"120000": "a link", "160000": "a submodule"}


class _Entry(NamedTuple):
    mode: str
    id: str
    size: int
    name: str


def config_of(root: Path, revision: str, overrides: Overrides) -> Config:
    """What ``load_config`` would find in the folder ``root`` of ``revision``, without the values of
    variables that it does not declare. Raises MajobctlError if git cannot read it, ConfigError if
    it breaks a rule."""
    try:
        with ExitStack() as stack:
            folder = temporary_folder(stack)
            of_now = (POLICY_NAME, PRICES_NAME)
            entries = [it for it in _entries(root, revision) if it.name not in of_now]
            _write(root, folder, [it for it in entries if it.name == FILE_NAME])
            if not (folder / FILE_NAME).is_file():
                raise MajobctlError(f"it has no {FILE_NAME} in this folder")
            patterns = read_settings(folder, overrides)[0].job_files
            for pattern in patterns:
                if os.path.isabs(pattern) or os.pardir in Path(pattern).parts:
                    raise MajobctlError(f"jobs.files: {quoted(pattern)} leads out of this folder")
            _write(root, folder, [it for it in entries if _may_matter(it, patterns)])
            return load_config(folder, overrides)
    except OSError as error:
        raise MajobctlError(reason_of(error)) from error


def _entries(root: Path, revision: str) -> Iterator[_Entry]:
    """All files of ``revision`` in ``root`` and below it."""
    if revision.startswith("-"):
        raise MajobctlError(f"{quoted(revision)} is not a revision")
    wanted = ("--verify", "--quiet", "--end-of-options", revision + "^{commit}")
    commit = _git(root, "rev-parse", *wanted).decode().strip()
    for line in _git(root, "ls-tree", "-r", "-z", "--long", commit).split(b"\0")[:-1]:
        about, _, name = line.partition(b"\t")
        mode, _, id_, size = about.decode().split()
        yield _Entry(mode, id_, int(size) if size.isdigit() else 0, os.fsdecode(name))


def _may_matter(entry: _Entry, patterns: Iterable[str]) -> bool:
    """Whether it may be a job file or a seed, or lead to job files."""
    if entry.mode not in _NOT_FOLLOWED:
        last = ["*.toml", *(it.rpartition("/")[2] for it in patterns)]
        return any(fnmatchcase(entry.name.rpartition("/")[2], it) for it in last)
    folders = (re.split(r"[*?\[]", it)[0].rpartition("/")[0] for it in patterns)
    return any(os.path.commonpath([it, entry.name]) in (it, entry.name) for it in folders)


def _write(root: Path, folder: Path, entries: Sequence[_Entry]) -> None:
    """Raises MajobctlError for what leads elsewhere."""
    for entry in entries:
        is_inside = Path(os.path.normpath(folder / entry.name)).is_relative_to(folder)
        if wrong := _NOT_FOLLOWED.get(entry.mode) or (not is_inside and "outside"):
            raise MajobctlError(f"{printable(entry.name)} is {wrong}, which is not followed")
    if sum(entry.size for entry in entries) > MOST_BYTES:
        raise MajobctlError(f"its job files have more than {MOST_BYTES // 2**20} MiB")
    ids = "".join(f"{entry.id}\n" for entry in entries)
    answer, start = _git(root, "cat-file", "--batch", stdin=ids.encode()), 0
    for entry in entries:
        start = answer.index(b"\n", start) + 1
        (folder / entry.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / entry.name).write_bytes(answer[start : start + entry.size])
        start += entry.size + 1


def _git(root: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    ran = run_git(root, *arguments, stdin=stdin)
    if ran.returncode:
        unknown = "git has no such commit; a shallow clone must fetch it first"
        raise MajobctlError(said(ran) or unknown)
    return ran.stdout
