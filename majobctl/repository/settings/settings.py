"""The settings of a config repository: ``majobctl.toml``, found, read and checked.

It knows the settings' keys and their rules, and nothing of job configs but that ``[defaults]``
holds their keys.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.job_config.directives import place_named
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import CONTROL_CHARACTER, INTEGER_LIMIT, type_name
from majobctl.repository.settings import environments, variables
from majobctl.repository.settings.keys import SETTINGS as SETTINGS
from majobctl.repository.settings.keys import Kind as Kind
from majobctl.repository.settings.keys import Setting as Setting
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides, Variable
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath
from majobctl.target import checked_project_id, endpoint_of, iam_endpoint_of
from majobctl.text import nearest, printable, quoted

FILE_NAME = "majobctl.toml"


TABLES = (*SETTINGS, "defaults", variables.TABLE, environments.TABLE)


@dataclass(frozen=True, slots=True)
class Settings:
    """Checked settings. ``root`` is the folder of ``majobctl.toml``; paths are relative to it.

    ``environment`` is the name of the chosen one; "" where there is none.
    """

    root: Path
    file: TomlFile
    values: Mapping[str, Mapping[str, Any]]
    defaults: Mapping[str, Any]
    environment: str = ""
    overrides: Overrides = NO_OVERRIDES
    variables: Mapping[str, Variable] = field(default_factory=dict)

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
    def references(self) -> Mapping[str, str]:
        """The texts of ``${var.NAME}``, by what stands between the braces."""
        return {f"var.{name}": variable.text for name, variable in self.variables.items()}

    @property
    def file_path(self) -> Path:
        return self.root / FILE_NAME

    @property
    def state_path(self) -> Path:
        return self.root / str(self.values["state"]["path"])


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


def read_settings(
    root: Path, overrides: Overrides = NO_OVERRIDES
) -> tuple[Settings, list[Problem]]:
    """The settings of ``root`` and every problem in them; a wrong value stands as its default.

    ``overrides`` choose an environment and give variables other values. Raises ConfigError for a
    file that cannot be read, or is not TOML, MajobctlError for an override that is wrong.
    """
    file = TomlFile.read(root / FILE_NAME, FILE_NAME)
    known = environments.environments_of(file)
    name = overrides.environment
    problems = [
        _problem(file, path, message) for path, message in environments.environment_faults(file)
    ]
    if name and name not in known:
        if problems:
            raise ConfigError(problems)
        raise MajobctlError(environments.unknown_environment(name, file))
    settings = _read(root, file, name, problems)
    for other in known:
        # What is wrong in one environment, but for its defaults, is told in all of them.
        if other != name:
            _read(root, file, other, problems)
    problems += _shared_states(root, file)
    values = variables.with_overrides(settings.variables, overrides)
    return replace(settings, overrides=overrides, variables=values), sorted(set(problems))


def _read(root: Path, file: TomlFile, environment: str, problems: list[Problem]) -> Settings:
    """The settings with an environment laid over them, or, for "", without any."""
    seen = environments.OverlaidFile(file, environment) if environment else file
    problems += _unknown_tables(seen, environment)
    values = {table: dict(_table_values(seen, table, problems)) for table in SETTINGS}
    if environment and not _own_state_path(file, environment):
        folder = Path(values["state"]["path"]).parent
        values["state"]["path"] = (folder / f"{environment}.state.json").as_posix()
    defaults = _table(seen, "defaults", problems)
    declared = variables.declared_variables(seen, problems)
    settings = Settings(root, seen, values, defaults, environment, variables=declared)
    problems += _provider_problems(settings)
    for index, name in enumerate(settings.values["drift"]["ignore"]):
        place = place_named(name)
        if isinstance(place, str):
            line = seen.line_of(("drift", "ignore", index))
            problems.append(Problem(file.name, line, 0, "drift", f"ignore: {place}"))
    return settings


def _own_state_path(file: TomlFile, environment: str) -> object:
    state = environments.environments_of(file)[environment].get("state", {})
    return state.get("path") if isinstance(state, Mapping) else None


_BESIDE = ("", ".backup", ".journal", ".lock", ".lock.holder")
"""What is added to a state's name for the files beside it."""


def _shared_states(root: Path, file: TomlFile) -> Iterator[Problem]:
    """A problem for each state that two environments would share, or one with the tables below."""
    state = file.data.get("state", {})
    below = state.get("path") if isinstance(state, Mapping) else None
    first = Path(str(below or SETTINGS["state"]["path"].default))
    taken = dict.fromkeys(_state_files(root / first), "the settings without an environment")
    for name in environments.environments_of(file):
        own = _own_state_path(file, name)
        path = str(own) if own else str(first.parent / f"{name}.state.json")
        found = _state_files(root / path)
        other = next((taken[item] for item in found if item in taken), "")
        if other:
            message = f"path is the state of {other}, too; give each a state of its own"
            yield _problem(file, (environments.TABLE, name, "state", "path"), message)
        taken = {**dict.fromkeys(found, f"the environment {quoted(name)}"), **taken}


def _state_files(path: Path) -> list[str]:
    """A state and the files beside it; paths that some system takes for one are equal."""
    return [os.path.normpath(path).casefold() + suffix for suffix in _BESIDE]


def _problem(file: TomlFile, path: KeyPath, message: str) -> Problem:
    where = ".".join(str(part) for part in path[:-1])
    return Problem(file.name, file.line_of(path), 0, where, message)


def _unknown_tables(file: TomlFile, environment: str) -> Iterator[Problem]:
    for key in file.data:
        secret = secret_key_message(key)
        if secret:
            yield _problem(file, (key,), secret)
        elif key == environments.TABLE and environment:
            yield _problem(file, (key,), "environments cannot stand in an environment")
        elif key in ("job_config", "templates"):
            what = "templates" if key == "templates" else "job configs"
            message = f"{what} stand in files of their own, such as jobs/NAME.toml"
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
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and "${" in text for text in texts):
        return f"{key}: a reference stands in job configs and [defaults] only; write the value here"
    if isinstance(value, str) and not value and setting.default:
        return f"{key} must not be empty"
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
        known = list(environments.environments_of(file))
        if known and not settings.environment:
            message += f", or choose an environment: -e {printable(known[0])}"
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
