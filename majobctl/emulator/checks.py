"""The rules for a configuration's body, as the service applies them. The choice of a code that no
document names: ModelArts.0105 for fields that exclude each other, 0104 for a field without its
partner, 0101 for a missing field."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.emulator.errors import Refusal, refuse

Fields = dict[str, Any]

FIELDS: dict[str, type] = {
    "config_desc": str,
    "worker_server_num": int,
    "app_url": str,
    "boot_file_url": str,
    "model_id": int,
    "parameter": list,
    "spec_id": int,
    "pool_id": str,
    "data_url": str,
    "dataset_id": str,
    "dataset_version_id": str,
    "data_source": list,
    "engine_id": int,
    "train_url": str,
    "log_url": str,
    "user_image_url": str,
    "user_command": str,
    "volumes": list,
    "nas_type": str,
    "nas_mount_path": str,
    "nas_share_addr": str,
}
_TYPE_NAMES = {str: "a string", int: "an integer", list: "an array"}
_OF_CODE = ("app_url", "boot_file_url", "engine_id")
_OBS_FIELDS = ("app_url", "boot_file_url", "data_url", "train_url", "log_url")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # the service allows 64 characters
_OBS_PATH = re.compile(r"/[^/\s]+/.*", re.DOTALL)
_LONGEST_DESCRIPTION = 256
_ENTRY_KEYS = ("type", "data_url", "dataset_id", "dataset_version")


def _is_blank(value: Any, kind: type = str) -> bool:
    if kind is int and value is not None:
        return type(value) is int and value == 0
    return value is None or value == "" or value == []


def parse_object(body: bytes) -> Fields:
    """The JSON object in a request's body; anything else is refused with ModelArts.2787."""
    try:
        document = json.loads(
            body.decode(), parse_float=_parse_float, parse_constant=_parse_constant
        )
    except (ValueError, RecursionError) as error:
        raise refuse("ModelArts.2787", f"The body is not valid JSON: {error}") from None
    if not isinstance(document, dict):
        raise refuse("ModelArts.2787", "The body is not a JSON object.")
    return document


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text[:40]} is out of range")
    return value


def _parse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a JSON value")


