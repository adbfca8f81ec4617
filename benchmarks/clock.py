"""Runs one command and prints ``EXITCODE SECONDS CPU_SECONDS PEAK_BYTES``: wall time, user and
system time, the largest resident set. It knows nothing of what it runs.

    python -I -S clock.py STDOUT_FILE STDERR_FILE PROGRAM ARGUMENT...

A process of its own, and a small one: on Linux the peak of a new process begins with the memory of
the one that started it, so that a large starter would be measured in place of a small command.
"""

from __future__ import annotations

import os
import sys
import time

_PEAK_UNIT = 1 if sys.platform == "darwin" else 1024
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def main() -> None:
    stdout, stderr, *command = sys.argv[1:]
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, stdout, _NEW_FILE, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, stderr, _NEW_FILE, 0o600),
    ]
    start = time.perf_counter()
    process = os.posix_spawn(command[0], command, os.environ, file_actions=streams)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    cpu = usage.ru_utime + usage.ru_stime
    print(os.waitstatus_to_exitcode(status), seconds, cpu, usage.ru_maxrss * _PEAK_UNIT)


if __name__ == "__main__":
    main()
