"""A broken rule. A check returns violations; only the loaders add files and lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

from majobctl.text import quoted, without_login

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule broken at ``path``; ``with_key`` is the other key of a rule between two keys.
    ``value`` ends the sentence of ``message``, and has a ``value_path`` of its own, so that a
    secret one is hidden."""

    path: Path
    message: str
    _: KW_ONLY
    with_key: str = ""
    value: str | None = None
    value_path: Path = ()
    hint: str = ""

    def text(self, is_sensitive: Callable[[Path], bool] = lambda path: False) -> str:
        """The complete sentence, for a reader who may not see sensitive values."""
        parts = [self.message]
        if self.value is not None:
            is_hidden = is_sensitive(self.value_path)
            parts.append("(sensitive)" if is_hidden else quoted(without_login(self.value)))
        if self.hint:
            parts.append(self.hint)
        return " ".join(parts)
