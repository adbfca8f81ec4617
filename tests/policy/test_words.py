"""Every word of a rule, in ``require`` and in ``where``, as one ``validate`` of one repository."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from majobctl.plan.change import Action
from majobctl.policy.judge import Judge, Subject
from majobctl.policy.words import ACTIONS, KEYS, NOT, WORDS, Type
from majobctl.repository.authoring.schema import SCHEMAS
from majobctl.repository.config import load_config
from tests.config_files import SETTINGS, write_files
from tests.config_repository import COMMAND
from tests.policy.corpus import ARRAY, COUNT, LABEL, ROWS, TEXT, Row

SHORT = 'output_path is "/ml/output/"; policy {} allows at most 1 character: why'


class Case(NamedTuple):
    """A job config, and what ``validate`` says of it, if anything; ``{}`` is the policy."""

    name: str
    keys: str
    says: str = ""


def shown(row: Row, value: str) -> str:
    if row.key == ARRAY:
        count = value.count("type")
        return f"has {count} item{'s' * (count != 1)}"
    text = f'"{value}"' if row.key == LABEL and value[0] != '"' else value
    return f"is {text}"


def cases_of(number: int, row: Row) -> Iterator[Case]:
    """For ``require``, with ``optional`` and without, and for ``where``."""
    key, secret = row.key, f'sensitive = ["{row.key.removeprefix("hyperparameters.")}"]'
    told = [(value, row.says) for value in row.bad]
    told += [(value, "wants a number") for value in row.no_numbers]
    for index, value in enumerate(row.good):
        yield Case(f"r{number}-good{index}", f"{key} = {value}")
        yield Case(f"w{number}-good{index}", f"{key} = {value}", SHORT)
    for index, (value, says) in enumerate(told):
        wrong = f"{key} {shown(row, value)}; policy {{}} {says}: why"
        yield Case(f"r{number}-bad{index}", f"{key} = {value}", wrong)
        yield Case(f"o{number}-bad{index}", f"{key} = {value}", wrong)
        yield Case(f"w{number}-bad{index}", f"{key} = {value}")
    if key != COUNT:
        yield Case(f"r{number}-missing", "", f"{key} is missing; policy {{}} requires it: why")
        yield Case(f"o{number}-missing", "")
        yield Case(f"w{number}-missing", "")
    unseen = f"{key} is sensitive; policy {{}} cannot check its value: why"
    of_secret = f"{key} = {row.good[0]}\n{secret}"
    yield Case(f"r{number}-secret", of_secret, unseen if row.says else "")
    yield Case(f"w{number}-secret", of_secret, SHORT)


def example(name: str, key: str, value: str) -> str:
    own = f", {key} = {value}" if value else ""
    return f'{{ name = "{name}", output_path = "/b/x/"{own} }}'


def policies_of(number: int, row: Row) -> str:
    optional = f"{row.words[:-1]}, optional = true }}".replace("{,", "{")
    bad = row.bad[0] if row.bad else ""
    rules = ""
    for kind, words in (("r", row.words), ("o", optional)):
        if bad or kind == "r":
            rules += f'[policy.{kind}{number}]\nbecause = "why"\n'
            rules += f'where.name.pattern = "^{kind}{number}-"\nrequire.{row.key} = {words}\n'
            rules += f"fails = [{example(f'{kind}{number}-', row.key, bad)}]\n"
    rules += f'[policy.w{number}]\nbecause = "why"\nwhere.name.pattern = "^w{number}-"\n'
    rules += f"where.{row.key} = {row.words}\nrequire.output_path.maxLength = 1\n"
    return rules + f"fails = [{example(f'w{number}-', row.key, row.good[0])}]\n"


CASES = {case.name: case for number, row in enumerate(ROWS) for case in cases_of(number, row)}
POLICIES = "".join(policies_of(number, row) for number, row in enumerate(ROWS))
BASE = {"train_instance_type": '"p100"', "train_instance_count": "1", "model_name": '"m"'}


def job_file() -> str:
    text = ""
    for case in CASES.values():
        base = {key: value for key, value in BASE.items() if f"{key} =" not in case.keys}
        keys = "".join(f"{key} = {value}\n" for key, value in base.items())
        text += f'[job_config.{case.name}]\noutput_path = "/ml/output/"\n{keys}{case.keys}\n'
    return text


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {"policy.toml": POLICIES, "jobs/all.toml": job_file()}
    return write_files(tmp_path_factory.mktemp("corpus"), {"majobctl.toml": SETTINGS, **files})


@pytest.fixture(scope="module")
def found(root: Path) -> dict[str, list[str]]:
    """The problems of each job config, each with its line in the file and without its file."""
    command = [*COMMAND, "validate", "--format", "json"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    by_name = defaultdict(list)
    lines = (root / "jobs" / "all.toml").read_text().splitlines()
    for problem in json.loads(done.stdout)["problems"]:
        assert problem["file"] == "jobs/all.toml", problem
        key = problem["message"].split()[0]
        line = lines[problem["line"] - 1]
        header = f"[{problem['where']}]"
        assert line == header if " is missing;" in problem["message"] else line.startswith(key)
        by_name[problem["where"].removeprefix("job_config.")].append(problem["message"])
    return by_name


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_word_says_what_it_says_in_json_schema(case: Case, found: dict[str, list[str]]) -> None:
    policy = case.name.split("-")[0]
    line = POLICIES.split("\n").index(f"[policy.{policy}]") + 1 if case.says else 0
    place = f"{policy} (policy.toml:{line})"
    expected = [case.says.replace("{}", place, 1) if "{}" in case.says else case.says]
    assert found.get(case.name, []) == (expected if case.says else [])


def test_a_rule_that_is_missing_is_noticed_by_its_own_example_and_no_other(root: Path) -> None:
    config = load_config(root)
    policies = [it for it in config.policies if it.name[0] == "r" and f"{it.name}-bad0" in CASES]
    names = [f"{it.name}-bad0" for it in policies]
    examples = [Subject(facts={"name": it}, params=config.job_configs[it].params) for it in names]
    assert len(names) == sum(bool(row.bad) for row in ROWS)
    for left_out in (None, *policies):
        judge = Judge(it for it in policies if it is not left_out)
        broken = {it.name for it in examples if [*judge.verdicts(it)]}
        assert {*names} - broken == ({f"{left_out.name}-bad0"} if left_out else set())


def test_the_words_that_the_corpus_has_are_all_words() -> None:
    for kind, key in (
        (Type.TEXT, TEXT),
        (Type.NUMBER, COUNT),
        (Type.ARRAY, ARRAY),
        (Type.LABEL, LABEL),
    ):
        rows = [row.words for row in ROWS if row.key == key]
        for word, it in WORDS.items():
            assert (kind in it.fits) == any(f"{{ {word} =" in words for words in rows), word
    assert all(f"{NOT} = {{ {word}" in POLICIES for word in WORDS)


def test_the_actions_are_those_of_a_plan() -> None:
    assert {*ACTIONS} == {action.value for action in Action}


def test_the_form_of_a_policy_has_every_key_and_word() -> None:
    defined = SCHEMAS["policy"]()["$defs"]
    keys = defined["conditions"]["properties"]
    assert keys.keys() == {*KEYS, "hyperparameters"}
    of_label = keys["hyperparameters"]["additionalProperties"]
    for kind, form in (*((KEYS[key], keys[key]) for key in KEYS), (Type.LABEL, of_label)):
        words = defined[form["$ref"].rpartition("/")[2]]["properties"]
        fitting = {word for word, it in WORDS.items() if kind in it.fits}
        assert words.keys() == {*fitting, "not", "optional"}
        assert words["not"]["properties"].keys() == fitting
