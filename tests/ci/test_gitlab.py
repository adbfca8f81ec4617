from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ci.fake_curl import OWN
from tests.ci.gitlab import NO_VARIABLES, NOTE_TOKEN, run_pipeline
from tests.ci.machine import Machine, job_text, machine, puts

MARKER = "<!-- majobctl plan -->"
SOMEBODY = {"id": 5, "username": "somebody"}

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path, "dev", "prod") as made:
        yield made


def note_of(author: dict[str, Any], id_: int, body: str) -> dict[str, Any]:
    return {"id": id_, "author": author, "body": body}


def request(host: Machine, variables: Mapping[str, str] = NO_VARIABLES) -> dict[str, int]:
    """The pipeline of the merge request; the exit codes of its jobs."""
    ran = run_pipeline(host, "merge_request_event", "change", variables)
    return {name: item.code for name, item in ran.items()}


def propose(host: Machine, count: int = 2) -> str:
    """Pushes to the branch of the merge request; the commit."""
    return host.commit(
        "More", {"jobs/beta.toml": job_text("beta", train_instance_count=count)}, "change"
    )


def test_the_note_has_the_plans_of_all_environments_and_the_next_push_updates_it(
    host: Machine,
) -> None:
    host.keep(notes=[note_of(SOMEBODY, number, f"Remark {number}") for number in range(1, 101)])
    first = propose(host)
    assert request(host, NOTE_TOKEN) == {"plan dev": 0, "plan prod": 0, "note": 0}
    note = host.kept["notes"][100]
    head, dev, prod = note["body"].split("\n## ")
    assert head == f"{MARKER}\nPlans of {first[:8]}\n"
    assert dev.startswith("dev\n\n") and "2 to add" in dev
    assert dev.removeprefix("dev\n\n").rstrip() == plan_markdown(host, "dev", first)
    assert prod.removeprefix("prod\n\n").rstrip() == plan_markdown(host, "prod", first)

    second = propose(host, count=4)
    assert request(host, NOTE_TOKEN) == {"plan dev": 0, "plan prod": 0, "note": 0}
    assert len(host.kept["notes"]) == 101
    updated = host.kept["notes"][100]
    assert updated["id"] == note["id"]
    assert updated["body"].startswith(f"{MARKER}\nPlans of {second[:8]}\n")
    assert not any("note-token" in part for call in host.kept["calls"] for part in call)
    assert (puts(host, "dev"), puts(host, "prod")) == ([], [])


def test_a_note_of_somebody_else_is_not_ours_whatever_it_begins_with(host: Machine) -> None:
    """Before ours and after it, edited meanwhile, and while ours is gone."""
    forged = f"{MARKER}\nPlans of 00000000: nothing to do"
    before = note_of(SOMEBODY, 1, forged)
    host.keep(notes=[before])
    propose(host)
    codes = {"plan dev": 0, "plan prod": 0, "note": 0}
    assert request(host, NOTE_TOKEN) == codes
    kept, ours = host.kept["notes"]
    assert (kept, ours["author"]) == (before, OWN)

    edited = {**before, "body": f"{MARKER}\nedited"}
    after = note_of(SOMEBODY, 900, forged)
    host.keep(notes=[edited, {**ours, "body": f"{MARKER}\nedited by somebody"}, after])
    commit = propose(host, count=4)
    assert request(host, NOTE_TOKEN) == codes
    first, second, third = host.kept["notes"]
    assert (first, second["id"], third) == (edited, ours["id"], after)
    assert second["body"].startswith(f"{MARKER}\nPlans of {commit[:8]}\n")

    host.keep(notes=[edited, after])
    assert request(host, NOTE_TOKEN) == codes
    assert host.kept["notes"][:2] == [edited, after]
    assert host.kept["notes"][2]["body"] == second["body"]


