"""Measures an apply on each store of a shared state against one on a local state.

    python -m benchmarks.stores --delays 0,60,200 --runs 3

It runs in the environment of the tests, whose servers it uses: git, PostgreSQL, a server of
Terraform's protocol, and versitygw, or else a stand-in in this process. A delay is what a proxy
adds to each request to a store, in milliseconds.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from benchmarks.delay import delaying
from benchmarks.machine import facts
from benchmarks.measure import Command, Cost, Measurer
from benchmarks.programs import running_programs
from benchmarks.repositories import write_repository, write_settings
from benchmarks.workshop import LATENCY_MS, PARALLELISM, Sizes, Workshop
from tests import fake_gitlab, fake_s3, git_servers
from tests.postgres import OWNER, running_server
from tests.state.backends.s3 import PAIR, VERSITYGW, serving_versitygw
from tools.environment import ROOT

_PASSWORD = "no-secret"
_TARGETS = {"git": 2.0, "git-http": 2.0, "postgres": 1.1, "s3": 1.1, "http": 2.0}


@dataclass(frozen=True, slots=True)
class Place:
    """``settings`` gives the table ``[state]`` for a port; ``port`` is None where nothing listens.
    ``remote`` gives the address of a git remote."""

    port: int | None
    settings: Callable[[int], str]
    remote: Callable[[int], str] | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures applies on shared states.")
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--delays", default="0,60,200")
    options = parser.parse_args()
    (ROOT / "build").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="stores-", dir=ROOT / "build") as folder,
        ExitStack() as stack,
    ):
        for line in _lines(options, Path(folder), stack):
            print(line, flush=True)


def _lines(options: argparse.Namespace, scratch: Path, stack: ExitStack) -> Iterator[str]:
    measurer = Measurer(scratch)
    measurer.environment.update(PAIR, PGUSER=OWNER, PGPASSWORD=_PASSWORD)
    user, word = fake_gitlab.USER, fake_gitlab.TOKEN
    measurer.environment.update(TF_HTTP_USERNAME=user, TF_HTTP_PASSWORD=word)
    sizes = Sizes(options.calls, 0, 0)
    shop = Workshop(running_programs(), sizes, scratch, measurer.environment, stack)
    url = shop.emulator(options.calls, LATENCY_MS)
    places = _places(scratch, stack)
    yield (
        f"{options.calls} calls of {LATENCY_MS} ms, {PARALLELISM} at a time, --refresh=none;"
        f" {options.runs} runs of each in turns"
    )
    yield "| added to a request | store | seconds | local | ratio | target | met |"
    yield "|---|---|---|---|---|---|---|"
    for delay in map(int, options.delays.split(",")):
        commands = {"local": _command(shop, f"local-{delay}", url, "")}
        for name, place in places.items():
            if place.port is None and delay:
                continue
            port = stack.enter_context(delaying(place.port, delay)) if place.port else 0
            commands[name] = _command(shop, f"{name}-{delay}", url, place.settings(port))
            if place.remote:
                _clone(scratch / f"{name}-{delay}", place.remote(port))
        for command in commands.values():
            measurer.run(Command(command.arguments, "Apply complete: ", command.prepare))
        rounds = [
            {name: measurer.run(command) for name, command in commands.items()}
            for _ in range(options.runs)
        ]
        for name in list(commands)[1:]:
            yield _row(delay, name, [(it[name], it["local"]) for it in rounds])
    load = ", ".join(f"{it:.1f}" for it in os.getloadavg())
    known = {**facts(scratch), "s3": "versitygw" if VERSITYGW else "a stand-in", "load": load}
    yield "; ".join(f"{key}: {it}" for key, it in known.items())


def _row(delay: int, name: str, pairs: list[tuple[Cost, Cost]]) -> str:
    ratios = [cost.seconds / base.seconds for cost, base in pairs]
    ratio = statistics.median(ratios)
    seconds, local = (
        statistics.median(it.seconds for it in costs) for costs in zip(*pairs, strict=True)
    )
    return (
        f"| {delay} ms | {name} | {seconds:.2f} | {local:.2f} | {ratio:.2f} x ({min(ratios):.2f} –"
        f" {max(ratios):.2f}) | at most {_TARGETS[name]:g} x"
        f" | {'yes' if ratio <= _TARGETS[name] else 'no'} |"
    )


def _command(shop: Workshop, folder: str, url: str, state: str) -> Command:
    """An apply that updates all; each run has another log_url."""
    root, count, runs = shop.scratch / folder, shop.sizes.small, itertools.count()
    provider = {"endpoint": url, "project_id": "emulator"}
    write_repository(root, count, provider)

    def edit() -> None:
        write_settings(root, provider, log_url=f"/ml-bucket/log-{next(runs)}/")
        with (root / "majobctl.toml").open("a") as file:
            file.write(state)

    arguments = ("apply", "--auto-approve", "--refresh=none", "--parallelism", str(PARALLELISM))
    return Command(shop.majobctl(root, *arguments), f"Apply complete: {count} updated.", edit)


def _clone(root: Path, remote: str) -> None:
    git_servers.git(root, "init", "-q")
    git_servers.git(root, "remote", "add", "origin", remote)


def _places(scratch: Path, stack: ExitStack) -> dict[str, Place]:
    numbers = itertools.count()
    (scratch / "git").mkdir()
    bare = git_servers.bare(scratch / "git/remote.git")
    web = urlsplit(stack.enter_context(git_servers.over_http(scratch / "git")).address)
    server = stack.enter_context(running_server())
    server.execute(f"ALTER ROLE {OWNER} PASSWORD '{_PASSWORD}'")
    real = VERSITYGW and stack.enter_context(serving_versitygw(scratch / "s3"))
    s3 = urlsplit(real or stack.enter_context(fake_s3.running()).url)
    http = urlsplit(stack.enter_context(fake_gitlab.running(is_plain=True)).url)

    def git_state(port: int) -> str:
        return f'\n[state]\nbackend = "git"\nbranch = "state-{next(numbers)}"\n'

    def postgres_state(port: int) -> str:
        address = f"postgresql://127.0.0.1:{port}/postgres"
        return f'\n[state]\nbackend = "postgres"\naddress = "{address}"\nname = "{next(numbers)}"\n'

    def s3_state(port: int) -> str:
        place = f'endpoint = "http://127.0.0.1:{port}"\nname = "{next(numbers)}"'
        bucket = f'bucket = "{fake_s3.BUCKET}"\nregion = "{fake_s3.REGION}"\npath_style = true'
        return f'\n[state]\nbackend = "s3"\n{place}\n{bucket}\n'

    def http_state(port: int) -> str:
        address = f"http://127.0.0.1:{port}{fake_gitlab.PLAIN_PATH}"
        return f'\n[state]\nbackend = "http"\naddress = "{address}"\n'

    return {
        "git": Place(None, git_state, lambda port: str(bare)),
        "git-http": Place(web.port, git_state, lambda port: f"http://127.0.0.1:{port}/remote.git"),
        "postgres": Place(server.port, postgres_state),
        "s3": Place(s3.port, s3_state),
        "http": Place(http.port, http_state),
    }


if __name__ == "__main__":
    main()
