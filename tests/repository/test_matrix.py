"""One job config for each combination of a matrix, and the lines of what is wrong with it."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.values import WrittenFloat, hyperparameter_text
from majobctl.repository.jobs.matrix import MAX_COMBINATIONS, combinations
from tests.config_files import PARAMS, SETTINGS, loaded, problems_of
from tests.strategies import hyperparameters, plain_values, toml_value, valid_params

SWEEP = f'[job_config.sweep]\n{PARAMS}name = "x-{{lr}}-{{seed}}"\n'


def violations_of(matrix: object, **table: Any) -> list[str]:
    found, violations = combinations("sweep", {"matrix": matrix, **table})
    assert not found
    return [violation.text() for violation in violations]


def test_a_table_without_a_matrix_is_the_job_config_of_its_name() -> None:
    table = {"inputs": "/ml/data/"}
    (found,), violations = combinations("plain", table)
    assert (found.name, found.table, found.texts, found.places) == ("plain", table, {}, frozenset())
    assert not violations


def test_each_combination_is_a_job_config(tmp_path: Path) -> None:
    text = f"{SWEEP}matrix = {{ lr = [0.1, 1e-5], seed = [1, 2], config_desc = ['one'] }}\n"
    found = loaded(tmp_path, {"jobs/a.toml": text}).job_configs
    assert list(found) == ["x-0_1-1", "x-0_1-2", "x-1e-5-1", "x-1e-5-2"]
    assert found["x-1e-5-2"].params["hyperparameters"] == {"lr": "1e-5", "seed": "2"}
    assert found["x-1e-5-2"].params["config_desc"] == "one"
    assert found["x-0_1-1"].params["hyperparameters"] == {"lr": "0.1", "seed": "1"}


def test_the_matrix_may_be_a_table_of_its_own_and_the_plan_points_at_it(tmp_path: Path) -> None:
    text = f"{SWEEP}\n[job_config.sweep.matrix]\nlr = [0.1, 1]\nseed = [1]\n"
    config = loaded(tmp_path, {"jobs/a.toml": text}).job_configs["x-1-1"]
    assert config.source is not None
    assert (config.source.file, config.source.line) == ("jobs/a.toml", 9)


@pytest.mark.parametrize(
    ("value", "part"),
    [
        (WrittenFloat("0.10"), "0_10"),
        (1e-05, "1e-05"),
        (-3, "-3"),
        (True, "true"),
        ("a b/ö", "a_b__"),
        ("", ""),
    ],
)
def test_a_value_is_in_a_name_without_what_no_name_may_have(value: Any, part: str) -> None:
    (found,), violations = combinations("x", {"matrix": {"k": [value]}, "name": "n-{k}-{k}"})
    assert not violations
    assert found.name == f"n-{part}-{part}"
    assert found.table == {"hyperparameters": {"k": value}}


def test_a_key_with_one_value_need_not_stand_in_the_name() -> None:
    found, violations = combinations("x", {"matrix": {"a": [1], "b": [1, 2]}, "name": "n{b}"})
    assert ([item.name for item in found], violations) == (["n1", "n2"], [])


@pytest.mark.parametrize("blank", ["", {}, [], None])
def test_labels_are_set_where_no_others_are(blank: Any) -> None:
    table = {"matrix": {"lr": [1]}, "name": "n", "hyperparameters": blank}
    (found,), _ = combinations("x", table)
    assert found.table == {"hyperparameters": {"lr": 1}}


def test_items_of_an_array_keep_their_places() -> None:
    own = [{"label": "lr", "value": 5}, {"label": ["odd"]}, 7, {"label": "z", "value": 1}]
    table = {"matrix": {"lr": [1], "seed": [2]}, "name": "n", "hyperparameters": own}
    (found,), _ = combinations("x", table)
    assert found.table["hyperparameters"] == [
        {"label": "lr", "value": 1},
        *own[1:],
        {"label": "seed", "value": 2},
    ]


def test_what_are_no_hyperparameters_stays_to_be_reported() -> None:
    (found,), _ = combinations("x", {"matrix": {"a": [1]}, "name": "n", "hyperparameters": 0})
    assert found.table == {"hyperparameters": 0}


def test_the_values_stand_in_every_string_as_references(tmp_path: Path) -> None:
    text = (
        f"{SWEEP}matrix = {{ lr = [0.10], seed = [1, 2] }}\n"
        'config_desc = "${matrix.lr}/${matrix.seed} $${matrix.lr}"\n'
        'hyperparameters = { out = "/${matrix.seed}/" }\n'
    )
    settings = f'{SETTINGS}[defaults]\nlog_url = "/ml/${{matrix.seed}}/"\n'
    found = loaded(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": text}).job_configs
    params = found["x-0_10-2"].params
    assert params["config_desc"] == "0.10/2 ${matrix.lr}"
    assert params["log_url"] == "/ml/2/"
    assert params["hyperparameters"] == {"lr": "0.10", "seed": "2", "out": "/2/"}


def test_an_obs_path_below_may_begin_with_the_matrix(tmp_path: Path) -> None:
    text = (
        '[templates.base]\noutput_path = "${matrix.root}/out/"\n'
        f'[job_config.a]\nuse = "base"\nname = "n-{{lr}}"\n{PARAMS.replace("output_path", "#")}'
        'matrix = { root = ["/ml"], lr = [1, 2] }\n'
    )
    settings = f'{SETTINGS}[defaults]\nlog_url = "${{matrix.root}}/${{matrix.lr}}/"\n'
    found = loaded(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": text}).job_configs
    assert found["n-1"].params["output_path"] == "/ml/out/"
    assert found["n-2"].params["log_url"] == "/ml/2/"


def test_what_one_combination_breaks_is_reported_once_at_the_matrix(tmp_path: Path) -> None:
    matrix = "matrix = {\nlr = [1, 2],\nseed = [1, 2, 3],\nmodel_name = ['', 'ResNet_v2_50'],\n}\n"
    text = SWEEP.replace("-{seed}", "-{seed}{model_name}") + matrix
    assert problems_of(tmp_path, {"jobs/a.toml": text}) == [
        "jobs/a.toml:8: job_config.sweep: no algorithm: set model_name, or code_dir, boot_file,"
        " framework_type and framework_version, or user_image_url"
    ]


def test_each_key_of_a_long_matrix_has_its_line(tmp_path: Path) -> None:
    text = (
        f"{SWEEP}[job_config.sweep.matrix]\nlr = [1, 2]\nseed = [1]\n"
        "train_instance_count = [0]\ninputs = ['data']\ndataset_id = ['d']\n"
    )
    assert problems_of(tmp_path, {"jobs/a.toml": text}) == [
        "jobs/a.toml:11: job_config.sweep: train_instance_count must be at least 1, not 0",
        'jobs/a.toml:12: job_config.sweep: inputs must be an OBS path such as "/bucket/dir/", not'
        ' "data"',
        "jobs/a.toml:13: job_config.sweep: dataset_id cannot be used together with inputs; keep one"
        " of them",
    ]


def test_what_is_broken_without_the_matrix_has_its_own_line(tmp_path: Path) -> None:
    text = (
        f"{SWEEP}matrix = {{ lr = [1, 2], seed = [1] }}\nhyperparameters = [\n"
        '{ label = "lr", value = 5 },\n{ label = "odd", value = [] },\n]\n'
    )
    assert problems_of(tmp_path, {"jobs/a.toml": text}) == [
        'jobs/a.toml:11: job_config.sweep: hyperparameter "odd" must be a string, an integer, a'
        " float or a boolean, not an array; write it in quotes to send it as text; in a job file,"
        " matrix makes a job config of each value"
    ]


def test_warnings_of_a_matrix_are_reported_once_at_its_line(tmp_path: Path) -> None:
    text = f"{SWEEP}matrix = {{ lr = [1, 2], seed = [1] }}\n".replace("inputs", "log_url")
    warnings = loaded(tmp_path, {"jobs/a.toml": text}).warnings
    assert [str(warning) for warning in warnings] == [
        "jobs/a.toml:8: job_config.sweep: no data: set inputs, dataset_id and dataset_version_id,"
        " or data_source"
    ]


def test_a_name_that_another_file_has_is_reported_with_both_places(tmp_path: Path) -> None:
    files = {
        "jobs/a.toml": f"{SWEEP}matrix = {{ lr = [1, 2], seed = [1] }}\n",
        "jobs/b.toml": f"{SWEEP}matrix = {{ lr = [2, 3], seed = [1] }}\n",
        "jobs/c.toml": f"[job_config.x-3-1]\n{PARAMS}",
    }
    assert problems_of(tmp_path, files) == [
        'jobs/b.toml:8: job_config.sweep: "x-2-1": this name is already used at jobs/a.toml:8',
        "jobs/c.toml:1: job_config.x-3-1: this name is already used at jobs/b.toml:8",
    ]


@pytest.mark.parametrize("label", ["x" * 60, "a b", ""])
def test_the_name_of_the_table_is_a_label_only(label: str, tmp_path: Path) -> None:
    text = f'[job_config."{label}"]\nname = "{{lr}}"\nmatrix = {{ lr = [1, 2] }}\n{PARAMS}'
    assert list(loaded(tmp_path, {"jobs/a.toml": text}).job_configs) == ["1", "2"]


def test_sensitive_labels_are_hidden_in_each_job_config(tmp_path: Path) -> None:
    text = f'{SWEEP}matrix = {{ lr = [1, 2], seed = [1], key = ["k"] }}\nsensitive = ["key"]\n'
    found = loaded(tmp_path, {"jobs/a.toml": text}).job_configs.values()
    assert [list(config.sensitive) for config in found] == [[("hyperparameters", "key")]] * 2


@pytest.mark.parametrize("names", ['"lr"', '"hyperparameters"'])
@pytest.mark.parametrize("place", ["own", "template", "defaults"])
def test_no_name_shows_a_sensitive_value(names: str, place: str, tmp_path: Path) -> None:
    line = f"sensitive = [{names}]\n"
    sweep = f"{SWEEP}matrix = {{ lr = [1, 2], seed = [1] }}\n".replace("-{seed}", "")
    job = sweep + (line if place == "own" else 'use = "base"\n')
    job += "[templates.base]\n" + (line if place == "template" else "")
    settings = f"{SETTINGS}[defaults]\n" + (line if place == "defaults" else "")
    assert problems_of(tmp_path, {"majobctl.toml": settings, "jobs/a.toml": job}) == [
        'jobs/a.toml:7: job_config.sweep: name: "{lr}" is sensitive, and names are shown everywhere'
    ]


def test_most_combinations_are_allowed_and_no_more() -> None:
    matrix = {"a": list(range(MAX_COMBINATIONS // 100)), "b": list(range(100))}
    found, violations = combinations("x", {"matrix": matrix, "name": "{a}-{b}"})
    assert (len(list(found)), violations) == (MAX_COMBINATIONS, [])
    matrix["a"].append(-1)
    assert violations_of(matrix, name="{a}-{b}") == [
        f"matrix has more than {MAX_COMBINATIONS} combinations"
    ]


_arrays = st.lists(
    st.booleans() | st.integers(-9, 9) | st.sampled_from(["x", "y z", "0.1", 0.5, 1e-9]),
    min_size=1,
    max_size=3,
    unique_by=hyperparameter_text,
)
_counts = st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True)
_paths = st.lists(st.sampled_from(["/b/x/", "/c/", "obs://b/x/y"]), min_size=1, unique=True)
_matrices = st.fixed_dictionaries(
    {"n": st.just(["1", "2"])},
    optional={
        "a": _arrays,
        "lr": _arrays,
        "ö k": _arrays,
        "train_instance_count": _counts,
        "output_path": _paths,
    },
)


@given(valid_params, hyperparameters, _matrices)
@example({"train_instance_type": "t", "model_name": "m"}, [{"label": "a", "value": 1}], {"a": [2]})
def test_a_matrix_is_its_job_configs_written_by_hand(
    params: dict[str, Any], own: Any, matrix: dict[str, list[Any]]
) -> None:
    base = {"output_path": "/b/", "train_instance_count": 1, **params, "hyperparameters": own}
    labelled = own if isinstance(own, dict) else {item["label"]: item["value"] for item in own}
    combined = [dict(zip(matrix, values, strict=True)) for values in product(*matrix.values())]
    name = "".join(f"{{{key}}}" for key in matrix)
    found, violations = combinations("x", {**base, "matrix": matrix, "name": name})
    assert not violations
    by_hand = {}
    for index, values in enumerate(combined):
        keys = {key: value for key, value in values.items() if key in FIELDS}
        labels = {key: value for key, value in values.items() if key not in FIELDS}
        by_hand[f"x{index}"] = {**base, **keys, "hyperparameters": {**labelled, **labels}}
    made = {f"x{index}": dict(item.table) for index, item in enumerate(found)}
    assert params_of(made) == params_of(by_hand)


def params_of(tables: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The params of the job configs that a file with these tables describes."""
    text = "".join(
        f"[job_config.{name}]\n"
        + "".join(f"{toml_value(key)} = {toml_value(value)}\n" for key, value in table.items())
        for name, table in tables.items()
    )
    with TemporaryDirectory() as folder:
        found = loaded(Path(folder), {"jobs/a.toml": text}).job_configs
    return {name: config.params for name, config in found.items()}


