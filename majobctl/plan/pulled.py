"""What of the service's side goes into the files: decided field by field. Pure.

Only what was changed in the service and not in the files since the last apply is taken. What both
changed is a conflict. What several job configs share, and what is secret, is left to a person."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from majobctl.job_config.checks import checked_values, rule_violations
from majobctl.job_config.compare_policy import ComparePolicy, Place
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import is_masked
from majobctl.plan.change import Change, FieldChange, Params, Reason
from majobctl.repository.jobs.layers import Origin, Written
from majobctl.repository.jobs.references import split

_FOREIGN = (Reason.CHANGED, Reason.BOTH, Reason.OLD_NAME)


class Outcome(enum.Enum):
    """What becomes of a field; the values are the JSON's words."""

    TAKEN = "taken"
    CONFLICT = "conflict"
    """It was changed in the files, too, to another value."""
    LEFT = "left alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class PulledField:
    """A field of the job config ``name`` that was changed in the service. ``file`` and ``line`` are
    where to look: of a taken one, its own table. ``note`` says what else there is to know."""

    name: str
    change: FieldChange
    outcome: Outcome
    file: str
    line: int
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What a pull did, or would do if it ``is_check``. ``files`` are those that change; ``remarks``
    name the job configs that it passes over, ``environments`` those that read the files as well;
    ``undescribed`` were changed in the service, but no file describes them; ``compared`` counts job
    configs."""

    fields: tuple[PulledField, ...]
    files: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    undescribed: tuple[str, ...] = ()
    compared: int
    is_check: bool

    def of(self, outcome: Outcome) -> list[PulledField]:
        return [it for it in self.fields if it.outcome is outcome]


def pulled_fields(change: Change, origin: Origin, live: LiveConfig) -> Iterator[PulledField]:
    """Those of ``change``, made with ``live``, that somebody changed in the service, and that are
    not ignored."""
    policy = ComparePolicy(ignored=change.ignored)
    found = []
    for item in change.fields:
        if item.reason not in _FOREIGN or policy.ignores(item.path):
            continue
        at = origin.written(item.path)
        is_old = item.reason is Reason.OLD_NAME
        notes = [f"from job_config.{change.old_name}, its old name"] * is_old
        outcome, note = Outcome.TAKEN, "; ".join(filter(None, [*notes, _where_from(origin, at)]))
        if is_conflict(item):
            outcome, note = Outcome.CONFLICT, ""
        elif why := why_left(item, origin, live):
            outcome, note = Outcome.LEFT, why
        file, line = place_of(origin, item.path, outcome)
        found.append(
            PulledField(
                name=change.name, change=item, outcome=outcome, file=file, line=line, note=note
            )
        )
    yield from _without_broken(found, change.after or {})


def place_of(origin: Origin, path: Place, outcome: Outcome) -> tuple[str, int]:
    """The file and the line of the value at ``path``. Of a taken one, those that the job config's
    own table has for it, maybe in its ``unset``; else those of the table."""
    at = origin.written(path)
    if at and outcome is not Outcome.TAKEN:
        return at.layer.file.name, at.layer.line_of(at.path)
    place = at.path if at and at.layer is origin.own else origin.own.unsetting(path)
    return origin.file, origin.own.line_of(place or origin.key)


def _where_from(origin: Origin, at: Written | None) -> str:
    if at is None:
        return ""
    if at.layer is not origin.own:
        name = ".".join(map(str, at.layer.prefix))
        return f"only here: {at.layer.place_of(at.path)} ([{name}]) stays as it is"
    return f"in place of {at.value}, which stays as it is" if _is_variable(at.value) else ""


def is_conflict(item: FieldChange) -> bool:
    """Whether ``item`` was changed in the files, too."""
    is_old = item.reason is Reason.OLD_NAME
    return item.reason is Reason.BOTH or (is_old and item.before != item.after)


def why_left(item: FieldChange, origin: Origin, live: LiveConfig | None = None) -> str:
    """Why ``item`` is not taken; "" if it is, or only ``live``, the configuration, says why."""
    at = origin.written(item.path)
    if any(map(is_masked, (item.before, item.live, item.after))):
        return "it is secret: change it where the secret is kept"
    if origin.key:
        return "it is one of a matrix: edit that, or write a job config of its own"
    if at and _has_reference(at.value) and not _is_variable(at.value):
        return "it is written with ${...}: edit the text, or the variable"
    if item.live is None:
        return ""
    key = item.path[0]
    broken = {text.partition(":")[0] for text in (live.problems if live else ())}
    if key in broken or (key == "framework_version" and "framework_type" in broken):
        return "the service has no name for it that a file could say"
    value = {item.path[1]: item.live} if len(item.path) == 2 else item.live
    wrong = checked_values({key: value})[1]
    return wrong[0].text() if wrong else ""


def _without_broken(found: Sequence[PulledField], params: Params) -> Iterator[PulledField]:
    """``found``, with nothing taken if the job config would then break a rule between keys."""
    after = with_taken(params, found)
    wrong = rule_violations(after, after)
    for item in found:
        if wrong and item.outcome is Outcome.TAKEN:
            why = f"without the others, it would break a rule: {wrong[0].text()}"
            item = replace(item, outcome=Outcome.LEFT, note=why)
        yield item


def with_taken(params: Params, fields: Iterable[PulledField]) -> dict[str, Any]:
    """``params`` with the service's values of what is taken."""
    after = dict(params)
    for item in fields:
        if item.outcome is Outcome.TAKEN:
            key, *label = item.change.path
            value = item.change.live
            if label:
                labelled = {**after.get(key, {}), label[0]: value}
                value = {it: labelled[it] for it in labelled if labelled[it] is not None}
            after[key] = value
    return {key: after[key] for key in FIELDS if after.get(key) not in (None, {})}


def _has_reference(value: Any) -> bool:
    if isinstance(value, str):
        return len(split(value)) > 1
    if isinstance(value, Mapping):
        value = value.values()
    return isinstance(value, Iterable) and any(map(_has_reference, value))


def _is_variable(value: Any) -> bool:
    return isinstance(value, str) and split(value)[::2] == ["", ""]
