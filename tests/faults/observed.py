"""What an apply leaves behind: its state, and the outcomes that it reported."""

from __future__ import annotations

import re
from pathlib import Path

from majobctl.state.backends.local import LocalBackend
from majobctl.state.document import Entry, State
from majobctl.state.store import StateStore
from tests.fake_service import IDS
from tests.faults.service import Body, body_of

STATE = "majobctl.state.json"
REST_IDS = IDS
"""The ids of tests.fake_service for the flavor and the engine of JOB."""
_CLAIM = re.compile(r"^job_config\.(\S+): (added|updated|resent|recorded|forgotten)", re.MULTILINE)
_HELD_BACK = re.compile(r"^job_config\.(\S+): held back: ", re.MULTILINE)


def state_in(root: Path, name: str = STATE) -> State | None:
    return StateStore(LocalBackend(root / name, name)).read()


def claims_in(stderr: str) -> list[tuple[str, str]]:
    """The job configs that an apply reported as done, each with what it did."""
    return _CLAIM.findall(stderr)


def held_back_in(stderr: str) -> set[str]:
    """The job configs that an apply held back."""
    return set(_HELD_BACK.findall(stderr))


def lost(entry: Entry | None, held: Body, body: Body) -> set[str]:
    """The fields that somebody else set in the service, which has ``held``, and ``body`` undoes."""
    if entry is not None and entry.pending:
        return set()
    if entry is None:
        return {key for key, value in held.items() if value != body.get(key)}
    hidden = {key for key, value in entry.params.items() if isinstance(value, dict)}
    visible = {key: value for key, value in entry.params.items() if key not in hidden}
    known = body_of(visible, **REST_IDS)
    keys = {*held, *known} - hidden
    return {key for key in keys if held.get(key) not in (known.get(key), body.get(key))}


def counted_codes(codes: dict[int, int]) -> str:
    return ", ".join(f"{count} x exit {code}" for code, count in sorted(codes.items()))
