"""``--var``, ``--var-file`` and ``MAJOBCTL_VAR_NAME`` with the commands; secrets beside them; and
templates and matrices as the commands show them."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.config_repository import COMMAND, JOB, PATIENCE, Repository, finished, toml_of
from tests.fake_service import FakeService

VARIABLES = '\n[variables]\nbucket = "ml"\nsecret-word = "of-the-settings"\n'
HIDDEN = "hidden-by-hand"


@pytest.fixture
def repo(on_rest: Repository, rest: FakeService) -> Repository:
    on_rest.settings(rest.settings() + VARIABLES)
    on_rest.job("one", log_url="/${var.bucket}/log/")
    return on_rest


def test_the_chosen_value_reaches_the_service(repo: Repository, rest: FakeService) -> None:
    repo.apply()
    assert rest.configs["one"]["log_url"] == "/ml/log/"
    repo.environment["MAJOBCTL_VAR_bucket"] = "ml-process"
    repo.apply()
    assert rest.configs["one"]["log_url"] == "/ml-process/log/"
    repo.write("vars.toml", 'bucket = "ml-file"\n')
    repo.apply("--var-file", "vars.toml")
    assert rest.configs["one"]["log_url"] == "/ml-file/log/"
    repo.apply("--var", "bucket=a", "--var", "bucket=ml-option", "--var-file", "vars.toml")
    assert rest.configs["one"]["log_url"] == "/ml-option/log/"
    assert ' "ml-option" -> "ml-process"\n' in repo.done("plan").stdout


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--var", "bukcet=x"), 'Error: --var: no variable "bukcet"; did you mean "bucket"?\n'),
        (
            ("--var", "bucket="),
            "Error: --var: bucket is empty; give it a value, or declare it as",
        ),
        (("--var", "bucket"), "Error: --var bucket: write --var NAME=VALUE\n"),
        (("--var-file", "none.toml"), "none.toml: cannot be read: No such file or directory\n"),
        (
            ("--var-file", "typo.toml"),
            'typo.toml:1: no variable "bukcet"; did you mean "bucket"?\n',
        ),
        (("--var-file", "broken.toml"), "broken.toml:1:10: not valid TOML: the value is missing\n"),
    ],
)
def test_what_is_wrong_with_an_option_is_reported(
    options: tuple[str, str], told: str, repo: Repository, rest: FakeService
) -> None:
    repo.write("typo.toml", "bukcet = 1\n")
    repo.write("broken.toml", "bucket = \n")
    for command in ("plan", "validate", "drift"):
        ran = repo.run(command, *options)
        assert (ran.code, ran.stdout) == (1, "")
        assert ran.stderr.startswith(told)
    assert not rest.puts


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("bukcet", "bucket"),
        ("BUCKET", "bucket"),
        ("secret_word", "secret-word"),
        ("bucket", ""),
        ("zone_of_another_repository", ""),
        ("", ""),
    ],
)
def test_a_variable_of_the_environment_that_is_probably_misspelt_is_warned_of(
    name: str, near: str, repo: Repository
) -> None:
    repo.environment[f"MAJOBCTL_VAR_{name}"] = "x"
    warning = f'Warning: MAJOBCTL_VAR_{name}: no such variable; did you mean "{near}"?\n'
    for command in ("plan", "validate"):
        assert repo.done(command).stderr == (warning if near else "")


def test_validate_as_json_reports_a_wrong_file(repo: Repository) -> None:
    repo.write("typo.toml", "bukcet = 1\n")
    ran = repo.run("validate", "--format", "json", "--var-file", "typo.toml")
    (problem,) = ran.document["problems"]
    assert (problem["file"], problem["line"]) == ("typo.toml", 1)


@pytest.mark.parametrize(
    "options", [("--var", f"bucket={HIDDEN}"), (f"--var=bucket={HIDDEN}",)], ids=["two", "one"]
)
def test_the_holder_of_a_lock_is_shown_without_values(
    options: tuple[str, ...], repo: Repository, rest: FakeService
) -> None:
    is_asked, may_answer = threading.Event(), threading.Event()

    def wait(name: str) -> None:
        is_asked.set()
        may_answer.wait(PATIENCE)

    rest.before_put = wait
    process = repo.start("apply", "--auto-approve", *options)
    try:
        assert is_asked.wait(PATIENCE)
        holder = (repo.root / "majobctl.state.json.lock.holder").read_text()
        ran = repo.run("apply", "--auto-approve")
    finally:
        may_answer.set()
        assert finished(process).code == 0
    assert ran.code == 4
    assert "--auto-approve --var" in holder
    assert "bucket=...`" in ran.stderr
    assert HIDDEN not in holder + ran.stderr
    assert rest.configs["one"]["log_url"] == f"/{HIDDEN}/log/"


def test_a_value_may_be_sensitive(repo: Repository, rest: FakeService) -> None:
    repo.job(
        "one",
        config_desc="${var.secret-word}",
        hyperparameters={"key": "x-${var.secret-word}", "lr": 1},
        sensitive=["config_desc", "key"],
    )
    value = f"secret-word={HIDDEN}"
    outputs = [
        repo.done("plan", "--var", value),
        repo.done("plan", "--format", "json", "--var", value),
        repo.done("plan", "--out", "saved.plan", "--var", value),
        repo.done("show", "saved.plan"),
        repo.apply("--var", value),
        repo.done("show", "one"),
    ]
    assert rest.puts["one"]["config_desc"] == HIDDEN
    for ran in outputs:
        assert HIDDEN not in ran.stdout + ran.stderr
    for path in repo.root.rglob("*"):
        assert path.is_dir() or HIDDEN not in path.read_text()
    assert repo.done("plan", "--var", value).stdout.startswith("No changes.")


def test_a_saved_plan_takes_a_sensitive_value_from_the_same_option(
    repo: Repository, rest: FakeService
) -> None:
    repo.job("one", config_desc="${var.secret-word}", sensitive=["config_desc"])
    value = f"secret-word={HIDDEN}"
    repo.done("plan", "--out", "saved.plan", "--var", value)
    refused = repo.run("apply", "saved.plan", code=5)
    assert "the sensitive value of config_desc has changed" in refused.stderr
    assert HIDDEN not in (repo.root / "saved.plan").read_text() + refused.stderr
    repo.done("apply", "saved.plan", "--var", value)
    assert rest.puts["one"]["config_desc"] == HIDDEN


def test_what_the_service_has_in_the_place_of_a_sensitive_value_is_hidden(
    on_emulator: Repository,
) -> None:
    repo = on_emulator
    settings = (repo.root / "majobctl.toml").read_text() + VARIABLES
    repo.settings(settings)
    template = (
        '[templates.base]\nsensitive = ["log_url"]\nconfig_desc = "${var.secret-word}"\n'
        'log_url = "/ml/${var.secret-word}/"\n'
    )
    repo.write("jobs/base.toml", template)
    repo.job("alpha", use="base", sensitive=["config_desc"])
    repo.apply("--var", f"secret-word={HIDDEN}")
    # Another state, of another lineage: what the service has is now somebody else's.
    repo.settings(settings + '[environments.other]\nprovider.kind = "emulator"\n')
    for command in ("drift", "plan --refresh", "plan --refresh --format json"):
        for options in ([], ["-e", "other"]):
            ran = repo.done(*command.split(), *options)
            assert HIDDEN not in ran.stdout + ran.stderr
    refreshed = repo.done("plan", "--refresh").stdout
    assert "config_desc" in refreshed
    assert "log_url" in refreshed
    repo.done("import", "alpha", "-e", "other")
    for path in repo.root.glob("*.json*"):
        assert HIDDEN not in path.read_text()


def test_import_writes_below_defaults_with_variables(on_emulator: Repository) -> None:
    repo = on_emulator
    repo.job("beta", log_url="/ml/log/", hyperparameters={"a": "1", "b": "2"})
    repo.apply()
    repo.remove("beta")
    repo.done("state", "rm", "beta")
    defaults = '[defaults]\nlog_url = "/${var.bucket}/log/"\nhyperparameters = { a = "1" }\n'
    repo.settings((repo.root / "majobctl.toml").read_text() + VARIABLES + defaults)
    repo.job("alpha", hyperparameters={"z": "0"})
    repo.done("import", "beta")
    path = repo.root / "jobs/imported/beta.toml"
    assert "log_url" not in path.read_text()
    assert 'a = "1"' not in path.read_text()
    assert "beta" not in repo.done("plan").stdout
    repo.done("state", "rm", "beta")
    path.unlink()
    repo.done("import", "beta", "--var", "bucket=else")
    assert 'log_url = "/ml/log/"' in path.read_text()
    assert "beta" not in repo.done("plan", "--var", "bucket=else").stdout


SWEEP = {
    **JOB,
    "use": "base",
    "name": "x-{lr}",
    "matrix": {"lr": [0.1, 0.2]},
}
TEMPLATE = '[templates.base]\nconfig_desc = "lr ${matrix.lr}"\n'


def test_a_plan_points_at_the_matrix(repo: Repository) -> None:
    repo.remove("one")
    text = toml_of("sweep", SWEEP)
    repo.write("jobs/sweep.toml", f"{TEMPLATE}\n{text}")
    line = 3 + text.splitlines().index(next(x for x in text.splitlines() if "matrix" in x)) + 1
    document = repo.done("plan", "--format", "json").document
    assert {change["name"]: change["source"] for change in document["changes"]} == {
        name: {"file": "jobs/sweep.toml", "line": line} for name in ("x-0_1", "x-0_2")
    }
    assert f"jobs/sweep.toml:{line}" in repo.done("plan").stdout
    repo.apply()
    assert repo.state["job_configs"]["x-0_2"]["params"]["config_desc"] == "lr 0.2"
    repo.write("jobs/sweep.toml", f"{TEMPLATE}\n{text.replace('0.2', '0.3')}")
    assert "1 to add, 1 to forget" in repo.done("plan").stdout


def test_secrets_of_templates_defaults_and_matrices_are_in_no_output(
    repo: Repository, rest: FakeService
) -> None:
    repo.environment["API_SECRET"] = HIDDEN
    repo.settings(
        rest.settings()
        + '\n[defaults]\nhyperparameters = { d = "${env.API_SECRET}", shown = "s" }\n'
        'sensitive = ["log_url"]\n'
    )
    template = '[templates.base]\nconfig_desc = "${env.API_SECRET}"\nlog_url = "/ml/of-the-file/"\n'
    sweep = {**SWEEP, "hyperparameters": {"m": "${matrix.lr} ${env.API_SECRET}"}}
    repo.write("jobs/sweep.toml", template + toml_of("sweep", sweep))
    repo.remove("one")
    outputs = [
        repo.done("plan"),
        repo.done("plan", "--format", "json"),
        repo.done("plan", "--format", "markdown"),
        repo.done("plan", "--format", "html"),
        repo.done("plan", "--out", "saved.plan"),
        repo.done("apply", "saved.plan"),
        repo.done("show"),
        repo.done("state", "pull"),
        repo.done("validate", "--verbose"),
    ]
    assert rest.puts["x-0_1"]["config_desc"] == HIDDEN
    assert rest.puts["x-0_1"]["parameter"] == [
        {"label": "d", "value": HIDDEN},
        {"label": "lr", "value": "0.1"},
        {"label": "m", "value": f"0.1 {HIDDEN}"},
        {"label": "shown", "value": "s"},
    ]
    for ran in outputs:
        assert HIDDEN not in ran.stdout + ran.stderr
        assert "of-the-file" not in ran.stdout + ran.stderr
    for path in repo.root.rglob("*"):
        if path.is_file():
            assert HIDDEN not in path.read_text()
            assert path.parent.name == "jobs" or "of-the-file" not in path.read_text()
    repo.environment["API_SECRET"] = "another"
    assert "2 to update" in repo.done("plan").stdout


def test_directives_of_a_template_hold_in_the_service(on_emulator: Repository) -> None:
    on_emulator.cloud("alpha")
    template = '[templates.base]\nprevent_delete = true\nignore_changes = ["config_desc"]\n'
    on_emulator.write("jobs/base.toml", template)
    on_emulator.job("alpha", use="base", config_desc="ours")
    on_emulator.apply()
    on_emulator.job("alpha", config_desc="ours")
    assert on_emulator.state["job_configs"]["alpha"]["prevent_delete"] is True
    assert "prevent_delete" in on_emulator.done("plan").stdout
    on_emulator.remove("alpha")
    settings = (on_emulator.root / "majobctl.toml").read_text()
    on_emulator.settings(settings + "\n[apply]\ndelete_removed = true\n")
    ran = on_emulator.run("plan", code=1)
    assert "prevent_delete protects what this plan would delete: job_config.alpha" in ran.stderr


def test_offline_warnings_name_the_template_and_the_matrix(on_emulator: Repository) -> None:
    on_emulator.done("flavors")
    on_emulator.job("alpha", use="base", train_instance_type=None)
    on_emulator.job("beta", use="base", train_instance_type=None)
    on_emulator.write("jobs/base.toml", '[templates.base]\n\ntrain_instance_type = "odd"\n')
    sweep = {**JOB, "name": "n{train_instance_type}", "matrix": {"train_instance_type": ["o", "p"]}}
    text = toml_of("sweep", sweep)
    on_emulator.write("jobs/sweep.toml", text)
    line = next(i for i, x in enumerate(text.splitlines(), 1) if x.startswith("matrix"))
    warnings = on_emulator.done("validate").stderr.splitlines()
    assert [warning.split(" was not")[0] for warning in warnings] == [
        'Warning: jobs/base.toml:3: templates.base: train_instance_type "odd"',
        f'Warning: jobs/sweep.toml:{line}: job_config.sweep: train_instance_type "o"',
        f'Warning: jobs/sweep.toml:{line}: job_config.sweep: train_instance_type "p"',
    ]


def test_drift_reports_what_it_cannot_know(on_emulator: Repository) -> None:
    on_emulator.apply()
    on_emulator.job("alpha", use="bsae")
    ran = on_emulator.done("drift")
    assert 'Warning: jobs/alpha.toml:10: job_config.alpha: use: no template "bsae"' in ran.stderr


def test_the_files_of_variables_are_those_of_the_folder_gone_to(
    repo: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("vars.toml", 'bucket = "ml-there"\n')
    monkeypatch.chdir(Path("/"))
    ran = repo.process("-C", str(repo.root), "plan", "--var-file", "vars.toml")
    assert "/ml-there/log/" in ran.stdout


def test_a_sensitive_value_of_a_matrix_is_secret_wherever_it_is_used(
    repository: Repository,
) -> None:
    repository.cloud("m")
    repository.write(
        "jobs/m.toml",
        toml_of(
            "x",
            {
                **JOB,
                "name": "m",
                "matrix": {"token": ["TOP-SECRET"]},
                "sensitive": ["token"],
                "inputs": "/ml/${matrix.token}/",
            },
        ),
    )
    for command in (["plan"], ["plan", "--format", "json"], ["plan", "--format", "markdown"]):
        assert "TOP-SECRET" not in repository.done(*command).stdout
    repository.done("plan", "--out", "saved.plan", "--also", "html=plan.html")
    repository.done("apply", "saved.plan", "--overwrite")
    for name in ("saved.plan", "plan.html", "majobctl.state.json"):
        assert "TOP-SECRET" not in (repository.root / name).read_text(encoding="utf-8")
    assert repository.done("plan", "--refresh").stdout.startswith("No changes.")


@contextmanager
def piped(repository: Repository, text: str = 'bucket = "ml-pipe"\n') -> Iterator[str]:
    """A pipe that one reader gets ``text`` from, and that a second one would wait for."""
    path = repository.root / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(text,), daemon=True)
    writer.start()
    try:
        yield "pipe"
    finally:
        if writer.is_alive():
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        writer.join(PATIENCE)
        path.unlink()


@pytest.fixture
def with_variable(on_emulator: Repository) -> Repository:
    """Applied, and committed; all that has no value of its own for it has the variable's."""
    settings = (on_emulator.root / "majobctl.toml").read_text()
    default = '[defaults]\nlog_url = "/${var.bucket}/log/"\n'
    on_emulator.settings(settings + VARIABLES + default)
    on_emulator.job("alpha", hyperparameters={"word": "${var.secret-word}"}, sensitive=["word"])
    on_emulator.apply("--overwrite")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *author, *arguments], cwd=on_emulator.root, check=True)
    return on_emulator


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("validate", 0, "1 job config is valid."),
        ("plan", 0, "ml-pipe"),
        ("plan --refresh --format json", 0, "ml-pipe"),
        ("plan --out new.plan --also markdown=plan.md --also html=plan.html", 0, "ml-pipe"),
        ("plan --base HEAD", 0, "No changes"),
        ("plan --state copy.json", 0, "ml-pipe"),
        ("apply --auto-approve", 0, "Apply complete: 1 updated"),
        ("apply saved.plan", 0, "Apply complete: 1 updated"),
        ("drift", 0, "No drift"),
        ("pull", 0, ""),
        ("render", 0, "ml-pipe"),
        ("render --as sdk", 0, "ml-pipe"),
        ("import beta", 0, "Imported 1 job config"),
        ("import --all", 0, "Imported 2 job configs"),
    ],
)
def test_a_pipe_of_variables_is_read_once(
    command: str, code: int, said: str, with_variable: Repository
) -> None:
    with_variable.write("copy.json", with_variable.state_path.read_text())
    with_variable.done("plan", "--out", "saved.plan", "--var", "secret-word=of-the-pipe")
    text = 'bucket = "ml-pipe"\n'
    if "saved" in command:
        text = 'secret-word = "of-the-pipe"\n'
    with piped(with_variable, text) as pipe:
        ran = with_variable.process(*command.split(), "--var-file", pipe, code=code)
    assert said in ran.stdout


