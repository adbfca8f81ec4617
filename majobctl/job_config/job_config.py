"""The value that everything compares: one job config, normalised.

Two job configs are equal if their requests are equal: the order of hyperparameters does not count,
a blank value is a missing one, ``obs://b/x`` is ``/b/x``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.checks import checked_values, rule_violations
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.fields import FIELDS, LONGEST_NAME, Field, name_violation
from majobctl.job_config.secrets import with_known
from majobctl.job_config.violations import Path, Violation


class Source(Protocol):
    """Where a job config is written."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


@dataclass(frozen=True, slots=True)
class JobConfig:
    """A name and its params: SDK names in the documented order, normalised, without blank ones.
    ``hyperparameters`` is ``{label: text}`` sorted by label; OBS paths start with ``/bucket/``;
    what no request carries, such as ``job_description``, is left out."""

    name: str
    params: Mapping[str, Any]
    _: KW_ONLY
    source: Source | None = field(default=None, compare=False)
    sensitive: Mapping[Path, Any] = field(default_factory=dict)
    """The places of secret values: a key, or ``hyperparameters`` and a label. Each has its text if
    that is a single ``${env.NAME}``, else None: the file holds a part of the value."""
    policy: ComparePolicy = field(default_factory=ComparePolicy, compare=False)
    prevent_delete: bool = field(default=False, compare=False)
    renamed_from: str = field(default="", compare=False)
    unsent: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """The keys that no request carries."""

    def hidden(self, params: Mapping[str, Any]) -> list[Path]:
        """The secret places of ``params``, which come from the state or from the service."""
        return [*self.sensitive, *self.policy.hidden(params)]

    def agrees_with(self, params: Mapping[str, Any]) -> bool:
        """Whether it describes ``params``, as far as its values are known."""
        return with_known(self.params, params) == params

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any], longest: int = LONGEST_NAME) -> JobConfig:
        """Of Python arguments. Raises ConfigError with every rule that they break."""
        params, violations = normalise(raw)
        wrong_name = name_violation(name, longest, "Session(max_name_length={})")
        if wrong_name:
            violations.insert(0, wrong_name)
        if violations:
            where = f"job_config.{name}"
            raise ConfigError(Problem(where=where, message=found.text()) for found in violations)
        return cls(name, request_params(params))


def request_params(params: dict[str, Any]) -> dict[str, Any]:
    """``params`` without the keys that no request carries."""
    left_out = [field.name for field in unsent(params)]
    return {key: params[key] for key in params if key not in left_out} if left_out else params


def unsent(params: Mapping[str, Any]) -> Sequence[Field]:
    """Those of ``params`` that no request carries, or none that has all of them."""
    return _unsent(tuple(params))


@lru_cache(maxsize=1024)
def _unsent(keys: tuple[str, ...]) -> Sequence[Field]:
    found = (it for it in _MAYBE_UNSENT if not it.rest or it.unless in keys)
    return [field for field in found if field.name in keys]


_MAYBE_UNSENT = [field for field in FIELDS.values() if not field.rest or field.unless]


def normalise(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
    """The params that ``raw``, SDK names with plain values, describes, and every rule that it
    breaks. The params are complete only without violations."""
    params, violations = checked_values(raw)
    return params, violations + rule_violations(raw, params)
