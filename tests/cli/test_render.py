"""``render``: what it shows is what a config repository says, and what an apply sends."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from majobctl.emulator.catalog import ALGORITHMS, ENGINES, FLAVORS
from majobctl.repository.config import load_config
from tests.config_files import SETTINGS, write_files
from tests.config_repository import JOB, Repository, toml_of
from tests.fake_service import OK, PROJECT, FakeService
from tests.strategies import known_params, names, texts, toml_value
from tests.test_startup import COSTLY, imported_by

STAND_IN = Path(__file__).parent.parent / "service" / "stand_in"
LISTS = ("flavors", "engines", "algorithms")

LAYERED = {
    "majobctl.toml": """\
[provider]
region = "eu-de"

[defaults]
log_url = "/${var.bucket}/log/"
inputs = "/ml/data/"

[defaults.hyperparameters]
seed = 42
token = "Bearer ${env.HF_TOKEN}"

[variables]
bucket = "ml-dev"

[environments.prod]
variables.bucket = "ml-prod"
defaults.config_desc = "prod"
""",
    "jobs/grid.toml": """\
[templates.vision]
train_instance_type = "modelarts.vm.gpu.p100"
model_name = "ResNet_v2_50"

[job_config.grid]
use = "vision"
name = "grid-{lr}"
matrix = { lr = ["0.1", 1e-5] }
output_path = "obs://${var.bucket}/${matrix.lr}/"
train_instance_count = 2
hyperparameters = [
    { label = "epochs", value = 10 },
]
""",
    "jobs/one.toml": toml_of("one", {**JOB, "job_description": "of $${a} job"}),
}


@pytest.fixture
def layered(repository: Repository) -> Repository:
    write_files(repository.root, LAYERED)
    return repository


def test_toml_names_the_line_of_each_table_and_resolves_every_layer(layered: Repository) -> None:
    ran = layered.done("render", "grid-1e-5", "-e", "prod")
    assert (
        ran.stdout
        == """\
# jobs/grid.toml:8
[job_config.grid-1e-5]
train_instance_type = "modelarts.vm.gpu.p100"
train_instance_count = 2
output_path = "/ml-prod/1e-5/"
model_name = "ResNet_v2_50"
log_url = "/ml-prod/log/"
config_desc = "prod"
inputs = "/ml/data/"

[job_config.grid-1e-5.hyperparameters]
epochs = "10"
lr = "1e-5"
seed = "42"
token = "(sensitive, HF_TOKEN is not set)"
"""
    )
    assert "majobctl.toml:10: HF_TOKEN is unset or empty in the environment" in ran.stderr


ORIGINS = """\
train_instance_type = "modelarts.vm.gpu.p100"  # jobs/grid.toml:2 (templates.vision)
train_instance_count = 2  # jobs/grid.toml:10
output_path = "/ml-prod/1e-5/"  # jobs/grid.toml:9, majobctl.toml:16 (environments.prod.variables.\
bucket), jobs/grid.toml:8 (matrix.lr)
model_name = "ResNet_v2_50"  # jobs/grid.toml:3 (templates.vision)
log_url = "/ml-prod/log/"  # majobctl.toml:5 (defaults), majobctl.toml:16 (environments.prod.\
variables.bucket)
config_desc = "prod"  # majobctl.toml:17 (environments.prod.defaults)
inputs = "/ml/data/"  # majobctl.toml:6 (defaults)

[job_config.grid-1e-5.hyperparameters]
epochs = "10"  # jobs/grid.toml:12
lr = "1e-5"  # jobs/grid.toml:8 (matrix.lr)
seed = "42"  # majobctl.toml:9 (defaults)
token = "(sensitive)"  # majobctl.toml:10 (defaults), environment (env.HF_TOKEN)
"""


def test_a_key_and_a_label_of_a_matrix_have_the_same_origin(layered: Repository) -> None:
    keys = toml_of("m", {key: JOB[key] for key in JOB.keys() - {"train_instance_count"}})
    name = 'name = "m-{train_instance_count}"\n'
    layered.write(
        "jobs/m.toml",
        f"""{keys}matrix.train_instance_count = [1, 2]
