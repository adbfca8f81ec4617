"""The commands, each imported when it is first used; majobctl's own help needs none of them."""

from __future__ import annotations

import importlib
from collections import UserDict
from collections.abc import Mapping
from typing import Any

import click

COMMANDS: Mapping[str, str] = {
    "init": "Create a config repository in DIR: settings, one example job config, files for git.",
    "validate": "Check the settings, the policies and all job configs, offline.",
    "plan": "Show what apply would do.",
    "apply": 'Plan, show the plan, ask for the literal "yes", and send the calls that are needed.',
    "drift": "Show what was changed in the service since it was last applied.",
    "pull": "Take what was changed in the service into the TOML files.",
    "render": "Show the job configs as they will be: defaults, templates, matrices, variables and"
    " the environment resolved.",
    "show": "Show the job configs in the state, or the one called NAME; or show a saved plan.",
    "history": "Show who applied what, when and from which commit, the newest first.",
    "blame": "Show who set each value of a job config: serial, commit, user, date, and the line of"
    " TOML.",
    "state": "Inspect and repair the state.",
    "unlock": "Release a lock of the state that another machine left behind; the lock message"
    " shows its ID.",
    "ci": "Plan, apply or look for drift in a job of GitHub Actions or GitLab CI.",
    "emulator": "Run the embedded emulator of the service, or change a value in it.",
    "version": "Print the version.",
    "flavors": "List the service's flavors, for train_instance_type.",
    "engines": "List the service's engines, for framework_type.",
    "algorithms": "List the service's algorithms, for model_name.",
    "probe": "Find out which assumptions about the service hold on your own project.",
    "import": "Import configurations of the service into the state, and write TOML files for them.",
    "capture": "Run a script that uses the ModelArts SDK, and write TOML for what it would"
    " configure.",
    "fmt": "Format job files and the settings.",
    "schema": "Print a JSON Schema (2020-12) of job files, settings or policies, for editors.",
}
"""The first sentence of each command's help."""
_CATALOG = ("flavors", "engines", "algorithms")
_MODULES = {"import": "import_", "blame": "history", **dict.fromkeys(_CATALOG, "catalog")}
"""Those that are not called as their commands."""


class _Commands(UserDict[str, Any]):
    """The commands by name; a sentence becomes its command when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        if isinstance(self.data[name], str):
            module = importlib.import_module(f"majobctl.cli.{_MODULES.get(name, name)}")
            self.data[name] = getattr(module, name, None) or module.command
        command: click.Command = self.data[name]
        return command


class LazyGroup(click.Group):
    """A group of ``COMMANDS`` and of those added to it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "commands": _Commands(COMMANDS)})  # type: ignore[arg-type]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))
