from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.errors import MajobctlError
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import (
    Masker,
    UnsetText,
    is_masked,
    unset_places,
    value_at,
    with_value,
)
from majobctl.plan.change import Action, Change, FieldAction, Renamed
from majobctl.plan.plan import Plan, Selection
from majobctl.plan.planner import make_plan, names_to_read, only_shown
from majobctl.state.document import Entry, State
from tests.growth import check_growth
from tests.plan import plan_strategies as strategies
from tests.plan.plan_strategies import TRICKY_LABELS, Three, job_configs
from tests.plan.values import (
    PLAIN,
    TARGET,
    desired_of,
    entry_of,
    field_change,
    leaves,
    live_of,
    state_after,
    state_of,
    unsure,
)

UNKNOWN = Entry(params={}, applied_at="", pending=True, attempted=PLAIN)


def only_change(plan: Plan) -> Change:
    (change,) = plan.changes
    return change


def change_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    return only_change(make_plan(desired_of(one=after), state_of(one=before), TARGET))


def actions(plan: Plan) -> dict[str, Action]:
    return {change.name: change.action for change in plan.changes}


def updates(plan: Plan) -> int:
    assert plan.calls["create_job_configs"] == plan.calls["delete_job_configs"] == 0
    return plan.calls["update_job_configs"]


def test_without_a_state_everything_is_added() -> None:
    plan = make_plan(desired_of(b=PLAIN, a=PLAIN), None, TARGET)
    assert actions(plan) == {"a": Action.ADD, "b": Action.ADD}
    assert (plan.lineage, plan.serial, plan.unchanged, updates(plan)) == ("", 0, 0, 2)
    assert plan.changes[0].before is None
    assert plan.changes[0].fields == (
        field_change("train_instance_type", None, "gpu"),
        field_change("train_instance_count", None, 1),
    )


def test_nothing_at_all_is_an_empty_plan() -> None:
    plan = make_plan({}, None, TARGET)
    assert (plan.changes, plan.unchanged, plan.left_out, updates(plan)) == ((), 0, 0, 0)


def test_each_action_has_its_sign_count_and_call() -> None:
    changed = {**PLAIN, "train_instance_count": 2}
    state = state_of(same=PLAIN, gone=PLAIN, changed=changed, unsure=unsure(PLAIN, PLAIN))
    desired = desired_of(same=PLAIN, new=PLAIN, changed=PLAIN, unsure=PLAIN)
    plan = make_plan(desired, state, TARGET)
    assert {change.name: (change.action, change.action.sign) for change in plan.changes} == {
        "new": (Action.ADD, "+"),
        "changed": (Action.UPDATE, "~"),
        "unsure": (Action.RESEND, "again"),
        "gone": (Action.FORGET, "forget"),
    }
    assert [plan.count(action) for action in Action] == [1, 1, 1, 1, 0, 0, 0]
    assert (plan.unchanged, updates(plan), plan.total) == (1, 3, 5)
    assert (plan.lineage, plan.serial) == ("a-lineage", 7)


def test_a_forgotten_one_shows_what_the_state_held_and_needs_no_call() -> None:
    plan = make_plan({}, state_of(gone=PLAIN), TARGET)
    change = only_change(plan)
    assert (change.before, change.after, change.fields, change.source) == (PLAIN, None, (), None)
    assert sum(plan.calls.values()) == 0


def test_fields_come_in_the_documented_order_and_labels_by_name() -> None:
    after = {**PLAIN, "config_desc": "x", "hyperparameters": {"b": "1", "a": "2"}}
    after |= {"code_dir": "/b/c/", "output_path": "/b/o/"}
    paths = [".".join(field.path) for field in change_of(PLAIN, after).fields]
    wanted = ["output_path", "code_dir", "hyperparameters.a", "hyperparameters.b", "config_desc"]
    assert paths == wanted
    added = only_change(make_plan(desired_of(one=after), None, TARGET))
    assert [".".join(field.path) for field in added.fields][2:] == wanted


