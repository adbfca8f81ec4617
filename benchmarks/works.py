"""The works that are measured, what each is held against, and the targets.

A work's comparison is made when its turn comes, with the repositories and the emulator it needs.
"""

from __future__ import annotations

import enum
import itertools
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.cloud import serving
from benchmarks.measure import Command
from benchmarks.programs import Programs
from benchmarks.repositories import OFFLINE, PER_FILE, write_repository, write_seed, write_settings
from benchmarks.zones import Content, write_zones

LATENCY_MS = 50
PARALLELISM = 10
_HERE = Path(__file__).resolve().parent
_STATE = "majobctl.state.json"


class Measure(enum.Enum):
    """What of two costs is compared; of SPEED more is better, and it is the baseline's share."""

    TIME = "time"
    MEMORY = "memory"
    SPEED = "speed"


@dataclass(frozen=True, slots=True)
class Target:
    """A bound of a ratio."""

    measure: Measure
    bound: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """``measured`` against ``baseline``: another command, or the seconds of the ideal."""

    work: str
    against: str
    measured: Command
    baseline: Command | float
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many job configs a small, a middle and a large repository have."""

    small: int
    middle: int
    large: int


@dataclass(frozen=True, slots=True)
class Workshop:
    """Makes comparisons: repositories stay in ``scratch``, emulators end with ``stack``."""

    programs: Programs
    sizes: Sizes
    scratch: Path
    environment: Mapping[str, str]
    stack: ExitStack

    def majobctl(self, root: Path, *arguments: str) -> tuple[str, ...]:
        return (*self.programs.majobctl, "-C", str(root), *arguments)

    def plan(self, count: int, *, is_changed: bool = False) -> Command:
        """A plan of ``count`` job configs that equal their state, or all differ from it."""
        root = self.repository(count, is_changed=is_changed)
        return Command(self.majobctl(root, "plan"), _expected(count, is_changed=is_changed))

    def repository(self, count: int, *, is_changed: bool = False) -> Path:
        root = self.scratch / f"{count}-{'changed' if is_changed else 'unchanged'}"
        if not root.exists():
            write_repository(root, count, OFFLINE)
            self.write_state(root, root / _STATE, is_changed=is_changed)
        return root

    def write_state(self, root: Path, file: Path, *, is_changed: bool) -> None:
        options = ["--changed"] if is_changed else []
        command = [self.programs.python, str(_HERE / "states.py"), str(root), str(file), *options]
        subprocess.run(command, env=self.environment, check=True)

    def served_repository(self, count: int, url: str) -> Path:
        """A repository, without a state, whose provider is the emulator at ``url``."""
        root = self.scratch / f"{count}-served"
        shutil.rmtree(root, ignore_errors=True)
        write_repository(root, count, {"endpoint": url, "project_id": "emulator"})
        return root

    def emulator(self, count: int, latency_ms: int) -> str:
        """The address of an emulator that has ``count`` configurations."""
        seed = self.scratch / f"{count}-seed.toml"
        if not seed.exists():
            write_seed(seed, count)
        served = serving(self.programs.majobctl, seed, latency_ms, self.environment)
        return self.stack.enter_context(served)

    def apply(self, count: int, url: str) -> Command:
        """A blind apply that updates all of ``count``; before each run the state is what it was."""
        root = self.served_repository(count, url)
        before, state = root / "before.json", root / _STATE
        self.write_state(root, before, is_changed=True)
        return self._update_of_all(
            root, count, "--refresh=none", lambda: shutil.copyfile(before, state)
        )

    def guarded_apply(self, count: int, url: str) -> Command:
        """An apply that reads, then updates, all of ``count``; each run has another log_url."""
        root = self.served_repository(count, url)
        self.write_state(root, root / _STATE, is_changed=False)
        runs = itertools.count()

        def edit() -> None:
            provider = {"endpoint": url, "project_id": "emulator"}
            write_settings(root, provider, log_url=f"/ml-bucket/log-{next(runs)}/")

        return self._update_of_all(root, count, "--refresh=changed", edit)

    def _update_of_all(
        self, root: Path, count: int, refresh: str, prepare: Callable[[], object]
    ) -> Command:
        arguments = ("apply", "--auto-approve", refresh, "--parallelism", str(PARALLELISM))
        expected = f"Apply complete: {count} updated."
        return Command(self.majobctl(root, *arguments), expected, prepare)


def _expected(count: int, *, is_changed: bool) -> str:
    if is_changed:
        return f"Plan: {count} to update."
    return f"No changes. {count} job configs match the state."


def _help(shop: Workshop) -> Comparison:
    return Comparison(
        "`--help`",
        '`python -c "import click"`',
        Command((*shop.programs.majobctl, "--help"), "Usage: "),
        Command((shop.programs.python, "-c", "import click"), ""),
        (Target(Measure.TIME, 1.5),),
    )


def _plan_unchanged(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    root = shop.repository(count)
    floor = (shop.programs.python, str(_HERE / "floor.py"), str(root))
    return Comparison(
        f"plan, {count:,} unchanged",
        "the floor: the same TOML by tomli, the same state by json",
        shop.plan(count),
        Command(floor, f"{count} described, {count} in the state"),
        (Target(Measure.TIME, 1.5), Target(Measure.MEMORY, 2)),
    )


def _plan_changed(shop: Workshop) -> Comparison:
    count = shop.sizes.middle
    return Comparison(
        f"plan, {count:,} all changed, as text",
        f"plan, {count:,} unchanged",
        shop.plan(count, is_changed=True),
        shop.plan(count),
        (Target(Measure.TIME, 2.5),),
    )


def _plan_large(shop: Workshop) -> Comparison:
    large, middle = shop.sizes.large, shop.sizes.middle
    return Comparison(
        f"plan, {large:,} unchanged",
        f"plan, {middle:,} unchanged",
        shop.plan(large),
        shop.plan(middle),
        (Target(Measure.TIME, _linear(large, middle)),),
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
        (Target(Measure.TIME, 1),),
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
    shop.write_state(root, root / _STATE, is_changed=False)
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
    "plan-large": _plan_large,
    **OCTODNS_WORKS,
    "validate": _validate,
    "apply": _apply,
    "apply-guarded": _apply_guarded,
    "apply-many": _apply_many,
    "refresh": _refresh,
}
