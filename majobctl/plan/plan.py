"""What a plan is: what is to be done with each job config, and what it was made against.

How it is made, rendered or applied is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from majobctl.errors import Problem
from majobctl.plan.change import CALLS, Change, Renamed
from majobctl.plan.change import Action as Action
from majobctl.plan.change import FieldChange as FieldChange
from majobctl.plan.change import Params as Params
from majobctl.plan.change import Place as Place
from majobctl.target import Target


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

    def told(self, looked_at: int, left_out: int, show: Callable[[str], str]) -> str:
        """How many job configs are selected, and by which options; ``show`` makes globs safe."""
        options = [f"--target {show(glob)}" for glob in self.targeted]
        options += [f"--exclude {show(glob)}" for glob in self.excluded]
        total = looked_at + left_out
        return f"{looked_at} of {total} job configs selected by {' '.join(options)}."


EVERYTHING = Selection()


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
    selection: Selection = EVERYTHING
    left_out: int = 0
    warnings: tuple[Problem, ...] = ()
    salt: str = ""
    state_digest: str = ""
    """Of a saved plan: the hash of the state's entries."""
    is_refreshed: bool = False
    """The service was read first."""
    environment: str = ""
    """The name of the settings' environment; "" where there is none."""
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
            change.before is not None and change.renamed is not Renamed.DECLARED
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
