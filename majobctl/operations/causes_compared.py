"""The causes of what lies between two revisions of the files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from majobctl.job_config.compare_policy import Place
from majobctl.job_config.values import hyperparameter_text
from majobctl.operations.causes import Finder, as_text, only_difference
from majobctl.plan.change import Cause, Change, FieldChange
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Layer, Origin, found_at
from majobctl.repository.jobs.references import split
from majobctl.repository.toml.positions import KeyPath


class Compared(Finder):
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
        for layer, old, at in [(*layers[0], ("matrix", path[-1])), *places]:
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
        new, was_at = (*at[:-1], label or ""), old.written(at)
        is_there = label is not None and layer.written(new)[:-1] == was_at[:-1]
        return self.line(layer, new, is_new=True) if is_there else self.header(layer, was_at)

    def _renames(self, layer: Layer, old: Layer) -> Mapping[str | int, str]:
        """The labels that left a table, each with the only new one that has its value."""
        if layer.prefix not in self._renamed:
            now, then = (it.whole.labelled or {} for it in (layer, old))
            gone, new = (defaultdict[str, list[str]](list) for _ in range(2))
            for found, side, other in ((gone, then, now), (new, now, then)):
                for label in side.keys() - other.keys():
                    found[as_text(side[label])].append(label)
            self._renamed[layer.prefix] = {
                labels[0]: new[text][0]
                for text, labels in gone.items()
                if len(labels) == len(new[text]) == 1
            }
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
