"""Which values of a job config differ between two sides, or three; with deepdiff inside arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from majobctl.job_config.compare_policy import Place
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import is_masked, value_at
from majobctl.plan.change import FieldAction, FieldChange, Params, Reason


def field_changes(
    before: Params, after: Params, shown_before: Params | None = None
) -> tuple[FieldChange, ...]:
    """The changes that lead from ``before`` to ``after``, in the documented order of keys, labels
    by name. Values are shown as in ``shown_before``, which is ``before`` with more of it masked."""
    shown = before if shown_before is None else shown_before
    places = _in_order(differing_places(before, after), before, after)
    return tuple(_change(path, value_at(shown, path), value_at(after, path)) for path in places)


def _change(path: Place, old: Any, new: Any) -> FieldChange:
    return FieldChange(path=path, action=action_between(old, new), before=old, after=new)


def action_between(old: Any, new: Any) -> FieldAction:
    if old is None:
        return FieldAction.ADD
    return FieldAction.REMOVE if new is None else FieldAction.UPDATE


def three_way(
    before: Params | None,
    live: Params,
    after: Params,
    ignored: Collection[Place] = (),
    attempted: Sequence[Params] = (),
) -> tuple[FieldChange, ...]:
    """The fields whose values in the state, in the service and in the TOML are not all the same.

    Live is not the state: somebody changed it in the service, and the apply would undo that. Live
    is the state, but the TOML is not: this is the edit that the apply is for. Live is the TOML
    already: nothing is sent, and only the state must catch up.

    ``before`` is None if the state does not know. At the ``ignored`` places, what was only changed
    in the service does not count; an edit of the TOML does. ``attempted`` is what calls without
    a known outcome sent after ``before``: where the service has that, nobody else changed it."""
    places = differing_places(live, after)
    if before is not None:
        places |= differing_places(before, after)
    found = []
    sides = (before or {}, live, after)
    for path in _in_order(places, *sides):
        old, now, new = (value_at(side, path) for side in sides)
        is_ours = any(now == value_at(side, path) for side in attempted)
        is_known = before is not None or is_ours
        reason = _reason(now if is_ours else old, now, new) if is_known else None
        is_ignored = path in ignored or path[:1] in ignored
        if is_ignored and reason in (None, Reason.CHANGED):
            continue
        action = FieldAction.RECORD if now == new else action_between(now, new)
        found.append(
            FieldChange(path=path, action=action, before=old, after=new, live=now, reason=reason)
        )
    return tuple(found)


def _reason(before: Any, live: Any, after: Any) -> Reason:
    if live == after:
        return Reason.SAME
    if live == before:
        return Reason.EDITED
    return Reason.CHANGED if before == after else Reason.BOTH


def removed_from_service(
    before: Params, live: Params, attempted: Sequence[Params] = ()
) -> Iterator[FieldChange]:
    """All that a deletion takes away, and whether somebody else set it in the service;
    ``attempted`` is what calls without a known outcome sent after ``before``."""
    for item in three_way(before, live, {}):
        ours = [value_at(side, item.path) for side in (before, *attempted)]
        reason = Reason.EDITED if item.live in ours else Reason.CHANGED
        yield replace(item, action=FieldAction.REMOVE, reason=reason)


def _in_order(places: Collection[Place], *sides: Params) -> Collection[Place]:
    if len(places) < 2:
        return places
    keys = list(FIELDS)
    keys += sorted({key for side in sides for key in side if key not in FIELDS})
    return sorted(places, key=lambda path: (keys.index(path[0]), path[1:]))


def differing_places(before: Params, after: Params) -> set[Place]:
    places: set[Place] = set()
    for key in {**before, **after}:
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        one, other = ({} if side is None else side for side in (old, new))
        # Only hyperparameters are compared one by one; an array is one value.
        if key == "hyperparameters" and _is_table(one) and _is_table(other):
            places |= {(key, it) for it in {**one, **other} if one.get(it) != other.get(it)}
        else:
            places.add((key,))
    return places


def _is_table(value: object) -> bool:
    return isinstance(value, dict) and not is_masked(value)


def items_of(field: FieldChange) -> Iterator[FieldChange]:
    """What ``field`` changes inside an array of flat tables, item by item, with paths such as
    ``data_source[1].data_url``; ``field`` itself for any other values."""
    sides = before, live, after = [
        [] if side is None else side for side in (field.before, field.live, field.after)
    ]
    found: set[tuple[Any, ...]] = set()
    if all(map(_are_flat_tables, sides)):
        if field.reason not in (Reason.CHANGED, Reason.SAME):
            found |= _differing_items([] if field.replaced is None else field.replaced, after)
        if field.reason not in (None, Reason.EDITED):
            found |= _differing_items(before, live)
    if not found:
        yield field
    for index, *keys in sorted(found):
        if keys and (index,) in found:
            continue
        old, now, new = (_item_at(side, index, keys) for side in sides)
        change = _change((*field.path[:-1], f"{field.path[-1]}[{index}]", *keys), old, new)
        if field.reason is not None or field.live is not None:
            reason = _reason(old, now, new) if field.reason is Reason.BOTH else field.reason
            action = FieldAction.RECORD if now == new else action_between(now, new)
            change = replace(change, action=action, live=now, reason=reason)
        yield change


def each_item(fields: Iterable[FieldChange]) -> Iterator[FieldChange]:
    """``items_of`` each of ``fields``."""
    return chain.from_iterable(map(items_of, fields))


def _item_at(side: Sequence[Params], index: int, keys: Sequence[str]) -> Any:
    item = side[index] if index < len(side) else None
    return item.get(keys[0]) if item is not None and keys else item


def _differing_items(old: Sequence[Params], new: Sequence[Params]) -> set[tuple[Any, ...]]:
    """Where two arrays differ: an index, or an index and a key."""
    if old == new:
        return set()
    from deepdiff import DeepDiff

    # By default deepdiff skips keys that begin with two underscores, reports tables that share few
    # keys as one value, and may pair items of different positions.
    diff = DeepDiff(
        *(old, new),
        view="tree",
        ignore_private_variables=False,
        threshold_to_diff_deeper=0,
        zip_ordered_iterables=True,
    )
    return {tuple(item.path(output_format="list")) for kind in diff.values() for item in kind}


def _are_flat_tables(value: object) -> bool:
    return isinstance(value, list) and all(
        _is_table(table) and not any(isinstance(item, (dict, list)) for item in table.values())
        for table in value
    )
