"""What an apply leaves behind: its state, and the outcomes that it reported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from majobctl.state.backends.local import LocalBackend
from majobctl.state.document import Entry, State
from majobctl.state.store import StateStore
from tests.fake_service import IDS
from tests.faults.service import Body, body_of

STATE = "majobctl.state.json"
HISTORY = "majobctl.history.jsonl"
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


def lost(
    entry: Entry | None, held: Body, body: Body, ids: Mapping[str, int] = REST_IDS
) -> set[str]:
    """The fields that somebody else set in the service, which has ``held``, and ``body`` undoes:
    neither the state nor a call without a known outcome has set them."""
    sides = [] if entry is None else entry.sides if entry.pending else [entry.params]
    hidden = {key for side in sides for key, value in side.items() if isinstance(value, dict)}
    visible = ({key: it for key, it in side.items() if key not in hidden} for side in sides if side)
    known = [body_of(side, **ids) for side in visible]
    # What the service does not have is only lost if the state knew it.
    keys = {*held, *(known[0] if entry and entry.params else ())} - hidden
    return {
        key for key in keys if held.get(key) not in (body.get(key), *(it.get(key) for it in known))
    }


def counted_codes(codes: dict[int, int]) -> str:
    return ", ".join(f"{count} x exit {code}" for code, count in sorted(codes.items()))
