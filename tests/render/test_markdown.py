"""Plans as Markdown: what is told, grouped and left out, and that nothing breaks out."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl.errors import Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.plan.change import Action, Change, FieldAction, FieldChange, Renamed
from majobctl.plan.diff import items_of
from majobctl.plan.plan import Plan, Selection
from majobctl.plan.planner import make_plan
from majobctl.render.markdown import plan_markdown
from majobctl.render.markdown_blocks import MAX_BYTES
from majobctl.render.wording import summary
from majobctl.text import printable
from tests.plan.plan_strategies import Three, threes
from tests.plan.values import PLAIN, TARGET, desired_of, field_change, state_of
from tests.render.html_plans import config, hostile_plan, large_plan, offline_plan, reviewed_plan

SECRET = {"$sensitive": "hmac-sha256:00"}
COUNT = field_change("train_instance_count", 1, 2)
TWO = {**PLAIN, "train_instance_count": 2}
OPEN, CLOSE = "<details><summary>", "</details>"
CODE = re.compile(r"(?<!`)(`+)(?!`)[^|<>]+?(?<!`)\1(?!`)")
LISTED_CODE = re.compile(r"(?<!`)(`+)(?!`)[^<>]+?(?<!`)\1(?!`)")
ELEMENT = re.compile(r"<code>[^`|<>]+</code>")


def updated(names: Mapping[str, Mapping[str, Any]]) -> Plan:
    """A plan that changes each job config from PLAIN with count 1 to these params."""
    desired = {
        name: config(name, dict(params), f"jobs/{name[:1]}.toml", line)
        for line, (name, params) in enumerate(names.items(), 1)
    }
    return make_plan(desired, state_of(**dict.fromkeys(names, PLAIN)), TARGET)


def plan_of(*changes: Change, **more: Any) -> Plan:
    return Plan(target=TARGET, lineage="a-lineage", serial=7, changes=changes, unchanged=0, **more)


def update_of(name: str, *fields: FieldChange) -> Change:
    return Change(name=name, action=Action.UPDATE, source=None, before={}, after={}, fields=fields)


def warning(file: str, line: int) -> Problem:
    return Problem(file=file, line=line, where="job_config.a", message="odd")


def without_code(line: str) -> str:
    """A bar ends no code span outside a table."""
    return (LISTED_CODE if line.startswith("- ") else CODE).sub("", line)


def checked(plan: Plan) -> str:
    """The Markdown of ``plan``, which is short, and whole in each of its blocks."""
    markdown = plan_markdown(plan)
    assert len(markdown.encode()) <= MAX_BYTES
    assert markdown == plan_markdown(plan)
    lines = markdown.removesuffix("\n").split("\n")
    assert lines[0] == f"**{summary(plan)}**"
    assert all(line.isprintable() for line in lines)
    is_open, columns = False, 0
    for number, line in enumerate(lines):
        if line.startswith("|"):
            columns = columns or line.count("|")
            assert line.count("|") == columns
            assert line.endswith(" |")
        else:
            columns = 0
        if line.startswith(OPEN):
            assert not is_open
            assert line.endswith("</summary>")
            assert ELEMENT.sub("", line[len(OPEN) : -len("</summary>")]).count("<") == 0
            assert lines[number + 1] == ""
        if line == CLOSE:
            assert is_open
            assert lines[number - 1] == ""
        is_open = (is_open or line.startswith(OPEN)) and line != CLOSE
        assert without_code(line).count("`") == 0
    assert not is_open
    return markdown


def table_of(markdown: str) -> list[str]:
    """The rows of the table of all changes."""
    _, _, rest = markdown.partition("|  | job config | file | what changes |\n")
    table = rest.split("\n\n")[0].removesuffix("\n")
    return table.split("\n")[1:]


def sections_of(markdown: str) -> dict[str, str]:
    """The content of each closed section by its title, as a reader sees it."""
    found = {}
    for part in markdown.split(OPEN)[1:]:
        title, _, content = part.partition("</summary>\n\n")
        shown = html.unescape(re.sub("</?code>", "", title))
        assert shown not in found
        found[shown] = content.partition(f"\n\n{CLOSE}")[0]
    return found


def left_out_of(markdown: str) -> str:
    last = markdown.splitlines()[-1]
    return last if last.startswith("Left out here: ") else ""


def test_a_plan_has_a_summary_a_table_and_a_section_for_each_job_config() -> None:
    before = {**PLAIN, "log_url": "/b/l/", "config_desc": "old"}
    after = {**PLAIN, "train_instance_count": 2, "hyperparameters": {"epochs": "10"}}
    desired = [
        config("new", {**PLAIN, "inputs": "/b/"}, "jobs/n.toml"),
        config("one", after, "jobs/one.toml", 12),
    ]
    plan = make_plan({c.name: c for c in desired}, state_of(gone=PLAIN, one=before), TARGET)
    plan = replace(plan, changes=tuple(replace(c, renamed=None) for c in plan.changes))
    assert checked(plan) == (
        "**Plan: 1 to add, 1 to update, 1 to forget. 2 update_job_configs calls.**\n"
        "\n"
        "3 changes. Target: project `0123456789abcdef` at `https://modelarts.example.com`."
        " Compared with: the state (serial 7).\n"
        "\n"
        "|  | job config | file | what changes |\n"
        "| --- | --- | --- | --- |\n"
        "| `forget` | `gone` |  | no longer in any file: it leaves the state, and stays in the"
        " service |\n"
        "| `+` add | `new` | `jobs/n.toml:3` | 3 fields |\n"
        "| `~` update | `one` | `jobs/one.toml:12` | `train_instance_count`,"
        " `hyperparameters.epochs`, `log_url` and 1 more |\n"
        "\n"
        "<details><summary><code>+</code> add <code>job_config.new</code>"
        " <code>jobs/n.toml:3</code></summary>\n"
        "\n"
        "| field | value |\n"
        "| --- | --- |\n"
        '| `train_instance_type` | `"gpu"` |\n'
        "| `train_instance_count` | `1` |\n"
        '| `inputs` | `"/b/"` |\n'
        "\n"
        "</details>\n"
        "\n"
        "<details><summary><code>~</code> update <code>job_config.one</code>"
        " <code>jobs/one.toml:12</code></summary>\n"
        "\n"
        "| field | before | after |\n"
        "| --- | --- | --- |\n"
        "| `train_instance_count` | `1` | `2` |\n"
        '| `hyperparameters.epochs` | not set | `"10"` |\n'
        '| `log_url` | `"/b/l/"` | not set |\n'
        '| `config_desc` | `"old"` | not set |\n'
        "\n"
        "</details>\n"
    )


def test_without_changes_there_is_no_table() -> None:
    plan = make_plan(desired_of(a=PLAIN), None, TARGET)
    plan = replace(plan, changes=(), unchanged=1, environment="prod")
    assert checked(plan) == (
        "**No changes. 1 job config matches the state.**\n"
        "\n"
        "0 changes. Target: environment `prod`, project `0123456789abcdef` at"
        " `https://modelarts.example.com`. Compared with: no state yet.\n"
    )


def test_one_or_two_fields_are_shown_in_the_table_with_their_values() -> None:
    fields = (COUNT, field_change("log_url", "/b/l/", None))
    secret = field_change("hyperparameters.key", SECRET, SECRET)
    plan = plan_of(update_of("one", *fields), update_of("two", secret))
    assert table_of(checked(plan)) == [
        '| `~` update | `one` |  | `train_instance_count` `1` → `2`, `log_url` `"/b/l/"` removed |',
        "| `~` update | `two` |  | `hyperparameters.key` (sensitive) → (sensitive); only how a"
        " sensitive value is stored changes |",
    ]


def test_a_refreshed_plan_has_the_live_value_and_the_reason() -> None:
    markdown = checked(reviewed_plan())
    (audio,) = [row for row in table_of(markdown) if "`audio`" in row]
    assert audio.endswith(
        "| `train_instance_count` `3` → `4` (edited in TOML, changed in the service) |"
    )
    sections = sections_of(markdown)
    assert sections["~ update job_config.audio jobs/audio.toml:1"] == (
        "| field | state | service | desired | why |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| `train_instance_count` | `2` | `3` | `4` | edited in TOML, changed in the service |"
    )
    assert "Compared with: the state (serial 7) and the service.\n" in markdown
    vision = sections["+ create job_config.vision jobs/vision.toml:3"]
    assert vision.startswith("The service does not have it: it is created.\n\n| field | value |\n")


def test_notices_warnings_and_the_selection_come_before_the_table() -> None:
    before, _, _ = checked(reviewed_plan()).partition("|  | job config |")
    assert before.split("\n\n")[1:] == [
        "**This plan deletes 1 configuration from the service.**",
        "8 changes. Target: project `0123456789abcdef` at `https://modelarts.example.com`."
        " Compared with: the state (serial 7) and the service.",
        'This plan would undo what somebody changed in the service: `"audio"`, `"sentiment"`,'
        ' `"translation"`. To keep that, run `majobctl pull`, and write the rest'
        " into the TOML; to undo it, type yes to this plan in `majobctl apply --refresh`, or apply"
        " it saved (`plan --refresh --out FILE`). `apply --refresh --auto-approve` holds it back"
        " unless you add --overwrite.",
        '9 of 10 job configs selected by --exclude `"left-*"`.',
        "**1 warning**",
        "- `jobs/vision.toml:3: job_config.vision: two types of data sources`",
        "",
    ]


def test_a_warning_has_a_bar_as_it_is_since_no_table_is_around_it() -> None:
    warning = Problem(file="a.toml", line=3, message=r"allows only what matches '^\[(a|b)\] '")
    shown = checked(plan_of(warnings=(warning,)))
    assert r"- `a.toml:3: allows only what matches '^\[(a|b)\] '`" in shown


def test_a_recorded_field_has_one_value_in_the_table() -> None:
    field = field_change("train_instance_count", 1, 2, action=FieldAction.RECORD, live=2)
    change = replace(update_of("a", field), action=Action.RECORD, live_digest="x")
    (row,) = table_of(checked(plan_of(change, is_refreshed=True)))
    assert "| `train_instance_count` `2` recorded; the service has it already: " in row


def test_renames_are_shown_with_the_line_to_add() -> None:
    likely = replace(offline_plan().changes[-1], renamed=Renamed.DETECTED, old_name="a`b")
    line = 'ooks like `"a\\u0060b"` renamed: if so, add renamed_from = `"a\\u0060b"`'
    markdown = checked(plan_of(likely))
    assert table_of(markdown)[0].endswith(f"; l{line} |")
    (section,) = sections_of(markdown).values()
    assert section.startswith(f"L{line}.\n\n")


def test_more_than_five_warnings_are_in_a_section() -> None:
    warnings = tuple(warning(f"jobs/{n}.toml", n) for n in range(1, 7))
    sections = sections_of(checked(replace(offline_plan(), warnings=warnings)))
    assert sections["6 warnings"].startswith("- `jobs/1.toml:1: job_config.a: odd`\n- `jobs/2.")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("odd; run `git pull`", "`` odd; run `git pull` ``"),
        ("is ```` | <b>\n`", "````` is ```` | \\u003cb\\u003e\\n` `````"),
    ],
)
def test_a_warning_has_its_commands_as_they_are_typed(message: str, line: str) -> None:
    found = plan_markdown(plan_of(warnings=[Problem(message=message)]))
    assert f"\n- {line}\n" in found


def test_warnings_that_do_not_fit_are_counted() -> None:
    warnings = tuple(warning("a" * 200, n) for n in range(1, 1001))
    for plan in (replace(offline_plan(), warnings=warnings), plan_of(warnings=warnings)):
        markdown = checked(plan)
        shown = markdown.count("\n- `aaa")
        assert shown > 20
        assert f"Left out here: {1000 - shown} warnings (`job_config.a`). " in left_out_of(markdown)


def test_a_selection_that_is_too_long_is_still_shown() -> None:
    plan = replace(offline_plan(), selection=Selection(tuple("x" * 90 for _ in range(2000))))
    assert "\n\n3 of 3 job configs selected.\n\n" in checked(plan)


@pytest.mark.slow
def test_five_thousand_changes_fit_and_their_total_is_named() -> None:
    markdown = checked(large_plan(5000))
    assert "\n\n5000 changes. Target: " in markdown
    assert " The 5000 changes, complete: `majobctl plan`, " in left_out_of(markdown)
    titles = list(sections_of(markdown))
    assert "+ add job_config.resnet-00007 jobs/team-00/resnet-0000.toml:85" in titles
    assert len(markdown.encode()) > MAX_BYTES - 5000


def unlike(count: int, width: int) -> Plan:
    """So many changes, no two of the same fields, of names of 20 characters."""
    changes = [
        Change(
            name=f"{number:020}",
            action=Action.UPDATE,
            source=config("x", {}, f"jobs/{'d' * width}/{number}.toml").source,
            before={},
            after={},
            fields=tuple(
                field_change((f"k{number}-{key}",), "ü" * width, f"{'é' * width}{key}")
                for key in range(3)
            ),
        )
        for number in range(count)
    ]
    return plan_of(*changes)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "width"), [(5000, 1), (5000, 400), (50, 20_000)])
def test_changes_with_nothing_in_common_are_left_out_completely_and_counted(
    count: int, width: int
) -> None:
    markdown = checked(unlike(count, width))
    rows = table_of(markdown)
    sections = sections_of(markdown)
    left_out = left_out_of(markdown)
    if len(rows) < count:
        assert f" {count - len(rows)} job configs of the table" in left_out
    if len(sections) < count:
        assert f"the details of {count - len(sections)} job configs" in left_out
    assert len(rows) > 20
    assert len(sections) >= 20
    for content in sections.values():
        more = re.search(r"\n\n([123]) more fields?: ", content)
        assert content.count("| `k") + (int(more[1]) if more else 0) == 3
    assert f"{count} changes" in markdown


def test_one_change_of_three_thousand_hyperparameters_is_shown_in_part() -> None:
    after = {**PLAIN, "hyperparameters": {f"label-{n:04}": str(n) for n in range(3000)}}
    markdown = checked(updated({"one": after}))
    (content,) = sections_of(markdown).values()
    shown = content.count("| `hyperparameters.label-")
    assert shown > 900
    labels = ", ".join(f"`hyperparameters.label-{n:04}`" for n in range(shown, shown + 3))
    assert content.endswith(f"\n\n{3000 - shown} more fields: {labels} and {2997 - shown} more.")
    assert left_out_of(markdown) == (
        f"Left out here: {3000 - shown} fields of job configs (`one`). The 1 change, complete:"
        " `majobctl plan`, `majobctl show PLANFILE`, or the page that `--also html=FILE` writes."
    )


def test_one_long_change_leaves_room_for_the_others() -> None:
    long = {**PLAIN, "hyperparameters": {f"label-{n:04}": "x" * 300 for n in range(3000)}}
    short = {f"z{n}": {**PLAIN, "log_url": f"/b/{n}/"} for n in range(20)}
    markdown = checked(updated({"a": long, **short}))
    assert len(sections_of(markdown)) == 21


hostile = st.text(max_size=20) | st.text(
    st.sampled_from("|`<>\\\n\r\x1b\u2028 -*_[](){}$@#:&;é~!"), max_size=150
)
values = st.none() | st.integers() | hostile | st.lists(hostile, max_size=3) | st.just(SECRET)
fields = st.builds(
    field_change,
    st.tuples(hostile) | st.tuples(hostile, hostile),
    values,
    values,
    action=st.sampled_from(FieldAction),
    live=values,
)


@st.composite
def hostile_plans(draw: st.DrawFn) -> Plan:
    shared = draw(st.lists(fields, max_size=3))
    names = draw(st.lists(hostile, max_size=12, unique=True))
    changes = [
        Change(
            name=name,
            action=draw(st.sampled_from(Action)),
            source=config("x", {}, draw(hostile)).source if draw(st.booleans()) else None,
            before=draw(st.none() | st.just({})),
            after={},
            fields=(*shared, *draw(st.lists(fields, max_size=2))),
            old_name=draw(hostile),
            renamed=draw(st.none() | st.sampled_from(Renamed)),
        )
        for name in names
    ]
    texts = draw(st.lists(hostile, max_size=7))
    return plan_of(
        *changes,
        warnings=tuple(Problem(file=it, line=1, where=it, message=it) for it in texts),
        selection=Selection(tuple(draw(st.lists(hostile, max_size=3)))),
        is_refreshed=draw(st.booleans()),
        environment=draw(hostile),
    )


@pytest.mark.slow
@settings(max_examples=150)
@given(hostile_plans())
def test_nothing_from_outside_leaves_its_code_span(plan: Plan) -> None:
    for line in checked(plan).removesuffix("\n").split("\n"):
        if line.startswith(OPEN):
            title = line.removeprefix(OPEN).removesuffix("</summary>")
            outside = ELEMENT.sub("", title)
        else:
            outside = "" if line == CLOSE else without_code(line)
        assert re.fullmatch(r"[\w ,;:.()=→*|-]*", outside), line
        assert not re.search(r"[@#&<>\\\[\]!~$]", outside)


@pytest.mark.slow
@settings(max_examples=100)
@given(threes())
def test_each_change_and_each_path_is_named(three: Three) -> None:
    plan = three.plan()
    markdown = checked(plan)
    rows = table_of(markdown) if plan.changes else []
    shown = "\n".join(sections_of(markdown).values())
    assert len(rows) == len(plan.changes)
    for row, change in zip(rows, plan.changes, strict=True):
        word = change.action.value
        sign = f"`{word}`" if word in ("forget", "resend") else f"`{change.action.sign}` {word}"
        assert row.startswith(f"| {sign} | `{change.name}` |")
        for item in chain.from_iterable(map(items_of, change.fields)):
            assert f"| `{escaped(printable(item.dotted))}` |" in shown
    assert not left_out_of(markdown)


def escaped(text: str) -> str:
    return re.sub(r"[|`<>]", lambda match: f"\\u{ord(match[0]):04x}", text)


def test_a_hostile_plan_stays_in_its_blocks() -> None:
    markdown = checked(hostile_plan())
    assert "<script" not in markdown
    assert "<img" not in markdown
    assert len(table_of(markdown)) == 10


def test_what_differs_in_a_long_value_is_marked() -> None:
    field = field_change("config_desc", "x" * 300 + "old", "x" * 300 + "new")
    markdown = checked(plan_of(update_of("a", field)))
    same = "x" * 20
    assert f'| `config_desc` | `…{same}[-old-]"` | `…{same}{{+new+}}"` |' in markdown.split("\n")
    assert table_of(markdown)[0].endswith(
        f'| `config_desc` `…{same}[-old-]"` → `…{same}{{+new+}}"` |'
    )


def test_a_value_is_complete_if_it_fits_and_its_job_config_is_named_if_not() -> None:
    plan = plan_of(*(update_of(name, field_change("inputs", None, "x" * 20_000)) for name in "abc"))
    assert checked(plan).count("x" * 20_000) == 3
    assert not left_out_of(checked(plan))
    plan = plan_of(update_of("a", COUNT, field_change("inputs", None, "x" * 70_000)))
    assert "\n\n1 more field: `inputs`.\n" in checked(plan)
    assert left_out_of(checked(plan)).startswith(
        "Left out here: 1 field of job configs (`a`). The "
    )


def test_the_order_of_the_files_changes_nothing() -> None:
    configs = {name: JobConfig(name, {**PLAIN, "log_url": f"/b/{name}/"}) for name in "cab"}
    plans = [
        make_plan(dict(items), state_of(a=PLAIN), TARGET)
        for items in (configs.items(), reversed(configs.items()))
    ]
    assert plan_markdown(plans[0]) == plan_markdown(plans[1])
