"""``majobctl init``."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from majobctl.cli.terminal import say
from majobctl.cli.types import ProjectId, UserPath
from majobctl.errors import MajobctlError
from majobctl.repository.settings.settings import FILE_NAME
from majobctl.target import REGIONS
from majobctl.text import nearest, printable, quoted

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
_NEXT = """
Next (the console has the keys and the project id: "My Credentials"):
{folder}  export OS_ACCESS_KEY=... OS_SECRET_KEY=...
  majobctl flavors         # signs in, and changes nothing
  majobctl import --all    # writes TOML for what is there
  majobctl plan            # has nothing to do
  git init && git add --all && git commit -m "As it is"
"""


def _region(context: click.Context, parameter: click.Parameter, region: str) -> str:
    if region and region not in REGIONS:
        hint = nearest(region, REGIONS)
        other = "; run majobctl init without it, and set region and endpoint in majobctl.toml"
        message = f"{quoted(region)} has no address that majobctl knows{hint or other}"
        raise click.BadParameter(message)
    return region


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".", type=UserPath("dir"))
@click.option("--region", default="", callback=_region, help="The real service, such as eu-de.")
@click.option("--project-id", metavar="ID", default="", type=ProjectId(), help="Your project.")
def command(directory: str, region: str, project_id: str) -> None:
    """Create a config repository in DIR: settings, one example job config, files for git.

    Existing files are kept. If settings exist, no example is created. The settings name the
    embedded emulator, and cloud.toml what it starts with, so that plan and apply work at once.
    With --region, they name the real service, there is no example, and init ends with the commands
    of the first hour: what to set, what only reads, what to commit.
    The first line of each file names its schema in the folder schema, for editors.

    \b
    Example:
      majobctl init ml-configs
      majobctl init ml-configs --region eu-de --project-id 0123456789abcdef0123456789abcdef
    """
    root = Path(directory)
    is_new = not os.path.lexists(root / FILE_NAME)
    if project_id and not region:
        raise click.UsageError("--project-id needs --region, such as --region eu-de")
    if region and not is_new:
        name = printable(str(root / FILE_NAME))
        raise MajobctlError(f"{name} exists, and is not changed: set region and project_id there")
    for name, content in (*_templates(is_new, region, project_id), *_schemas()):
        is_new_file = _create(root, root / name, content)
        note = "" if is_new_file else _NOTES.get(name, "")
        outcome = "created" if is_new_file else "kept"
        say(f"{outcome} {printable(str(root / name))}{note}")
    folder = printable(shlex.quote(directory))
    if region:
        step = "" if root == Path() else f"  cd {folder}\n"
        say(_NEXT.format(folder=step))
    elif is_new:
        steps = "majobctl plan, then" if root == Path() else f"cd {folder}, then majobctl plan and"
        say(f"Next: {steps} majobctl apply.")


def _templates(is_new: bool, region: str, project_id: str) -> Iterator[tuple[str, bytes]]:
    """All of them in a new repository on the emulator; elsewhere an example would be applied."""
    from importlib.resources import files

    for template, name in _TEMPLATES.items():
        if (region or not is_new) and name in _EXAMPLES:
            continue
        content = (files("majobctl.cli") / "templates" / template).read_bytes()
        is_of_service = region and name == FILE_NAME
        yield name, _of_service(content, region, project_id) if is_of_service else content


def _of_service(settings: bytes, region: str, project_id: str) -> bytes:
    """The template of the settings with the service in place of the emulator. Neither value needs
    an escape in TOML: they are checked."""
    before, _, after = settings.decode().partition('kind = "emulator"')
    credentials = after[after.index("# Credentials") :]
    id_line = f'project_id = "{project_id}"'
    if not project_id:
        id_line = '# project_id = "..."          # left out: OS_PROJECT_ID in the environment'
    return f'{before}kind = "modelarts"\nregion = "{region}"\n{id_line}\n{credentials}'.encode()


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
