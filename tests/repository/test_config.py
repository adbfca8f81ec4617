"""Config repositories: job files found, merged with the defaults, and every problem in one run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig
from majobctl.repository.config import Config, load_config
from majobctl.repository.jobs.layers import merge
from tests.config_files import JOB, PARAMS, SETTINGS, loaded, problems_of, write_files
from tests.growth import check_growth
from tests.strategies import (
    invalid_params,
    names,
    plain_values,
    toml_of,
    toml_value,
    valid_params,
    valid_tables,
)

CODE = (
    'train_instance_type = "modelarts.vm.gpu.p100"\n'
    "train_instance_count = 1\n"
    'output_path = "/ml/output/"\n'
)


def params_of(root: Path, job: str, defaults: str = "", settings: str = SETTINGS) -> dict[str, Any]:
    """The params of the one job config with these keys and these defaults."""
    text = f"{settings}[defaults]\n{defaults}"
    config = loaded(root, {"majobctl.toml": text, "jobs/a.toml": f"[job_config.a]\n{job}"})
    return dict(config.job_configs["a"].params)


def conflicts(root: Path, job: str, defaults: str = "") -> list[str]:
    """The problems of such a job config; the defaults begin in line 4 of the settings."""
    text = f"{SETTINGS}[defaults]\n{defaults}"
    return problems_of(root, {"majobctl.toml": text, "jobs/a.toml": f"[job_config.a]\n{job}"})


def warnings_of(config: Config) -> list[str]:
    return [str(warning) for warning in config.warnings]


def test_every_key_reaches_the_job_config_in_its_normal_form(tmp_path: Path) -> None:
    job = (
        CODE
        + """\
code_dir = "obs://ml/src/"
boot_file = "/ml/src/train.py"
framework_type = "PyTorch"
framework_version = "PyTorch-1.0.0-python3.6"
user_image_url = "registry.example/ml:1.0"
user_command = "bash run.sh"
log_url = "obs://ml/log/"
job_description = "nightly"
config_desc = "Grüße ☃"
data_source = [{ type = "obs", data_url = "obs://ml/a/" }, { data_url = "/ml/b/", type = "obs" }]
sensitive = ["user_command", "lr"]

