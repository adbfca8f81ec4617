"""The JSON of a plan, in both directions; a saved plan is this document with a checksum.

One table of members for each object says how it is written and read back, so that the two cannot
drift apart. A saved plan is bound to its state and target. It holds no secret: at apply, a masked
value is compared with the one that the environment or the TOML gives.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from majobctl import __version__
from majobctl.errors import MajobctlError, StalePlanError
from majobctl.job_config.fields import FIELDS
from majobctl.plan.change import (
    Action,
    Change,
    FieldAction,
    FieldChange,
    PlannedSource,
    Reason,
    Renamed,
)
from majobctl.plan.plan import Plan, Selection
from majobctl.state.document import State
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import Target
from majobctl.text import printable, quoted

HEAD = {"format_version": "1.0", "majobctl_version": __version__}
"""What every document begins with."""
_MISSING: Any = object()
_NULL = type(None)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a value is written, and read from a Node, unless it follows from other values.

    Values of the types ``kinds`` are read as they are, without a Node: a plan has thousands.
    """

    write: Callable[[Any], Any]
    read: Callable[[Node], Any] | None = None
    kinds: frozenset[type] = frozenset()


class _Member:
    """A key of a JSON object, and the attribute that it holds, such as ``selection.targeted``.

    Without an attribute, the form writes the object itself, and reads some of its attributes.
    Reading gives ``default`` if the key is missing; writing ``omits`` the key for this value.
    """

    def __init__(
        self, key: str, attribute: str, form: _Form, default: Any = _MISSING, omits: bool = False
    ) -> None:
        self.key, self.form, self.default, self.omits = key, form, default, omits
        self.name = attribute.rpartition(".")[2]
        self.get = attrgetter(attribute) if attribute else _itself


def _itself(value: Any) -> Any:
    return value


def _write(members: Iterable[_Member], value: Any) -> dict[str, Any]:
    items = ((member, member.get(value)) for member in members)
    return {
        member.key: member.form.write(item)
        for member, item in items
        if not (member.omits and item == member.default)
    }


