"""References in strings: the environment's variables, and the literal form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.job_config.secrets import UnsetText, unset_variables
from majobctl.repository.jobs.references import resolve
from tests.strategies import plain_values


def resolved(text: str) -> str:
    found, violations = resolve({"key": text})
    assert not violations
    value = found.values["key"]
    assert isinstance(value, str)
    return value


def refusals(text: str) -> list[str]:
    found, violations = resolve({"key": text})
    assert found.values == {"key": text}
    return [violation.text() for violation in violations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${env.BUCKET}", "ml"),
        ("/${env.BUCKET}/${env._X9}/", "/ml/nine/"),
        ("${env.BUCKET}${env.BUCKET}", "mlml"),
        ("$${env.BUCKET}", "${env.BUCKET}"),
        ("$$${env.BUCKET}", "$${env.BUCKET}"),
        ("$${", "${"),
        ("$$ {x} $x $", "$$ {x} $x $"),
        ("${env.REFERENCE}", "${env.BUCKET}"),
        ("line\n${env.BUCKET}", "line\nml"),
    ],
)
def test_a_reference_is_replaced_once(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "ml")
    monkeypatch.setenv("_X9", "nine")
    monkeypatch.setenv("REFERENCE", "${env.BUCKET}")
    assert resolved(text) == expected


@pytest.mark.parametrize(
    "text",
    ["${HOME}", "${env}", "${env.}", "${env.9X}", "${env.A B}", "${ env.HOME }", "${}", "${ENV.A}"],
)
def test_what_is_no_reference_is_reported_with_all_forms_to_write(text: str) -> None:
    (reported,) = refusals(text)
    forms = "write ${env.NAME}, ${var.NAME}, or $${ for a literal ${"
    assert reported == f'"{text}" is not a reference: {forms}'


def test_a_reference_without_its_end_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKET", "ml")
    (reported,) = refusals("${env.BUCKET")
    assert reported.startswith('"${env.BUCKET" has no closing }')


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_a_text_that_needs_an_unset_or_empty_variable_is_not_known(
    empty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "ml")
    monkeypatch.setenv("EMPTY", empty)
    text = "${env.BUCKET}/${env.EMPTY}${env.MAJOBCTL_TEST_UNSET}${env.EMPTY}"
    found, violations = resolve({"key": text})
    assert not violations
    value = found.values["key"]
    assert isinstance(value, UnsetText)
    assert unset_variables(value.mask) == ["EMPTY", "MAJOBCTL_TEST_UNSET"]
    assert found.secret_paths == {("key",)}


@pytest.mark.parametrize("text", ["a-secret\n", "a\tb", "\x1b[31m", "\x7f"])
def test_a_variable_with_a_control_character_is_named_without_its_value(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", text)
    _, (violation,) = resolve({"key": "Bearer ${env.TOKEN}"})
    assert violation.text() == (
        "the environment variable TOKEN must not have a control character, such as a line break"
    )


TEXTS = {"var.bucket": "ml", "var.empty": "", "var.odd": "${env.HOME}", "matrix.lr": "0.1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/${var.bucket}/${matrix.lr}/", "/ml/0.1/"),
        ("${var.bucket}${var.bucket}", "mlml"),
        ("a${var.empty}b", "ab"),
        ("$${var.bucket} $${matrix.lr}", "${var.bucket} ${matrix.lr}"),
        ("${var.odd}", "${env.HOME}"),
    ],
)
def test_a_variable_is_replaced_once_and_is_no_secret(text: str, expected: str) -> None:
    found, violations = resolve({"key": text, "below": {"label": [text]}}, TEXTS)
    assert found.values == {"key": expected, "below": {"label": [expected]}}
    assert not violations
    assert not found.secret_paths


@pytest.mark.parametrize(
    ("text", "reported"),
    [
        ("${var.bukcet}", '"${var.bukcet}": no variable "bukcet"; did you mean "bucket"?'),
        ("${var.lr}", '"${var.lr}": no variable "lr"; declare it in [variables] of the settings'),
        ("${var.}", '"${var.}": no variable ""; declare it in [variables] of the settings'),
        (
            "${ var.bucket}",
            '"${ var.bucket}" is not a reference: write ${env.NAME}, ${var.NAME}, or ',
        ),
        ("${matrix.lrs}", '"${matrix.lrs}": no matrix with "lrs"; did you mean "lr"?'),
        (
            "${matrix.bucket}",
            '"${matrix.bucket}": no matrix with "bucket"; it needs a matrix with this key',
        ),
        ("${var.bucket", '"${var.bucket" has no closing }: write '),
    ],
)
def test_what_names_no_variable_is_reported_with_the_nearest(text: str, reported: str) -> None:
    found, violations = resolve({"key": text}, TEXTS)
    assert [violation.text()[: len(reported)] for violation in violations] == [reported]
    assert found.values == {"key": text}


def test_references_to_a_matrix_that_is_not_there_are_known_by_their_paths() -> None:
    found, _ = resolve({"a": "${matrix.x}", "b": ["", "${matrix.x}"], "c": "${var.x}"})
    assert found.matrix_paths == {("a",), ("b", 1)}
    assert not resolve({"a": "${matrix.lr}"}, TEXTS)[0].matrix_paths


def test_every_reference_of_a_text_is_reported() -> None:
    assert len(refusals("${A} ${env.MAJOBCTL_TEST_UNSET} ${B")) == 2


def test_a_reference_with_hostile_characters_is_reported_without_them() -> None:
    (reported,) = refusals("${\x1b[31m\u202e}")
    assert reported.isprintable()


def test_places_are_known_at_every_depth_of_a_job_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X", "1")
    found, _ = resolve(
        {
            "log_url": "/${env.X}/",
            "hyperparameters": {"lr": "${env.X}", "${env.X}": "a label is no value"},
            "data_source": [{"data_url": "/b/"}, {"data_url": "/${env.X}/"}],
            "config_desc": "$${env.X}",
        }
    )
    assert found.secret_paths == {
        ("log_url",),
        ("hyperparameters", "lr"),
        ("data_source", 1, "data_url"),
    }
    assert found.values["hyperparameters"] == {"lr": "1", "${env.X}": "a label is no value"}
    assert found.values["data_source"][1] == {"data_url": "/1/"}


def test_nesting_without_end_is_left_as_it_is() -> None:
    nested: object = "${A}"
    for _ in range(5_000):
        nested = [nested]
    _, violations = resolve({"key": nested})
    assert not violations


@given(st.dictionaries(st.text(max_size=5), plain_values, max_size=3))
def test_values_without_references_stay_as_they_are(raw: dict[str, object]) -> None:
    found, violations = resolve(raw)
    assert found.values == raw
    assert not violations
    assert not found.secret_paths


@given(st.text())
def test_any_text_is_resolved_or_reported(text: str) -> None:
    found, violations = resolve({"key": text})
    assert violations or found.values["key"] == text.replace("$${", "${")
