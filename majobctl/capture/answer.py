"""What the service would have answered, and nobody asked it."""

from __future__ import annotations

from typing import Any

UNKNOWN = "(what the service would have answered)"
_SETTLED = {"is_success": True, "status": 10}
"""What every answer has: a job is done at once."""


class Answer(dict[Any, Any]):
    """What nobody answered: whatever a script does with it works, as far as that is possible."""

    def __missing__(self, key: Any) -> Any:
        return _SETTLED[key] if key in _SETTLED else Answer()

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get(key, _SETTLED.get(key, default))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return Answer()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *about: object) -> None:
        pass

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        return super().__repr__() if len(self) else UNKNOWN
