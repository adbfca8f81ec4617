"""How an apply ended, change by change."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from majobctl.plan.change import Action, Change, FieldChange


class ChangeStatus(enum.Enum):
    """How a change ended."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CHANGED_MEANWHILE = "changed meanwhile"
    """Not sent: the service no longer has what the plan saw."""
    HELD_BACK = "held back"
    """Not sent: it would undo what somebody changed in the service."""
    UNVERIFIED = "not verified"
    """Acknowledged by the service, but reading it back failed or gave something else."""
    NOT_ATTEMPTED = "not attempted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeResult:
    """How one change ended; ``code``, ``message`` and ``advice`` are "" if it was done;
    ``http_status`` and ``request_id`` are those of the answer that says why not, or 0 and "".
    ``action`` is what was done: an update may have become a creation. ``may_pass``: the failure has
    nothing to do with what was sent, and may be temporary. ``is_about_credentials``: they were
    refused, which ends the run. ``foreign`` are the fields that somebody else set in the service,
    ``unknown_fields`` those that no key can express: undone if it was done, and otherwise why it
    was held back."""

    name: str
    action: Action
    status: ChangeStatus
    seconds: float = 0.0
    code: str = ""
    message: str = ""
    advice: str = ""
    http_status: int = 0
    request_id: str = ""
    may_pass: bool = False
    is_about_credentials: bool = False
    foreign: tuple[FieldChange, ...] = ()
    unknown_fields: tuple[str, ...] = ()

    @property
    def is_acknowledged(self) -> bool:
        return self.status in (ChangeStatus.DONE, ChangeStatus.UNVERIFIED)


def result_of(change: Change, status: ChangeStatus, message: str = "") -> ChangeResult:
    return ChangeResult(name=change.name, action=change.action, status=status, message=message)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """All results in name order; ``serial`` is the state's, as it was last written."""

    results: tuple[ChangeResult, ...]
    serial: int
    is_interrupted: bool = False
    problem: str = ""
    """Why the state file could not be saved, and what to do; "" if it was saved."""

    @property
    def is_complete(self) -> bool:
        return not self.problem and self.count(ChangeStatus.DONE) == len(self.results)

    def count(self, status: ChangeStatus) -> int:
        return sum(result.status is status for result in self.results)
