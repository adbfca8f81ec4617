"""What the service offers by name: flavors, engines and built-in algorithms. Their ids differ
between deployments, so each is looked up in these lists of the ModelArts API reference: "Querying
Job Resource Specifications", "Querying Job Engine Specifications", "Querying a Built-in Algorithm".
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import INTEGER_LIMIT
from majobctl.text import nearest, quoted
from majobctl.waiting import awaiting

Item = Mapping[str, Any]
Entries = list[dict[str, Any]]
Names = Mapping[str, Collection[str]]
"""The names in a list; for an engine the names of its versions."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "flavors": ("train_instance_type",),
    "engines": ("framework_type", "framework_version"),
    "algorithms": ("model_name",),
}
"""The service's lists, and the keys of a job config whose values are the names in them."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "flavors": {
        "train_instance_type": "spec_code",
        **{key: key for key in ("core", "cpu", "gpu_num", "gpu_type", "max_num", "no_resource")},
    },
    "engines": {"framework_type": "engine_name", "framework_version": "engine_version"},
    "algorithms": {
        "model_name": "model_name",
        "engine_name": "engine_name",
        "engine_version": "engine_version",
        "hyperparameters": "parameter",
    },
}
"""The columns of each list, with the service's keys."""

IDS = {"flavors": "spec_id", "engines": "engine_id", "algorithms": "model_id"}


