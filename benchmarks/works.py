"""The works that are measured, what each is held against, and the targets.

A work's comparison is made when its turn comes, with the repositories and the emulator it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from benchmarks.measure import Command
from benchmarks.repositories import PER_FILE
from benchmarks.workshop import (
    HERE,
    LATENCY_MS,
    PARALLELISM,
    STATE,
    Comparison,
    Measure,
    Target,
    Workshop,
    expected,
)
from benchmarks.zones import Content, write_zones

_POLICIES = 10


def _help(shop: Workshop) -> Comparison:
    return Comparison(
        "`--help`",
        '`python -c "import click"`',
        Command((*shop.programs.majobctl, "--help"), "Usage: "),
        Command((shop.programs.python, "-c", "import click"), ""),
        (Target(Measure.CPU, 1.5),),
    )


def _plan_unchanged(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    root = shop.repository(count)
    floor = (shop.programs.python, str(HERE / "floor.py"), str(root))
    return Comparison(
        f"plan, {count:,} unchanged",
        "the floor: the same TOML by tomli, the same state by json",
        shop.plan(count),
        Command(floor, f"{count} described, {count} in the state"),
        (Target(Measure.CPU, 1.8), Target(Measure.MEMORY, 2)),
    )


def _plan_changed(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    return Comparison(
        f"plan, {count:,} all changed, as text",
        f"plan, {count:,} unchanged",
        shop.plan(count, is_changed=True),
        shop.plan(count),
        (Target(Measure.CPU, 2.5),),
    )


def _plan_causes(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    root = shop.repository_of_causes(count)
    return Comparison(
        f"plan, {count:,} changed by one line of `[defaults]`",
        f"plan, {count:,} unchanged",
        Command(shop.majobctl(root, "plan"), expected(count, is_changed=True)),
        shop.plan(count),
        (Target(Measure.CPU, 2.5),),
    )


def _plan_large(shop: Workshop) -> Comparison:
    large, middle = shop.sizes.large, shop.sizes.middle
    return Comparison(
        f"plan, {large:,} unchanged",
        f"plan, {middle:,} unchanged",
        shop.plan(large),
        shop.plan(middle),
        (Target(Measure.CPU, _linear(large, middle)),),
    )


def _linear(more: int, fewer: int) -> float:
    """10.5 for ten times as many: 5 % above a straight line."""
    return round(1.05 * more / fewer, 2)


def _octodns(shop: Workshop, content: Content, *, is_changed: bool) -> Comparison:
    count = shop.sizes.middle
    kind = "all changed" if is_changed else "unchanged"
    folder = shop.scratch / f"{count}-{content.name}-{is_changed}"
    config = write_zones(folder, count, content, is_changed=is_changed)
    # Its safety net, which refuses so many changes, is off; --quiet leaves out all but the plan.
    sync = (shop.programs.octodns_sync, "--config-file", str(config), "--force", "--quiet")
    updates = f"Updates={min(count, PER_FILE)},"
    records = {Content.ADDRESS: "A records of one address", Content.TEXTS: "TXT records of 9 texts"}
    return Comparison(
        f"plan, {count:,} {kind}",
        f"octoDNS, {count:,} {records[content]}, {kind}",
        shop.plan(count, is_changed=is_changed),
        Command(sync, updates if is_changed else "No changes were planned"),
        (Target(Measure.SPEED, 10),),
    )


def _validate(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    root = shop.repository(count)
    return Comparison(
        f"validate, {count:,}",
        f"plan, {count:,} unchanged",
        Command(shop.majobctl(root, "validate"), f"{count} job configs are valid."),
        shop.plan(count),
        (Target(Measure.CPU, 1),),
    )


def _policies(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    valid = f"{count} job configs are valid."
    under = shop.repository_under(count, _POLICIES)
    return Comparison(
        f"validate, {count:,} under {_POLICIES} policies",
        f"validate, {count:,}",
        Command(shop.majobctl(under, "validate"), valid),
        Command(shop.majobctl(shop.repository(count), "validate"), valid),
        (Target(Measure.CPU, 2),),
    )


def _apply(shop: Workshop) -> Comparison:
    count = shop.sizes.small
    return Comparison(
        f"apply --refresh=none, {count:,} calls of {LATENCY_MS} ms, {PARALLELISM} at a time",
        "the ideal: calls x latency / parallelism",
        shop.apply(count, shop.emulator(count, LATENCY_MS)),
        _ideal_seconds(count),
        (Target(Measure.TIME, 1.15),),
    )


def _apply_guarded(shop: Workshop) -> Comparison:
    count = shop.sizes.small
    return Comparison(
        f"guarded apply, {count:,} reads and calls of {LATENCY_MS} ms, {PARALLELISM} at a time",
        "the ideal: (reads + calls) x latency / parallelism",
        shop.guarded_apply(count, shop.emulator(count, LATENCY_MS)),
        _ideal_seconds(2 * count),
        (Target(Measure.TIME, 1.15),),
    )


def _apply_many(shop: Workshop) -> Comparison:
    many, few = shop.sizes.middle, shop.sizes.small
    url = shop.emulator(many, latency_ms=0)
    return Comparison(
        f"apply --refresh=none without latency, {many:,}",
        f"apply --refresh=none without latency, {few:,}",
        shop.apply(many, url),
        shop.apply(few, url),
        (Target(Measure.TIME, _linear(many, few)),),
    )


def _refresh(shop: Workshop) -> Comparison:
    count = shop.sizes.small
    root = shop.served_repository(count, shop.emulator(count, LATENCY_MS))
    shop.write_state(root, root / STATE, is_changed=False)
    arguments = ("plan", "--refresh", "--parallelism", str(PARALLELISM))
    return Comparison(
        f"plan --refresh, {count:,} with {LATENCY_MS} ms a call, {PARALLELISM} at a time",
        "the ideal: calls x latency / parallelism",
        Command(
            shop.majobctl(root, *arguments),
            f"No changes. {count} job configs match the state and the service.",
        ),
        _ideal_seconds(count),
        (Target(Measure.TIME, 1.2),),
    )


def _ideal_seconds(calls: int) -> float:
    return calls * LATENCY_MS / 1000 / PARALLELISM


OCTODNS_WORKS: Mapping[str, Callable[[Workshop], Comparison]] = {
    "octodns": partial(_octodns, content=Content.ADDRESS, is_changed=False),
    "octodns-changed": partial(_octodns, content=Content.ADDRESS, is_changed=True),
    "octodns-texts": partial(_octodns, content=Content.TEXTS, is_changed=False),
    "octodns-texts-changed": partial(_octodns, content=Content.TEXTS, is_changed=True),
}
WORKS: Mapping[str, Callable[[Workshop], Comparison]] = {
    "help": _help,
    "plan-unchanged": _plan_unchanged,
    "plan-changed": _plan_changed,
    "plan-causes": _plan_causes,
    "plan-large": _plan_large,
    **OCTODNS_WORKS,
    "validate": _validate,
    "policies": _policies,
    "apply": _apply,
    "apply-guarded": _apply_guarded,
    "apply-many": _apply_many,
    "refresh": _refresh,
}
