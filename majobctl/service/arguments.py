"""The types of Python arguments. No message shows a value: it may be a secret."""

from __future__ import annotations

from collections.abc import Iterable

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import wrong_type

LARGEST = 1_000_000


def require_texts(**given: object) -> None:
    """Raises ConfigError for each argument that is neither a string nor None."""
    _refuse((name, "a string", it) for name, it in given.items() if not isinstance(it, str | None))


def require_numbers(**given: object) -> None:
    """Raises ConfigError for each number that is not from 0 to ``LARGEST``."""
    _require((int, float), f"a number from 0 to {LARGEST}", given)


def require_integers(**given: object) -> None:
    _require((int,), f"an integer from 0 to {LARGEST}", given)


def _require(kinds: tuple[type, ...], wanted: str, given: dict[str, object]) -> None:
    _refuse(
        (name, wanted, value)
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, kinds) or not 0 <= value <= LARGEST  # type: ignore[operator]
    )


def _refuse(wrong: Iterable[tuple[str, str, object]]) -> None:
    if problems := [_problem(*item) for item in wrong]:
        raise ConfigError(problems)


def _problem(name: str, wanted: str, value: object) -> Problem:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    outside = is_number and " from " in wanted
    message = f"must be {wanted}" if outside else wrong_type("", wanted, value).strip()
    return Problem(where=name, message=message)
