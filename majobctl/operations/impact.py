"""What a plan costs and whom it concerns, as far as the repository has the files for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from majobctl.job_config.secrets import SHOWN
from majobctl.plan.change import Change, Params
from majobctl.plan.plan import Flavor, Plan
from majobctl.repository.config import Config
from majobctl.repository.impact import owners_of
from majobctl.repository.settings.keys import WORKING_FOLDER
from majobctl.repository.settings.settings import Settings


def with_impact(plan: Plan, config: Config, base: Config | None) -> Plan:
    known = {**(base.job_configs if base else {}), **config.job_configs}
    sources = [known[it.name].source for it in plan.changes if it.name in known]
    owners = owners_of(config.settings.root, [it.file for it in sources if it])
    return replace(plan, flavors=tuple(_flavors(plan.changes, config)), owners=owners)


def _flavors(changes: Iterable[Change], config: Config) -> Iterator[Flavor]:
    (currency, prices), folder = config.prices, config.settings.root / WORKING_FOLDER
    if not currency and not folder.is_dir():
        return
    before, after = Counter[str](), Counter[str]()
    for change in changes:
        old, new = _nodes(change.before), _nodes(change.after)
        # What was renamed counts under its new name.
        if old != new and not change.new_name:
            before.update(old)
            after.update(new)
    if before == after:
        return
    listed_at, gpus = gpus_of_nodes(config.settings)
    for name in sorted({*before, *after}) if listed_at or currency else ():
        yield Flavor(
            name=name,
            nodes_before=before[name],
            nodes_after=after[name],
            gpus=gpus.get(name),
            listed_at=listed_at,
            price=prices.get(name),
            currency=currency,
        )


def _nodes(params: Params | None) -> Mapping[str, int]:
    """The number of nodes of the flavor; nothing without one, as in a dedicated pool."""
    if not params or "pool_id" in params or "train_instance_type" not in params:
        return {}
    flavor, count = params["train_instance_type"], params.get("train_instance_count")
    return {flavor if isinstance(flavor, str) else SHOWN: count if isinstance(count, int) else 0}


def gpus_of_nodes(settings: Settings) -> tuple[str, dict[str, int | None]]:
    """When the service listed its flavors, "" if that is not known, and the GPUs of a node."""
    from majobctl.operations.catalog_check import cached_lists
    from majobctl.service.catalog import as_number

    gpus: dict[str, int | None] = {}
    flavors = cached_lists(settings)[0].get("flavors")
    if flavors is None or flavors.is_incidental:
        return "", gpus
    for item in flavors.items:
        name, number = item["train_instance_type"], as_number(item["gpu_num"])
        # Several flavors may have the same code: what they do not agree on is not known.
        gpus[name] = number if gpus.get(name, number) == number else None
    return flavors.read_at, gpus
