"""Plans, drift and results as strings: one file for each format, what they share in wording.py."""

from collections.abc import Callable

Paint = Callable[[str, str], str]
"""``paint(text, colour)`` gives ``text`` in that colour, or as it is."""


def unpainted(text: str, colour: str) -> str:
    """The Paint of an output without colours."""
    return text
