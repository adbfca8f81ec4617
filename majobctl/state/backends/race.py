"""A race that finds a store which takes a number twice.

Some stores accept a condition and ignore it; some look whether a record is there, and then write
it. One question after the other shows neither, but writers that race for a number do."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from majobctl.errors import StateError
from majobctl.state.backends.records import Record
from majobctl.state.backends.stores import Store

WRITERS, RECORDS = 16, 10


def race(store: Store, first: Record) -> list[bytes]:
    """Has many writers add ``first``, each with a nonce of its own, at once, and so for the numbers
    that follow; returns what was kept. Raises StateError if the store kept, or said that it kept,
    more than one of a number, and ConnectionError."""
    numbers = range(first.number, first.number + RECORDS)
    with ThreadPoolExecutor(WRITERS) as pool:
        kept = [_winner(store, replace(first, number=number), pool) for number in numbers]
    if kept != [store.read(number) for number in numbers]:
        raise _unsafe(store, "it replaced a record that it had")
    return kept


def _winner(store: Store, record: Record, pool: ThreadPoolExecutor) -> bytes:
    start = threading.Barrier(WRITERS)

    def add(content: bytes) -> bool | None:
        start.wait()
        try:
            return store.add(record.number, content)
        except ConnectionError:
            return None

    contents = [replace(record, nonce=uuid.uuid4().hex).dump() for _ in range(WRITERS)]
    answers = dict(zip(contents, pool.map(add, contents), strict=True))
    told = [content for content, is_added in answers.items() if is_added]
    if len(told) > 1:
        raise _unsafe(store, f"{len(told)} of {WRITERS} heard that they did")
    winner = store.read(record.number)
    if winner is None and None in answers.values():
        raise ConnectionError(f"it did not answer {WRITERS} writers at once")
    if winner is None or answers.get(winner) is False or (told and told != [winner]):
        raise _unsafe(store, "it has another record than the one that it said it kept")
    return winner


def _unsafe(store: Store, found: str) -> StateError:
    return StateError(
        f"{store.name} cannot keep a state: of writers that add a record at once, one must succeed,"
        f" but {found}\nnothing was written, since two applies could work at once; use a store with"
        " conditional writes: PostgreSQL, GitLab or git"
    )
