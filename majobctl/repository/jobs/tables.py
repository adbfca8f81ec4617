"""The tables of a job file: ``[job_config.NAME]`` and ``[templates.NAME]``, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from majobctl.job_config.checks import holds_keys
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS, name_violation
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Layer
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.settings.checks import TABLES
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, printable, quoted

JOB_CONFIG = "job_config"
TEMPLATES = "templates"
USE = "use"
KEYS = frozenset({*FIELDS, *DIRECTIVES, USE, MATRIX, NAME})
"""Every key of a job config."""


def named_tables(file: TomlFile, kind: str) -> Iterator[tuple[Layer, list[Violation]]]:
    """The tables ``[kind.NAME]`` of ``file``; with a violation for what is not a table."""
    tables = file.data.get(kind, {})
    if not isinstance(tables, Mapping):
        message = f"must be tables, [{kind}.NAME], not {type_name(tables)}"
        yield Layer(file, (kind,), {}), [Violation((), message)]
        return
    for name, table in tables.items():
        if isinstance(table, dict):
            yield Layer(file, (kind, name), table), []
            continue
        message = f"must be a table, [{kind}.NAME], not {type_name(table)}"
        if kind == JOB_CONFIG and name in FIELDS:
            message = "a job config needs a name; write [job_config.NAME] above its keys"
        yield Layer(file, (kind, name), {}), [Violation((), message)]


def misplaced_labels(layers: Sequence[Layer]) -> list[Violation]:
    """A violation for each key of a job config that was written below the header of its
    hyperparameters, where it would be a label. A label that is written as a string is meant."""
    found = []
    for layer in layers:
        labels = layer.table.get("hyperparameters")
        if not isinstance(labels, dict) or KEYS.isdisjoint(labels):
            continue
        for key in KEYS & labels.keys():
            path = ("hyperparameters", key)
            if next(it for it in layers if it.has(path)) is layer:
                table = printable(".".join(map(str, layer.prefix)))
                message = (
                    f"{key} is a key of [{table}], not a hyperparameter; move it there, or, for a"
                    f" label, write hyperparameters = [{{label = {quoted(key)}, value = ...}}]"
                )
                found.append(Violation(path, message))
    return found


def dotted_names(layer: Layer) -> Iterator[Violation]:
    """A violation for each table whose name has a dot, and so is inside another one."""
    for key, content in layer.table.items() if len(layer.prefix) == 2 else ():
        if key in KEYS or not holds_keys(content):
            continue
        parts = [layer.name, key]
        while FIELDS.keys().isdisjoint(content):
            ((part, content),) = content.items()
            parts.append(part)
        name = "-".join(parts)
        hint = "" if name_violation(name) else f"; write [{layer.prefix[0]}.{name}]"
        message = f"a name cannot have a dot, as {quoted('.'.join(parts))} has{hint}"
        yield Violation((key,), message)


def foreign_tables(file: TomlFile) -> list[Violation]:
    """A violation for each key at the top of ``file`` that does not belong there."""
    return [
        Violation((key,), secret_key_message(key) or _foreign_message(key, content))
        for key, content in file.data.items()
        if key not in (JOB_CONFIG, TEMPLATES)
    ]


def _foreign_message(key: str, content: object) -> str:
    if key in KEYS:
        if isinstance(content, Mapping):
            return f"{key} is outside a job config; write [job_config.NAME.{key}]"
        return f"{key} is outside a table; write [job_config.NAME] above it"
    if key in TABLES:
        return f"[{key}] belongs in {FILE_NAME}"
    kind = "table" if isinstance(content, (Mapping, list)) else "key"
    unknown = f"unknown {kind} {quoted(key)}"
    if isinstance(content, Mapping) and not FIELDS.keys().isdisjoint(content):
        return f"{unknown}; write [job_config.{quoted(key) if name_violation(key) else key}]"
    return unknown + nearest(key, [JOB_CONFIG, TEMPLATES])