[job_config.a.hyperparameters]
small = 1e-5
long = 1_000.5
tenth = 0.10
yes = true
endless = +inf
hex = 0xff
lr = "0.10"
most = 9223372036854775807
"""
    )
    assert params_of(tmp_path, job) == {
        "train_instance_type": "modelarts.vm.gpu.p100",
        "train_instance_count": 1,
        "output_path": "/ml/output/",
        "code_dir": "/ml/src/",
        "boot_file": "/ml/src/train.py",
        "framework_type": "PyTorch",
        "framework_version": "PyTorch-1.0.0-python3.6",
        "user_image_url": "registry.example/ml:1.0",
        "user_command": "bash run.sh",
        "hyperparameters": {
            "endless": "+inf",
            "hex": "255",
            "long": "1000.5",
            "lr": "0.10",
            "most": "9223372036854775807",
            "small": "1e-5",
            "tenth": "0.10",
            "yes": "true",
        },
        "log_url": "/ml/log/",
        "config_desc": "Grüße ☃",
        "data_source": [
            {"type": "obs", "data_url": "/ml/a/"},
            {"type": "obs", "data_url": "/ml/b/"},
        ],
    }


def test_a_job_config_knows_its_file_and_the_line_of_its_table(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"jobs/deep/er/a.toml": "\n\n" + JOB})
    source = config.job_configs["sentiment"].source
    assert source is not None
    assert (source.file, source.line) == ("jobs/deep/er/a.toml", 3)


def test_job_configs_are_in_the_order_of_their_names(tmp_path: Path) -> None:
    files = {
        "jobs/a.toml": f"[job_config.z]\n{PARAMS}[job_config.B]\n{PARAMS}",
        "jobs/b.toml": f"[job_config.a]\n{PARAMS}",
    }
    assert list(loaded(tmp_path, files).job_configs) == ["B", "a", "z"]


def test_no_job_config_at_all_is_a_config(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"jobs/a.toml": "# later\n"})
    assert config.job_configs == {}
    assert config.warnings == ()


# Defaults


_LR = "hyperparameters = { lr = 0.1, seed = 7 }\n"
_ARRAY = 'hyperparameters = [{ label = "lr", value = 0.1 }, { label = "seed", value = 7 }]\n'
_OWN_LR = "hyperparameters = { lr = 0.2, epochs = 3 }\n"
_OWN_ARRAY = 'hyperparameters = [{ label = "lr", value = 0.2 }, { label = "epochs", value = 3 }]\n'
_MERGED = {"epochs": "3", "lr": "0.2", "seed": "7"}
_BELOW = {"lr": "0.1", "seed": "7"}


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        ('log_url = "/own/"\n', 'log_url = "/d/"\n', {"log_url": "/own/"}),
        ('log_url = "/own/"\n', 'config_desc = "d"\n', {"log_url": "/own/", "config_desc": "d"}),
        (_OWN_LR, _LR, {"hyperparameters": _MERGED}),
        (_OWN_LR, _ARRAY, {"hyperparameters": _MERGED}),
        (_OWN_ARRAY, _LR, {"hyperparameters": _MERGED}),
        (_OWN_ARRAY, _ARRAY, {"hyperparameters": _MERGED}),
        ("", _LR, {"hyperparameters": _BELOW}),
        ("hyperparameters = {}\n", _LR, {"hyperparameters": _BELOW}),
        ("hyperparameters = []\n", _LR, {}),
        ("hyperparameters = []\n", _ARRAY, {}),
        ('hyperparameters = ""\n', _LR, {}),
        ('log_url = ""\n', 'log_url = "/d/"\n', {}),
        ('config_desc = ""\n', 'config_desc = "d"\n', {}),
        ('job_description = ""\n', 'job_description = "d"\n', {}),
    ],
)
def test_own_keys_win_over_defaults_labels_merge_and_a_blank_value_switches_a_default_off(
    own: str, defaults: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    params = params_of(tmp_path, PARAMS + own, defaults)
    assert params == {**params_of(tmp_path, PARAMS), **expected}


def test_a_blank_default_is_no_default(tmp_path: Path) -> None:
    reported = conflicts(tmp_path, PARAMS.replace("output_path", "log_url"), 'output_path = ""\n')
    assert reported == ["jobs/a.toml:1: job_config.a: output_path is missing"]


def test_defaults_may_hold_what_is_required(tmp_path: Path) -> None:
    assert params_of(tmp_path, "", PARAMS) == params_of(tmp_path, PARAMS)


@pytest.mark.parametrize(
    ("own", "defaults", "reported"),
    [
        (
            'dataset_id = "d"\ndataset_version_id = "v"\n',
            'log_url = "/d/"\ninputs = "/d/"\n',
            [
                "6: job_config.a: dataset_id cannot be used together with inputs; keep one of them"
                ' (inputs comes from majobctl.toml:5; `inputs = ""` here leaves it out)',
                "7: job_config.a: dataset_version_id cannot be used together with inputs; keep one"
                ' of them (inputs comes from majobctl.toml:5; `inputs = ""` here leaves it out)',
            ],
        ),
        (
            'inputs = "/own/"\n',
            'dataset_id = "d"\ndataset_version_id = "v"\n',
            [
                "6: job_config.a: dataset_id cannot be used together with inputs; keep one of them"
                ' (dataset_id comes from majobctl.toml:4; `dataset_id = ""` here leaves it out)',
                "6: job_config.a: dataset_version_id cannot be used together with inputs; keep one"
                " of them (dataset_version_id comes from majobctl.toml:5; `dataset_version_id ="
                ' ""` here leaves it out)',
            ],
        ),
        (
            "",
            'inputs = "/d/"\ndata_source = [{ type = "obs", data_url = "/b/" }]\n',
            [
                "1: job_config.a: data_source cannot be used together with inputs; keep one of"
                " them (data_source comes from majobctl.toml:5 and inputs comes from"
                ' majobctl.toml:4; `data_source = ""` here leaves it out)'
            ],
        ),
        (
            "",
            'user_command = "bash run.sh"\n',
            [
                "5: job_config.a: user_command cannot be used together with model_name; keep one of"
                ' them (user_command comes from majobctl.toml:4; `user_command = ""` here leaves'
                " it out)"
            ],
        ),
    ],
)
def test_a_conflict_with_a_default_names_both_places(
    own: str, defaults: str, reported: list[str], tmp_path: Path
) -> None:
    job = CODE + 'model_name = "ResNet_v2_50"\n' + own
    assert conflicts(tmp_path, job, defaults) == [f"jobs/a.toml:{line}" for line in reported]


def test_a_boot_file_outside_the_default_directory_names_both_places(tmp_path: Path) -> None:
    defaults = 'code_dir = "/ml/src/"\nframework_type = "PyTorch"\nframework_version = "P"\n'
    (reported,) = conflicts(tmp_path, CODE + 'boot_file = "/other/train.py"\n', defaults)
    assert reported == (
        'jobs/a.toml:5: job_config.a: boot_file must be inside code_dir "/ml/src/" (code_dir comes'
        ' from majobctl.toml:4; `code_dir = ""` here leaves it out)'
    )


def test_a_default_that_needs_a_key_which_is_switched_off_is_reported_there(tmp_path: Path) -> None:
    defaults = 'dataset_id = "i"\ndataset_version_id = "v"\n'
    job = CODE + 'model_name = "m"\ndataset_id = ""\n'
    (reported,) = conflicts(tmp_path, job, defaults)
    assert reported.startswith(
        "jobs/a.toml:6: job_config.a: dataset_version_id needs dataset_id as well ("
    )


def test_what_is_wrong_with_a_default_is_reported_once_at_its_place(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "majobctl.toml": SETTINGS
        + '[defaults]\nlog_url = "log"\n'
        + 'hyperparameters = [\n  { label = "a", value = [] },\n  { label = "b", value = 1 },\n]\n',
        "jobs/a.toml": f"[job_config.a]\n{PARAMS}hyperparameters = {{ b = 2 }}\n",
        "jobs/b.toml": f"[job_config.b]\n{PARAMS}"
        'hyperparameters = [{ label = "c", value = 2 }]\nlog_url = "own"\n',
    }
    assert problems_of(tmp_path, files) == [
        'jobs/b.toml:8: job_config.b: log_url must be an OBS path such as "/bucket/dir/", not'
        ' "own"',
        'majobctl.toml:4: defaults: log_url must be an OBS path such as "/bucket/dir/", not "log"',
        'majobctl.toml:6: defaults: hyperparameter "a" must be a string, an integer, a float or a'
        " boolean, not an array; write it in quotes to send it as text; in a job file, matrix makes"
        " a job config of each value",
    ]


def test_a_label_that_is_wrong_in_a_merged_array_is_reported_at_its_item(tmp_path: Path) -> None:
    own = 'hyperparameters = [\n  { label = "a", value = 1 },\n  { label = "b", value = [] },\n]\n'
    (reported,) = conflicts(tmp_path, PARAMS + own, "hyperparameters = { c = 1 }\n")
    assert reported.startswith('jobs/a.toml:9: job_config.a: hyperparameter "b" must be')


def test_merging_leaves_both_sides_as_they_are() -> None:
    defaults = {"hyperparameters": {"a": 1}, "log_url": "/d/"}
    own = {"hyperparameters": [{"label": "a", "value": 2}]}
    assert merge(defaults, own) == {"hyperparameters": {"a": 2}, "log_url": "/d/"}
    assert defaults == {"hyperparameters": {"a": 1}, "log_url": "/d/"}
    assert own == {"hyperparameters": [{"label": "a", "value": 2}]}


@pytest.mark.parametrize(
    "broken",
    [
        *([1], [{"label": "a"}], [{"label": 1, "value": 1}], "text"),
        [{"label": "a", "value": 1}, {"label": "a", "value": 2}],
    ],
)
def test_broken_hyperparameters_are_not_merged_but_kept_to_be_reported(broken: object) -> None:
    merged = merge({"hyperparameters": {"b": 1}}, {"hyperparameters": broken})
    assert merged == {"hyperparameters": broken}


# References and secrets


def test_references_are_resolved_and_their_places_are_sensitive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "geheim")
    job = f'[job_config.a]\n{PARAMS}log_url = "/${{env.BUCKET}}/log/"\nsensitive = ["lr"]\n'
    job += 'hyperparameters = { lr = 1, key = "$${x} ${env.BUCKET}", plain = 2 }\n'
    (made,) = loaded(tmp_path, {"jobs/a.toml": job}).job_configs.values()
    assert made.params["log_url"] == "/geheim/log/"
    assert made.params["hyperparameters"]["key"] == "${x} geheim"
    assert set(made.sensitive) == {
        ("log_url",),
        ("hyperparameters", "key"),
        ("hyperparameters", "lr"),
    }


def test_what_a_job_config_has_in_place_of_a_secret_default_is_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "geheim")
    settings = SETTINGS + '[defaults]\nconfig_desc = "${env.SECRET}"\n'
    settings += 'hyperparameters = { lr = "${env.SECRET}" }\n'
    own = f'{PARAMS}config_desc = "plain"\nhyperparameters = {{ lr = 1 }}\n'
    files = {
        "majobctl.toml": settings,
        "jobs/a.toml": f"[job_config.a]\n{own}[job_config.b]\n{own}prevent_delete = true\n",
    }
    plain, directed = loaded(tmp_path, files).job_configs.values()
    assert plain.sensitive == directed.sensitive == {}
    assert plain.policy == directed.policy


_CODE_DEFAULTS = 'code_dir = "${env.SECRET}"\nframework_type = "F"\nframework_version = "V"\n'


@pytest.mark.parametrize(
    ("job", "defaults"),
    [
        (PARAMS + 'log_url = "${env.SECRET}"\n', ""),
        (PARAMS + 'log_url = "geheim/"\nsensitive = ["log_url"]\n', ""),
        (PARAMS + 'data_source = [{ type = "obs", data_url = "${env.SECRET}" }]\n', ""),
        (PARAMS + 'data_source = [{ type = "${env.SECRET}" }]\n', ""),
        (CODE + 'boot_file = "/other/train.py"\n', _CODE_DEFAULTS.replace("$", "/$")),
    ],
)
def test_a_problem_never_shows_a_sensitive_value(
    job: str, defaults: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "geheim/")
    found = "\n".join(conflicts(tmp_path, job, defaults))
    assert "(sensitive)" in found
    assert "geheim" not in found
    assert ("code_dir (sensitive) (code_dir comes from" in found) == bool(defaults)


def test_a_variable_that_is_not_utf_8_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKEN", os.fsdecode(b"/b/\xff/"))
    (reported,) = conflicts(tmp_path, PARAMS + 'log_url = "${env.BROKEN}"\n')
    assert reported == "jobs/a.toml:7: job_config.a: log_url must be Unicode text"


# Several files


def test_a_name_that_is_used_twice_is_reported_with_both_places(tmp_path: Path) -> None:
    files = {"jobs/a.toml": "\n" + JOB, "jobs/b.toml": "x = 1\n\n" + JOB, "jobs/c.toml": JOB}
    assert problems_of(tmp_path, files) == [
        'jobs/b.toml:1: unknown key "x"',
        "jobs/b.toml:3: job_config.sentiment: this name is already used at jobs/a.toml:2",
        "jobs/c.toml:1: job_config.sentiment: this name is already used at jobs/a.toml:2",
    ]


def test_every_problem_of_every_file_is_reported_in_the_order_of_files_and_lines(
    tmp_path: Path,
) -> None:
    files: dict[str, str | bytes] = {
        "jobs/b.toml": "[job_config.b]\nlog_url = 1\n" + PARAMS.replace("= 1", "= 0"),
        "jobs/a.toml": "a = \n",
        "jobs/c/a.toml": b"\xff",
        "jobs/10.toml": JOB + "y = 1\nx = 2\n",
        "majobctl.toml": SETTINGS + "retries = -1\n",
    }
    assert [line.split(" ")[0] for line in problems_of(tmp_path, files)] == [
        *("jobs/10.toml:7:", "jobs/10.toml:8:", "jobs/a.toml:1:5:", "jobs/b.toml:2:"),
        *("jobs/b.toml:4:", "jobs/c/a.toml:1:1:", "majobctl.toml:3:"),
    ]


def test_reading_one_file_grows_with_its_job_configs_and_no_faster(tmp_path: Path) -> None:
    def prepare(count: int) -> Path:
        text = "".join(f"[job_config.job-{number}]\n{CODE}" for number in range(count))
        settings = f'{SETTINGS}[defaults]\nmodel_name = "m"\n'
        root = write_files(tmp_path / str(count), {"majobctl.toml": settings, "jobs/a.toml": text})
        config = load_config(root)
        assert len(config.job_configs) == len(config.warnings) == count
        assert config.warnings[-1].line == 4 * (count - 1) + 1
        return root

    check_growth(prepare, load_config, 1000)


def test_reading_many_files_grows_with_their_number_and_no_faster(tmp_path: Path) -> None:
    def prepare(count: int) -> Path:
        files = {f"jobs/{number % 7}/{number}.toml": job(f"j{number}") for number in range(count)}
        root = write_files(tmp_path / str(count), files)
        assert len(load_config(root).job_configs) == count
        return root

    check_growth(prepare, load_config, 500)


def test_wrong_names_in_many_files_grow_with_their_number_and_no_faster(tmp_path: Path) -> None:
    def prepare(count: int) -> Path:
        tables = [f"[templates.t{it}]\n" + job(f"j{it}", f'use = "u{it}"') for it in range(count)]
        root = write_files(tmp_path / str(count), {"jobs/a.toml": "".join(tables)})
        assert len(problems_of(root, {})) == count
        return root

    check_growth(prepare, lambda root: problems_of(root, {}), 500)


# Which files


def names_of(root: Path, files: Mapping[str, str | bytes], patterns: str) -> list[str]:
    """The job configs of a repository with these patterns, each named as its file's content."""
    jobs = {name: f"[job_config.{text!s}]\n{PARAMS}" for name, text in files.items()}
    settings = f"{SETTINGS}[jobs]\nfiles = {patterns}\n"
    return list(loaded(root, {"majobctl.toml": settings, **jobs}).job_configs)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ('["jobs/**/*.toml"]', ["a", "b"]),
        ('["jobs/*.toml"]', ["a"]),
        ('["jobs/*.toml", "./jobs/a.toml", "jobs/../jobs/*.toml"]', ["a"]),
        ('["**/*.toml"]', ["a", "b", "c"]),
        ('["*.toml", "jobs/?/b.toml"]', ["b", "c"]),
        ('["jobs/**/*.toml", "nothing/*.toml"]', ["a", "b"]),
    ],
)
def test_a_job_file_is_read_once_and_the_settings_never_as_one(
    patterns: str, found: list[str], tmp_path: Path
) -> None:
    files: dict[str, str | bytes] = {
        "jobs/a.toml": "a",
        "jobs/x/b.toml": "b",
        "c.toml": "c",
        "jobs/.hidden.toml": "h",
    }
    assert names_of(tmp_path, files, patterns) == found


