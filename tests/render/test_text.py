from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import printable
from majobctl.job_config import JobConfig
from majobctl.plan import Action, Plan, make_plan
from majobctl.render.text import (
    VALUE_WIDTH,
    entry_text,
    plan_text,
    result_line,
    result_text,
    shown,
    state_text,
)
from majobctl.results import ApplyResult, End, Result
from majobctl.state import Entry, State
from tests import plan_strategies as strategies
from tests.test_plan import AT, PLAIN, TARGET, desired_of, state_of


class Place:
    file = "jobs/one.toml"
    line = 3


def planned(before: dict[str, Any] | None, after: dict[str, Any]) -> Plan:
    desired = {"one": JobConfig("one", after, Place())}
    return make_plan(desired, state_of(one=before) if before else None, TARGET)


def test_an_update_shows_each_value_before_and_after() -> None:
    before = {**PLAIN, "log_url": "/b/l/"}
    after = {**PLAIN, "train_instance_count": 2, "hyperparameters": {"epochs": "10"}}
    assert plan_text(planned(before, after)) == (
        "  ~ job_config.one                               jobs/one.toml:3\n"
        "      ~ train_instance_count         1 -> 2\n"
        '      + hyperparameters.epochs       "10"\n'
        '      - log_url                      "/b/l/"\n'
        "\n"
        "Plan: 0 to add, 1 to update, 0 to forget; 0 unchanged. 1 update_job_configs call.\n"
    )


def test_each_kind_of_change_has_its_sign() -> None:
    state = state_of(
        changed={**PLAIN, "train_instance_count": 5},
        gone=PLAIN,
        same=PLAIN,
        unsure=Entry(PLAIN, AT, True, PLAIN),
    )
    desired = desired_of(added=PLAIN, changed=PLAIN, same=PLAIN, unsure=PLAIN)
    lines = plan_text(make_plan(desired, state, TARGET)).splitlines()
    heads = [line for line in lines if "job_config." in line]
    assert heads == [
        "  + job_config.added",
        "  ~ job_config.changed",
        "  . job_config.gone",
        "  ? job_config.unsure",
    ]
    assert "      in no file any more: it leaves the state, and stays in the service" in lines
    assert "      the outcome of the last call is unknown: it is sent again" in lines
    assert lines[-1] == (
        "Plan: 1 to add, 1 to update, 1 to resend, 1 to forget; 1 unchanged."
        " 3 update_job_configs calls."
    )


@pytest.mark.parametrize(
    ("count", "line"),
    [
        (0, "No changes. 0 job configs match the state."),
        (1, "No changes. 1 job config matches the state."),
        (12, "No changes. 12 job configs match the state."),
    ],
)
def test_no_changes_is_one_line(count: int, line: str) -> None:
    configs = {f"n{number}": PLAIN for number in range(count)}
    plan = make_plan(desired_of(**configs), state_of(**configs), TARGET)
    assert plan_text(plan) == line + "\n"


def test_colours_are_asked_for_by_sign() -> None:
    asked: list[tuple[str, str]] = []

    def paint(text: str, colour: str) -> str:
        asked.append((text, colour))
        return f"<{text}>"

    text = plan_text(planned({**PLAIN, "log_url": "/b/l/"}, {**PLAIN, "inputs": "/b/i/"}), paint)
    assert asked == [("~", "yellow"), ("-", "red"), ("+", "green")]
    assert "  <~> job_config.one" in text


def test_a_list_is_one_value_and_long_values_are_cut() -> None:
    sources = [{"type": "obs", "data_url": f"/b/{number}/"} for number in range(9)]
    text = plan_text(planned(None, {**PLAIN, "data_source": sources}))
    (line,) = [line for line in text.splitlines() if "data_source" in line]
    assert line.endswith("…")
    assert len(line) < 110
    assert shown("x" * (VALUE_WIDTH - 2)) == '"' + "x" * (VALUE_WIDTH - 2) + '"'
    assert len(shown("x" * 999)) == VALUE_WIDTH


@given(strategies.params, strategies.params)
def test_each_changed_path_is_named_and_nothing_reaches_the_terminal(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    plan = planned(before, after)
    text = plan_text(plan)
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    named = [line for line in lines if line.startswith("      ")]
    fields = [field for change in plan.changes for field in change.fields]
    assert len(named) == len(fields)
    for line, field in zip(named, fields, strict=True):
        assert line.startswith(f"      {field.action.sign} {printable('.'.join(field.path))} ")


@given(st.text())
def test_any_value_is_shown_on_one_printable_line(value: str) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) <= VALUE_WIDTH