matrix.lr = [0.1]
{name}""",
    )
    shown = layered.done("render", "m-2", "--origin").stdout
    line = keys.count("\n") + 1
    origins = (
        f"jobs/m.toml:{line} (matrix.train_instance_count)",
        f"jobs/m.toml:{line + 1} (matrix.lr)",
    )
    assert f"train_instance_count = 2  # {origins[0]}\n" in shown
    assert f'lr = "0.1"  # {origins[1]}\n' in shown


def test_each_value_has_its_origin(layered: Repository) -> None:
    layered.environment["HF_TOKEN"] = "not-shown-to-anybody"
    shown = layered.done("render", "grid-1e-5", "-e", "prod", "--origin").stdout
    assert shown.partition("]\n")[2] == ORIGINS
    plain = layered.done("render", "grid-1e-5", "-e", "prod").stdout
    assert (
        "".join(it.partition("  # ")[0].rstrip("\n") + "\n" for it in shown.splitlines()) == plain
    )


def test_what_is_unset_is_not_shown_and_the_rest_has_its_origin(layered: Repository) -> None:
    table = 'hyperparameters = [{ label = "a", value = 1 }, { label = "b", value = 2 }]\n'
    job = "use = 'vision'\nunset = ['inputs', 'a', 'seed', 'token']\ntrain_instance_count = 1\n"
    text = LAYERED["jobs/grid.toml"].replace("\n\n[job", f'\nunset = ["log_url"]\n{table}\n[job')
    layered.write("jobs/grid.toml", text)
    layered.write("jobs/x.toml", f"[job_config.x]\n{job}output_path = '/o/'\n")
    shown = layered.done("render", "x", "--origin").stdout.partition("model_name")[2]
    assert shown.splitlines()[1:] == [
        "",
        "[job_config.x.hyperparameters]",
        'b = "2"  # jobs/grid.toml:5 (templates.vision)',
    ]


def test_one_of_another_environment_is_an_error_that_says_so(layered: Repository) -> None:
    layered.write("jobs/x.toml", toml_of("x", {**JOB, "environments": ["prod"]}))
    layered.done("render", "x", "-e", "prod")
    assert "[job_config.x]" not in layered.done("render").stdout
    for name, hint in (
        ("x", "; the files have it for other environments\n"),
        ("jobs/x.toml", "a job config in it must be for this environment\n"),
    ):
        ran = layered.run("render", name, code=1)
        assert f'\nError: no job config in a file matches "{name}"; ' in ran.stderr
        assert ran.stderr.endswith(hint) and ran.stdout == ""


@pytest.mark.parametrize(
    ("options", "environment", "where"),
    [
        ((), {}, "majobctl.toml:13 (variables.bucket)"),
        (("--var", "bucket=b"), {}, "--var (variables.bucket)"),
        (("--var-file", "v.toml"), {}, "v.toml:1 (bucket)"),
        ((), {"MAJOBCTL_VAR_bucket": "b"}, "MAJOBCTL_VAR_bucket (variables.bucket)"),
        (("-e", "prod"), {}, "majobctl.toml:16 (environments.prod.variables.bucket)"),
    ],
)
def test_a_variable_has_the_place_where_it_was_set(
    layered: Repository, options: tuple[str, ...], environment: Mapping[str, str], where: str
) -> None:
    layered.write("v.toml", 'bucket = "b"\n')
    layered.environment.update(environment)
    for format_ in ("toml", "sdk", "rest"):
        shown = layered.done("render", "grid-0_1", "--origin", "--as", format_, *options).stdout
        (line,) = (it for it in shown.splitlines() if "log_url" in it and "#" in it)
        assert line.endswith(where)
    document = layered.done("render", "grid-0_1", "--origin", "--as", "json", *options).document
    (found,) = (it for it in document["job_configs"][0]["sources"] if it["path"] == ["log_url"])
    assert found["from"][1]["key"] in where


def test_json_is_one_document_with_each_job_config_as_a_reader_sees_it(
    layered: Repository,
) -> None:
    ran = layered.done("render", "--as", "json", "-e", "prod")
    assert ran.stdout == layered.done("render", "--format", "json", "-e", "prod").stdout
    assert [it["name"] for it in ran.document["job_configs"]] == ["grid-0_1", "grid-1e-5", "one"]
    grid, _, one = ran.document["job_configs"]
    assert grid["hyperparameters"] == {
        "epochs": "10",
        "lr": "0.1",
        "seed": "42",
        "token": "(sensitive, HF_TOKEN is not set)",
    }
    assert [*one][:4] == ["name", "file", "line", "environment"]
    assert (one["file"], one["line"], one["environment"]) == ("jobs/one.toml", 1, "prod")
    assert one["job_description"] == "of ${a} job"
    assert JOB.items() <= one.items()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((), ["grid-0_1", "grid-1e-5", "one"]),
        (("one",), ["one"]),
        (("job_config.one",), ["one"]),
        (("grid-*",), ["grid-0_1", "grid-1e-5"]),
        (("jobs/grid.toml",), ["grid-0_1", "grid-1e-5"]),
        (("one", "--target", "grid-0*"), ["grid-0_1", "one"]),
        (("--exclude", "jobs/grid.toml"), ["one"]),
    ],
)
def test_names_globs_and_files_select(
    layered: Repository, arguments: tuple[str, ...], found: list[str]
) -> None:
    document = layered.done("render", "--as", "json", *arguments).document
    assert [it["name"] for it in document["job_configs"]] == found


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("oen",), 'no job config in a file matches "oen"; did you mean "one"?\n'),
        (("x*",), 'no job config in a file matches "x*"'),
        (("jobs/on.toml",), 'matches "jobs/on.toml"; did you mean "jobs/one.toml" or '),
        (("one", "--exclude", "one"), "select no job config"),
        (("\x1b[31m", "\udcff"), "no job config in a file matches "),
        (("-e", "prd"), 'did you mean "prod"?'),
        (("--as", "yaml"), "'yaml' is not one of"),
        (("one", ""), "is empty; is a variable of the shell not set?"),
    ],
)
@pytest.mark.bad_inputs("selections of render", "arguments")
def test_what_selects_nothing_is_an_error(
    layered: Repository, arguments: tuple[str, ...], told: str
) -> None:
    ran = layered.run("render", *arguments, code=1)
    assert told in ran.stderr
    assert ran.stdout == ""
    assert "\x1b" not in ran.stderr


def test_problems_and_warnings_are_those_of_validate(layered: Repository) -> None:
    layered.write("jobs/bad.toml", '[job_config.bad]\nlog_ulr = "x"\n')
    layered.write("jobs/worse.toml", "[job_config.a\n")
    ran, validated = layered.run("render", code=1), layered.run("validate", code=1)
    assert ran == validated
    assert "bad.toml:2" in ran.stderr
    assert "worse.toml:1" in ran.stderr


def test_an_empty_repository_renders_nothing(repository: Repository) -> None:
    repository.settings(SETTINGS)
    assert repository.done("render").stdout == ""
    assert repository.done("render", "--as", "rest").stdout == ""
    assert repository.done("render", "--as", "json").document["job_configs"] == []
    compile(repository.done("render", "--as", "sdk").stdout, "x", "exec")


def test_neither_state_nor_service_nor_secret_is_needed(layered: Repository) -> None:
    layered.write("majobctl.state.json", "broken")
    for format_ in ("toml", "sdk", "rest", "json"):
        assert layered.done("render", "--as", format_).stdout
    shown = layered.done("render", "one", "--as", "rest")
    assert "PUT /v1/{project_id}/training-job-configs/one HTTP/1.1\n" in shown.stdout
    assert "\nHost: modelarts.eu-de.otc.t-systems.com\n" in shown.stdout
    assert r'"spec_id": "(spec_id of \"modelarts.vm.gpu.p100\")"' in shown.stdout
    assert "`majobctl flavors` reads the service's list" in shown.stderr
    assert imported_by(layered, "render", "--origin") == set()
    assert imported_by(layered, "render", "--as", "rest", of=COSTLY) == set()


SECRETS: Mapping[str, dict[str, Any]] = {
    "alone": {"hyperparameters": {"key": "${env.SECRET_A}"}},
    "inside": {"hyperparameters": {"key": "a${env.SECRET_A}b'${env.SECRET_B}\\${var.v}$${x}"}},
    "a path": {"log_url": "obs://${env.SECRET_A}/${var.v}/"},
    "an item": {
        "inputs": None,
        "data_source": [
            {"type": "obs", "data_url": "obs://b/${env.SECRET_A}/"},
            {"type": "obs", "data_url": "/b/c/", "dataset_id": ""},
        ],
    },
    "a flavor": {"train_instance_type": "${env.FLAVOR}"},
    "described": {"job_description": "${env.SECRET_A}"},
}
NAMED: Mapping[str, tuple[dict[str, Any], str, str, Any]] = {
    "a label": ({"hyperparameters": {"key": "written-secret"}}, "key", "ONE_KEY", "written-secret"),
    "a key": ({"log_url": "/written-secret/b/"}, "log_url", "ONE_LOG_URL", "/written-secret/b/"),
    "a count": ({"train_instance_count": 3}, "train_instance_count", "ONE_TRAIN_INSTANCE_COUNT", 3),
    "both": (
        {"hyperparameters": {"key": "written-secret${env.SECRET_A}"}},
        "key",
        "ONE_KEY",
        "written-secretsecret-of-the-first",
    ),
    "sources": (
        {"inputs": None, "data_source": [{"type": "obs", "data_url": "/written-secret/b/"}]},
        "data_source",
        "ONE_DATA_SOURCE",
        [{"type": "obs", "data_url": "/written-secret/b/"}],
    ),
}
ENVIRONMENT = {
    "SECRET_A": "secret-of-the-first",
    "SECRET_B": "secret'of\"the\\second",
    "FLAVOR": "modelarts.vm.gpu.p100",
}


def sent(rest: FakeService) -> dict[str, bytes]:
    """The bodies since the last time, by name."""
    found = {it.path.rpartition("/")[2]: it.body for it in rest.asked("PUT")}
    rest.requests.clear()
    return found


def runs(script: str, **variables: str) -> str:
    """What a script prints, run with majobctl's own session and estimator."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-"],
        input=script.encode(),
        env=variables,
        capture_output=True,
        timeout=60,
    )
    assert (done.stderr, done.returncode) == (b"", 0)
    return done.stdout.decode()


