"""Worker threads that share one list of items and one queue of results."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_WAIT_SECONDS = 0.2


class WorkerPool(Generic[Item, Result]):
    """Daemon threads, as many as the system allows, each of which runs ``work`` once: it iterates
    over the items that it is given and calls ``publish`` with its results. No item is handed
    out once ``should_stop`` returns True or a worker has failed."""

    def __init__(
        self,
        name: str,
        work: Callable[[Iterator[Item]], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._name = name
        self._work = work
        self._should_stop = should_stop
        self._items: Iterator[Item] = iter(())
        self._taking = threading.Lock()
        self._is_stopped = False
        # What was published; None or an error is the end of a worker.
        self._results: queue.SimpleQueue[Result | BaseException | None] = queue.SimpleQueue()
        self._workers: list[threading.Thread] = []
        self._running = 0

    @property
    def is_running(self) -> bool:
        """Whether ``wait`` has not yet seen the end of every worker."""
        return self._running > 0

    def start(self, items: Sequence[Item], parallelism: int) -> None:
        self._items = iter(items)
        for number in range(min(parallelism, len(items))):
            name = f"{self._name}-{number}"
            worker = threading.Thread(target=self._run, name=name, daemon=True)
            # Known before it runs, so that ``close`` waits for it whenever a signal comes.
            self._workers.append(worker)
            try:
                worker.start()
            except RuntimeError:
                # The system's limit of threads: those that run take all items, or else this one.
                self._workers.pop()
                if not self._running:
                    self._running = 1
                    self._run()
                return
            self._running += 1

    def publish(self, result: Result) -> None:
        """Hands ``result`` to the thread that waits."""
        self._results.put(result)

    def wait(self) -> Iterator[Result]:
        """All results that are there; waits a moment for the first. Raises a worker's error."""
        # Not for ever: a signal that arrives just before the wait is only seen after it.
        seconds = _WAIT_SECONDS
        with suppress(queue.Empty):
            while self.is_running:
                result = self._results.get(timeout=seconds)
                seconds = 0
                if result is None or isinstance(result, BaseException):
                    self._running -= 1
                    if result is not None:
                        raise result
                else:
                    yield result

    def close(self) -> None:
        """Hands out no further item, and waits for those under way."""
        self._is_stopped = True
        for worker in self._workers:
            if worker.is_alive():
                worker.join()

    def _run(self) -> None:
        try:
            self._work(iter(self._next_item, None))
        except BaseException as error:
            self._is_stopped = True
            self._results.put(error)
        else:
            self._results.put(None)

    def _next_item(self) -> Item | None:
        with self._taking:
            if self._is_stopped or self._should_stop():
                return None
            return next(self._items, None)
