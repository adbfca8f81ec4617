"""Whatever changes is shown: in every format, in every width."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import Masker
from majobctl.plan.document import dumps, plan_document
from majobctl.plan.plan import Plan
from majobctl.plan.planner import make_plan
from majobctl.render.html import plan_html
from majobctl.render.markdown import plan_markdown
from majobctl.render.stretches import stretches
from majobctl.render.text import plan_text
from majobctl.render.values import json_text
from majobctl.text import printable_lines
from tests.growth import check_growth
from tests.plan.values import PLAIN, TARGET, desired_of, state_of
from tests.render.test_html import Element, page_of

WORDS = ["bash", "--epochs", "3", "4", "/ml/data/", "https://ci.example.com/", "日本語", "é"]
WORDS += ["x" * 70, "a|b", "`<b>`", '"', "\\", "\n", "[-", "-]", "{+", "+}", "…", " ", "  "]
words = st.lists(st.sampled_from(WORDS) | st.text(max_size=8), max_size=40)
texts = words.map(" ".join) | words.map("".join)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and the same with some of its words replaced, added or removed."""
    old = draw(words)
    new = [*old]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(new)))
        new[at : at + draw(st.integers(0, 2))] = draw(words)[:2]
    between = draw(st.sampled_from(["", " "]))
    return between.join(old), between.join(new)


tables = st.dictionaries(st.sampled_from(["type", "data_url", "dataset_id"]), texts, min_size=1)
arrays = st.lists(tables, max_size=4)
values = st.none() | texts | st.integers() | st.floats(allow_nan=False) | st.booleans() | arrays
pairs = edited() | st.tuples(texts, texts) | st.tuples(values, values) | st.tuples(arrays, arrays)


def plan_of(old: Any, new: Any) -> Plan:
    before, after = ({**PLAIN, "data": it} if it is not None else PLAIN for it in (old, new))
    return make_plan(desired_of(one=after), state_of(one=before), TARGET)


