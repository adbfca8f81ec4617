"""The keys of a job config that are no parameters, one table at a time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.job_config.compare_policy import ignored_places
from majobctl.job_config.directives import DIRECTIVES, Directives, without_directives
from majobctl.job_config.fields import FIELDS
from tests.strategies import plain_values, texts


def violations_of(**table: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(item.path, item.message) for item in Directives.of(table)[1]]


def good(**table: Any) -> Directives:
    found, violations = Directives.of(table)
    assert violations == []
    return found


def test_a_table_without_any_says_nothing() -> None:
    assert good() == good(train_instance_count=1) == Directives()
    assert Directives().prevent_delete is None


def test_each_is_read() -> None:
    assert good(
        sensitive=["token"],
        ignore_changes=["config_desc", "hyperparameters.a.b", "hyperparameters"],
        prevent_delete=False,
        renamed_from="old-Name_1",
    ) == Directives(
        sensitive=("token",),
        ignored=frozenset({("config_desc",), ("hyperparameters", "a.b"), ("hyperparameters",)}),
        prevent_delete=False,
        renamed_from="old-Name_1",
    )
    assert good(renamed_from="", sensitive=[], ignore_changes=[]) == Directives()


ARRAY = "ignore_changes must be an array of strings, keys and hyperparameters.LABEL"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("ignore_changes",), "config_desc", f"{ARRAY}, not a string"),
        (("ignore_changes", 1), ["config_desc", 5], f"{ARRAY}; this is an integer"),
        (
            ("ignore_changes", 0),
            ["config_dsec"],
            'ignore_changes: "config_dsec" is not a key of a job config;'
            ' did you mean "config_desc"?',
        ),
        (
            ("ignore_changes", 0),
            ["job_description"],
            "ignore_changes: job_description is not part of any request, so it never changes in the"
            " service",
        ),
        (
            ("ignore_changes", 0),
            ["config_desc.x"],
            'ignore_changes: "config_desc.x" must be a key, or hyperparameters.LABEL',
        ),
        (("prevent_delete",), "true", "prevent_delete must be true or false, not a string"),
        (("prevent_delete",), 1, "prevent_delete must be true or false, not an integer"),
        (("renamed_from",), ["old"], "renamed_from must be a string, not an array"),
    ],
)
def test_a_wrong_one_is_told_at_its_place_and_stands_as_left_out(
    path: tuple[str, ...], value: Any, message: str
) -> None:
    found, violations = Directives.of({path[0]: value})
    assert [(item.path, item.message) for item in violations] == [(path, message)]
    assert found == Directives(ignored=found.ignored)


def test_each_wrong_item_is_told_and_the_good_ones_count() -> None:
    found, violations = Directives.of({"ignore_changes": ["", "inputs", "hyperparameters.", 1]})
    assert [item.path[1] for item in violations] == [0, 3, 2]
    assert found.ignored == {("inputs",)}


@pytest.mark.parametrize("name", ["a b", "x" * 65, "ü", "a/b", "${env.X}"])
def test_a_name_that_nothing_could_have_had_is_told(name: str) -> None:
    ((path, message),) = violations_of(renamed_from=name)
    assert path == ("renamed_from",)
    assert message.startswith("renamed_from: ")


def test_those_of_the_deviolations_are_below() -> None:
    below = good(sensitive=["a"], ignore_changes=["inputs"], prevent_delete=True)
    own = good(sensitive=["b"], ignore_changes=["config_desc"], renamed_from="old")
    whole = own.over(below)
    assert set(whole.sensitive) == {"a", "b"}
    assert whole.ignored == {("inputs",), ("config_desc",)}
    assert (whole.prevent_delete, whole.renamed_from) == (True, "old")
    assert good(prevent_delete=False).over(below).prevent_delete is False
    assert good().over(below) == below
    assert own.over(good()) == own


def test_none_of_them_is_a_parameter() -> None:
    assert not DIRECTIVES.keys() & FIELDS.keys()
    table = dict.fromkeys((*DIRECTIVES, *FIELDS), 1)
    assert without_directives(table) == dict.fromkeys(FIELDS, 1)


@given(st.dictionaries(st.sampled_from(list(DIRECTIVES)), plain_values))
def test_any_values_are_read_or_told_at_their_key(table: dict[str, Any]) -> None:
    found, violations = Directives.of(table)
    assert all(item.path[0] in table and item.message for item in violations)
    if not violations:
        assert Directives.of(table) == (found, [])


@given(texts)
def test_any_text_names_a_place_or_is_told(text: str) -> None:
    places, violations = ignored_places({7: text}, ("ignore_changes",))
    assert [".".join(place) for place in places] == ([] if violations else [text])
    assert all(found.path == ("ignore_changes", 7) and found.message for found in violations)
