"""What a running command works with, by its options: its repository, its selection, its files.
Everything is imported where it is used: the help of a command needs none of it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from majobctl.cli.failures import report
from majobctl.cli.options import ENVIRONMENT, kept
from majobctl.cli.progress import reading_progress
from majobctl.errors import MajobctlError, StateError
from majobctl.text import printable, reason_of

if TYPE_CHECKING:
    from majobctl.operations import ConfigRepository, Selection
    from majobctl.repository.settings.settings import Settings
    from majobctl.state.document import State


def root() -> Path:
    """The nearest folder with a majobctl.toml. Raises MajobctlError if there is none."""
    from majobctl.repository.settings.settings import find_root

    return find_root(Path.cwd())


def root_or_here() -> Path:
    """The config repository's folder, or the current one: where links must not lead out."""
    try:
        return root()
    except MajobctlError:
        return Path.cwd()


def repository(environment: str = "") -> ConfigRepository:
    """The config repository; its warnings and its progress are printed. ``environment`` is in place
    of the option. Raises MajobctlError if there is none."""
    from majobctl.operations import ConfigRepository, Overrides

    chosen = kept("environment", "values", "files")
    chosen["environment"] = environment or chosen["environment"]
    if not chosen["environment"] and os.environ.get(ENVIRONMENT) == "":
        raise MajobctlError(f"{ENVIRONMENT} is empty: name an environment, or unset it")
    return ConfigRepository(
        root(),
        overrides=Overrides(**chosen),
        command=command_line(),
        warn=warn,
        observe_reading=reading_progress(),
        **kept("parallelism", "lock_timeout"),
    )


def selection() -> Selection:
    from majobctl.operations import Selection

    return Selection(**kept("targeted", "excluded"))


def load_settings() -> Settings:
    """The settings, without the files of variables: a plan may have read the pipe already."""
    from dataclasses import replace

    from majobctl.operations import Overrides

    found = repository()
    plain = Overrides(environment=found.overrides.environment)
    return replace(found, overrides=plain).load_settings()


def warn(warning: object) -> None:
    """Prints a warning, or an error beside the one that ends the command."""
    report("Error" if isinstance(warning, MajobctlError) else "Warning", warning)


def read_file(file: str, hint: str = "") -> bytes:
    """The bytes of ``file``, "-" being stdin. Raises MajobctlError if it cannot be read."""
    from majobctl.files import read_all, read_file

    try:
        if file == "-":
            return read_all(sys.stdin.buffer) if sys.stdin else b""
        return read_file(file, may_be_pipe=True)
    except (OSError, ValueError) as error:
        raise MajobctlError(
            f"{printable(file)} cannot be read: {reason_of(error)}{hint}"
        ) from error


def read_state(file: str) -> State:
    """The state in ``file``, "-" being stdin. Raises MajobctlError if it is not one."""
    from majobctl.state.document import State

    try:
        return State.load(read_file(file), file)
    except StateError as error:
        if error.__cause__ is None:
            raise
        name = "stdin" if file == "-" else file
        reason = printable(f"{name} is not a state file: {error.__cause__}")
        raise StateError(
            f"{reason}\nnothing was changed; `majobctl state pull > FILE` makes one (in Windows"
            ' PowerShell: cmd /c "majobctl state pull > FILE")'
        ) from error


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
