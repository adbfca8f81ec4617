"""A race that finds a store which takes a record twice.

Some stores accept a condition and ignore it, and some only look whether the record is there before
they write. A question after the other shows neither, but writers that race for one record do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from majobctl.errors import StateError
from majobctl.state.backends.stores import Store

WRITERS, RECORDS = 16, 10


def race(store: Store, first: int, content_of: Callable[[int], bytes]) -> list[bytes]:
    """Has many writers add the records from ``first`` on at once; returns those that were kept.
    ``content_of`` returns other bytes at each call. Raises StateError if the store kept, or said
    that it kept, more than one of a number, and ConnectionError."""
    kept: list[bytes] = []
    with ThreadPoolExecutor(WRITERS) as pool:
        for number in range(first, first + RECORDS):
            start = threading.Barrier(WRITERS)

            def add(content: bytes, number: int = number, start: threading.Barrier = start) -> str:
                start.wait()
                try:
                    return "kept" if store.add(number, content) else "refused"
                except ConnectionError:
                    return "lost"

            contents = [content_of(number) for _ in range(WRITERS)]
            answers = dict(zip(contents, pool.map(add, contents), strict=True))
            kept.append(_winner(store, number, answers))
    if kept != [store.read(number) for number in range(first, first + RECORDS)]:
        raise _unsafe(store, "it replaced a record that it had")
    return kept


def _winner(store: Store, number: int, answers: dict[bytes, str]) -> bytes:
    told = [content for content, answer in answers.items() if answer == "kept"]
    if len(told) > 1:
        raise _unsafe(store, f"{len(told)} of {WRITERS} writers were told that they added one")
    winner = store.read(number)
    if winner is None and "lost" in answers.values():
        raise ConnectionError(f"{store.name} did not answer {WRITERS} writers at once")
    if winner is None or answers.get(winner) == "refused" or (told and told != [winner]):
        raise _unsafe(store, "it has another record than the one that it said it kept")
    return winner


def _unsafe(store: Store, found: str) -> StateError:
    return StateError(
        f"{store.name} cannot keep a state: of writers that add a record at once, exactly one must"
        f" succeed, but {found}\n"
        "two applies could work at once; nothing was written or sent: use a store with conditional"
        " writes (PostgreSQL, GitLab or git)"
    )
