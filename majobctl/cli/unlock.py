"""``majobctl unlock``."""

from __future__ import annotations

import click

from majobctl.cli.options import environment_option
from majobctl.cli.repository import load_settings
from majobctl.operations.context import store_of


@click.command("unlock")
@click.argument("holder_id", metavar="ID")
@environment_option
def command(holder_id: str) -> None:
    """Free the state's lock ID, whose holder on another machine is gone.

    The lock of a process of this machine needs no unlocking: it ends with the process.

    \b
    Example:
      majobctl unlock 4f1c2d9a7b60
    """
    store = store_of(load_settings())
    holder = store.unlock(holder_id)
    click.echo(f"Unlocked {store.name}. It was held by {holder}.")
