"""Every error that a user can meet, and how text from outside is made safe to print.

The command line turns these into a message and an exit code in one place; nothing here knows
about it but for the number.

    MajobctlError                 exit code 1
     ├── ConfigError              TOML files or arguments that break a rule: every problem at once
     ├── StateError               a state file that is damaged, newer, or another target's
     ├── LockedError              somebody else holds the state's lock (4)
     ├── StalePlanError           a saved plan that no longer fits (5)
     └── ProviderError            the service, or the way to it
          ├── AuthError           no credentials, or refused ones
          ├── ServiceError        the service said no: code, message, HTTP status
          └── TransportError      no answer, or one that cannot be read
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from majobctl.text import printable

NOT_FOUND = "ModelArts.0102"
"""The service's code for what does not exist."""


class MajobctlError(Exception):
    """A failure with a message for the user: a summary line, then what to do."""

    exit_code = 1


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One broken rule: where it is and what to do.

    ``file`` is as the user would type it, ``line`` and ``column`` count from 1 and are 0 where
    they do not apply, ``where`` is a dotted place such as ``job_config.sentiment``.
    """

    file: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        place = self.file
        if self.line:
            place += f":{self.line}"
        if self.column:
            place += f":{self.column}"
        return ": ".join(part for part in (place, printable(self.where), self.message) if part)


class ConfigError(MajobctlError):
    """Input that breaks a rule; ``problems`` has each of them, in the order of the files.

    ``warnings`` has what is worth a warning beside them, and is no part of the message.
    """

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        super().__init__("\n".join(map(str, self.problems)))


class StateError(MajobctlError):
    """A state that cannot be used as it is, and was left untouched."""


class LockedError(MajobctlError):
    """The state is locked by somebody else."""

    exit_code = 4


class StalePlanError(MajobctlError):
    """A saved plan that does not fit what it would be applied to."""

    exit_code = 5


class ProviderError(MajobctlError):
    """The service, or the way to it, failed."""


class AuthError(ProviderError):
    """Credentials are missing, or were refused."""


class ServiceError(ProviderError):
    """The service answered and refused.

    ``code`` is the service's own, such as ``ModelArts.0102`` ("" where it gave none), ``reason``
    its message, ``status`` the HTTP status, ``request_id`` "" where it gave none.
    """

    def __init__(self, code: str, reason: str, *, status: int, request_id: str = "") -> None:
        self.code = code
        self.reason = reason
        self.status = status
        self.request_id = request_id
        text = f"{code} {reason}".strip() or f"HTTP status {status}"
        super().__init__(printable(text))


class TransportError(ProviderError):
    """No answer, or one that cannot be read.

    ``outcome_unknown`` is true when the request may have been carried out all the same,
    ``may_pass`` when the fault may be gone a while later.
    """

    def __init__(self, message: str, *, outcome_unknown: bool, may_pass: bool = False) -> None:
        self.outcome_unknown = outcome_unknown
        self.may_pass = may_pass
        super().__init__(printable(message))