def test_names_of_a_hand_made_state_are_safe_to_print() -> None:
    evil = "\x1b[31mevil\n"
    state = State(evil, 1, TARGET, {evil: Entry({evil: {evil: evil}, "b": [evil]}, evil)})
    for text in (
        plan_text(make_plan({}, state, TARGET)),
        state_text(state),
        entry_text(state, evil),
    ):
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\\x1b[31mevil\\n" in text


def test_a_finished_change_is_one_line() -> None:
    for action, end in [
        (Action.ADD, "added (0.3 s)"),
        (Action.UPDATE, "updated (0.3 s)"),
        (Action.RESEND, "resent (0.3 s)"),
        (Action.FORGET, "forgotten"),
    ]:
        assert result_line(Result("one", action, End.DONE, 0.26)) == f"job_config.one: {end}"
    failed = Result("one", Action.ADD, End.FAILED, 0.1, "ModelArts.2781", "Flavor (9) not found.")
    assert result_line(failed) == "job_config.one: failed: ModelArts.2781 Flavor (9) not found."
    unknown = Result("one", Action.ADD, End.UNKNOWN, 0.1, "", "timed\nout")
    assert result_line(unknown) == "job_config.one: unknown: timed\\nout"


def test_the_result_ends_with_its_summary() -> None:
    done = ApplyResult(
        (
            Result("a", Action.ADD, End.DONE, 0.1),
            Result("b", Action.UPDATE, End.DONE, 0.1),
            Result("c", Action.UPDATE, End.DONE, 0.1),
        ),
        13,
    )
    assert done.is_complete
    assert result_text(done) == (
        "Apply complete: 1 added, 2 updated, 0 forgotten, 0 failed. State serial 13.\n"
    )


def test_the_result_tells_what_failed_and_what_was_not_attempted() -> None:
    result = ApplyResult(
        (
            Result("a", Action.RESEND, End.DONE, 0.1),
            Result("b", Action.ADD, End.FAILED, 0.1, "X.1", "no", "do this"),
            Result("c", Action.ADD, End.UNKNOWN, 0.1, "", "timed out", "apply again"),
            Result("d", Action.FORGET, End.NOT_ATTEMPTED),
        ),
        2,
    )
    assert not result.is_complete
    assert result_text(result) == (
        "Failed:\n  job_config.b: X.1 no\n      do this\n\n"
        "Unknown:\n  job_config.c: timed out\n      apply again\n\n"
        "Not attempted:\n  job_config.d\n\n"
        "Apply incomplete: 0 added, 0 updated, 1 resent, 0 forgotten, 1 failed, 1 unknown,"
        " 1 not attempted. State serial 2.\n"
    )


def test_a_state_has_a_line_for_each_job_config() -> None:
    state = state_of(a=PLAIN, b=Entry({}, "", True, PLAIN))
    assert state_text(state).splitlines() == [
        f"Target   {TARGET.endpoint}, project {TARGET.project_id}",
        "Serial   7",
        "Lineage  a-lineage",
        "",
        f"  job_config.a                                 {AT}",
        "  job_config.b                                 outcome unknown, will be sent again",
        "2 job configs.",
    ]


def test_one_job_config_of_the_state_is_told_key_by_key() -> None:
    params = {**PLAIN, "hyperparameters": {"lr": "0.1"}, "log_url": "/b/" + "l" * 99}
    text = entry_text(state_of(one=params), "one")
    assert '    hyperparameters.lr           "0.1"\n' in text
    assert "l" * 99 in text
    assert text.endswith(f"    applied at {AT}\n")
    pending = entry_text(state_of(one=Entry({}, "", True, PLAIN)), "one")
    assert "will be sent again" in pending
    assert "no time known" in pending


def test_a_sensitive_value_is_not_shown() -> None:
    mask = {"$sensitive": "hmac-sha256:0123"}
    params = {**PLAIN, "config_desc": mask, "hyperparameters": {"key": mask}}
    for text in (
        plan_text(planned(None, params)),
        plan_text(planned(params, {**params, "config_desc": {"$sensitive": "hmac-sha256:4567"}})),
        entry_text(state_of(one=params), "one"),
    ):
        assert "(sensitive)" in text
        assert "hmac" not in text
