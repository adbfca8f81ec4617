from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.endpoints import Target
from majobctl.job_config import JobConfig
from majobctl.plan import Action, Change, FieldChange, Plan, Selection, make_plan
from majobctl.state import Entry, State
from tests import plan_strategies as strategies
from tests.plan_strategies import TRICKY_LABELS, job_configs

TARGET = Target("https://modelarts.example.com", "0123456789abcdef")
PLAIN = {"train_instance_type": "gpu", "train_instance_count": 1}
AT = "2026-11-23T12:00:00Z"


def desired_of(**job_configs: Mapping[str, Any]) -> dict[str, JobConfig]:
    return {name: JobConfig(name, params) for name, params in job_configs.items()}


def state_of(**job_configs: Mapping[str, Any] | Entry) -> State:
    entries = {
        name: item if isinstance(item, Entry) else Entry(item, AT)
        for name, item in job_configs.items()
    }
    return State("a-lineage", 7, TARGET, entries, "a-salt")


def state_after(desired: Mapping[str, JobConfig]) -> State:
    return state_of(**{name: config.params for name, config in desired.items()})


def only_change(plan: Plan) -> Change:
    (change,) = plan.changes
    return change


def change_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    return only_change(make_plan(desired_of(one=after), state_of(one=before), TARGET))


def test_without_a_state_everything_is_added() -> None:
    plan = make_plan(desired_of(b=PLAIN, a=PLAIN), None, TARGET)
    assert [(change.name, change.action) for change in plan.changes] == [
        ("a", Action.ADD),
        ("b", Action.ADD),
    ]
    assert (plan.lineage, plan.serial, plan.unchanged, plan.calls) == ("", 0, 0, 2)
    assert plan.changes[0].before is None
    assert plan.changes[0].fields == (
        FieldChange(("train_instance_type",), Action.ADD, None, "gpu"),
        FieldChange(("train_instance_count",), Action.ADD, None, 1),
    )


def test_nothing_at_all_is_an_empty_plan() -> None:
    plan = make_plan({}, None, TARGET)
    assert (plan.changes, plan.unchanged, plan.left_out, plan.calls) == ((), 0, 0, 0)


def test_each_action_has_its_sign_count_and_call() -> None:
    state = state_of(
        same=PLAIN,
        gone=PLAIN,
        changed={**PLAIN, "train_instance_count": 2},
        unsure=Entry(PLAIN, AT, True, PLAIN),
    )
    desired = desired_of(same=PLAIN, new=PLAIN, changed=PLAIN, unsure=PLAIN)
    plan = make_plan(desired, state, TARGET)
    assert {change.name: (change.action, change.action.sign) for change in plan.changes} == {
        "new": (Action.ADD, "+"),
        "changed": (Action.UPDATE, "~"),
        "unsure": (Action.RESEND, "?"),
        "gone": (Action.FORGET, "."),
    }
    assert [plan.count(action) for action in Action] == [1, 1, 1, 1, 0]
    assert Action.REMOVE.sign == "-"
    assert (plan.unchanged, plan.calls, plan.total) == (1, 3, 5)
    assert (plan.lineage, plan.serial) == ("a-lineage", 7)


def test_a_forgotten_one_shows_what_the_state_held_and_needs_no_call() -> None:
    plan = make_plan({}, state_of(gone=PLAIN), TARGET)
    change = only_change(plan)
    assert (change.before, change.after, change.fields, change.source) == (PLAIN, None, (), None)
    assert plan.calls == 0


def test_fields_come_in_the_documented_order_and_labels_by_name() -> None:
    after = {
        **PLAIN,
        "config_desc": "x",
        "hyperparameters": {"b": "1", "a": "2"},
        "code_dir": "/b/c/",
        "output_path": "/b/o/",
    }
    paths = [".".join(field.path) for field in change_of(PLAIN, after).fields]
    wanted = ["output_path", "code_dir", "hyperparameters.a", "hyperparameters.b", "config_desc"]
    assert paths == wanted
    added = only_change(make_plan(desired_of(one=after), None, TARGET))
    assert [".".join(field.path) for field in added.fields][2:] == wanted


