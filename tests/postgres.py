"""A PostgreSQL server of its own, and PgBouncer in transaction mode in front of it, on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from majobctl.state.backends.postgres import PostgresStore

_PLACES = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True), "/usr/sbin"]
_PATH = os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])
INITDB, PGBOUNCER = (shutil.which(name, path=_PATH) for name in ("initdb", "pgbouncer"))
# Neither server runs as root.
_AS_NOBODY: dict[str, Any] = (
    {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
)
OWNER = "owner"
_FORM = ("--encoding=UTF8", "--locale=C", "--auth-local=trust", "--auth-host=scram-sha-256")
_CONFIG = """
[databases]
* = host={server.folder} port={server.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 4
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


class Process:
    """A server that can be killed, and started again at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, **_AS_NOBODY
            )
        deadline = time.monotonic() + 60
        while not self.answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "it does not start"
            time.sleep(0.02)

    def answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(60)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid


class Server(Process):
    """With a superuser ``owner`` by its socket; by TCP, everybody needs a password."""

    def __init__(self, folder: Path, copied: Server | None = None) -> None:
        super().__init__(folder)
        self.data = folder / "data"
        data = [f"--pgdata={self.data}", "--no-sync"]
        if copied is None:
            self._run("initdb", *data, f"--username={OWNER}", *_FORM)
        else:
            self._run("pg_basebackup", *data, f"--dbname={copied.address()}", "--checkpoint=fast")
            self._run("touch", str(self.data / "standby.signal"))

    def _run(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=_PATH)
        assert path is not None, program
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, cwd=self.folder, **_AS_NOBODY
        )
        assert done.returncode == 0, done.stderr

    def command(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "fsync": "off",  # kill -9 takes the memory of the server, not that of the system
            "wal_writer_delay": "10s",
            "max_connections": 60,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [str(Path(str(INITDB)).with_name("postgres")), "-D", str(self.data), *options]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.address()).close()
        except psycopg.OperationalError:
            return False
        return True

    def address(self, database: str = "postgres", user: str = OWNER) -> str:
        return f"postgresql:///{database}?host={self.folder}&port={self.port}&user={user}"

    def by_tcp(self, database: str) -> str:
        return f"postgresql://127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, database: str = "postgres") -> list[Any]:
        import psycopg

        with psycopg.connect(self.address(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Kills every process of the server at once, as a machine does that loses its power."""
        children = [child for child in _children(self.pid) if number == signal.SIGKILL]
        super().kill(number)
        for child in children:
            _kill(child)


class Bouncer(Process):
    def __init__(self, folder: Path, server: Server, users: list[str]) -> None:
        super().__init__(folder)
        names = folder / "users.txt"
        names.write_text("".join(f'"{user}" ""\n' for user in users))
        config = _CONFIG.format(server=server, port=self.port, users=names)
        (folder / "pgbouncer.ini").write_text(config)

    def command(self) -> list[str]:
        return [str(PGBOUNCER), str(self.folder / "pgbouncer.ini")]

    def address(self, database: str, user: str = OWNER) -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)


@contextmanager
def folder_of_a_server() -> Iterator[Path]:
    """Short, since the path of a socket has at most 107 bytes; and everybody may go there. In
    memory if there is room: a database has 300 files."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    folder = Path(tempfile.mkdtemp(prefix="majobctl-", dir=memory if has_room else None))
    try:
        if _AS_NOBODY:
            shutil.chown(folder, "nobody", "nogroup")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_server(copied: Server | None = None) -> Iterator[Server]:
    """Of its own, or a hot standby with what ``copied`` has now, and nothing that follows."""
    if INITDB is None:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'psycopg[binary]'")
    with folder_of_a_server() as folder:
        server = Server(folder, copied)
        server.start()
        try:
            yield server
        finally:
            server.kill(signal.SIGQUIT)  # which frees the shared memory, as SIGKILL does not


@contextmanager
def running_bouncer(server: Server, users: list[str]) -> Iterator[Bouncer]:
    if PGBOUNCER is None:
        pytest.skip("needs PgBouncer: apt-get install pgbouncer")
    with folder_of_a_server() as folder:
        bouncer = Bouncer(folder, server, users)
        bouncer.start()
        try:
            yield bouncer
        finally:
            bouncer.kill()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: Server) -> Iterator[Bouncer]:
    with running_bouncer(postgres_server, [OWNER]) as bouncer:
        yield bouncer


@pytest.fixture
def postgres_store(
    postgres_server: Server, request: pytest.FixtureRequest
) -> Callable[[], PostgresStore]:
    """Opens a log of its own; logs of many tests are in one table."""
    from majobctl.state.backends.postgres import PostgresStore

    return lambda: PostgresStore(postgres_server.address(), request.node.nodeid[-400:])


@pytest.fixture
def pgbouncer_store(
    pgbouncer: Bouncer, request: pytest.FixtureRequest
) -> Callable[[], PostgresStore]:
    from majobctl.state.backends.postgres import PostgresStore

    return lambda: PostgresStore(pgbouncer.address("postgres"), request.node.nodeid[-400:])
