"""Starts emulators on free ports of the loopback address, and ends them after the test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import Client, Connect, connecting


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Makes a running emulator from create_app's arguments, and a client of it."""
    with connecting() as make:
        yield make


@pytest.fixture
def client(connect: Connect) -> Client:
    """A client of a running emulator that is empty and has no faults."""
    return connect()
