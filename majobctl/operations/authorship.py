"""Who changes the state, and from which commit: found by asking the CI's variables and git."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from majobctl.errors import MajobctlError
from majobctl.git import run_git
from majobctl.plan.change import Cause
from majobctl.repository.settings.settings import FILE_NAME, Settings
from majobctl.state.backends.lock import this_process
from majobctl.state.record import About
from majobctl.text import cut, printable

_SECONDS = 10
"""A git that is slower than this says nothing."""


def author(settings: Settings, command: str, plan: str = "") -> Callable[[], About]:
    """Begins to find out who runs ``command``; what is returned waits for the answer. ``plan`` is
    the digest of a saved plan."""
    found: list[About] = []
    looking = threading.Thread(
        target=lambda: found.append(_about(settings, command, plan)), daemon=True
    )
    looking.start()

    def about() -> About:
        looking.join()
        return found[0] if found else About(command=command, plan=plan)

    return about


def _about(settings: Settings, command: str, plan: str) -> About:
    own = this_process(command)
    user, job, commit = of_ci(os.environ)
    found, clean = _commit(settings) if _in_git(settings.root) else ("", None)
    if not user and found:
        user = _git(settings.root, "config", "user.name")[:200].strip()
    return About(
        user=_short(user or own.user),
        host=own.host,
        job=_short(job),
        commit=_short(found or commit),
        clean=clean,
        command=_short(own.command),
        plan=plan,
    )


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


def _commit(settings: Settings) -> tuple[str, bool | None]:
    """The commit, "" if there is none yet, and whether the files that majobctl reads are as in
    it."""
    files = [f":(glob){it}" for it in (FILE_NAME, *settings.job_files) if not os.path.isabs(it)]
    form = ("--porcelain=v2", "--branch", "--untracked-files=normal")
    text = _git(settings.root, "--no-optional-locks", "status", *form, "--", *files)
    commit, clean = "", None
    for line in text.splitlines():
        if line.startswith("# branch.oid "):
            commit, clean = line.split()[2], True
        elif not line.startswith("#"):
            clean = False
    return ("", None) if commit == "(initial)" else (commit, clean)


def _git(root: Path, *arguments: str) -> str:
    """What git prints; "" if it fails."""
    with suppress(MajobctlError, OSError):
        ran = run_git(root, *arguments, seconds=_SECONDS)
        return "" if ran.returncode else ran.stdout.decode(errors="replace")
    return ""


def _short(text: str) -> str:
    return printable(cut(text))


def line_of(cause: Cause) -> str:
    """A cause as the history keeps it, such as ``majobctl.toml:14 (defaults)``."""
    place = f"{cause.file}:{cause.line}" if cause.line else cause.file
    table = cause.key.partition(".")[0]
    return place if table in ("", "job_config") else f"{place} ({table})"
