"""Which values of a job config differ between two sides, or three. No I/O, no state, no service.

deepdiff is used here alone, and only for the keys that differ.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.fields import FIELDS
from majobctl.sensitive import is_masked, value_at

Params = Mapping[str, Any]
Place = tuple[str, ...]
"""A key, or ``hyperparameters`` and a label."""


class Action(enum.Enum):
    """What is to be done with one job config, or one of its fields."""

    ADD = "add"
    UPDATE = "update"
    RESEND = "resend"
    FORGET = "forget"
    CREATE = "create"
    DELETE = "delete"
    RECORD = "record"
    """No call is needed: the service has it already, and the state takes that in."""
    REMOVE = "remove"
    """Of a field only."""

    @property
    def sign(self) -> str:
        return _SIGNS[self]


_SIGNS = {
    Action.ADD: "+",
    Action.UPDATE: "~",
    Action.RESEND: "?",
    Action.FORGET: ".",
    Action.CREATE: "+",
    Action.DELETE: "-",
    Action.RECORD: "=",
    Action.REMOVE: "-",
}


class Reason(enum.Enum):
    """Why a field is in a plan that was made with the service's own values at hand."""

    EDITED = "edited here"
    CHANGED = "changed there"
    BOTH = "edited here, changed there"
    SAME = "the same here and there"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """``before`` is the state's value, ``after`` the desired one; None stands for a missing one.

    ``live`` is the service's and ``reason`` says who changed it, where the service was read; there
    is no reason where the state does not know the job config.
    """

    path: Place
    action: Action
    before: Any
    after: Any
    live: Any = None
    reason: Reason | None = None


def field_changes(
    before: Params, after: Params, shown_before: Params | None = None
) -> tuple[FieldChange, ...]:
    """The changes that lead from ``before`` to ``after``, in the documented order of keys, labels
    by name. Values are shown as in ``shown_before``, which is ``before`` with more of it masked."""
    shown = before if shown_before is None else shown_before
    return tuple(
        _field_change(path, value_at(shown, path), value_at(after, path))
        for path in _in_order(_differing_places(before, after), before, after)
    )


def _field_change(path: Place, old: Any, new: Any) -> FieldChange:
    return FieldChange(path, _action(old, new), old, new)


def _action(old: Any, new: Any) -> Action:
    return Action.ADD if old is None else Action.REMOVE if new is None else Action.UPDATE


def three_way(
    before: Params | None, live: Params, after: Params, ignored: Collection[Place] = ()
) -> tuple[FieldChange, ...]:
    """The fields whose value in the state, in the service or in the TOML is another.

    ``before`` is None where the state does not say. What was only changed in the service does not
    count at the ``ignored`` places.
    """
    places = _differing_places(live, after)
    if before is not None:
        places |= _differing_places(before, after)
    found = []
    for path in _in_order(places, before or {}, live, after):
        is_ignored = path in ignored or path[:1] in ignored
        sides = [value_at(side, path) for side in (before or {}, live, after)]
        reason = None if before is None else _reason(*sides)
        if is_ignored and reason in (None, Reason.CHANGED):
            continue
        old, now, new = sides
        action = Action.RECORD if now == new else _action(now, new)
        found.append(FieldChange(path, action, old, new, now, reason))
    return tuple(found)


def _reason(before: Any, live: Any, after: Any) -> Reason:
    if live == after:
        return Reason.SAME
    if live == before:
        return Reason.EDITED
    return Reason.CHANGED if before == after else Reason.BOTH


def _in_order(places: Iterable[Place], *sides: Params) -> list[Place]:
    keys = list(FIELDS)
    keys += sorted({key for side in sides for key in side if key not in FIELDS})
    return sorted(places, key=lambda path: (keys.index(path[0]), path[1:]))


def _differing_places(before: Params, after: Params) -> set[Place]:
    differing = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    if not differing:
        return set()
    before = {key: before[key] for key in differing if key in before}
    after = {key: after[key] for key in differing if key in after}
    return _deep_places(before, after) if before else set(_all_places(after))


def _deep_places(before: Params, after: Params) -> set[Place]:
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
    labelled = all(_is_labelled(side.get("hyperparameters", {})) for side in (before, after))
    paths = (level.path(output_format="list") for levels in diff.values() for level in levels)
    # Only hyperparameters are told one by one; a list is one value.
    return {
        tuple(path[:2]) if labelled and path[0] == "hyperparameters" else (path[0],)
        for path in paths
    }


def _is_labelled(value: object) -> bool:
    return isinstance(value, dict) and not is_masked(value)


def _opened(params: Params, other: Params) -> dict[str, Any]:
    """``params`` with empty hyperparameters where only the other side has some."""
    added: dict[str, Any] = {"hyperparameters": {}} if "hyperparameters" in other else {}
    return {**added, **params}


def _all_places(params: Params) -> Iterator[Place]:
    for key, value in params.items():
        if key == "hyperparameters" and _is_labelled(value):
            for label in value:
                yield (key, label)
        else:
            yield (key,)
