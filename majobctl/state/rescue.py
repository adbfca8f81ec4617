"""What becomes of the outcomes of an apply where the state cannot be written, and what is said."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from majobctl.errors import StateError
from majobctl.files import create_durably
from majobctl.state.backends import Backend
from majobctl.state.document import State
from majobctl.text import reason_of

OVERTAKEN = (
    "do not push it, since others go on with the state, and send again what has no outcome there;"
    " compare it with the output of\n    majobctl state pull"
)


def in_journal(backend: Backend) -> str:
    return (
        f"nothing is lost: what was done is in {backend.journal_name}, and the next majobctl"
        " command that can write merges it"
    )


def rescued(state: State, advice: str, *, is_pushed: bool = True) -> str:
    """Writes ``state`` to a file here, and says where; ``advice`` goes on with its name, unless it
    is not to be pushed."""
    content, path = state.dump(), f"majobctl.rescue-{state.serial}-{os.getpid()}.json"
    try:
        create_durably(Path(path), content)
    except OSError:
        return (
            f"what was done is in the state below, which no file could hold: save it as rescue.json"
            f" and, {advice}{' rescue.json' * is_pushed}\n{content.decode()}"
        )
    return f"what was done is in {path}: {advice}{f' {path}' * is_pushed}"


def cannot(be: str, name: str, error: Exception) -> StateError:
    """Why ``name`` cannot be written, or removed: some places say so themselves."""
    if isinstance(error, StateError):
        return error
    place, _, reason = (text := reason_of(error)).partition(": ")
    is_named = name.endswith(place.removesuffix(" cannot be reached"))
    return StateError(f"{name} cannot be {be}: {reason if reason and is_named else text}")


@contextmanager
def or_cannot(be: str, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot(be, name, error) from error
