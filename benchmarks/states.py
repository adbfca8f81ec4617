"""Writes the state that an apply of a config repository would have left, without applying.

    python states.py ROOT FILE [--changed]

With ``--changed`` one hyperparameter of each job config has another value in it, so that every one
is to be updated.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from majobctl.operations.context import target_of
from majobctl.repository.config import load_config
from majobctl.state.document import Entry, State

_APPLIED_AT = "2026-11-23T12:00:00Z"


def main() -> None:
    root, file, *options = sys.argv[1:]
    config = load_config(Path(root))
    applied = _with_another_rate if options == ["--changed"] else dict
    entries = {
        name: Entry(params=applied(job_config.params), applied_at=_APPLIED_AT)
        for name, job_config in config.job_configs.items()
    }
    state = State.new(target_of(config.settings)).changed(entries)
    Path(file).write_bytes(state.dump())


def _with_another_rate(params: Mapping[str, Any]) -> dict[str, Any]:
    return {**params, "hyperparameters": {**params["hyperparameters"], "lr": "0.5"}}


if __name__ == "__main__":
    main()
