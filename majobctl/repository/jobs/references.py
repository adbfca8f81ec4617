"""References in strings: ``${env.NAME}`` is an environment variable, ``${var.NAME}`` a variable,
``${matrix.KEY}`` the value of a combination, ``$${`` a literal ``${``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from majobctl.job_config.fields import FIELDS, Kind
from majobctl.job_config.secrets import UnsetText, is_own_credential
from majobctl.job_config.values import CONTROL_CHARACTER, TypedText
from majobctl.job_config.violations import Path, Violation
from majobctl.repository.settings.variables import unknown_variable
from majobctl.text import nearest, quoted

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_ENV = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
_FORMS = "write ${env.NAME}, ${var.NAME}, or $${ for a literal ${"
MOST_CHARACTERS = 1_000_000
"""How much the references in one table may add: more than any request takes."""
_TOO_LONG = f"references make this table longer by more than {MOST_CHARACTERS:,} characters"
_CONTROL = "must not have a control character, such as a line break"
_OWN = (
    "is a credential of majobctl or of the CI, and never goes to a job; give the job a credential"
    " of its own, in a variable with another name"
)
_COUNTS = {(name,) for name, field in FIELDS.items() if field.kind is Kind.COUNT}
"""The places where a reference alone has the type of its value. Anywhere else, text is wanted."""
_MAX_DEPTH = 4
"""No valid string of a job config is deeper; one that is has a wrong type, and stays as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A table with its references resolved. ``secret_paths`` are those of the strings with an
    ``${env.NAME}`` or a secret, ``matrix_paths`` those with an unknown ``${matrix.KEY}``. A string
    with a variable of the environment that is not set, or blank, is an ``UnsetText``. ``added``
    is the length of all texts that came in."""

    values: Mapping[str, Any]
    secret_paths: Collection[Path] = ()
    matrix_paths: Collection[Path] = ()
    added: int = 0


def resolve(
    raw: Mapping[str, Any], texts: Mapping[str, str] | None = None, secrets: Collection[str] = ()
) -> tuple[Resolved, list[Violation]]:
    """``raw`` with the references in its strings resolved, and a violation for each that is wrong.
    ``texts`` are those of all but the environment's, by what is between the braces; ``secrets`` are
    those among them that no message may show."""
    known = texts or {}
    secret_paths, matrix_paths = set[Path](), set[Path]()
    violations: list[Violation] = []
    added = 0

    def replaced(match: re.Match[str], path: Path, unset: list[str]) -> str:
        nonlocal added
        written, reference, end = match[0], match[1], match[2]
        if reference is None:
            return "${"
        text = known.get(reference) if end else None
        if variable := _ENV.fullmatch(reference) if end and text is None else None:
            secret_paths.add(path)
            text, name = os.environ.get(variable[1], ""), variable[1]
            if is_own_credential(text, name):
                violations.append(Violation(path, f"{quoted(written)} {_OWN}"))
            elif not text.strip():
                unset.append(name)
                return written
            elif CONTROL_CHARACTER.search(text):
                violations.append(Violation(path, f"the environment variable {name} {_CONTROL}"))
                text = CONTROL_CHARACTER.sub("", text)
        if text is not None:
            if reference in secrets:
                secret_paths.add(path)
            added += len(text)
            return text if added <= MOST_CHARACTERS else ""
        if end and reference.partition(".")[0] == "matrix":
            matrix_paths.add(path)
        violations.append(Violation(path, _why_unresolved(written, reference, known)))
        return written

    def resolved(text: str, path: Path) -> Any:
        unset: list[str] = []
        typed = known.get(text[2:-1]) if path in _COUNTS and text[-1] == "}" else None
        text = _REFERENCE.sub(lambda match: replaced(match, path, unset), text)
        plain = UnsetText(text, unset) if unset else text
        return typed.value if isinstance(typed, TypedText) else plain

    values = {key: _mapped(value, (key,), resolved) for key, value in raw.items()}
    if added > MOST_CHARACTERS:
        violations.append(Violation((), _TOO_LONG))
    paths = {"secret_paths": secret_paths, "matrix_paths": matrix_paths}
    return Resolved(values=values, added=added, **paths), violations


def with_reference(wrong: Violation, written: Mapping[str, Any]) -> Violation:
    """``wrong``, with what is ``written`` at its place if that is a reference alone."""
    text = written.get(str(wrong.path[0])) if wrong.path in _COUNTS else None
    if isinstance(text, str) and _REFERENCE.fullmatch(text):
        return replace(wrong, hint=f"(from {quoted(text)})")
    return wrong


def _mapped(value: Any, path: Path, resolved: Callable[[str, Path], Any]) -> Any:
    if isinstance(value, str):
        return resolved(value, path) if "${" in value else value
    if len(path) == _MAX_DEPTH:
        return value
    if isinstance(value, Mapping):
        return {key: _mapped(item, (*path, key), resolved) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, (*path, index), resolved) for index, item in enumerate(value)]
    return value


def _why_unresolved(written: str, reference: str, texts: Mapping[str, str]) -> str:
    if not written.endswith("}"):
        return f"{quoted(written)} has no closing }}: {_FORMS}"
    kind, _, name = reference.partition(".")
    known = [key.removeprefix(f"{kind}.") for key in texts if key.startswith(f"{kind}.")]
    if kind == "var":
        return f"{quoted(written)}: {unknown_variable(name, known)}"
    if kind == "matrix":
        hint = nearest(name, known) or "; it needs a matrix with this key"
        return f"{quoted(written)}: no matrix with {quoted(name)}{hint}"
    return f"{quoted(written)} is not a reference: {_FORMS}"


def split(text: str, kinds: str = "var|matrix") -> list[str]:
    """Literal text and references of these ``kinds``, such as ``var.NAME``, by turns."""
    parts = re.split(rf"(?<!\$)\$\{{((?:{kinds})\.[^}}]*)\}}", text)
    parts[::2] = [part.replace("$${", "${") for part in parts[::2]]
    return parts


def reference_alone(text: object) -> str | None:
    """``text`` if it is a single ``${env.NAME}``, and so holds no part of the value; else None."""
    match = _REFERENCE.fullmatch(text) if isinstance(text, str) else None
    return match[0] if match and match[1] is not None and _ENV.fullmatch(match[1]) else None
