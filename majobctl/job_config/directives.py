"""The keys of a job config that are no parameters: what is secret, ignored, protected, renamed.

It reads one table at a time and knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.job_config.fields import FIELDS, Kind, name_fault
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.text import nearest, quoted

Place = tuple[str, ...]

SENSITIVE = "sensitive"

IGNORE_CHANGES = "ignore_changes"

PREVENT_DELETE = "prevent_delete"

RENAMED_FROM = "renamed_from"


@dataclass(frozen=True, slots=True)
class Directive:
    """A key of a job config that is no parameter; ``type`` is as the reference page names it."""

    type: str
    help: str


DIRECTIVES: Mapping[str, Directive] = {
    SENSITIVE: Directive(
        "array of strings",
        "Keys of this job config, and labels of its hyperparameters, whose values are never shown,"
        " and kept only as keyed hashes. A value with `${env.NAME}` is sensitive without it.",
    ),
    IGNORE_CHANGES: Directive(
        "array of strings",
        "Keys, and hyperparameters as `hyperparameters.LABEL`: what is changed there in the service"
        " is no drift, and no reason for a call. A call that is made for another reason sends the"
        " whole job config all the same.",
    ),
    PREVENT_DELETE: Directive(
        "boolean",
        "`true`: a plan that would delete this configuration is refused. The state remembers it,"
        " so that it holds when the job config is removed, too.",
    ),
    RENAMED_FROM: Directive(
        "string",
        "The name that this job config had before. The plan shows what differs from it, and the old"
        " one leaves the state (or is deleted, with `delete_removed`) only once the call for this"
        " one has succeeded.",
    ),
}


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
    def of(cls, table: Mapping[str, Any]) -> tuple[Directives, list[Violation]]:
        """The directives of a table, and every rule that they break."""
        faults: list[Violation] = []
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


def unknown_secrets(names: tuple[str, ...], params: Mapping[str, Any]) -> Iterator[Violation]:
    """A fault for each of the ``sensitive`` names that is nowhere in ``params``."""
    if not names:
        return
    known = [*FIELDS, *(params.get("hyperparameters") or {})]
    for index, name in enumerate(names):
        if name not in known:
            message = f"{quoted(name)} is no key and no label of this job config"
            yield Violation((SENSITIVE, index), message + nearest(name, known))


_WANTED = {
    SENSITIVE: "an array of strings, keys and labels",
    IGNORE_CHANGES: "an array of strings, keys and hyperparameters.LABEL",
}


def _texts(table: Mapping[str, Any], key: str, faults: list[Violation]) -> dict[int, str]:
    """The strings of an array by their indices."""
    items = table.get(key, [])
    wanted = f"{key} must be {_WANTED[key]}"
    if not isinstance(items, list):
        faults.append(Violation((key,), f"{wanted}, not {type_name(items)}"))
        return {}
    for index, item in enumerate(items):
        if not isinstance(item, str):
            faults.append(Violation((key, index), f"{wanted}; this is {type_name(item)}"))
    return {index: item for index, item in enumerate(items) if isinstance(item, str)}


def _places(names: Mapping[int, str], faults: list[Violation]) -> Iterator[Place]:
    for index, name in names.items():
        place = place_named(name)
        if isinstance(place, str):
            faults.append(Violation((IGNORE_CHANGES, index), f"{IGNORE_CHANGES}: {place}"))
        else:
            yield place


def _flag(table: Mapping[str, Any], faults: list[Violation]) -> bool | None:
    value = table.get(PREVENT_DELETE)
    if value is None or isinstance(value, bool):
        return value
    message = f"{PREVENT_DELETE} must be true or false, not {type_name(value)}"
    faults.append(Violation((PREVENT_DELETE,), message))
    return None


def _name(table: Mapping[str, Any], faults: list[Violation]) -> str:
    value = table.get(RENAMED_FROM, "")
    if not isinstance(value, str):
        message = f"{RENAMED_FROM} must be a string, not {type_name(value)}"
        faults.append(Violation((RENAMED_FROM,), message))
        return ""
    fault = name_fault(value) if value else None
    if fault is not None:
        faults.append(Violation((RENAMED_FROM,), f"{RENAMED_FROM}: {fault.message}"))
        return ""
    return value


def place_named(text: str) -> tuple[str, ...] | str:
    """The place that ``text`` names, ``KEY`` or ``hyperparameters.LABEL``; or what is wrong."""
    key, dot, label = text.partition(".")
    field = FIELDS.get(key)
    if field is None:
        return f"{quoted(text)} is no key of a job config{nearest(key, FIELDS)}"
    if field.rest is None:
        return f"{key} is in no request, and so never changed in the service"
    if not dot:
        return (key,)
    if field.kind is not Kind.HYPERPARAMETERS or not label:
        return f"{quoted(text)} is no place: write a key, or hyperparameters.LABEL"
    return (key, label)