@pytest.fixture
def secretive(on_rest: Repository, rest: FakeService) -> Repository:
    on_rest.settings(rest.settings() + '\n[variables]\nv = "w"\n')
    on_rest.environment.update(ENVIRONMENT, OS_PROJECT_ID=PROJECT, MAJOBCTL_ENDPOINT=rest.url)
    return on_rest


@pytest.mark.parametrize("case", SECRETS)
def test_a_script_reads_secrets_by_their_names_and_sends_what_apply_sends(
    secretive: Repository, rest: FakeService, case: str
) -> None:
    secretive.job("one", **SECRETS[case])
    for name in LISTS:
        secretive.done(name)
    shown = {
        it: secretive.done("render", "--as", it).stdout for it in ("toml", "rest", "json", "sdk")
    }
    for text in shown.values():
        assert "secret-of-the-first" not in text
        assert "the\\\\second" not in text
    for format_ in ("toml", "rest", "json"):
        assert "(sensitive)" in shown[format_] or case == "described"
    body = shown["rest"].rstrip().rpartition("\n\n")[2]  # not the address, whose port may have it
    assert "70" not in body or case != "a flavor"
    assert runs(shown["sdk"], **secretive.environment) == "one {'is_success': True}\n"
    by_script = sent(rest)
    secretive.apply("--refresh=none")
    assert by_script == sent(rest)


