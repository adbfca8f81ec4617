"""``majobctl schema``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.terminal import say
from majobctl.cli.types import UserPath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from majobctl.policy.policy import Policy
    from majobctl.repository.authoring.schema_rules import Schema


@click.command("schema")
@click.argument(
    "kind",
    metavar="[jobs|settings|policy]",
    type=click.Choice(["jobs", "settings", "policy"]),
    required=False,
)
@click.option(
    "--out-dir",
    metavar="DIR",
    type=UserPath("dir"),
    help="Write all schemas, or the one named, to files in DIR instead of printing.",
)
def command(kind: str | None, out_dir: str | None) -> None:
    """Print a JSON Schema (2020-12) of job files, settings or policies, for editors.

    The default is the schema of job files, which has the rules of the repository's policies. With
    --out-dir, jobs.schema.json, settings.schema.json and policy.schema.json are written, replacing
    existing ones: so a repository gets the schemas of a newer majobctl, and of its new policies.

    \b
    Example:
      majobctl schema settings
      majobctl schema --out-dir schema
    """
    from majobctl.cli import invocation
    from majobctl.operations.output_files import write_below
    from majobctl.plan.document import dumps
    from majobctl.repository.authoring.schema import SCHEMAS, file_name, job_file_schema
    from majobctl.text import printable

    policies = _policies()
    made: Mapping[str, Callable[[], Schema]] = {
        **SCHEMAS,
        "jobs": lambda: job_file_schema(policies),
    }
    if out_dir is None:
        click.echo(dumps(made[kind or "jobs"]()), nl=False)
        return
    for name in [kind] if kind else SCHEMAS:
        path, content = Path(out_dir, file_name(name)), dumps(made[name]()).encode()
        write_below(invocation.root_or_here(), str(path), partial(_write, path, content))
        say(f"wrote {printable(str(path))}")


def _policies() -> tuple[Policy, ...]:
    """The policies of the repository, if this is one."""
    from majobctl.cli import invocation
    from majobctl.errors import MajobctlError
    from majobctl.operations.policies import policies_of
    from majobctl.repository.settings.settings import read_settings

    try:
        root = invocation.root()
    except MajobctlError:
        return ()
    return policies_of(read_settings(root)[0])


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
