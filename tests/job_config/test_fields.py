"""The table of keys against the mission's document, and the rules between keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain, combinations
from typing import Any

import pytest

from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS, Kind, name_violation
from majobctl.job_config.rules import RULES, Excludes, broken_rules
from majobctl.job_config.secrets import secret_key_message
from majobctl.job_config.values import is_blank
from majobctl.job_config.violations import Violation

TABLE_1 = {
    "train_instance_count": "worker_server_num",
    "code_dir": "app_url",
    "boot_file": "boot_file_url",
    "model_name": "model_id",
    "output_path": "train_url",
    "hyperparameters": "parameter",
    "log_url": "log_url",
    "train_instance_type": "spec_id",
    "framework_type": "engine_id",
    "framework_version": "engine_id",
    "job_description": None,
    "user_image_url": "user_image_url",
    "user_command": "user_command",
}
TABLE_2 = {
    "config_desc": "config_desc",
    "inputs": "data_url",
    "dataset_id": "dataset_id",
    "dataset_version_id": "dataset_version_id",
    "data_source": "data_source",
}
OF_REST = {"pool_id": "pool_id"}

CODE = {"code_dir": "/b/src/", "boot_file": "/b/src/train.py"}
FRAMEWORK = {"framework_type": "PyTorch", "framework_version": "PyTorch-1.0.0-python3.6"}
IMAGE = {"user_image_url": "registry.example/ml:1.0"}
MODEL = {"model_name": "ResNet_v2_50"}


def told(params: Mapping[str, Any]) -> list[str]:
    return [fault.text() for rule in RULES for fault in rule.violations(params)]


def test_the_keys_are_those_of_tables_1_and_2_with_their_rest_names() -> None:
    assert {name: field.rest for name, field in FIELDS.items()} == TABLE_1 | TABLE_2 | OF_REST
    assert {name for name, field in FIELDS.items() if field.of_update} == set(TABLE_2)


def test_the_keys_of_a_data_source_are_those_of_table_3() -> None:
    assert DATA_SOURCE_KEYS == {"obs": ("data_url",), "dataset": ("dataset_id", "dataset_version")}


def test_what_the_tables_call_mandatory_is_required() -> None:
    required = {name for name, field in FIELDS.items() if field.required}
    assert required == {"train_instance_type", "train_instance_count", "output_path"}


def test_each_key_has_its_type_and_says_what_it_is() -> None:
    kinds = {kind: [name for name in FIELDS if FIELDS[name].kind is kind] for kind in Kind}
    assert kinds[Kind.COUNT] == ["train_instance_count"]
    assert kinds[Kind.OBS_PATH] == ["output_path", "code_dir", "boot_file", "log_url", "inputs"]
    assert kinds[Kind.HYPERPARAMETERS] == ["hyperparameters"]
    assert kinds[Kind.DATA_SOURCE] == ["data_source"]
    assert all(name == field.name and field.help for name, field in FIELDS.items())
    assert [name for name, field in FIELDS.items() if field.max_length] == ["config_desc"]


@pytest.mark.parametrize(
    "params",
    [
        MODEL,
        CODE | FRAMEWORK,
        IMAGE,
        IMAGE | CODE,
        IMAGE | CODE | FRAMEWORK,
        IMAGE | {"user_command": "bash run.sh"},
        MODEL | {"inputs": "/b/"},
        MODEL | {"dataset_id": "d", "dataset_version_id": "v"},
        MODEL | {"data_source": [{"type": "obs", "data_url": "/b/"}]},
    ],
)
def test_one_algorithm_and_at_most_one_source_of_data_break_no_rule(
    params: Mapping[str, Any],
) -> None:
    assert told(params) == []


@pytest.mark.parametrize("params", [{}, {"inputs": "/b/"}])
def test_no_algorithm_at_all_is_told_with_the_three_ways(params: Mapping[str, Any]) -> None:
    (message,) = [line for line in told(params) if line.startswith("no algorithm")]
    for key in ("model_name", *CODE, *FRAMEWORK, *IMAGE):
        assert key in message


@pytest.mark.parametrize(
    ("directory", "file", "is_inside"),
    [
        ("/b/src/", "/b/src/train.py", True),
        ("/b/src", "/b/src/train.py", True),
        ("/b/src/", "/b/src/deep/er/train.py", True),
        ("/b/", "/b/train.py", True),
        ("/b/src/", "/b/src2/train.py", False),
        ("/b/src", "/b/src2/train.py", False),
        ("/b/src/", "/b/src", False),
        ("/b/src/", "/c/src/train.py", False),
        ("/b/src/", "/b/Src/train.py", False),
    ],
)
def test_the_boot_file_lies_inside_the_code_directory(
    directory: str, file: str, is_inside: bool
) -> None:
    found = told(FRAMEWORK | {"code_dir": directory, "boot_file": file})
    message = f'boot_file must be inside code_dir "{directory}"'
    assert found == ([] if is_inside else [message])


def test_a_boot_file_that_names_a_directory_is_told() -> None:
    found = told(FRAMEWORK | {"code_dir": "/b/src/", "boot_file": "/b/src/sub/"})
    assert found == ["boot_file must be a file inside code_dir, not a directory"]


@pytest.mark.parametrize("wrong", ["code_dir", "boot_file"])
def test_a_wrong_path_is_not_told_twice(wrong: str) -> None:
    assert told(FRAMEWORK | CODE | {wrong: None}) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if isinstance(rule, Excludes)])
def test_keys_that_exclude_each_other_are_told_at_each_one(rule: Excludes) -> None:
    for other in rule.others:
        (fault,) = rule.violations({rule.key: None, other: None})
        assert fault.path == (other,)
        assert fault.with_key == rule.key
    assert list(rule.violations({rule.key: None})) == []
    assert list(rule.violations(dict.fromkeys(rule.others))) == []


def test_no_two_hints_contradict_each_other_whatever_keys_are_set() -> None:
    keys = list(dict.fromkeys(key for rule in RULES for key in re.findall("`(.*?)`", rule.text)))
    assert len(keys) == 11
    for chosen in chain.from_iterable(combinations(keys, size) for size in range(len(keys) + 1)):
        found = broken_rules(dict.fromkeys(chosen))
        excluding = {it for it in found if "cannot be used" in it.message}
        for hint in set(found) - excluding:
            at_one_place = [it.text() for it in excluding if hint.path in (it.path, (it.with_key,))]
            assert not at_one_place, (chosen, hint.text())
            after = broken_rules(dict.fromkeys((*chosen, *filter(None, [hint.with_key]))))
            assert {it for it in after if "cannot be used" in it.message} == excluding


@pytest.mark.parametrize(
    ("params", "messages"),
    [
        (MODEL | {"boot_file": "/b/x.py"}, ["boot_file cannot be used together with model_name"]),
        (MODEL | {"user_command": "x"}, ["user_command cannot be used together with model_name"]),
        ({"user_command": "x"}, ["user_command needs user_image_url"]),
        (CODE | {"user_command": "x"}, ["user_command needs user_image_url"]),
        (MODEL | {"dataset_id": "d", "inputs": "/b/"}, ["dataset_id cannot be used together with"]),
        (
            MODEL | CODE | {"code_dir": "/other/"},
            [f"{key} cannot be used together with model_name" for key in CODE],
        ),
    ],
)
def test_one_hint_is_left_of_two_that_contradict_each_other(
    params: Mapping[str, Any], messages: list[str]
) -> None:
    found = [it.text() for it in broken_rules(params)]
    assert len(found) == len(messages)
    assert all(text.startswith(start) for text, start in zip(found, messages, strict=True))


def test_every_rule_says_in_words_what_it_asks_and_names_its_keys() -> None:
    for rule in RULES:
        assert rule.text.endswith(".")
        for fault in rule.violations(dict.fromkeys(FIELDS, None)):
            assert f"`{fault.path[0]}`" in rule.text


@pytest.mark.parametrize("value", [None, "", [], (), {}])
def test_blank_values_mean_that_a_key_is_not_set(value: object) -> None:
    assert is_blank(value)


@pytest.mark.parametrize("value", [0, 0.0, False, " ", [""], {"": ""}])
def test_other_values_are_not_blank(value: object) -> None:
    assert not is_blank(value)


@pytest.mark.parametrize("name", ["a", "-", "_", "0", "My_job-1", "x" * 20])
def test_a_name_has_1_to_20_letters_digits_underscores_and_hyphens(name: str) -> None:
    assert name_violation(name, 20) is None


@pytest.mark.parametrize("name", ["", "x" * 65, "a b", "a.b", "é", "a\n", "a/b", "٣", None, 5])
def test_any_other_name_is_refused(name: object) -> None:
    fault = name_violation(name, 20)
    assert fault is not None
    assert fault.text().endswith("1 to 20 characters, each a letter A-Z a-z, a digit, _ or -")


@pytest.mark.parametrize("length", [21, 63, 64])
def test_a_longer_name_needs_the_setting(length: int) -> None:
    name = "x" * length
    fault = name_violation(name, length - 1)
    assert fault is not None
    assert fault.text().endswith(f"; jobs.max_name_length = {length} allows it")
    assert name_violation(name, length) is name_violation(name) is None


@pytest.mark.parametrize(
    "key",
    [
        *("secret_key", "password", "access_key", "token", "SECRET_KEY", "secretKey", "secret-key"),
        *("OS_PASSWORD", "os_token", "HW_SECRET_KEY", "security_token", "api_key", "ak", "SK"),
    ],
)
def test_a_key_that_looks_like_a_credential_is_told_where_those_belong(key: str) -> None:
    message = secret_key_message(key)
    assert message is not None
    assert message.startswith(f'"{key}" looks like a credential')
    assert "environment" in message


@pytest.mark.parametrize("key", [*FIELDS, "tokens_per_batch", "task", "disk", "secretary", "auth"])
def test_other_keys_do_not_look_like_credentials(key: str) -> None:
    assert secret_key_message(key) is None


def test_a_fault_shows_its_value_only_to_readers_who_may_see_it() -> None:
    fault = Violation(("a",), "a must be b, not", value="geheim\x1b", value_path=("c",), hint="(d)")
    assert fault.text() == 'a must be b, not "geheim\\u001b" (d)'
    assert fault.text(lambda path: path == ("c",)) == "a must be b, not (sensitive) (d)"
    assert fault.text(lambda path: path == ("a",)) == 'a must be b, not "geheim\\u001b" (d)'
