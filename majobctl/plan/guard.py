"""What an apply finds in the service right before a call, compared three-way. Pure.

The state says what majobctl last sent; the service says what is there now. Where they differ,
somebody else has set a value since. If the call would undo that, a person must have seen it, or
have said that the files win. Without this, an apply that follows an edit of one value would put
back every value that was changed in the console, and nobody would notice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import SHOWN, Masker, is_masked
from majobctl.plan.change import SENDING, Action, Change, FieldChange, Params, Reason
from majobctl.plan.diff import items_of, removed_from_service, three_way
from majobctl.plan.pulled import is_conflict, why_left
from majobctl.repository.jobs.layers import Origin
from majobctl.text import complete, printable

GUARDED = frozenset({Action.ADD, Action.UPDATE, Action.RESEND, Action.DELETE})
"""The actions that may undo what somebody else did; a RESEND may never have been sent before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What may be undone of what was changed in the service: everything (``overwrites``), what the
    plan shows (``is_reviewed``), whatever the plan did not read (``is_blind``)."""

    overwrites: bool = False
    is_reviewed: bool = False
    is_blind: bool = False


def with_live(
    change: Change, live: LiveConfig | None, masker: Masker, attempted: Sequence[Params] = ()
) -> Change:
    """``change``, planned offline, as a plan would have it that had read ``live``. An update of
    what the service has already becomes a RECORD, a deletion of what it does not have a FORGET.
    ``attempted`` is what calls without a known outcome sent."""
    if live is None:
        is_gone = change.action is Action.DELETE
        return replace(change, action=Action.FORGET if is_gone else change.action, is_missing=True)
    # Of a renamed job config, the state knows the old name's values.
    sides = (change.after or {}, change.before or {}, *attempted)
    policy, also = ComparePolicy(secret_names=change.secret_names), change.references
    now, after, former, *tried = policy.masked_alike(
        masker, live.params_as(*sides), *sides, also=also
    )
    is_new = change.action is Action.ADD or change.old_name or not change.before
    before = None if is_new else former
    digest, unknown = masker.digest(live.seen), live.unknown_fields
    read = replace(change, live_digest=digest, unknown_fields=unknown)
    if change.action not in SENDING:
        return replace(read, fields=tuple(removed_from_service(former, now, tried)))
    fields = three_way(before, now, after, change.ignored, tried)
    if change.action is not Action.RESEND and all(it.live == it.after for it in fields):
        return replace(read, action=Action.RECORD, fields=fields, cleared=())
    set_now = {*change.cleared, *live.params, *live.repeated}
    cleared = tuple(key for key in FIELDS if key in set_now and key not in after)
    fields = three_way(before, now, after, attempted=tried)
    return replace(read, fields=fields, cleared=cleared)


def with_old_name(
    change: Change, live: LiveConfig, sides: Sequence[Params], params: Params, masker: Masker
) -> Change:
    """``change``, of a job config that is renamed, with what somebody changed in the service under
    its old name, and that the files do not have: ``live`` is there, ``sides`` are those of the old
    name's entry, and ``params`` what is desired, with secrets."""
    policy, after = ComparePolicy(secret_names=change.secret_names), change.after or {}
    former = [masker.renewed(side, params) for side in sides]
    now, desired, before, *tried = policy.masked_alike(
        masker, live.params_as(after, *former), after, *former, also=change.references
    )
    found = [
        replace(it, reason=Reason.OLD_NAME)
        for it in three_way(before, now, desired, change.ignored, tried)
        if it.reason in (Reason.CHANGED, Reason.BOTH)
    ]
    # What is not there under the new name has no further value to show.
    paths = {it.path for it in found} if change.is_missing else ()
    own = [it for it in change.fields if it.reason is not Reason.OLD_NAME and it.path not in paths]
    return replace(change, fields=(*own, *found))


def foreign_fields(change: Change) -> tuple[FieldChange, ...]:
    """The fields that somebody else has set in the service, and that ``change`` may not undo, or
    leave behind under the old name, unseen. None is ignored."""
    policy = ComparePolicy(ignored=change.ignored)
    found = (*undone_fields(change), *fields_of_old_name(change))
    return tuple(item for item in found if not policy.ignores(item.path))


def fields_of_old_name(change: Change) -> list[FieldChange]:
    return [it for it in change.fields if it.reason is Reason.OLD_NAME]


def undone_fields(change: Change) -> tuple[FieldChange, ...]:
    """The fields that somebody else has set in the service, and that ``change`` undoes; none if
    the service was not read for it, or does not have it."""
    if not change.live_digest or change.action not in GUARDED:
        return ()
    return tuple(it for it in change.fields if _is_foreign(it) and it.path[0] in FIELDS)


def left_by_pull(change: Change) -> dict[str, str]:
    """Those of ``foreign_fields`` that a pull does not take into the files, and why."""
    found: dict[str, str] = {}
    for item in foreign_fields(change):
        why = ""
        if change.action is Action.DELETE:
            why = "" if change.new_name else "no job file describes it"
        elif item.reason is None:
            why = "the state does not know it"
        elif is_conflict(item):
            why = "it was edited in TOML, too"
        elif isinstance(change.source, Origin):
            why = why_left(item, change.source)
        found[item.dotted] = why
    return {path: why for path, why in found.items() if why}


def is_held_back(change: Change) -> bool:
    """Whether an apply that nobody watches does not make it, unless the files are to win."""
    return bool(foreign_fields(change)) or may_remove_unknown(change)


def may_remove_unknown(change: Change) -> bool:
    return change.action in GUARDED and bool(change.unknown_fields)


def _is_foreign(item: FieldChange) -> bool:
    if item.reason is None:
        # The state does not know it: what the service does not have cannot be lost.
        return item.live is not None and bool(item.live != item.after)
    return item.reason in (Reason.CHANGED, Reason.BOTH)


def field_sentence(field: FieldChange, action: Action = Action.UPDATE) -> str:
    """One field on its three sides: ``lr: 1 in the state, 2 in the service, 3 wanted``; an array
    item by item."""
    if any(map(is_masked, (field.before, field.live, field.after))):
        return f"{printable(field.dotted)}: {SHOWN}, another value in the service"
    found = []
    for item in items_of(field):
        sides = [] if item.reason is None else [f"{complete(item.before)} in the state"]
        place = " under its old name" if item.reason is Reason.OLD_NAME else ""
        sides.append(f"{complete(item.live)} in the service{place}")
        if action is not Action.DELETE:
            sides.append(f"{complete(item.after)} wanted")
        found.append(f"{printable(item.dotted)}: {', '.join(sides)}")
    return "; ".join(found)
