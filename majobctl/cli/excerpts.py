"""The lines that problems are about, as an error shows them: no value that may be secret."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from pathlib import Path

from majobctl.cli.invocation import root_or_here
from majobctl.errors import Problem
from majobctl.files import read_file
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS
from majobctl.job_config.secrets import looks_secret
from majobctl.render.excerpt import excerpt
from majobctl.repository.settings.keys import SETTINGS

_SENSITIVE = re.compile(r"""\bsensitive\s*=\s*(\[[^\]]*|"[^"\n]*"|'[^'\n]*')""")
_TEXT = re.compile("[\"'“”„‘’]")
_ADDRESS = re.compile(r"://[^\s\"']*[@?]|password", re.IGNORECASE)
"""Where a password or a token may be."""


class Excerpts:
    """The lines of files as they are now; a file may be gone, or be another one."""

    def __init__(self, typed: Collection[str], secret_names: Collection[str]) -> None:
        self._root, self._typed, self._secret_names = root_or_here(), typed, secret_names
        self._width = shutil.get_terminal_size((100, 0)).columns or 100
        self._text_of: Callable[[str], str] = lru_cache(maxsize=1)(self._read)

    def _read(self, file: str) -> str:
        try:
            content = read_file(Path(file) if file in self._typed else self._root / file)
        except (OSError, ValueError):
            return ""
        return content.decode("utf-8-sig", "replace").replace("\r\n", "\n")

    def of(self, problem: Problem) -> list[str]:
        text = self._text_of(problem.file)
        *before, line = text.split("\n", problem.line)[: problem.line]
        is_inside = any("\n".join(before).count(it) % 2 for it in ('"""', "'''"))
        if len(before) < problem.line - 1 or is_inside:
            return []  # the text of a string may be secret, and its key is on another line
        named = {*re.findall("[\"']([^\"'\n]*)[\"']", " ".join(_SENSITIVE.findall(text)))}
        names = {*self._secret_names, *(it.rpartition(".")[2] for it in named)}
        hides = partial(_may_be_secret, names=names, where=problem.where)
        return excerpt(line, problem, self._width, hides)


def _may_be_secret(key: str, rest: str, names: Collection[str], where: str) -> bool:
    """Whether ``rest``, the value of ``key``, must not be shown. What a sensitive value is made of
    may have any name: so no text of other keys than those of job configs, settings and policies."""
    if key in names or looks_secret(key) or _ADDRESS.search(rest):
        return True
    known = {"type", "label", *FIELDS, *DIRECTIVES}
    known.update(*SETTINGS.values(), *DATA_SOURCE_KEYS.values())
    is_known = key in known or where.startswith("policy.")
    return not is_known and _TEXT.search(rest) is not None
