"""The causes of what lies between two revisions of the files."""

from __future__ import annotations

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
        for reference in split(as_text(at.value))[1::2] if at else ():
            then = self._base.text_of(reference, was)
            if then != self.text_of(reference, origin):
                cause = self.edited(reference, origin, then)
                old = self._base.variables.get(reference.partition(".")[2])
                if old and old.path[0] == "environments" and cause.key.startswith("variables."):
                    return self.header(origin.layers[-1], old.path)
                return cause
        return None
