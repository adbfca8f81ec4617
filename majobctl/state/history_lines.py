"""The lines of a history: which are as they were written, and which led to the state of today."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from contextlib import suppress

from majobctl.state.event import Event, event_of
from majobctl.state.record import UNKNOWN, serial_of
from majobctl.state.replay import line_of
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.text import CONFLICT_MARKER

_AFTER = b'{"record":{"after":"'
_SUM = b'"},"sum":"'
_STATE = b'"state":"'
_END = len(_SUM) + 16 + len(b'"}')


def checked(raw: bytes) -> Node | None:
    """The line ``raw``; None if it is not as it was written."""
    with suppress(JsonError, RecursionError):
        line = Node(parse_object(raw))
        record, previous = line["record"], line["record"]["previous"].text()
        if line_of(record.table(), previous)[0] == raw + b"\n":
            return line
    return None


class Line:
    __slots__ = ("counts", "is_after_gap", "number", "raw", "state")

    def __init__(
        self, raw: bytes, number: int, state: str, counts: bool, is_after_gap: bool
    ) -> None:
        self.raw, self.number, self.state = raw, number, state
        self.counts, self.is_after_gap = counts, is_after_gap

    @property
    def after(self) -> str:
        """The version before the write."""
        start = len(_AFTER)
        if not self.raw.startswith(_AFTER):
            return UNKNOWN
        return self.raw[start : self.raw.find(b'"', start)].decode(errors="replace")

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
        self.all = (content.replace(b"\r\n", b"\n") if b"\r" in content else content).split(b"\n")
        self.version = version
        self._places: dict[str, list[int]] = {}

    def known(self) -> Iterator[Line]:
        """The lines that led to the state of today, the newest first, without a gap."""
        for line in self.walk():
            if line.counts:
                if line.is_after_gap:
                    return
                yield line

    def walk(self) -> Iterator[Line]:
        """All lines that have a version, the newest first."""
        expected, target, is_after_gap = self.version, None, False
        for index in range(len(self.all) - 1, -1, -1):
            raw = self.all[index]
            if not (state := version_in(raw)):
                continue
            counts = state == expected
            if not counts:
                if target is None:
                    target = self._last_with(expected, index)
                if target < 0 and not serial_of(state) > serial_of(expected) > 0:
                    counts = is_after_gap = True
            line = Line(raw, index + 1, state, counts, is_after_gap)
            yield line
            if counts:
                expected, target = line.after, None

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
