"""One bad file for each rule of a job config and of the settings, and what is told of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.config_files import SETTINGS, problems_of

FOLDER = Path(__file__).parent / "bad_files"

JOB_FILES: Mapping[str, Sequence[str]] = {
    "boot_file_a_directory": [
        "9: job_config.sentiment: boot_file must be a file inside code_dir, not a directory",
    ],
    "boot_file_alone": [
        "8: job_config.sentiment: boot_file needs code_dir as well",
    ],
    "boot_file_outside": [
        '9: job_config.sentiment: boot_file must lie inside code_dir "/ml/src"',
    ],
    "code_dir_alone": [
        "8: job_config.sentiment: code_dir needs boot_file as well",
    ],
    "code_with_model_name": [
        (
            "7: job_config.sentiment: code_dir cannot be used together with model_name; keep one "
            "of them"
        ),
        (
            "8: job_config.sentiment: boot_file cannot be used together with model_name; keep one "
            "of them"
        ),
    ],
    "code_without_framework": [
        (
            "5: job_config.sentiment: code_dir needs framework_type and framework_version (or "
            "user_image_url) to run with"
        ),
    ],
    "command_without_image": [
        "7: job_config.sentiment: user_command needs user_image_url",
    ],
    "config_desc_too_long": [
        "7: job_config.sentiment: config_desc has 257 characters; at most 256 are allowed",
    ],
    "count_boolean": [
        "3: job_config.sentiment: train_instance_count must be an integer, not a boolean",
    ],
    "count_float": [
        "3: job_config.sentiment: train_instance_count must be an integer, not a float",
    ],
    "count_huge": [
        (
            "3: job_config.sentiment: train_instance_count must be less than 2147483648, not a "
            "number of more than 64 bits"
        ),
    ],
    "count_negative": [
        "3: job_config.sentiment: train_instance_count must be at least 1, not -3",
    ],
    "count_over_31_bits": [
        (
            "3: job_config.sentiment: train_instance_count must be less than 2147483648, not "
            "2147483648"
        ),
    ],
    "count_text": [
        "3: job_config.sentiment: train_instance_count must be an integer, not a string",
    ],
    "count_zero": [
        "3: job_config.sentiment: train_instance_count must be at least 1, not 0",
    ],
    "credentials": [
        (
            '1: "password" looks like a credential, and credentials never stand in TOML; set it in '
            "the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and renew it if it was "
            "committed"
        ),
        (
            '8: job_config.sentiment: "secret_key" looks like a credential, and credentials never '
            "stand in TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for "
            "example) and renew it if it was committed"
        ),
        (
            '9: job_config.sentiment: "Access-Key" looks like a credential, and credentials never '
            "stand in TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for "
            "example) and renew it if it was committed"
        ),
        (
            '10: job_config.sentiment: "OS_TOKEN" looks like a credential, and credentials never '
            "stand in TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for "
            "example) and renew it if it was committed"
        ),
    ],
    "data_source_dataset_incomplete": [
        '6: job_config.sentiment: data_source: type "dataset" needs dataset_version',
        "8: job_config.sentiment: data_source: dataset_id must be a string, not an integer",
    ],
    "data_source_dataset_with_url": [
        '10: job_config.sentiment: data_source: data_url cannot be used with type "dataset"',
    ],
    "data_source_item_no_table": [
        "6: job_config.sentiment: data_source: item 1 must be a table, not a string",
    ],
    "data_source_mixed": [
        '7: job_config.sentiment: data_source: type must be "obs" or "dataset", not "?"',
        "9: job_config.sentiment: data_source cannot mix the types obs and dataset in one array",
    ],
    "data_source_no_array": [
        "6: job_config.sentiment: data_source must be an array of tables, not a string",
    ],
    "data_source_obs_path_wrong": [
        (
            "8: job_config.sentiment: data_source: data_url must be an OBS path such as "
            '"/bucket/dir/", not "data"'
        ),
    ],
    "data_source_obs_with_dataset": [
        '9: job_config.sentiment: data_source: dataset_id cannot be used with type "obs"',
        '10: job_config.sentiment: data_source: dataset_version cannot be used with type "obs"',
    ],
    "data_source_obs_without_url": [
        '6: job_config.sentiment: data_source: type "obs" needs data_url',
    ],
    "data_source_type_missing": [
        '6: job_config.sentiment: data_source: type must be "obs" or "dataset"; it is missing',
    ],
    "data_source_type_wrong": [
        '7: job_config.sentiment: data_source: type must be "obs" or "dataset", not "OBS"',
        '9: job_config.sentiment: data_source: type must be "obs" or "dataset", not an integer',
    ],
    "data_source_unknown_key": [
        (
            '9: job_config.sentiment: data_source: unknown key "data_uri"; did you mean "data_url" '
            'or "dataset_id" or "dataset_version"?'
        ),
    ],
    "dataset_id_alone": [
        "6: job_config.sentiment: dataset_id needs dataset_version_id as well",
    ],
    "dataset_version_id_alone": [
        "6: job_config.sentiment: dataset_version_id needs dataset_id as well",
    ],
    "dataset_with_data_source": [
        (
            "6: job_config.sentiment: dataset_id cannot be used together with data_source; keep "
            "one of them"
        ),
        (
            "7: job_config.sentiment: dataset_version_id cannot be used together with data_source; "
            "keep one of them"
        ),
    ],
    "framework_type_alone": [
        "8: job_config.sentiment: framework_type needs framework_version as well",
    ],
    "framework_version_alone": [
        "8: job_config.sentiment: framework_version needs framework_type as well",
    ],
    "framework_with_model_name": [
        (
            "7: job_config.sentiment: framework_type cannot be used together with model_name; keep "
            "one of them"
        ),
        (
            "8: job_config.sentiment: framework_version cannot be used together with model_name; "
            "keep one of them"
        ),
    ],
    "framework_without_code": [
        "5: job_config.sentiment: framework_type needs code_dir and boot_file to run",
    ],
    "hyperparameter_item_broken": [
        (
            "8: job_config.sentiment: hyperparameters: item 1 must be a table with label and "
            "value, and nothing else"
        ),
        (
            "9: job_config.sentiment: hyperparameters: item 2 must be a table with label and "
            "value, and nothing else"
        ),
        (
            "10: job_config.sentiment: hyperparameters: item 3 must be a table with label and "
            "value, and nothing else"
        ),
        (
            "11: job_config.sentiment: hyperparameters: the label of item 4 must be a string, not "
            "an integer"
        ),
    ],
    "hyperparameter_items_in_one_line": [
        (
            "7: job_config.sentiment: hyperparameters: item 1 must be a table with label and "
            "value, and nothing else"
        ),
        (
            "7: job_config.sentiment: hyperparameters: item 3 must be a table with label and "
            "value, and nothing else"
        ),
        (
            "7: job_config.sentiment: hyperparameters: the label of item 4 must be a string, not "
            "an integer"
        ),
        "7: job_config.sentiment: hyperparameters: the label of item 5 must not be empty",
        "7: job_config.sentiment: hyperparameters: the label of item 6 must not be empty",
    ],
    "hyperparameter_label_empty": [
        "7: job_config.sentiment: a hyperparameter's label must not be empty",
    ],
    "hyperparameter_twice": [
        '9: job_config.sentiment: hyperparameter "lr" is there twice',
    ],
    "hyperparameter_value_broken": [
        (
            '8: job_config.sentiment: hyperparameter "layers" must be a string, an integer, a '
            "float or a boolean, not an array"
        ),
        (
            '9: job_config.sentiment: hyperparameter "start" must be a string, an integer, a float '
            "or a boolean, not a date"
        ),
        (
            '10: job_config.sentiment: hyperparameter "nested" must be a string, an integer, a '
            "float or a boolean, not a table"
        ),
        (
            '11: job_config.sentiment: hyperparameter "over" must fit in 64 bits; write it in '
            "quotes to send it as text"
        ),
        (
            '12: job_config.sentiment: hyperparameter "under" must fit in 64 bits; write it in '
            "quotes to send it as text"
        ),
    ],
    "hyperparameters_of_wrong_type": [
        (
            "7: job_config.sentiment: hyperparameters must be a table {label = value} or an array "
            "of {label, value}, not a string"
        ),
    ],
    "ignore_changes_item_of_wrong_type": [
        (
            "7: job_config.sentiment: ignore_changes must be an array of strings, keys and "
            "hyperparameters.LABEL; this is an integer"
        ),
    ],
    "ignore_changes_no_place": [
        (
            '7: job_config.sentiment: ignore_changes: "hyperparameters." is no place: write '
            "a key, or hyperparameters.LABEL"
        ),
        (
            '7: job_config.sentiment: ignore_changes: "inputs.x" is no place: write a key, '
            "or hyperparameters.LABEL"
        ),
        (
            "7: job_config.sentiment: ignore_changes: job_description is in no request, and "
            "so never changed in the service"
        ),
    ],
    "ignore_changes_of_wrong_type": [
        (
            "7: job_config.sentiment: ignore_changes must be an array of strings, keys and "
            "hyperparameters.LABEL, not a string"
        ),
    ],
    "ignore_changes_unknown_key": [
        (
            '9: job_config.sentiment: ignore_changes: "confg_desc" is no key of a job '
            'config; did you mean "config_desc"?'
        ),
        '10: job_config.sentiment: ignore_changes: "seed" is no key of a job config',
    ],
    "image_with_model_name": [
        (
            "7: job_config.sentiment: user_image_url cannot be used together with model_name; keep "
            "one of them"
        ),
    ],
    "inputs_with_data_source": [
        (
            "7: job_config.sentiment: data_source cannot be used together with inputs; keep one of "
            "them"
        ),
    ],
    "inputs_with_dataset": [
        (
            "7: job_config.sentiment: dataset_id cannot be used together with inputs; keep one of "
            "them"
        ),
        (
            "8: job_config.sentiment: dataset_version_id cannot be used together with inputs; keep "
            "one of them"
        ),
    ],
    "job_config_no_table": [
        "1: job_config: must be tables, [job_config.NAME], not an integer",
    ],
    "job_config_value": [
        "2: job_config.sentiment: must be a table, [job_config.NAME], not an integer",
        "3: job_config.vision: must be a table, [job_config.NAME], not an array",
    ],
    "job_config_without_name": [
        (
            "2: job_config.train_instance_type: a job config has a name; write [job_config.NAME] "
            "above its keys"
        ),
        (
            "3: job_config.train_instance_count: a job config has a name; write [job_config.NAME] "
            "above its keys"
        ),
        (
            "4: job_config.output_path: a job config has a name; write [job_config.NAME] above its "
            "keys"
        ),
    ],
    "job_configs_as_array": [
        "1: job_config: must be tables, [job_config.NAME], not an array",
    ],
    "keys_outside_a_table": [
        "1: train_instance_type stands outside a table; write [job_config.NAME] above it",
        "2: train_instance_count stands outside a table; write [job_config.NAME] above it",
        "3: output_path stands outside a table; write [job_config.NAME] above it",
        "4: model_name stands outside a table; write [job_config.NAME] above it",
        "5: inputs stands outside a table; write [job_config.NAME] above it",
    ],
    "matrix_combination_breaks_rule": [
        "8: job_config.sweep: train_instance_count must be at least 1, not 0",
    ],
    "matrix_combination_of_wrong_type": [
        "8: job_config.sweep: train_instance_count must be an integer, not a string",
    ],
    "matrix_key_mistyped": [
        '8: job_config.sweep: matrix: "train_instance_tpye" is no key; did you mean'
        " train_instance_type? Write the label under hyperparameters, too, if not",
        "8: job_config.sweep: matrix: use cannot vary; name a label of hyperparameters",
    ],
    "matrix_empty": [
        (
            "8: job_config.sweep: matrix must be a table of arrays, such as {lr = [0.1, 0.01], "
            "seed = [1, 2]}, not an empty one"
        ),
    ],
    "matrix_empty_array": [
        '8: job_config.sweep: matrix: "lr" must be an array of values, not an empty one',
    ],
    "matrix_item_of_wrong_type": [
        (
            '8: job_config.sweep: matrix: item 2 of "lr" must be a string, an integer of 64 bits, '
            "a float or a boolean, not an array"
        ),
        (
            '8: job_config.sweep: matrix: item 3 of "lr" must be a string, an integer of 64 bits, '
            "a float or a boolean, not a date"
        ),
        (
            '8: job_config.sweep: matrix: item 4 of "lr" must be a string, an integer of 64 bits, '
            "a float or a boolean, not an integer"
        ),
    ],
    "matrix_item_twice": [
        '8: job_config.sweep: matrix: item 3 of "lr" is there twice',
        '8: job_config.sweep: matrix: item 6 of "lr" is there twice',
    ],
    "matrix_item_with_reference": [
        '8: job_config.sweep: matrix: item 1 of "lr" cannot have a reference',
        '8: job_config.sweep: matrix: item 2 of "lr" cannot have a reference',
    ],
    "matrix_label_broken": [
        "8: job_config.sweep: a hyperparameter's label must not be empty",
        (
            '8: job_config.sweep: hyperparameter "${env.A}": a reference stands in values only, '
            "not in a label"
        ),
    ],
    "matrix_name_of_another": [
        "10: job_config.z-12: this name is already used at jobs/matrix_name_of_another.toml:8",
    ],
    "matrix_name_of_wrong_type": [
        "7: job_config.sweep: name must be a string, not an integer",
    ],
    "matrix_name_placeholder_missing": [
        '7: job_config.sweep: name must have "{seed}", for each name is there once',
    ],
    "matrix_name_placeholder_open": [
        (
            '8: job_config.sweep: "x-1-{seed": a name has 1 to 20 characters, each a letter A-Z '
            "a-z, a digit, _ or -"
        ),
        (
            '8: job_config.sweep: "x-2-{seed": a name has 1 to 20 characters, each a letter A-Z '
            "a-z, a digit, _ or -"
        ),
    ],
    "matrix_name_placeholder_unknown": [
        '7: job_config.sweep: name: "{sed}" is not in matrix; did you mean "seed"?',
        '7: job_config.sweep: name: "{}" is not in matrix',
    ],
    "matrix_name_sensitive": [
        '7: job_config.sweep: name: "{lr}" is sensitive, and names are shown everywhere',
    ],
    "matrix_name_too_long": [
        (
            '8: job_config.sweep: "twelve-chars-b-long-value": a name has 1 to 20 characters, each '
            "a letter A-Z a-z, a digit, _ or -"
        ),
    ],
    "matrix_names_alike": [
        (
            '8: job_config.sweep: "x-0_1": this name is already used at '
            "jobs/matrix_names_alike.toml:8"
        ),
    ],
    "matrix_of_arrays_of_tables": [
        "8: job_config.sweep: matrix: data_source cannot vary; name a label of hyperparameters",
        (
            "8: job_config.sweep: matrix: hyperparameters cannot vary; name a label of "
            "hyperparameters"
        ),
    ],
    "matrix_of_directive": [
        "8: job_config.sweep: matrix: prevent_delete cannot vary; name a label of hyperparameters",
    ],
    "matrix_of_values": [
        '8: job_config.sweep: matrix: "lr" must be an array of values, not a float',
        '8: job_config.sweep: matrix: "seed" must be an array of values, not a table',
    ],
    "matrix_of_wrong_type": [
        (
            "8: job_config.sweep: matrix must be a table of arrays, such as {lr = [0.1, 0.01], "
            "seed = [1, 2]}, not an array"
        ),
    ],
    "matrix_renamed_from": [
        (
            '9: job_config.sweep: renamed_from: "before" is where job_config.heir-11 comes from '
            "already"
        ),
    ],
    "matrix_too_many": [
        "8: job_config.sweep: matrix has more than 10000 combinations",
    ],
    "matrix_with_more_problems": [
        '8: job_config.sweep: matrix: "lr" must be an array of values, not an empty one',
        '9: job_config.sweep: log_url must be an OBS path such as "/bucket/dir/", not "log"',
        (
            '10: job_config.sweep: hyperparameter "layers" must be a string, an integer, a float '
            "or a boolean, not an array"
        ),
    ],
    "matrix_without_name": [
        '7: job_config.sweep: matrix needs name, such as name = "x-{lr}-{seed}"',
    ],
    "name_empty": [
        "1: job_config.: a name has 1 to 20 characters, each a letter A-Z a-z, a digit, _ or -",
    ],
    "name_hostile": [
        (
            "1: job_config.\\x1b[31m\\u202e: a name has 1 to 20 characters, each a letter A-Z a-z, "
            "a digit, _ or -"
        ),
    ],
    "name_in_other_letters": [
        (
            "1: job_config.größe: a name has 1 to 20 characters, each a letter A-Z a-z, a digit, _ "
            "or -"
        ),
    ],
    "name_too_long": [
        (
            "1: job_config.a-name-of-21-letters-: a name has 1 to 20 characters, each a letter A-Z "
            "a-z, a digit, _ or -"
        ),
    ],
    "name_twice_in_one_file": [
        "8:1: not valid TOML: job_config.sentiment is there twice, first in line 1",
    ],
    "name_with_space": [
        (
            "1: job_config.my job: a name has 1 to 20 characters, each a letter A-Z a-z, a digit, "
            "_ or -"
        ),
    ],
    "name_without_matrix": [
        (
            "7: job_config.sentiment: name goes with matrix only: the table's name is the job "
            "config's name"
        ),
        '8: job_config.sentiment: log_url must be an OBS path such as "/bucket/dir/", not "log"',
    ],
    "no_algorithm": [
        (
            "1: job_config.sentiment: no algorithm: set model_name, or code_dir, boot_file, "
            "framework_type and framework_version, or user_image_url"
        ),
    ],
    "obs_path_bucket_only": [
        '6: job_config.sentiment: inputs must be an OBS path such as "/bucket/dir/", not "/ml"',
    ],
    "obs_path_control_character": [
        ('6: job_config.sentiment: inputs must not have a control character: "/ml/da\\u001bta/"'),
    ],
    "obs_path_empty_part": [
        '6: job_config.sentiment: inputs must not have an empty part (//): "/ml//data/"',
    ],
    "obs_path_of_wrong_type": [
        "7: job_config.sentiment: log_url must be a string, not a date",
    ],
    "obs_path_other_scheme": [
        (
            '6: job_config.sentiment: inputs must be an OBS path such as "/bucket/dir/", not '
            '"s3://ml/data/"'
        ),
    ],
    "obs_path_parent": [
        '6: job_config.sentiment: inputs must not have a ".." part: "/ml/data/../../other/"',
    ],
    "obs_path_relative": [
        (
            '6: job_config.sentiment: inputs must be an OBS path such as "/bucket/dir/", not '
            '"ml/data/"'
        ),
    ],
    "obs_path_without_bucket": [
        (
            '6: job_config.sentiment: inputs must be an OBS path such as "/bucket/dir/", not '
            '"obs:///data/"'
        ),
    ],
    "prevent_delete_of_wrong_type": [
        "7: job_config.sentiment: prevent_delete must be true or false, not a string",
    ],
    "reference_bare": [
        (
            '7: job_config.sentiment: "${HOME}" is no reference: write ${env.NAME}, ${var.NAME}, '
            "or $${ for a literal ${"
        ),
        (
            '8: job_config.sentiment: "${env}" is no reference: write ${env.NAME}, ${var.NAME}, or '
            "$${ for a literal ${"
        ),
        (
            '8: job_config.sentiment: "${}" is no reference: write ${env.NAME}, ${var.NAME}, or '
            "$${ for a literal ${"
        ),
    ],
    "reference_in_label": [
        (
            '7: job_config.sentiment: hyperparameter "${env.A}": '
            "a reference stands in values only, not in a label"
        ),
        (
            '7: job_config.sentiment: hyperparameter "${env.B}": '
            "a reference stands in values only, not in a label"
        ),
    ],
    "reference_to_variable": [
        (
            '7: job_config.sentiment: "${var.bucket}": no variable "bucket"; declare it in '
            "[variables] of the settings"
        ),
        (
            '8: job_config.sentiment: "${matrix.lr}": no matrix with "lr"; it stands where a '
            "matrix has this key"
        ),
        (
            '8: job_config.sentiment: "${var.a${var.b}": no variable "a${var.b"; declare it in '
            "[variables] of the settings"
        ),
        (
            '8: job_config.sentiment: "${var.}": no variable ""; declare it in [variables] of the '
            "settings"
        ),
    ],
    "reference_unclosed": [
        (
            '7: job_config.sentiment: "${env.HOME/" has no closing }: write ${env.NAME}, '
            "${var.NAME}, or $${ for a literal ${"
        ),
    ],
    "reference_unset": [
        (
            "7: job_config.sentiment: the environment variable MAJOBCTL_TEST_UNSET is not set; set "
            "it, or leave out the key"
        ),
    ],
    "renamed_from_its_own_name": [
        "7: job_config.itself: renamed_from: that is its own name",
    ],
    "renamed_from_no_name": [
        (
            "7: job_config.sentiment: renamed_from: a name has 1 to 20 characters, each a "
            "letter A-Z a-z, a digit, _ or -"
        ),
    ],
    "renamed_from_of_wrong_type": [
        "7: job_config.sentiment: renamed_from must be a string, not an array",
    ],
    "renamed_from_still_there": [
        '14: job_config.new-one: renamed_from: "old-one" is still there; take it out, or this line',
    ],
    "renamed_from_twice": [
        (
            '15: job_config.second-new: renamed_from: "bygone" is where job_config.first-new '
            "comes from already"
        ),
    ],
    "required_key_empty": [
        "4: job_config.sentiment: output_path must not be empty",
    ],
    "required_keys_missing": [
        "1: job_config.sentiment: output_path is missing",
        "1: job_config.sentiment: train_instance_count is missing",
        "1: job_config.sentiment: train_instance_type is missing",
    ],
    "sensitive_item_of_wrong_type": [
        (
            "7: job_config.sentiment: sensitive must be an array of strings, keys and labels; this "
            "is an integer"
        ),
    ],
    "sensitive_of_wrong_type": [
        (
            "7: job_config.sentiment: sensitive must be an array of strings, keys and labels, not "
            "a string"
        ),
    ],
    "sensitive_unknown_name": [
        (
            '8: job_config.sentiment: "apikey" is no key and no label of this job config; did you '
            'mean "api_key"?'
        ),
    ],
    "settings_in_job_file": [
        "8: [provider] belongs in majobctl.toml",
    ],
    "table_without_job_config": [
        '1: unknown table "sentiment"; write [job_config.sentiment]',
    ],
    "template_and_job_config_exclude": [
        (
            "11: job_config.sentiment: dataset_id cannot be used together with inputs; keep one of "
            "them (dataset_id comes from jobs/template_and_job_config_exclude.toml:2; `dataset_id "
            '= ""` here leaves it out)'
        ),
        (
            "11: job_config.sentiment: dataset_version_id cannot be used together with inputs; "
            "keep one of them (dataset_version_id comes from "
            'jobs/template_and_job_config_exclude.toml:3; `dataset_version_id = ""` here leaves it '
            "out)"
        ),
    ],
    "template_no_table": [
        "2: templates.base: must be a table, [templates.NAME], not an integer",
    ],
    "template_with_bad_name": [
        (
            "1: templates.my base: a name has 1 to 20 characters, each a letter A-Z a-z, a digit, "
            "_ or -"
        ),
    ],
    "template_with_keys_of_job_configs": [
        "2: templates.base: use stands in a job config only",
        "3: templates.base: name stands in a job config only",
        "4: templates.base: matrix stands in a job config only",
        "5: templates.base: renamed_from stands in a job config only",
    ],
    "template_with_matrix_reference": [
        (
            '4: job_config.sentiment: "${matrix.lr}": no matrix with "lr"; it stands where a '
            "matrix has this key (log_url comes from jobs/template_with_matrix_reference.toml:2; "
            '`log_url = ""` here leaves it out)'
        ),
        (
            '4: job_config.sentiment: "${matrix.root}": no matrix with "root"; it stands where a '
            "matrix has this key (log_url comes from jobs/template_with_matrix_reference.toml:2; "
            '`log_url = ""` here leaves it out)'
        ),
    ],
    "template_with_wrong_values": [
        '2: templates.faulty: log_url must be an OBS path such as "/bucket/dir/", not "log"',
        (
            '3: templates.faulty: unknown key "train_instance_cuont"; did you mean '
            '"train_instance_count" or "train_instance_type"?'
        ),
        (
            '4: templates.faulty: "secret_key" looks like a credential, and credentials never '
            "stand in TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for "
            "example) and renew it if it was committed"
        ),
        (
            '5: templates.faulty: ignore_changes: "confg_desc" is no key of a job config; did you '
            'mean "config_desc"?'
        ),
        (
            "6: templates.faulty: sensitive must be an array of strings, keys and labels, not an "
            "integer"
        ),
        (
            '7: templates.faulty: "${var.region}": no variable "region"; declare it in [variables] '
            "of the settings"
        ),
        (
            '9: templates.faulty: hyperparameter "lr" must be a string, an integer, a float or a '
            "boolean, not an array"
        ),
    ],
    "templates_no_table": [
        "1: templates: must be tables, [templates.NAME], not an integer",
    ],
    "text_as_empty_array": [
        "7: job_config.sentiment: job_description must be a string, not an array",
    ],
    "text_of_wrong_type": [
        "2: job_config.sentiment: train_instance_type must be a string, not an integer",
    ],
    "toml_control_character": [
        "7:3: not valid TOML: Found invalid character '\\x07'",
    ],
    "toml_huge_integer": [
        (
            "8: not valid TOML: an integer must fit in 64 bits; write it in quotes if it is meant "
            "as text"
        ),
    ],
    "toml_key_below_value": [
        "7:13: not valid TOML: a key or table of this line is there already in another form",
    ],
    "toml_key_twice": [
        "8:1: not valid TOML: job_config.sentiment.inputs is there twice, first in line 6",
    ],
    "toml_no_value": [
        "7:10: not valid TOML: Invalid value",
    ],
    "toml_too_deep": [
        "8: not valid TOML: arrays, tables or keys are nested too deeply",
    ],
    "toml_unclosed_text": [
        "7:20: not valid TOML: this text is not closed in its line",
    ],
    "unknown_keys": [
        (
            '7: job_config.sentiment: unknown key "train_instance_cuont"; did you mean '
            '"train_instance_count" or "train_instance_type"?'
        ),
        '8: job_config.sentiment: unknown key "\\u001b[31m\\u202e\\u0007"',
        '9: job_config.sentiment: unknown key "wholly_strange"',
    ],
    "unknown_table": [
        '1: unknown table "jobconfig"; did you mean "job_config"?',
        '4: unknown table "strange"',
    ],
    "use_of_wrong_type": [
        "7: job_config.sentiment: use must be a template's name, not an integer",
    ],
    "use_unknown": [
        '7: job_config.sentiment: use: no template "resnet-comon"; did you mean "resnet-common"?',
        '8: job_config.sentiment: log_url must be an OBS path such as "/bucket/dir/", not "log"',
        (
            '19: job_config.second: use: no template "\\u001b[2J"; write [templates."\\u001b[2J"] '
            "in a job file"
        ),
    ],
}

SETTINGS_FILES: Mapping[str, Sequence[str]] = {
    "address_broken": [
        "2: provider: endpoint must be an address such as https://modelarts.example.com",
        "3: provider: iam_endpoint must be an address such as https://modelarts.example.com",
    ],
    "address_with_password": [
        "2: provider: endpoint must not hold a user or a password",
        "3: provider: iam_endpoint must not hold a user or a password",
    ],
    "address_with_query": [
        "2: provider: endpoint must not have a query (?) or a fragment (#)",
    ],
    "address_with_space": [
        "2: provider: endpoint must have ASCII characters only, and no space",
    ],
    "address_without_scheme": [
        (
            "2: provider: endpoint must be an address that starts with https://, not "
            '"modelarts.example.com"'
        ),
    ],
    "array_with_wrong_item": [
        "4: jobs: files must be an array of strings, not one with an integer",
    ],
    "auth_unknown": [
        (
            '3: provider: auth must be one of "aksk", "password", "token", not "ak/sk"; did you '
            'mean "aksk"?'
        ),
    ],
    "backend_unknown": [
        '4: state: backend must be one of "local", not "s3"',
    ],
    "control_characters": [
        "3: provider: project_id must not have a control character",
        "6: state: path must not have a control character",
        "9: jobs: files must not have a control character",
    ],
    "credential_at_the_top": [
        (
            '1: "secret_key" looks like a credential, and credentials never stand in TOML; set it '
            "in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and renew it if it "
            "was committed"
        ),
    ],
    "credential_in_defaults": [
        (
            '4: defaults: "token" looks like a credential, and credentials never stand in TOML; '
            "set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and renew it "
            "if it was committed"
        ),
    ],
    "credentials_in_provider": [
        (
            '3: provider: "access_key" looks like a credential, and credentials never stand in '
            "TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and "
            "renew it if it was committed"
        ),
        (
            '4: provider: "OS_PASSWORD" looks like a credential, and credentials never stand in '
            "TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and "
            "renew it if it was committed"
        ),
        (
            '5: provider: "authToken" looks like a credential, and credentials never stand in '
            "TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and "
            "renew it if it was committed"
        ),
    ],
    "default_of_wrong_type": [
        "5: defaults: log_url must be a string, not an integer",
        "6: defaults: train_instance_count must be at least 1, not 0",
        (
            '9: defaults: hyperparameter "layers" must be a string, an integer, a float or a '
            "boolean, not an array"
        ),
    ],
    "default_reference": [
        (
            '5: defaults: "${HOME}" is no reference: write ${env.NAME}, ${var.NAME}, or $${ for a '
            "literal ${"
        ),
        '6: defaults: "${var.bukcet}": no variable "bukcet"; did you mean "bucket"?',
    ],
    "default_unknown": [
        '5: defaults: unknown key "log_ulr"; did you mean "log_url"?',
    ],
    "directives_in_defaults": [
        (
            '4: defaults: ignore_changes: "confg_desc" is no key of a job config; did you '
            'mean "config_desc"?'
        ),
        "5: defaults: prevent_delete must be true or false, not an integer",
        "6: defaults: sensitive must be an array of strings, keys and labels, not a string",
    ],
    "environment_breaks_address": [
        (
            "5: provider: endpoint must start with https://: plain http goes to a loopback address "
            'only, not to "modelarts.example.com"'
        ),
        '6: provider: seed needs kind = "emulator"',
    ],
    "environment_in_environment": [
        "7: environments cannot stand in an environment",
    ],
    "environment_no_table": [
        "5: environments: must be a table, [environments.NAME], not a string",
    ],
    "environment_of_wrong_types": [
        "5: provider: retries must be an integer, not a string",
        "6: state: path must be a string, not an integer",
        "7: jobs must be a table, not a string",
        "8: variables: bucket must be a string, an integer, a float or a boolean",
        '9: drift: ignore: "seed" is no key of a job config',
        "12: variables must be a table, not an integer",
        "13: state must be a table, not an integer",
    ],
    "environment_with_bad_name": [
        "4: environments: an environment's name has 1 to 40 letters, digits, _ or -",
        "5: environments: an environment's name has 1 to 40 letters, digits, _ or -",
    ],
    "environment_with_unknown_keys": [
        '5: provider: unknown key "regoin"; did you mean "region"?',
        '8: apply: unknown key "paralelism"; did you mean "parallelism"?',
        "11: provider: timeout must be a number, not a string",
    ],
    "environment_with_unknown_tables": [
        '5: unknown table "providr"; did you mean "provider"?',
        "6: project_id belongs in [provider]",
        (
            '7: "secret_key" looks like a credential, and credentials never stand in TOML; set it '
            "in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and renew it if it "
            "was committed"
        ),
        "9: templates stand in files of their own, such as jobs/NAME.toml",
        "11: job configs stand in files of their own, such as jobs/NAME.toml",
    ],
    "environment_without_region": [
        (
            '1: provider: region is missing; set it (such as "eu-de"), or endpoint, or choose an '
            "environment: -e prod"
        ),
        '4: provider: region is missing; set it (such as "eu-de"), or endpoint',
    ],
    "environments_no_tables": [
        "1: must be tables, [environments.NAME], not an array",
    ],
    "ignore_item_of_wrong_type": [
        "4: drift: ignore must be an array of strings, not one with a boolean",
    ],
    "ignore_misspelt": [
        '4: drift: unknown key "ignored"; did you mean "ignore"?',
    ],
    "ignore_no_place": [
        '6: drift: ignore: "seed" is no key of a job config',
        '7: drift: ignore: "log_url.x" is no place: write a key, or hyperparameters.LABEL',
        "8: drift: ignore: job_description is in no request, and so never changed in the service",
    ],
    "ignore_of_wrong_type": [
        "4: drift: ignore must be an array of strings, not a string",
    ],
    "job_config_in_settings": [
        "4: job configs stand in files of their own, such as jobs/NAME.toml",
    ],
    "keys_in_wrong_tables": [
        "1: region belongs in [provider]",
        "2: log_url belongs in [defaults] or in a job config",
        "6: provider: parallelism belongs in [apply]",
        "7: provider: output_path belongs in [defaults] or in a job config",
    ],
    "kind_unknown": [
        (
            '2: provider: kind must be one of "modelarts", "sdk", "emulator", not "emulater"; did '
            'you mean "emulator"?'
        ),
    ],
    "number_too_long": [
        "3: provider: retries must be from 0 to 100, not a number of more than 64 bits",
    ],
    "out_of_range": [
        "3: provider: retries must be from 0 to 100, not -1",
        "4: provider: timeout must be from 0 to 1000000, not inf",
        "7: apply: parallelism must be from 1 to 1000, not 0",
        "8: apply: max_change_percent must be from 0 to 100, not 101",
    ],
    "path_empty": [
        "4: state: path must not be empty",
    ],
    "plain_http": [
        (
            "2: provider: endpoint must start with https://: plain http goes to a loopback address "
            'only, not to "modelarts.example.com"'
        ),
        (
            "3: provider: iam_endpoint must start with https://: plain http goes to a loopback "
            'address only, not to "iam.example.com"'
        ),
    ],
    "project_broken": [
        (
            "3: provider: project_id must be a project's id (1 to 64 letters, digits, _ and -), "
            'not "a/b?c"'
        ),
    ],
    "project_of_dots": [
        (
            "3: provider: project_id must be a project's id (1 to 64 letters, digits, _ and -), "
            'not ".."'
        ),
    ],
    "provider_no_table": [
        "1: provider must be a table, not a string",
    ],
    "reference_outside_job_configs": [
        (
            "3: provider: project_id: a reference stands in job configs and [defaults] only; write "
            "the value here"
        ),
        (
            "6: state: path: a reference stands in job configs and [defaults] only; write the "
            "value here"
        ),
    ],
    "region_broken": [
        '2: provider: region must be a name such as "eu-de", not "https://modelarts"',
    ],
    "region_missing": [
        '1: provider: region is missing; set it (such as "eu-de"), or endpoint',
    ],
    "region_of_wrong_type": [
        "2: provider: region must be a string, not an integer",
    ],
    "renamed_from_in_defaults": [
        "4: defaults: renamed_from stands in a job config only",
    ],
    "seed_without_emulator": [
        '3: provider: seed needs kind = "emulator"',
    ],
    "state_beside_another": [
        "5: environments.prod.state: path is the state of the settings without an environment,"
        " too; give each a state of its own",
    ],
    "reference_in_an_array": [
        "5: jobs: files: a reference stands in job configs and [defaults] only; write the value"
        " here",
    ],
    "state_shared_by_environments": [
        (
            '8: environments.prod.state: path is the state of the environment "dev", too; give '
            "each a state of its own"
        ),
        (
            "11: environments.test.state: path is the state of the settings without an "
            "environment, too; give each a state of its own"
        ),
    ],
    "state_shared_with_default": [
        (
            "7: environments.prod.state: path is the state of the settings without an environment, "
            "too; give each a state of its own"
        ),
    ],
    "tables_no_tables": [
        "4: state must be a table, not an array",
        "7: defaults must be a table, not an array",
    ],
    "timeout_no_number": [
        "3: provider: timeout must be from 0 to 1000000, not nan",
    ],
    "timeout_zero": [
        "3: provider: timeout must be more than 0",
    ],
    "toml_broken": [
        "3:11: not valid TOML: Invalid value",
    ],
    "unknown_keys": [
        '3: provider: unknown key "regoin"; did you mean "region"?',
        '4: provider: unknown key "\\u202e"',
        '7: apply: unknown key "paralelism"; did you mean "parallelism"?',
    ],
    "unknown_tables": [
        '1: unknown table "providr"; did you mean "provider"?',
        '1: provider: region is missing; set it (such as "eu-de"), or endpoint',
        '4: unknown table "strange"; did you mean "state"?',
        '6: unknown table "\\u001b[2J"',
    ],
    "variable_like_a_credential": [
        (
            '5: variables: "secret_key" looks like a credential, and credentials never stand in '
            "TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and "
            "renew it if it was committed"
        ),
        (
            '6: variables: "api-token" looks like a credential, and credentials never stand in '
            "TOML; set it in the environment (OS_ACCESS_KEY and OS_SECRET_KEY, for example) and "
            "renew it if it was committed"
        ),
    ],
    "variable_with_bad_name": [
        (
            '5: variables: "my bucket" cannot be a variable\'s name: a letter or _, then letters, '
            "digits, _ and -"
        ),
        (
            '6: variables: "5th" cannot be a variable\'s name: a letter or _, then letters, '
            "digits, _ and -"
        ),
        (
            '7: variables: "\\u001b[2J" cannot be a variable\'s name: a letter or _, then '
            "letters, digits, _ and -"
        ),
    ],
    "variable_with_control_character": [
        "5: variables: bucket must not have a control character",
    ],
    "variable_with_reference": [
        (
            "5: variables: bucket: a variable's value cannot have a reference; write it in the job "
            "config"
        ),
        (
            "6: variables: other: a variable's value cannot have a reference; write it in the job "
            "config"
        ),
    ],
    "variables_no_table": [
        "1: variables must be a table, not an integer",
    ],
    "variables_of_wrong_type": [
        "5: variables: buckets must be a string, an integer, a float or a boolean",
        "6: variables: more must be a string, an integer, a float or a boolean",
        "7: variables: since must be a string, an integer, a float or a boolean",
        "8: variables: long must fit in 64 bits",
    ],
    "wrong_types": [
        "3: provider: project_id must be a string, not an integer",
        "4: provider: retries must be an integer, not a float",
        "5: provider: timeout must be a number, not a string",
        "8: jobs: files must be an array of strings, not a string",
        "11: apply: create_missing must be true or false, not an integer",
        "12: apply: parallelism must be an integer, not a boolean",
        "15: state: path must be a string, not an array",
    ],
}


@pytest.mark.parametrize("name", JOB_FILES)
def test_a_bad_job_file_is_told_with_every_place_and_what_to_do(name: str, tmp_path: Path) -> None:
    file = f"jobs/{name}.toml"
    found = problems_of(tmp_path, {file: (FOLDER / f"{name}.toml").read_bytes()})
    assert found == [f"{file}:{line}" for line in JOB_FILES[name]]


@pytest.mark.parametrize("name", SETTINGS_FILES)
def test_bad_settings_are_told_with_every_place_and_what_to_do(name: str, tmp_path: Path) -> None:
    content = (FOLDER / "settings" / f"{name}.toml").read_bytes()
    found = problems_of(tmp_path, {"majobctl.toml": content})
    assert found == [f"majobctl.toml:{line}" for line in SETTINGS_FILES[name]]


def test_every_bad_file_is_in_a_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(JOB_FILES)
    assert {path.stem for path in (FOLDER / "settings").glob("*.toml")} == set(SETTINGS_FILES)


def test_all_bad_job_files_in_one_run_tell_what_each_tells_alone(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"jobs/{name}.toml": (FOLDER / f"{name}.toml").read_bytes() for name in JOB_FILES
    }
    alone = {f"jobs/{name}.toml:{line}" for name in JOB_FILES for line in JOB_FILES[name]}
    found = problems_of(tmp_path, files)
    told_again = [line for line in found if "already used at" in line and line not in alone]
    assert [line for line in found if line not in told_again] == sorted(alone, key=found.index)
    assert told_again


def test_no_problem_shows_a_character_that_a_terminal_acts_on(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        f"jobs/{name}.toml": (FOLDER / f"{name}.toml").read_bytes() for name in JOB_FILES
    }
    assert all(line.isprintable() for line in problems_of(tmp_path, files))


def test_the_settings_of_these_tests_are_good(tmp_path: Path) -> None:
    found = problems_of(tmp_path, {"majobctl.toml": SETTINGS, "jobs/a.toml": "x"})
    assert len(found) == 1
