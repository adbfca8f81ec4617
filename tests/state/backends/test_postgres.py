"""The store in PostgreSQL, on a real server, and through PgBouncer."""

from __future__ import annotations

import importlib
import os
import re
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="needs psycopg: pip install 'psycopg[binary]'")

from majobctl.errors import StateError
from majobctl.state.backends.postgres import PostgresStore
from tests.postgres import Bouncer, Server, free_port, running_bouncer, running_server

ROLES = ("applier", "planner", "stranger")
SECRET = "s3cr3t"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as server:
        for role in ROLES:
            server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'")
        yield server


@pytest.fixture(scope="module")
def bouncer(server: Server) -> Iterator[Bouncer]:
    with running_bouncer(server, ["owner"]) as bouncer:
        yield bouncer


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """A new database, in which only its owner may make tables, as in PostgreSQL from 15 on."""
    name = f"test_{time.time_ns()}"
    server.execute(f"CREATE DATABASE {name}")
    server.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC", name)
    yield name
    server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def store(server: Server, database: str) -> PostgresStore:
    return PostgresStore(server.address(database), "ml/sentiment")


@pytest.fixture(params=["direct", "bouncer"])
def address(request: pytest.FixtureRequest, server: Server, database: str) -> str:
    """Of a database, directly or by the bouncer."""
    if request.param == "direct":
        return server.address(database)
    bouncer: Bouncer = request.getfixturevalue("bouncer")
    return bouncer.address(database)


def test_a_record_is_added_once_and_never_changes(address: str) -> None:
    store = PostgresStore(address, "ml/sentiment")
    assert (store.numbers(), store.read(1)) == ([], None)
    assert [store.add(1, b"one"), store.add(1, b"other"), store.add(2, b"")] == [True, False, True]
    assert [store.read(number) for number in (1, 2, 3)] == [b"one", b"", None]
    (first, older), (second, younger) = store.numbers()
    assert (first, second) == (1, 2)
    assert older is not None and younger is not None and 60 > older >= younger >= 0
    store.prune([1])
    assert [number for number, _ in store.numbers()] == [2]
    assert [store.add(1, b"late"), store.add(2, b"late"), store.add(3, b"")] == [False, False, True]


def test_writers_race_for_each_number(address: str) -> None:
    """From the first moment on, when there is no table."""
    start = threading.Barrier(12)

    def race(writer: int) -> list[bool]:
        store, won = PostgresStore(address, "race"), []
        start.wait()
        for number in range(1, 16):
            won.append(store.add(number, f"{number} {writer}".encode()))
        return won

    with ThreadPoolExecutor(12) as pool:
        won = list(pool.map(race, range(12)))
    assert [sum(column) for column in zip(*won, strict=True)] == [1] * 15
    store = PostgresStore(address, "race")
    for number in range(1, 16):
        winner = [wins[number - 1] for wins in won].index(True)
        assert store.read(number) == f"{number} {winner}".encode()


def test_a_large_record_and_many_readers(address: str) -> None:
    store, content = PostgresStore(address, "large"), os.urandom(20_000_000)
    assert store.add(1, content)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(store.read, [1] * 4)) == {content}


HOSTILE = ["'; DROP TABLE majobctl_log; --", "%s %(name)s %", '"', "a\\b\\'", "ü/日本", "{user}"]


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 500, "日" * 500])
def test_any_printable_name_is_a_log_of_its_own(server: Server, database: str, name: str) -> None:
    stores = [PostgresStore(server.address(database), it) for it in (name, f"{name[:-1]}~")]
    for store in stores:
        assert store.add(1, store.name.encode())
    assert [store.read(1) for store in stores] == [store.name.encode() for store in stores]


