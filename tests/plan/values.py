"""Short ways to write the values that plans are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.plan.change import Action, FieldAction, FieldChange
from majobctl.plan.results import ChangeResult, ChangeStatus
from majobctl.state.document import Entry, State
from majobctl.target import Target

TARGET = Target("https://modelarts.example.com", "0123456789abcdef")
PLAIN = {"train_instance_type": "gpu", "train_instance_count": 1}
AT = "2026-11-23T12:00:00Z"

Params = Mapping[str, Any]
Leaves = dict[tuple[str, ...], Any]


def desired_of(**job_configs: Params) -> dict[str, JobConfig]:
    return {name: JobConfig(name, params) for name, params in job_configs.items()}


def entry_of(params: Params, **more: Any) -> Entry:
    return Entry(params=params, applied_at=AT, **more)


def unsure(params: Params, attempted: Params | None) -> Entry:
    """An entry whose last call has no known outcome."""
    return entry_of(params, pending=True, attempted=attempted)


def state_of(**job_configs: Params | Entry) -> State:
    entries = {
        name: item if isinstance(item, Entry) else entry_of(item)
        for name, item in job_configs.items()
    }
    return State(lineage="a-lineage", serial=7, target=TARGET, job_configs=entries, salt="a-salt")


def state_after(desired: Mapping[str, JobConfig]) -> State:
    return state_of(**{name: config.params for name, config in desired.items()})


def live_of(**configs: Params | None) -> dict[str, LiveConfig | None]:
    return {
        name: None if params is None else LiveConfig(name, params)
        for name, params in configs.items()
    }


def field_change(
    path: str | tuple[str, ...],
    before: Any,
    after: Any,
    *,
    action: FieldAction | None = None,
    **more: Any,
) -> FieldChange:
    """A field change; its action follows from its two values unless it is given."""
    found = FieldAction.REMOVE if after is None else FieldAction.UPDATE
    if before is None:
        found = FieldAction.ADD
    place = tuple(path.split(".")) if isinstance(path, str) else path
    return FieldChange(path=place, action=action or found, before=before, after=after, **more)


def result_of(
    name: str, action: Action, status: ChangeStatus, seconds: float = 0.1, **more: Any
) -> ChangeResult:
    return ChangeResult(name=name, action=action, status=status, seconds=seconds, **more)


def leaves(params: Params) -> Leaves:
    """Each value by its place; an independent reading of what a place is."""
    found: Leaves = {}
    for key, value in params.items():
        if key == "hyperparameters":
            found |= {(key, label): text for label, text in value.items()}
        else:
            found[(key,)] = value
    return found
