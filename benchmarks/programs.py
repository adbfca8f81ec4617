"""The programs that are measured: majobctl and octoDNS, each in its own virtual environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from tools.environment import environment_with, ready_environment

_OCTODNS = "octodns>=1.22,<2"


@dataclass(frozen=True, slots=True)
class Programs:
    """``python`` has the package and what it needs; no ``octodns_sync``: octoDNS is left out."""

    python: str
    majobctl: tuple[str, ...]
    octodns_sync: str = ""


def running_programs() -> Programs:
    """Those of the Python that runs this, with no environment made, and without octoDNS."""
    return Programs(sys.executable, (sys.executable, "-m", "majobctl"))


def installed_programs(*, with_octodns: bool) -> Programs:
    """Those of ``.venv-bench`` and ``.venv-octodns``, which are made if they are missing."""
    with redirect_stdout(sys.stderr):
        folder = ready_environment(".venv-bench", "policy")
        octodns = ""
        if with_octodns:
            octodns = str(environment_with(".venv-octodns", _OCTODNS) / "octodns-sync")
    return Programs(str(folder / "python"), (str(folder / "majobctl"),), octodns)


def versions(programs: Programs) -> Mapping[str, str]:
    """The versions of what is measured and of what it is built on."""
    found = _versions_in(programs.python, ("majobctl", "click", "deepdiff", "requests", "tomli"))
    if programs.octodns_sync:
        python = str(Path(programs.octodns_sync).parent / "python")
        found |= _versions_in(python, ("octodns",))
    return found


def _versions_in(python: str, names: tuple[str, ...]) -> dict[str, str]:
    code = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
    answer = subprocess.run(
        [python, "-c", code, *names], stdout=subprocess.PIPE, text=True, check=True
    )
    return dict(zip(names, answer.stdout.split(), strict=True))
