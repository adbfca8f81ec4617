"""Damages files at random: their bytes, their text, or the JSON that they hold."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

Dice = random.Random

_INSERTED = (
    b"\x00", b"\xff", b"\n", b'"', b"{", b"[", b"}", b",", b"\\", b"\xe2\x98", b"'''", b"#",
)  # fmt: skip
_HUGE = (
    "9" * 40, "1" + "0" * 4400, "1e999", "-1", "0", "2147483648", "9223372036854775808", "0x7f",
)  # fmt: skip
_OTHERS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**40, "", "x", "\x1b[2J", "\ud800", [], {}, [None], {"": 0},
    {"$sensitive": "x"}, [[[[[[[[[[[[]]]]]]]]]]]],
)  # fmt: skip
_NUMBER = re.compile(rb"(?<![\w.\"])\d+(?![\w.\"])")
_KEY = re.compile(rb"(?m)^\s*\"?([A-Za-z_$.]+)\"?(?=\s*[=:])")


def mutated(content: bytes, dice: Dice) -> bytes:
    """``content`` after one to three changes; never ``content`` itself."""
    result = content
    while result == content:
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            result = dice.choice(_CHANGES)(result, dice)
    return result


def _chunk(content: bytes, dice: Dice) -> tuple[int, int]:
    start = dice.randrange(len(content) + 1)
    return start, min(len(content), start + dice.choice((1, 2, 5, 20, 100)))


def _flip(content: bytes, dice: Dice) -> bytes:
    if not content:
        return content
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]


def _cut(content: bytes, dice: Dice) -> bytes:
    return content[: dice.randrange(len(content) + 1)]


def _delete(content: bytes, dice: Dice) -> bytes:
    start, end = _chunk(content, dice)
    return content[:start] + content[end:]


def _duplicate(content: bytes, dice: Dice) -> bytes:
    start, end = _chunk(content, dice)
    return content[:end] + content[start:end] + content[end:]


def _swap(content: bytes, dice: Dice) -> bytes:
    (a, b), (c, d) = sorted((_chunk(content, dice), _chunk(content, dice)))
    if b > c:
        return content
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _insert(content: bytes, dice: Dice) -> bytes:
    at = dice.randrange(len(content) + 1)
    return content[:at] + dice.choice(_INSERTED) * dice.choice((1, 1, 3)) + content[at:]


def _swap_lines(content: bytes, dice: Dice) -> bytes:
    lines = content.splitlines(keepends=True)
    if len(lines) > 1:
        a, b = dice.sample(range(len(lines)), 2)
        lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def _drop_line(content: bytes, dice: Dice) -> bytes:
    lines = content.splitlines(keepends=True)
    if lines:
        del lines[dice.randrange(len(lines))]
    return b"".join(lines)


def _swell_number(content: bytes, dice: Dice) -> bytes:
    return _at_one_match(_NUMBER, content, dice, lambda found: dice.choice(_HUGE).encode())


def _quote_number(content: bytes, dice: Dice) -> bytes:
    return _at_one_match(_NUMBER, content, dice, lambda found: b'"' + found + b'"')


def _rename_key(content: bytes, dice: Dice) -> bytes:
    return _at_one_match(_KEY, content, dice, lambda found: found.replace(found.strip()[1:2], b"x"))


def _at_one_match(
    pattern: re.Pattern[bytes], content: bytes, dice: Dice, change: Callable[[bytes], bytes]
) -> bytes:
    matches = list(pattern.finditer(content))
    if not matches:
        return content
    match = dice.choice(matches)
    return content[: match.start()] + change(match.group()) + content[match.end() :]


_CHANGES: tuple[Callable[[bytes, Dice], bytes], ...] = (
    _flip, _cut, _delete, _duplicate, _swap, _insert, _swap_lines, _drop_line, _swell_number,
    _quote_number, _rename_key,
)  # fmt: skip


def mutated_json(document: Any, dice: Dice) -> Any:
    """A copy of ``document`` with one to three values swapped, dropped, renamed or repeated."""
    copied = json.loads(json.dumps(document))
    for _ in range(dice.choice((1, 1, 2, 3))):
        places = list(_places(copied))
        if places:
            _change_at(*dice.choice(places), dice)
    return copied


def _places(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        own: list[tuple[Any, Any]] = [(value, key) for key in value]
    elif isinstance(value, list):
        own = [(value, index) for index in range(len(value))]
    else:
        return []
    return own + [place for item, key in own for place in _places(item[key])]


def _change_at(container: Any, key: Any, dice: Dice) -> None:
    action = dice.choice(("swap", "swap", "swap", "drop", "rename", "repeat"))
    if action == "drop":
        del container[key]
    elif action == "rename" and isinstance(container, dict):
        container[dice.choice((key + "x", key.upper(), "", "begin", "__proto__"))] = container.pop(
            key
        )
    elif action == "repeat" and isinstance(container, list):
        container.insert(key, container[key])
    else:
        container[key] = json.loads(json.dumps(dice.choice(_OTHERS)))
