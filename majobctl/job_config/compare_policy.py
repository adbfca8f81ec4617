"""What is ignored, and what is kept secret, when two versions of a job config are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.secrets import named_places, place_of
from majobctl.job_config.violations import Path


@dataclass(frozen=True, slots=True)
class ComparePolicy:
    """What the service's values of one job config mean to a reader: which places do not count,
    and which are secret, by the names of keys and labels and by place."""

    ignored: frozenset[tuple[str, ...]] = frozenset()
    secret_names: frozenset[str] = frozenset()
    secret_places: frozenset[Path] = frozenset()

    def ignores(self, place: tuple[str, ...]) -> bool:
        return place in self.ignored or place[:1] in self.ignored

    def names(self, place: Path) -> bool:
        """Whether a key or a label of ``place`` is named as secret."""
        return not self.secret_names.isdisjoint(map(str, place))

    def is_secret(self, path: Path) -> bool:
        """Whether the value at ``path``, or what it belongs to, is secret."""
        place = place_of(path)
        return place in self.secret_places or self.names(place)

    def hidden(self, params: Mapping[str, Any]) -> list[Path]:
        """The secret places of ``params``."""
        return [*self.secret_places, *named_places(params, self.secret_names)]


@dataclass(frozen=True, slots=True)
class ComparePolicies:
    """What is watched of each job config that a TOML file describes, and of one that only the
    state knows."""

    described: Mapping[str, ComparePolicy] = field(default_factory=dict)
    default: ComparePolicy = field(default_factory=ComparePolicy)

    def of(self, name: str) -> ComparePolicy:
        return self.described.get(name, self.default)
