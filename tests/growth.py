"""Holds the cost of work to its growth, which is the same on any machine, and not to a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
MOST_GROWTH = 10
"""Of the processor time of four times as much work: linear work takes 4 times, quadratic 16."""


def check_growth(prepare: Callable[[int], T], work: Callable[[T], object], size: int) -> None:
    """Compares ``work`` on what ``prepare`` makes of ``size`` and of four times as much."""
    small, large = prepare(size), prepare(4 * size)
    cheap = min(_processor_time(work, small) for _ in range(3))
    costly = min(_processor_time(work, large) for _ in range(2))
    assert costly < MOST_GROWTH * cheap, (cheap, costly)


def _processor_time(work: Callable[[T], object], prepared: T) -> float:
    start = time.process_time()
    work(prepared)
    return time.process_time() - start