def plan_markdown(host: Machine, environment: str, commit: str) -> str:
    place = host.root / f"look-{environment}"
    host.git("clone", "--quiet", f"file://{host.remote}", str(place))
    host.git("checkout", "--quiet", commit, cwd=place)
    ran = host.shell(f"majobctl plan -e {environment} --format markdown", place, {})
    assert ran.code == 0, ran
    return ran.stdout.rstrip()


def test_without_the_token_as_in_a_fork_there_is_no_note(host: Machine) -> None:
    propose(host)
    ran = run_pipeline(host, "merge_request_event", "change", installs=True)
    assert {name: item.code for name, item in ran.items()} == {"plan dev": 0, "plan prod": 0}
    assert "Requirement already satisfied: majobctl==" in ran["plan dev"].stdout
    assert not (host.root / "kept.json").exists()


def test_where_planning_fails_the_note_says_so(host: Machine) -> None:
    propose(host, count=0)
    assert request(host, NOTE_TOKEN) == {"plan dev": 1, "plan prod": 1, "note": 0}
    (note,) = host.kept["notes"]
    sentence = (
        "There is no plan. [The pipeline](https://gitlab.example.com/ml/configs/-/pipelines/9)"
    )
    assert note["body"].count(sentence) == 2


def test_a_plan_is_that_of_the_merge(host: Machine) -> None:
    propose(host)
    assert set(applied(host).values()) == {0}
    assert request(host, NOTE_TOKEN) == {"plan dev": 0, "plan prod": 0, "note": 0}
    (note,) = host.kept["notes"]
    assert note["body"].count("1 to add") == 2


PLANNED = {"plan-dev": 0, "plan-prod": 0}
APPLIED = {**PLANNED, "apply-dev": 0, "apply-prod": 0}


def applied(host: Machine, **options: Any) -> dict[str, int]:
    """The pipeline of what was merged; the exit codes of its jobs."""
    return {name: ran.code for name, ran in run_pipeline(host, "push", "main", **options).items()}


def test_nothing_is_applied_until_somebody_starts_it(host: Machine) -> None:
    commits = host.subjects()
    ran = run_pipeline(host, "push", "main", started=False)
    assert {name: item.code for name, item in ran.items()} == PLANNED
    assert '- config_desc                  "made by hand"' in ran["plan-prod"].stdout
    assert (puts(host, "dev"), puts(host, "prod"), host.subjects()) == ([], [], commits)


def test_what_somebody_changed_is_undone_if_the_plan_shows_it(host: Machine) -> None:
    applied(host)
    host.commit("Edit", {"jobs/alpha.toml": job_text("alpha", config_desc="second")})
    host.change_there("prod", "alpha", train_instance_count=4)
    ran = run_pipeline(host, "push", "main")
    assert {name: item.code for name, item in ran.items()} == APPLIED
    assert "4 -> 1  (changed in the service)" in ran["plan-prod"].stdout
    assert "Undone in the service" in ran["apply-prod"].stdout


def test_what_somebody_changed_after_the_plan_is_kept(host: Machine) -> None:
    host.commit("Beta", {"jobs/beta.toml": job_text("beta")})
    applied(host)
    texts = {name: job_text(name, config_desc="second") for name in ("alpha", "beta")}
    host.commit("Edit", {f"jobs/{name}.toml": text for name, text in texts.items()})
    change = {"apply-prod": lambda: host.change_there("prod", "alpha", train_instance_count=4)}
    assert applied(host, before=change) == {**APPLIED, "apply-prod": 5}
    assert sorted(puts(host, "prod")[2:]) == ["alpha", "beta"]  # alpha's is the change itself
    configs = host.state("prod.state.json")["job_configs"]
    assert "config_desc" not in configs["alpha"]["params"]
    assert configs["beta"]["params"]["config_desc"] == "second"


