"""Who changes the state, and from which commit: found by asking the CI's variables and git."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from majobctl.errors import MajobctlError
from majobctl.git import ended_git, start_git
from majobctl.plan.change import Cause, FieldChange
from majobctl.repository.settings.settings import FILE_NAME, POLICY_NAME, Settings
from majobctl.state.backends.lock import this_process
from majobctl.state.record import ALL_FIELDS, About
from majobctl.text import cut, printable

if TYPE_CHECKING:
    from subprocess import Popen

_SECONDS = 10
"""A git that is slower than this says nothing."""
_STATUS = (
    *("-c", "core.fsmonitor=false"),  # which may be a command of whoever made the clone
    *("--no-optional-locks", "status", "--porcelain=v2", "--branch"),
    *("--untracked-files=normal", "--"),
)


@contextmanager
def author(settings: Settings, command: str, plan: str = "") -> Iterator[Callable[[], About]]:
    """Who runs ``command``; ``plan`` is the digest of a saved plan. Git is started here, and waited
    for by whoever asks."""
    root, (user, job, commit) = settings.root, of_ci(os.environ)
    own, runs = this_process(command), []
    if _in_git(root):
        runs = [_started(root, *_STATUS, *_files(settings))]
        runs += [] if user else [_started(root, "config", "user.name")]

    def about() -> About:
        until = monotonic() + _SECONDS
        said = [*(_said(it, max(1, until - monotonic())) for it in runs), "", ""]
        found, clean = _commit_in(said[0])
        return About(
            user=_short(user or said[1].strip() or own.user),
            host=own.host,
            job=_short(job),
            commit=_short(found or commit),
            clean=clean,
            command=_short(own.command),
            plan=plan,
        )

    try:
        yield cache(about)
    finally:
        for run in runs:
            if run and run.stdout and not run.stdout.closed:
                _said(run, 0)


def of_ci(variables: Mapping[str, str]) -> tuple[str, str, str]:
    """The user, the job and the commit, as GitHub or GitLab name them; "" outside of both."""
    get = variables.get
    if get("GITHUB_ACTIONS") == "true":
        user, job = get("GITHUB_TRIGGERING_ACTOR") or get("GITHUB_ACTOR", ""), get("GITHUB_RUN_ID")
        return user, f"GitHub run {job}" if job else "GitHub", get("GITHUB_SHA", "")
    if get("GITLAB_CI") == "true":
        job = get("CI_JOB_ID")
        shown = f"GitLab job {job}" if job else "GitLab"
        return get("GITLAB_USER_LOGIN", ""), shown, get("CI_COMMIT_SHA", "")
    return "", "", ""


def _in_git(root: Path) -> bool:
    folder = Path(os.path.realpath(root))
    return any((it / ".git").exists() for it in (folder, *folder.parents))


def _files(settings: Settings) -> list[str]:
    """Those that majobctl reads, as git's patterns."""
    own = (it for it in (FILE_NAME, POLICY_NAME, *settings.job_files) if not os.path.isabs(it))
    values = {it.file for it in settings.variables.values() if it.line} - {FILE_NAME}
    inside = (it for it in sorted(values) if not os.path.isabs(it) and ".." not in it)
    return [*(f":(glob){it}" for it in own), *(f":(literal){it}" for it in inside)]


def _commit_in(status: str) -> tuple[str, bool | None]:
    """The commit, "" if there is none yet, and whether the files are as in it."""
    commit, clean = "", None
    for line in status.splitlines():
        if line.startswith("# branch.oid "):
            commit, clean = line.split()[2], True
        elif not line.startswith("#"):
            clean = False
    return ("", None) if commit == "(initial)" else (commit, clean)


def _started(root: Path, *arguments: str) -> Popen[bytes] | None:
    with suppress(MajobctlError, OSError):
        return start_git(root, *arguments)
    return None


def _said(run: Popen[bytes] | None, seconds: float) -> str:
    """What git prints; "" if it fails, is too slow, or was asked before."""
    with suppress(OSError, ValueError):
        if run and (ran := ended_git(run, seconds=seconds)).returncode == 0:
            return ran.stdout.decode(errors="replace")
    return ""


def _short(text: str) -> str:
    return printable(cut(text))


def causes_of(fields: Iterable[FieldChange]) -> Mapping[str, str]:
    """The causes of the fields as a journal keeps them: once, if all have the same."""
    causes = {it.dotted: _line_of(it.cause) if it.cause else "" for it in fields}
    if len(found := {*causes.values()}) == 1:
        causes = {ALL_FIELDS: found.pop()}
    return {key: text for key, text in causes.items() if text}


def _line_of(cause: Cause) -> str:
    """As in ``majobctl.toml:14 (defaults)``."""
    place = f"{cause.file}:{cause.line}" if cause.line else cause.file
    table = cause.key.partition(".")[0]
    return place if table in ("", "job_config") else f"{place} ({table})"
