"""No text in the log of a CI job is a command to GitHub Actions and its relatives."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from majobctl.text import harmless_in_job_log

_SIGNS = ("GITHUB_ACTIONS", "TF_BUILD", "TEAMCITY_VERSION")


class _Guarded:
    """A stream whose text is harmless; everything else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self.unguarded = stream

    def write(self, text: str) -> int:
        return self.unguarded.write(harmless_in_job_log(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)


@contextmanager
def guarded_streams() -> Iterator[None]:
    """Guards stdout and stderr in a job of such a system."""
    streams = sys.stdout, sys.stderr
    if any(map(os.environ.get, _SIGNS)):
        sys.stdout, sys.stderr = (stream and _Guarded(stream) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams


def unguarded_stdout() -> TextIO:
    """For what is meant to be a command."""
    return getattr(sys.stdout, "unguarded", sys.stdout)