@pytest.mark.parametrize(
    "address",
    [
        f"postgresql://user:{SECRET}@db.example.com/majobctl",
        f"postgres://user:{SECRET}@one,two/majobctl",
        f"postgresql://:{SECRET}@db.example.com",
        "postgresql://user:%s3cr3t@db.example.com",
        f"postgresql://user:a/{SECRET}@db.example.com/majobctl",
        f"postgresql://user:a@{SECRET}@db.example.com/majobctl",
        f"postgresql://user%3A{SECRET}@db.example.com/majobctl",
        f"postgresql://user:%73%33cr3t{SECRET}@db.example.com/majobctl",
        f"postgresql://db.example.com/majobctl?password={SECRET}",
        f"postgresql://db.example.com/majobctl?user=a&p%61ssword={SECRET}",
        f"postgresql://db.example.com/majobctl?sslpassword={SECRET}",
        f"host=db.example.com password={SECRET}",
        f"host=db.example.com password = '{SECRET} x'",
        f"dbname='postgresql://user:{SECRET}@db.example.com/majobctl'",
        f"dbname='host=a password={SECRET}'",
        f"host=db.example.com pasword={SECRET}",
        f"host=db.example.com {SECRET}",
        f"postgresql://db.example.com/majobctl?pass={SECRET}",
        f"PASSWORD={SECRET}",
        SECRET,
    ],
)
@pytest.mark.bad_inputs("an address with a password", "address")
def test_a_password_in_the_address_is_refused_and_never_shown(address: str) -> None:
    with pytest.raises(StateError) as caught:
        PostgresStore(address, "log")
    error: BaseException | None = caught.value
    assert re.match(r"state\.address (has a password|is not an address)", str(error))
    while error is not None:
        assert SECRET not in str(error) and "db.example" not in str(error)
        error = None if error.__suppress_context__ else error.__context__


def test_the_file_for_passwords_the_services_and_the_variables_count(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server.execute(f"ALTER DATABASE {database} OWNER TO applier")
    passwords, services = tmp_path / "pgpass", tmp_path / "services"
    passwords.write_text(f"127.0.0.1:{server.port}:{database}:applier:{SECRET}\n")
    passwords.chmod(0o600)
    services.write_text(f"[ml]\nhost=127.0.0.1\nport={server.port}\ndbname={database}\n")
    monkeypatch.setenv("PGUSER", "applier")
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert PostgresStore(server.by_tcp(database), "log").add(1, b"one")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert PostgresStore("service=ml", "log").read(1) == b"one"
    monkeypatch.setenv("PGSERVICE", "ml")
    monkeypatch.delenv("PGPASSFILE")
    monkeypatch.setenv("PGPASSWORD", SECRET)
    store = PostgresStore("", "log")
    assert (store.name, store.read(1)) == ("log in PostgreSQL", b"one")


def test_without_psycopg_the_message_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "majobctl.state.backends.postgres")
    with pytest.raises(StateError, match=r"install it with pip install 'psycopg\[binary\]'"):
        importlib.import_module("majobctl.state.backends.postgres")


Spoil = Callable[[Server, str], str]
"""Spoils a database, or has another address for it."""


def _runs(statement: str, user: str = "applier") -> Spoil:
    def spoil(server: Server, database: str) -> str:
        PostgresStore(server.address(database), "log").numbers()
        server.execute(statement.replace("THIS", database), database)
        return server.address(database, user)

    return spoil


def _at(text: str) -> Spoil:
    return lambda server, database: text.format(server=server, database=database)


