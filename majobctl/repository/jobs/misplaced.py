"""Keys in the wrong table: TOML gives a key to the last header above it, whatever was meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from majobctl.job_config.checks import BELOW
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Layer, Origin
from majobctl.repository.jobs.matrix import MATRIX, NAME
from majobctl.repository.jobs.templates import OF_JOB_CONFIGS, USE
from majobctl.repository.settings.keys import SETTINGS, home_of
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.text import printable, quoted

KEYS = frozenset({*FIELDS, *DIRECTIVES, USE, MATRIX, NAME})
"""Every key of a job config. None of them is a label, unless the label is written as a string."""
_LABELLED = "hyperparameters"


def with_homes(origin: Origin, wrong: Iterable[Violation]) -> list[Violation]:
    """``wrong`` with a violation for each key of a job config that is written as a label, and
    with the table in which a key of the settings belongs."""
    found = {item.path: item for layer in origin.layers for item in _labels(layer, origin)}
    return [*found.values(), *(_with_home(item) for item in wrong if item.path not in found)]


def _labels(layer: Layer, origin: Origin) -> Iterator[Violation]:
    labels = layer.table.get(_LABELLED)
    if not isinstance(labels, Mapping) or KEYS.isdisjoint(labels):
        return
    header = printable(".".join(map(str, layer.prefix)))
    for key in KEYS & labels.keys():
        path = (_LABELLED, key)
        # A label of a layer below may be written anew above, as a string.
        if next(it for it in origin.layers if it.has(path)) is layer:
            is_elsewhere = key in OF_JOB_CONFIGS and layer.prefix[0] != "job_config"
            table = "[job_config.NAME]" if is_elsewhere else f"[{header}]"
            yield Violation(
                path,
                f"{key} is a key of {table}, not a hyperparameter; move it there, or, for a label"
                f" of this name, write {_LABELLED} = [{{label = {quoted(key)}, value = ...}}]",
            )


def _with_home(violation: Violation) -> Violation:
    key, *rest = violation.path or ("",)
    if rest or not any(key in known for known in SETTINGS.values()):
        return violation
    return replace(violation, message=f"{home_of(str(key))} of {FILE_NAME}; {BELOW}")
