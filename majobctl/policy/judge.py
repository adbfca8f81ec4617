"""Judges job configs by the policies: one verdict for each condition that one breaks.

A rule sees that a secret is set, never its value. What it cannot see counts against the job config:
``where`` holds and ``require`` does not, or ``sensitive`` would be a way around every rule."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.secrets import is_masked, value_at
from majobctl.policy.policy import Example, Policy
from majobctl.policy.verdict import Verdict
from majobctl.policy.words import (
    FACTS,
    LABELS,
    NOT,
    OF_TEXTS,
    Condition,
    Type,
    number_or_text,
    plain_operand,
    sentence_of,
)
from majobctl.text import complete, counted, cut

if TYPE_CHECKING:
    import jsonschema_rs

INSTALL = "install it with pip install 'majobctl[policy]'"
_MOST_BYTES = 1 << 20
"""Of a compiled pattern: one that needs more is refused."""
_BAD_PATTERN = (
    "this pattern cannot be used: it is not valid, or too large, or has lookaround (`not` negates"
    " a pattern) or a backreference"
)
_KNOWN_FOR = {
    "gpus": " (known for a flavor that `majobctl flavors` has listed, without pool_id)",
    "price_per_hour": " (known for a flavor with a price in prices.toml, without pool_id)",
}


class _Unknown(enum.Enum):
    MISSING = "missing"
    SECRET = "secret"


_Value: TypeAlias = Any
_Checks: TypeAlias = Sequence[tuple[str, Any, "jsonschema_rs.Validator"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is judged: a job config with its ``facts``. Masked values are secret.
    ``changed`` are the places at which it differs from ``before``, where that had a value."""

    facts: Mapping[str, Any]
    params: Mapping[str, Any]
    before: Mapping[str, Any] = field(default_factory=dict)
    facts_before: Mapping[str, Any] = field(default_factory=dict)
    changed: Sequence[tuple[str, ...]] = ()
    leaves: bool = False
    """It is deleted or forgotten, and ``params`` is what it was."""
    seen: dict[tuple[str, ...], _Value] = field(default_factory=dict, init=False, compare=False)
    """What ``at`` has found: many rules look at the same places."""

    @property
    def name(self) -> str:
        return str(self.facts.get("name", ""))

    @property
    def former(self) -> Subject:
        return replace(self, facts=self.facts_before, params=self.before)

    def at(self, path: tuple[str, ...]) -> _Value:
        if path not in self.seen:
            self.seen[path] = self._at(path)
        return self.seen[path]

    def _at(self, path: tuple[str, ...]) -> _Value:
        if len(path) == 1 and path[0] in FACTS:
            value = self.facts.get(path[0])
        else:
            value = self.params.get(path[0])
            if len(path) > 1 and not is_masked(value):
                value = value_at(self.params, path)
        if is_masked(value):
            return _Unknown.SECRET
        return _Unknown.MISSING if value is None else value


