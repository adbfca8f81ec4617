"""Records as rows of a table in PostgreSQL. An ``add`` is one INSERT, which looks for the record
before, and whether that is the one seen here: a server that took over without the last rows is
noticed, and not written to.

Nothing outlives a statement (no transaction, setting, lock or prepared statement), so PgBouncer in
transaction mode may be in between."""

from __future__ import annotations

import os
import re
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from majobctl.errors import StateError
from majobctl.state.backends.log import LogBackend
from majobctl.text import cut, printable

try:
    import psycopg
    from psycopg import errors
except ImportError as error:
    needs = "the backend postgres needs psycopg: install it with pip install 'psycopg[binary]'"
    raise StateError(needs) from error

# Of any number of descriptors, and none of its own.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_CREATE = """CREATE TABLE IF NOT EXISTS majobctl_log (name text COLLATE "C", number bigint,\
 content bytea NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp(),\
 PRIMARY KEY (name, number))"""
_ADD = """WITH last AS (
    SELECT coalesce(max(number), 0) AS number, coalesce((
        SELECT sha256(content) FROM majobctl_log WHERE name = %(name)s AND number = %(number)s - 1
        AND %(before)b::bytea IS NOT NULL) = %(before)b::bytea, true) AS is_known
    FROM majobctl_log WHERE name = %(name)s
), added AS (
    INSERT INTO majobctl_log (name, number, content, at)
    SELECT %(name)s, %(number)s, %(content)b, clock_timestamp() FROM last
    WHERE last.number = %(number)s - 1 AND is_known
    ON CONFLICT (name, number) DO NOTHING RETURNING number
)
SELECT (SELECT count(*) FROM added), number, is_known, set_config(
    'synchronous_commit', CASE WHEN it IN ('off', 'local') THEN 'on' ELSE it END, true)
