"""A broken rule of a job config: where it is and what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from majobctl.text import quoted

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule broken at ``path``; ``with_key`` names the other key of a rule between two.

    ``value``, where there is one, ends the sentence of ``message``; it stands at ``value_path``,
    and is told apart so that a sensitive one is never shown.
    """

    path: Path
    message: str
    with_key: str = ""
    value: str | None = None
    value_path: Path = ()
    hint: str = ""

    def text(self, is_sensitive: Callable[[Path], bool] = lambda path: False) -> str:
        """The whole sentence, for a reader who may not see sensitive values."""
        parts = [self.message]
        if self.value is not None:
            is_hidden = is_sensitive(self.value_path)
            parts.append("(sensitive)" if is_hidden else quoted(self.value))
        if self.hint:
            parts.append(self.hint)
        return " ".join(parts)
