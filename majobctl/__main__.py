"""The process: ``python -m majobctl``, and the script ``majobctl``."""

# Python's own start ends with a traceback if a signal comes. Whatever is imported here prolongs it.
import _signal  # type: ignore[import-not-found]
import os
import sys

try:
    # Python puts the current folder first, which may be an untrusted clone with a filelock.py.
    if os.path.samefile(sys.path[0] or ".", "."):
        del sys.path[0]
except OSError:
    pass

_INTERRUPTED = 130


def run() -> None:
    """Runs the command. A signal before that, or after it, ends the process without a traceback."""
    _take_standard_streams()
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _leave)
        sys.unraisablehook = _unraisable
        _watch_signals()
    from majobctl.cli import main

    code = main()
    exec("")  # or Python ends by a Ctrl-C that once passed through an exec, as of a dataclass
    sys.exit(code)


def _take_standard_streams() -> None:
    """Where stdin, stdout or stderr is closed, the next file to be opened would get its number, and
    with it what is meant for the terminal."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free


def _leave(*_: object) -> None:
    try:
        os.write(2, b"\nInterrupted.\n" if os.isatty(2) else b"Interrupted.\n")
    finally:
        os._exit(_INTERRUPTED)


def _unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that came within a callback of Python's own, which drops it, still counts."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt):
        _leave()
    sys.__unraisablehook__(unraisable)


def _watch_signals() -> None:
    """Ends the process at the second signal, even if Python cannot call a handler: as long as the
    main thread is in a call of C, such as the look-up of a host, it calls none, and two signals
    are one to it."""
    import atexit
    import threading

    # Runs last, as it is registered first: by then all is done, but for the end of Python itself.
    atexit.register(_signal.signal, _signal.SIGINT, _signal.SIG_IGN)
    try:
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        _signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        threading.Thread(target=_exit_at_second, args=(reading,), daemon=True).start()
    except (OSError, RuntimeError, AttributeError):
        return  # no descriptor or thread is left, or Windows: the handlers do what they can


def _exit_at_second(reading: int) -> None:
    import time

    count, counted = 0, (bytes([_signal.SIGINT]), bytes([_signal.SIGTERM]))
    while count < 2:
        count += os.read(reading, 1) in counted
    time.sleep(0.2)  # the handler has more to say, if it is called
    _leave()


if __name__ == "__main__":
    run()
