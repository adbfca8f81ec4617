from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl import __version__
from majobctl.errors import StateError
from majobctl.state.document import Entry, State
from majobctl.target import Target
from tests.plan import plan_strategies as strategies
from tests.plan.values import AT, TARGET, entry_of, state_of, unsure

NAME = "majobctl.state.json"
DOCUMENT: dict[str, Any] = {
    "format_version": 1,
    "majobctl_version": "0.1.0",
    "serial": 3,
    "lineage": "a-lineage",
    "salt": "a-salt",
    "target": {"endpoint": TARGET.endpoint, "project_id": TARGET.project_id},
    "job_configs": {"one": {"params": {"train_instance_count": 1}, "applied_at": AT}},
}

entries = st.builds(entry_of, strategies.params, prevent_delete=st.booleans()) | st.builds(
    unsure, strategies.params, strategies.params
)
states = st.builds(
    State,
    lineage=strategies.texts,
    serial=st.integers(0, 10**9),
    target=st.builds(Target, strategies.texts, strategies.texts),
    job_configs=st.dictionaries(strategies.names, entries, max_size=4),
    salt=strategies.texts,
)


def load(document: Any) -> State:
    return State.load(json.dumps(document).encode(), NAME)


def refusal_of(content: bytes) -> str:
    with pytest.raises(StateError) as raised:
        State.load(content, NAME)
    return str(raised.value)


@given(states)
def test_a_state_survives_save_and_load(state: State) -> None:
    loaded = State.load(state.dump(), NAME)
    assert loaded == state
    assert loaded.dump() == state.dump()


def test_the_file_is_sorted_json_with_two_spaces() -> None:
    state = load(DOCUMENT)
    wanted = json.dumps({**DOCUMENT, "majobctl_version": __version__}, indent=2, sort_keys=True)
    assert state.dump().decode() == wanted + "\n"


def test_the_order_of_entries_does_not_reach_the_file() -> None:
    one, two = {"train_instance_count": 1}, {"train_instance_count": 2}
    assert state_of(a=one, b=two).dump() == state_of(b=two, a=one).dump()


def test_text_beyond_ascii_is_kept_as_it_is() -> None:
    assert "Grüße 配置 ☃".encode() in state_of(a={"config_desc": "Grüße 配置 ☃"}).dump()


@pytest.mark.parametrize("is_second", [False, True])
def test_an_unknown_outcome_is_kept_with_what_was_sent(is_second: bool) -> None:
    earlier = [{"a": "c"}, {"d": "e"}]
    entry = {"params": {}, "applied_at": "", "pending": True, "attempted": {"a": "b"}}
    entry |= {"earlier": earlier} if is_second else {}
    state = load({**DOCUMENT, "job_configs": {"one": entry}})
    wanted = Entry(params={}, applied_at="", pending=True, attempted={"a": "b"})
    wanted = replace(wanted, earlier=tuple(earlier)) if is_second else wanted
    assert state.job_configs["one"] == wanted
    assert state.document()["job_configs"]["one"] == entry


def test_a_protection_is_kept_and_none_is_not_written() -> None:
    state = load({**DOCUMENT, "job_configs": {"one": {**_WHOLE_ENTRY, "prevent_delete": True}}})
    assert state.job_configs["one"] == entry_of({}, prevent_delete=True)
    assert state.document()["job_configs"]["one"]["prevent_delete"] is True
    plain = load({**DOCUMENT, "job_configs": {"one": {**_WHOLE_ENTRY, "prevent_delete": False}}})
    assert plain.document()["job_configs"]["one"] == _WHOLE_ENTRY
    assert plain.digest() != state.digest(), "a saved plan must not outlive it"


def test_a_change_is_one_more_write() -> None:
    state = load(DOCUMENT)
    after = state.changed({})
    assert (after.serial, after.lineage, after.target) == (4, state.lineage, state.target)
    assert after.job_configs == {}


def test_each_new_state_has_a_lineage_and_a_salt_of_its_own() -> None:
    one, two = State.new(TARGET), State.new(TARGET)
    assert one.lineage != two.lineage
    assert one.salt != two.salt
    assert (one.serial, one.job_configs) == (0, {})
    assert State.new(TARGET, "given").salt == "given"


