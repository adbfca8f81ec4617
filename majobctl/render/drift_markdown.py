"""What has drifted, as Markdown for an issue: never more than one takes."""

from __future__ import annotations

from collections import Counter

from majobctl.plan.diff import each_item
from majobctl.plan.drift import Drift, DriftedConfig
from majobctl.render.markdown_blocks import (
    LAST_LINE_BYTES,
    MAX_BYTES,
    Block,
    code,
    joined,
    names_of,
    sentence,
    shown_values,
    size,
    table_head,
    table_row,
    take,
)
from majobctl.render.wording import drift_summary, notes_on_drift, remarks_on_drifted
from majobctl.text import environment_flag, quoted


def drift_markdown(drift: Drift) -> str:
    """The summary, and a table of fields for each job config that has drifted: at most MAX_BYTES in
    UTF-8. Tables that do not fit are left out completely, and the last line counts them."""
    notes = notes_on_drift(drift, lambda text: code(quoted(text)))
    room = MAX_BYTES - LAST_LINE_BYTES
    head = take((Block(part) for part in [f"**{drift_summary(drift)}**", *notes]), room)
    room -= sum(map(size, head.texts))
    items = drift.changes
    tables = take((Block(_drifted(it, drift), Counter({("", it.name): 1})) for it in items), room)
    left_out = [name for _, name in tables.left_out]
    what = "job config has" if len(left_out) == 1 else "job configs have"
    last = f"{len(left_out)} more {what} drifted than fit here: {names_of(left_out)}."
    last += f" `majobctl drift{environment_flag(drift.environment)}` shows all."
    return joined([*head.texts, *tables.texts, *([last] if left_out else [])])


def _drifted(item: DriftedConfig, drift: Drift) -> str:
    remarks = map(sentence, remarks_on_drifted(item, drift.environment))
    parts = [f"### {code(f'job_config.{item.name}')}", *remarks]
    if item.fields:
        rows = [
            table_row([code(field.dotted), *shown_values(field.before, field.after)])
            for field in each_item(item.fields)
        ]
        parts.append("\n".join([table_head(["field", "state", "service"]), *rows]))
    return "\n\n".join(parts)
