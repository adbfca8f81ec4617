"""What has drifted as text, as a JSON document and as Markdown."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from majobctl import __version__
from majobctl.plan.change import FieldChange
from majobctl.plan.document import dumps
from majobctl.plan.drift import Drift, DriftedConfig
from majobctl.plan.plan import Selection
from majobctl.render.drift_markdown import drift_markdown
from majobctl.render.json import drift_document
from majobctl.render.markdown_blocks import MAX_BYTES
from majobctl.render.text import drift_text
from tests.plan.values import TARGET, field_change

SECRET = {"$sensitive": "hmac-sha256:00"}
FIELDS = (
    field_change("train_instance_count", 1, 3),
    field_change("hyperparameters.token", SECRET, {"$sensitive": "other"}),
    field_change("hyperparameters.epochs", None, "10"),
    field_change("log_url", "/b/l/", None),
)


def drift_of(*changes: DriftedConfig, **more: Any) -> Drift:
    sides = {"target": TARGET, "lineage": "a-lineage", "serial": 7, "unchanged": 0}
    return Drift(changes=changes, **{**sides, **more})


DRIFT = drift_of(
    DriftedConfig(name="audio", is_missing=True, is_pending=True),
    DriftedConfig(name="sentiment", fields=FIELDS),
    unchanged=38,
    selection=Selection(("s*", "a*"), ("*-old",)),
    left_out=2,
    unmanaged=("stray", "wild"),
    warnings=("job_config.sentiment: a problem",),
)


def same(count: int, *unmanaged: str, lineage: str = "a-lineage") -> Drift:
    return drift_of(unchanged=count, lineage=lineage, unmanaged=unmanaged)


def test_the_text_has_both_values_and_ends_with_the_summary() -> None:
    assert drift_text(DRIFT) == (
        "  - job_config.audio\n"
        "      the service no longer has it\n"
        "      the last call may have succeeded, or never been sent: the next apply resends it\n"
        "\n"
        "  ~ job_config.sentiment\n"
        "      ~ train_instance_count         1 -> 3\n"
        "      ~ hyperparameters.token        (sensitive) -> (sensitive)\n"
        '      + hyperparameters.epochs       "10"\n'
        '      - log_url                      "/b/l/"\n'
        "\n"
        'The service has 2 configurations that neither the state nor a TOML file knows: "stray",'
        ' "wild". `majobctl import --all` imports them.\n'
        "To keep what was changed in the service, run `majobctl pull`. To undo it, run"
        " `majobctl apply --refresh` and type yes.\n"
        '40 of 42 job configs selected by --target "s*" --target "a*" --exclude "*-old".\n'
        "Drift: 1 changed, 1 missing, 38 as in the state.\n"
    )


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "There are no job configs to compare."),
        (1, "1 job config is as in the state."),
        (40, "40 job configs are as in the state."),
    ],
)
def test_without_drift_the_text_is_one_line(count: int, words: str) -> None:
    line = f"No drift. {words}"
    assert drift_text(same(count)) == line + "\n"
    assert drift_markdown(same(count)) == f"**{line}**\n"


def test_without_a_state_the_text_says_what_makes_one() -> None:
    first, last = drift_text(same(0, lineage="")).splitlines()
    assert "no state yet" in first
    assert "`majobctl import --all`" in first
    assert last == "No drift. There are no job configs to compare."


@pytest.mark.parametrize(
    ("count", "end"),
    [(1, '"n00". `majobctl import --all` imports it.'), (10, '"n09". `'), (12, " and 2 more")],
)
def test_at_most_ten_unmanaged_names_are_shown(count: int, end: str) -> None:
    names = [f"n{number:02}" for number in range(count)]
    note = drift_text(same(1, *names)).splitlines()[0]
    assert end in note
    assert note.startswith(f"The service has {count} configuration")
    assert "n10" not in note


def test_signs_are_painted() -> None:
    text = drift_text(DRIFT, lambda text, colour: f"<{colour}>{text}")
    signs = re.findall(r"<(\w+)>(.) job_config", text)
    assert signs == [("red", "-"), ("yellow", "~")]


def test_the_document() -> None:
    field = {"path": ["train_instance_count"], "action": "update", "state": 1, "live": 3}
    document = drift_document(DRIFT)
    audio, sentiment = document.pop("changes")
    assert document == {
        "format_version": "1.0",
        "majobctl_version": __version__,
        "lineage": "a-lineage",
        "serial": 7,
        "target": {"endpoint": TARGET.endpoint, "project_id": TARGET.project_id},
        "summary": {"changed": 1, "missing": 1, "unchanged": 38},
        "unmanaged": ["stray", "wild"],
        "selection": {"target": ["s*", "a*"], "exclude": ["*-old"], "left_out": 2},
        "warnings": ["job_config.sentiment: a problem"],
    }
    assert audio == {"name": "audio", "kind": "missing", "fields": [], "pending": True}
    assert sentiment["kind"] == "changed"
    assert "pending" not in sentiment
    assert sentiment["fields"][0] == field
    assert sentiment["fields"][2]["state"] is None
    assert sentiment["fields"][3]["live"] is None


def test_the_markdown_has_a_table_for_each_job_config() -> None:
    assert drift_markdown(DRIFT) == (
        "**Drift: 1 changed, 1 missing, 38 as in the state.**\n"
        "\n"
        "The service has 2 configurations that neither the state nor a TOML file knows:"
        ' `"stray"`, `"wild"`. `majobctl import --all` imports them.\n'
        "\n"
        "To keep what was changed in the service, run `majobctl pull`. To undo it, run"
        " `majobctl apply --refresh` and type yes.\n"
        "\n"
        '40 of 42 job configs selected by --target `"s*"` --target `"a*"` --exclude `"*-old"`.\n'
        "\n"
        "### `job_config.audio`\n"
        "\n"
        "The service no longer has it.\n"
        "\n"
        "The last call may have succeeded, or never been sent: the next apply resends it.\n"
        "\n"
        "### `job_config.sentiment`\n"
        "\n"
        "| field | state | service |\n"
        "| --- | --- | --- |\n"
        "| `train_instance_count` | `1` | `3` |\n"
        "| `hyperparameters.token` | (sensitive) | (sensitive) |\n"
        '| `hyperparameters.epochs` | not set | `"10"` |\n'
        '| `log_url` | `"/b/l/"` | not set |\n'
    )


def changed(name: str, *fields: FieldChange) -> DriftedConfig:
    return DriftedConfig(name=name, fields=fields)


def test_what_ends_a_code_span_or_a_cell_is_escaped_and_a_long_value_complete() -> None:
    field = field_change("hyperparameters.a|b", "`</code>\n|", "x" * 500)
    row = drift_markdown(drift_of(changed("one", field))).splitlines()[-1]
    assert row == (
        '| `hyperparameters.a\\u007cb` | `"\\u0060\\u003c/code\\u003e\\n\\u007c"` |'
        f' `"{"x" * 500}"` |'
    )


def parts_of(markdown: str, changes: int) -> tuple[int, int]:
    """How many job configs the Markdown tells of, and how many it says it leaves out."""
    assert len(markdown.encode()) <= MAX_BYTES
    told = markdown.count("\n### `job_config.")
    last = re.fullmatch(r"(\d+) more job configs? ha(?:s|ve) .+", markdown.splitlines()[-1])
    left_out = int(last[1]) if last else 0
    assert told + left_out == changes
    return told, left_out


def test_a_report_that_is_too_long_leaves_complete_job_configs_out_and_says_how_many() -> None:
    field = field_change("config_desc", "é" * 200, "ü" * 200)
    changes = [changed(f"n{number}", field) for number in range(300)]
    markdown = drift_markdown(drift_of(*changes))
    told, left_out = parts_of(markdown, 300)
    assert told > 50
    assert left_out > 100
    assert len(markdown.encode()) > MAX_BYTES - 4000
    assert markdown.count("| `config_desc` |") == told
    assert "job configs have drifted than fit" in markdown


def test_one_that_is_too_long_by_itself_does_not_keep_the_others_out() -> None:
    many = [field_change(f"hyperparameters.{n}", "a" * 99, "b" * 99) for n in range(2000)]
    small = field_change("train_instance_count", 1, 2)
    markdown = drift_markdown(drift_of(changed("large", *many), changed("small", small)))
    assert parts_of(markdown, 2) == (1, 1)
    assert "### `job_config.small`" in markdown
    assert markdown.endswith(
        "\n1 more job config has drifted than fit here: `large`. `majobctl drift` shows all.\n"
    )


def test_a_long_selection_leaves_room_for_what_has_drifted() -> None:
    small = field_change("train_instance_count", 1, 2)
    selection = Selection(tuple("x" * 90 for _ in range(2000)))
    markdown = drift_markdown(drift_of(changed("small", small), selection=selection))
    assert parts_of(markdown, 1) == (1, 0)


hostile = st.text(max_size=20) | st.text(
    st.sampled_from("|`<>\\\n\r\x1b\u2028 -*_[](){}$@#:&;é"), max_size=150
)
plain_values = st.none() | st.integers() | hostile | st.lists(hostile, max_size=3)
fields = st.builds(
    field_change,
    st.tuples(hostile) | st.tuples(hostile, hostile),
    plain_values | st.just(SECRET),
    plain_values,
)
items = st.builds(
    lambda name, content, is_missing: DriftedConfig(
        name=name, fields=() if is_missing else content, is_missing=is_missing
    ),
    hostile,
    st.lists(fields, min_size=1, max_size=5).map(tuple),
    st.booleans(),
)
drifts = st.builds(
    lambda changes, unmanaged, globs: drift_of(
        *changes, selection=Selection(globs), unmanaged=tuple(unmanaged)
    ),
    st.lists(items, max_size=4),
    st.lists(hostile, max_size=12),
    st.lists(hostile, max_size=3).map(tuple),
)

CODE = re.compile(r"`[^`|<>]+`")


@settings(max_examples=60)
@given(drifts)
def test_nothing_from_outside_leaves_its_code_span(drift: Drift) -> None:
    markdown = drift_markdown(drift)
    parts_of(markdown, len(drift.changes))
    assert markdown == drift_markdown(drift)
    lines = markdown.removesuffix("\n").split("\n")
    assert all(line.isprintable() for line in lines)
    rows = [line for line in lines if line.startswith("|")]
    expected = sum(len(item.fields) + 2 for item in drift.changes if item.fields)
    assert len(rows) == expected
    for line in lines:
        outside = CODE.sub("CODE", line)
        assert re.fullmatch(
            r"|\*\*[\w ,;:.]+\*\*|### CODE|[A-Z][\w ,:.]+\."
            r"|\| field \| state \| service \||\| --- \| --- \| --- \|"
            r"|\| CODE \| (CODE|not set|\(sensitive\)) \| (CODE|not set|\(sensitive\)) \|"
            r"|\d+ of \d+ job configs selected by( --target CODE)+\.",
            outside,
        ), line


@settings(max_examples=40)
@given(drifts)
def test_text_and_document_are_safe_whatever_has_drifted(drift: Drift) -> None:
    text = drift_text(drift)
    assert all(line.isprintable() for line in text.removesuffix("\n").split("\n"))
    assert text.count("job_config.") >= len(drift.changes)
    written = dumps(drift_document(drift))
    assert written.isascii()
    document: Any = json.loads(written)
    assert [item["name"] for item in document["changes"]] == [item.name for item in drift.changes]
    assert document["unmanaged"] == list(drift.unmanaged)
