"""A plan as one HTML page, for a review in a browser; it loads nothing from anywhere else.

All text from outside goes through ``_text``. The page can be read without its script, in ``page/``,
which only adds the search and the filters."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from majobctl import __version__
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import SHOWN, is_masked, without_hashes
from majobctl.plan.causes import CauseGroup, Part
from majobctl.plan.change import Action, Change, FieldChange, Params
from majobctl.plan.diff import each_item
from majobctl.plan.plan import Plan
from majobctl.render.causes import line_sides, own_place, place_of, reach, told
from majobctl.render.stretches import marked, stretches
from majobctl.render.values import json_text
from majobctl.render.wording import (
    DONE_WORDS,
    REASONS,
    compared_with,
    paths_in_short,
    remarks_on_change,
    remarks_on_plan,
    summary,
)
from majobctl.text import counted, printable, printable_lines

_MAX_OPEN = 20
"""Longer plans show each field only once its change is opened."""
_MAX_WARNINGS_OPEN = 10
_IN_NO_FILE = "none"
_NOT_SET = '<td class="unset">not set</td>'


def plan_html(plan: Plan) -> str:
    """The complete page, in ASCII; the same plan gives the same bytes. No value is cut; sensitive
    ones are left out."""
    style, script = _asset("plan.css"), _asset("plan.js")
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    state = f"serial {plan.serial}, lineage <code>{_text(plan.lineage)}</code>"
    environment = f"<div><dt>Environment</dt><dd>{_text(plan.environment)}</dd></div>\n"
    page = Template(_asset("plan.html")).substitute(
        policy=policy,
        style=style,
        script=script,
        version=_text(__version__),
        summary=_text(summary(plan)),
        skip_link='<a class="skip" href="#changes">Skip to the changes</a>' if plan.changes else "",
        notices=_list("notices", [*map(str, plan.denials), *plan.notices]),
        remarks=_list("remarks-on-plan", remarks_on_plan(plan)),
        environment=environment if plan.environment else "",
        endpoint=_text(plan.target.endpoint),
        project=_text(plan.target.project_id),
        state="not read" if plan.base else state if plan.lineage else "none yet",
        compared=compared_with(plan, lambda revision: f"<code>{_text(revision)}</code>"),
        warnings=_warnings(plan),
        changes=_changes(plan) if plan.changes else "",
    )
    return page.encode("ascii", "xmlcharrefreplace").decode("ascii")


@cache
def _asset(name: str) -> str:
    return (files("majobctl.render") / "page" / name).read_text(encoding="ascii")


def _digest(text: str) -> str:
    """The source expression that allows an element with exactly this text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    """``text`` for an element or a quoted attribute, with no invisible character."""
    return escape(printable(text))


def _list(kind: str, sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in sentences)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def _warnings(plan: Plan) -> str:
    items = _list("warnings", map(str, plan.warnings))
    if len(plan.warnings) > _MAX_WARNINGS_OPEN:
        number = counted(len(plan.warnings), "warning")
        items = f"<details><summary>{number}</summary>{items}</details>"
    head = '<section aria-labelledby="warnings-head"><h2 id="warnings-head">Warnings</h2>'
    return f"{head}\n{items}</section>" if plan.warnings else ""


def _changes(plan: Plan) -> str:
    groups, changes = told(plan, "cause")
    sources = {change.source.file for change, _ in changes if change.source}
    places = sorted(sources | {group.cause.file for group in groups})
    numbers = {place: str(number) for number, place in enumerate(places)}
    number = len(groups) + len(changes)
    opened = " open" if number <= _MAX_OPEN else ""
    found = Counter([Action.UPDATE] * len(groups) + [change.action for change, _ in changes])
    parts = [
        '<section id="changes" aria-labelledby="changes-head" tabindex="-1">',
        '<h2 id="changes-head">Changes</h2>',
        _filters(found, numbers, any(change.source is None for change, _ in changes)),
        f'<p id="count" role="status">{counted(number, "change")}.</p>',
        *(_cause(group, numbers[group.cause.file]) for group in groups),
        *(_change(it, plan.is_refreshed, numbers, opened) for it in changes),
        "</section>",
    ]
    return "\n".join(parts)


def _filters(found: Counter[Action], numbers: Mapping[str, str], has_others: bool) -> str:
    """The controls, which the script makes visible."""
    options = ['<option value="">All files</option>']
    options += [f'<option value="{at}">{_text(file)}</option>' for file, at in numbers.items()]
    if has_others:
        options.append(f'<option value="{_IN_NO_FILE}">(in no file)</option>')
    boxes = [
        f'<label class="{action.value}"><input type="checkbox" value="{action.value}" checked>'
        f'<span class="action">{action.signed}</span>'
        f' <span class="number">{found[action]}</span></label>'
        for action in DONE_WORDS
        if found[action]
    ]
    return Template(_asset("filters.html")).substitute(
        options="\n".join(options), boxes="\n".join(boxes)
    )


