"""The time of a lease, and the thread that shows others that its holder lives.

A process may be stopped for hours between any two instructions, with its machine or without it. So
two clocks must agree that little time has passed: the one since boot, which runs while the machine
sleeps, and the wall clock, which also runs while a virtual machine is suspended. If either jumps,
nothing is sure."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeAlias

SURE = 0.8
"""The part of a lease in which its holder is sure of it: the rest is for clocks that differ."""
Moment: TypeAlias = "tuple[float, float]"
_SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class Clock:
    def now(self) -> Moment:
        """Seconds since boot, and of the wall clock."""
        if _SINCE_BOOT is None:
            return time.monotonic(), time.time()
        return time.clock_gettime(_SINCE_BOOT), time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def is_within(seconds: float, since: Moment, now: Moment) -> bool:
    return all(0 <= after - before < seconds for before, after in zip(since, now, strict=True))


class Heartbeat:
    """Calls ``beat`` in a thread, which never keeps the process alive, until ``end``: first after
    ``pause`` seconds, then after as many as it returns, and not again after None."""

    def __init__(self, beat: Callable[[], float | None], pause: float | None) -> None:
        self._beat, self._pause = beat, pause
        self._ended = threading.Event()
        threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while self._pause is not None and not self._ended.wait(self._pause):
            self._pause = self._beat()
