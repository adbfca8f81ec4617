"""Edits of single values in a TOML file. Comments, order and spelling of all others stay.

tomlkit gets one section at a time: it does not always return a complete file as it was. What it
makes is compared with the same edits of the plain data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from majobctl.errors import ConfigError, MajobctlError
from majobctl.job_config.compare_policy import Place
from majobctl.job_config.directives import UNSET
from majobctl.job_config.values import hyperparameter_text
from majobctl.repository.authoring.format import (
    UnreadError,
    header_path,
    is_same,
    read_body,
    with_ends_of,
)
from majobctl.repository.authoring.generate import escaped, inline, key_text
from majobctl.repository.jobs.layers import found_at, unset_place
from majobctl.repository.jobs.tables import KEYS
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath

_MIXED_ENDS = "the file mixes line ends (LF and CRLF): `majobctl fmt` gives it one, then pull again"
_BY_HAND = "it is written in a form that pull does not edit; write it by hand"


class NotEditableError(Exception):
    """Why a value is left as it is. Nothing was changed."""


class EditedFile:
    """A job file whose values are replaced, added and removed in memory."""

    def __init__(self, content: bytes, name: str) -> None:
        """Raises ConfigError for what is not TOML."""
        file = TomlFile.parse(content, name)
        self.name, self.before, self._data = name, content, file.data
        self._sections = file.sections()
        seen: Counter[KeyPath] = Counter()
        self._at: dict[KeyPath, int] = {}
        for index, text in enumerate(self._sections):
            header = text.partition("\n")[0].strip(" \t")
            path: KeyPath = header_path(header) if index else ()
            if header.startswith("[[") and index:
                seen[path] += 1
                path = (*path, seen[path] - 1)
            self._at[path] = index

    @property
    def content(self) -> bytes:
        """The new content. Raises MajobctlError if it is not the old one with the edits alone."""
        content = with_ends_of(self.before, "".join(self._sections))
        try:
            is_right = is_same(TomlFile.parse(content, self.name).data, self._data)
        except ConfigError:
            is_right = False
        if not is_right:
            raise MajobctlError(f"{self.name} cannot be edited without changing other values in it")
        return content

    def set(
        self, table: KeyPath, place: Place, value: Any, like: Any, *, unwanted: str = ""
    ) -> None:
        """Gives the ``place`` of the job config at ``table`` the value that the service has, in the
        form of ``like``, which was written for it; None removes it. Its ``unset`` loses the name of
        a value, and gets ``unwanted``. Raises NotEditableError."""
        if 0 < self.before.count(b"\r\n") < self.before.count(b"\n"):
            raise NotEditableError(_MIXED_ENDS)
        kept = [*self._sections], self._data
        try:
            if value is not None or found_at(self._data, (*table, *place)) is not None:
                for path, text in self._edits((*table, place[0]), place[1:], value, like):
                    self._write(path, text)
            for path, text in self._unset_edits((*table, UNSET), place, value, unwanted):
                self._write(path, text)
        except NotEditableError:
            self._sections, self._data = kept
            raise

    def _edits(
        self, path: KeyPath, label: Place, value: Any, like: Any
    ) -> Iterator[tuple[KeyPath, str | None]]:
        """Each path with the text of its new value, None if it is removed."""
        own = found_at(self._data, path)
        if not label:
            if isinstance(own, list) and isinstance(value, list):
                yield from _item_edits(path, own, value)
            else:
                yield path, None if value is None else _text(value, like)
            return
        text = None if value is None else _text(value, like, is_label=True)
        pair = f"{{ label = {inline(label[0])}, value = {text} }}"
        if isinstance(own, list):
            at = next((at for at, it in enumerate(own) if it["label"] == label[0]), len(own))
            is_known = at < len(own) and text is not None
            yield (*path, at, *["value"] * is_known), pair if at == len(own) else text
        elif label[0] in KEYS and own:
            what = "a label that is the name of a key needs hyperparameters in the array form"
            raise NotEditableError(what)
        elif label[0] in KEYS:
            yield path, f"[{pair}]"
        elif isinstance(own, Mapping):
            yield (*path, label[0]), text
        else:
            yield path, f"{{ {key_text(label[0])} = {text} }}"

    def _unset_edits(
        self, path: KeyPath, place: Place, value: Any, unwanted: str
    ) -> Iterator[tuple[KeyPath, str | None]]:
        names = [*(found_at(self._data, path) or ())]
        gone = [at for at, it in enumerate(names) if value is not None and unset_place(it) == place]
        if names and len(gone) == len(names) and not unwanted:
            yield path, None
            return
        for at in reversed(gone):
            yield (*path, at), None
        if unwanted and not names:
            yield path, inline([unwanted])
        elif unwanted and unwanted not in names:
            yield (*path, len(names) - len(gone)), inline(unwanted)

    def _write(self, path: KeyPath, text: str | None) -> None:
        is_new = found_at(self._data, path) is None
        for end in range(len(path) - 1, -1, -1):
            index = self._at.get(path[:end])
            if index is None:
                continue
            header, _, body = self._sections[index].partition("\n")
            header, body = (f"{header}\n", body) if index else ("", self._sections[0])
            try:
                after = _edited(body, path[end:], text, is_new)
            except UnreadError as error:
                raise NotEditableError(_BY_HAND) from error
            if after is not None:
                self._sections[index] = header + after
                value = None if text is None else _parsed(text)
                if value is None:  # A table goes with the last of its dotted keys.
                    left = TomlFile.parse(after.encode(), self.name).data
                    while end < len(path) - 1 and found_at(left, path[end:-1]) is None:
                        path = path[:-1]
                self._data = _with(self._data, path, value)
                return
        raise NotEditableError(_BY_HAND)


def _edited(body: str, path: KeyPath, text: str | None, is_new: bool) -> str | None:
    """``body`` of a section with ``text`` at ``path``, which is removed if it is None; None if
    another section has it."""
    import tomlkit
    from tomlkit.items import Array, InlineTable

    document = read_body(body)
    around, last = path[:-1], path[-1]
    try:
        table: Any = document
        for part in around:
            table = table[part]
        if is_new and isinstance(table, InlineTable):
            return _edited(body, around, _with_pair(table.as_string(), last, text or ""), False)
        if is_new and isinstance(table, Array):
            table.append(tomlkit.value(text or ""))
        elif is_new:
            return _with_line(document, path, text or "")
        elif text is not None:
            table[last]  # raises if it is in another section
            table[last] = tomlkit.value(text)
        else:
            del table[last]
            if isinstance(table, InlineTable):
                return _edited(body, around, _without_gaps(table.as_string()), False)
    except (KeyError, IndexError):
        return None
    except Exception as error:
        # As in format.py: unusual TOML makes tomlkit fail in many ways.
        raise UnreadError(str(error)) from error
    return document.as_string()


def _with_pair(table: str, key: str | int, text: str) -> str:
    """An inline table with one more key: the last, or, before comments of TOML 1.1, the first."""
    pair = f"{key_text(str(key))} = {text}"
    if "\n" in table:
        return f"{{\n    {pair},{table[1:]}"
    start = table[:-1].rstrip()
    if start.endswith("{"):
        return f"{{ {pair} }}"
    return f"{start.removesuffix(',')}, {pair}{table[len(start) :]}"


def _without_gaps(table: str) -> str:
    """An inline table without the spaces and the line of what has left it."""
    tidy = re.sub(r"[ \t]{2,}\}$", " }", re.sub(r"([{,])[ \t]{2,}", r"\1 ", table))
    tidy = re.sub(r"\n[ \t]*(?=\n)", "", tidy)
    return tidy if is_same(_parsed(tidy), _parsed(table)) else table


def _with_line(document: Any, path: KeyPath, text: str) -> str:
    """The section with a further line, after the last key and before the comments below it."""
    body = document.as_string()
    below = 0
    for key, item in reversed(document.body):
        if key is not None:
            break
        below += len(item.as_string())
    indent = re.search(r"^([ \t]*)[^\s#]", body, re.MULTILINE)
    key = ".".join(key_text(str(part)) for part in path)
    at = len(body) - below
    start = body[:at] if not at or body[:at].endswith("\n") else f"{body[:at]}\n"
    return f"{start}{indent[1] if indent else ''}{key} = {text}\n{body[at:]}"


def _item_edits(
    path: KeyPath, old: Sequence[Any], new: Sequence[Any]
) -> Iterator[tuple[KeyPath, str | None]]:
    """What leads from one array of tables to another, and leaves alone what is equal."""
    for index in range(len(old) - 1, len(new) - 1, -1):
        yield (*path, index), None
    for index, item in enumerate(new):
        was = old[index] if index < len(old) else {}
        if was.keys() != item.keys():
            yield (*path, index), inline(escaped(item, ""))
            continue
        for key, value in item.items():
            text = _text(value, was[key])
            if _parsed(text) != was[key]:
                yield (*path, index, key), text


def _text(value: Any, like: Any, *, is_label: bool = False) -> str:
    """TOML for ``value`` of the service. A number stays one if it is sent as the same text."""
    if isinstance(value, str):
        if isinstance(like, (int, float)) and re.fullmatch(r"[-.\w]+", value):
            try:
                if hyperparameter_text(_parsed(value)) == value:
                    return value
            except ConfigError:
                pass  # It is no number.
        if not is_label and str(like).startswith("obs://") and value.startswith("/"):
            value = f"obs:/{value}"
    return inline(escaped(value, ""))


def _parsed(text: str) -> Any:
    return TomlFile.parse(f"x = {text}".encode(), "").data["x"]


def _with(data: Any, path: KeyPath, value: Any) -> Any:
    """A copy of ``data`` with ``value`` at ``path``; None removes what is there."""
    key, *rest = path
    copy: Any = [*data] if isinstance(data, list) else {**data}
    if value is None:
        if rest:
            copy[key] = _with(copy[key], tuple(rest), None)
        else:
            del copy[key]
    elif isinstance(copy, list) and key == len(copy):
        copy.append(value)
    else:
        copy[key] = _with(copy[key], tuple(rest), value) if rest else value
    return copy
