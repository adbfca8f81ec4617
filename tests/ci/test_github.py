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
from tests import fake_forge
from tests.ci.github import RUN, USER, Finished, run_workflow
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
from tests.fake_forge import BOT
from tests.git_servers import over_http

MARKER = "<!-- majobctl plan: dev prod -->"
STATE = """
[state]
backend = "git"
lease = 5
"""
PLAN, APPLY = "plan dev prod", "apply dev"
SOMEBODY = {"id": 5, "login": "somebody"}
DONE = {"plan dev": 0, "apply dev": 0, "plan prod": 0, "apply prod": 0}

pytestmark = pytest.mark.slow


@contextmanager
def hosting(root: Path, latency_ms: float = 0) -> Iterator[Machine]:
    """A machine whose jobs have to sign in to get the repository, and so the state."""
    with (
        machine(root, "dev", "prod", state=STATE, latency_ms=latency_ms) as made,
        over_http(root) as server,
        fake_forge.running(fake_forge.FakeGitHub()) as forge,
    ):
        server.credentials = USER
        yield replace(made, url=f"{server.address}/remote.git", forge=forge)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with hosting(tmp_path) as made:
        yield made


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Machine]:
    """Calls take a while, one after the other; alpha, beta and gamma were applied, and edited."""
    with hosting(tmp_path, latency_ms=200) as made:
        made.make_slow()
        assert run_workflow(made, "apply").codes == DONE
        made.commit("Edit", described("second"))
        yield made


def propose(host: Machine, count: int = 2) -> str:
    """Pushes to the branch of the pull request; the commit."""
    return host.commit(
        "More", {"jobs/beta.toml": job_text("beta", train_instance_count=count)}, "change"
    )


def sections(text: str) -> list[str]:
    head, *found = text.rstrip("\n").split("\n\n## ")
    return [head, *found]


def plan_markdown(host: Machine, branch: str) -> list[str]:
    """The plans that majobctl makes of a branch."""
    place = host.clone()
    host.git("checkout", "--quiet", branch, cwd=place)
    made = []
    for name in ("dev", "prod"):
        ran = host.shell(f"majobctl plan -e {name} --format markdown", place, {})
        assert ran.code == 0, ran
        made.append(f"{name}\n\n{ran.stdout}".rstrip("\n"))
    return made


def bodies(host: Machine) -> list[str]:
    return [comment["body"] for comment in host.forge.comments]


def test_the_comment_has_the_plans_and_the_next_push_updates_it(host: Machine) -> None:
    others = [
        {"id": 1, "user": SOMEBODY, "body": f"{MARKER}\nmine"},
        {"id": 2, "user": BOT, "body": "of another workflow"},
    ]
    host.forge.comments += others
    first = propose(host)
    job = run_workflow(host, "plan", branch="change", installs=True)
    assert job.codes == {"install": 0, PLAN: 0}, job
    assert f"Requirement already satisfied: majobctl=={__version__}" in job.steps["install"].stdout
    head, *plans = sections(bodies(host)[2])
    assert head.startswith(f"{MARKER}\nPlans of {first[:8]}. [The job](")
    assert plans == plan_markdown(host, "change") and "2 to add" in plans[0]
    assert job.summary == bodies(host)[2].removeprefix(f"{MARKER}\n")
    pages = host.root.glob("artifacts-0/majobctl plan dev prod/majobctl-plan-*.html")
    assert len(list(pages)) == 2

    second = propose(host, count=4)
    assert run_workflow(host, "plan", branch="change").codes == {PLAN: 0}
    assert host.forge.comments[:2] == others
    head, *plans = sections(bodies(host)[2])
    assert head.startswith(f"{MARKER}\nPlans of {second[:8]}. [The job](")
    assert plans == plan_markdown(host, "change")
    assert len(bodies(host)) == 3
    assert (puts(host, "dev"), puts(host, "prod")) == ([], [])


def test_a_plan_needs_no_credentials_and_a_fork_gets_no_comment(host: Machine) -> None:
    propose(host)
    job = run_workflow(host, "plan", branch="change", is_fork=True)
    assert job.codes == {PLAN: 0}, job
    assert sections(job.summary)[1:] == plan_markdown(host, "change")
    assert host.forge.asked == []


def test_files_that_are_wrong_are_annotated_and_the_comment_says_there_is_no_plan(
    host: Machine,
) -> None:
    propose(host)
    run_workflow(host, "plan", branch="change")
    propose(host, count=0)
    job = run_workflow(host, "plan", branch="change")
    assert job.codes == {PLAN: 1}
    line = "::error file=jobs/beta.toml,line=9,title=job_config.beta::jobs/beta.toml:9: job_config."
    assert job.steps[PLAN].stdout.count(line) == 1
    (body,) = bodies(host)
    assert body.count(f"There is no plan. [The job]({RUN}) shows why.") == 2