def test_a_pipe_of_variables_is_read_once_where_a_file_is_wrong(with_variable: Repository) -> None:
    with_variable.write("jobs/broken.toml", "[job_config.x]\n")
    with_variable.write(
        "policy.toml",
        '[policy.x]\nbecause = "y"\nrequire = { config_desc = { const = "a" } }\n'
        'fails = [{ config_desc = "a" }]\n',
    )
    for command in ("validate", "validate --format json", "import --all", "apply --auto-approve"):
        with piped(with_variable) as pipe:
            ran = with_variable.process(*command.split(), "--var-file", pipe, code=1)
        assert "jobs/broken.toml" in ran.stdout + ran.stderr


@pytest.mark.parametrize("given", ["<(echo 'bucket=\"ml-shell\"')", "/dev/stdin", "/dev/fd/0"])
def test_a_shell_gives_variables(given: str, with_variable: Repository) -> None:
    line = f"echo 'bucket=\"ml-shell\"' | {' '.join(COMMAND)} plan --var-file {given}"
    ran = subprocess.run(["bash", "-c", line], cwd=with_variable.root, capture_output=True)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert b'-> "ml-shell"' in ran.stdout


def test_a_value_of_a_file_keeps_its_type_when_it_is_known(with_variable: Repository) -> None:
    """An empty one, too, which an option may not have."""
    with_variable.write("vars.toml", 'secret-word = ""\nbucket = "12"\n')
    ran = with_variable.done("plan", "--base", "HEAD", "--var-file", "vars.toml")
    assert ran.stdout.startswith("No changes")
