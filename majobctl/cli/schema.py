"""``majobctl schema``."""

from __future__ import annotations

from functools import partial
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
    from majobctl.cli import invocation
    from majobctl.operations.output_files import write_below
    from majobctl.plan.document import dumps
    from majobctl.repository.authoring.schema import SCHEMAS, file_name
    from majobctl.text import printable

    if out_dir is None:
        click.echo(dumps(SCHEMAS[kind or "jobs"]()), nl=False)
        return
    for name in [kind] if kind else SCHEMAS:
        path, content = Path(out_dir, file_name(name)), dumps(SCHEMAS[name]()).encode()
        write_below(invocation.root_or_here(), str(path), partial(_write, path, content))
        click.echo(f"wrote {printable(str(path))}")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
