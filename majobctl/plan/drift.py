"""Live against state: what the service has otherwise than it was last applied. No I/O, no clock.

What the TOML files desire is not known here, but for the places that they let the service have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from majobctl.job_config.compare_policy import ComparePolicies, ComparePolicy
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.secrets import Masker, masked_places, suspect_places
from majobctl.job_config.values import is_blank
from majobctl.plan.change import FieldChange, Params
from majobctl.plan.diff import field_changes
from majobctl.plan.plan import Selection
from majobctl.plan.planner import Live
from majobctl.state.document import Entry, State
from majobctl.target import Target
from majobctl.text import counted, printable, quoted

_NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Drifted:
    """One job config that has drifted: the service does not have it any more, or has it with other
    ``fields``, whose ``before`` is the state's value and ``after`` the service's. Sensitive values
    are masked. ``is_pending``: the outcome of the last call is unknown."""

    name: str
    fields: tuple[FieldChange, ...]
    is_missing: bool = False
    is_pending: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences about it as a whole."""
        missing = "the service does not have it any more"
        pending = "the outcome of the last call is unknown: the next apply sends it again"
        told = [(self.is_missing, missing), (self.is_pending, pending)]
        return tuple(sentence for is_so, sentence in told if is_so)


@dataclass(frozen=True, slots=True)
class Drift:
    """All that has drifted, in name order, and what it was compared with.

    ``lineage`` is "" and ``serial`` 0 where there is no state yet. ``left_out`` counts the job
    configs of the state that the selection passed over. ``unmanaged`` are the names that only the
    service knows, which is no drift; ``warnings`` are sentences about what could not be read back.
    """

    target: Target
    lineage: str
    serial: int
    changes: tuple[Drifted, ...]
    unchanged: int
    selection: Selection = field(default_factory=Selection)
    left_out: int = 0
    unmanaged: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def changed(self) -> int:
        return sum(not item.is_missing for item in self.changes)

    @property
    def missing(self) -> int:
        return sum(item.is_missing for item in self.changes)

    @property
    def summary(self) -> str:
        if self.changes:
            counts = f"{self.changed} changed, {self.missing} missing"
            return f"Drift: {counts}; {self.unchanged} as in the state."
        verb = "is" if self.unchanged == 1 else "are"
        return f"No drift. {counted(self.unchanged, 'job config')} {verb} as in the state."

    def notes(self, show: Callable[[str], str] = quoted) -> tuple[str, ...]:
        """Sentences that belong before the summary; ``show`` makes text from outside safe."""
        return (*self._state_note(), *self._unmanaged_note(show), *self._selection_note(show))

    def _state_note(self) -> Iterator[str]:
        if not self.lineage:
            yield (
                "There is no state yet to compare with; `majobctl import` and `majobctl apply` make"
                " it."
            )

    def _unmanaged_note(self, show: Callable[[str], str]) -> Iterator[str]:
        count = len(self.unmanaged)
        names = ", ".join(map(show, self.unmanaged[:_NAMES_SHOWN]))
        more = f" and {count - _NAMES_SHOWN} more" if count > _NAMES_SHOWN else ""
        if count:
            yield (
                f"The service has {counted(count, 'configuration')} that neither the state nor a"
                f" TOML file knows: {names}{more}. `majobctl import` takes them in, or says why"
                " not."
            )

    def _selection_note(self, show: Callable[[str], str]) -> Iterator[str]:
        if self.selection:
            yield self.selection.told(len(self.changes) + self.unchanged, self.left_out, show)


def names_to_compare(state: State | None, selection: Selection) -> list[str]:
    """The names of the state whose details in the service are needed."""
    return [name for name in _known(state) if selection.covers(name)]


def find_drift(
    state: State | None,
    target: Target,
    live: Live,
    *,
    listed: Iterable[str],
    selection: Selection,
    watches: ComparePolicies,
) -> Drift:
    """What ``live``, which has each of ``names_to_compare``, has otherwise than ``state``.

    ``listed`` are the names of all configurations of the service. Those that neither the state nor
    a TOML file (a key of ``watches.described``) knows, and that are selected, are unmanaged.
    """
    known = _known(state)
    names = names_to_compare(state, selection)
    masker = state.masker() if state else Masker("")
    found = [_drifted(name, known[name], live[name], masker, watches.of(name)) for name in names]
    changes = tuple(item for item in found if item is not None)
    strangers = set(listed) - known.keys() - watches.described.keys()
    return Drift(
        target,
        state.lineage if state else "",
        state.serial if state else 0,
        changes,
        unchanged=len(names) - len(changes),
        selection=selection,
        left_out=len(known) - len(names),
        unmanaged=tuple(sorted(name for name in strangers if selection.covers(name))),
        warnings=tuple(_warnings(live[name] for name in names)),
    )


def _known(state: State | None) -> Mapping[str, Entry]:
    return dict(sorted(state.job_configs.items())) if state else {}


def _drifted(
    name: str, entry: Entry, live: LiveConfig | None, masker: Masker, watched: ComparePolicy
) -> Drifted | None:
    if live is None:
        # A call that may have made it, with nothing known before: it did not get there.
        is_as_before = entry.pending and not entry.params
        return None if is_as_before else Drifted(name, (), True, entry.pending)
    sides = _sides(entry)
    # What is secret on one side is compared, and shown, as its hash on all of them.
    hidden = [place for side in sides for place in (*masked_places(side), *watched.hidden(side))]
    hidden += [*watched.hidden(live.params), *suspect_places(live.params, *sides)]
    now = masker.masked(live.params, hidden)
    found = [
        tuple(
            change
            for change in field_changes(masker.masked(side, hidden), now)
            if not watched.ignores(change.path)
        )
        for side in sides
    ]
    return Drifted(name, found[0], is_pending=entry.pending) if all(found) else None


def _sides(entry: Entry) -> list[Params]:
    """What the service may have, as far as the state knows; what it is told against comes first."""
    sides = [entry.params, entry.attempted or {}] if entry.pending else [entry.params]
    told = [{key: value for key, value in side.items() if not is_blank(value)} for side in sides]
    return [side for side in told if side] or [{}]


def _warnings(live: Iterable[LiveConfig | None]) -> Iterator[str]:
    for config in filter(None, live):
        for problem in config.problems:
            yield f"job_config.{printable(config.name)}: {problem}"