def test_only_what_differs_is_named() -> None:
    before = {**PLAIN, "hyperparameters": {"lr": "0.1", "epochs": "3", "old": "x"}}
    after = {**PLAIN, "hyperparameters": {"lr": "0.10", "epochs": "3", "new": "y"}}
    assert change_of(before, after).fields == (
        field_change("hyperparameters.lr", "0.1", "0.10"),
        field_change("hyperparameters.new", None, "y"),
        field_change("hyperparameters.old", "x", None),
    )


def test_two_descriptions_with_hardly_a_key_in_common_are_shown_key_by_key() -> None:
    before = {**PLAIN, "model_name": "yolo_v3", "data_source": [{"type": "obs", "data_url": "/b"}]}
    added = {"code_dir": "/b/c/", "boot_file": "/b/c/x.py", "inputs": "/b/i/"}
    added |= {"framework_type": "PyTorch", "framework_version": "1"}
    keys = "code_dir boot_file framework_type framework_version model_name inputs data_source"
    fields = change_of(before, {**PLAIN, **added}).fields
    assert [field.path for field in fields] == [(key,) for key in keys.split()]


def test_hyperparameters_that_are_all_replaced_are_shown_one_by_one() -> None:
    before = {**PLAIN, "hyperparameters": {"a": "1", "b": "2", "c": "3"}}
    after = {**PLAIN, "hyperparameters": {"d": "4"}}
    fields = change_of(before, after).fields
    gone = [(label, FieldAction.REMOVE) for label in "abc"]
    assert [(field.path[1], field.action) for field in fields] == [*gone, ("d", FieldAction.ADD)]


@pytest.mark.parametrize("label", TRICKY_LABELS)
def test_a_label_of_any_characters_is_named_as_it_is(label: str) -> None:
    before = {**PLAIN, "hyperparameters": {label: "1", "other": "x"}}
    after = {**PLAIN, "hyperparameters": {label: "2", "other": "x"}}
    path = ("hyperparameters", label)
    assert change_of(before, after).fields == (field_change(path, "1", "2"),)
    assert change_of(PLAIN, after).fields[0].path[0] == "hyperparameters"
    assert {field.path[1] for field in change_of(after, PLAIN).fields} == {label, "other"}


def test_a_list_is_one_value() -> None:
    one = [{"type": "obs", "data_url": "/b/a/"}, {"type": "obs", "data_url": "/b/b/"}]
    two = [{"type": "obs", "data_url": "/b/b/"}, {"type": "obs", "data_url": "/b/a/"}]
    change = change_of({**PLAIN, "data_source": one}, {**PLAIN, "data_source": two})
    assert change.fields == (field_change("data_source", one, two),)


def test_keys_that_are_gone_are_cleared_and_labels_are_not() -> None:
    before = {**PLAIN, "log_url": "/b/l/", "inputs": "/b/i/", "hyperparameters": {"a": "1"}}
    after = {**PLAIN, "hyperparameters": {"b": "1"}}
    assert change_of(before, after).cleared == ("log_url", "inputs")
    assert change_of(before, PLAIN).cleared == ("hyperparameters", "log_url", "inputs")
    assert change_of(PLAIN, before).cleared == ()


def test_what_an_unknown_call_may_have_set_is_cleared_too() -> None:
    entry = unsure({**PLAIN, "log_url": "/b/"}, {**PLAIN, "inputs": "/b/i/"})
    change = only_change(make_plan(desired_of(one=PLAIN), state_of(one=entry), TARGET))
    assert (change.action, change.cleared) == (Action.RESEND, ("log_url", "inputs"))
    assert [field.path for field in change.fields] == [("log_url",)]


def test_an_unknown_outcome_is_sent_again_though_nothing_differs() -> None:
    for attempted in (PLAIN, None):
        entry = unsure(PLAIN, attempted)
        change = only_change(make_plan(desired_of(one=PLAIN), state_of(one=entry), TARGET))
        assert (change.action, change.fields, change.cleared) == (Action.RESEND, (), ())


def test_an_unknown_outcome_of_one_that_left_the_files_is_forgotten() -> None:
    assert only_change(make_plan({}, state_of(one=UNKNOWN), TARGET)).action is Action.FORGET