@pytest.mark.parametrize("case", NAMED)
def test_a_written_secret_comes_from_a_variable_named_after_its_place(
    secretive: Repository, rest: FakeService, case: str
) -> None:
    params, name, variable, value = NAMED[case]
    secretive.job("one", **params, sensitive=[name])
    shown = {
        it: secretive.done("render", "--as", it).stdout for it in ("toml", "rest", "json", "sdk")
    }
    assert not [it for it in shown.values() if "written-secret" in it]
    script = shown["sdk"]
    assert f"# Needed in the environment: {variable}\n" in script
    text = value if isinstance(value, str) else json.dumps(value)
    assert runs(script, **secretive.environment, **{variable: text}) == "one {'is_success': True}\n"
    by_script = sent(rest)
    secretive.apply("--refresh=none")
    assert by_script == sent(rest)


def test_two_matrix_members_have_variables_of_their_own(
    secretive: Repository, rest: FakeService
) -> None:
    grid = toml_of("g", {**JOB, "name": "g{n}", "matrix": {"n": [1, 2], "key": ["written-secret"]}})
    secretive.write("jobs/g.toml", grid + 'sensitive = ["key"]\nlog_url = "/b/${matrix.key}/"\n')
    script = secretive.done("render", "--as", "sdk").stdout
    needed = {f"G{n}_{it}": "written-secret" for n in (1, 2) for it in ("KEY", "LOG_URL")}
    assert f"# Needed in the environment: {', '.join(sorted(needed))}\n" in script
    needed |= {"G1_LOG_URL": "/b/written-secret/", "G2_LOG_URL": "/b/written-secret/"}
    runs(script, **secretive.environment, **needed)
    by_script = sent(rest)
    secretive.apply("--refresh=none")
    assert by_script == sent(rest)
    assert len(by_script) == 2


