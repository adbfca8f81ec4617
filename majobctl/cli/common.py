"""The options of every command, before its name or after it; the lazy group adds them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click

from majobctl.cli.options import ENVIRONMENT_ATTRIBUTES, ENVIRONMENT_NAMES, keep, kept
from majobctl.cli.terminal import color_choice
from majobctl.cli.types import UserPath
from majobctl.errors import MajobctlError
from majobctl.text import printable


def _go_to(context: click.Context, _: click.Parameter, folders: tuple[str, ...]) -> None:
    """Each counts from the one before, as with git: ``-C a state -C b list`` means a/b."""
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError as error:
            if context.resilient_parsing:
                raise SystemExit(1) from error  # a shell completes, and shows nothing
            reason = f"cannot change to {printable(folder)}: {error.strerror}"
            raise MajobctlError(reason) from error


def _log_requests(context: click.Context, parameter: click.Parameter, is_wanted: bool) -> None:
    keep(context, parameter, is_wanted)
    if not is_wanted:
        return
    import logging

    own = logging.getLogger("majobctl")
    if not own.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        own.addHandler(handler)
        own.setLevel(logging.DEBUG)
        context.find_root().call_on_close(lambda: own.removeHandler(handler))


def _choose_color(context: click.Context, parameter: click.Parameter, choice: str | None) -> None:
    keep(context, parameter, choice)
    context.find_root().ensure_object(dict)["command"] = context.command
    if color_choice() == "always":
        context.color = True  # otherwise click takes the colors out where there is no terminal


def _refuse_environment(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None or kept("environment").get("environment"):
        name = context.info_name
        raise click.UsageError(f"{name} has no environment: leave out -e", context)


def _option(callback: Any, *names: str, **attributes: Any) -> click.Option:
    more = {"callback": callback, "expose_value": False, "is_eager": True, **attributes}
    return click.Option(names, **more)


_COLOR = "When to use colors; auto: on a terminal (also: NO_COLOR, FORCE_COLOR)."
_CHOICES = click.Choice(("auto", "always", "never"))
COMMON_OPTIONS = (
    _option(
        _go_to,
        "-C",
        "--chdir",
        metavar="DIR",
        multiple=True,
        type=UserPath("dir"),
        help="Change to DIR first.",
    ),
    _option(_log_requests, "-v", "--verbose", is_flag=True, help="Log each request to stderr."),
    _option(_choose_color, "--color", "color", type=_CHOICES, help=_COLOR),
    _option(keep, *ENVIRONMENT_NAMES, is_eager=False, **ENVIRONMENT_ATTRIBUTES),
)
*_FOR_ALL, _GROUP_ENVIRONMENT = COMMON_OPTIONS
_NO_ENVIRONMENT = _option(_refuse_environment, *ENVIRONMENT_NAMES, hidden=True)
_NO_COLOR = _option(_choose_color, "--no-color", "color", flag_value="never", hidden=True)


def add_common_options(command: click.Command) -> None:
    """Adds them to ``command`` and to those below it."""
    command.params += (*_FOR_ALL, _NO_COLOR)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            add_common_options(below)
    if all(it.name != "environment" for it in command.params):
        is_group = isinstance(command, click.Group)
        command.params.append(_GROUP_ENVIRONMENT if is_group else _NO_ENVIRONMENT)


def after_common_options(arguments: Sequence[str]) -> int:
    """The index of the first of ``arguments`` that is no such option, and no value of one."""
    flags = {name: it.is_flag for it in COMMON_OPTIONS for name in it.opts}
    at = 0
    while at < len(arguments) and (name := arguments[at].partition("=")[0]) in flags:
        at += 1 if flags[name] or "=" in arguments[at] else 2
    return at
