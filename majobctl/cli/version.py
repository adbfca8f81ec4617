"""``majobctl version``."""

import click

from majobctl import __version__


@click.command("version")
def command() -> None:
    """Print the version.

    \b
    Example:
      majobctl version
    """
    click.echo(f"majobctl {__version__}")
