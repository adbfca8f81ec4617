"""The config repository as a whole: its job files read, merged with the defaults, checked.

Every problem of every file is found in one run, each with its place. Nothing here knows of state,
plans or the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from majobctl.directives import (
    Directives,
    Place,
    Watched,
    unknown_secrets,
    without_directives,
)
from majobctl.errors import ConfigError, Problem, nearest, quoted
from majobctl.fields import (
    DATA_KEYS,
    FIELDS,
    RENAMED_FROM,
    Fault,
    is_blank,
    name_fault,
    secret_key_message,
)
from majobctl.fields import Path as FieldPath
from majobctl.interpolation import Interpolation, reference_alone
from majobctl.job_config import JobConfig, checked_values, request_params, rule_faults, type_name
from majobctl.job_files import job_files, unlisted_folders
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


def watched_places(
    root: Path,
) -> tuple[Settings, Mapping[str, Watched], Watched, Sequence[Problem]]:
    """The settings, what is watched of each job config and of one that no file describes, and the
    job files that cannot be read.

    No value is needed, so that an environment variable may be missing, or a rule be broken. Raises
    ConfigError where the settings are wrong.
    """
    settings, problems = read_settings(root)
    if problems:
        raise ConfigError(sorted(problems))
    reader = _Reader(settings, problems)
    reader.read_all()
    return settings, reader.watched, reader.watched_below, reader.unread


class _Reader:
    """Collects job configs, problems and warnings over all files."""

    def __init__(self, settings: Settings, problems: list[Problem]) -> None:
        self.job_configs: dict[str, JobConfig] = {}
        self.warnings: list[Problem] = []
        self._problems = problems
        self._settings = settings
        self._sources: dict[str, FileSource] = {}
        self.watched: dict[str, Watched] = {}
        self.unread: list[Problem] = []
        self._below, faults = Directives.of(settings.defaults)
        self._defaults = self._checked_defaults(faults)

    def _checked_defaults(self, faults: list[Fault]) -> Mapping[str, Any]:
        """The defaults as they are written; what is wrong with one is told here, once."""
        written = self._settings.defaults
        plain = without_directives(written)
        found = Interpolation.of(plain)
        faults += [*found.faults, *checked_values(found.values)[1]]
        if self._below.renamed_from:
            faults.append(Fault((RENAMED_FROM,), f"{RENAMED_FROM} stands in a job config only"))
        hidden = _HiddenPlaces(self._below.sensitive, found)
        ignored = self._below.ignored | self._settings.ignored
        self.watched_below = hidden.watched(ignored)
        self._tell(self._settings.file, ("defaults",), faults, written, hidden)
        return {key: value for key, value in plain.items() if not is_blank(value)}

    def read_all(self) -> None:
        self._problems += unlisted_folders(self._settings)
        for path, name in job_files(self._settings, self.warnings):
            self._read(path, name)
        self._check_renames()

    def _check_renames(self) -> None:
        taken: dict[str, str] = {}
        for name, config in self.job_configs.items():
            before = config.renamed_from
            if not before:
                continue
            if before in self._sources:
                wrong = f"{quoted(before)} is still there; take it out, or this line"
            elif before in taken:
                wrong = f"{quoted(before)} is where job_config.{taken[before]} comes from already"
            else:
                taken[before] = name
                continue
            file = self._sources[name].toml
            message = f"{RENAMED_FROM}: {wrong}"
            self._problems.append(_problem(file, (TABLE, name), (RENAMED_FROM,), message))

    def _read(self, path: Path, name: str) -> None:
        try:
            file = TomlFile.read(path, name)
        except ConfigError as error:
            self._problems += error.problems
            self.unread += error.problems
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
        directives, faults = Directives.of(own)
        faults += _name_faults(source, self._sources)
        self._sources.setdefault(source.name, source)
        whole = directives.over(self._below)
        merged = merge(self._defaults, without_directives(own))
        found = Interpolation.of(merged)
        params, value_faults = checked_values(found.values)
        value_faults += found.faults
        faults += (fault for fault in value_faults if _is_own(own, fault.path))
        faults += (self._with_origin(own, fault) for fault in rule_faults(found.values, params))
        faults += unknown_secrets(own, directives.sensitive, params)
        hidden = _HiddenPlaces(whole.sensitive, found)
        self.watched[source.name] = hidden.watched(whole.ignored | self._settings.ignored)
        if faults or len(value_faults):
            self._tell(source.toml, (TABLE, source.name), faults, own, hidden)
            return
        self._warn(source, own, params)
        params = request_params(params)
        self.job_configs[source.name] = JobConfig(
            source.name,
            params,
            source,
            hidden.of(params, merged),
            frozenset(whole.sensitive),
            self.watched[source.name].ignored,
            bool(whole.prevent_delete),
            whole.renamed_from,
        )

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

    def watched(self, ignored: frozenset[Place]) -> Watched:
        return Watched(ignored, self._names, frozenset(self._from_environment))

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