def test_a_violation_of_a_policy_is_annotated_at_its_line(host: Machine) -> None:
    host.commit("A rule", {"policy.toml": POLICY})
    propose(host)
    job = run_workflow(host, "plan", branch="change")
    assert job.codes == {PLAN: 1}
    line = "::error file=jobs/beta.toml,line=9,title=job_config.beta::jobs/beta.toml:9: "
    assert f"{line}{VIOLATION}\n" in job.steps[PLAN].stdout


def test_an_apply_sends_what_was_merged_to_dev_then_to_prod(host: Machine) -> None:
    commit = host.git("rev-parse", "main")
    job = run_workflow(host, "apply")
    assert [*job.codes.items()] == [*DONE.items()]
    assert (puts(host, "dev"), puts(host, "prod")) == (["alpha"], ["alpha"])
    assert job.steps["apply prod"].last_line.startswith("Apply complete: 1 added")
    assert job.summary.count("1 to add") == 2
    for name in ("dev", "prod"):
        assert list(host.job_configs(f"-e {name}")) == ["alpha"]
    assert host.branches == ["main", "majobctl-state-dev", "majobctl-state-prod"]

    job = run_workflow(host, "apply")
    assert job.codes == {"plan dev": 0, "plan prod": 0}
    assert job.summary.count("No changes") == 2
    assert (host.git("rev-parse", "main"), puts(host, "dev")) == (commit, ["alpha"])


class TestWhatSomebodyChangedInTheService:
    @pytest.fixture
    def edited(self, host: Machine) -> Machine:
        """alpha and beta are applied; an edit of both is merged."""
        host.commit("Beta", {"jobs/beta.toml": job_text("beta")})
        assert run_workflow(host, "apply").codes == DONE
        texts = {name: job_text(name, config_desc="second") for name in ("alpha", "beta")}
        host.commit("Edit", {f"jobs/{name}.toml": text for name, text in texts.items()})
        return host

    def change(self, host: Machine) -> None:
        host.change_there("dev", "alpha", train_instance_count=4)

    def check_kept(self, host: Machine, job: Finished) -> None:
        """alpha's nodes are still 4, beta was applied, and the state says so."""
        assert job.steps[APPLY].code == 5
        assert sorted(puts(host, "dev")[2:]) == ["alpha", "beta"]  # alpha's is the change itself
        params = {name: entry["params"] for name, entry in host.job_configs("-e dev").items()}
        assert "config_desc" not in params["alpha"]
        assert params["beta"]["config_desc"] == "second"
        assert puts(host, "prod")[2:] == []

    def test_is_undone_if_the_approved_plan_shows_it(self, edited: Machine) -> None:
        self.change(edited)
        job = run_workflow(edited, "apply")
        assert not job.has_failed, job
        assert "`4`" in job.summary
        assert sorted(puts(edited, "dev")[2:]) == ["alpha", "alpha", "beta"]

    @pytest.mark.parametrize("approved", [["dev"], []])
    def test_after_the_plan_is_kept(self, edited: Machine, approved: list[str]) -> None:
        between = {APPLY: lambda: self.change(edited)}
        job = run_workflow(edited, "apply", approved=approved, before=between)
        self.check_kept(edited, job)

    def test_is_kept_if_nobody_approved_the_plan(self, edited: Machine) -> None:
        self.change(edited)
        job = run_workflow(edited, "apply", approved=["prod"])
        assert "Nobody approved this plan" in job.steps[APPLY].stderr
        self.check_kept(edited, job)
        assert "majobctl apply -e dev --overwrite --target alpha" in job.steps[APPLY].stdout


def test_what_dev_refuses_does_not_reach_prod_and_what_it_took_is_in_the_state(
    host: Machine,
) -> None:
    host.commit("Unknown there", {"jobs/delta.toml": job_text("delta")})
    job = run_workflow(host, "apply")
    assert job.codes == {"plan dev": 0, "apply dev": 3}
    assert list(host.job_configs("-e dev")) == ["alpha"]
    assert puts(host, "prod") == []


def test_a_plan_that_fails_sends_nothing(host: Machine) -> None:
    host.commit("Wrong", {"jobs/alpha.toml": job_text("alpha", train_instance_count=0)})
    assert run_workflow(host, "apply").codes == {"plan dev": 1}
    assert (host.branches, puts(host, "dev")) == (["main"], [])


