"""``majobctl emulator``: the service's stand-in on a port of this machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from majobctl.cli import invocation
from majobctl.cli.options import Command, NumberRange, environment_option
from majobctl.cli.terminal import say
from majobctl.cli.types import JobConfigName, ProjectId, UserPath
from majobctl.errors import MajobctlError
from majobctl.text import printable, quoted

_READY = "majobctl emulator listening on"
_PORT = click.IntRange(0, 65535)


def _number_option(name: str, most: float | None, meaning: str) -> Callable[[Command], Command]:
    return click.option(name, metavar="N", type=NumberRange(0, most), default=0, help=meaning)


def _choice_option(name: str, choices: str, meaning: str) -> Callable[[Command], Command]:
    kind, default = click.Choice(choices.split()), choices.partition(" ")[0]
    return click.option(name, type=kind, default=default, show_default=True, help=meaning)


def _path_option(
    name: str, meaning: str, metavar: str = "FILE", **kind: Any
) -> Callable[[Command], Command]:
    return click.option(name, metavar=metavar, type=UserPath(**kind), help=meaning)


_project_option = click.option(
    "--project-id",
    metavar="ID",
    default="emulator",
    show_default=True,
    type=ProjectId(),
    help="The project's ID.",
)


@click.group("emulator")
def command() -> None:
    """Run the embedded emulator of the service, or change a value in it.

    \b
    Example:
      majobctl emulator serve --port 8080
    """


@command.command("serve")
@click.option("--port", metavar="N", type=_PORT, default=0, help="The port; 0: any free one.")
@_path_option("--data", "Keep the data in FILE instead of in memory.")
@_path_option("--seed", "A TOML file of job configs to start with.")
@_project_option
@_choice_option("--put", "replace merge", "What an update does to fields it does not name.")
@_choice_option("--answers", "plain documented", "Whether responses also name what is derived.")
@_path_option("--like", "Behave as a JSON report of `majobctl probe` says.", metavar="REPORT")
@_number_option("--latency-ms", 600_000, "Delay each response.")
@_number_option("--error-rate", 1, "Share of requests that get 503.")
@_number_option("--lose-rate", 1, "Share of responses that are lost.")
@_number_option("--throttle", None, "Requests a second; more get 429.")
@_path_option("--request-log", "Log requests to FILE, without secrets.")
def serve(
    port: int,
    data: str | None,
    seed: str | None,
    project_id: str,
    like: str | None,
    request_log: str | None,
    **behavior: Any,
) -> None:
    """Serve the emulator on a loopback port until it is interrupted.

    \b
    The access key and the secret key are "emulator", and so are account, user and password.

    \b
    Example:
      majobctl emulator serve --port 8080 --latency-ms 50 --error-rate 0.05
    """
    from majobctl import emulator
    from majobctl.emulator.server import serve_until_interrupted
    from majobctl.operations.seed import read_seed

    faults = emulator.Faults(**behavior)
    try:
        if like is not None:
            from majobctl.emulator.like import faults_like

            faults, unplayed = faults_like(like, faults)
            for finding in unplayed:
                invocation.warn(f"the emulator cannot play {finding}")
        with emulator.create_app(
            data,
            seed=partial(read_seed, Path(seed)) if seed else tuple,
            project_id=project_id,
            faults=faults,
            request_log=request_log,
        ) as app:
            serve_until_interrupted(app, port, lambda url: click.echo(f"{_READY} {url}"))
    except emulator.EmulatorError as error:
        raise MajobctlError(str(error)) from error


@command.command("set")
@environment_option
@click.argument("name", metavar="NAME", type=JobConfigName())
@click.argument("texts", metavar="KEY=VALUE...", nargs=-1, required=True)
@_path_option(
    "--data",
    "The data of an `emulator serve`, with its --project-id (default: the repository's own).",
    is_existing=True,
)
@_project_option
def set_(name: str, texts: tuple[str, ...], data: str | None, project_id: str) -> None:
    """Change values of a configuration in the emulator, as somebody does in the console.

    Your files and the state stay as they are: drift, plan --refresh and apply find the change.
    KEY= clears a value; hyperparameters.LABEL=VALUE sets a hyperparameter.

    \b
    Example:
      majobctl emulator set sentiment train_instance_count=4 hyperparameters.lr=0.1
    """
    from majobctl.operations.connect import ProviderOptions, connect
    from majobctl.operations.console import set_values
    from majobctl.operations.context import provider_of

    for text in texts:
        if "=" not in text:
            raise click.UsageError(f"{quoted(text)} is not KEY=VALUE")
    values = dict(text.partition("=")[::2] for text in texts)
    if data:
        path = Path(data)
        options = ProviderOptions(kind="emulator", emulator_data=path, project_id=project_id)
        provider = connect(options)
    else:
        settings = invocation.load_settings()
        if (kind := settings.provider["kind"]) != "emulator":
            advice = "for `emulator serve --data FILE`, add --data FILE"
            raise MajobctlError(f"the provider is {quoted(kind)}, not an emulator; {advice}")
        provider = provider_of(settings, 1)
    with provider:
        set_values(provider, name, values)
    for key, text in values.items():
        say(printable(f"{name}: {key} is now {text or 'blank'} in the emulator"))
