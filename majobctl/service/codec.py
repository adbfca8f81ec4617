"""Converts params of a job config to the SDK's arguments, and to the service's REST document and
back. Pure: ids and names are looked up in the ``Catalog`` that a function gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Protocol

from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, LOOKED_UP, Field, Kind
from majobctl.job_config.live import LiveConfig, unknown_sentence
from majobctl.job_config.values import INTEGER_LIMIT, WrittenFloat, as_text, is_blank
from majobctl.service.catalog import NAMES, Catalog, as_id
from majobctl.text import printable, quoted

_DIGITS = re.compile(r"[0-9]{1,18}")
_UNSET_IDS = ("", "0")
_COMPUTED = re.compile(
    r"is_success|error_(code|message|msg)|request_id|config_(name|id|type)|(create|update)_time"
    r"|spec_code|flavor(_code)?|core|cpu|[gn]pu_\w+|memory_unit|storage|(unit|max)_num"
    r"|interface_type|no_resource|engine_(type|name|version)|dataset_(version_)?name"
    r"|pool_(name|type)|nas_type|label|value|type|dataset_version"
)
"""What answers have beside the fields of a request, and the keys of their arrays. The service
computes it. It answers a ``nas_type`` by default: only with an address does that mean anything."""
_IDS = {"spec_id": ("pool_id",), "engine_id": ("model_id",), "model_id": ()}
"""The numbers of a request: never blank text. One that is cleared is 0, which is no id, or left out
beside a field that wins over it. Nothing wins over ``model_id``: a service that merges would keep
it, and with it the algorithm."""
_SAID = frozenset(field.rest for field in FIELDS.values())

Document = Mapping[str, Any]


class Names(Protocol):
    """The half of ``Catalog`` that finds names by ids."""

    def names_of(self, name: str, number: str) -> tuple[str, ...] | None: ...


def rest_body(given: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    """The fields of a request; ``given`` are normalised params, or blank values, which clear.
    Raises what ``catalog`` raises."""
    body: dict[str, Any] = {}
    for key, field in FIELDS.items():
        if key not in given or field.rest is None:
            continue
        value = given[key]
        if is_blank(value):
            body[field.rest] = _blank(field)
        elif key in LOOKED_UP:
            name, keys = next(item for item in NAMES.items() if key in item[1])
            body[field.rest] = catalog.id_of(name, *(given[key] for key in keys))
        elif field.kind is Kind.HYPERPARAMETERS:
            body[field.rest] = _label_list(value)
        else:
            body[field.rest] = value
    for key, winners in _IDS.items():
        if is_blank(body.get(key, 0)):
            del body[key]
            if not any(map(body.get, winners)):
                body[key] = 0
    return body


def sdk_arguments(params: Mapping[str, Any], cleared: Iterable[str] = ()) -> dict[str, Any]:
    """Normalised params in the form of the SDK's arguments; the keys in ``cleared`` are blank."""
    arguments = {**{key: _blank(FIELDS[key]) for key in cleared}, **params}
    if "hyperparameters" in params:
        arguments["hyperparameters"] = _label_list(params["hyperparameters"])
    return arguments


def _blank(field: Field) -> Any:
    return [] if field.is_array else ""


def _label_list(labelled: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"label": label, "value": value} for label, value in labelled.items()]


def live_config(name: str, document: Document, names: Names) -> LiveConfig:
    """The configuration ``name`` in ``document``, which has REST names. Null, "", [] and a missing
    key are the same. Fields that are not in a job config are left out. Raises what ``names``
    raises."""
    problems: list[str] = []
    found: dict[str, Any] = _flavor(document, names, problems)
    found |= _algorithm(document, names, problems)
    for key, field in FIELDS.items():
        if key not in LOOKED_UP and field.rest is not None:
            value = document.get(field.rest)
            if not is_blank(value):
                found[key] = _READERS[field.kind](value, problems)
    params = {key: found[key] for key in FIELDS if not is_blank(found.get(key))}
    unknown = tuple(sorted({*_unknown_fields(document)}))
    if unknown:
        problems.append(f"the service has {unknown_sentence(unknown)}")
    return LiveConfig(name, params, tuple(problems), unknown)


def _unknown_fields(document: Document, prefix: str = "") -> Iterator[str]:
    """The names of all fields that are set (0 and false are not) and that no key can express."""
    for name, value in document.items():
        is_public_pool = name == "pool_id" and document.get("pool_type") == "SYSTEM_DEFINED"
        if name in _SAID or is_public_pool or _COMPUTED.fullmatch(name):
            for item in value if isinstance(value, (list, tuple)) else ():
                yield from _unknown_fields(item, f"{name}.") if isinstance(item, Mapping) else ()
        elif value:
            yield prefix + printable(name)


