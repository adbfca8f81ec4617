"""The files that a plan is written to, and the repository's own files that it must not replace."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError
from majobctl.text import printable, reason_of

if TYPE_CHECKING:
    from majobctl.plan.plan import Plan
    from majobctl.repository.settings.settings import Settings
    from majobctl.state.document import State


def write_rendered(text: str, file: str, settings: Settings) -> None:
    """Raises MajobctlError if ``file`` cannot be written, or is one of the repository's own."""
    path = Path(os.path.realpath(file))
    is_other = path.suffix == ".toml" or path.is_fifo() or _is_beside_state(path, settings)
    if is_other or _is_plan_file(path):
        raise MajobctlError(f'"{printable(file)}" is not a place for a rendered plan')
    write_below(settings.root, file, lambda: path.write_text(text, encoding="utf-8"))


def write_below(root: Path, file: str, write: Callable[[], object]) -> None:
    """Raises MajobctlError if ``file`` leads out of ``root`` through a link, or ``write`` fails."""
    from majobctl.files import refuse_link_out

    try:
        refuse_link_out(file, root)
        write()
    except OSError as error:
        raise MajobctlError(f"{printable(file)} cannot be written: {reason_of(error)}") from error


def save_plan(plan: Plan, state: State | None, out: str, settings: Settings) -> None:
    """Raises MajobctlError if ``out`` cannot be written, or exists and is not a plan file."""
    from majobctl.files import write_durably
    from majobctl.plan.document import plan_bytes

    path = Path(os.path.realpath(out))
    is_beside = _is_beside_state(path, settings)
    if not out or is_beside or (os.path.lexists(path) and not _is_plan_file(path)):
        reason = "a folder" if out and path.is_dir() else "not a place for a plan"
        advice = "choose the name of a new file, or of a plan file"
        raise MajobctlError(f'"{printable(out)}" is {reason}; {advice}')
    write_below(settings.root, out, lambda: write_durably(path, plan_bytes(plan, state)))


def _is_beside_state(path: Path, settings: Settings) -> bool:
    """Whether ``path`` is a state, another environment's perhaps, or one of its files."""
    from majobctl.state.document import State

    is_beside = False
    if settings.state_path:
        state_path = Path(os.path.realpath(settings.state_path))
        is_beside = path.parent == state_path.parent and path.name.startswith(state_path.name)
    return is_beside or ".state.json" in path.name or _can_be_read(path, State.load)


def _is_plan_file(path: Path) -> bool:
    from majobctl.plan.document import plan_file_document

    return _can_be_read(path, plan_file_document)


def _can_be_read(path: Path, read: Callable[[bytes, str], object]) -> bool:
    from majobctl.files import read_file

    try:
        read(read_file(path), path.name)
    except (MajobctlError, OSError):
        return False
    return True
