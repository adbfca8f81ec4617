from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from majobctl import __version__
from tests.ci.fake_gh import BOT
from tests.ci.github import Finished, run_workflow
from tests.ci.machine import Machine, job_text, machine, puts
from tests.config_repository import until

MARKER = "<!-- majobctl plan -->"
STATE = "majobctl.state.json"

pytestmark = pytest.mark.slow


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path, "only", own="only") as made:
        yield made


def propose(host: Machine, count: int = 2) -> str:
    """Pushes to the branch of the pull request; the commit."""
    return host.commit(
        "More", {"jobs/beta.toml": job_text("beta", train_instance_count=count)}, "change"
    )


def plan_markdown(host: Machine, branch: str) -> str:
    """The plan that majobctl makes of a branch."""
    place = host.root / f"look-{len(list(host.root.glob('look-*')))}"
    host.git("clone", "--quiet", "--branch", branch, f"file://{host.remote}", str(place))
    ran = host.shell("majobctl plan --format markdown", place, {})
    assert ran.code == 0, ran
    return ran.stdout


def test_the_comment_is_the_markdown_plan_and_the_next_push_updates_it(host: Machine) -> None:
    others = [
        {"id": 1, "login": "somebody", "body": f"{MARKER}\nmine"},
        {"id": 2, "login": BOT, "body": "of another workflow"},
    ]
    host.keep(comments=others)
    first = propose(host)
    job = run_workflow(host, "plan", branch="change", installs=True)
    assert not job.has_failed, job
    assert (
        f"Requirement already satisfied: majobctl=={__version__}"
        in job.steps["Install majobctl"].stdout
    )
    plan = plan_markdown(host, "change")
    assert "2 to add" in plan
    comment = host.kept["comments"][2]
    assert comment["body"] == f"{MARKER}\nPlan of {first[:8]}\n\n{plan}"
    assert job.summary == plan

    second = propose(host, count=4)
    assert not run_workflow(host, "plan", branch="change").has_failed
    plan = plan_markdown(host, "change")
    updated = {
        "id": comment["id"],
        "login": BOT,
        "body": f"{MARKER}\nPlan of {second[:8]}\n\n{plan}",
    }
    assert host.kept["comments"] == [*others, updated]
    assert puts(host, "only") == []


def test_a_comment_of_somebody_else_is_not_ours_whatever_it_begins_with(host: Machine) -> None:
    """Before ours and after it, edited meanwhile, and while ours is gone."""
    forged = f"{MARKER}\nPlan of 00000000: nothing to do"
    before = {"id": 1, "login": "somebody", "body": forged}
    host.keep(comments=[before])
    propose(host)
    assert not run_workflow(host, "plan", branch="change").has_failed
    kept, ours = host.kept["comments"]
    assert (kept, ours["login"]) == (before, BOT)

    edited = {**before, "body": f"{MARKER}\nedited"}
    after = [
        {"id": 900 + number, "login": login, "body": forged}
        for number, login in enumerate(("github-actions", "somebody[bot]", f"x{BOT}"))
    ]
    host.keep(comments=[edited, {**ours, "body": f"{MARKER}\nedited by somebody"}, *after])
    commit = propose(host, count=4)
    assert not run_workflow(host, "plan", branch="change").has_failed
    first, second, *others = host.kept["comments"]
    assert (first, second["id"], others) == (edited, ours["id"], after)
    assert second["body"].startswith(f"{MARKER}\nPlan of {commit[:8]}\n")

    host.keep(comments=[edited, *after])
    assert not run_workflow(host, "plan", branch="change").has_failed
    assert host.kept["comments"][:-1] == [edited, *after]
    assert host.kept["comments"][-1]["body"] == second["body"]


def test_a_plan_needs_no_credentials_and_a_fork_gets_no_comment(host: Machine) -> None:
    propose(host)
    job = run_workflow(host, "plan", branch="change", is_fork=True)
    assert not job.has_failed, job
    assert list(job.steps) == ["Validate", "Plan"]
    assert job.summary == plan_markdown(host, "change")
    assert not (host.root / "kept.json").exists()


def test_files_that_are_wrong_are_annotated_and_the_comment_says_there_is_no_plan(
    host: Machine,
) -> None:
    propose(host)
    run_workflow(host, "plan", branch="change")
    propose(host, count=0)
    job = run_workflow(host, "plan", branch="change")
    assert list(job.steps) == ["Validate", "Comment"]
    assert job.steps["Validate"].code == 1
    assert job.steps["Validate"].stdout.startswith(
        "::error file=jobs/beta.toml,line=9,title=job_config.beta::jobs/beta.toml:9: job_config."
    )
    assert job.steps["Comment"].code == 0
    (comment,) = host.kept["comments"]
    assert comment["body"].endswith(
        "There is no plan. [The job](https://github.com/ml/configs/actions/runs/77) shows why.\n"
    )


