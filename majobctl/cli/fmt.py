"""``majobctl fmt``."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from majobctl.cli import invocation
from majobctl.cli.failures import show_problems
from majobctl.cli.terminal import say
from majobctl.cli.types import UserPath
from majobctl.errors import ConfigError, MajobctlError, Problem
from majobctl.text import counted, printable, reason_of

_MOST_COMPARED = 20_000
"""Lines of two files together; of more, a diff has all."""


@click.command("fmt")
@click.argument("files", metavar="[FILE]...", nargs=-1, type=UserPath())
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Write nothing; print the changes as a diff.")
def command(files: tuple[str, ...], check: bool, diff: bool) -> int:
    """Format job files and the settings.

    The keys of each table are put in the order of the reference, with single blank lines between
    them and one before each table. Comments stay with their keys, tables keep their order, and
    values are kept as they are written. The default is majobctl.toml, policy.toml and all job
    files.

    \b
    Example:
      majobctl fmt
      majobctl fmt --check --diff jobs/vision.toml
    """
    problems: list[Problem] = []
    changes: list[bool] = []
    for path, name in _named(files) if files else _files_here():
        try:
            changes.append(_format(path, name, check=check, diff=diff))
        except ConfigError as error:
            problems += error.problems
    show_problems(sorted(problems), files, ())
    if problems:
        count = counted(len(problems), "problem")
        say(f"{count}. Files with problems were not changed.", err=True)
    done = "would change" if check or diff else "formatted"
    text = f"{counted(sum(changes), 'file')} {done}, {changes.count(False)} unchanged."
    say(text, err=diff)
    return 1 if problems or (check and any(changes)) else 0


def _named(files: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each file once, links or not."""
    found: dict[str, str] = {}
    for file in files:
        found.setdefault(os.path.realpath(file), file)
    for file in found.values():
        yield Path(file), printable(file)


def _files_here() -> Iterator[tuple[Path, str]]:
    """The settings and the job files that they name, whatever else is wrong with them."""
    from majobctl.repository.jobs.files import job_files
    from majobctl.repository.settings.settings import FILE_NAME, POLICY_NAME, read_settings

    settings, _ = read_settings(invocation.root())
    found = job_files(settings)
    for warning in (*found.unmatched, *found.problems):
        invocation.warn(warning)
    yield settings.file_path, FILE_NAME
    if (settings.root / POLICY_NAME).is_file():
        yield settings.root / POLICY_NAME, POLICY_NAME
    for path, name in found.files:
        yield Path(path), name


def _format(path: Path, name: str, *, check: bool, diff: bool) -> bool:
    """Shows the changes of a file, or writes it, as the options say; returns whether there are any.
    Raises ConfigError if it cannot be formatted."""
    from majobctl.repository.authoring.format import formatted
    from majobctl.repository.toml.file import content_of

    before = content_of(path, name)
    after = formatted(before, name)
    hidden = _hidden(before, name) if diff else []
    is_changed = before != after.content
    if is_changed and diff:
        click.echo(_difference(name, before, after.content, hidden), nl=False)
    elif is_changed and check:
        say(f"would change {name}")
    elif is_changed:
        _replace(path, name, after.content)
        say(f"formatted {name}")
    if after.obstacle:
        invocation.warn(f"{name}: left as it is: {after.obstacle}")
    return is_changed


def _replace(path: Path, name: str, content: bytes) -> None:
    """Puts ``content`` in place of a file, whose mode stays. Raises ConfigError."""
    from majobctl.files import replaceable, write_durably

    try:
        path, mode = replaceable(path, invocation.root_or_here())
        write_durably(path, content, mode)
    except OSError as error:
        message = f"cannot be written: {reason_of(error)}"
        raise ConfigError([Problem(file=name, message=message)]) from error


def _hidden(content: bytes, name: str) -> list[str]:
    """The sensitive values in a file, by its own names and those of the settings' defaults."""
    from contextlib import suppress

    from majobctl.job_config.redaction import sensitive_names, written_secrets
    from majobctl.repository.settings.settings import FILE_NAME
    from majobctl.repository.toml.file import TomlFile

    data = TomlFile.parse(content, name).data
    names = {*sensitive_names(data)}
    with suppress(MajobctlError):
        names.update(sensitive_names(TomlFile.read(invocation.root() / FILE_NAME, name).data))
    found = [*written_secrets(data, names)]
    return [*found, *(line for text in found for line in text.splitlines() if len(line) > 3)]


def _difference(name: str, before: bytes, after: bytes, hidden: Sequence[str]) -> str:
    """A unified diff without control characters and ``hidden`` values."""
    from difflib import unified_diff

    old, new = ([*io.StringIO(content.decode())] for content in (before, after))
    if len(old) + len(new) <= _MOST_COMPARED:
        lines = [*unified_diff(old, new, f"a/{name}", f"b/{name}")]
    else:
        # difflib's time grows with the square of the lines.
        lines = [f"--- a/{name}\n", f"+++ b/{name}\n", f"@@ -1,{len(old)} +1,{len(new)} @@\n"]
        lines += [f"-{line}" for line in old] + [f"+{line}" for line in new]
    return "".join(_shown(line, hidden) for line in lines)


def _shown(line: str, hidden: Sequence[str]) -> str:
    """Tabs and line ends are kept, so that the diff can be applied."""
    from majobctl.job_config.redaction import without_traces

    text, end = line[1:].removesuffix("\n"), "\n"
    if not line.endswith("\n"):
        end = "\n\\ No newline at end of file\n"
    if hidden:
        text = without_traces(text, hidden, None)
    if text.endswith("\r"):
        text, end = text[:-1], f"\r{end}"
    return line[0] + "\t".join(map(printable, text.split("\t"))) + end