class Catalog:
    """The three lists, each read once; safe to use from several threads. ``read`` gives a list's
    entries with the service's keys, and whether these are all of them. Every method may raise
    ProviderError."""

    def __init__(self, read: Callable[[str], tuple[Entries, bool]]) -> None:
        self._read = read
        self._lists: dict[str, tuple[Entries, bool]] = {}
        self._lock = threading.Lock()
        # Many job configs have the same flavor and engine.
        self.id_of = cache(self._id_of)
        self.names_of = cache(self._names_of)

    def entries(self, name: str) -> Entries:
        """The entries of a list, with the service's keys."""
        return self._list(name)[0]

    @property
    def complete_lists(self) -> dict[str, Entries]:
        """The lists that were read so far, without those of which there may be more."""
        with self._lock:
            return {name: found for name, (found, is_all) in self._lists.items() if is_all}

    def _id_of(self, name: str, *wanted: str) -> Any:
        """The id of the entry with these names; ConfigError if the service does not offer it."""
        identity = IDS[name]
        found = [item for item in self.entries(name) if as_id(item.get(identity)) is not None]
        for key, value in zip(NAMES[name], wanted, strict=True):
            column = COLUMNS[name][key]
            of_value = [item for item in found if item.get(column) == value]
            if not of_value:
                named = (item.get(column) for item in found)
                known = {text for text in named if isinstance(text, str)}
                raise ConfigError([Problem(message=_missing(name, key, value, known))])
            found = of_value
        return as_id(found[0][identity])

    def _names_of(self, name: str, number: str) -> tuple[str, ...] | None:
        """The names of the entry whose id is ``number`` as text; None if there is none."""
        columns = [COLUMNS[name][key] for key in NAMES[name]]
        for entry in self.entries(name):
            names = [entry.get(column) for column in columns]
            texts = tuple(text for text in names if isinstance(text, str) and text)
            if len(texts) == len(columns) and str(as_id(entry.get(IDS[name]))) == number:
                return texts
        return None

    def unknown_names(self, job_configs: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
        """A sentence for each flavor, engine and algorithm that the service does not offer, sorted,
        such as ``job_config.x: train_instance_type "a.b" does not exist; did you mean "a.c"?``."""
        wanted, found = list(job_configs), set()
        for name, keys in NAMES.items():
            if not (using := [item for item in wanted if keys[0] in item[1]]):
                continue
            entries, is_complete = self._list(name)
            if not is_complete:
                continue  # a name that is not in the list may exist all the same
            offered = names_in(entries, [COLUMNS[name][key] for key in keys])
            for job_config, params in using:
                if unknown := unknown_name(name, offered, params):
                    key, known = unknown
                    wrong = _missing(name, key, params[key], known)
                    found.add(f"job_config.{job_config}: {wrong}")
        return sorted(found)

    def _list(self, name: str) -> tuple[Entries, bool]:
        with self._lock:
            if name not in self._lists:
                with awaiting(f"Looking up {name}"):
                    self._lists[name] = self._read(name)
            return self._lists[name]


def names_in(items: Iterable[Item], columns: Sequence[str]) -> Names:
    """The names in these columns. An engine without a version is offered in no version."""
    found: dict[str, set[str]] = {}
    for item in items:
        name, *others = (item.get(column) for column in columns)
        if isinstance(name, str):
            found.setdefault(name, set()).update(text for text in others if isinstance(text, str))
    return found


def unknown_name(
    name: str, offered: Names, params: Mapping[str, Any]
) -> tuple[str, Collection[str]] | None:
    """The key whose value is not offered, and the values that are; None if there is none."""
    known: Collection[str] = offered
    for key in NAMES[name]:
        if key not in params:
            return None
        if params[key] not in known:
            return key, known
        known = offered.get(params[key], ())
    return None


def _missing(name: str, key: str, value: str, known: Iterable[str]) -> str:
    return f"{key} {quoted(value)} does not exist{offered_instead(name, value, known)}"


def offered_instead(name: str, value: str, known: Iterable[str]) -> str:
    """A hint: the names nearest to ``value``, or those that have it in them, or the command that
    lists all."""
    names = sorted(known)
    if hint := nearest(value, names):
        return hint
    if longer := [it for it in names if value.casefold() in it.casefold()][:3]:
        return f"; did you mean {' or '.join(map(quoted, longer))}?"
    return f"; `majobctl {name}` lists what there is"


def plain_items(
    name: str, entries: Iterable[Mapping[str, Any]], columns: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The entries of the list ``name`` with the columns of COLUMNS. ``columns`` are the keys in
    ``entries``, by default the service's. The items are distinct, and sorted by name (numbers by
    size); an entry without a name is left out. An unknown value is None, ``max_num`` an integer,
    ``hyperparameters`` are ``{label: default value}``."""
    found: list[dict[str, Any]] = []
    for entry in entries:
        item = {
            column: _READERS.get(column, _plain)(entry.get(key))
            for column, key in (columns or COLUMNS[name]).items()
        }
        if all(isinstance(item[column], str) and item[column] for column in NAMES[name]):
            found.append(item)
    found.sort(key=lambda item: [_natural(item[column]) for column in NAMES[name]])
    return list({repr(item): item for item in found}.values())


def ids_in(name: str, entries: Iterable[Item]) -> Entries:
    """The entries of the list ``name`` with an id and names, and nothing else of them."""
    identity, columns = IDS[name], [COLUMNS[name][key] for key in NAMES[name]]
    return [
        {identity: number, **{column: it[column] for column in columns}}
        for it in entries
        if (number := as_id(it.get(identity))) is not None
        and all(isinstance(it.get(column), str) for column in columns)
    ]


def _natural(text: str) -> tuple[list[tuple[str, int, str]], str]:
    """A key that sorts ``1.13`` after ``1.4``, in any case."""
    parts = re.findall(r"([^0-9]*)0*([0-9]*)", text.casefold())
    return [(words, len(digits), digits) for words, digits in parts], text


def _plain(value: object) -> str | int | float | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON cannot hold it
    return value if isinstance(value, (str, int, float)) else None


def as_number(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < INTEGER_LIMIT:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_id(value: object) -> int | str | None:
    """The number, which may come as text or as a float; another text; None for anything else."""
    number = as_number(value)
    return value if number is None and isinstance(value, str) else number


def _labelled(value: object) -> dict[str, str] | None:
    """The hyperparameters of an algorithm, which the service sends as JSON in a string."""
    try:
        if isinstance(value, str):
            value = json.loads(value, parse_int=str, parse_float=str)
        if isinstance(value, list):
            value = {item["label"]: item.get("value") for item in value}
        if isinstance(value, dict):
            return {str(label): _text(item) for label, item in value.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        pass
    return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


_READERS: Mapping[str, Callable[[object], Any]] = {
    "max_num": as_number,
    "hyperparameters": _labelled,
}
