"""What a journal says: its lines, checked, and the state after them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from majobctl.errors import StateError
from majobctl.state.document import Entry, State, damaged
from majobctl.state.record import About, Notes
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import Target
from majobctl.text import printable

VERSION = 1
Record = Mapping[str, Any]
_STATED = re.compile(rb'"\},"sum":"([0-9a-f]{16})"\}\r?(?:\n|$)')


def line_of(record: Record, previous: str) -> tuple[bytes, str]:
    return line_of_text(dumped(record), previous)


def dumped(value: Any) -> bytes:
    """As in a line."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def line_of_text(record: bytes, previous: str) -> tuple[bytes, str]:
    import hashlib

    checksum = hashlib.sha256(b"%b\n%b" % (previous.encode(), record)).hexdigest()[:16]
    return b'{"record":%b,"sum":"%b"}\n' % (record, checksum.encode()), checksum


def line_after(end: bytes, record: Record) -> bytes:
    """The line of ``record`` in the history that ends with ``end``."""
    stated = _STATED.findall(end[end.rfind(b"\n", 0, -1) + 1 :]) or _STATED.findall(end)
    previous = stated[-1].decode() if stated else ""
    return line_of({**record, "previous": previous}, previous)[0]


def replayed(state: State | None, content: bytes, name: str) -> State | None:
    """``state`` after the records of the journal ``content``, in the file ``name``. A journal that
    was merged before changes nothing, nor does one without changes. Raises StateError for damage,
    except in the last line, and for the journal of another state."""
    records, last_sum = _records(content, name)
    if not records:
        return state
    begin = _begin_of(records[0], name)
    if state is None:
        if begin.serial != 0:
            raise StateError(
                f"{name} continues a state with serial {begin.serial}, but the state is missing"
                "\nrestore it: a copy, or the .backup beside it"
            )
        merged = merged_with(begin, records[1:], name)
        return replace(merged, merged=last_sum) if merged.serial else None
    if begin.lineage != state.lineage or begin.serial > state.serial:
        raise StateError(
            f"{name} continues another state ({_identity(begin)}) than the one beside it"
            f" ({_identity(state)})\n"
            "restore the state that it belongs to, or move the journal away if its changes are"
            " known"
        )
    merged = merged_with(state, records[1:], name)
    if merged is state:
        return state
    if begin.serial == state.serial:
        return replace(merged, merged=last_sum)
    if state.merged != last_sum:
        raise StateError(
            f"{name} continues serial {begin.serial} of the state, which has serial {state.serial}"
            " now and never merged it\n"
            "the state was replaced meanwhile: restore the one before, or move the journal away if"
            " its changes are known"
        )
    return state


def told_in(content: bytes, name: str) -> tuple[About, Notes, str]:
    """Who made the journal ``content``, what the history is to know of its changes, and the time of
    the last one, "" if there is none. Raises as ``replayed``."""
    records = _records(content, name)[0]
    about = records[0].get("about") if records else None
    times = (str(it["at"]) for it in records if "at" in it)
    own = About.of(about) if isinstance(about, dict) else About()
    return own, notes_of(records), max(times, default="")


def notes_of(records: Iterable[Record]) -> Notes:
    """What a journal says beside the states before and after it."""
    changed: dict[str, Record] = {}
    held_back: dict[str, Any] = {}
    actions: dict[str, str] = {}
    overwrote: dict[str, Any] = {}
    for record in records:
        match record:
            case {"intents": dict(found)}:
                changed |= found
            case {"known": str(key)}:
                changed[key], actions[key] = record, "record"
            case {"done": str(key), "overwrote": dict(values)}:
                overwrote[key] = values
            case {"forget": str(key)}:
                actions[key] = "delete" if key in changed else "forget"
            case {"unsent": list(), "held_back": dict(found)}:
                held_back |= found
    return Notes(
        causes={key: it["causes"] for key, it in changed.items() if "causes" in it},
        overwrote=overwrote,
        held_back=held_back,
        renamed={key: it["from"] for key, it in changed.items() if "from" in it},
        actions=actions,
    )


