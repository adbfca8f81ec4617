"""Runs the tests: needs Python and nothing else.

    python3 tests/run.py            all tests, with coverage and its lower bound
    python3 tests/run.py --fast     in under a minute: no coverage, few examples, nothing slow
    python3 tests/run.py ARGUMENT   some tests, with coverage; the arguments are pytest's

Makes the virtual environment ``.venv-test`` once. pytest has one process more than there are cores,
since tests wait for leases, pauses and processes; ``-n 0`` turns that off.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.environment import exit_code_of, ready_environment


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


PARALLEL = ["-n", str(cores() + 1), "--dist", "worksteal"]
FAST = ["-m", "not slow and not faults", "--hypothesis-profile=fast"]
COVERAGE = ["--cov", "--cov-report=term"]


def main() -> int:
    python = ready_environment(".venv-test", "test") / "python"
    arguments = sys.argv[1:]
    if "--fast" in arguments:
        arguments.remove("--fast")
        options = FAST
    else:
        options = [*COVERAGE, "--cov-fail-under=0"] if arguments else COVERAGE
    return exit_code_of([python, "-m", "pytest", *PARALLEL, *options, *arguments])


if __name__ == "__main__":
    sys.exit(main())
