"""Which job configs are selected, by name, by glob or by job file."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from majobctl.errors import MajobctlError
from majobctl.job_config.fields import is_glob, plain_name
from majobctl.plan.plan import Selection
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.text import nearest, quoted


def resolved(
    selection: Selection,
    root: Path,
    files: Mapping[str, str],
    others: Iterable[str],
    elsewhere: Collection[str] = (),
    where: str = "in a file or in the state",
) -> Selection:
    """``selection`` with the names that it covers. ``files`` has the job file, relative to
    ``root``, of each job config that one describes; ``others`` are the names without, and
    ``elsewhere`` those of other environments. Raises MajobctlError for each part that selects
    nothing, and if nothing is left."""
    known = {*files, *others}
    parts = (*selection.targeted, *selection.excluded)
    found = {part: _matching(part, root, files, known) for part in parts}
    wrong = []
    for part in (part for part in parts if not found[part]):
        hint = _hint(part, root, elsewhere) or nearest(plain_name(part), {*known, *files.values()})
        wrong.append(f"no job config {where} matches {quoted(part)}{hint}")
    names = {it for part in selection.targeted for it in found[part]} or known
    names = names.difference(*(found[part] for part in selection.excluded))
    if not (wrong or names):
        wrong = ["--target and --exclude together select no job config"]
    if wrong:
        raise MajobctlError("\n".join(wrong))
    return replace(selection, names=frozenset(names))


def matching(
    parts: Iterable[str], known: Collection[str], unknown: Callable[[str], str], undone: str
) -> list[str]:
    """Those of ``known`` that a name or a glob in ``parts`` matches, in the same order. Raises
    MajobctlError, with the message that ``unknown`` makes, for each part that matches none."""
    names, found = frozenset(known), set[str]()
    wrong = []
    for part in map(plain_name, parts):
        of_part = {it for it in names if fnmatchcase(it, part)} if is_glob(part) else {part} & names
        if not of_part:
            wrong.append(unknown(part))
        found |= of_part
    if wrong:
        raise MajobctlError("\n".join([*wrong, undone] if undone else wrong))
    return [name for name in known if name in found]


def names_known(selection: Selection, known: Collection[str]) -> bool:
    """Whether ``selection`` names only what is ``known``: then no list of the service is needed."""
    return bool(selection.targeted) and {*map(plain_name, selection.targeted)} <= {*known}


def _hint(part: str, root: Path, elsewhere: Collection[str]) -> str:
    """What to do about ``part``, which selects nothing though there is such a thing."""
    if plain_name(part) in elsewhere:
        return "; the files have it for other environments"
    places = [part, os.path.join(root, part)]
    if any(map(os.path.isdir, places)):
        return f"; it is a folder: write {quoted(part.rstrip('/') + '/*.toml')}"
    must = f"[jobs] files in {FILE_NAME} must match it, and a job config in it must be for this"
    return f"; {must} environment" if any(map(os.path.isfile, places)) else ""


def _matching(part: str, root: Path, files: Mapping[str, str], known: Collection[str]) -> set[str]:
    if os.sep not in part and not part.endswith(".toml"):
        return {name for name in known if fnmatchcase(name, plain_name(part))}
    # From the folder where the user is, or from that of the settings.
    top = os.path.realpath(root)
    places = [os.path.relpath(os.path.realpath(os.path.join(at, part)), top) for at in ("", top)]
    # A file may be reached through links: its own place counts, too.
    own = {
        it: os.path.relpath(os.path.realpath(os.path.join(top, it)), top) for it in files.values()
    }
    for place in places:
        globs = {place, place.replace(f"**{os.sep}", "")}  # no folder at all, too: as jobs.files
        found = {
            name
            for name, file in files.items()
            if place in (file, own[file])
            or any(fnmatchcase(it, glob) for it in (file, own[file]) for glob in globs)
        }
        if found:
            return found
    return set()
