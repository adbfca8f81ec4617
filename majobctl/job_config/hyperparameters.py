"""Checks of ``hyperparameters``: ``{label = value}``, or an array of ``{label, value}``."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from majobctl.job_config.scalars import Checked, refused, string_at
from majobctl.job_config.secrets import SHOWN, UnsetText
from majobctl.job_config.values import hyperparameter_text, wrong_type
from majobctl.job_config.violations import Path, Violation
from majobctl.text import quoted

_ITEM_KEYS = {"label", "value"}
_PLACEHOLDER = SHOWN[:-1]
"""What output begins with in place of a secret: nobody means to send it."""


def hyperparameters_at(path: Path, value: object, what: str) -> Checked:
    """``{label: text}``, sorted by label."""
    contents: Mapping[str, object]
    places: Mapping[str, int] = {}
    violations: list[Violation] = []
    if isinstance(value, Mapping):
        contents = value
        if foreign := [label for label in value if not isinstance(label, str)]:
            return refused(path, wrong_type(f"{what}: a label", "a string", foreign[0]))
    elif isinstance(value, (list, tuple)):
        contents, places, violations = _array_contents(value, what)
    else:
        wanted = "a table {label = value} or an array of {label, value}"
        return refused(path, wrong_type(what, wanted, value))
    if not violations and (plain := _plain(contents)) is not None:
        return plain, ()
    labelled: dict[str, Any] = {}
    for label in sorted(contents):
        content = contents[label]
        text = hyperparameter_text(content)
        sent = "" if text is None else label + text
        is_plain = label and sent.isascii() and sent.isprintable() and "${" not in label
        if text is None or not is_plain or text.startswith(_PLACEHOLDER):
            place = (*path, places.get(label, label))
            violations += _violations(place, label, content)
        labelled[label] = content.mask if isinstance(content, UnsetText) else text or ""
    return (None if violations else labelled), violations


def _plain(contents: Mapping[str, object]) -> dict[str, str] | None:
    """Their texts, if a look at all of them together shows that each is right, as most are."""
    texts = {
        label: it if type(it := contents[label]) is str else hyperparameter_text(it) or _PLACEHOLDER
        for label in sorted(contents)
    }
    sent = "".join([*texts, *texts.values()])
    is_plain = sent.isascii() and sent.isprintable() and "" not in texts
    return texts if is_plain and "${" not in sent and _PLACEHOLDER not in sent else None


_OF_AN_ARRAY = (
    "; write it in quotes to send it as text;"
    " in a job file, matrix makes a job config of each value"
)


def _violations(path: Path, label: str, content: object) -> Sequence[Violation]:
    what, text = f"hyperparameter {quoted(label)}", hyperparameter_text(content)
    if not label:
        return [Violation(path, "a hyperparameter's label must not be empty")]
    if "${" in label:
        return [Violation(path, f"{what}: only a value can have a reference, not a label")]
    if text is not None and text.startswith(_PLACEHOLDER):
        shown = f"{quoted(text)} is what majobctl shows in place of a secret"
        return [Violation(path, f'{what}: {shown}; write "${{env.NAME}}"')]
    if text is not None:
        return string_at(path, label + text, what)[1]
    if isinstance(content, int):
        message = f"{what} must fit in 64 bits; write it in quotes to send it as text"
    else:
        message = wrong_type(what, "a string, an integer, a float or a boolean", content)
        message += _OF_AN_ARRAY if isinstance(content, list) else ""
    return [Violation(path, message)]


def _array_contents(
    items: Sequence[Any], key: str
) -> tuple[dict[str, object], dict[str, int], list[Violation]]:
    """The value of each label, and the index of its item."""
    contents: dict[str, object] = {}
    places: dict[str, int] = {}
    violations: list[Violation] = []
    for index, item in enumerate(items):
        violation = _item_violation(item, (key, index), contents)
        if violation is not None:
            violations.append(violation)
        else:
            contents[item["label"]], places[item["label"]] = item["value"], index
    return contents, places, violations


def _item_violation(item: object, path: tuple[str, int], known: Container[str]) -> Violation | None:
    key, index = path
    # Each message has the item's number, because items may share a line.
    if not isinstance(item, Mapping) or item.keys() != _ITEM_KEYS:
        wanted = "must be a table with label and value, and nothing else"
        return Violation(path, f"{key}: item {index + 1} {wanted}")
    label = item["label"]
    if not isinstance(label, str):
        what = f"{key}: the label of item {index + 1}"
        return Violation((*path, "label"), wrong_type(what, "a string", label))
    if not label:
        return Violation(path, f"{key}: the label of item {index + 1} must not be empty")
    if label in known:
        return Violation(path, f"hyperparameter {quoted(label)} is defined twice")
    return None
