"""A saved plan: the plan's JSON document with a checksum, and the way back to a Plan.

It is bound to the state and the target that it was made against. It holds no secret: what stands
in place of one is checked against the value that the environment or the TOML gives at apply.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from majobctl.difference import Reason
from majobctl.endpoints import Target
from majobctl.errors import ConfigError, MajobctlError, StalePlanError, printable, quoted
from majobctl.fields import FIELDS, Path
from majobctl.interpolation import Interpolation
from majobctl.job_config import JobConfig, checked_values
from majobctl.plan import ACTIONS, Action, Change, FieldChange, Params, Plan, Renamed, Selection
from majobctl.render.json import dumps, plan_document
from majobctl.sensitive import Masker, masked_places, value_at
from majobctl.state import State


@dataclass(frozen=True, slots=True)
class PlannedSource:
    """Where a job config stood when the plan was made."""

    file: str
    line: int


def plan_bytes(plan: Plan, state: State | None) -> bytes:
    """The content of a plan file for ``plan``, which was made against ``state``."""
    document = {**plan_document(plan), "state_digest": state.digest() if state else ""}
    if plan.salt:
        document["salt"] = plan.salt
    return dumps({**document, "checksum": _checksum(document)}).encode()


def _checksum(document: Mapping[str, Any]) -> str:
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def read_plan(content: bytes, name: str) -> Plan:
    """The plan in ``content``, read from the file ``name``.

    Raises MajobctlError for what is no plan file, StalePlanError for one that was changed.
    """
    document = plan_file_document(content, name)
    try:
        return _plan(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _no_plan(name, f"{type(error).__name__} {error}") from error


def plan_file_document(content: bytes, name: str) -> dict[str, Any]:
    """The document in ``content``, its format and checksum checked; raises as ``read_plan``."""
    try:
        document = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _no_plan(name, f"byte {error.start} is not UTF-8") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _no_plan(name, f"not JSON: {error.msg} at {place}") from error
    except (RecursionError, ValueError) as error:
        raise _no_plan(name, f"not JSON: {error}") from error
    if not isinstance(document, dict) or "checksum" not in document:
        raise _no_plan(name, "it has no checksum")
    version = str(document.get("format_version"))
    if version.partition(".")[0] != "1":
        raise MajobctlError(
            f"{name} has the format {quoted(version)}, which this majobctl does not know; make the"
            " plan again"
        )
    stated = document.pop("checksum")
    if stated != _checksum(document):
        raise StalePlanError(
            f"{name} was changed after it was made: its checksum does not fit\nmake the plan again"
        )
    return {**document, "checksum": stated}


def _no_plan(name: str, reason: str) -> MajobctlError:
    return MajobctlError(
        f"{name} is no plan file: {printable(reason)}\n`majobctl plan --out FILE` makes one"
    )


def _plan(document: Mapping[str, Any]) -> Plan:
    selection = document["selection"]
    changes = tuple(_change(item) for item in document["changes"])
    if len({change.name for change in changes}) < len(changes):
        raise ValueError("a job config is there twice")
    return Plan(
        Target(_text(document["target"]["endpoint"]), _text(document["target"]["project_id"])),
        _text(document["lineage"]),
        _number(document["serial"]),
        changes,
        unchanged=_number(document["summary"]["no-op"]),
        selection=Selection(_texts(selection["target"]), _texts(selection["exclude"])),
        left_out=_number(selection["left_out"]),
        salt=_text(document.get("salt", "")),
        state_digest=_text(document["state_digest"]),
        is_refreshed=_flag(document.get("refreshed", False)),
        environment=_text(document.get("environment", "")),
        creates_missing=_flag(document.get("create_missing", False)),
    )


def _change(item: Mapping[str, Any]) -> Change:
    action = Action(item["action"])
    source = item["source"]
    after, before = item["after"], item["before"]
    leaves = action in (Action.FORGET, Action.DELETE)
    if action not in ACTIONS or leaves != (after is None):
        raise ValueError("an action that does not fit its job config")
    if not leaves and not set(after) <= set(FIELDS):
        raise ValueError("unknown keys")
    cleared = _texts(item["cleared"])
    if not set(cleared) <= set(FIELDS):
        raise ValueError("unknown keys to clear")
    return Change(
        _text(item["name"]),
        action,
        PlannedSource(_text(source["file"]), _number(source["line"])) if source else None,
        None if before is None else dict(before),
        None if after is None else dict(after),
        tuple(_field(field) for field in item["fields"]),
        cleared,
        {_texts(reference["path"]): reference["text"] for reference in item["references"]},
        _flag(item.get("prevent_delete", False)),
        _text(item.get("old_name", "")),
        Renamed(item["renamed"]) if "renamed" in item else None,
        _text(item.get("live_digest", "")),
        _flag(item.get("missing", False)),
    )


def _field(item: Mapping[str, Any]) -> FieldChange:
    action, reason = Action(item["action"]), item.get("reason")
    sides = (item["before"], item["after"], item.get("live"))
    return FieldChange(_texts(item["path"]), action, *sides, Reason(reason) if reason else None)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} in place of a boolean")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} in place of a string")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{type(values).__name__} in place of an array")
    return tuple(_text(value) for value in values)


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} in place of an integer")
    return value


def check_fits(
    plan: Plan, state: State | None, target: Target, name: str, environment: str = ""
) -> None:
    """Raises StalePlanError where ``plan``, of the file ``name``, was made against another state
    or target, or for another environment."""
    made_for = f"{plan.target.endpoint}, project {plan.target.project_id}"
    made_with = f"with -e {printable(plan.environment)}" if plan.environment else "without -e"
    is_of_other = plan.environment != environment
    if plan.target != target:
        option = f" ({made_with})" if is_of_other else ""
        reason = f"it was made for another target: {printable(made_for)}{option}"
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
        found = Interpolation.of(_nested(place, change.references[place]))
        if found.faults:
            raise _stale_secret(change, place, name, f"is gone: {found.faults[0].text()}")
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
