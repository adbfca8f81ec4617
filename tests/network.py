"""Ports on loopback that are not the service itself: proxies, TLS, and whatever else answers."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.fake_service import FakeService, Handler, QuietServer, serving

HOST = "modelarts.invalid"
"""A name that only a proxy can reach: here its tunnel ends at a port of this machine."""

Answer = Callable[[socket.socket, bytes], None]


@dataclass
class Listener:
    """``heads`` are the first bytes of each connection."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def listening(answer: Answer, certificate: Path | None = None) -> Iterator[Listener]:
    """Calls ``answer`` with each connection and its first bytes, then hangs up.

    With a ``certificate`` it speaks TLS.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server.getsockname()[1])

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), _wrapped(connection, certificate) as connection:
                if not (head := connection.recv(4096)):
                    return
                listener.heads.append(head)
                answer(connection, head)
                # What is left unread would turn the end into a reset.
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass

        def accept() -> None:
            while not listener.over.is_set():
                with contextlib.suppress(OSError):
                    threading.Thread(target=serve, args=server.accept()[:1], daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener
        finally:
            listener.over.set()
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", listener.port)).close()
            thread.join()


def _wrapped(connection: socket.socket, certificate: Path | None) -> socket.socket:
    if certificate is None:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context.wrap_socket(connection, server_side=True)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def says(raw: bytes) -> Answer:
    return lambda connection, head: connection.sendall(raw)


def hangs(connection: socket.socket, head: bytes) -> None:
    """Says nothing until the other side gives up."""
    connection.recv(1)


def trickles(byte: bytes, *heads: bytes) -> Answer:
    """Says each of ``heads`` when it is its turn, and then ``byte`` again and again for longer than
    anybody should wait."""

    def answer(connection: socket.socket, head: bytes) -> None:
        connection.sendall(heads[0])
        for following in heads[1:]:
            connection.recv(4096)
            connection.sendall(following)
        for _ in range(200):
            time.sleep(0.1)
            connection.sendall(byte)

    return answer


def tunnels_to(port: int, then: Answer | None = None, after: int = 0, user: str = "") -> Answer:
    """A proxy whose tunnels end at ``port``; after so many, it does ``then``. ``user`` is who may
    sign in to SOCKS, ``NAME:PASSWORD``, if anybody wants to."""
    count = 0

    def answer(connection: socket.socket, head: bytes) -> None:
        nonlocal count
        count += 1
        if then and count > after:
            then(connection, head)
            return
        if head[:1] == b"\x05":
            # SOCKS 5: a sign-in; then the address, which does not count here.
            wants_sign_in = 2 in head[2:]
            connection.sendall(b"\x05\x02" if wants_sign_in else b"\x05\x00")
            if wants_sign_in:
                texts = (chr(len(text)) + text for text in user.split(":"))
                is_right = connection.recv(4096) == f"\1{''.join(texts)}".encode()
                connection.sendall(b"\x01\x00" if is_right else b"\x01\x01")
            connection.recv(4096)
            connection.sendall(b"\x05\x00\x00\x01" + bytes(6))
        else:
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as target:
            back = threading.Thread(target=_pump, args=(target, connection))
            back.start()
            _pump(connection, target)
            back.join()

    return answer


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(4096):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


_CONFIG = """[ca]
default_ca = own
[own]
database = index.txt
serial = serial
new_certs_dir = .
default_md = sha256
policy = policy
x509_extensions = extensions
[policy]
commonName = supplied
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, digitalSignature, keyCertSign
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = {names}
"""


def make_certificate(folder: Path, *hosts: str, days: int = 1) -> Path:
    """A key and a certificate that it signs itself, in one file; until ``days`` from now."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder.mkdir()
    names = ",".join(f"DNS:{host}" for host in hosts)
    (folder / "ca.cnf").write_text(_CONFIG.format(names=names))
    (folder / "index.txt").touch()
    (folder / "serial").write_text("01")
    end = datetime.now(timezone.utc) + timedelta(days=days)
    start, until = (f"{moment:%Y%m%d%H%M%SZ}" for moment in (end - timedelta(days=9), end))
    request = "req -new -newkey rsa:2048 -nodes -subj /CN=test -keyout key.pem -out request.pem"
    sign = (
        "ca -batch -config ca.cnf -selfsign -notext -keyfile key.pem -in request.pem"
        f" -startdate {start} -enddate {until} -out certificate.pem"
    )
    for command in (request, sign):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    path = folder / "certificate.pem"
    path.write_bytes(path.read_bytes() + (folder / "key.pem").read_bytes())
    return path


@contextmanager
def secure(service: FakeService, certificate: Path, protocol: str = "HTTP/1.1") -> Iterator[int]:
    """Serves ``service`` over TLS; the port."""
    own = {"service": service, "timeout": 5, "protocol_version": protocol}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = QuietServer(("127.0.0.1", 0), type("SecureHandler", (Handler,), own))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    with serving(server) as port:
        yield port