def test_a_key_that_this_version_does_not_know_is_shown_as_removed() -> None:
    change = change_of({**PLAIN, "from_the_future": {"a": 1}, "another": 2}, PLAIN)
    assert change.fields == (
        field_change("another", 2, None),
        field_change("from_the_future", {"a": 1}, None),
    )
    assert change.cleared == ()


def test_hyperparameters_that_are_no_table_in_the_state_are_one_value() -> None:
    after = {**PLAIN, "hyperparameters": {"a": "1"}}
    change = change_of({**PLAIN, "hyperparameters": ["x"]}, after)
    assert change.fields == (field_change("hyperparameters", ["x"], {"a": "1"}),)


def test_a_selection_leaves_the_other_names_out() -> None:
    desired = desired_of(**{"cat-1": PLAIN, "cat-2": PLAIN, "dog": PLAIN})
    state = state_of(**{"cat-3": PLAIN, "dog": PLAIN})
    plan = make_plan(desired, state, TARGET, selection=Selection(("cat-*",), ("*-2",)))
    assert actions(plan) == {"cat-1": Action.ADD, "cat-3": Action.FORGET}
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
            entries[change.name] = entry_of(change.after)
    after = State(lineage="a-lineage", serial=8, target=TARGET, job_configs=entries)
    wanted = {name: config.params for name, config in desired.items()}
    assert {name: entry.params for name, entry in after.job_configs.items()} == wanted
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
    assert list(actions(plan)) == sorted(actions(plan))


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
        kept = FieldAction.UPDATE if field.path in new else FieldAction.REMOVE
        assert field.action is (kept if field.path in old else FieldAction.ADD)


