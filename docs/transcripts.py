"""Runs the commands that a page shows, so that the page shows their real output.

Comments, which the reader does not see, direct what happens:

    <!-- transcript: REPOSITORY -->          from here on, in a copy of this folder of the checkout
    <!-- transcript: REPOSITORY as DIR -->   the same, with the copy as DIR in the current folder
    <!-- run: COMMAND -->                    runs a command that must succeed, and shows nothing
    <!-- now: 2026-10-02T09:12:00 -->        from here on, the commands start at this time, in UTC
    <!-- edit: FILE: OLD => NEW -->          changes OLD, which must appear in FILE exactly once
    <!-- remove: FILE -->                    removes FILE
    <!-- write: FILE -->                     the next block becomes FILE
    <!-- file: FILE -->                      the next block shows FILE
    <!-- part: FILE -->                      the next block shows some lines of FILE

REPOSITORY ``nothing`` is an empty folder. Every ``console`` block after a transcript is run: lines
that begin with ``$ `` are commands, and a line ``...`` replaces any number of lines.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_STEP = re.compile(
    r"<!-- (?P<directive>transcript|run|now|edit|remove|write|file|part): (?P<about>.+?) -->\n"
    r"|^```(?P<language>\w*)\n(?P<block>.*?)^```\n",
    re.MULTILINE | re.DOTALL,
)
_VARYING = (
    (re.compile(r"\(\d+\.\d s\)"), "(0.0 s)"),
    (re.compile(r'"seconds": [\d.]+'), '"seconds": 0'),
    (re.compile(r'(?<="majobctl_version": )"[^"]+"'), '"VERSION"'),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-01-02T03:04:05Z"),
    (re.compile(r"(?<= offered on )\d{4}-\d\d-\d\d"), "2026-01-02"),
    (re.compile(r'(?<="host": )"[^"]+"'), '"HOST"'),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"(?<=sha256:)[0-9a-f]{64}"), "SUM"),
    (re.compile(r'(?<="salt": )"[0-9a-f]+"'), '"SALT"'),
    (re.compile(r'(?<="sum": )"[0-9a-f]+"'), '"SUM"'),
    (re.compile(r'(?<="merged": )"[0-9a-f]+"'), '"SUM"'),
)
_RESULT_LINE = re.compile(r"job_config\.\S+: .*\(\d+\.\d s\)\n")
_FOREIGN_VARIABLES = ("OS_", "HW_", "HUAWEICLOUD_", "MAJOBCTL_", "GIT_", "COLUMNS")


class Transcript:
    """One page's commands, run in ``scratch``, an empty folder."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._count = 0
        self._here: Path | None = None
        self._code = 0
        self._environment = _environment()
        self._pending = ("", "")

    def filled(self, page: str) -> str:
        """``page`` with the real output; a block that fits the output is kept as it is."""
        return _STEP.sub(self._step, page)

    def _step(self, match: re.Match[str]) -> str:
        if match["directive"]:
            self._direct(match["directive"], match["about"])
            return match.group()
        return self._block(match)

    def _direct(self, directive: str, about: str) -> None:
        if directive == "transcript":
            self._begin(about)
        elif directive == "run":
            output = self._output(about)
            if self._code:
                raise SystemExit(f"{about} ended with exit code {self._code}:\n{output[-1000:]}")
        elif directive == "now":
            self._environment |= {"DOCS_NOW": about, "PYTHONPATH": str(ROOT / "docs" / "clock")}
            self._environment |= dict.fromkeys(
                ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"{about}Z"
            )
        elif directive == "edit":
            self._edit(*about.split(": ", 1))
        elif directive == "remove":
            self._path(about).unlink()
        else:
            self._pending = (directive, about)

    def _edit(self, name: str, change: str) -> None:
        old, _, new = change.partition(" => ")
        file = self._path(name)
        content = file.read_text(encoding="utf-8")
        if content.count(old) != 1:
            raise SystemExit(f"{name} has {old!r} {content.count(old)} times, not once")
        file.write_text(content.replace(old, new), encoding="utf-8")

    def _begin(self, about: str) -> None:
        repository, _, place = about.partition(" as ")
        self._count += 1
        self._here = self._scratch / str(self._count)
        copy = self._here / place
        if repository == "nothing":
            copy.mkdir(parents=True)
        else:
            ignored = shutil.ignore_patterns("run.py", "__pycache__", ".majobctl", "*.state.json*")
            shutil.copytree(ROOT / repository, copy, ignore=ignored)

    def _block(self, match: re.Match[str]) -> str:
        directive, name = self._pending
        self._pending = ("", "")
        if directive == "write":
            file = self._path(name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(match["block"], encoding="utf-8")
        elif directive == "file":
            content = self._path(name).read_text(encoding="utf-8")
            return f"```{match['language']}\n{content}```\n"
        elif directive == "part":
            if match["block"] not in self._path(name).read_text(encoding="utf-8"):
                raise SystemExit(f"{name} has no such lines:\n{match['block']}")
        elif match["language"] == "console" and self._here is not None:
            return f"```console\n{self._run(match['block'])}```\n"
        return match.group()

    def _path(self, name: str) -> Path:
        assert self._here is not None, f"no transcript has begun before {name}"
        return self._here / name

    def _run(self, block: str) -> str:
        filled = ""
        for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
            if part.startswith("$ "):
                command, _, shown = part.partition("\n")
                output = self._output(command[2:])
                filled += f"{command}\n{shown if fits(shown, output) else output}"
            else:
                filled += part
        return filled

    def _output(self, command: str) -> str:
        """What ``command`` prints on a terminal."""
        line, _, target = command.partition(" > ")
        program, *arguments = shlex.split(line, comments=True)
        output = _PROGRAMS[program.rpartition("/")[2]](self, arguments)
        if "Traceback (most recent call last)" in output:
            raise SystemExit(f"{command} ended with a defect:\n{output[-1000:]}")
        if not target:
            return output
        self._path(target.strip()).write_text(output, encoding="utf-8")
        return ""

    def _majobctl(self, arguments: list[str]) -> str:
        return self._ran([sys.executable, "-m", "majobctl", *arguments])

    def _git(self, arguments: list[str]) -> str:
        identity = ("-c", "user.name=docs", "-c", "user.email=docs@example.com")
        return self._ran(["git", *identity, *arguments])

    def _ran(self, command: list[str]) -> str:
        ended = subprocess.run(
            command,
            cwd=self._path(""),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        self._code = ended.returncode
        return ended.stdout.decode()

    def _cat(self, arguments: list[str]) -> str:
        return self._path(arguments[0]).read_text(encoding="utf-8")

    def _echo(self, arguments: list[str]) -> str:
        assert arguments == ["$?"], arguments
        return f"{self._code}\n"

    def _export(self, arguments: list[str]) -> str:
        name, _, text = arguments[0].partition("=")
        self._environment[name] = text
        return ""

    def _cd(self, arguments: list[str]) -> str:
        self._here = self._path(arguments[0])
        return ""


_PROGRAMS: Mapping[str, Callable[[Transcript, list[str]], str]] = {
    "majobctl": Transcript._majobctl,
    "git": Transcript._git,
    "cat": Transcript._cat,
    "echo": Transcript._echo,
    "cd": Transcript._cd,
    "export": Transcript._export,
}


def _environment() -> dict[str, str]:
    kept = {key: text for key, text in os.environ.items() if not key.startswith(_FOREIGN_VARIABLES)}
    return {**kept, "PYTHONUTF8": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def fits(shown: str, output: str) -> bool:
    """Whether ``shown`` equals ``output``, apart from times, identities and omitted lines."""
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", _steady(shown), flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*?".join(parts), _steady(output)) is not None


def _steady(text: str) -> str:
    """``text`` without what differs between runs, calls in a fixed order."""
    lines = text.splitlines(keepends=True)
    results = iter(sorted(line for line in lines if _RESULT_LINE.fullmatch(line)))
    text = "".join(next(results) if _RESULT_LINE.fullmatch(line) else line for line in lines)
    for pattern, steady in _VARYING:
        text = pattern.sub(steady, text)
    return text
