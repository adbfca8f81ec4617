"""The records of a log: a line of JSON, the head, then the body.

    {"majobctl": 1, "kind", "number", "epoch", "state", "nonce", "sum", "at", "lock", ...}

``epoch`` is the number of the ``open`` that the record belongs to, and ``lock`` the ID of its
holder: where a store lost records, two may open with one number. ``state`` is the number of the
last state before it (0: none), ``sum`` a checksum of the body, ``at`` the time by the writer's
clock. The kinds, and what else their heads say:

    open   {"holder", "lease"}  somebody has the lock, for ``lease`` seconds after each record
    note                        the body is a part of the journal
    beat                        the holder lives
    state  {"serial", "job_configs", "by", "states", "lines", "histories"}
                                the body is a state; ``states`` are the numbers of those to keep;
                                ``lines`` are the last ones of the history, ``histories`` the
                                numbers of the records that have those before
    history                     the body is lines of the history
    drop                        the journal so far is merged, or was of no use
    close  {"holder"}           the lock is free; who freed it

Encryption at rest would be another format of the body: a head with a higher number in "majobctl".
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from majobctl.errors import StateError
from majobctl.state.backends import Holder
from majobctl.state.backends.lock import holder_in
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.text import printable, utc_now

FORMAT = 1
_KINDS = {"open", "note", "beat", "state", "history", "drop", "close"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    number: int
    kind: str
    epoch: int
    state: int
    body: bytes = b""
    head: Mapping[str, Any] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def first(self) -> int:
        """The first record that a reader needs: the last state, or else the first of all."""
        return self.number if self.kind == "state" else self.state or 1

    @property
    def lock(self) -> object:
        return self.head.get("lock")

    @property
    def holder(self) -> Holder:
        """Of an ``open`` or a ``close``."""
        return holder_in(Node(self.head)["holder"])

    @property
    def lease(self) -> float:
        """Of an ``open``."""
        return float(self.head["lease"])

    def dump(self) -> bytes:
        own = {"majobctl": FORMAT, "kind": self.kind, "number": self.number, "epoch": self.epoch}
        own.update(state=self.state, nonce=self.nonce, sum=_sum(self.body))
        head = {**own, **self.head}
        return json.dumps(head, separators=(",", ":")).encode() + b"\n" + self.body


def load(number: int, content: bytes, name: str) -> Record:
    """Raises StateError for a record of the log ``name`` that is damaged, newer or foreign."""
    line, _, body = content.partition(b"\n")
    try:
        head = Node(parse_object(line))
        if head["majobctl"].integer() > FORMAT or head["kind"].text() not in _KINDS:
            raise StateError(
                f"record {number} of {name} was made by a newer majobctl\n"
                "it was left untouched; use a newer majobctl"
            )
        record = Record(
            number=head["number"].integer(),
            kind=head["kind"].text(),
            epoch=head["epoch"].integer(),
            state=head["state"].integer(),
            body=body,
            head=head.table(),
        )
        if record.kind in ("open", "close"):
            holder_in(head["holder"])
        if record.kind == "open" and not isinstance(head["lease"].value, (int, float)):
            raise head["lease"].wrong("must be a number")
        if record.number != number or head["sum"].value != _sum(body):
            raise JsonError("it is not as it was written")
    except JsonError as error:
        raise damaged(f"record {number} of {name} is damaged: {printable(str(error))}") from error
    return record


def following(last: Record | None, kind: str, body: bytes = b"", **about: Any) -> Record:
    """The record after ``last``, of the same epoch unless it opens one."""
    number = last.number + 1 if last else 1
    state = (last.number if last.kind == "state" else last.state) if last else 0
    epoch = last.epoch if last and kind != "open" else number
    lock = last.lock if last and kind != "open" else about.get("holder", {}).get("id")
    head = {"at": utc_now(), "lock": lock, **about}
    return Record(number=number, kind=kind, epoch=epoch, state=state, body=body, head=head)


def check_complete(last: Record, numbers: Sequence[int], name: str) -> None:
    """Raises StateError if a record is missing that a reader of ``last`` needs."""
    if missing := sorted({*range(last.first, last.number)} - {*numbers}):
        raise damaged(
            f"{name} is not complete: record {missing[0]} is missing, and record {last.number} is"
            " there"
        )


def damaged(reason: str) -> StateError:
    return StateError(
        f"{reason}\nit was left untouched; restore the store, or set another state.name (for git,"
        " state.branch) and push a copy there: majobctl state push FILE; an earlier record has one"
        " after its first line"
    )


def state_of(tail: Sequence[Record]) -> bytes | None:
    """The state in ``tail``, the last state and what follows it."""
    return tail[0].body if tail and tail[0].kind == "state" else None


def end_of_history(tail: Sequence[Record]) -> bytes:
    """The last lines of the history, as of the state in ``tail``."""
    lines = tail[0].head.get("lines") if tail else None
    return lines.encode() if isinstance(lines, str) else b""


def histories_of(tail: Sequence[Record]) -> list[int]:
    """The numbers of the records with the lines before."""
    numbers = tail[0].head.get("histories") if tail else None
    return [it for it in numbers if type(it) is int] if isinstance(numbers, list) else []


def journal_of(tail: Sequence[Record]) -> bytes | None:
    """The journal in ``tail``: its notes since the last drop; None if there are none."""
    notes: list[bytes] = []
    for record in tail:
        if record.kind == "drop":
            notes.clear()
        elif record.kind == "note":
            notes.append(record.body)
    return b"".join(notes) if notes else None


def about_state(content: bytes) -> dict[str, Any]:
    """What the head of a state's record says of it."""
    document = json.loads(content)
    return {"serial": document["serial"], "job_configs": len(document["job_configs"])}


def _sum(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]
