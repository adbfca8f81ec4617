"""``majobctl validate``."""

from __future__ import annotations

import click

from majobctl.cli.options import format_option
from majobctl.cli.repository import config_here


@click.command("validate")
@format_option
def command(format_: str) -> int:
    """Check the settings and all job configs, offline.

    Every problem of every file is reported in one run, with its file and line.

    \b
    Example:
      majobctl validate --format json
    """
    if format_ == "json":
        return _validate_as_json()
    config = config_here()
    count = len(config.job_configs)
    noun = "job config is" if count == 1 else "job configs are"
    click.echo(f"{count} {noun} valid.")
    return 0


def _validate_as_json() -> int:
    from dataclasses import asdict

    from majobctl.errors import ConfigError
    from majobctl.render.json import dumps

    try:
        config = config_here()
    except ConfigError as error:
        problems = [asdict(problem) for problem in error.problems]
        warnings = [asdict(warning) for warning in error.warnings]
        document = {"valid": False, "problems": problems, "warnings": warnings}
        click.echo(dumps(document), nl=False)
        return 1
    document = {
        "valid": True,
        "problems": [],
        "warnings": [asdict(warning) for warning in config.warnings],
        "job_configs": list(config.job_configs),
    }
    click.echo(dumps(document), nl=False)
    return 0
