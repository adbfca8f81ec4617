"""The planner: desired against state and, where it was read, against the service. No I/O, no clock.

A plan says what is to be done with each job config, and what it was made against.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from majobctl.difference import Action as Action
from majobctl.difference import FieldChange as FieldChange
from majobctl.difference import Params as Params
from majobctl.difference import Place as Place
from majobctl.difference import field_changes, three_way
from majobctl.endpoints import Target
from majobctl.errors import MajobctlError, Problem, printable
from majobctl.fields import FIELDS, PREVENT_DELETE, Path
from majobctl.job_config import JobConfig, Source
from majobctl.live import LiveConfig
from majobctl.sensitive import (
    NO_HASH,
    Masker,
    masked_places,
    named_places,
    value_at,
    without_hashes,
)
from majobctl.state import Entry, State

Live = Mapping[str, LiveConfig | None]
"""What the service has of each name that was looked for; None where it has none."""

CALLS: Mapping[Action, str] = {
    Action.ADD: "update_job_configs",
    Action.UPDATE: "update_job_configs",
    Action.RESEND: "update_job_configs",
    Action.CREATE: "create_job_configs",
    Action.DELETE: "delete_job_configs",
}
"""The call of each action; the others need none."""
ACTIONS = (*(action for action in Action if action is not Action.REMOVE),)
SENDING = frozenset({Action.ADD, Action.UPDATE, Action.RESEND, Action.CREATE})
"""The actions that send a whole job config."""


class Renamed(enum.Enum):
    """How sure it is that a job config is another one under a new name."""

    WRITTEN = "written"
    """The job config says so."""
    LIKELY = "likely"
    """The other one, which leaves, made the same request."""


@dataclass(frozen=True, slots=True)
class Change:
    """The change of one job config. ``before`` is what the state says (of the job config that this
    one was renamed from, where it says so), ``after`` what is desired, both with their sensitive
    values masked; ``cleared`` are the keys to be sent as blank, since they are set and are to be
    gone. ``references`` are the sensitive places of ``after`` whose values come from the
    environment, each with the text that names the variables."""

    name: str
    action: Action
    source: Source | None
    before: Params | None
    after: Params | None
    fields: tuple[FieldChange, ...]
    cleared: tuple[str, ...] = ()
    references: Mapping[Path, Any] = field(default_factory=dict)
    prevent_delete: bool = False
    old_name: str = ""
    """The name that the job config had before, as ``renamed`` says; "" where it is none."""
    renamed: Renamed | None = None
    live_digest: str = ""
    """A keyed hash of what the service had; "" where it was not read, or has none."""
    is_missing: bool = False
    """The service was read, and has no such configuration."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which names a plan looks at, as glob patterns: those that match ``targeted`` (all where it
    is empty) and none of ``excluded``."""

    targeted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.targeted or self.excluded)

    def covers(self, name: str) -> bool:
        wanted = not self.targeted or any(fnmatchcase(name, glob) for glob in self.targeted)
        return wanted and not any(fnmatchcase(name, glob) for glob in self.excluded)


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes in name order, and what they were planned against.

    ``lineage`` is "" and ``serial`` 0 where there is no state yet; ``salt`` is then the one that
    the new state will have. ``left_out`` counts the job configs that the selection passed over.
    """

    target: Target
    lineage: str
    serial: int
    changes: tuple[Change, ...]
    unchanged: int
    selection: Selection = Selection()
    left_out: int = 0
    warnings: tuple[Problem, ...] = ()
    salt: str = ""
    state_digest: str = ""
    """Of a saved plan: the hash of the state's entries."""
    is_refreshed: bool = False
    """The service was read first."""
    creates_missing: bool = False
    """An update of what the service does not have becomes a creation."""

    @property
    def total(self) -> int:
        """The number of job configs looked at, desired or in the state."""
        return len(self.changes) + self.unchanged

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reviewer must not overlook: deletions, and that most of the state is forgotten."""
        found = []
        deleted, forgotten = self.count(Action.DELETE), self.count(Action.FORGET)
        if deleted:
            noun = "configuration" if deleted == 1 else "configurations"
            found.append(f"This plan deletes {deleted} {noun} from the service.")
        in_state = sum(
            change.before is not None and change.renamed is not Renamed.WRITTEN
            for change in self.changes
        )
        in_state += self.unchanged
        if forgotten * 2 > in_state:
            found.append(
                f"This plan forgets {forgotten} of the {in_state} job configs in the state."
            )
        return tuple(found)

    @property
    def calls(self) -> Mapping[str, int]:
        """The number of calls of each kind that changes something."""
        made = [CALLS.get(change.action) for change in self.changes]
        return {call: made.count(call) for call in dict.fromkeys(CALLS.values())}


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
    selection: Selection = Selection(),
    warnings: Iterable[Problem] = (),
    salt: str = "",
    live: Live | None = None,
    creates_missing: bool = False,
    deletes_removed: bool = False,
) -> Plan:
    """The changes that lead from ``state`` to ``desired``, for the names that are selected.

    ``salt`` keys the hashes of sensitive values where there is no state yet; it is needed where
    ``live`` is given, which has what the service has of each of ``names_to_read``. Raises
    MajobctlError where a configuration would be deleted that ``prevent_delete`` protects.
    """
    known: Mapping[str, Entry] = state.job_configs if state else {}
    names = sorted(desired.keys() | known.keys())
    selected = [name for name in names if selection.covers(name)] if selection else names
    masker = state.masker() if state else Masker(salt)
    planner = _Planner(desired, known, masker, live, creates_missing, deletes_removed)
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
        if is_gone or not self.deletes_removed:
            return Change(name, Action.FORGET, None, entry.params, None, (), is_missing=is_gone)
        digest = self.masker.digest(live.params) if live else ""
        return Change(name, Action.DELETE, None, entry.params, None, (), live_digest=digest)

    def _offline(self, config: JobConfig) -> Change | None:
        entry, after = self.known.get(config.name), self._masked(config)
        if entry is not None and entry.params == after and not entry.pending:
            if entry.prevent_delete == config.prevent_delete:
                return None
            return self._changed(config, Action.RECORD, (), {})
        before = self._before(config)
        shown = self.masker.masked(before, config.sensitive) if config.sensitive else before
        fields = field_changes(before, after, shown)
        return self._changed(config, _action_of(entry), fields, _ever_sent(entry))

    def _refreshed(self, config: JobConfig, live: LiveConfig | None) -> Change | None:
        entry = self.known.get(config.name)
        if live is None:
            return self._missing(config, entry)
        # Whatever is or was secret is compared, and shown, as its hash.
        hidden = [*config.sensitive, *_secret_places(entry)]
        hidden += named_places(live.params, config.secret_names)
        after = self.masker.masked(config.params, hidden)
        now = self.masker.masked(live.params, hidden)
        is_sure = entry is not None and not entry.pending
        before = self.masker.masked(entry.params, hidden) if entry and is_sure else None
        ignored = config.ignored if is_sure else _never_edited(config.ignored, entry, after)
        fields = three_way(before, now, after, ignored)
        digest = self.masker.digest(live.params)
        if any(item.live != item.after for item in fields):
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
        fields = field_changes(before, after, self.masker.masked(before, config.sensitive))
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
            self.masker.masked(source.params, config.sensitive) if source else None,
            after,
            fields,
            tuple(key for key in FIELDS if key in sent and key not in after),
            {place: text for place, text in config.sensitive.items() if text is not None},
            config.prevent_delete,
            old_name,
            Renamed.WRITTEN if old_name else None,
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


def _secret_places(entry: Entry | None) -> list[Path]:
    """The places whose values are, or may be, secrets in the service."""
    sides = (entry.params, entry.attempted or {}) if entry else ()
    return [place for side in sides for place in masked_places(side)]


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
        yield replace(change, old_name=old_name, renamed=Renamed.LIKELY) if old_name else change


def _request(params: Params | None) -> str:
    return json.dumps(params, sort_keys=True)
