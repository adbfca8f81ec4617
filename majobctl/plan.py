"""The planner: desired against state, nothing else. No I/O, no clock.

deepdiff is used here alone, and only for the fields that differ.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from majobctl.endpoints import Target
from majobctl.errors import Problem
from majobctl.fields import FIELDS, Path
from majobctl.job_config import JobConfig, Source
from majobctl.sensitive import Masker, value_at
from majobctl.state import Entry, State

Params = Mapping[str, Any]


class Action(enum.Enum):
    """What is to be done with one job config, or one of its fields."""

    ADD = "add"
    UPDATE = "update"
    RESEND = "resend"
    FORGET = "forget"
    REMOVE = "remove"
    """Of a field only."""

    @property
    def sign(self) -> str:
        return {"add": "+", "update": "~", "resend": "?", "forget": ".", "remove": "-"}[self.value]


ACTIONS = (Action.ADD, Action.UPDATE, Action.RESEND, Action.FORGET)
CALLING = (Action.ADD, Action.UPDATE, Action.RESEND)


@dataclass(frozen=True, slots=True)
class FieldChange:
    """``path`` is a key, or ``hyperparameters`` and a label; None stands for a missing value."""

    path: tuple[str, ...]
    action: Action
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one job config. ``before`` is what the state says, ``after`` what is desired,
    both with their sensitive values masked; ``cleared`` are the keys to be sent as blank, since
    they were sent before and are gone now. ``references`` are the sensitive places of ``after``
    whose values come from the environment, each with the text that names the variables."""

    name: str
    action: Action
    source: Source | None
    before: Params | None
    after: Params | None
    fields: tuple[FieldChange, ...]
    cleared: tuple[str, ...] = ()
    references: Mapping[Path, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which names a plan looks at, as glob patterns: those that match ``targeted`` (all where it
    is empty) and none of ``excluded``."""

    targeted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.targeted or self.excluded)

    def covers(self, name: str) -> bool:
        wanted = not self.targeted or any(fnmatchcase(name, glob) for glob in self.targeted)
        return wanted and not any(fnmatchcase(name, glob) for glob in self.excluded)


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in name order, and what they were planned against.

    ``lineage`` is "" and ``serial`` 0 where there is no state yet; ``salt`` is then the one that
    the new state will have. ``left_out`` counts the job configs that the selection passed over.
    """

    target: Target
    lineage: str
    serial: int
    changes: tuple[Change, ...]
    unchanged: int
    selection: Selection = Selection()
    left_out: int = 0
    warnings: tuple[Problem, ...] = ()
    salt: str = ""
    state_digest: str = ""
    """Of a saved plan: the hash of the state's entries."""

    @property
    def total(self) -> int:
        """The number of job configs looked at, desired or in the state."""
        return len(self.changes) + self.unchanged

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)

    @property
    def notice(self) -> str:
        """What a reviewer must not overlook: that most of the state is forgotten; else ""."""
        forgotten = self.count(Action.FORGET)
        in_state = sum(change.before is not None for change in self.changes) + self.unchanged
        if forgotten * 2 <= in_state:
            return ""
        return f"This plan forgets {forgotten} of the {in_state} job configs in the state."

    @property
    def calls(self) -> int:
        """The number of update_job_configs calls."""
        return sum(change.action in CALLING for change in self.changes)


def make_plan(
    desired: Mapping[str, JobConfig],
    state: State | None,
    target: Target,
    *,
    selection: Selection = Selection(),
    warnings: Iterable[Problem] = (),
    salt: str = "",
) -> Plan:
    """The changes that lead from ``state`` to ``desired``, for the names that are selected.

    ``salt`` keys the hashes of sensitive values where there is no state yet.
    """
    known: Mapping[str, Entry] = state.job_configs if state else {}
    masker = state.masker() if state else Masker(salt)
    names = sorted(desired.keys() | known.keys())
    selected = [name for name in names if selection.covers(name)] if selection else names
    changes = []
    for name in selected:
        config = desired.get(name)
        change = _change(config, known.get(name), masker) if config else _forgotten(name, known)
        if change is not None:
            changes.append(change)
    return Plan(
        target,
        state.lineage if state else "",
        state.serial if state else 0,
        tuple(changes),
        unchanged=len(selected) - len(changes),
        selection=selection,
        left_out=len(names) - len(selected),
        warnings=tuple(warnings),
        salt="" if state else salt,
    )


def _forgotten(name: str, known: Mapping[str, Entry]) -> Change:
    return Change(name, Action.FORGET, None, known[name].params, None, ())


def _change(desired: JobConfig, entry: Entry | None, masker: Masker) -> Change | None:
    places = desired.sensitive
    after = masker.masked(desired.params, places) if places else desired.params
    if entry is not None and entry.params == after and not entry.pending:
        return None
    before = entry.params if entry else {}
    sent = {**before, **(entry.attempted or {})} if entry else {}
    # What is sensitive now may stand in the state as it was: it is not shown either.
    shown_before = masker.masked(before, places) if places else before
    return Change(
        desired.name,
        Action.ADD if entry is None else Action.RESEND if entry.pending else Action.UPDATE,
        desired.source,
        shown_before if entry else None,
        after,
        _field_changes(before, after, shown_before),
        _cleared(sent, after),
        {place: text for place, text in places.items() if text is not None},
    )


def _cleared(before: Params, after: Params) -> tuple[str, ...]:
    return tuple(key for key in FIELDS if key in before and key not in after)


def _field_changes(before: Params, after: Params, shown_before: Params) -> tuple[FieldChange, ...]:
    """The changes of single values, in the documented order of keys, labels by name."""
    known = [key for key in FIELDS if key in before or key in after]
    foreign = sorted(key for key in before if key not in FIELDS)
    differing = [key for key in known + foreign if before.get(key) != after.get(key)]
    if not differing:
        return ()
    before = {key: before[key] for key in differing if key in before}
    after = {key: after[key] for key in differing if key in after}
    paths = _differing_paths(before, after) if before else _all_paths(after)
    ordered = sorted(paths, key=lambda path: (differing.index(path[0]), path[1:]))
    return tuple(_field_change(path, shown_before, after) for path in ordered)


def _differing_paths(before: Params, after: Params) -> set[tuple[str, ...]]:
    from deepdiff import DeepDiff

    # By default deepdiff passes over keys that begin with two underscores, as labels may, and
    # tells of tables that share few keys as a whole.
    diff = DeepDiff(
        _opened(before, after),
        _opened(after, before),
        view="tree",
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
    )
    labelled = all(isinstance(side.get("hyperparameters", {}), dict) for side in (before, after))
    paths = (level.path(output_format="list") for levels in diff.values() for level in levels)
    # Only hyperparameters are told one by one; a list is one value.
    return {
        tuple(path[:2]) if labelled and path[0] == "hyperparameters" else (path[0],)
        for path in paths
    }


def _opened(params: Params, other: Params) -> dict[str, Any]:
    """``params`` with empty hyperparameters where only the other side has some."""
    added: dict[str, Any] = {"hyperparameters": {}} if "hyperparameters" in other else {}
    return {**added, **params}


def _all_paths(params: Params) -> Iterator[tuple[str, ...]]:
    for key, value in params.items():
        if key == "hyperparameters":
            for label in value:
                yield (key, label)
        else:
            yield (key,)


def _field_change(path: tuple[str, ...], before: Params, after: Params) -> FieldChange:
    old, new = value_at(before, path), value_at(after, path)
    action = Action.ADD if old is None else Action.REMOVE if new is None else Action.UPDATE
    return FieldChange(path, action, old, new)
