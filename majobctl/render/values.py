"""One value as one line of text that is safe to print."""

from __future__ import annotations

import json
from typing import Any

from majobctl.job_config.secrets import SHOWN, is_masked, unset_variables, without_hashes
from majobctl.text import printable

_ENCODE = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def json_text(value: Any) -> str:
    """The value as JSON; a sensitive one as ``(sensitive)``, with the variables that it lacks."""
    missing = "".join(f", {name} is not set" for name in unset_variables(value))
    text = SHOWN if is_masked(value) else _ENCODE(without_hashes(value, SHOWN))
    return printable(f"(sensitive{missing})" if missing else text)


def shown(value: Any) -> Any:
    """``value`` with a text in place of each mask."""
    return without_hashes(value, json_text)
