"""Policies in ``validate``, ``plan`` and ``apply``: what is denied is never sent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.config_repository import Repository
from tests.live_cloud import Cloud
from tests.test_startup import imported_by

FEW = """[policy.few]
because = "shared"
require = { train_instance_count = { maximum = 1 } }
fails = [{ train_instance_count = 2 }]
"""
WARN = FEW.replace('because = "shared"', 'because = "shared"\nlevel = "warn"')
TOLD = "train_instance_count is 2; policy few (policy.toml:1) allows at most 1: shared"
FROZEN = '[policy.fixed]\nbecause = "kept"\nfrozen = ["output_path", "hyperparameters.lr"]\n'


def rule(require: str, fails: str) -> str:
    return f'[policy.p]\nbecause = "why"\nrequire.{require}\nfails = [{fails}]\n'


VALUES = {
    "table": ("jobs/x.toml", "train_instance_count = 2"),
    "defaults": ("majobctl.toml", "[defaults]\ntrain_instance_count = 2"),
    "template": ("jobs/x.toml", "[templates.t]\ntrain_instance_count = 2"),
    "matrix": ("jobs/x.toml", 'name = "x"\n[job_config.x.matrix]\ntrain_instance_count = [2]'),
}


@pytest.mark.parametrize("where", VALUES)
def test_validate_tells_the_line_of_the_value(on_emulator: Repository, where: str) -> None:
    on_emulator.job("x", train_instance_count=None, **({"use": "t"} if where == "template" else {}))
    file, text = VALUES[where]
    if where == "matrix":
        text = text.replace('"x"', '"x-{train_instance_count}"')
    path = on_emulator.root / file
    path.write_text(f"{path.read_text()}{text}\n")
    line = path.read_text().splitlines().index(text.splitlines()[-1]) + 1
    on_emulator.write("policy.toml", FEW)
    name = "x-2" if where == "matrix" else "x"
    ran = on_emulator.run("validate", code=1)
    assert f"{file}:{line}: job_config.{name}: {TOLD}\n" in ran.stderr
    assert "1 problem. Nothing was done." in ran.stderr
    (problem,) = on_emulator.run("validate", "--format", "json", code=1).document["problems"]
    assert (problem["file"], problem["line"], problem["message"]) == (file, line, TOLD)
    shown = on_emulator.run("validate", "--format", "github", code=1).stdout
    assert f"::error file={file},line={line}" in shown
    on_emulator.write("policy.toml", WARN)
    assert (
        f"Warning: {file}:{line}: job_config.{name}: {TOLD}\n"
        in on_emulator.done("validate").stderr
    )


@pytest.fixture
def denied(repo: Repository) -> Repository:
    """``alpha`` breaks a policy, and ``beta`` has a change that breaks none."""
    repo.job("alpha", config_desc="first", train_instance_count=2)
    repo.job("beta", config_desc="second")
    repo.write("policy.toml", FEW)
    return repo


def test_a_plan_says_it_in_every_format(denied: Repository) -> None:
    said = f"job_config.alpha: {TOLD}"
    for format_ in ("text", "markdown", "html"):
        assert said in " ".join(denied.run("plan", "--format", format_, code=1).stdout.split())
    document = denied.run("plan", "--format", "json", "--out", "p.plan", code=1).document
    (verdict,) = document["violations"]
    assert verdict == {
        **{"policy": "few", "level": "deny", "name": "alpha", "message": TOLD, "line": 9},
        **{"path": ["train_instance_count"], "file": "jobs/alpha.toml"},
    }
    assert denied.done("show", "p.plan", "--format", "json").document["violations"] == [verdict]
    assert said in denied.done("show", "p.plan").stdout
    denied.run("plan", "--detailed-exitcode", code=1)


def test_a_warning_changes_no_exit_code(denied: Repository, cloud: Cloud) -> None:
    denied.write("policy.toml", WARN)
    said = f"job_config.alpha: {TOLD}"
    denied.run("plan", "--detailed-exitcode", code=2)
    for format_ in ("markdown", "json"):
        ran = denied.done("plan", "--format", format_, "--out", "p.plan")
        assert said in ran.stdout
        assert f"Warning: jobs/alpha.toml:9: {said}" in ran.stderr
    ran = denied.done("apply", "p.plan")
    assert ran.stderr.count(said) == 1
    assert sorted(cloud.writes()) == ["PUT alpha", "PUT beta"]


def test_what_one_line_breaks_in_many_is_one_line(repo: Repository, cloud: Cloud) -> None:
    names = [f"job-{number}" for number in range(9)]
    repo.settings(cloud.settings("[defaults]\ntrain_instance_count = 2"))
    line = (repo.root / "majobctl.toml").read_text().splitlines().index("[defaults]") + 2
    repo.write("policy.toml", WARN)
    for name in names:
        repo.job(name, train_instance_count=None)
    repo.done("validate")
    repo.write("policy.toml", FEW)
    said = f"majobctl.toml:{line}: job_config.job-0, job_config.job-1, job_config.job-2 and 6 more"
    assert f"{said}: {TOLD}\n" in repo.run("plan", code=1).stdout
    ran = repo.run("apply", "--auto-approve", code=1)
    assert f"{said}: {TOLD}\n" in ran.stdout
    assert "9 policy violations; nothing was sent" in ran.stderr
    assert len(repo.run("plan", "--format", "json", code=1).document["violations"]) == 9


@pytest.mark.parametrize("arguments", [[], ["--format", "json"], ["--force"], ["--overwrite"]])
def test_an_apply_sends_nothing(denied: Repository, cloud: Cloud, arguments: list[str]) -> None:
    before = denied.state
    ran = denied.run("apply", "--auto-approve", *arguments, code=1)
    assert TOLD in " ".join((ran.stdout + ran.stderr).split())
    assert "1 policy violation; nothing was sent" in ran.stdout + ran.stderr
    assert cloud.writes() == []
    assert denied.state == before
    denied.apply("--target", "beta")
    assert cloud.writes() == ["PUT beta"]


def test_a_saved_plan_is_judged_by_the_policies_of_now(repo: Repository, cloud: Cloud) -> None:
    repo.job("alpha", config_desc="first", train_instance_count=2)
    repo.done("plan", "--out", "before.plan")
    repo.write("policy.toml", FEW)
    ran = repo.run("plan", "--out", "denied.plan", code=1)
    assert "Saved the plan; policies deny what it does" in ran.stderr
    assert "apply it with" not in ran.stderr
    for plan in ("before.plan", "denied.plan"):
        ran = repo.run("apply", plan, code=1)
        assert f"jobs/alpha.toml:9: job_config.alpha: {TOLD}" in " ".join(ran.stdout.split())
        assert "leave them out (--exclude) and plan again" in ran.stderr
    repo.write("policy.toml", "[policy.few")
    assert "policy.toml:1" in repo.run("apply", "before.plan", code=1).stderr
    assert cloud.take() == {}
    repo.write("policy.toml", f'{FEW}exempt = ["alpha"]\n')
    repo.done("apply", "denied.plan")
    assert cloud.writes() == ["PUT alpha"]


def test_thousands_of_violations_fit_into_a_comment(on_emulator: Repository) -> None:
    keys = (on_emulator.root / "jobs" / "alpha.toml").read_text().split("\n", 1)[1]
    keys = keys.replace("train_instance_count = 1", "train_instance_count = 2")
    on_emulator.write("jobs/all.toml", "".join(f"[job_config.j{it}]\n{keys}" for it in range(3000)))
    on_emulator.write("policy.toml", FEW)
    text = on_emulator.run("plan", "--format", "markdown", code=1).stdout
    assert len(text.encode()) <= 65_000
    assert "3000 violations" in text


OLD = {"output_path": "/ml/old/", "hyperparameters": {"lr": 0.1, "key": "s3cret"}}
FREEZE: dict[str, tuple[str, dict[str, Any], str]] = {
    "update": (FROZEN, {"output_path": "/ml/new/"}, "output_path"),
    "label": (FROZEN, {"hyperparameters": {"lr": 0.2, "key": "s3cret"}}, "hyperparameters.lr"),
    "removal": (FROZEN, {"hyperparameters": {"key": "s3cret"}}, "hyperparameters.lr"),
    "addition": (FROZEN, {"log_url": "/ml/log/"}, ""),
    "other label": (FROZEN, {"hyperparameters": {"lr": 0.1, "key": "s3cret", "x": 1}}, ""),
    "renamed": (FROZEN, {"renamed_from": "alpha", "output_path": "/ml/new/"}, "output_path"),
    "renamed out": (
        FROZEN + 'where.name.const = "alpha"\n',
        {"renamed_from": "alpha", "output_path": "/ml/new/"},
        "output_path",
    ),
    "leaves where": (
        FROZEN + 'where.output_path.pattern = "old"\n',
        {"output_path": "/ml/new/"},
        "output_path",
    ),
    "never in where": (
        FROZEN + 'where.output_path.pattern = "other"\n',
        {"output_path": "/ml/new/"},
        "",
    ),
    "exempt": (FROZEN + 'exempt = ["al*"]\n', {"output_path": "/ml/new/"}, ""),
    "secret": (
        FROZEN.replace(".lr", ".key"),
        {"hyperparameters": {"lr": 0.1, "key": "other"}, "sensitive": ["key"]},
        "hyperparameters.key",
    ),
}


@pytest.mark.parametrize("case", FREEZE)
def test_what_is_frozen_may_not_change(repo: Repository, cloud: Cloud, case: str) -> None:
    policy, changed, told = FREEZE[case]
    repo.job("alpha", **{**OLD, "sensitive": ["key"]})
    repo.apply()
    repo.write("policy.toml", policy)
    cloud.take()
    if "renamed_from" in changed:
        repo.remove("alpha")
    repo.job(
        "new" if "renamed_from" in changed else "alpha", **{**OLD, "sensitive": ["key"], **changed}
    )
    repo.done("validate")
    ran = repo.run("plan", code=1 if told else 0)
    said = f"{told} may not change once applied; policy fixed (policy.toml:1) froze it: kept"
    assert (said in " ".join(ran.stdout.split())) == bool(told)
    assert "s3cret" not in ran.stdout + ran.stderr
    if told:
        repo.run("apply", "--auto-approve", code=1)
        assert cloud.writes() == []


def test_what_was_changed_in_the_service_is_put_back(repo: Repository, cloud: Cloud) -> None:
    repo.write("policy.toml", FROZEN)
    cloud.console.change("alpha", train_url="/ml/console/")
    repo.done("plan", "--refresh")
    repo.apply("--refresh", "--overwrite")
    assert cloud.console.config("alpha")["train_url"] == "/ml/output/"
    cloud.console.change("alpha", train_url="/ml/console/")
    repo.job("alpha", config_desc="first", output_path="/ml/console/")
    for refresh in ([], ["--refresh"]):
        repo.run("plan", *refresh, code=1)


@pytest.mark.parametrize(
    ("action", "settings"),
    [("delete", "[apply]\ndelete_removed = true"), ("forget", ""), ("add", ""), ("update", "")],
)
def test_an_action_can_be_denied(
    repo: Repository, cloud: Cloud, action: str, settings: str
) -> None:
    repo.settings(cloud.settings(settings))
    repo.write("policy.toml", rule(f'action.not.const = "{action}"', f'{{ action = "{action}" }}'))
    if action == "add":
        repo.job("new")
    elif action == "update":
        repo.job("alpha", config_desc="other")
    else:
        repo.remove("alpha")
    repo.done("validate")
    said = f'action is "{action}"; policy p (policy.toml:1) does not allow "{action}": why'
    assert said in " ".join(repo.run("plan", code=1).stdout.split())
    repo.run("apply", "--auto-approve", code=1)
    assert cloud.writes() == []


def test_gpus_prices_and_the_environment_are_known(on_emulator: Repository) -> None:
    path = on_emulator.root / "majobctl.toml"
    path.write_text(path.read_text() + '[environments.prod]\nstate.path = "prod.json"\n')
    on_emulator.write(
        "prices.toml", 'currency = "EUR"\n[price_per_hour]\n"modelarts.vm.gpu.p100" = 2.5\n'
    )
    on_emulator.job("alpha", train_instance_count=4)
    for require, fails, told in (
        ("price_per_hour.maximum = 9.99", "{ price_per_hour = 10.5 }", "price_per_hour is 10.0;"),
        ("gpus.maximum = 2", "{ gpus = 3 }", "gpus is missing (known for a flavor that `majobctl"),
        ("gpus = { maximum = 2, optional = true }", "{ gpus = 3 }", ""),
        ('environment.const = "prod"', "{}", 'environment is "";'),
        ('file.pattern = "^nlp/"', "{}", 'file is "jobs/alpha.toml";'),
        ('name.pattern = "^nlp-"', "{}", 'name is "alpha";'),
    ):
        on_emulator.write("policy.toml", rule(require, fails))
        ran = on_emulator.run("validate", code=1 if told else 0)
        assert told in ran.stderr, (require, ran)
        if "environment" in require:
            on_emulator.done("validate", "--environment", "prod")
    on_emulator.done("flavors")
    on_emulator.write("policy.toml", rule("gpus.maximum = 2", "{ gpus = 3 }"))
    assert "gpus is 4; " in on_emulator.run("plan", code=1).stdout
    (on_emulator.root / "prices.toml").unlink()
    on_emulator.write("policy.toml", rule("price_per_hour = {}", "{}"))
    told = "price_per_hour is missing (known for a flavor with a price in prices.toml, without"
    assert told in on_emulator.run("validate", code=1).stderr


SECRET_NODES: dict[str, dict[str, Any]] = {
    "count": {"train_instance_count": 4, "sensitive": ["train_instance_count"]},
    "flavor": {"train_instance_count": 4, "train_instance_type": "${env.FLAVOR}"},
}


@pytest.mark.parametrize("secret", SECRET_NODES)
@pytest.mark.parametrize(
    "text",
    [
        rule("price_per_hour = { maximum = 9, optional = true }", "{ price_per_hour = 10 }"),
        rule("user_command.const = 'x'", "{ price_per_hour = 9 }") + "where.price_per_hour = {}\n",
    ],
    ids=["require", "where"],
)
def test_a_price_that_would_tell_a_secret_counts_against_the_job_config(
    on_emulator: Repository, monkeypatch: pytest.MonkeyPatch, secret: str, text: str
) -> None:
    monkeypatch.setenv("FLAVOR", "modelarts.vm.gpu.p100")
    prices = 'currency = "EUR"\n[price_per_hour]\n"modelarts.vm.gpu.p100" = 2.5\n'
    on_emulator.write("prices.toml", prices)
    on_emulator.job("alpha", **SECRET_NODES[secret])
    on_emulator.write("policy.toml", text)
    for command in (["validate"], ["plan"], ["apply", "--auto-approve"]):
        ran = on_emulator.run(*command, code=1)
        assert "policy p (policy.toml:1)" in ran.stdout + ran.stderr
        assert "10.0" not in ran.stdout + ran.stderr


def test_a_rename_to_a_name_that_the_service_has_keeps_what_is_frozen(
    repo: Repository, cloud: Cloud
) -> None:
    repo.done("state", "rm", "beta")
    repo.remove("alpha")
    repo.write("policy.toml", FROZEN)
    repo.job("beta", renamed_from="alpha", output_path="/ml/new/")
    for refresh in ("none", "changed", "all"):
        assert "froze it: kept" in repo.run("plan", f"--refresh={refresh}", code=1).stdout
        repo.run("apply", "--auto-approve", "--overwrite", f"--refresh={refresh}", code=1)
    assert cloud.writes() == []


HIDING = """
import sys
from typing import Any
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "jsonschema_rs":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from majobctl.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("policies", "code"), [(FEW, 1), ("", 0), ("[policy]\n", 0)], ids=["one", "none", "empty"]
)
def test_without_the_library_only_policies_need_it(
    on_emulator: Repository, policies: str, code: int
) -> None:
    on_emulator.write("policy.toml", policies)
    for arguments in (["validate"], ["plan"], ["apply", "--auto-approve", "--overwrite"]):
        command = [sys.executable, "-c", HIDING, *arguments]
        done = subprocess.run(command, cwd=on_emulator.root, capture_output=True, text=True)
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        assert ("pip install 'majobctl[policy]'" in done.stderr) is bool(code)
    assert on_emulator.state_path.exists() is not bool(code)


