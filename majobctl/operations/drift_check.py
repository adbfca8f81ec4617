"""Finds what was changed in the service since it was last applied."""

from __future__ import annotations

from dataclasses import replace

from majobctl.operations import context
from majobctl.operations.context import RepositoryOrPath
from majobctl.operations.refresh import read_live
from majobctl.operations.selection import names_known, resolved
from majobctl.plan.drift import Drift, find_drift, names_to_compare
from majobctl.plan.plan import EVERYTHING, Selection
from majobctl.repository.config import compare_policies


def drift(
    repository: RepositoryOrPath, *, selection: Selection = EVERYTHING, unmanaged: bool = False
) -> Drift:
    """How the service differs from the state of ``repository``; ``unmanaged`` counts configurations
    that neither the state nor a file knows, too. Changes nothing, takes no lock. Of
    the job files only ``ignore_changes`` counts, so that they may break rules. Raises ConfigError
    for wrong settings, StateError for a state that cannot be used, AuthError and ProviderError if
    the service cannot be read, MajobctlError for the rest."""
    repository = context.as_repository(repository)
    settings, policies, files, problems = compare_policies(repository.folder, repository.overrides)
    repository.warn_all(problems)
    store = context.store_of(settings)
    state, under_way = store.read(), context.under_way(store)
    repository.warn_all(under_way)
    target = context.target_of(settings)
    context.check_target(state, settings)
    at_once, observe = repository.calls_at_once(settings), repository.observe_reading
    with context.provider_of(settings, at_once) as provider:
        known = state.job_configs if state else {}
        listed = [*known] if names_known(selection, known) else provider.config_names()
        if selection:
            others = {*listed, *known}
            selection = resolved(selection, repository.folder, files, others)
        names = names_to_compare(state, selection)
        live = read_live(provider, names, parallelism=at_once, observe=observe, listed=listed)
    found = find_drift(
        state,
        target,
        live,
        listed=listed,
        selection=selection,
        policies=policies,
        counts_unmanaged=unmanaged,
    )
    repository.warn_all(found.warnings)
    warnings = (*map(str, (*problems, *under_way)), *found.warnings)
    return replace(found, warnings=warnings, environment=settings.environment)
