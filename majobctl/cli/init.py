"""``majobctl init``."""

from __future__ import annotations

from collections.abc import Iterator
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
    cloud.toml what its cloud starts with, so that plan and apply work at once. The first line of a
    file tells editors which schema in the folder schema it follows.

    \b
    Example:
      majobctl init ml-configs
    """
    root = Path(directory)
    for name, content in (*_templates(), *_schemas()):
        made = _make(root / name, content)
        click.echo(f"{'made' if made else 'kept'} {printable(str(root / name))}")
    click.echo("Next: majobctl plan, then majobctl apply.")


def _templates() -> Iterator[tuple[str, bytes]]:
    for template, name in TEMPLATES.items():
        yield name, (files("majobctl.cli") / "templates" / template).read_bytes()


def _schemas() -> Iterator[tuple[str, bytes]]:
    """Files of the repository, so that editors find them offline and in every clone of it."""
    from majobctl.render.json import dumps
    from majobctl.schema import SCHEMAS, file_name

    for kind, schema in SCHEMAS.items():
        yield f"schema/{file_name(kind)}", dumps(schema()).encode()


def _make(path: Path, content: bytes) -> bool:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise MajobctlError(f"{printable(str(path))} cannot be made: {error.strerror}") from error
    return True
