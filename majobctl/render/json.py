"""Plans and results as JSON documents. The same plan gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from majobctl import __version__
from majobctl.apply import ApplyResult, Result
from majobctl.fields import FIELDS
from majobctl.plan import ACTIONS, Change, FieldChange, Plan

FORMAT_VERSION = "1.0"


def dumps(document: Any) -> str:
    """The text of a document, two spaces deep, with a newline at the end.

    In ASCII, so that it is the same in every encoding and holds nothing that a terminal acts on.
    """
    return json.dumps(document, indent=2) + "\n"


def plan_document(plan: Plan) -> dict[str, Any]:
    """The document of a plan; its shape is in docs/plan-format.md."""
    summary = {action.value: plan.count(action) for action in ACTIONS}
    return {
        "format_version": FORMAT_VERSION,
        "majobctl_version": __version__,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "target": {"endpoint": plan.target.endpoint, "project_id": plan.target.project_id},
        "changes": [_change(change) for change in plan.changes],
        "summary": {**summary, "create": 0, "delete": 0, "no-op": plan.unchanged},
        "calls": {
            "update_job_configs": plan.calls,
            "create_job_configs": 0,
            "delete_job_configs": 0,
        },
        "selection": {
            "target": list(plan.selection.targeted),
            "exclude": list(plan.selection.excluded),
            "left_out": plan.left_out,
        },
        "warnings": [*map(str, plan.warnings), *([plan.notice] if plan.notice else [])],
    }


def _change(change: Change) -> dict[str, Any]:
    source = change.source
    return {
        "name": change.name,
        "action": change.action.value,
        "source": {"file": source.file, "line": source.line} if source else None,
        "fields": [_field(field) for field in change.fields],
        "before": _ordered(change.before),
        "after": _ordered(change.after),
        "cleared": list(change.cleared),
        "references": [
            {"path": list(place), "text": text} for place, text in change.references.items()
        ],
    }


def _ordered(params: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """``params`` in the documented order of keys; the state file sorts them by name."""
    if params is None:
        return None
    known = {key: params[key] for key in FIELDS if key in params}
    return {**known, **params}


def _field(field: FieldChange) -> dict[str, Any]:
    return {
        "path": list(field.path),
        "action": field.action.value,
        "before": field.before,
        "after": field.after,
    }


def result_document(result: ApplyResult) -> dict[str, Any]:
    """The document of an apply's result."""
    return {
        "format_version": FORMAT_VERSION,
        "majobctl_version": __version__,
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
