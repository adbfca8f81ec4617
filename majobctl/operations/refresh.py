"""Reads many configurations at once. What is done with them is not known here."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress

from majobctl.errors import MajobctlError, ProviderError
from majobctl.job_config.live import LiveConfig
from majobctl.service.provider import Provider

_LOOK_AGAIN_SECONDS = 0.2


def read_live(
    provider: Provider,
    names: Iterable[str],
    *,
    parallelism: int,
    observe: Callable[[int], None] = lambda count: None,
    listed: Collection[str] | None = None,
) -> dict[str, LiveConfig | None]:
    """The configurations of ``names``, in their order; None for one that does not exist.

    One list says which exist (``listed``, where it was read already); only those are read, at most
    ``parallelism`` at once. ``observe`` is called in this thread with how many names are settled:
    once after the list, then after each.

    Raises ProviderError, which names the job config, for the first that cannot be read. After it,
    and after an interruption, the provider is stopped, and the calls under way are waited for.
    """
    live: dict[str, LiveConfig | None] = dict.fromkeys(names)
    if not live:
        return live
    known = set(provider.config_names() if listed is None else listed)
    existing = [name for name in live if name in known]
    count = len(live) - len(existing)
    observe(count)
    reading = _Reading(provider, existing)
    try:
        for name, config in reading.results(parallelism):
            live[name] = config
            count += 1
            observe(count)
    except BaseException:
        provider.stop()
        raise
    finally:
        reading.end()
    return live


class _Reading:
    """Worker threads that share one list of names and one queue of results."""

    def __init__(self, provider: Provider, names: list[str]) -> None:
        self._provider = provider
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in names:
            self._waiting.put(name)
        self._count = len(names)
        self._read: queue.SimpleQueue[tuple[str, LiveConfig | BaseException | None]] = (
            queue.SimpleQueue()
        )
        self._workers: list[threading.Thread] = []
        self._is_over = False

    def results(self, parallelism: int) -> Iterator[tuple[str, LiveConfig | None]]:
        """Each name with its configuration, in the order of their ends."""
        for number in range(min(parallelism, self._count)):
            worker = threading.Thread(target=self._work, name=f"read-{number}", daemon=True)
            self._workers.append(worker)
            worker.start()
        for _ in range(self._count):
            name, result = self._next_result()
            if isinstance(result, MajobctlError):
                raise ProviderError(f"job_config.{name}: {result}") from result
            if isinstance(result, BaseException):
                raise result
            yield name, result

    def end(self) -> None:
        """Begins no further call, and waits for those under way."""
        self._is_over = True
        for worker in self._workers:
            if worker.is_alive():
                worker.join()

    def _next_result(self) -> tuple[str, LiveConfig | BaseException | None]:
        while True:
            # Not for ever: a signal that comes just before the wait is only seen after it.
            with suppress(queue.Empty):
                return self._read.get(timeout=_LOOK_AGAIN_SECONDS)

    def _work(self) -> None:
        while not self._is_over:
            try:
                name = self._waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self._read.put((name, self._provider.read_job_config(name)))
            except BaseException as error:
                # Raised in the main thread.
                self._read.put((name, error))
                return
