"""What one policy says, read from its table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from majobctl.errors import Problem
from majobctl.job_config.checks import checked_values
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Path, Violation
from majobctl.policy.words import (
    FACTS,
    KEYS,
    LABELS,
    Condition,
    Type,
    as_written,
    conditions_of,
    is_number,
)
from majobctl.text import nearest, printable, quoted

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_KEYS = ("because", "level", "where", "require", "exempt", "frozen", "fails", "passes")
LEVELS = ("deny", "warn")


class Written(Protocol):
    """Where a policy is written."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...

    def problem(self, path: Path, message: str) -> Problem:
        """At a key of the policy's table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A job config as far as a rule looks at it, at ``path`` of the policy's table."""

    path: Path
    facts: Mapping[str, Any]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One rule. A job config that all of ``where`` holds for must have all of ``require``, and must
    keep what it has at ``frozen`` once that was applied; a place is a key, or ``hyperparameters``
    and a label."""

    name: str
    because: str
    source: Written
    level: str = "deny"
    where: tuple[Condition, ...] = ()
    require: tuple[Condition, ...] = ()
    frozen: tuple[tuple[str, ...], ...] = ()
    exempt: tuple[str, ...] = ()
    fails: tuple[Example, ...] = ()
    passes: tuple[Example, ...] = ()

    def asks(self, *facts: str) -> bool:
        """Whether it looks at one of ``facts``."""
        return any(it.path[0] in facts for it in (*self.where, *self.require))

    def exempts(self, name: str) -> bool:
        return any(fnmatchcase(name, glob) for glob in self.exempt)

    def freezes(self, path: tuple[str, ...]) -> bool:
        return path in self.frozen or path[:1] in self.frozen

    @property
    def place(self) -> str:
        """As messages name it."""
        return f"policy {self.name} ({self.source.file}:{self.source.line})"


def read_policy(name: str, table: object, source: Written) -> tuple[Policy, list[Violation]]:
    """The policy in ``table``, and what is wrong with it; the paths begin at the table."""
    if not _NAME.fullmatch(name) or not isinstance(table, Mapping):
        message = "a policy's name has 1 to 40 letters, digits, _ or -"
        if _NAME.fullmatch(name):
            message = f"must be a table, [policy.{name}], not {type_name(table)}"
        return Policy(name=name, because="", source=source), [Violation((), message)]
    for key, content in table.items():
        if key not in _KEYS and isinstance(content, Mapping) and "because" in content:
            message = f"a name cannot have a dot; write [policy.{name}-{printable(key)}]"
            return Policy(name=name, because="", source=source), [Violation((key,), message)]
    known = f"; a policy has {', '.join(_KEYS)}"
    violations = [
        Violation((key,), f"unknown key {quoted(key)}{nearest(key, _KEYS) or known}")
        for key in table
        if key not in _KEYS
    ]
    where = _conditions("where", table, violations)
    require = _conditions("require", table, violations)
    exempt, frozen = (_texts(key, table, violations) for key in ("exempt", "frozen"))
    places = [tuple(it.split(".", 1)) for it in frozen]
    violations += _wrong_places(places)
    fails, passes = (_examples(key, table, violations) for key in ("fails", "passes"))
    violations += _missing(table)
    policy = Policy(
        name=name,
        because=str(table.get("because", "")),
        source=source,
        level=table.get("level", "deny"),
        where=where,
        require=require,
        frozen=tuple(places),
        exempt=exempt,
        fails=fails,
        passes=passes,
    )
    return policy, violations


def _conditions(
    key: str, table: Mapping[str, Any], violations: list[Violation]
) -> tuple[Condition, ...]:
    if key not in table:
        return ()
    found, wrong = conditions_of(table[key], (key,), may_be_optional=key == "require")
    violations += wrong
    return found


def _missing(table: Mapping[str, Any]) -> Iterator[Violation]:
    because = table.get("because")
    if not isinstance(because, str) or not because.strip() or not because.isprintable():
        what = "the reason, in one line, for whoever breaks the rule"
        state = "is missing" if because is None else "is wrong"
        yield Violation(("because",), f"because {state}: {what}")
    level = table.get("level", "deny")
    if level not in LEVELS:
        hint = nearest(level, LEVELS) if isinstance(level, str) else ""
        yield Violation(("level",), f'level must be "deny" or "warn"{hint}')
    if "require" not in table and "frozen" not in table:
        yield Violation((), "require is missing: what the job configs must have (or frozen)")
    if "require" in table and not table.get("fails"):
        message = "fails is missing: an example that breaks the rule, such as [{ KEY = VALUE }]"
        yield Violation(("fails",), f"{message}; an untested rule protects nobody")
    for key in ("fails", "passes"):
        if key in table and "require" not in table:
            yield Violation((key,), f"{key} goes with require: no example has a value from before")


def _texts(key: str, table: Mapping[str, Any], violations: list[Violation]) -> tuple[str, ...]:
    found = table.get(key, [])
    if isinstance(found, list) and all(isinstance(it, str) and it for it in found):
        return tuple(found)
    violations.append(Violation((key,), f"{key} must be an array of strings"))
    return ()


def _wrong_places(frozen: Sequence[tuple[str, ...]]) -> Iterator[Violation]:
    keys = [*(key for key in KEYS if key not in FACTS), LABELS]
    for index, place in enumerate(frozen):
        if place[0] not in keys or (len(place) == 2 and (place[0] != LABELS or not place[1])):
            wrong = ".".join(place)
            message = f"unknown key {quoted(wrong)}{nearest(place[0], keys)}"
            yield Violation(("frozen", index), message)


def _examples(
    key: str, table: Mapping[str, Any], violations: list[Violation]
) -> tuple[Example, ...]:
    found = table.get(key, [])
    if not isinstance(found, list) or not all(isinstance(it, Mapping) for it in found):
        violations.append(Violation((key,), f"{key} must be an array of tables: [{{ KEY = ... }}]"))
        return ()
    examples = []
    for index, own in enumerate(found):
        at = (key, index)
        facts = {
            name: float(value) if isinstance(value, float) else value
            for name, value in own.items()
            if name in FACTS
        }
        violations += _wrong_facts(facts, at)
        raw = {name: value for name, value in own.items() if name not in FACTS}
        params, wrong = checked_values(raw)
        violations += [Violation((*at, *it.path), it.text()) for it in wrong]
        examples.append(Example(path=at, facts=facts, params=params))
    return tuple(examples)


def _wrong_facts(facts: Mapping[str, Any], at: Path) -> Iterator[Violation]:
    for name, value in facts.items():
        is_right = isinstance(value, str) if FACTS[name] is Type.TEXT else is_number(value)
        if not is_right:
            message = f"{name} must be {FACTS[name].value}, not {as_written(value)}"
            yield Violation((*at, name), message)
