"""One job config for each combination of a matrix's values.

``matrix = {lr = [0.1, 0.01], seed = [1, 2]}`` with ``name = "resnet-{lr}-{seed}"`` is four job
configs. A key of a job config is set to its value, any other name is a hyperparameter's label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import prod
from typing import Any

from majobctl.job_config.directives import DIRECTIVES, RENAMED_FROM
from majobctl.job_config.fields import FIELDS, HYPERPARAMETERS, PLACEHOLDER, Kind
from majobctl.job_config.values import TypedText, hyperparameter_text, is_blank, type_name
from majobctl.job_config.violations import Path, Violation
from majobctl.text import nearest, printable, quoted

MATRIX = "matrix"
NAME = "name"
MAX_COMBINATIONS = 10_000
_FIXED = (*DIRECTIVES, MATRIX, NAME, "use")
_MIN_LIKENESS = 0.85
"""From this likeness on (difflib's ratio), a label is taken for a mistyped key."""
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Combination:
    """One job config of a table: its name, its keys, the texts of its ``matrix.KEY`` references,
    and the places whose values come from the matrix."""

    name: str
    table: Mapping[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)
    places: frozenset[Path] = frozenset()


def combinations(
    label: str,
    table: Mapping[str, Any],
    sensitive: Collection[str] = (),
    renamed_from: str = "",
) -> tuple[Iterable[Combination], list[Violation]]:
    """The job configs that the table ``label`` describes; none if its matrix breaks a rule. A name,
    and a former one, has ``_`` for a character that it may not have, such as the point of ``0.1``,
    and no value of a ``sensitive`` key or label, since names are shown everywhere."""
    if MATRIX not in table:
        if NAME not in table:
            return [Combination(name=label, table=table)], []
        message = f"{NAME} works only with {MATRIX}: the table's name is the job config's name"
        return [Combination(name=label, table=without_matrix(table))], [Violation((NAME,), message)]
    matrix, template = table[MATRIX], table.get(NAME)
    violations = list(_matrix_violations(matrix, _own_labels(table)))
    if isinstance(matrix, Mapping) and matrix:
        violations += _name_violations(template, matrix)
        violations += _placeholders_in_paths(table, matrix)
        violations += _unknown_placeholders(RENAMED_FROM, renamed_from, matrix)
    for key, text in ((NAME, str(template)), (RENAMED_FROM, renamed_from)):
        violations = violations or list(_secrets_in_names(key, text, matrix, sensitive))
    if violations:
        return [], violations
    plain = without_matrix(table)
    # More of a template or a value makes no valid name.
    template = str(template)[:1000]
    choices = (dict(zip(matrix, values, strict=True)) for values in product(*matrix.values()))
    return (_combination(template, plain, chosen) for chosen in choices), []


def _placeholders_in_paths(
    table: Mapping[str, Any], matrix: Mapping[str, Any]
) -> Iterator[Violation]:
    """They would be sent as they are, and all combinations would share one folder."""
    paths = [key for key in table if key in FIELDS and FIELDS[key].kind is Kind.OBS_PATH]
    for key, name in product(paths, matrix):
        if re.search(rf"(?<!\$)\{{{re.escape(name)}\}}", str(table[key])):
            hint = f"write ${{{MATRIX}.{name}}}"
            yield Violation((key,), f'{key}: "{{{name}}}" works only in {NAME}; {hint}')


def without_matrix(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in (MATRIX, NAME)}


def _own_labels(table: Mapping[str, Any]) -> Collection[object]:
    written = table.get(HYPERPARAMETERS)
    if isinstance(written, list):
        return [item.get("label") for item in written if isinstance(item, Mapping)]
    return written if isinstance(written, Mapping) else ()


def _matrix_violations(matrix: object, labels: Collection[object]) -> Iterator[Violation]:
    wanted = "a table of arrays, such as {lr = [0.1, 0.01], seed = [1, 2]}"
    if not isinstance(matrix, Mapping) or not matrix:
        shown = "an empty one" if matrix == {} else type_name(matrix)
        yield Violation((MATRIX,), f"{MATRIX} must be {wanted}, not {shown}")
        return
    import difflib

    for key, values in matrix.items():
        likely = () if key in FIELDS or key in labels else FIELDS
        near = difflib.get_close_matches(key, likely, n=1, cutoff=_MIN_LIKENESS)
        if key in _FIXED or (key in FIELDS and FIELDS[key].is_array):
            wrong = [f"{key} cannot vary; name a label of hyperparameters"]
        elif near:
            meant = f"did you mean {near[0]}? If not, write the label under hyperparameters, too"
            wrong = [f"{quoted(key)} is not a key; {meant}"]
        elif not isinstance(values, list) or not values:
            shown = "an empty one" if values == [] else type_name(values)
            wrong = [f"{quoted(key)} must be an array of values, not {shown}"]
        else:
            wrong = list(_wrong_values(key, values))
        yield from (Violation((MATRIX, key), f"{MATRIX}: {message}") for message in wrong)
    if all(isinstance(item, list) for item in matrix.values()):
        count = prod(len(item) for item in matrix.values())
        if count > MAX_COMBINATIONS:
            message = f"{MATRIX} has more than {MAX_COMBINATIONS} combinations"
            yield Violation((MATRIX,), message)


def _wrong_values(key: str, values: list[Any]) -> Iterator[str]:
    texts: set[str] = set()
    for index, value in enumerate(values):
        text = hyperparameter_text(value)
        what = f"item {index + 1} of {quoted(key)}"
        if text is None:
            wanted = "a string, an integer of 64 bits, a float or a boolean"
            yield f"{what} must be {wanted}, not {type_name(value)}"
        elif "${" in text:
            yield f"{what} cannot have a reference"
        elif text in texts:
            yield f"{what} appears twice"
        else:
            texts.add(text)


def _name_violations(template: object, matrix: Mapping[str, Any]) -> Iterator[Violation]:
    if template is None:
        example = "-".join(f"{{{key}}}" for key in matrix)
        shown = printable(f'{NAME} = "x-{example}"')
        yield Violation((MATRIX,), f"{MATRIX} needs {NAME}, such as {shown}")
        return
    if not isinstance(template, str):
        yield Violation((NAME,), f"{NAME} must be a string, not {type_name(template)}")
        return
    yield from _unknown_placeholders(NAME, template, matrix)
    used = PLACEHOLDER.findall(template)
    for key, values in matrix.items():
        if key not in used and isinstance(values, list) and len(values) > 1:
            message = f"{NAME} must contain {quoted('{' + key + '}')}, because names must differ"
            yield Violation((NAME,), message)


def _unknown_placeholders(
    where: str, template: str, matrix: Mapping[str, Any]
) -> Iterator[Violation]:
    for key in PLACEHOLDER.findall(template):
        if key not in matrix:
            hint = nearest(key, matrix)
            message = f"{quoted('{' + key + '}')} is not in {MATRIX}{hint}"
            yield Violation((where,), f"{where}: {message}")


def filled(template: str, texts: Mapping[str, str]) -> str:
    """A name with the ``matrix.KEY`` texts in place of ``{KEY}``."""
    return PLACEHOLDER.sub(lambda match: fitting(texts[f"{MATRIX}.{match[1]}"]), template)


def _secrets_in_names(
    where: str, template: str, matrix: Mapping[str, Any], sensitive: Collection[str]
) -> Iterator[Violation]:
    for key in matrix:
        is_secret = key in sensitive or (key not in FIELDS and HYPERPARAMETERS in sensitive)
        if is_secret and f"{{{key}}}" in template:
            message = f"{quoted(f'{{{key}}}')} is sensitive, and names are shown everywhere"
            yield Violation((where,), f"{where}: {message}")


def _combination(template: str, table: Mapping[str, Any], chosen: Mapping[str, Any]) -> Combination:
    texts = {
        f"{MATRIX}.{key}": TypedText(hyperparameter_text(value) or "", value)
        for key, value in chosen.items()
    }
    keys = {key: value for key, value in chosen.items() if key in FIELDS}
    labels = {key: value for key, value in chosen.items() if key not in FIELDS}
    return Combination(
        name=filled(template, texts),
        table={**table, **keys, **_labelled(table, labels)},
        texts=texts,
        places=frozenset((key,) if key in keys else (HYPERPARAMETERS, key) for key in chosen),
    )


def fitting(text: str) -> str:
    """``text`` as a part of a name."""
    return _UNFIT.sub("_", text[:100])


def _labelled(table: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters with ``labels`` laid over them, in the form that they are written in."""
    if not labels:
        return {}
    own = table.get(HYPERPARAMETERS)
    if is_blank(own):
        return {HYPERPARAMETERS: labels}
    if not isinstance(own, list):
        return {HYPERPARAMETERS: {**own, **labels} if isinstance(own, Mapping) else own}
    written = [item.get("label") if isinstance(item, Mapping) else None for item in own]
    # Each item stays in its place, by which its line is found.
    items = [
        {"label": it, "value": labels[it]} if isinstance(it, str) and it in labels else item
        for it, item in zip(written, own, strict=True)
    ]
    added = [{"label": key, "value": labels[key]} for key in labels if key not in written]
    return {HYPERPARAMETERS: [*items, *added]}
