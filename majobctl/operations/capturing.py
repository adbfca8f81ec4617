"""Runs a script that uses the ModelArts SDK, and writes TOML for what it would configure."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

from majobctl.capture import process
from majobctl.capture.recorder import WITHHELD
from majobctl.errors import MajobctlError
from majobctl.files import temporary_folder
from majobctl.job_config.directives import UNSET
from majobctl.job_config.fields import FIELDS, LONGEST_NAME, NAME_LENGTH, name_violation
from majobctl.job_config.job_config import JobConfig, normalise, request_params
from majobctl.job_config.secrets import is_own_credential, looks_secret, with_known
from majobctl.operations.captured import Captured, read_records
from majobctl.operations.context import ConfigRepository
from majobctl.repository.authoring import generate
from majobctl.repository.authoring.fold import folded
from majobctl.repository.authoring.new_files import NewFiles, place_of_files
from majobctl.repository.config import load_config, valid_job_configs
from majobctl.repository.jobs.reader import read_job_files
from majobctl.repository.settings.settings import FILE_NAME, Settings, read_settings
from majobctl.repository.toml.file import TomlFile
from majobctl.text import printable, quoted, reason_of

_Tables: TypeAlias = Mapping[str, tuple[generate.JobTable, Mapping[str, Any]]]
"""The table and the params of each job config, by name."""


def capture(
    script: str,
    arguments: Sequence[str] = (),
    *,
    timeout: float = 60,
    passed: Sequence[str] = (),
    root: Path | None = None,
    out: str = "",
) -> Captured:
    """Runs ``script``, which gets of the environment what no credential can be in, and ``passed``.
    The job configs are below the ``[defaults]`` of the config repository ``root``. With ``out``,
    they are written into that new file, if nothing is missing. Raises MajobctlError, with no file
    written."""
    path = Path(os.path.realpath(script))
    if not path.is_file():
        raise MajobctlError(f"{printable(script)} is not a file; give a Python script")
    if path.suffix == ".ipynb":
        advice = f"jupyter nbconvert --to script {printable(script)}"
        raise MajobctlError(f"{printable(script)} is a notebook, not a script\nmake one: {advice}")
    settings = ConfigRepository(root).load_settings() if root else _no_settings()
    files = _new_files(out, settings) if out else None
    try:
        with ExitStack() as stack:
            options: Any = {"folder": temporary_folder(stack), "passed": _passed(passed)}
            ended = process.run(path, arguments, timeout=timeout, **options)
    except OSError as error:
        raise MajobctlError(f"the script cannot be run: {reason_of(error)}") from error
    found = read_records(path, ended, timeout)
    tables = _tables(found, settings, valid_job_configs(root) if root and out else {})
    for name in () if root else tables:
        if wrong := name_violation(name, NAME_LENGTH):
            found.warn(found.configs[name].at, wrong.message, name)
    found.names = tuple(tables)
    found.text = _text(generate.comment(f"Captured from {path.name}."), tables, settings)
    if files and tables and found.is_complete:
        found.file = _write(files, Path(out), found.text, tables, settings)
    return found


def _no_settings() -> Settings:
    """Those of no repository: what they would allow is not known."""
    text = f"[jobs]\nmax_name_length = {LONGEST_NAME}\n"
    return read_settings(Path.cwd(), file=TomlFile.parse(text.encode(), FILE_NAME))[0]


def _new_files(out: str, settings: Settings) -> NewFiles:
    """For the new file ``out``. Raises MajobctlError if it is there, or would not be read."""
    path = Path.cwd() / out
    if path.suffix != ".toml" or os.path.lexists(path):
        reason = "is there already" if path.suffix == ".toml" else "is not a TOML file"
        message = f"--out {quoted(out)} {reason}; name a new file, such as jobs/captured.toml"
        raise MajobctlError(message)
    folder = os.path.relpath(path.parent, settings.root)
    return NewFiles(place_of_files(settings, folder, is_single=True, option="--out"))


def _passed(names: Sequence[str]) -> Mapping[str, str]:
    """Variables of the environment for the script, which gets no credential. Raises MajobctlError
    for one that is not set."""
    passed = {}
    for name in names:
        text = os.environ.get(name)
        if looks_secret(name) or (text and is_own_credential(text, name)):
            text = WITHHELD
        if text is None:
            raise MajobctlError(f"--pass-env: {printable(name)} is not set in the environment")
        passed[name] = text
    return passed


def _tables(found: Captured, settings: Settings, described: Mapping[str, JobConfig]) -> _Tables:
    """Those of the job configs that break no rule; the others are left out."""
    defaults = generate.Defaults.of(settings.defaults, settings.references)
    longest = settings.values["jobs"]["max_name_length"]
    tables = {}
    for name, config in sorted(found.configs.items()):
        params, violations = normalise(config.params)
        reasons = [(config.line(it.path), it.text(defaults.policy.is_secret)) for it in violations]
        if wrong := name_violation(name, longest):
            reasons.append((config.at, wrong.message))
        if not reasons and name in described and (source := described[name].source):
            message = f"left out: {source.file}:{source.line} describes it already"
            found.warn(config.at, message, name)
            continue
        found.left_out += (found.problem(at, text, name) for at, text in reasons)
        if not reasons:
            own = generate.own_values(params, defaults)
            own |= {key: text for key, text in params.items() if not FIELDS[key].rest}
            values = {key: own[key] for key in (*FIELDS, UNSET) if key in own}
            tables[name] = generate.JobTable(name=name, values=values), request_params(params)
    return tables


def _text(head: str, tables: _Tables, settings: Settings) -> str:
    """TOML that says what was captured, with matrices if they say exactly the same."""
    plain = [table for table, _ in tables.values()]
    for written in (folded(plain), plain):
        text = "\n".join([head, *(table.text() for table in written)])
        file = TomlFile.parse(text.encode(), FILE_NAME)
        readings = read_job_files(settings, [file])
        read = {it.name: it.job_config for it in readings if it.name}
        if read.keys() == tables.keys() and _says(read, tables):
            return text
    raise MajobctlError("the TOML would not say what the script says; nothing was written")


def _says(read: Mapping[str, JobConfig | None], tables: _Tables) -> bool:
    return all(
        (it := read.get(name)) is not None and with_known(params, it.params) == it.params
        for name, (_, params) in tables.items()
    )


def _write(files: NewFiles, out: Path, text: str, tables: _Tables, settings: Settings) -> str:
    """Writes the new file, and reads all of them again. Raises MajobctlError, with none left."""
    with files:
        name = files.write(out.stem, text)
        if not _says(load_config(settings.root).job_configs, tables):
            raise MajobctlError(f"{printable(str(out))} would not be read as it was captured")
        files.keep()
    return str(out.with_name(name))
