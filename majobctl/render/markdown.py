"""What has drifted as Markdown, for a comment or an issue: never more than one takes.

Whatever comes from outside stands in code spans that it cannot end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from majobctl.drift import Drift, Drifted
from majobctl.errors import printable, quoted
from majobctl.sensitive import SHOWN, is_masked

MOST_BYTES = 65_000
"""A little less than what an issue or a comment takes."""
_LAST_LINE_BYTES = 200
_CODE_WIDTH = 100
_TABLE_HEAD = "| field | state | service |\n| --- | --- | --- |"
_ENDS_A_CODE_SPAN_OR_CELL = re.compile(r"[|`<>]")


def drift_markdown(drift: Drift) -> str:
    """The summary, and a table of fields for each job config that has drifted.

    At most MOST_BYTES in UTF-8. A job config whose table no longer fits is left out as a whole,
    and the last line then counts those.
    """
    notes = drift.notes(lambda text: _code(quoted(text)))
    head = _fitting([f"**{drift.summary}**", *notes], MOST_BYTES - _LAST_LINE_BYTES)
    room = MOST_BYTES - _LAST_LINE_BYTES - sum(map(_size, head))
    tables = _fitting(map(_drifted, drift.changes), room)
    left_out = len(drift.changes) - len(tables)
    return "\n\n".join([*head, *tables, *([_last_line(left_out)] if left_out else [])]) + "\n"


def _fitting(parts: Iterable[str], room: int) -> list[str]:
    """Those of ``parts`` for which there is still room, in bytes, when it is their turn."""
    taken = []
    for part in parts:
        if _size(part) <= room:
            taken.append(part)
            room -= _size(part)
    return taken


def _size(part: str) -> int:
    return len(part.encode()) + len("\n\n")


def _last_line(left_out: int) -> str:
    what = "job config has" if left_out == 1 else "job configs have"
    return f"{left_out} more {what} drifted than fit here; `majobctl drift` shows all."


def _drifted(item: Drifted) -> str:
    parts = [f"### {_code(f'job_config.{item.name}')}"]
    parts += [f"{remark[:1].upper()}{remark[1:]}." for remark in item.remarks]
    if item.fields:
        rows = [
            f"| {_code('.'.join(field.path))} | {_value(field.before)} | {_value(field.after)} |"
            for field in item.fields
        ]
        parts.append("\n".join([_TABLE_HEAD, *rows]))
    return "\n\n".join(parts)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if is_masked(value):
        return SHOWN
    return _code(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _code(text: str) -> str:
    """``text`` in a code span, on one line, cut where it is long."""
    shown = printable(text) or " "
    if len(shown) > _CODE_WIDTH:
        shown = shown[: _CODE_WIDTH - 1] + "…"
    safe = _ENDS_A_CODE_SPAN_OR_CELL.sub(lambda match: f"\\u{ord(match[0]):04x}", shown)
    return f"`{safe}`"
