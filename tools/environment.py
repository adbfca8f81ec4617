"""Makes the virtual environments of the two set-up commands, and keeps them between runs.

Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 10)
_STAMP = "majobctl-stamp"

if sys.version_info < OLDEST_PYTHON:
    sys.exit(
        "Python {}.{} or newer is needed; {} is {}.{}".format(
            *OLDEST_PYTHON, sys.executable, *sys.version_info[:2]
        )
    )


def ready_environment(name: str, extra: str) -> Path:
    """The folder with the programs of the virtual environment ``name`` beside ``pyproject.toml``.

    It is made, with this checkout and its ``extra`` installed, unless it was made before by the
    same Python from the same ``pyproject.toml``. Ends the process if it cannot be made.
    """
    content = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    # The checkout is installed in place, so that edits count without another install.
    return environment_with(name, "--editable", f".[{extra}]", kept_with=content)


def environment_with(name: str, *requirements: str, kept_with: str = "") -> Path:
    """The folder with the programs of the virtual environment ``name`` in the checkout.

    It is made, with what pip makes of ``requirements``, unless it was made before of the same ones
    by the same Python, in the same place and with the same ``kept_with``. Ends the process if
    it cannot be made.
    """
    folder = ROOT / name
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    stamp = folder / _STAMP
    wanted = "\n".join([kept_with, *requirements, sys.version, str(ROOT)])
    if not (stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
        _require_venv()
        print(f"+ python -m venv {name}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        run([programs / "python", "-m", "pip", "install", "--quiet", *requirements])
        stamp.write_text(wanted, encoding="utf-8")
    return programs


def run(command: Sequence[str | Path]) -> None:
    """Shows ``command`` and runs it in the checkout. Ends the process if it fails."""
    code = exit_code_of(command)
    if code:
        sys.exit(f"the command ended with exit code {code}; nothing after it was run")


def exit_code_of(command: Sequence[str | Path]) -> int:
    """Shows ``command``, runs it in the checkout and returns its exit code."""
    print("+", " ".join(map(_shown, command)), flush=True)
    return subprocess.run([str(part) for part in command], cwd=ROOT, check=False).returncode


def _shown(part: str | Path) -> str:
    """``part`` as it can be typed in the checkout."""
    if isinstance(part, Path) and part.is_relative_to(ROOT):
        return str(part.relative_to(ROOT))
    text = str(part)
    return f'"{text}"' if " " in text else text


def _require_venv() -> None:
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(
            f"{sys.executable} has no module {' and no module '.join(missing)}, which is needed to"
            " make a virtual environment.\n"
            "On Debian and Ubuntu: apt install python3-venv. Elsewhere: use a Python from"
            " python.org."
        )
