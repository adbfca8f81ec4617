"""Templates: below a job config, above the defaults, in whichever job file they stand."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from majobctl.job_config.job_config import JobConfig
from majobctl.repository.config import compare_policies, valid_job_configs
from tests.config_files import PARAMS, SETTINGS, loaded, problems_of, write_files
from tests.strategies import hyperparameters, obs_directories, toml_value, valid_params

JOB = f'[job_config.sentiment]\nuse = "base"\n{PARAMS}'


def one(root: Path, job: str, template: str, defaults: str = "") -> JobConfig:
    """The one job config with these lines, over this template, over these defaults."""
    files = {
        "majobctl.toml": f"{SETTINGS}[defaults]\n{defaults}",
        "jobs/a.toml": f"{JOB}{job}",
        "jobs/z.toml": f"[templates.base]\n{template}",
    }
    return loaded(root, files).job_configs["sentiment"]


def test_a_job_configs_own_keys_win_and_the_defaults_are_below(tmp_path: Path) -> None:
    config = one(
        tmp_path,
        'config_desc = "own"\n',
        'config_desc = "template"\nlog_url = "/ml/template/"\n',
        'log_url = "/ml/defaults/"\nuser_image_url = ""\n',
    )
    assert config.params["config_desc"] == "own"
    assert config.params["log_url"] == "/ml/template/"
    assert config.source is not None
    assert (config.source.file, config.source.line) == ("jobs/a.toml", 1)


@pytest.mark.parametrize("blank", ['log_url = ""\n', "log_url = ''\n"])
def test_a_blank_value_takes_away_what_is_below(blank: str, tmp_path: Path) -> None:
    below = 'log_url = "/ml/log/"\n'
    assert "log_url" not in one(tmp_path, blank, below).params
    assert "log_url" not in one(tmp_path, "", blank, below).params
    assert one(tmp_path, "", below, blank).params["log_url"] == "/ml/log/"


def test_hyperparameters_merge_by_label_in_whichever_form(tmp_path: Path) -> None:
    config = one(
        tmp_path,
        'hyperparameters = { lr = 0.1, own = "o" }\n',
        'hyperparameters = [{ label = "lr", value = 5 }, { label = "t", value = 1 }]\n',
        "hyperparameters = { t = 7, d = 8 }\n",
    )
    assert config.params["hyperparameters"] == {"d": "8", "lr": "0.1", "own": "o", "t": "1"}


def test_a_template_that_nobody_uses_is_checked_and_adds_nothing(tmp_path: Path) -> None:
    good = '[templates.base]\nlog_url = "/ml/log/"\n'
    assert not loaded(tmp_path, {"jobs/a.toml": good}).job_configs
    bad = '[templates.base]\nlog_url = "log"\nboot_file = "/ml/a.py"\n'
    assert problems_of(tmp_path, {"jobs/a.toml": bad}) == [
        'jobs/a.toml:2: templates.base: log_url must be an OBS path such as "/bucket/dir/", not'
        ' "log"'
    ]


def test_a_template_has_one_place(tmp_path: Path) -> None:
    files = {"jobs/a.toml": "\n[templates.base]\n", "jobs/b.toml": "[templates.base]\n"}
    assert problems_of(tmp_path, files) == [
        "jobs/b.toml:1: templates.base: this template's name is already used at jobs/a.toml:2"
    ]


def test_what_is_wrong_in_a_template_is_reported_once_however_many_use_it(tmp_path: Path) -> None:
    template = (
        '[templates.base]\nlog_url = "log"\nhyperparameters = [\n{ label = "a", value = 1 },\n'
        '{ label = "b", value = [] },\n]\n'
    )
    jobs = "".join(f'[job_config.j{index}]\nuse = "base"\n{PARAMS}' for index in range(5))
    files = {"jobs/a.toml": jobs, "jobs/z.toml": template}
    assert problems_of(tmp_path, files) == [
        'jobs/z.toml:2: templates.base: log_url must be an OBS path such as "/bucket/dir/", not'
        ' "log"',
        'jobs/z.toml:5: templates.base: hyperparameter "b" must be a string, an integer, a float or'
        " a boolean, not an array; write it in quotes to send it as text; in a job file, matrix"
        " makes a job config of each value",
    ]


def test_what_a_template_breaks_with_a_job_config_is_reported_there_with_both_places(
    tmp_path: Path,
) -> None:
    files = {
        "jobs/a.toml": f'{JOB}boot_file = "/other/a.py"\n'.replace("model_name", "config_desc"),
        "jobs/z.toml": '[templates.base]\nframework_type = "f"\nframework_version = "v"\n'
        'code_dir = "/ml/src/"\n',
    }
    assert problems_of(tmp_path, files) == [
        'jobs/a.toml:8: job_config.sentiment: boot_file must be inside code_dir "/ml/src/"'
        ' (code_dir comes from jobs/z.toml:4; `code_dir = ""` here leaves it out)'
    ]


def test_a_wrong_name_is_reported_with_all_else_that_is_wrong(tmp_path: Path) -> None:
    files = {
        "jobs/a.toml": '[job_config.a]\nuse = "bsae"\nlog_url = "x"\nsensitive = ["lr"]\n',
        "jobs/b.toml": f"[job_config.a]\n{PARAMS}",
        "jobs/z.toml": "[templates.base]\n",
    }
    assert problems_of(tmp_path, files) == [
        'jobs/a.toml:2: job_config.a: use: no template "bsae"; did you mean "base"?',
        'jobs/a.toml:3: job_config.a: log_url must be an OBS path such as "/bucket/dir/", not "x"',
        "jobs/b.toml:1: job_config.a: this name is already used at jobs/a.toml:1",
    ]


def test_directives_of_a_template_hold_for_those_that_use_it(tmp_path: Path) -> None:
    template = 'sensitive = ["log_url", "lr"]\nignore_changes = ["inputs"]\nprevent_delete = true\n'
    config = one(
        tmp_path,
        'log_url = "/ml/x/"\nsensitive = ["config_desc"]\nconfig_desc = "c"\n'
        'hyperparameters = { lr = "l", key = "k" }\n',
        template,
        'sensitive = ["key"]\nprevent_delete = false\nignore_changes = ["config_desc"]\n',
    )
    assert set(config.sensitive) == {
        ("log_url",),
        ("config_desc",),
        ("hyperparameters", "lr"),
        ("hyperparameters", "key"),
    }
    assert config.prevent_delete
    _, watches, _, unread = compare_policies(tmp_path)
    assert watches.of("sentiment").ignored == {("inputs",), ("config_desc",)}
    assert watches.of("sentiment").secret_names == {"log_url", "config_desc", "lr", "key"}
    assert not unread
    assert not one(tmp_path, "prevent_delete = false\n", template).prevent_delete


def test_a_value_of_the_environment_in_a_template_is_sensitive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN", "hidden-word")
    config = one(
        tmp_path,
        "",
        'config_desc = "${env.HIDDEN}"\nhyperparameters = { a = "x-${env.HIDDEN}", b = 1 }\n',
    )
    assert config.sensitive == {("config_desc",): "${env.HIDDEN}", ("hyperparameters", "a"): None}
    own = one(tmp_path, 'config_desc = "plain"\n', 'config_desc = "${env.HIDDEN}"\n')
    assert not own.sensitive


def test_a_hidden_value_of_a_template_is_in_no_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN", "hidden-word")
    files = {
        "majobctl.toml": f'{SETTINGS}[defaults]\ndataset_id = "x"\nlog_url = "${{env.HIDDEN}}"\n',
        "jobs/a.toml": f'{JOB}matrix = {{ lr = [1, 2] }}\nname = "x-{{lr}}"\n'
        + 'code_dir = "/${env.HIDDEN}/"\nboot_file = "/x/y.py"\n',
        "jobs/z.toml": '[templates.base]\noutput_path = "${env.HIDDEN}"\n'
        'sensitive = ["user_command"]\n'
        'user_command = "hidden-word"\ndata_source = [{ type = "${env.HIDDEN}" }]\n',
    }
    problems = problems_of(tmp_path, files)
    assert len(problems) > 5
    assert not [line for line in problems if "hidden-word" in line]
    assert [line for line in problems if "(sensitive)" in line]


def test_what_is_watched_is_known_though_the_template_is_not(tmp_path: Path) -> None:
    job = f'[job_config.a]\n{PARAMS}use = "bsae"\nsensitive = ["lr"]\nignore_changes = ["inputs"]\n'
    sweep = f'[job_config.b]\n{PARAMS}matrix = {{ lr = 1 }}\nname = "x-{{lr}}"\n'
    write_files(tmp_path, {"jobs/a.toml": job + sweep})
    _, watches, _, unread = compare_policies(tmp_path)
    assert watches.of("a").secret_names == {"lr"}
    assert watches.of("a").ignored == {("inputs",)}
    assert [str(problem) for problem in unread] == [
        'jobs/a.toml:7: job_config.a: use: no template "bsae"; write [templates.bsae] in a job'
        " file",
        'jobs/a.toml:16: job_config.b: matrix: "lr" must be an array of values, not an integer',
    ]
    assert not valid_job_configs(tmp_path)


def test_a_template_may_be_used_by_a_matrix(tmp_path: Path) -> None:
    text = (
        '[templates.base]\nconfig_desc = "lr ${matrix.lr}"\nhyperparameters = { lr = 7, z = 8 }\n'
        f'{JOB}matrix = {{ lr = [1, 2] }}\nname = "x-{{lr}}"\n'
    )
    found = loaded(tmp_path, {"jobs/a.toml": text}).job_configs
    assert [config.params["config_desc"] for config in found.values()] == ["lr 1", "lr 2"]
    assert found["x-2"].params["hyperparameters"] == {"lr": "2", "z": "8"}


_parts = st.fixed_dictionaries(
    {},
    optional={
        "hyperparameters": hyperparameters,
        "log_url": obs_directories | st.just(""),
        "config_desc": st.sampled_from(["", "a", "b"]),
        "train_instance_count": st.integers(1, 9),
    },
)


@given(valid_params, _parts, _parts)
def test_a_template_is_its_keys_written_into_each_job_config(
    own: dict[str, Any], template: dict[str, Any], defaults: dict[str, Any]
) -> None:
    # An empty array takes away the labels below it, which a table with labels cannot say.
    assume([] not in (own.get("hyperparameters"), template.get("hyperparameters")))
    labelled = [
        labels if isinstance(labels, dict) else {item["label"]: item["value"] for item in labels}
        for labels in (part.get("hyperparameters", {}) for part in (template, own))
    ]
    by_hand = {**template, **own, "hyperparameters": {**labelled[0], **labelled[1]}}
    job = _lines({"use": "base", **own})
    with TemporaryDirectory() as folder:
        files = {
            "majobctl.toml": f"{SETTINGS}[defaults]\n{_lines(defaults)}",
            "jobs/a.toml": f"[job_config.used]\n{job}[templates.base]\n{_lines(template)}"
            f"[job_config.by-hand]\n{_lines(by_hand)}",
        }
        found = loaded(Path(folder), files).job_configs
    assert found["used"].params == found["by-hand"].params


def _lines(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())
