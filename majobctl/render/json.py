"""Plans and results as JSON documents. The same plan gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from majobctl import __version__
from majobctl.drift import Drift, Drifted
from majobctl.fields import FIELDS
from majobctl.plan import ACTIONS, Change, FieldChange, Plan
from majobctl.results import ApplyResult, Result

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
        "target": {"endpoint": plan.target.endpoint, "project_id": plan.target.project_id},
        "environment": plan.environment,
        "refreshed": plan.is_refreshed,
        "create_missing": plan.creates_missing,
        "changes": [_change(change, plan.is_refreshed) for change in plan.changes],
        "summary": {**summary, "no-op": plan.unchanged},
        "calls": dict(plan.calls),
        "selection": {
            "target": list(plan.selection.targeted),
            "exclude": list(plan.selection.excluded),
            "left_out": plan.left_out,
        },
        "warnings": [*map(str, plan.warnings), *plan.notices],
    }


def _change(change: Change, is_refreshed: bool) -> dict[str, Any]:
    source = change.source
    return {
        "name": change.name,
        "action": change.action.value,
        "source": {"file": source.file, "line": source.line} if source else None,
        "fields": [_field(field, is_refreshed) for field in change.fields],
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


def _field(field: FieldChange, is_refreshed: bool) -> dict[str, Any]:
    document = {
        "path": list(field.path),
        "action": field.action.value,
        "before": field.before,
        "after": field.after,
    }
    if is_refreshed:
        document |= {"live": field.live, "reason": field.reason.value if field.reason else None}
    return document


def result_document(result: ApplyResult) -> dict[str, Any]:
    """The document of an apply's result."""
    return {
        **HEAD,
        "complete": result.is_complete,
        "interrupted": result.is_interrupted,
        "serial": result.serial,
        "summary": dict(result.summary()),
        "problem": result.problem,
        "results": [_result(item) for item in result.results],
    }


def _result(item: Result) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": item.name,
        "action": item.action.value,
        "outcome": item.outcome.value,
        "seconds": round(item.seconds, 3),
    }
    if item.message:
        document |= {"error_code": item.code, "error_msg": item.message, "advice": item.advice}
    return document


def drift_document(drift: Drift, warnings: Iterable[str] = ()) -> dict[str, Any]:
    """The document of what has drifted; ``warnings`` are told before its own."""
    return {
        **HEAD,
        "lineage": drift.lineage,
        "serial": drift.serial,
        "target": {"endpoint": drift.target.endpoint, "project_id": drift.target.project_id},
        "changes": [_drifted(item) for item in drift.changes],
        "summary": {
            "changed": drift.changed,
            "missing": drift.missing,
            "unchanged": drift.unchanged,
        },
        "unmanaged": list(drift.unmanaged),
        "selection": {
            "target": list(drift.selection.targeted),
            "exclude": list(drift.selection.excluded),
            "left_out": drift.left_out,
        },
        "warnings": [*warnings, *drift.warnings],
    }


def _drifted(item: Drifted) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": item.name,
        "kind": "missing" if item.is_missing else "changed",
        "fields": [
            {
                "path": list(field.path),
                "action": field.action.value,
                "state": field.before,
                "live": field.after,
            }
            for field in item.fields
        ],
    }
    return {**document, "pending": True} if item.is_pending else document
