"""A process that starts commands whose file-system calls fail, or end the process, on demand.

It wraps functions of ``os`` and ``io`` and nothing of majobctl. Each line on stdin is a request
(a JSON object), each line on stdout the exit code of its command, which is run in a fork of this
process, so that Python and the libraries start once only.
"""

from __future__ import annotations

import builtins
import importlib
import io
import json
import os
import pathlib
import pkgutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import majobctl

CRASHED = 77
"""The exit code of a process that a fault ended."""

_ORIGINAL = {name: getattr(os, name) for name in ("open", "write", "close", "_exit")}
_OF_A_PATH = ("mkdir", "chmod", "replace", "rename", "unlink", "remove", "rmdir", "link", "symlink")
_OF_A_DESCRIPTOR = ("fsync", "fchmod", "ftruncate")
_LATE = ("codeowners", "deepdiff", "filelock", "psycopg", "requests", "tomli_w", "tomlkit")


class Watch:
    """Counts the calls below a folder, writes each to a log, and makes some of them fail.

    ``fault`` has ``at`` (the number of the call, from 1), ``how`` ("error", "interrupt": Ctrl-C,
    "before" and "after": a crash before or after the call), ``errno``, ``lasting`` (all later calls
    fail, too) and ``kinds`` (only these calls fail; empty for all).
    """

    def __init__(self, folder: str, log: int, fault: Mapping[str, Any]) -> None:
        self._folder = folder.rstrip(os.sep)
        self._log = log
        self._fault = fault
        self._count = 0
        self._lock = threading.Lock()
        self.names: dict[int, str] = {}
        self.kept: object = None

    def name_of(self, path: Any) -> str:
        """The path below the folder; "" for a path outside, "." for the folder itself."""
        if isinstance(path, int):
            return self.names.get(path, "")
        full = os.path.abspath(os.fsdecode(path))
        if full == self._folder:
            return "."
        is_below = full.startswith(self._folder + os.sep)
        return full[len(self._folder) + 1 :] if is_below else ""

    def call(
        self,
        kind: str,
        name: str,
        operation: Callable[[], Any],
        half: Callable[[], Any] = lambda: None,
    ) -> Any:
        """Does ``operation``, or fails; ``half`` is what a failing one does all the same."""
        with self._lock:
            self._count += 1
            number = self._count
            _ORIGINAL["write"](self._log, f"{kind} {name}\n".encode())
        if not self._hits(kind, number):
            return operation()
        if self._fault["how"] == "before":
            _ORIGINAL["_exit"](CRASHED)
        if self._fault["how"] == "after":
            with suppress(OSError):
                # Kept, so that the interpreter has nothing to say of it.
                self.kept = operation()
            _ORIGINAL["_exit"](CRASHED)
        if self._fault["how"] == "interrupt":
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                half()
                raise
            return operation()
        half()
        raise OSError(self._fault["errno"], os.strerror(self._fault["errno"]))

    def _hits(self, kind: str, number: int) -> bool:
        at, kinds = self._fault.get("at", 0), self._fault.get("kinds")
        if not at or (kinds and kind not in kinds):
            return False
        return number == at or (number > at and bool(self._fault.get("lasting")))


