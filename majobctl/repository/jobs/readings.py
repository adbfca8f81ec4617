"""What became of the tables of job files, and the bounds for all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from majobctl.job_config.compare_policy import ComparePolicy
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.violations import Violation
from majobctl.repository.jobs.layers import Origin

_MOST = {
    "job configs": 100_000,
    "characters that are repeated from [defaults], templates, matrices and variables": 100_000_000,
    "problems": 100_000,
}


class Reading(NamedTuple):
    """What became of one table, or of one combination of its matrix. ``name`` is None if it does
    not describe a job config, ``job_config`` if that is not valid. ``expansion_violations`` leave
    open which job configs a table describes. One that is ``elsewhere`` is not for the chosen
    environment: it describes no job config there, though its name is taken. No message may show
    what is secret by ``policy``. ``size`` is the length of the text that others have as well."""

    origin: Origin
    policy: ComparePolicy = ComparePolicy()
    name: str | None = None
    job_config: JobConfig | None = None
    violations: Sequence[Violation] = ()
    expansion_violations: Sequence[Violation] = ()
    warnings: Sequence[Violation] = ()
    size: int = 0
    elsewhere: bool = False


def within_bounds(readings: Iterable[Reading]) -> Iterator[Reading]:
    """``readings`` up to a bound: a few lines can describe more than any memory holds."""
    jobs, size, most = _MOST.values()
    for reading in readings:
        found = len(reading.violations)
        yield reading if found <= most else reading._replace(violations=reading.violations[:most])
        jobs, size, most = jobs - (reading.name is not None), size - reading.size, most - found
        if jobs < 0 or size < 0 or most < 0:
            what = next(it for it, left in zip(_MOST, (jobs, size, most), strict=True) if left < 0)
            violation = Violation((), f"the job files have more than {_MOST[what]:,} {what}")
            yield Reading(origin=reading.origin, expansion_violations=[violation])
            return
