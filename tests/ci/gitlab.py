"""Runs a GitLab pipeline, job by job in the order of the stages, each script as shell, against a
GitLab that keeps the states."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.ci import fake_curl
from tests.ci.machine import CREDENTIALS, EXAMPLES, Machine, yaml
from tests.config_repository import Ran
from tests.fake_gitlab import PATH, TOKEN, USER, FakeGitLab

FILE = EXAMPLES / "gitlab" / ".gitlab-ci.yml"
NO_VARIABLES: Mapping[str, str] = {}
NOTE_TOKEN = {"MAJOBCTL_NOTE_TOKEN": fake_curl.TOKEN}
_KEYWORDS = {"stages", "workflow", "variables", "default"}
_SCOPES = ("dev-read", "prod-read", "dev", "prod")
"""The environments with variables of their own, which only the protected branch has."""
_API = "/api/v4"
JOB = ("gitlab-ci-token", "job-token")
"""How a job signs in for the states."""


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


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with GitLab's tag for a part of another job."""


_Loader.add_constructor(
    "!reference", lambda loader, node: Reference(loader.construct_sequence(node))
)


class Reference(tuple[str, ...]):
    """The way to a part of another job."""

    __slots__ = ()


def load() -> Any:
    return yaml.load(FILE.read_text(encoding="utf-8"), Loader=_Loader)


def run_pipeline(
    machine: Machine,
    source: str,
    branch: str,
    variables: Mapping[str, str] = NO_VARIABLES,
    *,
    before: Mapping[str, Callable[[], object]] | None = None,
    started: bool = True,
) -> dict[str, Ran]:
    """The jobs that ran, by name and environment; ``source`` as in CI_PIPELINE_SOURCE. None of them
    installs majobctl.

    ``started``: somebody starts each job that waits for that. ``before`` has what happens before a
    job.
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
                if branch == "main" and "environment" in job:
                    assert _expanded(environment_of(job), values) in _SCOPES
                    values |= CREDENTIALS
                act = (before or {}).get(name, lambda: None)
                ran[label] = _run(machine, document, job, place, values, act)
                if ran[label].code == 0 or job.get("artifacts", {}).get("when") == "always":
                    _collect(job, place, folder / "artifacts")
    return ran


def _run(
    machine: Machine,
    document: Any,
    job: Any,
    place: Path,
    values: Mapping[str, str],
    before: Callable[[], object],
) -> Ran:
    """One job in a fresh checkout of the pipeline's commit, with the artifacts so far; the disk of
    a machine that is killed is thrown away."""
    machine.git("clone", "--quiet", "--no-checkout", f"file://{machine.remote}", str(place))
    machine.git("checkout", "--quiet", values["CI_COMMIT_SHA"], cwd=place)
    artifacts = place.parent / "artifacts"
    for file in artifacts.iterdir() if artifacts.is_dir() else ():
        shutil.copy(file, place)
    settings = {**document["variables"], **job.get("variables", {})}
    variables = {key: _expanded(str(value), values) for key, value in settings.items()}
    script = "\n".join(_lines(document, [*job.get("before_script", []), *job["script"]]))
    before()
    ran = machine.shell(script, place, {**variables, **values})
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
    request = {"CI_MERGE_REQUEST_IID": "3", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    return {
        "CI_PIPELINE_SOURCE": source,
        "CI_DEFAULT_BRANCH": "main",
        "CI_COMMIT_SHA": commit,
        "CI_COMMIT_SHORT_SHA": commit[:8],
        "CI_PROJECT_ID": "42",
        "CI_API_V4_URL": machine.url + _API,
        "CI_JOB_TOKEN": JOB[1],
        "CI_PIPELINE_URL": "https://gitlab.example.com/ml/configs/-/pipelines/9",
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


def _lines(document: Any, script: list[Any]) -> Iterator[str]:
    for line in script:
        if isinstance(line, Reference):
            job, key = line
            yield from _lines(document, document[job][key])
        else:
            yield line


def _collect(job: Any, place: Path, artifacts: Path) -> None:
    for pattern in job.get("artifacts", {}).get("paths", ()):
        artifacts.mkdir(exist_ok=True)
        for file in place.glob(pattern):
            shutil.copy(file, artifacts)


def _holds(condition: str, values: Mapping[str, str]) -> bool:
    return all(_claim_holds(claim, values) for claim in condition.split(" && "))


def _claim_holds(claim: str, values: Mapping[str, str]) -> bool:
    match = re.fullmatch(r"(\S+)(?: (==|!=) (\S+))?", claim)
    assert match, claim
    left, sign, right = match.groups()
    if sign is None:
        return bool(_value(left, values))
    return (_value(left, values) == _value(right, values)) is (sign == "==")


def _value(text: str, values: Mapping[str, str]) -> str:
    return text.strip('"') if text.startswith('"') else values.get(text.removeprefix("$"), "")


def _expanded(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)
