"""Finds what was changed in the service since it was last applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from majobctl.operations import context
from majobctl.operations.context import Warn, ignore
from majobctl.operations.refresh import read_live
from majobctl.plan.drift import Drift, find_drift, names_to_compare
from majobctl.plan.plan import EVERYTHING, Selection
from majobctl.repository.config import compare_policies
from majobctl.repository.settings.variables import NO_OVERRIDES, Overrides


def drift(
    root: Path,
    *,
    overrides: Overrides = NO_OVERRIDES,
    selection: Selection = EVERYTHING,
    parallelism: int | None = None,
    observe: Callable[[int, int], None] = lambda done, total: None,
    warn: Warn = ignore,
) -> Drift:
    """What the service has otherwise than the state of the config repository in ``root``.

    Changes nothing and takes no lock. Of the job files only ``ignore_changes`` counts, so that
    they may break rules. ``observe`` is called with the number of configurations read and of all,
    ``warn`` with each warning; those about configurations and files are in the drift, too.

    Raises ConfigError for wrong settings, StateError for a state that cannot be used, AuthError
    and ProviderError if the service cannot be read, MajobctlError for the rest.
    """
    settings, policies, problems = compare_policies(root, overrides)
    for problem in problems:
        warn(problem)
    state = context.store_of(settings).read()
    target = context.target_of(settings)
    context.check_target(state, settings)
    names = names_to_compare(state, selection)
    if selection and state and not names:
        warn("--target and --exclude select no job config")
    at_once = parallelism or settings.parallelism
    with context.provider_of(settings, at_once) as provider:
        listed = provider.config_names()
        live = read_live(provider, names, parallelism=at_once, observe=observe, listed=listed)
    found = find_drift(state, target, live, listed=listed, selection=selection, policies=policies)
    for warning in found.warnings:
        warn(warning)
    return replace(found, warnings=(*map(str, problems), *found.warnings))
