"""Git, run as a command that asks nothing, and killed if it takes too long."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from majobctl.errors import MajobctlError
from majobctl.text import cut, printable, without_login

_OF_ANOTHER = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_CONFIG"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH"),
    *("GIT_NAMESPACE", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "SSH_ASKPASS"),
)
"""What git sets for a hook: the files' own repository counts. And a desktop's window."""
_NO_NEWS = re.compile(
    "(?:hint:|Please make sure|and the repository exists|.*failed to push some refs"
    "|.*Could not read from remote|[=*-]*$).*"
)


def run_git(
    folder: Path, *arguments: str, stdin: bytes = b"", seconds: float = 300, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Raises MajobctlError if git is not installed, TimeoutError if it takes too long."""
    return ended_git(start_git(folder, *arguments, **variables), stdin, seconds)


def is_tracked(file: str) -> bool:
    """Whether ``file``, a path from the current folder, came with a commit; not without git."""
    with suppress(MajobctlError, OSError):
        return run_git(Path(), "ls-files", "--error-unmatch", "--", file).returncode == 0
    return False


def start_git(folder: Path, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    """Git, while it runs: for ``ended_git``. Raises MajobctlError if git is not installed."""
    own = {key: text for key, text in os.environ.items() if key not in _OF_ANOTHER}
    own |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **variables}
    run, pipe = ["git", "-C", str(folder), *arguments], subprocess.PIPE
    try:
        # A session of its own has no terminal to ask at, and can be killed as one.
        return subprocess.Popen(
            run, stdin=pipe, stdout=pipe, stderr=pipe, env=own, start_new_session=True
        )
    except FileNotFoundError as error:
        raise MajobctlError("git is not installed") from error


def ended_git(
    process: subprocess.Popen[bytes], stdin: bytes = b"", seconds: float = 300
) -> subprocess.CompletedProcess[bytes]:
    """What git did. Raises TimeoutError, and ends it, if it takes longer than ``seconds``."""
    with process:
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except BaseException as error:
            with suppress(OSError, AttributeError):
                process.kill()
                os.killpg(process.pid, signal.SIGKILL)
            if isinstance(error, subprocess.TimeoutExpired):
                raise TimeoutError(f"git did not end within {seconds:g} s") from error
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def said(ran: subprocess.CompletedProcess[bytes]) -> str:
    """What git and the server said about a failure, safe to print, without credentials."""
    text = without_login(ran.stderr.decode(errors="replace"))
    lines = (re.sub("^(?:fatal|error|remote): *", "", it).strip() for it in text.splitlines())
    return printable(cut("; ".join(it for it in lines if not _NO_NEWS.match(it))))