def test_a_state_without_a_salt_is_read() -> None:
    document = {key: value for key, value in DOCUMENT.items() if key != "salt"}
    state = load(document)
    assert state.salt == ""
    assert "salt" not in state.document()


def test_another_targets_state_is_refused() -> None:
    state = load(DOCUMENT)
    state.check_target(TARGET, NAME)
    for other in (Target("https://elsewhere", TARGET.project_id), Target(TARGET.endpoint, "p")):
        with pytest.raises(StateError, match="belongs to another target") as raised:
            state.check_target(other, NAME)
        assert TARGET.endpoint in str(raised.value)
        assert other.endpoint in str(raised.value)
        assert "nothing was changed" in str(raised.value)


@pytest.mark.parametrize("side", ["params", "attempted"])
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"hyperparameters": None}, {}),
        ({"hyperparameters": {}, "log_url": "", "data_source": []}, {}),
        ({"hyperparameters": {"a": None}}, {}),
        ({"hyperparameters": {"a": None, "b": ""}}, {"hyperparameters": {"b": ""}}),
        ({"log_url": None, "train_instance_count": 0}, {"train_instance_count": 0}),
    ],
)
def test_what_somebody_left_blank_is_not_there(
    side: str, written: dict[str, Any], read: dict[str, Any]
) -> None:
    entry = {**_WHOLE_ENTRY, "pending": True, side: written}
    (found,) = load({**DOCUMENT, "job_configs": {"x": entry}}).job_configs.values()
    assert getattr(found, side) == read


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b'{"a": 1,\nx}', "it is not JSON (line 2, column 1)"),
        (b"\xff{", "it is not UTF-8: byte 0"),
        (b"null", "it is not a JSON object"),
        (b"NaN", "it is not JSON: NaN is not a number"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b"1" * 5_000, "a number has too many digits"),
        (b"{}", "format_version is missing"),
        (json.dumps(DOCUMENT).encode()[:-1], "it is not JSON ("),
    ],
)
def test_bytes_that_are_no_state_are_refused(content: bytes, reason: str) -> None:
    message = refusal_of(content)
    assert message.startswith(f"{NAME} is damaged: ")
    assert reason in message
    assert "left untouched" in message
    assert ".backup" in message


def nested(depth: int) -> dict[str, Any]:
    """So many tables in one another."""
    return {"a": nested(depth - 1)} if depth > 1 else {}


def test_an_entry_that_nests_less_deep_is_read() -> None:
    entry = {**_WHOLE_ENTRY, "params": nested(9), "attempted": nested(9), "pending": True}
    content = json.dumps({**DOCUMENT, "job_configs": {"x": entry}}).encode()
    assert State.load(content, "x.json").job_configs["x"].params == nested(9)


_WHOLE_ENTRY = {"params": {}, "applied_at": AT}


