"""A job config's own keys over its template's over ``[defaults]``, and the lines of the values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

from majobctl.errors import Problem
from majobctl.job_config.directives import DIRECTIVES, UNSET
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.violations import Violation
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath


@dataclass(frozen=True)
class Layer:
    """The table at ``prefix`` of a file, as written or a part of it. ``size`` is the length of what
    more than one job config has from it, as text."""

    file: TomlFile
    prefix: KeyPath
    table: Mapping[str, Any]
    size: int = 0

    @property
    def name(self) -> str:
        """The last part of the table's header."""
        return str(self.prefix[-1])

    def has(self, path: KeyPath) -> bool:
        """Whether the value at ``path`` of the merged table comes from this one."""
        key, *rest = path
        if key not in self.table:
            return False
        labelled = self.labelled if key == "hyperparameters" else None
        return labelled is None or not rest or rest[0] in labelled

    @cached_property
    def labelled(self) -> Mapping[str, Any] | None:
        """The hyperparameters by label; None if there are none, or if they are broken."""
        return by_label(self.table.get("hyperparameters"))

    def value_at(self, path: KeyPath) -> Any:
        if path[0] == "hyperparameters" and len(path) == 2 and self.labelled is not None:
            return self.labelled.get(str(path[1]))
        return found_at(self.table, path)

    def unsetting(self, path: KeyPath) -> KeyPath:
        """The item of its ``unset`` that takes the value at ``path`` away from the layers below; ()
        if there is none."""
        names = self.whole.table.get(UNSET)
        for index, name in enumerate(names if isinstance(names, list) else ()):
            if isinstance(name, str) and unset_place(name) in (path, path[:1]):
                return (UNSET, index)
        return ()

    @cached_property
    def whole(self) -> Layer:
        """The layer with its directives and its ``use``."""
        table = found_at(self.file.data, self.prefix)
        return replace(self, table=table if isinstance(table, Mapping) else {})

    def written(self, path: KeyPath) -> KeyPath:
        """Where the file has the key at ``path``."""
        return self.file.written((*self.prefix, *path))

    def line_of(self, path: KeyPath) -> int:
        return self.file.line_of((*self.prefix, *self._written_path(path)))

    def place_of(self, path: KeyPath) -> str:
        return f"{self.file.name}:{self.line_of(path)}"

    def problem(self, path: KeyPath, message: str) -> Problem:
        where = ".".join(map(str, self.prefix))
        return Problem(file=self.file.name, line=self.line_of(path), where=where, message=message)

    def _written_path(self, path: KeyPath) -> KeyPath:
        """``path`` with the label of a merged hyperparameter replaced by its index in an array."""
        is_label = path[:1] == ("hyperparameters",) and len(path) > 1
        if is_label and (index := self._indices.get(path[1])) is not None:
            return (path[0], index, *path[2:])
        return path

    @cached_property
    def _indices(self) -> Mapping[Any, int]:
        """Where an array of hyperparameters, which may be broken, has each label first."""
        if isinstance(self.table.get("hyperparameters"), dict):
            return {}
        own = self.whole.table.get("hyperparameters")
        found: dict[Any, int] = {}
        for index, item in enumerate(own if isinstance(own, list) else ()):
            if isinstance(item, Mapping) and isinstance(label := item.get("label"), str):
                found.setdefault(label, index)
        return found


class Written(NamedTuple):
    """Where a value is written: at ``path`` of a layer. ``value`` is not resolved."""

    layer: Layer
    path: KeyPath
    value: Any


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job config is written: its layers, its own first. Lines are looked up on demand.
    ``key`` is the key that describes it: its matrix, or () for the table itself. The values at
    ``matrix_places`` are written below that key."""

    layers: tuple[Layer, ...]
    key: KeyPath = ()
    matrix_places: frozenset[KeyPath] = frozenset()

    @property
    def own(self) -> Layer:
        return self.layers[0]

    @property
    def file(self) -> str:
        return self.own.file.name

    @property
    def line(self) -> int:
        return self.own.line_of(self.key)

    def is_over(self, prefix: KeyPath) -> bool:
        return prefix in [layer.prefix for layer in self.layers[1:]]

    @property
    def may_refer(self) -> bool:
        return True in [layer.file.may_refer for layer in self.layers]

    def problem(self, path: KeyPath, message: str) -> Problem:
        """A problem at the line that the value at ``path`` comes from."""
        at = self.written(path) if path else None
        return (
            at.layer.problem(at.path, message)
            if at
            else self.own.problem(path or self.key, message)
        )

    def written(self, path: KeyPath) -> Written | None:
        """Where the value at ``path`` comes from; None if it is not set."""
        for layer in self.layers:
            if layer.has(path):
                is_varied = layer is self.own and path in self.matrix_places
                at = (*self.key, path[-1]) if is_varied else path
                return Written(layer, at, layer.value_at(path))
            if path[0] in DIRECTIVES and path[0] in layer.whole.table:
                return Written(layer, path, layer.whole.table[str(path[0])])
        return None

    def explained(self, violation: Violation) -> Violation:
        """``violation`` at one of the job config's own keys, with the place of each key that it
        involves and that comes from a layer below."""
        own = self.own.table
        keys = [str(violation.path[0]) if violation.path else "", violation.with_key]
        places = {
            key: layer.place_of((key,))
            for key in keys
            for layer in reversed(self.layers[1:])
            if key and key not in own and key in layer.table
        }
        if not places:
            return violation
        path = violation.path if keys[0] in own else (keys[1],) if keys[1] in own else ()
        hint = " and ".join(f"{key} comes from {place}" for key, place in places.items())
        optional = next((key for key in places if not FIELDS[key].required), "")
        if optional:
            hint += f'; `{optional} = ""` here leaves it out'
        return replace(violation, path=path, hint=f"({hint})")


def found_at(value: Any, path: KeyPath) -> Any:
    """What ``value`` has at ``path``, also by the label of a hyperparameter; None for nothing."""
    for part in path:
        if isinstance(part, int) and isinstance(value, list):
            value = value[part] if part < len(value) else None
        else:
            table = by_label(value)
            value = table.get(str(part)) if table is not None else None
    return value


def unset_place(name: str) -> KeyPath:
    """The place that an item of ``unset`` names: a key, or a label."""
    if name in FIELDS:
        return (name,)
    label = name.removeprefix("hyperparameters.")
    return ("hyperparameters", label or name)


def unset_name(label: str) -> str:
    """The item of ``unset`` that names ``label``."""
    is_plain = unset_place(label) == ("hyperparameters", label)
    return label if is_plain else f"hyperparameters.{label}"


def merged(layers: Sequence[Layer]) -> Mapping[str, Any]:
    """The tables of ``layers``, the first over the others; hyperparameters merge by label."""
    result = layers[-1].table
    for layer in layers[-2::-1]:
        result = merge(result, layer.table)
    return result


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    result = {**below, **above}
    if (labelled := by_label(result.get("hyperparameters"))) is not None:
        under = by_label(below.get("hyperparameters"))
        result["hyperparameters"] = {**under, **labelled} if under else labelled
    return result


def by_label(hyperparameters: object) -> Mapping[str, Any] | None:
    """``{label: value}`` of either form; None if it is missing or broken, or ``[]``, which takes
    the labels of the layers below away."""
    if isinstance(hyperparameters, dict):
        return hyperparameters
    if not isinstance(hyperparameters, list) or not hyperparameters:
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
