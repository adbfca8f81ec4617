"""A stand-in for the service: the ModelArts calls for training job configurations, and IAM's
tokens, as one WSGI application over SQLite. It is an independent witness of the REST reference, so
it imports nothing else of majobctl; werkzeug and requests are imported when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from majobctl.emulator.errors import EmulatorError
from majobctl.emulator.faults import Faults

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

    from majobctl.emulator.app import Emulator
    from majobctl.emulator.server import RunningServer

_NO_FAULTS = Faults()

__all__ = ["EmulatorError", "Faults", "create_adapter", "create_app", "start"]


def create_app(
    data: str | os.PathLike[str] | None = None,
    *,
    seed: Callable[[], Iterable[tuple[str, dict[str, Any]]]] = tuple,
    project_id: str = "emulator",
    faults: Faults = _NO_FAULTS,
    request_log: str | os.PathLike[str] | None = None,
) -> Emulator:
    """The emulator as a WSGI callable; close it with `.close()`, or use it in a `with`.

    data         the SQLite file that keeps the configurations (made with its folder if it is
                 missing); None keeps them in memory
    seed         gives the names and REST fields of the configurations to start with; called only
                 if `data` has never held this project before
    project_id   the one project that the account sees
    request_log  a file that gets one JSON line for each request

    Raises EmulatorError for a file that cannot be used; the file is left as it is.
    """
    from majobctl.emulator.app import Emulator
    from majobctl.emulator.request_log import RequestLog
    from majobctl.emulator.store import Store

    store = Store(data, project_id, seed)
    try:
        log = None if request_log is None else RequestLog(request_log)
    except BaseException:
        store.close()
        raise
    return Emulator(store, project_id, faults, log)


def create_adapter(app: Emulator) -> BaseAdapter:
    """A requests transport adapter that calls `app` in the process, without a socket."""
    from majobctl.emulator.adapter import WsgiAdapter

    return WsgiAdapter(app)


def start(app: Emulator, *, port: int = 0) -> RunningServer:
    """Serves `app` on 127.0.0.1 from a thread; `.url` says where, `.stop()` ends it."""
    from majobctl.emulator.server import RunningServer

    return RunningServer(app, port)
