from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.plan.change import Action
from majobctl.plan.diff import items_of
from majobctl.plan.plan import Plan
from majobctl.plan.planner import make_plan
from majobctl.plan.results import ApplyResult, ChangeStatus
from majobctl.render import unpainted
from majobctl.render.results import result_line, result_text
from majobctl.render.text import entry_text, plan_text, state_text
from majobctl.render.text_fields import field_lines
from majobctl.render.values import json_text
from majobctl.state.document import Entry, State
from majobctl.text import columns, printable
from tests.plan import plan_strategies as strategies
from tests.plan.plan_strategies import Three, threes
from tests.plan.values import (
    AT,
    PLAIN,
    TARGET,
    desired_of,
    field_change,
    result_of,
    state_of,
    unsure,
)
from tests.render.html_plans import Place

UNKNOWN = Entry(params={}, applied_at="", pending=True, attempted=PLAIN)


def planned(before: dict[str, Any] | None, after: dict[str, Any]) -> Plan:
    desired = {"one": JobConfig("one", after, source=Place("jobs/one.toml", 3))}
    return make_plan(desired, state_of(one=before) if before else None, TARGET)


def refreshed(before: dict[str, Any], live: dict[str, Any], after: dict[str, Any]) -> Plan:
    service = {"one": LiveConfig("one", live)}
    return make_plan(desired_of(one=after), state_of(one=before), TARGET, live=service)


def test_an_update_shows_each_value_before_and_after() -> None:
    before = {**PLAIN, "log_url": "/b/l/"}
    after = {**PLAIN, "train_instance_count": 2, "hyperparameters": {"epochs": "10"}}
    assert plan_text(planned(before, after)) == (
        "  ~ job_config.one                               jobs/one.toml:3\n"
        "      ~ train_instance_count         1 -> 2\n"
        '      + hyperparameters.epochs       "10"\n'
        '      - log_url                      "/b/l/"\n'
        "\n"
        "Plan: 1 to update. 1 update_job_configs call.\n"
    )


def test_each_kind_of_change_has_its_sign() -> None:
    changed = {**PLAIN, "train_instance_count": 5}
    state = state_of(changed=changed, gone=PLAIN, same=PLAIN, unsure=unsure(PLAIN, PLAIN))
    desired = desired_of(added=PLAIN, changed=PLAIN, same=PLAIN, unsure=PLAIN)
    lines = plan_text(make_plan(desired, state, TARGET)).splitlines()
    heads = [line for line in lines if "job_config." in line]
    assert heads == [
        "  + job_config.added",
        "  ~ job_config.changed",
        "  forget job_config.gone",
        "  again job_config.unsure",
    ]
    assert "      no longer in any file: it leaves the state, and stays in the service" in lines
    assert "      the last call may have succeeded, or never been sent: it is sent again" in lines
    assert lines[-1] == (
        "Plan: 1 to add, 1 to update, 1 to resend, 1 to forget, 1 unchanged."
        " 3 update_job_configs calls."
    )


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "There are no job configs to compare."),
        (1, "1 job config matches the state."),
        (12, "12 job configs match the state."),
    ],
)
def test_no_changes_is_one_line(count: int, words: str) -> None:
    configs = {f"n{number}": PLAIN for number in range(count)}
    plan = make_plan(desired_of(**configs), state_of(**configs), TARGET)
    assert plan_text(plan) == f"No changes. {words}\n"


def test_colours_are_asked_for_by_sign() -> None:
    asked: list[tuple[str, str]] = []

    def paint(text: str, colour: str) -> str:
        asked.append((text, colour))
        return f"<{text}>"

    text = plan_text(planned({**PLAIN, "log_url": "/b/l/"}, {**PLAIN, "inputs": "/b/i/"}), paint)
    assert asked == [("~", "yellow"), ("-", "red"), ("+", "green")]
    assert "  <~> job_config.one" in text