def _flavor(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    # A name in the answer wins over the list.
    name, spec_id = _name(document, "spec_code"), _id(document, "spec_id")
    if not name and not spec_id:
        return {}
    key = "train_instance_type"
    known = (name,) if name else names.names_of("flavors", spec_id)
    return {key: known[0] if known else _nameless(key, "flavor", "spec_id", spec_id, problems)}


def _algorithm(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    """A built-in algorithm, or else the engine; an algorithm's own engine is not reported."""
    model_id = _id(document, "model_id")
    if model_id in _UNSET_IDS:
        return _engine(document, names, problems)
    key, known = "model_name", names.names_of("algorithms", model_id)
    what = "built-in algorithm"
    return {key: known[0] if known else _nameless(key, what, "model_id", model_id, problems)}


def _engine(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    own = _name(document, "engine_name"), _name(document, "engine_version")
    engine_id = _id(document, "engine_id")
    if engine_id in _UNSET_IDS and (engine_id or not all(own)):
        return {}
    found = own if all(own) else names.names_of("engines", engine_id)
    if found is None:
        shown = _nameless("framework_type", "engine", "engine_id", engine_id, problems)
        found = shown, shown
    return {"framework_type": found[0], "framework_version": found[1]}


def _nameless(key: str, what: str, id_key: str, number: str, problems: list[str]) -> str:
    shown = printable(number)
    problems.append(f"{key}: the service has no {what} with {id_key} {shown} any more")
    return f"({id_key} {shown})"


def _name(document: Document, key: str) -> str:
    value = document.get(key)
    return as_text(value) if isinstance(value, str) else ""


def _id(document: Document, key: str) -> str:
    value = document.get(key)
    number = as_id(value)
    return "" if is_blank(value) else as_text(value if number is None else number)


def _plain_path(text: str) -> str:
    """As ``/bucket/...``; the service may have OBS's older form, ``s3://``."""
    return text[text.index("/") + 1 :] if text.startswith(("obs://", "s3://")) else text


def _count(value: object, problems: list[str]) -> int | str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, int) and is_number and abs(value) < INTEGER_LIMIT:
        return value
    text = as_text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(text) if isinstance(value, str) and _DIGITS.fullmatch(text) else text


def _hyperparameters(value: object, problems: list[str]) -> dict[str, str] | str:
    found = value
    if isinstance(value, str):
        with suppress(ValueError, RecursionError):
            found = json.loads(value, parse_float=WrittenFloat)
    if isinstance(found, Mapping):
        found = [{"label": label, "value": content} for label, content in found.items()]
    if (rows := _rows(found)) is None:
        problems.append("hyperparameters: the service does not have a list of labels and values")
        return as_text(value)
    labelled: dict[str, str] = {}
    for label, text in _labelled(rows):
        if label in labelled:
            problems.append(f"hyperparameters: the label {quoted(label)} is there twice")
        labelled[label] = text
    return dict(sorted(labelled.items()))


def _rows(value: object) -> list[Mapping[str, Any]] | None:
    """The objects in a list, which may have nulls among them; None for anything else."""
    if not isinstance(value, (list, tuple)):
        return None
    rows = [item for item in value if item is not None]
    return rows if all(isinstance(item, Mapping) for item in rows) else None


def _labelled(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Labels with the text of their values."""
    for item in items:
        label, content = ("" if item.get(key) is None else item[key] for key in ("label", "value"))
        if not is_blank(label) or not is_blank(content):
            yield as_text(label), as_text(content)


def _data_source(value: object, problems: list[str]) -> list[dict[str, str]] | str:
    if (rows := _rows(value)) is None:
        return as_text(value)
    entries = map(_data_source_entry, rows)
    return [entry for entry in entries if entry]


def _data_source_entry(item: Mapping[str, Any]) -> dict[str, str]:
    keys = ("type", *(key for known in DATA_SOURCE_KEYS.values() for key in known))
    entry = {key: as_text(item[key]) for key in keys if not is_blank(item.get(key))}
    if "data_url" in entry:
        entry["data_url"] = _plain_path(entry["data_url"])
    if entry and "type" not in entry:
        entry = {"type": "obs" if "data_url" in entry else "dataset", **entry}
    return entry


_READERS: Mapping[Kind, Callable[[object, list[str]], Any]] = {
    Kind.TEXT: lambda value, _: as_text(value),
    Kind.OBS_PATH: lambda value, _: _plain_path(as_text(value)),
    Kind.COUNT: _count,
    Kind.HYPERPARAMETERS: _hyperparameters,
    Kind.DATA_SOURCE: _data_source,
}
