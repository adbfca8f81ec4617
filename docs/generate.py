"""Writes the generated parts of the pages: tables of keys, commands and rooms, and the output of
the commands that the pages show (see transcripts.py).

    python docs/generate.py            writes README.md and the pages in this folder
    python docs/generate.py --check    writes nothing, and fails if a page is out of date

Both accept names of pages; the default is all of them. A generated table is between
``<!-- generated: NAME -->`` and ``<!-- end of NAME -->``.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import inspect
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path

import click
from transcripts import ROOT, Transcript

from majobctl.cli import cli
from majobctl.cli.common import COMMON_OPTIONS
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, Field
from majobctl.job_config.rules import RULES
from majobctl.operations.probe import Assumption, load_assumptions
from majobctl.policy.words import WORDS, Type
from majobctl.repository.settings.keys import SETTINGS, Kind, Setting

DOCS = ROOT / "docs"
_SECTION = re.compile(
    r"(?P<begin><!-- generated: (?P<name>[a-z-]+) -->\n).*?(?P<end><!-- end of (?P=name) -->\n)",
    re.DOTALL,
)


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the generated parts of the pages.")
    parser.add_argument("--check", action="store_true", help="write nothing, fail if it would")
    parser.add_argument("pages", nargs="*", type=Path, help="default: all pages")
    arguments = parser.parse_args()
    named = [page.resolve() for page in arguments.pages]
    pages = named or [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
    stale = [page for page in pages if not _is_fresh(page, arguments.check)]
    if stale and arguments.check:
        print("out of date; run: python docs/generate.py", file=sys.stderr)
        return 1
    return 0


def _is_fresh(page: Path, is_check: bool) -> bool:
    before = page.read_text(encoding="utf-8")
    after = rendered(before)
    if before != after and is_check:
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(page), "new", n=1)
        print("\n".join(lines), file=sys.stderr)
    elif before != after:
        page.write_text(after, encoding="utf-8")
        print(f"wrote {page.relative_to(ROOT)}")
    return before == after


def rendered(page: str) -> str:
    """The text of a page with its generated parts renewed."""
    with_tables = _SECTION.sub(
        lambda match: f"{match['begin']}\n{_SECTIONS[match['name']]()}\n\n{match['end']}", page
    )
    with tempfile.TemporaryDirectory() as scratch:
        return Transcript(Path(scratch)).filled(with_tables)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; a cell's ``|`` is escaped."""
    cells = [list(head), *map(list, rows)]
    lines = ["| " + " | ".join(text.replace("|", "\\|") for text in row) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "---|" * len(cells[0]), *lines[1:]])


def settings_tables() -> str:
    """Every key of every table of majobctl.toml."""
    parts = []
    for name, settings in SETTINGS.items():
        rows = [
            (f"`{key}`", setting.kind.value, _default(setting), _meaning(setting))
            for key, setting in settings.items()
        ]
        parts.append(f"### `[{name}]`\n\n{table(('key', 'type', 'default', 'meaning'), rows)}")
    return "\n\n".join(parts)


def _default(setting: Setting) -> str:
    default = setting.default
    if default == "":
        return "none"
    if isinstance(default, tuple):
        return f"`[{', '.join(map(_quoted, default))}]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{_quoted(default) if isinstance(default, str) else default}`"


def _meaning(setting: Setting) -> str:
    parts = [setting.help]
    if setting.choices:
        parts.append(f"One of {', '.join(f'`{_quoted(choice)}`' for choice in setting.choices)}.")
    if setting.kind is Kind.COUNT:
        parts.append(f"From {setting.minimum} to {setting.maximum}.")
    return " ".join(parts)


def _quoted(text: str) -> str:
    return f'"{text}"'


def _required(field: Field) -> str:
    return f"unless `{field.unless}`" if field.unless else "yes" if field.required else ""


def fields_table() -> str:
    """Every key of a job config."""
    rows = [
        (f"`{field.name}`", field.kind.value, _required(field), field.help, rest)
        for field in FIELDS.values()
        for rest in (f"`{field.rest}`" if field.rest else "none",)
    ]
    rows += [(f"`{key}`", it.type, "", it.help, "none") for key, it in DIRECTIVES.items()]
    return table(("key", "type", "required", "meaning", "in the REST call"), rows)


def rules_list() -> str:
    """The rules between keys."""
    return "\n".join(f"- {rule.text}" for rule in RULES)


def data_source_table() -> str:
    """The keys of each type of data source."""
    rows = [
        (f"`{_quoted(kind)}`", ", ".join(f"`{key}`" for key in keys))
        for kind, keys in DATA_SOURCE_KEYS.items()
    ]
    return table(("`type`", "the other keys, all required"), rows)