def check_name(name: Any) -> str:
    """`name`, or Refusal ModelArts.0104 if it cannot be a configuration's name."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    message = "config_name must be 1 to 64 letters, digits, underscores and hyphens."
    raise refuse("ModelArts.0104", message, field="config_name")


def read_fields(body: Mapping[str, Any]) -> Fields:
    """The body's fields, their types checked, every blank one as None. A Long is never blank; 0 is
    one that is not set. config_name is left out."""
    fields: Fields = {}
    for key, value in body.items():
        if key == "config_name":
            continue
        if key not in FIELDS:
            raise refuse("ModelArts.2788", f"Unknown field {_cut(key)}.", field=key)
        if _is_blank(value, FIELDS[key]):
            fields[key] = None
        elif type(value) is not FIELDS[key]:
            kind = _TYPE_NAMES[FIELDS[key]]
            raise refuse("ModelArts.2788", f"{key} must be {kind}.", field=key)
        else:
            fields[key] = value
    if fields.get("parameter"):
        _check_parameter(fields["parameter"])
    if fields.get("data_source"):
        fields["data_source"] = [_read_entry(entry) for entry in fields["data_source"]]
    return fields


def _check_parameter(parameter: list[Any]) -> None:
    labels = set()
    for entry in parameter:
        if not isinstance(entry, dict) or set(entry) != {"label", "value"}:
            raise _bad("2788", "parameter", "each entry must be an object of label and value")
        label, value = entry["label"], entry["value"]
        if not isinstance(label, str) or not label:
            raise _bad("0104", "parameter", "each label must be a string that is not empty")
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            reason = f"the value of {_cut(label)} is not a string or a number"
            raise _bad("2788", "parameter", reason)
        if label in labels:
            raise _bad("0104", "parameter", f"the label {_cut(label)} appears twice")
        labels.add(label)


def _read_entry(entry: Any) -> Fields:
    if not isinstance(entry, dict) or not entry.keys() <= set(_ENTRY_KEYS):
        allowed = ", ".join(_ENTRY_KEYS)
        raise _bad("2788", "data_source", f"each entry must be an object of {allowed}")
    kept = {key: value for key, value in entry.items() if not _is_blank(value)}
    if any(not isinstance(value, str) for value in kept.values()):
        raise _bad("2788", "data_source", "the values of an entry must be strings")
    return kept


def effective(given: Fields) -> Fields:
    """A configuration as it is kept: without unset fields, and without those that a built-in
    algorithm or a dedicated pool replaces. Refuses one that the service would refuse."""
    fields = {key: value for key, value in given.items() if value is not None}
    replaced = _OF_CODE if "model_id" in fields else ()
    replaced = (*replaced, "spec_id") if "pool_id" in fields else replaced
    fields = {key: value for key, value in fields.items() if key not in replaced}
    _check_document(fields)
    return fields


def _check_document(fields: Mapping[str, Any]) -> None:
    for key in ("worker_server_num", "spec_id"):
        if key not in fields and not (key == "spec_id" and "pool_id" in fields):
            raise refuse("ModelArts.0101", f"{key} is required.", field=key)
    if len(fields.get("config_desc", "")) > _LONGEST_DESCRIPTION:
        raise _bad("0104", "config_desc", f"must have at most {_LONGEST_DESCRIPTION} characters")
    _check_known_ids(fields)
    _check_nodes(fields)
    for key in _OBS_FIELDS:
        _check_obs_path(key, fields.get(key))
    _check_algorithm(fields)
    _check_data(fields)


def _check_known_ids(fields: Mapping[str, Any]) -> None:
    if fields.get("spec_id", 2) not in FLAVORS:
        raise refuse("ModelArts.2781", f"Flavor ({fields['spec_id']}) not found.", field="spec_id")
    if fields.get("engine_id", 1) not in ENGINES:
        message = f"Engine ({fields['engine_id']}) not found."
        raise refuse("ModelArts.2780", message, field="engine_id")
    if "model_id" in fields and fields["model_id"] not in ALGORITHMS:
        raise _bad("0101", "model_id", f"no built-in algorithm has the id {fields['model_id']}")


def _check_nodes(fields: Mapping[str, Any]) -> None:
    nodes, flavor = fields["worker_server_num"], FLAVORS.get(fields.get("spec_id", 0))
    if nodes < 1:
        raise _bad("0101", "worker_server_num", "must be at least 1")
    if flavor and nodes > flavor.max_num:
        reason = f"{flavor.spec_code} allows at most {flavor.max_num}"
        raise _bad("2793", "worker_server_num", reason)


def _check_obs_path(key: str, path: str | None) -> None:
    if path is not None and not _OBS_PATH.fullmatch(path):
        raise _bad("2791", key, "is not an OBS path of the form /bucket/...")


def _check_algorithm(fields: Mapping[str, Any]) -> None:
    code, boot = fields.get("app_url"), fields.get("boot_file_url")
    if (code is None) != (boot is None):
        present = "app_url" if boot is None else "boot_file_url"
        raise _bad("0104", present, "app_url and boot_file_url are used together")
    if code is not None and boot is not None:
        folder = code.rstrip("/") + "/"
        if not boot.startswith(folder) or boot == folder:
            raise _bad("0104", "boot_file_url", "must be inside app_url")


def _check_data(fields: Mapping[str, Any]) -> None:
    dataset = [key for key in ("dataset_id", "dataset_version_id") if key in fields]
    if len(dataset) == 1:
        raise _bad("0104", dataset[0], "dataset_id and dataset_version_id are used together")
    used = [key for key in ("data_url", "dataset_id", "data_source") if key in fields]
    if len(used) > 1:
        raise _bad("0105", used[1], f"cannot be used together with {used[0]}")
    kinds = {_kind_of(entry) for entry in fields.get("data_source", ())}
    if len(kinds) > 1:
        raise _bad("0105", "data_source", "obs and dataset entries cannot be mixed")


def _kind_of(entry: Mapping[str, str]) -> str:
    names = {"dataset_id", "dataset_version"} & entry.keys()
    kind = entry.get("type", "dataset" if names else "obs")
    if kind not in ("obs", "dataset"):
        raise _bad("2788", "data_source", "type must be obs or dataset")
    if names if kind == "obs" else "data_url" in entry:
        raise _bad("0105", "data_source", "data_url excludes dataset_id and dataset_version")
    if kind == "obs":
        if "data_url" not in entry:
            raise _bad("0104", "data_source", "an entry of type obs needs data_url")
        _check_obs_path("data_source", entry["data_url"])
    elif len(names) < 2:
        raise _bad("0104", "data_source", "dataset_id and dataset_version are used together")
    return kind


def _bad(code: str, field: str, reason: str) -> Refusal:
    return refuse(f"ModelArts.{code}", f"{field}: {reason}.", field=field)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
