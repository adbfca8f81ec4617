"""The state document: what was last applied, for which target. Nothing about where its bytes live.

``{"format_version": 1, "majobctl_version", "serial", "lineage", "salt"?, "merged"?,
"target": {"endpoint", "project_id"},
"job_configs": {NAME: {"params", "applied_at", "prevent_delete"?, "pending"?, "attempted"?}}}``
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from majobctl import __version__
from majobctl.errors import StateError
from majobctl.job_config.secrets import Masker, masked_places, new_salt
from majobctl.job_config.violations import Path
from majobctl.target import Target
from majobctl.text import printable, quoted

FORMAT_VERSION = 1
_DEPTH = 9
"""No entry nests deeper, so that what is loaded can be saved and shown."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One job config as it was last applied.

    ``params`` are normalised as those of a JobConfig. ``pending``: the outcome of the last call is
    unknown; ``params`` are then those before it (empty where there were none), and ``attempted``
    those of all calls since. ``applied_at`` is UTC, as ``2026-11-23T12:00:00Z``.
    """

    params: Mapping[str, Any]
    applied_at: str
    pending: bool = False
    attempted: Mapping[str, Any] | None = None
    prevent_delete: bool = False
    """As the TOML said when it was applied: it holds when the job config is removed there."""

    def document(self) -> dict[str, Any]:
        content: dict[str, Any] = {"params": self.params, "applied_at": self.applied_at}
        if self.prevent_delete:
            content["prevent_delete"] = True
        if self.pending:
            content["pending"] = True
            content["attempted"] = self.attempted or {}
        return content


def secret_places(entry: Entry | None) -> list[Path]:
    """The places whose values are, or may be, secrets in the service."""
    sides = (entry.params, entry.attempted or {}) if entry else ()
    return [place for side in sides for place in masked_places(side)]


@dataclass(frozen=True, slots=True)
class State:
    """A state; ``serial`` counts its writes, ``lineage`` is a UUID made with the first one.

    ``salt``, made with it too, keys the hashes that stand in place of sensitive values.
    """

    lineage: str
    serial: int
    target: Target
    job_configs: Mapping[str, Entry]
    salt: str = ""
    merged: str = ""
    """The last sum of the journal that was merged last: it may still lie beside the state."""

    @classmethod
    def new(cls, target: Target, salt: str | None = None) -> State:
        return cls(str(uuid.uuid4()), 0, target, {}, salt or new_salt())

    def masker(self) -> Masker:
        """Hashes for this state. One written by hand may have no salt; its lineage serves."""
        return Masker(self.salt or self.lineage)

    def changed(self, job_configs: Mapping[str, Entry]) -> State:
        """The state after one more write, with other job configs in it."""
        return replace(self, serial=self.serial + 1, job_configs=job_configs)

    def check_target(self, target: Target, name: str) -> None:
        """Raises StateError where the state, kept in the file ``name``, is another target's."""
        if self.target != target:
            raise StateError(
                f"{name} belongs to another target\n"
                f"  the state's:    {self.target}\n"
                f"  the settings':  {target}\n"
                "nothing was changed; give each target a state of its own (state.path in"
                " majobctl.toml), or set the provider back"
            )

    def document(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            "majobctl_version": __version__,
            "serial": self.serial,
            "lineage": self.lineage,
            **({"salt": self.salt} if self.salt else {}),
            **({"merged": self.merged} if self.merged else {}),
            "target": self.target.document(),
            "job_configs": {name: entry.document() for name, entry in self.job_configs.items()},
        }

    def digest(self) -> str:
        """A hash of all entries: what lineage and serial alone do not tell apart, since copies of
        a state may be applied apart."""
        import hashlib

        entries = {name: entry.document() for name, entry in self.job_configs.items()}
        content = json.dumps(entries, sort_keys=True, separators=(",", ":"))
        return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"

    def dump(self) -> bytes:
        """The state's bytes: JSON with sorted keys, two spaces and a newline at the end."""
        text = json.dumps(self.document(), indent=2, sort_keys=True, ensure_ascii=False)
        return (text + "\n").encode()

    @classmethod
    def load(cls, content: bytes, name: str) -> State:
        """The state in ``content``, read from the file ``name``.

        Raises StateError where it is damaged, or made by a newer majobctl.
        """
        document = _parsed(content, name)
        version = document.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            made_by = printable(str(document.get("majobctl_version")))
            raise StateError(
                f"{name} has format {version}, made by majobctl {made_by}; this majobctl knows"
                f" formats up to {FORMAT_VERSION}\nit was left untouched; use a newer majobctl"
            )
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise damaged(name, "format_version is missing or wrong")
        return _state_of(document, name)


def damaged(name: str, reason: str) -> StateError:
    """The error for a state file that cannot be trusted."""
    return StateError(
        f"{name} is damaged: {printable(reason)}\n"
        "it was left untouched; bring back a whole copy: the .backup beside the state, or one from"
        " git"
    )


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        text = content.decode("utf-8")
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        raise damaged(name, f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise damaged(name, f"not JSON: {error.msg} at {place}") from error
    except (RecursionError, ValueError) as error:
        raise damaged(name, f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise damaged(name, "it is not a JSON object")
    return document


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is too large")
    return number


def _state_of(document: Mapping[str, Any], name: str) -> State:
    serial = document.get("serial")
    if not isinstance(serial, int) or isinstance(serial, bool) or serial < 0:
        raise damaged(name, "serial is missing or wrong")
    lineage = document.get("lineage")
    if not isinstance(lineage, str) or not lineage:
        raise damaged(name, "lineage is missing or wrong")
    salt, merged = document.get("salt", ""), document.get("merged", "")
    if not isinstance(salt, str) or not isinstance(merged, str):
        raise damaged(name, "salt or merged is wrong")
    entries = document.get("job_configs")
    if not isinstance(entries, dict):
        raise damaged(name, "job_configs is missing or wrong")
    job_configs = {key: entry_of(entries[key], key, name) for key in sorted(entries)}
    return State(
        lineage, serial, target_of(document.get("target"), name), job_configs, salt, merged
    )


def target_of(content: object, name: str) -> Target:
    """The target in a document. Raises StateError where it is not one."""
    if isinstance(content, dict):
        endpoint, project_id = content.get("endpoint"), content.get("project_id")
        if isinstance(endpoint, str) and isinstance(project_id, str):
            return Target(endpoint, project_id)
    raise damaged(name, "target is missing or wrong")


def entry_of(content: object, key: str, name: str) -> Entry:
    """The entry of the job config ``key``. Raises StateError where it is not one."""
    if isinstance(content, dict):
        params, applied_at = content.get("params"), content.get("applied_at")
        pending, attempted = content.get("pending", False), content.get("attempted")
        protected = content.get("prevent_delete", False)
        if (
            isinstance(params, dict)
            and isinstance(applied_at, str)
            and isinstance(pending, bool)
            and isinstance(protected, bool)
            and isinstance(attempted, (dict, type(None)))
            and _nests_at_most(_DEPTH, params)
            and _nests_at_most(_DEPTH, attempted or {})
        ):
            return Entry(params, applied_at, pending, attempted, protected)
    raise damaged(name, f"the entry of {quoted(key)} is not whole")


def _nests_at_most(depth: int, outer: dict[str, Any] | list[Any]) -> bool:
    """Whether no more than ``depth`` tables or arrays lie in one another."""
    if depth == 0:
        return False
    for value in outer.values() if isinstance(outer, dict) else outer:
        if isinstance(value, str):
            continue  # Most are.
        if isinstance(value, (dict, list)) and not _nests_at_most(depth - 1, value):
            return False
    return True
