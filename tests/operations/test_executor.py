"""One change carried out, over HTTP: looking again, calling, reading back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from majobctl.job_config.job_config import JobConfig
from majobctl.job_config.live import LiveConfig
from majobctl.operations.executor import ChangeExecutor
from majobctl.operations.guard import Guard
from majobctl.plan.change import Action, Change
from majobctl.plan.guard import Allowed
from majobctl.plan.planner import make_plan
from majobctl.plan.results import ChangeResult, ChangeStatus
from majobctl.service.estimator import Estimator
from majobctl.service.provider import Provider
from majobctl.service.session import Session
from majobctl.state.document import Entry, State
from tests.config_repository import JOB
from tests.live_cloud import LOST, PROJECT, Cloud, Reply, running, seed_of
from tests.plan.values import AT, TARGET

STATE = State(
    lineage="a-lineage",
    serial=1,
    target=TARGET,
    job_configs={"alpha": Entry(params=JOB, applied_at=AT)},
    salt="a-salt",
)
WANTED = {**JOB, "config_desc": "mine"}


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running(tmp_path, seed_of("alpha")) as found:
        yield found


@pytest.fixture
def executor(cloud: Cloud) -> Iterator[ChangeExecutor]:
    session = Session("emulator", "emulator", PROJECT, endpoint=cloud.url, retries=0)
    with Provider(session, Estimator) as provider:
        assert provider.catalog.unknown_names([("alpha", JOB)]) == []
        cloud.take()
        guard = Guard(
            provider=provider,
            masker=STATE.masker,
            params_of=lambda change: change.after or {},
            allowed=Allowed(is_reviewed=True),
        )
        yield ChangeExecutor(guard=guard)


def change_of(name: str = "alpha", live: Any = JOB, **options: Any) -> Change:
    """The change of a plan that saw ``live``."""
    desired = {} if options.get("deletes_removed") else {name: JobConfig(name, WANTED)}
    seen = {name: LiveConfig(name, live) if live else None}
    (change,) = (
        item
        for item in make_plan(desired, STATE, TARGET, live=seen, **options).changes
        if item.name == name
    )
    return change


def offline(action: Action = Action.UPDATE) -> Change:
    after = None if action in (Action.FORGET, Action.DELETE) else WANTED
    return Change(name="alpha", action=action, source=None, before=JOB, after=after, fields=())


def checked(executor: ChangeExecutor, change: Change) -> ChangeResult | None:
    """Why the change may not be sent; None if it may, or needs no call."""
    found = executor.guard.check(change)
    if isinstance(found, Change) or found.status is ChangeStatus.DONE:
        return None
    return found


def creating(executor: ChangeExecutor) -> ChangeExecutor:
    return replace(executor, guard=replace(executor.guard, creates_missing=True))


def refused(code: str, status: int = 400) -> Reply:
    return Reply(status, {"error_code": code, "error_msg": "no"})


@pytest.mark.parametrize("action", [Action.RECORD, Action.FORGET])
def test_what_undoes_nothing_is_not_looked_at(
    action: Action, executor: ChangeExecutor, cloud: Cloud
) -> None:
    assert executor.guard.check(offline(action)) == offline(action)
    assert cloud.asked == []


def test_what_was_planned_offline_is_read_and_sent_as_it_was_found(
    executor: ChangeExecutor, cloud: Cloud
) -> None:
    change = executor.guard.check(offline())
    assert isinstance(change, Change)
    assert (change.live_digest, change.cleared) == (STATE.masker("alpha").digest(JOB), ())
    assert [(field.path, field.live) for field in change.fields] == [(("config_desc",), None)]
    assert cloud.take() == {"GET alpha": 1}


def test_what_is_as_it_was_seen_may_be_sent(executor: ChangeExecutor, cloud: Cloud) -> None:
    assert checked(executor, change_of()) is None
    assert checked(executor, change_of(deletes_removed=True)) is None
    assert checked(executor, change_of("new", None, creates_missing=True)) is None
    assert cloud.take() == {"GET alpha": 2, "GET new": 1, "GET list": 1}


def test_what_seems_gone_is_looked_for_once_more(executor: ChangeExecutor, cloud: Cloud) -> None:
    """A list that others change meanwhile may miss a name."""
    gone = change_of(live=None, deletes_removed=True)
    assert (gone.action, gone.is_missing) == (Action.FORGET, True)
    result = checked(executor, gone)
    assert result is not None
    assert result.status is ChangeStatus.CHANGED_MEANWHILE
    cloud.console.delete("alpha")
    assert checked(executor, gone) is None


@pytest.mark.parametrize("deletes", [False, True])
def test_what_differs_is_reported(deletes: bool, executor: ChangeExecutor, cloud: Cloud) -> None:
    change = change_of(deletes_removed=deletes)
    cloud.console.change("alpha", config_desc="theirs")
    result = checked(executor, change)
    assert result is not None
    assert (result.status, result.action) == (ChangeStatus.CHANGED_MEANWHILE, change.action)
    assert result.message.startswith("it was changed in the service after the plan was made")
    cloud.console.delete("alpha")
    result = checked(executor, change)
    assert result is not None
    assert result.message.startswith("it was deleted in the service")
    gone = replace(change, action=Action.FORGET, live_digest="", is_missing=True)
    assert checked(executor, gone) is None


def test_what_was_made_meanwhile_is_reported(executor: ChangeExecutor, cloud: Cloud) -> None:
    change = change_of("new", None)
    cloud.console.create("new")
    result = checked(executor, change)
    assert result is not None
    assert result.message.startswith("it was created in the service")


@pytest.mark.parametrize(
    ("reply", "may_pass"),
    [
        (LOST, True),
        (refused("APIGW.0308", 429), True),
        (refused("ModelArts.0010", 503), True),
        (refused("X.1", 403), False),
    ],
)
def test_what_cannot_be_read_again_is_not_sent(
    reply: Reply, may_pass: bool, executor: ChangeExecutor, cloud: Cloud
) -> None:
    cloud.before = lambda asked: reply
    result = checked(executor, change_of())
    assert result is not None
    assert (result.status, result.may_pass) == (ChangeStatus.FAILED, may_pass)
    assert "nothing was sent" in result.message


@pytest.mark.parametrize(
    ("action", "call"),
    [
        (Action.ADD, "PUT alpha"),
        (Action.UPDATE, "PUT alpha"),
        (Action.RESEND, "PUT alpha"),
        (Action.DELETE, "DELETE alpha"),
    ],
)
def test_each_action_makes_its_call(
    action: Action, call: str, executor: ChangeExecutor, cloud: Cloud
) -> None:
    result = executor.execute(offline(action), None)
    assert (result.action, result.status) == (action, ChangeStatus.DONE)
    assert result.seconds > 0
    assert cloud.take() == {call: 1}


def test_what_is_missing_is_created_only_where_that_is_asked_for(
    executor: ChangeExecutor, cloud: Cloud
) -> None:
    change = replace(offline(Action.ADD), name="new")
    result = executor.execute(change, None)
    assert (result.action, result.status, result.code) == (
        Action.ADD,
        ChangeStatus.FAILED,
        "ModelArts.0102",
    )
    assert "apply.create_missing = true" in result.advice
    assert cloud.take() == {"PUT new": 1, "GET list": 1}
    result = creating(executor).execute(change, None)
    assert (result.action, result.status) == (Action.CREATE, ChangeStatus.DONE)
    assert cloud.take() == {"PUT new": 1, "POST new": 1}


@pytest.mark.parametrize("reply", [refused("ModelArts.2791"), refused("ModelArts.0010", 500), LOST])
def test_no_other_failure_makes_it_create(
    reply: Reply, executor: ChangeExecutor, cloud: Cloud
) -> None:
    cloud.before = lambda asked: reply if asked.method == "PUT" else None
    result = creating(executor).execute(offline(), None)
    assert result.status in (ChangeStatus.FAILED, ChangeStatus.UNKNOWN)
    assert cloud.take() == {"PUT alpha": 1}


def test_a_refusal_after_an_unknown_outcome_leaves_it_unknown(
    executor: ChangeExecutor, cloud: Cloud
) -> None:
    cloud.before = lambda asked: refused("ModelArts.2791")
    earlier = ChangeResult(
        name="alpha", action=Action.UPDATE, status=ChangeStatus.UNKNOWN, may_pass=True
    )
    assert executor.execute(offline(), earlier).status is ChangeStatus.UNKNOWN
    assert executor.execute(offline(Action.DELETE), earlier).status is ChangeStatus.UNKNOWN
    assert executor.execute(offline(), None).status is ChangeStatus.FAILED


def test_a_secret_is_in_no_message(executor: ChangeExecutor, cloud: Cloud) -> None:
    masked = {**JOB, "config_desc": {"$sensitive": "hmac-sha256:0"}}
    secret = {**JOB, "config_desc": "hidden-words"}
    guard = replace(executor.guard, params_of=lambda change: secret)
    telling = replace(executor, guard=guard, verifies=True)
    change = replace(offline(), after=masked)
    document = {"error_code": "ModelArts.2791", "error_msg": "hidden-words is not known"}
    cloud.before = lambda asked: Reply(400, document) if asked.method == "PUT" else None
    result = telling.execute(change, None)
    assert result.status is ChangeStatus.FAILED
    assert "hidden" not in result.message
    cloud.before = lambda asked: Reply(403, document) if asked.method == "GET" else None
    result = telling.execute(change, None)
    assert result.status is ChangeStatus.UNVERIFIED
    assert "hidden" not in result.message


def test_a_long_value_is_complete_in_what_is_not_verified(
    executor: ChangeExecutor, cloud: Cloud
) -> None:
    cloud.after = lambda asked: (
        cloud.console.change("alpha", config_desc="x" * 200) if asked.method == "PUT" else None
    )
    result = replace(executor, verifies=True).execute(offline(), None)
    assert result.status is ChangeStatus.UNVERIFIED
    assert f'"{"x" * 200}", but "mine" was sent' in result.message
