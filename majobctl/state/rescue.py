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


def rescued(state: State, name: str, is_replaced: bool, how: str) -> str:
    content = state.dump()
    path = Path(f"majobctl.rescue-{state.serial}-{os.getpid()}.json")
    restore = f"once {name} can be written, restore it with\n    majobctl state push"
    if is_replaced:
        restore = f"unless {name} is right as it is now, run\n    majobctl state push --force"
    try:
        create_durably(path, content)
    except OSError:
        return (
            f"what was done is in the state below, which no file could hold: save it as rescue.json"
            f" and, {how or f'{restore} rescue.json'}\n{content.decode()}"
        )
    return f"what was done is in {path}: {how or f'{restore} {path}'}"


@contextmanager
def or_not_kept(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise not_kept(name, error) from error


def not_kept(name: str, error: OSError) -> StateError:
    if isinstance(error, StateError):
        return error
    return StateError(f"{name} cannot be written: {reason_of(error)}")
