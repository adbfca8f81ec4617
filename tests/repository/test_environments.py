"""Environments: tables laid over the others, their lines, their states."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError, MajobctlError
from majobctl.operations.context import target_of
from majobctl.repository.config import load_config
from majobctl.repository.settings.environments import OverlaidFile, laid_over
from majobctl.repository.settings.settings import Settings, read_settings
from majobctl.repository.settings.variables import Overrides
from majobctl.repository.toml.file import TomlFile
from tests.config_files import PARAMS, SETTINGS, loaded, write_files
from tests.strategies import plain_values, toml_value

TEXT = """\
[provider]
region = "eu-de"
project_id = "dev-project"

[state]
path = "states/base.json"

[variables]
bucket = "ml-dev"

[defaults]
log_url = "/ml/log/"
hyperparameters = { lr = 0.1 }

[environments.prod]
provider.project_id = "prod-project"
variables.bucket = "ml-prod"
defaults.hyperparameters.epochs = 10

[environments.test.apply]
parallelism = 3
"""


def chosen(root: Path, text: str, name: str) -> Settings:
    settings, problems = read_settings(write_files(root, {"majobctl.toml": text}), Overrides(name))
    assert not problems
    return settings


@pytest.mark.parametrize(
    ("line", "where", "problem"),
    [
        ("defaults.hyperparameters.log_url", "defaults", "log_url is a key of [defaults], not a"),
        ("variables.max_change_percent", "variables", "max_change_percent belongs in [apply]; a"),
        ("apply.prevent_delete", "apply", "prevent_delete belongs in [defaults] or in a job"),
    ],
)
def test_a_key_of_another_table_is_found_in_an_environment(
    line: str, where: str, problem: str, tmp_path: Path
) -> None:
    text = f"{SETTINGS}[environments.prod]\n{line} = 1\n"
    write_files(tmp_path, {"majobctl.toml": text})
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path, Overrides("prod"))
    assert str(raised.value).startswith(f"majobctl.toml:4: {where}: {problem}")


def told(root: Path, text: str, name: str = "") -> list[str]:
    write_files(root, {"majobctl.toml": text})
    return [str(problem) for problem in read_settings(root, Overrides(name))[1]]


def test_an_environment_is_laid_over_the_others_key_by_key(tmp_path: Path) -> None:
    base, prod = chosen(tmp_path, TEXT, ""), chosen(tmp_path, TEXT, "prod")
    assert (base.environment, prod.environment) == ("", "prod")
    assert target_of(base).project_id == "dev-project"
    assert target_of(prod).project_id == "prod-project"
    assert target_of(prod).endpoint == target_of(base).endpoint
    assert base.variables["bucket"].text == "ml-dev"
    assert prod.variables["bucket"].text == "ml-prod"
    assert prod.variables["bucket"].origin == "majobctl.toml:17"
    assert base.defaults == {"log_url": "/ml/log/", "hyperparameters": {"lr": 0.1}}
    assert prod.defaults["hyperparameters"] == {"lr": 0.1, "epochs": 10}
    assert (base.parallelism, chosen(tmp_path, TEXT, "test").parallelism) == (10, 3)


def test_each_environment_has_a_state_of_its_own_beside_the_others(tmp_path: Path) -> None:
    paths = [chosen(tmp_path, TEXT, name).state_path for name in ("", "prod", "test")]
    assert paths == [
        tmp_path / "states" / name for name in ("base.json", "prod.state.json", "test.state.json")
    ]
    text = TEXT + '[environments.last]\nstate.path = "elsewhere.json"\n'
    assert chosen(tmp_path, text, "last").state_path == tmp_path / "elsewhere.json"


def test_without_a_path_of_its_own_a_state_stands_in_the_root(tmp_path: Path) -> None:
    text = f"{SETTINGS}[environments.prod]\n"
    assert chosen(tmp_path, text, "prod").state_path == tmp_path / "prod.state.json"
    assert chosen(tmp_path, text, "").state_path == tmp_path / "majobctl.state.json"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (TEXT, "prd", 'no environment "prd"; did you mean "prod"?'),
        (TEXT, "x", 'no environment "x"; the settings have "prod", "test"'),
        (SETTINGS, "prod", 'no environment "prod": majobctl.toml has no [environments.NAME] table'),
        (TEXT, "\x1b[2J", 'no environment "\\u001b[2J"; the settings have "prod", "test"'),
    ],
)
def test_an_environment_that_is_not_there_is_told_with_those_that_are(
    text: str, name: str, message: str, tmp_path: Path
) -> None:
    write_files(tmp_path, {"majobctl.toml": text})
    with pytest.raises(MajobctlError) as raised:
        read_settings(tmp_path, Overrides(name))
    assert str(raised.value) == message


def test_one_that_is_no_table_is_told_as_that_when_it_is_chosen(tmp_path: Path) -> None:
    write_files(tmp_path, {"majobctl.toml": f"{SETTINGS}[environments]\nprod = 1\n"})
    with pytest.raises(ConfigError) as raised:
        read_settings(tmp_path, Overrides("prod"))
    assert str(raised.value) == (
        "majobctl.toml:4: environments: must be a table, [environments.NAME], not an integer"
    )


def test_what_is_wrong_in_one_environment_is_told_in_all_of_them(tmp_path: Path) -> None:
    text = TEXT.replace("parallelism = 3", "parallelism = 0")
    expected = ["majobctl.toml:21: apply: parallelism must be from 1 to 1000, not 0"]
    assert told(tmp_path, text) == told(tmp_path, text, "prod") == expected
    assert told(tmp_path, text, "test") == expected


def test_what_is_wrong_below_all_is_told_once(tmp_path: Path) -> None:
    text = TEXT.replace('region = "eu-de"', "region = 5")
    for name in ("", "prod", "test"):
        assert told(tmp_path, text, name) == [
            "majobctl.toml:2: provider: region must be a string, not an integer"
        ]


def test_what_only_the_environments_say_need_not_stand_below_them(tmp_path: Path) -> None:
    text = '[environments.dev.provider]\nregion = "eu-de"\n'
    assert told(tmp_path, text, "dev") == []
    assert told(tmp_path, text) == [
        'majobctl.toml:1: provider: region is missing; set it (such as "eu-de"), or endpoint, or'
        " choose an environment: -e dev"
    ]
    hostile = '[environments."\\u001b[2J".provider]\nregion = "eu-de"\n'
    assert all(line.isprintable() for line in told(tmp_path, hostile))


def test_a_job_config_is_told_with_the_place_of_an_environments_default(tmp_path: Path) -> None:
    text = f'{SETTINGS}[environments.prod]\ndefaults.dataset_id = "d"\n'
    write_files(tmp_path, {"majobctl.toml": text, "jobs/a.toml": f"[job_config.a]\n{PARAMS}"})
    assert list(loaded(tmp_path, {"majobctl.toml": text}).job_configs) == ["a"]
    with pytest.raises(ConfigError) as raised:
        load_config(tmp_path, Overrides("prod"))
    assert [str(problem) for problem in raised.value.problems] == [
        "jobs/a.toml:6: job_config.a: dataset_id cannot be used together with inputs; keep one of"
        ' them (dataset_id comes from majobctl.toml:4; `dataset_id = ""` here leaves it out)',
    ]


def test_a_line_is_that_of_the_key_that_counts() -> None:
    file = OverlaidFile(TomlFile.parse(TEXT.encode(), "majobctl.toml"), "prod")
    lines = {
        ("provider", "project_id"): 16,
        ("provider", "region"): 2,
        ("provider", "seed"): 16,
        ("state", "path"): 6,
        ("defaults", "hyperparameters", "epochs"): 18,
        ("defaults", "hyperparameters", "lr"): 13,
        ("defaults", "log_url"): 12,
        ("drift", "ignore", 3): 15,
        ("environments", "prod"): 15,
    }
    assert {path: file.line_of(path) for path in lines} == lines
    assert "environments" not in file.data


def test_the_line_of_an_items_is_that_of_the_array_that_counts() -> None:
    text = "a.b = [\n1,\n2]\nc = [\n3]\n[environments.x]\na.b = [\n8,\n\n9]\n"
    file = OverlaidFile(TomlFile.parse(text.encode(), "f"), "x")
    assert [file.line_of(("a", "b", 1)), file.line_of(("c", 0))] == [10, 5]


_tables = st.dictionaries(
    st.sampled_from(["a", "b", "c"]),
    st.recursive(
        plain_values,
        lambda inner: st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2),
        max_leaves=4,
    ),
    max_size=3,
)


def edited(base: Any, above: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` once every value of ``above`` is typed over what stands at its path."""
    result: dict[str, Any] = deepcopy(base)

    def leaves(table: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for key, value in table.items():
            at, place = result, (*path, key)
            for part in path:
                at = at[part]
            if not isinstance(value, Mapping):
                at[key] = value
            elif value or not isinstance(at.get(key), dict):
                if not isinstance(at.get(key), dict):
                    at[key] = {}
                leaves(value, place)

    leaves(above, ())
    return result


@given(_tables, _tables)
def test_laying_over_is_editing_by_hand(below: dict[str, Any], above: dict[str, Any]) -> None:
    before = deepcopy((below, above))
    assert laid_over(below, above) == edited(below, above)
    assert (below, above) == before


_settings = st.fixed_dictionaries(
    {},
    optional={
        "provider": st.fixed_dictionaries(
            {"region": st.sampled_from(["eu-de", "eu-nl"])},
            optional={
                "project_id": st.sampled_from(["p", "q"]),
                "retries": st.integers(0, 9),
                "timeout": st.sampled_from([1, 2.5]),
            },
        ),
        "jobs": st.fixed_dictionaries({"files": st.lists(st.sampled_from("ab"), min_size=1)}),
        "apply": st.fixed_dictionaries(
            {}, optional={"parallelism": st.integers(1, 9), "create_missing": st.booleans()}
        ),
        "drift": st.fixed_dictionaries({"ignore": st.lists(st.sampled_from(["inputs"]))}),
        "defaults": st.fixed_dictionaries(
            {},
            optional={
                "log_url": st.just("/ml/log/"),
                "sensitive": st.lists(st.sampled_from(["a", "b"])),
                "hyperparameters": st.dictionaries(st.sampled_from("abc"), st.integers()),
            },
        ),
        "variables": st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    },
)


def settings_text(tables: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in tables.items())


@given(_settings, _settings)
def test_settings_with_an_environment_are_those_edited_by_hand(
    base: dict[str, Any], above: dict[str, Any]
) -> None:
    base = {"provider": {"region": "eu-de"}, **base, "state": {"path": "one.json"}}
    above = {**above, "state": {"path": "two.json"}}
    with TemporaryDirectory() as folder:
        root = Path(folder)
        chosen_ = chosen(root, settings_text({**base, "environments": {"prod": above}}), "prod")
        by_hand = chosen(root, settings_text(edited(base, above)), "")
    assert chosen_.values == by_hand.values
    sides = [tables.get("defaults", {}) for tables in (above, base)]
    secret = [name for side in sides for name in side.get("sensitive", ())]
    expected = {**by_hand.defaults, **({"sensitive": secret} if secret else {})}
    assert {**chosen_.defaults, **({"sensitive": secret} if secret else {})} == expected
    # What one side keeps secret stays so.
    assert list(chosen_.defaults.get("sensitive", [])) == secret
    assert chosen_.references == by_hand.references
    assert chosen_.ignored == by_hand.ignored


@given(st.dictionaries(st.sampled_from(["prod", "dev"]), plain_values | _settings))
def test_any_environments_are_read_or_told_with_lines(tables: dict[str, Any]) -> None:
    provider = {"region": "eu-de"}
    text = settings_text({"provider": provider, "environments": tables})
    with TemporaryDirectory() as folder:
        write_files(Path(folder), {"majobctl.toml": text})
        _, problems = read_settings(Path(folder))
    for problem in problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert str(problem).isprintable()