def changed_places(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The paths at which the two differ, and what they have there."""
    both = [[] if side is None else side for side in (old, new)]
    if not (all(isinstance(side, list) for side in both) and any(both)):
        yield "data", old, new
        return
    for at in range(max(map(len, both))):
        one, other = (side[at] if at < len(side) else None for side in both)
        if one is None or other is None:
            yield f"data[{at}]", one, other
            continue
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                yield f"data[{at}].{key}", one.get(key), other.get(key)


def tells(shown: Sequence[str], old: str, new: str) -> bool:
    """Whether what is shown of two texts has every character of both, except, at an ellipsis, some
    that both have. What is between ``[-`` and ``-]`` is of the old one, ``{+`` and ``+}`` of the
    new one; the rest of both."""
    first, second = shown
    todo, seen = [(0, 0, 0, 0)], set[tuple[int, int, int, int]]()
    while todo:
        state = p, q, j, k = todo.pop()
        if state == (len(first), len(second), len(old), len(new)):
            return True
        if state in seen:
            continue
        seen.add(state)
        for end, content in marked(first, p, "[-", "-]"):
            todo += [(end, q, j + len(content), k)] if old.startswith(content, j) else []
        for end, content in marked(second, q, "{+", "+}"):
            todo += [(p, end, j, k + len(content))] if new.startswith(content, k) else []
        todo += [(end, q, j, k) for end, _ in marked(first, p, "{+", "+}")]
        todo += [(p, end, j, k) for end, _ in marked(second, q, "[-", "-]")]
        if first[p : p + 1] == second[q : q + 1] == "…":
            alike = 0
            while old[j + alike : j + alike + 1] == new[k + alike : k + alike + 1] != "":
                alike += 1
                todo.append((p + 1, q + 1, j + alike, k + alike))
        if first[p : p + 1] == second[q : q + 1] == old[j : j + 1] == new[k : k + 1]:
            todo.append((p + 1, q + 1, j + 1, k + 1))
    return False


def marked(shown: str, at: int, opening: str, closing: str) -> Iterator[tuple[int, str]]:
    if shown.startswith(opening, at):
        for found in re.finditer(f"(?={re.escape(closing)})", shown[at + 2 :]):
            yield at + found.start() + 4, shown[at + 2 : at + 2 + found.start()]


def text_fields(plan: Plan, width: int | None) -> dict[str, str]:
    """What the text has after each path, as one line again."""
    found: dict[str, str] = {}
    for line in plan_text(plan, width=width).rpartition("\n\nPlan:")[0].split("\n")[1:]:
        if head := re.match(r" {6}[+~-] (data\S*) *", line):
            path, indent = head[1], len(head[0]) if line[len(head[0]) :] else 10
            found[path] = line[len(head[0]) :]
        else:
            assert line[:indent].isspace()
            arrow = " " if line[indent:].startswith("-> ") else ""
            found[path] += arrow + line[indent:]
    return found


def markdown_fields(plan: Plan) -> dict[str, list[str]]:
    """The cells after each path in the table of fields; what is not set has none."""
    rows = re.findall(r"^\| `(data[^`]*)` \| (.*) \|$", plan_markdown(plan), re.MULTILINE)
    return {path: re.findall("`([^`]*)`", cells) for path, cells in rows}


def html_fields(plan: Plan) -> dict[str, list[Element]]:
    rows = ([*row.all("th"), *row.all("td")] for row in page_of(plan).all("tr"))
    return {head.text: [*cells][-2:] for head, *cells in rows if head.text.startswith("data")}


def escaped(text: str) -> str:
    return re.sub(r"[|`<>]", lambda match: f"\\u{ord(match[0]):04x}", text)


def page_text(value: Any) -> str:
    return printable_lines(json.dumps(value, ensure_ascii=False, indent=2))


def unmarked(cell: Element) -> str:
    return "".join(part for part in cell.parts if isinstance(part, str))


EPOCHS = "bash run.sh python /home/work/app/train.py --epochs {} --lr 0.1 --data /b/set-{} --to {}"
COMMAND = EPOCHS.format(3, "one", "https://ci.example.com/report")
OTHER_COMMAND = EPOCHS.format(4, "one", "https://elsewhere.example.net/report")


@given(pairs.filter(lambda pair: pair[0] != pair[1]), st.none() | st.integers(40, 200))
@example((COMMAND, OTHER_COMMAND), None)
@example((COMMAND, OTHER_COMMAND), 40)
@example(("a" * 300 + "x" + "b" * 300, "a" * 300 + "y" + "b" * 300), 80)
@example(("w " * 3000, "w " * 1000 + "v " + "w " * 2000), None)
def test_each_character_that_changes_is_in_every_format(
    pair: tuple[Any, Any], width: int | None
) -> None:
    plan = plan_of(*pair)
    text, markdown, html = text_fields(plan, width), markdown_fields(plan), html_fields(plan)
    places = {path: sides for path, *sides in changed_places(*pair)}
    assert places.keys() == text.keys() == markdown.keys() == html.keys()
    for path, sides in places.items():
        known = [json_text(side) for side in sides if side is not None]
        assert text[path] == " -> ".join(known) or tells([text[path]] * 2, *known)
        safe = [escaped(text) for text in known]
        assert markdown[path] == safe or tells(markdown[path], *safe)
        cells = html[path][-len(known) :] if sides[-1] is not None else html[path][:1]
        assert [it.text for it in cells] == [page_text(it) for it in sides if it is not None]
        if any([*cell.all()] for cell in cells):
            assert len({*map(unmarked, cells)}) == 1
    (field,) = plan_document(plan)["changes"][0]["fields"]
    assert (field["before"], field["after"]) == pair


def test_the_two_places_in_which_a_command_changes_are_marked() -> None:
    plan = plan_of(COMMAND, OTHER_COMMAND)
    assert text_fields(plan, None)["data"] == (
        "…p/train.py --epochs [-3-]{+4+} --lr 0.1 --data …"
        '--to https://[-ci.example.com-]{+elsewhere.example.net+}/report"'
    )
    page = page_of(plan)
    assert [it.text for it in page.all("del")] == ["3", "ci.example.com"]
    assert [it.text for it in page.all("ins")] == ["4", "elsewhere.example.net"]


def test_colours_are_added_to_the_marks_in_every_line() -> None:
    plan = plan_of("same " * 20 + "old " * 40, "same " * 20 + "new " * 40)
    painted = plan_text(plan, lambda text, colour: f"<{colour}:{text}>", width=60)
    assert re.sub(r"<\w+:([^>]*)>", r"\1", painted) == plan_text(plan, width=60)
    assert len(re.findall(r"<red:[^>]*old [^>]*>$", painted, re.MULTILINE)) > 2


@given(st.text(), st.text())
def test_stretches_are_both_texts_from_the_beginning_to_the_end(old: str, new: str) -> None:
    found = stretches(old, new)
    assert "".join(one for one, _ in found) == old
    assert "".join(other for _, other in found) == new


SECRETS = ("s3cret-" + "a" * 90, "s3cret-" + "b" * 90)


@pytest.mark.parametrize(("old", "new"), [SECRETS, ("", SECRETS[1]), (SECRETS[0], "")])
def test_a_masked_value_is_in_no_format(old: str, new: str) -> None:
    sides = [{**PLAIN, "config_desc": it} if it else PLAIN for it in (old, new)]
    masker = Masker("a-salt", "one")
    state = state_of(one=masker.masked(sides[0], [("config_desc",)]))
    desired = {"one": JobConfig("one", sides[1], sensitive={("config_desc",): None})}
    plan = make_plan(desired, state, TARGET, salt="a-salt")
    assert len(plan.changes) == 1
    for shown in (
        plan_text(plan),
        plan_markdown(plan),
        plan_html(plan),
        dumps(plan_document(plan)),
    ):
        assert "s3cret" not in shown
        assert "sensitive" in shown


@pytest.mark.slow
def test_the_time_that_a_hostile_value_takes_grows_as_it_does() -> None:
    check_growth(
        lambda size: ("a b " * size, "b a " * (size // 2) + "c" + " a b" * size),
        lambda pair: stretches(*pair),
        20_000,
    )
