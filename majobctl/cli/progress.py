"""Progress on stderr: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import is_terminal

if TYPE_CHECKING:
    from majobctl.plan.results import ChangeResult

_MILESTONE = 500


@contextmanager
def reading_progress() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal; elsewhere a line for each 500 that are read."""
    with _bar("Reading") as show:
        yield show if is_terminal(sys.stderr) else _milestones()


def _milestones() -> Callable[[int, int], None]:
    passed = 0

    def show(done: int, total: int) -> None:
        nonlocal passed
        if done // _MILESTONE > passed:
            passed = done // _MILESTONE
            click.echo(f"Read {done} of {total} configurations.", err=True)

    return show


class ApplyProgress:
    """Counts the results; ``show`` receives how many there are, and how many there will be."""

    def __init__(self, show: Callable[[int, int], None] | None) -> None:
        self._show = show
        self._done = self._total = 0

    def start(self, total: int) -> None:
        self._total = total
        if self._show:
            self._show(0, total)

    def observe(self, result: ChangeResult) -> None:
        from majobctl.render.results import result_line

        self._done += 1
        if self._show:
            self._show(self._done, self._total)
        else:
            click.echo(result_line(result), err=True)


@contextmanager
def apply_progress() -> Iterator[ApplyProgress]:
    """A progress bar on a terminal, a line for each finished change elsewhere."""
    with _bar("Applying") as show:
        yield ApplyProgress(show if is_terminal(sys.stderr) else None)


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that appears with the first call, and ends when all are done or the block ends."""
    with ExitStack() as stack:
        bars: list[click._termui_impl.ProgressBar[int]] = []

        def show(done: int, total: int) -> None:
            if not bars:
                bar = click.progressbar(length=total, label=label, file=sys.stderr)
                bars.append(stack.enter_context(bar))
            bars[0].update(done - bars[0].pos)
            if done == total:
                stack.close()

        yield show
