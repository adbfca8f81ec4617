"""What is read of TOML texts, with the libraries of whichever Python runs this: JSON to JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.metadata import version

from majobctl.errors import ConfigError
from majobctl.repository.authoring.format import formatted
from majobctl.repository.toml.file import TomlFile


def results(texts: Sequence[str]) -> list[str]:
    """The data and what ``fmt`` makes of the text, or the problem."""
    found = []
    for text in texts:
        try:
            data = repr(TomlFile.parse(text.encode(), "a.toml").data)
            found.append(f"{data} {formatted(text.encode(), 'a.toml')}")
        except ConfigError as error:
            found.append(str(error))
    return found


if __name__ == "__main__":
    versions = [version(name) for name in ("tomli", "tomlkit")]
    json.dump([versions, results(json.load(sys.stdin))], sys.stdout)
