"""``majobctl validate``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from majobctl.cli import invocation
from majobctl.cli.annotations import path_in_workspace
from majobctl.cli.job_log import unguarded_stdout
from majobctl.cli.options import format_choice, kept, variable_options
from majobctl.cli.terminal import say

if TYPE_CHECKING:
    from majobctl.repository.config import Config


@click.command("validate")
@format_choice(
    *("text", "json", "github", "gitlab"),
    meaning="How to print the result; github: annotations for GitHub Actions; gitlab: a Code"
    " Quality report.",
)
@variable_options
def command(format_: str) -> int:
    """Check the settings, the policies and all job configs, offline.

    Every problem of every file is reported in one run, with its file and line. With --verbose, the
    environment, the state and the origin of each variable are shown on stderr.

    \b
    Example:
      majobctl validate --format json
    """
    if format_ != "text":
        return _validate_for_tools(format_)
    say(_summary(_validated()))
    return 0


def _validated() -> Config:
    repository = invocation.repository()
    from majobctl.operations import validate

    config = validate(repository)
    if kept("verbose")["verbose"]:
        for line in _chosen(config):
            click.echo(line, err=True)
    return config


def _summary(config: Config) -> str:
    count, others = len(config.job_configs), len(config.elsewhere)
    more = f" {others} more {'is' if others == 1 else 'are'} for other environments."
    return f"{count} job config{' is' if count == 1 else 's are'} valid.{more if others else ''}"


def _chosen(config: Config) -> Iterator[str]:
    """The environment, the state, and each variable with its origin."""
    from majobctl.job_config.redaction import texts_in
    from majobctl.job_config.secrets import SHOWN, value_at
    from majobctl.repository.settings.state_place import place_of
    from majobctl.text import printable, quoted, table_text

    settings, configs = config.settings, config.job_configs.values()
    secrets = {
        it for own in configs for at in own.sensitive for it in texts_in(value_at(own.params, at))
    }
    yield f"Environment: {settings.environment or 'none'}"
    yield f"State: {printable(place_of(settings.values['state']))}"
    rows = [
        (
            name,
            SHOWN if text and any(text in secret for secret in secrets) else shown,
            variable.origin,
        )
        for name, variable in sorted(settings.variables.items())
        for text in [variable.text]
        for shown in [quoted(text) if isinstance(getattr(text, "value", text), str) else text]
    ]
    if rows:
        yield table_text(("variable", "value", "from"), rows).rstrip()


def _validate_for_tools(format_: str) -> int:
    from dataclasses import asdict

    from majobctl.errors import ConfigError, Problem
    from majobctl.plan.document import dumps
    from majobctl.render.github import workflow_commands
    from majobctl.render.gitlab import code_quality
    from majobctl.text import counted

    config = None
    problems: tuple[Problem, ...] = ()
    try:
        config = _validated()
        warnings = config.warnings
    except ConfigError as error:
        problems, warnings = error.problems, error.warnings
    path_of = path_in_workspace()
    if format_ == "github":
        annotations = workflow_commands(problems, warnings, path_of)
        click.echo(annotations, unguarded_stdout(), nl=False)
        click.echo(_summary(config) if config else f"{counted(len(problems), 'problem')}.")
    elif format_ == "gitlab":
        click.echo(dumps(code_quality(problems, warnings, path_of)), nl=False)
        # The report is for a file: what is wrong has to be in the job's log, too.
        if problems:
            raise ConfigError(problems, warnings)
    else:
        document: dict[str, object] = {
            "valid": not problems,
            "problems": list(map(asdict, problems)),
            "warnings": list(map(asdict, warnings)),
        }
        names = {"job_configs": list(config.job_configs)} if config else {}
        click.echo(dumps({**document, **names}), nl=False)
    return 1 if problems else 0
