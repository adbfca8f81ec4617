"""Reads a seed: the job configs that the emulator's cloud starts with, as the service has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from majobctl.emulator import catalog, checks
from majobctl.emulator.errors import Refusal
from majobctl.errors import ConfigError
from majobctl.job_config.checks import checked_values
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.rules import RULES, Needs
from majobctl.job_config.values import wrong_type
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.references import resolve
from majobctl.repository.toml.file import TomlFile
from majobctl.service.catalog import Catalog
from majobctl.service.codec import rest_body

_LISTS = {
    "flavors": catalog.list_flavors("train"),
    "engines": catalog.list_engines("train"),
    "algorithms": catalog.list_algorithms(),
}
_CATALOG = Catalog(lambda name: (_LISTS[name], True))
_ROOT = "job_config"


def read_seed(path: Path, name: str = "") -> list[tuple[str, dict[str, Any]]]:
    """The name and the REST fields of each [job_config.NAME] in a file, which messages call
    ``name``. The rules are the service's own, which wants less than a job file's. Raises
    ConfigError with every problem."""
    file = TomlFile.read(path, name or str(path))
    unknown = [key for key in file.data if key != _ROOT]
    found = [Violation((key,), f"{key}: a seed has [job_config.NAME] only") for key in unknown]
    tables, configs = file.data.get(_ROOT, {}), []
    if not isinstance(tables, Mapping):
        found.append(Violation((_ROOT,), wrong_type(_ROOT, "a table", tables)))
        tables = {}
    for config_name, table in tables.items():
        fields, wrong = _fields_of(config_name, table)
        configs.append((config_name, fields))
        found += (replace(it, path=(_ROOT, config_name, *(it.path or ("",)))) for it in wrong)
    if found:
        raise ConfigError(sorted(map(file.problem, found)))
    return configs


def _fields_of(name: str, table: object) -> tuple[dict[str, Any], list[Violation]]:
    if not isinstance(table, Mapping):
        return {}, [Violation((), wrong_type(name, "a table", table))]
    resolved, violations = resolve({key: table[key] for key in table if key != "sensitive"})
    text = "a seed has values only, and no ${env.NAME}"
    violations += (Violation(path, text) for path in resolved.secret_paths)
    if violations:
        return {}, violations
    params, violations = checked_values(resolved.values)
    needs = (rule for rule in RULES if isinstance(rule, Needs))
    violations += (it for rule in needs for it in rule.violations(params))
    if violations:
        return {}, violations
    try:
        checks.check_name(name)
        return checks.effective(checks.read_fields(rest_body(params, _CATALOG))), []
    except Refusal as refusal:
        keys = [key for key, field in FIELDS.items() if field.rest == refusal.field]
        return {}, [Violation((*keys[:1],), ": ".join([*keys[:1], refusal.message]))]
    except ConfigError as error:
        return {}, [Violation((), problem.message) for problem in error.problems]
