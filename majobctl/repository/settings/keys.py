"""One table of the keys of ``majobctl.toml``: types, defaults, bounds and help texts."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from majobctl.job_config.directives import DIRECTIVES, NOT_OF_DEFAULTS
from majobctl.job_config.fields import FIELDS, LONGEST_NAME, NAME_LENGTH

WORKING_FOLDER = ".majobctl"
"""Beside the settings: the emulator's data and caches, which are never committed."""


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
    help: str
    _: KW_ONLY
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 1_000_000


SETTINGS: Mapping[str, Mapping[str, Setting]] = {
    "provider": {
        "kind": Setting(
            Kind.TEXT,
            "modelarts",
            "Who receives the calls: the REST service, the official SDK if it is installed,"
            " or the embedded emulator.",
            choices=("modelarts", "sdk", "emulator"),
        ),
        "region": Setting(Kind.TEXT, "", "The region; the endpoints follow from it."),
        "endpoint": Setting(Kind.TEXT, "", "The service's address, instead of the region's."),
        "iam_endpoint": Setting(Kind.TEXT, "", "IAM's address, instead of the region's."),
        "project_id": Setting(
            Kind.TEXT, "", "The project's id; by default, the environment's (`OS_PROJECT_ID`)."
        ),
        "auth": Setting(
            Kind.TEXT,
            "",
            "How to sign in; by default, the first of these that the environment has.",
            choices=("oidc", "aksk", "password", "token"),
        ),
        "timeout": Setting(Kind.SECONDS, 30, "Seconds that a request may take."),
        "retries": Setting(
            Kind.COUNT, 5, "How often a request is retried after a temporary failure.", maximum=100
        ),
        "seed": Setting(
            Kind.TEXT, "", "For the emulator: a TOML file with the initial content of its cloud."
        ),
        "answers": Setting(
            Kind.TEXT,
            "",
            "For the emulator: with `documented`, responses also name what the service derives.",
            choices=("plain", "documented"),
        ),
    },
    "state": {
        "backend": Setting(
            Kind.TEXT,
            "local",
            "Where the state is kept: a file here, or a place that a team shares.",
            choices=("local", "postgres", "s3", "http", "git"),
        ),
        "path": Setting(Kind.TEXT, "majobctl.state.json", "For `local`: the state file."),
        "address": Setting(
            Kind.TEXT,
            "",
            "For `postgres` and `http`: the address, without a password. What it leaves out for"
            " `postgres` is libpq's, such as `PGHOST`.",
        ),
        "name": Setting(
            Kind.TEXT,
            "",
            "For `postgres` and `s3`: the name of the state. An environment's is"
            " `name/ENVIRONMENT` unless it sets its own.",
        ),
        "lease": Setting(
            Kind.COUNT,
            60,
            "For `postgres`, `s3` and `git`: seconds without a sign of life after which an apply"
            " may be taken over.",
            minimum=5,
            maximum=3600,
        ),
        "keep": Setting(
            Kind.COUNT,
            100,
            "For `postgres`, `s3` and `git`: how many states are kept.",
            minimum=1,
            maximum=10_000,
        ),
        "bucket": Setting(Kind.TEXT, "", "For `s3`: the bucket."),
        "region": Setting(Kind.TEXT, "", "For `s3`: the region; by default as in AWS's tools."),
        "endpoint": Setting(Kind.TEXT, "", "For `s3`: the server's address, if it is not AWS."),
        "path_style": Setting(
            Kind.FLAG,
            False,
            "For `s3`: name the bucket in the path, not in the host; most servers other than AWS"
            " need it.",
        ),
        "remote": Setting(Kind.TEXT, "origin", "For `git`: the remote."),
        "branch": Setting(
            Kind.TEXT,
            "majobctl-state",
            "For `git`: the branch, which holds nothing else. An environment's is"
            " `branch-ENVIRONMENT` unless it sets its own.",
        ),
    },
    "jobs": {
        "files": Setting(Kind.TEXTS, ("jobs/**/*.toml",), "The job files, as glob patterns."),
        "max_name_length": Setting(
            Kind.COUNT,
            NAME_LENGTH,
            "The longest name of a job config. 20 is the SDK's limit; the service takes 64.",
            minimum=1,
            maximum=LONGEST_NAME,
        ),
    },
    "apply": {
        "parallelism": Setting(
            Kind.COUNT, 10, "How many calls run at once.", minimum=1, maximum=1000
        ),
        "refresh": Setting(
            Kind.TEXT,
            "changed",
            choices=("changed", "all", "none"),
            help="What an apply reads before it writes: what it would send, every job config, or"
            " nothing. With `none`, it undoes what was changed in the service.",
        ),
        "overwrite": Setting(
            Kind.FLAG,
            False,
            help="Undo what was changed in the service, instead of holding it back.",
        ),
        "create_missing": Setting(
            Kind.FLAG,
            False,
            "Create a configuration that the service does not have (`create_job_configs`).",
        ),
        "delete_removed": Setting(
            Kind.FLAG,
            False,
            "Delete a configuration that was removed from the TOML (`delete_job_configs`).",
        ),
        "max_change_percent": Setting(
            Kind.COUNT,
            0,
            "Over 0: changing a larger share of 10 or more job configs needs `--force`.",
            maximum=100,
        ),
        "max_delete_percent": Setting(
            Kind.COUNT,
            30,
            "Over 0: deleting or forgetting a larger share of the 10 or more job configs in the"
            " state needs `--force`.",
            maximum=100,
        ),
    },
    "drift": {
        "ignore": Setting(
            Kind.TEXTS,
            (),
            "Like `ignore_changes`, for every job config: `config_desc` or `hyperparameters.seed`.",
        )
    },
}

PATHS = frozenset({("provider", "seed"), ("state", "path"), ("jobs", "files")})
"""The settings in which ``~`` is the home folder."""


def home_of(key: str, *, besides: str = "") -> str | None:
    """A sentence about the table, other than ``besides``, that ``key`` belongs in; None if there is
    no such table."""
    tables = (table for table in SETTINGS if table != besides)
    homes = [f"[{table}]" for table in tables if key in SETTINGS[table]]
    if key in FIELDS or key in DIRECTIVES:
        homes = [f"{'' if key in NOT_OF_DEFAULTS else '[defaults] or in '}a job config"]
    return f"{key} belongs in {homes[0]}" if homes else None