def test_a_plan_is_not_applied_to_a_newer_state(host: Machine) -> None:
    overtaken = {"apply-dev": lambda: applied(host)}
    ran = run_pipeline(host, "push", "main", before=overtaken)
    assert {name: item.code for name, item in ran.items()} == {**PLANNED, "apply-dev": 5}
    assert "make the plan again with `majobctl plan --out FILE`" in ran["apply-dev"].stderr
    assert (puts(host, "dev"), puts(host, "prod")) == (["alpha"], ["alpha"])


def test_what_was_merged_is_applied_to_dev_then_to_prod_and_the_states_are_committed(
    host: Machine,
) -> None:
    assert applied(host) == APPLIED
    assert (puts(host, "dev"), puts(host, "prod")) == (["alpha"], ["alpha"])
    for name in ("dev", "prod"):
        state = host.state(f"{name}.state.json")
        assert (state["target"]["project_id"], list(state["job_configs"])) == (name, ["alpha"])
    subjects = host.subjects()
    assert [subject.partition(" after ")[0] for subject in subjects[:2]] == [
        "majobctl: prod.state.json",
        "majobctl: dev.state.json",
    ]
    assert host.git("log", "-1", "--format=%ae", "main") == "majobctl@noreply.gitlab.example.com"

    assert applied(host) == APPLIED
    assert host.subjects() == subjects


def test_what_dev_refuses_does_not_reach_prod_and_what_it_took_is_committed(host: Machine) -> None:
    host.commit("Unknown there", {"jobs/delta.toml": job_text("delta")})
    assert applied(host) == {**PLANNED, "apply-dev": 3}
    assert list(host.state("dev.state.json")["job_configs"]) == ["alpha"]
    assert puts(host, "prod") == []


def forestall(host: Machine, commit: str) -> None:
    """Has the next push come too late: main is at ``commit`` by then."""
    merge = f"env -u GIT_QUARANTINE_PATH git update-ref refs/heads/main {commit}"
    write_hook(host, f"rm $0\n{merge}\nexit 1")


def write_hook(host: Machine, script: str) -> None:
    hook = host.remote / "hooks" / "update"
    hook.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    hook.chmod(0o755)


def test_the_state_goes_on_top_of_what_was_merged_meanwhile(host: Machine) -> None:
    forestall(host, host.commit("Beta", {"jobs/beta.toml": job_text("beta")}, "meanwhile"))
    assert applied(host) == APPLIED
    assert host.subjects()[2] == "Beta"
    assert list(host.state("dev.state.json")["job_configs"]) == ["alpha"]
    assert list(host.state("prod.state.json")["job_configs"]) == ["alpha"]
    assert applied(host) == APPLIED
    assert list(host.state("prod.state.json")["job_configs"]) == ["alpha", "beta"]


def test_a_state_that_main_does_not_take_is_rescued_to_a_branch(host: Machine) -> None:
    write_hook(host, '[ "$1" != refs/heads/main ]')
    assert applied(host) == {**PLANNED, "apply-dev": 1}
    rescued = host.state("dev.state.json", branch="majobctl-state-4711")
    assert list(rescued["job_configs"]) == ["alpha"]


def test_a_state_in_conflict_is_rescued_whole(host: Machine) -> None:
    forestall(host, host.commit("Hand-made", {"dev.state.json": "of somebody else\n"}, "meanwhile"))
    assert applied(host) == {**PLANNED, "apply-dev": 1}
    rescued = host.state("dev.state.json", branch="majobctl-state-4711")
    assert list(rescued["job_configs"]) == ["alpha"]
    assert host.subjects()[0] == "Hand-made"


def test_the_nightly_pipeline_fails_where_there_is_drift(host: Machine) -> None:
    applied(host)
    night = run_pipeline(host, "schedule", "main")
    assert {name: ran.code for name, ran in night.items()} == {"drift dev": 0, "drift prod": 0}
    host.change_there("prod", "alpha", train_instance_count=2)
    night = run_pipeline(host, "schedule", "main")
    assert {name: ran.code for name, ran in night.items()} == {"drift dev": 0, "drift prod": 2}
    assert "train_instance_count" in night["drift prod"].stdout
