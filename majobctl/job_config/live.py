"""What the service has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from majobctl.errors import Problem


def unknown_sentence(names: Sequence[str]) -> str:
    """What is said of the fields ``names`` that no key can express, without its first words."""
    them = "it" if len(names) == 1 else "them"
    what = f"{', '.join(names)}, which no key of a job config can express"
    return f"{what}; a call may remove {them}, and needs --overwrite"


@dataclass(frozen=True, slots=True)
class LiveConfig:
    """A configuration as the service has it. ``params`` are like a JobConfig's; what no job config
    could have is kept as text, and so is an id without a name, such as ``(spec_id 77)``.
    ``unknown_fields`` are set, but no key can express them. ``problems`` are sentences about all of
    those, without values."""

    name: str
    params: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()


def notes(configs: Iterable[LiveConfig | None]) -> Iterator[Problem]:
    """What the service has and no job config could express, such as an id without a name."""
    for config in filter(None, configs):
        for text in config.problems:
            yield Problem(where=f"job_config.{config.name}", message=text)
