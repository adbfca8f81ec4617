"""Which line of the files makes each change of a plan.

Where a value is written is known; what was written there before only with the files of another
revision. Against the state it is inferred: a line that many job configs share was edited if all of
them have changed, and a variable was edited if another value for it gives what the state has.
Everything else is put down to the job config's own table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from majobctl.job_config.compare_policy import Place
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
    if not any(change.fields for change in plan.changes):
        return plan
    finder = _Compared(config, base) if base else _Inferred(config, plan)
    changes = tuple(
        replace(change, fields=tuple(finder.explained(change))) if change.fields else change
        for change in plan.changes
    )
    edits = {at: finder.edits[at] for at in sorted(finder.edits.keys() - finder.hidden)}
    return replace(plan, changes=changes, edits=edits)


class _Finder:
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
            if _is_known(change):
                cause = self.cause(change, _leading(item, change), origin)
            else:
                cause = self.line(origin.own, origin.key)
            if is_masked(item.before) or is_masked(item.after):
                self.hidden.add(cause)
            yield replace(item, cause=cause)

    def cause(self, change: Change, item: FieldChange, origin: Origin) -> Cause:
        raise NotImplementedError

    def line(self, layer: Layer, path: KeyPath, is_new: bool = False) -> Cause:
        """That of the key at ``path``; of a label in an array, the value's unless it is new."""
        at = (layer.file.name, *layer.prefix, *path, is_new)
        if at not in self._lines:
            is_label = path[:1] == ("hyperparameters",) and len(path) == 2
            line = layer.line_of((*path, "label" if is_new else "value") if is_label else path)
            self._lines[at] = _cause(layer.file.name, line, layer.written(path))
        return self._lines[at]

    def header(self, layer: Layer, path: KeyPath) -> Cause:
        """That of the table which lost the key at ``path`` of the file."""
        file, around = layer.file.plain, path[:-1]
        while around and found_at(file.data, around) is None:
            around = around[:-1]
        return _cause(file.name, file.line_of(around), around)

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
        cause = _cause(variable.file, variable.line, variable.path)
        self.edits[cause] = (before, variable.text)
        return cause


