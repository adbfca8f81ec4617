"""What a pull took into the files, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from majobctl.plan.change import FieldAction
from majobctl.plan.diff import each_item
from majobctl.plan.document import HEAD
from majobctl.plan.guard import field_sentence
from majobctl.plan.pulled import Outcome, Pulled, PulledField
from majobctl.render import Paint, unpainted
from majobctl.render.text_fields import MIN_WIDTH, PATH_WIDTH, painted_sign, value_lines, wrapped
from majobctl.render.values import json_text, padded
from majobctl.text import counted, printable

_UNSETTLED = (Outcome.CONFLICT, Outcome.LEFT)


def is_settled(pulled: Pulled) -> bool:
    """Whether the files have all that was changed in the service."""
    return not (any(it.outcome in _UNSETTLED for it in pulled.fields) or _is_to_do(pulled))


def _is_to_do(pulled: Pulled) -> bool:
    return pulled.is_check and bool(pulled.files)


def pull_text(pulled: Pulled, paint: Paint = unpainted, width: int | None = None) -> str:
    """The taken fields by file and job config, each with its line; then what is left, and a
    summary as the last line."""
    width = width and max(width, MIN_WIDTH)
    lines = [*_taken(pulled.of(Outcome.TAKEN), paint, width)]
    for outcome in _UNSETTLED:
        for item in pulled.of(outcome):
            lines += wrapped(_unsettled_sentence(item), width)
    lines += [""] * bool(lines)
    lines += [line for it in pulled.remarks for line in wrapped(f"{it}.", width)]
    if pulled.environments:
        names = ", ".join(map(printable, pulled.environments))
        verb = "reads" if len(pulled.environments) == 1 else "read"
        shared = f"{names} {verb} these job files, too, and would get the same values."
        lines += wrapped(f"Environments: {shared}", width)
    return "\n".join([*lines, *wrapped(_summary(pulled), width)]) + "\n"


def _taken(fields: Sequence[PulledField], paint: Paint, width: int | None) -> Iterator[str]:
    ordered = sorted(fields, key=lambda it: (it.file, it.name))
    for file, of_file in groupby(ordered, key=lambda it: it.file):
        yield printable(file)
        for name, items in groupby(of_file, key=lambda it: it.name):
            yield f"  job_config.{printable(name)}"
            for item in items:
                yield from _field(item, paint, width)


def _field(item: PulledField, paint: Paint, width: int | None) -> Iterator[str]:
    change = item.change
    old, new = change.after, change.live
    action = FieldAction.ADD if old is None else FieldAction.REMOVE if new is None else None
    shown = replace(change, before=old, after=new, action=action or FieldAction.UPDATE)
    for part in each_item([shown]):
        place = f"{item.line:>6}  "
        start = f"{place}{part.action.sign} {padded(printable(part.dotted), PATH_WIDTH)} "
        texts = [json_text(side) for side in (part.before, part.after) if side is not None]
        first, *more = value_lines(start, texts, paint, width)
        yield f"{place}{painted_sign(part.action, paint)}{first[len(place) + 1 :]}"
        yield from more
    if item.note:
        yield from wrapped(printable(item.note), width, " " * 10)


def _unsettled_sentence(item: PulledField) -> str:
    place = printable(f"{item.file}:{item.line}: job_config.{item.name}: ")
    if item.outcome is Outcome.CONFLICT:
        return f"{place}conflict: {field_sentence(item.change)}"
    return f"{place}left alone: {field_sentence(item.change)}: {printable(item.note)}"


def _summary(pulled: Pulled) -> str:
    taken, conflicts, left = (pulled.of(outcome) for outcome in Outcome)
    parts = []
    if taken:
        verb = "Would take" if pulled.is_check else "Took"
        values, files = counted(len(taken), "value"), counted(len(pulled.files), "file")
        parts.append(f"{verb} {values} into {files}")
    if conflicts:
        parts.append(counted(len(conflicts), "conflict"))
    if left:
        parts.append(f"{len(left)} left alone")
    if not parts:
        compared = counted(pulled.compared, "job config")
        return f"Nothing to take: {compared} compared with the service."
    end = ""
    if taken and not pulled.is_check:
        end = " Review the files; the next apply records these values without a call."
    return f"{', '.join(parts)}.{end}"


def pull_document(pulled: Pulled) -> dict[str, Any]:
    fields = [
        {
            "name": it.name,
            "path": list(it.change.path),
            "outcome": it.outcome.value,
            "file": it.file,
            "line": it.line,
            "state": it.change.before,
            "live": it.change.live,
            "desired": it.change.after,
            "note": it.note,
        }
        for it in pulled.fields
    ]
    counts = {it.value.replace(" ", "_"): len(pulled.of(it)) for it in Outcome}
    return {
        **HEAD,
        "check": pulled.is_check,
        "fields": fields,
        "files": list(pulled.files),
        "remarks": list(pulled.remarks),
        "environments": list(pulled.environments),
        "summary": {**counts, "compared": pulled.compared},
    }
