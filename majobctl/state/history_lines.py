"""The lines of a history: which are as they were written, and which led to the state of today."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cached_property

from majobctl.state.event import Event, event_of
from majobctl.state.record import UNKNOWN, serial_of
from majobctl.state.replay import line_of_text
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.text import CONFLICT_MARKER

_AFTER = b'{"record":{"after":"'
_SUM = b'"},"sum":"'
_STATE = b'"state":"'
_RECORD = b'{"record":'
_AFTER_RECORD = len(b',"sum":"') + 16 + len(b'"}')
_SUM_END = 16 + len(b'"}')
_END = len(_SUM) + _SUM_END


def checked(raw: bytes) -> Node | None:
    """The line ``raw``; None if it is not as it was written."""
    with suppress(JsonError, RecursionError):
        line = Node(parse_object(raw))
        previous = line["record"]["previous"].text()
        if line_of_text(raw[len(_RECORD) : -_AFTER_RECORD], previous)[0] == raw + b"\n":
            return line
    return None


class Line:
    __slots__ = ("counts", "is_after_gap", "number", "raw")

    def __init__(self, raw: bytes, number: int, counts: bool, is_after_gap: bool) -> None:
        self.raw, self.number = raw, number
        self.counts, self.is_after_gap = counts, is_after_gap

    @property
    def state(self) -> str:
        """The version after the write."""
        return version_in(self.raw)

    @property
    def after(self) -> str:
        """The version before the write."""
        return _before(self.raw).decode(errors="replace")

    @property
    def pruned(self) -> Node | None:
        found = checked(self.raw) if self.after == UNKNOWN else None
        return found and found["record"].get("pruned")

    @property
    def event(self) -> Event | None:
        """None if the line is damaged."""
        with suppress(JsonError):
            if found := checked(self.raw):
                return event_of(found["record"], self.number, self.counts)
        return None

    def glimpse(self, names: Collection[str]) -> Event | None:
        """The event with the changes of these job configs alone, unchecked: a line may have 10,000
        others. None if it cannot be read."""
        with suppress(ValueError, RecursionError):
            record = Node(json.loads(self.raw))["record"]
            changes = record["changes"].table()
            own = {name: changes[name] for name in changes.keys() & names}
            return event_of(Node({**record.table(), "changes": own}), self.number, self.counts)
        return None


def _before(raw: bytes) -> bytes:
    start = len(_AFTER)
    return raw[start : raw.find(b'"', start)] if raw.startswith(_AFTER) else UNKNOWN.encode()


def version_in(raw: bytes) -> str:
    """The version after the write of a line, without parsing it; "" if it has none."""
    end = len(raw) - _END
    start = raw.rfind(_STATE, 0, end)
    if start < 0 or not raw.startswith(_SUM, end):
        return ""
    return raw[start + len(_STATE) : end].decode(errors="replace")


def damage_of(raw: bytes) -> str:
    text = raw.decode(errors="replace")
    if CONFLICT_MARKER.match(text):
        return "git could not merge it: remove the lines of its markers, and keep all others"
    if not raw.endswith(b'"}') and raw.startswith(_AFTER[:10]):
        return "it is cut short, as a crash leaves it"
    return "it is not as it was written"


class Lines:
    """All lines of ``content``, of a state of this ``version``."""

    def __init__(self, content: bytes, version: str) -> None:
        self._content = content.replace(b"\r\n", b"\n") if b"\r" in content else content
        self.version = version
        self._places: dict[str, list[int]] = {}

    @cached_property
    def all(self) -> list[bytes]:
        return self._content.split(b"\n")

    def _newest_first(self) -> Iterator[tuple[int, bytes]]:
        """Indices and lines, without a list of all."""
        index, end = self._content.count(b"\n"), len(self._content)
        while end >= 0:
            start = self._content.rfind(b"\n", 0, end) + 1
            yield index, self._content[start:end]
            index, end = index - 1, start - 1

    def known(self) -> Iterator[Line]:
        """The lines that led to the state of today, the newest first, without a gap."""
        for line in self.walk():
            if line.counts:
                if line.is_after_gap:
                    return
                yield line

    def walk(self) -> Iterator[Line]:
        """All lines that have a version, the newest first."""
        expected, target, is_after_gap = self.version.encode(), -1, False
        is_sought = True
        for index, raw in self._newest_first():
            # Nearly every line leads to the one after it.
            counts = raw.endswith(_STATE + expected + _SUM, 0, -_SUM_END)
            if not counts:
                if not (state := version_in(raw)):
                    continue
                version = expected.decode(errors="replace")
                if is_sought:
                    target, is_sought = self._last_with(version, index), False
                if target < 0 and not serial_of(state) > serial_of(version) > 0:
                    counts = is_after_gap = True
            yield Line(raw, index + 1, counts, is_after_gap)
            if counts:
                expected, is_sought = _before(raw), True

    @property
    def has_version(self) -> bool:
        return self._last_with(self.version, len(self.all)) >= 0

    def _last_with(self, version: str, before: int) -> int:
        """The index of the last line, ``before`` another one, that led to ``version``; or -1."""
        if not self._places:
            for index, raw in enumerate(self.all):
                self._places.setdefault(version_in(raw), []).append(index)
        found = self._places.get(version, [])
        return found[place - 1] if (place := bisect_left(found, before)) else -1
