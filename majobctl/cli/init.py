"""``majobctl init``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from majobctl.errors import MajobctlError
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.text import printable

TEMPLATES = {
    "majobctl.toml": "majobctl.toml",
    "example.toml": "jobs/example.toml",
    "cloud.toml": "cloud.toml",
    "gitignore": ".gitignore",
}


EXAMPLES = ("jobs/example.toml", "cloud.toml")


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
def command(directory: str) -> None:
    """Begin a config repository in DIR: settings, one example job config, .gitignore.

    Files that are there already stay as they are; beside settings, no example is made. The settings
    name the embedded emulator, and cloud.toml what its cloud starts with, so that plan and apply
    work at once. The first line of a file tells editors which schema in the folder schema it
    follows.

    \b
    Example:
      majobctl init ml-configs
    """
    root = Path(directory)
    is_new = not os.path.lexists(root / FILE_NAME)
    for name, content in (*_templates(is_new), *_schemas()):
        made = _make(root / name, content)
        click.echo(f"{'made' if made else 'kept'} {printable(str(root / name))}")
    if is_new:
        click.echo("Next: majobctl plan, then majobctl apply.")


def _templates(is_new: bool) -> Iterator[tuple[str, bytes]]:
    """All of them in a new repository; where there is one already, an example would be applied."""
    from importlib.resources import files

    for template, name in TEMPLATES.items():
        if not is_new and name in EXAMPLES:
            continue
        yield name, (files("majobctl.cli") / "templates" / template).read_bytes()


def _schemas() -> Iterator[tuple[str, bytes]]:
    """Files of the repository, so that editors find them offline and in every clone of it."""
    from majobctl.plan.document import dumps
    from majobctl.repository.authoring.schema import SCHEMAS, file_name

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
