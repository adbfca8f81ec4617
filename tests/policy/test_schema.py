"""The editors' schema has the rules of the policies: of a job config that is written with plain
values, it says what ``validate`` says.

It is silent on purpose about what its table does not show: keys that are missing, as a default or
a template may have them; values with references or below a matrix; ``obs://`` paths, which rules
see without their scheme; booleans, and numbers below words for text, whose text a JSON number does
not keep; and ``name``, ``file``, ``environment``, ``action``, ``gpus`` and ``price_per_hour``."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
import tomli
from hypothesis import event, given
from hypothesis import strategies as st

from majobctl.policy.judge import Judge, Subject
from majobctl.policy.words import OF_TEXTS, number_or_text
from majobctl.repository.authoring.schema import SCHEMAS, job_file_schema
from majobctl.repository.authoring.schema_rules import Schema
from majobctl.repository.config import load_config
from tests.config_files import SETTINGS, write_files
from tests.config_repository import Repository
from tests.policy.corpus import ROWS, Row
from tests.policy.test_bad_policies import BAD_FILES
from tests.strategies import toml_value

TEXTS = ["a", "ab", "/ml/a/", "/ml/b/v100", "[nlp] x", "é", "modelarts.vm.gpu.v100"]
NUMBERS: list[Any] = [1, 2, 3, 8, 0.1, 1e-5, -4, 2.0]
LABELS: list[Any] = [*TEXTS, *NUMBERS, "1e-5", "0.10", "2", "1.0", True, "true"]
PATHS = ["/ml/a/", "/ml/b/", "/other/"]
_words_of_text = st.fixed_dictionaries(
    {},
    optional={
        "const": st.sampled_from(TEXTS + PATHS),
        "enum": st.lists(st.sampled_from(TEXTS + PATHS), min_size=1, max_size=3),
        "pattern": st.sampled_from(["^/ml/", "v100$", "^[a-z]+$", "a|b", "^\\[(nlp|cv)\\] ", "."]),
        "minLength": st.integers(0, 8),
        "maxLength": st.integers(0, 8),
    },
)
_words_of_number = st.fixed_dictionaries(
    {},
    optional={
        "const": st.sampled_from(NUMBERS),
        "enum": st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=3),
        **{
            word: st.sampled_from(NUMBERS)
            for word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        },
        "multipleOf": st.sampled_from([1, 2, 4]),
    },
)
_words_of_array = st.fixed_dictionaries(
    {}, optional={"minItems": st.integers(0, 3), "maxItems": st.integers(0, 3)}
)
_words_of_label = st.one_of(
    _words_of_text,
    _words_of_number,
    st.fixed_dictionaries({"const": st.sampled_from(LABELS)}),
    st.fixed_dictionaries({"enum": st.lists(st.sampled_from(LABELS), min_size=1, max_size=3)}),
)


def _negated(words: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return (
        words
        | st.builds(lambda own, other: {**own, "not": other}, words, words.filter(bool))
        | words.filter(bool).map(lambda own: {"not": own})
    )


WORDS_OF = {
    **dict.fromkeys(["train_instance_type", "config_desc", "inputs", "log_url"], _words_of_text),
    "train_instance_count": _words_of_number,
    "data_source": _words_of_array,
    "hyperparameters": st.dictionaries(
        st.sampled_from(["lr", "x.y"]), _negated(_words_of_label), min_size=1
    ),
}
conditions = st.fixed_dictionaries(
    {},
    optional={
        key: words if key == "hyperparameters" else _negated(words)
        for key, words in WORDS_OF.items()
    },
).filter(bool)
policies = st.lists(
    st.fixed_dictionaries(
        {"require": conditions},
        optional={
            "where": conditions,
            "exempt": st.lists(st.sampled_from(["a", "b*", "?b"]), max_size=2),
        },
    ),
    min_size=1,
    max_size=3,
)
_sources = st.lists(st.just({"type": "obs", "data_url": "/ml/x/"}), min_size=1, max_size=3)
_pairs = st.dictionaries(st.sampled_from(["lr", "x.y", "z"]), st.sampled_from(LABELS), max_size=3)
_labels = _pairs | _pairs.map(
    lambda found: [{"label": label, "value": value} for label, value in found.items()]
)
_common = {
    "train_instance_type": st.sampled_from(TEXTS),
    "train_instance_count": st.sampled_from([1, 2, 3, 8]),
    "output_path": st.sampled_from(PATHS),
    "model_name": st.just("m"),
}
_optional = {
    "config_desc": st.sampled_from(TEXTS),
    "log_url": st.sampled_from(PATHS),
    "hyperparameters": _labels,
}
tables = st.fixed_dictionaries(
    _common, optional={**_optional, "inputs": st.sampled_from(PATHS)}
) | st.fixed_dictionaries({**_common, "data_source": _sources}, optional=_optional)


def table_of(header: str, keys: dict[str, Any]) -> str:
    return "".join([f"[{header}]\n", *(f"{key} = {toml_value(it)}\n" for key, it in keys.items())])


def is_seen(path: tuple[str, ...], job: dict[str, Any], policy: Any) -> bool:
    """Whether the table shows the value at ``path`` as the rules see it."""
    if path[0] not in job:
        return False
    if path[0] != "hyperparameters":
        return True
    labels = job["hyperparameters"]
    if isinstance(labels, list):
        labels = {pair["label"]: pair["value"] for pair in labels}
    value = labels.get(path[1])
    conditions = [it for it in (*policy.where, *policy.require) if it.path == path]
    words = {word for it in conditions for word in (*it.words, *it.words.get("not", ()))}
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    looks_like_one = isinstance(value, str) and not isinstance(number_or_text(value), str)
    if isinstance(value, bool) or value is None or looks_like_one:
        return False
    return not (is_number and OF_TEXTS & words)


def errors_of(schema: Schema, job_text: str) -> list[Any]:
    return [*jsonschema.Draft202012Validator(schema).iter_errors(tomli.loads(job_text))]


@given(found=policies, job=tables, name=st.sampled_from(["a", "b", "bb", "ab"]))
def test_the_schema_says_what_validate_says(found: Any, job: dict[str, Any], name: str) -> None:
    text = "".join(
        table_of(f"policy.p{number}", {"because": "why", "fails": [{}], **it})
        for number, it in enumerate(found)
    )
    job_text = table_of(f"job_config.{name}", job)
    with TemporaryDirectory() as folder:
        files = {"majobctl.toml": SETTINGS, "policy.toml": text, "jobs/a.toml": job_text}
        config = load_config(write_files(Path(folder), files))
    subject = Subject(facts={"name": name}, params=config.job_configs[name].params)
    for policy in config.policies:
        errors = errors_of(job_file_schema([policy]), job_text)
        verdicts = [*Judge([policy]).verdicts(subject)]
        assert verdicts or not errors
        if all(is_seen(it.path, job, policy) for it in policy.where):
            seen = [it for it in verdicts if is_seen(it.path, job, policy)]
            event(f"broken: {bool(seen)}, with where: {bool(policy.where)}")
            assert bool(seen) == bool(errors), verdicts


@pytest.mark.parametrize("row", [it for it in ROWS if it.says and "0.01" not in it.words], ids=str)
def test_the_schema_knows_every_word(row: Row, tmp_path: Path) -> None:
    """But for what the library of check-jsonschema takes otherwise: digits beyond ASCII in a
    pattern, multiples of a fraction, and what JSON cannot write."""
    rule = f'[policy.a]\nbecause = "why"\nrequire.{row.key} = {row.words}\nfails = [{{}}]\n'
    (policy,) = load_config(write_files(tmp_path, {"policy.toml": rule})).policies
    schema = job_file_schema([policy])
    jsonschema.Draft202012Validator.check_schema(schema)
    for value in (*row.good, *row.bad, *row.no_numbers):
        if not value.isascii() or value in ("nan", "inf"):
            continue
        job_text = f"[job_config.a]\n{row.key} = {value}\n"
        errors = errors_of(schema, job_text)
        job = tomli.loads(job_text)["job_config"]["a"]
        is_right = value in row.good or not is_seen(policy.require[0].path, job, policy)
        assert bool(errors) != is_right, value


@pytest.mark.parametrize(
    "glob",
    [
        "a",
        "*",
        "?b",
        "a*b",
        "[ab]*",
        "[!a]b",
        "[]a]b",
        "[a",
        "[z-a]b",
        "[^a]b",
        "[a-]b",
        "a.b",
        "[]",
        "[!]",
        "[\\d]b",
        "(a)",
        "a|b",
        "**",
        "[a-c-e]b",
    ],
)
def test_a_glob_means_the_same_in_the_schema(glob: str, tmp_path: Path) -> None:
    rule = '[policy.a]\nbecause = "x"\nrequire.train_instance_count.maximum = 1\nfails = [{}]\n'
    files = {"policy.toml": f"{rule}exempt = ['{glob}']\n"}
    schema = job_file_schema(load_config(write_files(tmp_path, files)).policies)
    for name in ("a", "b", "ab", "bb", "zb", "-b", "1b", "a-b", "axb", "dd", "db"):
        is_exempt = not errors_of(schema, f"[job_config.{name}]\ntrain_instance_count = 2\n")
        assert is_exempt == fnmatchcase(name, glob), name


RULE = """[policy.few]
because = "shared"
where.train_instance_type.pattern = "v100$"
require.train_instance_count.maximum = 1
exempt = ["big-*"]
fails = [{ train_instance_type = "v100", train_instance_count = 2 }]
"""


@pytest.mark.parametrize(
    ("name", "kind", "count", "code"),
    [("a", "x.v100", 2, 1), ("a", "x.v100", 1, 0), ("a", "p", 2, 0), ("big-1", "x.v100", 2, 0)],
)
def test_check_jsonschema_and_validate_agree(
    on_emulator: Repository, name: str, kind: str, count: int, code: int
) -> None:
    on_emulator.remove("alpha")
    on_emulator.job(name, train_instance_type=kind, train_instance_count=count)
    on_emulator.write("policy.toml", RULE)
    on_emulator.run("validate", code=code)
    on_emulator.done("schema", "--out-dir", ".")
    for schema, file in (("jobs", f"jobs/{name}.toml"), ("policy", "policy.toml")):
        command = [str(Path(sys.executable).with_name("check-jsonschema")), "--schemafile"]
        command += [f"{schema}.schema.json", file]
        done = subprocess.run(command, cwd=on_emulator.root, capture_output=True, text=True)
        assert done.returncode == (code if schema == "jobs" else 0), done


@pytest.mark.parametrize(
    "keys",
    [
        *("", 'use = "x"'),
        "train_instance_count = 9\nname = 'x-{lr}'\n[job_config.a.matrix]\nlr = [1]",
    ],
)
def test_the_schema_is_silent_about_what_a_table_does_not_show(keys: str, tmp_path: Path) -> None:
    config = load_config(write_files(tmp_path, {"policy.toml": RULE.replace("where.", "# ")}))
    assert errors_of(job_file_schema(config.policies), f"[job_config.a]\n{keys}\n") == []
    rules = "".join(
        f'[policy.{it}]\nbecause = "x"\nrequire.{it}.const = "{text}"\nfails = [{{}}]\n'
        for it, text in (("name", "a"), ("file", "b"), ("environment", ""), ("action", "update"))
    )
    config = load_config(write_files(tmp_path, {"policy.toml": rules}))
    assert job_file_schema(config.policies) == SCHEMAS["jobs"]()


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_the_form_of_policies_refuses_what_it_can(path: Path) -> None:
    if "not valid TOML" not in path.read_text():
        errors = errors_of(SCHEMAS["policy"](), path.read_text())
        assert bool(errors) != (path.stem in ("examples", "huge_examples", "patterns", "twice"))
