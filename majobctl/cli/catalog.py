"""``majobctl flavors``, ``majobctl engines`` and ``majobctl algorithms``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from majobctl.cli import invocation
from majobctl.cli.options import environment_option, format_option
from majobctl.cli.terminal import say, width_of
from majobctl.operations.context import provider_of, target_of
from majobctl.text import printable_lines, table_text

_HEADS = {
    "core": "vCPUs",
    "cpu": "memory (GB)",
    "gpu_num": "GPUs",
    "gpu_type": "GPU type",
    "max_num": "max nodes",
    "no_resource": "sold out",
    "engine_name": "engine",
    "engine_version": "engine version",
}
"""The headings of columns that are not keys of a job config."""
_CELL_WIDTH = 60


def _listing(name: str, key: str, items: str, unknown: str) -> click.Command:
    """The command that lists ``name``, the values of ``key``; the rest is for its help."""

    def command(format_: str) -> None:
        _show(name, format_)

    command.__doc__ = f"""List the service's {name}, for {key}.

    {items}The list is cached in .majobctl/catalogue.json. From then on validate and plan warn,
    offline, about {unknown}.

    \b
    Example:
      majobctl {name}
    """
    return click.command(name)(environment_option(format_option(command)))


_MORE_NODES = "a flavor that was not offered, and about more nodes than it allows"
_VERSIONS = "Each is shown with its versions, for framework_version.\n    "
_LABELS = "Each is shown with its engine and the labels of its hyperparameters.\n    "
flavors = _listing("flavors", "train_instance_type", "", _MORE_NODES)
engines = _listing("engines", "framework_type", _VERSIONS, "an engine that was not offered")
algorithms = _listing("algorithms", "model_name", _LABELS, "an algorithm that was not offered")


def _show(name: str, format_: str) -> None:
    """Reads the list ``name`` from the service, caches it and prints it."""
    from majobctl.operations.catalog_check import keep_lists
    from majobctl.plan.document import HEAD, dumps
    from majobctl.service.catalog import plain_items

    settings = invocation.load_settings()
    with provider_of(settings, 1) as provider:
        items = plain_items(name, provider.catalog.entries(name))
        keep_lists(settings, provider.catalog, invocation.warn, name)
    if format_ == "json":
        text = dumps({**HEAD, "target": target_of(settings).document(), name: items})
    else:
        text = _table(name, items)
    say(text, format_)


def _table(name: str, items: list[dict[str, Any]]) -> str:
    from majobctl.service.catalog import COLUMNS

    if not items:
        return f"The service offers no {name}.\n"
    heads = [_HEADS.get(column, column) for column in COLUMNS[name]]
    rows = [[_cell(value) for value in item.values()] for item in items]
    table, width = table_text(heads, rows), width_of(sys.stdout)
    if width is None or max(map(len, table.splitlines())) <= width:
        return table
    # In a row that is broken, nobody sees which heading is whose.
    return "".join(map(printable_lines, (_paragraph(heads[1:], *row) for row in rows)))


def _paragraph(heads: Sequence[str], name: str, *cells: str) -> str:
    told = ", ".join(f"{head} {cell}" for head, cell in zip(heads, cells, strict=True) if cell)
    return f"{name}\n  {told}\n"


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, dict):
        return "" if value is None else str(value)
    text = ", ".join(value)
    return text if len(text) <= _CELL_WIDTH else text[: _CELL_WIDTH - 1] + "…"
