"""The config repository as a whole: its job files read, merged with the defaults, checked.

Every problem of every file is found in one run, each with its place. Nothing here knows of state,
plans or the service.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, Problem, nearest, printable, quoted
from majobctl.fields import (
    DATA_KEYS,
    FIELDS,
    SENSITIVE,
    Fault,
    is_blank,
    name_fault,
    secret_key_message,
)
from majobctl.fields import Path as FieldPath
from majobctl.interpolation import Interpolation, reference_alone
from majobctl.job_config import JobConfig, checked_values, request_params, rule_faults, type_name
from majobctl.sensitive import place_of, value_at
from majobctl.settings import FILE_NAME, TABLES, Settings, read_settings
from majobctl.toml_file import KeyPath, TomlFile

TABLE = "job_config"


@dataclass(frozen=True, slots=True)
class FileSource:
    """The table of a job config in its file; the line is looked up only when it is asked for."""

    toml: TomlFile
    name: str

    @property
    def file(self) -> str:
        return self.toml.name

    @property
    def line(self) -> int:
        return self.toml.line_of((TABLE, self.name))


@dataclass(frozen=True, slots=True)
class Config:
    """What the TOML files say: job configs by name, in name order, and what is worth a warning."""

    settings: Settings
    job_configs: Mapping[str, JobConfig]
    warnings: tuple[Problem, ...]


def load_config(root: Path) -> Config:
    """Reads the settings of ``root`` and all job files that they name.

    Raises ConfigError with every problem of every file, in the order of files and lines.
    """
    settings, problems = read_settings(root)
    reader = _Reader(settings, problems)
    reader.read_all()
    warnings = sorted(set(reader.warnings))
    if problems:
        raise ConfigError(sorted(set(problems)), warnings)
    return Config(settings, dict(sorted(reader.job_configs.items())), tuple(warnings))


def whole_job_configs(root: Path) -> Mapping[str, JobConfig]:
    """The job configs of ``root`` that break no rule, whatever the others do.

    Raises ConfigError where the settings cannot be read.
    """
    settings, _ = read_settings(root)
    reader = _Reader(settings, [])
    reader.read_all()
    return reader.job_configs


def _job_files(settings: Settings, warnings: list[Problem]) -> list[tuple[Path, str]]:
    """The job files with their names in the order of those; each is there once, links or not.

    Only folders are passed over. A link that leads nowhere counts, for its job configs must not
    seem removed.
    """
    names: set[str] = set()
    for index, pattern in enumerate(settings.job_files):
        matches = glob.glob(pattern, root_dir=settings.root, recursive=True)
        # Not Path.is_dir: it raises where a folder may not be searched.
        files = {
            Path(match).as_posix() for match in matches if not os.path.isdir(settings.root / match)
        }
        if not files:
            message = f"files: {quoted(pattern)} matches no file"
            warnings.append(_problem(settings.file, ("jobs",), ("files", index), message))
        names |= files
    found: dict[str, str] = {}
    for name in sorted(names):
        found.setdefault(os.path.realpath(settings.root / name), name)
    found.pop(os.path.realpath(settings.file_path), None)
    return [(settings.root / name, printable(name)) for name in found.values()]


class _Reader:
    """Collects job configs, problems and warnings over all files."""

    def __init__(self, settings: Settings, problems: list[Problem]) -> None:
        self.job_configs: dict[str, JobConfig] = {}
        self.warnings: list[Problem] = []
        self._problems = problems
        self._settings = settings
        self._sources: dict[str, FileSource] = {}
        self._defaults = self._checked_defaults()

    def _checked_defaults(self) -> Mapping[str, Any]:
        """The defaults as they are written; what is wrong with one is told here, once."""
        written = self._settings.defaults
        names, faults = _sensitive_names(written)
        found = Interpolation.of(_without_names(written))
        faults += [*found.faults, *checked_values(found.values)[1]]
        hidden = _HiddenPlaces(names, found)
        self._tell(self._settings.file, ("defaults",), faults, written, hidden)
        return {key: value for key, value in written.items() if not is_blank(value)}

    def read_all(self) -> None:
        for path, name in _job_files(self._settings, self.warnings):
            self._read(path, name)

    def _read(self, path: Path, name: str) -> None:
        try:
            file = TomlFile.read(path, name)
        except ConfigError as error:
            self._problems += error.problems
            return
        self._problems += _foreign_tables(file)
        tables = file.data.get(TABLE, {})
        if not isinstance(tables, Mapping):
            message = f"must be tables, [job_config.NAME], not {type_name(tables)}"
            self._problems.append(Problem(name, file.line_of((TABLE,)), 0, TABLE, message))
            return
        for config_name, raw in tables.items():
            self._read_table(FileSource(file, config_name), raw)

    def _read_table(self, source: FileSource, written: object) -> None:
        if not isinstance(written, Mapping):
            message = f"must be a table, [job_config.NAME], not {type_name(written)}"
            if source.name in FIELDS:
                message = "a job config has a name; write [job_config.NAME] above its keys"
            self._tell(source.toml, (TABLE, source.name), [Fault((), message)], {})
            return
        self._read_config(source, written)

    def _read_config(self, source: FileSource, own: Mapping[str, Any]) -> None:
        names, faults = _sensitive_names(own)
        faults += _name_faults(source, self._sources)
        self._sources.setdefault(source.name, source)
        merged = _without_names(merge(self._defaults, own))
        found = Interpolation.of(merged)
        params, value_faults = checked_values(found.values)
        value_faults += found.faults
        faults += (fault for fault in value_faults if _is_own(own, fault.path))
        faults += (self._with_origin(own, fault) for fault in rule_faults(found.values, params))
        faults += _unknown_names(own, names, params)
        hidden = _HiddenPlaces([*names, *_sensitive_names(self._defaults)[0]], found)
        if faults or len(value_faults):
            self._tell(source.toml, (TABLE, source.name), faults, own, hidden)
            return
        self._warn(source, own, params)
        params = request_params(params)
        sensitive = hidden.of(params, merged)
        self.job_configs[source.name] = JobConfig(source.name, params, source, sensitive)

    def _with_origin(self, raw: Mapping[str, Any], fault: Fault) -> Fault:
        """A fault between two keys, told at the job config's own key, naming the other's origin."""
        keys = [str(fault.path[0]) if fault.path else "", fault.with_key]
        inherited = [key for key in keys if key and key not in raw and key in self._defaults]
        if not inherited:
            return fault
        own = fault.path if keys[0] in raw else (keys[1],) if keys[1] in raw else ()
        lines = self._settings.file
        origins = " and ".join(
            f"{key} comes from {FILE_NAME}:{lines.line_of(('defaults', key))}" for key in inherited
        )
        hint = f'({origins}; `{inherited[0]} = ""` here leaves it out)'
        return replace(fault, path=own, hint=hint)

    def _warn(self, source: FileSource, raw: Mapping[str, Any], params: Mapping[str, Any]) -> None:
        prefix: KeyPath = (TABLE, source.name)
        if not any(key in params for key in DATA_KEYS):
            message = "no data: set inputs, dataset_id and dataset_version_id, or data_source"
            self.warnings.append(_problem(source.toml, prefix, (), message))
        if "job_description" in params:
            message = "job_description is in no request: changing it alone changes nothing"
            own = "job_description" in raw
            file, table = (source.toml, prefix) if own else (self._settings.file, ("defaults",))
            self.warnings.append(_problem(file, table, ("job_description",), message))

    def _tell(
        self,
        file: TomlFile,
        prefix: KeyPath,
        faults: Iterable[Fault],
        own: Mapping[str, Any],
        hidden: _HiddenPlaces | None = None,
    ) -> None:
        for fault in faults:
            path = _written_path(own, fault.path)
            message = fault.text(hidden.covers) if hidden else fault.text()
            self._problems.append(_problem(file, prefix, path, message))


class _HiddenPlaces:
    """Which places of one job config are sensitive: named as that, or from the environment."""

    def __init__(self, names: Sequence[str], found: Interpolation) -> None:
        self._names = frozenset(names)
        self._from_environment = {place_of(path) for path in found.from_environment}

    def covers(self, path: FieldPath) -> bool:
        place = place_of(path)
        return place in self._from_environment or self._is_named(place)

    def _is_named(self, place: FieldPath) -> bool:
        return not self._names.isdisjoint(str(part) for part in place)

    def of(self, params: Mapping[str, Any], written: Mapping[str, Any]) -> Mapping[FieldPath, Any]:
        """The sensitive places of ``params``, each with its text where that names variables."""
        if not self._names and not self._from_environment:
            return {}
        places: list[FieldPath] = [(key,) for key in params if key != "hyperparameters"]
        places += (("hyperparameters", label) for label in params.get("hyperparameters", ()))
        return {
            place: None if self._is_named(place) else reference_alone(value_at(written, place))
            for place in places
            if self.covers(place)
        }


def _problem(file: TomlFile, prefix: KeyPath, path: FieldPath, message: str) -> Problem:
    where = ".".join(map(str, prefix))
    return Problem(file.name, file.line_of((*prefix, *path)), 0, where, message)


def _written_path(raw: Mapping[str, Any], path: FieldPath) -> FieldPath:
    """``path`` with a merged hyperparameter's label turned into its place in an array."""
    own = raw.get(str(path[0])) if path else None
    if path[:1] == ("hyperparameters",) and len(path) == 2 and isinstance(own, list):
        for index, item in enumerate(own):
            if isinstance(item, Mapping) and item.get("label") == path[1]:
                return (path[0], index)
    return path


