"""From the tables of job files to job configs: a pipeline of pure steps, one table at a time.

    parse     the tables [job_config.NAME] and [templates.NAME] of a file    tables.py
    expand    the template that a table uses, its matrix's combinations      templates.py, matrix.py
    merge     its own keys over the template's over [defaults]               layers.py, unwanted.py
    resolve   ${env.NAME}, ${var.NAME}, ${matrix.KEY}                        references.py
    check     each value by itself, then the rules between keys              job_config/checks.py
    build     the JobConfig, its secrets and its compare policy
    name      each name is valid and unique, each former name is right       names.py

``config.py`` reads the files before, and gives each violation its file and line afterwards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from majobctl.job_config.checks import checked_values, rule_violations
from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.directives import (
    NOT_OF_DEFAULTS,
    Directives,
    unknown_secrets,
    without_directives,
)
from majobctl.job_config.fields import DATA_KEYS, FIELDS
from majobctl.job_config.job_config import JobConfig, request_params, unsent
from majobctl.job_config.secrets import place_of, secret_warnings, value_at
from majobctl.job_config.values import is_blank
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs import tables
from majobctl.repository.jobs.layers import Layer, Origin, merged
from majobctl.repository.jobs.matrix import MATRIX, combinations, filled, without_matrix
from majobctl.repository.jobs.names import broken_renames, with_valid_names
from majobctl.repository.jobs.readings import Reading, within_bounds
from majobctl.repository.jobs.references import reference_alone, resolve, with_reference
from majobctl.repository.jobs.templates import Template, template_of, template_used, useless_secrets
from majobctl.repository.jobs.unwanted import check_unwanted, without_unset
from majobctl.repository.settings.settings import Settings
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath

_OTHER_KEYS = tables.KEYS - FIELDS.keys()
"""The keys of a job config that are not parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContext:
    """What the job configs of one table share: ``[defaults]``, the chosen environment, the texts of
    the variables, its directives over those below. A table that ``lacks_template`` may have other
    keys, so that no rule between keys is checked."""

    defaults: Layer
    texts: Mapping[str, str]
    effective: Directives
    policy: ComparePolicy
    environment: str
    own_sensitive: tuple[str, ...] = ()
    is_valid: bool = True
    lacks_template: bool = False


def read_job_files(settings: Settings, files: Sequence[TomlFile]) -> list[Reading]:
    """Everything that ``[defaults]`` of the settings, which come first, and ``files`` describe."""
    context, defaults = _read_defaults(settings)
    templates, readings = _read_templates(files, context)
    readings += within_bounds(_readings(files, templates, context))
    readings = list(with_valid_names(readings, settings.values["jobs"]["max_name_length"]))
    for shared in (*templates.values(), Template(context.defaults, context.effective)):
        if names := shared.directives.sensitive:
            prefix, origin = shared.layer.prefix, Origin((shared.layer,))
            found = (it for it in readings if it.name and it.origin.is_over(prefix))
            wrong, doubtful = useless_secrets(names, [it.job_config for it in found])
            readings.append(Reading(origin=origin, violations=wrong, warnings=doubtful))
    return [defaults, *readings, *broken_renames(readings)]


def _readings(
    files: Iterable[TomlFile], templates: Mapping[str, Template], context: TableContext
) -> Iterator[Reading]:
    for file in files:
        top = Origin((Layer(file, (), file.data),))
        yield Reading(origin=top, violations=tables.foreign_tables(file))
        for layer, violations in tables.named_tables(file, tables.JOB_CONFIG):
            if violations:
                yield Reading(origin=Origin((layer,)), violations=violations)
            elif _OTHER_KEYS.isdisjoint(layer.table):
                # Most tables: there is nothing to expand.
                yield _read_job_config(layer.name, Origin((layer, context.defaults)), context)
            else:
                yield from _read_table(layer, templates, context)


