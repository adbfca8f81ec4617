"""Templates: ``[templates.NAME]`` tables of job files, that job configs ``use``. One level deep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from majobctl.job_config.directives import (
    RENAMED_FROM,
    SENSITIVE,
    Directives,
    without_directives,
)
from majobctl.job_config.fields import FIELDS, name_violation
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Layer
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.jobs.tables import TEMPLATES, USE
from majobctl.text import nearest, quoted

_OF_JOB_CONFIGS = (USE, MATRIX, NAME, RENAMED_FROM)


@dataclass(frozen=True, slots=True)
class Template:
    """``layer`` has its keys without its directives."""

    layer: Layer
    directives: Directives


def template_of(written: Layer) -> tuple[Template, list[Violation]]:
    """The template that a table describes. Its values are not checked here."""
    directives, violations = Directives.of(written.table)
    foreign = [key for key in _OF_JOB_CONFIGS if key in written.table]
    violations += [Violation((key,), f"{key} belongs in a job config") for key in foreign]
    if wrong_name := name_violation(written.name):
        violations.append(wrong_name)
    plain = without_directives(written.table)
    keys = {key: value for key, value in plain.items() if key not in foreign}
    return Template(replace(written, table=keys, size=len(repr(keys))), directives), violations


def template_used(
    table: Mapping[str, Any], templates: Mapping[str, Template]
) -> tuple[Template | None, list[Violation]]:
    """The template that a job config's table uses; None if it uses none, or one that is unknown."""
    if USE not in table:
        return None, []
    name = table[USE]
    if not isinstance(name, str):
        return None, [Violation((USE,), f"{USE} must be a template's name, not {type_name(name)}")]
    if name not in templates:
        written = quoted(name) if name_violation(name) else name
        hint = nearest(name, templates) or f"; write [{TEMPLATES}.{written}] in a job file"
        return None, [Violation((USE,), f"{USE}: no template {quoted(name)}{hint}")]
    return templates[name], []


def useless_secrets(
    names: Sequence[str], users: Sequence[JobConfig | None]
) -> tuple[list[Violation], list[Violation]]:
    """The ``sensitive`` names of a template, or of ``[defaults]``, that hide nothing in the job
    configs that have it (None for one that is not valid): those that look misspelt, and others."""
    found: tuple[list[Violation], list[Violation]] = ([], [])
    valid = [it for it in users if it]
    labels = {label for it in valid for label in it.params.get("hyperparameters", ())}
    for index, name in enumerate(names if len(valid) == len(users) > 0 else ()):
        if name not in FIELDS and name not in labels:
            hint = nearest(name, labels.difference(names))
            what = "is neither a key nor a label of a job config that has it from here"
            found[not hint].append(Violation((SENSITIVE, index), f"{quoted(name)} {what}{hint}"))
    return found
