from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.plan.change import Action
from majobctl.plan.diff import item_changes
from majobctl.plan.plan import Plan
from majobctl.plan.planner import make_plan
from majobctl.plan.results import ApplyResult, ChangeStatus
from majobctl.render import unpainted
from majobctl.render.results import result_line, result_text
from majobctl.render.text import entry_text, plan_text, state_text
from majobctl.render.text_fields import VALUE_WIDTH, field_lines
from majobctl.render.values import columns, cut, json_text
from majobctl.state.document import Entry, State
from majobctl.text import printable
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
NINE = {f"l{number}": "1" for number in range(9)}


def shown(value: Any) -> str:
    return cut(json_text(value), VALUE_WIDTH)


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
        "Plan: 0 to add, 1 to update, 0 to forget; 0 unchanged. 1 update_job_configs call.\n"
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
        "  . job_config.gone",
        "  ? job_config.unsure",
    ]
    assert "      no longer in any file: it leaves the state, and stays in the service" in lines
    assert "      the outcome of the last call is unknown: it is sent again" in lines
    assert lines[-1] == (
        "Plan: 1 to add, 1 to update, 1 to resend, 1 to forget; 1 unchanged."
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
    fields = [field for change in plan.changes for field in change.fields]
    is_table = sum(len(field.path) > 1 for field in fields) > 8
    told = [line for line in lines if line.startswith("      ")]
    if not is_table:
        assert len([line for line in told if line[6] != " "]) == len(fields)
    for field in fields:
        path, sign = printable(".".join(field.path)), field.action.sign
        label = printable(".".join(field.path[1:]))
        starts = (f"      {sign} {path} ", f"          {sign} {label} ", f"          {label} = ")
        in_columns = f"   {label} = "
        assert any(line.startswith(starts) or (is_table and in_columns in line) for line in told)


def test_what_changes_inside_an_array_is_below_it() -> None:
    one, two, three = ({"type": "obs", "data_url": f"/b/{number}/"} for number in range(3))
    dataset = {"type": "dataset", "dataset_id": "d", "dataset_version": "v"}

    def lines(before: Any, after: Any) -> list[str]:
        plan = planned({**PLAIN, "data_source": before}, {**PLAIN, "data_source": after})
        return plan_text(plan).splitlines()[1:-2]

    assert lines([one, two], [one, three]) == [
        "      ~ data_source                  1 changed",
        '          ~ [1].data_url "/b/1/" -> "/b/2/"',
    ]
    assert lines([one], [two, three]) == [
        "      ~ data_source                  1 added, 1 changed",
        '          ~ [0].data_url "/b/0/" -> "/b/1/"',
        '          + [1]                     {"data_url": "/b/2/", "type": "obs"}',
    ]
    assert lines([one, two], [one]) == [
        "      ~ data_source                  1 removed",
        '          - [1] {"data_url": "/b/1/", "type": "obs"}',
    ]
    assert lines([one], [dataset]) == [
        "      ~ data_source                  2 added, 1 changed, 1 removed",
        '          - [0].data_url        "/b/0/"',
        '          + [0].dataset_id                 "d"',
        '          + [0].dataset_version            "v"',
        '          ~ [0].type            "obs"   -> "dataset"',
    ]


def test_a_refreshed_plan_says_who_changed_an_array_and_what_is_to_change_there() -> None:
    def plan_of(was: str, now: str, wanted: str) -> list[str]:
        sources = ([{"type": "obs", "data_url": f"/b/{it}/"}] for it in (was, now, wanted))
        plan = refreshed(*({**PLAIN, "data_source": source} for source in sources))
        lines = plan_text(plan).splitlines()
        return lines[1 : lines.index("")]

    assert plan_of("x", "y", "x") == [
        "      ~ data_source                  1 changed  (changed in the service)",
        '          ~ [0].data_url "/b/y/" -> "/b/x/"',
    ]
    assert plan_of("x", "y", "z") == [
        "      ~ data_source                  1 changed  (edited in TOML, changed in the service;"
        ' the state has [{"data_url": "/b/x/", "type": "obs"}])',
        '          ~ [0].data_url "/b/y/" -> "/b/z/"',
    ]


def test_of_many_changes_inside_an_array_the_first_are_shown() -> None:
    sources = [{"type": "obs", "data_url": f"/b/{number}/"} for number in range(30)]
    plan = planned({**PLAIN, "data_source": sources}, {**PLAIN, "data_source": sources[1:]})
    head, *rows, more = plan_text(plan).splitlines()[1:-2]
    assert head == "      ~ data_source                  29 changed, 1 removed"
    assert len(rows) == 20
    assert more == "          … and 10 more"


ODD_ARRAYS = [["a"], [], [{"a": [[[]]]}], [{"$sensitive": "hmac-sha256:abc"}], [1, None], [[]]]


@pytest.mark.parametrize("after", ODD_ARRAYS)
@pytest.mark.parametrize("before", ODD_ARRAYS)
def test_arrays_that_no_job_config_could_have_are_shown_on_one_line(
    before: object, after: object
) -> None:
    labels = [field_change(("hyperparameters", f"l{number}"), None, "1") for number in range(9)]
    odd = field_change("data_source", before, after)
    odd_label = field_change("hyperparameters.l", before, after)
    (line,) = field_lines([odd], unpainted, None)
    assert line.startswith("      ~ data_source ")
    assert "hmac" not in line
    lines = list(field_lines([odd_label, *labels], unpainted, None))
    assert len(lines) == 11


def table_lines(before: dict[str, str], after: dict[str, str], **options: Any) -> list[str]:
    sides = [{**PLAIN, **({"hyperparameters": side} if side else {})} for side in (before, after)]
    lines = plan_text(planned(*sides), **options).splitlines()
    assert lines[-2] == ""
    return lines[1:-2]


def test_many_hyperparameters_of_an_update_are_a_table() -> None:
    old = {f"l{number}": str(number) for number in range(8)}
    new = {label: value + "0" for label, value in old.items() if label != "l7"}
    assert len(table_lines(old, new)) == 8
    assert table_lines(old, {**new, "warmup": "500"}) == [
        "      ~ hyperparameters              1 added, 7 changed, 1 removed",
        '          ~ l0     "0" -> "00"',
        '          ~ l1     "1" -> "10"',
        '          ~ l2     "2" -> "20"',
        '          ~ l3     "3" -> "30"',
        '          ~ l4     "4" -> "40"',
        '          ~ l5     "5" -> "50"',
        '          ~ l6     "6" -> "60"',
        '          - l7     "7"',
        '          + warmup        "500"',
    ]


def test_many_new_hyperparameters_are_side_by_side() -> None:
    new = {f"label-{number}": "x" * number for number in range(9)}
    assert table_lines({}, new) == [
        "      + hyperparameters              9 added",
        '          label-0 = ""           label-3 = "xxx"        label-6 = "xxxxxx"',
        '          label-1 = "x"          label-4 = "xxxx"       label-7 = "xxxxxxx"',
        '          label-2 = "xx"         label-5 = "xxxxx"      label-8 = "xxxxxxxx"',
    ]
    gone = table_lines(new, {}, width=50)
    assert gone[0] == "      - hyperparameters      9 removed"
    assert gone[1] == '          label-0 = ""'
    assert len(gone) == 10


def test_the_values_of_a_table_are_cut_to_fit_the_terminal() -> None:
    old = {f"l{number}": "a" * 60 for number in range(9)}
    new = {label: "b" * number for number, label in enumerate(old, 1)}
    assert table_lines(old, new, width=60)[1:3] == [
        f'          ~ l0 "{"a" * 28}… -> "b"',
        f'          ~ l1 "{"a" * 28}… -> "bb"',
    ]
    lines = table_lines(old, dict.fromkeys(old, "b" * 60), width=60)
    assert lines[1] == f'          ~ l0 "{"a" * 18}… -> "{"b" * 19}…'
    assert all(len(line) <= 60 for line in lines)


def test_the_signs_of_a_table_are_painted() -> None:
    new = dict.fromkeys([*NINE, "l9"], "2")
    text = "\n".join(table_lines(NINE, new, paint=lambda text, colour: f"<{colour}>{text}"))
    assert "      <yellow>~ hyperparameters" in text
    assert '          <yellow>~ l8 "1" -> "2"' in text
    assert '          <green>+ l9        "2"' in text


def field_lines_of(old: str, new: str, **options: Any) -> list[str]:
    plan = planned({**PLAIN, "config_desc": old}, {**PLAIN, "config_desc": new})
    return plan_text(plan, **options).splitlines()[1:-2]


def test_two_values_that_do_not_fit_a_terminal_together_have_a_line_each() -> None:
    old, new = "a" * 30, "b" * 30
    assert len(field_lines_of(old, new, width=110)) == 1
    assert field_lines_of(old, new, width=80) == [
        f'      ~ config_desc                  "{old}"',
        f'                                  -> "{new}"',
    ]
    assert field_lines_of(old, new, width=60) == [
        f'      ~ config_desc              "{"a" * 25}…',
        f'                              -> "{"b" * 25}…',
    ]


def test_values_fill_a_wide_terminal() -> None:
    (line,) = field_lines_of("a" * 90, "b" * 90, width=230)
    assert line.endswith(f'"{"a" * 90}" -> "{"b" * 90}"')


def test_what_differs_is_seen_of_values_that_begin_alike() -> None:
    (line,) = field_lines_of("x" * 99 + "old", "x" * 99 + "new and more" * 9)
    old, new = line.removeprefix("      ~ config_desc").strip().split(" -> ")
    assert old == "…" + "x" * 20 + 'old"'
    assert new.startswith("…" + "x" * 20 + "new and more")
    assert new.endswith("…")
    assert len(new) == VALUE_WIDTH


def test_a_wide_character_takes_two_columns() -> None:
    assert shown("日" * 40) == '"' + "日" * 29 + "…"
    lines = table_lines({}, {f"日{number}": "日" * 9 for number in range(9)}, width=60)
    assert lines[1].startswith('          日0 = "日日日日日日日日日"')


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
    assert plan_text(plan).splitlines()[1] == f"{values}  {reason}"
    assert plan_text(plan, width=130).splitlines()[1] == f"{values}  {reason}"
    assert plan_text(plan, width=80).splitlines()[1:3] == [values, f"          {reason}"]


def test_the_reasons_of_a_table_follow_its_rows_or_below() -> None:
    sides = (NINE, dict.fromkeys(NINE, "3"), {**NINE, "l8": "2"})
    plan = refreshed(*({**PLAIN, "hyperparameters": side} for side in sides))
    assert plan_text(plan).splitlines()[2:11:7] == [
        '          ~ l0 "3" -> "1"  (changed in the service)',
        '          ~ l7 "3" -> "1"  (changed in the service)',
    ]
    assert plan_text(plan, width=60).splitlines()[10:12] == [
        '          ~ l8 "3" -> "2"',
        "                (edited in TOML, changed in the service; the",
    ]


@given(threes(), st.integers(1, 200))
def test_nothing_but_names_and_the_summary_is_wider_than_the_terminal(
    three: Three, width: int
) -> None:
    plan = three.plan()
    lines = plan_text(plan, width=width).removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == plan_text(plan).splitlines()[-1]
    most = max(width, 40)
    fields = [field for change in plan.changes for field in change.fields]
    paths = [".".join(field.path) for field in fields]
    # A row inside an array is indented by as much more.
    inner = (item for field in fields for item in item_changes(field.replaced, field.after))
    paths += [f"    {'.'.join(item.path)}" for item in inner]
    longest = max(map(columns, map(printable, paths)), default=0)
    for line in lines[:-1]:
        assert columns(line) <= max(most, 8 + longest + 1 + 12 + 4 + 12)
    if longest <= 16 and width > 100:
        assert all(columns(line) <= width for line in lines[:-1])


@given(st.text())
def test_any_value_is_shown_on_one_printable_line(value: str) -> None:
    assert shown(value).isprintable()
    assert len(shown(value)) <= VALUE_WIDTH


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
    assert result_text(done) == (
        "Apply complete: 1 added, 2 updated, 0 forgotten, 0 failed. State serial 13.\n"
    )


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
        "Apply incomplete: 0 added, 0 updated, 1 resent, 0 forgotten, 1 failed, 1 unknown,"
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
        "  job_config.b                                 outcome unknown, will be sent again",
        "2 job configs.",
    ]


def test_one_job_config_of_the_state_is_shown_key_by_key() -> None:
    params = {**PLAIN, "hyperparameters": {"lr": "0.1"}, "log_url": "/b/" + "l" * 99}
    text = entry_text(state_of(one=params), "one")
    assert '    hyperparameters.lr           "0.1"\n' in text
    assert "l" * 99 in text
    assert text.endswith(f"    applied at {AT}\n")
    pending = entry_text(state_of(one=UNKNOWN), "one")
    assert "will be sent again" in pending
    assert "no time known" in pending


def test_a_sensitive_value_is_not_shown() -> None:
    mask = {"$sensitive": "hmac-sha256:0123"}
    params = {**PLAIN, "config_desc": mask, "hyperparameters": {"key": mask}}
    assert shown([{"a": mask}, 1]) == '[{"a": "(sensitive)"}, 1]'
    for text in (
        plan_text(planned(None, params)),
        plan_text(planned(params, {**params, "config_desc": {"$sensitive": "hmac-sha256:4567"}})),
        entry_text(state_of(one=params), "one"),
    ):
        assert "(sensitive)" in text
        assert "hmac" not in text
