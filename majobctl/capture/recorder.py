"""Records what a script configures, with the places in it, in a file that another process reads."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from majobctl.capture.answer import UNKNOWN, Answer

Place = tuple[str, int]
"""A file and a line."""
WITHHELD = "withheld-by-capture"
"""What a script gets in place of a credential."""
_OWN_FOLDER = os.path.join(os.path.dirname(__file__), "")
_MOST_CALLS, _MOST_CHARACTERS, _DEEPEST = 10_000, 2**24, 8
_SHORTEST = 8
"""Of a credential that is looked for within texts."""


class Recorder:
    """Where the records go. ``hidden`` are the credentials that were seen."""

    def __init__(self, records: str, script: str) -> None:
        self.folder = os.path.join(os.path.dirname(script), "")
        self.stem = fit(Path(script).stem)[:15].strip("-")
        self.hidden = {WITHHELD}
        self.versions: dict[str, int] = {}
        self._left = [_MOST_CALLS, _MOST_CHARACTERS]
        self._unnamed = 0
        self._lock = threading.Lock()
        self._records, self._file = records, os.open(records, os.O_WRONLY | os.O_APPEND)

    def write(self, kind: str, **content: Any) -> None:
        line = json.dumps({"kind": kind, **content}) + "\n"
        with self._lock:
            self._left = [self._left[0] - 1, self._left[1] - len(line)]
            if min(self._left) < 0 and kind != "end":
                raise RuntimeError("the script configures more than capture can hold")
            os.write(self._file, line.encode())

    def hide(self, secret: str) -> None:
        """Takes a credential out of everything, what was recorded before included."""
        with self._lock:
            written, is_new = json.dumps(secret)[1:-1], secret not in self.hidden
            self.hidden.add(secret)
            if is_new and len(secret) >= _SHORTEST:
                before = Path(self._records).read_text()
                os.truncate(self._records, 0)
                os.write(self._file, before.replace(written, WITHHELD).encode())

    def new_name(self) -> str:
        with self._lock:
            self._unnamed += 1
            return f"{self.stem}-{self._unnamed}"

    def caller(self) -> tuple[Place, FrameType | None]:
        """The nearest line of the script or of a module beside it."""
        frame: FrameType | None = sys._getframe(1)
        while frame and not self.is_own(frame.f_code.co_filename):
            frame = frame.f_back
        return ((frame.f_code.co_filename, frame.f_lineno) if frame else ("", 0)), frame

    def is_own(self, file: str) -> bool:
        is_below = file.startswith(self.folder) and "site-packages" not in file
        return is_below and not file.startswith(_OWN_FOLDER)

    def lines(self, names: Any) -> dict[str, Place]:
        """The place of each keyword argument of the call that the script makes."""
        place, frame = self.caller()
        keywords = _keywords(place[0], place[1], frozenset(names)) if frame else {}
        return {name: (place[0], keywords.get(name, place[1])) for name in names}

    def shown(self, text: str) -> str:
        for secret in sorted(self.hidden, key=len, reverse=True):
            text = text.replace(secret, "(hidden)")
        return text

    def plain(self, value: Any, depth: int = 0) -> Any:
        """``value`` for JSON; what cannot be said is an object with ``$unknown``."""
        if isinstance(value, str):
            text = str.__str__(value)
            if any(it == text or (len(it) >= _SHORTEST and it in text) for it in self.hidden):
                return WITHHELD
            return {"$unknown": "an answer of the service"} if UNKNOWN in text else text
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Answer) or depth > _DEEPEST:
            return self.plain(UNKNOWN)
        if isinstance(value, os.PathLike):
            return self.plain(os.fspath(value))
        if isinstance(value, Mapping):
            return {str(key): self.plain(it, depth + 1) for key, it in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(item, depth + 1) for item in value]
        with suppress(Exception):
            return self.plain(value.item(), depth + 1)  # a number of numpy
        return {"$unknown": "a value that TOML cannot hold"}


@lru_cache(maxsize=1024)
def _keywords(file: str, line: int, names: frozenset[str]) -> dict[str, int]:
    """The lines of the arguments ``names`` of the smallest call around a line."""
    found: dict[int, dict[str, int]] = {}
    with suppress(OSError, SyntaxError, ValueError, RecursionError):
        for node in ast.walk(ast.parse(Path(file).read_bytes())):
            if isinstance(node, ast.Call) and node.lineno <= line <= (node.end_lineno or 0):
                keywords = {it.arg: it.lineno for it in node.keywords if it.arg}
                if not names.isdisjoint(keywords):
                    found[(node.end_lineno or 0) - node.lineno] = keywords
    return found[min(found)] if found else {}


def fit(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", text)
