"""``plan --out FILE``, ``show FILE`` and ``apply FILE``: what was reviewed is what is applied."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.repository import BODY, Repository
from tests.rest_server import RestServer


@pytest.fixture
def planned(on_rest: Repository) -> Repository:
    """A state that holds one, and a plan file that changes it and adds two."""
    on_rest.job("one")
    on_rest.apply()
    on_rest.job("one", train_instance_count=2)
    on_rest.job("two")
    ran = on_rest.done("plan", "--out", "saved.plan")
    assert "majobctl apply saved.plan" in ran.stderr
    return on_rest


def forge(repository: Repository, change: Callable[[dict[str, Any]], Any]) -> None:
    """Changes the plan file and makes its checksum fit, as its docstring says."""
    path = repository.root / "saved.plan"
    document = json.loads(path.read_bytes())
    del document["checksum"]
    change(document)
    content = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    document["checksum"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    path.write_text(json.dumps(document))


def test_a_saved_plan_is_applied_as_it_is_without_asking(
    planned: Repository, rest: RestServer
) -> None:
    rest.forget_requests()
    planned.job("one", train_instance_count=4)
    planned.job("three")
    ran = planned.process("apply", "saved.plan")
    assert ran.code == 0
    assert rest.puts == {"one": {**BODY, "worker_server_num": 2}, "two": BODY}
    assert "1 added, 1 updated" in ran.last_line
    assert "1 to add, 1 to update" in planned.done("plan").stdout


def test_it_is_shown_as_it_was_planned(planned: Repository) -> None:
    text = planned.done("plan").stdout
    document = planned.done("plan", "--format", "json").document
    planned.job("three")
    assert planned.done("show", "saved.plan").stdout == text
    shown = planned.done("show", "saved.plan", "--format", "json").document
    assert shown.pop("checksum").startswith("sha256:")
    assert shown.pop("state_digest").startswith("sha256:")
    assert shown == document
    (planned.root / "saved").write_bytes((planned.root / "saved.plan").read_bytes())
    assert planned.done("show", "saved").stdout == text


def test_its_file_is_the_owners_alone(planned: Repository) -> None:
    assert (planned.root / "saved.plan").stat().st_mode & 0o777 == 0o600


def stale_state(repository: Repository) -> None:
    repository.apply()


def stale_lineage(repository: Repository) -> None:
    repository.write("copy.json", json.dumps({**repository.state, "lineage": "other"}))
    repository.done("state", "push", "--force", "copy.json")


def stale_target(repository: Repository) -> None:
    text = (repository.root / "majobctl.toml").read_text()
    repository.settings(text.replace("0123456789", "9876543210"))
    repository.state_path.unlink()


def stale_bytes(repository: Repository) -> None:
    path = repository.root / "saved.plan"
    path.write_text(path.read_text().replace("/ml/output/", "/ml/0utput/"))


def stale_removal(repository: Repository) -> None:
    repository.state_path.unlink()


def stale_rule(repository: Repository) -> None:
    forge(repository, lambda document: document["changes"][0]["after"].pop("output_path"))


@pytest.mark.parametrize(
    "make_stale",
    [stale_state, stale_lineage, stale_target, stale_bytes, stale_removal, stale_rule],
    ids=lambda make_stale: make_stale.__name__,
)
def test_one_that_no_longer_fits_is_refused_and_nothing_is_sent(
    planned: Repository, rest: RestServer, make_stale: Callable[[Repository], None]
) -> None:
    make_stale(planned)
    rest.forget_requests()
    ran = planned.run("apply", "saved.plan")
    assert ran.code == 5
    assert "saved.plan" in ran.stderr
    assert "make the plan again" in ran.stderr
    assert rest.requests == []


def test_one_that_was_applied_is_stale(planned: Repository, rest: RestServer) -> None:
    planned.done("apply", "saved.plan")
    rest.forget_requests()
    assert planned.run("apply", "saved.plan").code == 5
    assert rest.requests == []


def test_one_made_without_a_state_is_stale_where_there_is_one(on_rest: Repository) -> None:
    on_rest.job("one")
    on_rest.done("plan", "--out", "saved.plan")
    on_rest.apply()
    ran = on_rest.run("apply", "saved.plan")
    assert ran.code == 5
    assert "there is one now" in ran.stderr


def test_the_first_state_can_come_from_a_saved_plan(on_rest: Repository, rest: RestServer) -> None:
    on_rest.job("one")
    on_rest.done("plan", "--out", "saved.plan")
    on_rest.done("apply", "saved.plan")
    assert rest.puts == {"one": BODY}
    assert on_rest.done("plan").stdout.startswith("No changes.")


def test_it_forgets_and_clears_what_it_shows(on_rest: Repository, rest: RestServer) -> None:
    on_rest.job("one", log_url="/ml/log/")
    on_rest.job("two")
    on_rest.apply()
    on_rest.job("one")
    on_rest.remove("two")
    on_rest.done("plan", "--out", "saved.plan", "--exclude", "x*")
    rest.forget_requests()
    on_rest.done("apply", "saved.plan")
    assert rest.puts == {"one": {**BODY, "log_url": ""}}
    assert list(on_rest.state["job_configs"]) == ["one"]


def test_a_selection_belongs_to_the_plan(planned: Repository) -> None:
    for option in ("--target", "--exclude"):
        ran = planned.run("apply", "saved.plan", option, "one")
        assert ran.code == 1
        assert "a saved plan has its selection" in ran.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"{}", b"[]", b"null", b"[" * 100_000, b"9" * 5000, b'{"checksum": 1}'],
    ids=range(8),
)
def test_what_is_no_plan_file_is_told(planned: Repository, content: bytes) -> None:
    (planned.root / "saved.plan").write_bytes(content)
    for command in (["apply", "saved.plan"], ["show", "saved.plan"]):
        ran = planned.run(*command)
        assert ran.code == 1
        assert "saved.plan" in ran.stderr


def test_files_that_cannot_be_read_or_written_are_told(planned: Repository) -> None:
    for name in ("missing.plan", "jobs/", "", "x" * 5000, "majobctl.toml/x"):
        for command in (["apply", name], ["plan", "--out", name]):
            if command[0] == "plan" and name == "missing.plan":
                continue
            ran = planned.run(*command)
            assert (ran.code, ran.stdout) == (1, "")
            assert "cannot be " in ran.stderr or "choose " in ran.stderr


def test_a_newer_format_is_refused_as_that(planned: Repository) -> None:
    forge(planned, lambda document: document.update(format_version="2.0"))
    ran = planned.run("apply", "saved.plan")
    assert ran.code == 1
    assert 'has the format "2.0"' in ran.stderr
    forge(planned, lambda document: document.update(format_version="1.7", more=1))
    planned.done("show", "saved.plan")


def _changes(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: document["changes"][0].update({name: value})


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("target"),
        lambda document: document.update(serial="1"),
        lambda document: document.update(serial=True),
        lambda document: document.update(lineage=None),
        lambda document: document.update(changes=5),
        lambda document: document.update(selection=[]),
        lambda document: document["changes"].append(document["changes"][0]),
        _changes("action", "explode"),
        _changes("after", {"unknown": 1}),
        _changes("cleared", ["unknown"]),
        _changes("cleared", "x"),
        _changes("fields", [5]),
        _changes("name", 5),
        _changes("source", {"file": 5}),
    ],
    ids=range(14),
)
def test_a_document_that_is_no_plan_is_told_though_its_checksum_fits(
    planned: Repository, rest: RestServer, change: Callable[[dict[str, Any]], Any]
) -> None:
    forge(planned, change)
    rest.forget_requests()
    for command in (["apply", "saved.plan"], ["show", "saved.plan"]):
        ran = planned.run(*command)
        assert ran.code in (1, 5)
        assert "saved.plan is no plan file" in ran.stderr
    assert rest.requests == []


@settings(max_examples=30)
@given(offset=st.integers(0, 10_000), content=st.binary(min_size=1, max_size=4))
def test_any_change_of_its_bytes_is_refused(
    planned: Repository, rest: RestServer, offset: int, content: bytes
) -> None:
    path = planned.root / "saved.plan"
    whole = path.read_bytes()
    offset %= len(whole)
    changed = whole[:offset] + content + whole[offset + len(content) :]
    rest.forget_requests()
    try:
        path.write_bytes(changed)
        if is_same(changed, whole):
            return
        assert planned.run("apply", "saved.plan").code in (1, 5)
        assert rest.requests == []
    finally:
        path.write_bytes(whole)


def is_same(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except (ValueError, RecursionError):
        return False
