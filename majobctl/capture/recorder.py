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
_PLACES = ("kind", "at", "lines")
"""The parts of a record that have no text of the script."""
_OWN_FOLDER = os.path.join(os.path.dirname(__file__), "")
_MOST_CALLS, _MOST_CHARACTERS, _DEEPEST = 10_000, 2**24, 8


class Recorder:
    """Where the records go. ``hidden`` are the credentials that were seen."""

    def __init__(self, records: str, script: str) -> None:
        self.folder = os.path.join(os.path.dirname(script), "")
        self.stem = fit(Path(script).stem)[:15].strip("-")
        self._hidden, self._pattern = {WITHHELD}, re.compile(WITHHELD)
        self.versions: dict[str, int] = {}
        self._left = [_MOST_CALLS, _MOST_CHARACTERS]
        self._unnamed = 0
        self._lock = threading.Lock()
        self.records = records

    def write(self, kind: str, **content: Any) -> None:
        line = json.dumps({"kind": kind, **content}) + "\n"
        with self._lock:
            was_much = min(self._left) < 0
            self._left = [self._left[0] - 1, self._left[1] - len(line)]
            is_much = min(self._left) < 0 and kind != "end"
            if is_much:
                line = "" if was_much else '{"kind": "limit"}\n'
            # By its path: a script may close any descriptor, and open a file that gets its number.
            with open(self.records, "ab", buffering=0) as file:
                file.write(line.encode())
            if is_much:
                raise RuntimeError("the script configures more than capture can hold")

    def hide(self, secret: str) -> None:
        """Takes a credential out of everything, what was recorded before included."""
        with self._lock:
            if secret not in self._hidden:
                self._hidden.add(secret)
                longest_first = sorted(self._hidden, key=len, reverse=True)
                self._pattern = re.compile("|".join(map(_searched, longest_first)))
                lines = Path(self.records).read_text().splitlines()
                text = "".join(f"{self._without_credentials(line)}\n" for line in lines)
                Path(self.records).write_text(text)

    def _without_credentials(self, line: str) -> str:
        with suppress(ValueError, AttributeError):
            record = json.loads(line)
            return json.dumps(
                {key: it if key in _PLACES else self.plain(it) for key, it in record.items()}
            )
        return line

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
        return self._pattern.sub("(hidden)", text)

    def plain(self, value: Any, depth: int = 0) -> Any:
        """``value`` for JSON; what cannot be said is an object with ``$unknown``."""
        if isinstance(value, str):
            text = str.__str__(value)
            if self._pattern.search(text):
                return WITHHELD
            return {"$unknown": "an answer of the service"} if UNKNOWN in text else text
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, Answer) or depth > _DEEPEST:
            return self.plain(UNKNOWN)
        if isinstance(value, os.PathLike):
            return self.plain(os.fspath(value))
        if isinstance(value, Mapping):
            return {self.shown(str(key)): self.plain(it, depth + 1) for key, it in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.plain(item, depth + 1) for item in value]
        with suppress(Exception):
            return self.plain(value.item(), depth + 1)  # a number of numpy
        return {"$unknown": "a value that TOML cannot hold"}


def _searched(secret: str) -> str:
    """Where a credential is looked for: anywhere; as a word; as all of a text."""
    text = re.escape(secret)
    if len(secret) >= 8:
        return text
    return rf"(?<!\w){text}(?!\w)" if len(secret) >= 4 else rf"\A{text}\Z"


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
