"""Runs a script that uses the ModelArts SDK, and writes TOML for what it would configure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from majobctl.capture import process
from majobctl.capture.recorder import WITHHELD
from majobctl.errors import MajobctlError, Problem
from majobctl.files import temporary_folder
from majobctl.job_config.fields import FIELDS, LONGEST_NAME, NAME_LENGTH, name_violation
from majobctl.job_config.job_config import normalise, request_params
from majobctl.job_config.secrets import (
    PLAIN,
    UnsetText,
    is_own_credential,
    looks_secret,
    variable_for,
    with_known,
)
from majobctl.job_config.values import hyperparameter_text
from majobctl.operations.context import ConfigRepository
from majobctl.repository.authoring import generate
from majobctl.repository.authoring.fold import folded
from majobctl.repository.authoring.new_files import NewFiles, place_of_files
from majobctl.repository.config import load_config, valid_job_configs
from majobctl.repository.jobs.reader import read_job_files
from majobctl.repository.settings.settings import FILE_NAME, Settings, read_settings
from majobctl.repository.toml.file import TomlFile
from majobctl.text import nearest, printable, quoted, reason_of

_LABELLED = "hyperparameters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """What a script would configure. ``text`` is TOML; ``file`` has it, if one was written.
    ``failure`` is how the script ended, if that was before its end."""

    names: tuple[str, ...]
    text: str
    file: str = ""
    warnings: tuple[Problem, ...] = ()
    left_out: tuple[Problem, ...] = ()
    failure: Problem | None = None


@dataclass(slots=True)
class _Found:
    """The recorded job configs, each with its place and its params."""

    script: Path
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    warned: dict[tuple[str, int, str], list[str]] = field(default_factory=dict)
    left_out: list[Problem] = field(default_factory=list)
    failure: Problem | None = None

    def problem(self, at: Any, message: str, name: str = "") -> Problem:
        file, line = at if at and at[0] else (str(self.script), 0)
        shown = os.path.relpath(file)
        shown = file if shown.startswith("..") else shown
        where = f"job_config.{name}" if name else ""
        return Problem(file=printable(shown), line=line, where=where, message=printable(message))

    def warn(self, at: Any, message: str, name: str = "") -> None:
        problem = self.problem(at, message)
        self.warned.setdefault((problem.file, problem.line, problem.message), []).append(name)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Each once, whatever the number of job configs that it is about."""
        return tuple(
            Problem(file=file, line=line, where=_where(names), message=message)
            for (file, line, message), names in self.warned.items()
        )


def _where(names: Sequence[str]) -> str:
    names = [*dict.fromkeys(names)]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"job_config.{names[0]}{more}" if names[0] else ""


def capture(
    script: str,
    arguments: Sequence[str] = (),
    *,
    timeout: float = 60,
    passed: Sequence[str] = (),
    repository: ConfigRepository | None = None,
    out: str = "",
) -> Captured:
    """Runs ``script``, which gets of the environment what no credential can be in, and ``passed``.
    The job configs are below the ``[defaults]`` of ``repository``. With ``out``, they are written
    into that new file, unless the script fails. Raises MajobctlError, with no file written."""
    path = Path(os.path.abspath(script))
    if not path.is_file():
        raise MajobctlError(f"{printable(script)} is not a file; give a Python script")
    if path.suffix == ".ipynb":
        advice = f"jupyter nbconvert --to script {printable(script)}"
        raise MajobctlError(f"{printable(script)} is a notebook, not a script\nmake one: {advice}")
    settings = repository.load_settings() if repository else _no_settings()
    if out:
        _check_place(out, settings)
    with ExitStack() as stack:
        try:
            ended = process.run(
                path,
                arguments,
                folder=temporary_folder(stack),
                passed=_passed(passed),
                timeout=timeout,
            )
        except OSError as error:
            raise MajobctlError(f"the script cannot be run: {reason_of(error)}") from error
    found = _read(path, ended, timeout)
    described = valid_job_configs(settings.root, settings.overrides) if out else {}
    tables = _tables(found, settings, described)
    for name in () if repository else tables:
        if wrong := name_violation(name, NAME_LENGTH):
            found.warn(found.configs[name]["at"], wrong.message, name)
    head = generate.comment(f"Captured from {path.name}.")
    text = _text(head, tables, settings)
    is_written = bool(out and tables and not found.failure)
    return Captured(
        names=tuple(tables),
        text=text,
        file=_write(out, text, tables, settings) if is_written else "",
        warnings=found.warnings,
        left_out=tuple(found.left_out),
        failure=found.failure,
    )


