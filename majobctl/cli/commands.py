"""The commands, each imported when it is first used; majobctl's own help needs none of them."""

from __future__ import annotations

import importlib
import sys
from collections import UserDict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

from majobctl.cli.common import add_common_options
from majobctl.cli.terminal import width_of
from majobctl.text import fitted

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_MOST_COLUMNS = 100
_FEWEST_COLUMNS = 10
_NARROW = 54

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
    "completion": "Print what a shell needs to complete commands, options, names of job configs,"
    " environments, variables and files.",
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
GROUPS: Mapping[str, str] = {
    "Daily": "plan apply drift pull",
    "Look": "render show history blame",
    "Write": "init validate fmt schema import capture",
    "Service": "flavors engines algorithms probe",
    "Repair": "state unlock",
    "CI and tools": "ci completion emulator version",
}
"""The commands, as majobctl's own help lists them."""
_CATALOG = ("flavors", "engines", "algorithms")
_MODULES = {"import": "import_", "blame": "history", **dict.fromkeys(_CATALOG, "catalog")}
"""Those that are not called as their commands."""


class _Formatter(click.HelpFormatter):
    """Lays out a help text; on a terminal, no line is wider than it, examples among them."""

    def __init__(self, *_: object, **__: object) -> None:
        self.edge = width_of(sys.stdout)
        super().__init__(width=max(min(self.edge or 80, _MOST_COLUMNS) - 2, _FEWEST_COLUMNS))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        # If little is left beside the names, each text is below its name.
        super().write_dl(rows, col_max if self.width > _NARROW else 4, col_spacing)

    def getvalue(self) -> str:
        return fitted(super().getvalue(), self.edge)


class _Context(click.Context):
    formatter_class = _Formatter


class _Commands(UserDict[str, Any]):
    """The commands by name; a sentence becomes its command when it is looked up."""

    def __getitem__(self, name: str) -> click.Command:
        if isinstance(self.data[name], str):
            module = importlib.import_module(f"majobctl.cli.{_MODULES.get(name, name)}")
            self.data[name] = getattr(module, name, None) or module.command
            add_common_options(self.data[name])
        command: click.Command = self.data[name]
        for each in (command, *getattr(command, "commands", {}).values()):
            each.context_class = _Context
        return command


class LazyGroup(click.Group):
    """A group of ``COMMANDS`` and of those added to it."""

    context_class = _Context

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **{**options, "commands": _Commands()})  # type: ignore[arg-type]
        add_common_options(self)
        self.commands.update(COMMANDS)  # type: ignore[arg-type]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            # click would begin a new line for its message; the signal's handler has done so.
            raise click.Abort from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(map(len, COMMANDS))
        for title, names in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(it.ljust(longest), COMMANDS[it]) for it in names.split()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        names = [it for it in COMMANDS if it.startswith(incomplete)]
        options = click.Command.shell_complete(self, ctx, incomplete)
        return [*(CompletionItem(it, help=COMMANDS[it]) for it in names), *options]