def _identity(state: State) -> str:
    return f"serial {state.serial}, lineage {printable(state.lineage)}"


def last_sum_of(content: bytes, name: str) -> str:
    """The sum of the last complete line; raises as ``replayed``."""
    return _records(content, name)[1]


def _records(content: bytes, name: str) -> tuple[list[Record], str]:
    *lines, torn = content.split(b"\n")
    records: list[Record] = []
    previous = ""
    for number, raw in enumerate(lines, 1):
        record, stated = _checked_record(raw, previous)
        if record is not None:
            records.append(record)
            previous = stated
        elif number == len(lines) and not torn:
            break
        else:
            raise StateError(
                f"{name}:{number}: the journal is damaged; it was left untouched\n"
                "it records what an interrupted apply did: keep a copy, remove this line and those"
                " after it, and run `majobctl plan` to see what is left to do"
            )
    return records, previous


def _checked_record(raw: bytes, previous: str) -> tuple[Record | None, str]:
    """The record of a line and its sum; None if the sum does not fit the line and ``previous``."""
    with suppress(JsonError, RecursionError):
        line = parse_object(raw)
        record, stated = line.get("record"), line.get("sum")
        if isinstance(record, dict) and line_of(record, previous) == (raw + b"\n", stated):
            return record, str(stated)
    return None, ""


def _begin_of(record: Record, name: str) -> State:
    """The state that a journal continues, without its entries."""
    if record.get("begin") != VERSION:
        reason = "this majobctl does not know this journal; use the majobctl that wrote it"
        raise StateError(f"{name}:1: {reason}")
    try:
        node = Node(record)
        salt = node.get("salt")
        return State(
            lineage=node["lineage"].text(),
            serial=node["serial"].integer(),
            target=Target.of_document(node["target"]),
            job_configs={},
            salt=salt.text() if salt else "",
        )
    except JsonError as error:
        raise damaged(name, error) from error


def merged_with(state: State, records: list[Record], name: str) -> State:
    entries = dict(state.job_configs)
    intents: dict[str, Record] = {}
    for number, record in enumerate(records, 2):
        protected = record.get("prevent_delete") is True
        match record:
            case {"intents": dict(found)} if all(
                isinstance(it, dict) and isinstance(it.get("params"), dict) for it in found.values()
            ):
                intents |= found
            case {"unsent": list(names)} if all(isinstance(key, str) for key in names):
                for key in names:
                    intents.pop(key, None)
            case {"intent": str(key), "params": dict()}:
                intents[key] = record
            case {"done": str(key), "at": str(at)} if key in intents:
                sent = intents.pop(key)
                protected = sent.get("prevent_delete") is True
                entries[key] = Entry(params=sent["params"], applied_at=at, prevent_delete=protected)
            case {"known": str(key), "params": dict(params), "at": str(at)}:
                intents.pop(key, None)
                entries[key] = Entry(params=params, applied_at=at, prevent_delete=protected)
            case {"refused": str(key)}:
                sent = intents.pop(key, {})
                if sent.get("prevent_delete") is True and key in entries:
                    # The protection was asked for, whatever happened to the rest.
                    entries[key] = replace(entries[key], prevent_delete=True)
            case {"forget": str(key)}:
                intents.pop(key, None)
                entries.pop(key, None)
            case _:
                raise StateError(f"{name}:{number}: this majobctl does not know this record")
    for key, sent in intents.items():
        before = entries.get(key, Entry(params={}, applied_at=""))
        # The service may also have what an earlier call of unknown outcome sent.
        tried = sent["params"]
        earlier = tuple(it for it in before.sides[1:] if it and it != tried)
        protected = before.prevent_delete or sent.get("prevent_delete") is True
        entries[key] = replace(
            before, pending=True, attempted=tried, earlier=earlier, prevent_delete=protected
        )
    if entries == dict(state.job_configs):
        return state
    return state.changed(dict(sorted(entries.items())))
