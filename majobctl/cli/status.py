"""The line below everything that is printed on a terminal: what is waited for, or a bar."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from majobctl.cli.terminal import is_terminal, width_of
from majobctl.text import columns, fitting, printable

_ROOM_FOR_SIGNAL = 4
"""Columns that stay free: a terminal shows Ctrl-C as ``^C`` behind the line."""


class StatusLine:
    """Shown by ``draw`` on stderr, if that is a terminal. Whatever is printed meanwhile comes above
    it. No escape sequences: spaces erase it on any terminal."""

    def __init__(self) -> None:
        self.columns = 0
        """Those that are shown; read and cleared by a signal's handler, which takes no lock."""
        self._text = ""
        self._stream: TextIO | None = None
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Passes stdout and stderr through this, as far as they are terminals."""
        streams = sys.stdout, sys.stderr
        if not is_terminal(sys.stderr):
            yield
            return
        self._stream = sys.stderr
        sys.stdout, sys.stderr = (_Above(it, self) if is_terminal(it) else it for it in streams)
        try:
            yield
        finally:
            self.draw(str)
            self._stream = None
            sys.stdout, sys.stderr = streams

    def draw(self, text_of: Callable[[], str]) -> None:
        """Shows what ``text_of`` returns; "" for no line. Called under the lock: what has ended by
        then is not drawn over what is printed next."""
        with self._lock, suppress(OSError):
            text = text_of()
            if self._stream is not None and (text != self._text or not self.columns):
                self._erase(self._stream)
                self._put(self._stream, text)

    def print_above(self, stream: TextIO, text: str) -> int:
        with self._lock:
            if self._stream is None or not self.columns:
                return stream.write(text)
            ends_line = text.endswith("\n")
            self._erase(self._stream)
            count = stream.write(text)
            stream.flush()
            if ends_line:
                self._put(self._stream, self._text)
            return count

    def erasure(self) -> str:
        """What a signal's handler writes to be at the beginning of an empty line."""
        shown, self.columns = self.columns, 0
        return f"\r{' ' * (shown + 2)}\r" if shown else "\n"

    def _erase(self, stream: TextIO) -> None:
        if self.columns:
            stream.write(self.erasure())
            stream.flush()

    def _put(self, stream: TextIO, text: str) -> None:
        self._text = text
        shown = fitting(printable(text), max((width_of(stream) or 80) - _ROOM_FOR_SIGNAL, 1))
        # Before and after: a signal's handler may come, and clear it, at any moment.
        self.columns = columns(shown)
        if shown:
            stream.write(shown)
            stream.flush()
            self.columns = columns(shown)


class _Above:
    """A stream whose text is printed above the line; everything else is the stream's own."""

    def __init__(self, stream: TextIO, line: StatusLine) -> None:
        self._stream, self._line = stream, line

    def write(self, text: str) -> int:
        return self._line.print_above(self._stream, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


STATUS = StatusLine()
