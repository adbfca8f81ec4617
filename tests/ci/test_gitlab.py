from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import fake_forge, fake_gitlab
from tests.ci.gitlab import JOB_URL, NO_VARIABLES, NOTE_TOKEN, load, run_pipeline, state_tables
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

MARKER = "<!-- majobctl plan: dev prod -->"
SOMEBODY = {"id": 5, "username": "somebody"}

pytestmark = pytest.mark.slow


@contextmanager
def hosting(root: Path, latency_ms: float = 0) -> Iterator[Machine]:
    with fake_gitlab.running() as gitlab:
        tables = state_tables(gitlab, "dev", "prod")
        with machine(root, "dev", "prod", state=tables, latency_ms=latency_ms) as made:
            token = {"TF_HTTP_USERNAME": fake_gitlab.USER, "TF_HTTP_PASSWORD": fake_gitlab.TOKEN}
            url = gitlab.url.removesuffix(fake_gitlab.PATH)
            gitlab.rest = fake_forge.FakeGitLab(url=url)
            gitlab.rest.users[fake_forge.NOTE_TOKEN] = fake_forge.OWN
            yield replace(made, url=url, member=token, forge=gitlab.rest)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Machine]:
    with hosting(tmp_path) as made:
        yield made


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Machine]:
    """Calls take a while, one after the other; alpha, beta and gamma were applied, and edited."""
    with hosting(tmp_path, latency_ms=200) as made:
        made.make_slow()
        assert applied(made) == APPLIED
        made.commit("Edit", described("second"))
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


def notes(host: Machine) -> list[str]:
    return [note["body"] for note in host.forge.comments]


def test_the_note_has_the_plans_of_all_environments_and_the_next_push_updates_it(
    host: Machine,
) -> None:
    host.forge.comments += [note_of(SOMEBODY, number, "Remark") for number in range(1, 101)]
    first = propose(host)
    assert request(host, NOTE_TOKEN) == {"plan": 0}
    head, dev, prod = notes(host)[100].split("\n\n## ")
    assert head.startswith(f"{MARKER}\nPlans of {first[:8]}. [The job](")
    assert dev.startswith("dev\n\n") and "2 to add" in dev
    assert dev.removeprefix("dev\n\n").rstrip() == plan_markdown(host, "dev", first)
    assert prod.removeprefix("prod\n\n").rstrip() == plan_markdown(host, "prod", first)
    assert len(list(host.root.glob("pipeline-0/artifacts/majobctl-plan-*.html"))) == 2

    second = propose(host, count=4)
    ran = run_pipeline(host, "merge_request_event", "change", NOTE_TOKEN)["plan"]
    assert ran.code == 0
    assert len(notes(host)) == 101
    assert notes(host)[100].startswith(f"{MARKER}\nPlans of {second[:8]}. [The job](")
    assert fake_forge.NOTE_TOKEN not in ran.stdout + ran.stderr
    assert (puts(host, "dev"), puts(host, "prod")) == ([], [])


def plan_markdown(host: Machine, environment: str, commit: str) -> str:
    place = host.clone()
    host.git("checkout", "--quiet", commit, cwd=place)
    ran = host.shell(f"majobctl plan -e {environment} --format markdown", place, host.member)
    assert ran.code == 0, ran
    return ran.stdout.rstrip()


def test_without_the_token_there_is_no_note(host: Machine) -> None:
    propose(host)
    assert request(host) == {"plan": 0}
    assert host.forge.asked == []


def test_where_planning_fails_the_note_says_so(host: Machine) -> None:
    propose(host, count=0)
    assert request(host, NOTE_TOKEN) == {"plan": 1}
    (note,) = notes(host)
    assert note.count(f"There is no plan. [The job]({JOB_URL}) shows why.") == 2


def test_a_violation_is_in_the_report_of_the_merge_request_at_its_line(host: Machine) -> None:
    host.commit("A rule", {"policy.toml": POLICY})
    propose(host)
    assert request(host) == {"plan": 1}
    artifacts = load()["plan"]["artifacts"]
    assert artifacts["when"] == "always"
    (file,) = host.root.glob(f"pipeline-0/plan/{artifacts['reports']['codequality']}")
    (issue,) = json.loads(file.read_text(encoding="utf-8"))
    assert issue["location"] == {"path": "jobs/beta.toml", "lines": {"begin": 9}}
    assert issue["description"] == VIOLATION


def test_what_is_merged_has_a_report_to_compare_with(host: Machine) -> None:
    applied(host)
    file = load()["review"]["artifacts"]["reports"]["codequality"]
    assert (host.root / "pipeline-0" / "review-dev" / file).read_text(encoding="utf-8") == "[]\n"


def test_a_plan_is_that_of_the_merge(host: Machine) -> None:
    propose(host)
    assert set(applied(host).values()) == {0}
    assert request(host, NOTE_TOKEN) == {"plan": 0}
    (note,) = notes(host)
    assert note.count("1 to add") == 2


PLANNED = {"review dev": 0, "review prod": 0}
AT_ONCE = ("majobctl ci apply", "majobctl ci apply --lock-timeout 0")
APPLIED = {**PLANNED, "apply-dev": 0, "apply-prod": 0}


def applied(host: Machine, **options: Any) -> dict[str, int]:
    """The pipeline of what was merged; the exit codes of its jobs."""
    return {name: ran.code for name, ran in run_pipeline(host, "push", "main", **options).items()}


def test_nothing_is_applied_until_somebody_starts_it(host: Machine) -> None:
    ran = run_pipeline(host, "push", "main", started=False)
    assert {name: item.code for name, item in ran.items()} == PLANNED
    assert '- config_desc                  "made by hand"' in ran["review prod"].stdout
    assert (puts(host, "dev"), puts(host, "prod")) == ([], [])


