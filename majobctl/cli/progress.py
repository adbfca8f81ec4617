"""Progress on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import (
    is_terminal,
)

if TYPE_CHECKING:
    from majobctl.plan.results import ChangeResult
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def apply_progress(length: int) -> AbstractContextManager[Callable[[ChangeResult], None]]:
    """A progress bar on a terminal, a line for each finished change elsewhere."""
    if is_terminal(sys.stderr):
        return _progress_bar(length)
    from majobctl.render.results import result_line

    return nullcontext(lambda result: click.echo(result_line(result), err=True))


@contextmanager
def _progress_bar(length: int) -> Iterator[Callable[[ChangeResult], None]]:
    with click.progressbar(length=length, label="Applying", file=sys.stderr) as bar:
        yield lambda result: bar.update(1)


_MILESTONE = 500


@contextmanager
def reading_progress(length: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; elsewhere a line for each 500 that are read."""
    if length and is_terminal(sys.stderr):
        with click.progressbar(length=length, label="Reading", file=sys.stderr) as bar:
            yield lambda count: bar.update(count - bar.pos)
    else:
        yield _Milestones(length).reach


class _Milestones:
    """Lines on the way to ``length``; one that is near says nothing."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._next = _MILESTONE

    def reach(self, count: int) -> None:
        if count >= self._next:
            click.echo(f"Read {count} of {self._length} configurations.", err=True)
            self._next = count - count % _MILESTONE + _MILESTONE
