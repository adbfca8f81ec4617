from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings

from majobctl import __version__
from majobctl.errors import Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.plan.change import Action, Renamed
from majobctl.plan.diff import items_of
from majobctl.plan.plan import Plan, Selection
from majobctl.plan.planner import make_plan
from majobctl.render.html import plan_html
from majobctl.render.text import plan_text
from majobctl.render.wording import remarks_on_change, remarks_on_plan, summary
from majobctl.state.document import Entry
from majobctl.text import printable
from tests.growth import check_growth
from tests.plan.plan_strategies import job_configs
from tests.plan.values import PLAIN, TARGET, desired_of, entry_of, state_after, state_of
from tests.render.html_plans import (
    HOSTILE,
    SENTIMENT,
    hostile_plan,
    large_plan,
    offline_plan,
    reviewed_plan,
)

VOID = {"meta", "input"}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "id", "open", "hidden"),
    *("href", "type", "value", "checked", "for", "autocomplete", "spellcheck", "tabindex"),
    *("role", "aria-label", "aria-labelledby", "data-action", "data-file", "scope"),
}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parts: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(part if isinstance(part, str) else part.text for part in self.parts)

    def all(self, tag: str = "", **attributes: str) -> Iterator[Element]:
        """Each element below with that tag and these attributes; ``class_`` is ``class``."""
        wanted = {name.rstrip("_").replace("_", "-"): item for name, item in attributes.items()}
        for part in self.parts:
            if isinstance(part, str):
                continue
            if tag in ("", part.tag) and wanted.items() <= part.attributes.items():
                yield part
            yield from part.all(tag, **attributes)

    def one(self, tag: str = "", **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found


class Tree(HTMLParser):
    """A page as a tree; one whose tags do not nest fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.path = [Element("", {})]
        self.feed(text)
        self.close()
        assert [element.tag for element in self.path] == [""]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.path[-1].parts.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.path[-1].parts.append(data)


def page_of(plan: Plan) -> Element:
    return Tree(plan_html(plan)).path[0]


def rows_of(change: Element) -> list[list[str]]:
    return [
        [part.text for part in row.parts if isinstance(part, Element)] for row in change.all("tr")
    ]


def headed(action: Action) -> str:
    """The action after its sign; a sign that is a word stands alone."""
    words = {Action.FORGET: "forget", Action.RESEND: "resend"}
    return words.get(action, f"{action.sign} {action.value}")


def change_of(page: Element, name: str) -> Element:
    names = {item.one("h3").one("code").text: item for item in page.all("details")}
    return names[f"job_config.{name}"]


PLANS = {
    "reviewed": reviewed_plan(),
    "offline": offline_plan(),
    "hostile": hostile_plan(),
    "empty": make_plan({}, None, TARGET),
    "without changes": make_plan(desired_of(a=PLAIN), state_of(a=PLAIN), TARGET),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_summary_comes_first_and_is_that_of_the_text(plan: Plan) -> None:
    page = page_of(plan)
    line = plan_text(plan).splitlines()[-1]
    assert page.one("title").text == line
    assert page.one("p", class_="summary").text == line
    skip_link = "Skip to the changes" if plan.changes else ""
    assert " ".join(page.one("body").text.split()).startswith(
        " ".join([skip_link, "majobctl plan", line]).strip()
    )


@pytest.mark.slow
@settings(max_examples=50)
@given(job_configs(), job_configs())
def test_each_change_has_its_fields_before_and_after(
    desired: dict[str, JobConfig], known: dict[str, JobConfig]
) -> None:
    plan = make_plan(desired, state_after(known), TARGET)
    again = make_plan(dict(reversed(desired.items())), state_after(known), TARGET)
    assert plan_html(again) == plan_html(plan)
    page = page_of(plan)
    for change in plan.changes:
        found = change_of(page, change.name)
        assert found.one("h3").text.startswith(headed(change.action))
        if change.after is None:
            continue
        _, *rows = rows_of(found)
        if change.before is None:
            rows = [["+ add", path, "not set", after] for path, after in rows]
        items = [item for field in change.fields for item in items_of(field)]
        paths = [printable(item.dotted) for item in items]
        assert [row[1] for row in rows] == paths
        for item, (_, _, *told) in zip(items, rows, strict=True):
            for value, text in zip((item.before, item.after), told, strict=True):
                lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
                assert text == ("not set" if value is None else "\n".join(map(printable, lines)))


def test_the_rows_of_an_offline_plan() -> None:
    page = page_of(offline_plan())
    assert rows_of(change_of(page, "sentiment")) == [
        ["Change", "Field", "Before", "After"],
        ["~ update", "train_instance_count", "1", "2"],
        ["- remove", "hyperparameters.batch_size", '"64"', "not set"],
        ["~ update", "hyperparameters.epochs", '"10"', '"20"'],
        ["- remove", "hyperparameters.lr", '"0.001"', "not set"],
    ]
    assert "jobs/nlp/sentiment.toml:3" in change_of(page, "sentiment").text


def test_a_refreshed_plan_shows_the_service_and_the_reason_too() -> None:
    page = page_of(reviewed_plan())
    head, *rows = rows_of(change_of(page, "sentiment"))
    assert head[2:] == ["Before (the state)", "Live (the service)", "After", "Reason"]
    assert ["~ update", "train_instance_count", "1", "8", "1", "changed in the service"] in rows
    warmup = ["+ add", "hyperparameters.warmup", "not set", "not set", '"500"', "edited in TOML"]
    assert warmup in rows
    assert {row[-1] for row in rows_of(change_of(page, "unsure"))[1:]} == {"edited in TOML"}


def test_what_is_new_has_nothing_beside_it() -> None:
    for plan in (offline_plan(), reviewed_plan()):
        head, *rows = rows_of(change_of(page_of(plan), "vision"))
        assert head == ["Field", "After"]
        assert ["hyperparameters.lr", '"0.001"'] in rows


def test_what_the_service_has_of_a_new_job_config_is_beside_it() -> None:
    live = {"a": LiveConfig("a", {**PLAIN, "train_instance_count": 3})}
    plan = make_plan(desired_of(a=PLAIN), None, TARGET, live=live, salt="a-salt")
    assert rows_of(change_of(page_of(plan), "a"))[1:] == [
        ["~ update", "train_instance_count", "not set", "3", "1", ""]
    ]


def test_what_leaves_is_shown_as_the_state_has_it() -> None:
    change = change_of(page_of(offline_plan()), "retired")
    assert "it leaves the state, and stays in the service" in change.one("summary").text
    head, *rows = rows_of(change)
    assert head == ["Field", "Before"]
    labels = ["hyperparameters.batch_size", "hyperparameters.epochs"]
    assert [row[0] for row in rows][6:9] == ["framework_version", *labels]
    assert ["train_instance_count", "1"] in rows


def test_what_is_only_recorded_is_shown_as_it_will_be() -> None:
    change = change_of(page_of(reviewed_plan()), "taken-in")
    assert "the service has it already" in change.one("summary").text
    head, *rows = rows_of(change)
    assert head == ["Field", "After"]
    assert ["hyperparameters.epochs", '"10"'] in rows


def test_an_update_of_what_is_missing_says_that_its_call_will_fail() -> None:
    plan = make_plan(desired_of(a=PLAIN), state_of(a=PLAIN), TARGET, live={"a": None}, salt="s")
    remark = "the service does not have it, so it cannot be sent: create it there first"
    assert change_of(page_of(plan), "a").one("p", class_="remark").text.startswith(remark)


def test_a_job_config_of_which_the_state_has_nothing_has_no_table() -> None:
    unknown = Entry(params={}, applied_at="", pending=True, attempted=PLAIN)
    assert list(page_of(make_plan({}, state_of(a=unknown), TARGET)).all("table")) == []


def test_notices_remarks_and_warnings_come_before_the_changes() -> None:
    plan = reviewed_plan()
    page = page_of(plan)
    for kind, text in {
        "notices": "This plan deletes 1 configuration from the service.",
        "warnings": "jobs/vision.toml:3: job_config.vision: two types of data sources",
    }.items():
        assert page.one("ul", class_=kind).text == text
    assert page.one("ul", class_="remarks-on-plan").text == "".join(remarks_on_plan(plan))
    body = page.one("body").text
    order = [
        summary(plan),
        *plan.notices,
        "would undo",
        "9 of 10",
        "two types of",
        "job_config.audio",
    ]
    assert sorted(order, key=body.index) == order
    sides = ["serial 7, lineage a-lineage", "the state and the service"]
    assert [item.text for item in page.all("dd")] == [TARGET.endpoint, TARGET.project_id, *sides]


def test_many_warnings_are_folded() -> None:
    warnings = [Problem(file="a.toml", line=line, message="no data") for line in range(1, 12)]
    plan = make_plan({}, None, TARGET, warnings=warnings)
    folded = page_of(plan).one("details")
    assert folded.one("summary").text == "11 warnings"
    assert len(list(folded.all("li"))) == 11
    assert list(page_of(replace(plan, warnings=plan.warnings[:10])).all("details")) == []


def test_a_plan_without_changes_has_nothing_to_filter() -> None:
    page = page_of(PLANS["empty"])
    assert not [*page.all("form"), *page.all("details"), *page.all("a"), *page.all("h2")]
    assert "none yet" in [item.text for item in page.all("dd")]


def test_few_changes_are_open_and_many_are_closed() -> None:
    assert all("open" in item.attributes for item in page_of(large_plan(7)).all("details"))
    assert not any("open" in item.attributes for item in page_of(large_plan(21)).all("details"))


def test_the_filters_name_each_action_and_file_of_the_plan_once() -> None:
    page = page_of(large_plan(30))
    assert [item.text.split() for item in page.one("fieldset").all("label")] == [
        ["+", "add", "6"],
        ["~", "update", "21"],
        ["forget", "3"],
    ]
    options = list(page.one("select").all("option"))
    assert [item.text for item in options] == [
        "All files",
        *(f"jobs/team-00/resnet-000{number}.toml" for number in range(3)),
        "(in no file)",
    ]
    values = {item.attributes["value"] for item in options}
    assert {item.attributes["data-file"] for item in page.all("details")} == values - {""}
    boxes = {item.attributes["value"] for item in page.all("input", type="checkbox")}
    assert {item.attributes["data-action"] for item in page.all("details")} == boxes
    everywhere = make_plan(desired_of(a=PLAIN), None, TARGET)
    assert "(in no file)" in page_of(everywhere).one("select").text


def test_the_closed_line_shows_what_changes() -> None:
    def brief(plan: Plan) -> str:
        return page_of(plan).one("summary").one("span", class_="quiet").text

    assert brief(large_plan(1)) == "hyperparameters.lr, hyperparameters.wd"
    before = {"hyperparameters": dict.fromkeys("abcde", "1")}
    after = {"hyperparameters": dict.fromkeys("abcde", "2")}
    plan = make_plan(desired_of(a=after), state_of(a=before), TARGET)
    paths = "hyperparameters.a, hyperparameters.b, hyperparameters.c"
    assert brief(plan) == f"{paths} and 2 more"
    assert brief(make_plan(desired_of(a=PLAIN), None, TARGET)) == "2 fields"


def test_what_differs_between_long_alike_values_is_marked() -> None:
    rows = change_of(page_of(reviewed_plan()), "sentiment").all("tr")
    row = next(row for row in rows if "code_dir" in row.text)
    assert (row.one("del").text, row.one("ins").text) == ("2026-10", "2026-11")
    short = change_of(page_of(offline_plan()), "sentiment")
    assert [*short.all("del"), *short.all("ins")] == []


def test_what_is_only_added_to_a_value_is_marked_in_the_new_one() -> None:
    before, after = {"log_url": "/ml-bucket/log/"}, {"log_url": "/ml-bucket/log/new/"}
    page = page_of(make_plan(desired_of(a=after), state_of(a=before), TARGET))
    assert (page.one("ins").text, list(page.all("del"))) == ("new/", [])
    assert rows_of(page)[1][2:] == ['"/ml-bucket/log/"', '"/ml-bucket/log/new/"']


def test_an_item_has_lines_of_its_own_and_nothing_is_cut() -> None:
    page = page_of(reviewed_plan())
    (row,) = (row for row in rows_of(change_of(page, "vision")) if row[0] == "data_source[0]")
    assert row[1].splitlines() == [
        "{",
        '  "type": "obs",',
        '  "data_url": "/ml-bucket/data/a/"',
        "}",
    ]
    long = "x" * 5000
    assert long in plan_html(make_plan(desired_of(a={"config_desc": long}), None, TARGET))


def test_sensitive_values_are_not_in_the_page() -> None:
    mask = {"$sensitive": "hmac-sha256:0123"}
    params = {
        **SENTIMENT,
        "config_desc": mask,
        "hyperparameters": {"key": mask, "lr": "1"},
        "unheard-of": [mask, {"inner": mask}],
    }
    for plan in (
        make_plan(desired_of(a=params), None, TARGET),
        make_plan({}, state_of(a=params), TARGET),
        make_plan(desired_of(a=PLAIN), state_of(a=params), TARGET),
        reviewed_plan(),
    ):
        text = plan_html(plan)
        assert "(sensitive)" in text
        assert not re.search(r"hmac|\$sensitive|open sesame", text)


def test_renames_are_shown() -> None:
    plan = make_plan(desired_of(new=PLAIN), state_of(old=PLAIN), TARGET)
    assert 'looks like "old" renamed' in change_of(page_of(plan), "new").text
    change = replace(plan.changes[0], renamed=Renamed.DECLARED, old_name="old")
    assert list(remarks_on_change(change)) == ['renamed from "old"']


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_each_remark_of_the_text_is_in_the_page(plan: Plan) -> None:
    page = page_of(plan)
    shown = " ".join(page.one("body").text.split())
    remarks = [line for change in plan.changes for line in remarks_on_change(change)]
    for line in [*plan.notices, *remarks_on_plan(plan), *remarks]:
        assert " ".join(line.split()) in shown
    told = " ".join(plan_text(plan).split())
    for line in [*remarks_on_plan(plan), *remarks]:
        assert " ".join(line.split()) in told


def test_an_update_of_what_may_be_missing_says_that_it_is_created() -> None:
    plan = make_plan(desired_of(a=PLAIN), None, TARGET, creates_missing=True)
    assert "A configuration that the service does not have yet is created." in plan_html(plan)


def test_nothing_from_outside_becomes_an_element_or_an_attribute() -> None:
    page = page_of(hostile_plan())
    assert len(list(page.all("script"))) == len(list(page.all("style"))) == 1
    assert not list(page.all("img"))
    names = {name for element in page.all() for name in element.attributes}
    assert names <= ATTRIBUTES
    for text in HOSTILE:
        shown = printable(text)
        assert f"job_config.{shown}" in page.text
        assert f"Fields of {shown}" in [item.attributes["aria-label"] for item in page.all("table")]
        assert shown in [item.text for item in page.all("option")]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_page_is_ascii_and_has_nothing_invisible(plan: Plan) -> None:
    text = plan_html(plan)
    assert text.isascii()
    assert text.endswith("</html>\n")
    assert all(line.isprintable() for line in text.split("\n"))
    assert all(line.isprintable() for line in page_of(plan).text.split("\n"))


def test_letters_of_any_script_are_shown() -> None:
    plan = make_plan(desired_of(a={"config_desc": "Grüße 配置 \ud800"}), None, TARGET)
    assert rows_of(page_of(plan))[1][1] == '"Grüße 配置 \\ud800"'


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(plan: Plan) -> None:
    page = page_of(plan)
    hashes = {
        tag: base64.b64encode(hashlib.sha256(page.one(tag).text.encode()).digest()).decode()
        for tag in ("style", "script")
    }
    assert page.one("meta", http_equiv="Content-Security-Policy").attributes["content"] == (
        f"default-src 'none'; style-src 'sha256-{hashes['style']}';"
        f" script-src 'sha256-{hashes['script']}'; base-uri 'none'; form-action 'none'"
    )
    links = [item.attributes["href"] for item in page.all() if "href" in item.attributes]
    assert links in ([], ["#changes"])
    assert not re.search(r"url\(|@import|https?:", page.one("style").text + page.one("script").text)


def test_the_version_is_shown() -> None:
    assert f"majobctl {__version__}" in page_of(PLANS["empty"]).one("footer").text


def test_the_same_plan_gives_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys; from tests.render.html_plans import *;"
        "from majobctl.render.html import plan_html;"
        "sys.stdout.write(plan_html(hostile_plan()) + plan_html(reviewed_plan()))"
    )
    pages = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert pages[0] == pages[1]
    assert "job_config.sentiment" in pages[0]


def test_a_selection_is_shown_in_the_options_own_words() -> None:
    plan = make_plan(desired_of(a=PLAIN), None, TARGET, selection=Selection(("<a>",), ("b",)))
    assert list(remarks_on_plan(plan)) == [
        '0 of 1 job configs selected by --target "<a>" --exclude "b".'
    ]
    assert "--target &quot;&lt;a&gt;&quot;" in plan_html(plan)


@pytest.mark.slow
def test_the_cost_of_a_page_grows_with_the_changes_and_no_faster() -> None:
    check_growth(large_plan, plan_html, 1250)
    text = plan_html(large_plan(5000))
    assert text.count("<details class=") == 5000
    assert len(text) < 10_000_000


def test_only_how_a_sensitive_value_is_kept_may_change() -> None:
    state = state_of(a=entry_of(PLAIN))
    plan = make_plan(desired_of(a={**PLAIN, "train_instance_count": 2}), state, TARGET)
    masks_alone = replace(plan.changes[0], fields=())
    assert list(remarks_on_change(masks_alone)) == ["only how a sensitive value is stored changes"]
