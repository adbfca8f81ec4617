"""What a pull took into the files, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from majobctl.plan.change import FieldChange
from majobctl.plan.diff import action_between
from majobctl.plan.document import HEAD
from majobctl.plan.guard import field_sentence
from majobctl.plan.pulled import Outcome, Pulled, PulledField
from majobctl.render import Paint, unpainted
from majobctl.render.text_fields import MIN_WIDTH, field_lines, wrapped
from majobctl.text import counted, in_short, printable

_UNSETTLED = (Outcome.CONFLICT, Outcome.LEFT)


def is_settled(pulled: Pulled) -> bool:
    """Whether the files have all that was changed in the service."""
    is_to_do = pulled.is_check and pulled.files
    is_left = pulled.undescribed or any(it.outcome in _UNSETTLED for it in pulled.fields)
    return not (is_to_do or is_left)


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
    if pulled.undescribed:
        names = in_short([printable(f"job_config.{it}") for it in pulled.undescribed])
        advice = "put it back into a file to keep that; `majobctl drift` shows it"
        lines += wrapped(f"Changed in the service, but in no job file: {names}; {advice}.", width)
    if pulled.environments:
        names = ", ".join(printable(it) or "none (without -e)" for it in pulled.environments)
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
    old, new = item.change.after, item.change.live
    action = action_between(old, new)
    shown = FieldChange(path=item.change.path, action=action, before=old, after=new)
    first, *more = field_lines([shown], paint, width)
    yield f"{item.line:>4}  {first[6:]}"
    yield from more
    if item.note:
        yield from wrapped(printable(item.note), width, " " * 10)


def _unsettled_sentence(item: PulledField) -> str:
    place = printable(f"{item.file}:{item.line}: job_config.{item.name}")
    note = f": {printable(item.note)}" if item.note else ""
    return f"{place}: {item.outcome.value}: {field_sentence(item.change)}{note}"


def _summary(pulled: Pulled) -> str:
    taken, conflicts, left = (len(pulled.of(outcome)) for outcome in Outcome)
    parts = [f"{conflicts} conflict{'s' if conflicts > 1 else ''}"] * bool(conflicts)
    parts += [f"{left} left alone"] * bool(left)
    end = "."
    if taken:
        verb = "Would take" if pulled.is_check else "Took"
        files = counted(len(pulled.files), "file")
        parts.insert(0, f"{verb} {counted(taken, 'value')} into {files}")
        end = ". Review the files; the next apply records these values without a call."
    if not parts:
        compared = counted(pulled.compared, "job config")
        parts = [f"Nothing to take: {compared} compared with the service"]
    return ", ".join(parts) + ("." if pulled.is_check else end)


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
        "undescribed": list(pulled.undescribed),
        "summary": {**counts, "compared": pulled.compared},
    }
