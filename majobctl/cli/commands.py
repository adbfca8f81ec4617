"""Which commands there are, and where; each is imported when it is looked up.

The help of ``majobctl`` itself needs none of them: the first sentences stand here, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Entry:
    """The module of a command, the first sentence of its help, and its name there."""

    module: str
    help: str
    attribute: str = "command"


COMMANDS: Mapping[str, Entry] = {
    "init": Entry(
        "init", "Begin a config repository in DIR: settings, one example job config, .gitignore."
    ),
    "validate": Entry("validate", "Check the settings and all job configs, offline."),
    "plan": Entry("plan", "Show what apply would do."),
    "apply": Entry(
        "apply",
        'Plan, show the plan, ask for the literal "yes", and send the calls that are needed.',
    ),
    "drift": Entry("drift", "Show what was changed in the service since it was last applied."),
    "show": Entry(
        "show",
        "Show what the state holds: all job configs, or the one called NAME; or a saved plan.",
    ),
    "state": Entry("state", "Look at the state, and mend it."),
    "unlock": Entry("unlock", "Free the state's lock ID, whose holder on another machine is gone."),
    "emulator": Entry("emulator", "The embedded emulator of the service."),
    "version": Entry("version", "Print the version."),
    "flavors": Entry("catalog", "List the service's flavors, for train_instance_type.", "flavors"),
    "engines": Entry("catalog", "List the service's engines, for framework_type.", "engines"),
    "algorithms": Entry("catalog", "List the service's algorithms, for model_name.", "algorithms"),
    "import": Entry(
        "import_",
        "Take configurations that the service has into the state, and write TOML for them.",
    ),
    "fmt": Entry("fmt", "Put job files and the settings in the documented form."),
    "schema": Entry(
        "schema", "A JSON Schema (2020-12) of job files or of the settings, for editors."
    ),
}


class _Commands(MutableMapping[str, click.Command]):
    """The commands by name, in the order of ``COMMANDS``."""

    def __init__(self) -> None:
        self._added: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._added:
            entry = COMMANDS[name]
            module = importlib.import_module(f"majobctl.cli.{entry.module}")
            self._added[name] = getattr(module, entry.attribute)
        return self._added[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._added[name] = command

    def __delitem__(self, name: str) -> None:
        del self._added[name]

    def __iter__(self) -> Iterator[str]:
        yield from COMMANDS
        yield from (name for name in self._added if name not in COMMANDS)

    def __len__(self) -> int:
        return len({*COMMANDS, *self._added})


class LazyGroup(click.Group):
    """A group with ``COMMANDS``, and with whatever is added to it."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "commands": _Commands()})  # type: ignore[arg-type]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in sorted(COMMANDS)])