def _foreign_tables(file: TomlFile) -> Iterator[Problem]:
    for key, content in file.data.items():
        if key != TABLE:
            message = secret_key_message(key) or _foreign_message(key, content)
            yield Problem(file.name, file.line_of((key,)), 0, "", message)


def _foreign_message(key: str, content: object) -> str:
    if key in FIELDS:
        return f"{key} stands outside a table; write [job_config.NAME] above it"
    if key in TABLES:
        return f"[{key}] belongs in {FILE_NAME}"
    unknown = f"unknown table {quoted(key)}"
    if isinstance(content, Mapping) and not FIELDS.keys().isdisjoint(content):
        return f"{unknown}; write [job_config.{quoted(key) if name_fault(key) else key}]"
    return unknown + nearest(key, [TABLE])


def _name_faults(source: FileSource, known: Mapping[str, FileSource]) -> Iterator[Fault]:
    fault = name_fault(source.name)
    if fault:
        yield fault
    first = known.get(source.name)
    if first:
        yield Fault((), f"this name is already used at {first.file}:{first.line}")


def _sensitive_names(table: Mapping[str, Any]) -> tuple[list[str], list[Fault]]:
    names = table.get(SENSITIVE, [])
    wanted = f"{SENSITIVE} must be an array of strings, keys and labels"
    if not isinstance(names, list):
        return [], [Fault((SENSITIVE,), f"{wanted}, not {type_name(names)}")]
    return [name for name in names if isinstance(name, str)], [
        Fault((SENSITIVE, index), f"{wanted}; this is {type_name(name)}")
        for index, name in enumerate(names)
        if not isinstance(name, str)
    ]


