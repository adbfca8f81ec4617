"""``majobctl init``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from majobctl.cli.options import say
from majobctl.errors import MajobctlError
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.text import printable

_TEMPLATES = {
    "majobctl.toml": "majobctl.toml",
    "example.toml": "jobs/example.toml",
    "cloud.toml": "cloud.toml",
    "gitignore": ".gitignore",
    "gitattributes": ".gitattributes",
}
_NOTES = {
    ".gitattributes": "; it needs these lines: *.state.json -merge, *.history.jsonl merge=union"
}
_EXAMPLES = ("jobs/example.toml", "cloud.toml")


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
def command(directory: str) -> None:
    """Create a config repository in DIR: settings, one example job config, files for git.

    Existing files are kept. If settings exist, no example is created. The settings name the
    embedded emulator, and cloud.toml what it starts with, so that plan and apply work at once.
    The first line of each file names its schema in the folder schema, for editors.

    \b
    Example:
      majobctl init ml-configs
    """
    root = Path(directory)
    is_new = not os.path.lexists(root / FILE_NAME)
    for name, content in (*_templates(is_new), *_schemas()):
        is_new_file = _create(root, root / name, content)
        note = "" if is_new_file else _NOTES.get(name, "")
        outcome = "created" if is_new_file else "kept"
        say(f"{outcome} {printable(str(root / name))}{note}")
    if is_new:
        folder = printable(shlex.quote(directory))
        steps = "majobctl plan, then" if root == Path() else f"cd {folder}, then majobctl plan and"
        say(f"Next: {steps} majobctl apply.")


def _templates(is_new: bool) -> Iterator[tuple[str, bytes]]:
    """All of them in a new repository; in an existing one an example would be applied."""
    from importlib.resources import files

    for template, name in _TEMPLATES.items():
        if not is_new and name in _EXAMPLES:
            continue
        yield name, (files("majobctl.cli") / "templates" / template).read_bytes()


def _schemas() -> Iterator[tuple[str, bytes]]:
    """Files of the repository, so that editors find them offline and in every clone of it."""
    from majobctl.plan.document import dumps
    from majobctl.repository.authoring.schema import SCHEMAS, file_name

    for kind, schema in SCHEMAS.items():
        yield f"schema/{file_name(kind)}", dumps(schema()).encode()


def _create(root: Path, path: Path, content: bytes) -> bool:
    """Whether ``path`` did not exist. Raises MajobctlError if it cannot be created."""
    from majobctl.files import refuse_link_out

    try:
        refuse_link_out(path.parent, root)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    except OSError as error:
        raise MajobctlError(
            f"{printable(str(path))} cannot be created: {error.strerror}"
        ) from error
    return True
