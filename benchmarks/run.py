"""Measures majobctl against its targets, and prints a table: needs Python and nothing else.

    python benchmarks/run.py

Standard library only: it makes the virtual environments of what it measures. README.md, beside this
file, says what is measured and how.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.machine import facts
from benchmarks.measure import Command, Cost, Measurer
from benchmarks.programs import Programs, installed_programs, running_programs, versions
from benchmarks.report import HEAD, ideal, rows, write_into
from benchmarks.works import OCTODNS_WORKS, WORKS
from benchmarks.workshop import Comparison, Sizes, Workshop
from tools.environment import ROOT

_PAGE = ROOT / "docs" / "performance.md"
_SIZES = Sizes(1_000, 10_000, 100_000)
_QUICK_SIZES = Sizes(10, 20, 40)
_RUNS = 5


def main() -> None:
    options = _options()
    if not hasattr(os, "wait4"):
        sys.exit("the cost of a process is measured on Linux and macOS only")
    names = options.only or list(WORKS)
    if options.quick or options.here:
        names = [name for name in names if name not in OCTODNS_WORKS]
    needs_octodns = any(name in OCTODNS_WORKS for name in names)
    programs = (
        running_programs() if options.here else installed_programs(with_octodns=needs_octodns)
    )
    # Not in the system's folder for such files, which may lie in memory: flushes count.
    (ROOT / "build").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="benchmarks-", dir=ROOT / "build") as folder:
        table = _table(names, options.sizes, options.runs, programs, Path(folder))
    if options.write:
        write_into(_PAGE, table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures majobctl against its targets.")
    parser.add_argument(
        "--sizes", type=_sizes, help="job configs of a small, a middle and a large repository"
    )
    parser.add_argument("--runs", type=_positive, help=f"runs of each pair; {_RUNS} by default")
    parser.add_argument("--only", action="append", choices=list(WORKS), help="repeatable")
    parser.add_argument("--quick", action="store_true", help="see that it works: tiny, one run")
    parser.add_argument(
        "--here", action="store_true", help="measure the running Python's majobctl, make nothing"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table to {_PAGE.name}")
    options = parser.parse_args()
    if options.write and (options.only or options.quick or options.here):
        parser.error("--write needs the complete table")
    options.sizes = options.sizes or (_QUICK_SIZES if options.quick else _SIZES)
    options.runs = options.runs or (1 if options.quick else _RUNS)
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("at least one")
    return number


def _sizes(text: str) -> Sizes:
    small, middle, large = map(int, text.split(","))
    if not 0 < small < middle < large:
        raise ValueError("three growing numbers")
    return Sizes(small, middle, large)


def _table(names: Sequence[str], sizes: Sizes, runs: int, programs: Programs, scratch: Path) -> str:
    """The table, each line of which is printed as soon as it is known."""
    lines: list[str] = []
    for line in _lines(names, sizes, runs, programs, scratch):
        print(line, flush=True)
        lines.append(line)
    return "\n".join(lines)


def _lines(
    names: Sequence[str], sizes: Sizes, runs: int, programs: Programs, scratch: Path
) -> Iterator[str]:
    measurer = Measurer(scratch)
    yield HEAD
    for name in names:
        with ExitStack() as stack:
            shop = Workshop(programs, sizes, scratch, measurer.environment, stack)
            comparison = WORKS[name](shop)
            print(f"measuring: {comparison.work}", file=sys.stderr, flush=True)
            measured, baseline = _costs(measurer, comparison, runs)
        yield from rows(comparison, measured, baseline)
    yield ""
    known = {**facts(scratch), **versions(programs), "runs of each": str(runs)}
    yield "; ".join(f"{name}: {value}" for name, value in known.items()) + "."


def _costs(measurer: Measurer, comparison: Comparison, runs: int) -> tuple[list[Cost], list[Cost]]:
    if isinstance(comparison.baseline, Command):
        measured, baseline = measurer.by_turns([comparison.measured, comparison.baseline], runs)
        return measured, baseline
    (measured,) = measurer.by_turns([comparison.measured], runs)
    return measured, ideal(comparison.baseline, runs)


if __name__ == "__main__":
    main()
