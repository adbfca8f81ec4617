from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from majobctl import __version__
from tests.ci.fake_gh import BOT
from tests.ci.github import USER, Finished, run_workflow
from tests.ci.machine import (
    NAMES,
    POLICY,
    REPORTED,
    VIOLATION,
    Machine,
    described,
    job_text,
    machine,
    puts,
)
from tests.config_repository import until
from tests.git_servers import over_http

MARKER = "<!-- majobctl plan -->"
STATE = """
[state]
backend = "git"
lease = 5
"""
APPLY = "Apply exactly that plan"

pytestmark = pytest.mark.slow


@contextmanager
def hosting(root: Path, latency_ms: float = 0) -> Iterator[Machine]:
    """A machine whose jobs have to sign in to get the repository, and so the state."""
    with (
        machine(root, "only", own="only", state=STATE, latency_ms=latency_ms) as made,
        over_http(root) as server,
    ):
        server.credentials = USER
        yield replace(made, url=f"{server.address}/remote.git")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with hosting(tmp_path) as made:
        yield made


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Machine]:
    """Calls take a while, one after the other; alpha, beta and gamma were applied, and edited."""
    with hosting(tmp_path, latency_ms=200) as made:
        made.make_slow()
        assert not run_workflow(made, "apply").has_failed
        made.commit("Edit", described("second"))
        yield made


def propose(host: Machine, count: int = 2) -> str:
    """Pushes to the branch of the pull request; the commit."""
    return host.commit(
        "More", {"jobs/beta.toml": job_text("beta", train_instance_count=count)}, "change"
    )


def plan_markdown(host: Machine, branch: str) -> str:
    """The plan that majobctl makes of a branch."""
    place = host.clone()
    host.git("checkout", "--quiet", branch, cwd=place)
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


def test_a_violation_of_a_policy_is_annotated_at_its_line(host: Machine) -> None:
    host.commit("A rule", {"policy.toml": POLICY})
    propose(host)
    job = run_workflow(host, "plan", branch="change")
    assert list(job.steps) == ["Validate", "Comment"]
    assert job.steps["Validate"].stdout == (
        "::error file=jobs/beta.toml,line=9,title=job_config.beta"
        f"::jobs/beta.toml:9: {VIOLATION}\n1 problem.\n"
    )


def test_an_apply_sends_what_was_merged_and_the_state_has_a_branch_of_its_own(
    host: Machine,
) -> None:
    commit = host.git("rev-parse", "main")
    job = run_workflow(host, "apply")
    assert not job.has_failed, job
    assert puts(host, "only") == ["alpha"]
    assert job.steps[APPLY].last_line.startswith("Apply complete: 1 added")
    assert "1 to add" in job.summary
    assert list(host.job_configs()) == ["alpha"]
    assert host.branches == ["main", "majobctl-state"]

    job = run_workflow(host, "apply")
    assert [(name, ran.code) for name, ran in job.steps.items()] == [("Plan", 0)]
    assert "No changes" in job.summary
    assert (host.git("rev-parse", "main"), puts(host, "only")) == (commit, ["alpha"])


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
        """alpha's nodes are still 4, beta was applied, and the state says so."""
        assert job.steps[APPLY].code == 5
        assert sorted(puts(host, "only")[2:]) == ["alpha", "beta"]  # alpha's is the change itself
        params = {name: entry["params"] for name, entry in host.job_configs().items()}
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
        between = {"Replace the plan unless somebody approved it": lambda: self.change(edited)}
        job = run_workflow(edited, "apply", is_approved=is_approved, before=between)
        self.check_kept(edited, job)

    def test_is_kept_if_nobody_approved_the_plan(self, edited: Machine) -> None:
        self.change(edited)
        job = run_workflow(edited, "apply", is_approved=False)
        self.check_kept(edited, job)
        assert "majobctl apply --overwrite --target alpha" in job.steps[APPLY].stdout


