"""How an apply ended, change by change. Values only."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from majobctl.plan.change import Action


class ChangeStatus(enum.Enum):
    """How a change ended."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CHANGED_MEANWHILE = "changed meanwhile"
    """Not sent: the service has something else than the plan saw."""
    UNVERIFIED = "not verified"
    """Done by the service's own word, but what it has is not what was sent, or was not told."""
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True)
class ChangeResult:
    """The end of one change; ``code``, ``message`` and ``advice`` are "" where it was done.

    ``action`` is what was done: an update of what the service did not have may have become a
    creation. ``may_pass``: it failed for a reason that has nothing to do with what was sent.
    """

    name: str
    action: Action
    outcome: ChangeStatus
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    advice: str = ""
    may_pass: bool = False

    @property
    def is_acknowledged(self) -> bool:
        return self.outcome in (ChangeStatus.DONE, ChangeStatus.UNVERIFIED)


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """All results in name order; ``serial`` is the state's after them."""

    results: tuple[ChangeResult, ...]
    serial: int
    is_interrupted: bool = False
    problem: str = ""
    """Why the state file could not be saved, and what to do; "" where it was."""

    @property
    def is_complete(self) -> bool:
        return not self.problem and all(
            result.outcome is ChangeStatus.DONE for result in self.results
        )

    def count(self, end: ChangeStatus) -> int:
        return sum(result.outcome is end for result in self.results)

    def summary(self) -> Mapping[str, int]:
        """How many ended in each way; what is not verified counts as done, too."""
        done = Counter(item.action for item in self.results if item.is_acknowledged)
        return {
            **{word: done[action] for action, word in DONE_WORDS.items()},
            **{
                end.value.replace(" ", "_"): self.count(end)
                for end in ChangeStatus
                if end is not ChangeStatus.DONE
            },
        }


DONE_WORDS: Mapping[Action, str] = {
    Action.ADD: "added",
    Action.UPDATE: "updated",
    Action.RESEND: "resent",
    Action.CREATE: "created",
    Action.DELETE: "deleted",
    Action.RECORD: "recorded",
    Action.FORGET: "forgotten",
}
