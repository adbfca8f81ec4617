"""The line that a problem is about, with a caret below the key or the value."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from majobctl.errors import Problem
from majobctl.text import columns, printable

_TOKEN = re.compile(
    r"""(?P<key>(?<![\w.-])[\w.-]+|"(?:[^"\\]|\\.)*"|'[^']*')\s*=|"(?:[^"\\]|\\.)*"|'[^']*'|(?P<comment>\#.*)"""
)
_HEADER = re.compile(r"\s*\[\[?([^\[\]]+)")
_QUOTE = re.compile("[\"'“”„‘’]")
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)+"')
_TAB = "    "
_MOST_CHARACTERS = 20_000

Span = tuple[int, int]


class _Key(NamedTuple):
    name: str
    span: Span
    end: int
    """Where the value begins."""


def excerpt(
    text: str, problem: Problem, width: int, hides: Callable[[str, str], bool]
) -> list[str]:
    """The line ``text`` within ``width`` columns, and one with the caret. ``hides`` gets a key and
    its value, as it is written, and says whether that may be secret. [] if it is not clear whose
    value the line is, and so whether it may be shown. Comments are not."""
    whole, text = text, _shown(text, hides) if len(text) <= _MOST_CHARACTERS else ""
    keys = _keys(text)
    named = [*_named(text, problem.message, keys)]
    if not keys and not _HEADER.match(text):
        is_secret = any(hides(word, "") for word in {*re.findall(r"[\w-]+", text)})
        if is_secret or not (text and (named or not _QUOTE.search(text))):
            return []
    start, end = min(named)[1] if named else _first(text, keys)
    if problem.column:
        pairs = enumerate(zip(whole, text, strict=False))
        same = next((at for at, (one, other) in pairs if one != other), len(text))
        start = min(problem.column - 1, same)
        end = start + 1
    return _drawn(text, start, end, problem.line, width)


def _shown(text: str, hides: Callable[[str, str], bool]) -> str:
    """``text`` without values that may be secret, and without a comment."""
    for token in _TOKEN.finditer(text):
        if token["comment"]:
            text = text[: token.start()].rstrip()
            break
    keys = _keys(text)
    ends = [*(key.span[0] for key in keys[1:]), len(text)]
    for key, following in reversed([*zip(keys, ends, strict=False)]):
        value = text[key.end : following]
        if hides(key.name, value):
            literal = re.match(r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*')(?=[^"']*$)""", value)
            rest = value[literal.end() :] if literal else ""
            text = f"{text[: key.end]} …{rest}{text[following:]}"
    return text


def _keys(text: str) -> list[_Key]:
    return [
        _Key(key[1:-1] if key[0] in "\"'" else key.rpartition(".")[2], it.span("key"), it.end())
        for it in _TOKEN.finditer(text)
        if (key := it["key"])
    ]


def _named(text: str, message: str, keys: list[_Key]) -> Iterator[tuple[int, Span]]:
    """What of ``text`` the message names: where it does, and the span."""
    for key in keys:
        if found := re.search(rf"(?<![\w-]){re.escape(key.name)}(?![\w-])", message):
            yield found.start(), key.span
    for found in _QUOTED.finditer(message):
        if (at := text.find(found[0])) >= 0:
            yield found.start(), (at, at + len(found[0]))


def _first(text: str, keys: list[_Key]) -> Span:
    if header := _HEADER.match(text):
        return header.span(1)
    return keys[0].span if keys else (len(text) - len(text.lstrip()), len(text.rstrip()))


def _drawn(text: str, start: int, end: int, line: int, width: int) -> list[str]:
    gutter = f"{line:>5} | "
    room = max(20, width - len(gutter) - 1)
    begin = 0
    if _columns(text[: min(end, 4 * room)]) > room - 4:
        begin = max(0, min(start - room // 3, len(text) - room + 6))
    while _columns(text[begin:start]) > room - 4:
        begin += 1 + (start - begin) // 8
    before, after = "…" * (begin > 0), text[begin : begin + 4 * room]
    while _columns(before + after) > room:
        after = after[: max(1, len(after) - max(1, (_columns(before + after) - room) // 2))]
    cut = "…" * (begin + len(after) < len(text))
    column = _columns(before + text[begin:start])
    carets = "^" * max(1, min(_columns(text[start:end]), room - column))
    shown = f"{before}{''.join(map(_cell, after))}{cut}".rstrip()
    return [gutter + shown, f"{' ' * (len(gutter) - 2)}| {' ' * column}{carets}"]


def _cell(char: str) -> str:
    return _TAB if char == "\t" else printable(char)


def _columns(text: str) -> int:
    return columns("".join(map(_cell, text)))