def _read_table(
    layer: Layer, templates: Mapping[str, Template], plain: TableContext
) -> Iterator[Reading]:
    """Expands a table with directives, a template or a matrix, and reads each job config of it."""
    own, violations = Directives.of(layer.table)
    written = without_directives(layer.table)
    template, wrong_template = template_used(written, templates)
    below = template.directives.over(plain.effective) if template else plain.effective
    effective = own.over(below)
    written.pop(tables.USE, None)
    expanded, wrong_matrix = combinations(
        layer.name, written, effective.sensitive, own.renamed_from
    )
    unexpanded = [*wrong_template, *wrong_matrix]
    under = template.layer.table if template else None if wrong_template else {}
    useless = check_unwanted(own, written, under, plain.defaults.file, violations)
    yield Reading(
        origin=Origin((layer,)),
        violations=violations,
        expansion_violations=unexpanded,
        warnings=useless,
    )
    elsewhere = not effective.holds_in(plain.environment)
    if elsewhere or not expanded:
        alone = replace(layer, table=without_matrix(written))
        yield _read_alone(alone, effective, plain, elsewhere=elsewhere)
    context = replace(
        plain,
        effective=effective,
        policy=_policy(effective),
        own_sensitive=own.sensitive,
        is_valid=not (violations or unexpanded),
        lacks_template=bool(wrong_template),
    )
    layers_below: Sequence[Layer] = (plain.defaults,)
    if template:
        layers_below = (template.layer, *without_unset(layers_below, template.directives))
    layers_below = without_unset(layers_below, own)
    size = len(repr(without_matrix(written))) if MATRIX in layer.table else 0
    for combination in expanded:
        varied = size and size + sum(map(len, combination.texts.values()))
        layers = (replace(layer, table=combination.table, size=varied), *layers_below)
        origin = Origin(layers, (MATRIX,) if combination.texts else (), combination.places)
        if elsewhere:
            yield Reading(origin=origin, name=combination.name, elsewhere=True)
            continue
        yield _read_job_config(combination.name, origin, context, combination.texts)


def _read_job_config(
    name: str, origin: Origin, context: TableContext, matrix_texts: Mapping[str, str] | None = None
) -> Reading:
    """Merges, resolves, checks and builds one job config."""
    effective, policy = context.effective, context.policy
    written = values = merged(origin.layers)
    violations: list[Violation] = []
    matrix_paths: Collection[KeyPath] = ()
    size = sum([layer.size for layer in origin.layers])
    if origin.may_refer:
        secrets = [f"{MATRIX}.{key}" for key in effective.sensitive]
        texts = {**context.texts, **matrix_texts} if matrix_texts else context.texts
        resolved, unresolved = resolve(written, texts, secrets)
        values, matrix_paths = resolved.values, resolved.matrix_paths
        size += resolved.added
        # The job config lacks the matrix, not the table below it that needs one.
        violations += [origin.explained(it) if it.path in matrix_paths else it for it in unresolved]
        if resolved.secret_paths:
            policy = _policy(effective, resolved.secret_paths)
    params, wrong = checked_values(values)
    if matrix_paths:
        wrong = [item for item in wrong if item.path not in matrix_paths]
    wrong = [with_reference(item, written) for item in wrong]
    violations += _with_misplaced(origin, wrong)
    if not context.lacks_template:
        violations += map(origin.explained, rule_violations(values, params))
        violations += unknown_secrets(context.own_sensitive, params)
    if violations or not context.is_valid:
        return Reading(origin, policy, name, violations=violations, size=size)
    sent = request_params(params)
    job_config = JobConfig(
        name,
        sent,
        source=origin,
        sensitive=_secrets(policy, sent, written),
        policy=policy,
        prevent_delete=bool(effective.prevent_delete),
        renamed_from=effective.renamed_from and filled(effective.renamed_from, matrix_texts or {}),
        unsent={it: params[it] for it in params if it not in sent} if sent is not params else {},
    )
    warnings = [*_warnings(params, sent), *secret_warnings(params, job_config.sensitive)]
    return Reading(origin, policy, name, job_config, warnings=warnings, size=size)


def _secrets(
    policy: ComparePolicy, params: Mapping[str, Any], written: Mapping[str, Any]
) -> Mapping[KeyPath, Any]:
    """The secret places of ``params``, each with its text if that names a variable alone."""
    if not policy.secret_names and not policy.secret_places:
        return {}
    return {
        place: None if policy.names(place) else reference_alone(value_at(written, place))
        for place in policy.hidden(params)
        if value_at(params, place) is not None
    }


