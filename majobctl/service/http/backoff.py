"""When a call may be tried again: growing pauses, and one pause for all workers when the service
throttles. ``Backoff.stop`` ends every pause. Independent of what is tried."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

MAX_PAUSE = 30.0


class Backoff:
    """The pauses of one session's workers; ``backoff`` is the first pause, in seconds."""

    def __init__(self, backoff: float) -> None:
        self._backoff = backoff
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._resume_at = 0.0
        self.may_write: Callable[[], bool] = lambda: True

    def stop(self) -> None:
        """Ends every pause, now and later."""
        self._stopped.set()

    def wait_for_turn(self) -> bool:
        """Waits while the service wants all workers to wait; false if ``stop`` ended that."""
        while True:
            with self._lock:
                left = self._resume_at - time.monotonic()
            if left <= 0:
                return True
            if self._stopped.wait(left + random.uniform(0, self._backoff)):
                return False

    def may_send(self, *, writes: bool) -> bool:
        """Whether a try may begin, now that it is its turn: a pause may have been long."""
        return self.wait_for_turn() and (not writes or self.may_write())

    def pause(self, failed_tries: int, retry_after: float | None, *, for_all: bool = False) -> bool:
        """Waits before the next try; false if ``stop`` ended that. With ``retry_after`` (seconds)
        or ``for_all`` the other workers wait, too. Pauses are random within limits, so that the
        workers do not all return at the same moment."""
        seconds, held_back = pause_seconds(self._backoff, failed_tries, retry_after)
        if for_all or retry_after is not None:
            with self._lock:
                self._resume_at = max(self._resume_at, time.monotonic() + held_back)
        return not self._stopped.wait(seconds)


def pause_seconds(
    backoff: float, failed_tries: int, retry_after: float | None
) -> tuple[float, float]:
    """How long a worker waits, and how long it may hold the others back."""
    longest = min(MAX_PAUSE, backoff * 2 ** (failed_tries - 1))
    if retry_after is None:
        seconds = random.uniform(longest / 2, longest)
        return seconds, seconds
    return retry_after + random.uniform(0, longest), retry_after
