"""``majobctl ci`` in a job of GitHub and of GitLab: what becomes of comments and issues."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests import fake_forge
from tests.cli.test_drift import change_there
from tests.config_repository import PATIENCE, Ran, Repository, finished
from tests.fake_forge import (
    BOT,
    JOB_TOKEN,
    NOTE_TOKEN,
    OWN,
    FakeForge,
    FakeGitHub,
    FakeGitLab,
    dropped,
    lost,
    refused,
)
from tests.git_servers import git

ENVIRONMENTS = "".join(
    f'[environments.{name}]\nprovider.project_id = "{name}"\nstate.path = "{name}.state.json"\n'
    for name in ("dev", "prod")
)
PERMISSIONS = {"pull-requests": "write", "issues": "write", "actions": "read"}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOMEBODY = {"id": 5, "login": "somebody", "username": "somebody"}
JOB = {
    "github": "https://github.example.com/ml/configs/actions/runs/77",
    "gitlab": "https://gitlab.example.com/ml/configs/-/jobs/99",
}


@dataclass
class Job:
    """A job of ``kind``, and the forge that it speaks to."""

    kind: str
    repository: Repository
    forge: FakeForge

    @property
    def is_github(self) -> bool:
        return self.kind == "github"

    @property
    def own(self) -> Any:
        return BOT if self.is_github else OWN

    @property
    def token(self) -> str:
        return "GITHUB_TOKEN" if self.is_github else "MAJOBCTL_NOTE_TOKEN"

    def set(self, **variables: str | None) -> None:
        for name, value in variables.items():
            if value is None:
                self.repository.environment.pop(name, None)
                self.repository.monkeypatch.delenv(name, raising=False)
            else:
                self.repository.environment[name] = value

    def request(self, *, is_fork: bool = False) -> None:
        """The job is of pull request 3."""
        if self.is_github:
            head = {"sha": COMMIT, "repo": {"full_name": "x/fork" if is_fork else "ml/configs"}}
            self.event(
                "pull_request", "refs/pull/3/merge", pull_request={"number": 3, "head": head}
            )
        else:
            self.set(CI_COMMIT_BRANCH=None, CI_MERGE_REQUEST_IID="3")
            self.set(CI_MERGE_REQUEST_PROJECT_ID="41" if is_fork else "42")

    def branch(self, name: str) -> None:
        if self.is_github:
            self.event("push", f"refs/heads/{name}", repository={"default_branch": "main"})
        else:
            self.set(CI_MERGE_REQUEST_IID=None, CI_COMMIT_BRANCH=name)

    def event(self, name: str, ref: str, **document: Any) -> None:
        file = self.repository.write(".git/event.json", json.dumps(document))
        self.set(GITHUB_EVENT_NAME=name, GITHUB_REF=ref, GITHUB_EVENT_PATH=str(file))

    def approve(self, environment: str) -> None:
        if self.is_github:
            names = [{"name": environment}]
            self.forge.approvals = [{"state": "approved", "environments": names, "comment": ""}]
        else:
            self.set(CI_JOB_MANUAL="true")

    def run(self, *arguments: str, code: int = 0) -> Ran:
        ran = self.repository.run("ci", *arguments, code=code)
        for token in (JOB_TOKEN, NOTE_TOKEN):
            assert token not in ran.stdout + ran.stderr
        return ran

    def comment(self, author: Any, body: str) -> Any:
        key = "user" if self.is_github else "author"
        made = {"id": self.forge.new_id(), key: author, "body": body, "system": False}
        self.forge.comments.append(made)
        return made

    @property
    def bodies(self) -> list[str]:
        return [comment["body"] for comment in self.forge.comments]

    @property
    def summary(self) -> str:
        return self.repository.root.joinpath(".git/summary").read_text(encoding="utf-8")

    @property
    def outputs(self) -> str:
        return self.repository.root.joinpath(".git/output").read_text(encoding="utf-8")


@pytest.fixture(params=["github", "gitlab"])
def job(request: pytest.FixtureRequest, on_emulator: Repository) -> Iterator[Job]:
    """In a pull request, of a repository with the environments dev and prod."""
    settings = (on_emulator.root / "majobctl.toml").read_text(encoding="utf-8")
    on_emulator.settings(settings + ENVIRONMENTS)
    is_github = request.param == "github"
    forge = FakeGitHub(permissions={JOB_TOKEN: PERMISSIONS}) if is_github else FakeGitLab()
    with fake_forge.running(forge):
        forge.users = {JOB_TOKEN: None} if is_github else {NOTE_TOKEN: OWN}
        made = Job(request.param, on_emulator, forge)
        (on_emulator.root / ".git").mkdir()
        folder = on_emulator.root / ".git"
        made.set(GITHUB_ACTIONS=None, GITLAB_CI=None, GITHUB_STEP_SUMMARY=None, GITHUB_OUTPUT=None)
        if is_github:
            made.set(
                GITHUB_ACTIONS="true",
                GITHUB_API_URL=forge.url,
                GITHUB_OUTPUT=str(folder / "output"),
                GITHUB_REPOSITORY="ml/configs",
                GITHUB_RUN_ID="77",
                GITHUB_SERVER_URL="https://github.example.com",
                GITHUB_SHA="f" * 40,
                GITHUB_STEP_SUMMARY=str(folder / "summary"),
                GITHUB_TOKEN=JOB_TOKEN,
                GITHUB_WORKSPACE=str(on_emulator.root),
            )
        else:
            made.set(
                GITLAB_CI="true",
                CI_API_V4_URL=f"{forge.url}/api/v4",
                CI_COMMIT_SHA=COMMIT,
                CI_DEFAULT_BRANCH="main",
                CI_JOB_URL=JOB["gitlab"],
                CI_PIPELINE_ID="77",
                CI_PROJECT_DIR=str(on_emulator.root),
                CI_PROJECT_ID="42",
                MAJOBCTL_NOTE_TOKEN=NOTE_TOKEN,
            )
        made.request()
        yield made


MARKER = "<!-- majobctl plan: dev prod -->"
NO_PLAN = "There is no plan. [The job]({}) shows why."


def test_the_plans_of_all_environments_are_in_one_comment_which_the_next_push_updates(
    job: Job,
) -> None:
    for number in range(120):  # more than two pages
        job.comment(SOMEBODY, f"Remark {number}")
    ran = job.run("plan", "dev", "prod")
    assert ran.stdout.count("Plan: 1 to add") == 2
    (body,) = job.bodies[120:]
    head, dev, prod = body.split("\n\n## ")
    page = f"[The job]({JOB[job.kind]}) keeps each of them as a page, too."
    assert head == f"{MARKER}\nPlans of 01234567. {page}"
    assert dev.startswith("dev\n\n**Plan: 1 to add") and "environment `dev`" in dev
    assert prod.startswith("prod\n\n**Plan: 1 to add") and "environment `prod`" in prod
    for name in ("dev", "prod"):
        file = job.repository.root / f"majobctl-plan-{name}.html"
        assert "<html" in file.read_text(encoding="utf-8")
    if job.is_github:
        assert (job.summary, job.outputs) == (body.partition("\n")[2], "changes=true\n")

    job.repository.job("beta")
    job.run("plan", "dev", "prod")
    assert len(job.bodies) == 121
    assert job.bodies[120].count("2 to add") == 2


def test_of_comments_that_two_jobs_made_at_once_the_first_is_kept(job: Job) -> None:
    for text in ("one", "two", "three"):
        job.comment(job.own, f"{MARKER}\n{text}")
    others = [
        job.comment(SOMEBODY, f"{MARKER}\nforged"),
        job.comment(job.own, "<!-- majobctl plan: dev -->\nof another job"),
        job.comment(job.own, f"see {MARKER}"),
    ]
    first = job.forge.comments[0]
    job.run("plan", "dev", "prod")
    assert job.forge.comments == [first, *others]
    assert "1 to add" in first["body"]

    def overtake(carry_out: Any) -> Any:
        """Another job's comment is there a moment before this one's."""
        job.comment(job.own, "<!-- majobctl plan: prod -->\nof the other job")
        return carry_out()

    job.forge.fail("POST", overtake)
    job.run("plan", "prod")
    (kept,) = [it for it in job.bodies if it.startswith("<!-- majobctl plan: prod -->")]
    assert "1 to add" in kept


def test_of_two_jobs_at_the_same_moment_one_comment_remains(job: Job) -> None:
    both = threading.Barrier(2)

    def together(carry_out: Any) -> Any:
        both.wait(PATIENCE)
        return carry_out()

    job.forge.fail("POST", together, together)
    jobs = [job.repository.start("ci", "plan", name) for name in ("dev", "dev")]
    assert [finished(it).code for it in jobs] == [0, 0]
    (body,) = job.bodies
    assert "1 to add" in body


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [lost, dropped, refused(502), refused(502, after=True), refused(500), refused(503, after=True)],
    ids=["lost", "dropped", "502", "502 after", "500", "503 after"],
)
def test_a_comment_whose_answer_is_lost_is_made_once(job: Job, fault: Any) -> None:
    job.forge.fail("POST", fault)
    job.run("plan", "dev")
    (body,) = job.bodies
    assert "1 to add" in body


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GET", "POST", "change"])
@pytest.mark.parametrize(
    "fault",
    [
        refused(429, retry_after="1"),
        refused(403, "You have exceeded a secondary rate limit.", retry_after="1"),
        refused(403, "API rate limit exceeded", x_ratelimit_remaining="0", x_ratelimit_reset="1"),
    ],
    ids=["429", "secondary", "primary"],
)
def test_a_limit_of_requests_is_waited_for(job: Job, method: str, fault: Any) -> None:
    job.comment(job.own, f"<!-- majobctl plan{': prod' if method == 'POST' else ': dev'} -->\nold")
    change = "PATCH" if job.is_github else "PUT"
    job.forge.fail(change if method == "change" else method, fault)
    job.run("plan", "dev")
    assert "1 to add" in job.bodies[-1]
    assert len(job.bodies) == (2 if method == "POST" else 1)


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(job: Job, status: int) -> None:
    job.forge.fail("GET", refused(status))
    job.forge.fail("PATCH" if job.is_github else "PUT", lost)
    job.comment(job.own, "<!-- majobctl plan: dev -->\nold")
    job.run("plan", "dev")
    assert "1 to add" in job.bodies[0]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (refused(401, "Bad credentials"), "HTTP status 401: Bad credentials\nthe token "),
        (refused(403, "Resource not accessible"), "403: Resource not accessible\nthe "),
        (refused(404, "Not Found"), "HTTP status 404: Not Found\nthe "),
        (refused(422, "Validation Failed"), "HTTP status 422: Validation Failed"),
        (refused(302, Location="http://127.0.0.2/"), "HTTP status 302\nthe address redirects"),
        (refused(429, Retry_After="7200"), "HTTP status 429\nrun the job again later"),
    ],
    ids=["401", "403", "404", "422", "302", "hours"],
)
def test_a_comment_that_cannot_be_written_fails_the_job_after_the_plan(
    job: Job, fault: Any, said: str
) -> None:
    job.forge.fail("POST", fault)
    ran = job.run("plan", "dev", code=1)
    assert (
        "Error: the comment could not be written, and may show an older plan: POST " in ran.stderr
    )
    assert said in ran.stderr
    assert "Plan: 1 to add" in ran.stdout
    assert (job.repository.root / "majobctl-plan-dev.html").exists()


@pytest.mark.parametrize("status", [302, 401, 403, 422, 429, 500])
def test_an_answer_that_quotes_the_token_does_not_show_it(job: Job, status: int) -> None:
    token = JOB_TOKEN if job.is_github else NOTE_TOKEN
    text = f"denied: Authorization: Bearer {token}"
    job.forge.fail("GET", *[refused(status, text, Retry_After="7200")] * 2)
    assert "denied: Authorization: Bearer (token)" in job.run("plan", "dev", code=1).stderr


def test_a_plan_that_fails_is_in_the_comment_and_its_problems_at_their_lines(job: Job) -> None:
    job.run("plan", "dev", "prod")
    job.repository.job("alpha", train_instance_count=0)
    ran = job.run("plan", "dev", "prod", code=1)
    problem = (
        "`jobs/alpha.toml:9: job_config.alpha: train_instance_count must be at least 1, not 0`"
    )
    section = f"{NO_PLAN.format(JOB[job.kind])}\n\n- {problem}"
    assert job.bodies[0].count(section) == 2
    assert len(job.bodies) == 1
    if job.is_github:
        line = "::error file=jobs/alpha.toml,line=9,title=job_config.alpha::"
        assert ran.stdout.count(line) == 1
    else:
        report = json.loads((job.repository.root / "gl-code-quality-report.json").read_text())
        (issue,) = report
        assert issue["location"] == {"path": "jobs/alpha.toml", "lines": {"begin": 9}}
    assert "jobs/alpha.toml:9: job_config.alpha: train_instance_count" in ran.stderr


def test_a_comment_has_the_first_of_many_problems(job: Job) -> None:
    for number in range(30):
        job.repository.job(f"job-{number:02}", train_instance_count=0, user_command="x" * 9000)
    job.run("plan", "dev", code=1)
    assert job.bodies[0].rstrip().splitlines()[-1] == "- 40 more"
    assert job.bodies[0].count("\n- `jobs/job-") == 20


def test_an_environment_that_fails_leaves_the_plan_of_the_other(job: Job) -> None:
    ran = job.run("plan", "dev", "nowhere", code=1)
    _, dev, other = job.bodies[0].split("\n\n## ")
    assert "1 to add" in dev
    assert other.strip() == f"nowhere\n\n{NO_PLAN.format(JOB[job.kind])}"
    assert 'no environment "nowhere"' in ran.stderr


def test_without_an_environment_there_is_no_section(job: Job) -> None:
    job.run("plan")
    assert job.bodies[0].startswith("<!-- majobctl plan -->\nPlan of 01234567. [The job](")
    assert "\n## " not in job.bodies[0]


def test_a_repository_in_a_folder_has_a_comment_of_its_own(job: Job) -> None:
    job.run("plan", "dev")
    workspace = str(job.repository.root.parent)
    job.set(**{"GITHUB_WORKSPACE" if job.is_github else "CI_PROJECT_DIR": workspace})
    job.run("plan", "dev")
    assert [it.partition("\n")[0] for it in job.bodies] == [
        "<!-- majobctl plan: dev -->",
        "<!-- majobctl plan: dev in repository -->",
    ]


def test_a_fork_gets_no_comment_and_asks_nothing(job: Job) -> None:
    job.request(is_fork=True)
    ran = job.run("plan", "dev")
    assert "There is no comment: " in ran.stderr and "fork" in ran.stderr
    assert job.forge.asked == []
    assert "Plan: 1 to add" in ran.stdout


def test_without_a_token(job: Job) -> None:
    """GitHub always has one, so that a job without it was forgotten; GitLab's is for those who
    want a note."""
    job.set(**{job.token: None})
    ran = job.run("plan", "dev", code=1 if job.is_github else 0)
    assert f"{job.token} is not set" in ran.stderr
    assert job.forge.asked == []


@pytest.mark.parametrize("token", ["two words", "not\nascii", "t\u00f6ken"])
def test_a_token_that_is_none_is_not_shown(job: Job, token: str) -> None:
    job.set(**{job.token: token})
    ran = job.run("plan", "dev", code=1)
    assert f"{job.token} is not a token" in ran.stderr
    assert token not in ran.stderr


@pytest.mark.parametrize("address", ["http://forge.example.com", "forge", "https://u:p@x.example"])
def test_the_token_goes_to_https_or_to_this_machine_alone(job: Job, address: str) -> None:
    name = "GITHUB_API_URL" if job.is_github else "CI_API_V4_URL"
    job.set(**{name: address})
    assert f"{name} must " in job.run("plan", "dev", code=1).stderr


def test_without_an_address_the_token_goes_nowhere(job: Job) -> None:
    name = "GITHUB_API_URL" if job.is_github else "CI_API_V4_URL"
    job.set(**{name: ""})
    assert f"{name} is not set" in job.run("plan", "dev", code=1).stderr


@pytest.mark.slow
def test_more_changes_than_a_comment_takes(job: Job) -> None:
    """Of wide characters, too: GitHub counts characters, and we bytes, which are never fewer."""
    for number in range(400):
        job.repository.job(f"job-{number}", config_desc="\u8bad" * 250)
    job.run("plan", "dev", "prod")
    _, dev, prod = job.bodies[0].split("\n\n## ")
    size = 20_000 if job.is_github else 60_000
    for section in (dev, prod):
        assert "401 to add" in section and "Left out here: " in section
        assert len(section.encode()) > size


def test_outside_of_both_it_says_what_to_run(on_emulator: Repository) -> None:
    for name in ("GITHUB_ACTIONS", "GITLAB_CI"):
        on_emulator.monkeypatch.delenv(name, raising=False)
    for command in ("plan", "apply", "drift"):
        ran = on_emulator.run("ci", command, code=1)
        assert ran.stderr == (
            "Error: this is not a job of GitHub Actions or GitLab CI: neither GITHUB_ACTIONS nor"
            f" GITLAB_CI is true\nanywhere else, run: majobctl {command}\n"
        )


@pytest.mark.parametrize(
    ("job", "name"),
    [
        *(
            ("github", f"GITHUB_{name}")
            for name in ("REPOSITORY", "RUN_ID", "SERVER_URL", "REF", "EVENT_PATH", "SHA")
        ),
        *(
            ("gitlab", f"CI_{name}")
            for name in ("PROJECT_ID", "PIPELINE_ID", "JOB_URL", "DEFAULT_BRANCH", "COMMIT_SHA")
        ),
    ],
    indirect=["job"],
)
@pytest.mark.parametrize("value", [None, "\n"])
def test_a_variable_that_is_missing_is_named(job: Job, name: str, value: str | None) -> None:
    job.set(**{name: value})
    ran = job.run("plan", "dev", code=1)
    assert re.match(
        rf'Error: {name} is (not set|"\\n"); Git\w+ \w+ sets it in each job', ran.stderr
    )


@pytest.mark.parametrize("event", ["", "{", "[]", "{}", '{"pull_request": 3}', "\x00"])
@pytest.mark.parametrize("job", ["github"], indirect=True)
def test_an_event_that_is_broken_is_one_error(job: Job, event: str) -> None:
    job.repository.write(".git/event.json", event)
    ran = job.run("plan", "dev", code=1)
    assert ran.stderr.startswith("Error: ")


@pytest.mark.parametrize("job", ["github"], indirect=True)
@pytest.mark.parametrize(
    ("name", "document", "said"),
    [
        ("pull_request_target", {}, "pull_request_target"),
        ("issue_comment", {"issue": {"pull_request": {}}}, "issue_comment"),
        (
            "workflow_run",
            {"workflow_run": {"event": "pull_request"}},
            "a workflow_run after a pull request",
        ),
    ],
    ids=["target", "comment", "run"],
)
def test_a_pull_request_that_would_see_secrets_is_refused(
    job: Job, name: str, document: Any, said: str
) -> None:
    """The two last ones say that they are of the default branch."""
    job.event(name, "refs/heads/main", repository={"default_branch": "main"}, **document)
    for command in ("plan", "apply", "drift"):
        assert f"does not run on {said}," in job.run(command, code=1).stderr
    assert job.forge.asked == []


@pytest.mark.parametrize("job", ["github"], indirect=True)
def test_a_run_after_one_of_the_default_branch_is_of_that_branch(job: Job) -> None:
    run, repository = {"event": "push"}, {"default_branch": "main"}
    job.event("workflow_run", "refs/heads/main", workflow_run=run, repository=repository)
    job.run("plan", "dev")
    assert (job.repository.root / "majobctl-dev-77.plan").exists()


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_no_other_branch_saves_or_applies_a_plan(job: Job, command: str) -> None:
    job.branch("feature")
    ran = job.run(command, "dev", code=1)
    assert "this run is for the branch feature, not for the default branch main" in ran.stderr
    assert list(job.repository.root.glob("*.plan")) == []
    job.request()
    if command == "apply":
        assert "this run is for a pull request or a tag" in job.run("apply", "dev", code=1).stderr


@pytest.mark.parametrize("job", ["github"], indirect=True)
def test_the_default_branch_is_asked_for_if_the_event_does_not_say(job: Job) -> None:
    job.event("schedule", "refs/heads/main")
    job.run("plan", "dev")
    assert job.forge.asked == ["GET /repos/ml/configs"]


def saved(job: Job) -> None:
    job.branch("main")
    job.run("plan", "dev")


def test_an_approved_plan_is_applied_and_only_the_plan_of_this_run(job: Job) -> None:
    saved(job)
    assert job.bodies == []
    job.approve("dev")
    name = "GITHUB_RUN_ID" if job.is_github else "CI_PIPELINE_ID"
    job.set(**{name: "78"})
    ran = job.run("apply", "dev", code=1)
    assert "Error: majobctl-dev-78.plan is missing" in ran.stderr
    job.set(**{name: "77"})
    assert "majobctl-prod-77.plan is missing" in job.run("apply", "prod", code=1).stderr
    ran = job.run("apply", "dev")
    assert ran.last_line.startswith("Apply complete: ")
    assert "Nobody approved" not in ran.stderr
    assert "is stale" in job.run("apply", "dev", code=5).stderr
    saved(job)
    assert "No changes" in job.run("apply", "dev").stdout
    if job.is_github:
        assert job.outputs == "changes=true\nchanges=false\n"


def test_a_plan_that_was_committed_is_not_taken_for_that_of_the_run(job: Job) -> None:
    saved(job)
    job.approve("dev")
    git(job.repository.root, "init", "--quiet", "--initial-branch=main")
    git(job.repository.root, "add", "--force", "majobctl-dev-77.plan")
    ran = job.run("apply", "dev", code=1)
    assert "Error: majobctl-dev-77.plan is in git: " in ran.stderr
    git(job.repository.root, "rm", "--quiet", "--cached", "majobctl-dev-77.plan")
    assert job.run("apply", "dev").last_line.startswith("Apply complete: ")


def applied(job: Job, *, environment: str) -> Ran:
    """What somebody changed in the service, and the plan shows, before somebody agreed."""
    job.repository.done("apply", "--auto-approve", "--overwrite")
    change_there(job.repository, "alpha", train_instance_count=4)
    job.repository.job("alpha", train_instance_count=2)
    job.branch("main")
    job.run("plan")
    if environment:
        job.approve(environment)
    return job.repository.run("ci", "apply")


def test_what_somebody_changed_is_undone_if_somebody_approved_that(job: Job) -> None:
    assert applied(job, environment="production").code == 0


def test_a_plan_that_nobody_approved_holds_it_back(job: Job) -> None:
    ran = applied(job, environment="dev" if job.is_github else "")
    assert ran.code == 5
    assert "Nobody approved this plan" in ran.stderr


def test_drift_opens_one_issue_updates_it_and_closes_it(job: Job) -> None:
    job.repository.done("apply", "--auto-approve", "--overwrite")
    others = {"id": 3, "number": 3, "iid": 3, "state": "open" if job.is_github else "opened"}
    mine = {**others, "user": SOMEBODY, "author": SOMEBODY}
    pull = {**others, "id": 4, "user": BOT, "pull_request": {}, "body": "<!-- majobctl drift -->"}
    text = {"body": "<!-- majobctl drift -->", "description": "<!-- majobctl drift -->"}
    kept = [{**mine, **text}, *([pull] if job.is_github else [])]
    job.forge.issues += kept
    before = json.dumps(kept)
    job.run("drift")
    assert len(job.forge.issues) == len(kept)

    for count in ("2", "4"):
        change_there(job.repository, "alpha", train_instance_count=int(count))
        ran = job.run("drift")
        assert "train_instance_count" in ran.stdout
        (issue,) = job.forge.issues[len(kept) :]
        body = issue["body" if job.is_github else "description"]
        assert body.startswith("<!-- majobctl drift -->\n**")
        assert f"| `train_instance_count` | `1` | `{count}` |" in body
        assert issue["title"] == "Training job configurations have drifted"

    change_there(job.repository, "alpha")
    job.run("drift")
    assert issue["state"] == "closed"
    assert "No drift" in issue["body" if job.is_github else "description"]
    job.run("drift")
    assert len(job.forge.issues) == len(kept) + 1
    assert json.dumps(job.forge.issues[: len(kept)]) == before


def test_drift_without_a_token(job: Job) -> None:
    job.repository.done("apply", "--auto-approve", "--overwrite")
    job.set(**{job.token: None})
    job.run("drift", code=1 if job.is_github else 0)
    change_there(job.repository, "alpha", train_instance_count=2)
    ran = job.run("drift", code=1 if job.is_github else 2)
    assert "train_instance_count" in ran.stdout
    assert job.forge.issues == []


def test_drift_that_cannot_be_read_touches_no_issue(job: Job) -> None:
    job.run("drift", "nowhere", code=1)
    assert job.forge.asked == []
    ran = job.run("drift", "nowhere", "dev", code=1)
    assert 'no environment "nowhere"' in ran.stderr
    assert ran.stderr.endswith("Error: failed: nowhere; the reasons are above\n")
    assert "Environment dev:\nThere is no state yet" in ran.stdout


@pytest.mark.parametrize("job", ["github"], indirect=True)
@pytest.mark.parametrize("variable", ["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"])
def test_a_file_of_the_job_that_cannot_be_written_is_named(job: Job, variable: str) -> None:
    job.set(**{variable: str(job.repository.root)})
    ran = job.run("plan", "dev", code=1)
    assert f"{variable}: {job.repository.root} cannot be written: Is a directory" in ran.stderr


@pytest.mark.parametrize("job", ["github"], indirect=True)
def test_issues_that_are_turned_off(job: Job) -> None:
    job.repository.done("apply", "--auto-approve", "--overwrite")
    change_there(job.repository, "alpha", train_instance_count=2)
    job.forge.has_issues = False
    assert "turn them on" in job.run("drift", code=1).stderr


@pytest.mark.parametrize("job", ["github"], indirect=True)
def test_a_tokens_user_that_may_not_be_asked_for_is_found_by_its_comment(job: Job) -> None:
    """Another app's token on GitHub: its second comment shows whose it is."""
    app = {"id": 9, "login": "our-app[bot]"}
    job.comment(app, "<!-- majobctl plan: dev -->\nolder")

    def as_app(carry_out: Any) -> Any:
        status, document, headers = carry_out()
        document["user"] = app
        return status, document, headers

    job.forge.fail("POST", as_app)
    job.run("plan", "dev")
    (body,) = job.bodies
    assert "1 to add" in body


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "document"),
    [
        *(("GET", it) for it in (None, [3], {"id": "x"}, "x", [{"id": 1, "user": {}}])),
        *(("POST", it) for it in (None, {"id": "x"})),
    ],
)
def test_an_answer_in_another_form_is_one_error(job: Job, method: str, document: Any) -> None:
    job.forge.fail(method, *[lambda carry_out: (200, document, {})] * 20)
    assert "Error: the comment could not be written" in job.run("plan", "dev", code=1).stderr