_OTHER = "ALTER TABLE majobctl_log "
_TCP = "host=127.0.0.1 port={server.port} dbname={database} "
CERTAIN: dict[str, tuple[Spoil, str]] = {
    "wrong password": (_at(_TCP + "user=applier"), "set PGUSER and PGPASSWORD"),
    "unknown role": (_at(_TCP + "user=nobody_here"), "set PGUSER and PGPASSWORD"),
    "wrong database": (
        _at("postgresql:///no_base?host={server.folder}&port={server.port}&user=owner"),
        "create it, or correct",
    ),
    "no TLS there": (_at(_TCP + "sslmode=require"), "set sslmode"),
    "no certificate here": (_at(_TCP + "sslmode=verify-full"), "set sslmode"),
    "no service": (_at("service=nowhere"), "correct state.address"),
    "wrong option": (_at(_TCP + "sslmode=maybe"), "correct state.address"),
    "wrong port": (_at("host=127.0.0.1 port=99999999"), "correct state.address"),
    "may not connect": (
        _runs("REVOKE CONNECT ON DATABASE THIS FROM PUBLIC"),
        "GRANT CONNECT ON",
    ),
    "may not insert": (_runs("GRANT SELECT ON majobctl_log TO applier"), "GRANT SELECT, INSERT"),
    "may not read": (_runs("GRANT INSERT ON majobctl_log TO applier"), "GRANT SELECT, INSERT"),
    "may do nothing": (_runs("SELECT 1"), "GRANT SELECT, INSERT ON majobctl_log TO"),
    "may not make the table": (_runs("DROP TABLE majobctl_log"), "CREATE TABLE IF NOT EXISTS"),
    "no schema": (_runs("DROP SCHEMA public CASCADE"), "CREATE TABLE IF NOT EXISTS"),
    "only reads": (
        _runs("ALTER DATABASE THIS SET default_transaction_read_only = on", "owner"),
        "to the primary",
    ),
    **{
        change: (_runs(change, "owner"), "the table majobctl_log is not as majobctl makes it")
        for change in (
            _OTHER + "DROP COLUMN at",
            _OTHER + "RENAME content TO data",
            _OTHER + "DROP CONSTRAINT majobctl_log_pkey",
            _OTHER + "ALTER number TYPE text",
            _OTHER + "ALTER name TYPE integer USING 1",
            _OTHER + "ADD more text NOT NULL",
            _OTHER + "ADD CHECK (number > 9)",
            "DROP TABLE majobctl_log; CREATE SEQUENCE majobctl_log",
        )
    },
}


