"""Templates: ``[templates.NAME]`` tables of job files, that job configs ``use``. One level deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.errors import Problem
from majobctl.job_config.directives import RENAMED_FROM, Directives, without_directives
from majobctl.job_config.fields import name_fault
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Layer
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, quoted

TABLE = "templates"
USE = "use"
_OF_JOB_CONFIGS = (USE, MATRIX, NAME, RENAMED_FROM)


@dataclass(frozen=True, slots=True)
class Template:
    """Its keys, and its directives."""

    layer: Layer
    directives: Directives


@dataclass(slots=True)
class Templates:
    """The templates of all job files by name. ``problems`` are of the tables as wholes; what is
    wrong with a value is told apart."""

    found: dict[str, Template] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def of(cls, files: Iterable[TomlFile]) -> Templates:
        result = cls()
        for file in files:
            tables = file.data.get(TABLE, {})
            if not isinstance(tables, Mapping):
                message = f"must be tables, [{TABLE}.NAME], not {type_name(tables)}"
                result.problems.append(
                    Problem(file.name, file.line_of((TABLE,)), 0, TABLE, message)
                )
                continue
            for name, table in tables.items():
                result._add(file, name, table)
        return result

    def _add(self, file: TomlFile, name: str, table: object) -> None:
        prefix = (TABLE, name)
        if not isinstance(table, Mapping):
            message = f"must be a table, [{TABLE}.NAME], not {type_name(table)}"
            self.problems.append(Layer(file, prefix, {}).problem((), message))
            return
        directives, faults = Directives.of(table)
        plain = without_directives(table)
        layer = Layer(file, prefix, {k: v for k, v in plain.items() if k not in _OF_JOB_CONFIGS})
        for key in _OF_JOB_CONFIGS:
            if key in table:
                faults.append(Violation((key,), f"{key} stands in a job config only"))
        wrong_name = name_fault(name)
        if wrong_name:
            faults.append(wrong_name)
        if name in self.found:
            first = self.found[name].layer.place_of(())
            faults.append(Violation((), f"this template's name is already used at {first}"))
        self.problems += [layer.problem(fault.path, fault.text()) for fault in faults]
        self.found.setdefault(name, Template(layer, directives))

    def used_by(self, table: Mapping[str, Any]) -> Template | Violation | None:
        """The template that a job config uses; None where it uses none."""
        name = table.get(USE)
        if USE not in table:
            return None
        if not isinstance(name, str):
            return Violation((USE,), f"{USE} must be a template's name, not {type_name(name)}")
        if name not in self.found:
            written = quoted(name) if name_fault(name) else name
            hint = nearest(name, self.found) or f"; write [{TABLE}.{written}] in a job file"
            return Violation((USE,), f"{USE}: no template {quoted(name)}{hint}")
        return self.found[name]
