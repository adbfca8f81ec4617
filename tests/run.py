"""Runs the tests with coverage: needs Python and nothing else.

Makes the virtual environment ``.venv-test`` once. Arguments are handed to pytest; the lower bound
of the coverage holds for the run of all tests, the one without arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools.environment import exit_code_of, ready_environment


def main() -> int:
    python = ready_environment(".venv-test", "test") / "python"
    arguments = sys.argv[1:]
    bound = ["--cov-fail-under=0"] if arguments else []
    return exit_code_of([python, "-m", "pytest", "--cov", "--cov-report=term", *bound, *arguments])


if __name__ == "__main__":
    sys.exit(main())
