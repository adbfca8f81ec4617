"""The faults that the emulator can have, and the seeded draw that chooses them for a request."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Literal

from majobctl.emulator.errors import EmulatorError, Refusal, refuse, refuse_at_gateway

_SHARES = ("error_rate", "throttle_rate", "lose_rate")
_CHOICES = {"put": "replace merge", "blanks": "null empty missing mixed"}
_CHOICES["answers"] = "plain documented"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How the emulator behaves if the service is slow, busy, broken or undocumented.

    put            what PUT does to the fields that the body leaves out
    latency_ms     milliseconds that each request waits first
    error_rate     share (0..1) answered 503 before anything is done
    throttle       requests per second, 0 for no limit; further ones are answered 429
                   ModelArts.2799 with a Retry-After header in seconds
    throttle_rate  share answered 429 in the gateway's form (APIGW.0308), without Retry-After
    lose_rate      share carried out whose answer never arrives
    seed           of the random draws: the same requests in the same order have the same fates
    blanks         how an unset field comes back from GET
    answers        whether GET has only the fields that are set ("plain"), or also those that the
                   documented sample has beside them ("documented")
    like           the words of a probe's report by its rows (see ``like.py``)

    Raises EmulatorError for a value out of range.
    """

    put: Literal["replace", "merge"] = "replace"
    latency_ms: float = 0
    error_rate: float = 0.0
    throttle: float = 0
    throttle_rate: float = 0.0
    lose_rate: float = 0.0
    seed: int = 0
    blanks: Literal["null", "empty", "missing", "mixed"] = "null"
    answers: Literal["plain", "documented"] = "plain"
    like: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in _CHOICES:
                if value not in (choices := _CHOICES[field.name].split()):
                    known = ", ".join(choices)
                    raise EmulatorError(f"{field.name} {value!r} is not one of {known}")
            elif field.name in _SHARES and not 0 <= value <= 1:
                raise EmulatorError(f"{field.name} {value!r} is not a share between 0 and 1")
            elif field.name in ("latency_ms", "throttle") and not 0 <= value < math.inf:
                raise EmulatorError(f"{field.name} {value!r} is not a number from 0 up")


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one request: refused at once, or carried out and perhaps not answered."""

    refusal: Refusal | None = None
    loses_answer: bool = False


class Draw:
    """Draws each request's fate, in any thread. `clock` counts seconds and never goes back."""

    def __init__(self, faults: Faults, clock: Callable[[], float] = time.monotonic) -> None:
        self._faults = faults
        self._clock = clock
        self._random = random.Random(faults.seed)
        self._lock = threading.Lock()
        self._burst = max(1.0, faults.throttle)
        self._allowance = self._burst
        self._filled_at = clock()

    def next(self) -> Fate:
        """The next request's fate. Every request takes three draws, whatever becomes of it."""
        with self._lock:
            throttled, failed, lost = (self._random.random() for _ in range(3))
            wait = self._take() if self._faults.throttle else 0.0
        if wait:
            refusal = refuse("ModelArts.2799", "Too many requests.")
            refusal.headers["Retry-After"] = str(math.ceil(wait))
            return Fate(refusal)
        if throttled < self._faults.throttle_rate:
            message = "The throttling threshold was reached."
            return Fate(refuse_at_gateway(429, "APIGW.0308", message))
        if failed < self._faults.error_rate:
            return Fate(refuse("ModelArts.0010", "The service is unavailable.", status=503))
        return Fate(loses_answer=lost < self._faults.lose_rate)

    def _take(self) -> float:
        """Seconds until there is room for this request; 0 takes the room."""
        now = self._clock()
        refill = (now - self._filled_at) * self._faults.throttle
        self._allowance = min(self._burst, self._allowance + refill)
        self._filled_at = now
        if self._allowance >= 1:
            self._allowance -= 1
            return 0.0
        return (1 - self._allowance) / self._faults.throttle
