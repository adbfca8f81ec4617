"""The values of ``${var.NAME}``: from the settings, the environment, files and options.

Later ones win: ``[variables]``, the chosen environment's, ``MAJOBCTL_VAR_NAME``, ``--var-file``,
``--var``. Where they are used is not known here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import CONTROL_CHARACTER, hyperparameter_text, type_name
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, printable, quoted

PREFIX = "MAJOBCTL_VAR_"
TABLE = "variables"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Variable:
    """The text of a variable, and where it comes from: ``majobctl.toml:12``, ``--var``."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line says: an environment's name, ``NAME=VALUE`` texts, names of files."""

    environment: str = ""
    values: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


NO_OVERRIDES = Overrides()


def declared_variables(file: TomlFile, problems: list[Problem]) -> dict[str, Variable]:
    """The variables of the settings; what is wrong with one is added to ``problems``."""
    table = file.data.get(TABLE, {})
    if not isinstance(table, Mapping):
        message = f"{TABLE} must be a table, not {type_name(table)}"
        problems.append(Problem(file.name, file.line_of((TABLE,)), 0, "", message))
        return {}
    return dict(_read(table, file, (TABLE,), problems))


def _read(
    table: Mapping[str, Any], file: TomlFile, prefix: tuple[str, ...], problems: list[Problem]
) -> Iterator[tuple[str, Variable]]:
    for name, value in table.items():
        line = file.line_of((*prefix, name))
        fault = _fault(name, value)
        if fault:
            problems.append(Problem(file.name, line, 0, ".".join(prefix), fault))
        text = hyperparameter_text(value)
        yield name, Variable(text or "", f"{file.name}:{line}")


def _fault(name: str, value: object) -> str:
    secret = secret_key_message(name)
    if secret:
        return secret
    if not NAME.fullmatch(name):
        wanted = "a letter or _, then letters, digits, _ and -"
        return f"{quoted(name)} cannot be a variable's name: {wanted}"
    text = hyperparameter_text(value)
    if text is None:
        is_large = isinstance(value, int) and not isinstance(value, bool)
        wanted = "a string, an integer, a float or a boolean"
        return f"{name} must {'fit in 64 bits' if is_large else f'be {wanted}'}"
    return _text_fault(name, text)


def _text_fault(name: str, text: str) -> str:
    if "${" in text:
        return f"{name}: a variable's value cannot have a reference; write it in the job config"
    if CONTROL_CHARACTER.search(text):
        return f"{name} must not have a control character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{name} must be Unicode text"
    return ""


def with_overrides(
    declared: Mapping[str, Variable], overrides: Overrides
) -> Mapping[str, Variable]:
    """``declared`` with what the environment, files and options say in their place.

    A variable of the environment that is not declared is passed over. Raises ConfigError for a
    file that is wrong, MajobctlError for an option that is; both must name declared variables.
    """
    variables = dict(declared)
    for name in declared:
        text = os.environ.get(PREFIX + name)
        if text is not None:
            variables[name] = _checked(name, text, PREFIX + name)
    for file_name in overrides.files:
        variables |= _of_file(file_name, declared)
    for option in overrides.values:
        name, equals, text = option.partition("=")
        if not equals:
            raise MajobctlError(f"--var {printable(option)}: write --var NAME=VALUE")
        unknown = _unknown(name, declared)
        if unknown:
            raise MajobctlError(f"--var: {unknown}")
        variables[name] = _checked(name, text, "--var")
    return variables


def _checked(name: str, text: str, origin: str) -> Variable:
    fault = _text_fault(name, text)
    if fault:
        raise MajobctlError(f"{origin}: {fault}")
    return Variable(text, origin)


def _of_file(name: str, declared: Mapping[str, Variable]) -> Mapping[str, Variable]:
    file = TomlFile.read(Path(name), printable(name))
    problems: list[Problem] = []
    found = dict(_read(file.data, file, (), problems))
    for key in found:
        unknown = _unknown(key, declared)
        if unknown:
            problems.append(Problem(file.name, file.line_of((key,)), 0, "", unknown))
    if problems:
        raise ConfigError(sorted(problems))
    return found


def _unknown(name: str, declared: Iterable[str]) -> str:
    known = list(declared)
    if name in known:
        return ""
    return unknown_variable(name, known)


def unknown_variable(name: str, known: Iterable[str]) -> str:
    """The sentence for a variable that the settings do not declare."""
    hint = nearest(name, list(known)) or f"; declare it in [{TABLE}] of the settings"
    return f"no variable {quoted(name)}{hint}"
