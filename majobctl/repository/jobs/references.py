"""References in strings: ``${env.NAME}`` is an environment variable, ``${var.NAME}`` a variable,
``${matrix.KEY}`` the value of a combination, ``$${`` a literal ``${``.

It knows strings and where they stand below a job config, and nothing of the keys themselves.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from majobctl.job_config.violations import Path, Violation
from majobctl.repository.settings.variables import unknown_variable
from majobctl.text import nearest, quoted

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_ENV = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_DEPTH = 4
"""A job config's strings stand no deeper; what does is of a wrong type, and told as that."""


@dataclass(slots=True)
class Interpolation:
    """What became of the references below one table.

    ``values`` are the resolved ones; ``from_environment`` are the paths of the strings that hold
    an ``${env.NAME}``, or one of ``secrets``; ``faults`` are the references that could not be
    resolved; ``open`` are the paths of those to a matrix among them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    from_environment: set[Path] = field(default_factory=set)
    faults: list[Violation] = field(default_factory=list)
    open: set[Path] = field(default_factory=set)
    texts: Mapping[str, str] = field(default_factory=dict)
    secrets: Collection[str] = ()

    @classmethod
    def of(
        cls,
        raw: Mapping[str, Any],
        texts: Mapping[str, str] | None = None,
        secrets: Collection[str] = (),
    ) -> Interpolation:
        """Resolves every reference in the strings of ``raw``.

        ``texts`` are those of all but the environment, by what stands in the braces; ``secrets``
        are the references among them that nobody may see.
        """
        result = cls(texts=texts or {}, secrets=secrets)
        result.values = {key: result._resolved(value, (key,)) for key, value in raw.items()}
        return result

    def _resolved(self, value: Any, path: Path) -> Any:
        if isinstance(value, str):
            return self._resolved_text(value, path) if "${" in value else value
        if len(path) == _DEPTH:
            return value
        if isinstance(value, Mapping):
            return {key: self._resolved(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolved(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _resolved_text(self, text: str, path: Path) -> str:
        return _REFERENCE.sub(lambda match: self._replacement(match, path), text)

    def _replacement(self, match: re.Match[str], path: Path) -> str:
        reference = match.group(1)
        if reference is None:
            return "${"
        is_closed = match.group().endswith("}")
        if is_closed and reference in self.texts:
            if reference in self.secrets:
                self.from_environment.add(path)
            return self.texts[reference]
        variable = _ENV.fullmatch(reference) if is_closed else None
        if variable is None:
            message = self._unknown_reference(match.group(), reference, path)
            self.faults.append(Violation(path, message))
            return match.group()
        self.from_environment.add(path)
        name = variable.group(1)
        value = os.environ.get(name)
        if value is None:
            message = f"the environment variable {name} is not set; set it, or leave out the key"
            self.faults.append(Violation(path, message))
            return match.group()
        return value

    def _unknown_reference(self, shown: str, reference: str, path: Path) -> str:
        kind, _, name = reference.partition(".")
        if not shown.endswith("}"):
            return f"{quoted(shown)} has no closing }}: {_FORMS}"
        if kind == "var":
            return f"{quoted(shown)}: {unknown_variable(name, self._names(kind))}"
        if kind == "matrix":
            self.open.add(path)
            hint = nearest(name, self._names(kind)) or "; it stands where a matrix has this key"
            return f"{quoted(shown)}: no matrix with {quoted(name)}{hint}"
        return f"{quoted(shown)} is no reference: {_FORMS}"

    def _names(self, kind: str) -> list[str]:
        return [key[len(kind) + 1 :] for key in self.texts if key.startswith(f"{kind}.")]


_FORMS = "write ${env.NAME}, ${var.NAME}, or $${ for a literal ${"


def reference_alone(text: object) -> str | None:
    """``text`` where it is one ``${env.NAME}`` alone, and so tells no part of a value."""
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    inner = match.group(1) if match else None
    return str(text) if inner is not None and _ENV.fullmatch(inner) else None
