"""Which line of the files makes each change of a plan.

Where a value is written is known; what was written there before only with the files of another
revision. Else it is inferred."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from majobctl.job_config.compare_policy import Place
from majobctl.job_config.directives import UNSET
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import is_masked
from majobctl.job_config.values import hyperparameter_text
from majobctl.plan.change import Cause, Change, FieldChange, Reason, Renamed
from majobctl.plan.plan import Plan
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Layer, Origin, found_at
from majobctl.repository.jobs.references import split
from majobctl.repository.toml.positions import KeyPath


def with_causes(plan: Plan, config: Config, base: Config | None) -> Plan:
    """``plan`` with the cause of each field that the files change: found in ``base`` if that is
    what the plan compares with, else inferred."""
    from majobctl.operations.causes_inferred import Inferred

    finder = _Compared(config, base) if base else Inferred(config, plan)
    changes = tuple(
        replace(change, fields=tuple(finder.explained(change))) if change.fields else change
        for change in plan.changes
    )
    edits = {at: finder.edits[at] for at in sorted(finder.edits.keys() - finder.hidden)}
    return replace(plan, changes=changes, edits=edits)


NOT_EDITED = (Reason.CHANGED, Reason.OLD_NAME)


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
            if origin is None or is_gone or item.reason in NOT_EDITED:
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
        cause = self.source_of(reference, origin)
        if reference.startswith("var."):
            self.edits[cause] = (before, self.text_of(reference, origin))
        return cause

    def source_of(self, reference: str, origin: Origin) -> Cause:
        """Where the value of ``reference`` is."""
        kind, _, name = reference.partition(".")
        if kind == "matrix":
            return self.line(origin.own, (kind, name))
        if kind == "env":
            return Cause(file="environment", line=0, key=reference)
        variable = self.variables[name]
        return cause_at(variable.file, variable.line, variable.path)


class _Compared(Finder):
    """Finds them in the files of another revision."""

    def __init__(self, config: Config, base: Config) -> None:
        super().__init__(config)
        self._base = Finder(base)
        layers = (layer for it in self._base.origins.values() for layer in it.layers)
        self._layers = {layer.prefix: layer for layer in layers}
        self._renamed: dict[KeyPath, Mapping[str | int, str]] = {}

    def cause(self, change: Change, item: FieldChange, origin: Origin) -> Cause:
        was = self._base.origins[change.old_name or change.name]
        return (
            self._differing(origin, was, item.path, only_difference(item.before, item.after))
            or self._variable(origin, was, item.path)
            or self._differing(origin, was, ("sensitive",))
            or self.line(origin.own, ())
        )

    def _differing(
        self, origin: Origin, was: Origin, path: Place, deeper: KeyPath = ()
    ) -> Cause | None:
        """The first line that is not as it was, from the job config's own table down to the one
        that the value comes from."""
        layers = [(it, self._layers.get(it.prefix)) for it in origin.layers]
        layers[0] = (origin.own, was.own)
        places: list[tuple[Layer, Layer | None, KeyPath]] = [(*it, path) for it in layers]
        if any(it.prefix[0] == "templates" and it.has(path) for it in origin.layers + was.layers):
            places.insert(1, (*layers[0], ("use",)))
        unset = [
            (it, old, (UNSET,))
            for it, old in layers
            if any(side and side.unsetting(path) for side in (it, old))
        ]
        for layer, old, at in [(*layers[0], ("matrix", path[-1])), *unset, *places]:
            now, then = (it.whole.value_at(at) if it else None for it in (layer, old))
            was_at = old.written(at) if old and then is not None else ()
            has_left = was_at[:1] == ("environments",) != layer.written(at)[:1]
            if as_text(now) != as_text(then) or (now is not None and has_left):
                if old and (now is None or has_left):
                    return self._left(layer, old, at)
                cause = self.line(layer, (*at, *deeper), then is None)
                sides = [hyperparameter_text(found_at(it, deeper)) for it in (then, now)]
                if sides != [None, None]:
                    self.edits[cause] = tuple(sides)
                return cause
            if now is not None and at == path:
                return None
        return None

    def _left(self, layer: Layer, old: Layer, at: KeyPath) -> Cause:
        """The line of a label that was renamed; else the header of the table that lost a key."""
        label = self._renames(layer, old).get(at[-1]) if at[0] == "hyperparameters" else None
        if label is not None:
            return self.line(layer, (at[0], label), is_new=True)
        return self.header(layer, old.written(at))

    def _renames(self, layer: Layer, old: Layer) -> Mapping[str | int, str]:
        """The labels that left a table, each with the only new one that has its value."""
        if layer.prefix not in self._renamed:
            then, now = (it.whole.labelled or {} for it in (old, layer))
            gone = [(as_text(then[it]), it) for it in then.keys() - now.keys()]
            new = [(as_text(now[it]), it) for it in now.keys() - then.keys()]
            counts, labels = Counter(text for text, _ in [*gone, *new]), dict(new)
            pairs = ((it, labels.get(text)) for text, it in gone if counts[text] == 2)
            self._renamed[layer.prefix] = {it: name for it, name in pairs if name is not None}
        return self._renamed[layer.prefix]

    def _variable(self, origin: Origin, was: Origin, path: Place) -> Cause | None:
        at = origin.written(path)
        for reference in split(as_text(at.value))[1::2] if at else ():
            then = self._base.text_of(reference, was)
            if then != self.text_of(reference, origin):
                cause = self.edited(reference, origin, then)
                old = self._base.variables.get(reference.partition(".")[2])
                if old and old.path[0] == "environments" and cause.key.startswith("variables."):
                    return self.header(origin.layers[-1], old.path)
                return cause
        return None


def leading(item: FieldChange, change: Change) -> FieldChange:
    """The field that makes ``item`` come or go: a flavor is sent unless there is a pool."""
    key = FIELDS[item.path[0]].unless if item.path[0] in FIELDS else ""
    sides = (item.before is None, item.after is None)
    if not key or not any(sides):
        return item
    others = (it for it in change.fields if it.path == (key,))
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
