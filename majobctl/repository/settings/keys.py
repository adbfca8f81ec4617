"""One table of the keys of ``majobctl.toml``: types, defaults, bounds and help texts.

The checks, the reference page and the JSON Schema come from it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Kind(enum.Enum):
    """The type of a setting, as the reference page names it."""

    TEXT = "string"
    COUNT = "integer"
    SECONDS = "number"
    FLAG = "boolean"
    TEXTS = "array of strings"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table of the settings; ``choices`` or ``least`` bound its value."""

    kind: Kind
    default: Any
    help: str
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 1_000_000


SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "provider": {
        "kind": Setting(
            Kind.TEXT,
            "modelarts",
            "Who receives the calls: the REST service, the official SDK where it is installed, or"
            " the embedded emulator.",
            choices=("modelarts", "sdk", "emulator"),
        ),
        "region": Setting(Kind.TEXT, "", "The region; the endpoints follow from it."),
        "endpoint": Setting(Kind.TEXT, "", "The service's address, in place of the region's."),
        "iam_endpoint": Setting(Kind.TEXT, "", "IAM's address, in place of the region's."),
        "project_id": Setting(
            Kind.TEXT, "", "The project's id; left out, the environment's (`OS_PROJECT_ID`)."
        ),
        "auth": Setting(
            Kind.TEXT,
            "",
            "How to sign in; left out, whichever the environment holds, in this order.",
            choices=("aksk", "password", "token"),
        ),
        "timeout": Setting(Kind.SECONDS, 30, "Seconds that a request may take.", least=0),
        "retries": Setting(
            Kind.COUNT,
            5,
            "How often a request is sent again after a passing fault.",
            most=100,
        ),
        "seed": Setting(
            Kind.TEXT, "", "For the emulator: a TOML file with what its cloud starts with."
        ),
    },
    "state": {
        "backend": Setting(Kind.TEXT, "local", "Where the state is kept.", choices=("local",)),
        "path": Setting(Kind.TEXT, "majobctl.state.json", "The state file."),
    },
    "jobs": {
        "files": Setting(Kind.TEXTS, ("jobs/**/*.toml",), "The job files, as glob patterns."),
    },
    "apply": {
        "parallelism": Setting(Kind.COUNT, 10, "How many calls run at once.", least=1, most=1000),
        "create_missing": Setting(
            Kind.FLAG,
            False,
            "Create a configuration that the service does not have (`create_job_configs`).",
        ),
        "delete_removed": Setting(
            Kind.FLAG,
            False,
            "Delete a configuration that left the TOML files (`delete_job_configs`).",
        ),
        "max_change_percent": Setting(
            Kind.COUNT,
            0,
            "Over 0: a larger share of changes, of 10 or more job configs, is refused.",
            most=100,
        ),
    },
    "drift": {
        "ignore": Setting(
            Kind.TEXTS,
            (),
            "As `ignore_changes`, for every job config: `config_desc` or `hyperparameters.seed`.",
        ),
    },
}
