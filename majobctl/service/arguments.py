"""The types of Python arguments. No message shows a value: it may be a secret."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from majobctl.errors import ConfigError, Problem

LARGEST = 1_000_000


def require_texts(**given: object) -> None:
    """Raises ConfigError for each argument that is neither a string nor None."""
    _require("a string", lambda value: isinstance(value, str | None), given)


def require_numbers(*kinds: type, **given: object) -> None:
    """Raises ConfigError for each that is not from 0 to ``LARGEST``, and of one of ``kinds``."""

    def is_right(value: Any) -> bool:
        is_number = isinstance(value, kinds) and not isinstance(value, bool)
        return is_number and bool(0 <= value <= LARGEST)

    kind = "a number" if float in kinds else "an integer"
    _require(f"{kind} from 0 to {LARGEST}", is_right, given)


def _require(wanted: str, is_right: Callable[[object], bool], given: dict[str, object]) -> None:
    if wrong := [name for name, value in given.items() if not is_right(value)]:
        raise ConfigError(Problem(where=name, message=f"must be {wanted}") for name in wrong)
