"""What the service offered when it was asked last, kept in a file.

A cache: one that cannot be used has a reason, and raises nothing. Nothing here asks the service or
knows job configs.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majobctl.target import Target

FILE_NAME = "catalogue.json"
FORMAT_VERSION = 1

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Offer:
    """One of the service's lists: its columns, and by which of its keys the service tells each.

    The ``names`` are the columns that say what an item is; they are called as in a job config.
    """

    names: tuple[str, ...]
    columns: Mapping[str, str]


OFFERS: Mapping[str, Offer] = {
    "flavors": Offer(
        ("train_instance_type",),
        {
            "train_instance_type": "spec_code",
            "core": "core",
            "cpu": "cpu",
            "gpu_num": "gpu_num",
            "gpu_type": "gpu_type",
            "max_num": "max_num",
            "no_resource": "no_resource",
        },
    ),
    "engines": Offer(
        ("framework_type", "framework_version"),
        {"framework_type": "engine_name", "framework_version": "engine_version"},
    ),
    "algorithms": Offer(
        ("model_name",),
        {
            "model_name": "model_name",
            "engine_name": "engine_name",
            "engine_version": "engine_version",
            "hyperparameters": "parameter",
        },
    ),
}
"""The keys are those of the ModelArts API reference: "Querying Job Resource Specifications",
"Querying Job Engine Specifications" and "Querying a Built-in Algorithm"."""

Item = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class OfferedList:
    """The items of one list, as ``plain_items`` makes them, and when they were read (UTC, such as
    ``2026-11-23T12:00:00Z``)."""

    read_at: str
    items: Sequence[Item]

    @property
    def day(self) -> str:
        return self.read_at[:10]


def plain_items(name: str, entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The service's entries of the list ``name``, each with the columns of its Offer.

    Sorted by name, numbers by their size, each item once; an entry without its names is left out.
    None stands for what is not told. ``max_num`` is an integer, ``hyperparameters`` are
    ``{label: value that it has by default}``; all else is as the service tells it.
    """
    return _items(name, entries, OFFERS[name].columns)


def _items(
    name: str, entries: Iterable[Mapping[str, Any]], columns: Mapping[str, str]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for entry in entries:
        item = {
            column: _READERS.get(column, _plain)(entry.get(key)) for column, key in columns.items()
        }
        if all(isinstance(item[column], str) and item[column] for column in OFFERS[name].names):
            found.append(item)
    found.sort(key=lambda item: [_natural(item[column]) for column in OFFERS[name].names])
    return list({repr(item): item for item in found}.values())


def _natural(text: str) -> tuple[list[tuple[str, int, str]], str]:
    """A key that sorts ``1.13`` after ``1.4``, whatever the case."""
    parts = re.findall(r"([^0-9]*)0*([0-9]*)", text.casefold())
    return [(words, len(digits), digits) for words, digits in parts], text


def _plain(value: object) -> str | int | float | None:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no word for it
    return value if isinstance(value, (str, int, float)) else None


def _number(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _labelled(value: object) -> dict[str, str] | None:
    """The hyperparameters of an algorithm: the service has them as JSON in a string."""
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
    "max_num": _number,
    "hyperparameters": _labelled,
}


def load_lists(path: Path, target: Target) -> tuple[dict[str, OfferedList], str]:
    """The lists that the file ``path`` holds for ``target``, and why it cannot be used.

    The reason is "" where nothing is wrong: there may be no file, or it is another target's.
    """
    try:
        return _lists_of(_document(path), target), ""
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"it cannot be read: {error.strerror or error}"
    except ValueError as error:
        return {}, f"it is damaged: {error}"


def _document(path: Path) -> dict[str, Any]:
    # A pipe would be waited on for ever.
    if os.path.lexists(path) and not os.path.isfile(path):
        raise ValueError("no regular file")
    content = path.read_bytes()
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ValueError("no JSON") from None
    if not isinstance(document, dict):
        raise ValueError("no JSON object")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _lists_of(document: Mapping[str, Any], target: Target) -> dict[str, OfferedList]:
    version = document.get("format_version")
    if version != FORMAT_VERSION or isinstance(version, bool):
        raise ValueError("a format_version that this majobctl does not know")
    if not isinstance(document.get("target"), dict):
        raise ValueError("target is missing")
    if document["target"] != target.document():
        return {}
    return {name: _list_of(name, document[name]) for name in OFFERS if name in document}


def _list_of(name: str, content: object) -> OfferedList:
    if not isinstance(content, dict):
        raise ValueError(f"{name} is no JSON object")
    read_at, items = content.get("read_at"), content.get("items")
    if not isinstance(read_at, str) or not _MOMENT.fullmatch(read_at):
        raise ValueError(f"{name}.read_at is no time")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ValueError(f"{name}.items is no list of JSON objects")
    own = {column: column for column in OFFERS[name].columns}
    return OfferedList(read_at, _items(name, items, own))


def save_list(path: Path, target: Target, name: str, offered: OfferedList) -> None:
    """Writes ``offered`` as the list ``name`` of ``target``; the others of the same target stay.

    The file's folder is made where it is missing. Raises OSError.
    """
    from majobctl.files import write_durably

    lists = {**load_lists(path, target)[0], name: offered}
    document = {
        "format_version": FORMAT_VERSION,
        "target": target.document(),
        **{name: _as_document(lists[name]) for name in OFFERS if name in lists},
    }
    path.parent.mkdir(exist_ok=True)
    write_durably(path, (json.dumps(document, indent=2) + "\n").encode())


def _as_document(offered: OfferedList) -> dict[str, Any]:
    return {"read_at": offered.read_at, "items": list(offered.items)}
