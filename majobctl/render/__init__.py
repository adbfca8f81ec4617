"""Plans and results as strings, one file a format. Nothing here plans, applies or prints."""

from collections.abc import Callable

Paint = Callable[[str, str], str]
"""``paint(text, colour)`` gives ``text`` in that colour, or as it is."""


def unpainted(text: str, colour: str) -> str:
    """The Paint of a place without colours."""
    return text
