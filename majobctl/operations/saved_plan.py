"""A saved plan: read from its file, checked against the state, its secrets filled in again.
Right before an apply, each value that a plan needs must be known, saved or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from majobctl.errors import ConfigError, Problem, StalePlanError, together
from majobctl.job_config.checks import checked_values
from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.secrets import (
    Masker,
    Maskers,
    masked_places,
    unset_places,
    unset_variables,
    value_at,
    with_known,
    with_value,
)
from majobctl.job_config.violations import Path
from majobctl.plan.change import SENDING, Change, Params
from majobctl.plan.document import read_plan
from majobctl.plan.plan import Plan
from majobctl.repository.jobs.layers import Origin
from majobctl.repository.jobs.references import resolve
from majobctl.state.document import State
from majobctl.target import Target
from majobctl.text import environment_flag, printable

_AGAIN = "make the plan again with `majobctl plan --out FILE`"

DesiredConfigs = Callable[[], Mapping[str, JobConfig]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedPlan:
    """A plan that was reviewed; ``name`` is what messages call its file, ``digest`` that of its
    bytes."""

    plan: Plan
    name: str
    digest: str = ""

    @classmethod
    def read(cls, content: bytes, name: str) -> SavedPlan:
        """Raises MajobctlError for what is not a plan file, StalePlanError for an edited one."""
        import hashlib

        shown, digest = printable(name), f"sha256:{hashlib.sha256(content).hexdigest()}"
        return cls(plan=read_plan(content, shown), name=shown, digest=digest)

    def checked(self, state: State | None, target: Target, environment: str) -> Plan:
        """The plan. Raises StalePlanError if another state, target or environment is used now."""
        plan = self.plan
        made = f"with -e {printable(plan.environment)}" if plan.environment else "without -e"
        reason = f"it was made for another target: {plan.target}"
        if plan.environment != environment:
            # If neither environment has a state yet, nothing else distinguishes them.
            reason = f"it was made {made}" if plan.target == target else f"{reason} ({made})"
            option = environment_flag(plan.environment)
            advice = f"apply it with: majobctl apply{option} {self.name}"
            raise self._stale(reason, "does not fit", advice)
        if plan.target != target:
            raise self._stale(reason, "does not fit")
        if plan.target.iam_endpoint != target.iam_endpoint:
            iam = printable(plan.target.iam_endpoint) or "the region's IAM"
            raise self._stale(f"it was made with another iam_endpoint: {iam}", "does not fit")
        reason = self._state_mismatch(state)
        if reason:
            raise self._stale(reason)
        return replace(plan, unset=())

    def _state_mismatch(self, state: State | None) -> str:
        plan = self.plan
        if state is None and not plan.lineage and not plan.salt:
            # Nothing would tell the secrets of this plan from others.
            has_secrets = any(any(masked_places(it.after or {})) for it in plan.changes)
            return "it has sensitive values, but neither a salt nor a state" if has_secrets else ""
        if state is None:
            return "the state that it was made for is gone" if plan.lineage else ""
        if not plan.lineage:
            return f"it was made before there was a state; the state now has serial {state.serial}"
        if plan.lineage != state.lineage:
            return "it was made for another state"
        if plan.serial != state.serial:
            return f"it was made for serial {plan.serial}; the state now has serial {state.serial}"
        is_same = plan.state_digest == state.digest()
        return "" if is_same else "the state that it was made for had other entries"

    def params(self, masker: Maskers, desired: DesiredConfigs) -> Mapping[str, Params]:
        """The params of each change with its secrets, by name. What came from the environment is
        looked up again there, the rest in ``desired``, called only for that. One whose variable is
        not set keeps its mask. Raises StalePlanError for one that is missing or not the one of the
        plan."""
        return {
            change.name: self._checked(change, self._filled_in(change, masker, desired))
            for change in self.plan.changes
            if change.after is not None
        }

    def _filled_in(self, change: Change, masker: Maskers, desired: DesiredConfigs) -> Params:
        after = change.after or {}
        params = after
        for place in masked_places(after):
            value, planned = self._secret(change, place, desired), value_at(after, place)
            params = with_value(params, place, value)
            is_unset = unset_variables(planned) or unset_variables(value)
            if not (is_unset or masker(change.name).hides(planned, place, value)):
                raise self._stale_secret(change, place, "has changed")
        return params

    def _secret(self, change: Change, place: Path, desired: DesiredConfigs) -> Any:
        if place in change.references:
            # A value that was not known then has no hash that would tell it from others.
            shown = unset_variables(value_at(change.after or {}, place))
            if shown and change.references[place] != f"${{env.{shown[0]}}}":
                raise self._stale_secret(change, place, "names another variable than it needs")
            (key, *label), text = place, change.references[place]
            found, violations = resolve({str(key): {label[0]: text} if label else text})
            if violations:
                raise self._stale_secret(change, place, f"is wrong: {violations[0].text()}")
            params = checked_values(found.values)[0]
        else:
            config = desired().get(change.name)
            params = dict(config.params) if config else {}
        value = value_at(params, place)
        if value is None:
            gone = "is gone from the TOML files, or they break a rule (see `majobctl validate`)"
            raise self._stale_secret(change, place, gone)
        return value

    def _checked(self, change: Change, params: Params) -> Params:
        if any(unset_places(params)):
            return params
        try:
            return JobConfig.of(change.name, params).params
        except ConfigError as error:
            # The rule may be newer than the plan. The value is not shown: it may be a secret.
            raise self._stale(f"job_config.{printable(change.name)} breaks a rule") from error

    def _stale_secret(self, change: Change, place: Path, what: str) -> StalePlanError:
        name, path = printable(change.name), printable(".".join(map(str, place)))
        return self._stale(f"job_config.{name}: the sensitive value of {path} {what}")

    def _stale(self, reason: str, what: str = "is stale", advice: str = _AGAIN) -> StalePlanError:
        return StalePlanError(f"{self.name} {what}: {reason}\nnothing was sent; {advice}")


def with_secrets(plan: Plan, params: Mapping[str, Params], masker: Maskers) -> Plan:
    """``plan`` with the hashes of now, also of what was not known when it was made. Raises
    ConfigError for every value to send, or to keep in the state, that is still not known."""
    changes = tuple(
        it if it.after is None else _completed(it, params[it.name], masker(it.name))
        for it in plan.changes
    )
    unset: list[Problem] = []
    for change in changes:
        # A change that is only recorded needs no value that the state has already.
        needed = params[change.name] if change.action in SENDING else change.after or {}
        for place, name in unset_places(needed):
            what = f"{printable('.'.join(map(str, place)))} needs {name}, which is unset or empty"
            # A saved plan knows only the line of the table.
            at, out = change.source, "make the plan again without the job config (plan --exclude)"
            if isinstance(at, Origin):
                at, out = at.problem(place, ""), "leave the job config out (--exclude)"
            file, line = (at.file, at.line) if at else ("", 0)
            text = f"{what} in the environment; set it, or {out}"
            where = f"job_config.{change.name}"
            unset.append(Problem(file=file, line=line, where=where, message=text))
    if unset:
        raise ConfigError(sorted(together(unset)))
    return replace(plan, changes=changes)


def _completed(change: Change, params: Params, masker: Masker) -> Change:
    before, planned = (masker.renewed(it or {}, params) for it in (change.before, change.after))
    after = with_known(planned, masker.masked(params, masked_places(planned)))
    fields = tuple(
        replace(it, after=value_at(after, it.path)) if unset_variables(it.after) else it
        for it in change.fields
    )
    return replace(change, before=before or change.before, after=after, fields=fields)
