"""An emulator served by a process of its own, its data in a file that tests read for themselves."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.config_repository import COMMAND, JOB, toml_of
from tests.faults.launcher import plain_environment
from tests.faults.service import Body

IDS = {"spec_id": 951, "engine_id": 902}
"""The emulator's own ids for the flavor and the engine of JOB."""
ENVIRONMENT = {"OS_ACCESS_KEY": "emulator", "OS_SECRET_KEY": "emulator"}
_STILL_SECONDS = 0.03


@dataclass
class Cloud:
    """A running emulator: its address, the file of its data, the file of its request log."""

    url: str
    data: Path
    log: Path

    def settings(self, extra: str = "") -> str:
        return (
            '[provider]\nkind = "modelarts"\nproject_id = "emulator"\n'
            f'endpoint = "{self.url}"\n{extra}\n'
        )

    def held(self) -> dict[str, Body]:
        """The configurations, by name, as the file has them."""
        with closing(sqlite3.connect(f"file:{self.data}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT name, fields FROM config").fetchall()
        return {name: json.loads(fields) for name, fields in rows}

    def puts(self, since: int = 0) -> int:
        """How many updates were answered since the log had ``since`` bytes."""
        with self.log.open("rb") as file:
            file.seek(since)
            return file.read().count(b'"PUT"')

    def await_rest(self) -> None:
        """Waits until no request is under way, those of a killed process being known."""
        size = -1
        while size != (size := self.log.stat().st_size):
            time.sleep(_STILL_SECONDS)


@contextmanager
def serving(folder: Path, names: Iterable[str], *options: str) -> Iterator[Cloud]:
    """An emulator whose cloud begins with JOB under each of ``names``."""
    folder.mkdir(parents=True)
    seed = folder / "cloud.toml"
    seed.write_text("".join(toml_of(name, JOB) for name in names))
    data, log = folder / "cloud.db", folder / "requests.log"
    files = ["--data", str(data), "--seed", str(seed), "--request-log", str(log)]
    process = subprocess.Popen(
        [*COMMAND, "emulator", "serve", "--port", "0", *files, *options],
        stdout=subprocess.PIPE,
        env=plain_environment(),
    )
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            yield Cloud(line.rpartition(" ")[2].strip(), data, log)
        finally:
            process.terminate()
