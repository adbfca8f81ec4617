"""Tables of job files made from what the service has: they say that, below any defaults."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import tomli
from hypothesis import example, given
from hypothesis import strategies as st

from majobctl.errors import ConfigError
from majobctl.job_config.fields import FIELDS
from majobctl.job_config.job_config import JobConfig, normalise
from majobctl.job_config.live import LiveConfig
from majobctl.job_config.values import CONTROL_CHARACTER
from majobctl.repository.authoring.format import formatted
from majobctl.repository.authoring.generate import (
    Defaults,
    JobTable,
    comment,
    reason_against,
    table_of,
)
from majobctl.repository.config import Config, load_config
from majobctl.repository.jobs.tables import KEYS
from majobctl.service.codec import live_config
from majobctl.text import is_unseen
from tests.config_files import SETTINGS, write_files
from tests.strategies import plain_values, texts, toml_value, valid_params

Params = Mapping[str, Any]

PARAMS: Params = {
    "train_instance_type": "modelarts.vm.gpu.p100",
    "train_instance_count": 1,
    "output_path": "/ml/output/",
    "code_dir": "/ml/src/",
    "boot_file": "/ml/src/train.py",
    "framework_type": "PyTorch",
    "framework_version": "PyTorch-1.0.0-python3.6",
    "hyperparameters": {"epochs": "10", "lr": "0.001"},
    "log_url": "/ml/log/",
    "inputs": "/ml/data/",
}


class NoNames:
    """A service that lists nothing."""

    def names_of(self, name: str, number: str) -> None:
        return None


def with_defaults(defaults: Params) -> str:
    lines = [f"{toml_value(key)} = {toml_value(value)}" for key, value in defaults.items()]
    return "\n".join([SETTINGS, "[defaults]", *lines, ""])


def loaded(table: JobTable, defaults: Params, root: Path) -> Config:
    files = {"majobctl.toml": with_defaults(defaults), "jobs/x.toml": table.text()}
    return load_config(write_files(root, files))


def table(params: Params = PARAMS, defaults: Params | None = None, **options: Any) -> JobTable:
    below = Defaults.of(defaults or {})
    assert reason_against(params, below) is None
    return table_of(LiveConfig("x", params, **options), below)


_references = st.sampled_from(["${env.HOME}", "$${", "${", "$$${x}", "a${var.b}c$"])
_hostile_texts = texts | _references | st.builds("{}{}".format, texts, _references)


@st.composite
def live_params(draw: st.DrawFn) -> Params:
    """What the service may have: most of it breaks no rule, and every text may hold anything."""
    if draw(st.integers(0, 4)) == 0:
        fields = [field.rest for field in FIELDS.values() if field.rest]
        names = st.sampled_from([*fields, "spec_code", "engine_name", "engine_version"])
        document = draw(st.dictionaries(names, plain_values, max_size=8))
        return live_config("x", document, NoNames()).params
    params = dict(JobConfig.of("x", draw(valid_params)).params)
    for key in ("config_desc", "user_image_url", "train_instance_type", "dataset_version_id"):
        if key in params and draw(st.booleans()):
            params[key] = draw(_hostile_texts.filter(bool))
    if "hyperparameters" in params:
        params["hyperparameters"] = {
            label: draw(_hostile_texts) if draw(st.booleans()) else text
            for label, text in params["hyperparameters"].items()
        }
    return params


@st.composite
def defaults_near(draw: st.DrawFn, params: Params) -> Params:
    """Raw defaults, of which some say what ``params`` say."""
    found = {
        key: value for key, value in draw(valid_params).items() if draw(st.integers(0, 2)) == 0
    }
    sound, faults = normalise(params)
    for key, value in {} if faults else sound.items():
        if draw(st.integers(0, 3)) == 0:
            found[key] = _as_written(value)
    labelled = found.get("hyperparameters")
    if isinstance(labelled, Mapping) and draw(st.booleans()):
        kept = {label: text for label, text in labelled.items() if draw(st.booleans())}
        found["hyperparameters"] = kept
    return found


def _as_written(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, Mapping):
        return {key: _as_written(item) for key, item in value.items()}
    return [_as_written(item) for item in value] if isinstance(value, list) else value


@given(st.data())
def test_what_is_written_says_the_same_below_any_defaults(data: st.DataObject) -> None:
    params = data.draw(live_params())
    defaults = data.draw(defaults_near(params))
    below = Defaults.of(defaults)
    reason = reason_against(params, below)
    assert bool(reason) == bool(normalise(params)[1])
    if reason:
        return
    written = table_of(LiveConfig("x", params), below)
    with TemporaryDirectory() as folder:
        config = loaded(written, defaults, Path(folder)).job_configs["x"]
    assert config.params == params
    assert {place[-1] for place in config.sensitive} == set(written.secrets)


@pytest.mark.parametrize("label", sorted(KEYS))
@pytest.mark.parametrize("below", [{}, {"hyperparameters": {"lr": "0.001", "epochs": "3"}}])
def test_a_label_with_the_name_of_a_key_is_written_so_that_it_reads_back(
    label: str, below: Params, tmp_path: Path
) -> None:
    labelled = {"epochs": "10", label: "its value", "lr": "0.001"}
    params = {**PARAMS, "hyperparameters": dict(sorted(labelled.items()))}
    written = table(params, below)
    assert loaded(written, below, tmp_path).job_configs["x"].params == params
    assert f'{{ label = "{label}", value = "its value" }}' in written.text()
    assert formatted(written.text().encode(), "x").content.decode() == written.text()


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("\x85\u2028\u202e\t\x7f\U000e0001\u3164\ufe0f\u2800 é ${env.HOME}")
def test_nothing_in_a_file_is_invisible(text: str) -> None:
    value = CONTROL_CHARACTER.sub("", text)
    hyperparameters = {"lr" + value.replace("${", ""): value}
    found = table({**PARAMS, "user_image_url": value or "x", "hyperparameters": hyperparameters})
    written = comment(text) + found.text()
    assert not any(map(is_unseen, written.replace("\n", "")))
    tomli.loads(written)


def test_it_looks_as_if_somebody_wrote_it() -> None:
    params = {
        **{key: value for key, value in PARAMS.items() if key != "inputs"},
        "config_desc": 'the "first"',
        "data_source": [
            {"type": "obs", "data_url": "/ml/a/"},
            {"type": "obs", "data_url": "/ml/b/"},
        ],
        "hyperparameters": {"a b": "C:\\x", "epochs": "10", "password": "hunter2"},
    }
    assert table(params, problems=("train_instance_type: gone\nfor good",)).text() == (
        """\
