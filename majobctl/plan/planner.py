"""The planner: desired against state and, if it was read, against the service.

The TOML alone does not say what majobctl set before, so a key that left it could not be cleared.
The service alone does not say who set a value. The state is what majobctl last sent: a side that
differs from it was changed. An offline plan trusts the state to say what the service has.

A call sends a complete job config, never single fields. So if one field differs, all are sent,
those with ``ignore_changes`` included."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.compare_policy import ComparePolicy, Place
from majobctl.job_config.directives import PREVENT_DELETE
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import (
    NO_HASH,
    Masker,
    Maskers,
    unset_places,
    value_at,
    with_known,
    without_hashes,
)
from majobctl.plan.change import Action, Change, FieldChange, LastCall, Params, Renamed
from majobctl.plan.diff import (
    differing_places,
    field_changes,
    removed_from_service,
    three_way,
)
from majobctl.plan.guard import with_old_name
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.plan.renames import with_renames
from majobctl.state.document import Entry, State, secret_places
from majobctl.target import Target
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.job_config.live import LiveConfig

_EVERYTHING_COUNTS = ComparePolicy()
Live: TypeAlias = "Mapping[str, LiveConfig | None]"
"""What the service has of each name that was looked for; None if it does not have it."""


def names_to_read(
    desired: Iterable[str], state: State | None, selection: Selection, *, deletes_removed: bool
) -> list[str]:
    """The names whose details a refreshed plan compares, without old names."""
    known = state.job_configs.keys() if state and deletes_removed else ()
    return sorted(name for name in {*desired, *known} if selection.covers(name))


def old_names(desired: Mapping[str, JobConfig], state: State | None) -> dict[str, str]:
    """The old name of each job config that is renamed, or looks like that."""
    known = state.job_configs if state else {}
    leaving = known.keys() - desired.keys()
    if state is None or not leaving:
        return {}
    coming = {it for it in desired if it not in known or not known[it].params}
    selection = Selection(targeted=("*",), names=frozenset(leaving | coming))
    made = make_plan(desired, state, state.target, selection=selection)
    return {it.name: it.old_name for it in made.changes if it.old_name}


def make_plan(
    desired: Mapping[str, JobConfig],
    state: State | None,
    target: Target,
    *,
    selection: Selection = EVERYTHING,
    warnings: Iterable[Problem] = (),
    salt: str = "",
    live: Live | None = None,
    creates_missing: bool = False,
    deletes_removed: bool = False,
    environment: str = "",
    default_policy: ComparePolicy = _EVERYTHING_COUNTS,
) -> Plan:
    """The changes that lead from ``state`` to ``desired``, for the names that are selected.
    ``live``, if the service was read, has each name that was; the others are planned offline. It
    needs ``salt``, which keys the hashes of sensitive values until there is a state. Raises
    MajobctlError if a configuration would be deleted that ``prevent_delete`` protects."""
    known: Mapping[str, Entry] = state.job_configs if state else {}
    names = sorted(desired.keys() | known.keys())
    planner = _Planner(
        desired=desired,
        known=known,
        masker=state.masker if state else partial(Masker, salt),
        live=live,
        creates_missing=creates_missing,
        deletes_removed=deletes_removed,
        default_policy=default_policy,
    )
    selected = list(planner.selected(names, selection)) if selection else names
    changes = [change for name in selected if (change := planner.change(name)) is not None]
    _check_protection(changes, known)
    return Plan(
        target=target,
        lineage=state.lineage if state else "",
        serial=state.serial if state else 0,
        changes=tuple(map(planner.with_old, with_renames(changes, desired, planner.masker))),
        unchanged=len(selected) - len(changes),
        selection=selection,
        left_out=len(names) - len(selected),
        warnings=tuple(warnings),
        salt="" if state else salt,
        is_refreshed=live is not None,
        environment=environment,
        creates_missing=creates_missing,
    )


def only_shown(plan: Plan) -> Plan:
    """``plan`` for display, without hashes: their random salt is not kept, and without them the
    same input gives the same plan."""
    return replace(plan, changes=tuple(map(_without_hashes, plan.changes)), salt="")


def _without_hashes(change: Change) -> Change:
    sides = ("before", "after", "live")
    fields = tuple(
        replace(it, **{side: without_hashes(getattr(it, side)) for side in sides})
        for it in change.fields
    )
    before, after = without_hashes(change.before), without_hashes(change.after)
    digest = NO_HASH if change.live_digest else ""
    return replace(change, before=before, after=after, fields=fields, live_digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sides:
    """A job config, and what the state has: ``entry`` under its name, ``source`` under its old name
    if it has one. ``after`` is what is desired, masked; a value that is not known is the one that
    was applied last."""

    config: JobConfig
    masker: Masker
    entry: Entry | None
    old_name: str
    source: Entry | None
    after: Params

    @property
    def before(self) -> Params:
        return self.source.params if self.source else {}

    @property
    def action(self) -> Action:
        if self.entry is None:
            return Action.ADD
        return Action.RESEND if self.entry.pending else Action.UPDATE

    @property
    def differ_in_protection(self) -> bool:
        was_protected = self.entry is not None and self.entry.prevent_delete
        return was_protected != self.config.prevent_delete

    def shown(self, before: Params) -> Params:
        return self.masker.masked(before, self.config.hidden(before))

    def fields(self, before: Params) -> tuple[FieldChange, ...]:
        return field_changes(before, self.after, self.shown(before))

    def changed(self, action: Action, fields: tuple[FieldChange, ...], sent: Params) -> Change:
        config, after = self.config, self.after
        if self.differ_in_protection:
            flags: tuple[Params, Params] = ({}, {PREVENT_DELETE: True})
            fields = (*fields, *field_changes(*flags[:: 1 if config.prevent_delete else -1]))
        return Change(
            name=config.name,
            action=action,
            source=config.source,
            before=self.shown(self.source.params) if self.source else None,
            after=after,
            fields=fields,
            cleared=tuple(key for key in FIELDS if key in sent and key not in after),
            references={at: text for at, text in config.sensitive.items() if text is not None},
            ignored=config.policy.ignored,
            secret_names=config.policy.secret_names,
            prevent_delete=config.prevent_delete,
            old_name=self.old_name,
            renamed=Renamed.DECLARED if self.old_name else None,
        )


def _is_applied(entry: Entry | None, config: JobConfig, after: Params) -> bool:
    """Whether the state has ``config`` as it is; ``after`` are its params, masked."""
    return (
        entry is not None
        and entry.params == after
        and not entry.pending
        and entry.prevent_delete == config.prevent_delete
    )


def _offline(sides: _Sides) -> Change | None:
    entry = sides.entry
    if entry is not None and entry.params == sides.after and not entry.pending:
        return sides.changed(Action.RECORD, (), {}) if sides.differ_in_protection else None
    return sides.changed(sides.action, sides.fields(sides.before), _ever_sent(entry))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planner:
    """Makes the change of each job config."""

    desired: Mapping[str, JobConfig]
    known: Mapping[str, Entry]
    masker: Maskers
    live: Live | None
    creates_missing: bool
    deletes_removed: bool
    default_policy: ComparePolicy

    def selected(self, names: Iterable[str], selection: Selection) -> Iterator[str]:
        """Those of ``names`` that are selected, without the old names of job configs that are not:
        the old one must not leave before the new one is there."""
        left_out = (item for item in self.desired.values() if not selection.covers(item.name))
        waiting = {self._old_name(config) for config in left_out}
        yield from (name for name in names if selection.covers(name) and name not in waiting)

    def change(self, name: str) -> Change | None:
        if (config := self.desired.get(name)) is None:
            return self._removal(name)
        if self.live is None or name not in self.live:
            # Nothing is masked without secrets.
            entry, after = self.known.get(name), config.params
            is_done = not config.sensitive and _is_applied(entry, config, after)
            return None if is_done else _offline(self._sides(config))
        return self._refreshed(self._sides(config), self.live[name])

    def _sides(self, config: JobConfig) -> _Sides:
        old_name, masker = self._old_name(config), self.masker(config.name)
        entry = source = self._entry(config, masker, config.name)
        if old_name:
            source = self._entry(config, masker, old_name)
        after = config.params
        if config.sensitive:
            after = masker.masked(after, config.sensitive)
            if source and not source.pending and any(unset_places(after)):
                applied = masker.masked(source.params, config.hidden(source.params))
                after = with_known(after, applied)
        return _Sides(
            config=config, masker=masker, entry=entry, old_name=old_name, source=source, after=after
        )

    def _entry(self, config: JobConfig, masker: Masker, name: str) -> Entry | None:
        """What the state has under ``name``, with hashes of now."""
        entry = self.known.get(name)
        if entry is None or not secret_places(entry):
            return entry
        live = (self.live or {}).get(config.name)
        params, attempted, *earlier = (
            masker.renewed(side, config.params, live.params if live else {}) for side in entry.sides
        )
        return replace(entry, params=params, attempted=attempted, earlier=tuple(earlier))

    def with_old(self, change: Change) -> Change:
        """``change`` with what was changed in the service under its old name, if that was read."""
        live = (self.live or {}).get(change.old_name)
        if change.after is None or live is None:
            return change
        sides, params = self.known[change.old_name].sides, self.desired[change.name].params
        return with_old_name(change, live, sides, params, self.masker(change.name))

    def _removal(self, name: str) -> Change:
        entry = self.known[name]
        live = self.live.get(name) if self.live is not None else None
        is_gone = self.live is not None and name in self.live and live is None
        masker, hidden = self.masker(name), self.default_policy.hidden(entry.params)
        before = masker.masked(entry.params, hidden)
        if is_gone or not self.deletes_removed:
            return Change(name=name, action=Action.FORGET, before=before, is_missing=is_gone)
        return Change(
            name=name,
            action=Action.DELETE,
            before=before,
            fields=tuple(self._lost(entry, live)) if live else field_changes(before, {}),
            ignored=self.default_policy.ignored,
            secret_names=self.default_policy.secret_names,
            live_digest=masker.digest(live.seen) if live else "",
            unknown_fields=live.unknown_fields if live else (),
        )

    def _lost(self, entry: Entry, live: LiveConfig) -> Iterator[FieldChange]:
        """All that the deletion takes away, and who set it. What the job config under its new name
        has as well is not lost."""
        sides, masker = entry.sides if entry.pending else [entry.params], self.masker(live.name)
        renamed = [it for it in self.desired.values() if it.renamed_from == live.name]
        sides += [masker.masked(it.params, it.sensitive) for it in renamed]
        params, policy = live.params_as(*sides[::-1]), self.default_policy
        now, before, *attempted = policy.masked_alike(masker, params, *sides)
        return removed_from_service(before, now, attempted)

    def _refreshed(self, sides: _Sides, live: LiveConfig | None) -> Change | None:
        config, entry, masker = sides.config, sides.entry, sides.masker
        if live is None:
            action = Action.CREATE if self.creates_missing else sides.action
            fields = sides.fields(sides.before if sides.old_name else {})
            return replace(sides.changed(action, fields, {}), is_missing=True)
        # Whatever is or was secret is compared and shown as its hash.
        former = entry or sides.source
        applied = former.sides if former else [{}]
        params, also = live.params_as(config.params, *applied), config.sensitive
        now, after, before, *sent = config.policy.masked_alike(
            masker, params, sides.after, *applied, also=also
        )
        is_sure = entry is not None and not entry.pending
        ignored = config.policy.ignored
        if not is_sure:
            ignored = _never_edited(ignored, entry, after)
        known = before if entry and entry.params else None
        tried = sent if entry and entry.pending else ()
        fields = three_way(known, now, after, ignored, tried)
        digest = masker.digest(live.seen)
        if any(item.live != item.after for item in fields):
            # The call overwrites what is ignored, too, so that is shown.
            fields = three_way(known, now, after, attempted=tried)
            ever = {**_ever_sent(entry), **dict.fromkeys((*live.params, *live.repeated))}
            last_call, action = None, sides.action
            if entry and entry.pending:
                last_call = _last_call(now, before, *sent, policy=config.policy)
                is_known = last_call in (LastCall.DONE, LastCall.NOT_DONE)
                action = Action.UPDATE if is_known else action
            return replace(
                sides.changed(action, fields, ever),
                live_digest=digest,
                unknown_fields=live.unknown_fields,
                last_call=last_call,
            )
        if _is_applied(entry, config, sides.after):
            return None
        return replace(sides.changed(Action.RECORD, fields, {}), live_digest=digest)

    def _old_name(self, config: JobConfig) -> str:
        """The old name of a job config that is new to the state, or whose first call may have
        failed; "" if the state no longer knows it."""
        entry = self.known.get(config.name)
        is_new = entry is None or (entry.pending and not entry.params)
        return config.renamed_from if is_new and config.renamed_from in self.known else ""


def _last_call(
    live: Params, before: Params, attempted: Params, *earlier: Params, policy: ComparePolicy
) -> LastCall:
    """What became of the call that sent ``attempted``."""

    def differ(side: Params) -> set[Place]:
        return {it for it in differing_places(side, live) if not policy.ignores(it)}

    if not differ(attempted):
        return LastCall.DONE
    if any(side and not differ(side) for side in (before, *earlier)):
        return LastCall.NOT_DONE
    if set.intersection(*map(differ, filter(None, (before, attempted, *earlier)))):
        return LastCall.UNCLEAR
    return LastCall.PARTLY


def _ever_sent(entry: Entry | None) -> Params:
    return {key: it for side in (entry.sides if entry else ()) for key, it in side.items()}


def _never_edited(
    places: Iterable[tuple[str, ...]], entry: Entry | None, after: Params
) -> frozenset[tuple[str, ...]]:
    """Those of ``places`` at which ``after`` was applied before: the edit of an interrupted apply
    must still be sent."""
    known = entry.params if entry else after
    return frozenset(place for place in places if value_at(known, place) == value_at(after, place))


def _check_protection(changes: Iterable[Change], known: Mapping[str, Entry]) -> None:
    protected = [
        f"job_config.{printable(change.name)}"
        for change in changes
        if change.action is Action.DELETE and known[change.name].prevent_delete
    ]
    if protected:
        raise MajobctlError(
            f"prevent_delete protects what this plan would delete: {', '.join(protected)}\n"
            "restore its TOML; or set prevent_delete = false there and apply before you remove it;"
            " or keep the configuration and remove it from the state: majobctl state rm NAME"
        )
