"""A store in a branch of the config repository's own remote: no further server.

A record is a commit on top of the one before it, and ``add`` a push that takes the branch from that
commit to the new one. The tip has all records that are still needed, so readers fetch one commit.
It all happens in a bare repository in a temporary folder, which takes over how the user's reaches
the remote. The user's index, worktree, references, hooks and objects have no part in it."""

from __future__ import annotations

import os
import re
import threading
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from majobctl.errors import MajobctlError, StateError
from majobctl.files import temporary_folder
from majobctl.git import run_git, said
from majobctl.state.backends.log import LogBackend
from majobctl.text import in_short, printable, reason_of

_Tip = tuple[str, frozenset[int]]
"""A commit, "" before the first, and the numbers of the records in it."""
_FETCH = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-auto-gc")
_PUSH = (
    *("push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags"),
    *("--no-recurse-submodules", "--no-force-if-includes"),
)
_TAKEN_OVER = re.compile(
    r"(?:http|credential|url|protocol|ssh|user|author|committer)\..+"
    r"|core\.(?:sshcommand|askpass|gitproxy)"
    r"|remote\.majobctl\.(?:proxy|proxyauthmethod|uploadpack|receivepack|vcs)"
)
_ADDS_UP = re.compile(r".+\.(?:helper|extraheader|curloptresolve)")
_MAY_PASS = re.compile(
    r"(?i)^\[(?:rejected|remote failure)|\block|old value|update ref|already exists|is at .* but"
    r"|internal|timed? ?out|try again|unavailable"
)
"""Why a server did not take a push that it may take next time."""
_LOST = re.compile("(?!.*HTTP 4).*(?:hung up|early EOF|disconnect|RPC failed)")
_WAYS_OUT = {
    "error: 413|too (?:large|big)|exceed": "let the server take larger pushes",
    "No space|quota": "make room, on the server or in the folder for temporary files",
    "error: 403|denied to|not (?:allowed|enabled)|rejected": (
        "use credentials that may push to {branch}, or set another state.branch; a fork can plan"
        " with a copy of the state: majobctl plan --state FILE"
    ),
    "error: 40[14]|not (?:a git|appear|found|be found|exported)|not exist|Authentication|algorithm"
    "|could not read|certificate|Host key|Permission denied|ownership|work tree|bad config": (
        "make this work here first, by its address, its credentials or your trust in both sides:"
        " git {command} {remote}"
    ),
}
"""What does not pass by itself: by what git or the server says, what to do about it."""


def of_settings(settings: Mapping[str, Any], root: Path) -> LogBackend:
    store = GitStore(root, settings["remote"], settings["branch"])
    return LogBackend(store, lease=settings["lease"], keep=settings["keep"])


