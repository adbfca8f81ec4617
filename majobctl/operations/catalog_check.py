"""Keeps the names that the service offers, and warns, offline, of others in job configs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache

from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.operations.context import target_of
from majobctl.repository.config import Config
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.settings.keys import WORKING_FOLDER
from majobctl.repository.settings.settings import Settings
from majobctl.service.catalog import (
    NAMES,
    Catalog,
    ids_in,
    names_in,
    offered_instead,
    plain_items,
    unknown_name,
)
from majobctl.service.catalog_cache import FILE_NAME, CachedList, load_lists, save_lists
from majobctl.text import counted, quoted, reason_of, utc_now

_Wrong = tuple[tuple[str, ...], str]
"""The keys whose values make a name wrong, its own first, and a sentence about it."""
_Check = tuple[tuple[str, ...], Callable[..., _Wrong | None]]
"""Keys, and a function of their values, None for one that is missing or sensitive."""


def cached_lists(settings: Settings) -> tuple[Mapping[str, CachedList], str]:
    """As ``load_lists``; no lists if nothing names a project."""
    path = settings.root / WORKING_FOLDER / FILE_NAME
    if os.path.lexists(path):
        with suppress(MajobctlError):
            return load_lists(path, target_of(settings))
    return {}, ""


def keep_lists(
    settings: Settings, catalog: Catalog, warn: Callable[[object], None], asked: str = ""
) -> None:
    """Caches the lists that ``catalog`` has read, of which somebody ``asked`` for one by name.
    ``warn`` gets the reason if that cannot be."""
    if not (read := catalog.complete_lists):
        return
    now, known = utc_now(), cached_lists(settings)[0]
    wanted = {asked, *(name for name in known if not known[name].is_incidental)}
    lists = {
        name: CachedList(now, plain_items(name, entries), ids_in(name, entries), name not in wanted)
        for name, entries in read.items()
    }
    path = settings.root / WORKING_FOLDER / FILE_NAME
    try:
        save_lists(path, target_of(settings), lists)
    except OSError as error:
        reason = f"{WORKING_FOLDER}/{FILE_NAME} cannot be written: {reason_of(error)}"
        warn(f"{reason}; {' and '.join(lists)} are not cached")


def warnings_of(config: Config) -> list[Problem]:
    """What the cache says about the job configs, in order, or why it cannot be used."""
    lists, reason = cached_lists(config.settings)
    if reason:
        message = f"{reason}; `majobctl flavors` writes it again"
        return [Problem(file=f"{WORKING_FOLDER}/{FILE_NAME}", message=message)]
    return catalog_warnings(config, lists)


def catalog_warnings(config: Config, lists: Mapping[str, CachedList]) -> list[Problem]:
    """A warning for each name that was not offered, and for more nodes than a flavor allows,
    without sensitive values: at the job config's own key, or once at the key in ``[defaults]``."""
    checks = [_name_check(name, cached) for name, cached in lists.items()]
    if "flavors" in lists:
        checks.append(_count_check(lists["flavors"]))
    found: set[Problem] = set()
    for job_config in config.job_configs.values():
        hidden, params = job_config.sensitive, job_config.params
        for keys, problem in checks:
            values = (None if (key,) in hidden else params.get(key) for key in keys)
            if wrong := problem(*values):
                found.add(_warning(job_config, *wrong))
    return sorted(found)


def _name_check(name: str, cached: CachedList) -> _Check:
    keys, day = NAMES[name], cached.read_at[:10]
    offered = names_in(cached.items, keys)

    @cache  # thousands of job configs have the same values
    def problem(*values: str | None) -> _Wrong | None:
        params = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        if (found := unknown_name(name, offered, params)) is None:
            return None
        key, known = found
        others = keys[: keys.index(key)]
        of_others = "".join(f" with {other} {quoted(params[other])}" for other in others)
        hint = offered_instead(name, params[key], known)
        text = f"{key} {quoted(params[key])} was not offered{of_others} on {day}{hint}"
        return (key, *others), text

    return keys, problem


def _count_check(flavors: CachedList) -> _Check:
    limits: dict[str | None, int] = {}
    for item in flavors.items:
        name = item["train_instance_type"]
        # Several flavors may have the same code: the largest limit is wrong for none of them.
        limits[name] = max(limits.get(name, 0), item["max_num"] or 0)
    keys = ("train_instance_count", "train_instance_type")

    def problem(count: int | None, flavor: str | None) -> _Wrong | None:
        most = limits.get(flavor, 0)
        if flavor is None or count is None or most < 1 or count <= most:
            return None
        allowed = f"the {counted(most, 'node')} that {quoted(flavor)} allows"
        return keys, f"train_instance_count {count} is more than {allowed}"

    return keys, problem


def _warning(job_config: JobConfig, keys: Sequence[str], message: str) -> Problem:
    """At the first of ``keys`` that the job config has itself, else where the first comes from."""
    source = job_config.source
    assert isinstance(source, Origin)
    own = next((key for key in keys if key in source.own.table), keys[0])
    return source.problem((own,), message)