LATE = {"jsonschema_rs", "majobctl.policy.judge", "majobctl.policy.policy"}


@pytest.mark.parametrize("command", ["validate", "plan"])
def test_the_library_is_imported_where_something_is_judged(
    on_emulator: Repository, command: str
) -> None:
    assert imported_by(on_emulator, command, of=LATE) == set()
    on_emulator.write("policy.toml", FEW)
    assert imported_by(on_emulator, command, of=LATE) == LATE
    on_emulator.apply("--overwrite")
    unchanged = {"majobctl.policy.policy"}
    assert imported_by(on_emulator, command, of=LATE) == (
        LATE if command == "validate" else unchanged
    )


def test_an_exemption_for_nothing_is_a_warning(on_emulator: Repository) -> None:
    on_emulator.write("policy.toml", f'{FEW}exempt = ["alpah", "alpha"]\n')
    told = (
        'Warning: policy.toml:5: policy.few: exempt: no job config "alpah"; did you mean "alpha"?'
    )
    assert told in on_emulator.done("validate").stderr
    assert json.loads(on_emulator.done("validate", "--format", "json").stdout)["warnings"]


def test_what_may_be_created_is_judged_as_a_creation(on_emulator: Repository) -> None:
    """The service is read only when the apply writes: too late for a policy."""
    settings = on_emulator.root / "majobctl.toml"
    settings.write_text(f"{settings.read_text()}[apply]\ncreate_missing = true\n")
    on_emulator.job("a")
    on_emulator.write(
        "policy.toml",
        '[policy.few]\nbecause = "every one is paid for"\n'
        'where = { action = { const = "create" } }\nrequire = { name = { pattern = "^tmp" } }\n'
        'fails = [{ action = "create", name = "a" }]\n',
    )
    for command in (("plan",), ("plan", "--refresh"), ("apply", "--auto-approve")):
        assert "policy few" in on_emulator.run(*command, code=1).stdout


