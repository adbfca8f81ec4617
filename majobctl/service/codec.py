"""Converts params of a job config to the SDK's arguments, and to the service's REST document and
back. Pure: ids and names are looked up in the ``Catalog`` that a function gets."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, LOOKED_UP, Field, Kind
from majobctl.job_config.live import LiveConfig, source_of, unknown_sentence
from majobctl.job_config.values import INTEGER_LIMIT, WrittenFloat, as_text, is_blank
from majobctl.service.catalog import IDS, NAMES, as_id, as_number
from majobctl.text import printable, quoted

_UNSET_IDS = ("", "0")
_LISTED = {"flavors": "flavor", "engines": "engine", "algorithms": "built-in algorithm"}
_COMPUTED = re.compile(
    r"is_success|error_(code|message|msg)|request_id|config_(name|id|type)|(create|update)_time"
    r"|spec_code|flavor(_code)?|core|cpu|[gn]pu_\w+|memory_unit|storage|(unit|max)_num"
    r"|interface_type|no_resource|engine_(type|name|version)|dataset_(version_)?name"
    r"|pool_(name|type)|nas_type|label|value|type|dataset_version"
)
"""What answers have beside the fields of a request, and the keys of their arrays. The service
computes it. It answers a ``nas_type`` by default: only with an address does that mean anything."""
_LONGS = {"spec_id": ("pool_id",), "engine_id": ("model_id",), "model_id": ()}
"""The numbers of a request: never blank text. One that is cleared is 0, which is no id, or left out
beside a field that wins over it. Nothing wins over ``model_id``: a service that merges would keep
it, and with it the algorithm."""
_OF_ALGORITHM = ("code_dir", "boot_file", "user_image_url", "user_command")
_DATASET = ("dataset_id", "dataset_version_id")
_ENGINE = ("framework_type", "framework_version")
_SAID = frozenset(field.rest for field in FIELDS.values())

Document = Mapping[str, Any]


class Ids(Protocol):
    """The half of ``Catalog`` that finds ids by names."""

    def id_of(self, name: str, *wanted: str) -> Any: ...


class Names(Protocol):
    """The half of ``Catalog`` that finds names by ids."""

    def names_of(self, name: str, number: str) -> tuple[str, ...] | None: ...


def rest_body(given: Mapping[str, Any], catalog: Ids) -> dict[str, Any]:
    """The fields of a request; ``given`` are normalised params, or blank values, which clear.
    Raises what ``catalog`` raises."""
    body: dict[str, Any] = {}
    for key, field in FIELDS.items():
        if key not in given or field.rest is None or given.get(field.unless):
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
    for key, winners in _LONGS.items():
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
    key are the same. Of fields that name one thing twice, or that another overrules, only one is
    kept. Raises what ``names`` raises."""
    problems: list[str] = []
    found: dict[str, Any] = {}
    for key, field in FIELDS.items():
        if key not in LOOKED_UP and field.rest is not None:
            value = document.get(field.rest)
            if not is_blank(value):
                found[key] = _READERS[field.kind](value, problems)
    if document.get("pool_type") == "SYSTEM_DEFINED":
        found.pop("pool_id", None)  # The public pool is nobody's choice.
    if "pool_id" not in found:
        found |= _looked_up("flavors", document, names, problems, _flavor_name(document))
    # An engine beside a built-in algorithm is the algorithm's own.
    found |= _looked_up("algorithms", document, names, problems) or _looked_up(
        "engines", document, names, problems, _engine_names(document)
    )
    params = {key: found[key] for key in FIELDS if not is_blank(found.get(key))}
    repeated = tuple(key for key in _repeated(params) if params.pop(key, None))
    # The engine with the id 1 is the documented default, which means nothing beside an image.
    is_assumed = "user_image_url" in params and _id(document, "engine_id") in ("", "1")
    assumed = {it: params.pop(it) for it in _ENGINE if is_assumed and it in params}
    unknown = tuple(sorted({*_unknown_fields(document)}))
    if unknown:
        problems.append(f"the service has {unknown_sentence(unknown)}")
    return LiveConfig(name, params, tuple(problems), unknown, repeated, assumed)


