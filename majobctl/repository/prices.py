"""What flavors cost: ``prices.toml`` beside the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from majobctl.errors import ConfigError, Problem
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.settings import PRICES_NAME
from majobctl.repository.toml.file import TomlFile
from majobctl.text import quoted

Prices: TypeAlias = tuple[str, Mapping[str, float]]
"""The currency, and what a node of each flavor costs in an hour."""
NO_PRICES: Prices = ("", {})


def read_prices(root: Path) -> tuple[Prices, Sequence[Problem]]:
    if not os.path.lexists(root / PRICES_NAME):
        return NO_PRICES, ()
    try:
        file = TomlFile.read(root / PRICES_NAME, PRICES_NAME)
    except ConfigError as error:
        return NO_PRICES, error.problems
    if problems := [*map(file.problem, _violations(file.data))]:
        return NO_PRICES, problems
    prices = file.data["price_per_hour"].items()
    return (file.data["currency"], {name: float(price) for name, price in prices}), ()


def _violations(data: Mapping[str, Any]) -> Iterator[Violation]:
    for key in data.keys() - {"currency", "price_per_hour"}:
        message = f"unknown key {quoted(key)}; known are currency and [price_per_hour]"
        yield Violation((key,), message)
    if not isinstance(data.get("currency"), str) or not data["currency"].isalpha():
        yield Violation(("currency",), 'currency must be a name such as "EUR"')
    prices = data.get("price_per_hour")
    if not isinstance(prices, Mapping):
        yield Violation(("price_per_hour",), "price_per_hour must be a table")
        return
    for name, price in prices.items():
        is_number = type(price) is int or isinstance(price, float)
        if not is_number or not 0 <= price < 1e6:
            found = price if is_number else type_name(price)
            hint = "; put the flavor in quotes" if isinstance(price, Mapping) else ""
            message = f"{quoted(name)} must be a number from 0 to 999,999, not {found}{hint}"
            yield Violation(("price_per_hour", name), message)