def test_an_apply_sends_what_was_merged_and_commits_the_state(host: Machine) -> None:
    job = run_workflow(host, "apply")
    assert not job.has_failed, job
    assert puts(host, "only") == ["alpha"]
    assert (
        job.steps["Apply exactly that plan"]
        .stdout.splitlines()[-1]
        .startswith("Apply complete: 1 added")
    )
    assert "1 to add" in job.summary
    assert list(host.state()["job_configs"]) == ["alpha"]
    assert host.subjects()[0].startswith("majobctl: state after ")
    assert host.git("log", "-1", "--format=%an", "main") == BOT
    committed = host.git("show", "--format=", "--name-only", "main").split()
    assert committed == ["majobctl.history.jsonl", STATE]

    commits = host.subjects()
    job = run_workflow(host, "apply")
    assert [(name, ran.code) for name, ran in job.steps.items()] == [("Plan", 0)]
    assert "No changes" in job.summary
    assert (host.subjects(), puts(host, "only")) == (commits, ["alpha"])


class TestWhatSomebodyChangedInTheService:
    @pytest.fixture
    def edited(self, host: Machine) -> Machine:
        """alpha and beta are applied; an edit of both is merged."""
        host.commit("Beta", {"jobs/beta.toml": job_text("beta")})
        assert not run_workflow(host, "apply").has_failed
        texts = {name: job_text(name, config_desc="second") for name in ("alpha", "beta")}
        host.commit("Edit", {f"jobs/{name}.toml": text for name, text in texts.items()})
        return host

    def change(self, host: Machine) -> None:
        host.change_there("only", "alpha", train_instance_count=4)

    def check_kept(self, host: Machine, job: Finished) -> None:
        """alpha's nodes are still 4, beta was applied, and the state of that is committed."""
        assert job.steps["Apply exactly that plan"].code == 5
        assert job.steps["Commit the state"].code == 0
        assert sorted(puts(host, "only")[2:]) == ["alpha", "beta"]  # alpha's is the change itself
        params = {name: entry["params"] for name, entry in host.state()["job_configs"].items()}
        assert "config_desc" not in params["alpha"]
        assert params["beta"]["config_desc"] == "second"

    def test_is_undone_if_the_approved_plan_shows_it(self, edited: Machine) -> None:
        self.change(edited)
        job = run_workflow(edited, "apply")
        assert not job.has_failed, job
        assert "`4`" in job.summary
        assert sorted(puts(edited, "only")[2:]) == ["alpha", "alpha", "beta"]

    @pytest.mark.parametrize("is_approved", [True, False])
    def test_after_the_plan_is_kept(self, edited: Machine, is_approved: bool) -> None:
        between = {"Replace the plan unless somebody approved it": lambda _: self.change(edited)}
        job = run_workflow(edited, "apply", is_approved=is_approved, before=between)
        self.check_kept(edited, job)

    def test_is_kept_if_nobody_approved_the_plan(self, edited: Machine) -> None:
        self.change(edited)
        job = run_workflow(edited, "apply", is_approved=False)
        self.check_kept(edited, job)
        assert "majobctl apply --overwrite --target alpha" in (
            job.steps["Apply exactly that plan"].stdout
        )


def test_the_state_of_an_apply_that_failed_in_part_is_committed_too(host: Machine) -> None:
    host.commit("Unknown there", {"jobs/delta.toml": job_text("delta")})
    job = run_workflow(host, "apply")
    assert job.steps["Apply exactly that plan"].code == 3
    assert job.steps["Commit the state"].code == 0
    assert job.has_failed
    assert list(host.state()["job_configs"]) == ["alpha"]


def test_a_plan_that_fails_leaves_the_branch_as_it_is(host: Machine) -> None:
    host.commit("Wrong", {"jobs/alpha.toml": job_text("alpha", train_instance_count=0)})
    commits = host.subjects()
    job = run_workflow(host, "apply")
    assert {name: ran.code for name, ran in job.steps.items()} == {"Plan": 1}
    assert (host.subjects(), puts(host, "only")) == (commits, [])


def test_the_state_goes_on_top_of_what_was_merged_meanwhile(host: Machine) -> None:
    merged = {"jobs/beta.toml": job_text("beta")}
    job = run_workflow(
        host, "apply", before={"Commit the state": lambda _: host.commit("Beta", merged)}
    )
    assert not job.has_failed, job
    assert host.subjects()[0].startswith("majobctl: state after ")
    assert host.subjects()[1] == "Beta"
    assert list(host.state()["job_configs"]) == ["alpha"]

    assert not run_workflow(host, "apply").has_failed
    assert list(host.state()["job_configs"]) == ["alpha", "beta"]
    assert puts(host, "only") == ["alpha", "beta"]