def _read(members: Iterable[_Member], node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {}
    table = node.table()
    for member in members:
        form, value = member.form, table.get(member.key, _MISSING)
        if value is _MISSING and member.default is not _MISSING:
            found[member.name] = member.default
        elif type(value) in form.kinds:
            found[member.name] = value
        elif form.read is not None:
            item = node[member.key] if value is _MISSING else Node(value, node, member.key)
            if member.name:
                found[member.name] = form.read(item)
            else:
                found |= form.read(item)
    return found


def _nested(key: str, *members: _Member) -> _Member:
    """An object for some attributes of the value that also has the other members."""
    form = _Form(lambda value: _write(members, value), lambda node: _read(members, node))
    return _Member(key, "", form)


def _plain(read: Callable[[Node], Any], *kinds: type) -> _Form:
    """The form of values that are the same in JSON and in Python."""
    return _Form(_itself, read, frozenset(kinds))


def _texts(node: Node) -> tuple[str, ...]:
    value = node.array()
    return tuple(value) if all(type(item) is str for item in value) else node.texts()


def _path(node: Node) -> tuple[str, ...]:
    if not node.array():
        raise node.wrong("must not be empty")
    return _texts(node)


def _one_of(kind: type[enum.Enum]) -> _Form:
    by_value = {member.value: member for member in kind}

    def read(node: Node) -> enum.Enum:
        text = node.text()
        if text in by_value:
            return by_value[text]
        known = ", ".join(map(quoted, by_value))
        raise node.wrong(f"must be one of {known}, not {quoted(text)}")

    return _Form(attrgetter("value"), read)


def _or_null(form: _Form) -> _Form:
    kinds = form.kinds | {_NULL}
    return _Form(lambda value: None if value is None else form.write(value), form.read, kinds)


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` in the documented order of keys; the state file sorts them by name."""
    return {**{key: params[key] for key in FIELDS if key in params}, **params}


_ANYTHING = _plain(attrgetter("value"), str, int, float, bool, list, dict, _NULL)
_TEXT = _plain(Node.text, str)
_INTEGER = _plain(Node.integer, int)
_FLAG = _plain(Node.flag, bool)
_TEXTS = _Form(list, _texts)
_PARAMS = _or_null(_Form(_params, Node.table, frozenset({dict})))
_REFERENCES = _Form(
    lambda found: [{"path": list(path), "text": text} for path, text in found.items()],
    lambda node: {_path(item["path"]): item["text"].value for item in node.items()},
)
_SOURCE_MEMBERS = [_Member("file", "file", _TEXT), _Member("line", "line", _INTEGER)]
_SOURCE = _Form(
    lambda source: _write(_SOURCE_MEMBERS, source),
    lambda node: PlannedSource(**_read(_SOURCE_MEMBERS, node)),
)
_FIELD = [
    _Member("path", "path", _Form(list, _path)),
    _Member("action", "action", _one_of(FieldAction)),
    _Member("before", "before", _ANYTHING),
    _Member("after", "after", _ANYTHING),
]
_LIVE = [
    _Member("live", "live", _ANYTHING, default=None),
    _Member("reason", "reason", _or_null(_one_of(Reason)), default=None),
]
_LIVE_FIELD = [*_FIELD, *_LIVE]
_FIELDS = _Form(
    lambda fields: [_write(_FIELD, field) for field in fields],
    lambda node: tuple(FieldChange(**_read(_LIVE_FIELD, item)) for item in node.items()),
)
_CHANGE = [
    _Member("name", "name", _TEXT),
    _Member("action", "action", _one_of(Action)),
    _Member("source", "source", _or_null(_SOURCE)),
    _Member("fields", "fields", _FIELDS),
    _Member("before", "before", _PARAMS),
    _Member("after", "after", _PARAMS),
    _Member("cleared", "cleared", _TEXTS),
    _Member("references", "references", _REFERENCES),
    _Member("prevent_delete", "prevent_delete", _FLAG, default=False, omits=True),
    _Member("old_name", "old_name", _TEXT, default="", omits=True),
    _Member("renamed", "renamed", _one_of(Renamed), default=None, omits=True),
    _Member("live_digest", "live_digest", _TEXT, default="", omits=True),
    _Member("missing", "is_missing", _FLAG, default=False, omits=True),
]


def _changes(plan: Plan) -> list[dict[str, Any]]:
    changes = [_write(_CHANGE, change) for change in plan.changes]
    if plan.is_refreshed:
        for change, document in zip(plan.changes, changes, strict=True):
            for field, item in zip(change.fields, document["fields"], strict=True):
                item |= _write(_LIVE, field)
    return changes


def _read_changes(node: Node) -> tuple[Change, ...]:
    changes: dict[str, Change] = {}
    for item in node.items():
        change = _read_change(item)
        if changes.setdefault(change.name, change) is not change:
            raise item["name"].wrong(f"is {quoted(change.name)}, as an earlier change's")
    return tuple(changes.values())


def _read_change(node: Node) -> Change:
    change = Change(**_read(_CHANGE, node))
    leaves = change.action in (Action.FORGET, Action.DELETE)
    if leaves != (change.after is None):
        wanted = "null" if leaves else "an object"
        raise node["after"].unexpected(f"{wanted} for the action {quoted(change.action.value)}")
    if FIELDS.keys() >= {*(change.after or ()), *change.cleared}:
        return change
    keys = [*node["after"].members()] if change.after is not None else []
    keys += [(item.text(), item) for item in node["cleared"].items()]
    raise next(item for key, item in keys if key not in FIELDS).wrong(
        "is not a key of a job config"
    )


def _count_of(action: Action) -> _Member:
    return _Member(action.value, "", _Form(lambda plan: plan.count(action)))


_PLAN = [
    _Member("lineage", "lineage", _TEXT),
    _Member("serial", "serial", _INTEGER),
    _nested(
        "target",
        _Member("endpoint", "target.endpoint", _TEXT),
        _Member("project_id", "target.project_id", _TEXT),
    ),
    _Member("environment", "environment", _TEXT, default=""),
    _Member("refreshed", "is_refreshed", _FLAG, default=False),
    _Member("create_missing", "creates_missing", _FLAG, default=False),
    _Member("changes", "", _Form(_changes, lambda node: {"changes": _read_changes(node)})),
    _nested("summary", *map(_count_of, Action), _Member("no-op", "unchanged", _INTEGER)),
    _Member("calls", "calls", _Form(dict)),
    _nested(
        "selection",
        _Member("target", "selection.targeted", _TEXTS),
        _Member("exclude", "selection.excluded", _TEXTS),
        _Member("left_out", "left_out", _INTEGER),
    ),
    _Member("warnings", "", _Form(lambda plan: [*map(str, plan.warnings), *plan.notices])),
]
_SAVED = [
    _Member("state_digest", "state_digest", _TEXT),
    _Member("salt", "salt", _TEXT, default="", omits=True),
]


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan; its shape is in docs/plan-format.md."""
    return {**HEAD, **_write(_PLAN, plan)}


def plan_bytes(plan: Plan, state: State | None) -> bytes:
    """The content of a plan file for ``plan``, which was made against ``state``."""
    bound = replace(plan, state_digest=state.digest() if state else "")
    document = {**plan_document(bound), **_write(_SAVED, bound)}
    return dumps({**document, "checksum": _checksum(document)}).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def read_plan(content: bytes, name: str) -> Plan:
    """The plan in ``content``, read from the file ``name``.

    Raises MajobctlError if it is not a plan file, StalePlanError if it was changed.
    """
    document = plan_file_document(content, name)
    try:
        found = _read([*_PLAN, *_SAVED], Node(document))
    except JsonError as error:
        raise _not_a_plan(name, str(error)) from error
    target = Target(found.pop("endpoint"), found.pop("project_id"))
    selection = Selection(found.pop("targeted"), found.pop("excluded"))
    return Plan(target=target, selection=selection, **found)


def plan_file_document(content: bytes, name: str) -> dict[str, Any]:
    """The document in ``content``, its format and checksum checked; raises as ``read_plan``."""
    try:
        document = parse_object(content)
    except JsonError as error:
        raise _not_a_plan(name, str(error)) from error
    if "checksum" not in document:
        raise _not_a_plan(name, "checksum is missing")
    version = str(document.get("format_version"))
    if version.partition(".")[0] != "1":
        unknown = f"{name} has the format {quoted(version)}, which this majobctl does not know"
        raise MajobctlError(f"{unknown}; make the plan again")
    stated = document.pop("checksum")
    if stated != _checksum(document):
        raise StalePlanError(
            f"{name} was changed after it was made: its checksum does not match\n"
            "make the plan again"
        )
    return {**document, "checksum": stated}


def _not_a_plan(name: str, reason: str) -> MajobctlError:
    return MajobctlError(
        f"{name} is not a plan file: {printable(reason)}\nmake one: majobctl plan --out FILE"
    )


def dumps(document: Any) -> str:
    """The text of a document, two spaces deep, with a newline at the end.

    In ASCII, so that it is the same in every encoding and holds nothing that a terminal acts on.
    """
    return json.dumps(document, indent=2) + "\n"
