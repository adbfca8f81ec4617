"""Plans told by their causes, as text and Markdown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import event, given

from majobctl.operations import plan
from majobctl.operations.context import ConfigRepository
from majobctl.plan.change import Action, Cause, Change, FieldAction, FieldChange, Reason
from majobctl.plan.diff import items_of
from majobctl.plan.document import plan_document
from majobctl.plan.plan import Plan
from majobctl.render.causes import line_sides, told
from majobctl.render.html import plan_html
from majobctl.render.markdown import plan_markdown
from majobctl.render.text import plan_text
from majobctl.render.values import json_text
from majobctl.repository.settings.variables import Overrides
from majobctl.text import printable
from tests.config_files import committed
from tests.plan.repositories import Edit, Files
from tests.plan.test_causes import applied, edited, planned
from tests.plan.values import TARGET, field_change
from tests.render.html_plans import Place
from tests.render.test_html import page_of, rows_of
from tests.render.test_nothing_hidden import page_text

SETTINGS = """\
[provider]
region = "eu-de"
project_id = "p"

[variables]
bucket = "ml-dev"

[defaults]
log_url = "/ml-dev/log/"
train_instance_count = 1
"""
EDITS = [
    ("majobctl.toml", '"ml-dev"', '"ml-eu"'),
    ("majobctl.toml", '"/ml-dev/log/"', '"/ml-dev/logs/2026/"'),
    ("jobs/vision/templates.toml", "p100", "v100"),
    ("jobs/nlp/jobs.toml", "lr = 1e-3, epochs = 1 ", "lr = 2e-3, epochs = 1 "),
]
TEXT = """\
  ~ jobs/vision/templates.toml:2 templates.vision.train_instance_type
          "modelarts.vm.gpu.p100" -> "modelarts.vm.gpu.v100"
      in 20 job configs: jobs/vision/jobs.toml 20
  ~ majobctl.toml:6              variables.bucket             "ml-dev" -> "ml-eu"
      output_path, code_dir, boot_file, inputs in 40 job configs: jobs/nlp/ 20, jobs/vision/ 20
  ~ majobctl.toml:9              defaults.log_url             "/ml-dev/log/" -> "/ml-dev/logs/2026/"
      in 40 job configs: jobs/nlp/ 20, jobs/vision/ 20

  ~ job_config.nlp-00                            jobs/nlp/jobs.toml:7
      ~ hyperparameters.lr           "1e-3" -> "2e-3"

