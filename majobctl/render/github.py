"""Problems and warnings as workflow commands, which GitHub Actions shows at the lines they name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from majobctl.errors import Problem
from majobctl.text import printable


def workflow_commands(
    problems: Iterable[Problem], warnings: Iterable[Problem], path_of: Callable[[str], str] = str
) -> str:
    """A line for each problem, then for each warning; ``path_of`` gives a file's path from the top
    of the git repository. A message repeats its place, since GitHub's log shows the message alone,
    and GitHub annotates only ten errors and ten warnings of a step."""
    lines = [_command("error", problem, path_of) for problem in problems]
    lines += [_command("warning", warning, path_of) for warning in warnings]
    return "".join(lines)


def _command(name: str, problem: Problem, path_of: Callable[[str], str]) -> str:
    properties = {
        "file": path_of(problem.file) if problem.file else "",
        "line": str(problem.line or ""),
        "col": str(problem.column or ""),
        "title": printable(problem.where) or "majobctl",
    }
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items() if value)
    return f"::{name} {given}::{_data(str(problem))}\n"


def _data(text: str) -> str:
    # The percent sign first: the other replacements add more of them.
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
