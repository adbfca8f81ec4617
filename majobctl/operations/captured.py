"""What a captured script would configure, by its records."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from majobctl.capture.process import Ended
from majobctl.capture.recorder import WITHHELD
from majobctl.errors import MajobctlError, Problem
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.secrets import PLAIN, UnsetText, looks_secret, variable_for
from majobctl.job_config.values import hyperparameter_text
from majobctl.text import nearest, printable, quoted

_ARGUMENT = re.compile(r"""(?:\b(\w[\w-]*)=|(?<!\S)(--?\w[\w-]*)\s+)["']?([^\s"'$]\S*)""")
"""An argument or a variable of a command, with its value."""
_ADVICE = {
    "variable": "\nthe script gets few variables; to give it this one: --pass-env {}",
    "module": "\nthe script runs with majobctl's Python: install what it needs there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A job config with its place in the script, and those of its params."""

    at: Any
    lines: Mapping[str, Any]
    params: Mapping[str, Any]

    def line(self, path: Sequence[str | int]) -> Any:
        return self.lines.get(str(path[0]), self.at) if path else self.at


@dataclass(slots=True)
class Captured:
    """What a script would configure. ``text`` is TOML with the job configs ``names``; ``file`` has
    it, if one was written. ``failure`` is how the script ended, if that was before its end.
    ``left_out`` are losses."""

    script: Path
    names: tuple[str, ...] = ()
    text: str = ""
    file: str = ""
    configs: dict[str, Config] = field(default_factory=dict)
    left_out: list[Problem] = field(default_factory=list)
    starts_programs: bool = False
    failure: Problem | None = None
    _warned: dict[Problem, list[str]] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        return not (self.failure or self.left_out or self.starts_programs)

    def problem(self, at: Any, message: str, name: str = "") -> Problem:
        file, line = at if at and at[0] else (str(self.script), 0)
        shown = os.path.relpath(file)
        shown = printable(file if shown.startswith("..") else shown)
        where = f"job_config.{name}" if name else ""
        return Problem(file=shown, line=line, where=where, message=printable(message))

    def warn(self, at: Any, message: str, name: str = "") -> None:
        names = self._warned.setdefault(self.problem(at, message), [])
        if name not in names:
            names.append(name)

    @property
    def warnings(self) -> Sequence[Problem]:
        """Each once, whatever the number of job configs that it is about."""
        found = []
        for it, names in self._warned.items():
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            where = f"job_config.{names[0]}{more}" if names[0] else ""
            found.append(Problem(file=it.file, line=it.line, where=where, message=it.message))
        return found


def read_records(script: Path, ended: Ended, timeout: float) -> Captured:
    """Raises MajobctlError for records that the script has damaged."""
    found, kinds = Captured(script), set[str]()
    for record in ended.records:
        try:
            _READERS[record["kind"]](found, record)
            kinds.add(record["kind"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = "the records of the script are damaged: it wrote into them"
            raise MajobctlError(message) from error
    if ended.code is None:
        message = f"was stopped after {timeout:g} s; --timeout SECONDS allows it more"
        found.failure = found.problem(None, message)
    elif "end" not in kinds:
        quietly = "ended without coming to its end; what follows was recorded before"
        loudly = f"ended at once, with code {ended.code}"
        found.failure = found.problem(None, loudly if ended.code else quietly)
    return found


def _read_config(found: Captured, record: Mapping[str, Any]) -> None:
    name, at = record["name"], record["at"]
    if not isinstance(name, str):
        found.left_out.append(found.problem(at, "its name is not a text that capture knows"))
        return
    if before := found.configs.pop(name, None):
        place = found.problem(before.at, "")
        found.warn(at, f"is configured again: this call counts, not the one at {place}", name)
    if not record["is_named"]:
        found.warn(at, "has no name in the script, and got this one", name)
    if record["method"] in ("fit", "create_job_version"):
        what = f"comes from {record['method']}, which starts a job"
        found.warn(at, f"{what}; majobctl keeps what it trains with, and starts none", name)
    params = {}
    for key, value in record["params"].items():
        place = record["lines"].get(key, at)
        if key not in FIELDS:
            message = f"{key} is left out: a job config has no such key{nearest(key, FIELDS)}"
            found.warn(place, message, name)
        elif (value := _known(found, (place, name), key, value)) is not None:
            params[key] = value
    found.configs[name] = Config(at=at, lines=record["lines"], params=params)


def _known(found: Captured, where: tuple[Any, str], label: str, value: Any) -> Any:
    """``value``, at a key or a label, without credentials and without what is not known; None if
    nothing is left."""
    at, name = where
    if isinstance(value, list):
        known = (_known(found, where, label, item) for item in value)
        return [item for item in known if item is not None]
    if isinstance(value, dict) and "$unknown" in value:
        message = f"{quoted(label)} is left out: it is {value['$unknown']}; write it by hand"
        return found.warn(at, message, name)
    if isinstance(value, dict):
        if value.keys() == {"label", "value"}:
            inner = _known(found, where, str(value["label"]), value["value"])
            return None if inner is None else {**value, "value": inner}
        inside = {key: _known(found, where, key, item) for key, item in value.items()}
        return {key: item for key, item in inside.items() if item is not None}
    text = hyperparameter_text(value)
    is_suspect = text and looks_secret(label) and not PLAIN.fullmatch(text)
    if not is_suspect and not (text and WITHHELD in text):
        for variable, option, given in _ARGUMENT.findall(text or ""):
            if looks_secret(variable or option) and not PLAIN.fullmatch(given):
                message = f"{quoted(label)} has what looks like a secret, as {variable or option}"
                found.warn(at, f"{message}: take it out, and replace it if it was committed", name)
        return value
    variable = variable_for(label)
    message = f"{quoted(label)} looks like a secret, and its value is not written: set {variable}"
    found.warn(at, f"{message} in the environment, or write the value if it is not a secret", name)
    return UnsetText(f"${{env.{variable}}}", [variable])


def _read_delete(found: Captured, record: Mapping[str, Any]) -> None:
    at, name = record["at"], str(record["name"])
    if found.configs.pop(name, None):
        found.warn(at, "left out: it is deleted again by the script", name)
    else:
        found.warn(at, "is deleted by the script, which no TOML can say", name)


def _read_credential(found: Captured, record: Mapping[str, Any]) -> None:
    advice = "take it out of the script (Session() finds those of the environment), and replace it"
    message = f"{record['name']} is a credential, which capture writes nowhere: {advice}"
    found.warn(record["at"], f"{message} if it was committed")


def _read_module(found: Captured, record: Mapping[str, Any]) -> None:
    found.warn(record["at"], f"{record['name']}: what the script does with it is not captured")


def _read_program(found: Captured, record: Mapping[str, Any]) -> None:
    what = f"starts another program ({quoted(record['name'])})"
    found.warn(record["at"], f"{what}, which is not captured and may call the service")
    found.starts_programs = True


def _read_limit(found: Captured, record: Mapping[str, Any]) -> None:
    found.failure = found.problem(None, "the script configures more than capture can hold")


def _read_end(found: Captured, record: Mapping[str, Any]) -> None:
    if "text" in record:
        it = found.problem(record["at"], f"the script ended early: {record['text']}")
        known = [
            text.format(printable(record[key])) for key, text in _ADVICE.items() if key in record
        ]
        found.failure = Problem(file=it.file, line=it.line, message="".join([it.message, *known]))


_READERS = {
    "config": _read_config,
    "delete": _read_delete,
    "credential": _read_credential,
    "module": _read_module,
    "program": _read_program,
    "limit": _read_limit,
    "end": _read_end,
}
