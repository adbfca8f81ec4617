"""The keys of a job config that are no parameters: what is secret, ignored, protected, renamed.

It reads one table at a time and knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.errors import nearest, quoted
from majobctl.fields import (
    DIRECTIVES,
    FIELDS,
    IGNORE_CHANGES,
    PREVENT_DELETE,
    RENAMED_FROM,
    SENSITIVE,
    Fault,
    name_fault,
    place_named,
)
from majobctl.job_config import type_name

Place = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one table; a wrong one stands as if it were not there.

    ``prevent_delete`` is None where the table does not say.
    """

    sensitive: tuple[str, ...] = ()
    ignored: frozenset[Place] = frozenset()
    prevent_delete: bool | None = None
    renamed_from: str = ""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> tuple[Directives, list[Fault]]:
        """The directives of a table, and every rule that they break."""
        faults: list[Fault] = []
        if DIRECTIVES.keys().isdisjoint(table):
            return _NONE, faults
        sensitive = _texts(table, SENSITIVE, faults)
        names = _texts(table, IGNORE_CHANGES, faults)
        found = cls(
            tuple(sensitive.values()),
            frozenset(_places(names, faults)),
            _flag(table, faults),
            _name(table, faults),
        )
        return found, faults

    def over(self, below: Directives) -> Directives:
        """These laid over those of ``[defaults]``: the arrays are joined, the rest wins."""
        if below == _NONE:
            return self
        protects = self.prevent_delete
        return Directives(
            (*self.sensitive, *below.sensitive),
            self.ignored | below.ignored,
            below.prevent_delete if protects is None else protects,
            self.renamed_from,
        )


_NONE = Directives()


def without_directives(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in DIRECTIVES}


def unknown_secrets(names: tuple[str, ...], params: Mapping[str, Any]) -> Iterator[Fault]:
    """A fault for each of the ``sensitive`` names that is nowhere in ``params``."""
    if not names:
        return
    known = [*FIELDS, *(params.get("hyperparameters") or {})]
    for index, name in enumerate(names):
        if name not in known:
            message = f"{quoted(name)} is no key and no label of this job config"
            yield Fault((SENSITIVE, index), message + nearest(name, known))


_WANTED = {
    SENSITIVE: "an array of strings, keys and labels",
    IGNORE_CHANGES: "an array of strings, keys and hyperparameters.LABEL",
}


def _texts(table: Mapping[str, Any], key: str, faults: list[Fault]) -> dict[int, str]:
    """The strings of an array by their indices."""
    items = table.get(key, [])
    wanted = f"{key} must be {_WANTED[key]}"
    if not isinstance(items, list):
        faults.append(Fault((key,), f"{wanted}, not {type_name(items)}"))
        return {}
    for index, item in enumerate(items):
        if not isinstance(item, str):
            faults.append(Fault((key, index), f"{wanted}; this is {type_name(item)}"))
    return {index: item for index, item in enumerate(items) if isinstance(item, str)}


def _places(names: Mapping[int, str], faults: list[Fault]) -> Iterator[Place]:
    for index, name in names.items():
        place = place_named(name)
        if isinstance(place, str):
            faults.append(Fault((IGNORE_CHANGES, index), f"{IGNORE_CHANGES}: {place}"))
        else:
            yield place


def _flag(table: Mapping[str, Any], faults: list[Fault]) -> bool | None:
    value = table.get(PREVENT_DELETE)
    if value is None or isinstance(value, bool):
        return value
    message = f"{PREVENT_DELETE} must be true or false, not {type_name(value)}"
    faults.append(Fault((PREVENT_DELETE,), message))
    return None


def _name(table: Mapping[str, Any], faults: list[Fault]) -> str:
    value = table.get(RENAMED_FROM, "")
    if not isinstance(value, str):
        message = f"{RENAMED_FROM} must be a string, not {type_name(value)}"
        faults.append(Fault((RENAMED_FROM,), message))
        return ""
    fault = name_fault(value) if value else None
    if fault is not None:
        faults.append(Fault((RENAMED_FROM,), f"{RENAMED_FROM}: {fault.message}"))
        return ""
    return value
