"""Warns of a plan whose files are older than what was applied.

The state alone cannot tell a value that this checkout does not have yet from one that somebody
edits. But the history says which fields a plan takes back to a former value, and which write that
undoes; and git, whether HEAD has the commit of that write. A new value is somebody's edit, whatever
became of the commit before it: a squash or a rebase leaves none behind."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError, Problem, StateError
from majobctl.git import run_git
from majobctl.plan.change import Action, Change
from majobctl.state.record import fields_of
from majobctl.state.replay import dumped
from majobctl.text import in_short, printable

if TYPE_CHECKING:
    from majobctl.state.document import State
    from majobctl.state.record import About, Fields

_COMMIT = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")
_UNCOMMITTED = "files that were not committed"
_FEW = 100
"""Values that are sought in a history one by one, before it is read."""


def outdated(
    root: Path, changes: Iterable[Change], state: State, read_history: Callable[[], bytes]
) -> list[Problem]:
    """At most one: if ``changes`` to ``state`` undo what was applied from files that HEAD does not
    have."""
    wanted = {it.name: _wanted(it) for it in changes if it.action is not Action.RECORD}
    content = b""
    with suppress(StateError):  # `majobctl history` says what is wrong with it
        content = read_history()
    sought = {(path, dumped(value)) for it in wanted.values() for path, value in it.items()}
    edits = (b"[%b,%b," % (dumped(path), value) for path, value in sought)
    if len(sought) <= _FEW and not any(map(content.__contains__, edits)):
        return []
    from majobctl.state.history import History

    undone = History(content, state, "").undone(wanted)
    lacks, own = cache(partial(_lacks, root)), cache(partial(_own, root))
    names, sources = {}, {}
    for name, event in sorted(undone, key=lambda it: (-it[1].serial, it[0])):
        if source := _source(event.about, lacks, own):
            by = printable(f"{event.about.user or event.about.host}, {event.at[:10]}")
            names[f"job_config.{name}"] = sources[f"{source} ({by})"] = True
    if not names:
        return []
    what = f"this plan undoes what was applied from {in_short([*sources])}"
    advice = "unless you mean to, get it first, with `git pull` or `git merge`"
    if any(it.startswith(_UNCOMMITTED) for it in sources):
        advice += ", once it is committed"
    return [Problem(where=in_short([*names]), message=f"{what}; {advice}")]


def _wanted(change: Change) -> Fields:
    if change.action is Action.FORGET:
        return dict.fromkeys(fields_of(change.before or {}))
    return {it.path: it.after for it in change.fields if it.before != it.after}


def _source(about: About, lacks: Callable[[str], bool], own: Callable[[], tuple[str, str]]) -> str:
    """The files of a write, if this checkout does not have them; or else ""."""
    if _COMMIT.fullmatch(about.commit) and lacks(about.commit):
        return f"commit {about.commit[:7]}, which is not in HEAD"
    is_foreign = about.clean is False and (about.user, about.host) != own()
    return _UNCOMMITTED if is_foreign else ""


def _own(root: Path) -> tuple[str, str]:
    """The user and the host that a write from here would have."""
    from majobctl.operations.authorship import of_ci
    from majobctl.state.backends.lock import this_process

    own, name = this_process(""), b""
    with suppress(MajobctlError, OSError):
        name = run_git(root, "config", "user.name", seconds=10).stdout.strip()
    return of_ci(os.environ)[0] or name.decode(errors="replace") or own.user, own.host


def _lacks(root: Path, commit: str) -> bool:
    """Whether HEAD does not lead to ``commit``; not if git cannot say, as in a shallow clone."""
    git = partial(run_git, root, seconds=10, GIT_NO_LAZY_FETCH="1")
    with suppress(MajobctlError, OSError):
        if git("merge-base", "--is-ancestor", commit, "HEAD").returncode:
            ran = git("rev-parse", "--is-shallow-repository", "HEAD^{commit}")
            return ran.returncode == 0 and ran.stdout.startswith(b"false")
    return False