def _warnings(params: Mapping[str, Any], sent: Mapping[str, Any]) -> Iterator[Violation]:
    if DATA_KEYS.isdisjoint(params):
        message = "no data: set inputs, dataset_id and dataset_version_id, or data_source"
        yield Violation((), message)
    for field in unsent(params) if sent is not params else ():
        other = f" with {field.unless}" if field.unless else ""
        message = f"{field.name} is never sent{other}: changing it alone has no effect"
        yield Violation((field.name,), message)


def _read_defaults(settings: Settings) -> tuple[TableContext, Reading]:
    """The context of a table without directives or a template, and ``[defaults]`` checked."""
    directives, violations = Directives.of(settings.defaults)
    foreign = [it for it in NOT_OF_DEFAULTS if settings.defaults.get(it)]
    violations += [Violation((key,), f"{key} belongs in a job config") for key in foreign]
    written = Layer(settings.file, ("defaults",), without_directives(settings.defaults))
    set_values = {key: value for key, value in written.table.items() if not is_blank(value)}
    ignored = directives.ignored | settings.ignored
    effective = replace(directives, ignored=ignored, renamed_from="", unset={}, environments={})
    defaults = replace(written, table=set_values, size=len(repr(set_values)))
    policy, texts = _policy(effective), settings.references
    context = TableContext(
        defaults=defaults,
        texts=texts,
        effective=effective,
        policy=policy,
        environment=settings.environment,
    )
    return context, _read_alone(written, effective, context, violations)


def _read_templates(
    files: Iterable[TomlFile], context: TableContext
) -> tuple[Mapping[str, Template], list[Reading]]:
    templates: dict[str, Template] = {}
    readings: list[Reading] = []
    for layer, violations in (
        found for file in files for found in tables.named_tables(file, tables.TEMPLATES)
    ):
        if not violations:
            template, violations = template_of(layer)
            first = templates.setdefault(layer.name, template)
            if first is template:
                own, file = template.layer.table, context.defaults.file
                useless = check_unwanted(template.directives, own, {}, file, violations)
                readings.append(Reading(origin=Origin((layer,)), warnings=useless))
                effective = template.directives.over(context.effective)
                readings.append(_read_alone(template.layer, effective, context, violations))
                continue
            message = f"this template's name is already used at {first.layer.place_of(())}"
            violations.append(Violation((), message))
        readings.append(Reading(origin=Origin((layer,)), violations=violations))
    return templates, readings


def _read_alone(
    layer: Layer,
    effective: Directives,
    context: TableContext,
    violations: Iterable[Violation] = (),
    *,
    elsewhere: bool = False,
) -> Reading:
    """Checks the values of a table that is not a job config, without the rules between keys. One
    for an environment ``elsewhere`` may have that one's variables."""
    resolved, unresolved = resolve(layer.table, {} if elsewhere else context.texts)
    _, wrong = checked_values(resolved.values)
    # Only a job config that uses the table knows its matrix.
    unknown = {*resolved.matrix_paths, *(it.path for it in unresolved if elsewhere)}
    wrong = [with_reference(item, layer.table) for item in wrong]
    found = [item for item in (*unresolved, *wrong) if item.path not in unknown]
    policy, origin = _policy(effective, resolved.secret_paths), Origin((layer,))
    violations = [*violations, *_with_misplaced(origin, found)]
    return Reading(origin=origin, policy=policy, violations=violations)


def _with_misplaced(origin: Origin, wrong: list[Violation]) -> list[Violation]:
    found = {item.path: item for item in tables.misplaced_labels(origin.layers)}
    if wrong:
        found |= {item.path: item for item in tables.dotted_names(origin.own)}
    others = [item for item in wrong if item.path not in found] if found else wrong
    return [*found.values(), *others]


def _policy(effective: Directives, secret: Iterable[KeyPath] = ()) -> ComparePolicy:
    names, places = frozenset(effective.sensitive), frozenset(map(place_of, secret))
    return ComparePolicy(ignored=effective.ignored, secret_names=names, secret_places=places)
