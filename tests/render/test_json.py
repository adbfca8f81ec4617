from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings

from majobctl import __version__
from majobctl.errors import Problem
from majobctl.job_config.job_config import JobConfig
from majobctl.plan.change import Action
from majobctl.plan.document import dumps, plan_document
from majobctl.plan.plan import Selection
from majobctl.plan.planner import make_plan
from majobctl.plan.results import ApplyResult, ChangeStatus
from majobctl.render.json import result_document
from tests.plan import plan_strategies as strategies
from tests.plan.plan_strategies import job_configs
from tests.plan.values import PLAIN, TARGET, desired_of, entry_of, result_of, state_after, state_of
from tests.render.html_plans import Place

PLACE = Place("jobs/sentiment.toml", 3)


def test_the_document_of_a_plan() -> None:
    after = {**PLAIN, "train_instance_count": 2}
    desired = {**desired_of(same=PLAIN), "sentiment": JobConfig("sentiment", after, source=PLACE)}
    state = state_of(sentiment=PLAIN, same=PLAIN, gone=PLAIN)
    warning = Problem(file="jobs/a.toml", line=3, where="job_config.a", message="no data")
    document = plan_document(make_plan(desired, state, TARGET, warnings=[warning]))
    subset = {key: document[key] for key in document if key not in ("selection",)}
    changes = subset.pop("changes")
    assert subset == {
        "format_version": "1.1",
        "majobctl_version": __version__,
        "causes": [],
        "lineage": "a-lineage",
        "serial": 7,
        "target": {"endpoint": TARGET.endpoint, "project_id": TARGET.project_id},
        "environment": "",
        "refreshed": False,
        "create_missing": False,
        "needs_force": [],
        "held_back": [],
        "summary": {**{action.value: 0 for action in Action}, "update": 1, "forget": 1, "no-op": 1},
        "calls": {"update_job_configs": 1, "create_job_configs": 0, "delete_job_configs": 0},
        "warnings": ["jobs/a.toml:3: job_config.a: no data"],
        "violations": [],
    }
    gone, sentiment = changes
    wanted = {
        "name": "sentiment",
        "action": "update",
        "source": {"file": "jobs/sentiment.toml", "line": 3},
        "fields": [{"path": ["train_instance_count"], "action": "update", "before": 1, "after": 2}],
        "before": PLAIN,
        "after": after,
        "cleared": [],
    }
    assert {key: sentiment[key] for key in wanted} == wanted
    assert (gone["name"], gone["action"], gone["after"]) == ("gone", "forget", None)
    assert (gone["source"], gone["fields"], gone["before"]) == (None, [], PLAIN)


def test_what_is_left_out_is_shown() -> None:
    plan = make_plan(
        desired_of(a=PLAIN, b=PLAIN, c=PLAIN), None, TARGET, selection=Selection(("a",), ("x*",))
    )
    document = plan_document(plan)
    assert document["selection"] == {"target": ["a"], "exclude": ["x*"], "left_out": 2}
    assert [change["name"] for change in document["changes"]] == ["a"]


def test_keys_are_in_the_documented_order_whatever_the_state_file_does() -> None:
    shuffled = dict(sorted({**PLAIN, "zeta": 1}.items()))
    plan = make_plan({}, state_of(one=shuffled), TARGET)
    before = plan_document(plan)["changes"][0]["before"]
    assert list(before) == ["train_instance_type", "train_instance_count", "zeta"]


@settings(max_examples=50)
@given(job_configs(), job_configs())
def test_the_same_plan_gives_the_same_bytes_and_names_each_path(
    desired: dict[str, JobConfig], known: dict[str, JobConfig]
) -> None:
    plan = make_plan(desired, state_after(known), TARGET)
    text = dumps(plan_document(plan))
    again = make_plan(dict(reversed(desired.items())), state_after(known), TARGET)
    assert dumps(plan_document(again)) == text
    document = json.loads(text)
    named = {
        (change["name"], *field["path"])
        for change in document["changes"]
        for field in change["fields"]
    }
    assert named == {
        (change.name, *field.path) for change in plan.changes for field in change.fields
    }
    assert len(document["changes"]) + document["summary"]["no-op"] == len(
        desired.keys() | known.keys()
    )


@given(strategies.params)
def test_control_characters_are_escaped(params: dict[str, Any]) -> None:
    text = dumps(plan_document(make_plan(desired_of(one=params), None, TARGET)))
    assert not any(ord(char) < 32 and char != "\n" for char in text)


def test_the_document_of_a_result() -> None:
    why: dict[str, Any] = {"code": "X.1", "message": "no", "advice": "do this"}
    why |= {"http_status": 400, "request_id": "r-1"}
    results = (
        result_of("a", Action.ADD, ChangeStatus.DONE, 0.12345),
        result_of("b", Action.UPDATE, ChangeStatus.FAILED, **why),
        result_of("c", Action.FORGET, ChangeStatus.NOT_ATTEMPTED, 0.0),
    )
    result = ApplyResult(results=results, serial=4, is_interrupted=True)
    document = result_document(result)
    assert (document["complete"], document["interrupted"], document["serial"]) == (False, True, 4)
    assert document["summary"] == {
        **dict.fromkeys(("updated", "resent", "created", "deleted", "recorded", "forgotten"), 0),
        **dict.fromkeys(("unknown", "changed_meanwhile", "held_back", "not_verified"), 0),
        **dict.fromkeys(("added", "failed", "not_attempted"), 1),
    }
    assert document["results"] == [
        {"name": "a", "action": "add", "outcome": "done", "seconds": 0.123},
        {"name": "b", "action": "update", "outcome": "failed", "seconds": 0.1}
        | {"error_code": "X.1", "error_msg": "no", "advice": "do this"}
        | {"http_status": 400, "request_id": "r-1"},
        {"name": "c", "action": "forget", "outcome": "not attempted", "seconds": 0.0},
    ]


def test_a_document_is_ascii_and_gives_back_the_text_beyond_it() -> None:
    state = state_of(one=entry_of({"config_desc": "Grüße 配置 \u202e"}))
    text = dumps(plan_document(make_plan({}, state, TARGET)))
    assert text.isascii()
    assert json.loads(text)["changes"][0]["before"]["config_desc"] == "Grüße 配置 \u202e"
