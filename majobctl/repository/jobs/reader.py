"""The config repository as a whole: its job files read, merged with the defaults, checked.

Every problem of every file is found in one run, each with its place. Nothing here knows of state,
plans or the service.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.checks import checked_values, rule_violations
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.directives import (
    DIRECTIVES,
    RENAMED_FROM,
    Directives,
    unknown_secrets,
    without_directives,
)
from majobctl.job_config.fields import DATA_KEYS, FIELDS, name_fault
from majobctl.job_config.job_config import JobConfig, request_params
from majobctl.job_config.secrets import place_of, secret_key_message, value_at
from majobctl.job_config.values import is_blank, type_name
from majobctl.job_config.violations import Path as FieldPath
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.files import job_files, unlisted_folders
from majobctl.repository.jobs.layers import Layer, Origin, merged
from majobctl.repository.jobs.matrix import MATRIX, NAME, Combination, combinations, without_matrix
from majobctl.repository.jobs.references import Interpolation, reference_alone
from majobctl.repository.jobs.templates import TABLE as TEMPLATES
from majobctl.repository.jobs.templates import USE, Template, Templates
from majobctl.repository.settings.settings import FILE_NAME, TABLES, Settings
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, quoted

TABLE = "job_config"
_OTHER_KEYS = frozenset({*DIRECTIVES, USE, MATRIX, NAME})
"""The keys of a job config that are no parameters."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """What the job configs of one table share: its directives, those laid over what is below, what
    these watch, and whether nothing is wrong with the table as a whole."""

    own: Directives
    whole: Directives
    watched: ComparePolicy
    is_whole: bool = True
    lacks_template: bool = False


class _Reader:
    """Collects job configs, problems and warnings over all files."""

    def __init__(self, settings: Settings, problems: list[Problem]) -> None:
        self.job_configs: dict[str, JobConfig] = {}
        self.warnings: list[Problem] = []
        self.watched: dict[str, ComparePolicy] = {}
        self.unread: list[Problem] = []
        self.unmatched: list[Problem] = []
        self._problems = problems
        self._settings = settings
        self._references = settings.references
        self._sources: dict[str, Origin] = {}
        self._templates = Templates()
        self._below, faults = Directives.of(settings.defaults)
        written = without_directives(settings.defaults)
        if self._below.renamed_from:
            faults.append(Violation((RENAMED_FROM,), f"{RENAMED_FROM} stands in a job config only"))
        layer = Layer(settings.file, ("defaults",), written)
        self._problems += [layer.problem(fault.path, fault.text()) for fault in faults]
        self.default_policy = self._check_alone(layer, self._below)
        none = Directives()
        whole = none.over(self._below)
        self._plain = _Frame(none, whole, self._watched(whole))
        kept = {key: value for key, value in written.items() if not is_blank(value)}
        self._defaults = Layer(settings.file, ("defaults",), kept)

    def _check_alone(self, layer: Layer, directives: Directives) -> ComparePolicy:
        """Tells what is wrong with the values of defaults, or of a template, whoever has them."""
        found = Interpolation.of(layer.table, self._references)
        watched = self._watched(directives, found.from_environment)
        # A matrix's values are known only where the table is used.
        for fault in [*found.faults, *checked_values(found.values)[1]]:
            if fault.path not in found.open:
                self._problems.append(layer.problem(fault.path, fault.text(watched.is_secret)))
        return watched

    def _watched(self, directives: Directives, secret: Iterable[FieldPath] = ()) -> ComparePolicy:
        """What is watched where values at the ``secret`` paths come from the environment."""
        ignored = directives.ignored | self._settings.ignored
        return ComparePolicy(
            ignored, frozenset(directives.sensitive), frozenset(map(place_of, secret))
        )

    def read_all(self) -> None:
        self._problems += unlisted_folders(self._settings)
        files = [
            file
            for path, name in job_files(self._settings, self.unmatched)
            if (file := self._read(path, name)) is not None
        ]
        self.warnings += self.unmatched
        self._templates = Templates.of(files)
        self._problems += self._templates.problems
        for template in self._templates.found.values():
            self._check_alone(template.layer, template.directives.over(self._below))
        for file in files:
            self._read_tables(file)
        self._check_renames()

    def _check_renames(self) -> None:
        taken: dict[str, str] = {}
        for name, config in self.job_configs.items():
            before = config.renamed_from
            if not before:
                continue
            if before == name:
                wrong = "that is its own name"
            elif before in self._sources:
                wrong = f"{quoted(before)} is still there; take it out, or this line"
            elif before in taken:
                wrong = f"{quoted(before)} is where job_config.{taken[before]} comes from already"
            else:
                taken[before] = name
                continue
            own = self._sources[name].own
            self._problems.append(own.problem((RENAMED_FROM,), f"{RENAMED_FROM}: {wrong}"))

    def _read(self, path: Path, name: str) -> TomlFile | None:
        try:
            return TomlFile.read(path, name)
        except ConfigError as error:
            self._problems += error.problems
            self.unread += error.problems
            return None

    def _read_tables(self, file: TomlFile) -> None:
        self._problems += _foreign_tables(file)
        tables = file.data.get(TABLE, {})
        if not isinstance(tables, Mapping):
            message = f"must be tables, [job_config.NAME], not {type_name(tables)}"
            self._problems.append(Problem(file.name, file.line_of((TABLE,)), 0, TABLE, message))
            return
        for label, table in tables.items():
            self._read_table(file, label, table)

    def _read_table(self, file: TomlFile, label: str, table: object) -> None:
        if not isinstance(table, dict):
            message = f"must be a table, [job_config.NAME], not {type_name(table)}"
            if label in FIELDS:
                message = "a job config has a name; write [job_config.NAME] above its keys"
            self._problems.append(Layer(file, (TABLE, label), {}).problem((), message))
            return
        if _OTHER_KEYS.isdisjoint(table):
            # Most are: nothing is to be made of them first.
            source = Origin((Layer(file, (TABLE, label), table), self._defaults))
            self._read_config(Combination(label, table), source, self._plain)
            return
        plain = without_directives(table)
        used = self._templates.used_by(plain)
        plain.pop(USE, None)
        found, unmade = combinations(label, plain)
        directives, faults = Directives.of(table)
        template = used if isinstance(used, Template) else None
        inherited = template.directives.over(self._below) if template else self._below
        whole = directives.over(inherited)
        if found and MATRIX in plain:
            shown = list(_secrets_in_names(plain, whole.sensitive))
            # Nothing may be told of such names, not even that they are wrong.
            found, unmade = ([] if shown else found), [*unmade, *shown]
        if isinstance(used, Violation):
            unmade.append(used)
        self._tell(Layer(file, (TABLE, label), table), faults, unmade)
        if not found:
            alone = Layer(file, (TABLE, label), without_matrix(plain))
            self._check_alone(alone, whole)
        is_whole = not (faults or unmade)
        lacks_template = isinstance(used, Violation)
        frame = _Frame(directives, whole, self._watched(whole), is_whole, lacks_template)
        below = (template.layer, self._defaults) if template else (self._defaults,)
        for combination in found:
            own = Layer(file, (TABLE, label), combination.table)
            at = (MATRIX,) if combination.values else ()
            self._read_config(combination, Origin((own, *below), at, combination.varied), frame)

    def _tell(self, table: Layer, faults: Sequence[Violation], unmade: Sequence[Violation]) -> None:
        """``unmade`` are those that leave open what the table stands for."""
        self._problems += [table.problem(fault.path, fault.text()) for fault in faults]
        untold = [table.problem(fault.path, fault.text()) for fault in unmade]
        self._problems += untold
        self.unread += untold

    def _read_config(self, combination: Combination, source: Origin, frame: _Frame) -> None:
        name, whole = combination.name, frame.whole
        faults = _name_faults(combination, source, self._sources)
        self._sources.setdefault(name, source)
        table = merged(source.layers)
        values, found, watched = table, None, frame.watched
        if source.may_refer:
            texts = self._references
            if combination.values:
                texts = {**texts, **combination.references}
            secrets = {f"matrix.{key}" for key in combination.values if key in whole.sensitive}
            found = Interpolation.of(table, texts, secrets)
            values = found.values
            if found.from_environment:
                watched = self._watched(whole, found.from_environment)
        params, value_faults = checked_values(values)
        if found:
            faults += [fault for fault in value_faults if fault.path not in found.open]
            for fault in found.faults:
                # No matrix: that is the job config's fault, not that of the table below it.
                faults.append(_with_origin(source, fault) if fault.path in found.open else fault)
        else:
            faults += value_faults
        if not frame.lacks_template:
            faults += [_with_origin(source, fault) for fault in rule_violations(values, params)]
            faults += unknown_secrets(frame.own.sensitive, params)
        self.watched[name] = watched
        for fault in faults:
            self._problems.append(source.problem(fault.path, fault.text(watched.is_secret)))
        if faults or not frame.is_whole:
            return
        self._warn(source, params)
        params = request_params(params)
        self.job_configs[name] = JobConfig(
            name,
            params,
            source,
            _secrets(watched, params, table),
            watched,
            bool(whole.prevent_delete),
            whole.renamed_from,
        )

    def _warn(self, source: Origin, params: Mapping[str, Any]) -> None:
        if DATA_KEYS.isdisjoint(params):
            message = "no data: set inputs, dataset_id and dataset_version_id, or data_source"
            self.warnings.append(source.problem((), message))
        if "job_description" in params:
            message = "job_description is in no request: changing it alone changes nothing"
            self.warnings.append(source.problem(("job_description",), message))


def _with_origin(source: Origin, fault: Violation) -> Violation:
    """A fault between two keys, told at the job config's own key, naming the other's origin."""
    own = source.own.table
    keys = [str(fault.path[0]) if fault.path else "", fault.with_key]
    origins = {
        key: layer.place_of((key,))
        for key in keys
        for layer in reversed(source.layers[1:])
        if key and key not in own and key in layer.table
    }
    if not origins:
        return fault
    path = fault.path if keys[0] in own else (keys[1],) if keys[1] in own else ()
    told = " and ".join(f"{key} comes from {place}" for key, place in origins.items())
    left_out = next((key for key in origins if not FIELDS[key].required), "")
    hint = f'({told}; `{left_out} = ""` here leaves it out)' if left_out else f"({told})"
    return replace(fault, path=path, hint=hint)


def _secrets(
    watched: ComparePolicy, params: Mapping[str, Any], written: Mapping[str, Any]
) -> Mapping[FieldPath, Any]:
    """The secret places of ``params``, each with its text where that names variables."""
    if not watched.secret_names and not watched.secret_places:
        return {}
    places: list[FieldPath] = [(key,) for key in params if key != "hyperparameters"]
    places += (("hyperparameters", label) for label in params.get("hyperparameters", ()))
    return {
        place: None if watched.names(place) else reference_alone(value_at(written, place))
        for place in places
        if watched.is_secret(place)
    }


def _secrets_in_names(table: Mapping[str, Any], secret: Sequence[str]) -> Iterator[Violation]:
    """A fault for each sensitive value that the names of a matrix would show everywhere."""
    for key in table[MATRIX]:
        is_secret = key in secret or (key not in FIELDS and "hyperparameters" in secret)
        if is_secret and f"{{{key}}}" in str(table[NAME]):
            shown = quoted(f"{{{key}}}")
            yield Violation(
                (NAME,), f"{NAME}: {shown} is sensitive, and names are shown everywhere"
            )


def _foreign_tables(file: TomlFile) -> Iterator[Problem]:
    for key, content in file.data.items():
        if key not in (TABLE, TEMPLATES):
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
    return unknown + nearest(key, [TABLE, TEMPLATES])


def _name_faults(
    combination: Combination, source: Origin, known: Mapping[str, Origin]
) -> list[Violation]:
    faults = []
    which = f"{quoted(combination.name)}: " if source.at else ""
    fault = name_fault(combination.name)
    if fault:
        faults.append(replace(fault, message=which + fault.message))
    first = known.get(combination.name)
    if first:
        message = f"{which}this name is already used at {first.file}:{first.line}"
        faults.append(Violation((), message))
    return faults
