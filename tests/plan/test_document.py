"""The plan's JSON in both directions: what is written is read back, and what is not a plan is
refused with the path of the first value that is wrong."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from majobctl.errors import MajobctlError, StalePlanError
from majobctl.plan.change import Action
from majobctl.plan.document import plan_bytes, read_plan
from majobctl.plan.plan import Flavor
from tests.plan.plan_strategies import Three, threes
from tests.render.html_plans import reviewed_plan

NAME = "p.plan"
_NODES: dict[str, Any] = {"nodes_before": 1, "nodes_after": 2, "listed_at": "", "currency": ""}
PLAN = replace(
    reviewed_plan(),
    flavors=(Flavor(name="a", gpus=8, price=0.5, **_NODES),),
    owners={"a_toml": ("@a",)},
)
STEP = re.compile(r"[^.\[\]]+")
ACTIONS = [change.action for change in PLAN.changes]
FORGOTTEN = ACTIONS.index(Action.FORGET)
(N,) = (number for number, change in enumerate(PLAN.changes) if change.references)


def document_of() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(plan_bytes(PLAN, None))
    return document


def put(document: Any, path: str, value: Any) -> None:
    """Sets the value at a path such as ``changes[3].source``; ``...`` removes it."""
    *steps, last = (int(step) if step.isdecimal() else step for step in STEP.findall(path))
    for step in steps:
        document = document[step]
    if value is ...:
        del document[last]
    else:
        document[last] = value


def refusal_of(document: dict[str, Any]) -> str:
    """What reading says of the document, whose checksum fits."""
    document.pop("checksum", None)
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
    with pytest.raises(MajobctlError) as raised:
        read_plan(json.dumps({**document, "checksum": checksum}).encode(), NAME)
    assert type(raised.value) is MajobctlError
    message, advice = str(raised.value).split("\n")
    assert advice == "make one: majobctl plan --out FILE"
    return message.removeprefix(f"{NAME} is not a plan file: ")


@given(threes())
def test_every_plan_comes_back_from_its_document(three: Three) -> None:
    plan = three.plan()
    content = plan_bytes(plan, three.state)
    found = read_plan(content, NAME)
    assert found == replace(plan, state_digest=three.state.digest() if three.state else "")
    assert plan_bytes(found, three.state) == content


def paths(text: str) -> list[str]:
    """The paths in ``text``; ``~`` is the change that has everything."""
    return text.replace("~", f"changes[{N}]").split()


REQUIRED = paths(
    "lineage serial target changes summary selection state_digest target.endpoint"
    " target.project_id summary.no-op selection.target selection.exclude selection.left_out ~.name"
    " ~.action ~.source ~.fields ~.before ~.after ~.cleared ~.references ~.source.file"
    " ~.source.line ~.fields[0].path ~.fields[0].action ~.fields[0].before ~.fields[0].after"
    " ~.references[0].path ~.references[0].text flavors[0].name flavors[0].nodes_before"
    " flavors[0].nodes_after flavors[0].gpus_per_node flavors[0].listed_at flavors[0].currency"
    " flavors[0].price_per_hour"
)
OPTIONAL = paths(
    "environment refreshed create_missing calls warnings summary.add majobctl_version ~.live_digest"
    " ~.fields[0].live ~.fields[0].reason flavors owners"
)
WRONG = {
    "an object": "target selection summary owners flavors[0]",
    "an array": (
        "changes selection.target selection.exclude ~.fields ~.cleared ~.references"
        " ~.fields[0].path ~.references[0].path flavors owners.a_toml"
    ),
    "a string": (
        "lineage environment state_digest salt target.endpoint target.project_id ~.name"
        " ~.source.file ~.action ~.old_name ~.live_digest ~.renamed ~.fields[0].action"
        " ~.fields[0].reason ~.fields[0].path[0] selection.exclude[0]"
        " flavors[0].name flavors[0].listed_at flavors[0].currency owners.a_toml[0]"
    ),
    "an integer": (
        "serial summary.no-op selection.left_out ~.source.line flavors[0].gpus_per_node"
        " flavors[0].nodes_after"
    ),
    "true or false": "refreshed create_missing ~.prevent_delete ~.missing",
}


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(path: str) -> None:
    document = document_of()
    put(document, path, ...)
    assert refusal_of(document) == f"{path} is missing"


@pytest.mark.parametrize("path", OPTIONAL)
def test_the_other_keys_may_be_missing(path: str) -> None:
    document = document_of()
    put(document, path, ...)
    put(document, "serial", "read to here")
    assert refusal_of(document) == "serial must be an integer, not a string"


@pytest.mark.parametrize(
    ("path", "wanted"), [(path, wanted) for wanted, text in WRONG.items() for path in paths(text)]
)
def test_a_value_of_another_type_is_named_with_both(path: str, wanted: str) -> None:
    for value, found in ((0.5, "a number"), ({} if wanted != "an object" else [], "an object")):
        document = document_of()
        put(document, path, value)
        found = "an array" if value == [] else found
        assert refusal_of(document) == f"{path} must be {wanted}, not {found}"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("serial", True, "serial must be an integer, not a boolean"),
        ("serial", None, "serial must be an integer, not null"),
        (f"changes[{N}]", 5, f"changes[{N}] must be an object, not an integer"),
        (f"changes[{N}].source", [], f"changes[{N}].source must be an object, not an array"),
        (f"changes[{N}].before", 5, f"changes[{N}].before must be an object, not an integer"),
        (f"changes[{N}].fields[0]", None, f"changes[{N}].fields[0] must be an object, not null"),
        (f"changes[{N}].fields[0].path", [], f"changes[{N}].fields[0].path must not be empty"),
        (
            f"changes[{N}].action",
            "remove",
            f'changes[{N}].action must be one of "add", "update", "resend", "forget", "create",'
            ' "delete", "record", not "remove"',
        ),
        (
            f"changes[{N}].fields[0].action",
            "forget",
            f'changes[{N}].fields[0].action must be one of "add", "update", "record", "remove", not'
            ' "forget"',
        ),
        (
            f"changes[{N}].fields[0].reason",
            "x\x1b",
            f'changes[{N}].fields[0].reason must be one of "edited here", "changed there", "edited'
            ' here, changed there", "the same here and there", "changed there under the old name",'
            ' not "x\\u001b"',
        ),
        (
            f"changes[{N}].renamed",
            "perhaps",
            f'changes[{N}].renamed must be one of "written", "likely", not "perhaps"',
        ),
        (
            f"changes[{N}].action",
            "forget",
            f'changes[{N}].after must be null for the action "forget", not an object',
        ),
        (
            f"changes[{FORGOTTEN}].action",
            "update",
            f'changes[{FORGOTTEN}].after must be an object for the action "update", not null',
        ),
        (f"changes[{N}].after.a b", 1, f'changes[{N}].after."a b" is not a key of a job config'),
        (f"changes[{N}].cleared", ["x"], f"changes[{N}].cleared[0] is not a key of a job config"),
        (
            "changes[1].name",
            PLAN.changes[0].name,
            f'changes[1].name is "{PLAN.changes[0].name}", as an earlier change\'s',
        ),
    ],
)
def test_a_value_that_breaks_another_rule_is_named(path: str, value: Any, message: str) -> None:
    document = document_of()
    put(document, path, value)
    assert refusal_of(document) == message


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff", "it is not UTF-8: byte 0"),
        (b"{", "it is not JSON (line 1, column 2)"),
        (b"[]", "it is not a JSON object"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a": NaN}', "it is not JSON: NaN is not a number"),
        (b"{}", "checksum is missing"),
    ],
)
def test_bytes_that_are_not_a_plan_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(MajobctlError) as raised:
        read_plan(content, NAME)
    assert str(raised.value).startswith(f"{NAME} is not a plan file: {reason}")


def test_a_changed_plan_and_one_of_another_format_are_refused_as_that() -> None:
    document = document_of()
    document["serial"] += 1
    with pytest.raises(StalePlanError, match=f"{NAME} was changed after it was made"):
        read_plan(json.dumps(document).encode(), NAME)
    document["format_version"] = "2.0"
    with pytest.raises(MajobctlError, match=r'has the format "2\.0"'):
        read_plan(json.dumps(document).encode(), NAME)


def test_notices_follow_the_warnings() -> None:
    assert PLAN.notices
    assert document_of()["warnings"] == [*map(str, PLAN.warnings), *PLAN.notices]