def _no_settings() -> Settings:
    """Those of no repository: what they would allow is not known."""
    text = f"[jobs]\nmax_name_length = {LONGEST_NAME}\n"
    return read_settings(Path.cwd(), file=TomlFile.parse(text.encode(), FILE_NAME))[0]


def _passed(names: Sequence[str]) -> Mapping[str, str]:
    """The variables of the environment that a script gets. Raises MajobctlError for one that is not
    set. No script gets a credential."""
    passed = {}
    for name in names:
        text = os.environ.get(name)
        if looks_secret(name) or (text and is_own_credential(text, name)):
            passed[name] = WITHHELD
        elif text is None:
            raise MajobctlError(f"--pass-env: {printable(name)} is not set in the environment")
        else:
            passed[name] = text
    return passed


def _read(script: Path, ended: process.Ended, timeout: float) -> _Found:
    """What the records say."""
    found, is_complete = _Found(script), False
    for record in ended.records:
        try:
            is_complete |= record["kind"] == "end"
            _READERS[record["kind"]](found, record)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise MajobctlError("the records of the script are damaged: it wrote into them") from (
                error
            )
    if ended.code is None:
        message = f"was stopped after {timeout:g} s; --timeout SECONDS allows it more"
        found.failure = found.problem(None, message)
    elif not is_complete and ended.code:
        found.failure = found.problem(None, f"ended at once, with code {ended.code}")
    return found


def _read_config(found: _Found, record: Mapping[str, Any]) -> None:
    name, at, lines = record["name"], record["at"], record["lines"]
    if not isinstance(name, str):
        found.left_out.append(found.problem(at, "its name is not a text that capture knows"))
        return
    if name in found.configs:
        before = found.problem(found.configs.pop(name)["at"], "")
        found.warn(at, f"is configured again: this call counts, not the one at {before}", name)
    if not record["is_named"]:
        found.warn(at, "has no name in the script, and got this one", name)
    if record["method"] in ("fit", "create_job_version"):
        message = f"is what {record['method']} trains with; majobctl keeps it, but starts no job"
        found.warn(at, message, name)
    params = {}
    for key, value in record["params"].items():
        if key not in FIELDS:
            hint = nearest(key, FIELDS)
            message = f"{key} is left out: a job config has no such key{hint}"
            found.warn(lines.get(key, at), message, name)
            continue
        params[key] = _known(found, name, key, value, lines.get(key, at))
    known = {key: value for key, value in params.items() if value is not None}
    found.configs[name] = {"at": at, "lines": lines, "params": known}


def _known(found: _Found, name: str, key: str, value: Any, at: Any) -> Any:
    """``value`` without credentials and without what is not known; None if nothing is left."""
    if key == _LABELLED and isinstance(value, dict) and not _mark(value):
        value = [{"label": label, "value": it} for label, it in value.items()]
    if key == _LABELLED and isinstance(value, list):
        items = [_known_item(found, name, item, at) for item in value]
        return [item for item in items if item is not None]
    return _replaced(found, name, key, value, at)


def _known_item(found: _Found, name: str, item: Any, at: Any) -> Any:
    if not isinstance(item, dict) or not isinstance(label := item.get("label"), str):
        return item
    value = item.get("value")
    text = hyperparameter_text(value)
    if text and looks_secret(label) and not PLAIN.fullmatch(text):
        value = {"$hidden": True}
    value = _replaced(found, name, label, value, at)
    return None if value is None else {**item, "value": value}


def _replaced(found: _Found, name: str, label: str, value: Any, at: Any) -> Any:
    mark = _mark(value)
    if mark == "$hidden":
        variable = variable_for(label)
        found.warn(
            at,
            f"{quoted(label)} looks like a secret, and its value is not written: set {variable} in"
            " the environment, or write the value if it is not a secret",
            name,
        )
        return UnsetText(f"${{env.{variable}}}", [variable])
    if mark:
        found.warn(at, f"{quoted(label)} is left out: it is {value[mark]}; write it by hand", name)
        return None
    return value


def _mark(value: Any) -> str:
    is_marked = isinstance(value, dict) and len(value) == 1
    return next((it for it in ("$hidden", "$unknown") if is_marked and it in value), "")


def _read_delete(found: _Found, record: Mapping[str, Any]) -> None:
    name = record["name"]
    before = found.configs.pop(name, None)
    if before:
        message = "is deleted again by the script"
        found.left_out.append(found.problem(record["at"], message, str(name)))
    else:
        message = "is deleted by the script, which no TOML can say"
        found.warn(record["at"], message, str(name))