def test_a_file_outside_the_repository_is_found_by_its_path(tmp_path: Path) -> None:
    write_files(tmp_path / "shared", {"x.toml": JOB})
    for pattern in ("../shared/x.toml", str(tmp_path / "shared" / "x.toml")):
        settings = f"{SETTINGS}[jobs]\nfiles = [{toml_value(pattern)}]\n"
        assert list(loaded(tmp_path / "repository", {"majobctl.toml": settings}).job_configs)


def test_a_link_to_a_job_file_or_folder_does_not_read_it_twice(tmp_path: Path) -> None:
    write_files(tmp_path, {"jobs/a.toml": JOB})
    (tmp_path / "jobs" / "b.toml").symlink_to("a.toml")
    (tmp_path / "jobs" / "again").symlink_to(".")
    (tmp_path / "jobs" / "settings.toml").symlink_to("../majobctl.toml")
    config = load_config(tmp_path)
    source = config.job_configs["sentiment"].source
    assert source is not None
    assert source.file == "jobs/a.toml"


def test_a_link_that_leads_nowhere_is_reported_and_its_job_configs_do_not_just_vanish(
    tmp_path: Path,
) -> None:
    write_files(tmp_path, {"jobs/a.toml": JOB})
    (tmp_path / "jobs" / "b.toml").symlink_to("gone.toml")
    assert problems_of(tmp_path, {}) == ["jobs/b.toml: cannot be read: No such file or directory"]


