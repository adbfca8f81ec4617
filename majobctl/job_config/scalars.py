"""Checks of single values: text, OBS paths and counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from majobctl.job_config.secrets import UnsetText
from majobctl.job_config.values import CONTROL_CHARACTER, INTEGER_LIMIT, wrong_type
from majobctl.job_config.violations import Path, Violation

Checked = tuple[Any, Sequence[Violation]]
"""A normalised value, or None and what is wrong with it."""

COUNT_LIMIT = 2**31
SURROGATE = re.compile("[\ud800-\udfff]")
_PART = r"(?!\.\.(?:/|\Z))[^/\x00-\x1f\x7f-\x9f\ud800-\udfff]+"
_OBS_PATH = re.compile(rf"(?:obs:/)?(/{_PART}/(?:{_PART}/)*(?:{_PART})?)")


def refused(path: Path, message: str) -> Checked:
    return None, (Violation(path, message),)


def string_at(path: Path, value: object, what: str, max_length: int = 0) -> Checked:
    """The string ``value``; ``what`` names it in a message."""
    if isinstance(value, UnsetText):
        return value.mask, ()
    if not isinstance(value, str):
        return refused(path, wrong_type(what, "a string", value))
    if not (value.isascii() and value.isprintable()):
        # A lone surrogate comes from Python, or from an environment variable that is not UTF-8.
        if SURROGATE.search(value):
            return refused(path, f"{what} must be Unicode text")
        if CONTROL_CHARACTER.search(value):
            return refused(path, f"{what} must not have a control character, such as a line break")
    if 0 < max_length < len(value):
        allowed = f"at most {max_length} are allowed"
        return refused(path, f"{what} has {len(value)} characters; {allowed}")
    return value, ()


def obs_path_at(path: Path, value: object, what: str) -> Checked:
    """The OBS path ``value``, as ``/bucket/...``; ``what`` names it in a message."""
    if type(value) is str and value[:1] == "/" and value.find("/", 2) > 0:
        # Most of them, without the pattern.
        is_plain = value.isascii() and value.isprintable()
        if is_plain and "//" not in value and "/." not in value:
            return value, ()
    is_known = isinstance(value, str) and not isinstance(value, UnsetText)
    if is_known and (match := _OBS_PATH.fullmatch(str(value))):
        return match[1], ()
    text, violations = string_at(path, value, what)
    if not isinstance(text, str):
        return text, violations
    message = f"{what} {_wrong_path(text[5:] if text.startswith('obs://') else text)}"
    return None, (Violation(path, message, value=text, value_path=path),)


def _wrong_path(plain: str) -> str:
    """Why ``plain`` is not an OBS path; the message ends with the path itself."""
    parts = plain.split("/")
    if len(parts) < 3 or parts[0] or not parts[1]:
        return 'must be an OBS path such as "/bucket/dir/", not'
    what = "an empty part (//)" if "" in parts[2:-1] else 'a ".." part'
    return f"must not have {what}:"


def count_at(path: Path, value: object, what: str) -> Checked:
    if not isinstance(value, int) or isinstance(value, bool):
        return refused(path, wrong_type(what, "an integer", value))
    if 1 <= value < COUNT_LIMIT:
        return value, ()
    shown = value if abs(value) < INTEGER_LIMIT else "a number of more than 64 bits"
    wanted = "at least 1" if value < 1 else f"less than {COUNT_LIMIT}"
    return refused(path, f"{what} must be {wanted}, not {shown}")
