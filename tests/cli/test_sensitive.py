"""Secret values, from the TOML to the service and nowhere else."""

from __future__ import annotations

import hmac
import json
import subprocess
from typing import Any

import pytest

from majobctl.job_config.secrets import OWN_CREDENTIALS
from majobctl.service.auth.credential_files import ENVIRONMENT
from tests.cli.test_saved_plan import forge
from tests.config_repository import BODY, JOB, Ran, Repository, toml_of
from tests.fake_service import FakeService, refusal

SECRET, OTHER = "first-hidden-value", "second-hidden-value"


@pytest.fixture
def secretive(on_rest: Repository) -> Repository:
    """One job config with a secret of the environment, and two that its TOML names."""
    on_rest.environment["API_SECRET"] = SECRET
    write_job(on_rest)
    return on_rest


def write_job(repository: Repository) -> None:
    repository.job(
        "one",
        config_desc="${env.API_SECRET}",
        hyperparameters={"token": "of-the-file", "lr": "0.1"},
        log_url="/ml/hidden-log/",
        sensitive=["token", "log_url"],
    )


def sent(rest: FakeService) -> dict[str, object]:
    return rest.puts["one"]


def hidden_in(text: str) -> bool:
    return not any(word in text for word in (SECRET, OTHER, "of-the-file", "hidden-log"))


def test_a_secret_reaches_the_service_and_no_file_or_output(
    secretive: Repository, rest: FakeService
) -> None:
    outputs = [
        secretive.done("plan"),
        secretive.done("plan", "--format", "json"),
        secretive.done("plan", "--out", "saved.plan"),
        secretive.done("show", "saved.plan"),
        secretive.apply(),
        secretive.done("show"),
        secretive.done("show", "one"),
        secretive.done("show", "one", "--format", "json"),
        secretive.done("state", "pull"),
    ]
    assert sent(rest) == {
        **BODY,
        "config_desc": SECRET,
        "log_url": "/ml/hidden-log/",
        "parameter": [{"label": "lr", "value": "0.1"}, {"label": "token", "value": "of-the-file"}],
    }
    for ran in outputs:
        assert hidden_in(ran.stdout + ran.stderr)
    for path in secretive.root.rglob("*"):
        assert path.is_dir() or path.parent.name == "jobs" or hidden_in(path.read_text())
    assert "(sensitive)" in outputs[0].stdout
    assert "hmac" not in outputs[0].stdout + outputs[6].stdout
    kept = secretive.state["job_configs"]["one"]["params"]["config_desc"]
    assert kept["$sensitive"].startswith("hmac-sha256:")


def test_only_another_secret_is_a_change(secretive: Repository, rest: FakeService) -> None:
    secretive.apply()
    assert secretive.done("plan").stdout.startswith("No changes.")
    secretive.environment["API_SECRET"] = OTHER
    rest.forget_requests()
    plan = secretive.done("plan").stdout
    assert "~ config_desc                  (sensitive) -> (sensitive)" in plan
    assert "1 to update" in plan
    secretive.apply()
    assert sent(rest)["config_desc"] == OTHER


@pytest.mark.parametrize("key", ["a-key", "not UTF-8: \udcff"])
def test_the_key_of_the_environment_makes_other_hashes(secretive: Repository, key: str) -> None:
    secretive.apply()
    secretive.environment["MAJOBCTL_STATE_KEY"] = key
    assert "1 to update" in secretive.done("plan").stdout
    secretive.apply()
    assert secretive.done("plan").stdout.startswith("No changes.")


@pytest.mark.parametrize(
    "command", [["apply", "--auto-approve"], ["import", "--all"], ["state", "rm", "one"]]
)
def test_an_empty_key_is_an_error_of_all_that_write(
    command: list[str], secretive: Repository, rest: FakeService
) -> None:
    secretive.apply()
    before = secretive.state_path.read_bytes()
    secretive.environment["MAJOBCTL_STATE_KEY"] = ""
    rest.forget_requests()
    ran = secretive.run(*command)
    assert (ran.code, ran.stdout) == (1, "")
    assert "Error: MAJOBCTL_STATE_KEY is empty: set the state's key, or unset it\n" in ran.stderr
    assert (rest.requests, secretive.state_path.read_bytes()) == ([], before)


def test_what_becomes_sensitive_is_no_longer_shown(on_rest: Repository) -> None:
    on_rest.job("one", config_desc="of-the-file")
    on_rest.apply()
    on_rest.job("one", config_desc="of-the-file", sensitive=["config_desc"])
    plan = on_rest.done("plan").stdout
    assert "only how a sensitive value is stored changes" in plan
    assert "of-the-file" not in plan
    on_rest.apply()
    assert "of-the-file" not in on_rest.state_path.read_text()
    assert on_rest.done("plan").stdout.startswith("No changes.")


def test_a_saved_plan_takes_its_secrets_from_where_they_are(
    secretive: Repository, rest: FakeService
) -> None:
    secretive.done("plan", "--out", "saved.plan")
    secretive.done("apply", "saved.plan")
    assert sent(rest)["config_desc"] == SECRET
    assert sent(rest)["log_url"] == "/ml/hidden-log/"
    assert secretive.done("plan").stdout.startswith("No changes.")


