"""Costs and targets -> the lines of a Markdown table, and its place in a page of the documents."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Cost, median
from benchmarks.workshop import Comparison, Measure, Target

HEAD = "| work | measured | against | ratio | target | met |\n|---|---|---|---|---|---|"
_PLACE = re.compile(r"(<!-- benchmarks -->\n).*?(<!-- end of benchmarks -->\n)", re.DOTALL)


def rows(
    comparison: Comparison, measured: Sequence[Cost], baseline: Sequence[Cost]
) -> Iterator[str]:
    """A row for each target. A ratio is the median of the ratios within each run, with the least
    and the greatest."""
    for target in comparison.targets:
        ratios = [
            _ratio(target.measure, cost, base)
            for cost, base in zip(measured, baseline, strict=True)
        ]
        ratio = statistics.median(ratios)
        cells = [
            comparison.work,
            _shown(target.measure, measured),
            f"{comparison.against}: {_shown(target.measure, baseline)}",
            f"{ratio:.2f} x ({min(ratios):.2f} – {max(ratios):.2f})",
            _wanted(target),
            "yes" if _is_met(target, ratio) else "**no**",
        ]
        yield f"| {' | '.join(cells)} |"


def ideal(seconds: float, runs: int) -> list[Cost]:
    """The cost of a process that only waits for the service."""
    return [Cost(seconds, 0, 0)] * runs


def _ratio(measure: Measure, cost: Cost, base: Cost) -> float:
    if measure is Measure.MEMORY:
        return cost.peak_bytes / base.peak_bytes
    if measure is Measure.CPU:
        return cost.cpu_seconds / base.cpu_seconds
    if measure is Measure.SPEED:
        return base.seconds / cost.seconds
    return cost.seconds / base.seconds


def _is_met(target: Target, ratio: float) -> bool:
    return ratio >= target.bound if target.measure is Measure.SPEED else ratio <= target.bound


def _wanted(target: Target) -> str:
    if target.measure is Measure.SPEED:
        return f"at least {target.bound:g} x faster"
    if target.bound == 1:
        return "no slower"
    of = " in memory" if target.measure is Measure.MEMORY else ""
    return f"at most {target.bound:g} x{of}"


def _shown(measure: Measure, costs: Sequence[Cost]) -> str:
    cost = median(costs)
    if measure is Measure.MEMORY:
        return _megabytes(cost)
    if not cost.peak_bytes:
        return f"{cost.seconds:.3g} s"
    return f"{cost.seconds:.3g} s (CPU {cost.cpu_seconds:.3g} s, {_megabytes(cost)})"


def _megabytes(cost: Cost) -> str:
    return f"{cost.peak_bytes / 1e6:.0f} MB"


def write_into(page: Path, text: str) -> None:
    """Replaces the text between the markers of ``page``. Raises ValueError without markers."""
    before = page.read_text(encoding="utf-8")
    after, count = _PLACE.subn(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", before)
    if count != 1:
        raise ValueError(f"{page.name} has no place for the table, or more than one")
    page.write_text(after, encoding="utf-8")
