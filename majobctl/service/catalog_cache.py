"""A cache of the catalog's lists in a file, as the service offered them when it was last asked."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from majobctl.service.catalog import COLUMNS, Item, plain_items
from majobctl.strict_json import JsonError, Node, parse_object
from majobctl.target import Target
from majobctl.text import reason_of

FILE_NAME = "catalogue.json"
FORMAT_VERSION = 1

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class CachedList:
    """The items of one list, as ``plain_items`` makes them, and when (UTC) they were read. ``ids``
    are its entries with names and ids alone, in the service's order. ``is_incidental``: nobody
    asked for the list, an apply or an import needed it."""

    read_at: str
    items: Sequence[Item]
    ids: Sequence[dict[str, Any]] = field(default_factory=list)
    is_incidental: bool = False


def load_lists(path: Path, target: Target) -> tuple[dict[str, CachedList], str]:
    """The lists that the file ``path`` holds for ``target``, and why it cannot be used. The reason
    is "" if nothing is wrong; the file may be missing or another target's."""
    from majobctl.files import read_file

    try:
        return _lists_of(Node(parse_object(read_file(path))), target), ""
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"it cannot be read: {reason_of(error)}"
    except JsonError as error:
        return {}, f"it is damaged: {error}"


def _lists_of(document: Node, target: Target) -> dict[str, CachedList]:
    version = document["format_version"]
    if version.integer() != FORMAT_VERSION:
        raise version.wrong("is of another majobctl")
    if document["target"].table() != target.document():
        return {}
    return {name: _list_of(name, node) for name in COLUMNS if (node := document.get(name))}


def _list_of(name: str, node: Node) -> CachedList:
    read_at = node["read_at"]
    if not _MOMENT.fullmatch(read_at.text()):
        raise read_at.wrong("must be a time such as 2026-11-23T12:00:00Z")
    items = [item.table() for item in node["items"].items()]
    own = {column: column for column in COLUMNS[name]}
    found = ids.items() if (ids := node.get("ids")) else ()
    known = [it.table() for it in found]
    incidental = node.get("is_incidental")
    is_incidental = incidental is not None and incidental.flag()
    return CachedList(read_at.text(), plain_items(name, items, own), known, is_incidental)


def save_lists(path: Path, target: Target, new: Mapping[str, CachedList]) -> None:
    """Writes the lists ``new`` of ``target``, by their names; the other lists of the same target
    stay. Makes the file's folder, which git ignores, if it is missing. Raises OSError."""
    from majobctl.files import refuse_link_out, write_durably

    refuse_link_out(path, path.parent.parent)
    lists = {**load_lists(path, target)[0], **new}
    document = {
        "format_version": FORMAT_VERSION,
        "target": target.document(),
        **{name: asdict(lists[name]) for name in COLUMNS if name in lists},
    }
    if not path.parent.is_dir():
        path.parent.mkdir()
        (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    write_durably(path, (json.dumps(document, indent=2) + "\n").encode())
