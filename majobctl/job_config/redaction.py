"""Removes secret values from text that the service wrote."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from majobctl.job_config.secrets import SHOWN, masked_places, value_at

_MESSAGE_LENGTH = 4000
_PART_LENGTH = 5
"""A part of a secret value with this many characters is hidden, too."""


def secret_texts(masked: Mapping[str, Any], params: Mapping[str, Any]) -> list[str]:
    """The texts in ``params`` that ``masked``, made from it, hides; the longest first."""
    texts = {
        text for place in masked_places(masked) for text in _texts(value_at(params, place)) if text
    }
    return sorted(texts, key=lambda text: (-len(text), text))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(item)
    elif value is not None:
        yield str(value)


def redacted(text: str, values: Iterable[str]) -> str:
    """``text``, written by the service, with none of ``values`` in it."""
    for value in values:
        text = text.replace(value, SHOWN)
    return text


def without_traces(text: str, values: Iterable[str]) -> str:
    """``text``, written by the service, without ``values``; a note instead if it has parts of them.

    The service may send back only a part of a value, or an escaped one.
    """
    if not (hidden := [value for value in values if value]):
        return text
    text = redacted(text[:_MESSAGE_LENGTH], hidden)
    rest = text.replace(SHOWN, "")
    if any(_has_part(rest, form) for value in hidden for form in _forms(value)):
        return f"{SHOWN} (the service's message has a part of a sensitive value)"
    return text


def _forms(value: str) -> set[str]:
    escaped = value.encode("unicode_escape").decode()
    return {value, escaped, json.dumps(value), json.dumps(value, ensure_ascii=False)}


def _has_part(text: str, value: str) -> bool:
    starts = range(max(1, len(value) - _PART_LENGTH + 1))
    return any(value[start : start + _PART_LENGTH] in text for start in starts)
