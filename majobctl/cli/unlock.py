"""``majobctl unlock``."""

from __future__ import annotations

import click

from majobctl.cli import invocation
from majobctl.cli.options import environment_option
from majobctl.cli.terminal import say
from majobctl.operations.context import store_of


@click.command("unlock")
@click.argument("holder_id", metavar="ID")
@environment_option
def command(holder_id: str) -> None:
    """Release a lock of the state that another machine left behind; the lock message shows its ID.

    A process on this machine releases its lock on a file when it ends, however it ends. In a
    place that a team shares, the holder may still run: the output says what becomes of it then.

    \b
    Example:
      majobctl unlock 4f1c2d9a7b60
    """
    store = store_of(invocation.load_settings())
    holder = store.unlock(holder_id)
    say(f"Unlocked {store.name}. It was held by {holder}.")