class _Compared(_Finder):
    """Finds them in the files of another revision."""

    def __init__(self, config: Config, base: Config) -> None:
        super().__init__(config)
        self._base = _Finder(base)
        layers = (layer for it in self._base.origins.values() for layer in it.layers)
        self._layers = {layer.prefix: layer for layer in layers}

    def cause(self, change: Change, item: FieldChange, origin: Origin) -> Cause:
        was = self._base.origins[change.old_name or change.name]
        return (
            self._differing(origin, was, item.path, _only_difference(item.before, item.after))
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
        for layer, old, at in [(*layers[0], ("matrix", path[-1])), *places]:
            now, then = (it.whole.value_at(at) if it else None for it in (layer, old))
            was_at = old.written(at) if old and then is not None else ()
            has_left = was_at[:1] == ("environments",) != layer.written(at)[:1]
            if _text(now) != _text(then) or (now is not None and has_left):
                if now is None or has_left:
                    return self.header(layer, was_at)
                cause = self.line(layer, (*at, *deeper), then is None)
                sides = [hyperparameter_text(found_at(it, deeper)) for it in (then, now)]
                if sides != [None, None]:
                    self.edits[cause] = tuple(sides)
                return cause
            if now is not None and at == path:
                return None
        return None

    def _variable(self, origin: Origin, was: Origin, path: Place) -> Cause | None:
        at = origin.written(path)
        for reference in split(_text(at.value))[1::2] if at else ():
            then = self._base.text_of(reference, was)
            if then != self.text_of(reference, origin):
                cause = self.edited(reference, origin, then)
                old = self._base.variables.get(reference.partition(".")[2])
                if old and old.path[0] == "environments" and cause.key.startswith("variables."):
                    return self.header(origin.layers[-1], old.path)
                return cause
        return None


class _Inferred(_Finder):
    """Infers them from what else has changed, and from the values in the state."""

    def __init__(self, config: Config, plan: Plan) -> None:
        super().__init__(config)
        self._changed: dict[tuple[str, Place], FieldChange] = {}
        self._fits: dict[tuple[str, Place], dict[str, str | None]] = {}
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        new = {it.name for it in plan.changes if not _is_known(it)}
        self._known = [
            (name, config.job_configs[name].params, origin)
            for name, origin in self.origins.items()
            if name not in new and plan.selection.covers(name)
        ]
        for change in plan.changes:
            if (origin := self.origins.get(change.name)) is None or change.name in new:
                continue
            for item in change.fields:
                if item.reason is Reason.CHANGED:
                    continue
                self._changed[change.name, item.path] = item
                if origin.may_refer and (found := self._fitting(item, origin)):
                    self._fits[change.name, item.path] = found
                    for reference, text in found.items():
                        if text is not None:
                            votes[_identity(reference, origin)][text] += 1
        # The value that the most fields ask for.
        self._then = {it: min(v.items(), key=lambda n: (-n[1], n[0]))[0] for it, v in votes.items()}

    def cause(self, change: Change, item: FieldChange, origin: Origin) -> Cause:
        if (at := origin.written(item.path)) is None:
            return self._lost(item.path, origin)
        edited = [
            (reference, then)
            for reference, text in self._fits.get((change.name, item.path), {}).items()
            if (it := _identity(reference, origin)) not in self._steady
            and (then := self._then.get(it)) is not None
            and text in (None, then)
        ]
        if len(edited) == 1:
            return self.edited(edited[0][0], origin, edited[0][1])
        if at.layer is origin.own or (at.layer.prefix, at.path) not in self._steady:
            deeper = _only_difference(item.before, item.after)
            return self.line(at.layer, (*at.path, *deeper), item.before is None)
        return self.line(origin.own, ("use",) if at.layer.prefix[0] == "templates" else ())

    def _fitting(self, item: FieldChange, origin: Origin) -> dict[str, str | None]:
        """The references in the field's text that explain the old value, each with the text that
        it must have had; None if the old value is not known."""
        at = origin.written(item.path)
        parts = split(_text(at.value)) if at else []
        if len(parts) < 2 or item.before is None:
            return {}
        if is_masked(item.before):
            return dict.fromkeys(parts[1::2])
        then, found = _text(item.before), dict[str, str | None]()
        for reference in dict.fromkeys(parts[1::2]):
            pieces = [""]
            for index, part in enumerate(parts):
                if index % 2 and part == reference:
                    pieces.append("")
                else:
                    pieces[-1] += self.text_of(part, origin) if index % 2 else part
            size, rest = divmod(len(then) - len("".join(pieces)), len(pieces) - 1)
            text = then[len(pieces[0]) :][: max(size, 0)]
            if not rest and text.join(pieces) == then:
                found[reference] = text
        return found

    @cached_property
    def _steady(self) -> set[Any]:
        """The lines, and the references, of values that have not changed: nobody edited them."""
        found: set[Any] = set()
        paths = {path for _, path in self._changed}
        for name, params, origin in self._known:
            written = _written_in(origin, paths)
            for path in {*written, *_places(params)} if origin.may_refer else written:
                if (name, path) in self._changed or (at := origin.written(path)) is None:
                    continue
                found.add((at.layer.prefix, at.path))
                if origin.may_refer and "${env." not in (text := _text(at.value)):
                    found.update(_identity(it, origin) for it in split(text)[1::2])
        return found

    def _lost(self, path: Place, origin: Origin) -> Cause:
        """The table that lost a key: the one below the most job configs if all of them lost it."""
        counts = [(1, 0, origin.own)]
        for depth, layer in enumerate(origin.layers[1:], 1):
            if layer.whole.table and (count := self._losses[layer.prefix, path]):
                counts.append((count, -depth, layer))
        layer = max(counts, key=lambda it: it[:2])[2]
        # Rather the table of all environments than that of one.
        is_plain = found_at(layer.file.plain.data, layer.prefix) is not None
        return self.header(layer, (*(layer.prefix if is_plain else layer.written(())), *path))

    @cached_property
    def _losses(self) -> Counter[tuple[KeyPath, Place]]:
        """How many job configs lost a key that may have been in a table above them; none if others
        there did not lose it."""
        lost: Counter[tuple[KeyPath, Place]] = Counter()
        having: Counter[tuple[KeyPath, Place]] = Counter()
        users = Counter(layer.prefix for *_, it in self._known for layer in it.layers[1:])
        paths: dict[str, set[Place]] = defaultdict(set)
        for (name, path), item in self._changed.items():
            if item.after is None:
                paths[name].add(path)
        lost_paths = set().union(*paths.values())
        for name, _, origin in self._known if lost_paths else ():
            for path in paths.get(name, set()) | _written_in(origin, lost_paths):
                is_above = False
                for above, layer in pairwise(origin.layers):
                    is_above = is_above or above.has(path)
                    counts = having if is_above else lost
                    counts[layer.prefix, path] += is_above or path in paths.get(name, ())
        return +Counter({at: it for at, it in lost.items() if it + having[at] == users[at[0]]})


def _written_in(origin: Origin, paths: set[Place]) -> set[Place]:
    """Those of ``paths`` that the tables of ``origin`` may have. Keys are few, labels are not."""
    labels = {("hyperparameters", label) for it in origin.layers for label in it.labelled or ()}
    return (labels & paths) | {path for path in paths if len(path) == 1}


def _leading(item: FieldChange, change: Change) -> FieldChange:
    """The field that makes ``item`` come or go: a flavor is sent unless there is a pool."""
    key = FIELDS[item.path[0]].unless if item.path[0] in FIELDS else ""
    sides = (item.before is None, item.after is None)
    others = (it for it in change.fields if it.path == (key,) and any(sides))
    return next((it for it in others if (it.after is None, it.before is None) == sides), item)


def _is_known(change: Change) -> bool:
    """Whether the state has the job config, maybe under its old name."""
    return bool(change.before) and change.renamed is not Renamed.DETECTED


def _cause(file: str, line: int, path: KeyPath) -> Cause:
    return Cause(file=file, line=line, key=".".join(map(str, path)))


def _identity(reference: str, origin: Origin) -> str:
    own = origin.own.prefix if reference.startswith("matrix.") else ()
    return ".".join(map(str, (*own, reference)))


def _places(params: Mapping[str, Any]) -> Iterator[Place]:
    for key, value in params.items():
        labels = value if key == "hyperparameters" and isinstance(value, Mapping) else ()
        yield from ((key, label) for label in labels)
        if not labels:
            yield (key,)


def _text(value: Any) -> str:
    """``value`` as one text, in which an OBS path has one form."""
    if isinstance(value, Mapping):
        value = [it for key in sorted(value) for it in (key, value[key])]
    if isinstance(value, list):
        return "\0".join(map(_text, value))
    return "\0" if value is None else (hyperparameter_text(value) or "").removeprefix("obs:/")


def _only_difference(before: Any, after: Any) -> KeyPath:
    """Leads to the only part in which two arrays of tables differ."""
    if not (isinstance(after, (list, dict)) and type(before) is type(after)) or is_masked(after):
        return ()
    keys = range(len(after)) if isinstance(after, list) else after
    sides = [(key, found_at(before, (key,)), found_at(after, (key,))) for key in keys]
    differing = [it for it in sides if it[1] != it[2]]
    if len(differing) != 1 or len(before) != len(after):
        return ()
    return (differing[0][0], *_only_difference(*differing[0][1:]))