@given(strategies.params, strategies.params)
def test_what_is_sent_and_what_is_cleared_make_up_all_that_was_there(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    for change in make_plan(desired_of(one=after), state_of(one=before), TARGET).changes:
        assert set(change.cleared) == before.keys() - after.keys()


SALT = "a-salt"


def refreshed(
    desired: Mapping[str, JobConfig], state: State | None, **configs: Mapping[str, Any] | None
) -> Plan:
    return make_plan(desired, state, TARGET, salt=SALT, live=live_of(**configs))


def secret(
    name: str, params: Mapping[str, Any], *places: tuple[str, ...], **more: Any
) -> JobConfig:
    return JobConfig(name, params, sensitive=dict.fromkeys(places), **more)


@given(strategies.threes())
def test_any_three_sides_give_a_plan_in_name_order_that_hides_what_is_secret(three: Three) -> None:
    plan = three.plan()
    names = [change.name for change in plan.changes]
    known = three.state.job_configs if three.state else {}
    assert names == sorted(set(names))
    assert len(names) + plan.unchanged == len(three.desired.keys() | known.keys())
    assert plan == three.plan()
    assert plan.is_refreshed == (three.live is not None)
    for change in plan.changes:
        config = three.desired.get(change.name)
        assert (change.after is None) == (config is None)
        assert (change.after is None) == (change.action in (Action.FORGET, Action.DELETE))
        for place in config.sensitive if config else ():
            assert is_masked(value_at(change.after or {}, place))
            for item in change.fields:
                if item.path in (place, place[:1]):
                    values = (item.before, item.live, item.after)
                    assert all(value is None or is_masked(value) for value in values)
        if not three.live:
            assert (change.live_digest, change.is_missing) == ("", False)


@given(strategies.threes())
def test_a_value_that_is_not_known_is_planned_as_the_one_that_was_applied(three: Three) -> None:
    mask = UnsetText("", ["X"]).mask
    unknown = {name: without_values(config, mask) for name, config in three.desired.items()}
    plans = (only_shown(it.plan()) for it in (replace(three, desired=unknown), three))
    planned, known = ({change.name: change for change in plan.changes} for plan in plans)
    assert planned.keys() <= known.keys()
    entries = three.state.job_configs if three.state else {}
    for name, config in three.desired.items():
        entry, masker = entries.get(name), Masker(SALT, name)
        if entry and not entry.pending:
            after = masker.masked(config.params, config.sensitive)
            sides = (masker.renewed(entry.params, config.params), after)
            pairs = [[value_at(it, at) for it in sides] for at in config.sensitive]
            if all(old == new for old, new in pairs):
                assert planned.get(name) == known.get(name)


def without_values(config: JobConfig, mask: Mapping[str, Any]) -> JobConfig:
    """``config`` where none of the variables that its secrets need is set."""
    params = config.params
    for place in config.sensitive:
        params = with_value(params, place, mask)
    return replace(config, params=params)


TOKEN = ("hyperparameters", "token")
UNSET = secret("one", {"hyperparameters": {"token": UnsetText("", ["X"]).mask}}, TOKEN)
WITH, OTHER, NONE = (
    {"hyperparameters": {"token": text} if text else {}} for text in ("s", "o", "")
)
HASHED = Masker(SALT, "one").masked(WITH, [TOKEN])


@pytest.mark.parametrize(
    ("state", "live", "action", "is_needed"),
    [
        (None, None, Action.ADD, True),
        (None, WITH, Action.ADD, True),
        (HASHED, None, Action.UPDATE, False),
        (HASHED, WITH, None, False),
        (HASHED, OTHER, Action.UPDATE, False),
        (HASHED, NONE, Action.UPDATE, False),
        (NONE, WITH, Action.UPDATE, True),
        (NONE, NONE, Action.UPDATE, True),
        (WITH, WITH, Action.RECORD, False),
        (unsure(HASHED, {}), WITH, Action.UPDATE, True),
        (unsure({}, HASHED), WITH, Action.UPDATE, True),
    ],
)
def test_an_unknown_value_is_compared_as_the_hash_of_the_state(
    state: Any, live: Any, action: Action | None, is_needed: bool
) -> None:
    """``is_needed``: the plan cannot say which value there will be."""
    known = None if state is None else state_of(one=state)
    plan = refreshed({"one": UNSET}, known, one=live)
    assert [change.action for change in plan.changes] == ([action] if action else [])
    unset = [place for change in plan.changes for place, _ in unset_places(change.after or {})]
    assert unset == ([TOKEN] if is_needed else [])


@given(strategies.threes())
def test_what_the_settings_do_not_ask_for_is_in_no_plan(three: Three) -> None:
    plan = three.plan()
    if not three.deletes_removed:
        assert plan.count(Action.DELETE) == 0
    if not (three.creates_missing and three.live is not None):
        assert plan.count(Action.CREATE) == 0
    for change in plan.changes:
        if change.action is Action.CREATE:
            assert three.live is not None
            assert three.live[change.name] is None


@given(strategies.threes())
def test_once_a_plan_is_carried_out_the_next_one_is_empty(three: Three) -> None:
    plan = three.plan()
    known = dict(three.state.job_configs) if three.state else {}
    live = dict(three.live) if three.live is not None else None
    for change in plan.changes:
        known.pop(change.name, None)
        if change.after is not None:
            known[change.name] = entry_of(change.after, prevent_delete=change.prevent_delete)
            if live is not None and change.action is not Action.RECORD:
                config = three.desired[change.name]
                kept = live[change.name]
                # A service whose PUT leaves the fields it is not told of.
                told = dict(kept.params) if kept else {}
                for key in change.cleared:
                    told.pop(key, None)
                live[change.name] = LiveConfig(change.name, {**told, **config.params})
        elif live is not None and change.action is Action.DELETE:
            live[change.name] = None
    after = State(lineage="a-lineage", serial=8, target=TARGET, job_configs=known, salt=SALT)
    again = Three(three.desired, after, live, three.creates_missing, three.deletes_removed).plan()
    assert again.changes == ()


def test_a_digest_shows_whether_the_service_still_has_the_same() -> None:
    desired = desired_of(one={**PLAIN, "config_desc": "x"})
    first = only_change(refreshed(desired, state_of(one=PLAIN), one=PLAIN))
    assert first.live_digest == state_of().masker("one").digest(PLAIN)
    other = only_change(refreshed(desired, state_of(one=PLAIN), one={**PLAIN, "log_url": "/b/"}))
    assert other.live_digest != first.live_digest
    assert only_change(refreshed(desired, state_of(one=PLAIN), one=None)).live_digest == ""


def test_what_the_service_has_beside_is_cleared() -> None:
    live = {**PLAIN, "log_url": "/b/l/", "from_the_future": 1}
    change = only_change(refreshed(desired_of(one=PLAIN), state_of(one=PLAIN), one=live))
    assert change.cleared == ("log_url",)
    entry = unsure(PLAIN, {**PLAIN, "inputs": "/b/i/"})
    change = only_change(refreshed(desired_of(one=PLAIN), state_of(one=entry), one=live))
    assert (change.action, change.cleared) == (Action.RESEND, ("log_url", "inputs"))


def test_names_are_read_only_where_a_plan_needs_them() -> None:
    state = state_of(gone=PLAIN, same=PLAIN)
    wanted = ["new", "same"]
    assert names_to_read(wanted, state, Selection(), deletes_removed=False) == wanted
    assert names_to_read(wanted, None, Selection(), deletes_removed=True) == wanted
    everything = names_to_read(wanted, state, Selection(), deletes_removed=True)
    assert everything == ["gone", "new", "same"]
    assert names_to_read(wanted, state, Selection(("g*",)), deletes_removed=True) == ["gone"]


@pytest.mark.parametrize("live", [None, {}], ids=["offline", "refreshed"])
def test_what_is_protected_is_not_planned_to_be_deleted(live: Any) -> None:
    protected = entry_of(PLAIN, prevent_delete=True)
    state = state_of(one=protected, two=protected, three=PLAIN)
    with pytest.raises(MajobctlError) as raised:
        make_plan({}, state, TARGET, deletes_removed=True, live=live)
    assert str(raised.value).startswith(
        "prevent_delete protects what this plan would delete: job_config.one, job_config.two\n"
    )
    three = Selection(("three",))
    plan = make_plan({}, state, TARGET, selection=three, deletes_removed=True, live=live)
    assert only_change(plan).action is Action.DELETE
    assert make_plan({}, state, TARGET, live=live).count(Action.FORGET) == 3


def test_what_is_unchanged_is_counted_beside_changes() -> None:
    state = state_of(a=PLAIN, b=PLAIN)
    plan = make_plan(desired_of(**dict.fromkeys("abcde", PLAIN)), state, TARGET)
    assert (plan.count(Action.ADD), plan.unchanged) == (3, 2)


def test_what_the_service_does_not_have_is_created_only_if_the_plan_says_so() -> None:
    change = only_change(refreshed(desired_of(one=PLAIN), None, one=None))
    assert (change.action, change.is_missing) == (Action.ADD, True)


def test_a_protection_that_ends_is_a_field_of_a_change() -> None:
    desired, protected = desired_of(one=PLAIN), state_of(one=entry_of(PLAIN, prevent_delete=True))
    removed = field_change("prevent_delete", True, None)
    assert removed.action is FieldAction.REMOVE
    for plan in (make_plan(desired, protected, TARGET), refreshed(desired, protected, one=PLAIN)):
        change = only_change(plan)
        assert (change.action, change.prevent_delete) == (Action.RECORD, False)
        assert change.fields == (removed,)


def test_what_an_interrupted_apply_did_not_edit_stays_ignored() -> None:
    place = ("config_desc",)
    before, desired, live = ({**PLAIN, place[0]: word * 2} for word in ("own", "own", "theirs"))
    config = JobConfig("one", desired, policy=ComparePolicy(ignored=frozenset({place})))
    change = only_change(refreshed({"one": config}, state_of(one=unsure(before, before)), one=live))
    assert (change.action, change.fields) == (Action.RECORD, ())


def test_a_protection_alone_is_recorded() -> None:
    desired = {"one": JobConfig("one", PLAIN, prevent_delete=True)}
    for plan in (
        make_plan(desired, state_of(one=PLAIN), TARGET),
        refreshed(desired, state_of(one=PLAIN), one=PLAIN),
    ):
        change = only_change(plan)
        assert (change.action, change.prevent_delete) == (Action.RECORD, True)
        assert change.fields == (field_change("prevent_delete", None, True),)
        assert sum(plan.calls.values()) == 0


def test_a_plan_that_is_only_shown_has_no_hash() -> None:
    config = secret("one", {**PLAIN, "config_desc": "x"}, ("config_desc",))
    plans = [
        only_shown(make_plan({"one": config}, None, TARGET, salt=salt, live=live_of(one=PLAIN)))
        for salt in ("one", "two")
    ]
    assert plans[0] == plans[1]
    assert plans[0].changes[0].live_digest == "hmac-sha256:no-state-yet"
    assert plans[0].changes[0].fields[0].after == {"$sensitive": "hmac-sha256:no-state-yet"}


class TestRenames:
    def test_are_likely_where_the_same_request_leaves_and_comes(self) -> None:
        plan = make_plan(desired_of(new=PLAIN), state_of(old=PLAIN), TARGET)
        new, old = plan.changes
        assert (new.old_name, new.renamed, new.before) == ("old", Renamed.DETECTED, None)
        assert (old.old_name, old.renamed, old.action) == ("", None, Action.FORGET)

    def test_are_not_likely_for_what_an_interrupted_call_left(self) -> None:
        state = state_of(old=UNKNOWN)
        plan = make_plan(desired_of(new=PLAIN), state, TARGET)
        assert [change.renamed for change in plan.changes] == [None, None]

    def test_that_are_written_win_over_those_that_are_likely(self) -> None:
        desired = {
            "a": JobConfig("a", PLAIN),
            "b": JobConfig("b", {**PLAIN, "config_desc": "x"}, renamed_from="old"),
        }
        plan = make_plan(desired, state_of(old=PLAIN), TARGET)
        found = {change.name: (change.renamed, change.old_name) for change in plan.changes}
        assert found == {"a": (None, ""), "b": (Renamed.DECLARED, "old"), "old": (None, "")}

    def test_hold_until_the_first_call_is_known_to_have_succeeded(self) -> None:
        desired = {"new": JobConfig("new", PLAIN, renamed_from="old")}
        for entry, renamed in (
            (UNKNOWN, Renamed.DECLARED),
            (unsure(PLAIN, PLAIN), None),
            (entry_of({**PLAIN, "log_url": "/b/"}), None),
        ):
            plan = make_plan(desired, state_of(old=PLAIN, new=entry), TARGET)
            (change,) = (change for change in plan.changes if change.name == "new")
            assert change.renamed is renamed

    def test_of_thousands_are_found_without_comparing_each_with_each(self) -> None:
        def prepare(count: int) -> tuple[int, Callable[[], Plan]]:
            many = [{**PLAIN, "config_desc": str(number)} for number in range(count)]
            desired = desired_of(**{f"new{number}": params for number, params in enumerate(many)})
            state = state_of(**{f"old{number}": params for number, params in enumerate(many)})
            live = live_of(**dict.fromkeys(desired))
            return count, lambda: make_plan(desired, state, TARGET, live=live, deletes_removed=True)

        def work(prepared: tuple[int, Callable[[], Plan]]) -> None:
            count, plan = prepared
            assert sum(item.renamed is Renamed.DETECTED for item in plan().changes) == count

        check_growth(prepare, work, 1000)


def test_planning_grows_with_the_job_configs_that_changed_there_and_no_faster() -> None:
    labels = {str(number): "x" for number in range(10)}

    def prepare(count: int) -> Callable[[], Plan]:
        desired = desired_of(
            **{f"n{number}": {**PLAIN, "hyperparameters": labels} for number in range(count)}
        )
        live = {name: {**item.params, "config_desc": "theirs"} for name, item in desired.items()}
        state = state_after(desired)
        return lambda: refreshed(desired, state, **live)

    def work(plan: Callable[[], Plan]) -> None:
        made = plan()
        assert made.count(Action.UPDATE) == len(made.changes) > 0

    check_growth(prepare, work, 1000)
