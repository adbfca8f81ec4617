"""What a plan is: the change of each job config, and what the plan was made against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from majobctl.errors import Problem
from majobctl.job_config.values import require_strings
from majobctl.plan.change import CALLS, SENDING, Action, Cause, Change, Renamed
from majobctl.policy.verdict import Verdict
from majobctl.target import Target
from majobctl.text import counted, in_short, printable, quoted


@dataclass(frozen=True, slots=True)
class Selection:
    """The names that a plan looks at, as glob patterns: those that match one of ``targeted`` (every
    name, if it is empty) and none of ``excluded``. An operation takes ``job_config.NAME`` and a
    job file's path as well, and finds ``names``."""

    targeted: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    names: frozenset[str] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        require_strings(targeted=self.targeted, excluded=self.excluded)

    def __bool__(self) -> bool:
        return bool(self.targeted or self.excluded)

    def covers(self, name: str) -> bool:
        if self.names is not None:
            return name in self.names
        wanted = not self.targeted or any(fnmatchcase(name, glob) for glob in self.targeted)
        return wanted and not any(fnmatchcase(name, glob) for glob in self.excluded)


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Flavor:
    """The nodes of a flavor that run if each job config whose flavor or count changes runs once.
    ``gpus`` and ``price``, for an hour, are a node's; None if they are not known. ``listed_at`` is
    when the service listed the flavors, ``currency`` that of all prices; "" without such a file."""

    name: str
    nodes_before: int
    nodes_after: int
    gpus: int | None
    listed_at: str
    price: float | None
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All changes in name order, and what they were planned against. Without a state, ``lineage``
    is "", ``serial`` is 0, and ``salt`` is the new state's. ``left_out`` counts what is not
    selected."""

    target: Target
    lineage: str
    serial: int
    changes: tuple[Change, ...]
    unchanged: int
    selection: Selection = EVERYTHING
    left_out: int = 0
    warnings: tuple[Problem, ...] = ()
    salt: str = ""
    state_digest: str = ""
    """Of a saved plan: the hash of the state's entries."""
    is_refreshed: bool = False
    """The service was read first."""
    environment: str = ""
    """The name of the settings' environment; "" without one."""
    creates_missing: bool = False
    """An update of a configuration that the service does not have becomes a creation."""
    overwrites: bool = False
    """The files win, so that nothing is held back."""
    needs_force: tuple[str, ...] = ()
    """What the plan does more of than the settings allow, such as ``forgets 6 of the 10 ...``."""

    unset: tuple[str, ...] = ()
    """The variables of the environment that an apply needs, and that are not set."""
    base: str = ""
    """The revision whose files are compared with, in place of the state; "" for the state."""
    edits: Mapping[Cause, tuple[str | None, ...]] = field(default_factory=dict)
    """What the lines of causes said before, and say now, where both are known and may be shown."""
    flavors: tuple[Flavor, ...] = ()
    owners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of each job file of the changes; empty without CODEOWNERS."""
    violations: tuple[Verdict, ...] = ()
    """What the changes break, of the policies."""

    @property
    def total(self) -> int:
        """The number of job configs looked at, desired or in the state."""
        return len(self.changes) + self.unchanged

    def count(self, action: Action) -> int:
        return sum(change.action is action for change in self.changes)

    @property
    def missing(self) -> list[str]:
        """What an apply cannot send, since the service does not have it."""
        sending = [change for change in self.changes if change.action in SENDING - {Action.CREATE}]
        return [change.name for change in sending if change.is_missing]

    @property
    def denials(self) -> list[Problem]:
        """What the policies deny: an apply sends nothing."""
        return [it.problem for it in self.violations if it.denies]

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reviewer must not overlook. These sentences are part of the JSON."""
        found = [f"This plan {it}. An apply needs --force." for it in self.needs_force]
        if self.missing:
            reason = f"the service does not have {in_short([*map(quoted, self.missing)], 10)}"
            found.append(f"This plan cannot be applied as it is: {reason}.")
        if self.unset:
            names = in_short([*map(quoted, self.unset)], 10)
            are = "is" if len(self.unset) == 1 else "are"
            found.append(f"This plan can be applied only where {names} {are} set.")
        if denied := {it.name for it in self.violations if it.denies}:
            names = in_short([*map(quoted, sorted(denied))], 10)
            found.append(f"This plan cannot be applied: policies deny {names}.")
        if iam := self.target.iam_endpoint:
            found.append(f"Passwords and ID tokens go to {printable(iam)} (provider.iam_endpoint).")
        deleted, forgotten = self.count(Action.DELETE), self.count(Action.FORGET)
        if deleted:
            found.append(f"This plan deletes {counted(deleted, 'configuration')} from the service.")
        in_state = self.unchanged + sum(
            change.before is not None and change.renamed is not Renamed.DECLARED
            for change in self.changes
        )
        if forgotten * 2 > in_state and not any("forgets" in it for it in self.needs_force):
            of_all = f"{forgotten} of the {in_state} job configs"
            found.append(f"This plan forgets {of_all} in the state.")
        return tuple(found)

    @property
    def calls(self) -> Mapping[str, int]:
        """The number of calls of each kind that changes something."""
        made = [CALLS.get(change.action) for change in self.changes]
        return {call: made.count(call) for call in dict.fromkeys(CALLS.values())}
