"""Runs a GitLab pipeline, job by job in the order of the stages, each script as shell, against a
GitLab that keeps the states."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests import fake_forge
from tests.ci.machine import CREDENTIALS, EXAMPLES, Machine, yaml
from tests.config_repository import Ran
from tests.fake_gitlab import PATH, TOKEN, USER, FakeGitLab

FILE = EXAMPLES / "gitlab" / ".gitlab-ci.yml"
NO_VARIABLES: Mapping[str, str] = {}
NOTE_TOKEN = {"MAJOBCTL_NOTE_TOKEN": fake_forge.NOTE_TOKEN}
_KEYWORDS = {"include", "stages", "workflow", "default"}
_SCOPES = ("dev-read", "prod-read", "dev", "prod")
"""The environments with variables of their own, which only the protected branch has."""
_API = "/api/v4"
JOB = ("gitlab-ci-token", "job-token")
"""How a job signs in for the states."""
PIPELINE = "9"
JOB_URL = "https://gitlab.example.com/ml/configs/-/jobs/99"


def state_tables(gitlab: FakeGitLab, *environments: str) -> str:
    """Settings that keep a state for each environment there, and the states themselves."""
    gitlab.users = dict([JOB, (USER, TOKEN)])
    tables = ['[state]\nbackend = "http"']
    for name in environments:
        path = f"{PATH.rpartition('/')[0]}/majobctl-{name}"
        gitlab.others[path] = FakeGitLab(path=path, users=gitlab.users)
        address = gitlab.url.replace(PATH, path)
        tables.append(f'[environments.{name}.state]\naddress = "{address}"')
    return "\n".join(tables)


def load() -> Any:
    """The file with those that it includes."""
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    for name in document["include"]:
        document |= yaml.safe_load((FILE.parent / name).read_text(encoding="utf-8"))
    return document


def run_pipeline(
    machine: Machine,
    source: str,
    branch: str,
    variables: Mapping[str, str] = NO_VARIABLES,
    *,
    before: Mapping[str, Callable[[], object]] | None = None,
    started: bool = True,
    replaced: tuple[str, str] = ("", ""),
) -> dict[str, Ran]:
    """The jobs that ran, by name and environment; ``source`` as in CI_PIPELINE_SOURCE. None of them
    installs majobctl.

    ``started``: somebody starts each job that waits for that. ``before`` has what happens before a
    job; ``replaced`` is a text of the scripts, and what somebody wrote for it.
    """
    document = load()
    document["default"]["before_script"] = []
    jobs = {name: _whole(document, name) for name in document if name not in _KEYWORDS}
    number = len(list(machine.root.glob("pipeline-*")))
    folder = machine.root / f"pipeline-{number}"
    given = {**_predefined(machine, source, branch), **variables}
    assert any(_holds(rule["if"], given) for rule in document["workflow"]["rules"])
    ran: dict[str, Ran] = {}
    for stage in document["stages"]:
        had_failed = any(item.code for item in ran.values())
        for name, job in jobs.items():
            rule = next((r for r in job.get("rules", ()) if _holds(r["if"], given)), None)
            if name.startswith(".") or job["stage"] != stage or rule is None:
                continue
            needs = [_labels(document, it) for it in job.get("needs", ())]
            has_failed = any(it not in ran or ran[it].code for labels in needs for it in labels)
            is_due = not (had_failed or has_failed) or rule.get("when") == "always"
            if not is_due or (rule.get("when") == "manual" and not started):
                continue
            for label, own in _matrix(name, job):
                place = folder / label.replace(" ", "-")
                values = given | own
                values |= {"CI_JOB_MANUAL": "true"} if rule.get("when") == "manual" else {}
                if branch == "main" and "environment" in job:
                    assert _expanded(environment_of(job), values) in _SCOPES
                    values |= CREDENTIALS
                act = (before or {}).get(name, lambda: None)
                ran[label] = _run(machine, job, place, values, act, replaced)
                if ran[label].code == 0 or job.get("artifacts", {}).get("when") == "always":
                    _collect(job, place, folder / "artifacts")
    return ran


def _run(
    machine: Machine,
    job: Any,
    place: Path,
    values: Mapping[str, str],
    before: Callable[[], object],
    replaced: tuple[str, str],
) -> Ran:
    """One job in a fresh checkout of the pipeline's commit, with the artifacts so far; the disk of
    a machine that is killed is thrown away."""
    machine.git("clone", "--quiet", "--no-checkout", f"file://{machine.remote}", str(place))
    machine.git("checkout", "--quiet", values["CI_COMMIT_SHA"], cwd=place)
    artifacts = place.parent / "artifacts"
    for file in artifacts.iterdir() if artifacts.is_dir() else ():
        shutil.copy(file, place)
    settings = job.get("variables", {})
    variables = {key: _expanded(str(value), values) for key, value in settings.items()}
    script = "\n".join([*job.get("before_script", []), *job["script"]]).replace(*replaced)
    before()
    ran = machine.shell(script, place, {**variables, **values, "CI_PROJECT_DIR": str(place)})
    if ran.code == -signal.SIGKILL:
        shutil.rmtree(place)
    return ran


def environment_of(job: Any) -> str:
    told = job["environment"]
    return str(told["name"] if isinstance(told, dict) else told)


def _predefined(machine: Machine, source: str, branch: str) -> dict[str, str]:
    """What GitLab itself sets, as far as it is used."""
    commit = machine.git("rev-parse", branch)
    is_request = source == "merge_request_event"
    request = {
        "CI_MERGE_REQUEST_IID": "3",
        "CI_MERGE_REQUEST_PROJECT_ID": "42",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    }
    return {
        "GITLAB_CI": "true",
        "CI_PIPELINE_SOURCE": source,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_SHA": commit,
        "CI_PROJECT_ID": "42",
        "CI_API_V4_URL": machine.url + _API,
        "CI_JOB_TOKEN": JOB[1],
        "CI_JOB_URL": JOB_URL,
        "CI_PIPELINE_ID": PIPELINE,
        **(request if is_request else {"CI_COMMIT_BRANCH": branch}),
    }


def _whole(document: Any, name: str) -> Any:
    """A job with the defaults and with what it extends."""
    job = document[name]
    below = _whole(document, job["extends"]) if "extends" in job else document["default"]
    merged = {**below, **job}
    if "variables" in below:
        merged["variables"] = {**below["variables"], **job.get("variables", {})}
    return merged


def _labels(document: Any, name: str) -> list[str]:
    return [label for label, _ in _matrix(name, _whole(document, name))]


def _matrix(name: str, job: Any) -> Iterator[tuple[str, dict[str, str]]]:
    if "parallel" not in job:
        yield name, dict(job.get("variables", {}))
        return
    (row,) = job["parallel"]["matrix"]
    ((variable, values),) = row.items()
    for value in values:
        yield f"{name} {value}", {variable: value}


def _collect(job: Any, place: Path, artifacts: Path) -> None:
    for pattern in job.get("artifacts", {}).get("paths", ()):
        artifacts.mkdir(exist_ok=True)
        for file in place.glob(pattern):
            shutil.copy(file, artifacts)


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    return all(_claim_holds(claim, values) for claim in condition.split(" && "))


def _claim_holds(claim: str, values: Mapping[str, str]) -> bool:
    match = re.fullmatch(r"(\S+)(?: (==|=~) (\S+))?", claim)
    assert match, claim
    left, sign, right = match.groups()
    if sign == "=~":
        return re.search(right.strip("/"), _value(left, values)) is not None
    return sign == "==" and _value(left, values) == _value(right, values)


def _value(text: str, values: Mapping[str, str]) -> str:
    return text.strip('"') if text.startswith('"') else values.get(text.removeprefix("$"), "")


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)
