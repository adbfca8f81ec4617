"""The values of a plan: changes, their fields, actions and reasons."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.job_config import Source
from majobctl.job_config.violations import Path

Params = Mapping[str, Any]

Place = tuple[str, ...]
"""A key, or ``hyperparameters`` and a label."""


class Action(enum.Enum):
    """What is to be done with one job config, or one of its fields."""

    ADD = "add"
    UPDATE = "update"
    RESEND = "resend"
    FORGET = "forget"
    CREATE = "create"
    DELETE = "delete"
    RECORD = "record"
    """No call is needed: the service has it already, and the state takes that in."""
    REMOVE = "remove"
    """Of a field only."""

    @property
    def sign(self) -> str:
        return _SIGNS[self]


_SIGNS = {
    Action.ADD: "+",
    Action.UPDATE: "~",
    Action.RESEND: "?",
    Action.FORGET: ".",
    Action.CREATE: "+",
    Action.DELETE: "-",
    Action.RECORD: "=",
    Action.REMOVE: "-",
}


class Reason(enum.Enum):
    """Why a field is in a plan that was made with the service's own values at hand."""

    EDITED = "edited here"
    CHANGED = "changed there"
    BOTH = "edited here, changed there"
    SAME = "the same here and there"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """``before`` is the state's value, ``after`` the desired one; None stands for a missing one.

    ``live`` is the service's and ``reason`` says who changed it, where the service was read; there
    is no reason where the state does not know the job config.
    """

    path: Place
    action: Action
    before: Any
    after: Any
    live: Any = None
    reason: Reason | None = None

    @property
    def replaced(self) -> Any:
        """What ``after`` takes the place of: the service's value where it was read."""
        return self.before if self.reason is None and self.live is None else self.live


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

    DECLARED = "written"
    """The job config says so."""
    DETECTED = "likely"
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

    @property
    def was_read(self) -> bool:
        """Whether the service was read for it."""
        return self.is_missing or bool(self.live_digest)