@pytest.mark.parametrize("is_reverted", [False, True])
def test_what_a_dead_runner_did_is_in_the_state(slow: Machine, is_reverted: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        kill = {APPLY: lambda: pool.submit(slow.interrupt, "dev")}
        dead = run_workflow(slow, "apply", before=kill).steps[APPLY]
    unknown = slow.left_by(dead, "-e dev")
    if is_reverted:
        slow.commit("Revert", described("first"))
    job = run_workflow(slow, "apply")
    assert not job.has_failed, job
    assert "No changes" not in job.steps["plan dev"].stdout
    assert "took over the lock" in job.steps[APPLY].stderr
    done = {*REPORTED.findall(job.steps[APPLY].stderr)}
    assert done == ({*NAMES} if is_reverted else unknown)
    slow.check_applied("first" if is_reverted else "second", "-e dev")


@pytest.mark.parametrize(
    ("timeout", "code", "message"),
    [("--lock-timeout 0", 4, "is locked by "), ("", 5, "make the plan again")],
)
def test_of_two_runs_at_once_one_works(
    slow: Machine, timeout: str, code: int, message: str
) -> None:
    """As without ``concurrency``, or if somebody applies by hand."""
    before = len(puts(slow, "dev"))
    with ThreadPoolExecutor(1) as pool:
        others: list[Future[Finished]] = []

        def overtake() -> None:
            others.append(pool.submit(run_workflow, slow, "apply"))
            until(lambda: len(puts(slow, "dev")) > before, "the first call")

        replaced = ("$COMMAND", f"${{COMMAND/#apply/apply {timeout}}}")
        second = run_workflow(slow, "apply", before={APPLY: overtake}, replaced=replaced)
        (first,) = (other.result() for other in others)
    assert not first.has_failed, first
    refused = second.steps[APPLY]
    assert (refused.code, message in refused.stderr) == (code, True), refused
    assert sorted(puts(slow, "dev")[before:]) == list(NAMES)


def test_what_an_unlocked_apply_could_not_write_outlives_its_machine(slow: Machine) -> None:
    def unlock() -> None:
        stopped = slow.interrupt("dev", signal.SIGSTOP)
        refused = slow.shell("majobctl apply -e dev --auto-approve", slow.clone(), slow.member)
        (command,) = re.findall(r"majobctl unlock -e dev \w+", refused.stderr)
        slow.ask(command)
        os.killpg(stopped, signal.SIGCONT)

    with ThreadPoolExecutor(1) as pool:
        job = run_workflow(slow, "apply", before={APPLY: lambda: pool.submit(unlock)})
    assert job.steps[APPLY].code == 1
    (kept,) = slow.root.glob("artifacts-*/majobctl apply dev/*.rescue-*")
    assert kept.name in job.steps[APPLY].stderr


def test_drift_opens_one_issue_updates_it_and_closes_it(host: Machine) -> None:
    of_somebody = {
        **{"id": 1, "number": 1, "user": SOMEBODY, "state": "open"},
        "body": "<!-- majobctl drift: prod -->",
    }
    host.forge.issues.append(dict(of_somebody))
    assert run_workflow(host, "apply").codes == DONE
    job = run_workflow(host, "drift")
    assert job.codes == {"drift dev": 0, "drift prod": 0}
    assert host.forge.issues == [of_somebody]
    assert job.summary.count("No drift") == 2

    for count in (2, 4):
        host.change_there("prod", "alpha", train_instance_count=count)
        job = run_workflow(host, "drift")
        assert job.codes == {"drift dev": 0, "drift prod": 0}
        _, issue = host.forge.issues
        assert issue["labels"] == [{"name": "majobctl-drift"}]
        assert issue["title"] == "Training job configurations have drifted (prod)"
        assert f"| `train_instance_count` | `1` | `{count}` |" in issue["body"]
        assert job.summary.endswith(issue["body"].partition("\n")[2])

    host.change_there("prod", "alpha")
    assert run_workflow(host, "drift").codes == {"drift dev": 0, "drift prod": 0}
    assert [it["state"] for it in host.forge.issues] == ["open", "closed"]
    assert host.forge.issues[0] == of_somebody


def test_a_drift_that_cannot_be_read_fails_and_touches_no_issue(host: Machine) -> None:
    assert run_workflow(host, "apply").codes == DONE
    settings = host.git("show", "main:majobctl.toml")
    url = host.services["prod"]
    host.commit("Elsewhere", {"majobctl.toml": settings.replace(url, f"{url}/nowhere")})
    assert run_workflow(host, "drift").codes == {"drift dev": 0, "drift prod": 1}
    assert host.forge.issues == []
