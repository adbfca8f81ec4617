"""What a job config or a template does not want: keys and labels of the tables below it (``unset``)
and environments (``environments`` has all others)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from majobctl.job_config.directives import ENVIRONMENTS, UNSET, Directives
from majobctl.job_config.fields import FIELDS, HYPERPARAMETERS
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Layer, by_label, unset_place
from majobctl.repository.jobs.matrix import MATRIX
from majobctl.repository.settings.environments import environments_of, unknown_environment
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath
from majobctl.text import nearest, quoted


def without_unset(layers: Sequence[Layer], directives: Directives) -> Sequence[Layer]:
    """``layers`` without what the table above them does not want."""
    places = {unset_place(name) for name in directives.unset.values()}
    return [replace(it, table=_without(it.table, places)) for it in layers] if places else layers


def _without(table: Mapping[str, Any], places: Collection[KeyPath]) -> Mapping[str, Any]:
    left = {key: value for key, value in table.items() if (key,) not in places}
    if labelled := by_label(left.get(HYPERPARAMETERS)):
        # In the form that it is written in.
        kept = {
            label: it for label, it in labelled.items() if (HYPERPARAMETERS, label) not in places
        }
        pairs = [{"label": label, "value": value} for label, value in kept.items()]
        left[HYPERPARAMETERS] = kept if labelled is left[HYPERPARAMETERS] else pairs
    return left


def check_unwanted(
    directives: Directives,
    table: Mapping[str, Any],
    template: Mapping[str, Any] | None,
    settings: TomlFile,
    violations: list[Violation],
) -> list[Violation]:
    """Adds to ``violations`` what is wrong with ``environments``, and with ``unset`` beside the
    keys of their ``table``, over ``template`` (None: an unknown one). Returns warnings."""
    environments = environments_of(settings.plain) if directives.environments else ()
    for index, name in directives.environments.items():
        if name and name not in environments:
            message = f"{ENVIRONMENTS}: {unknown_environment(name, settings.plain)}"
            violations.append(Violation((ENVIRONMENTS, index), message))
    if not directives.unset or template is None:
        return []
    own, below = _places(table), {*_default_places(settings.plain), *_places(template)}
    useless: list[Violation] = []
    for index, name in directives.unset.items():
        place = unset_place(name)
        # Own hyperparameters are merged with those below: without these, they are all there is.
        if place in own and place != (HYPERPARAMETERS,):
            text = f"{quoted(name)} is set here, too; keep one of them"
        elif place in below:
            continue
        elif name in FIELDS:
            text = f"neither [defaults] nor a template sets {name}; remove it"
            useless.append(Violation((UNSET, index), f"{UNSET}: {text}"))
            continue
        else:
            hint = nearest(name, [*FIELDS, *(str(label[0]) for _, *label in below if label)])
            text = f"{quoted(name)} is neither a key, nor a label of [defaults] or of the template"
            text += hint
        violations.append(Violation((UNSET, index), f"{UNSET}: {text}"))
    return useless


def _places(table: Mapping[str, Any]) -> set[KeyPath]:
    """What ``table`` sets, itself and by its matrix."""
    matrix, labels = table.get(MATRIX), by_label(table.get(HYPERPARAMETERS)) or ()
    found = {(key,) for key in table} | {(HYPERPARAMETERS, label) for label in labels}
    varied = matrix if isinstance(matrix, Mapping) else ()
    return found | {(key,) if key in FIELDS else (HYPERPARAMETERS, key) for key in varied}


def _default_places(settings: TomlFile) -> set[KeyPath]:
    """What ``[defaults]`` sets in any environment."""
    tables = [it.get("defaults") for it in (settings.data, *environments_of(settings).values())]
    return set().union(*(_places(it) for it in tables if isinstance(it, Mapping)))