def test_a_folder_with_the_name_of_a_job_file_is_passed_over(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"jobs/a.toml/b.toml": JOB})
    assert list(config.job_configs) == ["sentiment"]


def test_a_pipe_with_the_name_of_a_job_file_is_reported_and_not_waited_for(tmp_path: Path) -> None:
    write_files(tmp_path, {"jobs/a.toml": JOB})
    os.mkfifo(tmp_path / "jobs" / "b.toml")
    assert problems_of(tmp_path, {}) == ["jobs/b.toml: cannot be read: it is not a regular file"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"\x1b[31m.toml", "jobs/\\x1b[31m.toml"),
        ("\u202emot.toml".encode(), "jobs/\\u202emot.toml"),
        (b"\xff.toml", "jobs/\\udcff.toml"),
        (b"a\nb.toml", "jobs/a\\nb.toml"),
    ],
)
def test_the_name_of_a_hostile_file_is_reported_in_escapes(
    name: bytes, shown: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"jobs/good.toml": JOB})
    Path(os.fsdecode(os.path.join(os.fsencode(tmp_path / "jobs"), name))).write_text("x")
    (reported,) = problems_of(tmp_path, {})
    assert reported.startswith(f"{shown}:1:2: not valid TOML: ")
    assert reported.isprintable()


