"""Resolved job configs as TOML, as JSON, as requests and as a script for the SDK. ``sources`` says
where their values come from, if that is to be shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from majobctl.job_config.fields import FIELDS, NAME_LENGTH
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.violations import Path
from majobctl.plan.change import Cause
from majobctl.plan.document import HEAD
from majobctl.render.values import shown
from majobctl.repository.authoring.generate import JobTable, escaped
from majobctl.text import printable

Sources: TypeAlias = Callable[[JobConfig], Mapping[Path, Sequence[Cause]]]
_Notes: TypeAlias = Mapping[Path, str]


def toml_text(configs: Iterable[JobConfig], sources: Sources) -> str:
    """Tables of a job file, each below a comment with its place."""
    tables = (
        JobTable(
            name=it.name,
            values=escaped(shown(it.params), it.name),
            remarks=(_place(it),),
            notes=_notes(it, sources),
        )
        for it in configs
    )
    return "\n".join(table.text() for table in tables)


def configs_document(
    configs: Iterable[JobConfig], sources: Sources, environment: str
) -> dict[str, Any]:
    def document(config: JobConfig) -> dict[str, Any]:
        about = {key: getattr(config.source, key) for key in ("file", "line")}
        found = [
            {"path": [*place], "from": [*map(asdict, causes)]}
            for place, causes in sources(config).items()
        ]
        more = {"sources": found} if found else {}
        head = {"name": config.name, **about, "environment": environment}
        return {**head, **shown(config.params), **more}

    return {**HEAD, "job_configs": [*map(document, configs)]}


def requests_text(configs: Iterable[JobConfig], sources: Sources, messages: Iterable[str]) -> str:
    """In the form of ``.http`` files."""
    parts = []
    for config, message in zip(configs, messages, strict=True):
        notes = [
            f"{'.'.join(map(str, it))}: {text}" for it, text in _notes(config, sources).items()
        ]
        lines = [f"job_config.{config.name} ({_place(config)})", *notes]
        parts.append("".join(f"# {printable(it)}\n" for it in lines) + message)
    return "\n###\n\n".join(parts)


_HEAD = """\
# Updates training job configurations with the ModelArts SDK, or with majobctl in its place.
# They are meant for {}
# Session() takes the credentials of a notebook or of the environment; elsewhere, pass yours to it.
"""
_IMPORTS = """
try:
    from modelarts.estimator import Estimator
    from modelarts.session import Session
except ImportError:
    from majobctl.estimator import Estimator
    from majobctl.session import Session

session = Session()
"""
_CALL = """
# {place}
estimator = Estimator(
    modelarts_session=session,
{own})
update_info = estimator.update_job_configs(
    config_name={name!r},
{of_call})
print({name!r}, update_info)
"""


def sdk_script(
    configs: Sequence[JobConfig],
    sources: Sources,
    arguments: Callable[[JobConfig], Mapping[str, Any]],
    address: str,
) -> str:
    """A script that makes the calls with these arguments of the SDK."""
    parts = []
    for config in configs:
        lines, notes = {False: "", True: ""}, _notes(config, sources)
        for key, value in arguments(config).items():
            lines[FIELDS[key].of_update] += "".join(_argument(key, value, notes))
        about = {"place": _place(config), "name": config.name}
        parts.append(_CALL.format(**about, own=lines[False], of_call=lines[True]))
    calls = "".join(parts)
    needed = sorted({*re.findall(r"os\.environ\['(\w+)'\]", calls)})
    head = _HEAD.format(printable(address))
    head += f"# Needed in the environment: {', '.join(needed)}\n" if needed else ""
    imports = [f"import {it}\n" for it in ("json", "os") if f"{it}." in calls]
    longest = max((len(config.name) for config in configs), default=0)
    limit = f"session.max_name_length = {longest}\n" if longest > NAME_LENGTH else ""
    return head + "".join(imports) + _IMPORTS + limit + calls


def _argument(key: str, value: Any, notes: _Notes) -> Iterator[str]:
    def line(text: str, *place: str) -> str:
        note = notes.get(place)
        return f"    {printable(text)}" + (f"  # {note}\n" if note else "\n")

    if not isinstance(value, list):
        yield line(f"{key}={value!r},", key)
        return
    yield line(f"{key}=[", key)
    yield from (line(f"    {item!r},", key, item.get("label", "")) for item in value)
    yield line("],")


def _place(config: JobConfig) -> str:
    source = config.source
    return printable(f"{source.file}:{source.line}") if source else ""


def _notes(config: JobConfig, sources: Sources) -> _Notes:
    return {
        place: printable(", ".join(_source(it, ".".join(map(str, place))) for it in causes))
        for place, causes in sources(config).items()
    }


def _source(cause: Cause, place: str) -> str:
    """``jobs/a.toml:3``, with the table in parentheses unless it is the job config's own."""
    key = re.sub(r"^job_config\.[^.]+\.?", "", cause.key)
    table = key if key.startswith("matrix.") else f".{key}".removesuffix(f".{place}")[1:]
    line = f"{cause.file}:{cause.line}" if cause.line else cause.file
    return f"{line} ({table})" if table else line