def test_a_state_that_main_does_not_take_is_rescued_to_a_branch(host: Machine) -> None:
    hook = host.remote / "hooks" / "update"
    hook.write_text('#!/bin/sh\n[ "$1" != refs/heads/main ]\n', encoding="utf-8")
    hook.chmod(0o755)
    job = run_workflow(host, "apply")
    assert job.steps["Commit the state"].code == 1
    branch = "majobctl-state-77-1"
    assert job.steps["Commit the state"].stdout.splitlines()[-1] == (
        f"::error title=The state is not on main::Merge the branch {branch} before the next apply."
    )
    assert list(host.state(branch=branch)["job_configs"]) == ["alpha"]


def test_a_state_in_conflict_is_rescued_whole(host: Machine) -> None:
    other = {STATE: "of somebody else\n"}
    job = run_workflow(
        host, "apply", before={"Commit the state": lambda _: host.commit("Hand-made", other)}
    )
    assert job.steps["Commit the state"].code == 1
    assert list(host.state(branch="majobctl-state-77-1")["job_configs"]) == ["alpha"]
    assert host.subjects()[0] == "Hand-made"


@pytest.mark.parametrize("name", ["majobctl.rescue-2-77.json", f"{STATE}.journal"])
def test_what_could_not_be_saved_outlives_the_machine(host: Machine, name: str) -> None:
    damaged = "neither a state\nnor a journal\n"
    job = run_workflow(
        host,
        "apply",
        before={"Commit the state": lambda place: (place / name).write_text(damaged)},
    )
    assert job.has_failed is name.endswith(".journal")
    (kept,) = host.root.glob("artifacts-*/majobctl-rescue/*")
    assert (kept.name, kept.read_text()) == (name, damaged)


def test_what_a_killed_apply_has_done_is_in_the_committed_state(tmp_path: Path) -> None:
    def is_midway(journal: bytes) -> bool:
        return b'"done":"alpha"' in journal and b'"beta"' in journal

    def kill(workspace: Path) -> None:
        journal = workspace / f"{STATE}.journal"
        until(lambda: journal.exists() and is_midway(journal.read_bytes()), "the second call")
        holder = json.loads((workspace / f"{STATE}.lock.holder").read_bytes())
        os.kill(holder["pid"], signal.SIGKILL)

    with machine(tmp_path, "only", own="only", latency_ms=300) as host:
        settings = host.git("show", "main:majobctl.toml") + "\nparallelism = 1\n"
        host.commit("Slow", {"majobctl.toml": settings, "jobs/beta.toml": job_text("beta")})
        with ThreadPoolExecutor(1) as pool:
            killed: list[Future[None]] = []
            start = {
                "Apply exactly that plan": lambda place: killed.append(pool.submit(kill, place))
            }
            job = run_workflow(host, "apply", before=start)
            killed[0].result()
    assert job.steps["Apply exactly that plan"].code == 128 + signal.SIGKILL
    assert job.steps["Commit the state"].code == 0, job
    configs = host.state()["job_configs"]
    assert "pending" not in configs["alpha"]
    assert configs["beta"]["pending"] is True


def test_drift_opens_one_issue_updates_it_and_closes_it(host: Machine) -> None:
    of_somebody = {"number": 1, "label": "majobctl-drift", "app": "", "open": True, "body": "mine"}
    host.keep(issues=[of_somebody])
    assert not run_workflow(host, "apply").has_failed
    job = run_workflow(host, "drift")
    assert not job.has_failed, job
    assert (host.kept["issues"], host.kept["labels"]) == ([of_somebody], [])
    assert "No drift" in job.summary

    host.change_there("only", "alpha", train_instance_count=2)
    assert not run_workflow(host, "drift").has_failed
    _, issue = host.kept["issues"]
    assert issue["label"] == "majobctl-drift"
    assert "| `train_instance_count` | `1` | `2` |" in issue["body"]

    host.change_there("only", "alpha", train_instance_count=4)
    job = run_workflow(host, "drift")
    _, issue = host.kept["issues"]
    assert "| `train_instance_count` | `1` | `4` |" in issue["body"]
    assert issue["body"] == job.summary

    host.change_there("only", "alpha")
    job = run_workflow(host, "drift")
    _, issue = host.kept["issues"]
    assert (issue["open"], issue["comment"]) == (False, job.summary.rstrip("\n"))
    assert host.kept["issues"][0] == of_somebody
    assert len(host.git("for-each-ref").splitlines()) == 1


def test_a_drift_that_cannot_be_read_fails_and_touches_no_issue(host: Machine) -> None:
    assert not run_workflow(host, "apply").has_failed
    settings = host.git("show", "main:majobctl.toml")
    url = host.services["only"]
    host.commit("Elsewhere", {"majobctl.toml": settings.replace(url, f"{url}/nowhere")})
    before = host.kept
    job = run_workflow(host, "drift")
    assert {name: ran.code for name, ran in job.steps.items()} == {"Drift": 1}
    assert host.kept == before