class _File:
    """A file object whose calls are watched."""

    def __init__(self, file: Any, watch: Watch, name: str) -> None:
        self._file = file
        self._watch = watch
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def read(self, *arguments: Any) -> Any:
        return self._watch.call("read", self._name, lambda: self._file.read(*arguments))

    def write(self, content: Any) -> Any:
        def half() -> None:
            self._file.write(content[: len(content) // 2])
            self._file.flush()

        return self._watch.call("write", self._name, lambda: self._file.write(content), half)

    def flush(self) -> None:
        self._watch.call("flush", self._name, self._file.flush)

    def close(self) -> None:
        if not self._file.closed:
            self._watch.names.pop(self._file.fileno(), None)
            # The system closes a file whatever it answers.
            self._watch.call("close", self._name, self._file.close, self._file.close)


def install(watch: Watch) -> None:
    """Puts the watched functions in place of the original ones."""
    for name in _OF_A_PATH:
        setattr(os, name, _watched(watch, name, getattr(os, name)))
    for name in _OF_A_DESCRIPTOR:
        setattr(os, name, _watched(watch, name, getattr(os, name)))
    os.open = _watched_open(watch, os.open)
    os.write = _watched_write(watch, os.write)
    os.close = _watched_close(watch, os.close)
    io.open = builtins.open = _watched_file(watch, io.open)
    accessor = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 has its own references
    for name in (*_OF_A_PATH, "open"):
        if accessor is not None and hasattr(accessor, name):
            setattr(accessor, name, staticmethod(io.open if name == "open" else getattr(os, name)))


def _watched(watch: Watch, kind: str, original: Any) -> Any:
    def call(path: Any, *arguments: Any, **options: Any) -> Any:
        name = watch.name_of(path)
        if not name:
            return original(path, *arguments, **options)
        return watch.call(kind, name, lambda: original(path, *arguments, **options))

    return call


def _watched_open(watch: Watch, original: Any) -> Any:
    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> Any:
        name = watch.name_of(path)
        if not name:
            return original(path, flags, *arguments, **options)
        kind = "create" if flags & os.O_CREAT else "open"
        descriptor = watch.call(kind, name, lambda: original(path, flags, *arguments, **options))
        watch.names[descriptor] = name
        return descriptor

    return call


def _watched_write(watch: Watch, original: Any) -> Any:
    def call(descriptor: int, content: Any) -> Any:
        name = watch.names.get(descriptor, "")
        if not name:
            return original(descriptor, content)
        half = bytes(content)[: len(content) // 2]
        return watch.call(
            "write",
            name,
            lambda: original(descriptor, content),
            lambda: original(descriptor, half),
        )

    return call


def _watched_close(watch: Watch, original: Any) -> Any:
    def call(descriptor: int) -> Any:
        name = watch.names.pop(descriptor, "")
        if not name:
            return original(descriptor)
        closing = lambda: original(descriptor)  # noqa: E731
        return watch.call("close", name, closing, closing)

    return call


def _watched_file(watch: Watch, original: Any) -> Any:
    def call(path: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        name = watch.name_of(path)
        if not name:
            return original(path, mode, *arguments, **options)
        kind = "open" if isinstance(path, int) or not set(mode) & set("wax") else "create"
        file = watch.call(kind, name, lambda: original(path, mode, *arguments, **options))
        watch.names[file.fileno()] = name
        return _File(file, watch, name)

    return call


def _run(request: Mapping[str, Any]) -> None:
    """The command of ``request``, in this process, which ends with it."""
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    for number, name in ((1, "stdout"), (2, "stderr")):
        file = os.open(request[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
        os.close(file)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["majobctl", *request["arguments"]]
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    install(Watch(request["watched"], log, request["fault"]))
    from majobctl.cli import main

    try:
        code = main(request["arguments"])
    except BaseException:
        traceback.print_exc()
        code = 1
    with _silent():
        sys.stdout.flush()
        sys.stderr.flush()
    _ORIGINAL["_exit"](code)


@contextmanager
def _silent() -> Iterator[None]:
    try:
        yield
    except OSError:
        _ORIGINAL["_exit"](120)  # as Python does


def _import_all() -> None:
    """What a command would import for itself: all of majobctl, and what it imports late."""
    for module in pkgutil.walk_packages(majobctl.__path__, "majobctl."):
        importlib.import_module(module.name)
    for name in _LATE:
        with suppress(ImportError):
            importlib.import_module(name)


def main() -> None:
    _import_all()
    answers = os.dup(1)
    while line := sys.stdin.readline():
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(request)
        _, status = os.waitpid(child, 0)
        os.write(answers, b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
