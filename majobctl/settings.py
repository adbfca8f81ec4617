"""The settings of a config repository: ``majobctl.toml``, found, read and checked.

It knows the settings' keys and their rules, and nothing of job configs but that ``[defaults]``
holds their keys.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majobctl.endpoints import Target, checked_project_id, endpoint_of, iam_endpoint_of
from majobctl.errors import ConfigError, MajobctlError, Problem, nearest, quoted
from majobctl.fields import CONTROL_CHARACTER, FIELDS, place_named, secret_key_message
from majobctl.job_config import INTEGER_LIMIT, type_name
from majobctl.toml_file import KeyPath, TomlFile

FILE_NAME = "majobctl.toml"


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
LATER_TABLES = {"variables": "variables", "environments": "environments"}
TABLES = (*SETTINGS, "defaults", *LATER_TABLES)


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings. ``root`` is the folder of ``majobctl.toml``; paths are relative to it."""

    root: Path
    file: TomlFile
    values: Mapping[str, Mapping[str, Any]]
    defaults: Mapping[str, Any]

    @property
    def provider(self) -> Mapping[str, Any]:
        return self.values["provider"]

    @property
    def parallelism(self) -> int:
        return int(self.values["apply"]["parallelism"])

    @property
    def job_files(self) -> tuple[str, ...]:
        return tuple(self.values["jobs"]["files"])

    @property
    def ignored(self) -> frozenset[tuple[str, ...]]:
        """The places whose changes in the service do not count in any job config."""
        places = map(place_named, self.values["drift"]["ignore"])
        return frozenset(place for place in places if isinstance(place, tuple))

    @property
    def file_path(self) -> Path:
        return self.root / FILE_NAME

    @property
    def state_path(self) -> Path:
        return self.root / str(self.values["state"]["path"])

    def target(self) -> Target:
        """The target that the settings, and for its project the environment, name.

        Raises MajobctlError where no project is named, or the environment's cannot be one.
        """
        if self.provider["kind"] == "emulator":
            return Target("emulator", self.provider["project_id"] or "emulator")
        endpoint = endpoint_of(self.provider["region"], self.provider["endpoint"])
        return Target(endpoint, self.provider["project_id"] or _project_id_of_environment())


def _project_id_of_environment() -> str:
    from majobctl.credentials import project_id_from_environment

    project_id = project_id_from_environment()
    if not project_id:
        raise MajobctlError(
            f"no project: set provider.project_id in {FILE_NAME}, or OS_PROJECT_ID in the"
            " environment"
        )
    try:
        return checked_project_id(project_id)
    except ConfigError as error:
        raise MajobctlError(
            "the project's id of the environment (OS_PROJECT_ID) or of a credentials file"
            f" {error.problems[0].message}"
        ) from error


