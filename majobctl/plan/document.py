"""A saved plan: the plan's JSON document with a checksum, and the way back to a Plan.

It is bound to the state and the target that it was made against. It holds no secret: what stands
in place of one is checked against the value that the environment or the TOML gives at apply.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl import __version__
from majobctl.errors import MajobctlError, StalePlanError
from majobctl.job_config.fields import FIELDS
from majobctl.plan.change import ACTIONS, Action, Change, FieldChange, Reason, Renamed
from majobctl.plan.plan import Plan, Selection
from majobctl.state.document import State
from majobctl.target import Target
from majobctl.text import printable, quoted


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """Where a job config stood when the plan was made."""

    file: str
    line: int


def plan_bytes(plan: Plan, state: State | None) -> bytes:
    """The content of a plan file for ``plan``, which was made against ``state``."""
    document = {**plan_document(plan), "state_digest": state.digest() if state else ""}
    if plan.salt:
        document["salt"] = plan.salt
    return dumps({**document, "checksum": _checksum(document)}).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def read_plan(content: bytes, name: str) -> Plan:
    """The plan in ``content``, read from the file ``name``.

    Raises MajobctlError for what is no plan file, StalePlanError for one that was changed.
    """
    document = plan_file_document(content, name)
    try:
        return _plan(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_plan(name, f"{type(error).__name__} {error}") from error


def plan_file_document(content: bytes, name: str) -> dict[str, Any]:
    """The document in ``content``, its format and checksum checked; raises as ``read_plan``."""
    try:
        document = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _no_plan(name, f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _no_plan(name, f"not JSON: {error.msg} at {place}") from error
    except (RecursionError, ValueError) as error:
        raise _no_plan(name, f"not JSON: {error}") from error
    if not isinstance(document, dict) or "checksum" not in document:
        raise _no_plan(name, "it has no checksum")
    version = str(document.get("format_version"))
    if version.partition(".")[0] != "1":
        raise MajobctlError(
            f"{name} has the format {quoted(version)}, which this majobctl does not know; make the"
            " plan again"
        )
    stated = document.pop("checksum")
    if stated != _checksum(document):
        raise StalePlanError(
            f"{name} was changed after it was made: its checksum does not fit\nmake the plan again"
        )
    return {**document, "checksum": stated}


def _no_plan(name: str, reason: str) -> MajobctlError:
    return MajobctlError(
        f"{name} is no plan file: {printable(reason)}\n`majobctl plan --out FILE` makes one"
    )


def _plan(document: Mapping[str, Any]) -> Plan:
    selection = document["selection"]
    changes = tuple(_change(item) for item in document["changes"])
    if len({change.name for change in changes}) < len(changes):
        raise ValueError("a job config is there twice")
    return Plan(
        Target(_text(document["target"]["endpoint"]), _text(document["target"]["project_id"])),
        _text(document["lineage"]),
        _number(document["serial"]),
        changes,
        unchanged=_number(document["summary"]["no-op"]),
        selection=Selection(_texts(selection["target"]), _texts(selection["exclude"])),
        left_out=_number(selection["left_out"]),
        salt=_text(document.get("salt", "")),
        state_digest=_text(document["state_digest"]),
        is_refreshed=_flag(document.get("refreshed", False)),
        environment=_text(document.get("environment", "")),
        creates_missing=_flag(document.get("create_missing", False)),
    )


def _change(item: Mapping[str, Any]) -> Change:
    action = Action(item["action"])
    source = item["source"]
    after, before = item["after"], item["before"]
    leaves = action in (Action.FORGET, Action.DELETE)
    if action not in ACTIONS or leaves != (after is None):
        raise ValueError("an action that does not fit its job config")
    if not leaves and not set(after) <= set(FIELDS):
        raise ValueError("unknown keys")
    cleared = _texts(item["cleared"])
    if not set(cleared) <= set(FIELDS):
        raise ValueError("unknown keys to clear")
    return Change(
        _text(item["name"]),
        action,
        PlannedSource(_text(source["file"]), _number(source["line"])) if source else None,
        None if before is None else dict(before),
        None if after is None else dict(after),
        tuple(_field(field) for field in item["fields"]),
        cleared,
        {_texts(reference["path"]): reference["text"] for reference in item["references"]},
        _flag(item.get("prevent_delete", False)),
        _text(item.get("old_name", "")),
        Renamed(item["renamed"]) if "renamed" in item else None,
        _text(item.get("live_digest", "")),
        _flag(item.get("missing", False)),
    )


def _field(item: Mapping[str, Any]) -> FieldChange:
    action, reason = Action(item["action"]), item.get("reason")
    sides = (item["before"], item["after"], item.get("live"))
    return FieldChange(_texts(item["path"]), action, *sides, Reason(reason) if reason else None)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} in place of a boolean")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a string")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{type(values).__name__} in place of an array")
    return tuple(_text(value) for value in values)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} in place of an integer")
    return value


HEAD = {"format_version": "1.0", "majobctl_version": __version__}
"""What every document begins with."""


def dumps(document: Any) -> str:
    """The text of a document, two spaces deep, with a newline at the end.

    In ASCII, so that it is the same in every encoding and holds nothing that a terminal acts on.
    """
    return json.dumps(document, indent=2) + "\n"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan; its shape is in docs/plan-format.md."""
    summary = {action.value: plan.count(action) for action in ACTIONS}
    return {
        **HEAD,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "target": plan.target.document(),
        "environment": plan.environment,
        "refreshed": plan.is_refreshed,
        "create_missing": plan.creates_missing,
        "changes": [_change_document(change, plan.is_refreshed) for change in plan.changes],
        "summary": {**summary, "no-op": plan.unchanged},
        "calls": dict(plan.calls),
        "selection": {
            "target": list(plan.selection.targeted),
            "exclude": list(plan.selection.excluded),
            "left_out": plan.left_out,
        },
        "warnings": [*map(str, plan.warnings), *plan.notices],
    }


def _change_document(change: Change, is_refreshed: bool) -> dict[str, Any]:
    source = change.source
    return {
        "name": change.name,
        "action": change.action.value,
        "source": {"file": source.file, "line": source.line} if source else None,
        "fields": [_field_document(field, is_refreshed) for field in change.fields],
        "before": _ordered(change.before),
        "after": _ordered(change.after),
        "cleared": list(change.cleared),
        "references": [
            {"path": list(place), "text": text} for place, text in change.references.items()
        ],
        **dict(_remarks(change)),
    }


def _remarks(change: Change) -> Iterator[tuple[str, Any]]:
    """What is told of a change only where there is something to tell."""
    if change.prevent_delete:
        yield "prevent_delete", True
    if change.renamed:
        yield "old_name", change.old_name
        yield "renamed", change.renamed.value
    if change.live_digest:
        yield "live_digest", change.live_digest
    if change.is_missing:
        yield "missing", True


def _ordered(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``params`` in the documented order of keys; the state file sorts them by name."""
    if params is None:
        return None
    known = {key: params[key] for key in FIELDS if key in params}
    return {**known, **params}


def _field_document(field: FieldChange, is_refreshed: bool) -> dict[str, Any]:
    document = {
        "path": list(field.path),
        "action": field.action.value,
        "before": field.before,
        "after": field.after,
    }
    if is_refreshed:
        document |= {"live": field.live, "reason": field.reason.value if field.reason else None}
    return document
