"""A proxy that delays what is asked: a store that is far away, on one machine."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Iterator


@contextlib.contextmanager
def delaying(port: int, milliseconds: float) -> Iterator[int]:
    """A port that passes on to ``port``, what a client sends so many milliseconds later."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, port, milliseconds), daemon=True).start()
        yield int(server.getsockname()[1])


def _accept(server: socket.socket, port: int, milliseconds: float) -> None:
    with contextlib.suppress(OSError):
        while True:
            client = server.accept()[0]
            target = socket.create_connection(("127.0.0.1", port))
            for end in (client, target):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for pair in ((client, target, milliseconds / 1000), (target, client, 0.0)):
                threading.Thread(target=_pass_on, args=pair, daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, seconds: float) -> None:
    waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = waiting.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    return target.shutdown(socket.SHUT_WR)
                target.sendall(data)

    threading.Thread(target=send, daemon=True).start()
    data = b"..."
    while data:
        data = b""
        with contextlib.suppress(OSError):
            data = source.recv(65536)
        waiting.put((time.monotonic() + seconds, data))
