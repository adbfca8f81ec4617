"""A configuration as the service has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A configuration as the service has it.

    ``params`` are normalised as those of a JobConfig, so that equal ones make the same request; a
    value that no job config could have stands in them as text, and so does an id without a name,
    such as ``(spec_id 77)``. ``problems`` are sentences about those, without any values.
    """

    name: str
    params: Mapping[str, Any]
    problems: tuple[str, ...] = ()
