"""What Ctrl-C and SIGTERM do to a command that must not end halfway."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import Any

from majobctl.cli.options import INTERRUPTED, is_terminal

_SHOW_CURSOR = "\033[?25h\n"


class Interrupts:
    """Ctrl-C and SIGTERM interrupt a command until ``defer`` is called. After that, the first one
    makes ``should_stop`` return True, and the second one exits at once."""

    def __init__(self, advice: str = "The next plan resends what is not known to be done.") -> None:
        self._advice = advice
        self._count = 0
        self._is_deferred = False
        self._before: dict[int, Any] = {}

    def defer(self) -> None:
        self._is_deferred = True

    def should_stop(self) -> bool:
        return self._count > 0

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._interrupt)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._is_deferred:
            raise KeyboardInterrupt
        self._count += 1
        if self._count > 1:
            # What was reported is in the journal. os.write, since a handler must not print
            # through a stream that it may have interrupted.
            _write_now(_SHOW_CURSOR if is_terminal(sys.stderr) else "")
            _write_now(f"Exited at once. {self._advice}\n")
            os._exit(INTERRUPTED)
        _write_now("Stopping: waiting for the calls under way. Ctrl-C again exits at once.\n")


def _write_now(text: str) -> None:
    with suppress(OSError):  # nobody may be reading any more
        os.write(2, text.encode())