class Judge:
    """Policies, compiled. Raises MajobctlError if the library is not installed; ``problems`` are
    the patterns that it does not take, and the examples that do not do what they are there for."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self._rules = [_Rule(policy) for policy in policies]

    def problems(self) -> list[Problem]:
        return [problem for rule in self._rules for problem in rule.problems()]

    def verdicts(self, subject: Subject) -> Iterator[Verdict]:
        for rule in self._rules:
            for path, message in rule.broken(subject):
                yield Verdict(
                    policy=rule.policy.name,
                    level=rule.policy.level,
                    name=subject.name,
                    path=path,
                    message=f"{message}: {rule.policy.because}",
                )


class _Rule:
    """One policy with its compiled conditions."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._asks_action = policy.asks("action")
        self._problems: list[Problem] = []
        self._where = [(it, self._compiled("where", it)) for it in policy.where]
        self._require = [(it, self._compiled("require", it)) for it in policy.require]

    def _compiled(self, key: str, condition: Condition) -> _Checks:
        found = []
        for word, operand in condition.words.items():
            plain = json.dumps(plain_operand(condition, word, operand))
            try:
                validator = _validator(condition.type is Type.LABEL, word, plain)
            except ValueError:
                place = (key, *condition.path, word)
                self._problems.append(self.policy.source.problem(place, _BAD_PATTERN))
            else:
                found.append((word, operand, validator))
        return found

    def broken(self, subject: Subject) -> Iterator[tuple[tuple[str, ...], str]]:
        """Each place of ``subject`` that breaks the rule, and how."""
        policy = self.policy
        # Without a plan there is no action; and nothing else matters of what leaves.
        is_judged = "action" in subject.facts if self._asks_action else not subject.leaves
        if not is_judged or (policy.exempt and policy.exempts(subject.name)):
            return
        covers = self._first_unmet(subject) is None
        if covers:
            yield from self._missed(subject)
        frozen = [path for path in subject.changed if policy.freezes(path)]
        # A change that leaves `where` does not free what it had before.
        if frozen and (covers or self._first_unmet(subject.former) is None):
            for path in frozen:
                what = f"{'.'.join(path)} may not change once applied"
                yield path, f"{what}; {policy.place} froze it"

    def problems(self) -> Iterator[Problem]:
        yield from self._problems
        if self._problems:
            return
        for example in (*self.policy.fails, *self.policy.passes):
            if reason := self._wrong_example(example):
                yield self.policy.source.problem(example.path, reason)

    def _wrong_example(self, example: Example) -> str:
        subject = Subject(facts=example.facts, params=example.params)
        unmet = self._first_unmet(subject)
        why = "" if unmet is None else _unmet_text(unmet, subject)
        missed = [message for _, message in self._missed(subject)] if unmet is None else []
        key, index = example.path
        count = len(self.policy.fails if key == "fails" else self.policy.passes)
        which = f"this example{f' ({int(index) + 1} of {count})' if count > 1 else ''}"
        if key == "passes":
            return f"{which} does not pass: {missed[0]}" if missed else ""
        if unmet is not None:
            return f"{which} does not break the rule, since `where` does not hold for it: {why}"
        return "" if missed else f"{which} does not break the rule: it meets all of `require`"

    def _first_unmet(self, subject: Subject) -> Condition | None:
        """The first condition of ``where`` that does not hold; None if all do."""
        for condition, checks in self._where:
            value = subject.at(condition.path)
            if value is _Unknown.MISSING:
                return condition
            if value is not _Unknown.SECRET and _broken(condition, checks, value) is not None:
                return condition
        return None

    def _missed(self, subject: Subject) -> Iterator[tuple[tuple[str, ...], str]]:
        for condition, checks in self._require:
            value, wrong = subject.at(condition.path), ""
            if value is _Unknown.MISSING:
                if not condition.optional:
                    known = _KNOWN_FOR.get(condition.dotted, "")
                    wrong = f"is missing{known}; {self.policy.place} requires it"
            elif value is _Unknown.SECRET:
                if condition.words:
                    wrong = f"is sensitive; {self.policy.place} cannot check its value"
            elif (broken := _broken(condition, checks, value)) is not None:
                says = sentence_of(*broken) if broken else "wants a number"
                wrong = f"{_shown(condition, value)}; {self.policy.place} {says}"
            if wrong:
                yield condition.path, f"{condition.dotted} {wrong}"


@lru_cache(maxsize=1024)
def _validator(is_label: bool, word: str, plain: str) -> jsonschema_rs.Validator:
    """Raises ValueError for a pattern that the library does not take."""
    try:
        import jsonschema_rs
    except ImportError as error:
        raise MajobctlError(f"policies need jsonschema-rs: {INSTALL}") from error
    operand = json.loads(plain)
    schema = {word: operand}
    if is_label:
        schema = _of_label({NOT: _of_label(operand)} if word == NOT else schema)
    options = jsonschema_rs.RegexOptions(size_limit=_MOST_BYTES)
    return jsonschema_rs.validator_for(schema, pattern_options=options)


def _of_label(words: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of a hyperparameter, which is judged as ``{"value": ..., "text": ...}``."""
    if NOT in words:
        return dict(words)
    texts = {word: own for word, own in words.items() if word in OF_TEXTS}
    values = {word: own for word, own in words.items() if word not in OF_TEXTS}
    return {"properties": {"text": texts, "value": values}}


def _broken(
    condition: Condition, checks: _Checks, value: Any
) -> tuple[()] | tuple[str, Any] | None:
    """The first word that ``value`` breaks, with its operand; () if a number is wanted."""
    if condition.path[0] == LABELS:
        number = number_or_text(value)
        if condition.needs_number and isinstance(number, str):
            return ()
        value = {"value": number, "text": str(value)}
    for word, operand, validator in checks:
        if not validator.is_valid(value):
            return word, operand
    return None


def _unmet_text(condition: Condition, subject: Subject) -> str:
    value = subject.at(condition.path)
    is_missing = value is _Unknown.MISSING
    return f"{condition.dotted} {'is missing' if is_missing else _shown(condition, value)}"


def _shown(condition: Condition, value: Any) -> str:
    if condition.type is Type.ARRAY:
        return f"has {counted(len(value), 'item')}"
    return f"is {complete(cut(value) if isinstance(value, str) else value)}"
