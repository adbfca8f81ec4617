"""Which job configs are selected, by name, by glob or by job file."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from majobctl.errors import MajobctlError
from majobctl.job_config.fields import plain_name
from majobctl.plan.plan import Selection
from majobctl.text import nearest, quoted


def resolved(
    selection: Selection, root: Path, files: Mapping[str, str], others: Iterable[str]
) -> Selection:
    """``selection`` with the names that it covers.

    ``files`` has the job file of each job config that one describes, relative to ``root``;
    ``others`` are the names that only the state or the service knows. Raises MajobctlError for
    each part of the selection that selects nothing, and if nothing is left of it.
    """
    known = {*files, *others}
    names, wrong = known if not selection.targeted else set(), list[str]()
    for option, parts in (("--target", selection.targeted), ("--exclude", selection.excluded)):
        for part in parts:
            found = _matching(part, root, files, known)
            names = names | found if option == "--target" else names - found
            if not found:
                hint = nearest(plain_name(part), {*known, *files.values()})
                verb = "is in" if _is_file(part) else "matches"
                wrong.append(f"{option}: no job config {verb} {quoted(part)}{hint}")
    if not (wrong or names):
        wrong = ["--target and --exclude together select no job config"]
    if wrong:
        raise MajobctlError("\n".join(wrong))
    return replace(selection, names=frozenset(names))


def _is_file(part: str) -> bool:
    return os.sep in part or part.endswith(".toml")


def _matching(part: str, root: Path, files: Mapping[str, str], known: Collection[str]) -> set[str]:
    if not _is_file(part):
        return {name for name in known if fnmatchcase(name, plain_name(part))}
    # From the folder where the user is, or from that of the settings.
    top = os.path.realpath(root)
    places = [os.path.relpath(os.path.realpath(os.path.join(at, part)), top) for at in ("", top)]
    return {
        name
        for name, file in files.items()
        if any(place == file or fnmatchcase(file, place) for place in places)
    }
