"""Problems and warnings as a Code Quality report, which GitLab shows beside a merge request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from hashlib import sha256
from itertools import chain, product
from typing import Any

from majobctl.errors import Problem
from majobctl.text import printable

_NO_FILE = "majobctl.toml"


def code_quality(
    problems: Iterable[Problem], warnings: Iterable[Problem], path_of: Callable[[str], str] = str
) -> list[dict[str, Any]]:
    """An issue for each problem, then for each warning; ``path_of`` gives a file's path from the
    top of the git repository. GitLab recognizes an issue of another commit by its fingerprint: it
    stays when lines are added above, and no other issue of the report has it."""
    seen: Counter[str] = Counter()
    found = chain(product(["major"], problems), product(["minor"], warnings))
    return [_issue(severity, it, path_of(it.file or _NO_FILE), seen) for severity, it in found]


def _issue(severity: str, problem: Problem, path: str, seen: Counter[str]) -> dict[str, Any]:
    text = ": ".join(part for part in (printable(problem.where), problem.message) if part)
    # A message may name the line of another place, such as that of a policy.
    same = "\0".join((path, re.sub(r":\d+", "", text)))
    seen[same] += 1
    return {
        "description": text,
        "check_name": "majobctl",
        "fingerprint": sha256(f"{same}\0{seen[same]}".encode("utf-8", "replace")).hexdigest(),
        "severity": severity,
        "location": {"path": path, "lines": {"begin": problem.line or 1}},
    }
