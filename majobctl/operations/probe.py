"""Finds out, on the user's own project, which assumptions about the service hold."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from majobctl.errors import MajobctlError
from majobctl.files import read_file, refuse_link_out, write_durably
from majobctl.operations.context import (
    RepositoryOrPath,
    as_repository,
    provider_of,
    target_of,
)
from majobctl.operations.observing import LENGTHS, Observer
from majobctl.repository.settings.keys import WORKING_FOLDER
from majobctl.strict_json import JsonError, parse_object
from majobctl.text import printable

PREFIX = "majobctl-probe-"
_OWN_NAME = re.compile(PREFIX + "[0-9a-f]{4}x*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumption:
    """One row of assumptions.toml; it has ``probe``, "read" or "write", or the reason why it
    ``cannot_be_probed``."""

    id: str
    section: str
    open: str
    decided: str
    probe: str = ""
    cannot_be_probed: str = ""
    holds: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


class Finding(NamedTuple):
    """``status`` is "holds", "differs" or "unknown"; ``observed`` is a word of the table, "other"
    for any other, and so has nothing of the project in it, or "" for what is unknown."""

    id: str
    status: str
    observed: str


def load_assumptions() -> list[Assumption]:
    """The rows in the order of the page."""
    from majobctl.repository.toml.file import TomlFile

    path = Path(__file__).with_name("assumptions.toml")
    rows: list[Mapping[str, Any]] = TomlFile.read(path, path.name).data["assumption"]
    words = ("holds", "differs")
    return [Assumption(**{**row, **{it: tuple(row.get(it, ())) for it in words}}) for row in rows]


def probe(
    place: RepositoryOrPath,
    *,
    write: bool = False,
    approve: Callable[[], bool] = lambda: True,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[Finding]:
    """What was observed of each assumption that has a probe.

    With ``write``, and if ``approve`` agrees, one configuration is made, changed and deleted again
    and again; ``should_stop`` is asked before each call. Whatever happens, it is deleted at the
    end; one that a killed probe left is deleted first, with or without ``write``. Raises
    MajobctlError, and KeyboardInterrupt if it should stop.
    """
    repository = as_repository(place)
    settings = repository.load_settings()
    path = settings.root / WORKING_FOLDER / "probe.json"
    target = target_of(settings).document()
    if write and not approve():
        raise MajobctlError("not approved; nothing was sent")
    # Two probes at once would take each other's configuration for one that was left.
    is_alone = write or path.exists()
    with (
        repository.locked(settings) if is_alone else nullcontext(),
        provider_of(settings, 1) as provider,
    ):
        observer = Observer(provider, should_stop)
        for name in _delete_left(path, target, observer) if is_alone else ():
            repository.warn(f"deleted {name}, which an interrupted probe had left in the service")
        words = observer.read()
        if write:
            taken, name = provider.config_names(), ""
            while not name or any(it.startswith(name) for it in taken):
                name = PREFIX + secrets.token_hex(2)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            refuse_link_out(path, settings.root)
            names = [name, *(name.ljust(length, "x") for length in LENGTHS)]
            write_durably(path, json.dumps({"target": target, "names": names}).encode())
            try:
                words |= observer.write(name)
            finally:
                observer.should_stop = lambda: False
                _delete_left(path, target, observer)
            if "duplicate.code" not in words:
                repository.warn(f"no configuration can be created: {observer.reason}")
        words |= observer.seen()
    return [_finding(row, words.get(row.id, "")) for row in load_assumptions() if row.probe]


def _finding(row: Assumption, word: str) -> Finding:
    status = "unknown" if not word else "holds" if word in row.holds else "differs"
    known = word if word in ("", *row.holds, *row.differs) else "other"
    return Finding(row.id, status, known)


def _delete_left(path: Path, target: Mapping[str, Any], observer: Observer) -> list[str]:
    """Deletes what the file at ``path`` names, and then the file; returns what was there. Raises
    MajobctlError if that cannot be."""
    try:
        document = parse_object(read_file(path))
        names = [it for it in document["names"] if _OWN_NAME.fullmatch(it)]
        is_own = document["target"] == target
    except FileNotFoundError:
        return []
    except (JsonError, OSError, KeyError, TypeError) as error:
        advice = f"delete your configurations {PREFIX}* in the console, and then the file"
        raise MajobctlError(f"{path} is damaged: {advice}") from error
    if not is_own:
        place = printable(json.dumps(document["target"]))
        raise MajobctlError(f"a probe was interrupted; first run `majobctl probe` against {place}")
    found = sorted({*names} & {*observer.provider.config_names()})
    for name in names:
        observer.ask("DELETE", name)
    if left := {*names} & {*observer.provider.config_names()}:
        advice = "run `majobctl probe` again, or delete it in the console"
        raise MajobctlError(f"{', '.join(sorted(left))} is still in the service: {advice}")
    path.unlink()
    return found
