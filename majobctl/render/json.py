"""Drift and results as JSON documents; plan/document.py writes and reads a plan's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from majobctl.plan.document import HEAD, SELECTION
from majobctl.plan.drift import Drift, DriftedConfig
from majobctl.plan.results import ApplyResult, ChangeResult
from majobctl.render.history import followed
from majobctl.render.results import result_counts

if TYPE_CHECKING:
    from majobctl.state.event import Event
    from majobctl.state.history import Blame


def result_document(result: ApplyResult) -> dict[str, Any]:
    return {
        **HEAD,
        "complete": result.is_complete,
        "interrupted": result.is_interrupted,
        "serial": result.serial,
        "summary": {key.replace(" ", "_"): n for key, n in result_counts(result).items()},
        "problem": result.problem,
        "results": [_result(item) for item in result.results],
    }


def _result(item: ChangeResult) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": item.name,
        "action": item.action.value,
        "outcome": item.status.value,
        "seconds": round(item.seconds, 3),
    }
    if item.message:
        document |= {"error_code": item.code, "error_msg": item.message, "advice": item.advice}
        document |= {"http_status": item.http_status or None, "request_id": item.request_id}
    if item.foreign:
        keys = ("before", "live", "after")
        document["fields"] = [
            {"path": list(field.path), **{key: getattr(field, key) for key in keys}}
            for field in item.foreign
        ]
    if item.unknown_fields:
        document["unknown_fields"] = list(item.unknown_fields)
    return document


def drift_document(drift: Drift) -> dict[str, Any]:
    return {
        **HEAD,
        "lineage": drift.lineage,
        "serial": drift.serial,
        "target": drift.target.document(),
        "changes": [_drifted(item) for item in drift.changes],
        "summary": {
            **{key: getattr(drift, key) for key in ("changed", "missing", "unchanged")},
            **({"unmanaged": drift.counted_unmanaged} if drift.counted_unmanaged else {}),
        },
        "unmanaged": list(drift.unmanaged),
        "selection": SELECTION.write(drift),
        "warnings": list(drift.warnings),
    }


def _drifted(item: DriftedConfig) -> dict[str, Any]:
    fields = [
        {"path": list(it.path), "action": it.action.value, "state": it.before, "live": it.after}
        for it in item.fields
    ]
    kind = "missing" if item.is_missing else "unmanaged" if item.is_unmanaged else "changed"
    pending = {"pending": True} if item.is_pending else {}
    return {"name": item.name, "kind": kind, "fields": fields, **pending}


def history_document(events: Iterable[Event], name: str, known_since: int | None) -> dict[str, Any]:
    records = [*map(asdict, followed(events, name))]
    return {**HEAD, "known_since": known_since, "more": known_since is None, "records": records}


def blame_document(name: str, serial: int, found: Sequence[Blame]) -> dict[str, Any]:
    fields = [
        replace(it, event=it.event and replace(it.event, changes={}, held_back={})) for it in found
    ]
    return {**HEAD, "name": name, "serial": serial, "fields": [*map(asdict, fields)]}
