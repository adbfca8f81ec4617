"""What a running command works with: its repository's folder, its overrides, its files.

Everything is imported where it is used: the help of a command needs none of it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from majobctl.cli.options import OVERRIDES

if TYPE_CHECKING:
    from majobctl.repository.config import Config
    from majobctl.repository.settings.settings import Settings
    from majobctl.repository.settings.variables import Overrides


def root() -> Path:
    """The nearest folder with a majobctl.toml. Raises MajobctlError if there is none."""
    from majobctl.repository.settings.settings import find_root

    return find_root(Path.cwd())


def overrides() -> Overrides:
    """What the options of the running command say about environments and variables."""
    from majobctl.repository.settings.variables import Overrides

    context = click.get_current_context(silent=True)
    kept = context.meta.get(OVERRIDES, {}) if context else {}
    return Overrides(**kept)


def load_settings() -> Settings:
    """The settings of the repository. Raises ConfigError and MajobctlError."""
    from majobctl.operations import context

    return context.load_settings(root(), overrides())


def load_config() -> Config:
    """Settings and job configs; warnings are printed. Raises ConfigError and MajobctlError."""
    from majobctl.operations import context

    return context.load_config(root(), overrides(), warn)


def warn(warning: object) -> None:
    click.echo(f"Warning: {warning}", err=True)


def read_file(file: str) -> bytes:
    """The bytes of ``file``, "-" being stdin. Raises MajobctlError if it cannot be read."""
    from majobctl.errors import MajobctlError
    from majobctl.text import printable

    try:
        if file == "-":
            return sys.stdin.buffer.read() if sys.stdin else b""
        return Path(file).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MajobctlError(f"{printable(file)} cannot be read: {reason}") from error


def command_line() -> str:
    """What others see of the holder of a lock, without the values of variables."""
    shown: list[str] = []
    for argument in sys.argv[1:]:
        is_value = bool(shown) and shown[-1] == "--var"
        option = "--var=" if argument.startswith("--var=") else ""
        name, equals, _ = argument.removeprefix(option).partition("=")
        is_hidden = (is_value or option) and equals
        shown.append(f"{option}{name}=..." if is_hidden else argument)
    return " ".join(["majobctl", *shown])