def test_the_script_calls_the_sdk_if_that_is_installed(repository: Repository) -> None:
    repository.settings(SETTINGS)
    repository.job("one", hyperparameters={"lr": 1e-5}, job_description="x", config_desc="y")
    script = repository.done("render", "--as", "sdk").stdout
    said = runs(script + "print(session.calls)", PYTHONPATH=str(STAND_IN)).splitlines()
    assert said[0] == "one {'is_success': True}"
    own = {key: value for key, value in JOB.items() if key != "inputs"}
    own |= {"hyperparameters": [{"label": "lr", "value": "1e-05"}], "job_description": "x"}
    assert ast.literal_eval(said[1]) == [
        ("one", own, {"inputs": JOB["inputs"], "config_desc": "y"})
    ]


def test_no_value_is_changed_in_the_log_of_a_ci_job(repository: Repository) -> None:
    hostile = {"##[group]x": "::warning::x", "\u3164\u202e": "\\##vso[x]", "é'\"": "::"}
    repository.settings(SETTINGS)
    repository.environment["GITHUB_ACTIONS"] = "true"
    repository.job("one", hyperparameters=hostile)
    table = tomli.loads(repository.done("render").stdout)["job_config"]["one"]
    assert table["hyperparameters"] == hostile
    script = repository.done("render", "--as", "sdk").stdout
    (calls,) = runs(script + "print(session.calls)", PYTHONPATH=str(STAND_IN)).splitlines()[1:]
    labels = ast.literal_eval(calls)[0][1]["hyperparameters"]
    assert {it["label"]: it["value"] for it in labels} == hostile


def test_long_names_are_sent_by_the_script_too(on_rest: Repository, rest: FakeService) -> None:
    name = "a-name-of-thirty-four-characters-x"
    on_rest.settings(rest.settings() + "\n[jobs]\nmax_name_length = 64\n")
    on_rest.job(name)
    script = on_rest.done("render", "--as", "sdk").stdout
    place = {"OS_PROJECT_ID": PROJECT, "MAJOBCTL_ENDPOINT": rest.url}
    assert runs(script, **on_rest.environment, **place) == f"{name} {{'is_success': True}}\n"


@st.composite
def repositories(draw: st.DrawFn) -> dict[str, str]:
    """Files whose values are spread over templates, variables, a matrix and defaults."""
    found = draw(st.dictionaries(names, known_params, min_size=1, max_size=3))
    variables: dict[str, str] = {}
    files = {}
    for number, (name, params) in enumerate(found.items()):
        tables: dict[str, dict[str, Any]] = {"own": {}, "template": {}}
        for key, value in params.items():
            if key == "hyperparameters":
                value = [{"label": it, "value": text} for it, text in value.items()]
            elif isinstance(value, str) and draw(st.booleans()):
                variables[variable := f"v{len(variables)}"] = value
                value = f"${{var.{variable}}}"
            tables[draw(st.sampled_from(["own", "template"]))][key] = value
        own = {"use": f"t{number}", **tables["own"]}
        if len(name) < 18 and draw(st.booleans()):
            own |= {"name": f"{name}-{{m}}", "matrix": {"m": [1, "b"]}}
        headers = {f"templates.t{number}": tables["template"], f"job_config.{name}": own}
        files[f"jobs/{number}.toml"] = "".join(
            f"[{header}]\n" + "".join(f"{it} = {toml_value(table[it])}\n" for it in table)
            for header, table in headers.items()
        )
    defaults = {"hyperparameters": draw(st.dictionaries(st.sampled_from("abc"), texts))}
    shared: dict[str, Mapping[str, Any]] = {"defaults": defaults, "variables": variables}
    for header, table in shared.items():
        lines = "".join(f"{it} = {toml_value(value)}\n" for it, value in table.items())
        files["majobctl.toml"] = files.get("majobctl.toml", "") + f"[{header}]\n{lines}"
    return files