def test_a_saved_plan_whose_secret_is_another_one_now_is_stale(
    secretive: Repository, rest: FakeService
) -> None:
    secretive.done("plan", "--out", "saved.plan")
    secretive.environment["API_SECRET"] = OTHER
    ran = secretive.run("apply", "saved.plan", code=5)
    assert "the sensitive value of config_desc has changed" in ran.stderr
    secretive.environment["API_SECRET"] = SECRET
    secretive.job("one", sensitive=["lr"], hyperparameters={"lr": "0.1"})
    ran = secretive.run("apply", "saved.plan", code=5)
    assert "is gone" in ran.stderr
    write_job(secretive)
    del secretive.environment["API_SECRET"]
    secretive.monkeypatch.delenv("API_SECRET")
    ran = secretive.run("apply", "saved.plan", code=1)
    assert "config_desc needs API_SECRET, which is unset or empty" in ran.stderr
    assert rest.requests == []
    secretive.remove("one")
    assert secretive.run("apply", "saved.plan").code == 5


def test_the_service_cannot_make_a_secret_seen(secretive: Repository, rest: FakeService) -> None:
    rest.before_put = lambda name: refusal(
        400, "ModelArts.0101", f"wrong: {SECRET}, of-the-file, /ml/hidden-log/"
    )
    ran = secretive.run("apply", "--auto-approve", code=3)
    assert hidden_in(ran.stdout + ran.stderr)
    assert "wrong: (sensitive), (sensitive), (sensitive)" in ran.stdout


def test_a_name_that_is_a_secret_is_not_shown_if_it_is_unknown(on_rest: Repository) -> None:
    on_rest.job("one", train_instance_type="hidden-log", sensitive=["train_instance_type"])
    ran = on_rest.run("apply", "--auto-approve", code=1)
    assert "does not exist" in ran.stderr
    assert hidden_in(ran.stderr)


def test_a_whole_table_can_be_secret(on_rest: Repository, rest: FakeService) -> None:
    parameters = {"a": "of-the-file", "b": "2"}
    on_rest.job("one", hyperparameters=parameters, sensitive=["hyperparameters"])
    assert "(sensitive)" in on_rest.done("plan").stdout
    on_rest.done("plan", "--out", "saved.plan")
    on_rest.done("apply", "saved.plan")
    assert {"label": "a", "value": "of-the-file"} in list(sent(rest)["parameter"])  # type: ignore[call-overload]
    assert "of-the-file" not in on_rest.state_path.read_text()
    assert on_rest.done("plan").stdout.startswith("No changes.")
    assert hidden_in(on_rest.done("show", "one").stdout)
    rest.forget_requests()
    on_rest.job("one", hyperparameters={**parameters, "b": "3"}, sensitive=["hyperparameters"])
    assert "1 to update" in on_rest.done("plan").stdout
    on_rest.apply()
    assert {"label": "b", "value": "3"} in list(sent(rest)["parameter"])  # type: ignore[call-overload]
    on_rest.job("one", hyperparameters={"c": "4"})
    assert hidden_in(on_rest.done("plan").stdout)


def test_verbose_lines_hold_no_secret(secretive: Repository) -> None:
    ran = secretive.process("-v", "apply", "--auto-approve", code=0)
    assert "PUT" in ran.stderr
    assert hidden_in(ran.stderr)
    assert "Signature" not in ran.stderr
    assert secretive.environment["OS_SECRET_KEY"] not in ran.stderr
    assert json.loads(secretive.state_path.read_bytes())["serial"] == 1


UNSET = "MAJOBCTL_TEST_UNSET"
TOKEN = f"${{env.{UNSET}}}"
"""A reference to a variable that each of the following tests leaves unset, empty or blank."""
PLACES = {
    "a key": {"config_desc": TOKEN},
    "an OBS path": {"log_url": TOKEN},
    "a part of an OBS path": {"log_url": f"/{TOKEN}/log/"},
    "code outside of its folder": {"boot_file": f"/{TOKEN}/train.py"},
    "a long text": {"config_desc": TOKEN + 250 * "x"},
    "a hyperparameter": {"hyperparameters": {"token": TOKEN, "lr": "0.1"}},
    "a part of a hyperparameter": {"hyperparameters": {"token": f"a {TOKEN} b"}},
    "a hyperparameter of an array": {"hyperparameters": [{"label": "token", "value": TOKEN}]},
    "a required key": {"train_instance_type": TOKEN},
    "a data source": {"inputs": None, "data_source": [{"type": "obs", "data_url": f"/{TOKEN}/"}]},
    "its type": {"inputs": None, "data_source": [{"type": TOKEN, "data_url": "/ml/data/"}]},
}
"""What a job config is laid over with, by what needs the variable."""
VALUES = {"unset": None, "empty": "", "blank": " \n"}


