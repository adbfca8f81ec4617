"""Plays somebody who changes values of a configuration in the console, past any config repository.
The values are texts, under the SDK's keys, as the seed has them."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from majobctl.emulator.catalog import ENGINES
from majobctl.emulator.seed import KEYS, Problem, explained, translate, with_fields
from majobctl.emulator.store import Fields, Store

_LABEL = "hyperparameters."
_ENGINE = {"framework_type": "engine_name", "framework_version": "engine_version"}


def change_values(store: Store, name: str, values: Mapping[str, str]) -> None:
    """Sets each key to its text, ``hyperparameters.LABEL`` among them; "" clears it.

    Raises EmulatorError, and changes nothing, for a name, key or value that cannot be.
    """

    def changed(before: Fields) -> Fields:
        body = translate({**_missing_half(before, values), **_plain(before, values)})
        if any(key.startswith(_LABEL) for key in values):
            body["parameter"] = _parameter(before.get("parameter", []), values)
        return with_fields(before, body)

    with explained(f"job_config.{name}", "Nothing was changed"):
        if not store.update(name, changed):
            _, records = store.list_page(
                order_by="config_name", descending=False, search="", limit=1000, offset=0
            )
            names = [record.name for record in records]
            raise Problem("", f"the emulator has no such configuration{_nearest(name, names)}")


def _plain(before: Fields, values: Mapping[str, str]) -> dict[str, Any]:
    """The values of keys, as a seed's TOML would give them."""
    plain = {key: text for key, text in values.items() if not key.startswith(_LABEL)}
    for key in plain:
        if key == "hyperparameters":
            raise Problem(key, "name one of them, as hyperparameters.LABEL=VALUE")
        if key not in KEYS:
            labels = {entry["label"] for entry in before.get("parameter", [])}
            meant = f'; did you mean "{_LABEL}{key}"?' if key in labels else _nearest(key, KEYS)
            raise Problem(key, f"unknown key{meant}")
    return {key: _value(key, text) for key, text in plain.items()}


def _value(key: str, text: str) -> Any:
    if key == "train_instance_count" and re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if key != "data_source" or not text:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Problem(key, 'must be JSON, as [{"type": "obs", "data_url": "/b/x/"}]') from None


def _missing_half(before: Fields, values: Mapping[str, str]) -> dict[str, str]:
    """The configuration's framework_type if only the version is set, or the reverse."""
    given = [key for key in _ENGINE if key in values]
    if len(given) != 1:
        return {}
    (other,) = _ENGINE.keys() - given
    engine = ENGINES.get(before.get("engine_id", 0)) if values[given[0]] else None
    return {other: getattr(engine, _ENGINE[other]) if engine else ""}


def _parameter(before: list[Any], values: Mapping[str, str]) -> list[Any]:
    """The hyperparameters, in their order, new ones last."""
    parameter = {entry["label"]: entry["value"] for entry in before}
    for key, text in values.items():
        label = key.removeprefix(_LABEL)
        if label == key:
            continue
        if not text and label not in parameter:
            raise Problem(key, f"there is none to clear{_nearest(label, parameter)}")
        parameter[label] = text
    return [{"label": label, "value": text} for label, text in parameter.items() if text != ""]


def _nearest(word: str, known: Iterable[str]) -> str:
    matches = difflib.get_close_matches(word, list(known))
    return f"; did you mean {' or '.join(map(json.dumps, matches))}?" if matches else ""
