"""The floor of a plan: one process that reads the same TOML with tomli and the same state with
json, and does nothing with them.

    python floor.py ROOT

Everything that was read is kept to the end, as by any program that compares all of it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import tomli


def main() -> None:
    root = Path(sys.argv[1])
    files = [root / "majobctl.toml", *sorted(root.glob("jobs/**/*.toml"))]
    desired = [tomli.loads(file.read_text(encoding="utf-8")) for file in files]
    state = json.loads((root / "majobctl.state.json").read_bytes())
    described = sum(len(data.get("job_config", ())) for data in desired)
    print(f"{described} described, {len(state['job_configs'])} in the state")


if __name__ == "__main__":
    main()
