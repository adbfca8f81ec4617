"""Reads many configurations at once. Independent of what they are compared with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import closing
from threading import Lock

from majobctl.errors import MajobctlError, ProviderError
from majobctl.job_config.live import LiveConfig
from majobctl.operations.workers import WorkerPool
from majobctl.service.provider import Provider
from majobctl.waiting import awaiting

_MAX_KEPT = 200_000_000


def read_live(
    provider: Provider,
    names: Iterable[str],
    *,
    parallelism: int,
    observe: Callable[[int, int], None] = lambda done, total: None,
    listed: Collection[str] | None = None,
) -> dict[str, LiveConfig | None]:
    """The configurations of ``names``, in their order; None for one that does not exist. Only those
    in the service's list (``listed``, if it was read already) are read. ``observe`` is called in
    this thread, after the list and after each, with the number of names that are settled and that
    of all. Raises ProviderError, which names the job config, for the first that cannot be read. The
    provider is then stopped, as after an interruption, and the calls under way are waited for."""
    live: dict[str, LiveConfig | None] = dict.fromkeys(names)
    if not live:
        return live
    known = set(provider.config_names() if listed is None else listed)
    existing = [name for name in live if name in known]
    done = len(live) - len(existing)
    observe(done, len(live))
    with closing(_read(provider, existing, parallelism)) as results:
        for name, config in results:
            live[name] = config
            done += 1
            observe(done, len(live))
    if done < len(live):
        raise ProviderError(f"only {done} of {len(live)} configurations could be read")
    return live


def _read(
    provider: Provider, names: list[str], parallelism: int
) -> Generator[tuple[str, LiveConfig | None], None, None]:
    """Each of ``names`` with its configuration, in the order in which the reads end."""

    kept, lock = 0, Lock()

    def work(taken: Iterator[str]) -> None:
        nonlocal kept
        for name in taken:
            try:
                config = provider.read_job_config(name)
            except MajobctlError as error:
                raise ProviderError(f"job_config.{name}: {error}") from error
            found = config and [config.params, config.problems, config.unknown_fields]
            size = len(json.dumps(found))
            with lock:
                kept += size
            if kept > _MAX_KEPT:
                what = f"the {len(names)} configurations have more than {_MAX_KEPT:,} characters"
                raise ProviderError(f"{what} in the service; select fewer of them")
            pool.publish((name, config))

    pool: WorkerPool[str, tuple[str, LiveConfig | None]] = WorkerPool("read", work)
    try:
        pool.start(names, parallelism)
        while pool.is_running:
            yield from pool.wait()
    except BaseException:
        provider.stop()
        raise
    finally:
        with awaiting("Waiting for the calls under way"):
            pool.close()