def set_variable(repository: Repository, value: str | None) -> None:
    repository.environment.pop(UNSET, None)
    repository.monkeypatch.delenv(UNSET, raising=False)
    if value is not None:
        repository.environment[UNSET] = value


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("params", PLACES.values(), ids=PLACES)
def test_only_an_apply_that_sends_the_value_needs_it(
    on_rest: Repository, rest: FakeService, params: dict[str, object], value: str | None
) -> None:
    on_rest.job("one", **params)
    on_rest.job("two")
    set_variable(on_rest, value)
    warning = (
        f": {UNSET} is unset or empty in the environment: a plan cannot see whether it changed,"
        " and an apply that sends job_config.one needs it\n"
    )
    for command in (["validate"], ["plan"], ["plan", "--refresh"], ["plan", "--out", "saved.plan"]):
        ran = on_rest.done(*command)
        assert ran.stderr.startswith("Warning: jobs/one.toml:")
        assert warning in ran.stderr
    assert f"(sensitive, {UNSET} is not set)" in ran.stdout
    rest.forget_requests()
    for command in (["--auto-approve"], ["saved.plan"]):
        ran = on_rest.run("apply", *command, code=1)
        assert f" needs {UNSET}, which is unset or empty in the environment; set it" in ran.stderr
        assert ran.stderr.endswith("\n1 problem. Nothing was done.\n")
    assert rest.puts == {}
    assert not on_rest.state_path.exists()
    on_rest.apply("--target", "two")
    assert list(rest.puts) == ["two"]


@pytest.fixture
def unset(on_rest: Repository, rest: FakeService) -> Repository:
    """One job config that was applied with the value of a variable, which is now unset."""
    on_rest.job("one", hyperparameters={"token": TOKEN, "lr": "0.1"})
    set_variable(on_rest, SECRET)
    on_rest.apply()
    set_variable(on_rest, None)
    rest.forget_requests()
    return on_rest


def kept(repository: Repository) -> str:
    """The hash of the token in the state, which has no mask without one."""
    assert UNSET not in repository.state_path.read_text()
    token = repository.state["job_configs"]["one"]["params"]["hyperparameters"]["token"]
    return str(token["$sensitive"])


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_value_that_is_not_known_counts_as_unchanged(
    unset: Repository, rest: FakeService, value: str | None
) -> None:
    before = kept(unset)
    set_variable(unset, value)
    for command in (["plan"], ["plan", "--refresh"], ["apply", "--auto-approve"]):
        ran = unset.done(*command)
        assert "No changes." in ran.stdout
        assert f"{UNSET} is unset or empty" in ran.stderr
    assert "No drift." in unset.done("drift").stdout
    unset.job("one", hyperparameters={"token": TOKEN, "lr": "0.2"})
    plan = unset.done("plan", "--refresh", "--format", "json").document
    assert [field["path"][-1] for field in plan["changes"][0]["fields"]] == ["lr"]
    assert [UNSET in warning for warning in plan["warnings"]] == [True, True]
    assert plan["unset"] == [UNSET]
    assert plan["changes"][0]["after"]["hyperparameters"]["token"] == {"$sensitive": before}
    assert "No drift." in unset.done("drift").stdout
    assert unset.run("apply", "--auto-approve").code == 1
    assert rest.puts == {}
    unset.job("one", hyperparameters={"token": TOKEN, "lr": "0.1"}, prevent_delete=True)
    unset.done("plan", "--out", "saved.plan")
    unset.done("apply", "saved.plan")
    unset.job("one", hyperparameters={"token": TOKEN, "lr": "0.1"})
    unset.apply()
    assert rest.puts == {}
    assert kept(unset) == before
    set_variable(unset, OTHER)
    assert "hyperparameters.token        (sensitive) -> (sensitive)" in unset.done("plan").stdout


def test_a_change_in_the_service_is_seen_without_the_value(
    unset: Repository, rest: FakeService
) -> None:
    rest.configs["one"]["parameter"] = [{"label": "token", "value": OTHER}]
    ran = unset.done("plan", "--refresh")
    assert "(sensitive) -> (sensitive)  (changed in the service)" in ran.stdout
    assert hidden_in(ran.stdout + ran.stderr)
    assert "1 changed" in unset.done("drift").stdout
    assert unset.run("apply", "--refresh=all", "--overwrite", "--auto-approve").code == 1
    assert rest.puts == {}


@pytest.mark.parametrize("name", ["SERVICE_TOKEN", "OTHER_TOKEN"])
@pytest.mark.parametrize("are_set", [[], ["SERVICE_TOKEN"], ["SERVICE_TOKEN", "OTHER_TOKEN"]])
def test_another_variable_is_a_change_between_two_revisions(
    are_set: list[str], name: str, on_rest: Repository
) -> None:
    for variable in are_set:
        on_rest.environment[variable] = OTHER
    on_rest.job("one", hyperparameters={"token": "${env.SERVICE_TOKEN}"})
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *author, *arguments], cwd=on_rest.root, check=True)
    on_rest.job("one", hyperparameters={"token": f"${{env.{name}}}"})
    ran = on_rest.done("plan", "--base", "HEAD")
    is_shown = "hyperparameters.token        (sensitive) -> (sensitive)" in ran.stdout
    assert is_shown is (name == "OTHER_TOKEN")
    assert "is stored" not in ran.stdout
    assert hidden_in(ran.stdout + ran.stderr)