def words_table() -> str:
    """The words of a policy."""
    types = ((Type.TEXT, "strings"), (Type.NUMBER, "numbers"), (Type.ARRAY, "arrays"))
    rows = [
        (f"`{name}`", " and ".join(plural for kind, plural in types if kind in word.fits), of, what)
        for name, word in WORDS.items()
        for of in (word.operand.replace("{}", "a value of its type"),)
        for what in (f"allows {word.allows.format('...')}",)
    ]
    return table(("word", "for", "its value", "what a message says"), rows)


def commands_reference() -> str:
    """Every command with its help, its arguments and its options."""
    return "\n\n".join(_command(name, command) for name, command in walk(cli, "majobctl"))


def walk(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    """``command`` and those below it, each with its full name."""
    yield name, command
    if isinstance(command, click.Group):
        for part, below in command.commands.items():
            yield from walk(below, f"{name} {part}")


def _command(name: str, command: click.Command) -> str:
    arguments = [_argument(param) for param in command.params if isinstance(param, click.Argument)]
    options = [it for it in command.params if isinstance(it, click.Option) and not it.hidden]
    if command is not cli:
        options = [it for it in options if it not in COMMON_OPTIONS]
    words = [name, "[OPTIONS]" if options else "", *arguments]
    if isinstance(command, click.Group):
        words.append("COMMAND")
    usage = " ".join(word for word in words if word)
    parts = [f"## `{name}`", f"```text\n{usage}\n```", _help(command)]
    if options:
        parts.append(table(("option", "meaning"), map(_option, options)))
    return "\n\n".join(parts)


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or (argument.name or "").upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _help(command: click.Command) -> str:
    """The help text; its examples, marked for click with a backspace, as code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(map(_paragraph, paragraphs))


def _paragraph(text: str) -> str:
    if text.startswith("\b\nExample"):
        lines = inspect.cleandoc("\n" + text.partition("\n")[2].partition("\n")[2])
        return f"```sh\n{lines}\n```"
    return text.replace("\b\n", "")


def _option(option: click.Option) -> tuple[str, str]:
    names = ", ".join(f"`{name}`" for name in [*option.opts, *option.secondary_opts])
    if not option.is_flag:
        names += f" `{_value(option)}`"
    meaning = option.help or ""
    if option.multiple and "epeatable" not in meaning:
        meaning += " Repeatable."
    if option.show_default:
        meaning += f" Default: `{option.default}`."
    return names, meaning.strip()


def _value(option: click.Option) -> str:
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    if isinstance(option.type, (click.IntRange, click.FloatRange)):
        return "N"
    return (option.name or "").upper()


def rooms_table() -> str:
    """Every room (package) with its purpose and its modules, and each module of the ground."""
    package = ROOT / "majobctl"
    rooms = sorted(path.parent for path in package.rglob("__init__.py"))
    rows = [
        (f"`{room.relative_to(package).as_posix()}/`", _purpose(room / "__init__.py"), modules)
        for room in rooms[1:]
        for modules in (", ".join(path.stem for path in _modules(room)),)
    ]
    rows += [(f"`{path.name}`", _purpose(path), "") for path in _modules(package)]
    return table(("room", "what lives there", "its modules"), rows)


def _modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))


def _purpose(module: Path) -> str:
    """The first sentence of the module's docstring."""
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    sentence = re.split(r"(?<=\.) |\n\n", text.replace("``", "`").replace("\n", " "))[0]
    return sentence.rstrip(".:")


def assumptions_tables() -> str:
    """What the service's documents leave open, and what is decided, section by section."""
    head = ("what is open", "what majobctl does", "id", "probe")
    parts = []
    for section, rows in groupby(load_assumptions(), lambda row: row.section):
        cells = [(it.open, it.decided, f"`{it.id}`", _probe_of(it)) for it in rows]
        parts.append(f"## {section}\n\n{table(head, cells)}")
    return "\n\n".join(parts)


def _probe_of(row: Assumption) -> str:
    if not row.probe:
        return f"cannot be probed: {row.cannot_be_probed}"
    return "`probe`" if row.probe == "read" else "`probe --write`"


_SECTIONS: Mapping[str, Callable[[], str]] = {
    "settings": settings_tables,
    "fields": fields_table,
    "rules": rules_list,
    "data-source": data_source_table,
    "words": words_table,
    "commands": commands_reference,
    "rooms": rooms_table,
    "assumptions": assumptions_tables,
}


if __name__ == "__main__":
    sys.exit(main())
