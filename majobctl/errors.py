"""Every error that a user can meet. The command line makes a message and an exit code of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from majobctl.text import MOST_CHARACTERS, cut, in_short, printable


class MajobctlError(Exception):
    """A failure with a message for the user: a summary line, then what to do about it."""

    exit_code = 1
    kind = "error"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Problem:
    """A broken rule, and where the user finds it: ``file`` as it would be typed, ``line`` and
    ``column`` from 1 on (0: unknown), ``where`` a dotted path such as ``job_config.sentiment``,
    ``policy`` the name of the policy that is broken."""

    file: str = ""
    line: int = 0
    column: int = 0
    where: str = ""
    message: str
    policy: str = ""

    def __post_init__(self) -> None:
        if len(self.where) + len(self.message) > MOST_CHARACTERS:
            object.__setattr__(self, "where", cut(self.where))
            object.__setattr__(self, "message", cut(self.message, MOST_CHARACTERS))

    @property
    def place(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        parts = (self.place, printable(self.where), self.message)
        return ": ".join(part for part in parts if part)


def together(problems: Iterable[Problem]) -> list[Problem]:
    """``problems``, with one for all that say the same of several at one place."""
    found: dict[Problem, list[str]] = {}
    for problem in problems:
        found.setdefault(replace(problem, where=""), []).append(problem.where)
    return [replace(it, where=in_short(dict.fromkeys(names))) for it, names in found.items()]


class ConfigError(MajobctlError):
    """TOML files or arguments that break rules: every problem at once. ``warnings`` are reported,
    too, but are not part of the message. The values of ``secret_names`` must not be shown."""

    kind = "config"

    def __init__(
        self,
        problems: Iterable[Problem],
        warnings: Iterable[Problem] = (),
        secret_names: Collection[str] = (),
    ) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        self.secret_names = secret_names
        super().__init__("\n".join(map(str, self.problems)))


class DeniedError(MajobctlError):
    """Policies deny what a plan would do: ``problems`` has each violation."""

    kind = "policy"

    def __init__(self, problems: Iterable[Problem], message: str) -> None:
        self.problems = tuple(problems)
        super().__init__(message)


class StateError(MajobctlError):
    """A state that is damaged, newer, or for another target. It was left unchanged."""

    kind = "state"


class LockedError(MajobctlError):
    """The state is locked by somebody else."""

    exit_code = 4
    kind = "locked"


class StalePlanError(MajobctlError):
    """A saved plan that does not match what it would be applied to."""

    exit_code = 5
    kind = "stale"


class ProviderError(MajobctlError):
    """The service failed, or could not be reached. ``may_pass``: the failure may be temporary.
    ``is_about_credentials``: they were refused, so every other call would fail, too. ``status`` and
    ``request_id`` are those of the answer, or 0 and ""."""

    kind = "service"
    status = 0
    request_id = ""
    may_pass = False
    is_about_credentials = False


class AuthError(ProviderError):
    """Credentials are missing or were rejected."""

    kind = "credentials"
    is_about_credentials = True


class ServiceError(ProviderError):
    """The service refused a request: ``code``, such as ``ModelArts.0102``, and ``request_id`` are
    its own, or "", and ``reason`` is its message. ``service.codes`` makes it."""

    def __init__(
        self, code: str, reason: str, *, status: int, request_id: str = "", may_pass: bool = False
    ) -> None:
        self.may_pass = may_pass
        self.code = code = cut(code)
        self.reason = reason = cut(reason, MOST_CHARACTERS)
        self.status = status
        self.request_id = cut(request_id)
        note = f" (request id {self.request_id})" if request_id else ""
        super().__init__(printable((f"{code} {reason}".strip() or f"HTTP status {status}") + note))


class TransportError(ProviderError):
    """No response, or an unreadable one. ``outcome_unknown``: the call may have been made."""

    kind = "connection"

    def __init__(self, message: str, *, outcome_unknown: bool, may_pass: bool = False) -> None:
        self.outcome_unknown = outcome_unknown
        self.may_pass = may_pass
        super().__init__(printable(cut(message, MOST_CHARACTERS)))