def test_what_was_written_in_the_file_before_is_not_taken_for_the_value(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one", hyperparameters={"token": "of-the-file"})
    on_rest.apply()
    on_rest.job("one", hyperparameters={"token": TOKEN})
    rest.forget_requests()
    ran = on_rest.done("plan")
    assert "1 to update" in ran.stdout
    assert hidden_in(ran.stdout)
    assert on_rest.run("apply", "--auto-approve").code == 1
    assert rest.puts == {}


@pytest.mark.parametrize("refresh", ["none", "all"])
def test_a_plan_saved_without_the_value_is_applied_where_it_is_set(
    unset: Repository, rest: FakeService, refresh: str
) -> None:
    """An unchanged value must be the one of the state; what is added is taken as it is."""
    unset.job("one", hyperparameters={"token": TOKEN, "lr": "0.2"}, config_desc=f"new {TOKEN}")
    ran = unset.done("plan", f"--refresh={refresh}", "--out", "saved.plan")
    assert f"+ config_desc                  (sensitive, {UNSET} is not set)" in ran.stdout
    saved = unset.done("show", "saved.plan", "--format", "json").document
    assert saved["changes"][0]["after"]["config_desc"] == {"$sensitive": [UNSET]}
    ran = unset.run("apply", "saved.plan", code=1)
    for key in ("config_desc", "hyperparameters.token"):
        assert f"jobs/one.toml:1: job_config.one: {key} needs {UNSET}, which" in ran.stderr
    out = "or make the plan again without the job config (plan --exclude)\n"
    assert ran.stderr.count(out) == 2
    out = "or leave the job config out (--exclude)\n"
    assert out in unset.run("apply", "--auto-approve").stderr
    set_variable(unset, OTHER)
    ran = unset.run("apply", "saved.plan", code=5)
    assert "the sensitive value of hyperparameters.token has changed" in ran.stderr
    assert rest.puts == {}
    set_variable(unset, SECRET)
    unset.done("apply", "saved.plan")
    assert sent(rest)["config_desc"] == f"new {SECRET}"
    assert kept(unset)
    assert unset.done("plan").stdout.startswith("No changes.")
    for path in (unset.state_path, unset.root / "saved.plan"):
        assert hidden_in(path.read_text())


def test_a_value_of_a_saved_plan_that_breaks_a_rule_is_refused(
    on_rest: Repository, rest: FakeService
) -> None:
    on_rest.job("one", log_url=TOKEN)
    on_rest.done("plan", "--out", "saved.plan")
    set_variable(on_rest, SECRET)
    ran = on_rest.run("apply", "saved.plan", code=5)
    assert hidden_in(ran.stderr)
    assert rest.puts == {}


@pytest.mark.parametrize("format_", ["text", "markdown", "html"])
def test_every_format_names_the_variable(on_rest: Repository, format_: str) -> None:
    on_rest.job("one", config_desc=f"{TOKEN} ${{env.NO_B}}")
    text = on_rest.done("plan", "--format", format_).stdout
    assert f"(sensitive, {UNSET} is not set, NO_B is not set)" in text
    stderr = on_rest.run("apply", "--auto-approve").stderr
    assert all(f"config_desc needs {name}, " in stderr for name in (UNSET, "NO_B"))


LAYERS = {
    "defaults": ('[defaults]\nlog_url = "/ml/{}/"\n', ""),
    "template": ("", '[templates.t]\nlog_url = "/ml/{}/"\n'),
    "both": ('[defaults]\nconfig_desc = "{}"\n', '[templates.t]\nlog_url = "/ml/{}/"\n'),
}


@pytest.mark.parametrize(("settings", "template"), LAYERS.values(), ids=LAYERS)
def test_a_layer_of_many_job_configs_is_one_warning_and_one_problem_a_line(
    on_rest: Repository, rest: FakeService, settings: str, template: str
) -> None:
    path = on_rest.root / "majobctl.toml"
    path.write_text(path.read_text() + settings.replace("{}", TOKEN))
    table = toml_of("many", {**JOB, "use": "t", "name": "job-{seed}"})
    seeds = f"[job_config.many.matrix]\nseed = {list(range(300))}\n"
    used = template or "[templates.t]\n"
    on_rest.write("jobs/many.toml", table + seeds + used.replace("{}", TOKEN))
    ran = on_rest.done("validate")
    assert ran.stderr.count("Warning: ") == 1
    assert "sends job_config.job-0, job_config.job-1, job_config.job-2 and 297 more" in ran.stderr
    found = on_rest.done("validate", "--format", "json").document
    assert (found["valid"], len(found["warnings"])) == (True, 1)
    ran = on_rest.run("apply", "--auto-approve", "--target", "job-1*", code=1)
    assert "job_config.job-1, job_config.job-10, job_config.job-100 and 108 more" in ran.stderr
    assert ran.stderr.count(f"needs {UNSET}") == bool(settings) + bool(template)
    assert rest.puts == {}


@pytest.mark.parametrize("how", ["declared", "likely"])
def test_a_renamed_job_config_keeps_what_is_not_known(
    unset: Repository, rest: FakeService, how: str
) -> None:
    unset.remove("one")
    declared = {"renamed_from": "one"} if how == "declared" else {}
    unset.job("two", hyperparameters={"token": TOKEN, "lr": "0.1"}, **declared)
    said = 'renamed from "one"' if declared else 'looks like "one" renamed'
    assert said in unset.done("plan").stdout
    assert unset.run("apply", "--auto-approve").code == 1
    assert rest.puts == {}
    assert kept(unset)


def test_an_import_writes_no_value_of_a_default_that_is_not_known(
    on_rest: Repository, rest: FakeService
) -> None:
    path = on_rest.root / "majobctl.toml"
    path.write_text(f'{path.read_text()}[defaults.hyperparameters]\ntoken = "{TOKEN}"\n')
    parameters = [{"label": "lr", "value": "1"}, {"label": "token", "value": SECRET}]
    rest.configs |= {name: {**BODY, "parameter": parameters} for name in ("one", "new")}
    on_rest.job("one", hyperparameters={"lr": "1"})
    ran = on_rest.done("import", "--all")
    assert "differ" not in ran.stdout
    assert hidden_in((on_rest.root / "jobs/imported/new.toml").read_text())
    assert hidden_in(on_rest.state_path.read_text())
    set_variable(on_rest, SECRET)
    assert on_rest.done("plan", "--refresh").stdout.startswith("No changes.")
    set_variable(on_rest, OTHER)
    assert "2 to update" in on_rest.done("plan").stdout


# Hashes that name their job config, and those of 0.1, which do not

KEY = "MAJOBCTL_STATE_KEY"
HIDDEN = {"config_desc": SECRET, "token": "of-the-file", "log_url": "/ml/hidden-log/"}


def write(repository: Repository, name: str = "one", lr: str = "0.1", **options: Any) -> None:
    labelled = {"token": "of-the-file", "lr": lr}
    own = {"config_desc": "${env.API_SECRET}", "log_url": "/ml/hidden-log/"}
    hidden = ["token", "log_url"]
    repository.job(name, **own, hyperparameters=labelled, sensitive=hidden, **options)


def as_of_0_1(repository: Repository, content: Any, place: tuple[str, ...] = ()) -> Any:
    """``content`` with the hashes that majobctl 0.1 made of ``HIDDEN``, and of what ``one`` is."""
    salt, key = repository.state["salt"], repository.environment.get(KEY, "")

    def digest(value: object) -> str:
        text = json.dumps(value, sort_keys=True).encode()
        return f"hmac-sha256:{hmac.new(f'{salt}:{key}'.encode(), text, 'sha256').hexdigest()}"

    if isinstance(content, list):
        return [as_of_0_1(repository, item, place) for item in content]
    if not isinstance(content, dict):
        return content
    if "$sensitive" in content:
        return {"$sensitive": digest([list(place), HIDDEN[place[-1]]])}
    is_field = "path" in content
    found = {}
    for name, item in content.items():
        inner = (*place, name) if name in ("hyperparameters", *HIDDEN) else place
        found[name] = as_of_0_1(repository, item, tuple(content["path"]) if is_field else inner)
    if found.get("live_digest"):
        labelled = {"lr": "0.1", "token": HIDDEN["token"]}
        own = {key: text for key, text in HIDDEN.items() if key != "token"}
        found["live_digest"] = digest({**JOB, **own, "hyperparameters": labelled})
    return found


@pytest.fixture(params=["", "a-key"])
def key(request: pytest.FixtureRequest, on_rest: Repository) -> None:
    if request.param:
        on_rest.environment[KEY] = request.param


@pytest.fixture(params=["0.1", "now", "moved"])
def hashed(
    request: pytest.FixtureRequest, on_rest: Repository, rest: FakeService, key: None
) -> Repository:
    """``one``, applied, with hashes of 0.1, of now, or moved in the state from another name."""
    on_rest.environment["API_SECRET"] = SECRET
    name = "former" if request.param == "moved" else "one"
    write(on_rest, name)
    on_rest.apply()
    state = on_rest.state
    if request.param == "moved":
        state["job_configs"]["one"] = state["job_configs"].pop("former")
        rest.configs["one"] = rest.configs.pop("former")
        on_rest.remove("former")
        write(on_rest)
    elif request.param == "0.1":
        state["job_configs"] = as_of_0_1(on_rest, state["job_configs"])
    on_rest.state_path.write_text(json.dumps(state))
    rest.forget_requests()
    return on_rest


def paths(ran: Ran) -> dict[str, list[str]]:
    """The fields of each change or drift."""
    changes = ran.document["changes"]
    return {it["name"]: [".".join(field["path"]) for field in it["fields"]] for it in changes}


def check_hashes(repository: Repository, name: str) -> None:
    """The state has only hashes of now, of ``name``."""
    text = json.dumps(repository.state["job_configs"])
    assert text.count(f'"hmac-sha256:{name}:') == text.count("hmac-sha256:") == 3
    assert repository.done("plan").stdout.startswith("No changes.")
    assert repository.done("plan", "--refresh").stdout.startswith("No changes.")


JSON = ("--format", "json")


class TestHashes:
    def test_of_the_same_values_are_no_change(self, hashed: Repository) -> None:
        before = hashed.state_path.read_bytes()
        for options in ([], ["--refresh"]):
            assert hashed.done("plan", *options).stdout.startswith("No changes.")
        assert paths(hashed.done("drift", *JSON)) == {}
        hashed.apply("--refresh")
        assert hashed.state_path.read_bytes() == before

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]])
    @pytest.mark.parametrize("what", ["a label", "the secret"])
    def test_of_what_is_sent_are_those_of_now(
        self, hashed: Repository, rest: FakeService, what: str, refresh: list[str]
    ) -> None:
        if what == "a label":
            write(hashed, lr="0.2")
        else:
            hashed.environment["API_SECRET"] = OTHER
        edited = "hyperparameters.lr" if what == "a label" else "config_desc"
        assert paths(hashed.done("plan", *JSON, *refresh)) == {"one": [edited]}
        hashed.apply(*refresh)
        check_hashes(hashed, "one")

    def test_show_what_was_changed_in_the_service(
        self, hashed: Repository, rest: FakeService
    ) -> None:
        rest.configs["one"]["config_desc"] = OTHER
        for command in (["plan", "--refresh"], ["drift"]):
            assert paths(hashed.done(*command, *JSON)) == {"one": ["config_desc"]}
        write(hashed, lr="0.2")
        ran = hashed.run("apply", "--auto-approve")
        assert (ran.code, rest.puts) == (5, {})
        assert "config_desc: (sensitive), another value in the service" in ran.stderr
        assert hidden_in(ran.stdout + ran.stderr)

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]])
    @pytest.mark.parametrize("how", ["declared", "likely"])
    @pytest.mark.parametrize("is_same", [True, False])
    def test_follow_a_rename(
        self,
        hashed: Repository,
        rest: FakeService,
        how: str,
        refresh: list[str],
        is_same: bool,
    ) -> None:
        rest.configs["two"] = rest.configs["one"]
        hashed.remove("one")
        write(hashed, "two", **({"renamed_from": "one"} if how == "declared" else {}))
        hashed.environment["API_SECRET"] = SECRET if is_same else OTHER
        ran = hashed.done("plan", *JSON, *refresh)
        (found,) = (it for it in ran.document["changes"] if it["name"] == "two")
        if how == "declared":
            assert paths(ran)["two"] == ([] if is_same else ["config_desc"])
        assert ("renamed" in found) is (is_same or how == "declared")
        hashed.apply("--overwrite", *refresh)
        check_hashes(hashed, "two")

    @pytest.mark.parametrize("is_foreign", [False, True])
    def test_tell_whether_a_deletion_takes_what_was_changed(
        self, hashed: Repository, rest: FakeService, is_foreign: bool
    ) -> None:
        hashed.settings(rest.settings() + "[apply]\ndelete_removed = true\n")
        hashed.write("jobs/one.toml", "")
        if is_foreign:
            rest.configs["one"]["config_desc"] = OTHER
        (change,) = hashed.done("plan", "--refresh", *JSON).document["changes"]
        theirs = [it["path"] for it in change["fields"] if it["reason"] == "changed there"]
        assert theirs == ([["config_desc"]] if is_foreign else [])
        assert hashed.run("apply", "--auto-approve").code == (5 if is_foreign else 0)
        assert ("one" in rest.configs) is is_foreign

    @pytest.mark.parametrize("refresh", [[], ["--refresh"]])
    @pytest.mark.parametrize("by", ["0.1", "now"])
    @pytest.mark.parametrize("meanwhile", ["", "the variable", "the service"])
    def test_bind_a_saved_plan(
        self,
        hashed: Repository,
        rest: FakeService,
        refresh: list[str],
        by: str,
        meanwhile: str,
    ) -> None:
        write(hashed, lr="0.2")
        hashed.done("plan", "--out", "saved.plan", *refresh)
        if by == "0.1":
            forge(hashed, lambda plan: plan.update(changes=as_of_0_1(hashed, plan["changes"])))
        if meanwhile == "the service":
            rest.configs["one"]["config_desc"] = OTHER
        hashed.environment["API_SECRET"] = OTHER if meanwhile == "the variable" else SECRET
        ran = hashed.run("apply", "saved.plan")
        assert (ran.code, bool(rest.puts)) == ((5, False) if meanwhile else (0, True))
        if meanwhile == "the variable":
            assert "the sensitive value of config_desc has changed" in ran.stderr
        elif not meanwhile:
            check_hashes(hashed, "one")

    def test_of_a_call_without_a_known_outcome_are_known(
        self, hashed: Repository, rest: FakeService
    ) -> None:
        write(hashed, lr="0.2")
        rest.before_put = lambda name: refusal(500, "ModelArts.0010", "internal")
        assert hashed.run("apply", "--auto-approve").code == 3
        assert paths(hashed.done("drift", *JSON)) == {}
        rest.before_put = lambda name: None
        assert hashed.done("plan", *JSON).document["changes"][0]["action"] == "resend"
        hashed.apply()
        check_hashes(hashed, "one")


