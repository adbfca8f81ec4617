"""The value that everything compares: one job config, normalised. It knows no files.

Two job configs are equal when the requests they make are equal: the order of hyperparameters does
not count, a blank value is a missing one, ``obs://b/x`` is ``/b/x``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from majobctl.errors import ConfigError, Problem, nearest, quoted
from majobctl.fields import (
    DATA_SOURCE_KEYS,
    DIRECTIVES,
    FIELDS,
    Fault,
    Field,
    Kind,
    Path,
    is_blank,
    name_fault,
    secret_key_message,
)
from majobctl.rules import broken_rules
from majobctl.sensitive import named_places, place_of

_SURROGATE = re.compile("[\ud800-\udfff]")
_PART = r"(?!\.\.(?:/|\Z))[^/\x00-\x1f\x7f\ud800-\udfff]+"
_OBS_PATH = re.compile(rf"(?:obs:/)?(/{_PART}/(?:{_PART}/)*(?:{_PART})?)")
_ARRAYS = (Kind.HYPERPARAMETERS, Kind.DATA_SOURCE)

_Check = Callable[[object, Field, list[Fault]], Any]
"""Gives the normalised value of a field; None, and the faults, of a wrong one."""

INTEGER_LIMIT = 2**63
COUNT_LIMIT = 2**31


class WrittenFloat(float):
    """A TOML float that remembers how it was written, without digit separators."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> WrittenFloat:
        number = super().__new__(cls, text)
        number.text = text.replace("_", "")
        return number


