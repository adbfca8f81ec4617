"""Which line of the files makes each change of a plan.

Where a value is written is known; what was written there before only with the files of another
revision. Else it is inferred."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import is_masked
from majobctl.job_config.values import hyperparameter_text
from majobctl.plan.change import Cause, Change, FieldChange, Reason, Renamed
from majobctl.plan.plan import Plan
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Layer, Origin, found_at
from majobctl.repository.toml.positions import KeyPath


def with_causes(plan: Plan, config: Config, base: Config | None) -> Plan:
    """``plan`` with the cause of each field that the files change: found in ``base`` if that is
    what the plan compares with, else inferred."""
    finder = _finder(plan, config, base)
    changes = tuple(
        replace(change, fields=tuple(finder.explained(change))) if change.fields else change
        for change in plan.changes
    )
    edits = {at: finder.edits[at] for at in sorted(finder.edits.keys() - finder.hidden)}
    return replace(plan, changes=changes, edits=edits)


def _finder(plan: Plan, config: Config, base: Config | None) -> Finder:
    if base:
        from majobctl.operations.causes_compared import Compared

        return Compared(config, base)
    from majobctl.operations.causes_inferred import Inferred

    return Inferred(config, plan)


class Finder:
    """Finds the causes of what leads to ``config``. ``edits`` has what their lines said and say;
    those of secrets are ``hidden``."""

    def __init__(self, config: Config) -> None:
        self.variables = config.settings.variables
        self.origins = {
            name: it.source
            for name, it in config.job_configs.items()
            if isinstance(it.source, Origin)
        }
        self.edits: dict[Cause, tuple[str | None, ...]] = {}
        self.hidden: set[Cause] = set()
        self._lines: dict[KeyPath, Cause] = {}

    def explained(self, change: Change) -> Iterator[FieldChange]:
        origin = self.origins.get(change.name)
        is_gone = change.is_missing and change.before and not change.old_name
        for item in change.fields:
            if origin is None or is_gone or item.reason is Reason.CHANGED:
                yield item
                continue
            if is_known(change):
                cause = self.cause(change, leading(item, change), origin)
            else:
                cause = self.line(origin.own, origin.key)
            if is_masked(item.before) or is_masked(item.after):
                self.hidden.add(cause)
            yield replace(item, cause=cause)

    def cause(self, change: Change, item: FieldChange, origin: Origin) -> Cause:
        """That of ``item``, if what the job config had before is known."""
        raise NotImplementedError

    def line(self, layer: Layer, path: KeyPath, is_new: bool = False) -> Cause:
        """That of the key at ``path``; of a label in an array, the value's unless it is new."""
        at = (layer.file.name, *layer.prefix, *path, is_new)
        if at not in self._lines:
            is_label = path[:1] == ("hyperparameters",) and len(path) == 2
            line = layer.line_of((*path, "label" if is_new else "value") if is_label else path)
            self._lines[at] = cause_at(layer.file.name, line, layer.written(path))
        return self._lines[at]

    def header(self, layer: Layer, path: KeyPath) -> Cause:
        """That of the table which lost the key at ``path`` of the file."""
        file, around = layer.file.plain, path[:-1]
        while around and found_at(file.data, around) is None:
            around = around[:-1]
        return cause_at(file.name, file.line_of(around), around)

    def text_of(self, reference: str, origin: Origin) -> str:
        kind, _, name = reference.partition(".")
        if kind == "var":
            return self.variables[name].text
        value = origin.own.table.get(name, origin.own.value_at(("hyperparameters", name)))
        return hyperparameter_text(value) or ""

    def edited(self, reference: str, origin: Origin, before: str) -> Cause:
        kind, _, name = reference.partition(".")
        if kind == "matrix":
            return self.line(origin.own, (kind, name))
        variable = self.variables[name]
        cause = cause_at(variable.file, variable.line, variable.path)
        self.edits[cause] = (before, variable.text)
        return cause


def leading(item: FieldChange, change: Change) -> FieldChange:
    """The field that makes ``item`` come or go: a flavor is sent unless there is a pool."""
    key = FIELDS[item.path[0]].unless if item.path[0] in FIELDS else ""
    sides = (item.before is None, item.after is None)
    others = (it for it in change.fields if it.path == (key,) and any(sides))
    return next((it for it in others if (it.after is None, it.before is None) == sides), item)


def is_known(change: Change) -> bool:
    """Whether the state has the job config, maybe under its old name."""
    return bool(change.before) and change.renamed is not Renamed.DETECTED


def cause_at(file: str, line: int, path: KeyPath) -> Cause:
    return Cause(file=file, line=line, key=".".join(map(str, path)))


def as_text(value: Any) -> str:
    """``value`` as one text, in which an OBS path has one form."""
    if isinstance(value, Mapping):
        value = [it for key in sorted(value) for it in (key, value[key])]
    if isinstance(value, list):
        return "\0".join(map(as_text, value))
    return "\0" if value is None else (hyperparameter_text(value) or "").removeprefix("obs:/")


def only_difference(before: Any, after: Any) -> KeyPath:
    """Leads to the only part in which two arrays of tables differ."""
    if not (isinstance(after, (list, dict)) and type(before) is type(after)) or is_masked(after):
        return ()
    keys = range(len(after)) if isinstance(after, list) else after
    sides = [(key, found_at(before, (key,)), found_at(after, (key,))) for key in keys]
    differing = [it for it in sides if it[1] != it[2]]
    if len(differing) != 1 or len(before) != len(after):
        return ()
    return (differing[0][0], *only_difference(*differing[0][1:]))