def _read_credential(found: _Found, record: Mapping[str, Any]) -> None:
    found.warn(
        record["at"],
        f"{record['name']} is a credential, which capture writes nowhere: take it out of the script"
        " (Session() finds those of the environment), and replace it if it was committed",
    )


def _read_module(found: _Found, record: Mapping[str, Any]) -> None:
    found.warn(record["at"], f"{record['name']}: what the script does with it is not captured")


def _read_end(found: _Found, record: Mapping[str, Any]) -> None:
    if "text" not in record:
        return
    advice = ""
    if "variable" in record:
        name = printable(record["variable"])
        advice = f"\nthe script gets few variables; to give it this one: --pass-env {name}"
    elif "module" in record:
        advice = "\nthe script runs with majobctl's Python: install what it needs there"
    problem = found.problem(record["at"], f"the script ended early: {record['text']}")
    found.failure = Problem(file=problem.file, line=problem.line, message=problem.message + advice)


_READERS = {
    "config": _read_config,
    "delete": _read_delete,
    "credential": _read_credential,
    "module": _read_module,
    "end": _read_end,
}


def _tables(
    found: _Found, settings: Settings, described: Mapping[str, Any]
) -> dict[str, tuple[generate.JobTable, Mapping[str, Any]]]:
    """The table and the params of each job config that breaks no rule, by name."""
    tables: dict[str, tuple[generate.JobTable, Mapping[str, Any]]] = {}
    defaults = generate.Defaults.of(settings.defaults, settings.references)
    longest = settings.values["jobs"]["max_name_length"]
    for name, config in sorted(found.configs.items()):
        params, violations = normalise(config["params"])
        at, lines = config["at"], config["lines"]
        reasons = [
            (lines.get(str((*it.path, "")[0]), at), it.text(defaults.policy.is_secret))
            for it in violations
        ]
        if wrong := name_violation(name, longest):
            reasons.append((at, wrong.message))
        if name in described:
            source = described[name].source
            reasons.append((at, f"{source.file}:{source.line} describes it already"))
        if remark := generate.not_to_be_removed(params, defaults):
            reasons.append((at, remark))
        found.left_out += (found.problem(place, text, name) for place, text in reasons)
        if not reasons:
            tables[name] = (_table(name, params, defaults), request_params(params))
    return tables


def _table(name: str, params: Mapping[str, Any], defaults: generate.Defaults) -> generate.JobTable:
    values = generate.own_values(params, defaults)
    unsent = {key: it for key, it in params.items() if FIELDS[key].rest is None}
    own = {key: (values | unsent)[key] for key in FIELDS if key in values or key in unsent}
    return generate.JobTable(name=name, values=own)


def _text(head: str, tables: Mapping[str, Any], settings: Settings) -> str:
    """TOML that says what was captured, with matrices if they say exactly the same."""
    plain = [table for table, _ in tables.values()]
    for written in (folded(plain), plain):
        text = "\n".join([head, *(table.text() for table in written)])
        file = TomlFile.parse(text.encode(), FILE_NAME)
        read = {it.name: it.job_config for it in read_job_files(settings, [file]) if it.name}
        if _is_same(read, tables):
            return text
    raise MajobctlError("the TOML would not say what the script says; nothing was written")


def _is_same(read: Mapping[str, Any], tables: Mapping[str, Any]) -> bool:
    return read.keys() == tables.keys() and all(
        it is not None and with_known(tables[name][1], it.params) == it.params
        for name, it in read.items()
    )


def _check_place(out: str, settings: Settings) -> tuple[Any, Path]:
    path = Path.cwd() / out
    if path.suffix != ".toml" or os.path.lexists(path):
        reason = "is there already" if path.suffix == ".toml" else "is not a TOML file"
        message = f"--out {quoted(out)} {reason}; name a new file, such as jobs/captured.toml"
        raise MajobctlError(message)
    folder = os.path.relpath(path.parent, settings.root)
    return place_of_files(settings, folder, is_single=True, option="--out"), path


def _write(out: str, text: str, tables: Mapping[str, Any], settings: Settings) -> str:
    """Writes the new file, and reads all of them again. Raises MajobctlError, with none left."""
    place, path = _check_place(out, settings)
    with NewFiles(place) as files:
        name = files.write(path.stem, text)
        config = load_config(settings.root, settings.overrides)
        if not _is_same({it: config.job_configs.get(it) for it in tables}, tables):
            raise MajobctlError(f"{printable(out)} would not be read as it was captured")
        files.keep()
    return f"{place.shown}/{name}"
