"""``unset`` and ``environments``: what a job config does not want of the tables below it, and where
it is."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.job_config import JobConfig
from majobctl.repository.config import Config, load_config
from majobctl.repository.settings.variables import Overrides
from tests.config_files import PARAMS, SETTINGS, loaded, problems_of, write_files
from tests.strategies import hyperparameters, toml_value, valid_params

ENVIRONMENTS = "[environments.prod]\n[environments.stage]\n"


def lines(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())


def files(job: str, template: str = "", defaults: str = "", more: str = "") -> dict[str, str]:
    return {
        "majobctl.toml": f"{SETTINGS}[defaults]\n{defaults}{more}",
        "jobs/a.toml": f"[job_config.a]\nuse = 't'\n{job}",
        "jobs/t.toml": f"[templates.t]\n{template}",
    }


def labelled(value: object) -> dict[str, Any]:
    if isinstance(value, list):
        return {item["label"]: item["value"] for item in value}
    return dict(value) if isinstance(value, dict) else {}


@given(valid_params, valid_params, hyperparameters, st.data())
def test_what_is_unset_might_as_well_not_be_there(
    params: dict[str, Any], others: dict[str, Any], more: Any, data: st.DataObject
) -> None:
    own_labels = labelled(params.get("hyperparameters"))
    others["hyperparameters"] = more
    below: list[dict[str, Any]] = [{}, {}]
    for key, value in others.items():
        if key not in params or key == "hyperparameters":
            below[data.draw(st.integers(0, 1))][key] = value
    unset = {f"hyperparameters.{label}" for label in labelled(more)}
    unset -= {f"hyperparameters.{label}" for label in own_labels}
    unset |= {it for table in below for it in table} - {"hyperparameters"}
    kept = {label: it for label, it in labelled(more).items() if label in own_labels}
    if own_labels or kept:
        # A label that has a key's name is meant in an array.
        pairs = ({"label": it, "value": value} for it, value in (kept | own_labels).items())
        params["hyperparameters"] = [*pairs]
    for table in below:
        if "hyperparameters" in table:
            pairs = ({"label": it, "value": value} for it, value in labelled(more).items())
            table["hyperparameters"] = [*pairs]
    job = lines({**params, "unset": sorted(unset)})
    with TemporaryDirectory() as folder:
        written = files(job, *map(lines, below))
        assert loaded(Path(folder), written).job_configs["a"] == JobConfig.of("a", params)


@pytest.mark.parametrize(
    ("unset", "left"),
    [
        ("log_url", {}),
        ("lr", {"seed": "2", "log_url": "3"}),
        ("hyperparameters.lr", {"seed": "2", "log_url": "3"}),
        ("hyperparameters.log_url", {"lr": "1", "seed": "2"}),
        ("hyperparameters", {}),
    ],
)
@pytest.mark.parametrize("where", ["template", "defaults", "both"])
@pytest.mark.parametrize("form", ["a matrix", "a plain table", "a template that unsets"])
def test_a_key_and_a_label_are_taken_away(
    unset: str, left: dict[str, str], where: str, form: str, tmp_path: Path
) -> None:
    labels = "[{label = 'lr', value = 1}, {label = 'seed', value = 2},"
    below = f"log_url = '/ml/log/'\nhyperparameters = {labels} {{label = 'log_url', value = 3}}]\n"
    template, defaults = (below * (where in (it, "both")) for it in ("template", "defaults"))
    own = f"unset = ['{unset}']\n"
    if form == "a template that unsets":
        template, defaults, own = own, below, ""
    matrix = "name = 'a-{epochs}'\nmatrix = {epochs = [5, 6]}\n" * (form == "a matrix")
    config = loaded(tmp_path, files(f"{PARAMS}{own}{matrix}", template, defaults))
    assert list(config.job_configs) == (["a-5", "a-6"] if matrix else ["a"])
    assert not config.warnings
    for name, found in config.job_configs.items():
        more = {"epochs": name[-1]} if matrix else {}
        all_ = {"lr": "1", "seed": "2", "log_url": "3"} if unset == "log_url" else left
        assert found.params.get("hyperparameters", {}) == all_ | more
        assert ("log_url" in found.params) is (unset != "log_url")


def test_own_hyperparameters_beside_the_key_are_all_there_is(tmp_path: Path) -> None:
    own = f"{PARAMS}unset = ['hyperparameters']\nhyperparameters = {{ own = 1 }}\n"
    config = loaded(tmp_path, files(own, "hyperparameters = { a = 1 }\n"))
    assert config.job_configs["a"].params["hyperparameters"] == {"own": "1"}


def test_a_job_config_may_set_what_its_template_unsets(tmp_path: Path) -> None:
    own = f"{PARAMS}log_url = '/ml/own/'\n"
    config = loaded(tmp_path, files(own, "unset = ['log_url']\n", "log_url = '/ml/log/'\n"))
    assert config.job_configs["a"].params["log_url"] == "/ml/own/"


BELOW = "log_url = '/ml/log/'\nhyperparameters = { lr = 1 }\n"
WRONG_UNSET = {
    "['log_ulr']": '"log_ulr" is neither a key, nor a label of [defaults] or of the template; did'
    ' you mean "log_url"?',
    "['lrr']": '"lrr" is neither a key, nor a label of [defaults] or of the template; did you mean'
    ' "lr"?',
    "['hyperparameters.seed']": '"hyperparameters.seed" is neither a key, nor a label',
    "['hyperparameters.']": '"hyperparameters." is neither a key, nor a label',
    "['hyperparameters.log_url']": '"hyperparameters.log_url" is neither a key, nor a label',
    "['prevent_delete']": '"prevent_delete" is neither a key, nor a label',
    "['\\u001b[2J']": '"\\u001b[2J" is neither a key, nor a label',
    "['inputs']": '"inputs" is set here, too; keep one of them',
    "['own']": '"own" is set here, too; keep one of them',
    "['hyperparameters.own']": '"hyperparameters.own" is set here, too; keep one of them',
    "['epochs']": '"epochs" is set here, too; keep one of them',
    "['config_desc']": '"config_desc" is set here, too; keep one of them',
    "['']": "unset must be an array of strings, keys and labels; this is empty",
    "[1]": "unset must be an array of strings, keys and labels; this is an integer",
    "'log_url'": "unset must be an array of strings, keys and labels, not a string",
    "{ log_url = 1 }": "unset must be an array of strings, keys and labels, not a table",
}


@pytest.mark.parametrize("value", WRONG_UNSET)
def test_what_cannot_be_unset_is_reported_at_its_line(value: str, tmp_path: Path) -> None:
    escaped = value.replace("'", '"')
    own = f"unset = {escaped}\n{PARAMS}hyperparameters = {{ own = 1 }}\nname = 'a-{{epochs}}'\n"
    own += "matrix = { epochs = [1], config_desc = ['x'] }\n"
    (problem,) = problems_of(tmp_path, files(own, BELOW, BELOW))
    assert problem.startswith("jobs/a.toml:3: job_config.a: unset")
    assert WRONG_UNSET[value] in problem


@pytest.mark.parametrize(
    ("job", "template", "defaults", "problem"),
    [
        ("", "unset = ['seed']\n", BELOW, 'jobs/t.toml:2: templates.t: unset: "seed" is neither'),
        ("", BELOW + "unset = ['lr']\n", BELOW, 'jobs/t.toml:4: templates.t: unset: "lr" is set '),
        ("", "", "unset = ['lr']\n", "majobctl.toml:4: defaults: unset belongs in a job config"),
        ("", "", "environments = ['prod']\n", "majobctl.toml:4: defaults: environments belongs in"),
        ("use = 'x'\nunset = ['y']\n", "", "", 'jobs/a.toml:2: job_config.a: use: no template "x"'),
        (
            "unset = ['train_instance_count']\n",
            "",
            "train_instance_count = 1\n",
            "jobs/a.toml:1: job_config.a: train_instance_count is missing",
        ),
    ],
    ids=["template, unknown", "template, own", "defaults", "defaults too", "template", "required"],
)
def test_the_rules_hold_in_every_table(
    job: str, template: str, defaults: str, problem: str, tmp_path: Path
) -> None:
    params = PARAMS.replace("train_instance_count = 1\n", "") if "count" in job else PARAMS
    found = files(f"{params}{job}", template, defaults)
    if "use" in job:
        found["jobs/a.toml"] = found["jobs/a.toml"].replace("use = 't'\n", "")
        problem = problem.replace("toml:2", "toml:7")
    (told,) = problems_of(tmp_path, found)
    assert told.startswith(problem)


@pytest.mark.parametrize("environment", ["", "prod"])
def test_a_key_that_nothing_sets_is_a_warning_unless_another_environment_does(
    environment: str, tmp_path: Path
) -> None:
    prod = "[environments.prod.defaults]\nlog_url = '/ml/prod/'\nhyperparameters = {lr = 1}\n"
    own = "unset = ['log_url', 'config_desc', 'lr']\n"
    write_files(tmp_path, files(f"{PARAMS}{own}", more=prod))
    config = load_config(tmp_path, Overrides(environment))
    assert [str(it) for it in config.warnings] == [
        "jobs/a.toml:8: job_config.a: unset: neither [defaults] nor a template sets config_desc;"
        " remove it"
    ]
    assert "log_url" not in config.job_configs["a"].params
    assert "hyperparameters" not in config.job_configs["a"].params


def test_a_secret_of_the_defaults_is_known_by_those_that_do_not_unset_it(tmp_path: Path) -> None:
    secret = "sensitive = ['word']\nhyperparameters = { word = 'a-long-secret' }\n"
    found = files(f"{PARAMS}unset = ['word']\n[job_config.b]\n{PARAMS}", "", secret)
    config = loaded(tmp_path, found)
    assert not config.warnings
    assert config.job_configs["b"].sensitive == {("hyperparameters", "word"): None}


# --- environments


def chosen(root: Path, text: str, environment: str, more: str = ENVIRONMENTS) -> Config:
    write_files(root, {"majobctl.toml": f"{SETTINGS}{more}", "jobs/a.toml": text})
    return load_config(root, Overrides(environment))


@pytest.mark.parametrize("environment", ["", "prod", "stage"])
@pytest.mark.parametrize(
    ("written", "has_it"),
    [
        (None, ("", "prod", "stage")),
        ("['prod']", ("prod",)),
        ("['prod', '']", ("", "prod")),
        ("['']", ("",)),
        ("['stage', 'prod', 'stage']", ("prod", "stage")),
    ],
)
@pytest.mark.parametrize("place", ["job config", "template"])
def test_a_job_config_is_where_it_says(
    environment: str, written: str | None, has_it: tuple[str, ...], place: str, tmp_path: Path
) -> None:
    line = f"environments = {written}\n" if written else ""
    own, template = (line * (place == it) for it in ("job config", "template"))
    text = f"[job_config.a]\n{PARAMS}use = 't'\n{own}[templates.t]\n{template}"
    text += f"[job_config.m]\n{PARAMS}{line}name = 'm-{{x}}'\nmatrix = {{ x = [1, 2] }}\n"
    config = chosen(tmp_path, text, environment)
    names = ["a", "m-1", "m-2"]
    here, others = (names, []) if environment in has_it else ([], names)
    assert (list(config.job_configs), list(config.elsewhere)) == (here, others)
    assert not config.warnings


def test_a_job_config_has_the_last_word_on_its_environments(tmp_path: Path) -> None:
    text = f"[job_config.a]\n{PARAMS}use = 't'\nenvironments = ['']\n"
    text += "[templates.t]\nenvironments = ['prod']\n"
    assert list(chosen(tmp_path, text, "").job_configs) == ["a"]


WRONG_ENVIRONMENTS = {
    "['prd']": 'environments: no environment "prd"; did you mean "prod"?',
    "['', 'x']": 'environments: no environment "x"; the settings have "prod", "stage"',
    "[]": 'environments must be an array with the names of environments, or "" for none; this is'
    " empty: without it, all have it",
    "'prod'": 'environments must be an array with the names of environments, or "" for none, not a',
    "[1]": 'the names of environments, or "" for none; this is an integer',
    "true": "not a boolean",
}


@pytest.mark.parametrize("environment", ["", "prod"])
@pytest.mark.parametrize("value", WRONG_ENVIRONMENTS)
def test_wrong_environments_are_reported_in_all(
    value: str, environment: str, tmp_path: Path
) -> None:
    for text in (
        f"[job_config.a]\nenvironments = {value}\n{PARAMS}",
        f"[templates.t]\nenvironments = {value}\n",
    ):
        with pytest.raises(ConfigError) as raised:
            chosen(tmp_path, text, environment)
        (problem,) = raised.value.problems
        assert str(problem).startswith("jobs/a.toml:2: ")
        assert WRONG_ENVIRONMENTS[value] in str(problem)


def test_settings_without_environments_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no"):
        chosen(tmp_path, f"[job_config.a]\nenvironments = ['prod']\n{PARAMS}", "", "")


ONLY_PROD = "[job_config.a]\nenvironments = ['prod']\n"


@pytest.mark.parametrize(
    ("text", "is_wrong"),
    [
        # What prod's own tables may make good is left to `-e prod`.
        ("train_instance_count = '${var.nodes}'\nlog_url = '${var.path}x/'\n", False),
        ("hyperparameters = { lr = '${var.lr}' }\n", False),
        ("", False),
        # What is wrong everywhere is reported everywhere.
        ("log_ulr = '/ml/log/'\n", True),
        ("log_url = 'log'\n", True),
        ("train_instance_count = 0\n", True),
        ("use = 'nobody'\n", True),
        ("sensitive = 1\n", True),
        ("name = 'x'\n", True),
        ("name = 'x'\nmatrix = { lr = 1 }\n", True),
    ],
)
def test_a_job_config_of_another_environment_is_checked_alone(
    text: str, is_wrong: bool, tmp_path: Path
) -> None:
    if not is_wrong:
        assert not chosen(tmp_path, ONLY_PROD + text, "").job_configs
        return
    with pytest.raises(ConfigError) as raised:
        chosen(tmp_path, ONLY_PROD + text, "")
    assert len(raised.value.problems) == 1


def test_a_name_is_taken_in_every_environment(tmp_path: Path) -> None:
    write_files(
        tmp_path,
        {
            "majobctl.toml": f"{SETTINGS}{ENVIRONMENTS}",
            "jobs/a.toml": f"{ONLY_PROD}{PARAMS}",
            "jobs/b.toml": f"[job_config.a]\nenvironments = ['']\n{PARAMS}",
        },
    )
    for environment in ("", "prod", "stage"):
        with pytest.raises(ConfigError) as raised:
            load_config(tmp_path, Overrides(environment))
        assert [str(it) for it in raised.value.problems] == [
            "jobs/b.toml:1: job_config.a: this name is already used at jobs/a.toml:1"
        ]


def test_a_rename_may_come_to_one_environment_first(tmp_path: Path) -> None:
    text = f"[job_config.old]\nenvironments = ['']\n{PARAMS}"
    text += f"[job_config.new]\nenvironments = ['prod']\nrenamed_from = 'old'\n{PARAMS}"
    assert chosen(tmp_path, text, "prod").job_configs["new"].renamed_from == "old"
    assert list(chosen(tmp_path, text, "").job_configs) == ["old"]


def test_a_secret_of_the_defaults_may_be_of_another_environment(tmp_path: Path) -> None:
    text = f"{ONLY_PROD}{PARAMS}hyperparameters = {{ word = 'a-long-secret' }}\n"
    text += f"[job_config.b]\n{PARAMS}hyperparameters = {{ ward = 'x' }}\n"
    more = f"[defaults]\nsensitive = ['word']\n{ENVIRONMENTS}"
    assert not chosen(tmp_path, text, "", more).warnings