def test_only_what_differs_is_named() -> None:
    before = {**PLAIN, "hyperparameters": {"lr": "0.1", "epochs": "3", "old": "x"}}
    after = {**PLAIN, "hyperparameters": {"lr": "0.10", "epochs": "3", "new": "y"}}
    assert change_of(before, after).fields == (
        FieldChange(("hyperparameters", "lr"), Action.UPDATE, "0.1", "0.10"),
        FieldChange(("hyperparameters", "new"), Action.ADD, None, "y"),
        FieldChange(("hyperparameters", "old"), Action.REMOVE, "x", None),
    )


def test_two_descriptions_with_hardly_a_key_in_common_are_told_key_by_key() -> None:
    before = {**PLAIN, "model_name": "yolo_v3", "data_source": [{"type": "obs", "data_url": "/b"}]}
    after = {
        **PLAIN,
        "code_dir": "/b/c/",
        "boot_file": "/b/c/x.py",
        "framework_type": "PyTorch",
        "framework_version": "1",
        "inputs": "/b/i/",
    }
    assert [field.path for field in change_of(before, after).fields] == [
        ("code_dir",),
        ("boot_file",),
        ("framework_type",),
        ("framework_version",),
        ("model_name",),
        ("inputs",),
        ("data_source",),
    ]


def test_hyperparameters_that_are_all_replaced_are_told_one_by_one() -> None:
    before = {**PLAIN, "hyperparameters": {"a": "1", "b": "2", "c": "3"}}
    after = {**PLAIN, "hyperparameters": {"d": "4"}}
    fields = change_of(before, after).fields
    assert [(field.path[1], field.action) for field in fields] == [
        ("a", Action.REMOVE),
        ("b", Action.REMOVE),
        ("c", Action.REMOVE),
        ("d", Action.ADD),
    ]


@pytest.mark.parametrize("label", TRICKY_LABELS)
def test_a_label_of_any_characters_is_named_as_it_is(label: str) -> None:
    before = {**PLAIN, "hyperparameters": {label: "1", "other": "x"}}
    after = {**PLAIN, "hyperparameters": {label: "2", "other": "x"}}
    path = ("hyperparameters", label)
    assert change_of(before, after).fields == (FieldChange(path, Action.UPDATE, "1", "2"),)
    assert change_of(PLAIN, after).fields[0].path[0] == "hyperparameters"
    assert {field.path[1] for field in change_of(after, PLAIN).fields} == {label, "other"}


def test_a_list_is_one_value() -> None:
    one = [{"type": "obs", "data_url": "/b/a/"}, {"type": "obs", "data_url": "/b/b/"}]
    two = [{"type": "obs", "data_url": "/b/b/"}, {"type": "obs", "data_url": "/b/a/"}]
    change = change_of({**PLAIN, "data_source": one}, {**PLAIN, "data_source": two})
    assert change.fields == (FieldChange(("data_source",), Action.UPDATE, one, two),)


def test_keys_that_are_gone_are_cleared_and_labels_are_not() -> None:
    before = {**PLAIN, "log_url": "/b/l/", "inputs": "/b/i/", "hyperparameters": {"a": "1"}}
    after = {**PLAIN, "hyperparameters": {"b": "1"}}
    assert change_of(before, after).cleared == ("log_url", "inputs")
    assert change_of(before, PLAIN).cleared == ("hyperparameters", "log_url", "inputs")
    assert change_of(PLAIN, before).cleared == ()


def test_what_an_unknown_call_may_have_set_is_cleared_too() -> None:
    entry = Entry({**PLAIN, "log_url": "/b/"}, AT, True, {**PLAIN, "inputs": "/b/i/"})
    change = only_change(make_plan(desired_of(one=PLAIN), state_of(one=entry), TARGET))
    assert (change.action, change.cleared) == (Action.RESEND, ("log_url", "inputs"))
    assert [field.path for field in change.fields] == [("log_url",)]


def test_an_unknown_outcome_is_sent_again_though_nothing_differs() -> None:
    for attempted in (PLAIN, None):
        entry = Entry(PLAIN, AT, True, attempted)
        change = only_change(make_plan(desired_of(one=PLAIN), state_of(one=entry), TARGET))
        assert (change.action, change.fields, change.cleared) == (Action.RESEND, (), ())