# Warnings


def test_a_job_config_without_data_is_a_warning_at_its_table(tmp_path: Path) -> None:
    config = loaded(tmp_path, {"jobs/a.toml": "\n" + JOB.replace("inputs", "log_url")})
    assert warnings_of(config) == [
        "jobs/a.toml:2: job_config.sentiment: no data: set inputs, dataset_id and"
        " dataset_version_id, or data_source"
    ]


def test_a_job_description_is_a_warning_once_at_its_place(tmp_path: Path) -> None:
    files = {
        "majobctl.toml": f'{SETTINGS}[defaults]\njob_description = "d"\n',
        "jobs/a.toml": f"[job_config.a]\n{PARAMS}[job_config.b]\n{PARAMS}",
        "jobs/b.toml": f'[job_config.c]\n{PARAMS}job_description = "own"\n',
        "jobs/c.toml": f'[job_config.d]\n{PARAMS}job_description = ""\n',
    }
    message = "job_description is never sent: changing it alone has no effect"
    assert warnings_of(loaded(tmp_path, files)) == [
        f"jobs/b.toml:7: job_config.c: {message}",
        f"majobctl.toml:4: defaults: {message}",
    ]


def test_a_flavor_is_not_sent_with_a_pool_which_is_a_warning(tmp_path: Path) -> None:
    without = PARAMS.partition("\n")[2]
    files = {
        "majobctl.toml": SETTINGS,
        "jobs/a.toml": f'[job_config.a]\n{PARAMS}pool_id = "p"\n',
        "jobs/b.toml": f'[job_config.b]\n{without}pool_id = "p"\n',
        "jobs/c.toml": f'[job_config.c]\n{PARAMS}pool_id = ""\n',
    }
    config = loaded(tmp_path, files)
    a, b, c = (config.job_configs[name].params for name in "abc")
    assert a == b == {**{key: c[key] for key in c if key != "train_instance_type"}, "pool_id": "p"}
    message = "train_instance_type is never sent with pool_id: changing it alone has no effect"
    assert warnings_of(config) == [f"jobs/a.toml:2: job_config.a: {message}"]


