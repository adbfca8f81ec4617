"""Plans and applies this example on the embedded emulator: needs Python and nothing else.

Makes the virtual environment ``.venv-quickstart`` once, copies this config repository to
``build/quickstart`` (a copy that is there is replaced) and shows each command before it runs. With
``--here`` it runs the majobctl of the Python that runs it, and makes no environment.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent))
from tools.environment import ROOT, ready_environment, run  # noqa: E402

COPY = ROOT / "build" / "quickstart"


def main() -> None:
    if "--here" in sys.argv[1:]:
        programs = Path(sys.executable).parent
    else:
        programs = ready_environment(".venv-quickstart", "emulator")
    shutil.rmtree(COPY, ignore_errors=True)
    ignored = shutil.ignore_patterns("run.py", "__pycache__", ".majobctl", "*.state.json*")
    shutil.copytree(HERE, COPY, ignore=ignored)
    first = "first.plan"
    for arguments in (["plan", "--refresh", "--out", first], ["apply", first], ["plan"]):
        run([programs / "majobctl", "-C", COPY, *arguments])


if __name__ == "__main__":
    main()
