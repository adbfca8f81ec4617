"""The sentences about plans, drift and results, for every format that people read.

Each is one line of plain text that is safe to print; the formats mark, wrap or escape it. ``show``
makes text from outside safe, and marks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from majobctl.job_config.live import unknown_sentence
from majobctl.job_config.secrets import without_hashes
from majobctl.plan.change import Action, Change, FieldAction, FieldChange, LastCall, Reason, Renamed
from majobctl.plan.guard import foreign_fields, left_by_pull, may_remove_unknown
from majobctl.plan.plan import Flavor, Plan
from majobctl.text import counted, environment_flag, in_short, printable, quoted

if TYPE_CHECKING:
    from majobctl.plan.drift import Drift, DriftedConfig

Show = Callable[[str], str]
_MAX_NAMES = 10
_NOTHING = "There are no job configs to compare."

DONE_WORDS: Mapping[Action, str] = {
    Action.ADD: "added",
    Action.UPDATE: "updated",
    Action.RESEND: "resent",
    Action.CREATE: "created",
    Action.DELETE: "deleted",
    Action.RECORD: "recorded",
    Action.FORGET: "forgotten",
}
"""In the order of every summary."""
FIELD_WORDS: Mapping[FieldAction, str] = {
    FieldAction.ADD: "added",
    FieldAction.UPDATE: "changed",
    FieldAction.REMOVE: "removed",
    FieldAction.RECORD: "recorded",
}
REASONS: Mapping[Reason, str] = {
    Reason.EDITED: "edited in TOML",
    Reason.CHANGED: "changed in the service",
    Reason.BOTH: "edited in TOML, changed in the service",
    Reason.SAME: "the same in TOML and in the service",
    Reason.OLD_NAME: "changed in the service under its old name",
}


def summary(plan: Plan) -> str:
    """What the plan comes to, in one line."""
    if not plan.total:
        return f"No changes. {_NOTHING}"
    if not plan.changes:
        if plan.base:
            return f"No changes. {_as_in(plan.unchanged, printable(plan.base))}"
        verb = "matches" if plan.unchanged == 1 else "match"
        sides = compared_with(plan, printable)
        return f"No changes. {counted(plan.unchanged, 'job config')} {verb} {sides}."
    found = {action: number for action in DONE_WORDS if (number := plan.count(action))}
    # The result will say which of both it was.
    verbs = {Action.ADD: "add or create"} if _may_create(plan) else {}
    parts = [f"{number} to {verbs.get(it, it.value)}" for it, number in found.items()]
    parts += [f"{plan.unchanged} unchanged"] * bool(plan.unchanged)
    made = [counted(number, f"{call} call") for call, number in plan.calls.items() if number]
    return f"Plan: {', '.join(parts)}. {', '.join(made) or 'No calls'}."


def compared_with(plan: Plan, show: Show) -> str:
    if plan.base:
        return f"the files of {show(plan.base)}"
    return "the state and the service" if plan.is_refreshed else "the state"


def _may_create(plan: Plan) -> bool:
    return plan.creates_missing and any(
        change.action is Action.ADD and not change.was_read for change in plan.changes
    )


def paths_in_short(fields: Sequence[FieldChange], show: Show) -> str:
    """The first few, or how many there are if all are new."""
    if all(field.action is FieldAction.ADD for field in fields):
        return counted(len(fields), "field")
    return in_short([show(field.dotted) for field in fields])


def remarks_on_plan(plan: Plan, show: Show = quoted) -> Iterator[str]:
    """What holds for the complete plan, beside its notices and warnings."""
    if plan.changes and not plan.lineage and not plan.base:
        yield "There is no state yet: every job config counts as new."
    if _may_create(plan):
        yield "A configuration that the service does not have yet is created."
    held = [change for change in plan.changes if foreign_fields(change)]
    if held and not plan.overwrites:
        names = in_short([show(change.name) for change in held], _MAX_NAMES)
        keeping = _keeping(held, plan.environment)
        yield (
            f"This plan would {_undoing(held)} what somebody changed in the service: {names}."
            f" To keep that, {keeping}; to undo it, type yes to this plan in"
            " `majobctl apply --refresh`, or apply it saved (`plan --refresh --out FILE`)."
            " `apply --refresh --auto-approve` holds it back unless you add --overwrite."
        )
    yield from _cost(plan.flavors, show)
    yield from _owned(plan.owners, show)
    yield from _selected(plan, plan.total, show)


def _undoing(held: Sequence[Change]) -> str:
    is_old = [it.reason is Reason.OLD_NAME for change in held for it in foreign_fields(change)]
    verbs = ["undo"] * (not all(is_old)) + ["leave behind under an old name"] * any(is_old)
    return " or ".join(verbs)


def _keeping(held: Sequence[Change], environment: str) -> str:
    left = [(item.dotted, left_by_pull(it)) for it in held for item in foreign_fields(it)]
    by_hand = [path in found for path, found in left]
    if all(by_hand):
        return "write it into the TOML"
    pull = f"run `majobctl pull{environment_flag(environment)}`"
    return f"{pull}{', and write the rest into the TOML' if any(by_hand) else ''}"


def _cost(flavors: Sequence[Flavor], show: Show) -> Iterator[str]:
    """The GPUs of each flavor and the price of an hour, before and after; and what is not known."""
    gpus = [
        f"{show(it.name)} {it.nodes_before * it.gpus} -> {it.nodes_after * it.gpus} GPUs"
        for it in flavors
        if it.gpus
    ]
    parts = [f"{in_short(gpus)} (listed on {flavors[0].listed_at[:10]})"] if gpus else []
    if unlisted := [show(it.name) for it in flavors if it.gpus is None]:
        parts.append(f"GPUs of {in_short(unlisted)} not known (run `majobctl flavors`)")
    money = []
    if priced := [
        (it.nodes_before, it.nodes_after, it.price) for it in flavors if it.price is not None
    ]:
        before, after = (sum(it[side] * it[2] for it in priced) for side in (0, 1))
        money.append(f"{before:,.2f} -> {after:,.2f} {printable(flavors[0].currency)} an hour")
    if unpriced := [show(it.name) for it in flavors if it.currency and it.price is None]:
        money.append(f"prices.toml has no price for {in_short(unpriced)}")
    if money:
        parts.append(", but ".join(money))
    if parts:
        text = "; ".join(parts)
        yield f"If each job config with a changed flavor or count runs once: {text}."


def _owned(owners: Mapping[str, tuple[str, ...]], show: Show) -> Iterator[str]:
    files = Counter(owner for found in owners.values() for owner in found)
    parts = [in_short([show(name) for name, _ in files.most_common()], _MAX_NAMES)] * bool(files)
    if unowned := [show(file) for file, found in owners.items() if not found]:
        parts.append(f"nobody for {in_short(unowned)}")
    if parts:
        yield f"Owners of these job files: {'; '.join(parts)}."


def _selected(found: Plan | Drift, looked_at: int, show: Show) -> Iterator[str]:
    options = [f"--target {show(glob)}" for glob in found.selection.targeted]
    options += [f"--exclude {show(glob)}" for glob in found.selection.excluded]
    if options:
        total = looked_at + found.left_out
        yield f"{looked_at} of {total} job configs selected by {' '.join(options)}."


def remarks_on_change(change: Change, show: Show = quoted) -> Iterator[str]:
    """What the fields of a change do not show."""
    yield from _remarks_on_action(change, show)
    if may_remove_unknown(change):
        names = [show(name) for name in change.unknown_fields]
        yield f"the service has {unknown_sentence(names)}"
    if change.renamed is Renamed.DECLARED:
        yield f"renamed from {show(change.old_name)}"
    elif change.renamed is Renamed.DETECTED:
        old_name = show(change.old_name)
        yield f"looks like {old_name} renamed: if so, add renamed_from = {old_name}"


def _remarks_on_action(change: Change, show: Show) -> Iterator[str]:
    left = f"no longer in {'this environment' if change.source else 'any file'}"
    match change.action:
        case Action.FORGET if change.is_missing:
            yield f"{left}, and gone from the service: it leaves the state"
        case Action.FORGET | Action.DELETE if change.new_name:
            end = "stays in" if change.action is Action.FORGET else "is deleted from"
            yield f"renamed to {show(change.new_name)}: the old one {end} the service"
        case Action.FORGET:
            yield f"{left}: it leaves the state, and stays in the service"
        case Action.DELETE:
            yield f"{left}: it is deleted from the service"
        case Action.RECORD if change.live_digest:
            yield "the service has it already: only the state is updated, without a call"
        case Action.CREATE:
            yield "the service does not have it: it is created"
        case _ if change.is_missing:
            yield (
                "the service does not have it, so it cannot be sent: create it there first, or"
                " set apply.create_missing = true"
            )
        case Action.UPDATE | Action.RESEND if change.last_call:
            yield _LAST_CALL[change.last_call]
        case Action.RESEND:
            yield "the last call may have succeeded, or never been sent: it is sent again"
        case Action.UPDATE if all(
            it.before == it.after != without_hashes(it.after) and it.reason is None
            for it in change.fields
        ):
            yield "only how a sensitive value is stored changes"


_LAST_CALL: Mapping[LastCall, str] = {
    LastCall.DONE: "the service did what the last call asked; this is what was edited since",
    LastCall.NOT_DONE: "the service did not do what the last call asked",
    LastCall.PARTLY: "the service did only a part of what the last call asked: it is sent again",
    LastCall.UNCLEAR: "the service has something else than the last call sent: it is sent again",
}


def drift_summary(drift: Drift) -> str:
    """What has drifted, in one line."""
    if drift.changes:
        words = {"changed": drift.changed, "missing": drift.missing}
        words["unmanaged"] = drift.counted_unmanaged
        words["as in the state"] = drift.unchanged
        return f"Drift: {', '.join(f'{it} {word}' for word, it in words.items() if it)}."
    if not drift.unchanged:
        return f"No drift. {_NOTHING}"
    return f"No drift. {_as_in(drift.unchanged, 'the state')}"


def _as_in(number: int, other: str) -> str:
    return f"{counted(number, 'job config')} {'is' if number == 1 else 'are'} as in {other}."


def notes_on_drift(drift: Drift, show: Show = quoted) -> Iterator[str]:
    """What belongs before the summary."""
    option = environment_flag(drift.environment)
    if not drift.lineage:
        yield (
            f"There is no state yet to compare with; `majobctl import{option} --all` or"
            f" `majobctl apply{option}` creates it."
        )
    if drift.unmanaged and not drift.counted_unmanaged:
        number, names = len(drift.unmanaged), in_short([*map(show, drift.unmanaged)], _MAX_NAMES)
        yield (
            f"The service has {counted(number, 'configuration')} that neither the state nor a TOML"
            f" file knows: {names}. `majobctl import{option} --all` imports"
            f" {'it' if number == 1 else 'them'}."
        )
    if any(it.is_described and it.fields for it in drift.changes):
        yield (
            f"To keep what was changed in the service, run `majobctl pull{option}`. To undo it, run"
            f" `majobctl apply --refresh{option}` and type yes."
        )
    looked_at = len(drift.changes) - drift.counted_unmanaged + drift.unchanged
    yield from _selected(drift, looked_at, show)


def remarks_on_drifted(item: DriftedConfig, environment: str = "") -> Iterator[str]:
    """What the fields of a job config that has drifted do not show."""
    if item.is_missing:
        yield "the service no longer has it"
    elif item.is_unmanaged:
        way = f"`majobctl import{environment_flag(environment)} {printable(item.name)}`"
        yield f"neither the state nor a TOML file knows it: {way} takes it in, or says why not"
    elif not item.is_described:
        pull = f"`majobctl pull{environment_flag(environment)}`"
        yield f"no job file describes it: {pull} takes this only if it was renamed"
    if item.is_pending:
        yield "the last call may have succeeded, or never been sent: the next apply resends it"
