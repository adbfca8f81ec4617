"""An HTTP/1.1 server for the emulator, on 127.0.0.1 only. werkzeug's own handler closes the
connection after each answer; this one keeps it, because clients of the service keep theirs."""

from __future__ import annotations

import http
import io
import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from majobctl.emulator.app import LARGEST_BODY, Emulator, call_app
from majobctl.emulator.errors import AnswerLost, EmulatorError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_HOST = "127.0.0.1"
_LARGEST_DRAIN = 64 * 1024 * 1024
_STOP_SECONDS = 5.0
_LOOK_SECONDS = 0.5


class _Handler(WSGIRequestHandler):
    """Serves one connection: request after request, until one of the two sides closes it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def run_wsgi(self) -> None:
        """Answers the request whose head has been read."""
        environ = self.make_environ()
        if self._take_body(environ):
            try:
                self._write(*call_app(self.server.app, environ))
            except AnswerLost:
                self.close_connection = True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers a request that is not HTTP with JSON; the base class calls this."""
        self.close_connection = True
        phrase = http.HTTPStatus(code).phrase
        document = {"error_code": "APIGW.0101", "error_msg": message or phrase, "request_id": ""}
        body = json.dumps(document).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        self._write(f"{int(code)} {phrase}", headers, body)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Logs nothing: the emulator has its own request log."""

    def _take_body(self, environ: WSGIEnvironment) -> bool:
        """Reads the body off the connection, so that the next request starts at its own line."""
        if environ.get("wsgi.input_terminated"):  # chunked: its end is not known before
            self.close_connection = True
            return True
        text = environ.get("CONTENT_LENGTH") or "0"
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            self.send_error(400, "Bad Content-Length")
            return False
        length = int(text)
        if length <= LARGEST_BODY:
            environ["wsgi.input"] = io.BytesIO(self.rfile.read(length))
            return True
        # This body will be refused, and a client that is still sending would not see that.
        self.close_connection = True
        left = min(length, _LARGEST_DRAIN)
        while left > 0 and (chunk := self.rfile.read(min(left, LARGEST_BODY))):
            left -= len(chunk)
        environ["wsgi.input"] = io.BytesIO()
        return True

    def _write(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
        lines += [f"Server: {self.server_version}", f"Date: {self.date_time_string()}"]
        if self.close_connection:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self.wfile.write(head + body)  # one write is one packet


class _Server(ThreadedWSGIServer):
    """Serves each connection in a thread; keeps the open ones, so that it can end them."""

    def __init__(self, app: Emulator, port: int) -> None:
        self._open: set[Any] = set()
        self._changed = threading.Condition()
        # werkzeug ends the process if the port is in use, so it gets a socket that listens already.
        with _listen(port) as listener:
            super().__init__(_HOST, port, app, handler=_Handler, fd=listener.fileno())

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.socket.getsockname()[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def server_close(self) -> None:
        """Stops listening, ends the open connections and waits (5 seconds at most) for them."""
        super().server_close()
        with self._changed:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)  # an answer under way still goes out
            self._changed.wait_for(lambda: not self._open, timeout=_STOP_SECONDS)


def _listen(port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65535:
            raise OSError("port numbers go from 0 to 65535")
        return socket.create_server((_HOST, port), backlog=128)
    except OSError as error:
        raise EmulatorError(
            f"port {port}: the emulator cannot listen on it: {error}."
            " Choose another one, or 0 for any that is free"
        ) from error


class RunningServer:
    """The emulator on a port, served by a daemon thread. `url` is http://127.0.0.1:PORT."""

    def __init__(self, app: Emulator, port: int = 0) -> None:
        self._server = _Server(app, port)
        self.url = self._server.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def is_serving(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Stops serving and ends the open connections; does not close the application."""
        if self.is_serving():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> RunningServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve_until_interrupted(app: Emulator, port: int, ready: Callable[[str], None]) -> None:
    """Serves `app` on 127.0.0.1 until KeyboardInterrupt (then returns) or another exception (then
    raises it). Calls ready("http://127.0.0.1:PORT") once it listens; port 0 takes a free one.
    Raises EmulatorError if it cannot listen on the port. Does not close `app`."""
    # Signal handlers run in the main thread. What one raises there while socketserver accepts a
    # connection would be taken for a broken request and dropped; this thread only waits.
    with suppress(KeyboardInterrupt), RunningServer(app, port) as server:
        ready(server.url)
        pause = threading.Event()
        while server.is_serving():
            pause.wait(_LOOK_SECONDS)