@pytest.mark.parametrize("case", CERTAIN)
def test_what_does_not_pass_by_itself_says_what_to_do(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("PGPASSWORD", "wrong")
    spoil, advice = CERTAIN[case]
    store = PostgresStore(spoil(server, database), "log")
    with pytest.raises(StateError, match=re.escape(advice)) as caught:
        store.add(1, b"")
    assert "wrong" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


PASSING: dict[str, Spoil] = {
    "too many": _runs("ALTER ROLE applier CONNECTION LIMIT 0"),
    "refused": _at("host=127.0.0.1 port=1 user=role_that_is_not dbname=password"),
    "no such host": _at("host=password-role.invalid"),
    "a statement is too slow": _runs("ALTER DATABASE THIS SET statement_timeout = 1", "owner"),
}


@pytest.mark.parametrize("case", PASSING)
def test_what_may_pass_is_a_lost_connection(server: Server, database: str, case: str) -> None:
    store = PostgresStore(PASSING[case](server, database), "log")
    try:
        with pytest.raises(ConnectionError):
            store.add(1, bytes(20_000_000))
    finally:
        server.execute("ALTER ROLE applier CONNECTION LIMIT -1")


def test_roles_and_the_lines_of_the_messages(server: Server, database: str) -> None:
    """Whoever pastes the line of each message comes to the next one, and to the end."""
    store = PostgresStore(server.address(database, "applier"), "log")
    with pytest.raises(StateError, match="does not exist") as caught:
        store.numbers()
    server.execute(str(caught.value).split("run: ")[1], database)
    assert store.add(1, b"one")
    store.prune([1])  # without DELETE, nothing is pruned
    assert store.read(1) == b"one"
    server.execute("GRANT DELETE ON majobctl_log TO applier", database)
    store.prune([1])
    assert store.numbers() == []

    planner = PostgresStore(server.address(database, "planner"), "log")
    server.execute("GRANT SELECT ON majobctl_log TO planner", database)
    assert (planner.numbers(), planner.read(1)) == ([], None)
    with pytest.raises(StateError, match="permission denied") as caught:
        planner.add(2, b"")
    assert planner.numbers() == []
    server.execute(str(caught.value).split("run: ")[1], database)
    assert planner.add(1, b"")


def test_the_search_path_says_which_schema(server: Server, database: str) -> None:
    server.execute("CREATE SCHEMA ml", database)
    ml = PostgresStore(server.address(database) + "&options=-csearch_path%3Dml", "log")
    assert ml.add(1, b"one")
    assert PostgresStore(server.address(database), "log").read(1) is None
    assert server.execute("SELECT number FROM ml.majobctl_log", database) == [(1,)]


@contextmanager
def locked_table(server: Server, database: str) -> Iterator[None]:
    """Whatever is added meanwhile waits."""
    import psycopg

    with psycopg.connect(server.address(database)) as connection:
        connection.execute("LOCK TABLE majobctl_log")
        yield


WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("function", ["pg_terminate_backend", "pg_cancel_backend"])
def test_an_add_that_is_ended_has_an_unknown_outcome(
    server: Server, database: str, store: PostgresStore, function: str
) -> None:
    assert store.add(1, b"one")
    with ThreadPoolExecutor(1) as pool, locked_table(server, database):
        adding = pool.submit(store.add, 2, b"two")
        wait_for(lambda: server.execute(f"SELECT {function}(pid) {WAITING}'{database}'"))
        with pytest.raises(ConnectionError):
            adding.result(60)
    assert store.read(2) is None
    assert store.add(2, b"two")


@pytest.mark.slow
def test_an_add_waits_for_a_bounded_time_and_may_be_kept_later(
    server: Server, database: str
) -> None:
    store = PostgresStore(server.address(database), "log", timeout=1)
    assert store.add(1, b"one")
    with locked_table(server, database), pytest.raises(ConnectionError, match="no answer in 1 s"):
        store.add(2, b"two")
    wait_for(lambda: store.read(2) == b"two")
    assert not store.add(2, b"two")


@pytest.mark.slow
def test_a_server_that_is_stopped_or_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "2")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"host=127.0.0.1 port={silent.getsockname()[1]} user=owner"
        with pytest.raises(ConnectionError):
            PostgresStore(address, "log").read(1)
    with pytest.raises(ConnectionError, match="refused"):
        PostgresStore(f"host=127.0.0.1 port={free_port()} user=owner", "log").read(1)


