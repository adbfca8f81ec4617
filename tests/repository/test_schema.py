"""The schemas: what majobctl takes they take, and what they can tell to be wrong they refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
import tomli
from hypothesis import assume, given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.directives import DIRECTIVES
from majobctl.job_config.fields import DATA_SOURCE_KEYS, FIELDS
from majobctl.plan.document import dumps
from majobctl.repository.authoring.policy_schema import definitions_of_policies
from majobctl.repository.authoring.schema import SCHEMAS, file_name
from majobctl.repository.config import load_config
from majobctl.repository.settings.keys import SETTINGS as SETTINGS_TABLE
from tests.config_files import JOB, SETTINGS, write_files
from tests.strategies import invalid_params, names, plain_values, toml_of, toml_value, valid_params

ROOT = Path(__file__).resolve().parents[2]
BAD_FILES = ROOT / "tests" / "repository" / "bad_files"
VALIDATORS = {kind: jsonschema.Draft202012Validator(make()) for kind, make in SCHEMAS.items()}

# What no schema can say (to JSON Schema, 1.0 is an integer), or what another table may still fix.
UNSAID = {
    "jobs": """
    boot_file_a_directory boot_file_alone boot_file_outside code_dir_alone
    code_without_framework command_without_image count_float dataset_id_alone
    dataset_version_id_alone framework_type_alone framework_version_alone framework_without_code
    hyperparameter_twice matrix_item_twice matrix_key_mistyped matrix_name_of_another
    matrix_name_placeholder_missing matrix_name_placeholder_unknown matrix_name_sensitive
    matrix_name_too_long matrix_names_alike matrix_renamed_from matrix_too_many name_too_long
    matrix_placeholder_in_path no_algorithm reference_bare reference_to_variable reference_unclosed
    renamed_from_its_own_name renamed_from_still_there renamed_from_twice required_keys_missing
    sensitive_unknown_name template_and_job_config_exclude template_with_matrix_reference
    environment_unknown matrix_renamed_from_unknown unset_beside_own_key unset_unknown_label
    """,
    "settings": """
    address_broken address_with_password address_with_query address_with_space
    address_without_scheme answers_without_emulator
    default_reference environment_breaks_address
    environment_without_region plain_http project_broken project_of_dots reference_in_an_array
    region_broken region_missing seed_missing seed_without_emulator state_addresses
    state_beside_another state_in_a_foreign_place state_shared_by_environments
    state_shared_by_shared_backends state_shared_with_default state_without_place timeout_no_number
    variable_like_a_credential
    """,
}


def faults(kind: str, text: str) -> list[str]:
    found = VALIDATORS[kind].iter_errors(tomli.loads(text))
    return [f"{'.'.join(map(str, error.path))}: {error.message}" for error in found]


def job_faults(keys: str) -> list[str]:
    """What is wrong with a job config that has these keys."""
    return faults("jobs", f"[job_config.a]\n{keys}\n")


@pytest.mark.parametrize("kind", SCHEMAS)
def test_a_schema_is_valid_itself(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[kind]())


@pytest.mark.parametrize("kind", SCHEMAS)
def test_the_documented_schema_is_up_to_date(kind: str) -> None:
    written = (ROOT / "docs" / "schema" / file_name(kind)).read_text(encoding="utf-8")
    assert written == dumps(SCHEMAS[kind]()), "run: majobctl schema --out-dir docs/schema"


def descriptions(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("description"), str):
            yield schema["description"]
        for below in schema.values():
            yield from descriptions(below)
    elif isinstance(schema, list):
        for item in schema:
            yield from descriptions(item)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_descriptions_are_plain_text(kind: str) -> None:
    assert not [text for text in descriptions(SCHEMAS[kind]()) if "`" in text or "\n" in text]


def test_every_key_is_described() -> None:
    job_config = SCHEMAS["jobs"]()["$defs"]["job_config"]["properties"]
    assert job_config.keys() == {"use", "matrix", "name", *FIELDS, *DIRECTIVES}
    assert all(schema["description"] for schema in job_config.values())
    tables = SCHEMAS["settings"]()["$defs"]
    own = tables.keys() - definitions_of_policies({}).keys()
    assert own == {*SETTINGS_TABLE, "defaults", "variables"}
    for name, table in SETTINGS_TABLE.items():
        assert tables[name]["properties"].keys() == table.keys()


EXAMPLES = ROOT / "examples"
TEMPLATES = ROOT / "majobctl" / "cli" / "templates"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(("jobs", path) for path in sorted(EXAMPLES.rglob("jobs/**/*.toml"))),
        ("jobs", TEMPLATES / "example.toml"),
        *(("settings", path) for path in sorted(EXAMPLES.rglob("majobctl.toml"))),
        ("settings", TEMPLATES / "majobctl.toml"),
    ],
    ids=lambda value: value.relative_to(ROOT).as_posix() if isinstance(value, Path) else value,
)
def test_an_example_is_accepted(kind: str, path: Path) -> None:
    assert faults(kind, path.read_text(encoding="utf-8")) == []


def bad_files(folder: Path) -> list[Path]:
    """Those that are TOML, but for one with a number that Python does not print."""
    files = sorted(folder.glob("*.toml"))
    return [path for path in files if path.stem != "number_too_long" and is_toml(path)]


def is_toml(path: Path) -> bool:
    try:
        tomli.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        *(("jobs", path) for path in bad_files(BAD_FILES)),
        *(("settings", path) for path in bad_files(BAD_FILES / "settings")),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else value,
)
def test_a_bad_file_is_refused(kind: str, path: Path) -> None:
    is_refused = bool(faults(kind, path.read_text(encoding="utf-8")))
    assert is_refused != (path.stem in UNSAID[kind].split())


@pytest.mark.parametrize(
    "keys",
    [
        "train_instance_typ = 'x'",
        "secret_key = 'x'",
        "train_instance_count = '2'",
        "train_instance_count = 1.5",
        "train_instance_count = 0",
        "train_instance_count = 2147483648",
        "train_instance_count = ''",
        "train_instance_count = '${var.n}0'",
        "output_path = ''",
        "output_path = 'b/x/'",
        "output_path = '/b'",
        "output_path = '/b//x/'",
        "output_path = '/b/../x/'",
        "output_path = '/b/..'",
        "output_path = 's3://b/x/'",
        'output_path = "/b/x\\n/"',
        "log_url = ['/b/']",
        f"config_desc = '{'x' * 257}'",
        "code_dir = '/b/'\nboot_file = ''",
        "code_dir = ''\nboot_file = '/b/a.py'",
        "framework_type = 'x'\nframework_version = ''",
        "user_command = 'x'\nuser_image_url = ''",
        "model_name = 'x'\ncode_dir = '/b/x/'",
        "model_name = '${env.A}-x'\nuser_image_url = 'x${env.B}'",
        "inputs = '/b/x/'\ndataset_id = 'd'",
        "inputs = '/b/x/'\ndata_source = [{type = 'obs', data_url = '/b/x/'}]",
        "data_source = [{type = 'obs', data_url = '/b/x/'}]\ndataset_version_id = 'v'",
        "data_source = [{type = 'obs'}]",
        "data_source = [{type = 'obs', data_url = ''}]",
        "data_source = [{type = 'obs', data_url = 'b'}]",
        "data_source = [{type = 'obs', data_url = '/b/x/', dataset_id = 'd'}]",
        "data_source = [{type = 'dataset', dataset_id = 'd'}]",
        "data_source = [{type = 'swift', data_url = '/b/x/'}]",
        "data_source = [{data_url = '/b/x/'}]",
        "data_source = [{type = 'obs', data_url = '/b/x/', more = 'x'}]",
        "data_source = [{type = 'obs', data_url = '/b/x/'},"
        " {type = 'dataset', dataset_id = 'd', dataset_version = 'v'}]",
        "data_source = {type = 'obs'}",
        "hyperparameters = {lr = [0.1]}",
        "hyperparameters = {lr = 1979-05-27}",
        "hyperparameters = {'' = 1}",
        "hyperparameters = {'${env.A}' = 1}",
        "hyperparameters = [{label = 'lr'}]",
        "hyperparameters = [{label = 'lr', value = 1, more = 1}]",
        "hyperparameters = [{label = '', value = 1}]",
        "hyperparameters = 'lr'",
        "sensitive = 'lr'",
        "sensitive = [1]",
        "ignore_changes = ['nonsense']",
        "ignore_changes = ['job_description']",
        "ignore_changes = ['hyperparameters.']",
        "prevent_delete = 'yes'",
        "renamed_from = 'a b'",
        "renamed_from = 'a-{lr}'",
        "renamed_from = 'a-{lr'\nname = 'x'\nmatrix = {lr = [1]}",
        "unset = 'lr'",
        "unset = ['']",
        "unset = [1]",
        "environments = 'prod'",
        "environments = []",
        "environments = [1]",
        "train_instance_count = 'x${var.n}'",
        "train_instance_count = '${env.N}'",
        "hyperparameters = {unset = 1}",
        "hyperparameters = {environments = 1}",
        "name = 'x'\nmatrix = {unset = [1]}",
        "use = 1",
        "name = 'x-{lr}'",
        "matrix = {lr = [1, 2]}",
        "name = 'x'\nmatrix = {}",
        "name = 'x'\nmatrix = {lr = []}",
        "name = 'x'\nmatrix = {lr = 1}",
        "name = 'x'\nmatrix = {lr = [[1]]}",
        "name = 'x'\nmatrix = {hyperparameters = [1]}",
        "name = 'x'\nmatrix = {prevent_delete = [true]}",
        "name = 'x'\nmatrix = {'' = [1]}",
        "name = 'x'\nmatrix = {lr = ['${env.A}']}",
        "name = 'x'\nmatrix = {train_instance_count = [0]}",
        "name = 'x'\nmatrix = {train_instance_count = ['1']}",
        "name = 1\nmatrix = {lr = [1]}",
        "name = 'x y'\nmatrix = {lr = [1]}",
        "name = 'x-{lr'\nmatrix = {lr = [1]}",
    ],
)
def test_one_thing_wrong_is_refused(keys: str) -> None:
    assert job_faults(keys)


@pytest.mark.parametrize(
    "keys",
    [
        "",
        "code_dir = '/b/x/'",
        "boot_file = '/b/x/a.py'",
        "model_name = ''\ncode_dir = '/b/x/'",
        "model_name = '${env.A}'\ncode_dir = '/b/x/'",
        "model_name = 'x'\ncode_dir = '${env.A}'",
        "inputs = ''\ndataset_id = 'd'\ndata_source = []",
        "data_source = ''\nhyperparameters = ''\nlog_url = ''",
        "output_path = '${var.bucket}out/'",
        "output_path = '${env.SCHEME}//b/x/'",
        "output_path = 'obs://b/x/'",
        "output_path = '/b/.../..x/x../.'",
        f"config_desc = '${{env.A}}{'x' * 257}'",
        f"config_desc = '{'ü' * 256}'",
        "data_source = [{type = '${env.A}', dataset_id = 'd', dataset_version = 'v'}]",
        "data_source = [{type = 'obs', data_url = '/b/x/', dataset_id = ''}]",
        "hyperparameters = {lr = 1e-5, on = true, n = 3, s = 'x', big = inf}",
        "hyperparameters = [{label = 'lr', value = '1'}]",
        "ignore_changes = ['hyperparameters.a b', 'hyperparameters', 'log_url']",
        "renamed_from = ''",
        "renamed_from = 'a-{lr}'\nname = 'x-{lr}'\nmatrix = {lr = [1]}",
        "unset = ['log_url', 'a b', 'hyperparameters.inputs']",
        "environments = ['', 'prod']",
        "train_instance_count = '${var.n}'",
        "train_instance_count = '${matrix.n}'",
        "use = 'x'",
        "name = 'x-{lr}'\nmatrix = {lr = [1, 2.0, true, 'x']}",
        "name = 'x-{n}'\nmatrix = {output_path = ['/b/x/']}\noutput_path = ''",
    ],
)
def test_what_another_table_may_make_good_is_accepted(keys: str) -> None:
    assert job_faults(keys) == []


def test_the_name_of_a_table_with_a_matrix_is_free() -> None:
    label = "[job_config.'any label, however long it is']\n"
    matrix = "name = 'x-{lr}'\nmatrix = {lr = [1, 2]}\n"
    assert faults("jobs", label + matrix) == []
    assert faults("jobs", label)
    assert faults("jobs", label + matrix + "nonsense = 1")


def test_a_template_has_the_keys_of_a_job_config_but_for_some() -> None:
    assert faults("jobs", "[templates.a]\nmodel_name = 'x'\ncode_dir = '/b/x/'\nlog_url = ''") == []
    for wrong in ("use = 'b'", "name = 'b'", "matrix = {lr = [1]}", "renamed_from = 'b'", "x = 1"):
        assert faults("jobs", f"[templates.a]\n{wrong}")
    assert faults("jobs", "[templates.'a b']")


@pytest.mark.parametrize(
    "text",
    [
        "[defaults]\nrenamed_from = 'a'",
        "[defaults]\nunset = ['a']",
        "[defaults]\nenvironments = ['a']",
        "[defaults]\nname = 'a'",
        "[defaults]\nnonsense = 1",
        "[defaults.hyperparameters]\nlr = []",
        "[variables]\na = []",
        "[variables]\n'a b' = 1",
        "[variables]\na = '${env.A}'",
        '[variables]\na = "\\u0007"',
        "[environments.'a b']",
        "[environments]\nprod = 1",
        "[environments.prod]\nnonsense = 1",
        "[environments.prod.state]\nnonsense = 1",
        "[environments.prod.environments.more]",
        "[environments.prod]\nprovider.timeout = 0",
        "[drift]\nignore = ['nonsense']",
        "[apply]\nparallelism = 0",
        "[apply]\nparallelism = 1001",
        "[apply]\ncreate_missing = 1",
        "[jobs]\nfiles = 'jobs/*.toml'",
        "[provider]\nkind = 'cloud'",
        "[state]\npath = ''",
        "[job_config.a]",
    ],
)
def test_one_thing_wrong_in_the_settings_is_refused(text: str) -> None:
    assert faults("settings", text)


def test_settings_with_everything_are_accepted() -> None:
    text = """
    [provider]
    kind = "modelarts"
    region = "eu-de"
    timeout = 2.5
    [defaults]
    log_url = "${var.bucket}log/"
    train_instance_count = ""
    model_name = "x"
    code_dir = "/b/x/"
    sensitive = ["token"]
    [defaults.hyperparameters]
    lr = 1e-5
    [variables]
    bucket = "/b/"
    with-dash = 1.5
    [drift]
    ignore = ["hyperparameters.seed"]
    [environments.prod]
    provider.project_id = "p"
    variables.bucket = "/prod/"
    defaults.log_url = ""
    apply.max_change_percent = 20
    """
    assert faults("settings", text) == []


Table = dict[str, Any]
_BLANKS: st.SearchStrategy[Any] = st.sampled_from(["", [], {}])
_REFERENCES = st.sampled_from(
    ["${env.BLANK}", "${env.PATH_}", "${env.PATH_}x/", "$${x}", "/b/${env.WORD}/", "${env.WORD}"]
)
_DIRECTIVES = st.fixed_dictionaries(
    {},
    optional={
        "sensitive": st.lists(st.sampled_from([*FIELDS]), max_size=2),
        "ignore_changes": st.lists(st.sampled_from(["log_url", "hyperparameters.a"]), max_size=2),
        "prevent_delete": st.booleans(),
        "renamed_from": st.sampled_from(["", "before", "before-{lr}-{log_url}"]),
        "environments": st.sampled_from([[""], ["", "prod"]]),
    },
)
_OTHER_KEYS = st.dictionaries(
    st.sampled_from([*FIELDS]), st.one_of(_BLANKS, _REFERENCES, plain_values), max_size=2
)

_VARIABLE = FIELDS.keys() - {"hyperparameters", "data_source"}


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Table, Table, Table]:
    """[defaults], templates and job configs, often valid: values in any of the three tables,
    blank ones and references among them."""
    params = draw(valid_params)
    below = {key: params.pop(key) for key in draw(st.sets(st.sampled_from(sorted(params))))}
    defaults, template = (below, {}) if draw(st.booleans()) else ({}, below)
    own = {**params, **draw(_DIRECTIVES), **draw(_OTHER_KEYS)}
    defaults |= draw(_OTHER_KEYS)
    if unwanted := draw(st.lists(st.sampled_from([*FIELDS, "x"]), max_size=2)):
        own["unset"] = unwanted
    if draw(st.booleans()):
        own["train_instance_count"] = "${var.n}"
    sources = own.get("data_source")
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and draw(st.booleans()):
            known = [key for keys in DATA_SOURCE_KEYS.values() for key in keys]
            source.setdefault(draw(st.sampled_from(known)), "")
    if template:
        own["use"] = "t"
    if draw(st.booleans()):
        # A value that the matrix replaces is read by nobody: the schema alone refuses a wrong one.
        own.pop("log_url", None)
        others = draw(valid_params)
        varied = {key: [others[key]] for key in _VARIABLE & others.keys() - own.keys()}
        matrix = {"lr": [0.1, 1], "log_url": ["/b/x/", ""], **varied}
        own |= {"name": "a-{lr}-{log_url}", "matrix": matrix}
    return defaults, {"t": template}, {draw(names): own}


@given(repositories())
def test_whatever_majobctl_takes_is_accepted(tables: tuple[Table, Table, Table]) -> None:
    defaults, templates, job_configs = tables
    lines = [f"{toml_value(key)} = {toml_value(value)}\n" for key, value in defaults.items()]
    settings = f"{SETTINGS}[variables]\nn = 2\n[defaults]\n{''.join(lines)}[environments.prod]\n"
    jobs = toml_of(job_configs)
    jobs += toml_of(templates).replace("[job_config.", "[templates.")
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as environment:
        for name, value in (("BLANK", ""), ("PATH_", "/b/x/"), ("WORD", "obs")):
            environment.setenv(name, value)
        root = write_files(Path(folder), {"majobctl.toml": settings, "jobs/a.toml": jobs})
        try:
            load_config(root)
        except ConfigError:
            assume(False)
    assert faults("jobs", jobs) == []
    assert faults("settings", settings) == []


@given(invalid_params)
def test_what_is_wrong_in_itself_is_refused(params: Table) -> None:
    needs_more = all(key in params for key in ("train_instance_type", "output_path"))
    assume(needs_more and params.keys() & {"code_dir", "model_name", "user_image_url"})
    assume(not ("dataset_id" in params and "dataset_version_id" not in params))
    assert faults("jobs", toml_of({"a": params}))


def test_the_text_is_ascii_and_json() -> None:
    for make in SCHEMAS.values():
        text = dumps(make())
        assert text.isascii()
        assert json.loads(text) == make()


def test_the_sample_of_the_tests_is_accepted() -> None:
    assert faults("jobs", JOB) == []