class GitStore:
    """``root`` is a folder of the user's clone, ``remote`` one of its remotes."""

    def __init__(self, root: Path, remote: str, branch: str) -> None:
        self.name = f"{remote}/{branch}"
        self._folder, self._remote, self._branch = root, remote, branch
        self._ref = f"refs/heads/{branch}"
        self._variables: dict[str, str] = {}  # once there is a repository
        self._tip: _Tip | None = None
        self._fetched_once: _Tip = "", frozenset()  # what the user's clone has seen
        self._pruned: set[int] = set()
        self._lock = threading.RLock()

    def add(self, number: int, content: bytes) -> bool:
        with self._lock:
            parent, numbers = self._tip or self._look()
            if _last(numbers) < number - 1:
                parent, numbers = self._look()
            if number <= _last(numbers):
                return False
            if number > _last(numbers) + 1:
                raise StateError(f"{self.name} has no record {number - 1}; {number} was not added")
            new = self._committed(parent, numbers, number, content)
            refs = f"--force-with-lease={self._ref}:{parent}", "majobctl", f"{new[0]}:{self._ref}"
            ran = self._git(*_PUSH, *refs)
            found = re.search(r"^(.)\t\w+:refs/.*\t(.*)$", ran.stdout.decode(), re.MULTILINE)
            flag, summary = found.groups() if found else ("", "")
            if flag in (" ", "*"):
                self._tip = new
                return True
            # curl repeats a request whose answer is lost: a server may reject what it has taken.
            if "rejected]" in summary and self.read(number) not in (None, content):
                return False
            raise self._failure(ran, summary)

    def numbers(self) -> list[tuple[int, float | None]]:
        return [(number, None) for number in sorted(self._kept(self._look()[1]))]

    def read(self, number: int) -> bytes | None:
        tip = self._tip
        if tip is None or number > _last(tip[1]):
            tip = self._look()
        path = f"{tip[0]}:records/{number:06}"
        return self._made("cat-file", "blob", path) if number in self._kept(tip[1]) else None

    def prune(self, numbers: Iterable[int]) -> None:
        """The next commit has them no more; the history has."""
        self._pruned.update(numbers)

    def _kept(self, numbers: frozenset[int]) -> frozenset[int]:
        return numbers - (self._pruned - {_last(numbers)})

    def _committed(self, parent: str, numbers: frozenset[int], number: int, content: bytes) -> _Tip:
        """A commit that only this repository has. No two are equal: git would take the push of the
        second for a success."""
        kept = self._kept(numbers)
        kind = re.search(rb'"kind": ?"([a-z]{1,20})"', content[:1000])
        subject = f"majobctl: {kind[1].decode() if kind else 'record'} {number} [skip ci]"
        message = f"{subject}\n\n{os.urandom(16).hex()}".encode()
        author = self._made("var", "GIT_COMMITTER_IDENT").rpartition(b">")[0]
        lines = [b"commit refs/majobctl/new\nmark :1\ncommitter %b> now" % author]
        lines += [b"data %d" % len(message), message, *([f"from {parent}".encode()] * bool(parent))]
        lines += [f"D records/{it:06}".encode() for it in numbers - kept]
        lines += [f"M 100644 inline records/{number:06}\ndata {len(content)}".encode(), content]
        stream = b"\n".join([*lines, b"get-mark :1\n"])
        made = self._made("fast-import", "--quiet", "--force", "--date-format=now", stdin=stream)
        return made.decode().strip(), kept | {number}

    def _look(self) -> _Tip:
        """What the branch has now. Raises StateError if it went back, or is somebody else's."""
        with self._lock:
            if not self._variables:
                self._prepare()
            (before, had), tip = self._tip or self._fetched_once, ("", frozenset[int]())
            known = [f"--negotiation-tip={before}"] if self._tip and before else []
            ran = self._git(*_FETCH, *known, "majobctl", f"+{self._ref}:refs/majobctl/tip")
            if not ran.returncode:
                tip = self._fetched()
            elif b"couldn't find remote ref" not in ran.stderr:
                raise self._failure(ran)
            if tip[0] != before and _last(tip[1]) <= _last(had):
                raise StateError(
                    f"{self.name} was deleted or overwritten: its last record was"
                    f" {_last(had) or before}, and is {_last(tip[1]) or 'none'} now\nforbid that on"
                    " the server, and restore it from a clone that has the commit:"
                    f" git push --force {self._remote} {before}:{self._ref}\n"
                    f"if it was meant, let the clone forget it: git fetch --prune {self._remote}"
                )
            self._tip = tip
            return tip

    def _fetched(self) -> _Tip:
        commit = self._told("rev-parse", "refs/majobctl/tip").strip()
        paths = self._told("ls-tree", "-r", "-z", "--name-only", commit).split("\0")[:-1]
        others = [it for it in paths if not re.fullmatch(r"records/\d{6,}", it)]
        if others or not paths:
            found = printable(in_short(others or ["no records"]))
            raise StateError(
                f"{self.name} is not a branch of majobctl: it has {found}\n"
                "it was left unchanged; set state.branch to a name of its own"
            )
        return commit, frozenset(int(it.rpartition("/")[2]) for it in paths)

    def _prepare(self) -> None:
        version = re.search(r"(\d+)\.(\d+)", self._told("version"))
        if version and (int(version[1]), int(version[2])) < (2, 31):
            raise StateError(f"git {version[0]} is too old: install 2.31 or a newer one")
        about = self._told("rev-parse", "--show-object-format", "--show-toplevel")
        form, _, top = about.rstrip("\n").partition("\n")
        seen = f"refs/remotes/{self._remote}/{self._branch}"
        commit = self._told("for-each-ref", "--format=%(objectname)", seen).strip()
        ran = self._git("ls-tree", "-r", "--name-only", "--full-tree", commit)
        had = re.findall(r"^records/(\d{6,})$", ran.stdout.decode(errors="replace"), re.MULTILINE)
        self._fetched_once = commit, frozenset(map(int, had))
        variables = self._settings()
        weakref.finalize(self, (stack := ExitStack()).close)
        try:
            variables["GIT_DIR"] = folder = str(temporary_folder(stack))
        except OSError as error:
            raise StateError(f"{self.name} needs a temporary folder: {reason_of(error)}") from error
        self._made("init", "--quiet", "--bare", "--template=", f"--object-format={form}", folder)
        self._folder, self._variables = Path(top), variables

    def _settings(self) -> dict[str, str]:
        """How the user's repository reaches the remote, as variables for git."""
        settings = []
        for entry in self._told("config", "--list", "-z").split("\0")[:-1]:
            key, has_value, value = entry.partition("\n")
            key = key.replace(f"remote.{self._remote}.", "remote.majobctl.", 1)
            settings.append((key, value if has_value else "true"))
        first = dict(reversed(settings))
        url = first.get("remote.majobctl.pushurl") or first.get("remote.majobctl.url")
        if not url:
            raise StateError(
                f'{printable(str(self._folder))} has no remote "{self._remote}"\n'
                f"add it, git remote add {self._remote} URL, or set state.remote to another one"
            )
        own = [("user.name", "majobctl"), ("user.email", "majobctl@localhost")]
        own += [(key, "") for key, _ in settings if _ADDS_UP.fullmatch(key)]
        own += [it for it in settings if _TAKEN_OVER.fullmatch(it[0])]
        own += [("remote.majobctl.url", url), ("core.hookspath", os.devnull)]
        own += [("push.pushoption", "")]
        variables = {"GIT_CONFIG_PARAMETERS": "", "GIT_CONFIG_COUNT": str(len(own))}
        for i, (key, value) in enumerate(own):
            variables |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
        if not ({"GIT_SSH", "GIT_SSH_COMMAND"} & {*os.environ} or "core.sshcommand" in first):
            variables["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"
        return variables

    def _told(self, *arguments: str) -> str:
        return os.fsdecode(self._made(*arguments))

    def _made(self, *arguments: str, stdin: bytes = b"") -> bytes:
        ran = self._git(*arguments, stdin=stdin)
        if ran.returncode:
            raise self._failure(ran)
        return ran.stdout

    def _git(self, *arguments: str, stdin: bytes = b"") -> CompletedProcess[bytes]:
        """In the user's repository, as long as there is none of its own."""
        seconds = 60 if arguments[0] == "push" else 300
        try:
            return run_git(
                self._folder, *arguments, stdin=stdin, seconds=seconds, **self._variables
            )
        except MajobctlError as error:
            raise StateError(f'{error}\nstate.backend = "git" needs it') from error
        except TimeoutError as error:
            raise ConnectionError(f"{self.name} cannot be reached: {error}") from error

    def _failure(self, ran: CompletedProcess[bytes], summary: str = "") -> Exception:
        """``summary``: what a push says of the branch in the end, if it does."""
        text = "; ".join(filter(None, (said(ran), printable(summary)))) or "git did not say why"
        is_certain = not (_MAY_PASS.search(summary) if summary else _LOST.match(text))
        for words, advice in _WAYS_OUT.items():
            if is_certain and re.search(words, text):
                command = "push --dry-run" if "push" in ran.args else "fetch"
                todo = advice.format(remote=self._remote, branch=self._branch, command=command)
                return StateError(f"{self.name} cannot be used: {text}\n{todo}")
        return ConnectionError(f"{self.name} cannot be reached: {text}")


def _last(numbers: frozenset[int]) -> int:
    return max(numbers, default=0)
