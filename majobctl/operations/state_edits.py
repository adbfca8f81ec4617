"""Edits of the state by hand: its job configs are removed or renamed, or it is replaced. Nothing is
sent to the service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from majobctl.errors import MajobctlError, StateError
from majobctl.job_config.fields import name_violation
from majobctl.operations import context
from majobctl.operations.context import RepositoryOrPath, unknown_name
from majobctl.operations.selection import matching
from majobctl.state.document import State
from majobctl.state.record import Notes
from majobctl.text import environment_flag, printable, quoted

UNDONE = "nothing was changed"


def remove_from_state(
    repository: RepositoryOrPath, parts: Iterable[str], approve: Callable[[list[str]], bool]
) -> tuple[int, int]:
    """Removes what ``parts``, names or globs, match, if ``approve`` returns True for the names.
    Returns how many there were, and the new serial."""
    repository = context.as_repository(repository)
    with repository.locked(repository.load_settings()) as locked:
        known = locked.state.job_configs if locked.state else {}
        chosen = matching(parts, known, partial(unknown_name, state=locked.state), UNDONE)
        if not approve(chosen):
            raise MajobctlError(f"not approved; {UNDONE}")
        assert locked.state is not None
        rest = {name: entry for name, entry in known.items() if name not in {*chosen}}
        locked.write(locked.state.changed(rest))
        return len(chosen), locked.state.serial


def rename_in_state(repository: RepositoryOrPath, old: str, new: str) -> int:
    """Gives the job config ``old`` the name ``new``, and returns the new serial."""
    repository = context.as_repository(repository)
    settings = repository.load_settings()
    with repository.locked(settings) as locked:
        entries = dict(locked.state.job_configs if locked.state else {})
        wrong = [] if old in entries else [unknown_name(old, locked.state)]
        if violation := name_violation(new, settings.values["jobs"]["max_name_length"]):
            wrong.append(f"{quoted(new)} cannot be its name: {violation.message}")
        elif new in entries:
            wrong.append(f"the state has job_config.{new} already")
        if locked.state is None or wrong:
            raise MajobctlError("\n".join([*wrong, UNDONE]))
        entries[new] = entries.pop(old)
        state = locked.state.changed(dict(sorted(entries.items())))
        locked.write(state, Notes(renamed={new: old}))
        return state.serial


def push_state(
    repository: RepositoryOrPath, pushed: State, file: str, *, force: bool
) -> tuple[int, bool]:
    """Makes ``pushed``, which ``file`` has, the state. Returns the serial, and whether there was
    anything to write."""
    repository = context.as_repository(repository)
    settings = repository.load_settings()
    pushed.check_target(context.target_of(settings), file)
    with repository.locked(settings, instead=pushed, force=force) as locked:
        current = locked.state
        if current is not None and not force:
            _check_follows(pushed, current, file, settings.environment)
        if current and (pushed.lineage, pushed.digest()) == (current.lineage, current.digest()):
            return current.serial, False
        serial = max(pushed.serial, (current.serial if current else 0) + 1)
        locked.write(replace(pushed, serial=serial))
        return serial, True


def _check_follows(pushed: State, current: State, file: str, environment: str) -> None:
    if pushed.lineage != current.lineage:
        ours, theirs = printable(current.lineage), printable(pushed.lineage)
        reason = f"is of another lineage ({theirs}) than the state ({ours})"
    elif pushed.serial < current.serial:
        reason = f"has serial {pushed.serial}, the state {current.serial}: it is older"
    elif pushed.serial == current.serial and pushed.digest() != current.digest():
        reason = f"has serial {pushed.serial}, as the state, but other entries"
    else:
        return
    file, option = printable(file), environment_flag(environment)
    anyway = f"to replace it anyway, run `majobctl state push{option} --force {file}`"
    raise StateError(f"{file} {reason}\n{UNDONE}; {anyway}")
