"""Reads the seed, the job configs that the imagined cloud starts with, as the service's documents.
Has its own table of the SDK's keys ("Modifying a Training Job Configuration", tables 1 to 3), so
that a mistake in the client's table is noticed."""

from __future__ import annotations

import codecs
import errno
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from majobctl.emulator import checks
from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.emulator.errors import EmulatorError, Refusal

Fields = dict[str, Any]

_PLAIN = {
    "pool_id": "pool_id",
    "train_instance_count": "worker_server_num",
    "code_dir": "app_url",
    "boot_file": "boot_file_url",
    "output_path": "train_url",
    "inputs": "data_url",
    **{key: key for key in ("log_url", "user_image_url", "user_command", "config_desc")},
    **{key: key for key in ("dataset_id", "dataset_version_id", "data_source")},
}
_LOOKED_UP = {
    "train_instance_type": "spec_id",
    "framework_type": "engine_id",
    "framework_version": "engine_id",
    "model_name": "model_id",
    "hyperparameters": "parameter",
}
_WITHOUT_FIELD = ("job_description", "sensitive")
_OBS_KEYS = ("code_dir", "boot_file", "output_path", "log_url", "inputs")
_KEY_OF_FIELD = {field: key for key, field in {**_LOOKED_UP, **_PLAIN}.items()}
_MOST_BYTES = 64 * 2**20
_VARIABLE = re.compile(r"(?<!\$)\$\{")


@dataclass(frozen=True, slots=True)
class _Written:
    """A TOML float as it is written in the file: 1e-5 is not 0.00001."""

    text: str


class _Problem(Exception):
    """The key of a job config, and what is wrong with its value."""


def read_seed(path: str | os.PathLike[str], seed_name: str = "") -> list[tuple[str, Fields]]:
    """The name and the REST fields of every [job_config.NAME] table, in the file's order. Raises
    EmulatorError for the first problem, with `seed_name` or else the path."""
    where = seed_name or os.fspath(path)
    tables = _load(path, where)
    unknown = ", ".join(key for key in tables if key != "job_config")
    if unknown:
        raise EmulatorError(
            f"{where}: {unknown}: not known in a seed. Keep only [job_config.NAME] tables there"
        )
    configs = tables.get("job_config", {})
    if not isinstance(configs, dict):
        raise EmulatorError(f"{where}: job_config: must be tables of the form [job_config.NAME]")
    return [(name, _read_config(where, name, table)) for name, table in configs.items()]


def _load(path: str | os.PathLike[str], where: str) -> dict[str, Any]:
    import tomli

    try:
        return tomli.loads(_text(Path(path)), parse_float=_Written)
    except OSError as error:
        raise EmulatorError(
            f"{where}: the seed cannot be read: {error.strerror}. Check the path"
        ) from error
    except (ValueError, RecursionError) as error:
        raise EmulatorError(f"{where}: {_reason(Path(path).read_bytes(), error)}") from error


def _reason(content: bytes, error: Exception) -> str:
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) or content[:2].count(0) == 1:
        return "it is UTF-16. Save the seed as UTF-8"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: byte {error.start}. Save the seed as UTF-8"
    if re.search(rb"^(<{7}|>{7}) ", content, re.MULTILINE):
        return "it contains git's conflict markers. Resolve the conflict"
    return f"not valid TOML: {error}. Correct the seed"


def _text(path: Path) -> str:
    about = path.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_size > _MOST_BYTES:
        # A pipe or a device may never end.
        limit = f"{_MOST_BYTES // 2**20} MiB"
        raise OSError(errno.EINVAL, f"it is not a regular file, or larger than {limit}")
    return path.read_text("utf-8-sig")


