"""What majobctl waits for: the rooms name it here, and whoever shows it listens. Nobody has to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeAlias

Listener: TypeAlias = "Callable[[str, str], AbstractContextManager[object]]"

_listeners: list[Listener] = []


def awaiting(what: str, call: str = "") -> AbstractContextManager[object]:
    """Surrounds what may take long, in any thread. ``what`` begins a sentence, such as "Signing in
    to HOST", or is a job config; ``call`` is what is called for it."""
    return _listeners[-1](what, call) if _listeners else nullcontext()


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """``listener`` gets what is waited for; its context lasts as long as the wait."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
