"""The values of variables: where they come from, which one wins, and what is wrong with one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError, MajobctlError
from majobctl.repository.config import load_config
from majobctl.repository.settings.settings import read_settings
from majobctl.repository.settings.variables import (
    PREFIX,
    Overrides,
    Variable,
    unknown_variable,
    with_overrides,
)
from tests.config_files import PARAMS, SETTINGS, loaded, problems_of, write_files

DECLARED = {"bucket": Variable("ml", "majobctl.toml", 4), "lr": Variable("0.1", "majobctl.toml", 5)}


def chosen(root: Path, text: str, overrides: Overrides) -> Mapping[str, Variable]:
    """The variables of settings with these lines below [provider], which has two."""
    settings, problems = read_settings(
        write_files(root, {"majobctl.toml": SETTINGS + text}), overrides
    )
    assert not problems
    return settings.variables


def refused(overrides: Overrides) -> str:
    with pytest.raises(MajobctlError) as raised:
        with_overrides(DECLARED, overrides)
    assert str(raised.value).isprintable()
    return str(raised.value)


def test_each_type_has_the_text_that_it_is_written_with(tmp_path: Path) -> None:
    text = '[variables]\na = "x y"\nb = 1_000\nc = 1e-5\nd = 0.10\ne = true\nf = ""\ng-h = -inf\n'
    found = chosen(tmp_path, text, Overrides())
    assert {name: variable.text for name, variable in found.items()} == {
        "a": "x y",
        "b": "1000",
        "c": "1e-5",
        "d": "0.10",
        "e": "true",
        "f": "",
        "g-h": "-inf",
    }
    assert found["c"].origin == "majobctl.toml:6"


_LEVELS = ("settings", "environment", "process", "file", "option")


@given(st.dictionaries(st.sampled_from(_LEVELS), st.sampled_from(["1", "2"]), min_size=1))
def test_the_last_level_that_says_something_wins(said: dict[str, str]) -> None:
    texts = {level: f"{level}-{number}" for level, number in said.items()}
    tables = {"settings": "[variables]\n", "environment": "[environments.prod.variables]\n"}
    # Either of both declares it; and one more of each keeps the tables there.
    if not texts.keys() & tables.keys():
        texts["settings"] = "settings"
    lines = "".join(
        f"{head}other-{level} = 1\n" + (f'name = "{texts[level]}"\n' if level in texts else "")
        for level, head in tables.items()
    )
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        root = Path(folder)
        (root / "vars.toml").write_text(f'name = "{texts.get("file")}"\n')
        if "process" in texts:
            patch.setenv(f"{PREFIX}name", texts["process"])
        overrides = Overrides(
            "prod",
            (f"name={texts['option']}",) if "option" in texts else (),
            (str(root / "vars.toml"),) if "file" in texts else (),
        )
        found = chosen(root, lines, overrides)["name"]
    winner = [level for level in _LEVELS if level in texts][-1]
    assert found.text == texts[winner]
    assert {
        "settings": "majobctl.toml:",
        "environment": "majobctl.toml:",
        "process": "MAJOBCTL_VAR_name",
        "file": f"{folder}/vars.toml:1",
        "option": "--var",
    }[winner] in found.origin


def test_the_last_of_several_options_and_files_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('bucket = "a"\nlr = 1\n')
    second.write_text('\nbucket = "b"\n')
    found = with_overrides(DECLARED, Overrides(files=(str(first), str(second))))
    assert found["bucket"] == Variable("b", str(second), 2)
    assert found["lr"] == Variable("1", str(first), 2)
    found = with_overrides(DECLARED, Overrides(values=("bucket=c", "bucket=d=e")))
    assert found == {"bucket": Variable("d=e", "--var"), "lr": DECLARED["lr"]}


def test_a_file_is_read_as_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vars.toml").write_text("lr = 0.10\n")
    monkeypatch.chdir(tmp_path)
    found = with_overrides(DECLARED, Overrides(files=("vars.toml",)))
    assert found["lr"] == Variable("0.10", "vars.toml", 1)


def test_a_variable_of_the_process_that_nobody_declares_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(f"{PREFIX}bukcet", "x")
    monkeypatch.setenv(f"{PREFIX}LR", "${broken")
    assert with_overrides(DECLARED, Overrides()) == DECLARED


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("bucket", "--var bucket: write --var NAME=VALUE"),
        ("\x1b[2J", "--var \\x1b[2J: write --var NAME=VALUE"),
        ("bukcet=x", '--var: no variable "bukcet"; did you mean "bucket"?'),
        ("zone=x", '--var: no variable "zone"; declare it in [variables] of the settings'),
        ("=x", '--var: no variable ""; declare it in [variables] of the settings'),
        ("bucket=${env.HOME}", "--var: bucket: a variable's value cannot have a reference"),
        ("bucket=a\nb", "--var: bucket must not have a control character"),
        ("bucket=\udc80", "--var: bucket must be Unicode text"),
    ],
)
def test_a_wrong_option_is_told(option: str, told: str) -> None:
    assert refused(Overrides(values=(option,))).startswith(told)


@pytest.mark.parametrize("empty", ["", "  "])
def test_an_empty_value_counts_only_if_the_settings_declare_it_empty(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = 'bucket is empty; give it a value, or declare it as "" in the settings'
    assert refused(Overrides(values=(f"bucket={empty}",))) == f"--var: {problem}"
    monkeypatch.setenv(f"{PREFIX}bucket", empty)
    assert refused(Overrides()) == f"{PREFIX}bucket: {problem}"
    text = '[variables]\nbucket = ""\n'
    values = (f"bucket={empty}",)
    assert chosen(tmp_path, text, Overrides(values=values))["bucket"].text == empty
    text = '[variables]\nbucket = "ml"\n[environments.prod.variables]\nbucket = ""\n'
    assert chosen(tmp_path, text, Overrides("prod"))["bucket"].origin == f"{PREFIX}bucket"
    # What is written in a file is meant.
    monkeypatch.delenv(f"{PREFIX}bucket")
    (tmp_path / "vars.toml").write_text('bucket = ""\n')
    files = (str(tmp_path / "vars.toml"),)
    assert chosen(tmp_path, text, Overrides(files=files))["bucket"].text == ""


def test_a_wrong_value_of_the_process_is_told_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}bucket", "hidden-${x}")
    told = refused(Overrides())
    assert told.startswith("MAJOBCTL_VAR_bucket: bucket: a variable's value cannot have a refer")
    assert "hidden" not in told
    os.environb[b"MAJOBCTL_VAR_bucket"] = b"\xff"
    assert refused(Overrides()) == "MAJOBCTL_VAR_bucket: bucket must be Unicode text"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("bukcet = 1\n", ['1: no variable "bukcet"; did you mean "bucket"?']),
        (
            "lr = [1]\n\nzone = 1\nbucket = '${env.X}'\n",
            [
                "1: lr must be a string, an integer, a float or a boolean",
                '3: no variable "zone"; declare it in [variables] of the settings',
                "4: bucket: a variable's value cannot have a reference; write it in the job config",
            ],
        ),
        ("lr = \n", ["1:6: not valid TOML: the value is missing"]),
        ("token = 'x'\n", ['1: "token" looks like a credential, and credentials do not belong in']),
    ],
)
def test_a_wrong_file_is_told_with_every_line(
    content: str, told: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("vars.toml").write_text(content)
    with pytest.raises(ConfigError) as raised:
        with_overrides(DECLARED, Overrides(files=("vars.toml",)))
    found = [str(problem) for problem in raised.value.problems]
    assert len(found) >= len(told)
    for line, wanted in zip(found, told, strict=False):
        assert line.startswith(f"vars.toml:{wanted}")


@pytest.mark.parametrize(
    ("name", "reason"), [("none.toml", "No such file"), (".", "Is a directory")]
)
def test_a_file_that_cannot_be_read_is_told(
    name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(Overrides(files=(name,))).startswith(f"{name}: cannot be read: {reason}")


def test_a_name_that_nobody_declares_is_told_with_the_nearest() -> None:
    assert unknown_variable("bukcet", ["bucket", "lr"]).endswith('did you mean "bucket"?')
    assert unknown_variable("x", []).endswith("declare it in [variables] of the settings")


def test_variables_stand_in_every_string_of_job_configs_templates_and_defaults(
    tmp_path: Path,
) -> None:
    settings = (
        f'{SETTINGS}[variables]\nbucket = "ml-dev"\nlr = 1e-5\n'
        '[defaults]\nlog_url = "/${var.bucket}/log/"\nhyperparameters = { a = "${var.lr}" }\n'
    )
    job = (
        '[templates.base]\noutput_path = "obs://${var.bucket}/out/"\nmodel_name = "m"\n'
        'config_desc = "$${var.lr}"\n'
        '[job_config.a]\nuse = "base"\ntrain_instance_type = "x-${var.lr}"\n'
        "train_instance_count = 1\n"
        'data_source = [{ type = "obs", data_url = "/${var.bucket}/${var.bucket}/" }]\n'
        'hyperparameters = { b = "${var.lr}${var.lr}" }\n'
    )
    config = loaded(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": job}).job_configs["a"]
    assert config.params == {
        "train_instance_type": "x-1e-5",
        "train_instance_count": 1,
        "output_path": "/ml-dev/out/",
        "model_name": "m",
        "hyperparameters": {"a": "1e-5", "b": "1e-51e-5"},
        "log_url": "/ml-dev/log/",
        "config_desc": "${var.lr}",
        "data_source": [{"type": "obs", "data_url": "/ml-dev/ml-dev/"}],
    }
    assert not config.sensitive


def test_a_broken_variable_is_told_once_and_has_no_others_in_its_train(tmp_path: Path) -> None:
    settings = f"{SETTINGS}[variables]\nwhen = 1979-05-27\n"
    job = f'[job_config.a]\n{PARAMS}config_desc = "since ${{var.when}}"\n'
    assert problems_of(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": job}) == [
        "majobctl.toml:4: variables: when must be a string, an integer, a float or a boolean"
    ]


# --- types: a reference alone has the variable's, where an integer is wanted

TYPED = f"[job_config.a]\n{PARAMS}".replace(
    "train_instance_count = 1", 'train_instance_count = "${var.nodes}"'
)
COUNTS = {
    "4": 4,
    "1_000": 1000,
    "0x10": 16,
    "4.0": "must be an integer, not a float",
    "1e1": "must be an integer, not a float",
    "true": "must be an integer, not a boolean",
    '"4"': "must be an integer, not a string",
    '"four"': "must be an integer, not a string",
    "0": "must be at least 1, not 0",
    "-4": "must be at least 1, not -4",
    "2147483648": "must be less than 2147483648, not 2147483648",
}


def count_of(root: Path, settings: str, overrides: Overrides, job: str = TYPED) -> object:
    """The number of nodes, or what is wrong with it."""
    write_files(root, {"majobctl.toml": SETTINGS + settings, "jobs/a.toml": job})
    try:
        found = load_config(root, overrides).job_configs["a"].params["train_instance_count"]
    except ConfigError as error:
        (problem,) = error.problems
        assert str(problem).startswith("jobs/a.toml:3: job_config.a: train_instance_count ")
        message = problem.message.removeprefix("train_instance_count ")
        if job == TYPED:
            # The line has the reference alone: the wrong value is somewhere else.
            assert message.endswith(' (from "${var.nodes}")')
        return message.partition(" (from ")[0]
    assert type(found) is int
    return found


@pytest.mark.parametrize("value", COUNTS)
@pytest.mark.parametrize("level", ["settings", "environment", "file"])
def test_a_reference_alone_has_the_type_that_is_written(
    value: str, level: str, tmp_path: Path
) -> None:
    first = value if level == "settings" else 7
    settings = f"[variables]\nnodes = {first}\n[environments.prod]\n"
    settings += f"variables.nodes = {value}\n" if level == "environment" else ""
    write_files(tmp_path, {"vars.toml": f"nodes = {value}\n"})
    files = (str(tmp_path / "vars.toml"),) if level == "file" else ()
    overrides = Overrides("prod" if level == "environment" else "", files=files)
    assert count_of(tmp_path, settings, overrides) == COUNTS[value]


@pytest.mark.parametrize("declared", ["1", '""', '"x"', "true", "0.5"])
@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("4", 4),
        ("+4", 4),
        ("007", 7),
        ("0", "must be at least 1, not 0"),
        ("-4", "must be at least 1, not -4"),
        ("9" * 18, f"must be less than 2147483648, not {'9' * 18}"),
        ("9" * 5000, "must be an integer, not a string"),
        ("4.0", "must be an integer, not a string"),
        ("1_000", "must be an integer, not a string"),
        ("٤", "must be an integer, not a string"),
        (" 4", "must be an integer, not a string"),
        ("four", "must be an integer, not a string"),
    ],
    ids=lambda it: str(it)[:9],
)
@pytest.mark.parametrize("level", ["option", "process"])
def test_a_text_from_outside_becomes_an_integer_where_one_is_wanted(
    declared: str, text: str, count: object, level: str, tmp_path: Path, monkeypatch: Any
) -> None:
    settings = f"[variables]\nnodes = {declared}\n"
    if level == "process":
        monkeypatch.setenv(f"{PREFIX}nodes", text)
    values = (f"nodes={text}",) if level == "option" else ()
    assert count_of(tmp_path, settings, Overrides(values=values)) == count


@pytest.mark.parametrize(
    ("written", "count"),
    [
        ("${var.nodes}", 2),
        ("${var.none}", ""),
        ("1${var.nodes}", "must be an integer, not a string"),
        ("${var.nodes}${var.none}", "must be an integer, not a string"),
        (" ${var.nodes}", "must be an integer, not a string"),
        ("$${var.nodes}", "must be an integer, not a string"),
        ("${env.NODES}", "must be an integer, not a string"),
    ],
)
def test_within_a_longer_string_a_variable_is_text(
    written: str, count: object, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("NODES", "2")
    settings = '[variables]\nnodes = 2\nnone = ""\n'
    job = TYPED.replace("${var.nodes}", written)
    if written == "${var.none}":
        count = "must not be empty"
    assert count_of(tmp_path, settings, Overrides(), job) == count


@pytest.mark.parametrize("place", ["defaults", "template", "matrix", "matrix value"])
def test_a_reference_has_its_type_in_every_table(place: str, tmp_path: Path) -> None:
    line = 'train_instance_count = "${var.nodes}"\n'
    job = TYPED if place == "matrix" else TYPED.replace(line, "")
    settings = f"[variables]\nnodes = 3\n[defaults]\n{line if place == 'defaults' else ''}"
    job += f"use = 't'\n[templates.t]\n{line}" if place == "template" else ""
    if place.startswith("matrix"):
        job += "name = 'a'\nmatrix = { x = [1], nodes = [3] }\n"
    if place == "matrix value":
        job += line.replace("var.", "matrix.")
    assert count_of(tmp_path, settings, Overrides(), job) == 3


def test_text_is_text_where_text_is_wanted(tmp_path: Path) -> None:
    settings = "[variables]\nn = 0x10\nf = 1e-5\nb = true\n"
    labels = ", ".join(f'{it} = "${{var.{it}}}"' for it in "nfb")
    job = f'[job_config.a]\n{PARAMS}config_desc = "${{var.n}}"\nhyperparameters = {{ {labels} }}\n'
    params = loaded(tmp_path, {"majobctl.toml": SETTINGS + settings, "jobs/a.toml": job})
    found = params.job_configs["a"].params
    assert (type(found["config_desc"]), found["config_desc"]) == (str, "16")
    assert found["hyperparameters"] == {"b": "true", "f": "1e-5", "n": "16"}
