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


def foreign_fields(change: Change) -> tuple[FieldChange, ...]:
    """The fields that somebody else has set in the service, and that ``change`` may not undo
    unseen: those of ``undone_fields`` that are not ignored."""
    policy = ComparePolicy(ignored=change.ignored)
    return tuple(item for item in undone_fields(change) if not policy.ignores(item.path))


def undone_fields(change: Change) -> tuple[FieldChange, ...]:
    """The fields that somebody else has set in the service, and that ``change`` undoes; none if
    the service was not read for it, or does not have it."""
    if not change.live_digest or change.action not in GUARDED:
        return ()
    return tuple(it for it in change.fields if _is_foreign(it) and it.path[0] in FIELDS)


def may_be_pulled(change: Change) -> bool:
    """Whether the files can get what ``change`` undoes: only of what the state knows, it is sure
    that somebody else set it."""
    return change.action is not Action.DELETE and all(it.reason for it in foreign_fields(change))


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
        sides.append(f"{complete(item.live)} in the service")
        if action is not Action.DELETE:
            sides.append(f"{complete(item.after)} wanted")
        found.append(f"{printable(item.dotted)}: {', '.join(sides)}")
    return "; ".join(found)
