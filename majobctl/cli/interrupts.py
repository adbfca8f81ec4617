"""What Ctrl-C and SIGTERM do. The first Ctrl-C of a command is a KeyboardInterrupt, or ends an
apply in good order. Every further one exits at once, with 130, whatever the command does by then.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from majobctl.cli.options import INTERRUPTED
from majobctl.cli.status import STATUS
from majobctl.cli.terminal import is_terminal, width_of
from majobctl.text import fitted

_RESENT = "The next plan resends what is not known to be done."


class Interrupts:
    """The signals of one command: ``handled`` while it runs. One that comes before ``raising``, or
    after it, ends the process at once: nothing is under way then."""

    count = 0
    is_raised = False
    _advice = ""
    _is_deferred = _may_raise = False

    def defer(self) -> None:
        """From now on, the first signal makes ``should_stop`` return True and raises nothing."""
        self._is_deferred = True

    def should_stop(self) -> bool:
        return self.count > 0

    @contextmanager
    def handled(self) -> Iterator[None]:
        self.count, self._advice, self._is_deferred = 0, "", False
        self.is_raised = False
        is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        with self._handling(*([] if is_ignored else [signal.SIGINT])):
            yield

    @contextmanager
    def raising(self) -> Iterator[None]:
        self._may_raise = True
        try:
            yield
        finally:
            self._may_raise = False

    @contextmanager
    def careful(self, advice: str = _RESENT) -> Iterator[None]:
        """For what must not end halfway: SIGTERM is as Ctrl-C, and ``advice`` is what to say at an
        exit at once."""
        self._advice = advice
        with self._handling(signal.SIGINT, signal.SIGTERM):
            try:
                yield
            finally:
                self._is_deferred = False

    @contextmanager
    def _handling(self, *numbers: int) -> Iterator[None]:
        is_main = threading.current_thread() is threading.main_thread()
        before: dict[int, Any] = {}
        try:
            for number in numbers if is_main else ():
                before[number] = signal.signal(number, self._interrupt)
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1 or not (self._is_deferred or self._may_raise):
            self.exit_at_once()
        if self._is_deferred:
            _write_now("Stopping: waiting for the calls under way. Ctrl-C again exits at once.\n")
            return
        _write_now("")
        self.is_raised = True
        raise KeyboardInterrupt

    def exit_at_once(self) -> None:
        """Whatever was reported is in the journal."""
        _write_now(f"Exited at once. {self._advice}\n" if self._advice else "Interrupted.\n")
        os._exit(INTERRUPTED)


INTERRUPTS = Interrupts()


def _write_now(text: str) -> None:
    """Writes ``text`` on a line of its own. Not through a stream, which the signal may have
    interrupted; and not if nobody takes it, for that would wait for ever."""
    if is_terminal(sys.stderr):
        text = STATUS.erasure() + fitted(text, width_of(sys.stderr))
    with suppress(OSError, ValueError):
        if text and (os.name == "nt" or select.select([], [2], [], 0.1)[1]):
            os.write(2, text.encode())
