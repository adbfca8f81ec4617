"""Tables that differ in a few values only -> one table with a matrix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise, product
from math import prod
from typing import Any, TypeAlias

from majobctl.job_config.fields import FIELDS
from majobctl.job_config.values import hyperparameter_text
from majobctl.repository.authoring.generate import JobTable
from majobctl.repository.jobs import matrix

Flat: TypeAlias = Mapping[tuple[str, ...], Any]
"""The values of a table, each hyperparameter by itself."""
_MOST_VARYING, _MOST_KEYS, _MOST_PLACES = 6, 3, 6
_MOST_TRIES, _MOST_FAMILIES = 200, 20
_LABELLED = "hyperparameters"


def folded(tables: Sequence[JobTable]) -> list[JobTable]:
    """``tables``, which are sorted by name, with one that has a matrix in place of those that it
    describes. Their names and values must follow from the values that vary."""
    left = {table.name: (table, _flat(table.values)) for table in tables}
    found: list[JobTable] = []
    labels = {*left}
    while left:
        first = next(iter(left))
        family = _family(left, labels) if len(found) < _MOST_TRIES else None
        table, names = family or (left[first][0], [first])
        labels.add(table.name)
        found.append(table)
        for name in names:
            del left[name]
    return sorted(found, key=lambda table: table.name)


def _family(
    left: Mapping[str, tuple[JobTable, Flat]], labels: set[str]
) -> tuple[JobTable, list[str]] | None:
    """The table for the largest family of the first of ``left``, and the names in it."""
    (anchor, flat), *_ = left.values()
    differing = {
        name: frozenset(place for place, value in other.items() if value != flat[place])
        for name, (table, other) in left.items()
        if other.keys() == flat.keys() and not (table.remarks or table.secrets)
    }
    common = Counter(differing.values()).most_common(_MOST_FAMILIES)
    sizes = {it: sum(count for other, count in common if other <= it) for it, _ in common}
    for varying in sorted(sizes, key=lambda it: -sizes[it]):
        names = [name for name, places in differing.items() if places <= varying]
        if 0 < len(varying) <= _MOST_VARYING and len(names) > 1:
            members = {name: left[name][1] for name in names}
            for table in _matrices(anchor, members, sorted(varying)):
                expanded, wrong = matrix.combinations(table.name, table.values)
                if not wrong and sorted(it.name for it in expanded) == sorted(names):
                    return replace(table, name=_label(table.name, labels - {*names})), names
    return None


def _matrices(
    anchor: JobTable, members: Mapping[str, Flat], varying: Sequence[tuple[str, ...]]
) -> Iterator[JobTable]:
    """The tables, named by their templates, that may describe ``members``."""
    scalars = [it for it in varying if hyperparameter_text(_flat(anchor.values)[it]) is not None]
    for count in range(1, min(_MOST_KEYS, len(scalars)) + 1):
        for keys in combinations(scalars, count):
            if table := _matrix(anchor, members, keys, set(varying) - {*keys}):
                yield table


def _matrix(
    anchor: JobTable,
    members: Mapping[str, Flat],
    keys: Sequence[tuple[str, ...]],
    following: set[tuple[str, ...]],
) -> JobTable | None:
    """Of a matrix of ``keys``, in which the values of ``following`` are texts made from theirs."""
    values = {key: [*dict.fromkeys(flat[key] for flat in members.values())] for key in keys}
    if prod(map(len, values.values())) != len(members):
        return None
    if len({tuple(flat[key] for key in keys) for flat in members.values()}) != len(members):
        return None
    texts = [{key[-1]: _text(flat[key]) for key in keys} for flat in members.values()]
    if any("${" in text for row in texts for text in row.values()):
        return None
    fitting = [{key: matrix.fitting(text) for key, text in row.items()} for row in texts]
    name = _template([*members], fitting, "{%s}")
    own = _nested(anchor.values, dict.fromkeys(keys))
    for place in sorted(following):
        written = [flat[place] for flat in members.values()]
        text = _template(written, texts, "${matrix.%s}")
        if text is None:
            return None
        own = _nested(own, {place: text})
    if name is None:
        return None
    table = {matrix.MATRIX: {key[-1]: it for key, it in values.items()}, matrix.NAME: name}
    return JobTable(name=name, values={**table, **own})


def _template(
    written: Sequence[object], rows: Sequence[Mapping[str, str]], form: str
) -> str | None:
    """The text that gives each of ``written`` if the forms of keys become a row's texts."""
    texts = [text for text in written if isinstance(text, str)]
    if len(texts) < len(written):
        return None
    choices = [_spans(texts[0], text, key) for key, text in rows[0].items()]
    for chosen in product(*choices):
        spans = sorted(span for spans in chosen for span in spans)
        if any(end > start for (_, end, _), (start, _, _) in pairwise(spans)):
            continue
        parts, at = [], 0
        for start, end, key in spans:
            parts += [texts[0][at:start], key]
            at = end
        parts.append(texts[0][at:])
        filled = (_filled(parts, row.__getitem__) for row in rows)
        if all(text == wanted for text, wanted in zip(filled, texts, strict=True)):
            return _filled(parts, lambda key: form % key)
    return None


def _spans(text: str, part: str, key: str) -> Iterator[tuple[tuple[int, int, str], ...]]:
    """Which occurrences of ``part`` may be the key's: all, none, or one of the first."""
    every = [(it.start(), it.end(), key) for it in re.finditer(re.escape(part), text) if part]
    yield from dict.fromkeys(map(tuple, [every, *([it] for it in every[:_MOST_PLACES]), []]))


def _filled(parts: Sequence[str], text_of: Any) -> str:
    return "".join(text_of(part) if index % 2 else part for index, part in enumerate(parts))


def _flat(values: Mapping[str, Any]) -> Flat:
    flat: dict[tuple[str, ...], Any] = {
        (key,): value for key, value in values.items() if key != _LABELLED
    }
    labelled = values.get(_LABELLED) or {}
    return {**flat, **{(_LABELLED, label): text for label, text in labelled.items()}}


def _nested(values: Mapping[str, Any], changes: Flat) -> dict[str, Any]:
    """``values`` with ``changes``; None removes one."""
    flat = {place: it for place, it in {**_flat(values), **changes}.items() if it is not None}
    labelled = {place[1]: it for place, it in flat.items() if len(place) > 1}
    own = {place[0]: it for place, it in flat.items() if len(place) == 1}
    order = [key for key in (*FIELDS, *own) if key in own or (key == _LABELLED and labelled)]
    return {key: labelled if key == _LABELLED else own[key] for key in dict.fromkeys(order)}


def _text(value: object) -> str:
    return hyperparameter_text(value) or ""


def _label(template: str, labels: set[str]) -> str:
    """A name for the table: what all names have in common."""
    plain = re.sub(r"[-_]{2,}", "-", re.sub(r"\{[^{}]*\}", "", template)).strip("-_") or "matrix"
    label, number = plain, 1
    while label in labels:
        number += 1
        label = f"{plain}-{number}"
    return label