def test_more_descriptors_than_select_takes_may_be_open(server: Server, database: str) -> None:
    """As an apply has with --parallelism 1000."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= limits[1] < 2048:
        pytest.skip("this user may not open 2,048 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, limits[1]))
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        store = PostgresStore(server.address(database), "log")
        assert [store.add(number, b"x") for number in (1, 2, 2)] == [True, True, False]
    finally:
        for descriptor in opened:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_connection_that_was_cut_meanwhile_is_replaced(
    server: Server, database: str, store: PostgresStore
) -> None:
    assert store.add(1, b"one")
    others = f"FROM pg_stat_activity WHERE datname = '{database}'"
    wait_for(lambda: not server.execute(f"SELECT pg_terminate_backend(pid) {others}"))
    assert store.add(2, b"two")
    server.execute(f"ALTER DATABASE {database} SET idle_session_timeout = '50ms'")
    other = PostgresStore(server.address(database), "ml/sentiment")
    assert other.add(3, b"three")
    time.sleep(0.5)
    assert other.add(4, b"four")
    server.kill(signal.SIGINT)
    with pytest.raises(ConnectionError):
        store.read(1)
    server.start()
    assert [store.read(4), other.read(4)] == [b"four"] * 2


def test_the_bouncer_restarts(bouncer: Bouncer, database: str) -> None:
    store = PostgresStore(bouncer.address(database), "log")
    assert store.add(1, b"one")
    bouncer.kill()
    with pytest.raises(ConnectionError):
        store.add(2, b"two")
    bouncer.start()
    assert store.add(2, b"two")


@pytest.mark.faults
@pytest.mark.parametrize("setting", ["on", "off", "local"])
def test_what_was_acknowledged_survives_the_server(
    server: Server, database: str, setting: str
) -> None:
    """The server is killed between two adds, and during some; ``off`` alone would lose rows."""
    server.execute(f"ALTER DATABASE {database} SET synchronous_commit = {setting}")
    names, kept = ("one", "two", "three"), dict.fromkeys(("one", "two", "three"), 0)
    PostgresStore(server.address(database), "one").numbers()

    def add(name: str) -> None:
        store = PostgresStore(server.address(database), name)
        for number in range(kept[name] + 1, 100_000):
            try:
                if not store.add(number, name.encode()):
                    assert store.read(number) == name.encode()
            except ConnectionError:
                return
            kept[name] = number

    for _ in range(3):
        with ThreadPoolExecutor(3) as pool:
            adding = [pool.submit(add, name) for name in names]
            time.sleep(0.3)
            server.kill()
            for it in adding:
                it.result(60)
        server.start()
        for name in names:
            numbers = [n for n, _ in PostgresStore(server.address(database), name).numbers()]
            assert numbers == list(range(1, len(numbers) + 1))
            assert kept[name] <= len(numbers) <= kept[name] + 1


@pytest.mark.slow
def test_a_failover_that_lost_rows_is_noticed(server: Server, database: str) -> None:
    """A standby reads and is not written to; when it takes over, it lacks what it never got."""
    store = PostgresStore(server.address(database), "log")
    assert store.add(1, b"one") and store.add(2, b"two")
    with running_server(copied=server) as standby:
        assert store.add(3, b"three")
        other = PostgresStore(standby.address(database), "log")
        assert [number for number, _ in other.numbers()] == [1, 2]
        with pytest.raises(StateError, match="read-only transaction\nnothing was written"):
            other.add(3, b"other")
        standby.execute("SELECT pg_promote()")
        with pytest.raises(StateError, match=r"has lost .*: the last is 2, and 3 was there"):
            other.add(4, b"four")
        assert other.add(3, b"three, again")


@pytest.mark.parametrize(("kept", "found"), [(1, "the last is 1,"), (0, "the last is none,")])
def test_rows_that_were_removed_are_noticed(
    server: Server, database: str, store: PostgresStore, kept: int, found: str
) -> None:
    assert all(store.add(number, b"") for number in (1, 2, 3))
    server.execute(f"DELETE FROM majobctl_log WHERE number > {kept}", database)
    with pytest.raises(StateError, match=found):
        store.add(4, b"")
    assert len(store.numbers()) == kept


@pytest.mark.parametrize("way", ["added", "read"])
def test_another_row_in_place_of_one_that_was_lost_is_noticed(
    server: Server, database: str, store: PostgresStore, way: str
) -> None:
    assert store.add(1, b"one") and store.add(2, b"two")
    if way == "read":
        store = PostgresStore(server.address(database), "ml/sentiment")
        assert [store.read(2), store.read(1)] == [b"two", b"one"]
    server.execute("DELETE FROM majobctl_log WHERE number = 2", database)
    other = PostgresStore(server.address(database), "ml/sentiment")
    assert other.add(2, b"other")
    for _ in range(2):
        with pytest.raises(
            StateError, match="has lost records: it has another record 2 than before"
        ):
            store.add(3, b"three")
        other.add(3, b"other")
    assert store.read(3) == b"other"


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_the_isolation_of_the_database_makes_no_difference(
    server: Server, database: str, isolation: str
) -> None:
    """But that an add may have to be looked up."""
    server.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = '{isolation}'")

    def race(writer: int) -> list[bool]:
        store, won = PostgresStore(server.address(database), "race"), []
        for number in range(1, 11):
            while True:
                try:
                    won.append(store.add(number, b"%d" % writer))
                    break
                except ConnectionError:
                    if store.read(number) is not None:
                        won.append(store.read(number) == b"%d" % writer)
                        break
        return won

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(race, range(6)))
    assert [sum(column) for column in zip(*won, strict=True)] == [1] * 10