"""


def forty(root: Path) -> None:
    """Writes a repository of 40 job configs in two folders, of four shared lines each."""
    (root / "majobctl.toml").write_text(SETTINGS, encoding="utf-8")
    for kind in ("nlp", "vision"):
        (root / "jobs" / kind).mkdir(parents=True)
        template = f'[templates.{kind}]\ntrain_instance_type = "modelarts.vm.gpu.p100"\n'
        template += 'framework_type = "PyTorch"\nframework_version = "PyTorch-1.0.0-python3.6"\n'
        (root / "jobs" / kind / "templates.toml").write_text(template, encoding="utf-8")
        jobs = [
            f'[job_config.{kind}-{n:02}]\nuse = "{kind}"\n'
            f'code_dir = "/${{var.bucket}}/{kind}/{n}/src/"\n'
            f'boot_file = "/${{var.bucket}}/{kind}/{n}/src/train.py"\n'
            f'output_path = "/${{var.bucket}}/{kind}/{n}/out/"\n'
            f'inputs = "/${{var.bucket}}/{kind}/{n}/in/"\n'
            f"hyperparameters = {{ lr = 1e-3, epochs = {n + 1} }}\n"
            for n in range(20)
        ]
        (root / "jobs" / kind / "jobs.toml").write_text("\n".join(jobs), encoding="utf-8")


@pytest.mark.parametrize("base", ["HEAD", ""])
def test_four_edited_lines_of_forty_job_configs_are_four_entries(tmp_path: Path, base: str) -> None:
    forty(tmp_path)
    if base:
        committed(tmp_path)
    else:
        applied(tmp_path, Overrides())
    for file, old, new in EDITS:
        text = (tmp_path / file).read_text(encoding="utf-8")
        (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    made = plan(ConfigRepository(tmp_path), base=base)
    text, markdown = plan_text(made), plan_markdown(made)
    assert text.startswith(TEXT)
    assert text.count("\n") <= 17
    assert ("Compared with the files of HEAD, not with the state.\n" in text) == bool(base)
    assert len(markdown.encode()) < 2_000
    rows = re.findall(r"^\| `~`.*", markdown, re.MULTILINE)
    assert [re.findall(r"`([\w/]+\.toml:\d+)`", row) for row in rows] == [
        ["jobs/vision/templates.toml:2"],
        ["majobctl.toml:6"],
        ["majobctl.toml:9"],
        ["jobs/nlp/jobs.toml:7"],
    ]
    assert rows[1] == (
        '| `~` | `majobctl.toml:6` `variables.bucket` | `"ml-dev"` → `"ml-eu"` | `output_path`,'
        " `code_dir`, `boot_file`, `inputs` in 40 job configs: `jobs/nlp/` 20, `jobs/vision/` 20 |"
    )
    by_config = plan_text(made, by="config")
    assert by_config.count("\n  ~ job_config.") == 39
    assert by_config.count("      ~ ") == 40 * 5 + 20 + 1
    short = plan_text(made, by="summary").splitlines()
    assert len(short) == len(text.splitlines()) - 11 + 41
    assert " ".join(short[1].split()) == (
        "~ job_config.nlp-01 jobs/nlp/jobs.toml:9 output_path, code_dir, boot_file and 2 more"
    )

    assert_each_field_is_in_the_page_once(made)
    page = page_of(made)
    assert [it.text for it in page.all("code", class_="place")] == [
        "jobs/vision/templates.toml:2",
        "majobctl.toml:6",
        "majobctl.toml:9",
        "jobs/nlp/jobs.toml:7",
    ]
    assert page.one("p", id="count").text == "4 changes."
    assert [it.text for it in page.all("span", class_="number")] == ["4"]
    assert [it.text for it in page.one("select").all("option")] == [
        "All files",
        "jobs/nlp/jobs.toml",
        "jobs/vision/templates.toml",
        "majobctl.toml",
    ]


def page_cell(value: Any) -> str:
    return "not set" if value is None else page_text(value)


def assert_each_field_is_in_the_page_once(made: Plan) -> None:
    """With its job config and its values, below its cause or its job config."""
    found = []
    for entry in page_of(made).all("details"):
        name = entry.one("h3").one("code").text.removeprefix("job_config.")
        heads, *rows = rows_of(entry)
        is_shared = heads[0] == "Job config"
        found += [tuple(row) if is_shared else (name, *row[-3:]) for row in rows]
    wanted = [
        (change.name, printable(item.dotted), *map(page_cell, (item.before, item.after)))
        for change in made.changes
        for field in change.fields
        for item in items_of(field)
    ]
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("base", ["HEAD", ""])
def test_a_plan_without_changes_names_what_it_compares_with(tmp_path: Path, base: str) -> None:
    forty(tmp_path)
    committed(tmp_path)
    applied(tmp_path, Overrides())
    sentence = "are as in HEAD" if base else "match the state"
    made = plan(ConfigRepository(tmp_path), base=base)
    assert plan_text(made) == f"No changes. 40 job configs {sentence}.\n"


def sides_of(item: FieldChange) -> list[str]:
    return [json_text(it) for it in (item.before, item.after) if it is not None]


@pytest.mark.parametrize("base", [True, False])
@given(found=edited())
def test_each_value_is_told_by_its_field_or_by_the_line_that_makes_it(
    base: bool, found: tuple[Files, Edit]
) -> None:
    before, edit = found
    made = planned(before, [edit], base=base)
    text, markdown = plan_text(made, width=10_000), plan_markdown(made)
    groups, rest = told(made, "cause")
    fields = [it for _, items in rest for it in items]
    for group in groups:
        sides = [json_text(it) for it in line_sides(group) if it is not None]
        if sides:
            line = f"{printable(group.cause.key)} {' -> '.join(sides)}"
            assert line in re.sub(" +", " ", text)
            assert all(f"`{side}`" in markdown for side in sides)
        else:
            fields += [it for _, items in group.parts for it in items]
    for item in (it for field in fields for it in items_of(field)):
        sides = sides_of(item)
        assert f"{item.dotted} {' -> '.join(sides)}" in re.sub(" +", " ", text)
        assert all(f"`{side}`" in markdown for side in sides)
    event(f"{edit.kind} {len(groups)} {len(rest)}")
    assert_each_field_is_in_the_page_once(made)
    if base and edit.kind == "value":
        assert text.count("\n") <= 3 + 5


LOG = Cause(file="majobctl.toml", line=9, key="defaults.log_url")


def update(name: str, *fields: FieldChange, **more: Any) -> Change:
    source = Place(f"jobs/{name}.toml", 1)
    given: dict[str, Any] = {"before": {"a": 1}, "after": {"a": 2}, "action": Action.UPDATE, **more}
    return Change(name=name, source=source, fields=fields, **given)


def field(before: Any, after: Any, **more: Any) -> FieldChange:
    return field_change("log_url", before, after, **{"cause": LOG, **more})


def plan_of(*changes: Change, **more: Any) -> Plan:
    return Plan(target=TARGET, lineage="l", serial=1, changes=changes, unchanged=0, **more)


ONE = field("/old/", "/new/", live="/old/", reason=Reason.EDITED)
BOTH = field("/old/", "/new/", live="/theirs/", reason=Reason.BOTH)
THERE = field("/new/", "/new/", live="/x/", reason=Reason.CHANGED, cause=None)
MASK = {"$sensitive": "hmac-sha256:00"}
CASES = {
    "what somebody changed in the service as well stays with its job config": (
        plan_of(update("a", ONE), update("b", ONE), update("c", BOTH), is_refreshed=True),
        '"/old/" -> "/new/"|in 2 job configs: a, b||~ job_config.c jobs/c.toml:1|'
        '~ log_url "/theirs/" -> "/new/" (edited in TOML, changed in the service; the state has'
        ' "/old/")|',
    ),
    "what the service's side changed has no cause": (
        plan_of(update("a", ONE), update("b", THERE), is_refreshed=True),
        '"/old/" -> "/new/"|in 1 job config: a||~ job_config.b jobs/b.toml:1|'
        '~ log_url "/x/" -> "/new/" (changed in the service)|',
    ),
    "different old values are all told": (
        plan_of(update("a", field("/1/", "/new/")), update("b", field("/2/", "/new/"))),
        'in 2 job configs: a, b|~ log_url "/1/" -> "/new/"|in 1 job config: a|'
        '~ log_url "/2/" -> "/new/"|in 1 job config: b|',
    ),
    "a new line hides no value that came from another one": (
        plan_of(
            *(update(name, field("/old/", "/new/")) for name in "ab"), edits={LOG: (None, "/new/")}
        ),
        'in 2 job configs: a, b|~ log_url "/old/" -> "/new/"|',
    ),
    "a number is shown as one, and the text of a line where it is known": (
        plan_of(
            *(update(name, field(f"/old/{name}", f"/new/{name}")) for name in "abcdef"),
            edits={LOG: ("/old/${matrix.x}", "/new/${matrix.x}")},
        ),
        '"/old/${matrix.x}" -> "/new/${matrix.x}"|in 6 job configs: jobs/ 6|',
    ),
    "a new job config is complete": (
        plan_of(*(replace(update(n, field(None, f"/{n}/")), before=None) for n in "ab")),
        '~ job_config.a jobs/a.toml:1|+ log_url "/a/"||~ job_config.b jobs/b.toml:1|'
        '+ log_url "/b/"|',
    ),
    "secrets are one row": (
        plan_of(
            update("a", field(MASK, {"$sensitive": "hmac-sha256:11"})),
            update("b", field("/1/", MASK)),
        ),
        "in 2 job configs: a, b|~ log_url (sensitive) -> (sensitive)|in 1 job config: a|"
        '~ log_url "/1/" -> (sensitive)|in 1 job config: b|',
    ),
    "a remark keeps its job config": (
        plan_of(update("a", ONE), update("b", ONE, is_missing=True)),
        '"/old/" -> "/new/"|in 2 job configs: a, b||~ job_config.b jobs/b.toml:1|the service does'
        " not have it, so it cannot be sent: create it there first, or set apply.create_missing ="
        " true|",
    ),
}


@pytest.mark.parametrize(("made", "words"), CASES.values(), ids=CASES)
def test_what_a_shared_line_does_not_say_is_told_beside_it(made: Plan, words: str) -> None:
    text = plan_text(made, width=1000)
    lines = [re.sub(" +", " ", line).strip() for line in text.splitlines()]
    told_lines = "|".join(lines).removeprefix("~ majobctl.toml:9 defaults.log_url")
    assert told_lines.strip(" |").startswith(words.rstrip("|"))
    markdown = plan_markdown(made)
    for value in re.findall(r'"/[^"]*"', words):
        assert f"`{value}`" in markdown


@pytest.mark.parametrize("by", ["cause", "config"])
@pytest.mark.parametrize("action", [Action.FORGET, Action.DELETE])
def test_no_field_of_what_leaves_was_edited(action: Action, by: str) -> None:
    """What somebody set in the service is still told as that; the plan keeps its reasons."""
    kind = {"action": FieldAction.REMOVE, "cause": None}
    ours = field("/old/", None, live="/old/", reason=Reason.EDITED, **kind)
    theirs = replace(ours, path=("inputs",), before=None, reason=Reason.CHANGED)
    gone = update("a", ours, theirs, action=action, after=None)
    made = plan_of(gone, is_refreshed=True)
    for text in (plan_text(made, by=by), plan_markdown(made, by=by), str(plan_html(made))):
        assert "edited in TOML" not in text
        assert text.count("changed in the service") >= 1
    reasons = [it["reason"] for it in plan_document(made)["changes"][0]["fields"]]
    assert reasons == ["edited here", "changed there"]


def test_a_value_without_a_line_has_the_place_that_gave_it() -> None:
    cause = Cause(file="--var", line=0, key="variables.bucket")
    changes = [update(name, field("/1/", "/2/", cause=cause)) for name in "ab"]
    assert plan_text(plan_of(*changes)).startswith(
        '  ~ --var variables.bucket             "/1/" -> "/2/"\n'
    )
    assert "| `~` | `--var` `variables.bucket` | `" in plan_markdown(plan_of(*changes))


def test_causes_that_do_not_fit_are_counted() -> None:
    causes = [replace(LOG, line=line, key=f"defaults.k{line}") for line in range(2000)]
    changes = [
        update(f"{at.line}-{n}", field_change(f"k{at.line}", "x" * 30, "y" * 30, cause=at))
        for at in causes
        for n in range(5)
    ]
    markdown = plan_markdown(plan_of(*changes))
    shown = markdown.count("| `~` |")
    assert shown > 100
    assert f"Left out here: {2000 - shown} rows of causes (`defaults.k" in markdown
