"""Live against state: what was changed in the service since the last apply. The TOML files count
only for the places that they let the service change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from majobctl.job_config.compare_policy import ComparePolicies, ComparePolicy
from majobctl.job_config.live import LiveConfig, notes
from majobctl.job_config.secrets import Masker, Maskers
from majobctl.job_config.values import is_blank
from majobctl.plan.change import FieldChange, Params
from majobctl.plan.diff import field_changes
from majobctl.plan.plan import Selection
from majobctl.plan.planner import Live
from majobctl.state.document import Entry, State
from majobctl.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftedConfig:
    """A job config that the service no longer has, or has with other ``fields``: ``before`` is the
    state's value, ``after`` the service's, both masked. ``is_pending``: the last outcome is
    unknown. ``is_described``: a job file has it, under this name. ``is_unmanaged``: only the
    service has it."""

    name: str
    fields: tuple[FieldChange, ...] = ()
    is_missing: bool = False
    is_pending: bool = False
    is_described: bool = True
    is_unmanaged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Everything that has drifted, in name order. Without a state, ``lineage`` is "" and ``serial``
    is 0. ``left_out`` counts what is not selected; ``unmanaged`` are the names that only the
    service knows, which are among the ``changes`` only if that was wanted; ``warnings`` say what
    could not be read back."""

    target: Target
    lineage: str
    serial: int
    changes: tuple[DriftedConfig, ...]
    unchanged: int
    selection: Selection = field(default_factory=Selection)
    left_out: int = 0
    unmanaged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    environment: str = ""

    @property
    def changed(self) -> int:
        return len(self.changes) - self.missing - self.counted_unmanaged

    @property
    def counted_unmanaged(self) -> int:
        return sum(item.is_unmanaged for item in self.changes)

    @property
    def missing(self) -> int:
        return sum(item.is_missing for item in self.changes)


def names_to_compare(state: State | None, selection: Selection) -> list[str]:
    """The names of the state whose details in the service are needed."""
    return sorted(filter(selection.covers, state.job_configs)) if state else []


def find_drift(
    state: State | None,
    target: Target,
    live: Live,
    *,
    listed: Iterable[str],
    selection: Selection,
    policies: ComparePolicies,
    counts_unmanaged: bool = False,
) -> Drift:
    """How ``live``, which has each of ``names_to_compare``, differs from ``state``. What the
    service ``listed`` is unmanaged if it is selected, and neither the state nor a TOML file
    (``policies``) knows it; ``counts_unmanaged`` counts that as drift."""
    known: Mapping[str, Entry] = state.job_configs if state else {}
    names = names_to_compare(state, selection)
    masker = state.masker if state else partial(Masker, "")
    found = (_drifted(name, known[name], live[name], masker, policies.of(name)) for name in names)
    changes = tuple(
        replace(it, is_described=it.name in policies.described) for it in found if it is not None
    )
    strangers = set(listed) - known.keys() - policies.described.keys() - policies.elsewhere
    unmanaged = tuple(sorted(filter(selection.covers, strangers)))
    told = [DriftedConfig(name=it, is_unmanaged=True) for it in unmanaged if counts_unmanaged]
    return Drift(
        target=target,
        lineage=state.lineage if state else "",
        serial=state.serial if state else 0,
        changes=tuple(sorted((*changes, *told), key=lambda it: it.name)),
        unchanged=len(names) - len(changes),
        selection=selection,
        left_out=len(known) - len(names),
        unmanaged=unmanaged,
        warnings=tuple(map(str, notes(live[name] for name in names))),
    )


def _drifted(
    name: str, entry: Entry, live: LiveConfig | None, masker: Maskers, policy: ComparePolicy
) -> DriftedConfig | None:
    if live is None:
        if entry.pending and not entry.params:
            return None  # The call that may have created it did not.
        return DriftedConfig(name=name, is_missing=True, is_pending=entry.pending)
    sides = _sides(entry)
    now, *before = policy.masked_alike(masker(name), live.params_as(*sides), *sides)
    differing = (field_changes(side, now) for side in before)
    found = [tuple(it for it in fields if not policy.ignores(it.path)) for fields in differing]
    if not all(found):
        return None
    return DriftedConfig(name=name, fields=found[0], is_pending=entry.pending)


def _sides(entry: Entry) -> list[Params]:
    """What the service may have, as far as the state knows; drift is shown against the first."""
    sides = entry.sides if entry.pending else [entry.params]
    sides = [{key: value for key, value in side.items() if not is_blank(value)} for side in sides]
    return [side for side in sides if side] or [{}]
