"""The process: ``python -m majobctl``, and the script ``majobctl``."""

import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

with suppress(OSError):
    # Python puts the current folder first, which may be an untrusted clone with a filelock.py.
    if os.path.samefile(sys.path[0] or ".", "."):
        del sys.path[0]

_INTERRUPTED = 130


def run() -> NoReturn:
    """Runs the command. A signal before that, or after it, ends the process without a traceback."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
        sys.unraisablehook = _unraisable
        _watch_signals()
    from majobctl.cli import main

    sys.exit(main())


def _leave(*_: object) -> NoReturn:
    _say_interrupted()
    os._exit(_INTERRUPTED)


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that came within a callback of Python's own, which drops it, still counts."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _leave()
    sys.__unraisablehook__(unraisable)


def _say_interrupted() -> None:
    with suppress(OSError):
        os.write(2, b"\nInterrupted.\n" if os.isatty(2) else b"Interrupted.\n")


def _watch_signals() -> None:
    """Ends the process at the second signal, even if Python cannot call a handler: as long as the
    main thread is in a call of C, such as the look-up of a host, it calls none, and two signals
    are one to it."""
    if not hasattr(os, "set_blocking"):
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_exit_at_second, args=(reading,), name="signals", daemon=True).start()


def _exit_at_second(reading: int) -> None:
    count = 0
    while count < 2:
        found = os.read(reading, 1)
        count += found[:1] in (bytes([signal.SIGINT]), bytes([signal.SIGTERM]))
    # The handler has more to say, if it is called.
    threading.Event().wait(0.2)
    _say_interrupted()
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    run()
