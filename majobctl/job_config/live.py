"""What the service has. It may say one thing in several words, and more than anybody set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from majobctl.errors import Problem
from majobctl.job_config.fields import DATA_KEYS, SOURCES

_SOURCE_KEYS = {"data_source", *(key for keys in SOURCES.values() for key in keys)}


def source_of(params: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The source that ``inputs`` or a dataset's keys name, as an entry of ``data_source``."""
    for kind, keys in SOURCES.items():
        if keys.keys() <= params.keys():
            return {"type": kind, **{name: params[key] for key, name in keys.items()}}
    return None


def _in_words(params: Mapping[str, Any], words: AbstractSet[str]) -> Mapping[str, Any]:
    """``params`` with its source of data in ``words``, if it has only one."""
    own = source_of(params)
    match [*([own] if own else []), *params.get("data_source", [])]:
        case [{"type": str(kind), **content}] if words.isdisjoint(params):
            keys = SOURCES.get(kind, {})
            if content.keys() == {*keys.values()}:
                kept = {it: params[it] for it in params if it not in _SOURCE_KEYS}
                if "data_source" in words:
                    return {**kept, "data_source": [{"type": kind, **content}]}
                return {**kept, **{key: content[name] for key, name in keys.items()}}
    return params


def unknown_sentence(names: Sequence[str]) -> str:
    """What is said of the fields ``names`` that no key can express, without its first words."""
    them = "it" if len(names) == 1 else "them"
    what = f"{', '.join(names)}, which no key of a job config can express"
    return f"{what}; a call may remove {them}, and needs --overwrite"


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A configuration as the service has it. ``params`` are like a JobConfig's; what no job config
    could have is kept as text, and so is an id without a name, such as ``(spec_id 77)``.
    ``unknown_fields`` are set, but no key can express them. ``problems`` are sentences about all of
    those, without values. ``repeated`` are keys that are set as well, but that ``params`` say or
    overrule; ``assumed`` are the service's own values, unless somebody wants their keys."""

    name: str
    params: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    assumed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seen(self) -> Mapping[str, Any]:
        """What must not change between a plan and its apply."""
        return {**self.params, **self.assumed}

    def params_as(self, *wanted: Mapping[str, Any]) -> Mapping[str, Any]:
        """``params`` to compare with those that are ``wanted``, with what is assumed if one of them
        has its key. A source of data is in the words of the first that has the same, or else of the
        last that has any: the state's, so that an edit here does not look like a change there."""
        named = {key for side in wanted for key in side}
        assumed = {it: self.assumed[it] for it in self.assumed if it in named}
        params: Mapping[str, Any] = {**self.params, **assumed}
        found = params
        for side in wanted:
            if words := DATA_KEYS & side.keys():
                found = _in_words(params, words)
                if all(found.get(key) == side.get(key) for key in _SOURCE_KEYS):
                    break
        return found


def notes(configs: Iterable[LiveConfig | None]) -> Iterator[Problem]:
    """What the service has and no job config could express, such as an id without a name."""
    for config in filter(None, configs):
        for text in config.problems:
            yield Problem(where=f"job_config.{config.name}", message=text)