@given(
    st.dictionaries(st.sampled_from(["a", "inputs", "b{"]) | st.text(max_size=4), plain_values)
    | plain_values,
    st.sampled_from(["x-{a}", "{inputs}{a}", "{", "{}", "{a", 5, None]) | st.text(max_size=9),
)
def test_any_matrix_is_taken_or_reported_with_lines(matrix: Any, name: Any) -> None:
    text = f"[job_config.sweep]\n{PARAMS}matrix = {toml_value(matrix)}\n"
    if name is not None:
        text += f"name = {toml_value(name)}\n"
    with TemporaryDirectory() as folder:
        try:
            loaded(Path(folder), {"jobs/a.toml": text})
        except ConfigError:
            problems = problems_of(Path(folder), {"jobs/a.toml": text})
            assert all(line.isprintable() for line in problems)
            assert {line.split(":")[1] for line in problems} <= {"7", "8"}


HEIR = 'matrix = { lr = [0.1, 1e-5], seed = [1, 2] }\nname = "y-{lr}-{seed}"\n'


@pytest.mark.parametrize(
    ("former", "names"),
    [
        ("x-{lr}-{seed}", ["x-0_1-1", "x-0_1-2", "x-1e-5-1", "x-1e-5-2"]),
        ("{seed}_{lr}", ["1_0_1", "2_0_1", "1_1e-5", "2_1e-5"]),
        ("", ["", "", "", ""]),
    ],
)
def test_a_former_name_has_the_placeholders_of_the_name(
    former: str, names: list[str], tmp_path: Path
) -> None:
    text = f'[job_config.sweep]\n{PARAMS}{HEIR}renamed_from = "{former}"\n'
    found = loaded(tmp_path, {"jobs/a.toml": text}).job_configs
    assert list(found) == ["y-0_1-1", "y-0_1-2", "y-1e-5-1", "y-1e-5-2"]
    assert [it.renamed_from for it in found.values()] == names


