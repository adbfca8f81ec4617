"""Removes secret values from text that comes from outside: the service, a gateway, a proxy, IAM."""

from __future__ import annotations

import json
import re
import string
from base64 import b64encode
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from html import unescape
from typing import Any
from urllib.parse import quote, unquote, unquote_plus

from majobctl.job_config.secrets import PLAIN, PUBLIC, SHOWN, looks_secret, masked_places, value_at
from majobctl.text import MOST_CHARACTERS, cut

_LAYERS = 3
"""How many escapes around one another are looked through, such as JSON in JSON in a page."""
_WORD = "password"
"""A word of many messages, so that it says nothing about a secret that has it, too."""
_CREDENTIAL = re.compile(
    r"(\bsignature\W{1,6}|\bx-(?:auth|security|subject)-token\W{1,6})[\w+/.-]{8,}=*", re.IGNORECASE
)
_ESCAPE = re.compile(
    r"\\(?:u([0-9a-fA-F]{4})|(?:x|u\{0*)([0-9a-fA-F]{2})|([0-7]{3})|(.))", re.DOTALL
)
_SEPARATORS = re.compile(r"[\W_]+")
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def secret_texts(masked: Mapping[str, Any], params: Mapping[str, Any]) -> set[str]:
    """The texts in ``params`` that ``masked``, made from it, hides."""
    return {text for place in masked_places(masked) for text in texts_in(value_at(params, place))}


def texts_in(value: Any) -> Iterator[str]:
    """The plain values in ``value`` as texts."""
    if isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(item)
    elif value is not None:
        yield str(value)


def written_secrets(data: Any, names: Collection[str] = ()) -> Iterator[str]:
    """The values in ``data``, as read from TOML, at keys and labels in ``names`` or that look
    secret. A reference is not a value."""
    for key, value in data.items() if isinstance(data, Mapping) else ():
        label = str(data.get("label", "")) if key == "value" else key
        for text in texts_in(value) if label in names or looks_secret(label) else ():
            if "${" not in text and (label in names or not PLAIN.fullmatch(text)):
                yield text
    for item in data.values() if isinstance(data, Mapping) else data:
        if isinstance(item, (Mapping, list)):
            yield from written_secrets(item, names)


def sensitive_names(data: Any) -> Iterator[str]:
    """What each ``sensitive`` in ``data``, as read from TOML, names."""
    for key, item in data.items() if isinstance(data, Mapping) else ():
        if key == "sensitive":
            yield from texts_in(item)
        elif isinstance(item, Mapping):
            yield from sensitive_names(item)


def without_traces(
    text: str, values: Iterable[str], max_length: int | None = MOST_CHARACTERS
) -> str:
    """``text``, from outside, without ``values``; a note instead if it has parts of them. A value
    may be quoted whole, cut, escaped or encoded. Tokens and signatures that a header's name gives
    away are hidden, whoever they belong to."""
    text = _CREDENTIAL.sub(rf"\1{SHOWN}", text if max_length is None else cut(text, max_length))
    hidden = sorted({value for value in values if value and value != PUBLIC}, key=len, reverse=True)
    for value in hidden:
        text = text.replace(value, SHOWN)
    if hidden and has_traces(text.replace(SHOWN, "\0"), hidden):
        return f"{SHOWN} (this text has a part of a sensitive value)"
    return text


def has_traces(text: str, values: Iterable[str]) -> bool:
    """Whether ``text`` has a part of one of ``values`` that is long enough to matter."""
    forms = {text}
    for _ in range(_LAYERS):
        forms |= {decoded for form in forms for decoded in _decoded(form)}
    forms |= {_SEPARATORS.sub("", form) for form in forms}
    parts = {
        size: {part for form in forms for part in _parts(form.translate(_LOWER), size)}
        for size in _SIZES
    }
    return any(not found.isdisjoint(parts[size]) for it in values for size, found in _traces(it))


def _decoded(text: str) -> Iterator[str]:
    yield from (unquote(text), unquote_plus(text), unescape(text), unquote(text.replace("=", "%")))
    plain = _ESCAPE.sub(_character, text.replace("%u", "\\u").replace("\\U0000", "\\u"))
    # The escapes of a surrogate pair are one character.
    yield plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: re.Match[str]) -> str:
    code, octal, letter = escape[1] or escape[2], escape[3], escape[4]
    return _CONTROLS.get(letter, letter) or chr(int(code or octal, 16 if code else 8))


_SIZES = range(4, 9)
_PART = 6
"""Two thirds of a form give it away, but no fewer characters than these, and always eight."""


def _parts(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(len(text) - size + 1))


@lru_cache(maxsize=64)
def _traces(value: str) -> list[tuple[int, frozenset[str]]]:
    """The parts of each form of ``value`` that give it away, by their length."""
    found: dict[int, set[str]] = {}
    for form in forms_of(value):
        size = min(len(form), max(_PART, len(form) * 2 // 3), _SIZES[-1])
        found.setdefault(size, set()).update(_parts(form.translate(_LOWER), size))
    return [
        (size, frozenset(parts.difference(_parts(_WORD, size)))) for size, parts in found.items()
    ]


def forms_of(value: str) -> set[str]:
    """``value`` and what text may have in its place that ``_decoded`` does not read."""
    written = (value, json.dumps(value)[1:-1], quote(value, safe="", errors="replace"))
    forms = set(written)
    contents = [text.encode("utf-8", "surrogatepass") for text in written]
    for content in (*contents, value.encode("utf-16-le", "surrogatepass")):
        forms |= {content.hex(), "".join(map(str, content))}
        for before in range(3):
            # Only the characters that depend on nothing but the value, wherever it begins.
            encoded = b64encode(b"\0" * before + content).decode().rstrip("=")
            inner = encoded[(0, 2, 3)[before] : -1]
            forms |= {inner, inner.replace("+", "-").replace("/", "_")}
    forms |= {_SEPARATORS.sub("", form) for form in forms}
    return {form for form in forms if len(form) >= _SIZES[0]}
