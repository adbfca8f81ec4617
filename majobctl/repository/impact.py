"""What flavors cost, and who owns a file: ``prices.toml`` beside the settings, and CODEOWNERS at
GitHub's or GitLab's place for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from majobctl.errors import ConfigError
from majobctl.job_config.values import WrittenFloat
from majobctl.job_config.violations import Violation
from majobctl.repository.settings.settings import PRICES_NAME
from majobctl.repository.toml.file import TomlFile, content_of
from majobctl.text import printable, quoted

Prices: TypeAlias = tuple[str, Mapping[str, float]]
"""The currency, and what a node of each flavor costs in an hour."""
NO_PRICES: Prices = ("", {})
_PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""In the order of both: the first three are GitHub's, the last three GitLab's."""
_HEADING = re.compile(r"\^?\[([^\]]+)\](?:\[\d+\])?(\s.*)?")


def read_prices(root: Path) -> Prices:
    """Raises ConfigError with every problem. Other keys are free, such as a date."""
    if not os.path.lexists(root / PRICES_NAME):
        return NO_PRICES
    file = TomlFile.read(root / PRICES_NAME, PRICES_NAME)
    found: Mapping[str, Any] = {"currency": "", "price_per_hour": "", **file.data}
    currency, prices, wrong = found["currency"], found["price_per_hour"], []
    if not isinstance(currency, str) or not currency.isalpha():
        wrong.append(Violation(("currency",), 'currency must be a name such as "EUR"'))
    if not isinstance(prices, Mapping):
        wrong.append(Violation(("price_per_hour",), "price_per_hour must be a table"))
    for name, price in prices.items() if isinstance(prices, Mapping) else ():
        if type(price) not in (int, WrittenFloat) or not 0 <= price < 1e6:
            message = f'{quoted(name)} must be a number from 0 to 999,999: "FLAVOR" = 2.5'
            message += "; a name with dots is in quotes" * isinstance(price, Mapping)
            wrong.append(Violation(("price_per_hour", name), message))
    if wrong:
        raise ConfigError(map(file.problem, wrong))
    return currency, {name: float(price) for name, price in prices.items()}


def owners_of(root: Path, names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """The owners of each of these files of ``root``; nothing if the git repository has no
    CODEOWNERS. Raises ConfigError if that cannot be read."""
    folder = Path(os.path.realpath(root))
    top = next((it for it in (folder, *folder.parents) if os.path.lexists(it / ".git")), folder)
    place = next((it for it in _PLACES if os.path.isfile(top / it)), None)
    if place is None:
        return {}
    from codeowners import CodeOwners

    text = content_of(top / place, place).decode("utf-8-sig", "replace")
    rules = CodeOwners("\n".join(_rules([line.strip() for line in text.splitlines()], place)))
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted({*names}):
        path = os.path.relpath(os.path.join(folder, name), top).replace(os.sep, "/")
        # Of each section, the last line that fits counts; they come in reverse.
        fitting = {section: owners for owners, _, _, section in [*rules.matching_lines(path)][::-1]}
        owners = (printable(owner) for pairs in fitting.values() for _, owner in pairs)
        found[name] = tuple(dict.fromkeys(owners))
    return found


def _rules(lines: Sequence[str], place: str) -> Iterator[str]:
    """The lines as GitHub would have them. GitLab's sections may have owners for lines without,
    its paths may be anywhere unless they begin with a slash, and its exclusions come last."""
    headings = [_HEADING.fullmatch(line) for line in lines]
    is_gitlab = place == _PLACES[-1] or (place != _PLACES[0] and any(headings))
    section, default, excluded = "[]", "", []
    for line, heading in zip(lines, headings, strict=True):
        # Within a line, nothing is a set of characters.
        rule = re.sub(r"\\*\[", r"\\[", line)
        if not is_gitlab:
            yield re.sub(r"\s#.*", "", rule)
        elif heading:
            section, default = f"[{heading[1].casefold()}]", heading[2] or ""
            yield section
        elif line.startswith("!"):
            excluded += [section, rule[1:]]
        elif line and not line.startswith("#"):
            has_owners = len(line.replace("\\ ", "").split()) > 1
            yield ("" if line.startswith("/") else "**/") + rule + ("" if has_owners else default)
    yield from excluded
