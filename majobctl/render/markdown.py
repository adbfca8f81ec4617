"""A plan as Markdown for a comment: never more than one takes.

What does not fit is left out in complete rows and sections, and the last line says what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from majobctl.errors import Problem
from majobctl.plan.causes import CauseGroup, Part
from majobctl.plan.change import Change, FieldAction, FieldChange
from majobctl.plan.diff import each_item
from majobctl.plan.plan import Plan
from majobctl.render.causes import (
    action_of,
    job_configs,
    line_sides,
    own_place,
    place_of,
    reach,
    rows_of,
    told,
)
from majobctl.render.markdown_blocks import (
    LAST_LINE_BYTES,
    MAX_BYTES,
    Block,
    Counts,
    Mark,
    Taken,
    bold,
    code,
    code_element,
    code_line,
    collapsed,
    joined,
    names_of,
    sentence,
    shown_values,
    size,
    table_head,
    table_row,
    take,
)
from majobctl.render.wording import (
    FIELD_WORDS,
    REASONS,
    paths_in_short,
    remarks_on_change,
    remarks_on_plan,
    summary,
)
from majobctl.text import counted, cut, quoted

_MAX_NOTE_BYTES = 2_000
_MAX_WARNING_BYTES = 6_000
_MAX_WARNINGS_OPEN = 5
_MIN_SECTION_BYTES = 2_000
"""A section may always be this long, however many there are."""
_MAX_SECTIONS = 1_000
"""No more than these can fit, so the others are not built."""
_TABLE_FRAME_BYTES = 400
"""Of the lines above and below the rows."""
_BRIEF_WIDTH = 40
"""Of the values in a line about a job config; longer ones are in its section alone."""
_MAX_VALUES = 2
_LEFT_OUT = {
    "violation": ("{}", "violation"),
    "warning": ("{}", "warning"),
    "cause": ("{} of causes", "row"),
    "row": ("{} of the table", "job config"),
    "details": ("the details of {}", "job config"),
    "field": ("{} of job configs", "field"),
}
"""What may be left out, with names of job configs, and the keys of causes."""


def plan_markdown(plan: Plan, by: str = "cause", most: int = MAX_BYTES) -> str:
    """The summary, the notices, a row for each shared cause and each other change, whose fields are
    in closed sections: at most ``most`` bytes in UTF-8, if that is enough for the notices. ``by``
    is as in ``plan_text``."""
    parts, left_out = [f"**{summary(plan)}**", *_notes(plan)], Counts()
    for noun, problems in (("violation", plan.denials), ("warning", plan.warnings)):
        found = _problems(noun, problems)
        parts, left_out = [*parts, *found.texts], left_out + found.left_out
    if plan.changes:
        body, missing = _body(plan, by, most - LAST_LINE_BYTES - sum(map(size, parts)))
        parts, left_out = parts + body, left_out + missing
    return joined([*parts, _last_line(plan, left_out)] if left_out else parts)


def _notes(plan: Plan) -> Iterator[str]:
    yield from map(bold, plan.notices)
    yield f"{counted(len(plan.changes), 'change')}. {_target(plan)}"
    for remark in remarks_on_plan(plan, lambda text: code(quoted(text))):
        is_short = size(remark) <= _MAX_NOTE_BYTES
        yield remark if is_short else f"{remark.partition(' by ')[0]}."


def _target(plan: Plan) -> str:
    project, endpoint = (code(cut(it)) for it in (plan.target.project_id, plan.target.endpoint))
    target = f"project {project} at {endpoint}"
    if plan.environment:
        target = f"environment {code(cut(plan.environment))}, {target}"
    state = f"the state (serial {plan.serial})" if plan.lineage else "no state yet"
    if plan.base:
        state = f"the files of {code(cut(plan.base))}"
    service = " and the service" if plan.is_refreshed else ""
    return f"Target: {target}. Compared with: {state}{service}."


def _problems(noun: str, problems: Sequence[Problem]) -> Taken:
    """The violations of policies, or the warnings."""
    blocks = (Block(f"- {code_line(str(it))}", Counter([(noun, it.where)])) for it in problems)
    found = take(blocks, _MAX_WARNING_BYTES, "\n")
    if not problems:
        return found
    title, rows = counted(len(problems), noun), "\n".join(found.texts)
    is_open = len(problems) <= _MAX_WARNINGS_OPEN
    text = f"**{title}**\n\n{rows}" if is_open else collapsed(title, [rows])
    return replace(found, blocks=(Block(text),))


def _last_line(plan: Plan, left_out: Counts, names_them: bool = True) -> str:
    parts = []
    for kind, (words, noun) in _LEFT_OUT.items():
        found = {name: number for (key, name), number in left_out.items() if key == kind}
        if found:
            part = words.format(counted(sum(found.values()), noun))
            parts.append(f"{part} ({names_of([*found])})" if names_them else part)
    line = (
        f"Left out here: {', '.join(parts)}. The {counted(len(plan.changes), 'change')}, complete:"
        " `majobctl plan`, `majobctl show PLANFILE`, or the page that `--also html=FILE` writes."
    )
    return line if size(line) <= LAST_LINE_BYTES else _last_line(plan, left_out, names_them=False)


def _body(plan: Plan, by: str, room: int) -> tuple[list[str], Counts]:
    """The shared causes, the table of the other changes, and the details, in ``room`` bytes; what
    is left out of them."""
    groups, changes = told(plan, by)
    rest = [it for it in changes if it[1] and by != "summary"]
    share = room // 2 if changes else room
    parts, left_out = _table(
        "cause | what changes | where", chain.from_iterable(map(_cause_rows, groups)), share
    )
    room -= sum(map(size, parts))
    share = room * 2 // 5 if rest else room
    table, passed_over = _table(
        "job config | file | what changes", (_table_row(*it) for it in changes), share
    )
    room -= sum(map(size, table))
    details = _sections(rest[:_MAX_SECTIONS], plan.is_refreshed, room)
    passed_over += Counter(("details", change.name) for change, _ in rest[_MAX_SECTIONS:])
    return parts + table + details.texts, left_out + passed_over + details.left_out


def _table(heads: str, rows: Iterable[Block], room: int) -> tuple[list[str], Counts]:
    head = table_head(["", *heads.split(" | ")])
    found = take(rows, room - size(head), "\n")
    return ["\n".join([head, *found.texts])] * bool(found.blocks), found.left_out


def _cause_rows(group: CauseGroup) -> Iterator[Block]:
    """What the line said and says; if that does not tell everything, each different change."""
    at = f"{code(cut(place_of(group)))} {code(cut(group.cause.key))}"
    rows = [("", line_sides(group), reach(group, code))]
    if not rows[0][1]:
        rows = [
            (f"{code(it.dotted)} ", [it.before, it.after], f"in {job_configs(row, code)}")
            for row in rows_of(group)
            for it in each_item(row.parts[0][1])
        ]
    for path, sides, where in rows:
        texts = [
            text for text, it in zip(shown_values(*sides), sides, strict=True) if it is not None
        ]
        cells = [code(action_of(group).sign), at, path + " → ".join(texts), where]
        yield Block(table_row(cells), Counter([("cause", group.cause.key)]))


def _sections(changes: Sequence[Part], is_refreshed: bool, room: int) -> Taken:
    """The details of each change: complete if there is room for all of them, and otherwise each as
    long as its share of the room allows."""
    least = max(_MIN_SECTION_BYTES, room // max(1, len(changes)))
    for limit in (room, least):
        found = take((_details(it, is_refreshed, limit) for it in changes), room)
        if not found.left_out:
            break
    return found


def _table_row(change: Change, fields: Sequence[FieldChange]) -> Block:
    name = names_of([change.name])
    cells = [_action(change, code), name, _place(change, fields, code), _brief(change, fields)]
    return Block(table_row(cells), Counter([("row", change.name)]))


def _place(change: Change, fields: Sequence[FieldChange], mark: Mark) -> str:
    place = own_place(change, fields)
    return mark(cut(place)) if place else ""


def _action(change: Change, mark: Mark) -> str:
    sign, *word = change.action.signed.split()
    return " ".join([mark(sign), *word])


def _brief(change: Change, fields: Sequence[FieldChange]) -> str:
    """What changes, in short: the fields, then what they do not show."""
    parts = [_brief_field(field) for field in fields[: _MAX_VALUES + 1]]
    what = ", ".join(parts) if len(parts) <= _MAX_VALUES else paths_in_short(fields, code)
    remarks = remarks_on_change(change, lambda text: code(quoted(text)))
    return "; ".join([*([what] if what else []), *remarks])


def _brief_field(field: FieldChange) -> str:
    """One field change in a few words, such as ``path`` ``1`` → ``2``."""
    path = code(field.dotted)
    old, new = shown_values(field.replaced, field.after)
    reason = f" ({REASONS[field.reason]})" if field.reason else ""
    if len(max(old, new, key=len)) > _BRIEF_WIDTH:
        return f"{path} {FIELD_WORDS[field.action]}{reason}"
    if field.action is FieldAction.UPDATE:
        return f"{path} {old} → {new}{reason}"
    value = old if field.action is FieldAction.REMOVE else new
    return f"{path} {value} {FIELD_WORDS[field.action]}{reason}"


def _details(part: Part, is_refreshed: bool, limit: int) -> Block:
    change, fields = part
    name, place = code_element(f"job_config.{change.name}"), _place(change, fields, code_element)
    title = f"{_action(change, code_element)} {name} {place}".rstrip()
    remarks = [*map(sentence, remarks_on_change(change, lambda text: code(quoted(text))))]
    frame = size(collapsed(title, remarks)) + _TABLE_FRAME_BYTES
    table = _fields_table(fields, is_refreshed, limit - frame, change.name)
    counts = Counter({("details", change.name): 1})
    return Block(collapsed(title, [*remarks, table.text]), counts, table.missing)


def _fields_table(
    fields: Sequence[FieldChange], is_refreshed: bool, limit: int, name: str
) -> Block:
    """A row for each field of the job config ``name``, or for each item of an array: as many as fit
    into ``limit`` bytes."""
    fields = [*each_item(fields)]
    heads, sides = ["before", "after"], ["before", "after"]
    if all(field.before is None and field.live is None for field in fields):
        heads, sides = ["value"], ["after"]
    elif is_refreshed:
        heads, sides = ["state", "service", "desired", "why"], ["before", "live", "after"]
    rows = (Block(table_row(_cells(it, sides)), Counter([("", it.dotted)])) for it in fields)
    taken = take(rows, limit, "\n")
    text = "\n".join([table_head(["field", *heads]), *taken.texts])
    if paths := [path for _, path in taken.left_out]:
        text += f"\n\n{counted(len(paths), 'more field')}: {names_of(paths)}."
    return Block(text, missing=Counter({("field", name): len(paths)} if paths else {}))


def _cells(field: FieldChange, sides: Sequence[str]) -> list[str]:
    cells = [code(field.dotted), *shown_values(*(getattr(field, side) for side in sides))]
    if "live" in sides:
        cells.append(REASONS[field.reason] if field.reason else "")
    return cells