def test_an_unknown_outcome_of_one_that_left_the_files_is_forgotten() -> None:
    entry = Entry({}, "", True, PLAIN)
    assert only_change(make_plan({}, state_of(one=entry), TARGET)).action is Action.FORGET


def test_a_key_that_this_version_does_not_know_is_told_as_removed() -> None:
    change = change_of({**PLAIN, "from_the_future": {"a": 1}, "another": 2}, PLAIN)
    assert change.fields == (
        FieldChange(("another",), Action.REMOVE, 2, None),
        FieldChange(("from_the_future",), Action.REMOVE, {"a": 1}, None),
    )
    assert change.cleared == ()


def test_hyperparameters_that_are_no_table_in_the_state_are_one_value() -> None:
    after = {**PLAIN, "hyperparameters": {"a": "1"}}
    change = change_of({**PLAIN, "hyperparameters": ["x"]}, after)
    assert change.fields == (FieldChange(("hyperparameters",), Action.UPDATE, ["x"], {"a": "1"}),)


def test_a_selection_leaves_the_other_names_out() -> None:
    desired = desired_of(**{"cat-1": PLAIN, "cat-2": PLAIN, "dog": PLAIN})
    state = state_of(**{"cat-3": PLAIN, "dog": PLAIN})
    plan = make_plan(desired, state, TARGET, selection=Selection(("cat-*",), ("*-2",)))
    assert [(change.name, change.action) for change in plan.changes] == [
        ("cat-1", Action.ADD),
        ("cat-3", Action.FORGET),
    ]
    assert (plan.unchanged, plan.left_out) == (0, 2)
    assert not Selection()
    assert Selection(excluded=("x",)).covers("y")


@given(job_configs())
def test_planning_a_desired_state_against_itself_is_empty(desired: dict[str, JobConfig]) -> None:
    plan = make_plan(desired, state_after(desired), TARGET)
    assert plan.changes == ()
    assert plan.unchanged == len(desired)


@settings(max_examples=50)
@given(job_configs(), job_configs())
def test_applying_what_a_plan_says_reaches_desired(
    desired: dict[str, JobConfig], known: dict[str, JobConfig]
) -> None:
    before = state_after(known)
    entries = dict(before.job_configs)
    for change in make_plan(desired, before, TARGET).changes:
        entries.pop(change.name, None)
        if change.after is not None:
            entries[change.name] = Entry(change.after, AT)
    after = State("a-lineage", 8, TARGET, entries)
    assert {name: entry.params for name, entry in after.job_configs.items()} == {
        name: config.params for name, config in desired.items()
    }
    assert make_plan(desired, after, TARGET).changes == ()


@settings(max_examples=50)
@given(job_configs(), job_configs(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_changes_nothing(
    desired: dict[str, JobConfig], known: dict[str, JobConfig], chance: random.Random
) -> None:
    plan = make_plan(desired, state_after(known), TARGET)
    names, items = list(desired), list(known)
    chance.shuffle(names)
    chance.shuffle(items)
    shuffled = {name: desired[name] for name in names}
    other = state_after({name: known[name] for name in items})
    assert make_plan(shuffled, other, TARGET) == plan
    assert [change.name for change in plan.changes] == sorted(
        change.name for change in plan.changes
    )


def leaves(params: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    found: dict[tuple[str, ...], Any] = {}
    for key, value in params.items():
        if key == "hyperparameters":
            found.update({(key, label): text for label, text in value.items()})
        else:
            found[(key,)] = value
    return found


@given(strategies.params, strategies.params)
def test_each_differing_value_is_named_by_exactly_one_field(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    plan = make_plan(desired_of(one=after), state_of(one=before), TARGET)
    fields = [field for change in plan.changes for field in change.fields]
    old, new = leaves(before), leaves(after)
    differing = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    assert sorted(field.path for field in fields) == sorted(differing)
    for field in fields:
        assert (field.before, field.after) == (old.get(field.path), new.get(field.path))
        if field.path not in old:
            assert field.action is Action.ADD
        else:
            assert field.action is (Action.UPDATE if field.path in new else Action.REMOVE)


@given(strategies.params, strategies.params)
def test_what_is_sent_and_what_is_cleared_make_up_all_that_was_there(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    for change in make_plan(desired_of(one=after), state_of(one=before), TARGET).changes:
        assert set(change.cleared) == before.keys() - after.keys()
