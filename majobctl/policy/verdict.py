"""What a judge finds: a policy that a job config breaks."""

from __future__ import annotations

from dataclasses import dataclass

from majobctl.errors import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A policy that ``name`` breaks at ``path``, and where that is written."""

    policy: str
    level: str
    name: str
    path: tuple[str, ...]
    message: str
    file: str = ""
    line: int = 0

    @property
    def denies(self) -> bool:
        return self.level == "deny"

    @property
    def problem(self) -> Problem:
        return Problem(
            file=self.file,
            line=self.line,
            where=f"job_config.{self.name}",
            message=self.message,
            policy=self.policy,
        )
