"""Warns, offline, of what job configs name and the service did not offer when it was asked last.

Nothing here asks the service; apply does, and its word is the last.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.operations.context import target_of
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Origin
from majobctl.service.catalog_cache import FILE_NAME, OFFERS, OfferedList, load_lists
from majobctl.text import nearest, quoted


def warnings_of(config: Config, folder: Path) -> list[Problem]:
    """What the cache in ``folder`` says of the job configs, or why it cannot be used; in order.

    No cache is used where the settings and the environment name no project.
    """
    path = folder / FILE_NAME
    if not os.path.lexists(path):
        return []
    try:
        target = target_of(config.settings)
    except MajobctlError:
        return []
    lists, reason = load_lists(path, target)
    if reason:
        mend = f"{reason}; `majobctl flavors` makes it again"
        return [Problem(file=f"{folder.name}/{FILE_NAME}", message=mend)]
    return catalog_warnings(config, lists)


def catalog_warnings(config: Config, lists: Mapping[str, OfferedList]) -> list[Problem]:
    """A warning for each name that was not offered, and for more nodes than a flavor allows.

    Only known lists are judged by, and no sensitive value is judged or shown. Each warning stands
    at the job config's own key, or at that of ``[defaults]``, where it is told once.
    """
    checks = list(_checks(lists))
    found: set[Problem] = set()
    for job_config in config.job_configs.values():
        for check in checks:
            values = [job_config.params.get(key) for key in check.keys]
            if None in values or any((key,) in job_config.sensitive for key in check.keys):
                continue
            message = check.fault(*values)
            if message:
                found.add(_warning(job_config, check.keys, message))
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Check:
    """A rule over the values of ``keys``: ``fault`` gives a sentence about the first, or ""."""

    keys: tuple[str, ...]
    fault: Callable[..., str]


def _checks(lists: Mapping[str, OfferedList]) -> Iterator[_Check]:
    """The rules that ``lists`` know; each judges the same values once, for thousands have them."""
    flavors, engines, algorithms = map(lists.get, OFFERS)
    if flavors:
        yield _name_check("train_instance_type", flavors)
        yield _Check(("train_instance_count", "train_instance_type"), _count_fault(flavors))
    if engines:
        yield _name_check("framework_type", engines)
        yield _Check(("framework_version", "framework_type"), _version_fault(engines))
    if algorithms:
        yield _name_check("model_name", algorithms)


def _name_check(key: str, offered: OfferedList) -> _Check:
    known = {item[key] for item in offered.items}
    when = f"on {offered.day}"
    return _Check((key,), cache(lambda value: _unless_offered(key, value, known, when)))


def _unless_offered(key: str, value: str, known: Iterable[str], when: str) -> str:
    if value in known:
        return ""
    return f"{key} {quoted(value)} was not offered {when}{nearest(value, sorted(known))}"


def _version_fault(engines: OfferedList) -> Callable[[str, str], str]:
    versions: dict[str, set[str]] = {}
    for item in engines.items:
        versions.setdefault(item["framework_type"], set()).add(item["framework_version"])

    @cache
    def fault(version: str, framework: str) -> str:
        known = versions.get(framework)
        if known is None:
            return ""  # told of the framework_type
        when = f"with framework_type {quoted(framework)} on {engines.day}"
        return _unless_offered("framework_version", version, known, when)

    return fault


def _count_fault(flavors: OfferedList) -> Callable[[int, str], str]:
    limits: dict[str, int] = {}
    for item in flavors.items:
        name = item["train_instance_type"]
        # The same code may stand for several flavors: the largest limit wrongs none of them.
        limits[name] = max(limits.get(name, 0), item["max_num"] or 0)

    def fault(count: int, flavor: str) -> str:
        most = limits.get(flavor, 0)
        if most < 1 or count <= most:
            return ""
        nodes = "1 node" if most == 1 else f"{most} nodes"
        return f"train_instance_count {count} is more than the {nodes} that {quoted(flavor)} allows"

    return fault


def _warning(job_config: JobConfig, keys: Sequence[str], message: str) -> Problem:
    """At the first of ``keys`` that the job config has itself, else where the first comes from."""
    source = job_config.source
    assert isinstance(source, Origin)
    own = next((key for key in keys if key in source.own.table), keys[0])
    return source.problem((own,), message)
