"""Keeps one comment of a pull request, and one issue about drift, up to date.

Ours is what the token's own user wrote and begins with our marker. Of several, made by jobs at the
same time, the first is kept."""

from __future__ import annotations

import time

from majobctl.errors import MajobctlError
from majobctl.forges import Board, Forge, Post
from majobctl.forges.rest import UnansweredError, documented
from majobctl.strict_json import JsonError

_TRIES = 3


def publish(forge: Forge, board: Board, marker: str, body: str) -> None:
    """Makes or updates our post; ``body`` comes after the marker. Raises MajobctlError."""
    text = f"{marker}\n{body}"
    with documented(forge.name):
        found = _ours(board, forge.own(), marker)
        if not found:
            made = _created(forge, board, marker, text)
            # Another job may have been as fast; and only the answer names the user of some tokens.
            found = _ours(board, made.author, marker) or [made]
        first, *others = found
        if first.body != text:
            board.update(first, text)
        for other in others:
            board.remove(other)


def withdraw(forge: Forge, board: Board, marker: str, body: str) -> None:
    """Removes our posts, with ``body`` as the last text of an issue. Raises MajobctlError."""
    with documented(forge.name):
        for post in _ours(board, forge.own(), marker):
            board.remove(post, f"{marker}\n{body}")


def _ours(board: Board, own: str, marker: str) -> list[Post]:
    return [it for it in board.posts() if it.author == own and it.body.startswith(marker)]


def _created(forge: Forge, board: Board, marker: str, text: str) -> Post:
    """A post whose answer was lost may be there: so each further try reads first."""
    for tries in range(_TRIES):
        try:
            return board.create(text)
        except (UnansweredError, JsonError) as error:
            if found := _ours(board, forge.own(), marker):
                return found[0]
            if tries == _TRIES - 1:
                raise MajobctlError(str(error)) from error
            time.sleep(2**tries)
    raise AssertionError
