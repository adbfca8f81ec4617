"""Warns, offline, of names in job configs that the service did not offer when it was last asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.operations.context import target_of
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Origin
from majobctl.service.catalog import NAMES, Names, names_in, unknown_name
from majobctl.service.catalog_cache import FILE_NAME, CachedList, load_lists
from majobctl.text import nearest, quoted

_Check = tuple[tuple[str, ...], Callable[..., str]]


def warnings_of(config: Config, folder: Path) -> list[Problem]:
    """What the cache in ``folder`` says about the job configs, in order, or why it cannot be used.
    It is not used if nothing names a project."""
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        return []
    try:
        target = target_of(config.settings)
    except MajobctlError:
        return []
    lists, reason = load_lists(path, target)
    if reason:
        message = f"{reason}; `majobctl flavors` writes it again"
        return [Problem(file=f"{folder.name}/{FILE_NAME}", message=message)]
    return catalog_warnings(config, lists)


def catalog_warnings(config: Config, lists: Mapping[str, CachedList]) -> list[Problem]:
    """A warning for each name that was not offered, and for more nodes than a flavor allows,
    without sensitive values: at the job config's own key, or once at the key in ``[defaults]``."""
    checks = list(_checks(lists))
    found: set[Problem] = set()
    for job_config in config.job_configs.values():
        for keys, problem in checks:
            values = [job_config.params.get(key) for key in keys]
            if None in values or any((key,) in job_config.sensitive for key in keys):
                continue
            message = problem(*values)
            if message:
                found.add(_warning(job_config, keys, message))
    return sorted(found)


def _checks(lists: Mapping[str, CachedList]) -> Iterator[_Check]:
    """Keys, and a function of their values: it gives a sentence about the first, or ""."""
    for name, cached in lists.items():
        offered = names_in(cached.items, NAMES[name])
        for count in range(1, len(NAMES[name]) + 1):
            yield _name_check(name, NAMES[name][:count], offered, cached.day)
    if "flavors" in lists:
        keys = ("train_instance_count", "train_instance_type")
        yield keys, _count_problem(lists["flavors"])


def _name_check(name: str, keys: tuple[str, ...], offered: Names, day: str) -> _Check:
    """Checks the last of ``keys`` among the names that are offered with the first."""

    @cache  # thousands of job configs have the same values
    def problem(*values: str) -> str:
        params = dict(zip(reversed(keys), values, strict=True))
        key, known = unknown_name(name, offered, params) or ("", ())
        if key != keys[-1]:
            return ""
        others = "".join(f" with {other} {quoted(params[other])}" for other in keys[:-1])
        hint = nearest(params[key], sorted(known))
        return f"{key} {quoted(params[key])} was not offered{others} on {day}{hint}"

    return keys[::-1], problem


def _count_problem(flavors: CachedList) -> Callable[[int, str], str]:
    limits: dict[str, int] = {}
    for item in flavors.items:
        name = item["train_instance_type"]
        # Several flavors may have the same code: the largest limit is wrong for none of them.
        limits[name] = max(limits.get(name, 0), item["max_num"] or 0)

    def problem(count: int, flavor: str) -> str:
        most = limits.get(flavor, 0)
        if most < 1 or count <= most:
            return ""
        nodes = "1 node" if most == 1 else f"{most} nodes"
        return f"train_instance_count {count} is more than the {nodes} that {quoted(flavor)} allows"

    return problem


def _warning(job_config: JobConfig, keys: Sequence[str], message: str) -> Problem:
    """At the first of ``keys`` that the job config has itself, else where the first comes from."""
    source = job_config.source
    assert isinstance(source, Origin)
    own = next((key for key in keys if key in source.own.table), keys[0])
    return source.problem((own,), message)
