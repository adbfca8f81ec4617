"""Progress on stderr: what is waited for, and how far it is. On a terminal in a line below what is
printed; elsewhere only what takes long is printed."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from majobctl.cli.interrupts import INTERRUPTS
from majobctl.cli.status import STATUS
from majobctl.cli.terminal import say
from majobctl.text import in_short, printable
from majobctl.waiting import heard_by

if TYPE_CHECKING:
    from majobctl.plan.results import ChangeResult

_MILESTONE = 500
_BAR_WIDTH = 24
_TICK = 0.1
_SLOW = 3
"""Seconds after which a wait is shown with its time, also behind a bar."""
_NAMED_AFTER = (10, 30, 60)
"""Seconds after which a wait is named in a line of its own, and then every minute."""


@dataclass(eq=False, slots=True)
class _Wait:
    what: str
    call: str
    begin: float = field(default_factory=time.monotonic)
    named: int = 0

    def due(self, now: float) -> int:
        """The seconds to name now, 0 for none."""
        seconds = int(now - self.begin)
        passed = max((it for it in _NAMED_AFTER if it <= seconds), default=0)
        passed = seconds // 60 * 60 or passed
        if passed <= self.named:
            return 0
        self.named = passed
        return passed


class Progress:
    """The waits of all threads, the innermost of each counts; and one bar. A thread shows them: it
    begins with the first wait and ends with ``close``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waits: dict[int, list[_Wait]] = {}
        self._bar: tuple[str, int, int] | None = None
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_begun = False

    @contextmanager
    def awaiting(self, what: str, call: str) -> Iterator[None]:
        wait, thread = _Wait(what, call), threading.get_ident()
        with self._lock:
            self._waits.setdefault(thread, []).append(wait)
        self._start()
        try:
            yield
        finally:
            with self._lock:
                self._waits[thread].remove(wait)
                if not self._waits[thread]:
                    del self._waits[thread]
            if STATUS.columns:
                STATUS.draw(self._text)

    def show_bar(self, label: str, done: int, total: int) -> None:
        """A bar until all are done."""
        self._bar = (label, done, total) if done < total else None
        self._start()

    def close(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_TICK)  # it may wait for a reader of stderr that never comes

    def _start(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            thread = threading.Thread(target=self._run, name="progress", daemon=True)
            with suppress(RuntimeError):  # the system allows no more threads: nothing is shown
                thread.start()
                self._thread = thread

    def _run(self) -> None:
        while not self._ended.wait(_TICK if STATUS.is_open else 1):
            STATUS.draw(self._text)
            with suppress(OSError):  # nobody may be reading any more
                self._name_long_waits()

    def _innermost(self) -> list[_Wait]:
        """The oldest first."""
        with self._lock:
            return sorted((it[-1] for it in self._waits.values()), key=lambda it: it.begin)

    def _text(self) -> str:
        waits, now = self._innermost(), time.monotonic()
        bar, oldest = None if INTERRUPTS.is_raised else self._bar, ""
        if waits:
            shown = waits[0 if bar else -1]
            seconds = int(now - shown.begin)
            oldest = f"{shown.what}: {shown.call}" if shown.call else shown.what
            if seconds >= _SLOW:
                oldest += f" ({seconds} s)"
            elif bar:
                oldest = ""
        if bar is None:
            return oldest
        label, done, total = bar
        full = _BAR_WIDTH * done // total
        return f"{label} {done}/{total} [{'#' * full:-<{_BAR_WIDTH}}]  {oldest}".rstrip()

    def _name_long_waits(self) -> None:
        now = time.monotonic()
        found: dict[tuple[int, str], list[str]] = {}
        for wait in self._innermost():
            if seconds := wait.due(now):
                found.setdefault((seconds, wait.call), []).append(wait.what)
        for (seconds, call), names in found.items():
            text = f"{in_short(names)}: still waiting after {seconds} s"
            say(printable(f"{text} ({call})" if call else text), err=True)


_shown: list[Progress] = []


@contextmanager
def showing() -> Iterator[None]:
    """Shows on stderr what a command waits for."""
    progress = Progress()
    _shown.append(progress)
    with STATUS.opened(), heard_by(progress.awaiting):
        try:
            yield
        finally:
            _shown.remove(progress)
            progress.close()


def reading_progress() -> Callable[[int, int], None]:
    """A progress bar on a terminal; elsewhere a line for each 500 that are read."""
    if STATUS.is_open:
        return lambda done, total: _shown[-1].show_bar("Reading", done, total)
    return _milestones()


def _milestones() -> Callable[[int, int], None]:
    passed = 0

    def show(done: int, total: int) -> None:
        nonlocal passed
        if done // _MILESTONE > passed:
            passed = done // _MILESTONE
            say(f"Read {done} of {total} configurations.", err=True)

    return show


class ApplyProgress:
    """A line for each finished change; on a terminal, a bar below them."""

    def __init__(self, format_: str) -> None:
        self._is_explained_later = format_ == "text" and _is_one_place()
        self._done = self._total = 0

    def start(self, total: int) -> None:
        self._total = total
        self._show()

    def observe(self, result: ChangeResult) -> None:
        from majobctl.render.results import result_line

        self._done += 1
        say(result_line(result, is_explained_later=self._is_explained_later), err=True)
        self._show()

    def _show(self) -> None:
        if STATUS.is_open:
            _shown[-1].show_bar("Applying", self._done, self._total)


def _is_one_place() -> bool:
    """Whether stdout and stderr lead to the same terminal, file or pipe."""
    try:
        return os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except (OSError, AttributeError, ValueError):
        return False
