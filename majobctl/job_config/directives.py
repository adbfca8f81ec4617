"""The keys of a job config that are not parameters: what is secret, ignored, protected, renamed,
unset, and in which environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.compare_policy import Place, ignored_places
from majobctl.job_config.fields import FIELDS, PLACEHOLDER, name_violation
from majobctl.job_config.values import type_name, wrong_type
from majobctl.job_config.violations import Violation
from majobctl.text import nearest, quoted

SENSITIVE = "sensitive"
IGNORE_CHANGES = "ignore_changes"
PREVENT_DELETE = "prevent_delete"
RENAMED_FROM = "renamed_from"
UNSET = "unset"
ENVIRONMENTS = "environments"
NOT_OF_DEFAULTS = (RENAMED_FROM, UNSET, ENVIRONMENTS)


@dataclass(frozen=True, slots=True)
class Directive:
    """A key of a job config that is not a parameter. ``type`` is the reference page's term."""

    type: str
    help: str


DIRECTIVES: Mapping[str, Directive] = {
    SENSITIVE: Directive(
        "array of strings",
        "Keys of this job config, and labels of its hyperparameters, whose values are never shown"
        " and are stored only as keyed hashes. A value with `${env.NAME}` is sensitive anyway.",
    ),
    IGNORE_CHANGES: Directive(
        "array of strings",
        "Keys, and hyperparameters as `hyperparameters.LABEL`: changes of their values in the"
        " service are not drift and cause no call. A call that is made for another reason still"
        " sends the complete job config.",
    ),
    PREVENT_DELETE: Directive(
        "boolean",
        "`true`: a plan that would delete this configuration is refused. The state remembers this,"
        " so that it still holds when the job config is removed.",
    ),
    RENAMED_FROM: Directive(
        "string",
        "The previous name of this job config. The plan shows the differences, and the old"
        " configuration leaves the state (or is deleted, with `delete_removed`) only after the"
        " call for this one has succeeded. With a matrix, `{KEY}` is replaced as in `name`.",
    ),
    UNSET: Directive(
        "array of strings",
        "Keys, and labels of hyperparameters, of `[defaults]` or of the template that this job"
        " config does not want. `hyperparameters.LABEL` is a label that has a key's name.",
    ),
    ENVIRONMENTS: Directive(
        "array of strings",
        'The environments that have this job config; `""` means that none is chosen. By default,'
        " all have it.",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Directives:
    """The directives of one table, without wrong ones. ``prevent_delete`` is None if not set."""

    sensitive: tuple[str, ...] = ()
    ignored: frozenset[Place] = frozenset()
    prevent_delete: bool | None = None
    renamed_from: str = ""
    unset: Mapping[int, str] = field(default_factory=dict)
    environments: Mapping[int, str] = field(default_factory=dict)
    """By their indices; all, if there are none."""

    @classmethod
    def of(cls, table: Mapping[str, Any]) -> tuple[Directives, list[Violation]]:
        """The directives of a table, and every rule that they break."""
        if DIRECTIVES.keys().isdisjoint(table):
            return _NONE, []
        secrets, violations = _texts(table, SENSITIVE)
        names, wrong_names = _texts(table, IGNORE_CHANGES)
        ignored, wrong_places = ignored_places(names, (IGNORE_CHANGES,))
        flag, wrong_flag = _flag(table.get(PREVENT_DELETE))
        name, wrong_name = _name(table.get(RENAMED_FROM, ""), may_vary="matrix" in table)
        unset, wrong_unset = _texts(table, UNSET)
        environments, wrong_environments = _texts(table, ENVIRONMENTS)
        violations += [*wrong_names, *wrong_places, *wrong_flag, *wrong_name]
        violations += [*wrong_unset, *wrong_environments]
        directives = cls(
            sensitive=tuple(secrets.values()),
            ignored=ignored,
            prevent_delete=flag,
            renamed_from=name,
            unset=unset,
            environments=environments,
        )
        return directives, violations

    def over(self, below: Directives) -> Directives:
        """These laid over those of ``[defaults]``: the arrays are joined, the rest wins."""
        if below == _NONE:
            return self
        protects = self.prevent_delete
        return Directives(
            sensitive=(*self.sensitive, *below.sensitive),
            ignored=self.ignored | below.ignored,
            prevent_delete=below.prevent_delete if protects is None else protects,
            renamed_from=self.renamed_from,
            environments=self.environments or below.environments,
        )

    def holds_in(self, environment: str) -> bool:
        return not self.environments or environment in self.environments.values()


_NONE = Directives()


def without_directives(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in DIRECTIVES}


def unknown_secrets(names: tuple[str, ...], params: Mapping[str, Any]) -> Iterator[Violation]:
    """The ``sensitive`` names that are neither keys nor labels of ``params``."""
    if not names:
        return
    known = [*FIELDS, *(params.get("hyperparameters") or {})]
    for index, name in enumerate(names):
        if name not in known:
            message = f"{quoted(name)} is neither a key nor a label of this job config"
            yield Violation((SENSITIVE, index), message + nearest(name, known))


_WANTED = {
    SENSITIVE: "an array of strings, keys and labels",
    IGNORE_CHANGES: "an array of strings, keys and hyperparameters.LABEL",
    UNSET: "an array of strings, keys and labels",
    ENVIRONMENTS: 'an array with the names of environments, or "" for none',
}


def _texts(table: Mapping[str, Any], key: str) -> tuple[dict[int, str], list[Violation]]:
    """The strings of an array by their indices."""
    items = table.get(key, [])
    if not isinstance(items, list):
        return {}, [Violation((key,), wrong_type(key, _WANTED[key], items))]
    wanted = f"{key} must be {_WANTED[key]}"
    may_be_blank = key == ENVIRONMENTS
    if not items and key in table and may_be_blank:
        return {}, [Violation((key,), f"{wanted}; this is empty: without it, all have it")]
    texts = {
        at: item
        for at, item in enumerate(items)
        if isinstance(item, str) and (item or may_be_blank)
    }
    violations = [
        Violation((key, index), f"{wanted}; this is {'empty' if item == '' else type_name(item)}")
        for index, item in enumerate(items)
        if index not in texts
    ]
    return texts, violations


def _flag(value: object) -> tuple[bool | None, list[Violation]]:
    if value is None or isinstance(value, bool):
        return value, []
    message = wrong_type(PREVENT_DELETE, "true or false", value)
    return None, [Violation((PREVENT_DELETE,), message)]


def _name(value: object, *, may_vary: bool) -> tuple[str, list[Violation]]:
    """A former name, in which a matrix may have placeholders."""
    if not isinstance(value, str):
        message = wrong_type(RENAMED_FROM, "a string", value)
    elif value and (
        violation := name_violation(PLACEHOLDER.sub("x", value) if may_vary else value)
    ):
        message = f"{RENAMED_FROM}: {violation.message}"
    else:
        return value, []
    return "", [Violation((RENAMED_FROM,), message)]
