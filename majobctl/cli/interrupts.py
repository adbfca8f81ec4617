"""What Ctrl-C and SIGTERM do to a command that must leave things in order."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING, Any

from majobctl.cli.options import INTERRUPTED, is_terminal

if TYPE_CHECKING:
    from majobctl.service.provider import Provider

_SHOW_CURSOR = "\033[?25h\n"


class Interrupts:
    """Counts Ctrl-C and SIGTERM while an apply runs: one stops it, a second one ends it here."""

    def __init__(self, provider: Provider) -> None:
        self.count = 0
        self._provider = provider
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            # What was acknowledged is in the journal. os.write, since a handler must not print
            # through a stream that it may have interrupted.
            _write_now(_SHOW_CURSOR if is_terminal(sys.stderr) else "")
            _write_now("Left at once. The next plan resends what is not known to be done.\n")
            os._exit(INTERRUPTED)
        _write_now("Stopping: waiting for the calls under way. Ctrl-C again leaves at once.\n")
        self._provider.stop()


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, with what is under way put in order."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _write_now(text: str) -> None:
    with suppress(OSError):  # nobody may be reading any more
        os.write(2, text.encode())
