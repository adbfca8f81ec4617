"""The request log: one JSON line for each request, without its headers and body, which may hold
secrets."""

from __future__ import annotations

import errno
import json
import os
import threading
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from majobctl.emulator.errors import EmulatorError


class RequestLog:
    """Appends lines to a file, each with one write, so that threads and processes never mix them.
    Raises EmulatorError if the file cannot be opened."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            if Path(path).is_fifo():
                raise OSError(errno.EINVAL, "it is a pipe")
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise EmulatorError(
                f"{os.fspath(path)}: the request log cannot be written: {error.strerror}."
                " Name a file in a folder that exists"
            ) from error
        self._file = os.fdopen(file, "ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, **entry: Any) -> None:
        """Adds one line: the time (UTC), then the entry. No effect after `close`."""
        moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = json.dumps({"time": moment.replace("+00:00", "Z"), **entry}) + "\n"
        with self._lock:
            if not self._file.closed:
                self._file.write(line.encode())

    def close(self) -> None:
        """Closes the file. May be called again."""
        with self._lock:
            self._file.close()
