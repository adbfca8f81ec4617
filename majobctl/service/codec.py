"""The service's answer about one configuration -> what a job config would say.

Pure: the ids that the answer holds are looked up in whatever ``Names`` it is given; files, plans
and requests are not known here. The fields are those of the ModelArts API reference.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, LOOKED_UP, Field, Kind
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.values import INTEGER_LIMIT, hyperparameter_text, is_blank
from majobctl.text import printable, quoted

_SURROGATE = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"[0-9]{1,18}")
_UNREADABLE = "(unreadable)"
_UNSET_IDS = ("", "0")

Document = Mapping[str, Any]


class Names(Protocol):
    """What the service calls its ids, which are given as text; None where it lists no such id."""

    def flavor(self, spec_id: str) -> str | None: ...

    def engine(self, engine_id: str) -> tuple[str, str] | None: ...

    def algorithm(self, model_id: str) -> str | None: ...


def live_config(name: str, document: Document, names: Names) -> LiveConfig:
    """The configuration ``name`` that ``document`` describes, by its REST names.

    Null, "", [] and a missing key are the same. What the service computes is left out, and so is
    what is no key of a job config. Raises nothing itself; ``names`` may.
    """
    problems: list[str] = []
    found: dict[str, Any] = _flavor(document, names, problems)
    found |= _algorithm(document, names, problems)
    for key, field in FIELDS.items():
        if key not in LOOKED_UP and field.rest is not None:
            value = document.get(field.rest)
            if not is_blank(value):
                found[key] = _READERS[field.kind](value, field, problems)
    params = {key: found[key] for key in FIELDS if not is_blank(found.get(key))}
    return LiveConfig(name, params, tuple(problems))


def _flavor(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    # The name that the service adds to an answer wins over its list.
    name, spec_id = _name(document, "spec_code"), _id(document, "spec_id")
    if not name and not spec_id:
        return {}
    key = "train_instance_type"
    found = name or names.flavor(spec_id)
    return {key: found or _nameless(key, "flavor", "spec_id", spec_id, problems)}


def _algorithm(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    """A built-in algorithm, or else the engine: with the first, the answer's is its own."""
    model_id = _id(document, "model_id")
    if model_id in _UNSET_IDS:
        return _engine(document, names, problems)
    key, found = "model_name", names.algorithm(model_id)
    return {key: found or _nameless(key, "built-in algorithm", "model_id", model_id, problems)}


def _engine(document: Document, names: Names, problems: list[str]) -> dict[str, str]:
    own = _name(document, "engine_name"), _name(document, "engine_version")
    engine_id = _id(document, "engine_id")
    if engine_id in _UNSET_IDS and (engine_id or not all(own)):
        return {}
    found = own if all(own) else names.engine(engine_id)
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
    return _clean(value) if isinstance(value, str) else ""


def _id(document: Document, key: str) -> str:
    value = document.get(key)
    return "" if is_blank(value) else as_text(value)


def as_text(value: object) -> str:
    """A JSON value as text: a string as it is, a number as it was written, else as JSON."""
    text = hyperparameter_text(value)
    if text is not None:
        return _clean(text)
    try:
        return _clean(json.dumps(value, ensure_ascii=False, default=str))
    except (TypeError, ValueError, RecursionError):
        return _UNREADABLE


def _clean(text: str) -> str:
    """``text``, where half of a surrogate pair, which no file takes, is shown as an escape."""
    if text.isascii() or not _SURROGATE.search(text):
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _text(value: object, field: Field, problems: list[str]) -> str:
    return as_text(value)


def _obs_path(value: object, field: Field, problems: list[str]) -> str:
    return _plain_path(as_text(value))


def _plain_path(text: str) -> str:
    return text[len("obs:/") :] if text.startswith("obs://") else text


def _count(value: object, field: Field, problems: list[str]) -> int | str:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(value, int) and is_number and abs(value) < INTEGER_LIMIT:
        return value
    text = as_text(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return int(text) if isinstance(value, str) and _DIGITS.fullmatch(text) else text


def _hyperparameters(value: object, field: Field, problems: list[str]) -> dict[str, str] | str:
    if isinstance(value, Mapping):
        value = [{"label": label, "value": content} for label, content in value.items()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, Mapping) for item in value):
        problems.append("hyperparameters: what the service has is no list of labels and values")
        return as_text(value)
    labelled: dict[str, str] = {}
    for label, text in _labelled(value):
        if label in labelled:
            problems.append(f"hyperparameters: the label {quoted(label)} is there twice")
        labelled[label] = text
    return dict(sorted(labelled.items()))


def _labelled(items: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Labels with the text of their values."""
    for item in items:
        label, content = ("" if item.get(key) is None else item[key] for key in ("label", "value"))
        if not is_blank(label) or not is_blank(content):
            yield as_text(label), as_text(content)


def _data_source(value: object, field: Field, problems: list[str]) -> list[dict[str, str]] | str:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, Mapping) for item in value):
        return as_text(value)
    entries = (_data_source_entry(item) for item in value)
    return [entry for entry in entries if entry]


def _data_source_entry(item: Mapping[str, Any]) -> dict[str, str]:
    keys = ("type", *(key for known in DATA_SOURCE_KEYS.values() for key in known))
    entry = {key: as_text(item[key]) for key in keys if not is_blank(item.get(key))}
    if "data_url" in entry:
        entry["data_url"] = _plain_path(entry["data_url"])
    if entry and "type" not in entry:
        entry = {"type": "obs" if "data_url" in entry else "dataset", **entry}
    return entry


_READERS: Mapping[Kind, Callable[[object, Field, list[str]], Any]] = {
    Kind.TEXT: _text,
    Kind.OBS_PATH: _obs_path,
    Kind.COUNT: _count,
    Kind.HYPERPARAMETERS: _hyperparameters,
    Kind.DATA_SOURCE: _data_source,
}


def blank_arguments(keys: Iterable[str]) -> dict[str, Any]:
    arrays = (Kind.HYPERPARAMETERS, Kind.DATA_SOURCE)
    return {key: [] if FIELDS[key].kind in arrays else "" for key in keys}


def as_arguments(params: Mapping[str, Any]) -> dict[str, Any]:
    """Normalised params as the SDK documents its arguments."""
    arguments = dict(params)
    labelled = arguments.get("hyperparameters")
    if labelled is not None:
        arguments["hyperparameters"] = [
            {"label": label, "value": value} for label, value in labelled.items()
        ]
    return arguments
