"""Pieces of Markdown that GitHub and GitLab show alike, and how many of them fit.

Text from outside is put into code spans, which it cannot end and in which nothing is interpreted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from majobctl.job_config.secrets import SHOWN
from majobctl.render.stretches import abridged, marked, stretches
from majobctl.render.values import json_text
from majobctl.text import columns, cut, in_short, printable

MAX_BYTES = 65_000
"""A little less than what an issue or a comment takes."""
LAST_LINE_BYTES = 2_500
"""Reserved for the line that says what is left out."""
_WIDTH = 100
"""Of two longer values, most of what they share is left out."""
_NAME_WIDTH = 64
_MEANS_SOMETHING = re.compile(r"[\\`*_<>\[\]|]")
_ENDS_A_CODE_SPAN = re.compile(r"[`<>]")
_ENDS_AN_ITEM = re.compile(r"[<>]")
_ENDS_A_CODE_SPAN_OR_CELL = re.compile(r"[|`<>]")

Mark = Callable[[str], str]
"""``mark(text)`` shows text from outside."""


def code(text: str, ends: re.Pattern[str] = _ENDS_A_CODE_SPAN_OR_CELL) -> str:
    """``text`` in a code span, on one line."""
    return f"`{_escaped(ends, printable(text) or ' ')}`"


def _escaped(what: re.Pattern[str], text: str) -> str:
    return what.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def item(text: str) -> str:
    """``text`` as an item of a list, where no cell can end. The backticks around its commands stay,
    for the span has more."""
    runs = [len(it) for it in re.findall("`+", text)]
    if not runs:
        return f"- {code(text, _ENDS_A_CODE_SPAN)}"
    fence = "`" * (max(runs) + 1)
    return f"- {fence} {_escaped(_ENDS_AN_ITEM, printable(text))} {fence}"


def names_of(names: Sequence[str]) -> str:
    """The first few of ``names``, and how many more there are."""
    return in_short([code(cut(printable(name), _NAME_WIDTH)) for name in names])


def code_element(text: str) -> str:
    """The same for the line of a ``<summary>``, in which Markdown is not interpreted."""
    return f"<code>{escape(code(text)[1:-1], quote=False)}</code>"


def shown_values(*sides: Any) -> list[str]:
    """Each value, complete; of the last two, if they are long, what differs, marked, among what
    they share."""
    texts = [json_text(side) for side in sides]
    if len(sides) > 1 and None not in sides[-2:] and max(map(columns, texts[-2:])) > _WIDTH:
        found = stretches(*texts[-2:])
        if len(found) > 1:
            texts[-2:] = marked(abridged(found), ("[-", "-]"), ("{+", "+}"))
    return [
        "not set" if side is None else SHOWN if text == SHOWN else code(text)
        for side, text in zip(sides, texts, strict=True)
    ]


def table_row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table_head(cells: Sequence[str]) -> str:
    """The two lines that a table begins with."""
    return f"{table_row(cells)}\n{table_row('---' for _ in cells)}"


def collapsed(title: str, parts: Iterable[str]) -> str:
    """A section that is closed at first; ``title`` is HTML, ``parts`` are Markdown."""
    return "\n\n".join([f"<details><summary>{title}</summary>", *parts, "</details>"])


def bold(text: str) -> str:
    """``text`` in bold, and nothing in it interpreted."""
    return f"**{_MEANS_SOMETHING.sub(lambda match: chr(92) + match[0], text)}**"


def sentence(remark: str) -> str:
    """``remark`` with a capital and a full stop."""
    return f"{remark[:1].upper()}{remark[1:]}."


def joined(parts: Iterable[str]) -> str:
    """The text of all parts, with an empty line between two."""
    return "\n\n".join(parts) + "\n"


def size(part: str, between: str = "\n\n") -> int:
    """The bytes of ``part`` and of what separates it from the next one."""
    return len((part + between).encode())


Counts = Counter[tuple[str, str]]
"""How many of which kind, and whose."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece that is taken completely or not at all. ``content`` counts what it shows;
    ``missing`` what it had to leave out itself."""

    text: str
    content: Counts = field(default_factory=Counter)
    missing: Counts = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Taken:
    """The blocks for which there was room, and what is left out with the others and within them."""

    blocks: tuple[Block, ...]
    left_out: Counts

    @property
    def texts(self) -> list[str]:
        return [block.text for block in self.blocks]


def take(blocks: Iterable[Block], room: int, between: str = "\n\n") -> Taken:
    """Those of ``blocks`` that still fit into ``room``, in bytes, when it is their turn."""
    taken, left_out = [], Counts()
    for block in blocks:
        used = size(block.text, between)
        if used <= room:
            taken.append(block)
            room -= used
            left_out += block.missing
        else:
            left_out += block.content
    return Taken(tuple(taken), left_out)