def _read_config(where: str, name: str, table: Any) -> Fields:
    try:
        checks.check_name(name)
        if not isinstance(table, dict):
            raise _Problem("", "must be a table")
        fields = checks.effective(checks.read_fields(_translate(table)))
    except _Problem as problem:
        key, reason = problem.args
    except Refusal as refusal:
        key, reason = _KEY_OF_FIELD.get(refusal.field or "", ""), refusal.message
    else:
        return fields
    place = f"{where}: job_config.{name}" + (f": {key}" if key else "")
    raise EmulatorError(f"{place}: {reason.rstrip('.')}. Correct the seed")


def _translate(table: Mapping[str, Any]) -> Fields:
    """The REST body of a job config; values are checked only as far as a lookup needs it."""
    body: Fields = {}
    for key, value in table.items():
        if key in _PLAIN:
            body[_PLAIN[key]] = _read_value(key, value)
        elif key not in _LOOKED_UP and key not in _WITHOUT_FIELD:
            raise _Problem(key, "unknown key")
    if "train_instance_type" in table:
        codes = {flavor.spec_code: spec_id for spec_id, flavor in FLAVORS.items()}
        body["spec_id"] = _look_up(codes, table, "train_instance_type")
    if "model_name" in table:
        names = {algorithm.model_name: model_id for model_id, algorithm in ALGORITHMS.items()}
        body["model_id"] = _look_up(names, table, "model_name")
    if "framework_type" in table or "framework_version" in table:
        body["engine_id"] = _look_up_engine(table)
    if "hyperparameters" in table:
        body["parameter"] = _read_hyperparameters(table["hyperparameters"])
    return body


def _read_value(key: str, value: Any) -> Any:
    if isinstance(value, str):
        return _read_text(key, value, is_path=key in _OBS_KEYS)
    if key == "data_source" and isinstance(value, list):
        return [_read_entry(entry) for entry in value]
    return value


def _read_entry(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    texts = {key: value for key, value in entry.items() if isinstance(value, str)}
    read = {key: _read_text("data_source", texts[key], is_path=key == "data_url") for key in texts}
    return {**entry, **read}


def _read_text(key: str, text: str, *, is_path: bool = False) -> str:
    if _VARIABLE.search(text):
        raise _Problem(key, "${...} is not known in a seed; write the value itself, or $${")
    text = text.replace("$${", "${")
    return "/" + text[len("obs://") :] if is_path and text.startswith("obs://") else text


def _look_up(known: Mapping[str, int], table: Mapping[str, Any], key: str) -> int | None:
    name = table[key]
    if name == "":
        return None
    if not isinstance(name, str) or name not in known:
        raise _Problem(key, f"{name!r} is not one of {', '.join(known)}")
    return known[name]


def _look_up_engine(table: Mapping[str, Any]) -> int | None:
    pair = ("framework_type", "framework_version")
    for key, other in (pair, pair[::-1]):
        if table.get(key) and not table.get(other):
            raise _Problem(key, f"needs {other} beside it")
    if not table.get("framework_type"):
        return None
    names = {engine.engine_name: 0 for engine in ENGINES.values()}
    _look_up(names, table, name := "framework_type")
    own = {it.engine_version: key for key, it in ENGINES.items() if it.engine_name == table[name]}
    return _look_up(own, table, "framework_version")


def _read_hyperparameters(value: Any) -> list[Any]:
    """The array of {label, value} for either form; the other one is a table {label = value}."""
    if isinstance(value, dict):
        value = [{"label": label, "value": entry} for label, entry in value.items()]
    if not isinstance(value, list):
        raise _Problem("hyperparameters", "must be a table, or an array of {label, value}")
    if not all(isinstance(entry, dict) and set(entry) == {"label", "value"} for entry in value):
        raise _Problem("hyperparameters", "each entry must be {label = ..., value = ...}")
    return [{"label": entry["label"], "value": _write_value(entry["value"])} for entry in value]


def _write_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, _Written):
        return value.text
    if isinstance(value, str):
        return _read_text("hyperparameters", value)
    raise _Problem("hyperparameters", "a value must be a string, a number or a boolean")