@pytest.mark.parametrize("name", ["policies.toml", "Policy.toml", "policy.TOML"])
def test_a_file_that_was_meant_to_have_policies_is_an_error(
    on_emulator: Repository, name: str
) -> None:
    on_emulator.job("a")
    on_emulator.write(name, "")
    ran = on_emulator.run("validate", code=1)
    assert f"{name}: its policies are not read; rename it to policy.toml\n" in ran.stderr


def test_the_settings_may_have_policies_beside_environments(on_emulator: Repository) -> None:
    on_emulator.job("x", train_instance_count=2)
    settings = on_emulator.root / "majobctl.toml"
    text = settings.read_text() + "[environments.prod]\nvariables.v = 1\n"
    settings.write_text(text + FEW)
    for chosen in ((), ("-e", "prod")):
        ran = on_emulator.run("validate", *chosen, code=1)
        assert "policy few (majobctl.toml:" in ran.stderr
        assert "1 problem. Nothing was done." in ran.stderr


def test_a_rule_for_an_unknown_environment_is_an_error(on_emulator: Repository) -> None:
    settings = on_emulator.root / "majobctl.toml"
    settings.write_text(settings.read_text() + "[environments.prod]\nvariables.v = 1\n")
    on_emulator.job("x")
    rules = FEW.replace("require", 'where = { environment = { enum = ["", "prd"] } }\nrequire')
    on_emulator.write("policy.toml", rules.replace("{ train_instance_count = 2 }", "{}"))
    ran = on_emulator.run("validate", code=1)
    assert 'policy.toml:3: policy.few: no environment "prd"; did you mean "prod"?' in ran.stderr