def test_a_pattern_that_matches_no_file_is_a_warning_at_its_line(tmp_path: Path) -> None:
    settings = f'{SETTINGS}[jobs]\nfiles = [\n  "jobs/*.toml",\n  "jobz/*.toml",\n]\n'
    config = loaded(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": JOB})
    assert warnings_of(config) == ['majobctl.toml:6: jobs: files: "jobz/*.toml" matches no file']


@pytest.mark.parametrize("folder", ["jobs", "jobs/"])
def test_a_pattern_that_is_a_folder_is_a_warning_that_says_what_to_write(
    folder: str, tmp_path: Path
) -> None:
    settings = f'{SETTINGS}[jobs]\nfiles = ["{folder}"]\n'
    config = loaded(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": JOB})
    message = f'files: "{folder}" is a folder; write "jobs/*.toml"'
    assert warnings_of(config) == [f"majobctl.toml:4: jobs: {message}"]


def test_good_job_configs_give_no_warning(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"jobs/a.toml": JOB}).warnings == ()


# Properties


def load(files: Mapping[str, str | bytes]) -> Config | ConfigError:
    """What is loaded, or the error, which has a place for each problem."""
    with TemporaryDirectory() as folder:
        root = write_files(Path(folder), files)
        try:
            return load_config(root)
        except ConfigError as error:
            for problem in error.problems:
                assert problem.line >= 1
                assert str(problem).isprintable()
            assert list(error.problems) == sorted(error.problems)
            return error


@given(st.binary(max_size=80))
@example(b"[job_config]")
@example(b"[job_config.a]\nhyperparameters = [{}, [], {label = []}]")
@example(b"[job_config.a]\ndata_source = [{type = []}, []]")
@example(b"[job_config.a]\nsensitive = [[], {}]")
def test_any_bytes_as_a_job_file_are_a_config_or_problems_with_places(content: bytes) -> None:
    load({"jobs/a.toml": content})


@given(valid_tables, st.data())
def test_a_job_file_with_a_damaged_byte_is_a_config_or_problems_with_places(
    tables: dict[str, Any], data: st.DataObject
) -> None:
    content = bytearray(toml_of(tables).encode())
    position = data.draw(st.integers(0, len(content) - 1))
    content[position : position + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=2))
    load({"jobs/a.toml": bytes(content)})