WRONG_HEIRS = {
    f'{HEIR}renamed_from = "x-{{lrr}}"': '"{lrr}" is not in matrix; did you mean "lr"?',
    f'{HEIR}renamed_from = "x-{{}}"': '"{}" is not in matrix',
    f'{HEIR}renamed_from = "x-{{lr}}"': 'job_config.y-0_1-1 is renamed from "x-0_1" already',
    f'{HEIR}renamed_from = "y-{{lr}}-{{seed}}"': "this is its own name",
    f'{HEIR}renamed_from = "y-{{lr}}-1"': '"y-0_1-1" is still defined; remove it, or this line',
    f'{HEIR}renamed_from = "x y-{{lr}}"': "a name has 1 to 64 characters",
    f'{HEIR}renamed_from = "x-{{lr"': "a name has 1 to 64 characters",
    f'{HEIR}renamed_from = "{"x" * 63}{{lr}}"': "a name has 1 to 64 characters",
    'matrix = { lr = [0.1], seed = [1] }\nname = "y-{seed}"\nrenamed_from = "x-{lr}"\nsensitive = '
    '["lr"]': '"{lr}" is sensitive, and names are shown everywhere',
    'renamed_from = "x-{lr}"': "a name has 1 to 64 characters",
}


@pytest.mark.parametrize("text", WRONG_HEIRS)
def test_a_former_name_that_cannot_be_is_reported_at_a_line_of_the_table(
    text: str, tmp_path: Path
) -> None:
    problems = problems_of(tmp_path, {"jobs/a.toml": f"[job_config.sweep]\n{PARAMS}{text}"})
    assert WRONG_HEIRS[text] in problems[0]
    assert all(it.startswith("jobs/a.toml:") for it in problems)
