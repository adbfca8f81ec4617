"""Which of the job configs that leave are the old ones of new job configs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import NO_HASH, Maskers, with_known, without_hashes
from majobctl.plan.change import Change, Params, Renamed

_MAX_ALIKE = (100, 5)
"""Of so many that leave, all alike but for their secrets, or paths, a new one may be a new name."""


def with_renames(
    changes: Sequence[Change], desired: Mapping[str, JobConfig], masker: Maskers
) -> Iterator[Change]:
    """``changes``; one that leaves is marked as the old one of what declares that, or else a
    new one that makes its request, but perhaps for its name in paths, as a likely rename."""
    declared = {change.old_name: change.name for change in changes if change.old_name}
    leaving: dict[str, dict[str, Change]] = {}
    for change in changes:
        if change.after is None and change.name not in declared:
            for key in _requests(change.before):
                leaving.setdefault(key, {})[change.name] = change
    former = partial(_former, leaving=leaving, desired=desired, masker=masker)
    for change in changes:
        is_new = change.after is not None and change.before is None and not change.old_name
        if change.after is None and change.name in declared:
            yield replace(change, new_name=declared[change.name])
        elif is_new and (old := former(change)):
            yield replace(change, old_name=old.name, renamed=Renamed.DETECTED)
        else:
            yield change


def _former(
    change: Change,
    leaving: dict[str, dict[str, Change]],
    desired: Mapping[str, JobConfig],
    masker: Maskers,
) -> Change | None:
    """The one of ``leaving`` with this request, whatever the values that are not known."""
    after, own = change.after or {}, masker(change.name)
    for key, most in zip(_requests(after) if leaving else (), _MAX_ALIKE, strict=False):
        for old in islice(leaving.get(key, {}).values(), most):
            before = own.renewed(old.before or {}, desired[change.name].params)
            if _are_alike(before, with_known(after, before), {old.name, change.name}):
                for request in _requests(old.before):
                    leaving[request].pop(old.name, None)
                return old
    return None


def _requests(params: Params | None) -> list[str]:
    """The request of ``params`` but for their secrets, and also but for what paths say."""
    text = json.dumps(without_hashes(params or {}, NO_HASH), sort_keys=True)
    return [text, re.sub(r'"[^"]*/[^"]*"', "/", text)]


def _are_alike(before: Params, after: Params, names: Iterable[str]) -> bool:
    """Whether the two are equal, but for one of ``names`` in place of another."""
    either = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    sides = ((it, after.get(key)) for key, it in before.items())
    texts = ([either.sub("/", json.dumps(it, sort_keys=True)) for it in pair] for pair in sides)
    return all(one == other for one, other in texts)