_ANYTHING = st.dictionaries(
    st.sampled_from([*FIELDS, "sensitive", "token"]) | st.text(max_size=3), plain_values, max_size=4
)


@given(st.dictionaries(names | st.text(max_size=3), _ANYTHING, max_size=3), _ANYTHING)
def test_job_configs_of_any_shape_are_a_config_or_problems_with_places(
    tables: dict[str, Any], defaults: dict[str, Any]
) -> None:
    lines = [f"{toml_value(key)} = {toml_value(value)}" for key, value in defaults.items()]
    settings = SETTINGS + "[defaults]\n" + "\n".join(lines)
    load({"majobctl.toml": settings, "jobs/a.toml": toml_of(tables)})


@given(valid_tables)
def test_a_good_job_file_says_what_the_same_arguments_say_in_python(tables: dict[str, Any]) -> None:
    config = load({"jobs/a.toml": toml_of(tables)})
    assert isinstance(config, Config)
    assert config.job_configs == {name: JobConfig.of(name, raw) for name, raw in tables.items()}


@given(valid_params, invalid_params)
def test_a_broken_job_config_is_reported_and_a_good_one_beside_it_is_not(
    good: dict[str, Any], broken: dict[str, Any]
) -> None:
    error = load({"jobs/a.toml": toml_of({"good": good, "broken": broken})})
    assert isinstance(error, ConfigError)
    assert {problem.where for problem in error.problems} == {"job_config.broken"}


@given(valid_tables, st.randoms(use_true_random=False), st.data())
def test_the_order_of_keys_and_tables_and_files_changes_nothing(
    tables: dict[str, Any], random: Any, data: st.DataObject
) -> None:
    one = load({"jobs/a.toml": toml_of(tables)})
    assert isinstance(one, Config)
    spread: dict[str, dict[str, Any]] = {}
    for name in random.sample(list(tables), len(tables)):
        keys = random.sample(list(tables[name]), len(tables[name]))
        file = data.draw(st.sampled_from(["jobs/z.toml", "jobs/b/a.toml", "jobs/a.toml"]))
        spread.setdefault(file, {})[name] = {key: tables[name][key] for key in keys}
    other = load({file: toml_of(inside) for file, inside in spread.items()} or {"jobs/a.toml": ""})
    assert isinstance(other, Config)
    assert list(other.job_configs.items()) == list(one.job_configs.items())


def job(name: str, *lines: str) -> str:
    return "\n".join([JOB.replace("sentiment", name).rstrip(), *lines, ""])


def test_directives_are_read_and_are_not_parameters(tmp_path: Path) -> None:
    (plain,) = loaded(tmp_path / "plain", {"jobs/a.toml": job("one")}).job_configs.values()
    lines = ('ignore_changes = ["config_desc"]', "prevent_delete = true", 'renamed_from = "zero"')
    (one,) = loaded(tmp_path, {"jobs/a.toml": job("one", *lines)}).job_configs.values()
    assert one == plain
    assert one.policy.ignored == {("config_desc",)}
    assert (one.prevent_delete, one.renamed_from) == (True, "zero")
    assert plain.prevent_delete is False


