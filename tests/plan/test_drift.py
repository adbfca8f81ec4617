"""Live against state, without a service but for the emulator's own ways to write a blank."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from majobctl.emulator import create_adapter, create_app
from majobctl.emulator.faults import Faults
from majobctl.job_config.compare_policy import ComparePolicies, ComparePolicy
from majobctl.job_config.live import LiveConfig, source_of
from majobctl.plan.drift import Drift, DriftedConfig, find_drift, names_to_compare
from majobctl.plan.plan import EVERYTHING, Selection
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.sdk_calls import DONE
from majobctl.service.session import Session
from majobctl.state.document import Entry, State
from majobctl.target import EMULATOR_ENDPOINT
from tests.plan import plan_strategies as strategies
from tests.plan.values import PLAIN, TARGET, field_change, leaves, state_of, unsure
from tests.strategies import known_params

Params = Mapping[str, Any]


def found(
    state: State | None,
    live: Mapping[str, Params | LiveConfig | None],
    listed: Iterable[str] = (),
    selection: Selection = EVERYTHING,
    policies: ComparePolicies | None = None,
) -> Drift:
    configs = {
        name: item if item is None or isinstance(item, LiveConfig) else LiveConfig(name, item)
        for name, item in live.items()
    }
    policies = policies or ComparePolicies()
    return find_drift(state, TARGET, configs, listed=listed, selection=selection, policies=policies)


def only(drift: Drift) -> DriftedConfig:
    (item,) = drift.changes
    return item


def masked(state: State, params: Params, *places: tuple[str, ...]) -> Params:
    return state.masker("one").masked(params, places)


def test_each_value_that_differs_is_shown_with_both_values() -> None:
    live = {**PLAIN, "train_instance_count": 3, "hyperparameters": {"a": "1", "b": "2"}}
    before = {**PLAIN, "log_url": "/b/l/", "hyperparameters": {"a": "0", "b": "2"}}
    drift = found(state_of(one=before, two=PLAIN), {"one": live, "two": PLAIN})
    assert only(drift) == DriftedConfig(
        name="one",
        fields=(
            field_change("train_instance_count", 1, 3),
            field_change("hyperparameters.a", "0", "1"),
            field_change("log_url", "/b/l/", None),
        ),
        is_described=False,
    )
    assert (drift.changed, drift.missing, drift.unchanged) == (1, 0, 1)
    assert (drift.lineage, drift.serial, drift.target) == ("a-lineage", 7, TARGET)


def test_what_the_service_has_no_more_is_missing() -> None:
    drift = found(state_of(b=PLAIN, a=PLAIN, c=PLAIN), {"a": None, "b": PLAIN, "c": None})
    assert drift.changes == tuple(
        DriftedConfig(name=name, is_missing=True, is_described=False) for name in "ac"
    )
    assert (drift.changed, drift.missing, drift.unchanged) == (0, 2, 1)


def test_only_what_is_selected_is_needed_and_shown() -> None:
    state = state_of(a1=PLAIN, a2=PLAIN, b1=PLAIN)
    selection = Selection(("a*", "c*"), ("*2",))
    assert names_to_compare(state, selection) == ["a1"]
    listed = ["a1", "a3", "b2", "c1", "c2", "c4"]
    drift = found(state, {"a1": PLAIN}, listed, selection, ComparePolicies({"c4": ComparePolicy()}))
    assert (drift.changes, drift.unchanged, drift.left_out) == ((), 1, 2)
    assert drift.unmanaged == ("a3", "c1")


def test_what_only_the_service_knows_is_not_drift() -> None:
    policies = ComparePolicies({"desired": ComparePolicy()})
    listed = ["z", "one", "desired", "other"]
    drift = found(state_of(one=PLAIN), {"one": PLAIN}, listed=listed, policies=policies)
    assert (drift.changes, drift.unmanaged) == ((), ("other", "z"))


def test_without_a_state_nothing_has_drifted() -> None:
    assert names_to_compare(None, Selection()) == []
    drift = found(None, {}, listed=["b", "a"])
    assert (drift.changes, drift.unchanged, drift.unmanaged) == ((), 0, ("a", "b"))
    assert (drift.lineage, drift.serial) == ("", 0)


def test_what_is_ignored_does_not_count() -> None:
    before = {**PLAIN, "config_desc": "x", "hyperparameters": {"seed": "1", "lr": "1"}}
    live = {**PLAIN, "config_desc": "y", "hyperparameters": {"seed": "2", "lr": "2"}}
    state = state_of(here=before, gone=before)
    places = {"here": ComparePolicy(frozenset({("config_desc",), ("hyperparameters", "seed")}))}
    sides = {"here": live, "gone": live}
    labels = ComparePolicy(frozenset({("hyperparameters",)}))
    gone, here = found(state, sides, policies=ComparePolicies(places, labels)).changes
    assert here.fields == (field_change("hyperparameters.lr", "1", "2"),)
    assert gone.fields == (field_change("config_desc", "x", "y"),)
    everywhere = ComparePolicy(frozenset({("hyperparameters",), ("config_desc",)}))
    assert found(state, sides, policies=ComparePolicies({}, everywhere)).changes == ()


def test_secret_values_are_compared_as_their_hashes() -> None:
    state = state_of()
    secret = {**PLAIN, "config_desc": "hidden", "hyperparameters": {"token": "t", "lr": "1"}}
    places = (("config_desc",), ("hyperparameters", "token"))
    state = state_of(one=masked(state, secret, *places))
    assert found(state, {"one": secret}).changes == ()
    live = {**secret, "hyperparameters": {"token": "other", "lr": "1"}}
    (change,) = only(found(state, {"one": live})).fields
    assert change.path == ("hyperparameters", "token")
    assert set(change.before) == set(change.after) == {"$sensitive"}
    assert change.before != change.after
    assert "other" not in repr(found(state, {"one": live}))


def test_secret_hyperparameters_together_are_one_value() -> None:
    secret = {**PLAIN, "hyperparameters": {"token": "t", "lr": "1"}}
    state = state_of(one=masked(state_of(), secret, ("hyperparameters",)))
    assert found(state, {"one": secret}).changes == ()
    drift = found(state, {"one": {**secret, "hyperparameters": {"token": "leaked"}}})
    assert [change.path for change in only(drift).fields] == [("hyperparameters",)]
    assert "leaked" not in repr(drift)


ATTEMPT = {**PLAIN, "train_instance_count": 5}


EARLIER = {**PLAIN, "train_instance_count": 6}


@pytest.mark.parametrize("live", [PLAIN, ATTEMPT, EARLIER], ids=["before", "attempted", "earlier"])
def test_either_end_of_calls_of_unknown_outcome_is_not_drift(live: Params) -> None:
    entry = replace(unsure(PLAIN, ATTEMPT), earlier=(EARLIER,))
    assert found(state_of(one=entry), {"one": live}).changes == ()


def test_anything_else_after_a_call_of_unknown_outcome_is_drift_with_a_remark() -> None:
    live = {**PLAIN, "train_instance_count": 9}
    item = only(found(state_of(one=unsure(PLAIN, ATTEMPT)), {"one": live}))
    assert item == DriftedConfig(
        name="one",
        fields=(field_change("train_instance_count", 1, 9),),
        is_pending=True,
        is_described=False,
    )


def test_a_first_call_of_unknown_outcome_is_shown_against_what_it_sent() -> None:
    state = state_of(one=Entry(params={}, applied_at="", pending=True, attempted=ATTEMPT))
    assert found(state, {"one": ATTEMPT}).changes == ()
    assert found(state, {"one": None}).changes == ()
    item = only(found(state, {"one": PLAIN}))
    assert item.fields == (field_change("train_instance_count", 5, 1),)


def test_a_call_of_unknown_outcome_does_not_hide_that_it_is_missing() -> None:
    item = only(found(state_of(one=unsure(PLAIN, ATTEMPT)), {"one": None}))
    assert (item.is_missing, item.is_pending) == (True, True)


def test_what_was_secret_in_the_attempt_alone_is_hidden_on_both_sides() -> None:
    before = {**PLAIN, "config_desc": "old-text"}
    attempted = masked(state_of(), {**PLAIN, "config_desc": "new-text"}, ("config_desc",))
    state = state_of(one=unsure(before, attempted))
    for text in ("old-text", "new-text"):
        assert found(state, {"one": {**PLAIN, "config_desc": text}}).changes == ()
    drift = found(state, {"one": {**PLAIN, "config_desc": "third-text"}})
    assert [change.path for change in only(drift).fields] == [("config_desc",)]
    assert "text" not in repr(only(drift).fields)


def test_a_blank_value_in_a_state_is_none() -> None:
    before = {**PLAIN, "log_url": "", "data_source": [], "config_desc": None}
    assert found(state_of(one=before), {"one": PLAIN}).changes == ()


def test_what_cannot_be_read_back_is_shown() -> None:
    problem = "train_instance_type: the service has no flavor with spec_id 77 any more"
    live = LiveConfig("one", {**PLAIN, "train_instance_type": "(spec_id 77)"}, (problem,))
    drift = found(state_of(one=PLAIN, two=PLAIN), {"one": live, "two": None})
    assert drift.warnings == (f"job_config.one: {problem}",)
    assert drift.changes[0].fields == (field_change("train_instance_type", "gpu", "(spec_id 77)"),)


SOURCE_KEYS = ("inputs", "dataset_id", "dataset_version_id", "data_source")


def sources_in(params: Params) -> list[Any]:
    """One source, in whatever words: a difference of words alone is none. A lone key of a
    dataset has no other words."""
    own = source_of(params)
    if any(key.startswith("dataset_") for key in params) and (own or {}).get("type") != "dataset":
        return []
    return [it for it in (own, *params.get("data_source", ())) if it]


@settings(max_examples=60)
@given(strategies.params, strategies.params, st.randoms())
@example(
    {"pool_id": "p", "data_source": [{"type": "obs", "data_url": "/b/x/"}]},
    {"inputs": "/b/x/"},
    Random(1),
)
@example({**PLAIN, "inputs": "/b/x/", "dataset_version_id": "0"}, {"inputs": "/b/x/"}, Random(1))
def test_exactly_the_places_that_differ_are_shown(before: Params, live: Params, draw: Any) -> None:
    # The service may say the same source of data in other words; then the state's are shown.
    old, new = leaves(before), leaves(LiveConfig("one", live).params_as(before))
    differing = {place for place in old | new if old.get(place) != new.get(place)}
    if len(sources_in(before)) == 1 and sources_in(before) == sources_in(live):
        differing -= {place for place in differing if place[0] in SOURCE_KEYS}
    drift = found(state_of(one=before), {"one": live})
    told = {change.path: change for item in drift.changes for change in item.fields}
    assert set(told) == differing
    for place, change in told.items():
        assert (change.before, change.after) == (old.get(place), new.get(place))
    assert found(state_of(one=before), {"one": before}).changes == ()

    ignored = {place for place in differing if draw.random() < 0.5}
    policies = ComparePolicies({"one": ComparePolicy(frozenset(ignored))})
    drift = found(state_of(one=before), {"one": live}, policies=policies)
    assert {field.path for item in drift.changes for field in item.fields} == differing - ignored


@settings(max_examples=40)
@given(strategies.params, st.randoms())
def test_whatever_is_secret_an_unchanged_one_has_not_drifted(params: Params, draw: Any) -> None:
    places = [place for place in leaves(params) if draw.random() < 0.5]
    state = state_of(one=masked(state_of(), params, *places))
    assert found(state, {"one": params}).changes == ()


@pytest.fixture(params=["replace", "merge"])
def provider(request: pytest.FixtureRequest) -> Iterator[Provider]:
    put: Literal["replace", "merge"] = request.param
    app = create_app(faults=Faults(put=put, blanks="mixed"))
    keys = ("emulator", "emulator", "emulator")
    session = Session(*keys, endpoint=EMULATOR_ENDPOINT, transport=create_adapter(app))
    with Provider(session, Estimator, on_close=app.close) as opened:
        yield opened


@settings(max_examples=40)
@given(strategies.names, known_params, known_params)
def test_however_the_service_writes_its_blanks_what_was_sent_has_not_drifted(
    provider: Provider, name: str, first: Params, second: Params
) -> None:
    provider.create_job_config(name, first)
    cleared = [key for key in first if key not in second]
    assert provider.update_job_config(name, second, cleared) == DONE
    live = {name: provider.read_job_config(name)}
    drift = found(state_of(**{name: second}), live, provider.config_names())
    assert (drift.changes, drift.unchanged, drift.unmanaged) == ((), 1, ())
    assert provider.delete_job_config(name) == DONE
