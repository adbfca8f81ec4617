"""Credentials that die while a command runs: it stops at the first refusal, and says so once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.config_repository import JOB, Repository, toml_of
from tests.fake_service import PASSWORD, FakeService
from tests.live_cloud import Asked, Cloud, Reply, running, seed_of

NAMES = [f"c{number:02}" for number in range(60)]
AT_ONCE = 4
BEFORE = 12
"""How many are done when the credentials die."""

KEYS = "check the keys (OS_ACCESS_KEY and OS_SECRET_KEY, or a credential file)"
CREDENTIALS = [
    (401, "ModelArts.0201", "sign in again: the token is missing"),
    (401, "ModelArts.0202", "sign in again: the token has expired"),
    (401, "ModelArts.0203", "sign in again: the token is not valid"),
    (403, "ModelArts.0203", "sign in again: the token is not valid"),
    (403, "ModelArts.2784", "sign in again: the token is not valid"),
    (400, "ModelArts.6401", "sign in again: the token is not valid"),
    (403, "ModelArts.0206", KEYS),
    (403, "ModelArts.0210", "check provider.project_id against the credentials"),
    (401, "APIGW.0301", f"{KEYS} and this machine's clock"),
    (401, "APIG.0301", f"{KEYS} and this machine's clock"),
    (404, "ModelArts.2786", "check provider.project_id against the credentials"),
    (401, "New.0001", "check the credentials"),
    (401, "", "check the credentials"),
]
OF_ONE = [
    *((403, "APIGW.0302", ""), (403, "", ""), (400, "ModelArts.0101", "")),
    *((status, "ModelArts.0102", "the service lists it all the same") for status in (400, 404)),
    *((404, f"{gateway}.0101", "this region has no training job") for gateway in ("APIG", "APIGW")),
    *((403, f"ModelArts.{code}", "ask your administrator") for code in ("0108", "0112")),
    (400, "ModelArts.0118", "the quota is used up"),
    (403, "ModelArts.2785", "authorize ModelArts: set its agency"),
]


def answer(status: int, code: str) -> Reply:
    return Reply(status, {"error_code": code, "error_msg": "as told"} if code else {})


def write(repository: Repository, desc: str) -> None:
    text = "".join(toml_of(name, {**JOB, "config_desc": desc}) for name in NAMES)
    repository.write("jobs/all.toml", text)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running(tmp_path, seed_of(*NAMES, config_desc="first")) as found:
        yield found


@pytest.fixture
def many(on_cloud: Repository, cloud: Cloud) -> Repository:
    """60 job configs, in the state and then changed."""
    write(on_cloud, "first")
    on_cloud.done("import", "--all")
    write(on_cloud, "second")
    cloud.take()
    return on_cloud


def die(cloud: Cloud, reply: Reply, method: str, begun: int) -> None:
    """Refuses each call from the ``begun``-th ``method`` on."""

    def refuse(asked: Asked) -> Reply | None:
        count = sum(item.method == method for item in cloud.asked)
        return reply if count >= begun else None

    cloud.before = refuse


@pytest.mark.parametrize("how", ["call", "guard", "verify"])
@pytest.mark.parametrize(("status", "code", "advice"), CREDENTIALS)
def test_an_apply_ends_with_the_calls_under_way(
    many: Repository, cloud: Cloud, status: int, code: str, advice: str, how: str
) -> None:
    die(cloud, answer(status, code), "GET" if how != "call" else "PUT", BEFORE + 1)
    options = ["--refresh=none", "--verify"] if how == "verify" else []
    ran = many.run("apply", "--auto-approve", "--parallelism", str(AT_ONCE), *options, code=3)
    done = [name for name in NAMES if f"job_config.{name}: updated" in ran.stderr]
    seen = [name for name in NAMES if f"job_config.{name}: " in ran.stderr]
    assert 1 <= len(done) < len(seen) <= BEFORE + 2 * AT_ONCE
    assert sum(cloud.take().values()) <= 2 * (BEFORE + 2 * AT_ONCE)
    left = [name for name in NAMES if name not in seen]
    _, _, told = ran.stdout.partition("Not attempted:\n")
    listed = " ".join(told.partition("\n\n")[0].split())
    names = ", ".join(f"job_config.{name}" for name in left)
    assert listed == f"{names}: the service refused the credentials"
    assert ran.stdout.count(advice) == 1
    assert f"no further call was begun.\n    {advice}; then apply again\n" in ran.stdout
    assert f"{len(left)} not attempted" in ran.last_line
    entries = many.state["job_configs"]
    assert {entries[name]["params"]["config_desc"] for name in done} == {"second"}
    assert {entries[name]["params"]["config_desc"] for name in left} == {"first"}
    cloud.before = lambda asked: None
    assert many.apply().last_line.startswith("Apply complete")
    assert many.done("plan", "--refresh").stdout.startswith("No changes.")


@pytest.mark.parametrize(("status", "code", "advice"), OF_ONE)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_refusal_of_one_configuration_stops_no_other(
    many: Repository, cloud: Cloud, status: int, code: str, advice: str, method: str
) -> None:
    reply = answer(status, code)
    cloud.before = lambda asked: reply if asked == (method, "c03") else None
    ran = many.run("apply", "--auto-approve")
    assert f"{len(NAMES) - 1} updated, 1 failed." in ran.last_line
    assert advice in ran.stdout


def test_json_says_the_same(many: Repository, cloud: Cloud) -> None:
    die(cloud, answer(401, "ModelArts.0202"), "PUT", BEFORE + 1)
    ran = many.run("apply", "--auto-approve", "--parallelism", "1", "--format", "json", code=3)
    results = ran.document["results"]
    ends = [item["outcome"] for item in results]
    assert ends == ["done"] * BEFORE + ["failed"] + ["not attempted"] * (len(NAMES) - BEFORE - 1)
    assert {item["error_msg"] for item in results[BEFORE + 1 :]} == {
        "the service refused the credentials"
    }
    assert results[BEFORE]["advice"] == "sign in again: the token has expired"


@pytest.mark.parametrize(
    "arguments",
    [["drift"], ["plan", "--refresh"], ["apply", "--refresh", "--auto-approve"], ["import", "c*"]],
)
def test_a_command_that_reads_ends_with_the_reads_under_way(
    many: Repository, cloud: Cloud, arguments: list[str]
) -> None:
    if arguments[0] == "import":
        many.state_path.unlink()
    before = many.state_path.read_bytes() if many.state_path.exists() else b""
    die(cloud, answer(401, "ModelArts.0202"), "GET", BEFORE + 1)
    ran = many.run(*arguments, "--parallelism", str(AT_ONCE))
    assert (ran.code, ran.stdout) == (1, "")
    assert ran.stderr.count("ModelArts.0202 as told") == 1
    assert ran.stderr.endswith("as told\nsign in again: the token has expired\n")
    assert sum(cloud.take().values()) <= BEFORE + 2 * AT_ONCE
    assert (many.state_path.read_bytes() if many.state_path.exists() else b"") == before


@pytest.mark.parametrize(("status", "code", "advice"), [it for it in OF_ONE if it[2]])
def test_a_command_that_reads_says_what_to_do(
    many: Repository, cloud: Cloud, status: int, code: str, advice: str
) -> None:
    reply = answer(status, code)
    cloud.before = lambda asked: reply if asked == ("GET", "c03") else None
    ran = many.run("drift")
    assert ran.code == 1
    assert f"{code} as told\n{advice}" in ran.stderr


@pytest.mark.parametrize("is_renewed", [True, False], ids=["renewed", "refused by IAM"])
def test_an_expired_token_is_renewed_or_ends_the_apply(
    on_rest: Repository, rest: FakeService, is_renewed: bool
) -> None:
    on_rest.settings(rest.settings(f'auth = "password"\niam_endpoint = "{rest.url}"'))
    on_rest.environment.clear()
    names = ("OS_USERNAME", "OS_USER_DOMAIN_NAME", "OS_PASSWORD")
    on_rest.environment.update(zip(names, ("someone", "account", PASSWORD), strict=True))
    write(on_rest, "first")

    def expire(name: str) -> None:
        if name == NAMES[BEFORE]:
            rest.tokens.clear()
            rest.password = PASSWORD if is_renewed else "another"

    rest.before_put = expire
    ran = on_rest.run("apply", "--auto-approve", "--parallelism", "1")
    assert (ran.code == 0) == is_renewed
    assert rest.issued == 1 + is_renewed
    left = len(NAMES) - BEFORE - 2
    if not is_renewed:
        assert f"{BEFORE + 1} added, 1 failed, {left} not attempted" in ran.last_line
        assert ran.stdout.count("IAM refused the credentials (HTTP status 401)") == 1
        assert len(rest.asked("POST", "/auth/tokens")) == 2


def test_a_token_that_was_given_and_expires_is_not_tried_again(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.environment.clear()
    on_rest.environment["OS_TOKEN"] = "ready"
    rest.tokens.add("ready")
    write(on_rest, "first")
    rest.before_put = lambda name: rest.tokens.clear() if name == NAMES[BEFORE] else None
    on_rest.run("apply", "--auto-approve", "--parallelism", "1", code=3)
    assert len(rest.asked("PUT")) == BEFORE + 1
    assert len(on_rest.state["job_configs"]) == BEFORE + 1


def test_what_waits_for_a_retry_is_not_sent_again(on_rest: Repository, rest: FakeService) -> None:
    on_rest.settings(rest.settings("retries = 3"))
    write(on_rest, "first")
    replies: dict[str, Any] = {
        NAMES[0]: (503, b"", {"Retry-After": "0"}),
        NAMES[1]: (401, {"error_code": "ModelArts.0202"}, {}),
    }
    rest.before_put = replies.get
    ran = on_rest.run("apply", "--auto-approve", "--parallelism", "1", "--format", "json", code=3)
    ends = {item["name"]: item["outcome"] for item in json.loads(ran.stdout)["results"]}
    assert [ends[name] for name in NAMES[:3]] == ["unknown", "failed", "not attempted"]
    assert on_rest.state["job_configs"][NAMES[0]]["pending"] is True
    assert {item.path.rpartition("/")[2] for item in rest.asked("PUT")} == set(NAMES[:2])


FIRST_REQUESTS = {
    "plan --refresh": "training-job-configs",
    "plan --refresh=changed": "training-job-configs/one",
    "apply --auto-approve": "resource-specs",
    "apply --auto-approve --refresh": "training-job-configs",
    "apply --auto-approve --refresh=none": "resource-specs",
    "apply saved.plan": "resource-specs",
    "import --all": "training-job-configs",
    "import one": "training-job-configs",
    "drift": "training-job-configs",
    "flavors": "resource-specs",
    "engines": "ai-engines",
    "algorithms": "built-in-algorithms",
}


@pytest.mark.parametrize("code", ["APIGW.0301", "APIG.0301"])
@pytest.mark.parametrize("command", FIRST_REQUESTS)
def test_a_clock_that_is_wrong_is_a_hint_at_the_first_request(
    on_rest: Repository, rest: FakeService, command: str, code: str
) -> None:
    on_rest.job("one")
    on_rest.apply()
    on_rest.job("one", config_desc="edited")
    on_rest.done("plan", "--out", "saved.plan")
    before = on_rest.state_path.read_bytes()
    rest.forget_requests()
    expired = {"error_code": code, "error_msg": "AK/SK signature expired"}
    rest.answer_next(401, expired)
    ran = on_rest.run(*command.split())
    assert ran.code == 1
    (asked,) = rest.requests
    assert asked.path.endswith(f"/{FIRST_REQUESTS[command]}")
    assert ran.stderr.endswith(f"{code} AK/SK signature expired\n{KEYS} and this machine's clock\n")
    assert on_rest.state_path.read_bytes() == before
