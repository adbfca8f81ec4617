"""What the service has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A configuration as the service has it.

    ``params`` are normalised like those of a JobConfig. A value that no job config could have is
    kept as text, and so is an id without a name, such as ``(spec_id 77)``. ``problems`` are
    sentences about those, without values.
    """

    name: str
    params: Mapping[str, Any]
    problems: tuple[str, ...] = ()
