"""What a state has or had of a job config -> its table in a job file."""

from __future__ import annotations

from majobctl.errors import MajobctlError
from majobctl.job_config.directives import PREVENT_DELETE, SENSITIVE
from majobctl.job_config.fields import FIELDS, Kind, name_violation
from majobctl.job_config.secrets import Masker, masked_places, value_at, variable_for, with_value
from majobctl.repository.authoring.generate import (
    Defaults,
    JobTable,
    Params,
    own_values,
)
from majobctl.text import printable


def applied_table(
    name: str, params: Params, defaults: Defaults, masker: Masker, *, prevent_delete: bool = False
) -> JobTable:
    """The table that, laid over ``defaults``, gives ``params``. A state has only a hash of a secret
    value: a reference to a variable of the environment replaces it. Raises MajobctlError for a name
    that no job config can have."""
    if wrong := name_violation(name):
        raise MajobctlError(f"job_config.{printable(name)} cannot be written: {wrong.message}")
    unwritten: list[str] = []
    remarks: list[str] = []
    for place in [*masked_places(params)]:
        mask, default = value_at(params, place), value_at(defaults.params, place)
        if default is not None and masker.hides(mask, place, default):
            params = with_value(params, place, default)
            continue
        field, where = FIELDS.get(str(place[0])), ".".join(map(str, place))
        # Job configs may have secrets of one label in variables of different names.
        guess = variable_for(str(place[-1]))
        advice = f"write the name of its variable in place of {guess}, if it has another one"
        if len(place) == 1 and field and field.kind not in (Kind.TEXT, Kind.OBS_PATH):
            unwritten.append(field.name)
            advice = "write it here"
        remarks.append(f"{where} is sensitive, and only its hash is known: {advice}")
    values = own_values(params, defaults)
    values = {key: value for key, value in values.items() if key not in unwritten}
    values |= {SENSITIVE: unwritten} if unwritten else {}
    values |= {PREVENT_DELETE: True} if prevent_delete else {}
    return JobTable(name=name, values=values, remarks=tuple(remarks))
