"""Tables as text: aligned columns, safe to print."""

from __future__ import annotations

from collections.abc import Sequence

from majobctl.text import printable

_MAX_WIDTH = 60


def table_text(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, two spaces apart; numbers are aligned to the right. No cell is cut, since names are
    there to be copied: one of more than 60 characters pushes the rest of its line to the right."""
    lines = [[printable(cell) for cell in row] for row in (heads, *rows)]
    columns = list(zip(*lines, strict=True))
    widths = [min(_MAX_WIDTH, max(map(len, column))) for column in columns]
    are_numbers = [_are_numbers(column[1:]) for column in columns]
    return "".join(
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, are_numbers, strict=True)
        ).rstrip()
        + "\n"
        for line in lines
    )


def _are_numbers(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and all(cell.isdecimal() for cell in filled)
