"""The planner: desired against state and, where it was read, against the service.

No I/O, no clock.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.directives import PREVENT_DELETE
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import NO_HASH, Masker, suspect_places, value_at, without_hashes
from majobctl.plan.change import Action, Change, FieldChange, Params, Place, Reason, Renamed
from majobctl.plan.diff import field_changes, three_way
from majobctl.plan.plan import EVERYTHING, Plan, Selection
from majobctl.state.document import Entry, State, secret_places
from majobctl.target import Target
from majobctl.text import printable

if TYPE_CHECKING:
    from majobctl.job_config.live import LiveConfig

_UNWATCHED = ComparePolicy()
Live: TypeAlias = "Mapping[str, LiveConfig | None]"
"""What the service has of each name that was looked for; None where it has none."""


def names_to_read(
    desired: Iterable[str], state: State | None, selection: Selection, *, deletes_removed: bool
) -> list[str]:
    """The names whose details a refreshed plan compares."""
    known = state.job_configs.keys() if state and deletes_removed else ()
    return sorted(name for name in {*desired, *known} if selection.covers(name))


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
    default_policy: ComparePolicy = _UNWATCHED,
) -> Plan:
    """The changes that lead from ``state`` to ``desired``, for the names that are selected.

    ``salt`` keys the hashes of sensitive values where there is no state yet; it is needed where
    ``live`` is given, which has what the service has of each of ``names_to_read``. Raises
    MajobctlError where a configuration would be deleted that ``prevent_delete`` protects.
    """
    known: Mapping[str, Entry] = state.job_configs if state else {}
    names = sorted(desired.keys() | known.keys())
    masker = state.masker() if state else Masker(salt)
    planner = _Planner(
        desired, known, masker, live, creates_missing, deletes_removed, default_policy
    )
    selected = list(planner.selected(names, selection)) if selection else names
    changes = [change for name in selected if (change := planner.change(name)) is not None]
    _check_protection(changes, known)
    return Plan(
        target,
        state.lineage if state else "",
        state.serial if state else 0,
        tuple(_with_likely_renames(changes)),
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
    """``plan``, which is not kept, without the hashes of a salt that nobody keeps either: so that
    the same input gives the same plan."""
    changes = tuple(
        replace(
            change,
            before=without_hashes(change.before),
            after=without_hashes(change.after),
            fields=tuple(_without_hashes(item) for item in change.fields),
            live_digest=NO_HASH if change.live_digest else "",
        )
        for change in plan.changes
    )
    return replace(plan, changes=changes, salt="")


def _without_hashes(item: FieldChange) -> FieldChange:
    sides = {side: without_hashes(getattr(item, side)) for side in ("before", "after", "live")}
    return replace(item, **sides)


@dataclass(frozen=True, slots=True)
class _Planner:
    """What the change of each job config is made of."""

    desired: Mapping[str, JobConfig]
    known: Mapping[str, Entry]
    masker: Masker
    live: Live | None
    creates_missing: bool
    deletes_removed: bool
    default_policy: ComparePolicy

    def selected(self, names: Iterable[str], selection: Selection) -> Iterator[str]:
        """Those of ``names`` that are selected, but for what is renamed and left out as that: the
        old one must not leave before the new one is there."""
        left_out = (item for item in self.desired.values() if not selection.covers(item.name))
        waiting = {self._old_name(config) for config in left_out}
        yield from (name for name in names if selection.covers(name) and name not in waiting)

    def change(self, name: str) -> Change | None:
        config = self.desired.get(name)
        if config is None:
            return self._removal(name)
        if self.live is None:
            return self._offline(config)
        return self._refreshed(config, self.live.get(name))

    def _removal(self, name: str) -> Change:
        entry = self.known[name]
        live = self.live.get(name) if self.live is not None else None
        is_gone = self.live is not None and name in self.live and live is None
        before = self.masker.masked(entry.params, self.default_policy.hidden(entry.params))
        if is_gone or not self.deletes_removed:
            return Change(name, Action.FORGET, None, before, None, (), is_missing=is_gone)
        digest = self.masker.digest(live.params) if live else ""
        fields = tuple(self._changed_there(entry, live)) if live else ()
        return Change(name, Action.DELETE, None, before, None, fields, live_digest=digest)

    def _changed_there(self, entry: Entry, live: LiveConfig) -> Iterator[FieldChange]:
        """What somebody set in the service that is now to be deleted there."""
        hidden = [*secret_places(entry), *suspect_places(live.params, entry.params)]
        for side in (entry.params, live.params):
            hidden += self.default_policy.hidden(side)
        now = self.masker.masked(live.params, hidden)
        for item in field_changes(self.masker.masked(entry.params, hidden), now):
            sides = (item.before, None, item.after)
            yield FieldChange(item.path, Action.REMOVE, *sides, Reason.CHANGED)

    def _offline(self, config: JobConfig) -> Change | None:
        entry, after = self.known.get(config.name), self._masked(config)
        if entry is not None and entry.params == after and not entry.pending:
            if entry.prevent_delete == config.prevent_delete:
                return None
            return self._changed(config, Action.RECORD, (), {})
        before = self._before(config)
        shown = self.masker.masked(before, config.hidden(before))
        fields = field_changes(before, after, shown)
        return self._changed(config, _action_of(entry), fields, _ever_sent(entry))

    def _refreshed(self, config: JobConfig, live: LiveConfig | None) -> Change | None:
        entry = self.known.get(config.name)
        if live is None:
            return self._missing(config, entry)
        # Whatever is or was secret is compared, and shown, as its hash.
        hidden = [*config.hidden(live.params), *secret_places(entry)]
        hidden += config.watched.hidden(_ever_sent(entry))
        hidden += suspect_places(live.params, config.params, _ever_sent(entry))
        after = self.masker.masked(config.params, hidden)
        now = self.masker.masked(live.params, hidden)
        is_sure = entry is not None and not entry.pending
        before = self.masker.masked(entry.params, hidden) if entry and is_sure else None
        ignored = config.watched.ignored
        if not is_sure:
            ignored = _never_edited(ignored, entry, after)
        fields = three_way(before, now, after, ignored)
        digest = self.masker.digest(live.params)
        if any(item.live != item.after for item in fields):
            # The call sends the whole job config: what is ignored is overwritten, and is shown.
            fields = three_way(before, now, after)
            sent = {**_ever_sent(entry), **live.params}
            change = self._changed(config, _action_of(entry), fields, sent)
            return replace(change, live_digest=digest)
        protects_alike = entry is not None and entry.prevent_delete == config.prevent_delete
        if entry and is_sure and protects_alike and entry.params == self._masked(config):
            return None
        return replace(self._changed(config, Action.RECORD, fields, {}), live_digest=digest)

    def _missing(self, config: JobConfig, entry: Entry | None) -> Change:
        action = Action.CREATE if self.creates_missing else _action_of(entry)
        after = self._masked(config)
        before = self._before(config) if self._old_name(config) else {}
        fields = field_changes(before, after, self.masker.masked(before, config.hidden(before)))
        return replace(self._changed(config, action, fields, {}), is_missing=True)

    def _changed(
        self,
        config: JobConfig,
        action: Action,
        fields: tuple[FieldChange, ...],
        sent: Params,
    ) -> Change:
        entry, after = self.known.get(config.name), self._masked(config)
        old_name = self._old_name(config)
        source = self.known.get(old_name) if old_name else entry
        was_protected = entry is not None and entry.prevent_delete
        if was_protected != config.prevent_delete:
            fields = (*fields, _protection_change(was_protected))
        return Change(
            config.name,
            action,
            config.source,
            self.masker.masked(source.params, config.hidden(source.params)) if source else None,
            after,
            fields,
            tuple(key for key in FIELDS if key in sent and key not in after),
            {place: text for place, text in config.sensitive.items() if text is not None},
            config.prevent_delete,
            old_name,
            Renamed.DECLARED if old_name else None,
        )

    def _before(self, config: JobConfig) -> Params:
        entry = self.known.get(self._old_name(config) or config.name)
        return entry.params if entry else {}

    def _old_name(self, config: JobConfig) -> str:
        """The old name of a job config that is new here, or whose first call may have failed; ""
        where that is no longer known."""
        entry = self.known.get(config.name)
        is_new = entry is None or (entry.pending and not entry.params)
        return config.renamed_from if is_new and config.renamed_from in self.known else ""

    def _masked(self, config: JobConfig) -> Params:
        if not config.sensitive:
            return config.params
        return self.masker.masked(config.params, config.sensitive)


def _action_of(entry: Entry | None) -> Action:
    return Action.ADD if entry is None else Action.RESEND if entry.pending else Action.UPDATE


def _ever_sent(entry: Entry | None) -> Params:
    return {**entry.params, **(entry.attempted or {})} if entry else {}


def _never_edited(places: Iterable[Place], entry: Entry | None, after: Params) -> frozenset[Place]:
    """Those of ``places`` where ``after`` is what was last known to be applied: an edit of an
    interrupted apply is still to be sent."""
    known = entry.params if entry else after
    return frozenset(place for place in places if value_at(known, place) == value_at(after, place))


def _protection_change(was_protected: bool) -> FieldChange:
    action = Action.REMOVE if was_protected else Action.ADD
    before, after = (True, None) if was_protected else (None, True)
    return FieldChange((PREVENT_DELETE,), action, before, after)


def _check_protection(changes: Iterable[Change], known: Mapping[str, Entry]) -> None:
    protected = [
        f"job_config.{printable(change.name)}"
        for change in changes
        if change.action is Action.DELETE and known[change.name].prevent_delete
    ]
    if protected:
        raise MajobctlError(
            f"prevent_delete protects what this plan would delete: {', '.join(protected)}\n"
            "bring its TOML back; or put prevent_delete = false there and apply before it is"
            " removed; or forget it and keep the configuration: majobctl state rm NAME"
        )


def _with_likely_renames(changes: list[Change]) -> Iterator[Change]:
    """``changes``, where what is new makes the request of what leaves told as that."""
    written = {change.old_name for change in changes}
    leaving = {
        _request(change.before): change.name
        for change in reversed(changes)
        if change.after is None and change.name not in written
    }
    for change in changes:
        is_new = change.after is not None and change.before is None and not change.old_name
        old_name = leaving.pop(_request(change.after), "") if is_new and leaving else ""
        yield replace(change, old_name=old_name, renamed=Renamed.DETECTED) if old_name else change


def _request(params: Params | None) -> str:
    return json.dumps(params, sort_keys=True)
