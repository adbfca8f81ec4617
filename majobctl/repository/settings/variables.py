"""The values of ``${var.NAME}``. Later ones win: ``[variables]``, the chosen environment's,
``MAJOBCTL_VAR_NAME``, ``--var-file``, ``--var``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.job_config.secrets import is_own_credential, secret_key_message
from majobctl.job_config.values import (
    CONTROL_CHARACTER,
    TypedText,
    hyperparameter_text,
    require_strings,
)
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.keys import home_of
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath
from majobctl.text import nearest, printable, quoted

PREFIX = "MAJOBCTL_VAR_"
TABLE = "variables"
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Variable:
    """The text of a variable, and where it is set: in a file, or by ``--var`` or a variable of the
    environment, without a line."""

    text: str
    file: str
    line: int = 0
    path: KeyPath = field(default=(), compare=False)

    @property
    def origin(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Overrides:
    """The command line's choices: an environment, ``NAME=VALUE`` texts, names of files; ``known``
    are variables that were read from those before."""

    environment: str = ""
    values: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    known: Mapping[str, Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_strings(values=self.values, files=self.files)


NO_OVERRIDES = Overrides()


def checked_variables(
    table: Mapping[str, Any], file: TomlFile, prefix: tuple[str, ...]
) -> tuple[dict[str, Variable], list[Violation]]:
    found: dict[str, Variable] = {}
    violations: list[Violation] = []
    for name, value in table.items():
        path = (*prefix, name)
        text = TypedText(hyperparameter_text(value) or "", value)
        found[name] = Variable(text, file.name, file.line_of(path), file.written(path))
        # A bucket or a branch is as likely a variable as it is the state's.
        home = home_of(name, besides="state") if prefix else None
        if wrong := f"{home}; a variable needs another name" if home else _wrong(name, value):
            violations.append(Violation(path, wrong))
    return found, violations


def _wrong(name: str, value: object) -> str | None:
    if secret := secret_key_message(name):
        return secret
    if not NAME.fullmatch(name):
        wanted = "a letter or _, then letters, digits, _ and -"
        return f"{quoted(name)} cannot be a variable's name: {wanted}"
    if (text := hyperparameter_text(value)) is None:
        is_large = isinstance(value, int) and not isinstance(value, bool)
        wanted = "a string, an integer, a float or a boolean"
        return f"{name} must {'fit in 64 bits' if is_large else f'be {wanted}'}"
    return _wrong_text(name, text)


def _wrong_text(name: str, text: str) -> str | None:
    if "${" in text:
        return f"{name}: a variable's value cannot have a reference; write it in the job config"
    if is_own_credential(text):
        return f"{name}: a variable cannot hold a credential of majobctl itself, or of the CI"
    if CONTROL_CHARACTER.search(text):
        return f"{name} must not have a control character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return f"{name} must be Unicode text"
    return None


def with_overrides(
    declared: Mapping[str, Variable], overrides: Overrides
) -> Mapping[str, Variable]:
    """``declared`` with the values of the environment, whose other variables are ignored, of files
    and of options. Raises ConfigError for a wrong file, MajobctlError for a wrong option."""
    variables = dict(declared)
    for name in declared:
        if (text := os.environ.get(PREFIX + name)) is not None:
            variables[name] = _checked(name, text, PREFIX + name, declared[name])
    for file_name in overrides.files:
        variables |= _of_file(file_name, declared)
    for option in overrides.values:
        name, equals, text = option.partition("=")
        if not equals:
            raise MajobctlError(f"--var {printable(option)}: write --var NAME=VALUE")
        if name not in declared:
            raise MajobctlError(f"--var: {unknown_variable(name, declared)}")
        variables[name] = _checked(name, text, "--var", declared[name])
    return variables | {name: it for name, it in overrides.known.items() if name in declared}


def misspelt(declared: Iterable[str]) -> Iterator[Problem]:
    """A warning for each variable of the environment that is like a declared one. Others are
    passed over: several repositories may share an environment."""
    known = {PREFIX + name: name for name in declared}
    for name in {name for name in os.environ if name.startswith(PREFIX)} - known.keys():
        if near := nearest(name.removeprefix(PREFIX).casefold(), known.values()):
            yield Problem(where=name, message=f"no such variable{near}")


def _checked(name: str, text: str, origin: str, declared: Variable) -> Variable:
    wrong = _wrong_text(name, text)
    if declared.text.strip() and not text.strip():
        # It comes from another variable, which is not set.
        wrong = f'{name} is empty; give it a value, or declare it as "" in the settings'
    if wrong:
        raise MajobctlError(f"{origin}: {wrong}")
    # It has no type of its own: where an integer is wanted, it is one if it looks like one.
    value = int(text) if _INTEGER.fullmatch(text) else text
    return Variable(TypedText(text, value), origin, path=(TABLE, name))


def _of_file(name: str, declared: Mapping[str, Variable]) -> Mapping[str, Variable]:
    file = TomlFile.read(name, printable(name), may_be_pipe=True)
    found, violations = checked_variables(file.data, file, ())
    violations += [
        Violation((key,), unknown_variable(key, declared)) for key in found if key not in declared
    ]
    if violations:
        raise ConfigError(sorted(map(file.problem, violations)))
    return found


def unknown_variable(name: str, known: Iterable[str]) -> str:
    hint = nearest(name, list(known)) or f"; declare it in [{TABLE}] of the settings"
    return f"no variable {quoted(name)}{hint}"
