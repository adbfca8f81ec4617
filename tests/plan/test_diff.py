"""What differs between two sides, or three, and why."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.plan.change import Action, FieldAction, Reason
from majobctl.plan.diff import field_changes, items_of, three_way
from majobctl.plan.guard import field_sentence
from tests.plan import plan_strategies as strategies
from tests.plan.values import field_change, leaves

Params = Mapping[str, Any]
Leaves = dict[tuple[str, ...], Any]

near = st.lists(strategies.params, min_size=1, max_size=2).flatmap(
    lambda found: st.tuples(*[st.sampled_from(found) for _ in range(3)])
)
"""Three sides, two or three of which are often the same."""


def expected(
    before: Params | None, live: Params, after: Params
) -> dict[tuple[str, ...], Reason | None]:
    old, now, new = leaves(before or {}), leaves(live), leaves(after)
    found: dict[tuple[str, ...], Reason | None] = {}
    for place in old.keys() | now.keys() | new.keys():
        sides = old.get(place), now.get(place), new.get(place)
        if before is None:
            if sides[1] != sides[2]:
                found[place] = None
        elif len({repr(side) for side in sides}) > 1:
            found[place] = {
                (True, True): Reason.BOTH,
                (True, False): Reason.EDITED,
                (False, True): Reason.CHANGED,
            }[sides[0] != sides[2], sides[0] != sides[1]]
            if sides[1] == sides[2]:
                found[place] = Reason.SAME
    return found


@given(near | st.tuples(strategies.params, strategies.params, strategies.params))
def test_each_place_that_differs_anywhere_is_shown_once_with_who_changed_it(
    sides: tuple[Params, Params, Params],
) -> None:
    before, live, after = sides
    found = three_way(before, live, after)
    assert {item.path: item.reason for item in found} == expected(before, live, after)
    assert len({item.path for item in found}) == len(found)
    for item in found:
        values = [leaves(side).get(item.path) for side in (before, live, after)]
        assert [item.before, item.live, item.after] == values
        is_same = item.live == item.after
        assert (item.action is FieldAction.RECORD) == is_same == (item.reason is Reason.SAME)


@given(strategies.params, strategies.params)
def test_where_the_state_does_not_say_the_service_counts_alone(live: Params, after: Params) -> None:
    found = three_way(None, live, after)
    assert {item.path: item.reason for item in found} == expected(None, live, after)
    assert all(item.before is None and item.action is not FieldAction.RECORD for item in found)
    two = [(item.path, item.action) for item in field_changes(live, after)]
    assert [(item.path, item.action) for item in found] == two


@given(near, st.data())
def test_what_is_ignored_hides_what_was_changed_there_and_nothing_else(
    sides: tuple[Params, Params, Params], data: st.DataObject
) -> None:
    all_of_them = three_way(*sides)
    places = [item.path for item in all_of_them] or [("config_desc",)]
    ignored = data.draw(st.lists(st.sampled_from(places), max_size=3))
    found = three_way(*sides, ignored)
    hidden = [item for item in all_of_them if item not in found]
    assert all(item.path in ignored and item.reason is Reason.CHANGED for item in hidden)
    assert not [item for item in found if item.path in ignored and item.reason is Reason.CHANGED]


def test_a_key_covers_all_labels_below_it() -> None:
    one, two = {"hyperparameters": {"a": "1"}}, {"hyperparameters": {"a": "2", "b": "3"}}
    assert three_way(one, two, one, [("hyperparameters",)]) == ()
    (left,) = three_way(one, two, one, [("hyperparameters", "a")])
    assert left.path == ("hyperparameters", "b")
    assert three_way(None, two, one, [("hyperparameters",)]) == ()


@given(strategies.params, strategies.params, strategies.params)
def test_fields_come_in_one_order_whatever_they_come_from(
    before: Params, live: Params, after: Params
) -> None:
    keys = [item.path for item in three_way(before, live, after)]
    turned = [dict(reversed(list(side.items()))) for side in (before, live, after)]
    assert [item.path for item in three_way(turned[0], turned[1], turned[2])] == keys
    subset = [item.path for item in field_changes(before, after)]
    assert subset == [path for path in keys if path in subset]


@given(strategies.params)
def test_three_sides_that_are_equal_have_no_difference(params: Params) -> None:
    assert three_way(params, params, params) == three_way(None, params, params) == ()
    assert field_changes(params, params) == ()


@pytest.mark.parametrize(
    ("before", "live", "after"),
    [
        ({"hyperparameters": ["x"]}, {"hyperparameters": {"a": "1"}}, {}),
        ({"hyperparameters": 5}, {}, {"hyperparameters": {"a": "1"}}),
        ({"from_the_future": {"a": [1]}}, {"from_the_future": {"a": [2]}}, {}),
        ({"hyperparameters": {"$sensitive": "x"}}, {"hyperparameters": {"a": "1"}}, {}),
        ({}, {"train_instance_count": "two"}, {"train_instance_count": 2}),
    ],
)
def test_what_no_job_config_could_have_is_compared_all_the_same(
    before: Params, live: Params, after: Params
) -> None:
    found = three_way(before, live, after)
    assert found
    assert {item.path[0] for item in found} == {*before, *live, *after}


sources = st.lists(
    st.dictionaries(st.sampled_from(["type", "__x", "data_url"]), st.sampled_from("ab")),
    max_size=12,
)


@given(sources, sources)
def test_what_differs_inside_two_arrays_is_shown_item_by_item(
    old: list[Mapping[str, str]], new: list[Mapping[str, str]]
) -> None:
    expected: Leaves = {}
    for index, (one, other) in enumerate(zip(old, new, strict=False)):
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                expected[(f"data_source[{index}]", key)] = (one.get(key), other.get(key))
    for index in range(min(len(old), len(new)), max(len(old), len(new))):
        sides = [side[index] if index < len(side) else None for side in (old, new)]
        expected[(f"data_source[{index}]",)] = tuple(sides)
    field = field_change("data_source", old, new)
    found = list(items_of(field))
    if old == new:
        assert found == [field]
        return
    assert {item.path: (item.before, item.after) for item in found} == expected
    assert [item.path for item in found] == list(expected)
    assert found == [field_change(item.path, item.before, item.after) for item in found]


@given(sources, sources, sources)
def test_of_three_arrays_each_item_that_is_not_the_same_everywhere_is_shown(
    before: list[Mapping[str, str]], live: list[Mapping[str, str]], after: list[Mapping[str, str]]
) -> None:
    arrays = (before, live, after)
    was, now, wanted = ({"data_source": side} for side in arrays)
    fields = three_way(was, now, wanted)
    found = {item.path: item for field in fields for item in items_of(field)}
    for index in range(max(map(len, arrays))):
        items = [side[index] if index < len(side) else None for side in arrays]
        place = f"data_source[{index}]"
        for key in {key for item in items if item for key in item}:
            sides = [item.get(key) if item else None for item in items]
            if len({*sides}) > 1:
                shown = found[(place,) if (place,) in found else (place, key)]
                known = items if shown.path == (place,) else sides
                assert [shown.before, shown.live, shown.after] == known
    for item in found.values():
        if fields[0].reason is Reason.BOTH:
            (reason,) = expected(
                *({"x": side} for side in (item.before, item.live, item.after))
            ).values()
            assert item.reason is reason
        else:
            assert item.reason is fields[0].reason


def test_a_sentence_about_an_array_has_each_item_complete() -> None:
    one, other = ([{"url": f"/{it}/" + "x" * 99}, {"url": "/same/"}] for it in ("b", "c"))
    field = field_change("data_source", one, one, live=other, reason=Reason.CHANGED)
    old, new = (json.dumps(side[0]["url"]) for side in (one, other))
    sides = f"{old} in the state, {new} in the service"
    assert field_sentence(field, Action.UPDATE) == f"data_source[0].url: {sides}, {old} wanted"
    assert field_sentence(field, Action.DELETE) == f"data_source[0].url: {sides}"


@pytest.mark.parametrize(
    "other",
    ["text", {"a": "1"}, ["a"], [["a"]], [{"a": ["b"]}], [{"$sensitive": "x"}], [{}, 1]],
)
def test_nothing_is_shown_of_the_inside_of_what_is_not_an_array_of_flat_tables(
    other: object,
) -> None:
    tables = [{"a": "1"}]
    for sides in ((tables, other), (other, tables), (other, [other])):
        field = field_change("data_source", *sides)
        assert [*items_of(field)] == [field]


def test_shown_values_may_hide_more_than_is_compared() -> None:
    one, two = {"config_desc": "a"}, {"config_desc": "b"}
    shown = {"config_desc": {"$sensitive": "x"}}
    assert field_changes(one, two, shown) == (
        field_change("config_desc", {"$sensitive": "x"}, "b"),
    )


def test_every_action_has_a_sign() -> None:
    signs = {"add": "+", "update": "~", "resend": "again", "forget": "forget"}
    signs |= {"create": "+", "delete": "-", "record": "="}
    assert {action.value: action.sign for action in Action} == signs
    signs = {"add": "+", "update": "~", "record": "=", "remove": "-"}
    assert {action.value: action.sign for action in FieldAction} == signs