def lists_of_the_emulator(rest: FakeService) -> None:
    rest.specs = [{"spec_id": it.spec_id, "spec_code": it.spec_code} for it in FLAVORS.values()]
    rest.engines = [
        {key: getattr(it, key) for key in ("engine_id", "engine_name", "engine_version")}
        for it in ENGINES.values()
    ]
    rest.models = [
        {"model_id": it.model_id, "model_name": it.model_name} for it in ALGORITHMS.values()
    ]


_NUMBERS = count()


@given(files=repositories())
@settings(max_examples=40)
def test_what_is_rendered_is_what_is_read_and_what_is_sent(
    on_rest: Repository, rest: FakeService, tmp_path: Path, files: dict[str, str]
) -> None:
    lists_of_the_emulator(rest)
    rest.before_put = lambda name: OK
    root = tmp_path / f"{next(_NUMBERS)}"
    write_files(root, {**files, "majobctl.toml": rest.settings() + files["majobctl.toml"]})
    here = Repository(root, on_rest.monkeypatch, on_rest.capsys, on_rest.environment)

    assume(here.run("validate").code == 0)  # names may clash
    write_files(root / "again", {"jobs/x.toml": here.done("render", "--origin").stdout})
    read = load_config(root / "again").job_configs
    assert read == load_config(root).job_configs

    for name in LISTS:
        here.done(name)
    shown = here.done("render", "--as", "rest").stdout
    script = here.done("render", "--as", "sdk").stdout
    rest.requests.clear()
    here.apply("--refresh=none")
    received = {it.path: it for it in rest.asked("PUT")}
    for message in shown.split("\n###\n\n"):
        head, _, body = message.partition("\n\n")
        start, *lines = (it for it in head.split("\n") if not it.startswith("#"))
        request = received.pop(start.split()[1])
        assert start == f"PUT {request.path} HTTP/1.1"
        assert body.removesuffix("\n").encode() == request.body
        for line in lines:
            key, _, value = line.partition(": ")
            assert request.headers[key.lower()] == value
    assert not received

    bodies = sent(rest)
    on_rest.monkeypatch.setenv("OS_PROJECT_ID", PROJECT)
    on_rest.monkeypatch.setenv("MAJOBCTL_ENDPOINT", rest.url)
    exec(compile(script, "script.py", "exec"), {})
    assert sent(rest) == bodies


def test_names_that_are_alike_have_variables_of_their_own(secretive: Repository) -> None:
    for name in ("a-b", "a_b"):
        parameters = {"p-q": "written-secret", "p_q": "another-secret"}
        secretive.job(name, hyperparameters=parameters, sensitive=[*parameters])
    script = secretive.done("render", "--as", "sdk").stdout
    needed = ["A_B_P_Q", *(f"A_B_P_Q_{number}" for number in (2, 3, 4))]
    assert f"# Needed in the environment: {', '.join(needed)}\n" in script


def test_what_is_shown_in_place_of_a_secret_is_never_taken_for_one(secretive: Repository) -> None:
    """``render > jobs/one.toml`` would otherwise send it."""
    secretive.job("one", **SECRETS["alone"])
    shown = secretive.done("render").stdout
    secretive.write("jobs/one.toml", shown)
    ran = secretive.run("validate", code=1)
    assert '"(sensitive)" is what majobctl shows in place of a secret; write "${env.NAME}"' in (
        ran.stderr
    )
