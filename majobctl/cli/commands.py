"""The commands and their modules; each is imported when it is first used.

The help of ``majobctl`` itself needs none of them: their first sentences are repeated here.
"""

from __future__ import annotations

import importlib
from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """The module of a command, the first sentence of its help, and its name there."""

    module: str
    help: str
    attribute: str = "command"


COMMANDS: Mapping[str, Entry] = {
    "init": Entry(
        "init", "Create a config repository in DIR: settings, one example job config, .gitignore."
    ),
    "validate": Entry("validate", "Check the settings and all job configs, offline."),
    "plan": Entry("plan", "Show what apply would do."),
    "apply": Entry(
        "apply",
        'Plan, show the plan, ask for the literal "yes", and send the calls that are needed.',
    ),
    "drift": Entry("drift", "Show what was changed in the service since it was last applied."),
    "show": Entry(
        "show", "Show the job configs in the state, or the one called NAME; or show a saved plan."
    ),
    "state": Entry("state", "Inspect and repair the state."),
    "unlock": Entry(
        "unlock",
        "Release a lock of the state that another machine left behind; the lock message shows its"
        " ID.",
    ),
    "emulator": Entry("emulator", "Run the embedded emulator of the service."),
    "version": Entry("version", "Print the version."),
    "flavors": Entry("catalog", "List the service's flavors, for train_instance_type.", "flavors"),
    "engines": Entry("catalog", "List the service's engines, for framework_type.", "engines"),
    "algorithms": Entry("catalog", "List the service's algorithms, for model_name.", "algorithms"),
    "import": Entry(
        "import_",
        "Import configurations of the service into the state, and write TOML files for them.",
    ),
    "fmt": Entry("fmt", "Format job files and the settings."),
    "schema": Entry(
        "schema", "Print a JSON Schema (2020-12) of job files or of the settings, for editors."
    ),
}


class _Commands(UserDict[str, Any]):
    """The commands by name; an Entry becomes its command when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        found = self.data[name]
        if isinstance(found, Entry):
            module = importlib.import_module(f"majobctl.cli.{found.module}")
            found = self.data[name] = getattr(module, found.attribute)
        command: click.Command = found
        return command


class LazyGroup(click.Group):
    """A group of ``COMMANDS`` and of those added to it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "commands": _Commands(COMMANDS)})  # type: ignore[arg-type]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])