def find_root(start: Path) -> Path:
    """The nearest folder with a settings file, ``start`` or one above it.

    Raises MajobctlError where there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        # Not Path.is_file: it raises where a folder may not be searched.
        if os.path.isfile(folder / FILE_NAME):
            return folder
    raise MajobctlError(
        f"no {FILE_NAME} in {start} or above it\n"
        "`majobctl init` makes a config repository here; `majobctl -C DIR ...` goes to another one"
    )


def read_settings(root: Path) -> tuple[Settings, list[Problem]]:
    """The settings of ``root`` and every problem in them; a wrong value stands as its default.

    Raises ConfigError for a file that cannot be read, or is not TOML.
    """
    file = TomlFile.read(root / FILE_NAME, FILE_NAME)
    problems = list(_unknown_tables(file))
    values = {table: dict(_table_values(file, table, problems)) for table in SETTINGS}
    defaults = _table(file, "defaults", problems)
    settings = Settings(root, file, values, defaults)
    problems += _provider_problems(settings)
    for index, name in enumerate(settings.values["drift"]["ignore"]):
        place = place_named(name)
        if isinstance(place, str):
            line = file.line_of(("drift", "ignore", index))
            problems.append(Problem(file.name, line, 0, "drift", f"ignore: {place}"))
    return settings, problems


def _problem(file: TomlFile, path: KeyPath, message: str) -> Problem:
    where = ".".join(str(part) for part in path[:-1])
    return Problem(file.name, file.line_of(path), 0, where, message)


def _unknown_tables(file: TomlFile) -> Iterator[Problem]:
    for key in file.data:
        secret = secret_key_message(key)
        if secret:
            yield _problem(file, (key,), secret)
        elif key in LATER_TABLES:
            message = f"[{key}]: {LATER_TABLES[key]} are not supported yet; remove the table"
            yield _problem(file, (key,), message)
        elif key == "job_config":
            message = "job configs stand in files of their own, such as jobs/NAME.toml"
            yield _problem(file, (key,), message)
        elif key not in TABLES:
            home = _home_of(key)
            unknown = f"unknown table {quoted(key)}{nearest(key, TABLES)}"
            yield _problem(file, (key,), f"{key} belongs in {home}" if home else unknown)


def _home_of(key: str) -> str:
    """The table that knows ``key``, as it is written; "" where there is none."""
    home = next((table for table, known in SETTINGS.items() if key in known), "")
    return f"[{home}]" if home else "[defaults] or in a job config" if key in FIELDS else ""


def _table(file: TomlFile, table: str, problems: list[Problem]) -> Mapping[str, Any]:
    content = file.data.get(table, {})
    if isinstance(content, Mapping):
        return content
    message = f"{table} must be a table, not {type_name(content)}"
    problems.append(_problem(file, (table,), message))
    return {}


def _table_values(file: TomlFile, table: str, problems: list[Problem]) -> Iterator[tuple[str, Any]]:
    content = _table(file, table, problems)
    known = SETTINGS[table]
    for key in content:
        if key not in known:
            home = _home_of(key)
            unknown = f"unknown key {quoted(key)}{nearest(key, known)}"
            message = f"{key} belongs in {home}" if home else unknown
            problems.append(_problem(file, (table, key), secret_key_message(key) or message))
    for key, setting in known.items():
        value = content.get(key, setting.default)
        fault = _fault(key, setting, value) if key in content else ""
        if fault:
            problems.append(_problem(file, (table, key), fault))
        yield key, setting.default if fault else value


def _fault(key: str, setting: Setting, value: object) -> str:
    wanted = _WANTED[setting.kind]
    if not wanted.accepts(value):
        return f"{key} must be {wanted.words}, not {_wrong_type_name(setting, value)}"
    if setting.choices and value not in setting.choices:
        return _choice_fault(key, setting, str(value))
    if isinstance(value, (int, float)) and not setting.least <= value <= setting.most:
        is_long = isinstance(value, int) and abs(value) >= INTEGER_LIMIT
        shown = "a number of more than 64 bits" if is_long else str(value)
        return f"{key} must be from {setting.least} to {setting.most}, not {shown}"
    if setting.kind is Kind.SECONDS and not value:
        return f"{key} must be more than 0"
    if isinstance(value, str) and any(ord(char) < 32 or ord(char) == 127 for char in value):
        return f"{key} must not have a control character"
    if isinstance(value, str) and "${" in value:
        return f"{key}: variables are not supported yet; write the value itself"
    if isinstance(value, str) and not value and setting.default:
        return f"{key} must not be empty"
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and CONTROL_CHARACTER.search(text) for text in texts):
        return f"{key} must not have a control character"
    return ""


def _wrong_type_name(setting: Setting, value: object) -> str:
    if setting.kind is Kind.TEXTS and isinstance(value, list):
        wrong = next(item for item in value if not isinstance(item, str))
        return f"one with {type_name(wrong)}"
    return type_name(value)


def _choice_fault(key: str, setting: Setting, value: str) -> str:
    choices = ", ".join(map(quoted, setting.choices))
    hint = nearest(value, setting.choices)
    return f"{key} must be one of {choices}, not {quoted(value)}{hint}"


@dataclass(frozen=True, slots=True)
class _Wanted:
    words: str
    accepts: Callable[[object], bool]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_WANTED: Mapping[Kind, _Wanted] = {
    Kind.TEXT: _Wanted("a string", lambda value: isinstance(value, str)),
    Kind.COUNT: _Wanted(
        "an integer", lambda value: isinstance(value, int) and not isinstance(value, bool)
    ),
    Kind.SECONDS: _Wanted("a number", _is_number),
    Kind.FLAG: _Wanted("true or false", lambda value: isinstance(value, bool)),
    Kind.TEXTS: _Wanted(
        "an array of strings",
        lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    ),
}


def _provider_problems(settings: Settings) -> Iterator[Problem]:
    provider, file = settings.provider, settings.file
    written = file.data.get("provider", {})
    if not isinstance(written, Mapping):
        return
    # What is written but wrong is told already, and must not have false problems in its train.
    is_emulator = written.get("kind", "modelarts") not in ("modelarts", "sdk")
    has_address = any(written.get(key, "") != "" for key in ("region", "endpoint"))
    if not (is_emulator or has_address):
        message = 'region is missing; set it (such as "eu-de"), or endpoint'
        yield _problem(file, ("provider", "region"), message)
    if provider["seed"] and not is_emulator:
        yield _problem(file, ("provider", "seed"), 'seed needs kind = "emulator"')
    for key, check in _PARTS_OF_ADDRESSES:
        try:
            if provider[key]:
                check(provider[key])
        except ConfigError as error:
            problem = error.problems[0]
            yield _problem(file, ("provider", key), f"{problem.where} {problem.message}")


_PARTS_OF_ADDRESSES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("region", lambda region: endpoint_of(region, None)),
    ("endpoint", lambda address: endpoint_of(None, address)),
    ("iam_endpoint", lambda address: iam_endpoint_of(None, address)),
    ("project_id", checked_project_id),
)
