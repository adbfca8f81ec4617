"""The state document: what was last applied, for which target. Independent of where it is stored.

``{"format_version": 1, "majobctl_version", "serial", "lineage", "salt"?, "merged"?,
"target": {"endpoint", "project_id"},
"job_configs": {NAME: {"params", "applied_at", "prevent_delete"?, "pending"?, "attempted"?,
"earlier"?}}}``"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from majobctl import __version__
from majobctl.errors import StateError
from majobctl.job_config.secrets import Masker, masked_places, new_salt
from majobctl.job_config.values import is_blank
from majobctl.job_config.violations import Path
from majobctl.strict_json import ConflictError, JsonError, Node, parse_object
from majobctl.target import Target
from majobctl.text import cut, printable, printable_json

FORMAT_VERSION = 1
_MOST_OF_NAME = 500
_MAX_DEPTH = 9
"""So many tables or arrays may lie in one another: what is loaded can be saved and shown."""
_PLAIN = {"params", "applied_at"}
"""The members of an entry that was applied, without anything special."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One job config as it was last applied. ``params`` are normalised as those of a JobConfig.
    ``pending``: the outcome of the last call is unknown; ``params`` are then those before it (empty
    if there were none), ``attempted`` its own, and ``earlier`` those of the calls between them, of
    unknown outcome, too. ``applied_at`` is UTC, as ``2026-11-23T12:00:00Z``."""

    params: Mapping[str, Any]
    applied_at: str
    pending: bool = False
    attempted: Mapping[str, Any] | None = None
    earlier: tuple[Mapping[str, Any], ...] = ()
    prevent_delete: bool = False
    """As the TOML said when it was applied; it protects a job config that left the TOML since."""

    @property
    def sides(self) -> list[Mapping[str, Any]]:
        """What the service may have: ``params``, or what a call of unknown outcome sent."""
        return [self.params, self.attempted or {}, *self.earlier]

    def document(self) -> dict[str, Any]:
        content: dict[str, Any] = {"params": self.params, "applied_at": self.applied_at}
        if self.prevent_delete:
            content["prevent_delete"] = True
        if self.pending:
            content["pending"] = True
            content["attempted"] = self.attempted or {}
            content.update({"earlier": [*self.earlier]} if self.earlier else {})
        return content


def secret_places(entry: Entry | None) -> list[Path]:
    """The places whose values are, or may be, secrets in the service."""
    return [place for side in (entry.sides if entry else ()) for place in masked_places(side)]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state; ``serial`` counts its writes, ``lineage`` is a UUID made with the first one.
    ``salt``, made with the lineage, keys the hashes that replace sensitive values."""

    lineage: str
    serial: int
    target: Target
    job_configs: Mapping[str, Entry]
    salt: str = ""
    merged: str = ""
    """The last sum of the journal that was merged last, which may still be beside the state."""

    @classmethod
    def new(cls, target: Target, salt: str | None = None) -> State:
        lineage, target = str(uuid.uuid4()), replace(target, iam_endpoint="")
        salt = salt or new_salt()
        return cls(lineage=lineage, serial=0, target=target, job_configs={}, salt=salt)

    def masker(self, name: str) -> Masker:
        """Hashes for the job config ``name``. A state written by hand may have no salt: its lineage
        replaces it."""
        return Masker(self.salt or self.lineage, name)

    def changed(self, job_configs: Mapping[str, Entry]) -> State:
        """The state after one more write, with these job configs."""
        return replace(self, serial=self.serial + 1, job_configs=job_configs)

    def check_target(self, target: Target, name: str) -> None:
        """Raises StateError if the state, in the file ``name``, belongs to another target."""
        if self.target != target:
            raise StateError(
                f"{name} belongs to another target\n"
                f"  state:     {self.target}\n"
                f"  settings:  {target}\n"
                "nothing was changed; restore [provider] in majobctl.toml, or give this target a"
                " state of its own there, under [state] (see docs/state.md); then look:"
                " majobctl plan"
            )

    def document(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "majobctl_version": __version__,
            "serial": self.serial,
            "lineage": self.lineage,
            **({"salt": self.salt} if self.salt else {}),
            **({"merged": self.merged} if self.merged else {}),
            "target": self.target.document(),
            "job_configs": self._entries(),
        }

    def _entries(self) -> dict[str, Any]:
        return {name: entry.document() for name, entry in self.job_configs.items()}

    def digest(self) -> str:
        """A hash of all entries. Lineage and serial alone do not identify a state: two copies of it
        may each have been applied."""
        import hashlib

        content = json.dumps(self._entries(), sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def dump(self) -> bytes:
        """The state's bytes: JSON with sorted keys, two spaces and a newline at the end."""
        text = json.dumps(self.document(), indent=2, sort_keys=True, ensure_ascii=False)
        return (printable_json(text) + "\n").encode()

    @classmethod
    def load(cls, content: bytes, name: str, copies: str = "") -> State:
        """The state in ``content``, read from ``name``; ``copies`` says where others are, if it is
        not a file. Raises StateError if it is damaged, or written by a newer majobctl, and
        MovedError for a mark."""
        try:
            document = Node(parse_object(content))
            if document.get("moved"):
                raise MovedError(document, name)
            version = document["format_version"].integer()
            if version <= FORMAT_VERSION:
                return _state_of(document)
        except JsonError as error:
            raise damaged(name, error, copies) from error
        made_by = document.get("majobctl_version")
        raise StateError(
            f"{name} has format {version}, made by majobctl"
            f" {printable(cut(str(made_by and made_by.value)))}; this majobctl knows formats up to"
            f" {FORMAT_VERSION}\nit was left untouched; use a newer majobctl"
        )


def mark_of(state: State, to: str, settings: str) -> bytes:
    """What ``state`` leaves in its old place when it moves ``to`` where these lines of TOML say.
    Versions that do not know it refuse it as a state of a newer format."""
    moved = {"to": to, "settings": settings}
    own = {"format_version": FORMAT_VERSION + 1, "job_configs": {}, "moved": moved}
    return (json.dumps({**state.document(), **own}, indent=2, sort_keys=True) + "\n").encode()


class MovedError(StateError):
    """There is a mark in place of a state of this lineage."""

    def __init__(self, document: Node, name: str) -> None:
        moved, self.lineage = document["moved"], document["lineage"].text()
        self.to = moved["to"].text()
        super().__init__(
            f"the state in {name} was moved to {self.to}\nset this in majobctl.toml, unless a newer"
            f" commit of it does:\n{moved['settings'].text()}"
        )


def damaged(name: str, error: JsonError, copies: str = "") -> StateError:
    advice = f"restore a complete copy: {copies or 'the .backup beside the state, or one from git'}"
    if isinstance(error, ConflictError) and not copies:
        advice = (
            "take all of either side, and let an apply record what the service has:\n"
            f"    git checkout --ours {printable(name)}    (or --theirs)\n"
            f"    git checkout HEAD^ -- {printable(name)}    (instead, if they are committed)\n"
            "    majobctl apply --refresh"
        )
    return StateError(
        f"{name} is damaged: {printable(str(error))}\nit was left untouched; {advice}"
    )


def _state_of(document: Node) -> State:
    if document["format_version"].integer() < 1:
        raise document["format_version"].wrong("must be 1 or more")
    serial, lineage, entries = (document[key] for key in ("serial", "lineage", "job_configs"))
    table = entries.table()
    if serial.integer() < 0:
        raise serial.wrong("must be 0 or more")
    if len(max(table, key=len, default="")) > _MOST_OF_NAME:
        raise entries.wrong(f"has a name of more than {_MOST_OF_NAME} characters")
    if not lineage.text():
        raise lineage.wrong("must not be empty")
    salt, merged = document.get("salt"), document.get("merged")
    return State(
        lineage=lineage.text(),
        serial=serial.integer(),
        target=Target.of_document(document["target"]),
        job_configs={
            key: _plain_entry(table[key]) or entry_of(Node(table[key], entries, key))
            for key in sorted(table)
        },
        salt=salt.text() if salt else "",
        merged=merged.text() if merged else "",
    )


def _plain_entry(table: object) -> Entry | None:
    """As ``entry_of``, if it has two members of the right types, as most have; else None."""
    if not isinstance(table, dict) or table.keys() != _PLAIN:
        return None
    params, applied_at = table["params"], table["applied_at"]
    if not isinstance(applied_at, str) or not isinstance(params, dict):
        return None
    labels = params.get("hyperparameters")
    inner = labels.values() if isinstance(labels, dict) else ()
    kinds = [*map(type, params.values()), *map(type, inner)]
    if list in kinds or kinds.count(dict) != isinstance(labels, dict):
        return None
    return Entry(params=_without_blanks(params), applied_at=applied_at)


def entry_of(node: Node) -> Entry:
    params, table = node["params"].table(), node.table()
    sent = None if table.get("attempted") is None else node["attempted"].table()
    earlier = [it.table() for it in node["earlier"].items()] if "earlier" in table else []
    if not all(_nests_at_most(_MAX_DEPTH, side) for side in (params, sent or {}, *earlier)):
        raise node.wrong(f"is nested more than {_MAX_DEPTH} levels deep")
    return Entry(
        params=_without_blanks(params),
        applied_at=node["applied_at"].text(),
        pending="pending" in table and node["pending"].flag(),
        attempted=sent and _without_blanks(sent),
        earlier=tuple(map(_without_blanks, earlier)),
        prevent_delete="prevent_delete" in table and node["prevent_delete"].flag(),
    )


def _without_blanks(params: dict[str, Any]) -> dict[str, Any]:
    """As a JobConfig has none, one that somebody wrote by hand would seem to be a change."""
    labels = params.get("hyperparameters")
    if isinstance(labels, dict) and None in labels.values():
        labels = {label: text for label, text in labels.items() if text is not None}
        params = {**params, "hyperparameters": labels}
    if all(params.values()):
        return params
    return {key: value for key, value in params.items() if not is_blank(value)}


def _nests_at_most(depth: int, outer: dict[str, Any] | list[Any]) -> bool:
    if depth == 0:
        return False
    values = outer.values() if isinstance(outer, dict) else outer
    inner = [value for value in values if isinstance(value, (dict, list))]
    return all(_nests_at_most(depth - 1, value) for value in inner)
