"""A deadline for a connection and for a complete response, however slowly they arrive.

A socket's own timeout starts again with every byte, so a server that sends one now and then could
hold a worker forever. Here one thread cuts each connection whose time is over."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection

_MAX_SLEEP = 1


@dataclass(eq=False)
class _Deadline:
    """The end of one exchange's time; ``was_sent``: part of its request may have left."""

    deadlines: Deadlines
    has_passed: bool = False
    was_sent: bool = False


class Deadlines:
    """The deadlines of all exchanges of one transport, each ``seconds`` after its request. No
    request wakes the thread: it looks at the exchange that has waited longest, and ends when there
    is none."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._ends: dict[_Deadline, tuple[float, Any]] = {}
        """In the order of their ends, since all have the same length."""
        self._thread: threading.Thread | None = None

    def add(self, deadline: _Deadline, connection: Any) -> None:
        """``connection`` is a socket, or what will have it as its ``sock`` by then."""
        with self._lock:
            self._ends[deadline] = time.monotonic() + self._seconds, connection
            # A forked process does not have its parent's thread.
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._cut_overdue, name="deadlines", daemon=True
                )
                # Without one more thread, each read still has the socket's own timeout.
                with contextlib.suppress(RuntimeError):
                    self._thread.start()

    def remove(self, deadline: _Deadline) -> None:
        with self._lock:
            self._ends.pop(deadline, None)

    def _cut_overdue(self) -> None:
        while True:
            with self._lock:
                if (first := next(iter(self._ends), None)) is None:
                    self._thread = None
                    return
                end, connection = self._ends[first]
                left = end - time.monotonic()
                if left <= 0:
                    del self._ends[first]
                    # Under the lock: a moment later the connection may serve another request.
                    first.has_passed = True
                    _cut(connection)
            time.sleep(min(max(left, 0), _MAX_SLEEP))


def _cut(connection: Any) -> None:
    connection = getattr(connection, "sock", connection)
    # TLS within the TLS of a proxy has the socket inside.
    connection = getattr(connection, "socket", connection)
    # The TLS socket's own shutdown is not safe while another thread reads.
    with contextlib.suppress(OSError, TypeError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _Current(threading.local):
    deadline: _Deadline | None = None


_current = _Current()


@contextlib.contextmanager
def start_deadline(deadlines: Deadlines) -> Iterator[_Deadline]:
    """The deadline of the exchange that this thread is about to make."""
    deadline = _Deadline(deadlines)
    _current.deadline = deadline
    try:
        yield deadline
    finally:
        _current.deadline = None
        deadlines.remove(deadline)


class _Watched(HTTPConnection):
    """A connection with a deadline until it is made, for a proxy's answer to CONNECT as well, and
    one for each response; it notes when a request begins to leave."""

    _socks_options: Mapping[str, Any] = {}

    def _new_conn(self) -> Any:
        connection = None if self._socks_options else super()._new_conn()
        if deadline := _current.deadline:
            deadline.deadlines.add(deadline, self)
        return connection or self._through_socks(**self._socks_options)

    def _through_socks(
        self, socks_version: int, proxy_host: str, proxy_port: int, rdns: bool, **user: Any
    ) -> Any:
        """As PySocks connects, which keeps the socket to itself until the proxy has answered."""
        socks, host, failure = import_module("socks"), proxy_host.strip("[]"), OSError()
        found = socket.getaddrinfo(host, proxy_port, type=socket.SOCK_STREAM)
        for family in dict.fromkeys(address[0] for address in found):
            self.sock = connection = socks.socksocket(family)
            for option in self.socket_options or ():
                connection.setsockopt(*option)
            connection.settimeout(self.timeout)
            connection.set_proxy(socks_version, host, proxy_port, rdns, *user.values())
            try:
                connection.connect((self.host, self.port))
                return connection
            except OSError as error:
                failure = error
                self.close()
        raise failure

    def _tunnel(self) -> None:
        super()._tunnel()
        if deadline := _current.deadline:
            _check(deadline)  # what was cut short may look complete

    def request(self, *args: Any, **kwargs: Any) -> None:
        # Apart from the request, so that nothing was sent if the connecting fails.
        if self.sock is None:
            self.connect()
        if deadline := _current.deadline:
            deadline.deadlines.remove(deadline)
            _check(deadline)
            deadline.was_sent = True
        super().request(*args, **kwargs)

    def getresponse(self) -> Any:
        if (deadline := _current.deadline) and self.sock:
            deadline.deadlines.add(deadline, self.sock)
        return super().getresponse()


def _check(deadline: _Deadline) -> None:
    if deadline.has_passed:
        raise TimeoutError


class DeadlineAdapter(HTTPAdapter):
    """requests' adapter over connections that are cut at the deadline, also those of a proxy."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watch(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _watch(manager)
        return manager


def _watch(manager: Any) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _watched(pool) for scheme, pool in pools.items()}


@functools.cache
def _watched(pool: Any) -> Any:
    """``pool``, a class that may be SOCKS's own, with watched connections."""
    if issubclass(pool.ConnectionCls, _Watched):
        return pool
    connection = type("WatchedConnection", (_Watched, pool.ConnectionCls), {})
    return type("WatchedPool", (pool,), {"ConnectionCls": connection})
