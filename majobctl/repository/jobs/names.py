"""The names of job configs, new and former ones: valid, and each used once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from majobctl.job_config.directives import RENAMED_FROM
from majobctl.job_config.fields import name_violation
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.jobs.readings import Reading
from majobctl.text import quoted


def with_valid_names(readings: Iterable[Reading], longest: int) -> Iterator[Reading]:
    """``readings`` without the job configs whose names are wrong or already used."""
    known: dict[str, Origin] = {}
    for reading in readings:
        name, origin = reading.name, reading.origin
        if name is not None:
            first, invalid = known.setdefault(name, origin), name_violation(name, longest)
            if invalid or first is not origin:
                wrong = [invalid.message] if invalid else []
                if first is not origin:
                    wrong.append(f"this name is already used at {first.file}:{first.line}")
                which = f"{quoted(name)}: " if origin.key else ""
                found = [Violation((), which + message) for message in wrong]
                violations = [*reading.violations, *found]
                reading = reading._replace(job_config=None, violations=violations, warnings=())
        yield reading


def broken_renames(readings: Sequence[Reading]) -> Iterator[Reading]:
    """A violation for each job config whose former name cannot be right."""
    names = {reading.name for reading in readings if not reading.elsewhere}
    renamed_to: dict[str, str] = {}
    for reading in readings:
        if not reading.job_config or not reading.job_config.renamed_from:
            continue
        name, before = reading.job_config.name, reading.job_config.renamed_from
        if invalid := name_violation(before):
            wrong = invalid.message
        elif before == name:
            wrong = "this is its own name"
        elif before in names:
            wrong = f"{quoted(before)} is still defined; remove it, or this line"
        elif before in renamed_to:
            wrong = f"job_config.{renamed_to[before]} is renamed from {quoted(before)} already"
        else:
            renamed_to[before] = name
            continue
        violation = Violation((RENAMED_FROM,), f"{RENAMED_FROM}: {wrong}")
        yield Reading(origin=reading.origin, violations=[violation])
