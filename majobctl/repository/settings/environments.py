"""An environment's tables laid over the others: the settings file as ``-e NAME`` reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from majobctl.job_config.directives import IGNORE_CHANGES, SENSITIVE
from majobctl.job_config.values import type_name
from majobctl.job_config.violations import Violation
from majobctl.repository.toml.file import TomlFile
from majobctl.repository.toml.positions import KeyPath
from majobctl.text import nearest, quoted

TABLE = "environments"
POLICY = "policy"
_JOINED = (("defaults", SENSITIVE), ("defaults", IGNORE_CHANGES))
"""Arrays that are joined, with the environment's own items first."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")


class OverlaidFile(TomlFile):
    """A settings file with ``[environments.NAME]`` laid over the other tables; ``data`` has no
    environments, and no policies, which are the same for all. A line is that of the environment's
    own key if it has one."""

    def __init__(self, file: TomlFile, name: str) -> None:
        self._file = file
        self._prefix = (TABLE, name)
        self._above = environments_of(file)[name]
        below = {key: value for key, value in file.data.items() if key not in (TABLE, POLICY)}
        data = laid_over(below, self._above)
        super().__init__(file.name, "", _with_joined_directives(data, below, self._above))

    @property
    def may_refer(self) -> bool:
        return self._file.may_refer

    def line_of(self, path: KeyPath) -> int:
        if path[:2] in _JOINED and len(path) == 3 and isinstance(path[2], int):
            own = self._above.get("defaults", {}).get(path[1], ())
            if path[2] >= len(own):
                return self._file.line_of((*path[:2], path[2] - len(own)))
        return self._file.line_of(self.written(path))

    @property
    def plain(self) -> TomlFile:
        return self._file

    def written(self, path: KeyPath) -> KeyPath:
        while path:
            if _has(self._above, path):
                return (*self._prefix, *path)
            if _has(self._file.data, path):
                return path
            path = path[:-1]
        return self._prefix


def environments_of(file: TomlFile) -> Mapping[str, Mapping[str, Any]]:
    """The environments by name, without those that are not tables."""
    tables = file.data.get(TABLE, {})
    if not isinstance(tables, Mapping):
        return {}
    return {name: table for name, table in tables.items() if isinstance(table, Mapping)}


def environment_violations(file: TomlFile) -> Iterator[Violation]:
    tables = file.data.get(TABLE, {})
    if not isinstance(tables, Mapping):
        yield Violation((TABLE,), f"must be tables, [{TABLE}.NAME], not {type_name(tables)}")
        return
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            message = f"must be a table, [{TABLE}.NAME], not {type_name(table)}"
            yield Violation((TABLE, name), message)
        elif not _NAME.fullmatch(name):
            message = "an environment's name has 1 to 40 letters, digits, _ or -"
            yield Violation((TABLE, name), message)


def unknown_environment(name: str, file: TomlFile) -> str:
    if not (known := list(environments_of(file))):
        return f"no environment {quoted(name)}: {file.name} has no [{TABLE}.NAME] table"
    hint = nearest(name, known) or f"; the settings have {', '.join(map(quoted, known))}"
    return f"no environment {quoted(name)}{hint}"


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``: tables are merged key by key, other values replaced."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping) and isinstance(under, Mapping):
            value = laid_over(under, value)
        merged[key] = value
    return merged


def _with_joined_directives(
    data: dict[str, Any], below: Mapping[str, Any], above: Mapping[str, Any]
) -> dict[str, Any]:
    """``data`` with what the defaults of both sides keep secret, and ignore."""
    for _, key in _JOINED:
        sides = [side.get("defaults") for side in (above, below)]
        lists = [side.get(key) for side in sides if isinstance(side, Mapping)]
        if len(lists) == 2 and all(isinstance(names, list) for names in lists):
            data["defaults"][key] = [name for names in lists for name in names or ()]
    return data


def _has(data: Any, path: KeyPath) -> bool:
    for part in path:
        if isinstance(part, int) or not isinstance(data, Mapping):
            # An array replaces the other one completely.
            return True
        if part not in data:
            return False
        data = data[part]
    return True