FROM last, current_setting('synchronous_commit') AS it"""
_NUMBERS = """SELECT number, extract(epoch FROM clock_timestamp() - at)::float8
FROM majobctl_log WHERE name = %(name)s ORDER BY number"""
_READ = "SELECT content::bytea FROM majobctl_log WHERE name = %(name)s AND number = %(number)s"
_MAY_PRUNE = "SELECT has_table_privilege('majobctl_log', 'DELETE')"
_PRUNE = "DELETE FROM majobctl_log WHERE name = %(name)s AND number = ANY(%(numbers)s)"
_GRANT = "GRANT SELECT, INSERT ON majobctl_log TO {user};"

_ADVICE = (
    ("25006", "nothing was written: set state.address to the primary"),
    ("53100", "make room on the disk of the server"),
    ("42P01", f"let an owner of the database run: {_CREATE}; {_GRANT}"),
    ("42501", f"let the owner of the table run: {_GRANT}"),
    ("22|23|42|54|55000", "the table majobctl_log is not as majobctl makes it: rename it"),
    (" .*(pg_hba|SSL was|certificate)", "set sslmode and sslrootcert as the server needs them"),
    (" .*permission denied", "let the owner of the database run: GRANT CONNECT ON DATABASE ..."),
    ("3D| .*(database .* does not|no such database)", "create it, or correct state.address"),
    (
        "28| .*(password supp|authentication failed|role .* not|such user)",
        "set PGUSER and PGPASSWORD",
    ),
    (" .*(invalid .* value|invalid port|of service)", "correct state.address, or the PG variables"),
)
"""What does not pass by itself: by SQLSTATE, or by the message after a blank where libpq has none,
as for a refused connection. If that is in another language, the log tries again for a while."""


def of_settings(settings: Mapping[str, Any], root: Path) -> LogBackend:
    store = PostgresStore(settings["address"], settings["name"])
    return LogBackend(store, lease=settings["lease"], keep=settings["keep"])


class PostgresStore:
    """The log ``name`` at ``address``, as libpq takes it (``postgresql://HOST/DATABASE`` or
    ``host=... dbname=...``); its variables and files count. A statement has ``timeout`` seconds."""

    def __init__(self, address: str, name: str, *, timeout: float = 30) -> None:
        _check_address(address)
        self.name = f"{name} in {printable(address.partition('?')[0]) or 'PostgreSQL'}"
        self._address, self._log, self._timeout, self._user = address, name, timeout, "..."
        self._seen = 0, b""  # the last record that was added or read
        self._idle: list[psycopg.Connection] = []
        weakref.finalize(self, lambda idle: [*map(psycopg.Connection.close, idle)], self._idle)

    def add(self, number: int, content: bytes) -> bool:
        more = len(content) / 500_000
        at, known = self._seen
        before = sha256(known).digest() if at == number - 1 else None
        values = {"number": number, "content": content, "before": before}
        ((added, last, is_known, _),) = self._run(_ADD, more, **values)
        if last < number - 1 or not is_known:
            found = f"the last is {last or 'none'}, and {number - 1} was there"
            if last >= number - 1:
                found = f"it has another record {number - 1} than before"
            raise StateError(
                f"{self.name} has lost records: {found}\nnothing was written; the server took over"
                " from one that had more, or rows were removed: compare with the service: majobctl"
                " plan --refresh"
            )
        if added:
            self._seen = number, content
        return bool(added)

    def numbers(self) -> list[tuple[int, float | None]]:
        return [(number, age) for number, age in self._run(_NUMBERS)]

    def read(self, number: int) -> bytes | None:
        rows = self._run(_READ, number=number)
        if rows and number >= self._seen[0]:
            self._seen = number, bytes(rows[0][0])
        return bytes(rows[0][0]) if rows else None

    def prune(self, numbers: Iterable[int]) -> None:
        if self._run(_MAY_PRUNE)[0][0]:
            self._run(_PRUNE, numbers=[*numbers])

    def _run(self, query: str, more: float = 0, **values: object) -> list[Any]:
        seconds, start = self._timeout + more, time.monotonic()
        try:
            with suppress(errors.UndefinedTable):
                return self._execute(query, seconds, values)
            # Two that make it at once meet in the catalog.
            taken = errors.DuplicateTable, errors.DuplicateObject, errors.UniqueViolation
            with suppress(*taken, errors.InsufficientPrivilege, errors.InvalidSchemaName):
                self._execute(_CREATE, seconds, values)
            return self._execute(query, seconds, values)
        except psycopg.Error as error:
            if not error.sqlstate and time.monotonic() >= start + seconds:
                raise ConnectionError(f"{self.name}: no answer in {seconds:.0f} s") from error
            raise self._failure(error) from error

    def _execute(self, query: str, seconds: float, values: dict[str, object]) -> list[Any]:
        connection = self._connection()
        watch = threading.Timer(seconds, _cut_off, [connection])
        watch.start()
        try:
            cursor = connection.execute(query.encode(), {"name": self._log, **values}, binary=True)
            rows = cursor.fetchall() if cursor.description else []
        except BaseException:
            connection.close()
            raise
        finally:
            watch.cancel()
        if len(self._idle) < 4:
            self._idle.append(connection)
        else:
            connection.close()
        return rows

    def _connection(self) -> psycopg.Connection:
        with suppress(IndexError):
            while connection := self._idle.pop():
                # What a server says unasked is that it has ended.
                with _Selector() as selector:
                    selector.register(connection, selectors.EVENT_READ)
                    if not selector.select(0):
                        return connection
                connection.close()
        options: dict[str, Any] = {"connect_timeout": os.environ.get("PGCONNECT_TIMEOUT", 10)}
        options.update(psycopg.conninfo.conninfo_to_dict(self._address), autocommit=True)
        options.setdefault("fallback_application_name", "majobctl")
        connection = psycopg.connect(prepare_threshold=None, **options)
        self._user = f'"{connection.info.user}"'
        return connection

    def _failure(self, error: psycopg.Error) -> Exception:
        text = " ".join(str(error.diag.message_primary or error).split())
        # PgBouncer has one SQLSTATE, 08P01, for all that it says itself.
        known = f" {text}" if error.sqlstate in (None, "08P01") else str(error.sqlstate)
        text = f"{self.name}: {printable(cut(text))}"
        for pattern, advice in _ADVICE:
            if re.match(pattern, known):
                return StateError(f"{text}\n{advice.format(user=self._user)}")
        return ConnectionError(text)


def _check_address(address: str) -> None:
    """Raises StateError, which never quotes the address, if it has a password or is not one."""
    mend = "write it as postgresql://HOST/DATABASE, or as host=HOST dbname=DATABASE"
    found = "is not an address of PostgreSQL"
    with suppress(psycopg.Error, UnicodeError):
        options = [it for it in psycopg.pq.Conninfo.parse(address.encode()) if it.val]
        is_secret = (it.dispchar == b"*" or it.keyword.startswith(b"scram_") for it in options)
        seems_so = re.search(r"://[^?]*:[^?]*@|password\s*=", unquote(address), re.IGNORECASE)
        if not seems_so and not any(is_secret):
            return
        found = "has a password, which everybody could read"
        mend = "remove it and change it; set PGPASSWORD, or put it into ~/.pgpass"
    raise StateError(f"state.address {found}\n{mend}")


def _cut_off(connection: psycopg.Connection) -> None:
    """Ends the wait of another thread for an answer."""
    kind = socket.AF_INET, socket.SOCK_STREAM
    with suppress(Exception), socket.fromfd(connection.fileno(), *kind) as it:
        it.shutdown(socket.SHUT_RDWR)
