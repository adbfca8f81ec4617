"""Who owns a file, as CODEOWNERS says at GitHub's or GitLab's place for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from majobctl.repository.toml.file import content_of
from majobctl.text import printable

_PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""In the order of both: the first three are GitHub's, the last three GitLab's."""
_HEADING = re.compile(r"\^?\[([^\]]+)\](?:\[\d+\])?(\s.*)?")


def owners_of(root: Path, names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The owners of each of these files of ``root``; nothing if the git repository has no
    CODEOWNERS. Raises ConfigError if that cannot be read."""
    folder = Path(os.path.realpath(root))
    top = next((it for it in (folder, *folder.parents) if os.path.lexists(it / ".git")), folder)
    place = next((it for it in _PLACES if os.path.isfile(top / it)), None)
    if place is None:
        return {}
    from codeowners import CodeOwners

    text = content_of(top / place, place).decode("utf-8", "replace")
    rules = CodeOwners("\n".join(_rules(text.splitlines(), place)))
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted({*names}):
        path = os.path.relpath(os.path.join(folder, name), top).replace(os.sep, "/")
        # Of each section, the last line that fits; they come in reverse.
        sections = {
            section: owners for owners, _, _, section in [*rules.matching_lines(path)][::-1]
        }
        owners = (printable(owner) for found in sections.values() for _, owner in found)
        found[name] = tuple(dict.fromkeys(owners))
    return found


def _rules(lines: Iterable[str], place: str) -> Iterator[str]:
    """The lines as GitHub would have them. GitLab's sections may have owners for lines without,
    its paths may be anywhere unless they begin with a slash, and its exclusions come last."""
    # Nothing is a set of characters on GitHub.
    lines = [re.sub(r"(?<!^)(?<!^\^)\\*\[", r"\\[", line.strip()) for line in lines]
    headings = [_HEADING.fullmatch(it) for it in lines]
    if place == _PLACES[0] or not (place == _PLACES[-1] or any(headings)):
        yield from (re.sub(r"\s#.*", "", line) for line in lines if not line.startswith("["))
        return
    section, default, excluded = "[]", "", []
    for line, heading in zip(lines, headings, strict=True):
        if heading:
            section, default = f"[{heading[1].casefold()}]", heading[2] or ""
            yield section
        elif line.startswith("!"):
            excluded += [section, line[1:]]
        elif line and not line.startswith("#"):
            has_owners = len(line.replace("\\ ", "").split()) > 1
            yield ("" if line.startswith("/") else "**/") + line + ("" if has_owners else default)
    yield from excluded
