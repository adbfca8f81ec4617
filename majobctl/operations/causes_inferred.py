"""The causes of what the state does not have, which knows no lines: they are inferred.

A line that many job configs share was edited if all of them have changed, and a variable if another
value for it gives what the state has. It left a table if the values of all job configs below that
have changed, and now come from further below. Everything else is put down to the job config's own
table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import takewhile
from typing import Any

from majobctl.job_config.compare_policy import Place
from majobctl.job_config.secrets import is_masked
from majobctl.operations.causes import NOT_EDITED, Finder, as_text, is_known, only_difference
from majobctl.plan.change import Cause, Change, FieldChange
from majobctl.plan.diff import differing_places
from majobctl.plan.plan import Plan
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Layer, Origin, Written, found_at
from majobctl.repository.jobs.references import split
from majobctl.repository.toml.positions import KeyPath


class Inferred(Finder):
    """Infers them from what else has changed, and from the values in the state."""

    def __init__(self, config: Config, plan: Plan) -> None:
        super().__init__(config)
        self._changed: dict[tuple[str, Place], FieldChange] = {}
        self._fits: dict[tuple[str, Place], dict[str, str | None]] = {}
        votes: dict[str, Counter[str]] = defaultdict(Counter)
        new = {it.name for it in plan.changes if not is_known(it)}
        self._known = {
            name: (config.job_configs[name].params, origin)
            for name, origin in self.origins.items()
            if name not in new and plan.selection.covers(name)
        }
        for change in plan.changes:
            if (origin := self.origins.get(change.name)) is None or change.name in new:
                continue
            for item in change.fields:
                if item.reason in NOT_EDITED:
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
        at = origin.written(item.path)
        edited = [
            (reference, then)
            for reference, text in self._fits.get((change.name, item.path), {}).items()
            if (it := _identity(reference, origin)) not in self._steady
            and (then := self._then.get(it)) is not None
            and text in (None, then)
        ]
        if len(edited) == 1:
            return self.edited(edited[0][0], origin, edited[0][1])
        unset = ((it, it.unsetting(item.path)) for it in origin.layers if at is None)
        if found := next((it for it in unset if it[1]), None):
            return self.line(*found)
        if at is None or self._is_steady(at, origin):
            return self._lost(change.name, item.path, origin)
        deeper = only_difference(item.before, item.after)
        return self.line(at.layer, (*at.path, *deeper), item.before is None)

    def _is_steady(self, at: Written, origin: Origin) -> bool:
        """Whether others have kept the value from this line."""
        return at.layer is not origin.own and (at.layer.prefix, at.path) in self._steady

    def _fitting(self, item: FieldChange, origin: Origin) -> dict[str, str | None]:
        """The references in the field's text that explain the old value, each with the text that
        it must have had; None if the old value is not known."""
        at = origin.written(item.path)
        parts = split(as_text(at.value)) if at else []
        if len(parts) < 2 or item.before is None:
            return {}
        if is_masked(item.before):
            return dict.fromkeys(parts[1::2])
        then, found = as_text(item.before), dict[str, str | None]()
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
        for name, (params, origin) in self._known.items():
            written = _written_in(origin, paths)
            for path in {*written, *differing_places({}, params)} if origin.may_refer else written:
                if (name, path) in self._changed or (at := origin.written(path)) is None:
                    continue
                found.add((at.layer.prefix, at.path))
                if origin.may_refer and "${env." not in (text := as_text(at.value)):
                    found.update(_identity(it, origin) for it in split(text)[1::2])
        return found

    def _lost(self, name: str, path: Place, origin: Origin) -> Cause:
        """The table that lost a key: of those above where the value now is, the one of the most job
        configs if all of them lost it, the upper of two. Or the line that uses another template."""
        above = [it for it in _above(path, origin) if it is origin.own or it.whole.table]
        layer = max(above, key=lambda it: self._losses[it.prefix, path])
        if layer is origin.own and name in self._switched:
            return self.line(layer, ("use",))
        # Rather the table of all environments than that of one.
        is_plain = found_at(layer.file.plain.data, layer.prefix) is not None
        return self.header(layer, (*(layer.prefix if is_plain else layer.written(())), *path))

    @cached_property
    def _losses(self) -> Counter[tuple[KeyPath, Place]]:
        """How many job configs lost a key that may have been in a table; none if others below that
        table did not lose it."""
        lost: Counter[tuple[KeyPath, Place]] = Counter()
        having: Counter[tuple[KeyPath, Place]] = Counter()
        users = Counter(layer.prefix for _, it in self._known.values() for layer in it.layers)
        fallen: dict[str, set[Place]] = defaultdict(set)
        for name, path in self._changed:
            origin = self.origins[name]
            if (at := origin.written(path)) is None or self._is_steady(at, origin):
                fallen[name].add(path)
        paths = set().union(*fallen.values())
        for name, (_, origin) in self._known.items():
            for path in fallen[name] | _written_in(origin, paths):
                above = _above(path, origin)
                if path in fallen[name]:
                    lost.update((layer.prefix, path) for layer in above)
                having.update((it.prefix, path) for it in origin.layers[len(above) + 1 :])
        return +Counter({at: it for at, it in lost.items() if it + having[at] == users[at[0]]})

    @cached_property
    def _switched(self) -> set[str]:
        """The job configs that may have got another template: all that they have from it has
        changed, though others have kept some of it."""
        found = set()
        for name in self._known.keys() & {name for name, _ in self._changed}:
            params, origin = self._known[name]
            given = [
                ((name, path) in self._changed, self._is_steady(at, origin))
                for path in differing_places({}, params)
                if (at := origin.written(path)) and at.layer in origin.layers[1:-1]
            ]
            if all(it for it, _ in given) and any(it for _, it in given):
                found.add(name)
        return found


def _above(path: Place, origin: Origin) -> Sequence[Layer]:
    """The layers above the one that the value at ``path`` comes from; all of them if it is gone."""
    return [*takewhile(lambda it: not it.has(path), origin.layers)]


def _written_in(origin: Origin, paths: set[Place]) -> set[Place]:
    """Those of ``paths`` that the tables of ``origin`` may have. Keys are few, labels are not."""
    labels = {("hyperparameters", label) for it in origin.layers for label in it.labelled or ()}
    return (labels & paths) | {path for path in paths if len(path) == 1}


def _identity(reference: str, origin: Origin) -> str:
    own = origin.own.prefix if reference.startswith("matrix.") else ()
    return ".".join(map(str, (*own, reference)))
