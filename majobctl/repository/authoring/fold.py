"""Tables that differ only in a few values -> one table with a matrix."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, pairwise, product
from math import prod
from typing import Any, TypeAlias

from majobctl.job_config.directives import UNSET
from majobctl.job_config.fields import FIELDS, HYPERPARAMETERS
from majobctl.job_config.values import hyperparameter_text
from majobctl.repository.authoring.generate import JobTable
from majobctl.repository.jobs import matrix

_Flat: TypeAlias = Mapping[tuple[str, ...], Any]
"""The values of a table by their places: a key, or ``hyperparameters`` and a label."""
_MOST_VARYING, _MOST_KEYS, _MOST_PLACES = 6, 3, 6
_MOST_TRIES, _MOST_FAMILIES = 200, 20


def folded(tables: Sequence[JobTable]) -> list[JobTable]:
    """``tables``, which are sorted by name, with one that has a matrix in place of those that it
    describes. Their names must follow from the values that vary."""
    left = {table.name: _flat(table.values) for table in tables}
    labels, found = {*left}, list[JobTable]()
    while left:
        first = next(iter(left))
        names, values = [first], None
        if len(found) < _MOST_TRIES:
            names, values = _family(left) or (names, values)
        label = _label(values[matrix.NAME], labels.difference(names)) if values else first
        labels.add(label)
        found.append(JobTable(name=label, values=values or _nested(left[first])))
        for name in names:
            del left[name]
    return sorted(found, key=lambda table: table.name)


def _family(left: Mapping[str, _Flat]) -> tuple[list[str], dict[str, Any]] | None:
    """The names of the largest family of the first of ``left``, and the values for all of it."""
    flat = next(iter(left.values()))
    differing = {
        name: frozenset(place for place in other if other[place] != flat[place])
        for name, other in left.items()
        if other.keys() == flat.keys()
    }
    common = Counter(differing.values()).most_common(_MOST_FAMILIES)
    sizes = {it: sum(count for other, count in common if other <= it) for it, _ in common}
    for varying in sorted(sizes, key=lambda it: -sizes[it]):
        names = [name for name, places in differing.items() if places <= varying]
        scalars = [it for it in sorted(varying) if hyperparameter_text(flat[it]) is not None]
        most = min(_MOST_KEYS, len(scalars)) if len(varying) <= _MOST_VARYING else 0
        for count in range(1, most + 1):
            for keys in combinations(scalars, count):
                rows = [left[name] for name in names]
                values = _with_matrix(names, rows, keys, varying.difference(keys))
                if values and not matrix.combinations("", values)[1]:
                    return names, values
    return None


def _with_matrix(
    names: Sequence[str],
    rows: Sequence[_Flat],
    keys: Sequence[tuple[str, ...]],
    following: frozenset[tuple[str, ...]],
) -> dict[str, Any] | None:
    """Values with a matrix of ``keys`` that give ``rows``. Those of ``following`` must be texts
    made from theirs; so must the names."""
    choices = {key[-1]: [*dict.fromkeys(row[key] for row in rows)] for key in keys}
    texts = [{key[-1]: hyperparameter_text(row[key]) or "" for key in keys} for row in rows]
    is_product = len({*map(str, texts)}) == len(rows) == prod(map(len, choices.values()))
    if not is_product or any("${" in text for row in texts for text in row.values()):
        return None
    fitting = [{key: matrix.fitting(text) for key, text in row.items()} for row in texts]
    name = _template(names, fitting, "{%s}")
    others = {it: _template([row[it] for row in rows], texts, "${matrix.%s}") for it in following}
    if name is None or None in others.values():
        return None
    own = {it: others.get(it, value) for it, value in rows[0].items() if it not in keys}
    return {matrix.MATRIX: choices, matrix.NAME: name, **_nested(own)}


def _template(
    written: Sequence[object], rows: Sequence[Mapping[str, str]], form: str
) -> str | None:
    """The text that gives each of ``written`` if the forms of keys become a row's texts."""
    texts = [text for text in written if isinstance(text, str)]
    if len(texts) < len(written):
        return None
    for chosen in product(*(_spans(texts[0], part, key) for key, part in rows[0].items())):
        spans = sorted(span for spans in chosen for span in spans)
        if any(end > start for (_, end, _), (start, _, _) in pairwise(spans)):
            continue
        parts, at = list[str](), 0
        for start, end, key in spans:
            parts += [texts[0][at:start], key]
            at = end
        parts.append(texts[0][at:])
        if all(
            _filled(parts, row.__getitem__) == text for row, text in zip(rows, texts, strict=True)
        ):
            return _filled(parts, lambda key: form % key)
    return None


def _spans(text: str, part: str, key: str) -> Iterator[tuple[tuple[int, int, str], ...]]:
    """Which occurrences of ``part`` may be the key's: all, none, or one of the first."""
    every = tuple((it.start(), it.end(), key) for it in re.finditer(re.escape(part) or "$^", text))
    yield from dict.fromkeys([every, *((it,) for it in every[:_MOST_PLACES]), ()])


def _filled(parts: Sequence[str], text_of: Callable[[str], str]) -> str:
    return "".join(text_of(part) if index % 2 else part for index, part in enumerate(parts))


def _flat(values: Mapping[str, Any]) -> _Flat:
    labelled = values.get(HYPERPARAMETERS) or {}
    flat: _Flat = {(HYPERPARAMETERS, label): it for label, it in labelled.items()}
    return {**{(key,): values[key] for key in values if key != HYPERPARAMETERS}, **flat}


def _nested(flat: _Flat) -> dict[str, Any]:
    labelled = {place[1]: value for place, value in flat.items() if len(place) > 1}
    own = {
        HYPERPARAMETERS: labelled,
        **{place[0]: flat[place] for place in flat if len(place) == 1},
    }
    return {key: own[key] for key in (*FIELDS, UNSET) if key in own and own[key] != {}}


def _label(template: str, labels: set[str]) -> str:
    """A name for the table that none of ``labels`` is: what all names have in common."""
    common = re.sub(r"[-_]{2,}", "-", re.sub(r"\{[^{}]*\}", "", template)).strip("-_") or "matrix"
    numbered = (f"{common}-{number}" for number in range(2, len(labels) + 3))
    return next(label for label in (common, *numbered) if label not in labels)