def _without_names(table: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in table.items() if key != SENSITIVE}


def _unknown_names(
    own: Mapping[str, Any], names: Sequence[str], params: Mapping[str, Any]
) -> Iterator[Fault]:
    labels = params.get("hyperparameters") or {}
    known = [*FIELDS, *labels]
    for index, name in enumerate(names if SENSITIVE in own else ()):
        if name not in known:
            message = f"{quoted(name)} is no key and no label of this job config"
            yield Fault((SENSITIVE, index), message + nearest(name, known))


def _is_own(own: Mapping[str, Any], path: FieldPath) -> bool:
    """Whether the value at ``path`` is the job config's own; a default's is told of there."""
    key, *rest = path
    if key not in own:
        return False
    labelled = _by_label(own[str(key)]) if key == "hyperparameters" else None
    return labelled is None or not rest or rest[0] in labelled


def merge(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """``own`` laid over ``defaults``; hyperparameters are merged by their labels."""
    merged = {**defaults, **own}
    above = _by_label(merged.get("hyperparameters"))
    if above is not None:
        below = _by_label(defaults.get("hyperparameters")) or {}
        merged["hyperparameters"] = {**below, **above}
    return merged


def _by_label(hyperparameters: object) -> Mapping[str, Any] | None:
    """``{label: value}`` of either form; None where it is missing, or broken and told of apart."""
    if isinstance(hyperparameters, Mapping):
        return hyperparameters
    if not isinstance(hyperparameters, list):
        return None
    labelled: dict[str, Any] = {}
    for item in hyperparameters:
        if not isinstance(item, Mapping) or set(item) != {"label", "value"}:
            return None
        label = item["label"]
        if not isinstance(label, str) or label in labelled:
            return None
        labelled[label] = item["value"]
    return labelled
