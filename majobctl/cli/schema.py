"""``majobctl schema``."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schema")
@click.argument(
    "kind", metavar="[jobs|settings]", type=click.Choice(["jobs", "settings"]), required=False
)
@click.option(
    "--out-dir",
    metavar="DIR",
    help="Write both schemas, or the one named, to files in DIR instead of printing.",
)
def command(kind: str | None, out_dir: str | None) -> None:
    """Print a JSON Schema (2020-12) of job files or of the settings, for editors.

    The default is the schema of job files. With --out-dir, jobs.schema.json and
    settings.schema.json are written, replacing existing ones: so a repository gets the schemas of
    a newer majobctl.

    \b
    Example:
      majobctl schema settings
      majobctl schema --out-dir schema
    """
    from majobctl.plan.document import dumps
    from majobctl.repository.authoring.schema import SCHEMAS

    if out_dir is None:
        click.echo(dumps(SCHEMAS[kind or "jobs"]()), nl=False)
        return
    for name in [kind] if kind else SCHEMAS:
        _write(Path(out_dir), name, dumps(SCHEMAS[name]()))


def _write(folder: Path, kind: str, text: str) -> None:
    from majobctl.cli import invocation
    from majobctl.errors import MajobctlError
    from majobctl.files import refuse_link_out
    from majobctl.repository.authoring.schema import file_name
    from majobctl.text import printable

    path = folder / file_name(kind)
    shown = printable(str(path))
    try:
        refuse_link_out(path, invocation.root_or_here())
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise MajobctlError(f"{shown} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {shown}")
