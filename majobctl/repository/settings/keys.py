"""One table of the keys of ``majobctl.toml``: types, defaults, bounds and help texts.

The source of the checks, the reference page and the JSON Schema.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any


class Kind(enum.Enum):
    """The type of a setting; its value is the reference page's term."""

    TEXT = "string"
    COUNT = "integer"
    SECONDS = "number"
    FLAG = "boolean"
    TEXTS = "array of strings"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of the settings. ``choices``, ``minimum`` and ``maximum`` bound its value."""

    kind: Kind
    default: Any
    _: KW_ONLY
    help: str
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 1_000_000


SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "provider": {
        "kind": Setting(
            Kind.TEXT,
            "modelarts",
            choices=("modelarts", "sdk", "emulator"),
            help="Who receives the calls: the REST service, the official SDK if it is installed,"
            " or the embedded emulator.",
        ),
        "region": Setting(Kind.TEXT, "", help="The region; the endpoints follow from it."),
        "endpoint": Setting(Kind.TEXT, "", help="The service's address, instead of the region's."),
        "iam_endpoint": Setting(Kind.TEXT, "", help="IAM's address, instead of the region's."),
        "project_id": Setting(
            Kind.TEXT, "", help="The project's id; by default, the environment's (`OS_PROJECT_ID`)."
        ),
        "auth": Setting(
            Kind.TEXT,
            "",
            choices=("aksk", "password", "token"),
            help="How to sign in; by default, the first of these that the environment has.",
        ),
        "timeout": Setting(Kind.SECONDS, 30, help="Seconds that a request may take."),
        "retries": Setting(
            Kind.COUNT,
            5,
            maximum=100,
            help="How often a request is retried after a temporary failure.",
        ),
        "seed": Setting(
            Kind.TEXT,
            "",
            help="For the emulator: a TOML file with the initial content of its cloud.",
        ),
    },
    "state": {
        "backend": Setting(Kind.TEXT, "local", choices=("local",), help="Where the state is kept."),
        "path": Setting(Kind.TEXT, "majobctl.state.json", help="The state file."),
    },
    "jobs": {
        "files": Setting(Kind.TEXTS, ("jobs/**/*.toml",), help="The job files, as glob patterns."),
    },
    "apply": {
        "parallelism": Setting(
            Kind.COUNT, 10, minimum=1, maximum=1000, help="How many calls run at once."
        ),
        "create_missing": Setting(
            Kind.FLAG,
            False,
            help="Create a configuration that the service does not have (`create_job_configs`).",
        ),
        "delete_removed": Setting(
            Kind.FLAG,
            False,
            help="Delete a configuration that was removed from the TOML (`delete_job_configs`).",
        ),
        "max_change_percent": Setting(
            Kind.COUNT,
            0,
            maximum=100,
            help="Over 0: refuse a plan that changes a larger share of 10 or more job configs.",
        ),
    },
    "drift": {
        "ignore": Setting(
            Kind.TEXTS,
            (),
            help="Like `ignore_changes`, for every job config: `config_desc` or"
            " `hyperparameters.seed`.",
        ),
    },
}
