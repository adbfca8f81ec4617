"""The JSON of a plan, in both directions; a saved plan is this document with a checksum.

One table of members for each object says how it is written and read back, so that the two cannot
drift apart. A saved plan is bound to its state and target. It holds no secret: at apply, a masked
value is compared with the one that the environment or the TOML gives."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from operator import methodcaller
from typing import Any

from majobctl import __version__
from majobctl.errors import MajobctlError, StalePlanError
from majobctl.job_config.fields import FIELDS
from majobctl.plan.causes import by_cause
from majobctl.plan.change import (
    Action,
    Cause,
    Change,
    FieldAction,
    FieldChange,
    LastCall,
    Reason,
    Renamed,
)
from majobctl.plan.guard import is_held_back
from majobctl.plan.members import (
    ANYTHING,
    FLAG,
    INTEGER,
    TEXT,
    Form,
    Member,
    object_of,
    one_of,
    or_null,
    path_steps,
    plain,
    read_members,
    write_members,
)
from majobctl.plan.plan import Flavor, Plan, Selection
from majobctl.policy.verdict import Verdict
from majobctl.state.document import State
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import Target
from majobctl.text import printable, printable_json, quoted

HEAD = {"format_version": "1.0", "majobctl_version": __version__}
"""What every document begins with."""
_PLAN_HEAD = {**HEAD, "format_version": "1.1"}


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """Where a job config was defined when its plan was saved."""

    file: str
    line: int


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    """``params`` in the documented order of keys; the state file sorts them by name."""
    return {**{key: params[key] for key in FIELDS if key in params}, **params}


_TEXTS = Form(list, Node.texts)
_PARAMS = or_null(Form(_params, Node.table, frozenset({dict})))
_REFERENCES = Form(
    lambda found: [{"path": list(path), "text": text} for path, text in found.items()],
    lambda node: {path_steps(item["path"]): item["text"].value for item in node.items()},
)
_PLACES = Form(
    lambda places: list(map(list, sorted(places))),
    lambda node: frozenset(map(path_steps, node.items())),
)
_NAMES = Form(sorted, lambda node: frozenset(node.texts()))
_SOURCE = object_of(PlannedSource, Member("file", TEXT), Member("line", INTEGER))
_CAUSE = [Member("file", TEXT), Member("line", INTEGER), Member("key", TEXT)]
_FIELD = [
    Member("path", Form(list, path_steps)),
    Member("action", one_of(FieldAction)),
    Member("before", ANYTHING),
    Member("after", ANYTHING),
    Member("cause", object_of(Cause, *_CAUSE), default=None, omits=True),
]
_LIVE = [
    Member("live", ANYTHING, default=None),
    Member("reason", or_null(one_of(Reason)), default=None),
]
_LIVE_FIELD = [*_FIELD, *_LIVE]
_FIELDS = Form(
    lambda fields: [write_members(_FIELD, field) for field in fields],
    lambda node: tuple(FieldChange(**read_members(_LIVE_FIELD, item)) for item in node.items()),
)
_CHANGE = [
    Member("name", TEXT),
    Member("action", one_of(Action)),
    Member("source", or_null(_SOURCE)),
    Member("fields", _FIELDS),
    Member("before", _PARAMS),
    Member("after", _PARAMS),
    Member("cleared", _TEXTS),
    Member("references", _REFERENCES),
    Member("ignored", _PLACES, default=frozenset(), omits=True),
    Member("secret_names", _NAMES, default=frozenset(), omits=True),
    Member("prevent_delete", FLAG, default=False, omits=True),
    Member("old_name", TEXT, default="", omits=True),
    Member("new_name", TEXT, default="", omits=True),
    Member("renamed", one_of(Renamed), default=None, omits=True),
    Member("live_digest", TEXT, default="", omits=True),
    Member("unknown_fields", _TEXTS, default=(), omits=True),
    Member("last_call", one_of(LastCall), default=None, omits=True),
    Member("missing", FLAG, "is_missing", default=False, omits=True),
]


def _changes(plan: Plan) -> list[dict[str, Any]]:
    changes = [write_members(_CHANGE, change) for change in plan.changes]
    if plan.is_refreshed:
        for change, document in zip(plan.changes, changes, strict=True):
            document["fields"] = [write_members(_LIVE_FIELD, field) for field in change.fields]
    return changes


def _read_changes(node: Node) -> tuple[Change, ...]:
    changes: dict[str, Change] = {}
    for item in node.items():
        change = _read_change(item)
        if changes.setdefault(change.name, change) is not change:
            raise item["name"].wrong(f"is {quoted(change.name)}, as an earlier change's")
    return tuple(changes.values())


def _read_change(node: Node) -> Change:
    change = Change(**read_members(_CHANGE, node))
    leaves = change.action in (Action.FORGET, Action.DELETE)
    if leaves != (change.after is None):
        wanted = "null" if leaves else "an object"
        raise node["after"].unexpected(f"{wanted} for the action {quoted(change.action.value)}")
    if FIELDS.keys() >= {*(change.after or ()), *change.cleared}:
        return change
    keys = [(key, node["after"][key]) for key in change.after or ()]
    keys += [(item.text(), item) for item in node["cleared"].items()]
    unknown = next(item for key, item in keys if key not in FIELDS)
    raise unknown.wrong("is not a key of a job config")


def _causes(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            **write_members(_CAUSE, it.cause),
            **dict(zip(("before", "after"), plan.edits.get(it.cause, ()), strict=False)),
            "fields": [*map(list, it.paths)],
            "job_configs": [change.name for change, _ in it.parts],
        }
        for it in by_cause(plan)
    ]


def _edits(node: Node) -> dict[str, Any]:
    """What the lines said and say; the rest follows from the fields."""
    edits = {
        Cause(**read_members(_CAUSE, it)): (it["before"].value, it["after"].value)
        for it in node.items()
        if "before" in it.table()
    }
    return {"edits": edits}


_FLAVOR = [
    Member("name", TEXT),
    Member("nodes_before", INTEGER),
    Member("nodes_after", INTEGER),
    Member("gpus_per_node", or_null(INTEGER), "gpus"),
    Member("listed_at", TEXT),
    Member("price_per_hour", or_null(plain(Node.number, float)), "price"),
    Member("currency", TEXT),
]
_FLAVORS = Form(
    lambda found: [write_members(_FLAVOR, it) for it in found],
    lambda node: tuple(Flavor(**read_members(_FLAVOR, it)) for it in node.items()),
)
_VERDICT = [
    Member("policy", TEXT),
    Member("level", TEXT),
    Member("name", TEXT),
    Member("path", Form(list, path_steps)),
    Member("message", TEXT),
    Member("file", TEXT),
    Member("line", INTEGER),
]
_VIOLATIONS = Form(
    lambda found: [write_members(_VERDICT, it) for it in found],
    lambda node: tuple(Verdict(**read_members(_VERDICT, it)) for it in node.items()),
)
_OWNERS = Form(dict, lambda node: {file: node[file].texts() for file in node.table()})


def _held_back(plan: Plan) -> list[str]:
    return [it.name for it in plan.changes if is_held_back(it) and not plan.overwrites]


_COUNTS = [Member(action.value, Form(methodcaller("count", action)), "") for action in Action]
_SUMMARY = object_of(dict, *_COUNTS, Member("no-op", INTEGER, "unchanged"))
SELECTION = object_of(
    dict,
    Member("target", _TEXTS, "selection.targeted"),
    Member("exclude", _TEXTS, "selection.excluded"),
    Member("left_out", INTEGER),
)
_PLAN = [
    Member("lineage", TEXT),
    Member("serial", INTEGER),
    Member("target", Form(Target.document, Target.of_document)),
    Member("environment", TEXT, default=""),
    Member("refreshed", FLAG, "is_refreshed", default=False),
    Member("create_missing", FLAG, "creates_missing", default=False),
    Member("needs_force", _TEXTS, default=()),
    Member("unset", _TEXTS, default=(), omits=True),
    Member("held_back", Form(_held_back), ""),
    Member("base", TEXT, default="", omits=True),
    Member("changes", Form(_changes, lambda node: {"changes": _read_changes(node)}), ""),
    Member("causes", Form(_causes, _edits), "", default={"edits": {}}),
    Member("flavors", _FLAVORS, default=(), omits=True),
    Member("owners", _OWNERS, default={}, omits=True),
    Member("violations", _VIOLATIONS, default=()),
    Member("summary", _SUMMARY, ""),
    Member("calls", Form(dict)),
    Member("selection", SELECTION, ""),
    Member("warnings", Form(lambda plan: [*map(str, plan.warnings), *plan.notices]), ""),
]
_SAVED = [Member("state_digest", TEXT), Member("salt", TEXT, default="", omits=True)]


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan; its shape is in docs/plan-format.md."""
    return {**_PLAN_HEAD, **write_members(_PLAN, plan)}


def plan_bytes(plan: Plan, state: State | None) -> bytes:
    """The content of a plan file for ``plan``, which was made against ``state``."""
    bound = replace(plan, state_digest=state.digest() if state else "")
    document = {**plan_document(bound), **write_members(_SAVED, bound)}
    return dumps({**document, "checksum": _checksum(document)}).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def read_plan(content: bytes, name: str) -> Plan:
    """The plan in the file ``name``. Raises MajobctlError if it is not a plan file, StalePlanError
    if it was changed."""
    document = plan_file_document(content, name)
    try:
        found = read_members([*_PLAN, *_SAVED], Node(document))
    except JsonError as error:
        raise _not_a_plan(name, str(error)) from error
    selection = Selection(found.pop("targeted"), found.pop("excluded"))
    return Plan(selection=selection, **found)


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
    """The text of a document. In ASCII, so that it is the same in every encoding and holds nothing
    that a terminal acts on."""
    return printable_json(json.dumps(document, indent=2)) + "\n"