class Source(Protocol):
    """Where a job config is written."""

    @property
    def file(self) -> str: ...

    @property
    def line(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Watched:
    """What the service's values of one job config mean to a reader: which places do not count,
    and which are secret, by the names of keys and labels and by place."""

    ignored: frozenset[tuple[str, ...]] = frozenset()
    secret_names: frozenset[str] = frozenset()
    secret_places: frozenset[Path] = frozenset()

    def ignores(self, place: tuple[str, ...]) -> bool:
        return place in self.ignored or place[:1] in self.ignored

    def names(self, place: Path) -> bool:
        """Whether a key or a label of ``place`` is named as secret."""
        return not self.secret_names.isdisjoint(map(str, place))

    def is_secret(self, path: Path) -> bool:
        """Whether the value at ``path``, or what it belongs to, is secret."""
        place = place_of(path)
        return place in self.secret_places or self.names(place)

    def hidden(self, params: Mapping[str, Any]) -> list[Path]:
        """The secret places of ``params``."""
        return [*self.secret_places, *named_places(params, self.secret_names)]


@dataclass(frozen=True, slots=True)
class Watches:
    """What is watched of each job config that a TOML file describes, and of one that only the
    state knows."""

    described: Mapping[str, Watched] = field(default_factory=dict)
    default: Watched = field(default_factory=Watched)

    def of(self, name: str) -> Watched:
        return self.described.get(name, self.default)


@dataclass(frozen=True, slots=True)
class JobConfig:
    """A name and its params: SDK names to normalised plain values, no blank ones.

    Keys are in the documented order; ``hyperparameters`` is ``{label: text}`` sorted by label.
    ``job_description`` is left out: no request carries it.
    """

    name: str
    params: Mapping[str, Any]
    source: Source | None = field(default=None, compare=False)
    sensitive: Mapping[Path, Any] = field(default_factory=dict)
    """The places of secret values: a key, or ``hyperparameters`` and a label. Each leads to its
    text where that is ``${env.NAME}`` alone, else to None: the file holds a part of the value."""
    watched: Watched = field(default_factory=Watched, compare=False)
    prevent_delete: bool = field(default=False, compare=False)
    renamed_from: str = field(default="", compare=False)

    def hidden(self, params: Mapping[str, Any]) -> list[Path]:
        """The secret places of ``params``, which the state or the service has in place of ours."""
        return [*self.sensitive, *self.watched.hidden(params)]

    @classmethod
    def of(cls, name: str, raw: Mapping[str, Any]) -> JobConfig:
        """The job config that Python arguments describe.

        Raises ConfigError with every rule that they break.
        """
        faults: list[Fault] = []
        wrong_name = name_fault(name)
        if wrong_name:
            faults.append(wrong_name)
        params, found = normalise(raw)
        faults += found
        if faults:
            where = f"job_config.{name}"
            raise ConfigError(Problem("", 0, 0, where, fault.text()) for fault in faults)
        return cls(name, request_params(params))


def request_params(params: dict[str, Any]) -> dict[str, Any]:
    """``params`` without the keys that no field of the request holds."""
    if _UNSENT.isdisjoint(params):
        return params
    return {key: value for key, value in params.items() if key not in _UNSENT}


_UNSENT = frozenset(name for name, spec in FIELDS.items() if spec.rest is None)


def normalise(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The params that ``raw`` describes, and every rule it breaks.

    ``raw`` has SDK names and plain TOML or Python values. The params have the keys in the order of
    ``FIELDS`` without blank ones; hyperparameters are ``{label: value}`` sorted by label, each
    value a string; OBS paths start with ``/bucket/``. They are whole only where no fault is told.
    """
    params, faults = checked_values(raw)
    return params, faults + rule_faults(raw, params)


def checked_values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """The params of ``raw``, each key looked at by itself; None stands for a wrong value.

    A wrong value still counts as set, so that the rules between keys say nothing false.
    """
    params: dict[str, Any] = {}
    checks, unknown = _checks_of(tuple(raw))
    faults = [*unknown]
    for name, spec, check in checks:
        value = raw[name]
        if value if isinstance(value, str) else _is_set(value, spec):
            params[name] = check(value, spec, faults)
    return params, faults


@lru_cache(maxsize=1024)
def _checks_of(keys: tuple[str, ...]) -> tuple[Sequence[tuple[str, Field, _Check]], list[Fault]]:
    """The checks of ``keys`` in the documented order: thousands of job configs have the same."""
    checks = [(name, spec, _CHECKS[spec.kind]) for name, spec in FIELDS.items() if name in keys]
    return checks, [Fault((key,), _unknown_key(key)) for key in keys if key not in FIELDS]


def _unknown_key(key: str) -> str:
    unknown = f"unknown key {quoted(key)}{nearest(key, (*FIELDS, *DIRECTIVES))}"
    return secret_key_message(key) or unknown


def _is_set(value: object, field: Field) -> bool:
    """Whether ``value``, which is no text, is there. An empty array or table where neither can
    stand is: it is wrong, not blank."""
    return value is not None and (field.kind not in _ARRAYS or not is_blank(value))


def rule_faults(raw: Mapping[str, Any], params: Mapping[str, Any]) -> list[Fault]:
    """What ``params``, made from ``raw``, lack or have too much of."""
    faults = []
    for name in _REQUIRED:
        if name not in params:
            state = "must not be empty" if name in raw else "is missing"
            faults.append(Fault((name,), f"{name} {state}"))
    return faults + broken_rules(params)


_REQUIRED = tuple(name for name, spec in FIELDS.items() if spec.required)


def _text(value: object, field: Field, faults: list[Fault]) -> str | None:
    wrong = _wrong_text(field.name, value)
    if wrong or not isinstance(value, str):
        faults.append(Fault((field.name,), wrong))
        return None
    if field.max_length and len(value) > field.max_length:
        message = (
            f"{field.name} has {len(value)} characters; at most {field.max_length} are allowed"
        )
        faults.append(Fault((field.name,), message))
        return None
    return value


def _obs_path(value: object, field: Field, faults: list[Fault]) -> str | None:
    return _checked_obs_path(value, (field.name,), field.name, faults)


def _checked_obs_path(value: object, path: Path, key: str, faults: list[Fault]) -> str | None:
    match = _OBS_PATH.fullmatch(value) if isinstance(value, str) else None
    if match:
        return match[1]
    unfit = _wrong_text(key, value)
    if unfit or not isinstance(value, str):
        faults.append(Fault(path, unfit))
    else:
        wrong = _wrong_path(value.removeprefix("obs:/") if value.startswith("obs://") else value)
        faults.append(Fault(path, f"{key} {wrong}", value=value, value_path=path))
    return None


def _wrong_path(plain: str) -> str:
    """Why ``plain`` is no OBS path: what stands before it in a message."""
    parts = plain.split("/")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return 'must be an OBS path such as "/bucket/dir/", not'
    if "" in parts[2:-1]:
        return "must not have an empty part (//):"
    return 'must not have a ".." part:' if ".." in parts else "must not have a control character:"


def _count(value: object, field: Field, faults: list[Fault]) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        faults.append(Fault((field.name,), _wrong_type(field.name, "an integer", value)))
        return None
    if not 1 <= value < COUNT_LIMIT:
        shown = value if abs(value) < INTEGER_LIMIT else "a number of more than 64 bits"
        wanted = "must be at least 1" if value < 1 else f"must be less than {COUNT_LIMIT}"
        faults.append(Fault((field.name,), f"{field.name} {wanted}, not {shown}"))
        return None
    return value


def _hyperparameters(value: object, field: Field, faults: list[Fault]) -> dict[str, str] | None:
    before = len(faults)
    contents, places = _labelled_contents(value, field.name, faults)
    labelled: dict[str, str] = {}
    for label in sorted(contents):
        text = hyperparameter_text(contents[label])
        if not label or "${" in label:
            wrong = _wrong_label(label)
        elif text is None:
            wrong = _wrong_hyperparameter(label, contents[label])
        elif label.isascii() and text.isascii():
            wrong = ""
        else:
            wrong = _wrong_text(f"hyperparameter {quoted(label)}", label + text)
        if wrong:
            faults.append(Fault((field.name, places.get(label, label)), wrong))
        labelled[label] = text or ""
    return None if len(faults) > before else labelled


def _wrong_label(label: str) -> str:
    if not label:
        return "a hyperparameter's label must not be empty"
    return f"hyperparameter {quoted(label)}: a reference stands in values only, not in a label"


def _wrong_hyperparameter(label: str, content: object) -> str:
    what = f"hyperparameter {quoted(label)}"
    if isinstance(content, int):
        return f"{what} must fit in 64 bits; write it in quotes to send it as text"
    return _wrong_type(what, "a string, an integer, a float or a boolean", content)


def _labelled_contents(
    value: object, key: str, faults: list[Fault]
) -> tuple[Mapping[str, object], Mapping[str, int]]:
    """What stands at each label, and, in an array, the item that it stands in."""
    contents: dict[str, object] = {}
    places: dict[str, int] = {}
    if isinstance(value, Mapping):
        return value, places
    if not isinstance(value, (list, tuple)):
        wanted = "a table {label = value} or an array of {label, value}"
        faults.append(Fault((key,), _wrong_type(key, wanted, value)))
        return contents, places
    # Each message has the item's number: items may share a line, and each must be told of.
    for index, item in enumerate(value):
        path: Path = (key, index)
        if not isinstance(item, Mapping) or set(item) != {"label", "value"}:
            wanted = "must be a table with label and value, and nothing else"
            faults.append(Fault(path, f"{key}: item {index + 1} {wanted}"))
            continue
        label = item["label"]
        if not isinstance(label, str):
            what = f"{key}: the label of item {index + 1}"
            faults.append(Fault((*path, "label"), _wrong_type(what, "a string", label)))
        elif not label:
            message = f"{key}: the label of item {index + 1} must not be empty"
            faults.append(Fault(path, message))
        elif "${" in label:
            faults.append(Fault(path, _wrong_label(label)))
        elif label in contents:
            faults.append(Fault(path, f"hyperparameter {quoted(label)} is there twice"))
        else:
            contents[label], places[label] = item["value"], index
    return contents, places


def hyperparameter_text(value: object) -> str | None:
    """The string that is sent for a hyperparameter's value; None where it has no such form."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -INTEGER_LIMIT <= value < INTEGER_LIMIT else None
    if isinstance(value, WrittenFloat):
        return value.text
    return repr(value) if isinstance(value, float) else None


def _data_source(value: object, field: Field, faults: list[Fault]) -> list[dict[str, str]] | None:
    if not isinstance(value, (list, tuple)):
        faults.append(Fault((field.name,), _wrong_type(field.name, "an array of tables", value)))
        return None
    before = len(faults)
    entries = [
        _data_source_entry(item, (field.name, index), faults) for index, item in enumerate(value)
    ]
    types = [(index, entry["type"]) for index, entry in enumerate(entries) if entry]
    other = next((index for index, kind in types if kind != types[0][1]), None)
    if other is not None:
        message = f"{field.name} cannot mix the types obs and dataset in one array"
        faults.append(Fault((field.name, other), message))
    return None if len(faults) > before else entries


def _data_source_entry(item: object, path: Path, faults: list[Fault]) -> dict[str, str]:
    if not isinstance(item, Mapping):
        what = f"data_source: item {int(path[1]) + 1}"
        faults.append(Fault(path, _wrong_type(what, "a table", item)))
        return {}
    kind = item.get("type")
    if not isinstance(kind, str) or kind not in DATA_SOURCE_KEYS:
        faults.append(_wrong_source_type(kind, (*path, "type")))
        return {}
    entry = {"type": kind}
    for key, content in item.items():
        if key != "type" and key not in DATA_SOURCE_KEYS[kind] and not is_blank(content):
            message = _foreign_data_source_key(key, kind)
            faults.append(Fault((*path, key), message))
    for key in DATA_SOURCE_KEYS[kind]:
        content = item.get(key)
        at = (*path, key)
        if is_blank(content):
            faults.append(Fault(at, f'data_source: type "{kind}" needs {key}'))
        elif key == "data_url":
            entry[key] = _checked_obs_path(content, at, "data_source: data_url", faults) or ""
        elif wrong := _wrong_text(f"data_source: {key}", content):
            faults.append(Fault(at, wrong))
        else:
            entry[key] = str(content)
    return entry


def _wrong_source_type(kind: object, path: Path) -> Fault:
    message = 'data_source: type must be "obs" or "dataset"'
    if kind is None:
        return Fault(path, f"{message}; it is missing")
    if not isinstance(kind, str):
        return Fault(path, f"{message}, not {type_name(kind)}")
    return Fault(path, f"{message}, not", value=kind, value_path=path)


def _foreign_data_source_key(key: str, kind: str) -> str:
    known = ("type", *(name for names in DATA_SOURCE_KEYS.values() for name in names))
    if key in known:
        return f'data_source: {key} cannot be used with type "{kind}"'
    return f"data_source: unknown key {quoted(key)}{nearest(key, known)}"


def _wrong_text(what: str, value: object) -> str:
    """What keeps ``value`` from being text that can be sent; "" where nothing does."""
    if not isinstance(value, str):
        return _wrong_type(what, "a string", value)
    # A lone surrogate comes from Python, or from an environment variable that is not UTF-8.
    if not value.isascii() and _SURROGATE.search(value):
        return f"{what} must be Unicode text"
    return ""


def _wrong_type(what: str, wanted: str, value: object) -> str:
    return f"{what} must be {wanted}, not {type_name(value)}"


def type_name(value: object) -> str:
    """TOML's word for the type of ``value``, with its article."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a float"),
        (str, "a string"),
        ((list, tuple), "an array"),
        (Mapping, "a table"),
    )
    for types, name in names:
        if isinstance(value, types):
            return name
    return f"a {type(value).__name__}"


_CHECKS: Mapping[Kind, _Check] = {
    Kind.TEXT: _text,
    Kind.OBS_PATH: _obs_path,
    Kind.COUNT: _count,
    Kind.HYPERPARAMETERS: _hyperparameters,
    Kind.DATA_SOURCE: _data_source,
}