def test_equal_job_configs_have_different_hashes(on_rest: Repository, rest: FakeService) -> None:
    on_rest.environment["API_SECRET"] = SECRET
    for name in ("one", "two"):
        write(on_rest, name)
    on_rest.apply()
    on_rest.done("import", "--all")
    for name in ("one", "two"):
        write(on_rest, name, lr="0.2")
    on_rest.done("plan", "--refresh", "--out", "saved.plan")
    for text in (on_rest.state_path.read_text(), (on_rest.root / "saved.plan").read_text()):
        found = [part.partition('"')[0] for part in text.split("hmac-sha256:")[1:]]
        one, two = ({it for it in found if it.startswith(name)} for name in ("one:", "two:"))
        hashes = [{it.partition(":")[2] for it in side} for side in (one, two)]
        assert len(one) == len(two) >= 3
        assert not hashes[0] & hashes[1]
        assert one | two == set(found)


# majobctl's own credentials

OWN = "0wn-credential-4711"


def test_every_variable_with_a_credential_is_known_as_one() -> None:
    secret = ("access_key", "secret_key", "security_token", "password", "token", "id_token")
    named = [names.get(key, ()) for names in ENVIRONMENT for key in secret]
    assert {name for names in named for name in names} <= OWN_CREDENTIALS
    of_states = {"PGPASSWORD", "TF_HTTP_PASSWORD"}
    of_states |= {f"AWS_{it}" for it in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")}
    assert of_states <= OWN_CREDENTIALS


@pytest.mark.parametrize("text", ["${env.{}}", "user:${env.{}}@host", "${env.ALIAS}"])
@pytest.mark.parametrize("own", sorted(OWN_CREDENTIALS))
def test_no_job_gets_a_credential_of_majobctl_or_of_the_ci(
    on_rest: Repository, rest: FakeService, own: str, text: str
) -> None:
    on_rest.job("one", hyperparameters={"key": text.replace("{}", own)})
    on_rest.environment |= {own: OWN, "ALIAS": f"x{OWN}"}
    for command in (["validate"], ["plan"], ["plan", "--out", "p"], ["apply", "--auto-approve"]):
        ran = on_rest.run(*command, code=1)
        assert "is a credential of majobctl or of the CI, and never" in ran.stderr
        assert OWN not in ran.stdout + ran.stderr
    assert (rest.requests, (on_rest.root / "p").exists()) == ([], False)


@pytest.mark.parametrize("how", ["option", "file", "environment", "settings"])
def test_no_variable_holds_a_credential_of_majobctl(
    on_rest: Repository, rest: FakeService, how: str
) -> None:
    text = OWN if how == "settings" else "x"
    on_rest.settings(f'{rest.settings()}[variables]\nv = "{text}"\n')
    on_rest.write("one.toml", f'v = "{OWN}"\n')
    on_rest.job("one", config_desc="${var.v}")
    on_rest.environment["OS_SECURITY_TOKEN"] = OWN
    if how == "environment":
        on_rest.environment["MAJOBCTL_VAR_v"] = OWN
    options = {"option": ["--var", f"v={OWN}"], "file": ["--var-file", "one.toml"]}.get(how, [])
    ran = on_rest.run("plan", *options, code=1)
    assert "v: a variable cannot hold a credential of majobctl itself" in ran.stderr
    assert OWN not in ran.stdout + ran.stderr


# Secrets that are written, short, or only meant to be hidden

LOOKS_SECRET = [
    *("password", "db_password", "api.key", "apikey", "aws_secret_access_key", "sk", "hf_token"),
    *("db_pass", "pass", "pwd", "DB-PWD", "passphrase", "ssh_passphrase", "credential"),
    *("credentials", "private_key", "client_secret", "app secret"),
]
PLAIN = ["lr", "bypass", "compass", "n_passes", "tokens", "tokenizer", "secretary", "key", "keys"]


@pytest.mark.parametrize("label", [*LOOKS_SECRET, *PLAIN])
@pytest.mark.parametrize(
    ("value", "sensitive", "is_clear"),
    [
        ("written-in-the-file", [], True),
        ("1234567", [], True),
        ("512", [], False),
        (0.1, [], False),
        (True, [], False),
        ("${env.API_SECRET}", [], False),
        ("written-in-the-file", ["hyperparameters"], False),
    ],
)
def test_a_written_value_that_looks_secret_is_a_warning_that_says_what_to_write(
    on_rest: Repository, label: str, value: object, sensitive: list[str], is_clear: bool
) -> None:
    on_rest.environment |= {"API_SECRET": SECRET}
    on_rest.job("one", hyperparameters={label: value}, sensitive=sensitive)
    wanted = is_clear and label in LOOKS_SECRET
    for command in ("validate", "plan", "apply"):
        ran = on_rest.run(command, *(["--auto-approve"] if command == "apply" else []), code=0)
        assert ("looks like a secret, and its value is shown and stored" in ran.stderr) is wanted
    if wanted:
        line = on_rest.done("validate").stderr.split("; write ")[1].partition(", or ")
        written, _, other = line
        name = written.partition("${env.")[2].removesuffix('}"')
        assert other == f"sensitive = [{json.dumps(label)}]\n"
        on_rest.write("jobs/one.toml", toml_of("one", {**JOB, "hyperparameters": {}}))
        table = f"[job_config.one.hyperparameters]\n{written}\n"
        on_rest.write("jobs/one.toml", f"{toml_of('one', JOB)}{table}")
        on_rest.environment[name] = "of-the-environment"
        assert on_rest.done("validate").stderr == ""


def test_the_line_to_write_names_no_variable_with_a_credential(on_rest: Repository) -> None:
    on_rest.job("one", hyperparameters={"github_token": "written-in-the-file"})
    assert 'write github_token = "${env.JOB_GITHUB_TOKEN}", or' in on_rest.done("plan").stderr


@pytest.mark.parametrize(
    ("value", "is_short"),
    [
        ("a", True),
        ("123456789", True),
        ("1234567890", True),
        ("12345678901234", True),
        ("123456789012345", False),
        ("hunter2xx", True),
        ("hunter2xxx", False),
    ],
)
@pytest.mark.parametrize("how", ["environment", "sensitive", "defaults"])
def test_a_sensitive_value_that_can_be_guessed_is_a_warning_without_a_state_key(
    on_rest: Repository, rest: FakeService, value: str, is_short: bool, how: str
) -> None:
    on_rest.environment["API_SECRET"] = value
    if how == "environment":
        on_rest.job("one", hyperparameters={"x": "${env.API_SECRET}"})
    elif how == "sensitive":
        on_rest.job("one", hyperparameters={"x": value}, sensitive=["x"])
    else:
        table = f'[defaults]\nsensitive = ["x"]\n[defaults.hyperparameters]\nx = "{value}"\n'
        on_rest.settings(rest.settings() + table)
        on_rest.job("one")
        on_rest.job("two")
    ran = on_rest.done("validate")
    assert ran.stderr.count("hyperparameters.x is sensitive, and so short") == is_short
    assert is_short or ran.stderr == ""
    on_rest.environment["MAJOBCTL_STATE_KEY"] = "a-key-of-the-state"
    assert on_rest.done("validate").stderr == ""


@pytest.mark.parametrize(
    ("names", "code", "what"),
    [
        ('["api_key"]', 0, ""),
        ('["hyperparameters", "log_url"]', 0, ""),
        ('["api_kay"]', 1, '"api_kay" is neither a key nor a label of a job config'),
        ('["api_key", "api_keys"]', 0, 'Warning: {}: "api_keys" is neither a key nor'),
        ('["something"]', 0, 'Warning: {}: "something" is neither a key nor a label of a'),
    ],
)
@pytest.mark.parametrize("where", ["defaults", "template", "environment"])
def test_a_shared_sensitive_name_that_hides_nothing_is_reported(
    on_rest: Repository, rest: FakeService, where: str, names: str, code: int, what: str
) -> None:
    line = f"sensitive = {names}\n"
    settings = {
        "defaults": f"[defaults]\n{line}",
        "environment": f"[environments.e.defaults]\n{line}",
    }.get(where, "")
    on_rest.settings(rest.settings() + settings)
    own = {**JOB, "hyperparameters": {"api_key": "written-in-the-file"}}
    if where == "template":
        own["use"] = "t"
        on_rest.write("jobs/t.toml", f"[templates.t]\n{line}[templates.unused]\n{line}")
    on_rest.write("jobs/one.toml", toml_of("one", own))
    on_rest.job("two")
    options = ["-e", "e"] if where == "environment" else []
    ran = on_rest.run("validate", *options)
    assert ran.code == code
    place = "jobs/t.toml:2: templates.t" if where == "template" else "majobctl.toml:7: defaults"
    assert what.replace("{}", place) in ran.stderr
    assert bool(ran.stderr) is (bool(what) or "log_url" in names) or "api_key" not in names


@pytest.mark.parametrize(
    "text",
    [
        "token='{}'\nlr=1\n",
        'lr = 1\n token= "{}" # old\n',
        'token = """\\\n{}"""\nlr = 1\n  x=2\n',
        '"token"   = "x{}"\n',
        'db_pass   = "{}"\n',
    ],
)
def test_fmt_shows_no_sensitive_value(on_rest: Repository, rest: FakeService, text: str) -> None:
    on_rest.settings(rest.settings() + '[defaults]\nsensitive = ["token"]\n')
    table = f"[job_config.one.hyperparameters]\n{text.replace('{}', 'of-the-file')}"
    on_rest.write("jobs/one.toml", f"{toml_of('one', JOB)}{table}")
    for options in (["--diff"], ["--check", "--diff"], ["--diff", "jobs/one.toml"]):
        ran = on_rest.run("fmt", *options)
        assert "(sensitive)" in ran.stdout
        assert "of-the-file" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("how", ["sensitive", "environment"])
def test_validate_shows_no_variable_that_is_part_of_a_secret(
    on_rest: Repository, rest: FakeService, how: str
) -> None:
    on_rest.settings(f'{rest.settings()}[variables]\na = "of-the-file"\nb = "shown"\n')
    text = "x-${var.a}" + ("${env.API_SECRET}" if how == "environment" else "")
    on_rest.environment["API_SECRET"] = SECRET
    names = ["x"] if how == "sensitive" else []
    on_rest.job("one", hyperparameters={"x": text}, sensitive=names, config_desc="${var.b}")
    lines = on_rest.done("validate", "--verbose").stderr.splitlines()
    assert [line.split() for line in lines[3:5]] == [
        ["a", "(sensitive)", "majobctl.toml:7"],
        ["b", '"shown"', "majobctl.toml:8"],
    ]


@pytest.mark.parametrize("single", [[], ["--single-file"]], ids=["files", "one file"])
@pytest.mark.parametrize("label", ["lr", *LOOKS_SECRET])
def test_an_imported_secret_is_for_the_user_alone(
    on_rest: Repository, rest: FakeService, label: str, single: list[str]
) -> None:
    parameters = [{"label": label, "value": SECRET}]
    rest.configs |= {"one": {**BODY, "parameter": parameters}, "two": BODY}
    ran = on_rest.done("import", "--all", *single)
    (path, *other) = sorted((on_rest.root / "jobs").rglob("*.toml"))
    is_secret = label != "lr"
    assert (path.stat().st_mode & 0o077 == 0) is is_secret
    assert [file.stat().st_mode & 0o044 for file in other] == ([] if single else [0o044])
    assert ("looks like a secret" in ran.stderr) is is_secret
    assert (SECRET in on_rest.state_path.read_text()) is not is_secret
    assert (SECRET in on_rest.done("show").stdout + ran.stdout) is False