def test_directives_of_the_defaults_and_the_settings_hold_for_all(tmp_path: Path) -> None:
    files = {
        "majobctl.toml": f'{SETTINGS}[drift]\nignore = ["log_url"]\n'
        '[defaults]\nignore_changes = ["inputs"]\nprevent_delete = true\n',
        "jobs/a.toml": job("one")
        + job("two", 'ignore_changes = ["config_desc"]', "prevent_delete = false"),
    }
    one, two = loaded(tmp_path, files).job_configs.values()
    assert one.policy.ignored == {("log_url",), ("inputs",)}
    assert two.policy.ignored == {("log_url",), ("inputs",), ("config_desc",)}
    assert (one.prevent_delete, two.prevent_delete) == (True, False)


def test_a_chain_of_renames_is_no_problem(tmp_path: Path) -> None:
    jobs = job("one", 'renamed_from = "zero"') + job("two", 'renamed_from = "minus"')
    config = loaded(tmp_path, {"jobs/a.toml": jobs})
    assert [item.renamed_from for item in config.job_configs.values()] == ["zero", "minus"]


def test_two_job_configs_cannot_swap_their_names(tmp_path: Path) -> None:
    jobs = job("one", 'renamed_from = "two"') + job("two", 'renamed_from = "one"')
    found = problems_of(tmp_path, {"jobs/a.toml": jobs})
    assert len(found) == 2
    assert all("is still defined" in problem for problem in found)


def test_a_rename_that_two_files_claim_is_reported_with_the_other(tmp_path: Path) -> None:
    files = {f"jobs/{name}.toml": job(name, 'renamed_from = "zero"') for name in ("one", "two")}
    message = 'renamed_from: job_config.one is renamed from "zero" already'
    assert problems_of(tmp_path, files) == [f"jobs/two.toml:7: job_config.two: {message}"]


def too_deep(top: Path) -> None:
    """A folder below ``top`` whose path is too long to be listed, whoever asks."""
    before = Path.cwd()
    try:
        os.chdir(top)
        for _ in range(21):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(before)


@pytest.mark.parametrize(
    ("pattern", "is_reported"),
    [
        ("jobs/**/*.toml", True),
        ("**/*.toml", True),
        ("**", True),
        ("jobs/*.toml", False),
        ("jobs/*/*.toml", False),
        ("*/a.toml", False),
        ("jobs/a.toml", False),
        ("other/**/*.toml", False),
    ],
)
def test_a_folder_that_cannot_be_listed_is_reported_where_a_pattern_leads_there(
    pattern: str, is_reported: bool, tmp_path: Path
) -> None:
    settings = f'{SETTINGS}[jobs]\nfiles = ["{pattern}"]\n[state]\npath = "../s.json"\n'
    (tmp_path / "jobs").mkdir()
    too_deep(tmp_path / "jobs")
    files = {"majobctl.toml": settings, "jobs/a.toml": JOB}
    if not is_reported:
        assert isinstance(loaded(tmp_path, files), Config)
        return
    (problem,) = problems_of(tmp_path, files)
    assert problem.startswith("jobs/ddd")
    assert problem.endswith("cannot be listed: File name too long")


def test_a_folder_that_nobody_may_list_is_reported(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may list every folder")
    closed = tmp_path / "jobs" / "closed"
    closed.mkdir(parents=True)
    closed.chmod(0)
    try:
        assert problems_of(tmp_path, {"jobs/a.toml": JOB}) == [
            "jobs/closed: cannot be listed: Permission denied"
        ]
    finally:
        closed.chmod(0o700)


def test_hidden_folders_and_those_that_link_in_a_circle_are_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / "jobs" / ".hidden").mkdir(parents=True)
    too_deep(tmp_path / "jobs" / ".hidden")
    (tmp_path / "jobs" / "circle").symlink_to(tmp_path / "jobs")
    assert list(loaded(tmp_path, {"jobs/a.toml": JOB}).job_configs) == ["sentiment"]


def test_a_reference_may_be_written_with_an_escape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKET", "ml")
    escaped = JOB.replace('"/ml/data/"', '"/\\u0024{env.BUCKET}/data/"')
    (config,) = loaded(tmp_path, {"jobs/a.toml": escaped}).job_configs.values()
    assert config.params["inputs"] == "/ml/data/"
    assert ("inputs",) in config.sensitive
