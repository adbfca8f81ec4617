"""The value of a job config: what it is normalised to, what is equal, what is refused."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig, normalise
from majobctl.job_config.values import WrittenFloat, hyperparameter_text, type_name
from tests.strategies import Break, breaks, names, plain_values, valid_params

PARAMS: Mapping[str, Any] = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/ml/output/",
    "model_name": "ResNet_v2_50",
}


def job_config(**params: Any) -> JobConfig:
    return JobConfig.of("sentiment", {**PARAMS, **params})


def refusals(**params: Any) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        job_config(**params)
    return [str(problem) for problem in raised.value.problems]


def refusal(**params: Any) -> str:
    (told,) = refusals(**params)
    return told.removeprefix("job_config.sentiment: ")


CODE = {"code_dir": "/b/", "boot_file": "/b/t.py", "framework_type": "x", "framework_version": "y"}


@pytest.mark.parametrize(
    ("key", "written", "others"),
    [
        ("framework_version", "framework_verison", 0),
        ("boot_file", "boot_flie", 0),
        ("train_instance_count", "train_instance_cuont", 0),
        ("output_path", "outputpath", 0),
        # Another key is lacking than the one that was meant.
        ("boot_file", "logurl", 1),
        ("output_path", "secret", 1),
    ],
)
def test_a_misspelt_key_is_one_problem(key: str, written: str, others: int) -> None:
    params = {**PARAMS, **CODE, written: "/b/t.py"}
    del params[key], params["model_name"]
    with pytest.raises(ConfigError) as raised:
        JobConfig.of("sentiment", params)
    assert len(raised.value.problems) == 1 + others


def hyperparameter(value: object) -> object:
    return job_config(hyperparameters={"x": value}).params["hyperparameters"]["x"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (WrittenFloat("1e-5"), "1e-5"),
        (WrittenFloat("1_000.5"), "1000.5"),
        (WrittenFloat("0.10"), "0.10"),
        (WrittenFloat("+inf"), "+inf"),
        (0.001, "0.001"),
        (1e-5, "1e-05"),
        (0xFF, "255"),
        (-0, "0"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (True, "true"),
        (False, "false"),
        ("1e-5", "1e-5"),
        (" a b ", " a b "),
        ("", ""),
    ],
)
def test_a_hyperparameter_is_sent_as_text(value: object, text: str) -> None:
    assert hyperparameter(value) == text


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**5000], ids=["over", "under", "endless"])
def test_an_integer_of_more_than_64_bits_is_refused(value: int) -> None:
    told = refusal(hyperparameters={"x": value})
    assert told == 'hyperparameter "x" must fit in 64 bits; write it in quotes to send it as text'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (
            [1],
            "an array; write it in quotes to send it as text; in a job file, matrix makes a job"
            " config of each value",
        ),
        ({"a": 1}, "a table"),
        (datetime.date(2026, 1, 2), "a date"),
        (datetime.datetime(2026, 1, 2), "a datetime"),
        (datetime.time(1, 2), "a time"),
        (None, "a NoneType"),
    ],
)
def test_any_other_hyperparameter_is_refused(value: object, kind: str) -> None:
    assert refusal(hyperparameters={"x": value}) == (
        f'hyperparameter "x" must be a string, an integer, a float or a boolean, not {kind}'
    )


def test_both_forms_of_hyperparameters_are_equal_in_any_order() -> None:
    table = job_config(hyperparameters={"lr": "0.1", "epochs": 10})
    array = job_config(
        hyperparameters=[{"label": "epochs", "value": 10}, {"value": "0.1", "label": "lr"}]
    )
    assert table == array
    assert list(table.params["hyperparameters"].items()) == [("epochs", "10"), ("lr", "0.1")]


def test_numbers_that_are_written_differently_are_different() -> None:
    assert job_config(hyperparameters={"x": WrittenFloat("0.10")}) != job_config(
        hyperparameters={"x": WrittenFloat("0.1")}
    )
    assert job_config(hyperparameters={"x": True}) != job_config(hyperparameters={"x": 1})
    assert job_config(hyperparameters={"x": 1}) == job_config(hyperparameters={"x": "1"})


@pytest.mark.parametrize("key", ["code_dir", "boot_file", "output_path", "log_url", "inputs"])
def test_obs_addresses_and_paths_are_equal(key: str) -> None:
    base = {**PARAMS, "model_name": "", "user_image_url": "i", "code_dir": "/b/"}
    base["boot_file"] = "/b/x/y"
    value = "b/x/y" if key == "boot_file" else "b/"
    plain = JobConfig.of("a", {**base, key: f"/{value}"})
    assert JobConfig.of("a", {**base, key: f"obs://{value}"}) == plain
    assert plain.params[key] == f"/{value}"


def test_a_data_source_has_plain_paths_and_no_blank_keys() -> None:
    made = job_config(
        data_source=[
            {"data_url": "obs://b/x/", "type": "obs", "dataset_id": "", "dataset_version": None}
        ]
    )
    assert made.params["data_source"] == [{"type": "obs", "data_url": "/b/x/"}]


@pytest.mark.parametrize("key", [key for key in FIELDS if key not in PARAMS])
def test_null_and_empty_text_and_a_missing_key_are_the_same(key: str) -> None:
    assert job_config(**{key: None}) == job_config(**{key: ""}) == job_config()


@pytest.mark.parametrize("key", ["hyperparameters", "data_source"])
def test_an_empty_array_is_the_same_as_a_missing_key_where_arrays_stand(key: str) -> None:
    assert job_config(**{key: []}) == job_config(**{key: {}}) == job_config()


@pytest.mark.parametrize("key", ["log_url", "config_desc", "train_instance_count", "output_path"])
def test_an_empty_array_is_of_a_wrong_type_elsewhere(key: str) -> None:
    assert refusal(**{key: []}).endswith(", not an array")
    assert refusal(**{key: {}}).endswith(", not a table")


def test_a_job_description_is_in_no_request_and_changes_nothing() -> None:
    assert job_config(job_description="x") == job_config()


def test_a_description_is_counted_in_characters() -> None:
    for letter in ("x", "é", "☃", "😀"):
        assert job_config(config_desc=letter * 256).params["config_desc"] == letter * 256
        told = refusal(config_desc=letter * 257)
        assert told == "config_desc has 257 characters; at most 256 are allowed"


@pytest.mark.parametrize(
    "path", ["/b/", "/b/x", "/b/x/", "/b/.../x", "/b/a..b/", "/b/ü ☃/", "/b/./"]
)
def test_a_path_starts_with_its_bucket(path: str) -> None:
    assert job_config(inputs=path).params["inputs"] == path


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        *((path, "must be an OBS path") for path in ("b/", "/b", "/", "//b/", "obs://b", " /b/")),
        *((path, "must be an OBS path") for path in ("OBS://b/", "s3://b/", "https://b/", "x")),
        *((path, "empty part") for path in ("/b//x", "/b//", "/b/x//", "obs://b//x")),
        *((path, '".." part') for path in ("/b/../x", "/b/..", "/../b/", "/b/x/../")),
        *((path, "control character") for path in ("/b/\n", "/b/\x00/", "/b/\x7f")),
    ],
)
def test_what_is_no_path_is_refused_with_the_reason(path: str, reason: str) -> None:
    told = refusal(inputs=path)
    assert reason in told
    assert told.isprintable()


@pytest.mark.parametrize(
    "params",
    [
        {"config_desc": "\ud800"},
        {"inputs": "/b/\udcff/"},
        {"hyperparameters": {"x": "\udfff"}},
        {"hyperparameters": {"\udfff": "x"}},
        {"data_source": [{"type": "dataset", "dataset_id": "\ud800", "dataset_version": "v"}]},
    ],
)
def test_text_that_no_request_can_hold_is_refused(params: Mapping[str, Any]) -> None:
    told = refusal(**params)
    assert told.endswith("must be Unicode text")
    assert told.isprintable()


def test_every_fault_is_told_at_once() -> None:
    told = refusals(train_instance_count=0, output_path="x", model_name=5, unknown=1)
    assert len(told) == 4


@pytest.mark.parametrize("name", ["", "x" * 65, "my job", "\x1b[31m"])
def test_a_wrong_name_is_refused_with_the_other_faults(name: str) -> None:
    with pytest.raises(ConfigError) as raised:
        JobConfig.of(name, {**PARAMS, "train_instance_count": 0})
    assert len(raised.value.problems) == 2
    assert str(raised.value.problems[0]).isprintable()


def test_where_a_job_config_is_written_does_not_count() -> None:
    class Somewhere:
        file = "a.toml"
        line = 3

    here = job_config()
    assert JobConfig(here.name, here.params, source=Somewhere()) == here


@pytest.mark.parametrize(
    ("value", "name"),
    [(True, "a boolean"), (1, "an integer"), (1.5, "a float"), ("", "a string"), ((), "an array")],
)
def test_types_have_the_names_of_toml(value: object, name: str) -> None:
    assert type_name(value) == name


@given(valid_params)
def test_a_valid_description_breaks_no_rule(raw: dict[str, Any]) -> None:
    assert normalise(raw)[1] == []


@given(valid_params)
def test_normalising_is_idempotent_and_leaves_its_input_alone(raw: dict[str, Any]) -> None:
    before = copy.deepcopy(raw)
    params, _ = normalise(raw)
    assert raw == before
    assert normalise(params) == (params, [])


@given(valid_params, st.randoms(use_true_random=False))
def test_the_order_of_keys_and_labels_changes_nothing(raw: dict[str, Any], random: Any) -> None:
    keys = list(raw)
    random.shuffle(keys)
    shuffled = {key: raw[key] for key in keys}
    labelled = shuffled.get("hyperparameters")
    if isinstance(labelled, list):
        shuffled["hyperparameters"] = random.sample(labelled, len(labelled))
    one, other = JobConfig.of("a", raw), JobConfig.of("a", shuffled)
    assert one == other
    assert list(one.params) == list(other.params)
    assert list(one.params.get("hyperparameters", ())) == sorted(
        one.params.get("hyperparameters", ())
    )


@given(valid_params, breaks)
def test_a_broken_rule_is_told_at_its_key(raw: dict[str, Any], broken: Break) -> None:
    _, faults = normalise(broken.make(raw))
    assert broken.key in {str(fault.path[0]) if fault.path else "" for fault in faults}


@given(names | st.text(max_size=3), st.dictionaries(st.sampled_from(list(FIELDS)), plain_values))
def test_any_values_are_a_job_config_or_a_config_error(name: str, raw: dict[str, Any]) -> None:
    try:
        made = JobConfig.of(name, {**PARAMS, **raw})
    except ConfigError as error:
        assert all(str(problem).isprintable() for problem in error.problems)
    else:
        assert set(made.params) <= set(PARAMS) | set(raw)


class Unusual(str):
    """A text that is never taken at a quick look."""


@given(st.text("/.:ab\t\x7fé${(", max_size=9) | st.just("obs://a/b"))
def test_a_quick_look_at_a_text_sees_what_a_close_one_does(text: str) -> None:
    for key in ("output_path", "config_desc", "train_instance_type"):
        assert normalise({**PARAMS, key: text}) == normalise({**PARAMS, key: Unusual(text)})


@given(
    st.dictionaries(
        st.text("a.\té${(", min_size=1, max_size=3) | st.just("(sensitive"),
        plain_values | st.text("a\x7fé${(", max_size=3) | st.just("(sensitive)"),
        max_size=3,
    )
)
def test_a_quick_look_at_labels_sees_what_a_close_one_does(labelled: dict[str, Any]) -> None:
    params, violations = normalise({**PARAMS, "hyperparameters": labelled})
    _, with_another = normalise({**PARAMS, "hyperparameters": {**labelled, "": "no label"}})
    assert violations == [it for it in with_another if "must not be empty" not in it.message]
    if not violations:
        known = {label: hyperparameter_text(labelled[label]) for label in sorted(labelled)}
        assert list(params.get("hyperparameters", {}).items()) == list(known.items())