# train_instance_type: gone\\nfor good
[job_config.x]
train_instance_type = "modelarts.vm.gpu.p100"
train_instance_count = 1
output_path = "/ml/output/"
code_dir = "/ml/src/"
boot_file = "/ml/src/train.py"
framework_type = "PyTorch"
framework_version = "PyTorch-1.0.0-python3.6"
log_url = "/ml/log/"
config_desc = "the \\"first\\""
data_source = [
    { type = "obs", data_url = "/ml/a/" },
    { type = "obs", data_url = "/ml/b/" },
]
sensitive = ["password"]

[job_config.x.hyperparameters]
"a b" = "C:\\\\x"
epochs = "10"
password = "hunter2"
"""
    )


def test_only_what_the_defaults_do_not_say_is_written() -> None:
    defaults = {
        **PARAMS,
        "output_path": "obs://ml/output/",
        "hyperparameters": [{"label": "lr", "value": 0.001}, {"label": "epochs", "value": 3}],
        "train_instance_count": 2,
        "job_description": "in no request",
    }
    assert table(PARAMS, defaults).text() == (
        "[job_config.x]\ntrain_instance_count = 1\n"
        '\n[job_config.x.hyperparameters]\nepochs = "10"\n'
    )
    assert table(PARAMS, PARAMS).text() == "[job_config.x]\n"


def test_a_default_that_it_lacks_is_taken_away() -> None:
    defaults = {"config_desc": "ours", "hyperparameters": {"seed": 1}, "data_source": []}
    params = {key: value for key, value in PARAMS.items() if key != "hyperparameters"}
    lines = table(params, defaults).text().splitlines()
    assert 'config_desc = ""' in lines
    assert 'hyperparameters = ""' in lines
    assert not any(line.startswith(("data_source", "[job_config.x.")) for line in lines)


@pytest.mark.parametrize("own", [{}, {"own": "1"}])
def test_a_label_of_the_defaults_is_unset(own: Params, tmp_path: Path) -> None:
    labels = {"seed": 1, "inputs": 2, "hyperparameters.x": 3, "hyperparameters": 4, "lr": 5}
    pairs = [{"label": label, "value": value} for label, value in labels.items()]
    params = {**PARAMS, "hyperparameters": {"lr": "5", **own}}
    written = table(params, {"hyperparameters": pairs})
    prefixed = [
        f"hyperparameters.{it}" for it in ("hyperparameters", "hyperparameters.x", "inputs")
    ]
    assert written.values["unset"] == [*prefixed, "seed"]
    assert "hyperparameters = {" not in written.text()
    found = loaded(written, {"hyperparameters": pairs}, tmp_path).job_configs["x"]
    assert found.params["hyperparameters"] == params["hyperparameters"]


def test_every_broken_rule_is_a_reason() -> None:
    params = {**PARAMS, "inputs": "s3://x", "train_instance_count": "many"}
    assert reason_against(params, Defaults({})) == (
        "train_instance_count must be an integer, not a string;"
        ' inputs must be an OBS path such as "/bucket/dir/", not "s3://x"'
    )


def test_a_reason_tells_no_value_that_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA", "/ml/data/")
    params = {**PARAMS, "inputs": "s3://hunter2"}
    for reason in (
        reason_against(params, Defaults.of({"sensitive": ["inputs"]})),
        reason_against(params, Defaults.of({"inputs": "${env.DATA}"})),
        reason_against(params, Defaults({}), {"inputs"}),
    ):
        assert reason is not None
        assert reason.endswith("not (sensitive)")


def test_values_that_were_or_look_secret_are_named_as_sensitive(tmp_path: Path) -> None:
    hyperparameters = {"api_token": "a", "lr": "1", "password": "", "seed": "3", "user": "u"}
    live = LiveConfig("x", {**PARAMS, "hyperparameters": hyperparameters, "config_desc": "d"})
    defaults = {"sensitive": ["seed", "config_desc"]}
    found = table_of(live, Defaults.of(defaults), {"user", "inputs"})
    assert found.secrets == ("config_desc", "inputs", "api_token", "seed", "user")
    assert found.values["sensitive"] == ["inputs", "api_token", "user"]
    config = loaded(found, defaults, tmp_path).job_configs["x"]
    assert {place[-1] for place in config.sensitive} == set(found.secrets)


def test_a_value_that_the_defaults_take_from_the_environment_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    params = {**PARAMS, "hyperparameters": {"api_token": "hunter2"}}
    defaults = {"hyperparameters": {"api_token": "${env.TOKEN}"}}
    found = table(params, defaults)
    assert "hunter2" not in found.text()
    assert found.secrets == ()
    config = loaded(found, defaults, tmp_path).job_configs["x"]
    assert config.params == params


def test_a_table_says_something_else_below_other_defaults(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        loaded(table(PARAMS, PARAMS), {}, tmp_path)