@pytest.mark.parametrize("key", ["format_version", "serial", "lineage", "target", "job_configs"])
def test_a_missing_key_is_named(key: str) -> None:
    content = json.dumps({name: DOCUMENT[name] for name in DOCUMENT if name != key}).encode()
    assert refusal_of(content).startswith(f"{NAME} is damaged: {key} is missing\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format_version": None}, "format_version must be an integer, not null"),
        ({"format_version": 0}, "format_version must be 1 or more"),
        ({"format_version": True}, "format_version must be an integer, not a boolean"),
        ({"format_version": "1"}, "format_version must be an integer, not a string"),
        ({"serial": -1}, "serial must be 0 or more"),
        ({"serial": True}, "serial must be an integer, not a boolean"),
        ({"serial": 1.5}, "serial must be an integer, not a number"),
        ({"lineage": ""}, "lineage must not be empty"),
        ({"lineage": 5}, "lineage must be a string, not an integer"),
        ({"salt": 5}, "salt must be a string, not an integer"),
        ({"job_configs": {"x" * 501: {}}}, "job_configs has a name of more than 500 characters"),
        ({"merged": None}, "merged must be a string, not null"),
        ({"target": None}, "target must be an object, not null"),
        ({"target": {"endpoint": "x"}}, "target.project_id is missing"),
        (
            {"target": {"endpoint": 1, "project_id": "x"}},
            "target.endpoint must be a string, not an integer",
        ),
        ({"job_configs": []}, "job_configs must be an object, not an array"),
        ({"job_configs": {"x\x1b": None}}, 'job_configs."x\\u001b" must be an object, not null'),
    ],
)
def test_each_kind_of_damage_is_named(change: dict[str, Any], reason: str) -> None:
    message = refusal_of(json.dumps({**DOCUMENT, **change}).encode())
    assert message.startswith(f"{NAME} is damaged: {reason}\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"params": []}, ".params must be an object, not an array"),
        ({"params": ...}, ".params is missing"),
        ({"applied_at": 1}, ".applied_at must be a string, not an integer"),
        ({"applied_at": ...}, ".applied_at is missing"),
        ({"pending": "yes"}, ".pending must be true or false, not a string"),
        ({"attempted": 1}, ".attempted must be an object, not an integer"),
        ({"earlier": {}}, ".earlier must be an array, not an object"),
        ({"earlier": [{}, 1]}, ".earlier[1] must be an object, not an integer"),
        ({"earlier": [nested(10)]}, " is nested more than 9 levels deep"),
        ({"prevent_delete": 1}, ".prevent_delete must be true or false, not an integer"),
        ({"prevent_delete": None}, ".prevent_delete must be true or false, not null"),
        ({"params": nested(10)}, " is nested more than 9 levels deep"),
        ({"attempted": nested(10)}, " is nested more than 9 levels deep"),
    ],
)
def test_each_kind_of_damage_of_an_entry_is_named(change: dict[str, Any], reason: str) -> None:
    entry = {**_WHOLE_ENTRY, **change}
    entry = {key: value for key, value in entry.items() if value is not ...}
    document = {**DOCUMENT, "job_configs": {"good": _WHOLE_ENTRY, "x": entry}}
    message = refusal_of(json.dumps(document).encode())
    assert message.startswith(f"{NAME} is damaged: job_configs.x{reason}\n")


def test_a_newer_format_is_refused_as_that() -> None:
    newer = {**DOCUMENT, "format_version": 2, "majobctl_version": "9.0\x1b"}
    message = refusal_of(json.dumps(newer).encode())
    assert "has format 2, made by majobctl 9.0\\x1b" in message
    assert "use a newer majobctl" in message
    assert "damaged" not in message


@given(st.binary(max_size=60))
def test_any_bytes_are_refused_as_damaged(content: bytes) -> None:
    assert "is damaged" in refusal_of(content)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


_keys = st.sampled_from(["hyperparameters", "data_source", "log_url", "sensitive"])


@given(st.dictionaries(st.sampled_from([*DOCUMENT, "more"]), _json), st.booleans())
def test_any_json_is_either_a_state_that_can_be_saved_or_refused(
    changes: dict[str, Any], is_laid_over: bool
) -> None:
    content = json.dumps({**(DOCUMENT if is_laid_over else {}), **changes}).encode()
    try:
        state = State.load(content, NAME)
    except StateError:
        return
    assert State.load(state.dump(), NAME) == state


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999", "[" * 600 + "]" * 600])
def test_values_that_could_not_be_saved_again_are_refused(value: str) -> None:
    content = json.dumps(DOCUMENT).replace('"train_instance_count": 1', f'"inputs": {value}')
    assert "is damaged" in refusal_of(content.encode())
    name = json.dumps(DOCUMENT).replace('"one"', '"\\ud800"')
    assert "is damaged" in refusal_of(name.encode())


@given(
    st.dictionaries(st.sampled_from(["params", "applied_at"]), _json, max_size=2)
    | st.fixed_dictionaries({"params": st.dictionaries(_keys, _json), "applied_at": st.text()})
)
def test_an_entry_is_the_same_at_a_quick_look_and_at_a_close_one(entry: dict[str, Any]) -> None:
    quick, close = (
        {**DOCUMENT, "job_configs": {"one": {**entry, **more}}} for more in ({}, {"pending": False})
    )
    try:
        state = load(close)
    except StateError as error:
        assert refusal_of(json.dumps(quick).encode()) == str(error)
    else:
        assert load(quick) == state
