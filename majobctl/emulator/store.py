"""Keeps the configurations in one SQLite file, or in memory, for several threads and processes.
Independent of the rules of a configuration."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majobctl.emulator.catalog import ENGINES
from majobctl.emulator.errors import EmulatorError

Fields = dict[str, Any]

_APPLICATION_ID = 0x4D4A4F42  # "MJOB"
_SCHEMA_VERSION = 1
_BUSY_SECONDS = 10.0
_SCHEMA = (
    "CREATE TABLE project (id TEXT PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE config (
        project TEXT NOT NULL,
        name TEXT NOT NULL,
        create_time INTEGER NOT NULL,
        config_desc TEXT NOT NULL,
        engine_id INTEGER,
        fields TEXT NOT NULL,
        PRIMARY KEY (project, name)
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
_ENGINE_ORDERS = ("engine_name", "engine_type", "engine_version")
ORDERS = {
    "config_name": "name",
    "config_desc": "config_desc",
    "create_time": "create_time",
    "engine_id": "engine_id",
    **{key: f"{key}(engine_id)" for key in _ENGINE_ORDERS},
    # The SDK's page has the keys of training jobs; a configuration has neither status nor duration.
    **{"job_name": "name", "job_desc": "config_desc", "status": "name", "duration": "name"},
}


@dataclass(frozen=True, slots=True)
class Record:
    """A configuration: only the fields that are set. create_time is in ms since 1970."""

    name: str
    create_time: int
    fields: Fields


class Store:
    """The configurations of one project; safe to use from several threads. `documents` gives the
    first ones (name, fields) if the file has never held this project. Raises EmulatorError for a
    file that is not the emulator's."""

    def __init__(
        self,
        data: str | os.PathLike[str] | None,
        project_id: str,
        documents: Callable[[], Iterable[tuple[str, Fields]]] = tuple,
    ) -> None:
        self._project = project_id
        self._lock = threading.RLock()
        path = ":memory:" if data is None else os.fspath(data)
        try:
            if data is not None:
                _make_private(Path(path))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
        except (OSError, sqlite3.Error) as error:
            raise _unusable(path, str(error)) from error
        try:
            _prepare(self._connection, path)
            self._plant(documents)
        except BaseException as error:
            self._connection.close()
            if isinstance(error, (sqlite3.Error, UnicodeDecodeError)):
                raise _unusable(path, _reason(error)) from error
            raise

    def close(self) -> None:
        """Closes the file; the store cannot be used afterwards. May be called again."""
        with self._lock:
            self._connection.close()

    def get(self, name: str) -> Record | None:
        """One configuration, or None."""
        with self._lock:
            row = self._connection.execute(
                "SELECT name, create_time, fields FROM config WHERE project = ? AND name = ?",
                (self._project, name),
            ).fetchone()
        return None if row is None else _read(row)

    def insert(self, name: str, fields: Fields) -> bool:
        """Adds a configuration; False if the name is taken."""
        with self._transaction():
            return self._insert(name, fields)

    def update(self, name: str, change: Callable[[Fields], Fields]) -> bool:
        """Replaces the fields by what `change` makes of them, in one transaction; False if there
        is no such name. Nothing changes if `change` raises."""
        with self._transaction():
            if (record := self.get(name)) is None:
                return False
            self._connection.execute(
                "UPDATE config SET config_desc = ?, engine_id = ?, fields = ?"
                " WHERE project = ? AND name = ?",
                (*_columns(change(record.fields)), self._project, name),
            )
            return True

    def delete(self, name: str) -> bool:
        """Removes a configuration; False if there is no such name."""
        with self._transaction():
            cursor = self._connection.execute(
                "DELETE FROM config WHERE project = ? AND name = ?", (self._project, name)
            )
            return cursor.rowcount > 0

    def list_page(
        self, *, order_by: str, descending: bool, search: str, limit: int, offset: int
    ) -> tuple[int, list[Record]]:
        """How many names contain `search` (in any case), and one page of them, ordered by a key of
        ORDERS and then by name."""
        where = "project = ? AND instr(lower(name), lower(?)) > 0"
        direction = "DESC" if descending else "ASC"
        with self._transaction("DEFERRED"):  # both queries see the same moment
            (total,) = self._connection.execute(
                f"SELECT count(*) FROM config WHERE {where}", (self._project, search)
            ).fetchone()
            rows = self._connection.execute(
                f"SELECT name, create_time, fields FROM config WHERE {where}"
                f" ORDER BY {ORDERS[order_by]} {direction}, name LIMIT ? OFFSET ?",
                (self._project, search, limit, offset),
            ).fetchall()
        return total, [_read(row) for row in rows]

    def _plant(self, documents: Callable[[], Iterable[tuple[str, Fields]]]) -> None:
        with self._transaction():
            cursor = self._connection.execute(
                "INSERT OR IGNORE INTO project (id) VALUES (?)", (self._project,)
            )
            if cursor.rowcount:
                for name, fields in documents():
                    self._insert(name, fields)

    def _insert(self, name: str, fields: Fields) -> bool:
        cursor = self._connection.execute(
            "INSERT OR IGNORE INTO config VALUES (?, ?, ?, ?, ?, ?)",
            (self._project, name, time.time_ns() // 1_000_000, *_columns(fields)),
        )
        return cursor.rowcount > 0

    @contextmanager
    def _transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        with self._lock:
            self._connection.execute(f"BEGIN {kind}")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def _columns(fields: Fields) -> tuple[str, int | None, str]:
    # A lone surrogate is legal in a JSON escape and not in SQLite: JSON keeps it escaped.
    description = fields.get("config_desc", "").encode("utf-8", "replace").decode()
    return description, fields.get("engine_id"), json.dumps(fields, separators=(",", ":"))


def _read(row: tuple[str, int, str]) -> Record:
    try:
        name, create_time, fields = row[0], row[1], json.loads(row[2])
        if isinstance(name, str) and isinstance(create_time, int) and isinstance(fields, dict):
            return Record(name, create_time, {**fields})
    except (TypeError, ValueError):
        pass
    raise sqlite3.DatabaseError("a configuration is damaged")


def _make_private(path: Path) -> None:
    """Makes the file, and its folder, for this user alone, if they are missing: they may hold
    secrets. SQLite gives the files beside it the mode of this one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Makes the tables in a new file. Another program's file stays as it is."""
    for key in _ENGINE_ORDERS:
        connection.create_function(key, 1, _engine_value(key), deterministic=True)
    connection.execute("BEGIN IMMEDIATE")  # one process at a time makes the tables
    if _holds_nothing(connection, path):
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")
    connection.execute("PRAGMA synchronous = NORMAL")
    _use_write_ahead_log(connection)


def _holds_nothing(connection: sqlite3.Connection, path: str) -> bool:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != _APPLICATION_ID:
        raise _unusable(path, "it is another program's database")
    if version != _SCHEMA_VERSION:
        reason = f"its version is {version}, and this majobctl knows {_SCHEMA_VERSION}"
        raise _unusable(path, reason)
    return False


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Retries, because SQLite does not wait for this lock if two processes start at once."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _engine_value(key: str) -> Callable[[int | None], int | str | None]:
    values = {engine_id: getattr(engine, key) for engine_id, engine in ENGINES.items()}
    return lambda engine_id: None if engine_id is None else values.get(engine_id)


def _reason(error: Exception) -> str:
    # SQLite's own message may quote the damage.
    return str(error) if isinstance(error, sqlite3.Error) else "it is damaged"


def _unusable(path: str, reason: str) -> EmulatorError:
    return EmulatorError(
        f"{path}: cannot be used as the emulator's data: {reason}."
        " Name another file; this one is left as it is"
    )