def _cause(group: CauseGroup, file: str) -> str:
    """A shared line, and all that it changes."""
    sides = " -> ".join(json_text(it) for it in line_sides(group) if it is not None)
    brief = f"{sides}; {reach(group, printable)}".removeprefix("; ")
    rows = [
        f"<tr><td>{_text(change.name)}</td>{_path(it.path)}{_pair(it.before, it.after)}</tr>"
        for change, fields in group.parts
        for it in each_item(fields)
    ]
    return (
        f'<details class="change update" data-action="update" data-file="{file}"><summary>'
        f'<h3><span class="action">~ update</span> <code>{_text(group.cause.key)}</code></h3>\n'
        f'<span class="quiet">{_text(brief)}</span>\n'
        f'<code class="place">{_text(place_of(group))}</code></summary>\n'
        f"{_rows('two reach', ['Job config', 'Field', 'Before', 'After'], rows, group.cause.key)}"
        "</details>"
    )


def _change(part: Part, is_refreshed: bool, numbers: Mapping[str, str], opened: str) -> str:
    change, fields = part
    action, source = change.action, change.source
    where = _text(own_place(change, fields))
    place = f'<code class="place">{where}</code>' if where else ""
    file = numbers[source.file] if source else _IN_NO_FILE
    is_open = opened if fields else ""
    # Without fields, the line of the change has the remarks.
    remarks = remarks_on_change(change) if fields else ()
    above = "".join(f'<p class="remark">{_text(remark)}</p>' for remark in remarks)
    return (
        f'<details class="change {action.value}" data-action="{action.value}" data-file="{file}"'
        f'{is_open}><summary><h3><span class="action">{action.signed}</span>'
        f" <code>{_text(f'job_config.{change.name}')}</code></h3>\n"
        f"{_brief(change, fields)}\n{place}</summary>\n"
        f"{above}{_table(change, fields, is_refreshed)}</details>"
    )


def _brief(change: Change, fields: Sequence[FieldChange]) -> str:
    """What a change shows before it is opened."""
    if not fields:
        return f'<span class="quiet remark">{_text(". ".join(remarks_on_change(change)))}</span>'
    return f'<span class="quiet">{_text(paths_in_short(fields, printable))}</span>'


def _table(change: Change, fields: Sequence[FieldChange], is_refreshed: bool) -> str:
    is_new = change.before is None or change.is_missing
    fields = [*each_item(fields)]
    if not change.fields:
        params = change.before if change.after is None else change.after
        kind, heads = "one", ["Field", "Before" if change.after is None else "After"]
        rows = [f"<tr>{_path(path)}{_cell(it)}</tr>" for path, it in _places(params or {})]
    elif is_new and all(field.before is None and field.live is None for field in fields):
        kind, heads = "one", ["Field", "After"]
        rows = [f"<tr>{_path(it.path)}{_cell(it.after)}</tr>" for it in fields]
    else:
        kind, heads = "two", ["Change", "Field", "Before", "After"]
        if is_refreshed:
            kind = "three"
            heads[2:] = ["Before (the state)", "Live (the service)", "After", "Reason"]
        rows = [_row(field, is_refreshed) for field in fields]
    return _rows(kind, heads, rows, change.name)


def _rows(kind: str, heads: Sequence[str], rows: Sequence[str], name: str) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    return (
        f'<table class="{kind}" aria-label="Fields of {_text(name)}">'
        f"<thead><tr>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "</tbody></table>"
    )


def _places(params: Params) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each value of ``params`` in the documented order, hyperparameters one by one."""
    known = [key for key in FIELDS if key in params]
    for key in [*known, *sorted(params.keys() - FIELDS.keys())]:
        value = params[key]
        if key == "hyperparameters" and isinstance(value, Mapping) and not is_masked(value):
            yield from (((key, label), item) for label, item in value.items())
        else:
            yield (key,), value


def _row(field: FieldChange, is_refreshed: bool) -> str:
    action, cells = field.action, _pair(field.before, field.after)
    if is_refreshed:
        reason = REASONS[field.reason] if field.reason else ""
        cells = f"{_cell(field.before)}{_pair(field.live, field.after)}"
        cells += f'<td class="reason">{reason}</td>'
    return (
        f'<tr class="{action.value}"><td class="action">{action.sign} {action.value}</td>'
        f"{_path(field.path)}{cells}</tr>"
    )


def _path(path: tuple[str, ...]) -> str:
    *table, key = map(_text, path)
    prefix = f'<span class="quiet">{".".join(table)}.</span>' if table else ""
    return f'<th scope="row">{prefix}{key}</th>'


def _cell(value: Any) -> str:
    if value is None:
        return _NOT_SET
    if is_masked(value):
        return f'<td class="masked">{escape(json_text(value))}</td>'
    return f"<td>{escape(_shown(value))}</td>"


def _shown(value: Any) -> str:
    """A value as JSON: one line, or several for an array or a table."""
    indent = 2 if isinstance(value, (Mapping, list, tuple)) else None
    text = json.dumps(without_hashes(value, SHOWN), ensure_ascii=False, indent=indent)
    return printable_lines(text)


def _pair(old: Any, new: Any) -> str:
    """The cells of two values; what differs in similar ones is marked."""
    found = [] if is_masked(old) or is_masked(new) else stretches(_shown(old), _shown(new))
    if len(found) < 2:
        return _cell(old) + _cell(new)
    safe = [(escape(one), escape(other)) for one, other in found]
    cells = marked(safe, ("<del>", "</del>"), ("<ins>", "</ins>"))
    return "".join(f"<td>{cell}</td>" for cell in cells)
