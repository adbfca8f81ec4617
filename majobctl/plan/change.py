"""The values of a plan: changes, their fields, actions and reasons."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.compare_policy import Place
from majobctl.job_config.job_config import Source
from majobctl.job_config.violations import Path

Params = Mapping[str, Any]


class _Signed(enum.Enum):
    @property
    def sign(self) -> str:
        return _SIGNS[self.value]

    @property
    def signed(self) -> str:
        """The action after its sign, if that is not a word."""
        return self.value if self.sign.isalpha() else f"{self.sign} {self.value}"


_SIGNS = {"add": "+", "create": "+", "update": "~", "record": "=", "delete": "-", "remove": "-"}
_SIGNS |= {"resend": "again", "forget": "forget"}


class Action(_Signed):
    """What an apply does with one job config."""

    ADD = "add"
    UPDATE = "update"
    RESEND = "resend"
    FORGET = "forget"
    CREATE = "create"
    DELETE = "delete"
    RECORD = "record"
    """Updates the state alone: the service already has what is desired."""


class FieldAction(_Signed):
    """What happens to one field of a job config."""

    ADD = "add"
    UPDATE = "update"
    RECORD = "record"
    """The service already has the desired value."""
    REMOVE = "remove"


class Reason(enum.Enum):
    """Who changed a field, in a plan that was made after reading the service. The values are the
    JSON's words."""

    EDITED = "edited here"
    CHANGED = "changed there"
    BOTH = "edited here, changed there"
    SAME = "the same here and there"
    OLD_NAME = "changed there under the old name"
    """Of a job config that is renamed. ``before`` and ``live`` are what the state and the service
    have under its old name."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Cause:
    """The line that makes a change. ``key`` is its dotted place, such as ``defaults.log_url`` or
    ``job_config.x.matrix.lr``; that of a table's header if the table lost a key. A variable may be
    from ``--var`` or the environment: ``file`` says so, and ``line`` is 0."""

    file: str
    line: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """``before`` is the state's value, ``after`` the desired one, ``live`` the service's, if it was
    read; None means that it is not set. ``reason`` then says who changed it; it is None if the
    state does not know the job config."""

    path: tuple[str, ...]
    """A key, or ``hyperparameters`` and a label."""
    action: FieldAction
    before: Any
    after: Any
    live: Any = None
    reason: Reason | None = None
    cause: Cause | None = None
    """None for what the service's side makes, and in a plan of an older file."""

    @property
    def replaced(self) -> Any:
        """What ``after`` replaces: the service's value, if the service was read."""
        return self.before if self.reason is None and self.live is None else self.live

    @property
    def dotted(self) -> str:
        """The path as text, such as ``hyperparameters.lr``."""
        return ".".join(self.path)


CALLS: Mapping[Action, str] = {
    **dict.fromkeys((Action.ADD, Action.UPDATE, Action.RESEND), "update_job_configs"),
    Action.CREATE: "create_job_configs",
    Action.DELETE: "delete_job_configs",
}
"""The call of each action; the others need none."""

SENDING = CALLS.keys() - {Action.DELETE}
"""The actions that send a complete job config."""


class LastCall(enum.Enum):
    """What became of a call without a known outcome, by what the service has now. The values are
    the JSON's words."""

    DONE = "done"
    NOT_DONE = "not done"
    PARTLY = "done in part"
    UNCLEAR = "unclear"
    """The service has something else."""


class Renamed(enum.Enum):
    """How certain it is that a job config is another one under a new name."""

    DECLARED = "written"
    """The job config says so."""
    DETECTED = "likely"
    """The other one makes the same request, and leaves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The change of one job config, with every sensitive value masked. ``before`` is what the state
    has, of ``old_name`` if the job config was renamed; ``after`` is what is desired. ``cleared``
    are keys to send as blank: they are set now, and no longer desired. ``references`` are the
    sensitive places of ``after`` whose values come from the environment, each with the text that
    names the variables."""

    name: str
    action: Action
    source: Source | None = None
    before: Params | None = None
    after: Params | None = None
    fields: tuple[FieldChange, ...] = ()
    cleared: tuple[str, ...] = ()
    references: Mapping[Path, Any] = field(default_factory=dict)
    ignored: frozenset[Place] = frozenset()
    """The places at which the service may have what it likes."""
    secret_names: frozenset[str] = frozenset()
    """The keys and labels whose values in the service are not shown."""
    prevent_delete: bool = False
    old_name: str = ""
    """The name before the rename that ``renamed`` describes; "" without one."""
    new_name: str = ""
    """The job config that has this one as its ``renamed_from``."""
    renamed: Renamed | None = None
    live_digest: str = ""
    """A keyed hash of what the service had; "" if it was not read, or has nothing."""
    unknown_fields: tuple[str, ...] = ()
    """What the service has and no key can express: the call may remove it."""
    last_call: LastCall | None = None
    """None if its outcome is known, or if the service was not read."""
    is_missing: bool = False
    """The service was read, and does not have the configuration."""

    @property
    def was_read(self) -> bool:
        return self.is_missing or bool(self.live_digest)
