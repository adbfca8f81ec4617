"""What every error says, and that no text from outside acts on a terminal."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import (
    AuthError,
    ConfigError,
    LockedError,
    MajobctlError,
    Problem,
    ProviderError,
    ServiceError,
    StalePlanError,
    StateError,
    TransportError,
)
from majobctl.text import nearest, printable, quoted, utc_now


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (
            Problem(file="a.toml", line=3, where="job_config.a", message="is wrong"),
            "a.toml:3: job_config.a: is wrong",
        ),
        (Problem(file="a.toml", line=3, column=7, message="is wrong"), "a.toml:3:7: is wrong"),
        (Problem(file="a.toml", message="cannot be read"), "a.toml: cannot be read"),
        (Problem(where="job_config.a", message="is wrong"), "job_config.a: is wrong"),
        (Problem(where="job_config.\x1b", message="is wrong"), "job_config.\\x1b: is wrong"),
    ],
)
def test_a_problem_says_where_and_what(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_problems_are_sorted_by_file_and_line_and_column() -> None:
    places = [("b", 1, 0), ("a", 10, 2), ("a", 2, 0), ("a", 10, 1)]
    problems = sorted(
        Problem(file=file, line=line, column=column, where="z", message="m")
        for file, line, column in places
    )
    found = [(problem.file, problem.line, problem.column) for problem in problems]
    assert found == [("a", 2, 0), ("a", 10, 1), ("a", 10, 2), ("b", 1, 0)]


def test_a_config_error_has_one_line_for_each_problem() -> None:
    problems = (Problem(file="a", line=1, message="x"), Problem(file="b", line=2, message="y"))
    error = ConfigError(iter(problems))
    assert error.problems == problems
    assert str(error) == "a:1: x\nb:2: y"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MajobctlError("x"), 1),
        (ConfigError([]), 1),
        (StateError("x"), 1),
        (LockedError("x"), 4),
        (StalePlanError("x"), 5),
        (ProviderError("x"), 1),
        (AuthError("x"), 1),
        (ServiceError("c", "r", status=400), 1),
        (TransportError("x", outcome_unknown=True), 1),
    ],
)
def test_each_error_has_the_exit_code_of_its_kind(error: MajobctlError, code: int) -> None:
    assert error.exit_code == code
    assert isinstance(error, MajobctlError)


@pytest.mark.parametrize(
    ("code", "reason", "text"),
    [
        ("ModelArts.0102", "The resource does not exist.", "ModelArts.0102 The resource does"),
        ("", "Not there.", "Not there."),
        ("ModelArts.0010", "", "ModelArts.0010"),
        ("", "", "HTTP status 500"),
        ("\x1b[2J", "\u202e", "\\x1b[2J \\u202e"),
    ],
)
def test_a_refusal_of_the_service_says_code_and_reason(code: str, reason: str, text: str) -> None:
    error = ServiceError(code, reason, status=500, request_id="r-1")
    assert str(error).startswith(text)
    assert (error.code, error.reason, error.status, error.request_id) == (code, reason, 500, "r-1")


def test_a_broken_connection_says_whether_the_outcome_is_known() -> None:
    error = TransportError("gone\x07", outcome_unknown=True)
    assert str(error) == "gone\\x07"
    assert error.outcome_unknown
    assert not TransportError("never sent", outcome_unknown=False).outcome_unknown


@pytest.mark.parametrize("text", ["", "plain", "Grüße 配置 ☃ 😀", "a'b\"c"])
def test_text_that_a_terminal_only_shows_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(st.text(st.characters()))
def test_no_text_acts_on_a_terminal(text: str) -> None:
    assert printable(text).isprintable()
    assert quoted(text).isprintable()
    assert quoted(text)[0] == quoted(text)[-1] == '"'


@given(st.text(st.characters(exclude_categories=["Cs"])).filter(str.isprintable))
def test_quoted_text_can_be_read_back(text: str) -> None:
    assert json.loads(quoted(text)) == text


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("log_ulr", '; did you mean "log_url"?'),
        ("dataset", '; did you mean "dataset_b" or "dataset_a"?'),
        ("\x1b[31m", ""),
        ("", ""),
        ("wholly_strange", ""),
        ("x" * 1_000_000, ""),
    ],
    ids=["one", "two", "hostile", "empty", "strange", "endless"],
)
def test_a_hint_names_what_is_near_and_nothing_else(word: str, hint: str) -> None:
    known = ["log_url", "dataset_a", "dataset_b"]
    assert nearest(word, known) == hint


def test_the_time_is_text_in_utc() -> None:
    moment = datetime.strptime(utc_now(), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=10)