def test_what_somebody_changed_is_undone_if_the_plan_shows_it(host: Machine) -> None:
    applied(host)
    host.commit("Edit", {"jobs/alpha.toml": job_text("alpha", config_desc="second")})
    host.change_there("prod", "alpha", train_instance_count=4)
    ran = run_pipeline(host, "push", "main")
    assert {name: item.code for name, item in ran.items()} == APPLIED
    assert "4 -> 1  (changed in the service)" in ran["review prod"].stdout
    assert "Undone in the service" in ran["apply-prod"].stdout


def test_what_somebody_changed_after_the_plan_is_kept(host: Machine) -> None:
    host.commit("Beta", {"jobs/beta.toml": job_text("beta")})
    applied(host)
    texts = {name: job_text(name, config_desc="second") for name in ("alpha", "beta")}
    host.commit("Edit", {f"jobs/{name}.toml": text for name, text in texts.items()})
    change = {"apply-prod": lambda: host.change_there("prod", "alpha", train_instance_count=4)}
    assert applied(host, before=change) == {**APPLIED, "apply-prod": 5}
    assert sorted(puts(host, "prod")[2:]) == ["alpha", "beta"]  # alpha's is the change itself
    configs = host.job_configs("-e prod")
    assert "config_desc" not in configs["alpha"]["params"]
    assert configs["beta"]["params"]["config_desc"] == "second"


def test_what_was_merged_is_applied_to_dev_then_to_prod(host: Machine) -> None:
    commit = host.git("rev-parse", "main")
    for _ in range(2):
        assert applied(host) == APPLIED
        assert (puts(host, "dev"), puts(host, "prod")) == (["alpha"], ["alpha"])
        for name in ("dev", "prod"):
            assert list(host.job_configs(f"-e {name}")) == ["alpha"]
    assert (host.git("rev-parse", "main"), host.branches) == (commit, ["main"])


def test_what_dev_refuses_does_not_reach_prod_and_what_it_took_is_in_the_state(
    host: Machine,
) -> None:
    host.commit("Unknown there", {"jobs/delta.toml": job_text("delta")})
    assert applied(host) == {**PLANNED, "apply-dev": 3}
    assert list(host.job_configs("-e dev")) == ["alpha"]
    assert puts(host, "prod") == []


@pytest.mark.parametrize("is_reverted", [False, True])
def test_what_a_dead_runner_did_is_in_the_state(slow: Machine, is_reverted: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        kill = {"apply-dev": lambda: pool.submit(slow.interrupt, "dev")}
        dead = run_pipeline(slow, "push", "main", before=kill)["apply-dev"]
    unknown = slow.left_by(dead, "-e dev")
    if is_reverted:
        slow.commit("Revert", described("first"))
    refused = run_pipeline(slow, "push", "main", replaced=AT_ONCE)["apply-dev"]
    assert refused.code == 4
    assert "majobctl ci apply`, since" in refused.stderr
    (command,) = re.findall(r"majobctl unlock -e dev \w+", refused.stderr)
    slow.ask(command)
    jobs = run_pipeline(slow, "push", "main")
    assert {name: ran.code for name, ran in jobs.items()} == APPLIED
    assert "No changes" not in jobs["review dev"].stdout
    done = {*REPORTED.findall(jobs["apply-dev"].stderr)}
    assert done == ({*NAMES} if is_reverted else unknown)
    slow.check_applied("first" if is_reverted else "second", "-e dev")


def test_of_two_pipelines_at_once_one_works(slow: Machine) -> None:
    """As without ``resource_group``, or if somebody applies by hand."""
    before = len(puts(slow, "dev"))
    with ThreadPoolExecutor(1) as pool:
        others: list[Future[dict[str, int]]] = []

        def overtake() -> None:
            others.append(pool.submit(applied, slow))
            until(lambda: len(puts(slow, "dev")) > before, "the first call")

        second = run_pipeline(
            slow, "push", "main", before={"apply-dev": overtake}, replaced=AT_ONCE
        )
        (first,) = (other.result() for other in others)
    assert first == APPLIED
    refused = second["apply-dev"]
    assert (refused.code, "majobctl-dev is locked by " in refused.stderr) == (4, True), refused
    assert sorted(puts(slow, "dev")[before:]) == list(NAMES)


CLEAN = {"drift dev": 0, "drift prod": 0}


def nightly(host: Machine, variables: Mapping[str, str] = NO_VARIABLES) -> dict[str, int]:
    ran = run_pipeline(host, "schedule", "main", variables)
    return {name: item.code for name, item in ran.items()}


def test_without_the_token_the_nightly_pipeline_fails_where_there_is_drift(host: Machine) -> None:
    applied(host)
    assert nightly(host) == CLEAN
    host.change_there("prod", "alpha", train_instance_count=2)
    assert nightly(host) == {**CLEAN, "drift prod": 2}
    assert host.forge.asked == []


def test_with_the_token_there_is_one_issue_for_each_environment_that_has_drifted(
    host: Machine,
) -> None:
    applied(host)
    host.change_there("prod", "alpha", train_instance_count=2)
    for _ in range(2):
        assert nightly(host, NOTE_TOKEN) == CLEAN
        (issue,) = host.forge.issues
        assert issue["title"] == "Training job configurations have drifted (prod)"
        assert "| `train_instance_count` | `1` | `2` |" in issue["description"]
    host.change_there("prod", "alpha")
    assert nightly(host, NOTE_TOKEN) == CLEAN
    assert [it["state"] for it in host.forge.issues] == ["closed"]
