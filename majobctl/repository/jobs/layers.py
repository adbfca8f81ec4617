"""The tables that a job config is made of: its own, over its template's, over ``[defaults]``; and
where each of its values is written. Which values are right is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.errors import Problem
from majobctl.job_config.violations import Path as FieldPath
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath


@dataclass(frozen=True, slots=True)
class Layer:
    """One table at ``prefix`` of a file; ``table`` has no directives."""

    file: TomlFile
    prefix: KeyPath
    table: Mapping[str, Any]

    def has(self, path: FieldPath) -> bool:
        """Whether the value at ``path`` of the merged table is this one's."""
        key, *rest = path
        if key not in self.table:
            return False
        labelled = by_label(self.table[str(key)]) if key == "hyperparameters" else None
        return labelled is None or not rest or rest[0] in labelled

    def line_of(self, path: FieldPath) -> int:
        return self.file.line_of((*self.prefix, *self._written_path(path)))

    def place_of(self, path: FieldPath) -> str:
        return f"{self.file.name}:{self.line_of(path)}"

    def problem(self, path: FieldPath, message: str) -> Problem:
        where = ".".join(map(str, self.prefix))
        return Problem(self.file.name, self.line_of(path), 0, where, message)

    def _written_path(self, path: FieldPath) -> FieldPath:
        """``path`` with a merged hyperparameter's label turned into its place in an array."""
        own = self.table.get(str(path[0])) if path else None
        if path[:1] == ("hyperparameters",) and len(path) == 2 and isinstance(own, list):
            for index, item in enumerate(own):
                if isinstance(item, Mapping) and item.get("label") == path[1]:
                    return (path[0], index)
        return path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job config is written: its layers, its own first; ``at`` is the key that it comes
    from, () for the table itself, and ``varied`` are the places whose values stand below that key.
    Lines are looked up only when they are asked for."""

    layers: tuple[Layer, ...]
    at: FieldPath = ()
    varied: frozenset[FieldPath] = frozenset()

    @property
    def own(self) -> Layer:
        return self.layers[0]

    @property
    def file(self) -> str:
        return self.own.file.name

    @property
    def line(self) -> int:
        return self.own.line_of(self.at)

    @property
    def may_refer(self) -> bool:
        """Whether a string of it may have a reference."""
        return True in [layer.file.may_refer for layer in self.layers]

    def problem(self, path: FieldPath, message: str) -> Problem:
        """A problem of the value at ``path``, told where it is written."""
        for layer in self.layers:
            if path and layer.has(path):
                is_varied = layer is self.own and path in self.varied
                return layer.problem((*self.at, path[-1]) if is_varied else path, message)
        return self.own.problem(path or self.at, message)


def merged(layers: Iterable[Layer]) -> Mapping[str, Any]:
    """The tables of ``layers``, the first laid over the others; hyperparameters by their labels."""
    *below, lowest = layers
    result = lowest.table
    for layer in reversed(below):
        result = merge(result, layer.table)
    return result


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """``above`` laid over ``below``."""
    result = {**below, **above}
    labelled = by_label(result.get("hyperparameters"))
    if labelled is not None:
        under = by_label(below.get("hyperparameters")) or {}
        result["hyperparameters"] = {**under, **labelled}
    return result


def by_label(hyperparameters: object) -> Mapping[str, Any] | None:
    """``{label: value}`` of either form; None where it is missing, or broken and told of apart."""
    if isinstance(hyperparameters, dict):
        return hyperparameters
    if not isinstance(hyperparameters, list):
        return None
    labelled: dict[str, Any] = {}
    for item in hyperparameters:
        if not isinstance(item, Mapping) or set(item) != {"label", "value"}:
            return None
        label = item["label"]
        if not isinstance(label, str) or label in labelled:
            return None
        labelled[label] = item["value"]
    return labelled