def test_an_apply_that_failed_in_part_fails_and_the_state_has_the_rest(host: Machine) -> None:
    host.commit("Unknown there", {"jobs/delta.toml": job_text("delta")})
    job = run_workflow(host, "apply")
    assert (job.steps[APPLY].code, job.has_failed) == (3, True)
    assert list(host.job_configs()) == ["alpha"]


def test_a_plan_that_fails_sends_nothing(host: Machine) -> None:
    host.commit("Wrong", {"jobs/alpha.toml": job_text("alpha", train_instance_count=0)})
    job = run_workflow(host, "apply")
    assert {name: ran.code for name, ran in job.steps.items()} == {"Plan": 1}
    assert (host.branches, puts(host, "only")) == (["main"], [])


@pytest.mark.parametrize("is_reverted", [False, True])
def test_what_a_dead_runner_did_is_in_the_state(slow: Machine, is_reverted: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        kill = {APPLY: lambda: pool.submit(slow.interrupt, "only")}
        dead = run_workflow(slow, "apply", before=kill).steps[APPLY]
    unknown = slow.left_by(dead)
    if is_reverted:
        slow.commit("Revert", described("first"))
    job = run_workflow(slow, "apply")
    assert not job.has_failed, job
    assert "No changes" not in job.summary
    assert "took over the lock" in job.steps[APPLY].stderr
    done = {*REPORTED.findall(job.steps[APPLY].stderr)}
    assert done == ({*NAMES} if is_reverted else unknown)
    slow.check_applied("first" if is_reverted else "second")


@pytest.mark.parametrize(
    ("timeout", "code", "message"),
    [("--lock-timeout 0", 4, "is locked by "), ("--lock-timeout 120", 5, "make the plan again")],
)
def test_of_two_runs_at_once_one_works(
    slow: Machine, timeout: str, code: int, message: str
) -> None:
    """As without ``concurrency``, or if somebody applies by hand."""
    before = len(puts(slow, "only"))
    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Finished]] = []

        def overtake() -> None:
            others.append(pool.submit(run_workflow, slow, "apply"))
            until(lambda: len(puts(slow, "only")) > before, "the first call")

        replaced = ("--lock-timeout 120", timeout)
        second = run_workflow(slow, "apply", before={APPLY: overtake}, replaced=replaced)
        (first,) = (other.result() for other in others)
    assert not first.has_failed, first
    refused = second.steps[APPLY]
    assert (refused.code, message in refused.stderr) == (code, True), refused
    assert sorted(puts(slow, "only")[before:]) == list(NAMES)


def test_what_an_unlocked_apply_could_not_write_outlives_its_machine(slow: Machine) -> None:
    def unlock() -> None:
        stopped = slow.interrupt("only", signal.SIGSTOP)
        refused = slow.shell("majobctl apply --auto-approve", slow.clone(), slow.member)
        (command,) = re.findall(r"majobctl unlock \w+", refused.stderr)
        slow.ask(command)
        os.killpg(stopped, signal.SIGCONT)

    with ThreadPoolExecutor(1) as pool:
        job = run_workflow(slow, "apply", before={APPLY: lambda: pool.submit(unlock)})
    assert job.steps[APPLY].code == 1
    (kept,) = slow.root.glob("artifacts-*/majobctl-rescue/*")
    assert kept.name in job.steps[APPLY].stderr


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
    assert host.branches == ["main", "majobctl-state"]


def test_a_drift_that_cannot_be_read_fails_and_touches_no_issue(host: Machine) -> None:
    assert not run_workflow(host, "apply").has_failed
    settings = host.git("show", "main:majobctl.toml")
    url = host.services["only"]
    host.commit("Elsewhere", {"majobctl.toml": settings.replace(url, f"{url}/nowhere")})
    before = host.kept
    job = run_workflow(host, "drift")
    assert {name: ran.code for name, ran in job.steps.items()} == {"Drift": 1}
    assert host.kept == before
