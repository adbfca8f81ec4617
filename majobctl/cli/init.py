"""``majobctl init``."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import click

from majobctl.errors import MajobctlError, printable

TEMPLATES = {
    "majobctl.toml": "majobctl.toml",
    "example.toml": "jobs/example.toml",
    "cloud.toml": "cloud.toml",
    "gitignore": ".gitignore",
}


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
def command(directory: str) -> None:
    """Begin a config repository in DIR: settings, one example job config, .gitignore.

    Files that are there already stay as they are. The settings name the embedded emulator, and
    cloud.toml what its cloud starts with, so that plan and apply work at once.

    \b
    Example:
      majobctl init ml-configs
    """
    root = Path(directory)
    for template, name in TEMPLATES.items():
        made = _make(root / name, files("majobctl.cli") / "templates" / template)
        click.echo(f"{'made' if made else 'kept'} {printable(str(root / name))}")
    click.echo("Next: majobctl plan, then majobctl apply.")


def _make(path: Path, template: object) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(template.read_bytes())  # type: ignore[attr-defined]
    except FileExistsError:
        return False
    except OSError as error:
        raise MajobctlError(f"{printable(str(path))} cannot be made: {error.strerror}") from error
    return True
