"""What is ignored, and what is kept secret, when two versions of a job config are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.fields import FIELDS, Kind
from majobctl.job_config.secrets import (
    Masker,
    masked_places,
    named_places,
    place_of,
    suspect_places,
)
from majobctl.job_config.violations import Path, Violation
from majobctl.text import nearest, quoted

Params = Mapping[str, Any]
Place = tuple[str, ...]
"""A key, or ``hyperparameters`` and a label."""


@dataclass(frozen=True, slots=True)
class ComparePolicy:
    """How the service's values of one job config are read: the ignored places, and the secret
    ones, by the names of keys and labels and by place."""

    ignored: frozenset[Place] = frozenset()
    secret_names: frozenset[str] = frozenset()
    secret_places: frozenset[Path] = frozenset()

    def ignores(self, place: Place) -> bool:
        return place in self.ignored or place[:1] in self.ignored

    def names(self, place: Path) -> bool:
        """Whether a key or a label of ``place`` is named as secret."""
        return not self.secret_names.isdisjoint(map(str, place))

    def is_secret(self, path: Path) -> bool:
        """Whether the value at ``path``, or the value that it is part of, is secret."""
        place = place_of(path)
        return place in self.secret_places or self.names(place)

    def hidden(self, params: Params) -> list[Path]:
        return [*self.secret_places, *named_places(params, self.secret_names)]

    def masked_alike(
        self, masker: Masker, live: Params, *sides: Params, also: Iterable[Path] = ()
    ) -> list[Params]:
        """``live`` and ``sides`` with hashes at the same places: what is secret on one of them,
        ``also`` these, and what looks secret in the service."""
        hidden = [*also, *suspect_places(live, *sides)]
        for side in (live, *sides):
            hidden += [*masked_places(side), *self.hidden(side)]
        hidden.sort(key=len)  # what is secret as one value is not masked in parts
        return [masker.masked(side, hidden, live) for side in (live, *sides)]


@dataclass(frozen=True, slots=True)
class ComparePolicies:
    """The policies of the job configs in TOML files, and that of those that only the state has.
    ``elsewhere`` are the names that files have for other environments alone."""

    described: Mapping[str, ComparePolicy] = field(default_factory=dict)
    default: ComparePolicy = field(default_factory=ComparePolicy)
    elsewhere: frozenset[str] = frozenset()

    def of(self, name: str) -> ComparePolicy:
        return self.described.get(name, self.default)


def ignored_places(
    names: Mapping[int, str], path: Path
) -> tuple[frozenset[Place], list[Violation]]:
    """The places that the array at ``path`` names: ``KEY`` or ``hyperparameters.LABEL``."""
    wrong = {index: text for index, name in names.items() if (text := _wrong_place(name))}
    places = (tuple(name.split(".", 1)) for index, name in names.items() if index not in wrong)
    violations = [Violation((*path, at), f"{path[-1]}: {text}") for at, text in wrong.items()]
    return frozenset(places), violations


def _wrong_place(name: str) -> str | None:
    key, dot, label = name.partition(".")
    if (field := FIELDS.get(key)) is None:
        hint = nearest(key, FIELDS) or "; write hyperparameters.LABEL for a label"
        return f"{quoted(name)} is not a key of a job config{hint}"
    if field.rest is None:
        return f"{key} is not part of any request, so it never changes in the service"
    if dot and (field.kind is not Kind.HYPERPARAMETERS or not label):
        return f"{quoted(name)} must be a key, or hyperparameters.LABEL"
    return None