@given(strategies.params, strategies.params)
def test_each_changed_path_is_named_and_nothing_reaches_the_terminal(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    plan = planned(before, after)
    text = plan_text(plan)
    lines = text.split("\n")
    assert all(line.isprintable() for line in lines)
    fields = [field for change in plan.changes for field in change.fields]
    told = [line for line in lines if line.startswith("      ")]
    items = [item for field in fields for item in items_of(field)]
    assert len([line for line in told if line[6] != " "]) == len(items)
    for item in items:
        start = f"      {item.action.sign} {printable(item.dotted)}"
        assert any(f"{line} ".startswith(f"{start} ") for line in told)


def lines_of(before: Any, after: Any, key: str = "data_source", **options: Any) -> list[str]:
    sides = ({**PLAIN, **({} if side is None else {key: side})} for side in (before, after))
    return plan_text(planned(*sides), **options).splitlines()[1:-2]


def test_an_array_is_shown_item_by_item() -> None:
    one, two, three = ({"type": "obs", "data_url": f"/b/{number}/"} for number in range(3))
    dataset = {"type": "dataset", "dataset_id": "d", "dataset_version": "v"}
    assert lines_of([one, two], [one, three]) == [
        '      ~ data_source[1].data_url      "/b/1/" -> "/b/2/"'
    ]
    assert lines_of([one], [two, three]) == [
        '      ~ data_source[0].data_url      "/b/0/" -> "/b/1/"',
        '      + data_source[1]               {"data_url": "/b/2/", "type": "obs"}',
    ]
    assert lines_of([one, two], None) == [
        '      - data_source[0]               {"data_url": "/b/0/", "type": "obs"}',
        '      - data_source[1]               {"data_url": "/b/1/", "type": "obs"}',
    ]
    assert lines_of([one], [dataset]) == [
        '      - data_source[0].data_url      "/b/0/"',
        '      + data_source[0].dataset_id    "d"',
        '      + data_source[0].dataset_version "v"',
        '      ~ data_source[0].type          "obs" -> "dataset"',
    ]
    many = [{"type": "obs", "data_url": f"/b/{number}/"} for number in range(300)]
    assert len(lines_of(many, many[1:])) == 300


def test_a_refreshed_plan_says_who_changed_an_array_and_what_is_to_change_there() -> None:
    def plan_of(was: str, now: str, wanted: str) -> list[str]:
        sources = ([{"type": "obs", "data_url": f"/b/{it}/"}] for it in (was, now, wanted))
        plan = refreshed(*({**PLAIN, "data_source": source} for source in sources))
        lines = plan_text(plan, width=150).splitlines()
        return lines[1 : lines.index("")]

    assert plan_of("x", "y", "x") == [
        '      ~ data_source[0].data_url      "/b/y/" -> "/b/x/"  (changed in the service)'
    ]
    assert plan_of("x", "y", "z") == [
        '      ~ data_source[0].data_url      "/b/y/" -> "/b/z/"  (edited in TOML, changed in the'
        ' service; the state has "/b/x/")'
    ]


ODD_ARRAYS = [["a"], [], [{"a": [[[]]]}], [{"$sensitive": "hmac-sha256:abc"}], [1, None], [[]]]


@pytest.mark.parametrize("after", ODD_ARRAYS)
@pytest.mark.parametrize("before", ODD_ARRAYS)
def test_arrays_that_no_job_config_could_have_are_shown_on_one_line(
    before: object, after: object
) -> None:
    (line,) = field_lines([field_change("data_source", before, after)], unpainted, None)
    assert line.startswith("      ~ data_source ")
    assert "hmac" not in line


PATH = "      {} config_desc                  "
BESIDE, BELOW = " " * 37, " " * 10


@pytest.mark.parametrize(
    ("width", "old", "new", "expected"),
    [
        (110, "a" * 30, "b" * 30, [f'{PATH}"{"a" * 30}" -> "{"b" * 30}"']),
        (80, "a" * 30, "b" * 30, [f'{PATH}"{"a" * 30}"', f'{BESIDE}-> "{"b" * 30}"']),
        (
            60,
            "a" * 30,
            "b" * 30,
            [PATH.rstrip(), f'{BELOW}"{"a" * 30}"', f'{BELOW}-> "{"b" * 30}"'],
        ),
        (230, "a" * 90, "b" * 90, [f'{PATH}"{"a" * 90}" -> "{"b" * 90}"']),
        (None, None, "a" * 70, [f'{PATH}"{"a" * 62}', f'{BESIDE}{"a" * 8}"']),
        (None, None, "日" * 40, [f'{PATH}"{"日" * 31}', f'{BESIDE}{"日" * 9}"']),
        (
            None,
            None,
            "two words " * 9,
            [f'{PATH}"two{" words two" * 5} words', f'{BESIDE}{" two words" * 3} "'],
        ),
        (
            80,
            None,
            "/b/" + "dir/" * 20,
            [f'{PATH}"/b/{"dir/" * 9}', f"{BESIDE}{'dir/' * 10}", f'{BESIDE}dir/"'],
        ),
        (60, None, "a" * 30, [PATH.rstrip(), f'{BELOW}"{"a" * 30}"']),
        (None, "same " * 9, "same " * 9 + "more", [f'{PATH}"{"same " * 9}{{{{+more+}}}}"']),
        (None, "same " * 20, "same " * 20 + "more", [f'{PATH}…same same same {{{{+more+}}}}"']),
    ],
)
def test_a_value_that_does_not_fit_goes_on_below(
    width: int | None, old: str | None, new: str, expected: list[str]
) -> None:
    sign = "+" if old is None else "~"
    lines = lines_of(old, new, "config_desc", width=width)
    assert lines == [expected[0].format(sign), *expected[1:]]


def test_a_sentence_is_broken_between_words_on_a_terminal() -> None:
    plan = make_plan({}, state_of(one=PLAIN), TARGET)
    assert plan_text(plan, width=50).splitlines()[1:3] == [
        "      no longer in any file: it leaves the state,",
        "      and stays in the service",
    ]


def test_a_reason_that_does_not_fit_has_a_line_of_its_own() -> None:
    plan = refreshed(*({**PLAIN, "log_url": f"/b/{name}/"} for name in ("old", "other", "new")))
    reason = '(edited in TOML, changed in the service; the state has "/b/old/")'
    values = '      ~ log_url                      "/b/other/" -> "/b/new/"'
    assert plan_text(plan).splitlines()[1:4] == [
        values,
        f"{BESIDE}{reason[:-11]}",
        f'{BESIDE} "/b/old/")',
    ]
    assert plan_text(plan, width=130).splitlines()[1] == f"{values}  {reason}"
    assert plan_text(plan, width=110).splitlines()[1:3] == [values, f"{BESIDE}{reason}"]


@given(threes(), st.integers(1, 200))
def test_nothing_but_names_is_wider_than_the_terminal(three: Three, width: int) -> None:
    plan = three.plan()
    lines = plan_text(plan, width=width).removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert " ".join(lines).endswith(plan_text(plan).splitlines()[-1])
    fields = [field for change in plan.changes for field in change.fields]
    paths = [item.dotted for field in fields for item in items_of(field)]
    longest = max(map(columns, map(printable, paths)), default=0)
    assert all(columns(line) <= max(width, 40, 8 + longest) for line in lines)


def test_names_of_a_hand_made_state_are_safe_to_print() -> None:
    evil = "\x1b[31mevil\n"
    entry = Entry(params={evil: {evil: evil}, "b": [evil]}, applied_at=evil)
    state = State(lineage=evil, serial=1, target=TARGET, job_configs={evil: entry})
    plan = make_plan({}, state, TARGET)
    for text in (plan_text(plan), state_text(state), entry_text(state, evil)):
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\\x1b[31mevil\\n" in text


def test_a_finished_change_is_one_line() -> None:
    for action, end in [
        (Action.ADD, "added (0.3 s)"),
        (Action.UPDATE, "updated (0.3 s)"),
        (Action.RESEND, "resent (0.3 s)"),
        (Action.FORGET, "forgotten"),
    ]:
        line = result_line(result_of("one", action, ChangeStatus.DONE, 0.26))
        assert line == f"job_config.one: {end}"
    why: dict[str, Any] = {"code": "ModelArts.2781", "message": "Flavor (9) not found."}
    failed = result_of("one", Action.ADD, ChangeStatus.FAILED, **why)
    assert result_line(failed) == "job_config.one: failed: ModelArts.2781 Flavor (9) not found."
    unknown = result_of("one", Action.ADD, ChangeStatus.UNKNOWN, message="timed\nout")
    assert result_line(unknown) == "job_config.one: unknown: timed\\nout"


def test_the_result_ends_with_its_summary() -> None:
    actions = {"a": Action.ADD, "b": Action.UPDATE, "c": Action.UPDATE}
    results = [result_of(name, action, ChangeStatus.DONE) for name, action in actions.items()]
    done = ApplyResult(results=tuple(results), serial=13)
    assert done.is_complete
    assert result_text(done) == ("Apply complete: 1 added, 2 updated. State serial 13.\n")


def test_the_result_shows_what_failed_and_what_was_not_attempted() -> None:
    failed: dict[str, Any] = {"code": "X.1", "message": "no", "advice": "do this"}
    unknown: dict[str, Any] = {"message": "timed out", "advice": "apply again"}
    results = (
        result_of("a", Action.RESEND, ChangeStatus.DONE),
        result_of("b", Action.ADD, ChangeStatus.FAILED, **failed),
        result_of("c", Action.ADD, ChangeStatus.UNKNOWN, **unknown),
        result_of("d", Action.FORGET, ChangeStatus.NOT_ATTEMPTED, 0.0),
    )
    result = ApplyResult(results=results, serial=2)
    assert not result.is_complete
    assert result_text(result) == (
        "Failed:\n  job_config.b: X.1 no\n      do this\n\n"
        "Unknown:\n  job_config.c: timed out\n      apply again\n\n"
        "Not attempted:\n  job_config.d\n\n"
        "Apply incomplete: 1 resent, 1 failed, 1 unknown,"
        " 1 not attempted. State serial 2.\n"
    )


def test_a_state_has_a_line_for_each_job_config() -> None:
    state = state_of(a=PLAIN, b=UNKNOWN)
    assert state_text(state).splitlines() == [
        f"Target   {TARGET.endpoint}, project {TARGET.project_id}",
        "Serial   7",
        "Lineage  a-lineage",
        "",
        f"  job_config.a                                 {AT}",
        "  job_config.b                                 outcome unknown, will be resent",
        "2 job configs.",
    ]


def test_one_job_config_of_the_state_is_shown_key_by_key() -> None:
    params = {**PLAIN, "hyperparameters": {"lr": "0.1"}, "log_url": "/b/" + "l" * 99}
    text = entry_text(state_of(one=params), "one")
    assert '    hyperparameters.lr           "0.1"\n' in text
    assert "l" * 99 in entry_text(state_of(one=params), "one", 150)
    assert "l" * 99 in text.replace("\n" + " " * 33, "")
    assert text.endswith(f"    applied at {AT}\n")
    pending = entry_text(state_of(one=UNKNOWN), "one")
    assert "or never been sent: it is resent" in pending
    assert "no time known" in pending


def test_a_sensitive_value_is_not_shown() -> None:
    mask = {"$sensitive": "hmac-sha256:0123"}
    params = {**PLAIN, "config_desc": mask, "hyperparameters": {"key": mask}}
    assert json_text([{"a": mask}, 1]) == '[{"a": "(sensitive)"}, 1]'
    for text in (
        plan_text(planned(None, params)),
        plan_text(planned(params, {**params, "config_desc": {"$sensitive": "hmac-sha256:4567"}})),
        entry_text(state_of(one=params), "one"),
    ):
        assert "(sensitive)" in text
        assert "hmac" not in text
