"""The record of one write of the state: who, when, from which commit, and what it changed.

It is one JSON object, made from the state before and the one after it:

    {"after": "12:…", "state": "13:…",      the versions before and after: serial and digest
     "serial": 13, "at": "2026-11-23T12:00:00Z", "previous": the sum of the line before,
     "by": {"user", "host", "job"}, "commit", "clean", "command", "plan",
     "changes": {NAME: {"action", "from"?, "fields"?: [[PATH, BEFORE, AFTER, CAUSE?, OVERWROTE?]],
                        "entry"?: {KEY: [BEFORE, AFTER]}}},
     "held_back": {NAME: [FIELD]}}

``fields`` are those of ``params``, each a key or ``hyperparameters`` and a label; ``entry`` is what
else an entry has. null: it is not set. With ``from``, ``fields`` are the differences to the job
config that was renamed. BEFORE and AFTER are the same if the field was only put back in the
service. Values are as in the state, so that secrets are hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from majobctl.state.document import Entry, State

FieldPath: TypeAlias = "tuple[str, ...]"
Fields: TypeAlias = "dict[FieldPath, Any]"
BEGINNING = ""
"""The version before the first write."""
UNKNOWN = "?"
"""The version before the write that replaced a state which nobody could read."""
ALL_FIELDS = "*"
"""In place of a field: the cause of all of them."""
_HYPERPARAMETERS = "hyperparameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Who writes, and from where. What is not known is empty; ``clean`` is then None."""

    user: str = ""
    host: str = ""
    job: str = ""
    """The job of the CI, such as ``GitLab job 4211``."""
    commit: str = ""
    clean: bool | None = None
    """Whether the files of the config repository were as in ``commit``."""
    command: str = ""
    plan: str = ""
    """The digest of the saved plan that was applied."""

    def document(self) -> dict[str, Any]:
        by = {"user": self.user, "host": self.host, "job": self.job}
        own = {"by": {key: text for key, text in by.items() if text}, "commit": self.commit}
        own |= {"command": self.command, "plan": self.plan}
        clean = {} if self.clean is None else {"clean": self.clean}
        return {key: value for key, value in own.items() if value} | clean

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> About:
        """What ``document`` has of it. It may come from a newer majobctl."""
        by = document.get("by")
        texts = {**document, **(by if isinstance(by, dict) else {})}
        keys = ("user", "host", "job", "commit", "command", "plan")
        clean = document.get("clean")
        return cls(
            **{key: it for key in keys if isinstance(it := texts.get(key), str)},
            clean=clean if isinstance(clean, bool) else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """What a write knows of its changes beside the two states, by the job config's name; fields
    are dotted, such as ``hyperparameters.lr``."""

    causes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The line that made the change, such as ``jobs/nlp.toml:5``."""
    overwrote: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What somebody had changed in the service, and was undone."""
    held_back: Mapping[str, Iterable[str]] = field(default_factory=dict)
    """The fields for which a job config was not sent."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """The old name, by the new one."""
    actions: Mapping[str, str] = field(default_factory=dict)
    """The plan's word for it, where that says more than the states do."""


def version_of(state: State | None) -> str:
    return f"{state.serial}:{state.digest()[7:23]}" if state else BEGINNING


def serial_of(version: str) -> int:
    """0 for a version that is not known."""
    number = version.partition(":")[0]
    return int(number) if number.isdecimal() else 0


def fields_of(params: Mapping[str, Any]) -> Fields:
    """The values of ``params`` by their paths."""
    labels = params.get(_HYPERPARAMETERS)
    if not isinstance(labels, Mapping) or not labels:
        return {(key,): value for key, value in params.items()}
    own: Fields = {(key,): value for key, value in params.items() if key != _HYPERPARAMETERS}
    return own | {(_HYPERPARAMETERS, label): value for label, value in labels.items()}


def params_of(fields: Fields) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for path in sorted(fields):
        if len(path) == 1:
            params[path[0]] = fields[path]
        else:
            params.setdefault(path[0], {})[path[1]] = fields[path]
    return params


def record_of(
    before: State | None, after: State, about: About, notes: Notes, at: str, version: str
) -> dict[str, Any]:
    """The record of a write, without ``previous``; ``version`` is that of ``before``, or
    UNKNOWN."""
    old, new = before.job_configs if before else {}, after.job_configs
    names = [it for it in sorted(old.keys() | new.keys()) if old.get(it) != new.get(it)]
    record = {
        **about.document(),
        "after": version,
        "at": at,
        "serial": after.serial,
        "state": version_of(after),
        "changes": {name: _change(name, old, new.get(name), notes) for name in names},
    }
    held_back = {name: [*fields] for name, fields in notes.held_back.items()}
    return {**record, **({"held_back": held_back} if held_back else {})}


def _change(
    name: str, entries: Mapping[str, Entry], after: Entry | None, notes: Notes
) -> dict[str, Any]:
    before, old_name = entries.get(name), notes.renamed.get(name, "")
    is_renamed = before is None and old_name in entries
    base = entries[old_name] if is_renamed else before
    old, new = fields_of(base.params if base else {}), fields_of(after.params if after else {})
    causes, overwrote = notes.causes.get(name, {}), notes.overwrote.get(name, {})
    fields: list[list[Any]] = []
    for path in sorted(old.keys() | new.keys() | {*map(_path_of, overwrote)}):
        dotted, is_changed = ".".join(path), old.get(path) != new.get(path)
        if is_changed or dotted in overwrote:
            cause = (is_changed and (causes.get(dotted) or causes.get(ALL_FIELDS))) or ""
            more = [cause, overwrote[dotted]] if dotted in overwrote else [cause] if cause else []
            fields.append([[*path], old.get(path), new.get(path), *more])
    found = {"action": _action(before, after, notes.actions.get(name, ""))}
    rest, others = rest_of(before), rest_of(after)
    entry = {
        key: [rest.get(key), others.get(key)]
        for key in sorted(rest.keys() | others.keys())
        if rest.get(key) != others.get(key)
    }
    own = {"from": old_name if is_renamed else "", "fields": fields, "entry": entry}
    return {**found, **{key: value for key, value in own.items() if value}}


def _path_of(dotted: str) -> FieldPath:
    key, _, label = dotted.partition(".")
    return (key, label) if label else (key,)


def rest_of(entry: Entry | None) -> dict[str, Any]:
    document = entry.document() if entry else {}
    return {key: value for key, value in document.items() if key != "params"}


def _action(before: Entry | None, after: Entry | None, word: str) -> str:
    if after is not None and after.pending:
        return "pending"
    return word or ("remove" if after is None else "update" if before else "add")
