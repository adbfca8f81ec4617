"""Job files and settings in the documented form: order of keys, spaces, blank lines.
The result is checked to have the same data and every visible character."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile, pairwise
from typing import TYPE_CHECKING, Any

from majobctl.errors import ConfigError
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.values import WrittenFloat
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.jobs.tables import USE
from majobctl.repository.settings.keys import SETTINGS
from majobctl.repository.toml.file import TomlFile
from majobctl.text import printable

if TYPE_CHECKING:
    from tomlkit import TOMLDocument
    from tomlkit.items import Item, Key

_BLANK = " \t"
_JOB_CONFIG_KEYS = (USE, MATRIX, NAME, *FIELDS, *DIRECTIVES)
_NOT_KEPT = "tomlkit does not return everything that it reads"


class UnreadError(Exception):
    """tomlkit cannot read a part of the text, or changes it."""


@dataclass(frozen=True, slots=True)
class Formatted:
    """The new content of a file; the old one if there is an obstacle."""

    content: bytes
    obstacle: str | None = None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key with its value and comment on ``line``, and the comment lines above it."""

    key: str
    line: str
    above: list[str]


@dataclass(slots=True, kw_only=True)
class _Section:
    """A table's header and everything up to the next one. ``above`` are the comments directly above
    the header, ``about`` those below it that a blank line separates from the first key, ``below``
    the lines after the last key."""

    header: str
    above: list[str] = field(default_factory=list)
    about: list[str] = field(default_factory=list)
    entries: list[_Entry] = field(default_factory=list)
    below: list[str] = field(default_factory=list)


def formatted(content: bytes, name: str) -> Formatted:
    """The documented form of ``content``, with the line ending of its first line and its byte order
    mark. Raises ConfigError, as validation does, for invalid TOML."""
    before = TomlFile.parse(content, name)
    text = content.removeprefix(codecs.BOM_UTF8).decode().replace("\r\n", "\n")
    try:
        text_after = _formatted_text(before)
        after = TomlFile.parse(text_after.encode(), name)
    except UnreadError as error:
        return Formatted(content, f"tomlkit cannot read it: {printable(str(error))}")
    except ConfigError:
        return Formatted(content, _NOT_KEPT)
    if not is_same(before.data, after.data) or _visible(text) != _visible(text_after):
        return Formatted(content, _NOT_KEPT)
    return Formatted(with_ends_of(content, text_after))


def with_ends_of(content: bytes, text: str) -> bytes:
    """``text`` with the line ending of the first line of ``content``, and its byte order mark."""
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    has_crlf = content.partition(b"\n")[0].endswith(b"\r")
    return mark + (text.replace("\n", "\r\n") if has_crlf else text).encode()


def is_same(one: Any, other: Any) -> bool:
    """Whether two TOML values are written alike; ``0.10`` and ``0.1`` are not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one.text == other.text if isinstance(one, WrittenFloat) else one == other)


def _visible(text: str) -> Counter[str]:
    return Counter("".join(text.split()))


def _formatted_text(file: TomlFile) -> str:
    """tomlkit puts the tables of a file together anew, and not always in their old order, so it
    gets one section at a time. Raises UnreadError if it does not read all of ``file``."""
    sections = [*map(_section, file.sections())]
    for section, following in pairwise(sections):
        following.above = _taken_last_paragraph(section.below)
    lines = [line for section in sections for line in ("", *_lines(section))]
    # No blank line at the start or the end, and none after another.
    kept = [line for before, line in pairwise(["", *lines]) if before or line]
    if kept and not kept[-1]:
        kept.pop()
    return "".join(f"{line}\n" for line in kept)


def _section(text: str) -> _Section:
    header, body = "", text
    if text.lstrip(_BLANK).startswith("["):
        header, _, body = text.partition("\n")
    section = _Section(header=header.strip(_BLANK))
    above: list[str] = []
    for keys, item in _items(read_body(body).body):
        if keys:
            section.entries.append(_Entry(keys[0].key, _line(keys, item), above))
            above = []
        else:
            above += [line.strip(_BLANK) for line in item.as_string().split("\n")[:-1]]
    section.below = above
    if header and section.entries:
        first = section.entries[0].above
        own = _taken_last_paragraph(first)
        section.about, first[:] = first[:], own
    return section


def read_body(body: str) -> TOMLDocument:
    """What tomlkit reads. Raises UnreadError if that is not all of ``body``."""
    import tomlkit

    body = body if body.endswith("\n") else body + "\n"
    try:
        document = tomlkit.parse(body)
        comes_back = document.as_string() == body
    except Exception as error:
        # Not only its own errors: unusual TOML makes it crash in other ways, too.
        raise UnreadError(str(error)) from error
    if not comes_back:
        raise UnreadError("it returns something else than it reads")
    return document


def _items(
    body: Iterable[tuple[Key | None, Item]], before: Sequence[Key] = ()
) -> Iterator[tuple[Sequence[Key], Item]]:
    """The items of ``body``, each with the parts of its key. tomlkit has tables for dotted keys."""
    from tomlkit.items import Table

    for key, item in body:
        if key is None:
            yield (), item
        elif isinstance(item, Table):
            yield from _items(item.value.body, (*before, key))
        else:
            yield (*before, key), item


def _line(keys: Sequence[Key], item: Item) -> str:
    key = ".".join(part.as_string().strip(_BLANK) for part in keys)
    if comment := item.trivia.comment.rstrip(_BLANK):
        comment = (item.trivia.comment_ws or " ") + comment
    return f"{key} = {item.as_string()}{comment}"


def _taken_last_paragraph(lines: list[str]) -> list[str]:
    """Removes the lines after the last blank one from ``lines``, and returns them."""
    start = max((index + 1 for index, line in enumerate(lines) if not line), default=0)
    taken = lines[start:]
    del lines[start:]
    return taken


def _lines(section: _Section) -> list[str]:
    order = {key: index for index, key in enumerate(_order(header_path(section.header)))}
    entries = sorted(section.entries, key=lambda entry: order.get(entry.key, len(order)))
    content = [*section.about, *([""] if section.about else [])]
    for entry in entries:
        content += [*entry.above, entry.line]
    content += section.below
    return [*section.above, section.header, *dropwhile(lambda line: not line, content)]


def header_path(header: str) -> tuple[str, ...]:
    path: tuple[str, ...] = ()
    table: Any = TomlFile.parse(header.encode(), "").data
    while table:
        ((key, below),) = table.items()
        path = (*path, key)
        table = below[0] if isinstance(below, list) else below
    return path


def _order(path: Sequence[str]) -> Iterable[str]:
    """The documented order of the keys of the table at ``path``; empty if there is none."""
    if len(path) > 2 and path[0] == "environments":
        return _order(path[2:])
    is_named = len(path) == 2 and path[0] in ("job_config", "templates")
    if is_named or tuple(path) == ("defaults",):
        return _JOB_CONFIG_KEYS
    return SETTINGS.get(path[0], ()) if len(path) == 1 else ()
