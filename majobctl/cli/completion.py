"""``majobctl completion``, and what the shells get to complete: read from files alone, without a
lock and without the network, and nothing where the repository is broken."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.resources import files as resources
from typing import TYPE_CHECKING, TypeAlias

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    split_arg_string,
)

from majobctl.cli.invocation import root
from majobctl.cli.options import kept
from majobctl.errors import MajobctlError

if TYPE_CHECKING:
    from majobctl.repository.settings.settings import Settings

    Items: TypeAlias = list[CompletionItem[str]]

_SHELLS = ("bash", "zsh", "fish")
_HEADER = re.compile(
    rb"""^[ \t]*\[[ \t]*job_config[ \t]*\.[ \t]*(["']?)([A-Za-z0-9_-]{1,64})\1[ \t]*\]""", re.M
)
_WORD = re.compile(r"[A-Za-z0-9_.-]+")
_PREFIX = "job_config."


@click.command("completion")
@click.argument("shell", type=click.Choice(_SHELLS))
def command(shell: str) -> None:
    """Print what a shell needs to complete commands, options, names of job configs, environments,
    variables and files.

    \b
    bash, in ~/.bashrc:   eval "$(majobctl completion bash)"
    zsh, in ~/.zshrc, after compinit:
                          eval "$(majobctl completion zsh)"
    fish:                 majobctl completion fish > ~/.config/fish/completions/majobctl.fish

    Names come from the job files and from a state that is a file here. No shared state is read, and
    the service is not asked.

    \b
    Example:
      majobctl completion bash
    """
    click.echo(_script(shell), nl=False)


def _script(shell: str) -> str:
    name = f"completion.{shell}"
    return (resources("majobctl.cli") / "templates" / name).read_text(encoding="utf-8")


class _Completer(ShellComplete):
    """Gets the line up to the cursor, and answers with complete words: each script takes off what
    its shell takes for a word of its own, such as what is before ``=``."""

    def source(self) -> str:
        return _script(self.name)

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ.get("COMP_WORDS", "")
        words = split_arg_string(line)[1:]
        return words, words.pop() if words and not line[-1:].isspace() else ""

    def complete(self) -> str:
        words, word = self.get_completion_args()
        name, equals, value = word.partition("=")
        before = name + equals
        if not (equals and word.startswith("-")):
            name, before, value = "", "", word
        found = self.get_completions([*words, name] if name else words, value)
        return "\n".join(_line(item, before, value) for item in found)


def _line(item: CompletionItem[str], before: str, value: str) -> str:
    """The type, the complete word, and the help; of a path, what is before it in the word."""
    if item.type != "plain":
        return f"{item.type}\t{before}{value.removesuffix(item.value)}\t"
    return f"plain\t{before}{item.value}\t{item.help or ''}"


def register() -> None:
    for shell in _SHELLS:
        add_completion_class(type("Completer", (_Completer,), {"name": shell}), shell)


def paths(ctx: click.Context, incomplete: str, kind: str = "file") -> Items:
    return [CompletionItem(incomplete, type=kind)]


def environments(ctx: click.Context, incomplete: str) -> Items:
    from majobctl.repository.settings.environments import environments_of
    from majobctl.repository.settings.settings import FILE_NAME
    from majobctl.repository.toml.file import TomlFile

    with suppress(MajobctlError, OSError):
        file = TomlFile.read(root() / FILE_NAME, FILE_NAME)
        return _items(environments_of(file), incomplete)
    return []


def variables(ctx: click.Context, incomplete: str) -> Items:
    with suppress(MajobctlError, OSError):
        return _items(_settings(ctx).variables, incomplete, "=")
    return []


def renderings(ctx: click.Context, incomplete: str) -> Items:
    from majobctl.cli.plan import FORMATS

    _, equals, file = incomplete.partition("=")
    return paths(ctx, file) if equals else _items(FORMATS, incomplete, "=")


def backends(ctx: click.Context, incomplete: str) -> Items:
    from majobctl.repository.settings.keys import SETTINGS

    return _items(SETTINGS["state"]["backend"].choices, incomplete)


def names_and_files(ctx: click.Context, incomplete: str, source: str) -> Items:
    return [*names(ctx, incomplete, source), *paths(ctx, incomplete)]


def names(ctx: click.Context, incomplete: str, source: str) -> Items:
    """Those in the job files, and in a state that is a file here: another one is not read."""
    prefix = _PREFIX if incomplete.startswith(_PREFIX) else ""
    below = ctx.command.commands if isinstance(ctx.command, click.Group) else ()
    found: set[str] = set(below)
    with suppress(MajobctlError, OSError, ValueError):
        settings = _settings(ctx)
        is_here = settings.state_path is not None
        if source != "state" or not is_here:
            found.update(_in_files(settings))
        if source != "files" and is_here:
            found.update(_in_state(settings))
    return _items((prefix + name for name in sorted(found)), incomplete)


def _items(words: Iterable[str], incomplete: str, end: str = "") -> Items:
    fitting = (it for it in words if it.startswith(incomplete) and _WORD.fullmatch(it))
    return [CompletionItem(it + end) for it in fitting]


def _settings(ctx: click.Context) -> Settings:
    from majobctl.repository.settings.settings import read_settings
    from majobctl.repository.settings.variables import Overrides

    with ctx.scope(cleanup=False):
        chosen = kept("environment")
    return read_settings(root(), Overrides(**chosen))[0]


def _in_files(settings: Settings) -> Iterator[str]:
    from majobctl.files import read_file
    from majobctl.repository.jobs.files import job_files
    from majobctl.repository.toml.file import TomlFile

    expanded = []
    for path, name in job_files(settings).files:
        with suppress(MajobctlError, OSError):
            content = read_file(path)
            if b"matrix" in content:
                expanded.append(TomlFile.parse(content, name))
            else:
                # Ten thousand tables are parsed in seconds; their headers are found at once.
                yield from (found[2].decode() for found in _HEADER.finditer(content))
    if expanded:
        from majobctl.repository.jobs.reader import read_job_files

        yield from (
            it.name for it in read_job_files(settings, expanded) if it.name and not it.elsewhere
        )


def _in_state(settings: Settings) -> Iterator[str]:
    from majobctl.files import read_file
    from majobctl.strict_json import parse_object

    if settings.state_path and settings.state_path.exists():
        entries = parse_object(read_file(settings.state_path)).get("job_configs")
        yield from entries if isinstance(entries, dict) else ()
