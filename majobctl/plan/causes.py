"""What the causes of a plan's fields tell together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from majobctl.job_config.compare_policy import Place
from majobctl.plan.change import Cause, Change, FieldChange
from majobctl.plan.plan import Plan

Part: TypeAlias = "tuple[Change, tuple[FieldChange, ...]]"
"""A change and some of its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CauseGroup:
    """A cause, and what it changes. ``before`` and ``after`` are what its line said and says; else
    what all fields had and get, if that is the same; else None."""

    cause: Cause
    before: Any
    after: Any
    parts: tuple[Part, ...]

    @property
    def is_shared(self) -> bool:
        """Others are told with their one job config."""
        return len(self.parts) > 1 or not self.cause.key.startswith("job_config.")

    @property
    def paths(self) -> list[Place]:
        return [*dict.fromkeys(item.path for _, fields in self.parts for item in fields)]

    @property
    def folders(self) -> Mapping[str, int]:
        """The number of job configs in each folder, which ends with a slash."""
        found: Counter[str] = Counter()
        for file, number in self.files.items():
            found[file[: file.rfind("/") + 1]] += number
        return found

    @property
    def files(self) -> Mapping[str, int]:
        """The number of job configs in each file."""
        return Counter(sorted(change.source.file for change, _ in self.parts if change.source))


def by_cause(plan: Plan, parts: Iterable[Part] | None = None) -> list[CauseGroup]:
    """All causes of ``plan``, or of ``parts`` of it, in the order of files and lines; several keys
    of one line are one. Each field that has a cause is in one group."""
    found: dict[tuple[str, int, str], dict[str, list[FieldChange]]] = {}
    all_parts = ((it, it.fields) for it in plan.changes)
    for change, fields in all_parts if parts is None else parts:
        for item in fields:
            if at := item.cause:
                line = found.setdefault((at.file, at.line, "" if at.line else at.key), {})
                line.setdefault(change.name, []).append(item)
    changes = {it.name: it for it in plan.changes}
    return [
        _group(tuple((changes[name], tuple(items)) for name, items in found[at].items()), plan)
        for at in sorted(found)
    ]


def _group(parts: tuple[Part, ...], plan: Plan) -> CauseGroup:
    fields = [item for _, items in parts for item in items]
    cause = min(item.cause for item in fields if item.cause)
    texts: tuple[Any, ...] = plan.edits.get(cause, ())
    sides = [(it.path, it.before, it.after) for it in fields]
    if sides.count(sides[0]) == len(sides) and not (texts and isinstance(sides[0][2], str)):
        texts = sides[0][1:]
    elif not texts or any(item.cause != cause for item in fields):
        texts = (None, None)
    return CauseGroup(cause=cause, before=texts[0], after=texts[1], parts=parts)