@pytest.mark.parametrize("job", ["github"], indirect=True)
@pytest.mark.parametrize("document", [None, {}, [{}], [{"state": "approved"}], ["approved"]])
def test_approvals_in_another_form_are_no_approval(job: Job, document: Any) -> None:
    saved(job)
    job.forge.fail("GET", lambda carry_out: (200, document, {}))
    ran = job.run("apply", "dev", code=1)
    assert ran.stderr.startswith("Error: GitHub answers in another form than documented: ")
    assert not (job.repository.root / "dev.state.json").exists()


@pytest.mark.parametrize(
    "link", ['<http://[>; rel="next"', "<?\x7f>; rel=next", '<x?a=1>; rel="next"']
)
def test_a_next_page_that_is_hostile_does_no_harm(job: Job, link: str) -> None:
    """The third one goes on for ever, on this server alone, and is given up."""
    page: tuple[int, Any, dict[str, str]] = (200, [], {"Link": link})
    job.comment(job.own, "<!-- majobctl plan: dev -->\nold")
    mine = [lambda carry_out: carry_out()]
    job.forge.fail("GET", *mine, *[lambda carry_out: page] * (1000 if "=1" in link else 1))
    ran = job.repository.run("ci", "plan", "dev")
    assert (ran.code, "more than 1000 pages" in ran.stderr) in [(0, False), (1, True)]
    assert (ran.code == 1) is ("=1" in link)


def test_an_environment_is_named_once(job: Job) -> None:
    ran = job.repository.run("ci", "plan", "-e", "dev", "prod", code=1)
    assert "name the environment once" in ran.stderr
    job.set(MAJOBCTL_ENVIRONMENT="dev")
    job.run("plan", "prod", "prod")
    job.run("plan")
    assert [it.partition("\n")[0] for it in job.bodies] == [
        "<!-- majobctl plan: prod -->",
        "<!-- majobctl plan: dev -->",
    ]


def test_in_a_process_of_its_own_the_log_has_no_token(job: Job) -> None:
    ran = job.repository.process("-v", "ci", "plan", "dev", code=0)
    assert "POST http://127.0.0.1" in ran.stderr
    assert JOB_TOKEN not in ran.stderr and NOTE_TOKEN not in ran.stderr
    assert len(job.bodies) == 1
