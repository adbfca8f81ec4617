"""A plan as Markdown for a comment: never more than one takes.

What does not fit is left out in complete rows and sections, and the last line says what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace

from majobctl.plan.change import Change, FieldAction, FieldChange
from majobctl.plan.diff import items_of
from majobctl.plan.plan import Plan
from majobctl.render.grouping import Group, Row, groups_of, key_of, rows_of
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
_MIN_ROW_BYTES = 10
_TABLE_FRAME_BYTES = 400
"""Of the lines above and below the rows."""
_BRIEF_WIDTH = 40
"""Of the values in a line about a job config; longer ones are in its section alone."""
_MAX_VALUES = 2
_LEFT_OUT = {
    "warning": ("{}", "warning"),
    "row": ("{} of the table", "job config"),
    "group": ("{} of equal changes", "set"),
    "name": ("{} of job configs with equal changes", "name"),
    "details": ("the details of {}", "job config"),
    "field": ("{} of job configs", "field"),
}
"""What may be left out, with names of job configs, and for a set with that of its first field."""


def plan_markdown(plan: Plan) -> str:
    """The summary, the notices, a table of all changes, and their fields in closed sections: at
    most MAX_BYTES in UTF-8, and the same text for the same plan."""
    warnings = _warnings(plan)
    parts = [f"**{summary(plan)}**", *_notes(plan), *warnings.texts]
    left_out = warnings.left_out
    if plan.changes:
        body, missing = _body(plan, MAX_BYTES - LAST_LINE_BYTES - sum(map(size, parts)))
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
    service = " and the service" if plan.is_refreshed else ""
    return f"Target: {target}. Compared with: {state}{service}."


def _warnings(plan: Plan) -> Taken:
    blocks = (Block(f"- {code(str(it))}", Counter([("warning", it.where)])) for it in plan.warnings)
    found = take(blocks, _MAX_WARNING_BYTES, "\n")
    if not plan.warnings:
        return found
    title, rows = counted(len(plan.warnings), "warning"), "\n".join(found.texts)
    is_open = len(plan.warnings) <= _MAX_WARNINGS_OPEN
    text = f"**{title}**\n\n{rows}" if is_open else collapsed(title, [rows])
    return replace(found, blocks=(Block(text, Counter()),))


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


def _body(plan: Plan, room: int) -> tuple[list[str], Counts]:
    """The table, what is equal and the details, in ``room`` bytes; what is left out of them."""
    rows = rows_of(plan.changes)
    head = table_head(["", "job config", "file", "what changes"])
    table = take(map(_table_row, rows), room * 2 // 5 - size(head), "\n")
    parts = ["\n".join([head, *table.texts])]
    room -= size(parts[0])
    groups, shown = _groups(plan, rows, room // 2)
    room -= sum(map(size, groups.texts))
    rest = [item for item in plan.changes if not shown.issuperset(map(key_of, item.fields))]
    details = _sections(rest[:_MAX_SECTIONS], plan.is_refreshed, room)
    parts += [*groups.texts, *details.texts]
    passed_over = Counter(("details", change.name) for change in rest[_MAX_SECTIONS:])
    return parts, table.left_out + groups.left_out + details.left_out + passed_over


def _sections(changes: Sequence[Change], is_refreshed: bool, room: int) -> Taken:
    """The details of each change: complete if there is room for all of them, and otherwise each as
    long as its share of the room allows."""
    least = max(_MIN_SECTION_BYTES, room // max(1, len(changes)))
    for limit in (room, least):
        found = take((_details(change, is_refreshed, limit) for change in changes), room)
        if not found.left_out:
            break
    return found


def _table_row(row: Row) -> Block:
    names = names_of([change.name for change in row])
    who = names if len(row) == 1 else f"{len(row)} job configs: {names}"
    cells = [_action(row[0], code), who, _where(row), _brief(row[0], code)]
    return Block(table_row(cells), Counter(("row", it.name) for it in row))


def _action(change: Change, mark: Mark) -> str:
    sign, *word = change.action.signed.split()
    return " ".join([mark(sign), *word])


def _where(row: Row) -> str:
    if len(row) == 1:
        source = row[0].source
        return code(cut(f"{source.file}:{source.line}")) if source else ""
    files = {change.source.file for change in row if change.source}
    return f"{len(files)} files" if len(files) > 1 else "".join(map(code, files))


def _brief(change: Change, mark: Mark) -> str:
    """What changes, in short: the fields, then what they do not show."""
    parts = [_brief_field(field, mark) for field in change.fields[: _MAX_VALUES + 1]]
    fields = ", ".join(parts) if len(parts) <= _MAX_VALUES else paths_in_short(change.fields, mark)
    remarks = remarks_on_change(change, lambda text: mark(quoted(text)))
    return "; ".join([*([fields] if fields else []), *remarks])


def _brief_field(field: FieldChange, mark: Mark) -> str:
    """One field change in a few words, such as ``path`` ``1`` → ``2``."""
    path = mark(field.dotted)
    old, new = shown_values(field.replaced, field.after, mark=mark)
    reason = f" ({REASONS[field.reason]})" if field.reason else ""
    if len(max(old, new, key=len)) > _BRIEF_WIDTH:
        return f"{path} {FIELD_WORDS[field.action]}{reason}"
    if field.action is FieldAction.UPDATE:
        return f"{path} {old} → {new}{reason}"
    value = old if field.action is FieldAction.REMOVE else new
    return f"{path} {value} {FIELD_WORDS[field.action]}{reason}"


def _groups(plan: Plan, rows: Sequence[Row], room: int) -> tuple[Taken, frozenset[Hashable]]:
    """A section for what several job configs have in common, and the keys of all fields shown."""
    groups = groups_of(plan.changes)
    known = {group.names for group in groups}
    named = [(row[0], tuple(change.name for change in row)) for row in rows if len(row) > 1]
    named = [(first, names) for first, names in named if names not in known]
    limit = max(_MIN_SECTION_BYTES, room // max(1, len(groups) + len(named)))
    looked_at = groups[:_MAX_SECTIONS]
    blocks = [_group(group, plan.is_refreshed, limit) for group in looked_at]
    taken = take([*blocks, *(_names_of_row(*row, limit) for row in named)], room)
    complete = {id(it) for it in taken.blocks if "field" not in {kind for kind, _ in it.missing}}
    shown = {
        key_of(field)
        for group, block in zip(looked_at, blocks, strict=True)
        for field in group.fields
        if id(block) in complete
    }
    passed_over = Counter(("group", it.fields[0].dotted) for it in groups[_MAX_SECTIONS:])
    return replace(taken, left_out=taken.left_out + passed_over), frozenset(shown)


def _group(group: Group, is_refreshed: bool, limit: int) -> Block:
    first, *more = group.fields
    also = f" and {counted(len(more), 'more field')}" if more else ""
    title = f"{_brief_field(first, code_element)}{also} in {len(group.names)} job configs"
    table = _fields_table(group.fields, is_refreshed, limit // 2, group.names[0])
    return _with_names(title, table, group.names, first.dotted, limit)


def _names_of_row(first: Change, names: Sequence[str], limit: int) -> Block:
    action, brief = _action(first, code_element), _brief(first, code_element)
    title = f"{action} {len(names)} job configs: {brief}"
    return _with_names(title, Block("", Counter()), names, first.action.value, limit)


def _with_names(title: str, table: Block, names: Sequence[str], kind: str, limit: int) -> Block:
    looked_at = names[: limit // _MIN_ROW_BYTES]
    found = take((Block(code(name), Counter()) for name in looked_at), limit // 2, ", ")
    left_out = names[len(found.blocks) :]
    listed = ", ".join(found.texts) + (f" and {len(left_out)} more" if left_out else "")
    parts = [part for part in (table.text, listed) if part]
    missing = table.missing + Counter(("name", name) for name in left_out)
    return Block(collapsed(title, parts), Counter({("group", kind): 1}), missing)


def _details(change: Change, is_refreshed: bool, limit: int) -> Block:
    source = change.source
    place = f" {code_element(cut(f'{source.file}:{source.line}'))}" if source else ""
    title = f"{_action(change, code_element)} {code_element(f'job_config.{change.name}')}{place}"
    remarks = [*map(sentence, remarks_on_change(change, lambda text: code(quoted(text))))]
    frame = size(collapsed(title, remarks)) + _TABLE_FRAME_BYTES
    table = _fields_table(change.fields, is_refreshed, limit - frame, change.name)
    counts = Counter({("details", change.name): 1})
    return Block(collapsed(title, [*remarks, table.text]), counts, table.missing)


def _fields_table(
    fields: Sequence[FieldChange], is_refreshed: bool, limit: int, name: str
) -> Block:
    """A row for each field of the job config ``name``, or for each item of an array: as many as fit
    into ``limit`` bytes."""
    fields = [item for field in fields for item in items_of(field)]
    heads, sides = ["before", "after"], ["before", "after"]
    if all(field.before is None and field.live is None for field in fields):
        heads, sides = ["value"], ["after"]
    elif is_refreshed:
        heads, sides = ["state", "service", "desired", "why"], ["before", "live", "after"]
    looked_at = fields[: max(0, limit) // _MIN_ROW_BYTES]
    rows = (Block(table_row(_cells(it, sides)), Counter([("", it.dotted)])) for it in looked_at)
    taken = take(rows, limit, "\n")
    text = "\n".join([table_head(["field", *heads]), *taken.texts])
    paths = [path for _, path in taken.left_out] + [it.dotted for it in fields[len(looked_at) :]]
    if paths:
        text += f"\n\n{counted(len(paths), 'more field')}: {names_of(paths)}."
    return Block(text, Counter(), Counter({("field", name): len(paths)} if paths else {}))


def _cells(field: FieldChange, sides: Sequence[str]) -> list[str]:
    cells = [code(field.dotted), *shown_values(*(getattr(field, side) for side in sides))]
    if "live" in sides:
        cells.append(REASONS[field.reason] if field.reason else "")
    return cells