def _repeated(params: Mapping[str, Any]) -> list[str]:
    """The keys that an algorithm overrules, the address of a dataset's files, and of two words for
    the same data the one that says less."""
    found = [*_OF_ALGORITHM] if "model_name" in params else []
    sources = params.get("data_source")
    entries = sources if isinstance(sources, list) else []
    if entries == [source_of({"inputs": params.get("inputs")})]:
        found.append("data_source")
    if "dataset_id" in params or any(it.get("type") == "dataset" for it in entries):
        found.append("inputs")
    if source_of({key: params[key] for key in params if key not in found}) in entries:
        found += ("data_source",) if len(entries) == 1 else ("inputs", *_DATASET)
    return found


def _unknown_fields(document: Document, prefix: str = "") -> Iterator[str]:
    """The names of all fields that are set (0 and false are not) and that no key can express."""
    for name, value in document.items():
        if name in _SAID or _COMPUTED.fullmatch(name):
            for item in value if isinstance(value, (list, tuple)) else ():
                yield from _unknown_fields(item, f"{name}.") if isinstance(item, Mapping) else ()
        elif value:
            yield prefix + printable(name)


def _flavor_name(document: Document) -> list[str]:
    own = document.get("flavor")
    code = _name(own, "code") if isinstance(own, Mapping) else ""
    codes = (_name(document, "spec_code"), _name(document, "flavor_code"), code)
    return [*filter(None, codes)][:1]


def _engine_names(document: Document) -> list[str]:
    found = [_name(document, key) for key in ("engine_name", "engine_version")]
    return found if all(found) and _id(document, "engine_id") != "0" else []


def _looked_up(
    name: str, document: Document, names: Names, problems: list[str], own: Sequence[str] = ()
) -> dict[str, str]:
    """The keys whose values are the names in the service's list ``name``: those of the answer, its
    ``own``, or else those in the list."""
    number = _id(document, id_key := IDS[name])
    if not own and number in _UNSET_IDS:
        return {}
    found = own or names.names_of(name, number)
    if not found:
        shown, key = printable(number), NAMES[name][0]
        problems.append(f"{key}: the service has no {_LISTED[name]} with {id_key} {shown} any more")
        found = [f"({id_key} {shown})"] * len(NAMES[name])
    return dict(zip(NAMES[name], found, strict=True))


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
    number = as_number(value)
    return as_text(value) if number is None or abs(number) >= INTEGER_LIMIT else number


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
    for item in rows:
        pair = ["" if item.get(key) is None else item[key] for key in ("label", "value")]
        label, text = map(as_text, pair)
        if label in labelled:
            problems.append(f"hyperparameters: the label {quoted(label)} is there twice")
        if not all(map(is_blank, pair)):
            labelled[label] = text
    return dict(sorted(labelled.items()))


def _rows(value: object) -> list[Mapping[str, Any]] | None:
    """The objects in a list, which may have nulls among them; None for anything else."""
    if not isinstance(value, (list, tuple)):
        return None
    rows = [item for item in value if item is not None]
    return rows if all(isinstance(item, Mapping) for item in rows) else None


def _data_source(value: object, problems: list[str]) -> list[dict[str, str]] | str:
    if (rows := _rows(value)) is None:
        return as_text(value)
    return [entry for item in rows if (entry := _data_source_entry(item))]


def _data_source_entry(item: Mapping[str, Any]) -> dict[str, str]:
    keys = ("type", *(key for known in DATA_SOURCE_KEYS.values() for key in known))
    entry = {key: as_text(item[key]) for key in keys if not is_blank(item.get(key))}
    if "data_url" in entry:
        entry["data_url"] = _plain_path(entry["data_url"])
    if "dataset_id" in entry and entry.get("type") != "obs":
        entry.pop("data_url", None)
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
