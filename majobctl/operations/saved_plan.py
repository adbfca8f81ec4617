"""Applies what a saved plan says: it must fit, and its secrets are filled in again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from majobctl.errors import ConfigError, StalePlanError
from majobctl.job_config.checks import checked_values
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import Masker, masked_places, value_at
from majobctl.job_config.violations import Path
from majobctl.plan.change import Change, Params
from majobctl.plan.plan import Plan
from majobctl.repository.jobs.references import resolve
from majobctl.state.document import State
from majobctl.target import Target
from majobctl.text import printable


def check_fits(
    plan: Plan, state: State | None, target: Target, name: str, environment: str = ""
) -> None:
    """Raises StalePlanError where ``plan``, of the file ``name``, was made against another state
    or target, or for another environment."""
    made_with = f"with -e {printable(plan.environment)}" if plan.environment else "without -e"
    is_of_other = plan.environment != environment
    if plan.target != target:
        option = f" ({made_with})" if is_of_other else ""
        reason = f"it was made for another target: {plan.target}{option}"
    elif is_of_other:
        # Where neither environment has a state yet, nothing else would tell them apart.
        reason = f"it was made {made_with}"
    elif state is None and plan.lineage:
        reason = "the state that it was made against is gone"
    elif state is not None and plan.lineage != state.lineage:
        has_lineage = "another state" if plan.lineage else "no state, and there is one now"
        reason = f"it was made against {has_lineage}"
    elif state is not None and plan.serial != state.serial:
        reason = (
            f"it was made against serial {plan.serial} of the state, which has {state.serial} now"
        )
    elif state is not None and plan.state_digest != state.digest():
        reason = "the state it was made against had other entries"
    else:
        return
    raise StalePlanError(f"{name} does not fit: {reason}\nnothing was sent; make the plan again")


def resolved_params(
    plan: Plan, masker: Masker, name: str, desired: Callable[[], Mapping[str, JobConfig]]
) -> Mapping[str, Params]:
    """The params of each change of ``plan`` with its secrets, by the job config's name.

    Those that came from the environment are looked up again there, the others in ``desired``,
    which is only called for them. Raises StalePlanError where one is gone or another.
    """
    resolved: dict[str, Params] = {}
    for change in plan.changes:
        if change.after is not None:
            params = dict(change.after)
            for place in masked_places(change.after):
                value = _secret(change, place, name, desired)
                found = masker.masked(_nested(place, value), [place])
                if value_at(found, place) != value_at(change.after, place):
                    raise _stale_secret(change, place, name, "is another one now")
                key = str(place[0])
                params[key] = {**params[key], place[1]: value} if len(place) == 2 else value
            resolved[change.name] = _checked(change.name, params, name)
    return resolved


def _secret(
    change: Change, place: Path, name: str, desired: Callable[[], Mapping[str, JobConfig]]
) -> Any:
    if place in change.references:
        found, violations = resolve(_nested(place, change.references[place]))
        if violations:
            raise _stale_secret(change, place, name, f"is gone: {violations[0].text()}")
        params = checked_values(found.values)[0]
    else:
        config = desired().get(change.name)
        params = dict(config.params) if config else {}
    value = value_at(params, place)
    if value is None:
        what = "is gone from the TOML files, or they break a rule (`majobctl validate` says which)"
        raise _stale_secret(change, place, name, what)
    return value


def _nested(place: Path, value: Any) -> dict[str, Any]:
    return {str(place[0]): {place[1]: value} if len(place) == 2 else value}


def _stale_secret(change: Change, place: Path, name: str, what: str) -> StalePlanError:
    path = ".".join(map(str, place))
    return StalePlanError(
        f"{name} does not fit: job_config.{printable(change.name)}: the sensitive value of"
        f" {printable(path)} {what}\nnothing was sent; make the plan again"
    )


def _checked(config_name: str, params: Params, name: str) -> Params:
    try:
        config = JobConfig.of(config_name, params)
    except ConfigError as error:
        # The rule may be younger than the plan. The value is not told: it may be a secret.
        places = ", ".join(sorted({problem.where for problem in error.problems}))
        raise StalePlanError(
            f"{name} does not fit: {places} breaks a rule\nmake the plan again"
        ) from error
    return config.params
